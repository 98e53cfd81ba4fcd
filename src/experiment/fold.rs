//! Replications to a result: estimates over replications, in their order, so that threads do not matter.

use super::backlog::backlog;
use super::blame::blame;
use super::differences::{IF_LATE, IF_LOST, IF_SERVED, differences};
use super::estimate::{linearised, mean, ordered, quantile, ratio, share, with_open};
use super::fixed;
use super::incidents::incidents;
use super::judge::{OPEN_IN_A_MEAN, judge};
use super::limits::{Toll, bottleneck, felt_at_failures, limits, median};
use super::plan::Plan;
use super::replicate::{Observer, RunError, replicate};
use super::result::{
    ClassRow, Cost, CostLine, Counter, DesignResult, Estimate, FailureRow, Interrupted, Latency,
    NodeRow, PER_USER, PER_USER_MONTHLY, PriceRef, Replicated, RunResult, SCHEMA_VERSION,
};
use super::series::series;
use super::steady::steady;
use super::story::story;
use crate::kernel::Histogram;
use crate::model::ledger::ClassLedger;
use crate::model::message::Cause;
use crate::model::world::{DesignSpec, Outturn};
use crate::price::{Bill, BillOptions, MONTH_HOURS, MonthProfile, bill};
use crate::scenario::behind;
use std::collections::{BTreeMap, BTreeSet};

/// Runs a plan.
///
/// # Errors
/// See [`RunError`].
pub fn run(plan: &Plan, observer: &dyn Observer) -> Result<RunResult, RunError> {
    fold(plan, &replicate(plan, observer)?)
}

/// Replications of every design to a result.
pub(super) fn fold(plan: &Plan, outturns: &[Vec<Outturn>]) -> Result<RunResult, RunError> {
    let scenario = &plan.scenario;
    let replications = outturns.first().map_or(0, Vec::len) as u32;
    let planned = scenario.run.replications;
    let mut designs = Vec::new();
    let month = windows_per_month(plan, outturns);
    for (name, rows) in scenario.designs.keys().zip(outturns) {
        let spec = &scenario.designs[name];
        let bills =
            rows.iter().map(|row| price(plan, spec, row, month)).collect::<Result<Vec<_>, _>>()?;
        let mut own = design(name, rows, &bills, behind(scenario, spec));
        own.incidents = incidents(&spec.events, rows);
        let classes = spec.enter.keys().filter_map(|class| scenario.workload.get(class));
        own.backlog = backlog(&classes.map(|class| &class.load).collect::<Vec<_>>(), rows);
        own.steady = scenario.run.steady_state.then(|| steady(rows));
        designs.push(own);
    }
    let mut thresholds = Vec::new();
    for design in &designs {
        for (metric, expressions) in &scenario.thresholds {
            thresholds.extend(expressions.iter().filter_map(|text| judge(design, metric, text)));
        }
    }
    Ok(RunResult {
        schema_version: SCHEMA_VERSION,
        headroom: env!("CARGO_PKG_VERSION").into(),
        scenario: plan.reference(),
        seed: scenario.run.seed,
        replications,
        precision: None,
        interrupted: (replications < planned)
            .then_some(Interrupted { done: replications, planned }),
        prices: PriceRef {
            name: plan.prices.name.clone(),
            date: plan.prices.date.clone(),
            currency: plan.prices.currency.clone(),
        },
        differences: differences(&designs),
        designs,
        thresholds,
        assumptions: plan.assumptions.clone(),
        sensitivity: Vec::new(),
        resolved: plan.resolved.clone(),
    })
}

/// How often the load comes in a month, the same for all designs, however long each takes to drain: what the scenario says, or once
/// a day if it is shorter than an hour, else back to back. A load that does not say when it ends takes as long as the runs did.
fn windows_per_month(plan: &Plan, outturns: &[Vec<Outturn>]) -> f64 {
    let classes = plan.scenario.workload.values();
    let ends: Option<Vec<f64>> =
        classes.map(|class| Some(class.load.ends()?.as_secs_f64())).collect();
    let took: Vec<f64> = outturns.iter().flatten().map(|row| row.end.as_secs_f64()).collect();
    let seconds = ends.map_or_else(
        || took.iter().sum::<f64>() / took.len().max(1) as f64,
        |ends| ends.into_iter().fold(0.0, f64::max),
    );
    let hours = seconds / 3600.0;
    let often = if hours >= 1.0 { MONTH_HOURS / hours } else { MONTH_HOURS / 24.0 };
    plan.scenario.run.month.windows.unwrap_or(often)
}

