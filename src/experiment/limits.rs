//! Which limits bound, when, and which of them to name first.

use super::estimate::mean;
use super::fold::node_name;
use super::result::Bottleneck;
use crate::kernel::Time;
use crate::model::world::Outturn;

/// A limit is worth naming if it caused at least this share of all failures (or, without failures, of all waiting).
const WORTH_NAMING: f64 = 0.05;

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
            let mut times: Vec<f64> =
                own.iter().filter_map(|row| row.first).map(Time::as_secs_f64).collect();
            times.sort_by(f64::total_cmp);
            let median = *times.get(times.len() / 2)?;
            let failures: Vec<f64> = own.iter().map(|row| row.failures as f64).collect();
            let waiting: Vec<f64> = own.iter().map(|row| row.waiting as f64 * 1e-9).collect();
            Some(Bottleneck {
                node: node_name(rows, limit.node.0),
                limit: limit.name.into(),
                about: limit.about.clone(),
                at: median,
                bound_in: times.len() as f64 / rows.len() as f64,
                failures: mean(&failures),
                waiting: mean(&waiting),
            })
        })
        .collect();
    list.sort_by(|a, b| a.at.total_cmp(&b.at));
    list
}

/// The first limit that is worth naming; one that bound in most replications before one that bound in few.
/// Where no request of a user failed, it is the waiting that counts, not failures of background work.
pub(super) fn bottleneck(limits: &[Bottleneck], users_failed: bool) -> Option<Bottleneck> {
    let failures: f64 = limits.iter().map(|limit| limit.failures.value).sum();
    let waiting: f64 = limits.iter().map(|limit| limit.waiting.value).sum();
    let matters = |limit: &&Bottleneck| {
        if users_failed && failures > 0.0 {
            limit.failures.value >= WORTH_NAMING * failures
        } else {
            limit.waiting.value >= WORTH_NAMING * waiting
        }
    };
    let usual = |limit: &&Bottleneck| limit.bound_in > 0.5 && matters(limit);
    limits.iter().find(usual).or_else(|| limits.iter().find(matters)).cloned()
}
