//! How many calls may be in progress at once: a fixed number, or one that follows what is seen, after Netflix's concurrency-limits 0.5
//! (`AIMDLimit`, `Gradient2Limit`, `VegasLimit` in `vegas.rs`, `ExpAvgMeasurement`, `WindowedLimit`).

use super::sample::{Sample, Samples};
use super::vegas::{Estimate, Vegas};
use crate::kernel::{Key, Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit of calls in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSpec {
    /// A fixed number: a bulkhead.
    Static(Static),
    /// One more after a success, a factor less after a drop or a slow answer.
    Aimd(Aimd),
    /// By the ratio of long-term and present round-trip time.
    Gradient2(Gradient2),
    /// By the queue that the present round-trip time speaks of.
    Vegas(Vegas),
}

/// A fixed limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Static {
    /// Calls in progress at most (`maxConcurrentCalls` of Resilience4j's bulkhead).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
}

/// Additive increase, multiplicative decrease: limit + 1 after a success while at least half of it is in use, ⌊limit · ratio⌋ after a drop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aimd {
    /// Where it begins.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, AIMDLimit: 20"))]
    pub initial: u32,
    /// The least.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, AIMDLimit: 20"))]
    pub min: u32,
    /// The most.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, AIMDLimit: 200"))]
    pub max: u32,
    /// What is left of it after a drop.
    #[serde(default = "backoff_default")]
    #[schemars(range(min = 0.5, max = 0.999_999), extend("x-source" = "concurrency-limits, AIMDLimit: 0.9"))]
    pub backoff_ratio: f64,
    /// An answer that took longer counts as a drop.
    #[serde(default = "five_seconds")]
    #[schemars(extend("x-source" = "concurrency-limits, AIMDLimit: 5 s"))]
    pub timeout: Span,
}

/// limit ← (1 − s) · limit + s · (limit · g + queue), where g = max(½, min(1, tolerance · long RTT / RTT)). The long RTT is an exponential
/// mean of so many samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gradient2 {
    /// Where it begins.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, Gradient2Limit: 20"))]
    pub initial: u32,
    /// The least.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, Gradient2Limit: 20"))]
    pub min: u32,
    /// The most.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, Gradient2Limit: 200"))]
    pub max: u32,
    /// How far one sample moves it.
    #[serde(default = "smoothing_default")]
    #[schemars(range(min = 0.001, max = 1.0), extend("x-source" = "concurrency-limits, Gradient2Limit: 0.2"))]
    pub smoothing: f64,
    /// Calls that may wait behind the limit.
    #[serde(default = "queue_default")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "concurrency-limits, Gradient2Limit: 4"))]
    pub queue_size: u32,
    /// How much longer than the long-term mean an answer may take before the limit shrinks, as a factor.
    #[serde(default = "tolerance_default")]
    #[schemars(range(min = 1.0, max = 1000.0), extend("x-source" = "concurrency-limits, Gradient2Limit: 1.5"))]
    pub rtt_tolerance: f64,
    /// Samples in the long-term mean.
    #[serde(default = "long_window_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, Gradient2Limit: 600"))]
    pub long_window: u32,
    /// Answers of this time, ten at least, are one sample: their mean (`WindowedLimit`, as its authors recommend). Zero: each by itself.
    #[serde(default = "second")]
    #[schemars(extend("x-source" = "concurrency-limits, WindowedLimit: 1 s"))]
    pub sample_window: Span,
}

fn twenty() -> u32 {
    20
}
fn two_hundred() -> u32 {
    200
}
fn backoff_default() -> f64 {
    0.9
}
fn five_seconds() -> Span {
    Span::from_secs(5)
}
fn smoothing_default() -> f64 {
    0.2
}
fn queue_default() -> u32 {
    4
}
fn tolerance_default() -> f64 {
    1.5
}
fn long_window_default() -> u32 {
    600
}
fn second() -> Span {
    Span::from_secs(1)
}

/// A limit as it runs.
#[derive(Debug, Clone)]
pub(super) enum Limit {
    /// Never changes.
    Static(u32),
    /// Additive increase, multiplicative decrease.
    Aimd(Aimd, u32),
    /// By the gradient of round-trip times.
    Gradient2(Box<Gradient>),
    /// By the queue.
    Vegas(Box<Estimate>, Samples),
}

/// State of [`Gradient2`].
#[derive(Debug, Clone)]
pub(super) struct Gradient {
    spec: Gradient2,
    estimate: f64,
    /// Long-term mean, seconds, and how many samples it has seen of those that it averages plainly.
    long: f64,
    seen: u32,
    sum: f64,
    window: Samples,
}

/// `ExpAvgMeasurement` of `Gradient2Limit`: samples that are averaged plainly at first.
const WARM_UP: u32 = 10;
impl Limit {
    /// The limit as specified.
    pub(super) fn new(spec: &LimitSpec, key: Key) -> Limit {
        match spec {
            LimitSpec::Static(own) => Limit::Static(own.max),
            LimitSpec::Aimd(own) => Limit::Aimd(own.clone(), own.initial),
            LimitSpec::Gradient2(own) => Limit::Gradient2(Box::new(Gradient {
                estimate: f64::from(own.initial),
                spec: own.clone(),
                long: 0.0,
                seen: 0,
                sum: 0.0,
                window: Samples::default(),
            })),
            LimitSpec::Vegas(own) => {
                Limit::Vegas(Box::new(Estimate::new(own, key)), Samples::default())
            }
        }
    }

