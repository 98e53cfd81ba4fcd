//! The queue before a limit of calls in progress: how long it may be, how long a call may wait in it, and who is next.

use crate::kernel::{LaneId, Queue, Rank, Span, Time};
use crate::model::message::{CallId, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A queue before a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueSpec {
    /// Calls that may wait; none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub length: Option<u32>,
    /// A call that has waited this long is shed (`maxWaitDuration` of Resilience4j's bulkhead); none: it waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
    /// Shorter waits while a line stands; none: `max_wait` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codel: Option<Codel>,
}

/// Controlled delay: a call that comes while the queue has not been empty for `interval` may wait for `target`, any other for `interval`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Codel {
    /// Longest wait while a line stands.
    #[serde(default = "target_default")]
    #[schemars(extend("x-source" = "B. Maurer, Fail at Scale, ACM Queue 13(8), 2015: 5 ms"))]
    pub target: Span,
    /// A queue that was not empty for longer is a standing line; and the longest wait where none stands.
    #[serde(default = "interval_default")]
    #[schemars(extend("x-source" = "B. Maurer, Fail at Scale, ACM Queue 13(8), 2015: 100 ms"))]
    pub interval: Span,
    /// While a line stands the newest call goes first, otherwise the oldest (adaptive LIFO).
    #[serde(default)]
    #[schemars(extend("x-source" = "off unless said; B. Maurer, Fail at Scale, recommends both together"))]
    pub adaptive_lifo: bool,
}

fn target_default() -> Span {
    Span::from_millis(5)
}
fn interval_default() -> Span {
    Span::from_millis(100)
}

/// A queue as it runs. Who is shed or leaves stays in it until it is met; only the node knows who still waits.
pub(super) struct Line {
    calls: VecDeque<CallId>,
    waiting: u32,
    length: u32,
    /// Since when it has not been empty.
    standing: Option<Time>,
    max_wait: Option<LaneId>,
    codel: Option<Delays>,
}

struct Delays {
    spec: Codel,
    target: LaneId,
    interval: LaneId,
}

impl Line {
    /// An empty one.
    pub(super) fn new(spec: &QueueSpec, queue: &mut Queue<Event>) -> Line {
        let mut lane = |span: Span| queue.lane(span, Rank::Timeout);
        // The shorter wait holds where both are given.
        let most = spec.max_wait.unwrap_or(Span::from_nanos(u64::MAX));
        let codel = spec.codel.clone().map(|own| Delays {
            target: lane(own.target.min(most)),
            interval: lane(own.interval.min(most)),
            spec: own,
        });
        Line {
            calls: VecDeque::new(),
            waiting: 0,
            length: spec.length.unwrap_or(u32::MAX),
            standing: None,
            max_wait: spec.max_wait.map(lane),
            codel,
        }
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether nobody else may wait.
    pub(super) fn full(&self) -> bool {
        self.waiting >= self.length
    }

    /// Whether it has not been empty for longer than the interval of controlled delay.
    fn stands(&self, now: Time) -> bool {
        let interval = self.codel.as_ref().map(|own| own.spec.interval);
        let since = self.standing.map(|since| now.since(since));
        since.zip(interval).is_some_and(|(since, interval)| since > interval)
    }

    /// A call begins to wait; the lane of the timer that sheds it.
    pub(super) fn push(&mut self, call: CallId, now: Time) -> Option<LaneId> {
        if self.waiting == 0 {
            // Whoever is left in it does not wait any more.
            self.calls.clear();
            self.standing = Some(now);
        }
        let lane = match &self.codel {
            Some(own) if self.stands(now) => Some(own.target),
            Some(own) => Some(own.interval),
            None => self.max_wait,
        };
        self.calls.push_back(call);
        self.waiting += 1;
        lane
    }

    /// The call that is next, which waits no longer. `waits` says who still does.
    pub(super) fn pop(&mut self, now: Time, waits: impl Fn(CallId) -> bool) -> Option<CallId> {
        let newest = self.codel.as_ref().is_some_and(|own| own.spec.adaptive_lifo);
        let newest = newest && self.stands(now);
        while self.waiting > 0 {
            let next = if newest { self.calls.pop_back() } else { self.calls.pop_front() };
            let call = next?;
            if waits(call) {
                self.left();
                return Some(call);
            }
        }
        None
    }

    /// One that waited does so no longer.
    pub(super) fn left(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.standing = None;
        }
    }

    /// Forgets those at the end that do not wait any more, so that it does not grow with what has left.
    pub(super) fn trim(&mut self, waits: impl Fn(CallId) -> bool) {
        while self.calls.front().is_some_and(|&call| !waits(call)) {
            self.calls.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }
    fn id(slot: u32) -> CallId {
        CallId { slot, turn: 0 }
    }

    #[test]
    fn a_standing_line_turns_to_the_newest_and_to_the_short_wait() {
        let spec = serde_json::from_str(r#"{"codel": {"adaptive_lifo": true}}"#).unwrap();
        let mut line = Line::new(&spec, &mut Queue::default());
        let (target, interval) = line.codel.as_ref().map(|own| (own.target, own.interval)).unwrap();
        assert_eq!(line.push(id(0), at(0)), Some(interval));
        assert_eq!(line.push(id(1), at(100)), Some(interval), "100 ms are not longer than 100 ms");
        assert_eq!(line.push(id(2), at(101)), Some(target));
        assert_eq!(line.pop(at(100), |_| true), Some(id(0)), "the oldest while none stands");
        assert_eq!(line.pop(at(101), |_| true), Some(id(2)), "the newest of a standing line");
        assert_eq!(line.pop(at(102), |_| true), Some(id(1)));
        // It was empty: no line stands.
        assert_eq!(line.push(id(3), at(103)), Some(interval));
    }

    #[test]
    fn who_left_is_passed_over_and_forgotten() {
        let spec = serde_json::from_str(r#"{"length": 2, "max_wait": "1s"}"#).unwrap();
        let mut line = Line::new(&spec, &mut Queue::default());
        for n in 0..2 {
            line.push(id(n), at(0));
        }
        assert!(line.full() && line.max_wait.is_some());
        line.left();
        assert!(!line.full());
        line.push(id(2), at(1));
        assert_eq!(line.pop(at(2), |call| call != id(0)), Some(id(1)));
        line.left();
        line.trim(|_| false);
        assert_eq!((line.waiting(), line.calls.len()), (0, 0));
        assert_eq!(line.pop(at(3), |_| true), None);
    }
}
