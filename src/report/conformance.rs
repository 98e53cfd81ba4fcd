//! Conformance of the autoscaler as a table and as JSON.

use crate::experiment::verify::hpa::{HpaJudged, HpaVerification};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value;

/// The machine-readable form, with a trailing newline.
pub fn conformance_json(result: &HpaVerification) -> String {
    let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
    text.push('\n');
    text
}

/// A row a case, then the sums.
pub fn conformance(result: &HpaVerification) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(vec![
        Cell::new("case"),
        right("desired"),
        right("expected"),
        Cell::new("reason"),
        Cell::new("expected"),
        Cell::new("verdict"),
    ]);
    for case in &result.cases {
        let mut cells = vec![Cell::new(&case.id)];
        for figure in &case.metrics {
            let number = figure.name == "desired_replicas";
            for value in [&figure.predicted, &figure.observed] {
                let text = shown(value);
                cells.push(if number { right(&text) } else { Cell::new(text) });
            }
        }
        cells.push(Cell::new(verdict(case)));
        table.add_row(cells);
    }
    let rows: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let s = result.summary;
    format!(
        "{}\n\n{} of {} figures and {} of {} cases agree\n",
        rows.join("\n"),
        s.metrics_within,
        s.metrics,
        s.cases_within,
        s.cases
    )
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn verdict(case: &HpaJudged) -> String {
    if case.within {
        return "agrees".into();
    }
    match case.problems.first() {
        Some(problem) => format!("DIFFERS ({problem})"),
        None => "DIFFERS".into(),
    }
}
