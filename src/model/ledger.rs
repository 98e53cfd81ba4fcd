//! What is counted: requests and how they ended, calls at every node, limits that bound, levels over time.
//!
//! All sums are integers, so that ledgers of replications fold to the same result in any order.

use super::latency_series::LatencySeries;
use super::message::{Cause, NodeId, Outcome};
use crate::kernel::{Clock, Counts, Histogram, Levels, Span, Time};

/// Index of a limit, given out at set-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitId(u16);

/// Index of a gauge, given out at set-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GaugeId(u16);

/// One class of users.
#[derive(Debug, Clone, Default)]
pub struct ClassLedger {
    /// Users that sent at least one request.
    pub users: u64,
    /// Users with at least one success.
    pub users_served: u64,
    /// Logical requests.
    pub issued: u64,
    /// Attempts, retries included.
    pub attempts: u64,
    /// Logical requests that succeeded.
    pub ok: u64,
    /// When the load ends: no request begins later. [`Time::MAX`] where nothing says so.
    pub load_ends: Time,
    /// Logical requests that succeeded before the load ended.
    pub ok_in_load: u64,
    /// Logical requests that failed.
    pub failed: u64,
    /// Latency of successes, first attempt's start to last attempt's end.
    pub latency: Histogram,
    /// Latency of failures, the same way.
    pub latency_failed: Histogram,
    /// Latency of successes from the scheduled start (open load). While every request has been sent on schedule it is that of
    /// `latency`, and only the end of the run writes it down.
    pub from_schedule: Histogram,
    schedule: Schedule,
}

/// What is known of scheduled starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Schedule {
    /// No success had one so far.
    #[default]
    None,
    /// Every success was sent on schedule.
    Kept,
    /// Some were not.
    Missed,
}

impl ClassLedger {
    /// A request that succeeded: from being sent, and from its schedule if it has one. Returns the cell of its latency.
    #[inline]
    fn served(&mut self, now: Time, sent: Time, scheduled: Time) -> usize {
        self.ok += 1;
        self.ok_in_load += u64::from(now <= self.load_ends);
        if scheduled != Time::MAX && (scheduled != sent || self.schedule != Schedule::Kept) {
            self.off_schedule(now, sent, scheduled);
        }
        self.latency.record(now.since(sent))
    }

    /// The first success, one that was not sent on schedule, or one after such.
    #[cold]
    fn off_schedule(&mut self, now: Time, sent: Time, scheduled: Time) {
        if self.schedule != Schedule::Missed {
            self.from_schedule = self.latency.clone();
            self.schedule = if scheduled == sent { Schedule::Kept } else { Schedule::Missed };
        }
        if self.schedule == Schedule::Missed {
            self.from_schedule.record(now.since(scheduled));
        }
    }

    /// Completes what is written down at the end of the run.
    fn finish(&mut self) {
        if self.schedule == Schedule::Kept {
            self.from_schedule = self.latency.clone();
        }
    }
}

/// One way of failing at one node.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Cause.
    pub cause: Cause,
    /// Node where it began.
    pub node: NodeId,
    /// Status the client saw.
    pub status: u16,
    /// How many logical requests.
    pub count: u64,
    /// When first.
    pub first: Time,
    /// Over time.
    pub series: Counts,
}

/// One node.
#[derive(Debug, Clone, Default)]
pub struct NodeLedger {
    /// Calls that were sent to the node: to a store its statements, and the connections that were opened to it.
    pub arrived: u64,
    /// Of these, the connections to a store.
    pub connects: u64,
    /// Calls it answered with success.
    pub ok: u64,
    /// Calls it answered with a failure.
    pub failed: u64,
    /// The most calls in progress at once.
    pub busy_max: u64,
    /// Sum over answered calls of the time from being sent to being answered, ns.
    pub time: u128,
    /// Sums of the points in time at which calls came and went, ns: their difference is the integral of the calls in progress.
    came: u128,
    went: u128,
}

impl NodeLedger {
    /// A call is sent to the node.
    #[inline]
    pub fn enter(&mut self, now: Time) {
        self.arrived += 1;
        self.came += u128::from(now.nanos());
        self.busy_max = self.busy_max.max(self.busy());
    }

