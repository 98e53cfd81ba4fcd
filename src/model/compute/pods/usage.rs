//! What metrics-server knows of a pod's processor: the kubelet's cAdvisor reads the counter of its container every 10 to 20 s, the server
//! scrapes the last reading, and usage is the difference of the last two that it has. Left out: the longer rounds of containers that do nothing.

use crate::kernel::{Span, Stream, Time};

/// A container younger than this is not measured from its start (metrics-server `pkg/storage/pod.go`:
/// `freshContainerMinMetricsResolution`).
const FRESH: Span = Span::from_secs(10);

/// A reading of a container's counter: when, and reference work so far.
type Reading = (Time, Span);

/// Usage over the time between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Of the later reading.
    pub(super) at: Time,
    pub(super) window: Span,
    pub(super) work: Span,
}

/// The counter of one container, and what has been read of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counter {
    pub(super) work: Span,
    read: Option<Reading>,
    /// What the server has of its last scrape, and of the one before.
    last: Option<Reading>,
    before: Option<Reading>,
}

impl Counter {
    /// Of a container that has run for long without work.
    pub(super) fn idle_so_far() -> Counter {
        Counter { last: Some((Time::ZERO, Span::ZERO)), ..Counter::default() }
    }

    /// The kubelet reads it.
    pub(super) fn read(&mut self, now: Time) {
        self.read = Some((now, self.work));
    }

    /// The server scrapes every `every`; the container runs since `started`.
    pub(super) fn scraped(&mut self, started: Time, every: Span) {
        let Some(read) = self.read else { return };
        let age = read.0.since(started);
        if age >= FRESH && age < every {
            self.before = Some((started, Span::ZERO));
        } else if self.last.is_none_or(|last| read.0 > last.0) {
            self.before = self.last;
        }
        self.last = Some(read);
    }

    /// What the server answers; none until it has two readings.
    pub(super) fn usage(&self) -> Option<Usage> {
        let ((at, work), (since, had)) = (self.last?, self.before?);
        Some(Usage { at, window: at.since(since), work: work.minus(had) })
    }
}

/// From one reading of the kubelet to the next: `interval`, and as much again at most, drawn evenly (cAdvisor `manager/container.go`,
/// `nextHousekeepingInterval`: jitter of factor 1).
pub(super) fn next_reading(interval: Span, stream: &mut Stream) -> Span {
    interval.scaled(1.0 + stream.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn usage_is_the_difference_of_the_last_two_readings_that_were_scraped() {
        let every = Span::from_secs(15);
        let mut counter = Counter::idle_so_far();
        counter.scraped(Time::ZERO, every);
        assert_eq!(counter.usage(), None, "one reading");
        // Half a core from 10 s on: read at 12 and 30 s, scraped at 14, 29 and 44 s.
        counter.work = Span::from_secs(1);
        counter.read(s(12));
        counter.scraped(Time::ZERO, every);
        let usage = |at, window, work| {
            let [window, work] = [window, work].map(Span::from_secs);
            Some(Usage { at: s(at), window, work })
        };
        assert_eq!(counter.usage(), usage(12, 12, 1));
        counter.scraped(Time::ZERO, every);
        assert_eq!(counter.usage(), usage(12, 12, 1), "nothing new: the old pair stays");
        counter.work = Span::from_secs(10);
        counter.read(s(30));
        counter.scraped(Time::ZERO, every);
        assert_eq!(counter.usage(), usage(30, 18, 9));
    }

    #[test]
    fn a_fresh_container_is_measured_from_its_start_when_it_is_ten_seconds_old() {
        let scraped = |ages: &[u64]| {
            let mut counter = Counter::default();
            for age in ages {
                counter.work = Span::from_secs(*age);
                counter.read(s(100 + age));
                counter.scraped(s(100), Span::from_secs(15));
            }
            counter.usage().map(|usage| usage.window)
        };
        assert_eq!(scraped(&[0]), None);
        assert_eq!(scraped(&[9]), None, "too young");
        assert_eq!(scraped(&[12]), Some(Span::from_secs(12)));
        assert_eq!(scraped(&[16]), None, "older than a scrape, and only one reading");
        assert_eq!(scraped(&[0, 16]), Some(Span::from_secs(16)));
        assert_eq!(scraped(&[9, 22]), Some(Span::from_secs(13)));
    }
}
