//! The foot of the page: assumptions, validation, how to read the figures.

use super::framed;
use crate::experiment::result::{Assumption, RunResult};
use maud::{Markup, html};
use serde_json::Value;

/// Every value that nobody measured or said; one that several fields share for one reason stands once.
pub(super) fn assumptions(result: &RunResult) -> Markup {
    let mut groups: Vec<(&Assumption, Vec<&str>)> = Vec::new();
    for row in &result.assumptions {
        match groups.iter_mut().find(|(first, _)| first.value == row.value && first.why == row.why)
        {
            Some((_, paths)) => paths.push(&row.path),
            None => groups.push((row, vec![&row.path])),
        }
    }
    let table = html! {
        table {
            caption { (result.assumptions.len()) " values that this run assumed, with the reason for each" }
            thead { tr { th scope="col" { "Field" } th scope="col" { "Value" } th scope="col" { "Why" } } }
            tbody {
                @for (row, paths) in &groups {
                    tr {
                        th.path scope="row" { @for path in paths { (breakable(path)) } }
                        td { code { (row.value) } }
                        td.why { (row.why) }
                    }
                }
            }
        }
    };
    html! {
        section id="assumptions" aria-labelledby="assumptions-title" {
            h2 id="assumptions-title" { "Assumptions" }
            @if result.assumptions.is_empty() { p { "The scenario and its sources say every value that was used." } }
            @else { (framed("Assumptions", &table)) }
        }
    }
}

/// A long path that may break after its dots.
fn breakable(path: &str) -> Markup {
    html! {
        code { @for (i, part) in path.split('.').enumerate() { @if i > 0 { "." wbr; } (part) } } " "
    }
}

/// What `headroom verify` found: predictions beside measured and known truths.
pub(super) fn validation(ledger: &Value) -> Markup {
    let none = Vec::new();
    let cases = ledger["cases"].as_array().unwrap_or(&none);
    let summary = &ledger["summary"];
    let table = html! {
        table {
            caption { "Predictions beside truth: known answers of theory, and systems that were measured" }
            thead { tr { @for head in ["Case", "Kind", "Figure", "Predicted", "Observed", "Tolerance", "Within"] { th scope="col" { (head) } } } }
            @for case in cases {
                tbody {
                    @for metric in case["metrics"].as_array().unwrap_or(&none) {
                        tr {
                            th scope="row" { (text(&case["id"])) } td { (text(&case["kind"])) } td { (text(&metric["name"])) }
                            td.figure { (text(&metric["predicted"])) } td.figure { (text(&metric["observed"])) }
                            td.figure { (text(&metric["tolerance"])) } td { (within(&metric["within"])) }
                        }
                    }
                }
            }
        }
    };
    html! {
        section id="validation" aria-labelledby="validation-title" {
            h2 id="validation-title" { "Validation" }
            p {
                (text(&summary["metrics_within"])) " of " (text(&summary["metrics"])) " figures and "
                (text(&summary["cases_within"])) " of " (text(&summary["cases"])) " cases lie within their tolerance."
            }
            (framed("Validation", &table))
        }
    }
}

fn within(value: &Value) -> Markup {
    match value.as_bool() {
        Some(true) => {
            html! { span.badge data-verdict="pass" { span aria-hidden="true" { "✓" } " within" } }
        }
        Some(false) => {
            html! { span.badge data-verdict="fail" { span aria-hidden="true" { "✗" } " outside" } }
        }
        None => html! { (text(value)) },
    }
}

/// A value of the ledger: a number, an estimate with its interval, a list or a word.
fn text(value: &Value) -> String {
    let number = |value: &Value| value.as_f64().map(short);
    match value {
        Value::Null => "–".into(),
        Value::String(word) => word.clone(),
        Value::Number(_) => number(value).unwrap_or_default(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" to "),
        Value::Object(fields) => {
            match (number(&value["value"]), number(&value["low"]), number(&value["high"])) {
                (Some(value), Some(low), Some(high)) => format!("{value} [{low}, {high}]"),
                _ => fields
                    .iter()
                    .map(|(k, v)| format!("{k} {}", text(v)))
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        }
        Value::Bool(yes) => yes.to_string(),
    }
}

/// Four significant digits, whole numbers whole.
fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value}");
    }
    let digits = (3.0 - libm::floor(libm::log10(value.abs()))).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$}")
}

/// What the figures mean and what would change them.
pub(super) fn method(result: &RunResult) -> Markup {
    html! {
        section id="method" aria-labelledby="method-title" {
            h2 id="method-title" { "How to read this" }
            ul {
                li { "Each design was simulated " (result.replications) " times, request by request. All designs face the same users with the same work in the same replication, so differences are paired." }
                li { "A figure in brackets is a 95 % confidence interval over replications (Student's t; order statistics for quantiles; Wilson where all or none succeeded). It says how sure the simulation is of its own figure, not how well the model fits a real system." }
                li { "Latency is that of successful requests from the first attempt's start to the last attempt's end. Quantiles come from histograms that are exact to 0.8 %, over time to 9 %." }
                li { "A design's first bottleneck is the first limit to bind that caused at least 5 % of the failures, or of the waiting where nothing failed." }
                li { "Money is in " (result.prices.currency) " by the price table " (result.prices.name) " of " (result.prices.date) ". An unknown price would have stopped the run." }
            }
            p.facts {
                "Made by Headroom " (result.headroom) " · scenario digest " code { (result.scenario.digest) } " · seed " (result.seed)
                " · region " (result.scenario.region) ". The same three give the same bytes. Charts by uPlot (MIT licence, in this file's source)."
            }
        }
    }
}
