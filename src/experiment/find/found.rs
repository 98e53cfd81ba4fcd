//! What a search found: the machine-readable answer of `headroom find`.

use super::boundary::Decision;
use super::grid::plain;
use crate::experiment::backlog::{GROWS, LONGER};
use crate::experiment::result::{DesignResult, Estimate, ScenarioRef};
use serde::Serialize;
use serde_json::Value;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Version of this layout.
    pub schema_version: u32,
    /// Version of the program.
    pub headroom: String,
    /// Scenario that was varied.
    pub scenario: ScenarioRef,
    /// Seed; every place sees the same users.
    pub seed: u64,
    /// What was asked: `max`, `min`, `break_even` or `cheapest`.
    pub question: &'static str,
    /// Paths that were varied.
    pub paths: Vec<String>,
    /// What had to be met, or by which figure designs were compared.
    pub criterion: Vec<String>,
    /// Confidence that no answer below is wrong.
    pub confidence: f64,
    /// One a design; for `break_even` one in all.
    pub answers: Vec<Answer>,
    /// Replications simulated, every design counted.
    pub runs: u64,
    /// Whether the search was stopped before its end.
    pub interrupted: bool,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There is an answer.
    Found,
    /// Not even the easiest place of the range will do.
    None,
    /// The whole range will do.
    All,
    /// Replications do not tell: more are needed, or there is no difference.
    Undecided,
}

/// The answer for one design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Design, or both for a break-even.
    pub design: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer: the value of each path.
    pub values: Vec<Value>,
    /// The nearest value that is surely beyond the answer; the truth lies between.
    pub beyond: Option<Value>,
    /// The answer in numbers, with the interval from what surely holds to what surely does not.
    pub estimate: Option<Estimate>,
    /// What cannot be told from the answer: other values that may be as good.
    pub indistinguishable: Vec<Vec<Value>>,
    /// In a sentence.
    pub text: String,
    /// What makes the answer doubtful, each with its code; `headroom explain CODE` says more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Every place that was looked at.
    pub points: Vec<Point>,
}

/// What makes an answer doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Code of the catalogue.
    pub code: &'static str,
    /// What was found.
    pub text: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Warning {
    /// That requests in flight grow until the load ends, at an answer; none where they do not.
    pub(super) fn of(design: &DesignResult, at: &[Value]) -> Option<Warning> {
        let at: Vec<String> = at.iter().map(plain).collect();
        let text = format!("at {} of {}: {}", at.join(", "), design.name, design.grows()?);
        Some(Warning { code: GROWS, text, remedy: LONGER })
    }
}

/// A place that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The value of each path.
    pub values: Vec<Value>,
    /// `yes`, `no` or `undecided`.
    pub decision: &'static str,
    /// Replications it took.
    pub replications: u32,
    /// What decided it.
    pub because: String,
}

impl From<Decision> for &'static str {
    fn from(decision: Decision) -> &'static str {
        match decision {
            Decision::Yes => "yes",
            Decision::No => "no",
            Decision::Undecided => "undecided",
        }
    }
}
