//! Why it went so: the story in order of time, the design without its bottleneck, what assumed values do.

use super::framed;
use crate::experiment::result::{
    Change, Counterfactual, Difference, Estimate, Incident, Moment, RunResult, Sensitivity, Varied,
    Verdict,
};
use crate::report::format::{TimeUnit, difference, interval, money, seconds, share, time_interval};
use crate::report::words::{below_design, bottleneck, incident, moves};
use maud::{Markup, html};

/// What happened, numbered as the charts mark it.
pub(super) fn story(moments: &[Moment]) -> Markup {
    html! {
        h3 { "What happened" }
        @if moments.is_empty() { p { "Nothing." } } @else {
            ol.story {
                @for moment in moments {
                    li data-kind=(moment.kind) { strong { (seconds(moment.at)) } " " (moment.text) }
                }
            }
        }
    }
}

/// What each event cost.
pub(super) fn events(incidents: &[Incident]) -> Markup {
    html! {
        @if !incidents.is_empty() {
            h3 { "What events cost" }
            ul { @for own in incidents { li { strong { (seconds(own.at)) } " " (incident(own)) } } }
        }
    }
}

/// A difference with its sign.
pub(super) fn signed(row: &Difference, currency: &str) -> String {
    let size = |v: f64, text: String| if v < 0.0 { format!("-{text}") } else { format!("+{text}") };
    let unit = TimeUnit::of(&row.difference);
    difference(&row.difference, |v| match row.metric.as_str() {
        "success_rate" => format!("{:+.2} points", v * 100.0),
        metric if metric.starts_with("cost") => size(v, money(v.abs(), currency)),
        _ => size(v, unit.show(v.abs())),
    })
}

/// The design with its bottleneck lifted, beside itself.
pub(super) fn counterfactual(
    told: &Counterfactual,
    before: [Option<&Estimate>; 3],
    currency: &str,
) -> Markup {
    let table = html! {
        table {
            caption { "With and without this limit, under the same users; the difference is paired by replication" }
            thead { tr { @for head in ["Figure", "As it is", "Lifted", "Difference"] { th scope="col" { (head) } } } }
            tbody {
                @let served = told.latency.count > 0;
                @let rows = [
                    ("success_rate", "Success", before[0], Some(&told.success_rate)),
                    ("latency_p95", "p95 of successes", before[1], served.then_some(&told.latency.p95)),
                    ("cost_per_user", "Cost per user", before[2], served.then_some(&told.cost_per_user)),
                ];
                @for (metric, name, was, is) in rows {
                    @let show = |e: Option<&Estimate>| e.map_or("–".to_owned(), |e| match metric {
                        "success_rate" => interval(e, share),
                        "latency_p95" => time_interval(e),
                        _ => interval(e, |v| money(v, currency)),
                    });
                    tr {
                        th scope="row" { (name) }
                        td.figure { (show(was)) } td.figure { (show(is)) }
                        td.figure {
                            @match told.differences.iter().find(|row| row.metric == metric) {
                                Some(row) => { (signed(row, currency)) @if !row.significant { " (not shown)" } },
                                None => "–",
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        h3 { "If " (told.about) " of " (told.node) " were lifted" }
        @if let Some(why) = &told.refused {
            p { "Not tried: " (why) "." }
        } @else {
            (framed("With and without the bottleneck", &table))
            p {
                @match &told.next {
                    Some(next) => { "The next limit would then be " (bottleneck(next)) "." },
                    None => "No other limit would then bind.",
                }
                " Changed for this: " @for (i, change) in told.changes.iter().enumerate() { @if i > 0 { ", " } (changed(change)) } "."
            }
        }
    }
}

fn changed(change: &Change) -> Markup {
    html! { code { (change.path) } " from " code { (change.from) } " to " code { (change.to) } }
}

/// How much each assumed value matters: a tornado a design.
pub(super) fn sensitivity(result: &RunResult) -> Markup {
    if result.sensitivity.is_empty() {
        return html! {};
    }
    html! {
        section id="sensitivity" aria-labelledby="sensitivity-title" {
            h2 id="sensitivity-title" { "Which assumptions matter" }
            p { "Each assumed figure halved and doubled, one at a time, under the same users. Latency and cost change by a share of what they were." }
            @for design in &result.designs {
                @let rows: Vec<&Sensitivity> = result.sensitivity.iter().filter(|row| row.design == design.name).collect();
                @let (moving, still): (Vec<&Sensitivity>, Vec<&Sensitivity>) = rows.into_iter().partition(|row| moves(row));
                h3 { (design.name) }
                @if moving.is_empty() { p { "No assumed figure changes success, p95 or cost per user of this design." } }
                @else { (framed(&format!("Assumptions of {}", design.name), &tornado(&moving))) }
                @if !moving.is_empty() && !still.is_empty() {
                    p.note { "Without an effect that is shown: " @for (i, row) in still.iter().enumerate() { @if i > 0 { ", " } (below_design(&row.path)) } "." }
                }
            }
        }
    }
}

fn tornado(rows: &[&Sensitivity]) -> Markup {
    html! {
        table {
            caption { "Change of the design's figures, largest first. Bars reach from ×0.5 (light) to ×2 (dark) around no change" }
            thead { tr { @for head in ["Assumed value", "Then", "Success", "p95", "Cost per user", "Verdicts that turn"] { th scope="col" { (head) } } } }
            @for row in rows {
                tbody {
                    @for (i, side) in row.sides.iter().enumerate() {
                        tr {
                            @if i == 0 { th.path scope="rowgroup" rowspan=(row.sides.len()) { code { (below_design(&row.path)) } " " (row.value) } }
                            td { "×" (side.factor) ": " (side.value) }
                            @if let Some(why) = &side.refused { td colspan="4" { "not allowed: " (why) } }
                            @else { (cells(rows, side)) }
                        }
                    }
                }
            }
        }
    }
}

/// One figure of a varied design.
type Figure = fn(&Varied) -> Option<Estimate>;

fn cells(rows: &[&Sensitivity], side: &Varied) -> Markup {
    let figures: [Figure; 3] = [|v| v.success_rate, |v| v.latency_p95, |v| v.cost_per_user];
    let percent = |v: f64| format!("{:+.2}", v * 100.0);
    html! {
        @for (i, of) in figures.iter().enumerate() {
            @let widest = rows.iter().flat_map(|row| &row.sides).filter_map(of).map(|e| e.value.abs()).fold(0.0, f64::max);
            td.figure {
                @match of(side) {
                    None => "–",
                    Some(e) if e.value == 0.0 && e.low == 0.0 && e.high == 0.0 => "0",
                    Some(e) => {
                        (difference(&e, percent)) @if i == 0 { " points" } @else { " %" }
                        (bar(e.value, widest, side.factor))
                    },
                }
            }
        }
        td { @for row in &side.verdicts { code { (row.subject()) " " (row.expression) } ": " (word(row.verdict)) " " } }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Undecided => "undecided",
    }
}

/// A bar from the middle, to the left for less and to the right for more.
fn bar(value: f64, widest: f64, factor: f64) -> Markup {
    let width = if widest > 0.0 { value.abs() / widest * 50.0 } else { 0.0 };
    let from = if value < 0.0 { 50.0 - width } else { 50.0 };
    let class = if factor < 1.0 { "less" } else { "more" };
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect.ground x="0" y="0" width="100" height="6" {}
            rect class=(class) x=(format!("{from:.1}")) y="0" width=(format!("{width:.1}")) height="6" {}
            rect.range x="49.8" y="0" width="0.4" height="6" {}
        }
    }
}
