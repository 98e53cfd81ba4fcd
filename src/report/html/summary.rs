//! The top of the page: verdicts, designs side by side, charts of all designs, paired differences.

use super::causes::signed;
use super::framed;
use crate::experiment::result::{DesignResult, Estimate, RunResult, Verdict};
use crate::report::format::{count, interval, money, share, time_interval};
use crate::report::words::{bottleneck, capital, outcome};
use maud::{Markup, html};

/// Thresholds first: what was demanded, and whether it holds.
pub(super) fn verdicts(result: &RunResult) -> Markup {
    html! {
        section id="verdicts" aria-labelledby="verdicts-title" {
            h2 id="verdicts-title" { "Verdicts" }
            div.cards {
                @for (at, design) in result.designs.iter().enumerate() { (card(result, at, design)) }
            }
            @if result.thresholds.is_empty() {
                p.note { "The scenario has no thresholds: nothing was demanded, so nothing can fail." }
            } @else {
                (thresholds(result))
            }
        }
    }
}

fn card(result: &RunResult, at: usize, design: &DesignResult) -> Markup {
    let own = || result.thresholds.iter().filter(|row| row.design == design.name);
    let worst = own().map(|row| row.verdict).max_by_key(|verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Undecided => 1,
        Verdict::Fail => 2,
    });
    let (_, text) = outcome(design);
    html! {
        article.card data-verdict=(worst.map_or("none", word)) {
            h3 { a href={ "#design-" (at) } { (design.name) } }
            @if let Some(worst) = worst {
                p { (badge(worst)) " " (own().filter(|row| row.verdict == Verdict::Pass).count()) " of " (own().count()) " thresholds met" }
            }
            p { (capital(&text)) "." }
            @if let Some(limit) = &design.bottleneck { p { "Bottleneck: " (bottleneck(limit)) "." } }
            @if let Some(text) = design.grows() { p { strong { "Not settled: " } (text) "." } }
            @if design.latency.count > 0 {
                p { (money(design.cost.per_user.value, &result.prices.currency)) " per user with at least one success." }
            }
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Undecided => "undecided",
    }
}

/// A verdict as sign and word, so that colour is never the only carrier.
fn badge(verdict: Verdict) -> Markup {
    let sign = match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Undecided => "?",
    };
    html! { span.badge data-verdict=(word(verdict)) { span aria-hidden="true" { (sign) } " " (word(verdict)) } }
}

fn thresholds(result: &RunResult) -> Markup {
    let show = |metric: &str, e: &Estimate| match metric {
        "latency" | "latency_all" => time_interval(e),
        "throughput" => format!("{} per s", interval(e, count)),
        cost if cost.starts_with("cost") => interval(e, |v| money(v, &result.prices.currency)),
        _ => interval(e, share),
    };
    framed(
        "Thresholds",
        &html! {
            table {
                caption { "Thresholds: pass and fail are said only where the whole interval agrees" }
                thead { tr { th scope="col" { "Verdict" } th scope="col" { "Design" } th scope="col" { "Threshold" } th scope="col" { "Observed" } } }
                tbody {
                    @for row in &result.thresholds {
                        tr {
                            td { (badge(row.verdict)) }
                            th scope="row" { (row.design) }
                            td { code { (row.subject()) " " (row.expression) } }
                            td { @match &row.observed { Some(e) => (show(&row.metric, e)), None => "nothing to judge" } }
                        }
                    }
                }
            }
        },
    )
}

/// A figure with its interval below it, so that ten of them stand side by side.
fn stacked(text: &str) -> Markup {
    let (value, range) = text.split_once(" [").map_or((text, None), |(v, r)| (v, Some(r)));
    html! { (value) @if let Some(range) = range { " " span.range { "[" (range) } } }
}

/// One row a design, with intervals.
pub(super) fn designs(result: &RunResult) -> Markup {
    let paid = |e: &Estimate| interval(e, |v| money(v, &result.prices.currency));
    let success = Span::of(result.designs.iter().map(|d| &d.success_rate), Axis::Share);
    let p95 = Span::of(result.designs.iter().map(|d| &d.latency.p95), Axis::Log);
    let cost = Span::of(result.designs.iter().map(|d| &d.cost.per_user), Axis::Log);
    let table = html! {
        table.side {
            caption { "Designs side by side. The bars show value and interval; those of p95 and cost are on logarithmic axes" }
            thead { tr {
                @for head in ["Design", "Success", "p50", "p95", "p99", "Successes per s", "Cost per user served", "Cost per successful request", "Cost per month", "Bottleneck"] {
                    th scope="col" { (head) }
                }
            } }
            tbody {
                @for design in &result.designs {
                    @let served = design.latency.count > 0;
                    tr {
                        th scope="row" { (design.name) }
                        td.figure { (stacked(&interval(&design.success_rate, share))) (success.bar(&design.success_rate)) }
                        @if served {
                            td.figure { (stacked(&time_interval(&design.latency.p50))) }
                            td.figure { (stacked(&time_interval(&design.latency.p95))) (p95.bar(&design.latency.p95)) }
                            td.figure { (stacked(&time_interval(&design.latency.p99))) }
                        } @else {
                            @for _ in 0..3 { td.figure { "–" } }
                        }
                        td.figure { (stacked(&interval(&design.throughput, count))) }
                        td.figure.money {
                            @if served { (stacked(&paid(&design.cost.per_user))) (cost.bar(&design.cost.per_user)) } @else { "–" }
                        }
                        td.figure.money {
                            @if served { (stacked(&paid(&design.cost.per_request))) } @else { "–" }
                        }
                        td.figure.money { (stacked(&paid(&design.cost.monthly))) }
                        td.limit { @match &design.bottleneck { Some(limit) => (bottleneck(limit)), None => "none" } }
                    }
                }
            }
        }
    };
    html! {
        section id="designs" aria-labelledby="designs-title" {
            h2 id="designs-title" { "Designs side by side" }
            (framed("Designs side by side", &table))
        }
    }
}