    /// Calls that may be in progress now.
    pub(super) fn allows(&self) -> u32 {
        match self {
            Limit::Static(max) | Limit::Aimd(_, max) => *max,
            Limit::Gradient2(own) => own.estimate as u32,
            Limit::Vegas(own, _) => own.allows(),
        }
    }

    /// Learns from a call that has ended.
    pub(super) fn learn(&mut self, now: Time, sample: Sample) {
        match self {
            Limit::Static(_) => {}
            Limit::Aimd(spec, limit) => {
                if sample.dropped || sample.rtt > spec.timeout {
                    *limit = (f64::from(*limit) * spec.backoff_ratio) as u32;
                } else if sample.in_progress * 2 >= *limit {
                    *limit += 1;
                }
                *limit = (*limit).max(spec.min).min(spec.max);
            }
            Limit::Gradient2(own) => own.learn(now, sample),
            Limit::Vegas(own, window) => {
                if let Some(one) = window.take(now, sample, own.window()) {
                    own.update(one);
                }
            }
        }
    }
}

impl Gradient {
    fn learn(&mut self, now: Time, sample: Sample) {
        if let Some(one) = self.window.take(now, sample, self.spec.sample_window) {
            self.update(one.rtt, one.in_progress);
        }
    }

    /// One sample: `rtt` in seconds.
    fn update(&mut self, rtt: f64, in_progress: u32) {
        if self.seen < WARM_UP {
            self.seen += 1;
            self.sum += rtt;
            self.long = self.sum / f64::from(self.seen);
        } else {
            let factor = 2.0 / (f64::from(self.spec.long_window) + 1.0);
            self.long = self.long * (1.0 - factor) + rtt * factor;
        }
        let long = self.long;
        // After an overload the long-term mean is led back faster than by samples.
        if long > 2.0 * rtt {
            self.long *= 0.95;
        }
        if f64::from(in_progress) < self.estimate / 2.0 {
            return;
        }
        let spec = &self.spec;
        let gradient = (spec.rtt_tolerance * long / rtt).clamp(0.5, 1.0);
        let wanted = self.estimate * gradient + f64::from(spec.queue_size);
        let smoothed = self.estimate * (1.0 - spec.smoothing) + wanted * spec.smoothing;
        self.estimate = smoothed.min(f64::from(spec.max)).max(f64::from(spec.min));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        Limit::new(&serde_json::from_str(text).unwrap(), Key::root(1, 0))
    }
    fn sample(ms: u64, in_progress: u32, dropped: bool) -> Sample {
        Sample { rtt: Span::from_millis(ms), in_progress, dropped }
    }

    #[test]
    fn aimd_adds_one_and_takes_a_tenth() {
        let mut own = limit(r#"{"aimd": {"initial": 40, "timeout": "1s"}}"#);
        let mut after = |one: Sample| {
            own.learn(Time::ZERO, one);
            own.allows()
        };
        assert_eq!(after(sample(10, 20, false)), 41, "half of 40 in use");
        assert_eq!(after(sample(10, 20, false)), 41, "20 · 2 < 41");
        assert_eq!(after(sample(1_000, 41, false)), 42, "1 s is not longer than 1 s");
        assert_eq!(after(sample(1_001, 41, false)), 37, "⌊42 · 0.9⌋");
        assert_eq!(after(sample(1, 1, true)), 33, "⌊37 · 0.9⌋");
        let least = (0..20).map(|_| after(sample(1, 1, true))).last();
        assert_eq!(least, Some(20), "never below the least");
        let most = (0..500).map(|_| after(sample(1, 200, false))).last();
        assert_eq!(most, Some(200), "never above the most");
    }

    #[test]
    fn gradient2_moves_as_its_formula_says() {
        let mut own = limit(r#"{"gradient2": {"initial": 50, "sample_window": "0s"}}"#);
        let mut after = |ms: u64, in_progress: u32| {
            own.learn(Time::ZERO, sample(ms, in_progress, false));
            own.allows()
        };
        // No queueing: g = 1, so 50 → 0.8 · 50 + 0.2 · 54 = 50.8.
        assert_eq!(after(100, 50), 50);
        assert_eq!(after(100, 50), 51, "51.6");
        // Too few in progress: it stays.
        assert_eq!(after(100, 25), 51);
        // Mean of four samples (100, 100, 100, 400) is 175; g = 1.5 · 175 / 400 = 0.65625:
        // 51.6 · 0.8 + 0.2 · (51.6 · 0.65625 + 4) = 48.85.
        assert_eq!(after(400, 51), 48);
        // g is never below ½: 48.8525 · 0.8 + 0.2 · (48.8525 / 2 + 4) = 44.77.
        assert_eq!(after(100_000, 51), 44);
    }

    #[test]
    fn a_window_is_one_sample_of_ten_or_more() {
        let mut own = limit(r#"{"gradient2": {"initial": 50}}"#);
        let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
        // The first answer ends the window that began with the run, with one sample: nothing.
        (1..=9).for_each(|ms| own.learn(at(ms), sample(100, 50, false)));
        own.learn(at(1_002), sample(100, 50, false));
        assert_eq!(own.allows(), 50, "nine samples");
        (1_003..=1_020).for_each(|ms| own.learn(at(ms), sample(100, 50, false)));
        own.learn(at(2_003), sample(100, 50, false));
        let Limit::Gradient2(inner) = &own else { unreachable!() };
        assert!((inner.estimate - 50.8).abs() < 1e-9, "{}", inner.estimate);
    }
}
