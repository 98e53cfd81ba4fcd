//! Two results side by side, for a terminal, a pull request or a program.

use super::csv::text;
use super::format::{self, TimeUnit, count, money, seconds, share};
use crate::experiment::compare::{Change, Comparison, Delta, Side};
use crate::experiment::result::Estimate;
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::fmt::Write as _;

/// A figure of a metric, without its interval.
fn figure(metric: &str, value: f64, currency: &str) -> String {
    match metric {
        "success_rate" => share(value),
        "throughput" => format!("{}/s", count(value)),
        _ if metric.starts_with("latency") => seconds(value),
        _ => money(value, currency),
    }
}

fn signed(value: f64, show: impl Fn(f64) -> String) -> String {
    let text = show(value.abs());
    match value {
        v if v > 0.0 => format!("+{text}"),
        v if v < 0.0 => format!("−{text}"),
        _ => text,
    }
}

/// A difference; that of shares in points.
fn difference(row: &Delta, currency: &str) -> String {
    let unit = TimeUnit::of(&row.delta);
    let show = |value: f64| match row.metric.as_str() {
        "success_rate" => format!("{:.3} pt", value * 100.0),
        metric if metric.starts_with("latency") => unit.show(value),
        metric => figure(metric, value, currency),
    };
    format::difference(&row.delta, |v| signed(v, show))
}

fn percent(relative: &Estimate) -> String {
    format::difference(relative, |v| signed(v, |v| format!("{:.1} %", v * 100.0)))
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Better => "better",
        Change::Worse => "worse",
        Change::Negligible => "negligible",
        Change::NotShown => "no change shown",
    }
}

/// The verdict in a sentence.
fn verdict(diff: &Comparison) -> String {
    let number = |change| diff.rows.iter().filter(|row| row.change == change).count();
    let (better, worse) = (number(Change::Better), number(Change::Worse));
    let all = diff.rows.len();
    let same = diff.pairs > 0 && diff.rows.iter().all(|row| row.delta == Estimate::default());
    match (better, worse) {
        (0, 0) if same => format!("identical in all {all} figures"),
        (0, 0) => format!("no change shown in {all} figures"),
        (_, 0) => format!("{better} of {all} figures better, none worse"),
        (0, _) => format!("{worse} of {all} figures worse, none better"),
        _ => format!("{worse} of {all} figures worse, {better} better"),
    }
}

fn pairing(diff: &Comparison) -> String {
    if diff.pairs > 0 {
        return format!("compared in {} pairs of replications with the same users", diff.pairs);
    }
    format!(
        "compared as independent samples, since the seeds differ ({} and {}); with one seed smaller changes show",
        diff.base.seed, diff.new.seed
    )
}

fn side(side: &Side) -> String {
    format!(
        "{} ({}), {} replications{}, seed {}, headroom {}, prices of {}",
        side.scenario,
        side.digest,
        side.replications,
        side.interrupted.map_or(String::new(), |own| format!(" of {}, interrupted", own.planned)),
        side.seed,
        side.headroom,
        side.prices
    )
}

/// What stands on one side only, each with a word for it.
fn lonely(diff: &Comparison) -> Vec<(&'static str, String)> {
    [
        ("designs only in the base", &diff.only_base),
        ("new designs", &diff.only_new),
        ("classes of users only in the base", &diff.classes_only_base),
        ("new classes of users", &diff.classes_only_new),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(what, list)| (what, list.join(", ")))
    .collect()
}

const HOW: &str = "Intervals are 95 %, each for itself; a change counts if it stands up among all comparisons (Holm).";

/// The comparison as a screen of text.
pub fn table(diff: &Comparison, colour: bool) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_table(&mut out, diff, colour);
    out
}