/// The bill of one replication, in a month with so many of its windows.
fn price(plan: &Plan, spec: &DesignSpec, row: &Outturn, windows: f64) -> Result<Bill, RunError> {
    let of_nodes = row.reports.iter().flat_map(|report| report.usage.iter().cloned());
    let usage: Vec<_> = of_nodes.chain(fixed::usage(spec, &plan.prices, row.end)).collect();
    // A run in which nobody comes takes no time.
    let window_hours = (row.end.as_secs_f64() / 3600.0).max(1e-12);
    let options = BillOptions {
        free_tier: plan.scenario.run.free_tier,
        month: MonthProfile { windows_per_month: windows, window_hours },
    };
    let fees = fixed::fees(spec);
    bill(&usage, &plan.prices, &options)
        .and_then(|bill| bill.with_fees(&fees, window_hours))
        .map_err(|errors| RunError::Price(errors.iter().map(ToString::to_string).collect()))
}

/// Every figure that designs are compared by, replication by replication.
fn replicates(rows: &[Outturn], bills: &[Bill]) -> Vec<Replicated> {
    let cost = |of: fn(&Bill) -> f64| Some(bills.iter().map(of).collect::<Vec<_>>());
    let of_ratio = |of: &dyn Fn(&Outturn, &Bill) -> (f64, f64)| {
        linearised(&rows.iter().zip(bills).map(|(row, bill)| of(row, bill)).collect::<Vec<_>>())
    };
    let own: Vec<Histogram> = rows.iter().map(ok_latency).collect();
    let whole = pooled(own.iter());
    let of_quantile = |q: f64| quantile(&whole, &own, q, 0).map(|quantile| quantile.values);
    let per = |of: fn(&ClassLedger) -> u64| {
        of_ratio(&|row, bill| (bill.total.as_f64(), total(row, of) as f64))
    };
    let sum =
        |of: fn(&ClassLedger) -> u64| rows.iter().map(|row| total(row, of)).sum::<u64>() as f64;
    let without = sum(|c| c.issued - c.ok - c.failed);
    let open = without > 0.0;
    // The quantile among all, if what is open succeeds later than the others: a larger one of these; none beyond the largest.
    let if_late = |q: f64| {
        let rank = q * (1.0 + without / whole.count().max(1) as f64);
        if open && rank < 1.0 { of_quantile(rank) } else { None }
    };
    let latency_mean = of_ratio(&|row, _| {
        let latency = ok_latency(row);
        (latency.sum_nanos() as f64 * 1e-9, latency.count() as f64)
    });
    // A mean has no bound; it counts as known while few are open, as for thresholds.
    let few = open && without <= OPEN_IN_A_MEAN * sum(|c| c.issued);
    let late = [
        ("latency_mean", latency_mean.clone().filter(|_| few)),
        ("latency_p50", if_late(0.50)),
        ("latency_p95", if_late(0.95)),
        ("latency_p99", if_late(0.99)),
    ];
    // Requests that succeeded among those with an answer, or among all if those without one are lost, or served.
    let rate = |of: fn(u64, u64, u64) -> (u64, u64)| {
        of_ratio(&|row, _| {
            let count = |of: fn(&ClassLedger) -> u64| total(row, of);
            let (y, x) = of(count(|c| c.ok), count(|c| c.failed), count(|c| c.issued));
            (y as f64, x as f64)
        })
    };
    let figures = [
        ("success_rate", rate(|ok, failed, _| (ok, ok + failed))),
        (IF_LOST, rate(|ok, _, issued| (ok, issued)).filter(|_| open)),
        (IF_SERVED, rate(|_, failed, issued| (issued - failed, issued)).filter(|_| open)),
        ("throughput", Some(rows.iter().map(throughput).collect())),
        ("latency_mean", latency_mean),
        ("latency_p50", of_quantile(0.50)),
        ("latency_p95", of_quantile(0.95)),
        ("latency_p99", of_quantile(0.99)),
        ("cost_per_request", per(|c| c.ok)),
        (PER_USER, per(|c| c.users_served)),
        ("cost_total", cost(|bill| bill.total.as_f64())),
        ("cost_monthly", cost(|bill| bill.monthly.as_f64())),
        (PER_USER_MONTHLY, of_ratio(&of_month)),
    ];
    let row = |(metric, values): (String, Option<Vec<f64>>)| {
        let values = values?.into_iter().map(twelve_digits).collect();
        Some(Replicated { metric, values })
    };
    let figures = figures.into_iter().map(|(metric, values)| (metric.to_owned(), values));
    let late = late.into_iter().map(|(metric, values)| (format!("{metric}{IF_LATE}"), values));
    figures.chain(late).filter_map(row).collect()
}

