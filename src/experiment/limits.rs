//! Which limits bound, when, and which of them to name first.

use super::estimate::mean;
use super::fold::node_name;
use super::result::{Bottleneck, FailureRow, Latency, NodeRow};
use crate::kernel::Time;
use crate::model::ledger::Limit;
use crate::model::world::Outturn;
use std::collections::{BTreeMap, BTreeSet};

/// A limit that refuses is worth naming if it caused at least this share of all failures.
const WORTH_NAMING: f64 = 0.05;
/// A limit is worth naming only if waiting for limits is at least this share of the time that all requests take, or one of them made
/// requests fail: failures that no limit has to do with (faults, errors of the platform) make none a bottleneck.
const FELT: f64 = 0.01;
/// Limits by which somebody gives up: not why it took so long, where most of the time is spent waiting for another.
const GIVES_UP: [&str; 5] =
    ["connect_timeout", "function_timeout", "idle_timeout", "integration_timeout", "timeout"];
/// Failures of a smaller share of requests leave the name to the waiting, if that is most of what all requests take.
const FEW_FAIL: f64 = 0.01;

/// Every limit that bound in any replication, by first time.
pub(super) fn limits(rows: &[Outturn]) -> Vec<Bottleneck> {
    let Some(first) = rows.first() else { return Vec::new() };
    let mut list: Vec<Bottleneck> = first
        .ledger
        .limits
        .iter()
        .enumerate()
        .filter_map(|(at, limit)| {
            let own: Vec<_> = rows.iter().map(|row| &row.ledger.limits[at]).collect();
            let times = |of: fn(&Limit) -> Option<Time>| -> Vec<f64> {
                own.iter().filter_map(|row| of(row)).map(Time::as_secs_f64).collect()
            };
            let first = times(|row| row.first);
            let failures: Vec<f64> = own.iter().map(|row| row.failures as f64).collect();
            let waiting: Vec<f64> = own.iter().map(|row| row.waiting as f64 * 1e-9).collect();
            Some(Bottleneck {
                node: node_name(rows, limit.node.0),
                limit: limit.name.into(),
                about: limit.about.clone(),
                at: median(first.clone())?,
                felt_at: median(times(Limit::felt)),
                bound_in: first.len() as f64 / rows.len() as f64,
                failures: mean(&failures),
                waiting: mean(&waiting),
            })
        })
        .collect();
    list.sort_by(|a, b| a.at.total_cmp(&b.at));
    list
}

/// The median; of an even number the upper of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A limit that bound by then is felt at the latest when requests begin to fail that are put down to it; and the bottleneck when they begin to
/// fail by waiting, since it is why calls wait. Returns the bottleneck with its time.
pub(super) fn felt_at_failures(
    limits: &mut [Bottleneck],
    failures: &[FailureRow],
    bottleneck: Option<Bottleneck>,
) -> Option<Bottleneck> {
    let is = |limit: &Bottleneck, node: &str, name: &str| limit.node == node && limit.limit == name;
    for row in failures {
        let (Some(blame), began) = (&row.blame, row.since()) else { continue };
        let concerns = |limit: &Bottleneck| {
            let why = bottleneck.as_ref().filter(|_| blame.how == "waited");
            is(limit, &blame.node, &blame.limit)
                || why
                    .is_some_and(|own| own.waiting.value > 0.0 && is(limit, &own.node, &own.limit))
        };
        for limit in limits.iter_mut().filter(|limit| limit.at <= began && concerns(limit)) {
            limit.felt_at = Some(limit.since().min(began));
        }
    }
    let own = bottleneck?;
    limits.iter().find(|limit| is(limit, &own.node, &own.limit)).cloned()
}

