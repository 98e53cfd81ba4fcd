//! A circuit breaker with the states, windows and words of Resilience4j 2 (`CircuitBreakerStateMachine`, `CircuitBreakerMetrics`).
//!
//! Left out: growing waits, the longest stay in half-open, forced states, lists of exceptions that do not count.

use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakerSpec {
    /// Share of failed calls in the window from which on it opens, per cent.
    #[serde(default = "failure_rate_default")]
    #[schemars(range(min = 0.001, max = 100.0), extend("x-source" = "Resilience4j, failureRateThreshold: 50"))]
    pub failure_rate_threshold: f64,
    /// Share of slow calls in the window from which on it opens, per cent.
    #[serde(default = "slow_rate_default")]
    #[schemars(range(min = 0.001, max = 100.0), extend("x-source" = "Resilience4j, slowCallRateThreshold: 100"))]
    pub slow_call_rate_threshold: f64,
    /// A call that takes longer is slow.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "Resilience4j, slowCallDurationThreshold: 60 s"))]
    pub slow_call_duration_threshold: Span,
    /// The calls that it looks at.
    #[serde(default)]
    #[schemars(extend("x-source" = "Resilience4j, slidingWindowType and slidingWindowSize: the last 100 calls"))]
    pub sliding_window: SlidingWindow,
    /// Calls that the window must hold before a rate is asked; never more than a window of calls holds.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "Resilience4j, minimumNumberOfCalls: 100"))]
    pub minimum_number_of_calls: u32,
    /// How long it stays open; the next call after that makes it half-open.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "Resilience4j, waitDurationInOpenState: 60 s"))]
    pub wait_duration_in_open_state: Span,
    /// Calls that are let through while half-open.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "Resilience4j, permittedNumberOfCallsInHalfOpenState: 10"))]
    pub permitted_number_of_calls_in_half_open_state: u32,
}

/// The calls that a circuit breaker looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlidingWindow {
    /// The last so many calls.
    Calls(u32),
    /// The calls of the last so many whole seconds.
    Time(Span),
}

impl Default for SlidingWindow {
    fn default() -> Self {
        SlidingWindow::Calls(100)
    }
}

fn failure_rate_default() -> f64 {
    50.0
}
fn slow_rate_default() -> f64 {
    100.0
}
fn minute() -> Span {
    Span::from_secs(60)
}
fn hundred() -> u32 {
    100
}
fn ten() -> u32 {
    10
}

/// Calls, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    calls: u32,
    failed: u32,
    slow: u32,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }
    fn subtract(&mut self, other: Tally) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }
}

/// A sliding window: parts from the oldest to the newest, each a call or a second, and their sum.
#[derive(Debug, Clone)]
struct Window {
    over: SlidingWindow,
    parts: VecDeque<(u64, Tally)>,
    sum: Tally,
}

impl Window {
    fn new(over: SlidingWindow) -> Window {
        Window { over, parts: VecDeque::new(), sum: Tally::default() }
    }

    fn record(&mut self, now: Time, one: Tally) {
        self.sum.add(one);
        match self.over {
            SlidingWindow::Calls(size) => {
                self.parts.push_back((0, one));
                if self.parts.len() > size as usize {
                    self.drop_oldest();
                }
            }
            SlidingWindow::Time(size) => {
                let second = now.nanos() / 1_000_000_000;
                match self.parts.back_mut() {
                    Some((at, part)) if *at == second => part.add(one),
                    _ => self.parts.push_back((second, one)),
                }
                // A window of n seconds holds the present second and the n − 1 before it.
                let seconds = (size.nanos() / 1_000_000_000).max(1);
                while self.parts.front().is_some_and(|(at, _)| at + seconds <= second) {
                    self.drop_oldest();
                }
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, part)) = self.parts.pop_front() {
            self.sum.subtract(part);
        }
    }
}

#[derive(Debug, Clone)]
enum State {
    Closed(Window),
    Open { until: Time },
    HalfOpen { window: Window, permits: u32 },
}

