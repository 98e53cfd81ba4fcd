//! How many batches an event source mapping works on at once: a level that grows while messages wait. Provisioned pollers have
//! a throughput as well.

use super::spec::SqsSpec;
use crate::kernel::{Span, Time};
use crate::model::era::Era;

/// Concurrent invocations of a mapping at its start (Lambda guide, SQS: five pollers).
const START: f64 = 5.0;
/// Concurrent invocations of one provisioned poller.
const PER_POLLER: f64 = 10.0;

/// Receive calls of one provisioned poller, a second (Lambda guide, SQS, provisioned mode).
const CALLS_PER_POLLER: f64 = 10.0;
/// Bytes that one provisioned poller receives, a second (the same page: 1 MB).
const BYTES_PER_POLLER: f64 = (1 << 20) as f64;

/// When pollers that are provisioned may receive again. What each may do in a second is spread evenly over it, and over the
/// pollers: assumed.
#[derive(Debug, Clone, Default)]
struct Throughput {
    calls: Time,
    bytes: Time,
}

/// The level of one event source mapping.
#[derive(Debug, Clone)]
pub(super) struct Pollers {
    floor: f64,
    cap: f64,
    /// Change per second, up with a backlog and down without.
    rate: f64,
    level: f64,
    since: Time,
    backlog: bool,
    throughput: Option<Throughput>,
    /// Pollers that ask an empty queue.
    pub(super) idle: u32,
}

impl Pollers {
    pub(super) fn new(spec: &SqsSpec, era: Era) -> Pollers {
        // Lambda guide: 5 and 60 more a minute to 1,000; since November 2023 300 more a minute to 1,250.
        let (per_minute, most) = if era < Era::Y2023 { (60.0, 1000.0) } else { (300.0, 1250.0) };
        let mut pollers = Pollers {
            floor: START,
            cap: most,
            rate: per_minute / 60.0,
            level: START,
            since: Time::ZERO,
            backlog: false,
            throughput: spec.provisioned.is_some().then(Throughput::default),
            // A quiet queue may fall to two pollers since 2023.
            idle: if era < Era::Y2023 { 5 } else { 2 },
        };
        if let Some(own) = &spec.provisioned {
            pollers.floor = PER_POLLER * f64::from(own.min);
            pollers.cap = PER_POLLER * f64::from(own.max);
            pollers.rate = 1000.0 / 60.0;
            pollers.idle = own.min;
        }
        if let Some(most) = spec.maximum_concurrency {
            pollers.cap = f64::from(most);
        }
        pollers.floor = pollers.floor.min(pollers.cap);
        pollers.level = pollers.floor;
        pollers
    }

    /// Most batches at a time now; `backlog` says whether messages wait from now on.
    pub(super) fn allowed(&mut self, now: Time, backlog: bool) -> u32 {
        let change = self.rate * now.since(self.since).as_secs_f64();
        let level = if self.backlog { self.level + change } else { self.level - change };
        self.level = level.clamp(self.floor, self.cap);
        (self.since, self.backlog) = (now, backlog);
        self.whole()
    }

    /// From when on the pollers may receive again, as far as their throughput goes.
    pub(super) fn free(&self) -> Time {
        self.throughput.as_ref().map_or(Time::ZERO, |own| own.calls.max(own.bytes))
    }

    /// Counts a batch of so many receive calls and bytes against the throughput of the pollers that there are now.
    pub(super) fn received(&mut self, now: Time, calls: u64, bytes: u64) {
        let pollers = self.level / PER_POLLER;
        if let Some(own) = &mut self.throughput {
            let lasts =
                |amount: u64, each: f64| Span::from_secs_f64(amount as f64 / (each * pollers));
            own.calls = own.calls.max(now) + lasts(calls, CALLS_PER_POLLER);
            own.bytes = own.bytes.max(now) + lasts(bytes, BYTES_PER_POLLER);
        }
    }

    /// Most batches at a time, once it has grown.
    pub(super) fn most(&self) -> u32 {
        self.cap as u32
    }

    /// A billionth forgives the rounding of the level.
    fn whole(&self) -> u32 {
        (self.level + 1e-6) as u32
    }

    /// A batch ended with an error: one batch less at a time. (That a mapping slows down is documented, how much is not:
    /// assumed.)
    pub(super) fn slow_down(&mut self) {
        self.level = (self.level - 1.0).max(self.floor);
    }

    /// How long until one more batch is allowed; none at the cap.
    pub(super) fn next_step(&self) -> Option<Span> {
        let next = f64::from(self.whole()) + 1.0;
        (next <= self.cap).then(|| Span::from_secs_f64((next - self.level) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pollers(text: &str, era: Era) -> Pollers {
        let spec: SqsSpec = serde_json::from_str(text).unwrap();
        Pollers::new(&spec, era)
    }
    fn second(s: u64) -> Time {
        Time::ZERO + Span::from_secs(s)
    }

    #[test]
    fn a_mapping_grows_by_its_era_to_its_cap() {
        for (text, era, levels) in [
            (r#"{"to": "f"}"#, Era::Y2018, [5, 65, 1000]),
            (r#"{"to": "f"}"#, Era::Y2021, [5, 65, 1000]),
            (r#"{"to": "f"}"#, Era::Y2023, [5, 305, 1250]),
            (r#"{"to": "f", "maximum_concurrency": 100}"#, Era::Y2023, [5, 100, 100]),
            (r#"{"to": "f", "maximum_concurrency": 2}"#, Era::Y2023, [2, 2, 2]),
            (r#"{"to": "f", "provisioned": {"min": 2, "max": 200}}"#, Era::Y2026, [20, 1020, 2000]),
        ] {
            let mut mapping = pollers(text, era);
            let seen = [0, 60, 3600].map(|s| mapping.allowed(second(s), true));
            assert_eq!(seen, levels, "{text} {era:?}");
        }
    }

    #[test]
    fn it_falls_without_a_backlog_and_after_errors() {
        let mut mapping = pollers(r#"{"to": "f"}"#, Era::Y2023);
        mapping.allowed(second(0), true);
        assert_eq!(mapping.allowed(second(10), false), 55);
        assert_eq!(mapping.allowed(second(14), false), 35);
        mapping.slow_down();
        assert_eq!(mapping.allowed(second(14), false), 34);
        assert_eq!(mapping.allowed(second(100), false), 5);
        assert_eq!(mapping.next_step(), Some(Span::from_millis(200)));
    }

    #[test]
    fn provisioned_pollers_receive_ten_times_and_a_megabyte_a_second_each() {
        let mut mapping =
            pollers(r#"{"to": "f", "provisioned": {"min": 2, "max": 2}}"#, Era::Y2026);
        let after = |ms: u64| Time::ZERO + Span::from_millis(ms);
        assert_eq!(mapping.free(), Time::ZERO);
        // One call in a twentieth of a second, 1 MB in half a second.
        mapping.received(second(0), 1, 1024);
        assert_eq!(mapping.free(), after(50));
        mapping.received(after(50), 1, 1 << 20);
        assert_eq!(mapping.free(), after(550));
        // Time that was not used does not add up.
        mapping.received(second(100), 1, 0);
        assert_eq!(mapping.free(), after(100_050));
        // More pollers, more of both.
        mapping.cap = 200.0;
        mapping.allowed(second(100), true);
        mapping.allowed(second(200), true);
        mapping.received(second(200), 1, 0);
        assert_eq!(mapping.free(), after(200_005));
        let mut plain = pollers(r#"{"to": "f"}"#, Era::Y2026);
        plain.received(second(0), 10, 1 << 30);
        assert_eq!(plain.free(), Time::ZERO);
    }
}
