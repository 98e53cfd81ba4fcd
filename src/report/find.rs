//! What a search found, for a terminal or a program.

use super::format::{count, money, seconds, share};
use crate::experiment::find::{Answer, Found, Point};
use comfy_table::{Cell, Table, presets};
use serde_json::Value;
use std::fmt::Write as _;

/// The answer as text: a sentence a design, then every place that was looked at.
pub fn table(found: &Found, currency: &str, colour: bool) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, found, currency, colour);
    out
}

/// A figure as all reports write it; `metric` is one of a threshold, or a cost.
pub fn figure(metric: &str, value: f64, currency: &str) -> String {
    match metric {
        cost if cost.starts_with("cost") => money(value, currency),
        time if time.starts_with("latency") => seconds(value),
        rate if rate.starts_with("success_rate") => share(value),
        _ => format!("{} per s", count(value)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn write(out: &mut String, found: &Found, currency: &str, colour: bool) -> std::fmt::Result {
    let (bold, yellow, end) =
        if colour { ("\u{1b}[1m", "\u{1b}[33m", "\u{1b}[0m") } else { ("", "", "") };
    for answer in &found.answers {
        writeln!(out, "{bold}{}{end}: {}", answer.design, answer.text)?;
        if let Some(e) = answer.estimate {
            let interval = if found.question == "cheapest" {
                let metric = found.criterion.last().map_or("", String::as_str);
                let [low, high] = [e.low.max(0.0), e.high].map(|v| figure(metric, v, currency));
                format!("{metric} of it between {low} and {high}")
            } else {
                let ends = answer.values.iter().chain(&answer.beyond).map(plain);
                let mut ends: Vec<String> = ends.collect();
                if e.value > e.low && found.question != "break_even" {
                    ends.reverse();
                }
                format!("between {}", ends.join(" and "))
            };
            writeln!(out, "  {interval}, {:.0} % confidence", found.confidence * 100.0)?;
        }
        for own in &answer.warnings {
            writeln!(out, "  {yellow}warning[{}]{end}: {}; {}", own.code, own.text, own.remedy)?;
        }
    }
    writeln!(
        out,
        "\n{} places, {} replications; {}",
        found.answers.iter().map(|answer| answer.points.len()).sum::<usize>(),
        found.runs,
        premise(found)
    )?;
    for answer in &found.answers {
        points(out, found, answer)?;
    }
    if found.interrupted {
        writeln!(out, "interrupted: what stands above is what was known by then")?;
    }
    Ok(())
}

/// What the search took for granted.
fn premise(found: &Found) -> String {
    let all = found.criterion.iter().any(|text| text.replace(' ', "").ends_with("rate>=1"));
    let all = if all {
        "; rate>=1 is judged by the requests simulated, of which none may fail"
    } else {
        ""
    };
    let premise = match found.question {
        "cheapest" => "every configuration saw the same users".into(),
        "break_even" => "it is taken for granted that the cheaper one changes at most once".into(),
        _ => format!(
            "it is taken for granted that {} has one turn in the range",
            found.criterion.join(" and ")
        ),
    };
    premise + all
}

fn points(out: &mut String, found: &Found, answer: &Answer) -> std::fmt::Result {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let head = found.paths.iter().map(String::as_str).chain(["holds", "replications", "because"]);
    table.set_header(head.map(Cell::new));
    let number = |point: &Point| -> Option<f64> {
        let text = plain(point.values.first()?);
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        digits.parse().ok()
    };
    let mut sorted: Vec<&Point> = answer.points.iter().collect();
    sorted.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
    for point in sorted {
        let tail =
            [point.decision.to_owned(), point.replications.to_string(), point.because.clone()];
        table.add_row(point.values.iter().map(plain).chain(tail).map(Cell::new));
    }
    writeln!(out, "\n{}\n{table}", answer.design)
}

/// The answer for a program.
pub fn json(found: &Found) -> String {
    serde_json::to_string_pretty(found).unwrap_or_default() + "\n"
}