/// What a design cost its users, and where its requests were; means over replications.
#[derive(Debug, Clone, Default)]
pub(super) struct Toll<'a> {
    /// Requests that ended.
    ended: f64,
    /// Of these, the ones that failed.
    failed: f64,
    /// Of these, the ones whose user had waited for too long.
    gave_up: f64,
    /// How long all that ended took together, seconds.
    time: f64,
    /// Time that calls spent at each node, waiting included, seconds.
    at_node: BTreeMap<&'a str, f64>,
    /// The nodes behind each node.
    behind: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Toll<'a> {
    /// From the ways of failing, once they are put down to limits, and the latency of all requests.
    pub(super) fn new(failures: &[FailureRow], all: &Latency, replications: usize) -> Toll<'a> {
        let ended = all.count as f64 / replications.max(1) as f64;
        let waited =
            |row: &&FailureRow| row.blame.as_ref().is_some_and(|blame| blame.how == "waited");
        Toll {
            ended,
            failed: failures.iter().map(|row| row.count.value).sum(),
            gave_up: failures.iter().filter(waited).map(|row| row.count.value).sum(),
            time: ended * all.mean.value,
            ..Toll::default()
        }
    }

    /// With the time spent at each node, and what is behind it.
    pub(super) fn at(
        self,
        nodes: &'a [NodeRow],
        seconds: f64,
        behind: BTreeMap<&'a str, BTreeSet<&'a str>>,
    ) -> Toll<'a> {
        let time = |row: &'a NodeRow| (row.name.as_str(), row.busy_mean.value * seconds);
        Toll { at_node: nodes.iter().map(time).collect(), behind, ..self }
    }

    /// Whether what waits for `inner` may hold a place of `outer` meanwhile: it is behind it, or further inside the same node.
    fn holds(&self, outer: &Bottleneck, inner: &Bottleneck) -> bool {
        // A row of a connection tracking table outlasts its connection (TIME_WAIT), however fast the answer came.
        if outer.limit == "conntrack" {
            return false;
        }
        let leads =
            |from: &str, to: &str| self.behind.get(from).is_some_and(|set| set.contains(to));
        if outer.node == inner.node {
            return inside(&outer.limit, &inner.limit);
        }
        leads(&outer.node, &inner.node) && !leads(&inner.node, &outer.node)
    }

    /// Whether calls spend most of their time inside a node waiting for this limit, the waiting for what they pass before left out.
    fn congests(&self, limit: &Bottleneck, limits: &[Bottleneck]) -> bool {
        let before =
            limits.iter().filter(|other| other.node == limit.node && self.holds(other, limit));
        let before: f64 = before.map(|other| other.waiting.value).sum();
        let inside = self.at_node.get(limit.node.as_str()).map_or(0.0, |time| time - before);
        limit.waiting.value > inside / 2.0
    }

    /// What makes calls hold the places of a limit for so long that others wait for it: the limit behind it that most of their
    /// time goes to, and so on; else the limit itself. Without that one, this one would have twice the room at least.
    fn cause<'b>(&self, limit: &'b Bottleneck, limits: &'b [Bottleneck]) -> &'b Bottleneck {
        let mut cause = limit;
        // Each is inside the last, so there is an end.
        while let Some(inner) = limits
            .iter()
            .filter(|inner| self.holds(cause, inner) && self.congests(inner, limits))
            .max_by(|a, b| a.waiting.value.total_cmp(&b.waiting.value))
        {
            cause = inner;
        }
        cause
    }
}

/// Whether a limit of a node lies inside another of the same node: a call that waits for it has passed that one.
fn inside(outer: &str, inner: &str) -> bool {
    let depth = |limit: &str| match limit {
        "accept_queue" | "listen_queue" | "listen_backlog" | "queue" => 1,
        "concurrency" | "active_connections" => 2,
        "connection_pool" | "event_loop" => 3,
        "cpu" | "cpu_limit" | "cpu_credits" | "active_work" => 4,
        _ => 0,
    };
    let (outside, within) = (depth(outer), depth(inner));
    // A call that waits for a connection does not compute.
    0 < outside && outside < within && outer != "connection_pool"
}