    /// A call that was sent at `sent` is answered.
    #[inline]
    pub fn leave(&mut self, now: Time, sent: Time, ok: bool) {
        self.went += u128::from(now.nanos());
        self.time += u128::from(now.since(sent).nanos());
        if ok {
            self.ok += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Calls in progress.
    #[inline]
    pub fn busy(&self) -> u64 {
        self.arrived - self.ok - self.failed
    }

    /// Integral of the calls in progress up to `now`, calls × nanoseconds.
    pub fn busy_area(&self, now: Time) -> u128 {
        self.went + u128::from(self.busy()) * u128::from(now.nanos()) - self.came
    }

    /// Mean number of calls in progress from the start to `now`.
    pub fn busy_mean(&self, now: Time) -> f64 {
        if now == Time::ZERO {
            return self.busy() as f64;
        }
        self.busy_area(now) as f64 / now.nanos() as f64
    }
}

/// A limit that may bind.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Node that has it.
    pub node: NodeId,
    /// Name, e.g. `account_concurrency`.
    pub name: &'static str,
    /// In words with its value.
    pub about: String,
    /// When it first bound.
    pub first: Option<Time>,
    /// Failed logical requests and calls that it caused.
    pub failures: u64,
    /// When it first refused a call.
    pub refused: Option<Time>,
    /// Waiting that it caused, ns summed over calls.
    pub waiting: u128,
    /// How much of it there was, and when the wait began by which it passed a power of two; and the next power.
    marks: Vec<(u128, Time)>,
    next_mark: u128,
}

/// A limit is felt from when on all but so much of its waiting comes: a twentieth. A convention, the part of a distribution that its 5th
/// percentile leaves out.
const BEFORE_FELT: u128 = 20;

impl Limit {
    /// A wait of `waited` that began at `since` has passed a power of two.
    #[cold]
    fn mark(&mut self, waited: u128, since: Time) {
        self.marks.push((self.waiting - waited, since));
        self.next_mark = (self.waiting + 1).next_power_of_two();
    }

    /// From when on it was felt: its first refusal, or the last mark with no more than a twentieth of all its waiting before it (between
    /// 2.5 and 5 %, as marks are powers of two), whichever came first; none if it never bound.
    pub fn felt(&self) -> Option<Time> {
        let little = |mark: &&(u128, Time)| mark.0 * BEFORE_FELT <= self.waiting;
        let waited = self.marks.iter().rev().find(little).map(|mark| mark.1);
        self.refused.into_iter().chain(waited).min()
    }
}

/// A level of a node over time.
#[derive(Debug, Clone)]
pub struct NodeGauge {
    /// Node.
    pub node: NodeId,
    /// Name, e.g. `environments`.
    pub name: &'static str,
    /// What it runs against.
    pub limit: Option<u64>,
    /// The level.
    pub levels: Levels,
}

/// All that one replication of one design counted.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Width of the series' buckets.
    pub clock: Clock,
    /// By class of users.
    pub classes: Vec<ClassLedger>,
    /// By way of failing.
    pub failures: Vec<Failure>,
    /// By node.
    pub nodes: Vec<NodeLedger>,
    /// Limits, in order of registration.
    pub limits: Vec<Limit>,
    /// Gauges, in order of registration.
    pub gauges: Vec<NodeGauge>,
    /// Logical requests started over time.
    pub started: Counts,
    /// Attempts over time, retries included.
    pub attempted: Counts,
    /// Successes over time.
    pub succeeded: Counts,
    /// Latency of successes over time.
    pub latency: LatencySeries,
    /// When the last request ended.
    pub last_end: Time,
    /// When which event of the design happened, in order.
    pub happened: Vec<(Time, u16)>,
    present: Present,
}

/// What the present bucket has so far, besides what stands in the series.
#[derive(Debug, Clone, Default)]
struct Present {
    bucket: u32,
    /// Its end.
    until: Time,
    started: u64,
    attempted: u64,
    succeeded: u64,
}

impl Ledger {
    /// One for so many classes and nodes.
    pub fn new(classes: usize, nodes: usize) -> Ledger {
        Ledger {
            classes: vec![ClassLedger::default(); classes],
            nodes: vec![NodeLedger::default(); nodes],
            ..Ledger::default()
        }
    }

