//! Thresholds against estimates: pass, fail or undecided, by the whole interval.

use super::result::{
    DesignResult, Estimate, Latency, PER_USER, PER_USER_MONTHLY, ThresholdResult, Verdict,
};
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
        PER_USER => served.then_some(design.cost.per_user),
        PER_USER_MONTHLY => design.cost.per_user_monthly.filter(|_| served),
        "cost_per_request" => served.then_some(design.cost.per_request),
        "cost_total" => Some(design.cost.total),
        "throughput" => Some(design.throughput),
        _ => Some(design.success_rate),
    }
}

/// A mean is not known while a larger share of requests has no answer.
const OPEN_IN_A_MEAN: f64 = 0.01;

/// Whether a latency is bounded from above. Of a percentile enough values must be seen: all of n lie below it with probability
/// pⁿ, which must not exceed half of `alpha`. And what had no answer when the run was stopped may take as long as it likes: a
/// percentile is known while more have their answer than it speaks of.
fn bounded(design: &DesignResult, metric: &str, statistic: Statistic, alpha: f64) -> bool {
    let count = match metric {
        "latency" => design.latency.count,
        "latency_all" => design.latency_all.count,
        _ => return true,
    };
    let open = design.unfinished.value / design.requests.value.max(1.0);
    match statistic {
        Statistic::Percentile(p) => {
            let p = p / 100.0;
            libm::pow(p, count as f64) <= alpha / 2.0 && open < 1.0 - p
        }
        Statistic::Median => open < 0.5,
        Statistic::Max => open <= 0.0,
        Statistic::Mean | Statistic::Value => open <= OPEN_IN_A_MEAN,
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
