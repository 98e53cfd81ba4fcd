//! Runs cases and holds the decisions against what is expected.

use super::case::HpaCase;
use crate::experiment::verification::Summary;
use crate::model::scale::hpa::{Decision, Reason, reconcile};
use serde::Serialize;
use serde_json::Value;

/// All cases, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HpaVerification {
    /// The cases in the order of the file.
    pub cases: Vec<HpaJudged>,
    /// How many agree; a figure without an expectation is not counted.
    pub summary: Summary,
}

/// One case, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HpaJudged {
    /// Name of the case.
    pub id: String,
    /// What kind of truth it is: `hpa`.
    pub kind: &'static str,
    /// What it shows.
    pub title: String,
    /// The number of replicas and the reason.
    pub metrics: Vec<HpaFigure>,
    /// Whether all of them agree; a case that expects nothing agrees.
    pub within: bool,
    /// What the metrics wanted before any limit; null if they could not say or were not asked.
    pub recommended: Option<u32>,
    /// Every reason that the controller gave, in its order.
    pub reasons: Vec<&'static str>,
    /// What the metrics that could not be had were short of.
    pub problems: Vec<String>,
}

/// One figure of a case: a number of replicas, or a reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HpaFigure {
    /// `desired_replicas` or `reason`.
    pub name: &'static str,
    /// What our controller decides.
    pub predicted: Value,
    /// What is expected; null if the case does not say.
    pub observed: Value,
    /// By how much they may differ.
    pub tolerance: f64,
    /// Whether they agree.
    pub within: bool,
}

impl HpaVerification {
    /// Whether every case agrees.
    pub fn all_within(&self) -> bool {
        self.summary.cases == self.summary.cases_within
    }
}

/// Judges all cases.
pub fn judge(cases: &[HpaCase]) -> HpaVerification {
    let cases: Vec<HpaJudged> = cases.iter().map(one).collect();
    let compared = || cases.iter().flat_map(|c| &c.metrics).filter(|m| !m.observed.is_null());
    let summary = Summary {
        metrics: compared().count(),
        metrics_within: compared().filter(|figure| figure.within).count(),
        cases: cases.len(),
        cases_within: cases.iter().filter(|case| case.within).count(),
    };
    HpaVerification { cases, summary }
}

fn one(case: &HpaCase) -> HpaJudged {
    let seen = case.observed();
    let decision = reconcile(&case.spec, &case.flags(), &seen, &mut case.remembered());
    let expect = case.expect.as_ref();
    let replicas = expect.and_then(|e| e.desired_replicas);
    let reason = expect.and_then(|e| e.reason.clone());
    let gives = reason.as_deref().is_none_or(|wanted| gives(&decision, wanted));
    // Of several reasons the one that was asked for is shown, if it was given.
    let shown = match reason.as_deref() {
        Some(wanted) if gives => wanted,
        _ => decision.reason().name(),
    };
    let metrics = vec![
        HpaFigure {
            name: "desired_replicas",
            predicted: decision.desired.into(),
            observed: replicas.into(),
            tolerance: 0.0,
            within: replicas.is_none_or(|wanted| wanted == decision.desired),
        },
        HpaFigure {
            name: "reason",
            predicted: shown.into(),
            observed: reason.clone().into(),
            tolerance: 0.0,
            within: gives,
        },
    ];
    HpaJudged {
        id: case.id.clone(),
        kind: "hpa",
        title: case.about.clone(),
        within: metrics.iter().all(|figure| figure.within),
        metrics,
        recommended: decision.recommended,
        reasons: decision.reasons.iter().map(|reason| reason.name()).collect(),
        problems: decision.problems,
    }
}

/// Whether the controller gives a reason. The two bounds may also be named by their conditions.
fn gives(decision: &Decision, wanted: &str) -> bool {
    decision.reasons.iter().any(|reason| {
        reason.name() == wanted
            || matches!(
                (reason, wanted),
                (Reason::AboveMaxReplicas, "TooManyReplicas")
                    | (Reason::BelowMinReplicas, "TooFewReplicas")
            )
    })
}
