//! A scenario as its author writes it: what was said, with defaults filled in, not yet checked for meaning.

use crate::kernel::Span;
use crate::model::client::ClassSpec;
use crate::model::era::Era;
use crate::model::work::StepSpec;
use crate::model::world::DesignSpec;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One file: who comes, what they need, which designs serve them, what is demanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Schema of this file, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Short name.
    pub name: String,
    /// What it is about, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// Where its figures come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Values that nobody measured: path in this file to the reason for choosing them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assumed: BTreeMap<String, String>,
    /// Dated preset of the platform's rules.
    #[serde(default)]
    #[schemars(extend("x-source" = "the present rules unless said"))]
    pub era: Era,
    /// Region whose prices apply.
    #[serde(default = "region_default")]
    #[schemars(extend("x-source" = "the region with a complete price table"))]
    pub region: String,
    /// Classes of users by name.
    pub workload: BTreeMap<String, ClassSpec>,
    /// Kinds of request by name: the steps of each. Every design serves the same work.
    pub work: BTreeMap<String, Vec<StepSpec>>,
    /// Designs by name; the first is the one that others are compared with.
    pub designs: IndexMap<String, DesignSpec>,
    /// What is demanded: metric to a list of expressions in k6's syntax, `STATISTIC COMPARISON LIMIT` with `<`, `<=`, `>` or `>=`.
    ///
    /// - `success_rate`: `rate`, a share from 0 to 1, e.g. `rate>0.999`.
    /// - `latency` (of successes), `latency_all`: `avg`, `med`, `max`, `p(50)`, `p(90)`, `p(95)`, `p(99)`, `p(99.9)`, with a unit, e.g.
    ///   `p(95)<500ms`; without one, milliseconds.
    /// - `throughput` (successes per second), `cost_total`, `cost_per_request` (of a success), `cost_per_user` (of a user with at least one
    ///   success, however many requests it made), `cost_per_user_monthly`: `value`, e.g. `value<0.002`.
    ///
    /// `success_rate`, `latency`, `latency_all` and `throughput` speak of one class of users with its name in braces, as k6's of one scenario:
    /// `latency{class:web}`. It is judged in the designs that the class enters.
    ///
    /// A threshold passes or fails where the whole 95 % interval does, and is undecided otherwise. Only `rate>=1` is judged by the requests of
    /// the run: it passes where all had an answer and none failed. That no request ever fails, no number of them could prove.
    #[serde(default)]
    pub thresholds: BTreeMap<String, Vec<String>>,
    /// How it is run.
    #[serde(default)]
    pub run: RunSpec,
}

/// How a scenario is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Independent replications of every design; intervals come from their spread.
    #[serde(default = "replications_default")]
    #[schemars(range(min = 2, max = 100_000), extend("x-source" = "20 give a 95 % interval of about half a standard deviation"))]
    pub replications: u32,
    /// Seed: the same seed gives the same bytes.
    #[serde(default = "seed_default")]
    #[schemars(extend("x-source" = "any number does"))]
    pub seed: u64,
    /// A replication is stopped here at the latest; requests without an answer by then are unfinished.
    #[serde(default = "horizon_default")]
    #[schemars(extend("x-source" = "longer than any kernel waits for a connection"))]
    pub horizon: Span,
    /// How the simulated window makes up a month.
    #[serde(default)]
    pub month: MonthSpec,
    /// Whether the provider's free quantities are taken off the bill.
    #[serde(default)]
    #[schemars(extend("x-source" = "off: an account shares them among all it runs"))]
    pub free_tier: bool,
    /// Whether the steady state under load is asked for: success, mean latency and throughput after the warm-up, beside the
    /// figures of the whole run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-source" = "off: a burst has no steady state"))]
    pub steady_state: bool,
}

/// How the simulated window makes up a month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonthSpec {
    /// How often the window happens in a month; none: back to back if it lasts an hour or more, else once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e9), extend("x-source" = "a burst a day: assumed", "x-assumed" = true))]
    pub windows: Option<f64>,
}

fn region_default() -> String {
    "us-east-1".into()
}
fn replications_default() -> u32 {
    20
}
fn seed_default() -> u64 {
    1
}
fn horizon_default() -> Span {
    Span::from_secs(48 * 3600)
}

impl Default for RunSpec {
    fn default() -> Self {
        RunSpec {
            replications: replications_default(),
            seed: seed_default(),
            horizon: horizon_default(),
            month: MonthSpec::default(),
            free_tier: false,
            steady_state: false,
        }
    }
}
