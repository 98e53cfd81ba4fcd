//! Vegas: a limit by the queue that the round-trip time speaks of, after `VegasLimit` of Netflix's concurrency-limits 0.5, which goes back to
//! L. Brakmo and L. Peterson, *TCP Vegas*, 1995.

use super::sample::Seen;
use crate::kernel::{Key, Span, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// queue = ⌈limit · (1 − least RTT / RTT)⌉. With l = max(1, ⌊log₁₀ limit⌋): up to l the limit grows by 6 l, below 3 l by l, above 6 l and
/// after a drop it shrinks by l. The least RTT is measured anew every so often, under whatever load there is then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vegas {
    /// Where it begins.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, VegasLimit: 20"))]
    pub initial: u32,
    /// The most. The least is 1.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, VegasLimit: 1000"))]
    pub max: u32,
    /// How far one sample moves it.
    #[serde(default = "whole")]
    #[schemars(range(min = 0.001, max = 1.0), extend("x-source" = "concurrency-limits, VegasLimit: 1.0"))]
    pub smoothing: f64,
    /// The least RTT is that of the present sample again after so many samples as this times the limit, times 0.5 to 1 at random.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "concurrency-limits, VegasLimit: 30"))]
    pub probe_multiplier: u32,
    /// Answers of this time, ten at least, are one sample: their mean (`WindowedLimit`). Zero: each by itself.
    #[serde(default)]
    #[schemars(extend("x-source" = "concurrency-limits, AbstractLimiter: VegasLimit without a window"))]
    pub sample_window: Span,
}

fn twenty() -> u32 {
    20
}
fn thousand() -> u32 {
    1000
}
fn whole() -> f64 {
    1.0
}
fn thirty() -> u32 {
    30
}

/// ⌊log₁₀ limit⌋, one at least (`Log10RootFunction`).
fn log10(limit: f64) -> f64 {
    f64::from((limit as u32).max(1).ilog10().max(1))
}

/// The limit as it runs.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    spec: Vegas,
    limit: f64,
    /// The least RTT since the last probe, seconds; none yet.
    least: Option<f64>,
    /// Samples since then.
    samples: u32,
    jitter: f64,
    stream: Stream,
}

impl Estimate {
    pub(super) fn new(spec: &Vegas, key: Key) -> Estimate {
        let mut stream = key.named("vegas").stream();
        let jitter = 0.5 + stream.unit() / 2.0;
        let limit = f64::from(spec.initial);
        Estimate { spec: spec.clone(), limit, least: None, samples: 0, jitter, stream }
    }

    /// Calls that may be in progress now.
    pub(super) fn allows(&self) -> u32 {
        self.limit as u32
    }

    /// How long a sample is collected.
    pub(super) fn window(&self) -> Span {
        self.spec.sample_window
    }

    /// One sample.
    pub(super) fn update(&mut self, seen: Seen) {
        self.samples += 1;
        if self.jitter * f64::from(self.spec.probe_multiplier) * self.limit
            <= f64::from(self.samples)
        {
            self.jitter = 0.5 + self.stream.unit() / 2.0;
            self.samples = 0;
            self.least = Some(seen.rtt);
            return;
        }
        match self.least {
            Some(least) if seen.rtt >= least => self.adapt(least, seen),
            _ => self.least = Some(seen.rtt),
        }
    }

