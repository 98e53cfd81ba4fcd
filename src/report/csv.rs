//! The result as tidy tables: one row a figure, so that pandas, DuckDB and spreadsheets read them as they are.

use crate::experiment::result::{
    ClassRow, DesignResult, Estimate, Latency, PER_USER_MONTHLY, RunResult, of_class,
};

/// Rows to CSV text. Writing into memory cannot fail.
pub(super) fn text(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(&row);
    }
    writer
        .into_inner()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Every table with its file name.
pub fn all(result: &RunResult) -> Vec<(&'static str, String)> {
    vec![
        ("summary.csv", summary(result)),
        ("series.csv", series(result)),
        ("failures.csv", failures(result)),
        ("limits.csv", limits(result)),
        ("cost.csv", cost(result)),
        ("nodes.csv", nodes(result)),
        ("differences.csv", differences(result)),
        ("thresholds.csv", thresholds(result)),
    ]
}

fn estimate(design: &str, metric: &str, unit: &str, e: &Estimate) -> Vec<String> {
    [design, metric]
        .map(str::to_owned)
        .into_iter()
        .chain(numbers(e))
        .chain([unit.to_owned()])
        .collect()
}

fn numbers(e: &Estimate) -> [String; 3] {
    [e.value, e.low, e.high].map(|v| v.to_string())
}

/// Design, metric, value, low, high, unit.
pub fn summary(result: &RunResult) -> String {
    let rows = result.designs.iter().flat_map(|design| {
        let own = |metric: &str, unit: &str, e: &Estimate| estimate(&design.name, metric, unit, e);
        let currency = &result.prices.currency;
        let mut rows = vec![
            own("users", "users", &design.users),
            own("users_served", "users", &design.users_served),
            own("requests", "requests", &design.requests),
            own("attempts_per_request", "attempts", &design.attempts_per_request),
            own("unfinished", "requests", &design.unfinished),
            own("duration", "s", &design.duration),
            own("throughput", "1/s", &design.throughput),
            own("success_rate", "share", &design.success_rate),
            own("cost_total", currency, &design.cost.total),
            own("cost_per_request", currency, &design.cost.per_request),
            own("cost_per_user", currency, &design.cost.per_user),
            own("cost_monthly", currency, &design.cost.monthly),
            own("cost_idle", currency, &design.cost.idle),
            own("cost_wasted", currency, &design.cost.wasted),
        ];
        rows.extend(design.cost.per_user_monthly.map(|e| own(PER_USER_MONTHLY, currency, &e)));
        rows.extend(latencies(design, "latency", &design.latency));
        rows.extend(latencies(design, "latency_all", &design.latency_all));
        if let Some(cut) = &result.interrupted {
            let exact = |n: u32| Estimate::exact(f64::from(n));
            rows.push(own("interrupted_after", "replications", &exact(cut.done)));
            rows.push(own("interrupted_planned", "replications", &exact(cut.planned)));
        }
        if let Some(latency) = &design.latency_from_schedule {
            rows.extend(latencies(design, "latency_from_schedule", latency));
        }
        if let Some(steady) = &design.steady {
            let figures = [
                ("steady_success_rate", "share", &steady.success_rate),
                ("steady_latency_mean", "s", &steady.latency_mean),
                ("steady_throughput", "1/s", &steady.throughput),
            ];
            let known =
                figures.iter().filter_map(|(name, unit, e)| Some((name, unit, e.as_ref()?)));
            rows.extend(known.map(|(name, unit, e)| own(name, unit, e)));
        }
        rows.extend(by_class(design));
        rows
    });
    text(&["design", "metric", "value", "low", "high", "unit"], rows)
}

/// The figures of each class of users, where there are several; the class stands in the metric, as in a threshold.
fn by_class(design: &DesignResult) -> Vec<Vec<String>> {
    let of = |row: &ClassRow| {
        let counts = [
            ("users", "users", &row.users),
            ("users_served", "users", &row.users_served),
            ("requests", "requests", &row.requests),
            ("unfinished", "requests", &row.unfinished),
            ("throughput", "1/s", &row.throughput),
            ("success_rate", "share", &row.success_rate),
        ];
        let counts = counts.map(|(metric, unit, e)| estimate(&design.name, metric, unit, e));
        let mut rows = counts.to_vec();
        rows.extend(latencies(design, "latency", &row.latency));
        rows.extend(latencies(design, "latency_all", &row.latency_all));
        for cells in &mut rows {
            cells[1] = of_class(&cells[1], &row.name);
        }
        rows
    };
    design.by_class().iter().flat_map(of).collect()
}

fn latencies(design: &DesignResult, name: &str, latency: &Latency) -> Vec<Vec<String>> {
    if latency.count == 0 {
        return Vec::new();
    }
    [
        ("mean", &latency.mean),
        ("p50", &latency.p50),
        ("p90", &latency.p90),
        ("p95", &latency.p95),
        ("p99", &latency.p99),
        ("p99.9", &latency.p99_9),
    ]
    .into_iter()
    .map(|(which, e)| estimate(&design.name, &format!("{name}_{which}"), "s", e))
    .collect()
}

