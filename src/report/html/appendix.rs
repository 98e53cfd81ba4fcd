//! The foot of the page: assumptions, validation, how to read the figures.

use super::framed;
use crate::experiment::result::{Assumption, RunResult};
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

/// What the figures mean and what would change them.
pub(super) fn method(result: &RunResult) -> Markup {
    html! {
        section id="method" aria-labelledby="method-title" {
            h2 id="method-title" { "How to read this" }
            ul {
                li { "Each design was simulated " (result.replications) " times, request by request. " @if let Some(own) = &result.precision { (capital(&precision(own))) ". " } "All designs face the same users with the same work in the same replication, so differences are paired." }
                li { "A figure in brackets is a 95 % confidence interval over replications (Student's t; order statistics for quantiles; at least the exact bounds of their number where few failed or few succeeded, which take failures to be independent: outages that come once in many runs cannot be bounded so). It says how sure the simulation is of its own figure, not how well the model fits a real system." }
                li { "Latency is that of successful requests from the first attempt's start to the last attempt's end. Quantiles come from histograms that are exact to 0.8 %, over time to 4.4 %." }
                li { "A design's bottleneck is the first limit to bind that caused at least 5 % of the failures, by refusing. Where more requests failed because their users had waited for too long, or none failed, it is the limit that made calls wait longest, or what is behind that one if it is why: a pool is full because the database is slow." }
                li { "Money is in " (result.prices.currency) " by the price table " (result.prices.name) " of " (result.prices.date) ". An unknown price would have stopped the run." }
            }
            p.facts {
                "Made by Headroom " (result.headroom) " · scenario digest " code { (result.scenario.digest) } " · seed " (result.seed)
                " · region " (result.scenario.region) ". The same three give the same bytes. Charts by uPlot (MIT licence, in this file's source)."
            }
        }
    }
}
