//! Thresholds against estimates: pass, fail or undecided, by the whole interval.

use super::result::{DesignResult, Estimate, Latency, ThresholdResult, Verdict};
use crate::scenario::threshold::{Statistic, Threshold};

/// The figure of a design that a threshold on `metric` judges.
fn observed(design: &DesignResult, metric: &str, statistic: Statistic) -> Option<Estimate> {
    let latency = |latency: &Latency| {
        (latency.count > 0).then(|| match statistic {
            Statistic::Median => latency.p50,
            Statistic::Max => Estimate::exact(latency.max),
            Statistic::Percentile(p) if p <= 50.0 => latency.p50,
            Statistic::Percentile(p) if p <= 90.0 => latency.p90,
            Statistic::Percentile(p) if p <= 95.0 => latency.p95,
            Statistic::Percentile(p) if p <= 99.0 => latency.p99,
            Statistic::Percentile(_) => latency.p99_9,
            Statistic::Mean | Statistic::Value => latency.mean,
        })
    };
    let served = design.users_served.value > 0.0;
    match metric {
        "latency" => latency(&design.latency),
        "latency_all" => latency(&design.latency_all),
        "cost_per_user" => served.then_some(design.cost.per_user),
        "cost_per_request" => served.then_some(design.cost.per_request),
        "cost_total" => Some(design.cost.total),
        "throughput" => Some(design.throughput),
        _ => Some(design.success_rate),
    }
}

/// Whether enough values were seen to bound a percentile from above: all of n values lie below it with probability
/// pⁿ, which must not exceed half of `alpha`.
fn bounded(design: &DesignResult, metric: &str, statistic: Statistic, alpha: f64) -> bool {
    let count = if metric == "latency" { design.latency.count } else { design.latency_all.count };
    match statistic {
        Statistic::Percentile(p) => libm::pow(p / 100.0, count as f64) <= alpha / 2.0,
        _ => true,
    }
}

/// Judges one threshold by 95 % intervals. A design without the figure (no success, hence no latency) fails.
pub(super) fn judge(
    design: &DesignResult,
    metric: &str,
    expression: &str,
) -> Option<ThresholdResult> {
    judged(design, metric, expression, 0.05, |figure| figure)
}

/// Judges one threshold of a design of `n` replications by intervals of confidence 1 − `alpha`.
pub(super) fn judge_at(
    design: &DesignResult,
    metric: &str,
    expression: &str,
    alpha: f64,
    n: u32,
) -> Option<ThresholdResult> {
    judged(design, metric, expression, alpha, |figure| figure.at_level(alpha, n as usize))
}

fn judged(
    design: &DesignResult,
    metric: &str,
    expression: &str,
    alpha: f64,
    interval: impl Fn(Estimate) -> Estimate,
) -> Option<ThresholdResult> {
    let threshold = Threshold::parse(metric, expression).ok()?;
    let observed = observed(design, metric, threshold.statistic).map(interval);
    let verdict = match observed {
        None => Verdict::Fail,
        Some(e) => match (threshold.met_by(e.low), threshold.met_by(e.high)) {
            (true, true) if !bounded(design, metric, threshold.statistic, alpha) => {
                Verdict::Undecided
            }
            (true, true) => Verdict::Pass,
            (false, false) => Verdict::Fail,
            _ => Verdict::Undecided,
        },
    };
    Some(ThresholdResult {
        design: design.name.clone(),
        metric: metric.into(),
        expression: expression.into(),
        observed,
        verdict,
    })
}