/// Twelve significant digits: more than any figure here is sure of, and a quarter less to store.
fn twelve_digits(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// Cost of a month, and the users served in it.
fn of_month(row: &Outturn, bill: &Bill) -> (f64, f64) {
    let served = total(row, |c| c.users_served) as f64;
    (bill.monthly.as_f64(), served * bill.windows_per_month)
}

fn throughput(row: &Outturn) -> f64 {
    per_second(row, total(row, |c| c.ok))
}

/// So many successes per second of a replication, up to its last answer.
fn per_second(row: &Outturn, ok: u64) -> f64 {
    let seconds = row.ledger.last_end.as_secs_f64();
    if seconds > 0.0 { ok as f64 / seconds } else { 0.0 }
}

fn total(row: &Outturn, of: impl Fn(&ClassLedger) -> u64) -> u64 {
    row.ledger.classes.iter().map(of).sum()
}

fn pooled<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Histogram {
    let mut sum = Histogram::default();
    histograms.for_each(|h| sum.merge(h));
    sum
}

fn ok_latency(row: &Outturn) -> Histogram {
    pooled(row.ledger.classes.iter().map(|class| &class.latency))
}

fn all_latency(row: &Outturn) -> Histogram {
    let classes = &row.ledger.classes;
    pooled(classes.iter().flat_map(|class| [&class.latency, &class.latency_failed]))
}

fn schedule_latency(row: &Outturn) -> Histogram {
    pooled(row.ledger.classes.iter().map(|class| &class.from_schedule))
}

/// Mean and quantiles over replications, in which `open` more requests had no answer when they were stopped.
pub(super) fn latency(sections: &[Histogram], open: u64) -> Latency {
    let whole = pooled(sections.iter());
    if whole.count() == 0 {
        return Latency::default();
    }
    let sums: Vec<(f64, f64)> =
        sections.iter().map(|h| (h.sum_nanos() as f64 * 1e-9, h.count() as f64)).collect();
    let quantile = |q: f64| {
        quantile(&whole, sections, q, open).map_or_else(Estimate::default, |own| own.estimate)
    };
    let [p50, p90, p95, p99, p99_9] = ordered([0.50, 0.90, 0.95, 0.99, 0.999].map(quantile));
    Latency {
        mean: ratio(&sums).unwrap_or_default(),
        p50,
        p90,
        p95,
        p99,
        p99_9,
        max: whole.max().as_secs_f64(),
        count: whole.count(),
    }
}

fn per_replication(rows: &[Outturn], of: impl Fn(&Outturn) -> f64) -> Estimate {
    mean(&rows.iter().map(of).collect::<Vec<_>>())
}

/// The share of successes among requests with an answer; its interval also covers what those without one may come to.
fn answered_well(pairs: &[(u64, u64)], open: &[u64]) -> Estimate {
    let ended = pairs.iter().map(|pair| pair.1).sum();
    with_open(share(pairs), ended, open.iter().sum()).unwrap_or_default()
}

fn design(
    name: &str,
    rows: &[Outturn],
    bills: &[Bill],
    behind: BTreeMap<&str, BTreeSet<&str>>,
) -> DesignResult {
    let count = |of: fn(&ClassLedger) -> u64| per_replication(rows, |row| total(row, of) as f64);
    let pairs: Vec<(u64, u64)> = rows
        .iter()
        .map(|row| (total(row, |c| c.ok), total(row, |c| c.ok) + total(row, |c| c.failed)))
        .collect();
    let attempts: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (total(row, |c| c.attempts) as f64, total(row, |c| c.issued) as f64))
        .collect();
    let histograms = |of: fn(&Outturn) -> Histogram| rows.iter().map(of).collect::<Vec<_>>();
    let open: Vec<u64> =
        rows.iter().map(|row| total(row, |c| c.issued - c.ok - c.failed)).collect();
    let without = open.iter().sum();
    let schedule = latency(&histograms(schedule_latency), without);
    let mut limits = limits(rows);
    let mut failures = failures(rows);
    blame(&mut failures, &limits);
    let latency_all = latency(&histograms(all_latency), without);
    let nodes = nodes(rows);
    let duration = per_replication(rows, |row| row.end.as_secs_f64());
    let toll = Toll::new(&failures, &latency_all, rows.len()).at(&nodes, duration.value, behind);
    let bottleneck = bottleneck(&limits, &toll);
    let bottleneck = felt_at_failures(&mut limits, &failures, bottleneck);
    let mut design = DesignResult {
        name: name.into(),
        users: count(|c| c.users),
        users_served: count(|c| c.users_served),
        requests: count(|c| c.issued),
        attempts_per_request: ratio(&attempts).unwrap_or_default(),
        unfinished: per_replication(rows, |row| row.unfinished as f64),
        duration,
        throughput: per_replication(rows, throughput),
        success_rate: answered_well(&pairs, &open),
        latency: latency(&histograms(ok_latency), without),
        latency_all,
        latency_from_schedule: (schedule.count > 0).then_some(schedule),
        failures,
        bottleneck,
        limits,
        story: Vec::new(),
        incidents: Vec::new(),
        counterfactual: None,
        backlog: None,
        steady: None,
        cost: cost(rows, bills),
        nodes,
        classes: classes(rows),
        series: series(rows),
        replications: replicates(rows, bills),
    };
    design.story = story(&design);
    design
}