/// How a figure becomes a place between 0 and 1.
#[derive(Clone, Copy)]
enum Axis {
    Share,
    Log,
}

/// The range of a figure over the designs.
struct Span {
    axis: Axis,
    low: f64,
    high: f64,
}

impl Span {
    fn of<'a>(figures: impl Iterator<Item = &'a Estimate>, axis: Axis) -> Span {
        let values = figures.flat_map(|e| [e.low, e.value, e.high]).filter(|v| *v > 0.0);
        let (low, high) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        match axis {
            Axis::Share => Span { axis, low: 0.0, high: 1.0 },
            Axis::Log => Span { axis, low: low / 2.0, high },
        }
    }

    fn place(&self, value: f64) -> f64 {
        let place = match self.axis {
            Axis::Share => value,
            Axis::Log if value <= 0.0 || !self.low.is_finite() || self.high <= self.low => 0.0,
            Axis::Log => libm::log(value / self.low) / libm::log(self.high / self.low),
        };
        place.clamp(0.0, 1.0) * 100.0
    }

    /// A bar to the value with the interval at its end; the figures beside it say the same.
    fn bar(&self, e: &Estimate) -> Markup {
        let (value, low, high) = (self.place(e.value), self.place(e.low), self.place(e.high));
        let px = |v: f64| format!("{v:.1}");
        html! {
            svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                rect.ground x="0" y="0" width="100" height="6" {}
                rect.value x="0" y="1" width=(px(value)) height="4" {}
                rect.range x=(px(low.min(99.2))) y="0" width=(px((high - low).max(0.8))) height="6" {}
            }
        }
    }
}

/// Charts that compare all designs over time.
pub(super) fn charts(result: &RunResult) -> Markup {
    if result.designs.len() < 2 {
        return html! {};
    }
    html! {
        section aria-labelledby="time-title" {
            h2 id="time-title" { "All designs over time" }
            (help())
            (chart("compare-ok", None, None, "Successes per second, every design", ""))
            (chart("compare-latency", None, None, "Latency of successes over time: median, and a band up to the 95th percentile", ""))
        }
    }
}

fn help() -> Markup {
    html! {
        p.note id="chart-help" {
            "In a chart: drag to zoom, double-click to see all. By keyboard: arrows move the reading line, "
            kbd { "+" } " and " kbd { "−" } " zoom around it, " kbd { "0" } " shows all. Each chart has its data as a table."
        }
    }
}

/// A place for a chart; the script draws it from the result that the page carries.
pub(super) fn chart(
    kind: &str,
    design: Option<usize>,
    gauge: Option<usize>,
    title: &str,
    text: &str,
) -> Markup {
    html! {
        figure.chart data-chart=(kind) data-design=[design] data-gauge=[gauge] data-title=(title) {
            figcaption { strong { (title) } @if !text.is_empty() { " " (text) } }
        }
    }
}

/// Paired differences against the first design.
pub(super) fn differences(result: &RunResult) -> Markup {
    let Some(baseline) = result.differences.first().map(|row| &row.baseline) else {
        return html! {};
    };
    let table = html! {
        table {
            caption { "Every design against " (baseline) ", paired by replication: both face the same users" }
            thead { tr { th scope="col" { "Design" } th scope="col" { "Figure" } th scope="col" { "Difference" } th scope="col" { "Shown?" } } }
            tbody {
                @for row in &result.differences {
                    tr {
                        th scope="row" { (row.design) }
                        td { (row.metric.replace('_', " ")) }
                        td.figure { (signed(row, &result.prices.currency)) }
                        td { @if row.significant { "yes" } @else { "no: the interval holds zero" } }
                    }
                }
            }
        }
    };
    html! {
        section aria-labelledby="differences-title" {
            h2 id="differences-title" { "Differences" }
            (framed("Differences", &table))
        }
    }
}
