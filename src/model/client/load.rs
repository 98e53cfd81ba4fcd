//! When users come, as the scenario writes it: closed, open, burst, trace.

use crate::kernel::Span;
use crate::model::dist::Dist;
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When users come. *Closed*: a user waits for the answer before asking again. *Open*: requests come whether or not
/// earlier ones are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// A fixed number of users, each looping request, answer, think (k6: `constant-vus`, `ramping-vus`).
    Closed(Closed),
    /// Arrivals at a rate that may change (k6: `constant-arrival-rate`, `ramping-arrival-rate`).
    Open(Open),
    /// Many requests at one instant.
    Burst(Burst),
    /// Arrivals replayed from a file.
    Trace(Trace),
}

impl Load {
    /// When the last request may begin; none: it is not said (a closed class that ends by its number of requests, a trace).
    pub fn ends(&self) -> Option<Span> {
        match self {
            Load::Closed(closed) => closed.duration,
            Load::Open(open) => Some(match &open.rate {
                Shape::Steady(shape) => shape.duration,
                Shape::Spike(shape) => shape.duration,
                Shape::Diurnal(shape) => shape.duration,
                Shape::Stages(shape) => {
                    shape.stages.iter().fold(Span::ZERO, |sum, stage| sum + stage.duration)
                }
            }),
            Load::Burst(burst) => Some(burst.at + burst.spread),
            Load::Trace(_) => None,
        }
    }

    /// From when on users come at a rate that stays the same to the end; none: it changes all the time, or is not said (a trace).
    pub fn steady_since(&self) -> Option<Span> {
        match self {
            Load::Closed(closed) => Some(closed.ramp),
            Load::Burst(burst) => Some(burst.at + burst.spread),
            Load::Trace(_) => None,
            Load::Open(open) => match &open.rate {
                Shape::Steady(_) => Some(Span::ZERO),
                Shape::Spike(shape) => Some(shape.at + shape.lasts),
                Shape::Diurnal(_) => None,
                Shape::Stages(shape) => Some(shape.steady_since()),
            },
        }
    }
}

/// A closed class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// How many users.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub users: u32,
    /// No new request begins after this; those in flight are waited for. Give this, `requests_per_user` or both.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Requests (or sessions) after which a user stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests_per_user: Option<u32>,
    /// Users start evenly spread over this time; zero: all at once.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said: a burst"))]
    pub ramp: Span,
    /// Pause between an answer (or a session's end) and the user's next request.
    #[serde(default = "no_time")]
    #[schemars(extend("x-source" = "no pause unless said"))]
    pub think: Dist,
}

fn no_time() -> Dist {
    Dist::Constant(Span::ZERO)
}

/// An open class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Arrival rate over time.
    pub rate: Shape,
    /// How arrivals are spaced.
    #[serde(default)]
    #[schemars(extend("x-source" = "independent users arrive as a Poisson process (Palm-Khintchine)"))]
    pub arrivals: Spacing,
    /// Limit of concurrent users of the load generator; none: as many as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vus: Option<Vus>,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// A Poisson process.
    #[default]
    Poisson,
    /// Evenly, as k6 does.
    Even,
}

/// The load generator's own limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vus {
    /// Most concurrent users.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max: u32,
    /// What happens to an arrival that finds none free.
    #[serde(default)]
    #[schemars(extend("x-source" = "k6: dropped_iterations"))]
    pub when_busy: WhenBusy,
}

/// What happens to an arrival when the load generator has no user free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    /// It is never sent (k6).
    #[default]
    Drop,
    /// It is sent as soon as a user is free; its latency counts from the schedule too (wrk2).
    Wait,
}

/// Arrival rate over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Always the same.
    Steady(Steady),
    /// Linear pieces, as k6's `stages`.
    Stages(Stages),
    /// A base rate with one spike.
    Spike(Spike),
    /// A daily wave.
    Diurnal(Diurnal),
}

/// A constant rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// Requests per time.
    pub rate: Rate,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// Linear pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// Rate at the beginning of the first stage.
    #[serde(default)]
    #[schemars(extend("x-source" = "k6: startRate 0"))]
    pub start: Rate,
    /// The stages in order.
    pub stages: Vec<Stage>,
}

impl Stages {
    /// When the last stage that changes the rate ends.
    fn steady_since(&self) -> Span {
        let (mut since, mut now, mut rate) = (Span::ZERO, Span::ZERO, self.start);
        for stage in &self.stages {
            now = now + stage.duration;
            if stage.target != rate {
                (since, rate) = (now, stage.target);
            }
        }
        since
    }
}

/// One stage: from the rate before to `target`, linearly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Length of the stage; zero: a jump.
    pub duration: Span,
    /// Rate at its end.
    pub target: Rate,
}

/// A spike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spike {
    /// Rate before and after.
    pub base: Rate,
    /// Rate in the spike.
    pub peak: Rate,
    /// When the spike begins.
    pub at: Span,
    /// How long it lasts.
    pub lasts: Span,
    /// Time to climb and to fall, inside `lasts`.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said: a step"))]
    pub ramp: Span,
    /// Length of the whole run.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// A daily wave: rate(t) = mean · (1 + swing · cos(2π (t − `peak_at`) / 24 h)), in linear pieces of 5 minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diurnal {
    /// Mean rate over a day.
    pub mean: Rate,
    /// Swing around the mean, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub swing: f64,
    /// Time of day of the peak.
    pub peak_at: Span,
    /// Length of the run.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// Many requests at one instant, each by a user of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// How many.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub requests: u32,
    /// When.
    #[serde(default)]
    #[schemars(extend("x-source" = "at the start unless said"))]
    pub at: Span,
    /// Evenly spread over this time.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said: one instant"))]
    pub spread: Span,
}

/// Arrivals from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// CSV file with a header, relative to the scenario.
    pub file: String,
    /// How to read it.
    pub format: TraceFormat,
}

/// How a trace file is to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// One row a request, with its start time.
    Starts(Starts),
    /// One row an interval, with its number of requests.
    Counts(Counts),
    /// Azure Functions trace 2019: one row a function, columns `1` to `1440` with the requests of each minute.
    #[serde(rename = "azure_2019")]
    Azure2019(Azure2019),
    /// Azure Functions trace 2021: `app`, `func`, `end_timestamp`, `duration` in seconds; arrival = end − duration.
    #[serde(rename = "azure_2021")]
    Azure2021(Azure2021),
}

/// Start times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Starts {
    /// Column with the start time.
    pub column: String,
    /// What 1 in the column means, e.g. `1s`.
    pub unit: Span,
}

/// Counts per interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Column with the number of requests.
    pub column: String,
    /// Length of an interval.
    pub every: Span,
    /// How the requests lie within their interval.
    #[serde(default)]
    #[schemars(extend("x-source" = "the counts are kept exactly"))]
    pub spread: Spread,
}

/// How counted requests lie within their interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Independently and uniformly; every interval has exactly its count.
    #[default]
    Uniform,
    /// As a Poisson process with the count as its mean.
    Poisson,
}

/// Azure's layout of 2019.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure2019 {
    /// Only rows whose `HashFunction` is this; none: all rows together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// How the requests lie within their minute.
    #[serde(default)]
    #[schemars(extend("x-source" = "the counts are kept exactly"))]
    pub spread: Spread,
}

/// Azure's layout of 2021.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure2021 {
    /// Only rows whose `func` is this; none: all rows together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}