    /// Announces a limit. `about` says it with its value.
    pub fn limit(&mut self, node: NodeId, name: &'static str, about: String) -> LimitId {
        self.limits.push(Limit {
            node,
            name,
            about,
            first: None,
            failures: 0,
            refused: None,
            waiting: 0,
            marks: Vec::new(),
            next_mark: 1,
        });
        LimitId(u16::try_from(self.limits.len() - 1).unwrap_or(u16::MAX))
    }

    /// Announces a gauge.
    pub fn gauge(&mut self, node: NodeId, name: &'static str, limit: Option<u64>) -> GaugeId {
        self.gauges.push(NodeGauge { node, name, limit, levels: Levels::default() });
        GaugeId(u16::try_from(self.gauges.len() - 1).unwrap_or(u16::MAX))
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, gauge: GaugeId, now: Time, level: u64) {
        self.gauges[gauge.0 as usize].levels.set(&mut self.clock, now, level);
    }

    /// A limit refused a call.
    pub fn refused_by(&mut self, limit: LimitId, now: Time) {
        let row = &mut self.limits[limit.0 as usize];
        row.first.get_or_insert(now);
        row.refused.get_or_insert(now);
        row.failures += 1;
    }

    /// A limit made a call wait from `since` until now.
    #[inline]
    pub fn waited_for(&mut self, limit: LimitId, since: Time, now: Time) {
        if since < now {
            self.waited(limit, since, now);
        }
    }

    fn waited(&mut self, limit: LimitId, since: Time, now: Time) {
        let waited = now.since(since);
        let row = &mut self.limits[limit.0 as usize];
        let first = row.first.get_or_insert(since);
        *first = (*first).min(since);
        let waited = u128::from(waited.nanos());
        row.waiting += waited;
        if row.waiting >= row.next_mark {
            row.mark(waited, since);
        }
    }

    /// What the bucket of `now` has so far. A clock that has been widened meanwhile is seen: that happens only beyond the last bucket.
    #[inline(always)]
    fn present(&mut self, now: Time) -> &mut Present {
        if now >= self.present.until {
            self.turn(now);
        }
        &mut self.present
    }

    /// Goes on to the bucket of `now`.
    #[inline(never)]
    fn turn(&mut self, now: Time) {
        let bucket = self.clock.bucket(now);
        self.write_down();
        let until = Time::from_nanos((u64::from(bucket) + 1) * self.clock.width().nanos());
        self.present = Present { bucket, until, ..Present::default() };
    }

    /// Writes down what the present bucket has.
    fn write_down(&mut self) {
        let Present { until, started, attempted, succeeded, .. } = self.present;
        let bucket = (until.nanos().saturating_sub(1) / self.clock.width().nanos()) as u32;
        let sums = [
            (&mut self.started, started),
            (&mut self.attempted, attempted),
            (&mut self.succeeded, succeeded),
        ];
        for (counts, n) in sums.into_iter().filter(|(_, n)| *n > 0) {
            counts.add(self.clock, bucket, n);
        }
    }

    /// Completes what is counted at the end of the run.
    pub fn finish(&mut self, end: Time) {
        self.write_down();
        self.present = Present::default();
        self.classes.iter_mut().for_each(ClassLedger::finish);
        for gauge in &mut self.gauges {
            gauge.levels.finish(&mut self.clock, end);
        }
    }

    /// A logical request starts.
    #[inline(always)]
    pub fn start(&mut self, class: usize, now: Time) {
        self.classes[class].issued += 1;
        self.present(now).started += 1;
    }

    /// A user comes in and sends the first attempt of its first request.
    #[inline(always)]
    pub fn newcomer(&mut self, class: usize, now: Time) {
        let row = &mut self.classes[class];
        row.users += 1;
        row.issued += 1;
        row.attempts += 1;
        let present = self.present(now);
        present.started += 1;
        present.attempted += 1;
    }

    /// An attempt of a logical request is sent.
    #[inline(always)]
    pub fn attempt(&mut self, class: usize, now: Time) {
        self.classes[class].attempts += 1;
        self.present(now).attempted += 1;
    }

