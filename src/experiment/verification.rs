//! Predictions beside the truth: the result of `headroom verify`, plain data under the code that fills it and the reports
//! that read it.

use serde::{Deserialize, Serialize};

/// Everything that was checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The cases in the order in which they were checked.
    pub cases: Vec<Case>,
    /// How many hold.
    pub summary: Summary,
}

/// One case: a theorem, a measurement, a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What kind of truth it is: `oracle`, `measured`, `lambda-log`, `hpa`.
    pub kind: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What was compared.
    pub metrics: Vec<Metric>,
    /// Whether every metric is within its tolerance.
    pub within: bool,
    /// Why there is no prediction, or what to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One figure, predicted and true. Times in seconds, shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What the simulator says; none if it has no such figure (no request succeeded, say).
    pub predicted: Option<f64>,
    /// What is true.
    pub observed: Option<f64>,
    /// By how much they may differ.
    pub tolerance: f64,
    /// Smallest and largest truth, where repetitions of the measurement differ by a race.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Whether the prediction lies within the tolerance.
    pub within: bool,
}

/// How many hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Figures compared.
    pub metrics: usize,
    /// Of them, how many are within their tolerance.
    pub metrics_within: usize,
    /// Cases.
    pub cases: usize,
    /// Of them, in how many every figure is.
    pub cases_within: usize,
}

impl Metric {
    /// Compares a prediction with one true value.
    pub fn near(name: &str, predicted: f64, observed: f64, tolerance: f64) -> Metric {
        Metric {
            name: name.into(),
            predicted: Some(predicted),
            observed: Some(observed),
            tolerance,
            range: None,
            within: (predicted - observed).abs() <= tolerance,
        }
    }
}

impl Case {
    /// A case from its metrics.
    pub fn new(id: &str, kind: &str, title: &str, metrics: Vec<Metric>) -> Case {
        Case {
            id: id.into(),
            kind: kind.into(),
            title: title.into(),
            within: metrics.iter().all(|metric| metric.within),
            metrics,
            note: None,
        }
    }

    /// A case that could not be predicted: it counts as missed.
    pub fn failed(id: &str, kind: &str, title: &str, why: String) -> Case {
        Case { within: false, note: Some(why), ..Case::new(id, kind, title, Vec::new()) }
    }
}

impl Verification {
    /// Counts what holds.
    pub fn new(cases: Vec<Case>) -> Verification {
        let metrics = || cases.iter().flat_map(|case| &case.metrics);
        let summary = Summary {
            metrics: metrics().count(),
            metrics_within: metrics().filter(|metric| metric.within).count(),
            cases: cases.len(),
            cases_within: cases.iter().filter(|case| case.within).count(),
        };
        Verification { cases, summary }
    }
}