/// Design, t, metric, node, cause, value: one row a figure and bucket.
fn series(result: &RunResult) -> String {
    let mut rows = Vec::new();
    for design in &result.designs {
        let series = &design.series;
        let mut column = |metric: &str,
                          node: &str,
                          cause: &str,
                          values: &mut dyn Iterator<Item = Option<f64>>| {
            for (t, value) in series.t.iter().zip(values) {
                if let Some(value) = value {
                    let row =
                        [&design.name, &t.to_string(), metric, node, cause, &value.to_string()];
                    rows.push(row.map(str::to_owned).to_vec());
                }
            }
        };
        column("started", "", "", &mut series.started.iter().copied().map(Some));
        column("ok", "", "", &mut series.ok.iter().copied().map(Some));
        column("failed", "", "", &mut series.failed.iter().copied().map(Some));
        column("latency_mean", "", "", &mut series.latency_mean.iter().copied());
        column("latency_p50", "", "", &mut series.latency_p50.iter().copied());
        column("latency_p95", "", "", &mut series.latency_p95.iter().copied());
        for by in &series.failed_by {
            column("failed_by", &by.node, &by.cause, &mut by.count.iter().copied().map(Some));
        }
        for gauge in &series.gauges {
            let metric = format!("{}_mean", gauge.gauge);
            column(&metric, &gauge.node, "", &mut gauge.mean.iter().copied().map(Some));
            let metric = format!("{}_max", gauge.gauge);
            column(&metric, &gauge.node, "", &mut gauge.max.iter().copied().map(Some));
        }
    }
    text(&["design", "t", "metric", "node", "cause", "value"], rows)
}

fn failures(result: &RunResult) -> String {
    let rows = result.designs.iter().flat_map(|design| {
        design.failures.iter().map(|row| {
            let mut cells = vec![
                design.name.clone(),
                row.cause.clone(),
                row.node.clone(),
                row.status.to_string(),
            ];
            cells.extend(numbers(&row.count));
            cells.extend(numbers(&row.share));
            cells.extend([row.first_at.to_string(), row.since().to_string()]);
            cells
        })
    });
    let header = [
        "design",
        "cause",
        "node",
        "status",
        "count",
        "count_low",
        "count_high",
        "share",
        "share_low",
        "share_high",
        "first_at",
        "began_at",
    ];
    text(&header, rows)
}

fn limits(result: &RunResult) -> String {
    let rows = result.designs.iter().flat_map(|design| {
        design.limits.iter().map(|row| {
            let mut cells =
                vec![design.name.clone(), row.node.clone(), row.limit.clone(), row.about.clone()];
            cells.extend([row.at.to_string(), row.bound_in.to_string()]);
            cells.extend(numbers(&row.failures));
            cells.extend(numbers(&row.waiting));
            cells.push(row.since().to_string());
            cells
        })
    });
    let header = [
        "design",
        "node",
        "limit",
        "about",
        "at",
        "bound_in",
        "failures",
        "failures_low",
        "failures_high",
        "waiting",
        "waiting_low",
        "waiting_high",
        "felt_at",
    ];
    text(&header, rows)
}

fn cost(result: &RunResult) -> String {
    let rows = result.designs.iter().flat_map(|design| {
        design.cost.lines.iter().map(|line| {
            vec![
                design.name.clone(),
                line.node.clone(),
                line.item.clone(),
                line.quantity.to_string(),
                line.unit.clone(),
                line.amount.to_string(),
                line.idle.to_string(),
                line.monthly.to_string(),
                line.reserved.to_string(),
                line.price_share.unwrap_or(1.0).to_string(),
            ]
        })
    });
    let header = [
        "design",
        "node",
        "item",
        "quantity",
        "unit",
        "amount",
        "idle",
        "monthly",
        "reserved",
        "price_share",
    ];
    text(&header, rows)
}

/// Design, node, kind, metric, value, low, high.
fn nodes(result: &RunResult) -> String {
    let rows = result.designs.iter().flat_map(|design| {
        design.nodes.iter().flat_map(|node| {
            let own = |metric: &str, e: &Estimate| -> Vec<String> {
                let head = [&design.name, &node.name, &node.kind, metric].map(str::to_owned);
                head.into_iter().chain(numbers(e)).collect()
            };
            let mut rows = vec![
                own("arrived", &node.arrived),
                own("connects", &node.connects),
                own("ok", &node.ok),
                own("failed", &node.failed),
                own("busy_mean", &node.busy_mean),
                own("time_mean", &node.time_mean),
            ];
            rows.extend(node.counters.iter().map(|counter| own(&counter.name, &counter.value)));
            rows
        })
    });
    text(&["design", "node", "kind", "metric", "value", "low", "high"], rows)
}

fn differences(result: &RunResult) -> String {
    let rows = result.differences.iter().map(|row| {
        let mut cells = vec![row.design.clone(), row.baseline.clone(), row.metric.clone()];
        cells.extend(numbers(&row.difference));
        cells.push(row.significant.to_string());
        cells
    });
    text(&["design", "baseline", "metric", "difference", "low", "high", "significant"], rows)
}

fn thresholds(result: &RunResult) -> String {
    let rows = result.thresholds.iter().map(|row| {
        let mut cells = vec![row.design.clone(), row.subject(), row.expression.clone()];
        cells.push(format!("{:?}", row.verdict).to_lowercase());
        cells.extend(
            row.observed.map_or([String::new(), String::new(), String::new()], |e| numbers(&e)),
        );
        cells
    });
    text(&["design", "metric", "expression", "verdict", "value", "low", "high"], rows)
}
