//! Asks a simulation one question with confidence: first with few replications, then with more, until it is decided.
//!
//! A question that is asked again and again is answered wrongly some time. Look k of a search may err with probability
//! 0.05 · 6 / (π² k²), so that all looks together, however many, err with at most 0.05.

use super::super::estimate::mean;
use super::super::judge::judge_at;
use super::super::plan::Plan;
use super::super::replicate::{Observer, RunError};
use super::super::result::{DesignResult, Estimate, RunResult, Verdict};
use super::boundary::Decision;
use super::found::Point;
use serde_json::Value;

/// Chance that any answer of a search is wrong.
pub const ALPHA: f64 = 0.05;

/// How many replications a question may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// At first.
    pub least: u32,
    /// At most; then the question is undecided.
    pub most: u32,
}

/// Makes the plan in which each knob has the value given, knob by knob.
pub type Maker<'a> = &'a dyn Fn(&[Value]) -> Result<Plan, String>;

/// Writes a figure of a metric (of a threshold or a cost) for people.
pub type Shown<'a> = &'a dyn Fn(&str, f64) -> String;

/// Why a search ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Interrupted; what is known stands.
    Interrupted,
    /// A value of a knob makes no valid scenario.
    Invalid(String),
    /// A run failed.
    Run(RunError),
}

/// Runs what a search wants to know, and counts.
pub(super) struct Probe<'a> {
    pub(super) make: Maker<'a>,
    pub(super) observer: &'a dyn Observer,
    pub(super) show: Shown<'a>,
    pub(super) effort: Effort,
    /// Replications simulated so far, every design counted.
    pub(super) runs: u64,
    /// Looks taken so far.
    pub(super) looks: u32,
    pub(super) points: Vec<Point>,
}

impl Probe<'_> {
    /// Runs one place with `replications`, only the designs that `keep` names; all if none.
    pub(super) fn result(
        &mut self,
        values: &[Value],
        keep: &[&str],
        replications: u32,
    ) -> Result<RunResult, Stop> {
        let mut plan = (self.make)(values).map_err(Stop::Invalid)?;
        if !keep.is_empty() {
            plan.scenario.designs.retain(|name, _| keep.contains(&name.as_str()));
        }
        plan.scenario.run.replications = replications;
        let result = super::super::fold::run(&plan, self.observer).map_err(|why| match why {
            RunError::Interrupted { .. } => Stop::Interrupted,
            other => Stop::Run(other),
        })?;
        self.runs += u64::from(result.replications) * result.designs.len() as u64;
        if result.replications < replications {
            return Err(Stop::Interrupted);
        }
        Ok(result)
    }

    /// What the next look may err with.
    pub(super) fn next_alpha(&mut self) -> f64 {
        self.looks += 1;
        ALPHA * 6.0 / (std::f64::consts::PI * f64::from(self.looks)).powi(2)
    }

    /// Asks with more and more replications until `answer` decides, and notes what it said.
    pub(super) fn decide(
        &mut self,
        values: &[Value],
        keep: &[&str],
        answer: &dyn Fn(&RunResult, f64) -> (Decision, String),
    ) -> Result<Decision, Stop> {
        let mut replications = self.effort.least;
        loop {
            let result = self.result(values, keep, replications)?;
            let (decision, because) = answer(&result, self.next_alpha());
            if decision != Decision::Undecided || replications >= self.effort.most {
                self.points.push(Point {
                    values: values.to_vec(),
                    decision: decision.into(),
                    replications,
                    because,
                });
                return Ok(decision);
            }
            replications = replications.saturating_mul(2).min(self.effort.most);
        }
    }
}

/// Whether a design meets all thresholds, and what decided it.
pub(super) fn within(
    design: &DesignResult,
    thresholds: &[(String, String)],
    (alpha, n): (f64, u32),
    show: Shown,
) -> (Decision, String) {
    let mut decision = Decision::Yes;
    let mut because = String::new();
    // One answer out of several thresholds: each may err with its part.
    let alpha = alpha / thresholds.len().max(1) as f64;
    for (metric, expression) in thresholds {
        let Some(judged) = judge_at(design, metric, expression, alpha, n) else { continue };
        let seen = judged.observed.map_or("no such figure".into(), |e| show(metric, e.value));
        match judged.verdict {
            Verdict::Pass => {}
            Verdict::Fail => {
                let limit = design.bottleneck.as_ref().map_or(String::new(), |limit| {
                    format!("; first limit: {} of {}", limit.about, limit.node)
                });
                return (Decision::No, format!("{metric} {expression}: {seen}{limit}"));
            }
            Verdict::Undecided => {
                decision = Decision::Undecided;
                because = format!("{metric} {expression}: {seen}");
            }
        }
    }
    (decision, because)
}

/// Difference of a figure between two designs, a − b, at confidence 1 − `alpha`; none where one has no such figure.
pub(super) fn gap(
    a: &DesignResult,
    b: &DesignResult,
    metric: &str,
    alpha: f64,
) -> Option<Estimate> {
    let (a, b) = a.replicated(metric).zip(b.replicated(metric))?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    Some(mean(&differences).at_level(alpha, differences.len()))
}
