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

/// The first limit that is worth naming, where `failed` requests of users failed (mean over replications); one that bound in most
/// replications before one that bound in few. Failures that no limit caused by refusing are of users who waited for too long, so
/// where hardly any were refused it is the waiting that counts, as where no request failed.
pub(super) fn bottleneck(limits: &[Bottleneck], failed: f64) -> Option<Bottleneck> {
    let refused: f64 = limits.iter().map(|limit| limit.failures.value).sum();
    let waiting: f64 = limits.iter().map(|limit| limit.waiting.value).sum();
    let refuses = |limit: &&Bottleneck| {
        failed > 0.0
            && limit.failures.value > 0.0
            && limit.failures.value >= WORTH_NAMING * refused.max(failed)
    };
    let waits = |limit: &&Bottleneck| {
        limit.waiting.value > 0.0 && limit.waiting.value >= WORTH_NAMING * waiting
    };
    let first = |matters: &dyn Fn(&&Bottleneck) -> bool| {
        let usual = |limit: &&Bottleneck| limit.bound_in > 0.5 && matters(limit);
        limits.iter().find(usual).or_else(|| limits.iter().find(matters))
    };
    first(&refuses).or_else(|| first(&waits)).or_else(|| first(&|_| true)).cloned()
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
            bound_in: 1.0,
            failures: sure(failures),
            waiting: sure(waiting),
        }
    }

    #[test]
    fn a_limit_that_refused_hardly_anybody_is_not_the_bottleneck_of_those_who_gave_up() {
        let named = |limits: &[Bottleneck], failed| bottleneck(limits, failed).map(|row| row.limit);
        let limits = [limit("cpu", 1.0, 0.0, 900.0), limit("queue", 2.0, 30.0, 0.0)];
        // 40,000 gave up waiting, 30 were refused; or the 30 are all who failed; or nobody did.
        assert_eq!(named(&limits, 40_000.0).as_deref(), Some("cpu"));
        assert_eq!(named(&limits, 30.0).as_deref(), Some("queue"));
        assert_eq!(named(&limits, 600.0).as_deref(), Some("queue"));
        assert_eq!(named(&limits, 601.0).as_deref(), Some("cpu"));
        assert_eq!(named(&limits, 0.0).as_deref(), Some("cpu"));
        // Retries are refused more often than requests fail; a limit that nobody felt is better than none.
        assert_eq!(named(&[limit("queue", 2.0, 30.0, 0.0)], 5.0).as_deref(), Some("queue"));
        assert_eq!(named(&[limit("nofile", 3.0, 0.0, 0.0)], 5.0).as_deref(), Some("nofile"));
        assert_eq!(named(&[], 5.0), None);
    }
}