/// The first limit that is worth naming; one that bound in most replications before one that bound in few.
///
/// Limits that refuse come before those that make calls wait, unless more requests failed because their users waited for too long
/// than because they were refused, or hardly any failed and waiting is most of what requests take.
///
/// Of limits that make calls wait the one with the most waiting is named, or what is behind it if that is why: a pool is full because
/// the database is slow, not the other way round.
pub(super) fn bottleneck(limits: &[Bottleneck], toll: &Toll) -> Option<Bottleneck> {
    let waiting: f64 = limits.iter().map(|limit| limit.waiting.value).sum();
    let gives_up =
        |limit: &&Bottleneck| waiting > toll.time / 2.0 && GIVES_UP.contains(&limit.limit.as_str());
    let failures = |of: &dyn Fn(&&Bottleneck) -> bool| -> f64 {
        limits.iter().filter(|limit| of(limit)).map(|limit| limit.failures.value).sum()
    };
    let (late, refused) = (failures(&gives_up), failures(&|limit| !gives_up(limit)));
    if late + refused <= 0.0 && toll.gave_up <= 0.0 && waiting < FELT * toll.time {
        return None;
    }
    let longest = limits
        .iter()
        .filter(|limit| limit.waiting.value > 0.0)
        .max_by(|a, b| a.waiting.value.total_cmp(&b.waiting.value));
    let slow = toll.failed < FEW_FAIL * toll.ended && waiting > toll.time / 2.0;
    let decides = toll.failed > 0.0 && refused.min(toll.failed) >= toll.gave_up + late && !slow;
    let refuses = |limit: &&Bottleneck| {
        decides
            && !gives_up(limit)
            && limit.failures.value > 0.0
            && limit.failures.value >= WORTH_NAMING * refused.max(toll.failed)
    };
    let refuses_any = |limit: &&Bottleneck| limit.failures.value > 0.0;
    let first = |matters: &dyn Fn(&&Bottleneck) -> bool| {
        let usual = |limit: &&Bottleneck| limit.bound_in > 0.5 && matters(limit);
        limits.iter().find(usual).or_else(|| limits.iter().find(matters))
    };
    let waits = longest.map(|limit| toll.cause(limit, limits));
    let named = first(&refuses).or(waits).or_else(|| first(&refuses_any));
    named.or_else(|| first(&|_| true)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::Estimate;

    fn limit(name: &str, at: f64, failures: f64, waiting: f64) -> Bottleneck {
        let sure = |value| Estimate { value, low: value, high: value };
        Bottleneck {
            node: "api".into(),
            limit: name.into(),
            about: String::new(),
            at,
            felt_at: None,
            bound_in: 1.0,
            failures: sure(failures),
            waiting: sure(waiting),
        }
    }

    #[test]
    fn what_most_failures_and_most_of_the_time_come_from_is_named() {
        let named = |limits: &[Bottleneck], failed, gave_up| {
            // 100,000 requests of 0.1 s.
            let toll =
                Toll { ended: 100_000.0, failed, gave_up, time: 10_000.0, ..Toll::default() };
            bottleneck(limits, &toll).map(|row| row.limit)
        };
        let limits = [limit("cpu", 1.0, 0.0, 900.0), limit("queue", 2.0, 3_000.0, 0.0)];
        // 40,000 gave up waiting, 3,000 were refused; or more were refused; or the 3,000 are all who failed; or nobody did.
        assert_eq!(named(&limits, 43_000.0, 40_000.0).as_deref(), Some("cpu"));
        assert_eq!(named(&limits, 5_900.0, 2_900.0).as_deref(), Some("queue"));
        assert_eq!(named(&limits, 3_000.0, 0.0).as_deref(), Some("queue"));
        assert_eq!(named(&limits, 0.0, 0.0).as_deref(), Some("cpu"));
        // A small part of all failures, the others injected.
        assert_eq!(named(&limits, 60_001.0, 0.0).as_deref(), Some("cpu"));
        // Few are refused, and requests spend most of their time waiting, or little of it.
        let few = |waiting| [limit("cpu", 1.0, 0.0, waiting), limit("queue", 2.0, 30.0, 0.0)];
        assert_eq!(named(&few(9_000.0), 30.0, 0.0).as_deref(), Some("cpu"));
        assert_eq!(named(&few(4_000.0), 30.0, 0.0).as_deref(), Some("queue"));
        // Of two in a row, the one that has most of the waiting.
        let row = [limit("cpu", 1.0, 0.0, 80.0), limit("connection_pool", 2.0, 0.0, 900.0)];
        assert_eq!(named(&row, 0.0, 0.0).as_deref(), Some("connection_pool"));
        // A gateway that gives up is not why it took so long, unless hardly anybody waited for anything else.
        let late = |waiting| {
            [limit("cpu", 1.0, 0.0, waiting), limit("integration_timeout", 2.0, 3_000.0, 0.0)]
        };
        assert_eq!(named(&late(9_000.0), 3_000.0, 0.0).as_deref(), Some("cpu"));
        assert_eq!(named(&late(900.0), 3_000.0, 0.0).as_deref(), Some("integration_timeout"));
        // Nobody failed, and waiting is hardly felt.
        assert_eq!(named(&[limit("cpu", 1.0, 0.0, 90.0)], 0.0, 0.0), None);
        // Retries are refused more often than requests fail.
        assert_eq!(named(&[limit("queue", 2.0, 30.0, 0.0)], 5.0, 0.0).as_deref(), Some("queue"));
        assert_eq!(named(&[], 5.0, 0.0), None);
    }

    #[test]
    fn failures_that_no_limit_has_to_do_with_make_none_a_bottleneck() {
        let named = |limit: Bottleneck, gave_up| {
            let toll = Toll { ended: 100.0, failed: 20.0, gave_up, time: 10.0, ..Toll::default() };
            bottleneck(&[limit], &toll).map(|row| row.limit)
        };
        // 20 of 100 requests fail by injected faults; waiting is 0.5 % of the time, or none, or felt.
        assert_eq!(named(limit("cpu", 1.0, 0.0, 0.05), 0.0), None);
        assert_eq!(named(limit("nofile", 1.0, 0.0, 0.0), 0.0), None);
        assert_eq!(named(limit("cpu", 1.0, 0.0, 0.2), 0.0).as_deref(), Some("cpu"));
        // As soon as one gave up waiting or was refused, it is worth naming.
        assert_eq!(named(limit("cpu", 1.0, 0.0, 0.05), 1.0).as_deref(), Some("cpu"));
        assert_eq!(named(limit("queue", 1.0, 1.0, 0.0), 0.0).as_deref(), Some("queue"));
    }

    #[test]
    fn a_full_pool_is_put_down_to_a_slow_database_and_to_nothing_else() {
        let mut curve = limit("active_work", 1.0, 0.0, 50.0);
        curve.node = "db".into();
        let limits = [
            curve,
            limit("cpu", 2.0, 0.0, 60.0),
            limit("connection_pool", 3.0, 0.0, 900.0),
            limit("concurrency", 4.0, 0.0, 800.0),
        ];
        let named = |at_db: f64, at_api: f64| {
            let toll = Toll {
                ended: 1_000.0,
                time: 2_000.0,
                at_node: BTreeMap::from([("api", at_api), ("db", at_db)]),
                behind: BTreeMap::from([("api", BTreeSet::from(["db"]))]),
                ..Toll::default()
            };
            bottleneck(&limits, &toll).map(|row| row.limit)
        };
        // Statements take 80 s in all, of which they wait for 50; or 400 s, and it is the pool that is small.
        assert_eq!(named(80.0, 1_800.0).as_deref(), Some("active_work"));
        assert_eq!(named(400.0, 1_800.0).as_deref(), Some("connection_pool"));
        // The processor is not inside the pool; it is inside the places, whose calls spend 100 s beyond the waiting for them.
        let places = [limit("cpu", 2.0, 0.0, 60.0), limit("concurrency", 4.0, 0.0, 800.0)];
        let toll = |time| Toll { at_node: BTreeMap::from([("api", time)]), ..Toll::default() };
        let of = |time| bottleneck(&places, &toll(time)).map(|row| row.limit);
        assert_eq!(of(900.0).as_deref(), Some("cpu"));
        assert_eq!(of(1_000.0).as_deref(), Some("concurrency"));
    }
}
