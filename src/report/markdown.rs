//! The result for a pull request.

use super::format::{count, interval, money, seconds, share, time_interval};
use super::words::{NOT_BILLED, bottleneck, capital, incident, interrupted, precision, unit};
use crate::experiment::result::{DesignResult, RunResult, Verdict};
use std::fmt::Write as _;

/// Markdown with a marker line, so that a bot can find its own comment again.
pub fn markdown(result: &RunResult) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, result);
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn write(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let name = cell(&result.scenario.name);
    writeln!(out, "<!-- headroom:{name} -->\n## {name}\n")?;
    writeln!(
        out,
        "{} replications, seed {}, prices {} of {}. Intervals are 95 %.\n",
        result.replications, result.seed, result.prices.name, result.prices.date
    )?;
    if let Some(own) = &result.interrupted {
        writeln!(out, "**{}.**\n", capital(&interrupted(own)))?;
    }
    if let Some(own) = &result.precision {
        writeln!(out, "{}.\n", capital(&precision(own)))?;
    }
    writeln!(
        out,
        "| design | success | p50 | p95 | p99 | cost per user served | cost per success | bottleneck |"
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---|")?;
    for design in &result.designs {
        let l = &design.latency;
        let first = design.bottleneck.as_ref();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&design.name),
            interval(&design.success_rate, share),
            seconds(l.p50.value),
            time_interval(&l.p95),
            seconds(l.p99.value),
            interval(&design.cost.per_user, |v| money(v, &result.prices.currency)),
            money(design.cost.per_request.value, &result.prices.currency),
            first.map_or("–".into(), |limit| cell(&bottleneck(limit)))
        )?;
        classes(out, design)?;
    }
    if !result.thresholds.is_empty() {
        writeln!(out, "\n| verdict | design | threshold |\n|---|---|---|")?;
        for row in &result.thresholds {
            let verdict = match row.verdict {
                Verdict::Pass => "✅ pass",
                Verdict::Fail => "❌ fail",
                Verdict::Undecided => "❔ undecided",
            };
            writeln!(
                out,
                "| {verdict} | {} | `{} {}` |",
                cell(&row.design),
                row.subject(),
                row.expression
            )?;
        }
    }
    for design in &result.designs {
        details(out, design, &result.prices.currency)?;
    }
    Ok(())
}

/// A row for each class of users, where there are several.
fn classes(out: &mut String, design: &DesignResult) -> std::fmt::Result {
    for row in design.by_class() {
        let l = &row.latency;
        writeln!(
            out,
            "| └ {} | {} | {} | {} | {} | | | |",
            cell(&row.name),
            interval(&row.success_rate, share),
            seconds(l.p50.value),
            time_interval(&l.p95),
            seconds(l.p99.value)
        )?;
    }
    Ok(())
}

fn details(out: &mut String, design: &DesignResult, currency: &str) -> std::fmt::Result {
    writeln!(out, "\n<details><summary>{}</summary>\n", cell(&design.name))?;
    if design.failures.is_empty() {
        writeln!(out, "No request failed.")?;
    } else {
        writeln!(
            out,
            "| cause | node | status | share | requests | first at |\n|---|---|---:|---:|---:|---:|"
        )?;
        for row in &design.failures {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                row.cause,
                cell(&row.node),
                row.status,
                interval(&row.share, share),
                count(row.count.value),
                seconds(row.since())
            )?;
        }
    }
    if let Some(text) = design.grows() {
        writeln!(out, "\n- not settled: {}", cell(&text))?;
    }
    for own in &design.incidents {
        writeln!(out, "\n- {} {}", seconds(own.at), cell(&incident(own)))?;
    }
    writeln!(out, "\n| cost line | quantity | amount |\n|---|---:|---:|")?;
    for line in &design.cost.lines {
        writeln!(
            out,
            "| {} {} | {:.4} {} | {} |",
            cell(&line.node),
            line.item,
            line.quantity,
            unit(line),
            money(line.amount, currency)
        )?;
    }
    writeln!(
        out,
        "| **total** | | {} |\n\n{NOT_BILLED}\n\n</details>",
        interval(&design.cost.total, |v| money(v, currency))
    )
}