fn write_table(out: &mut String, diff: &Comparison, colour: bool) -> std::fmt::Result {
    match (colour, diff.regressed(), diff.changed()) {
        (true, true, _) => writeln!(out, "\u{1b}[31m{}\u{1b}[0m", verdict(diff))?,
        (true, false, true) => writeln!(out, "\u{1b}[32m{}\u{1b}[0m", verdict(diff))?,
        _ => writeln!(out, "{}", verdict(diff))?,
    }
    writeln!(out, "base: {}\nnew:  {}", side(&diff.base), side(&diff.new))?;
    writeln!(out, "{}\n", pairing(diff))?;
    for (what, list) in lonely(diff) {
        writeln!(out, "{what}: {list}")?;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(
        ["design", "figure", "base", "new", "difference", "relative", ""].map(Cell::new),
    );
    for row in &diff.rows {
        let own = |value| figure(&row.metric, value, &diff.currency);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&row.design),
            Cell::new(&row.metric),
            right(own(row.base.value)),
            right(own(row.new.value)),
            right(difference(row, &diff.currency)),
            right(row.relative.as_ref().map_or("–".into(), percent)),
            Cell::new(word(row.change)),
        ]);
    }
    writeln!(out, "{table}\n{HOW}")
}

/// The comparison for a pull request, with a marker line so that a bot can find its own comment again.
pub fn markdown(diff: &Comparison) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_markdown(&mut out, diff);
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn write_markdown(out: &mut String, diff: &Comparison) -> std::fmt::Result {
    let name = cell(&diff.new.scenario);
    writeln!(out, "<!-- headroom-diff:{name} -->\n## {name}: {}\n", verdict(diff))?;
    for (what, list) in lonely(diff) {
        writeln!(out, "* {what}: {}", cell(&list))?;
    }
    let shown = |row: &&Delta| matches!(row.change, Change::Better | Change::Worse);
    let changed: Vec<&Delta> = diff.rows.iter().filter(shown).collect();
    if !changed.is_empty() {
        rows(out, diff, &changed)?;
    }
    let quiet: Vec<&Delta> = diff.rows.iter().filter(|row| !shown(row)).collect();
    if !quiet.is_empty() {
        writeln!(out, "\n<details><summary>{} figures without a change</summary>\n", quiet.len())?;
        rows(out, diff, &quiet)?;
        writeln!(out, "\n</details>")?;
    }
    writeln!(
        out,
        "\n{}. {HOW}\n\n* base: {}\n* new: {}",
        pairing(diff),
        cell(&side(&diff.base)),
        cell(&side(&diff.new))
    )
}

fn rows(out: &mut String, diff: &Comparison, rows: &[&Delta]) -> std::fmt::Result {
    writeln!(out, "| | design | figure | base | new | difference | relative |")?;
    writeln!(out, "|---|---|---|---:|---:|---:|---:|")?;
    for row in rows {
        let sign = match row.change {
            Change::Better => "✅ better",
            Change::Worse => "❌ worse",
            other => word(other),
        };
        writeln!(
            out,
            "| {sign} | {} | {} | {} | {} | {} | {} |",
            cell(&row.design),
            row.metric,
            figure(&row.metric, row.base.value, &diff.currency),
            figure(&row.metric, row.new.value, &diff.currency),
            difference(row, &diff.currency),
            row.relative.as_ref().map_or("–".into(), percent)
        )?;
    }
    Ok(())
}

/// The comparison as one row a figure.
pub fn csv(diff: &Comparison) -> String {
    let header = [
        "design",
        "metric",
        "base",
        "base_low",
        "base_high",
        "new",
        "new_low",
        "new_high",
        "delta",
        "delta_low",
        "delta_high",
        "relative",
        "p",
        "p_adjusted",
        "change",
    ];
    let rows = diff.rows.iter().map(|row| {
        let mut cells = vec![row.design.clone(), row.metric.clone()];
        for e in [&row.base, &row.new, &row.delta] {
            cells.extend([e.value, e.low, e.high].map(|v| v.to_string()));
        }
        cells.push(row.relative.map_or(String::new(), |e| e.value.to_string()));
        cells.extend([row.p, row.p_adjusted].map(|v| v.to_string()));
        cells.push(word(row.change).replace(' ', "_"));
        cells
    });
    text(&header, rows)
}

/// The comparison for a program.
pub fn json(diff: &Comparison) -> String {
    serde_json::to_string_pretty(diff).unwrap_or_default() + "\n"
}