    /// A logical request ends. `scheduled` is its intended start where that may differ from `sent`.
    #[inline(always)]
    pub fn end(&mut self, class: usize, now: Time, sent: Time, scheduled: Time, outcome: Outcome) {
        let Some(cause) = outcome.cause else {
            return self.succeeded(class, now, sent, scheduled);
        };
        self.last_end = self.last_end.max(now);
        self.failed(class, now, now.since(sent), cause, outcome);
    }

    /// The only request of a user succeeds.
    #[inline(always)]
    pub fn served(&mut self, class: usize, now: Time, sent: Time, scheduled: Time) {
        self.classes[class].users_served += 1;
        self.succeeded(class, now, sent, scheduled);
    }

    #[inline(always)]
    fn succeeded(&mut self, class: usize, now: Time, sent: Time, scheduled: Time) {
        self.last_end = self.last_end.max(now);
        let cell = self.classes[class].served(now, sent, scheduled);
        let present = self.present(now);
        present.succeeded += 1;
        let bucket = present.bucket;
        self.latency.record(self.clock, bucket, now.since(sent), cell);
    }

    #[inline(never)]
    fn failed(&mut self, class: usize, now: Time, latency: Span, cause: Cause, outcome: Outcome) {
        let bucket = self.clock.bucket(now);
        let row = &mut self.classes[class];
        row.failed += 1;
        row.latency_failed.record(latency);
        let same = |f: &&mut Failure| {
            f.cause == cause && f.node == outcome.node && f.status == outcome.status
        };
        let failure = match self.failures.iter_mut().find(same) {
            Some(failure) => failure,
            None => {
                self.failures.push(Failure {
                    cause,
                    node: outcome.node,
                    status: outcome.status,
                    count: 0,
                    first: now,
                    series: Counts::default(),
                });
                let last = self.failures.len() - 1;
                &mut self.failures[last]
            }
        };
        failure.count += 1;
        failure.series.add(self.clock, bucket, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_felt_when_all_but_a_twentieth_of_its_waiting_is_to_come() {
        let mut ledger = Ledger::new(1, 1);
        let limit = ledger.limit(NodeId(0), "cpu", String::new());
        let at = |ms: u64| Time::ZERO + Span::from_millis(ms);
        assert_eq!(ledger.limits[0].felt(), None);
        // A wait of a millisecond each second for 100 s, then waits of 100 ms, a hundred of them.
        for second in 1..=100 {
            ledger.waited_for(limit, at(second * 1_000 - 1), at(second * 1_000));
        }
        for wait in 0..100 {
            ledger.waited_for(limit, at(200_000 + wait * 100), at(200_100 + wait * 100));
        }
        let row = &ledger.limits[0];
        assert_eq!(row.first, Some(at(999)));
        // 10.1 s in all: 0.505 s are past after four of the long waits, half of them after two.
        let felt = row.felt().unwrap();
        assert!(at(200_100) <= felt && felt <= at(200_400), "{felt:?}");
        // One wait only is felt as soon as it begins; a refusal at once.
        let other = ledger.limit(NodeId(0), "queue", String::new());
        ledger.waited_for(other, at(7), at(9_000));
        assert_eq!(ledger.limits[1].felt(), Some(at(7)));
        ledger.refused_by(other, at(3));
        assert_eq!(ledger.limits[1].felt(), Some(at(3)));
    }

    #[test]
    fn failures_sum_by_cause() {
        let mut ledger = Ledger { classes: vec![ClassLedger::default()], ..Ledger::default() };
        for i in 0..10_u64 {
            let now = Time::from_nanos(i);
            ledger.start(0, Time::ZERO);
            let cause = if i % 2 == 0 { Cause::Refused } else { Cause::Reset };
            let outcome = Outcome::failed(cause, NodeId(1), 0);
            ledger.end(0, now, Time::ZERO, Time::MAX, outcome);
        }
        assert_eq!(ledger.failures.len(), 2);
        assert_eq!(ledger.failures.iter().map(|f| f.count).sum::<u64>(), ledger.classes[0].failed);
    }
}
