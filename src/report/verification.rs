//! A verification as a table and as JSON.

use crate::experiment::verification::{Metric, Verification};
use std::fmt::Write as _;

/// The machine-readable form.
pub fn verification_json(result: &Verification) -> String {
    let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
    text.push('\n');
    text
}

/// One line a figure, cases that are missed marked; then the sums.
pub fn verification(result: &Verification, width: usize) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, result, width);
    out
}

fn write(out: &mut String, result: &Verification, width: usize) -> std::fmt::Result {
    for case in &result.cases {
        let mark = if case.within { "ok  " } else { "MISS" };
        let room = width.saturating_sub(12 + case.id.chars().count() + case.kind.len()).max(20);
        let title: String = case.title.chars().take(room).collect();
        writeln!(out, "{mark} {} ({}) {title}", case.id, case.kind)?;
        if let Some(note) = &case.note {
            writeln!(out, "       {note}")?;
        }
        for metric in &case.metrics {
            writeln!(out, "{}", line(metric))?;
        }
    }
    let s = result.summary;
    writeln!(
        out,
        "{} of {} figures within tolerance, {} of {} cases with all of them",
        s.metrics_within, s.metrics, s.cases_within, s.cases
    )
}

fn line(metric: &Metric) -> String {
    let number = |value: Option<f64>| value.map_or("none".into(), |v| format!("{v:.4}"));
    let range =
        metric.range.map_or(String::new(), |[low, high]| format!(" in {low:.4}..{high:.4}"));
    format!(
        "  {} {:34} predicted {:>12}  observed {:>12}{range}  tolerance {:.4}",
        if metric.within { "  " } else { "->" },
        metric.name,
        number(metric.predicted),
        number(metric.observed),
        metric.tolerance
    )
}