/// Ways of failing over all replications, largest first.
fn failures(rows: &[Outturn]) -> Vec<FailureRow> {
    // How many in each replication, and when first in those in which it happened.
    type Way = (Vec<u64>, Vec<f64>);
    let mut by_way: BTreeMap<(Cause, u16, u16), Way> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        for failure in &row.ledger.failures {
            let way = (failure.cause, failure.node.0, failure.status);
            let entry = by_way.entry(way).or_insert_with(|| (vec![0; rows.len()], Vec::new()));
            entry.0[index] = failure.count;
            entry.1.push(failure.first.as_secs_f64());
        }
    }
    let ended: Vec<u64> =
        rows.iter().map(|row| total(row, |c| c.ok) + total(row, |c| c.failed)).collect();
    let mut list: Vec<FailureRow> = by_way
        .into_iter()
        .map(|((cause, node, status), (counts, times))| {
            let pairs: Vec<(u64, u64)> =
                counts.iter().copied().zip(ended.iter().copied()).collect();
            FailureRow {
                cause: cause.name().into(),
                node: node_name(rows, node),
                status,
                count: mean(&counts.iter().map(|&n| n as f64).collect::<Vec<_>>()),
                share: share(&pairs).unwrap_or_default(),
                first_at: times.iter().copied().fold(f64::INFINITY, f64::min),
                began_at: median(times),
                total: counts.iter().sum(),
                blame: None,
            }
        })
        .collect();
    list.sort_by(|a, b| b.count.value.total_cmp(&a.count.value));
    list
}

pub(super) fn node_name(rows: &[Outturn], node: u16) -> String {
    let name = rows.first().and_then(|row| row.names.get(usize::from(node)));
    name.map_or_else(String::new, |(name, _)| name.clone())
}

