//! What each event of a design cost: the requests lost after it, by cause, and how long users felt it.
//!
//! An occurrence answers for what happens until the next occurrence of any event, or the end of the run. Times are as fine as the
//! series' buckets of its replication.

use super::estimate::mean;
use super::fold::node_name;
use super::result::{Incident, Lost};
use crate::kernel::{Clock, Counts, Time};
use crate::model::latency_series::Coarse;
use crate::model::ledger::Ledger;
use crate::model::message::{Cause, NodeId};
use crate::model::operation::Operation;
use crate::model::world::Outturn;
use std::collections::BTreeMap;

/// Latency counts as back to normal where the median of a bucket is at most this many times the median before the event.
const SLOW: f64 = 2.0;

/// Buckets of one replication that belong to one occurrence.
struct Window<'a> {
    ledger: &'a Ledger,
    clock: Clock,
    from: Time,
    /// First and one past the last bucket; and where the window before begins.
    first: usize,
    end: usize,
    before: usize,
}

impl<'a> Window<'a> {
    fn new(row: &'a Outturn, at: usize) -> Window<'a> {
        let ledger = &row.ledger;
        let clock = ledger.clock;
        let bucket = |time: Time| (time.nanos() / clock.width().nanos()) as usize;
        let happened = &ledger.happened;
        let last = bucket(row.end) + 1;
        Window {
            ledger,
            clock,
            from: happened[at].0,
            first: bucket(happened[at].0),
            end: happened.get(at + 1).map_or(last, |next| bucket(next.0).max(1)),
            before: at.checked_sub(1).map_or(0, |at| bucket(happened[at].0)),
        }
    }

    fn failures(&self) -> impl Iterator<Item = ((Cause, NodeId), Vec<u64>)> {
        self.ledger.failures.iter().map(|failure| {
            let mut counts: Counts = failure.series.clone();
            counts.widen(self.clock);
            let own = counts.cells().iter().take(self.end).skip(self.first).copied();
            ((failure.cause, failure.node), own.collect())
        })
    }

    /// Which buckets are slow: those while requests begin whose median latency is far above that of the window before.
    fn slow(&self) -> Vec<bool> {
        let mut latency = self.ledger.latency.clone();
        latency.widen(self.clock);
        let mut usual = Coarse::default();
        let before = latency.buckets().iter().take(self.first).skip(self.before);
        before.for_each(|bucket| usual.merge(bucket));
        let Some(usual) = usual.coarse_quantile(0.5) else { return Vec::new() };
        let mut started = self.ledger.started.clone();
        started.widen(self.clock);
        let loaded = started.cells().len();
        let median = latency.buckets().iter().take(loaded);
        let median = median.map(|bucket| bucket.coarse_quantile(0.5));
        median.map(|median| median.is_some_and(|own| own > SLOW * usual)).collect()
    }

    /// From the occurrence to the end of the last bucket of the window of which `felt` is true, seconds; and whether the window ends
    /// with such a bucket, so that nothing is known of the end.
    fn until(&self, felt: impl Fn(usize) -> bool) -> (f64, bool) {
        let Some(last) = (self.first..self.end).rev().find(|bucket| felt(*bucket)) else {
            return (0.0, false);
        };
        let end = Time::from_nanos((last as u64 + 1) * self.clock.width().nanos());
        (end.since(self.from).as_secs_f64(), last + 1 == self.end)
    }
}

/// What one occurrence cost.
struct Felt {
    lost: BTreeMap<(Cause, u16), u64>,
    failing: f64,
    slow: f64,
    open: bool,
}

fn felt(window: &Window) -> Felt {
    let mut lost = BTreeMap::new();
    let mut failed = vec![0_u64; window.end.saturating_sub(window.first)];
    for ((cause, node), counts) in window.failures() {
        for (sum, count) in failed.iter_mut().zip(&counts) {
            *sum += count;
        }
        let total: u64 = counts.iter().sum();
        if total > 0 {
            *lost.entry((cause, node.0)).or_insert(0) += total;
        }
    }
    let slow = window.slow();
    let is_slow = |bucket: usize| slow.get(bucket).copied().unwrap_or(false);
    let fails = |bucket: usize| failed.get(bucket - window.first).is_some_and(|n| *n > 0);
    let (failing, still_failing) = window.until(fails);
    let (slow, still_slow) = window.until(is_slow);
    Felt { lost, failing, slow, open: still_failing || still_slow }
}

/// Every event that happened, in the order of the design.
pub(super) fn incidents(events: &[Operation], rows: &[Outturn]) -> Vec<Incident> {
    let incident = |(index, operation): (usize, &Operation)| {
        let own: Vec<Vec<(Time, Felt)>> = rows.iter().map(|row| occurrences(row, index)).collect();
        let all: Vec<&(Time, Felt)> = own.iter().flatten().collect();
        let first = all.iter().map(|(at, _)| at.as_secs_f64()).fold(f64::INFINITY, f64::min);
        if all.is_empty() {
            return None;
        }
        let per_replication = |of: &dyn Fn(&Felt) -> f64| -> Vec<f64> {
            own.iter().map(|list| list.iter().map(|(_, felt)| of(felt)).sum()).collect()
        };
        // Of the replications in which it happened, the mean over its occurrences.
        let each = |of: &dyn Fn(&Felt) -> f64| {
            let rows = own.iter().filter(|list| !list.is_empty());
            let mean_of = |list: &Vec<(Time, Felt)>| {
                list.iter().map(|(_, felt)| of(felt)).sum::<f64>() / list.len() as f64
            };
            mean(&rows.map(mean_of).collect::<Vec<_>>())
        };
        Some(Incident {
            at: first,
            node: operation.node.clone(),
            what: operation.action.name(),
            times: all.len() as f64 / rows.len() as f64,
            lost: mean(&per_replication(&|felt| felt.lost.values().sum::<u64>() as f64)),
            causes: causes(&all, rows),
            failing: each(&|felt| felt.failing),
            slow: each(&|felt| felt.slow),
            recovered: all.iter().filter(|(_, felt)| !felt.open).count() as f64 / all.len() as f64,
        })
    };
    events.iter().enumerate().filter_map(incident).collect()
}

fn occurrences(row: &Outturn, index: usize) -> Vec<(Time, Felt)> {
    let happened = row.ledger.happened.iter().enumerate();
    let own = happened.filter(|(_, (_, which))| usize::from(*which) == index);
    own.map(|(at, (time, _))| (*time, felt(&Window::new(row, at)))).collect()
}

/// Requests lost by cause and node, per replication, the most first.
fn causes(all: &[&(Time, Felt)], rows: &[Outturn]) -> Vec<Lost> {
    let mut sums: BTreeMap<(Cause, u16), u64> = BTreeMap::new();
    for (way, count) in all.iter().flat_map(|(_, felt)| &felt.lost) {
        *sums.entry(*way).or_insert(0) += count;
    }
    let lost = |((cause, node), count): ((Cause, u16), u64)| Lost {
        cause: cause.name().into(),
        node: node_name(rows, node),
        count: count as f64 / rows.len() as f64,
    };
    let mut causes: Vec<Lost> = sums.into_iter().map(lost).collect();
    causes.sort_by(|a, b| b.count.total_cmp(&a.count));
    causes
}
