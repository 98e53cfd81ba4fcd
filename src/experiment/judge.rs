//! Thresholds against estimates: pass, fail or undecided, by the whole interval.

use super::result::{
    DesignResult, Estimate, Latency, PER_USER, PER_USER_MONTHLY, ThresholdResult, Verdict,
};
use crate::scenario::threshold::{Statistic, Subject, Threshold};

/// The figures of a design, or of one class of its users.
struct Judged<'a> {
    success_rate: Estimate,
    latency: &'a Latency,
    latency_all: &'a Latency,
    throughput: Estimate,
    /// Share of the requests that had no answer when the run was stopped.
    open: f64,
}

impl Judged<'_> {
    /// None if the class does not enter the design.
    fn of<'a>(design: &'a DesignResult, class: Option<&str>) -> Option<Judged<'a>> {
        let open =
            |unfinished: &Estimate, requests: &Estimate| unfinished.value / requests.value.max(1.0);
        let Some(name) = class else {
            return Some(Judged {
                success_rate: design.success_rate,
                latency: &design.latency,
                latency_all: &design.latency_all,
                throughput: design.throughput,
                open: open(&design.unfinished, &design.requests),
            });
        };
        let row = design.classes.iter().find(|row| row.name == name)?;
        Some(Judged {
            success_rate: row.success_rate,
            latency: &row.latency,
            latency_all: &row.latency_all,
            throughput: row.throughput,
            open: open(&row.unfinished, &row.requests),
        })
    }

    /// Whether there were requests, all had an answer, and every one was a success.
    fn all_succeeded(&self) -> bool {
        self.latency_all.count > 0 && self.open <= 0.0 && self.success_rate.value >= 1.0
    }

    fn latency(&self, metric: &str) -> Option<&Latency> {
        match metric {
            "latency" => Some(self.latency),
            "latency_all" => Some(self.latency_all),
            _ => None,
        }
    }

    /// Whether a latency is bounded from above. Of a percentile enough values must be seen: all of n lie below it with probability
    /// pⁿ, which must not exceed half of `alpha`. And what had no answer when the run was stopped may take as long as it likes: a
    /// percentile is known while more have their answer than it speaks of.
    fn bounded(&self, metric: &str, statistic: Statistic, alpha: f64) -> bool {
        let Some(latency) = self.latency(metric) else { return true };
        match statistic {
            Statistic::Percentile(p) => {
                let p = p / 100.0;
                libm::pow(p, latency.count as f64) <= alpha / 2.0 && self.open < 1.0 - p
            }
            Statistic::Median => self.open < 0.5,
            Statistic::Max => self.open <= 0.0,
            Statistic::Mean | Statistic::Value => self.open <= OPEN_IN_A_MEAN,
        }
    }
}

/// A statistic of a latency; none without any value.
fn statistic_of(latency: &Latency, statistic: Statistic) -> Option<Estimate> {
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
}

/// The figure that a threshold on `metric` judges: of all users of a design or of a class of them; costs of the design.
fn observed(
    design: &DesignResult,
    judged: &Judged,
    metric: &str,
    statistic: Statistic,
) -> Option<Estimate> {
    if let Some(latency) = judged.latency(metric) {
        return statistic_of(latency, statistic);
    }
    let served = design.users_served.value > 0.0;
    match metric {
        PER_USER => served.then_some(design.cost.per_user),
        PER_USER_MONTHLY => design.cost.per_user_monthly.filter(|_| served),
        "cost_per_request" => served.then_some(design.cost.per_request),
        "cost_total" => Some(design.cost.total),
        "throughput" => Some(judged.throughput),
        _ => Some(judged.success_rate),
    }
}

/// A mean is not known while a larger share of requests has no answer.
pub(super) const OPEN_IN_A_MEAN: f64 = 0.01;

/// Judges one threshold by 95 % intervals; `subject` is a metric, or one of a class of users (`latency{class:web}`). A design without
/// the figure (no success, hence no latency) fails; one that the class does not enter has no verdict.
pub(super) fn judge(
    design: &DesignResult,
    subject: &str,
    expression: &str,
) -> Option<ThresholdResult> {
    judged(design, subject, expression, 0.05, |figure| figure)
}

/// Judges one threshold of a design of `n` replications by intervals of confidence 1 − `alpha`.
pub(super) fn judge_at(
    design: &DesignResult,
    subject: &str,
    expression: &str,
    alpha: f64,
    n: u32,
) -> Option<ThresholdResult> {
    judged(design, subject, expression, alpha, |figure| figure.at_level(alpha, n as usize))
}

fn judged(
    design: &DesignResult,
    subject: &str,
    expression: &str,
    alpha: f64,
    interval: impl Fn(Estimate) -> Estimate,
) -> Option<ThresholdResult> {
    let Subject { metric, class } = Subject::parse(subject).ok()?;
    let threshold = Threshold::parse(metric, expression).ok()?;
    let judged = Judged::of(design, class)?;
    let observed = observed(design, &judged, metric, threshold.statistic).map(interval);
    let verdict = match observed {
        None => Verdict::Fail,
        Some(e) => match (threshold.met_by(e.low), threshold.met_by(e.high)) {
            (true, true) if !judged.bounded(metric, threshold.statistic, alpha) => {
                Verdict::Undecided
            }
            (true, true) => Verdict::Pass,
            _ if metric == "success_rate" && threshold.wants_all() && judged.all_succeeded() => {
                Verdict::Pass
            }
            (false, false) => Verdict::Fail,
            _ => Verdict::Undecided,
        },
    };
    Some(ThresholdResult {
        design: design.name.clone(),
        metric: metric.into(),
        class: class.map(str::to_owned),
        expression: expression.into(),
        observed,
        verdict,
    })
}
