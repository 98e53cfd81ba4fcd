//! Environments as a log shows them: from their first request to ten minutes after their last.
//!
//! A log says nothing of environments that nobody used, nor when one went. This estimate can be taken from a log and from
//! a simulation alike, so that the two can be compared.

use crate::kernel::{Span, Time};
use std::collections::VecDeque;

/// An environment counts for this long after its last use (idle life of 2019 and 2020).
pub const SEEN_AFTER: Span = Span::from_secs(600);

/// Time that environments were to be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    nanos: u128,
    /// Last uses of those that went in the last ten minutes: the log may end before their time is over.
    recent: VecDeque<Time>,
    /// End of the last request.
    end: Time,
}

impl Seen {
    /// A request ended.
    #[inline]
    pub(super) fn until(&mut self, now: Time) {
        self.end = self.end.max(now);
    }

    /// An environment was used between these.
    pub(super) fn add(&mut self, first: Time, last: Time) {
        self.nanos += u128::from(last.since(first).nanos());
        while self.recent.front().is_some_and(|&old| old + SEEN_AFTER <= self.end) {
            self.recent.pop_front();
            self.nanos += u128::from(SEEN_AFTER.nanos());
        }
        self.recent.push_back(last);
    }

    /// All that was seen by the end of the last request, milliseconds.
    pub(super) fn milliseconds(&self) -> u64 {
        let tail = |&last: &Time| u128::from(self.end.since(last).min(SEEN_AFTER).nanos());
        let nanos = self.nanos + self.recent.iter().map(tail).sum::<u128>();
        u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_log_cuts_off_the_ten_minutes() {
        let at = |seconds| Time::ZERO + Span::from_secs(seconds);
        let mut seen = Seen::default();
        // Used 0 to 100 s: to be seen until 700 s. Used 200 to 900 s: cut off at 1,000 s.
        seen.until(at(900));
        seen.add(at(0), at(100));
        seen.add(at(200), at(900));
        seen.until(at(1000));
        assert_eq!(seen.milliseconds(), 700_000 + 800_000);
    }
}