fn cost(rows: &[Outturn], bills: &[Bill]) -> Cost {
    let money = |of: fn(&Bill) -> f64| mean(&bills.iter().map(of).collect::<Vec<_>>());
    let per = |of: fn(&ClassLedger) -> u64| {
        let pairs: Vec<(f64, f64)> = rows
            .iter()
            .zip(bills)
            .map(|(row, bill)| (bill.total.as_f64(), total(row, of) as f64))
            .collect();
        ratio(&pairs).unwrap_or_default()
    };
    let month: Vec<_> = rows.iter().zip(bills).map(|(row, bill)| of_month(row, bill)).collect();
    let n = bills.len().max(1) as f64;
    let mut lines: Vec<CostLine> = Vec::new();
    for line in bills.iter().flat_map(|bill| &bill.lines) {
        let known = lines.iter().position(|l| l.node == line.node && l.item == line.item);
        let at = known.unwrap_or_else(|| {
            lines.push(CostLine {
                node: line.node.clone(),
                item: line.item.clone(),
                quantity: 0.0,
                unit: line.unit.clone(),
                price_share: line.price_share,
                amount: 0.0,
                reserved: line.reserved,
                idle: 0.0,
                monthly: 0.0,
            });
            lines.len() - 1
        });
        let row = &mut lines[at];
        row.quantity += line.quantity / n;
        row.amount += line.amount.as_f64() / n;
        row.idle += line.idle.as_f64() / n;
        row.monthly += line.monthly.as_f64() / n;
    }
    Cost {
        total: money(|bill| bill.total.as_f64()),
        per_request: per(|c| c.ok),
        per_user: per(|c| c.users_served),
        monthly: money(|bill| bill.monthly.as_f64()),
        per_user_monthly: ratio(&month),
        idle: money(|bill| bill.idle.as_f64()),
        wasted: money(|bill| bill.wasted.as_f64()),
        lines,
    }
}

fn nodes(rows: &[Outturn]) -> Vec<NodeRow> {
    let Some(first) = rows.first() else { return Vec::new() };
    let row = |(at, (name, kind)): (usize, &(String, &'static str))| {
        let of = |f: &dyn Fn(&crate::model::ledger::NodeLedger, &Outturn) -> f64| {
            per_replication(rows, |row| f(&row.ledger.nodes[at], row))
        };
        let times: Vec<(f64, f64)> = rows
            .iter()
            .map(|row| &row.ledger.nodes[at])
            .map(|node| (node.time as f64 * 1e-9, (node.ok + node.failed) as f64))
            .collect();
        let counter = |name: &str| Counter {
            name: name.into(),
            value: per_replication(rows, |row| row.reports[at].counter(name) as f64),
        };
        NodeRow {
            name: name.clone(),
            kind: (*kind).into(),
            arrived: of(&|node, _| node.arrived as f64),
            connects: of(&|node, _| node.connects as f64),
            ok: of(&|node, _| node.ok as f64),
            failed: of(&|node, _| node.failed as f64),
            busy_mean: of(&|node, row| node.busy_mean(row.end)),
            busy_max: rows.iter().map(|row| row.ledger.nodes[at].busy_max).max().unwrap_or(0)
                as f64,
            time_mean: ratio(&times).unwrap_or_default(),
            counters: counters(rows, at).into_iter().map(counter).collect(),
        }
    };
    first.names.iter().enumerate().filter(|(_, (_, kind))| *kind != "users").map(row).collect()
}

/// Names of a node's counters in all replications: some are counted only where there was something to count.
fn counters(rows: &[Outturn], node: usize) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.reports[node].counters) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

fn classes(rows: &[Outturn]) -> Vec<ClassRow> {
    let Some(first) = rows.first() else { return Vec::new() };
    let names = first.names.iter().filter(|(_, kind)| *kind == "users");
    names.enumerate().map(|(at, (name, _))| class(name, rows, at)).collect()
}

/// The class of users of that number.
fn class(name: &str, rows: &[Outturn], at: usize) -> ClassRow {
    let own = || rows.iter().map(|row| &row.ledger.classes[at]);
    let count = |of: fn(&ClassLedger) -> u64| {
        mean(&own().map(|class| of(class) as f64).collect::<Vec<_>>())
    };
    let pairs: Vec<(u64, u64)> = own().map(|class| (class.ok, class.ok + class.failed)).collect();
    let open: Vec<u64> = own().map(|class| class.issued - class.ok - class.failed).collect();
    let without = open.iter().sum();
    let served: Vec<Histogram> = own().map(|class| class.latency.clone()).collect();
    let all: Vec<Histogram> =
        own().map(|class| pooled([&class.latency, &class.latency_failed].into_iter())).collect();
    ClassRow {
        name: name.into(),
        users: count(|class| class.users),
        users_served: count(|class| class.users_served),
        requests: count(|class| class.issued),
        unfinished: count(|class| class.issued - class.ok - class.failed),
        throughput: per_replication(rows, |row| per_second(row, row.ledger.classes[at].ok)),
        success_rate: answered_well(&pairs, &open),
        latency: latency(&served, without),
        latency_all: latency(&all, without),
    }
}
