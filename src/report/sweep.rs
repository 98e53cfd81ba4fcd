//! A sweep as a table for people, as tidy CSV and as JSON.

use super::csv::text;
use super::format::{count, cut, interval, money, seconds, share};
use crate::experiment::crossing::Crossing;
use crate::experiment::result::Verdict;
use crate::experiment::sweep::{SweepPoint, SweepResult};
use serde_json::Value;
use std::fmt::Write as _;

/// Pretty JSON with a trailing newline: `sweep.json`.
pub fn sweep_json(result: &SweepResult) -> String {
    let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
    text.push('\n');
    text
}

/// One row a point, design and figure: `sweep.csv`. A column for each axis is named by the last name of its path, or by
/// its whole path where two axes end alike.
pub fn sweep_csv(result: &SweepResult) -> String {
    let axes = &result.head.axes;
    let mut header: Vec<&str> = vec!["point"];
    for axis in axes {
        let alike = axes.iter().filter(|other| other.name == axis.name).count();
        let taken = ["point", "design", "metric", "value", "low", "high", "unit"];
        let own = alike == 1 && !taken.contains(&axis.name.as_str());
        header.push(if own { &axis.name } else { &axis.path });
    }
    header.extend(["design", "metric", "value", "low", "high", "unit"]);
    let rows = result.points.iter().flat_map(|point| {
        let head: Vec<String> = std::iter::once(point.point.to_string())
            .chain(point.values.iter().map(plain))
            .collect();
        point.designs.iter().flat_map(move |design| {
            let head = head.clone();
            design.figures.iter().map(move |figure| {
                let e = figure.estimate;
                let mut row = head.clone();
                row.extend([design.name.clone(), figure.metric.clone()]);
                row.extend([e.value, e.low, e.high].map(|v| v.to_string()));
                row.push(figure.unit.clone());
                row
            })
        })
    });
    text(&header, rows)
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One line a point and design, then what overtakes what.
pub fn sweep_table(result: &SweepResult, width: usize) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, result, width);
    out
}

fn write(out: &mut String, result: &SweepResult, width: usize) -> std::fmt::Result {
    let head = &result.head;
    writeln!(out, "{}: {} points", head.scenario.name, head.count)?;
    let values = |point: &SweepPoint| {
        let pairs = head.axes.iter().zip(&point.values);
        pairs.map(|(axis, value)| format!("{} {}", axis.name, plain(value))).collect::<Vec<_>>()
    };
    let names = result.points.iter().flat_map(|point| &point.designs);
    let wide = names.map(|design| design.name.chars().count()).max().unwrap_or(0).min(30);
    for point in &result.points {
        let effort = point.precision.as_ref().map_or(String::new(), |own| {
            let short = if own.reached { "" } else { ", precision not reached" };
            format!("  ({} replications{short})", point.replications)
        });
        writeln!(out, "\n{}", cut(&(values(point).join(", ") + &effort), width))?;
        for design in &point.designs {
            let name = cut(&design.name, wide);
            let rate = design.figure("success_rate").map_or("–".into(), |e| share(e.value));
            let p95 = design.figure("latency_p95").map_or("–".into(), |e| seconds(e.value));
            let currency = &head.prices.currency;
            let cost = design
                .figure("cost_per_user")
                .map_or("no user served".into(), |e| interval(&e, |v| money(v, currency)));
            let own = point.thresholds.iter().filter(|row| row.design == design.name);
            let verdicts: Vec<Verdict> = own.map(|row| row.verdict).collect();
            let mark = if verdicts.contains(&Verdict::Fail) {
                "FAIL"
            } else if verdicts.contains(&Verdict::Undecided) {
                "?"
            } else {
                ""
            };
            let line = format!("  {name:wide$}  {rate:>9}  p95 {p95:>8}  {cost} a user  {mark}");
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    if !result.crossings.is_empty() {
        writeln!(out)?;
    }
    for crossing in &result.crossings {
        writeln!(out, "{}", crossover(result, crossing))?;
    }
    Ok(())
}

/// A crossing in one sentence.
fn crossover(result: &SweepResult, crossing: &Crossing) -> String {
    let axis = result.head.axes.iter().find(|axis| axis.path == crossing.axis);
    let name = axis.map_or("", |axis| axis.name.as_str());
    let others = result.head.axes.iter().filter(|axis| axis.path != crossing.axis);
    let held: Vec<String> = others
        .zip(&crossing.others)
        .map(|(axis, value)| format!("{} {}", axis.name, plain(value)))
        .collect();
    let held = if held.is_empty() { String::new() } else { format!(" at {}", held.join(", ")) };
    let (before, after, at) = (&crossing.before, &crossing.after, count(crossing.at));
    match (crossing.low, crossing.high) {
        (Some(low), Some(high)) => format!(
            "{after} becomes cheaper per user than {before} at {name} {at} (95 % interval {} to {}){held}",
            count(low),
            count(high)
        ),
        _ => format!(
            "undecided: {after} seems to become cheaper per user than {before} near {name} {at}, but the differences do not \
             separate within the grid{held}"
        ),
    }
}
