//! What each lag between a wanted pod and a serving one cost, in pod time.

use crate::kernel::Time;

/// Pods in each lag, and the time that pods have spent there.
#[derive(Debug, Default)]
pub(super) struct Lags {
    since: Time,
    pods: [u32; 4],
    /// Pod time in each, nanoseconds.
    spent: [u128; 4],
}

/// Names of the lags in reports: no machine has room; scheduling, image and start of the container; boot, probes and readiness gates;
/// proxies that still send to a pod which has been deleted.
const NAMES: [&str; 4] = [
    "pod_seconds_without_machine",
    "pod_seconds_starting",
    "pod_seconds_not_ready",
    "pod_seconds_sent_to_after_deletion",
];

impl Lags {
    /// From `now` on so many pods are in each.
    pub(super) fn set(&mut self, now: Time, pods: [u32; 4]) {
        let passed = u128::from(now.since(self.since).nanos());
        for (sum, count) in self.spent.iter_mut().zip(self.pods) {
            *sum += passed * u128::from(count);
        }
        (self.since, self.pods) = (now, pods);
    }

    /// The time spent in each so far, whole seconds.
    pub(super) fn counters(&mut self, now: Time) -> [(&'static str, u64); 4] {
        self.set(now, self.pods);
        std::array::from_fn(|at| {
            (NAMES[at], ((self.spent[at] + 500_000_000) / 1_000_000_000) as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Span;

    #[test]
    fn time_is_counted_by_pod() {
        let mut lags = Lags::default();
        let at = |s| Time::ZERO + Span::from_secs(s);
        lags.set(at(10), [2, 0, 1, 0]);
        lags.set(at(15), [0, 3, 1, 0]);
        let seconds = lags.counters(at(20)).map(|(_, seconds)| seconds);
        assert_eq!(seconds, [10, 15, 10, 0]);
    }
}
