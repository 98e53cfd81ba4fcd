//! One reconciliation: what the controller does every sync period with one autoscaler.

use super::limit::{History, Limits, ScaleEvent};
use super::observe::Observed;
use super::proposal::propose;
use super::reason::Reason;
use super::spec::{Controller, HpaSpec};

/// What a reconciliation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Replicas from now on.
    pub desired: u32,
    /// What the metrics wanted before any limit; none if they were not asked or could not say.
    pub recommended: Option<u32>,
    /// Reasons in the order in which the controller writes them.
    pub reasons: Vec<Reason>,
    /// What each metric that could not be had was short of.
    pub problems: Vec<String>,
}

impl Decision {
    /// The reason that decided: why it did not scale, or what changed the recommendation, or that nothing did.
    pub fn reason(&self) -> Reason {
        let first = |wanted: &[Reason]| self.reasons.iter().find(|r| wanted.contains(r)).copied();
        first(&[Reason::ScalingDisabled, Reason::AboveMaxReplicas, Reason::BelowMinReplicas])
            .or_else(|| self.reasons.first().copied().filter(|r| r.is_failure()))
            .or_else(|| {
                first(&[
                    Reason::ScaleUpLimit,
                    Reason::ScaleDownLimit,
                    Reason::TooManyReplicas,
                    Reason::TooFewReplicas,
                ])
            })
            .or_else(|| first(&[Reason::ScaleUpStabilized, Reason::ScaleDownStabilized]))
            .unwrap_or(Reason::DesiredWithinRange)
    }
}

impl Reason {
    /// Whether it says that a metric could not be had.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Reason::FailedGetResourceMetric
                | Reason::FailedGetContainerResourceMetric
                | Reason::FailedGetPodsMetric
                | Reason::FailedGetObjectMetric
                | Reason::FailedGetExternalMetric
        )
    }
}

/// Decides once. What it did is written into the history, as the controller does.
pub fn reconcile(
    spec: &HpaSpec,
    controller: &Controller,
    seen: &Observed,
    history: &mut History,
) -> Decision {
    let current = seen.replicas;
    let mut problems = Vec::new();
    let (desired, recommended, mut reasons) = if current == 0 && spec.min_replicas != 0 {
        (current, None, vec![Reason::ScalingDisabled])
    } else if current > spec.max_replicas {
        (spec.max_replicas, None, vec![Reason::AboveMaxReplicas])
    } else if current < spec.min_replicas {
        (spec.min_replicas, None, vec![Reason::BelowMinReplicas])
    } else {
        match recommend(spec, controller, seen, &mut problems) {
            Err(reason) => (current, None, vec![reason]),
            Ok(wanted) => {
                let limits = Limits { spec, controller, history, now: seen.now, current };
                let (desired, mut reasons) = limits.apply(wanted);
                reasons.insert(0, Reason::ValidMetricFound);
                history.recommendations.push((seen.now, wanted));
                (desired, Some(wanted), reasons)
            }
        }
    };
    if desired != current {
        reasons.push(Reason::SucceededRescale);
        let change = i64::from(desired) - i64::from(current);
        history.events.push(ScaleEvent { at: seen.now, change });
    }
    history.forget(seen.now);
    Decision { desired, recommended, reasons, problems }
}

/// The largest number that a metric wants. A metric that fails blocks shrinking, since it might have wanted more.
fn recommend(
    spec: &HpaSpec,
    controller: &Controller,
    seen: &Observed,
    problems: &mut Vec<String>,
) -> Result<u32, Reason> {
    let mut wanted = None;
    let mut failed = None;
    for metric in &spec.metrics() {
        match propose(spec, metric, seen, controller) {
            Ok(replicas) => wanted = wanted.max(Some(replicas)),
            Err(failure) => {
                problems.push(failure.message);
                failed = failed.or(Some(failure.reason));
            }
        }
    }
    match (wanted, failed) {
        (Some(wanted), None) => Ok(wanted),
        (Some(wanted), Some(_)) if wanted >= seen.replicas => Ok(wanted),
        (_, Some(reason)) => Err(reason),
        // There is always one metric, and it answers or fails.
        (None, None) => Ok(seen.replicas),
    }
}
