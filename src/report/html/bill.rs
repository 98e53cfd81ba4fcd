//! The bill as a tree: nodes, their items, the total; what was idle or wasted stands apart.

use super::framed;
use crate::experiment::result::{Cost, CostLine};
use crate::report::format::{interval, money};
use crate::report::words::{NOT_BILLED, unit};
use maud::{Markup, html};

/// The bill of one design.
pub(super) fn bill(design: &str, cost: &Cost, currency: &str) -> Markup {
    let mut nodes: Vec<&str> = Vec::new();
    for line in &cost.lines {
        if !nodes.contains(&line.node.as_str()) {
            nodes.push(&line.node);
        }
    }
    let most = cost.lines.iter().map(|line| line.amount).fold(0.0, f64::max);
    let sum: f64 = cost.lines.iter().map(|line| line.amount).sum();
    let monthly: f64 = cost.lines.iter().map(|line| line.monthly).sum();
    let paid = |v: f64| money(v, currency);
    let table = html! {
        table.bill {
            caption { "Bill of the simulated window, mean over replications" }
            thead { tr {
                th scope="col" { "Node and item" } th scope="col" { "Quantity" } th scope="col" { "Amount" }
                th scope="col" { "of it idle" } th scope="col" { "Per month" } th scope="col" aria-hidden="true" {}
            } }
            @for node in nodes {
                @let own: Vec<&CostLine> = cost.lines.iter().filter(|line| line.node == node).collect();
                @let total = |of: fn(&CostLine) -> f64| own.iter().map(|line| of(line)).sum::<f64>();
                tbody {
                    tr.node {
                        th scope="rowgroup" { (node) } td {}
                        td.figure { (paid(total(|l| l.amount))) } td.figure { (paid(total(|l| l.idle))) }
                        td.figure { (paid(total(|l| l.monthly))) } td {}
                    }
                    @for line in &own { (row(line, most, currency)) }
                }
            }
            tfoot {
                tr {
                    th scope="row" { "Total, the sum of the lines" } td {}
                    td.figure { (paid(sum)) } td.figure { (paid(cost.idle.value)) }
                    td.figure { (paid(monthly)) } td {}
                }
            }
        }
    };
    let figures = [
        ("total", &cost.total),
        ("per user served", &cost.per_user),
        ("per successful request", &cost.per_request),
        ("per month", &cost.monthly),
        ("reserved but idle", &cost.idle),
        ("spent on failed or repeated work", &cost.wasted),
    ];
    let month = cost.per_user_monthly.as_ref().map(|e| ("per user served, over a month", e));
    html! {
        h3 { "What it costs" }
        dl.figures {
            @for (name, e) in figures.into_iter().chain(month) { div { dt { (name) } dd { (interval(e, paid)) } } }
        }
        (framed(&format!("Bill of {design}"), &table))
        p.note { (NOT_BILLED) }
    }
}

fn row(line: &CostLine, most: f64, currency: &str) -> Markup {
    let width = |v: f64| format!("{:.1}", if most > 0.0 { v / most * 100.0 } else { 0.0 });
    html! {
        tr {
            th.item scope="row" { (line.item) }
            td.figure { (format!("{} {}", quantity(line.quantity), unit(line))) }
            td.figure { (money(line.amount, currency)) }
            td.figure { @if line.reserved { (money(line.idle, currency)) } @else { "by use" } }
            td.figure { (money(line.monthly, currency)) }
            td {
                svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                    rect.value x="0" y="0" width=(width(line.amount)) height="6" {}
                    rect.idle x="0" y="0" width=(width(line.idle)) height="6" {}
                }
            }
        }
    }
}

fn quantity(value: f64) -> String {
    crate::report::format::count(value)
}