    fn adapt(&mut self, least: f64, seen: Seen) {
        let limit = self.limit;
        let step = log10(limit);
        let queue = (limit * (1.0 - least / seen.rtt)).ceil();
        let wanted = if seen.dropped {
            limit - step
        } else if f64::from(seen.in_progress) * 2.0 < limit {
            return;
        } else if queue <= step {
            limit + 6.0 * step
        } else if queue < 3.0 * step {
            limit + step
        } else if queue > 6.0 * step {
            limit - step
        } else {
            return;
        };
        let wanted = wanted.min(f64::from(self.spec.max)).max(1.0);
        self.limit = (1.0 - self.spec.smoothing) * limit + self.spec.smoothing * wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(text: &str) -> Estimate {
        Estimate::new(&serde_json::from_str(text).unwrap(), Key::root(1, 0))
    }
    fn seen(ms: f64, in_progress: u32, dropped: bool) -> Seen {
        Seen { rtt: ms / 1e3, in_progress, dropped }
    }

    #[test]
    fn it_moves_as_the_formula_says() {
        let mut own = estimate("{}");
        let mut after = |ms: f64, in_progress: u32, dropped: bool| {
            own.update(seen(ms, in_progress, dropped));
            own.allows()
        };
        // l = 1: up to 1 it grows by 6, below 3 by 1, above 6 it shrinks by 1.
        assert_eq!(after(100.0, 20, false), 20, "the first is the least");
        assert_eq!(after(100.0, 20, false), 26, "no queue");
        assert_eq!(
            after(110.0, 26, false),
            26,
            "⌈26 · (1 − 100/110)⌉ = 3: neither below 3 nor above 6"
        );
        assert_eq!(after(105.0, 26, false), 27, "⌈26 · (1 − 100/105)⌉ = 2");
        assert_eq!(after(200.0, 27, false), 26, "⌈27 / 2⌉ = 14");
        assert_eq!(after(200.0, 12, false), 26, "12 · 2 < 26");
        assert_eq!(after(200.0, 12, true), 25, "a drop counts however few are in progress");
        assert_eq!(after(90.0, 25, false), 25, "a new least");
        assert_eq!(after(100.0, 25, false), 25, "⌈25 · 0.1⌉ = 3");
    }

    #[test]
    fn steps_follow_the_logarithm_and_bounds_hold() {
        let mut own = estimate(r#"{"initial": 100, "max": 120}"#);
        let mut after = |ms: f64| {
            own.update(seen(ms, 100, false));
            own.allows()
        };
        after(100.0);
        assert_eq!(after(100.0), 112, "l = 2: six times two");
        assert_eq!(after(105.0), 112, "⌈112 · 0.0476⌉ = 6 is not below 6");
        assert_eq!(after(104.0), 114, "⌈112 · 0.0385⌉ = 5");
        assert_eq!(after(100.0), 120, "126, and 120 is the most");
        let least = (0..1_000).map(|_| after(10_000.0)).min().unwrap();
        // Above a queue of 6: it rests where ⌈limit · 0.99⌉ = 6.
        assert_eq!(least, 6);
        let mut own = estimate(r#"{"initial": 2}"#);
        (0..9).for_each(|_| own.update(seen(100.0, 1, true)));
        assert_eq!(own.allows(), 1);
    }

    #[test]
    fn the_least_is_measured_anew() {
        // Between 0.5 · 20 and 20 samples after the last time.
        let mut own = estimate(r#"{"initial": 20, "probe_multiplier": 1, "smoothing": 0.001}"#);
        own.update(seen(100.0, 20, false));
        let probes: Vec<u32> = (2..=200)
            .filter(|_| {
                let before = own.samples;
                own.update(seen(200.0, 20, false));
                own.samples < before
            })
            .collect();
        assert!((10..=20).contains(&probes[0]), "{probes:?}");
        assert!(probes.windows(2).all(|two| (9..=21).contains(&(two[1] - two[0]))), "{probes:?}");
        assert!((own.least.unwrap() - 0.2).abs() < 1e-12);
    }

    #[test]
    fn it_grows_without_a_queue_and_shrinks_with_one() {
        for seed in 0..200 {
            let mut stream = Key::root(seed, 0).stream();
            let mut own = estimate(r#"{"probe_multiplier": 1000000}"#);
            own.update(seen(10.0, 20, false));
            for _ in 0..200 {
                let (before, rtt) = (own.limit, 10.0 + 40.0 * stream.unit());
                own.update(seen(rtt, own.allows(), false));
                let queue = before * (1.0 - 10.0 / rtt);
                let step = log10(before);
                assert!(own.limit >= 1.0 && own.limit <= 1_000.0, "seed {seed}");
                assert!(queue > 3.0 * step - 1.0 || own.limit >= before, "seed {seed}: {queue}");
                assert!(queue <= 6.0 * step || own.limit < before, "seed {seed}: {queue}");
            }
        }
    }
}
