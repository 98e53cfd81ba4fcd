//! Differences between the designs of a run, paired by replication.

use super::estimate::{difference, spanned};
use super::result::{DesignResult, Difference, Estimate, PER_USER};

/// Figures for which the designs of a run are compared.
const COMPARED: [&str; 5] = ["success_rate", "latency_mean", "latency_p95", PER_USER, "cost_total"];

/// Share of successes, replication by replication, if all requests that had no answer at the end are lost; only where there are such.
pub(super) const IF_LOST: &str = "success_rate_if_lost";
/// The same if all of them are served.
pub(super) const IF_SERVED: &str = "success_rate_if_served";

/// Every design against the first.
pub(super) fn differences(designs: &[DesignResult]) -> Vec<Difference> {
    let mut rows = Vec::new();
    let Some((baseline, others)) = designs.split_first() else { return rows };
    for design in others {
        for metric in COMPARED {
            let Some(difference) = differs(design, baseline, metric) else { continue };
            rows.push(Difference {
                design: design.name.clone(),
                baseline: baseline.name.clone(),
                metric: metric.into(),
                significant: difference.excludes_zero(),
                difference,
            });
        }
    }
    rows
}

/// A figure of one design minus that of another; none where one has no such figure. The interval of a success rate covers all that
/// requests without an answer may come to in either.
pub(super) fn differs(own: &DesignResult, base: &DesignResult, metric: &str) -> Option<Estimate> {
    let plain = difference(own.replicated(metric)?, base.replicated(metric)?);
    if metric != "success_rate" {
        return Some(plain);
    }
    let (own, base) = (possible(own)?, possible(base)?);
    let (least, most) = (difference(own.0, base.1), difference(own.1, base.0));
    Some(spanned(plain, least, most))
}

/// The success rate in each replication with all open requests lost, and with all served; the same twice where none is open.
pub(super) fn possible(design: &DesignResult) -> Option<(&[f64], &[f64])> {
    let rate = design.replicated("success_rate")?;
    let of = |metric| design.replicated(metric).unwrap_or(rate);
    Some((of(IF_LOST), of(IF_SERVED)))
}