/// A circuit breaker as it runs.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    spec: BreakerSpec,
    state: State,
    opened: u64,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(spec: &BreakerSpec) -> Breaker {
        Breaker {
            state: State::Closed(Window::new(spec.sliding_window)),
            spec: spec.clone(),
            opened: 0,
        }
    }

    /// How often it opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether it would refuse a call now.
    pub(super) fn refuses(&self, now: Time) -> bool {
        match self.state {
            State::Open { until } => now < until,
            State::HalfOpen { permits, .. } => permits == 0,
            State::Closed(_) => false,
        }
    }

    /// Whether a call may pass. One that passes is followed by `record` or `release`.
    pub(super) fn permits(&mut self, now: Time) -> bool {
        if let State::Open { until } = self.state {
            if now < until {
                return false;
            }
            let permits = self.spec.permitted_number_of_calls_in_half_open_state;
            let window = Window::new(SlidingWindow::Calls(permits));
            self.state = State::HalfOpen { window, permits };
        }
        match &mut self.state {
            State::HalfOpen { permits: 0, .. } => false,
            State::HalfOpen { permits, .. } => {
                *permits -= 1;
                true
            }
            State::Closed(_) | State::Open { .. } => true,
        }
    }

    /// A call that passed has no result that counts.
    pub(super) fn release(&mut self) {
        if let State::HalfOpen { permits, .. } = &mut self.state {
            *permits += 1;
        }
    }

    /// A call that passed has ended. As in Resilience4j it counts in the state of now, not in that in which it began.
    pub(super) fn record(&mut self, now: Time, lasted: Span, failed: bool) {
        let slow = lasted > self.spec.slow_call_duration_threshold;
        let one = Tally { calls: 1, failed: failed.into(), slow: slow.into() };
        let (window, half_open) = match &mut self.state {
            State::Open { .. } => return,
            State::Closed(window) => (window, false),
            State::HalfOpen { window, .. } => (window, true),
        };
        window.record(now, one);
        let least = match window.over {
            SlidingWindow::Calls(size) => self.spec.minimum_number_of_calls.min(size),
            SlidingWindow::Time(_) => self.spec.minimum_number_of_calls,
        };
        let sum = window.sum;
        if sum.calls < least {
            return;
        }
        let per_cent = |n: u32| f64::from(n) * 100.0 / f64::from(sum.calls);
        if per_cent(sum.failed) >= self.spec.failure_rate_threshold
            || per_cent(sum.slow) >= self.spec.slow_call_rate_threshold
        {
            self.opened += 1;
            self.state = State::Open { until: now + self.spec.wait_duration_in_open_state };
        } else if half_open {
            self.state = State::Closed(Window::new(self.spec.sliding_window));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(text: &str) -> Breaker {
        Breaker::new(&serde_json::from_str(text).unwrap())
    }
    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }
    fn end(breaker: &mut Breaker, ms: u64, failed: bool) {
        breaker.record(at(ms), Span::from_millis(1), failed);
    }

    #[test]
    fn it_opens_at_the_threshold_and_not_before_the_minimum() {
        let mut own = breaker(r#"{"sliding_window": {"calls": 10}, "minimum_number_of_calls": 4}"#);
        (0..3).for_each(|ms| end(&mut own, ms, true));
        assert!(own.permits(at(3)), "three of three failed, and four are needed");
        end(&mut own, 4, false);
        assert!(!own.permits(at(5)), "three of four: 75 % ≥ 50 %");
        assert_eq!(own.opened(), 1);
    }

    #[test]
    fn a_window_of_calls_forgets_the_oldest() {
        let mut own = breaker(r#"{"sliding_window": {"calls": 4}, "failure_rate_threshold": 75}"#);
        // The minimum of 100 is cut to the four that the window holds.
        for (ms, failed) in [true, true, false, false, true, false, true].into_iter().enumerate() {
            end(&mut own, ms as u64, failed);
        }
        assert!(own.permits(at(7)), "the last four: f t f t, 50 %");
        end(&mut own, 8, true);
        assert!(!own.permits(at(8)), "the last four: t f t t, 75 %");
    }

    #[test]
    fn a_window_of_time_forgets_whole_seconds() {
        let text = r#"{"sliding_window": {"time": "2s"}, "minimum_number_of_calls": 3}"#;
        let mut own = breaker(text);
        for ms in [100, 900] {
            end(&mut own, ms, true);
        }
        // At 2.0 s the window holds the seconds 1 and 2: the two of second 0 are gone.
        end(&mut own, 2_000, true);
        assert!(own.permits(at(2_001)));
        for ms in [2_100, 2_200] {
            end(&mut own, ms, true);
        }
        assert!(!own.permits(at(2_300)));
    }

    #[test]
    fn half_open_lets_so_many_through_and_decides() {
        let text = r#"{"sliding_window": {"calls": 2}, "wait_duration_in_open_state": "5s",
            "permitted_number_of_calls_in_half_open_state": 3, "minimum_number_of_calls": 100}"#;
        let mut own = breaker(text);
        for ms in [0, 1] {
            end(&mut own, ms, true);
        }
        assert!(!own.permits(at(5_000)), "open until 5.001 s");
        assert_eq!([(); 4].map(|()| own.permits(at(5_001))), [true, true, true, false]);
        // One of the three has no result: another may try in its place.
        own.release();
        assert!(own.permits(at(5_002)) && !own.permits(at(5_002)));
        end(&mut own, 5_010, false);
        end(&mut own, 5_011, true);
        assert!(!own.permits(at(5_012)), "undecided until the third");
        end(&mut own, 5_013, false);
        assert!(own.permits(at(5_014)), "one of three, 33 %: closed");
        assert_eq!(own.opened(), 1);
        // The window begins anew.
        for ms in [5_020, 5_021] {
            end(&mut own, ms, true);
        }
        assert_eq!(own.opened(), 2);
        assert!(own.permits(at(10_021)));
        (0..3).for_each(|_| end(&mut own, 10_030, true));
        assert!(!own.permits(at(15_029)) && own.permits(at(15_030)), "open for 5 s again");
    }

    #[test]
    fn slow_calls_open_it_too() {
        let text = r#"{"sliding_window": {"calls": 2}, "slow_call_duration_threshold": "100ms"}"#;
        let mut own = breaker(text);
        for ms in [100, 101] {
            own.record(at(0), Span::from_millis(ms), false);
        }
        assert!(own.permits(at(1)), "100 ms are not longer than 100 ms: 50 % < 100 %");
        own.record(at(2), Span::from_millis(101), false);
        assert!(!own.permits(at(3)));
    }
}
