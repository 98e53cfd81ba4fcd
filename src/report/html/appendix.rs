//! The foot of the page: assumptions, validation, how to read the figures.

use super::framed;
use crate::experiment::result::{Assumption, RunResult};
use crate::experiment::verification::{Metric, Verification};
use crate::report::words::{capital, precision};
use maud::{Markup, html};

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
pub(super) fn validation(ledger: &Verification) -> Markup {
    let summary = ledger.summary;
    let table = html! {
        table {
            caption { "Predictions beside truth: known answers of theory, and systems that were measured" }
            thead { tr { @for head in ["Case", "Figure", "Predicted", "Observed", "Tolerance", "Within"] { th scope="col" { (head) } } } }
            @for case in &ledger.cases {
                tbody {
                    tr.node {
                        th scope="rowgroup" colspan="5" {
                            (case.id) " (" (case.kind) ") " (case.title)
                            @if let Some(note) = &case.note { " – " (note) }
                        }
                        td { (within(case.within)) }
                    }
                    @for metric in &case.metrics { (compared(metric)) }
                }
            }
        }
    };
    html! {
        section id="validation" aria-labelledby="validation-title" {
            h2 id="validation-title" { "Validation" }
            p {
                (summary.metrics_within) " of " (summary.metrics) " figures and " (summary.cases_within) " of "
                (summary.cases) " cases lie within their tolerance."
            }
            (framed("Validation", &table))
        }
    }
}

fn compared(metric: &Metric) -> Markup {
    let number = |value: Option<f64>| value.map_or("none".into(), short);
    html! {
        tr {
            td {}
            th.item scope="row" { (metric.name) }
            td.figure { (number(metric.predicted)) }
            td.figure {
                (number(metric.observed))
                @if let Some([low, high]) = metric.range { " (" (short(low)) " to " (short(high)) ")" }
            }
            td.figure { (short(metric.tolerance)) }
            td { (within(metric.within)) }
        }
    }
}

fn within(yes: bool) -> Markup {
    let (verdict, sign, word) =
        if yes { ("pass", "✓", "within") } else { ("fail", "✗", "outside") };
    html! { span.badge data-verdict=(verdict) { span aria-hidden="true" { (sign) } " " (word) } }
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
                li { "Each design was simulated " (result.replications) " times, request by request. " @if let Some(own) = &result.precision { (capital(&precision(own))) ". " } "All designs face the same users with the same work in the same replication, so differences are paired." }
                li { "A figure in brackets is a 95 % confidence interval over replications (Student's t; order statistics for quantiles; exact bounds where all or none succeeded). It says how sure the simulation is of its own figure, not how well the model fits a real system." }
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
