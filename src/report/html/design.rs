//! The section of one design: how it failed, what bound, figures over time, bill, nodes, classes of users.

use super::bill::bill;
use super::causes::{counterfactual, events, story};
use super::framed;
use super::summary::chart;
use crate::experiment::result::{
    Bottleneck, ClassRow, DesignResult, FailureRow, GaugeSeries, NodeRow,
};
use crate::report::format::{count, interval, seconds, share, time_interval};
use crate::report::words::{bottleneck, capital, outcome, steady};
use maud::{Markup, html};

/// Everything about one design.
pub(super) fn section(at: usize, design: &DesignResult, currency: &str) -> Markup {
    let id = format!("design-{at}");
    let title = format!("{id}-title");
    let (_, text) = outcome(design);
    html! {
        section.design id=(id) aria-labelledby=(title) {
            h2 id=(title) { (design.name) }
            p.lead {
                (capital(&text)) "."
                @if let Some(limit) = &design.bottleneck { " Bottleneck: " (bottleneck(limit)) "." }
            }
            (figures(design))
            @if let Some(text) = design.grows() { p { strong { "Not settled: " } (text) "." } }
            @if let Some(own) = &design.steady { p { "Steady state: " (steady(own)) "." } }
            (story(&design.story))
            (events(&design.incidents))
            (failures(&design.failures))
            (limits(&design.name, &design.limits))
            @if let Some(told) = &design.counterfactual {
                @let served = design.latency.count > 0;
                @let before = [Some(&design.success_rate), served.then_some(&design.latency.p95), served.then_some(&design.cost.per_user)];
                (counterfactual(told, before, currency))
            }
            h3 { "Over time" }
            p.note { "Numbered lines mark the moments of the list above." }
            (chart("outcomes", Some(at), None, "Requests per second", &peaks(design)))
            (chart("latency", Some(at), None, "Latency of successes: median, mean, and a band up to the 95th percentile", ""))
            div.grid {
                @for (i, gauge) in design.series.gauges.iter().enumerate() {
                    (chart("gauge", Some(at), Some(i), &format!("{} of {}", gauge.gauge, gauge.node), &gauge_text(gauge)))
                }
            }
            (bill(&design.name, &design.cost, currency))
            (nodes(&design.name, &design.nodes))
            (classes(&design.name, design.by_class()))
        }
    }
}

fn figures(design: &DesignResult) -> Markup {
    let l = &design.latency;
    let served = l.count > 0;
    let time = |e| if served { time_interval(e) } else { "–".to_owned() };
    let rows = [
        ("success", interval(&design.success_rate, share)),
        ("requests", interval(&design.requests, count)),
        ("users", interval(&design.users, count)),
        ("users served", interval(&design.users_served, count)),
        ("attempts per request", interval(&design.attempts_per_request, count)),
        ("unfinished", interval(&design.unfinished, count)),
        ("duration", time_interval(&design.duration)),
        ("successes per second", interval(&design.throughput, count)),
        ("latency, mean", time(&l.mean)),
        ("latency, p50", time(&l.p50)),
        ("latency, p90", time(&l.p90)),
        ("latency, p95", time(&l.p95)),
        ("latency, p99", time(&l.p99)),
        ("latency, p99.9", time(&l.p99_9)),
    ];
    html! { dl.figures { @for (name, text) in &rows { div { dt { (name) } dd { (text) } } } } }
}

