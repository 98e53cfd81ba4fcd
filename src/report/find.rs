//! What a search found, for a terminal or a program.

use crate::experiment::find::{Answer, Found, Point};
use comfy_table::{Cell, Table, presets};
use serde_json::Value;
use std::fmt::Write as _;

/// The answer as text: a sentence a design, then every place that was looked at.
pub fn table(found: &Found, colour: bool) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, found, colour);
    out
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn write(out: &mut String, found: &Found, colour: bool) -> std::fmt::Result {
    let (bold, end) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    for answer in &found.answers {
        writeln!(out, "{bold}{}{end}: {}", answer.design, answer.text)?;
        if let Some(e) = answer.estimate {
            let interval = if found.question == "cheapest" {
                format!(
                    "{} of it between {:.6} and {:.6}",
                    found.criterion.join(", "),
                    e.low.max(0.0),
                    e.high
                )
            } else {
                format!("between {} and {}", e.low, e.high)
            };
            writeln!(out, "  {interval}, {:.0} % confidence", found.confidence * 100.0)?;
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
    match found.question {
        "cheapest" => "every configuration saw the same users".into(),
        "break_even" => "it is taken for granted that the cheaper one changes at most once".into(),
        _ => format!(
            "it is taken for granted that {} has one turn in the range",
            found.criterion.join(" and ")
        ),
    }
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
