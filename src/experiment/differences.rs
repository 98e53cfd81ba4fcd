//! Differences between the designs of a run, paired by replication.

use super::estimate::{difference, spanned};
use super::result::{DesignResult, Difference, Estimate, PER_USER};

/// Figures for which the designs of a run are compared.
const COMPARED: [&str; 5] = ["success_rate", "latency_mean", "latency_p95", PER_USER, "cost_total"];

/// Share of successes, replication by replication, if all requests that had no answer at the end are lost; only where there are such.
pub(super) const IF_LOST: &str = "success_rate_if_lost";
/// The same if all of them are served.
pub(super) const IF_SERVED: &str = "success_rate_if_served";

/// Ends the name of a latency, replication by replication, if all requests that had no answer at the end succeed later than all others;
/// only where there are such, and enough others to bound it.
pub(super) const IF_LATE: &str = "_if_late";

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

/// A figure of one design minus that of another; none where one has no such figure. The interval covers all that requests without an
/// answer may come to in either: both ways for a success rate, later than all others for a latency. Where nothing bounds a latency
/// then, the interval reaches to zero at least, so that no difference is shown that they may overturn.
pub(super) fn differs(own: &DesignResult, base: &DesignResult, metric: &str) -> Option<Estimate> {
    let plain = difference(own.replicated(metric)?, base.replicated(metric)?);
    let (own, base) = (possible(own, metric)?, possible(base, metric)?);
    let least = base.most.map_or(Estimate::exact(0.0), |most| difference(own.least, most));
    let most = own.most.map_or(Estimate::exact(0.0), |most| difference(most, base.least));
    Some(spanned(plain, least, most))
}

/// What a figure may be in each replication, whatever becomes of requests that had no answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Possible<'a> {
    /// The least.
    pub least: &'a [f64],
    /// The most; none if nothing bounds it.
    pub most: Option<&'a [f64]>,
}

/// What a figure of a design may be; none if the design has no such figure.
pub(super) fn possible<'a>(design: &'a DesignResult, metric: &str) -> Option<Possible<'a>> {
    let plain = design.replicated(metric)?;
    let (Some(lost), Some(served)) = (design.replicated(IF_LOST), design.replicated(IF_SERVED))
    else {
        // All had an answer.
        return Some(Possible { least: plain, most: Some(plain) });
    };
    Some(match metric {
        "success_rate" => Possible { least: lost, most: Some(served) },
        _ if metric.starts_with("latency") => {
            Possible { least: plain, most: design.replicated(&format!("{metric}{IF_LATE}")) }
        }
        _ => Possible { least: plain, most: Some(plain) },
    })
}