fn failures(rows: &[FailureRow]) -> Markup {
    let most = rows.iter().map(|row| row.share.value).fold(0.0, f64::max);
    let width = |v: f64| format!("{:.1}", if most > 0.0 { v / most * 100.0 } else { 0.0 });
    let table = html! {
        table {
            caption { "Ways of failing, largest first; the counts sum to all failures" }
            thead { tr {
                @for head in ["Cause", "Node", "Status", "Share of requests", "Requests", "First at", "Put down to"] { th scope="col" { (head) } }
            } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.cause.replace('_', " ")) }
                        td { (row.node) }
                        td { @if row.status == 0 { "no answer" } @else { (row.status) } }
                        td.figure {
                            (interval(&row.share, share))
                            svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                                rect.failed x="0" y="0" width=(width(row.share.value)) height="6" {}
                            }
                        }
                        td.figure { (interval(&row.count, count)) }
                        td.figure { (seconds(row.since())) }
                        td.limit {
                            @match &row.blame {
                                Some(limit) if limit.how == "refused" => { (limit.about) " of " (limit.node) },
                                Some(limit) => { "waiting, most of all for " (limit.about) " of " (limit.node) },
                                None => "the cause itself",
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        h3 { "Failures by cause" }
        @if rows.is_empty() { p { "No request failed." } } @else { (framed("Failures by cause", &table)) }
    }
}

fn limits(design: &str, rows: &[Bottleneck]) -> Markup {
    let table = html! {
        table {
            caption { "Limits that bound, by first time; felt from the first refusal or the first failure by waiting on, or from when on 95 % of the waiting comes. A request is one call or many: its attempts, and the calls between nodes that it needs" }
            thead { tr {
                @for head in ["First at", "Felt from", "Node", "Limit", "In replications", "Calls failed", "Calls' waiting, summed"] { th scope="col" { (head) } }
            } }
            tbody {
                @for row in rows {
                    tr {
                        td.figure { (seconds(row.at)) }
                        td.figure { (seconds(row.since())) }
                        td { (row.node) }
                        th scope="row" { (row.about) }
                        td.figure { (share(row.bound_in)) }
                        td.figure { (interval(&row.failures, count)) }
                        td.figure { (time_interval(&row.waiting)) }
                    }
                }
            }
        }
    };
    html! {
        h3 { "Limits that bound" }
        @if rows.is_empty() { p { "No limit bound." } } @else { (framed(&format!("Limits of {design}"), &table)) }
    }
}

/// The chart of outcomes in words, for whoever does not see it.
fn peaks(design: &DesignResult) -> String {
    let s = &design.series;
    let peak = |values: &[f64]| {
        let best = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.filter(|(_, n)| **n > 0.0).map(|(i, n)| {
            let at = s.t.get(i).copied().unwrap_or_default();
            format!("{} per s at {}", count(n / s.bucket), seconds(at))
        })
    };
    let parts = [("started", &s.started), ("ok", &s.ok), ("failed", &s.failed)];
    let said: Vec<String> = parts
        .iter()
        .filter_map(|(name, values)| Some(format!("{name} {}", peak(values)?)))
        .collect();
    if said.is_empty() {
        "Nothing happened.".into()
    } else {
        format!("Peaks: {}.", said.join(", "))
    }
}

fn gauge_text(gauge: &GaugeSeries) -> String {
    let high = gauge.max.iter().copied().fold(0.0, f64::max);
    let limit = gauge.limit.map_or(String::new(), |limit| format!(", limit {}", count(limit)));
    format!("At most {}{limit}.", count(high))
}

fn nodes(design: &str, rows: &[NodeRow]) -> Markup {
    let table = html! {
        table {
            caption { "Nodes, per replication. Busy is the number of calls in progress; calls to a store are statements and new connections" }
            thead { tr {
                @for head in ["Node", "Kind", "Calls", "Ok", "Failed", "Busy, mean", "Busy, most", "Time at the node", "Counters"] { th scope="col" { (head) } }
            } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.name) }
                        td { (row.kind) }
                        td.figure { (count(row.arrived.value)) }
                        td.figure { (count(row.ok.value)) }
                        td.figure { (count(row.failed.value)) }
                        td.figure { (interval(&row.busy_mean, count)) }
                        td.figure { (count(row.busy_max)) }
                        td.figure { (time_interval(&row.time_mean)) }
                        td.counters {
                            @if row.connects.value > 0.0 {
                                "statements " (count(row.arrived.value - row.connects.value)) ", new connections " (count(row.connects.value))
                                @if !row.counters.is_empty() { ", " }
                            }
                            @for (i, counter) in row.counters.iter().enumerate() {
                                @if i > 0 { ", " } (counter.name.replace('_', " ")) " " (count(counter.value.value))
                            }
                        }
                    }
                }
            }
        }
    };
    html! { h3 { "Nodes" } (framed(&format!("Nodes of {design}"), &table)) }
}

fn classes(design: &str, rows: &[ClassRow]) -> Markup {
    if rows.is_empty() {
        return html! {};
    }
    let table = html! {
        table {
            caption { "Classes of users" }
            thead { tr { @for head in ["Class", "Users", "Requests", "Success", "p50", "p95", "p99", "Successes per s"] { th scope="col" { (head) } } } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.name) }
                        td.figure { (interval(&row.users, count)) }
                        td.figure { (interval(&row.requests, count)) }
                        td.figure { @if row.requests.value > 0.0 { (interval(&row.success_rate, share)) } @else { "–" } }
                        @for e in [&row.latency.p50, &row.latency.p95, &row.latency.p99] {
                            td.figure { @if row.latency.count > 0 { (time_interval(e)) } @else { "–" } }
                        }
                        td.figure { (interval(&row.throughput, count)) }
                    }
                }
            }
        }
    };
    html! { h3 { "Users" } (framed(&format!("Users of {design}"), &table)) }
}
