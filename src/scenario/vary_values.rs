//! The values of an axis: `3,6,12`, `100..2000:100`, `100..10000:log7`, `128MB,256MB`, `true,false`, JSON.

use super::words::quoted;
use serde_json::{Number, Value};

/// Most values of one axis.
const VALUES_MAX: usize = 10_000;

/// What is wrong, and what to write instead.
type Wrong = (String, String);

/// Reads a list of values. Pieces between commas are values or ranges; `A..B:STEP` counts from A to B, both included,
/// `A..B:logN` takes N values at equal ratios. Ranges may carry a unit. Between whole numbers the values are whole.
pub(super) fn values(text: &str) -> Result<Vec<Value>, Wrong> {
    let mut all = Vec::new();
    for piece in pieces(text) {
        let piece = piece.trim();
        if piece.is_empty() {
            let what = "an empty place in the list".to_owned();
            return Err((what, "remove the comma, or write \"\" for an empty text".into()));
        }
        match piece.split_once("..").filter(|_| !piece.starts_with(['"', '[', '{'])) {
            Some((from, rest)) => all.extend(range(piece, from, rest)?),
            None => all.push(one(piece)?),
        }
        if all.len() > VALUES_MAX {
            return Err((format!("more than {VALUES_MAX} values"), "take larger steps".into()));
        }
    }
    for (i, value) in all.iter().enumerate() {
        if all[..i].contains(value) {
            return Err((format!("{value} is given twice"), "give each value once".into()));
        }
    }
    Ok(all)
}

/// Splits at commas outside of quotes and brackets.
fn pieces(text: &str) -> Vec<&str> {
    let (mut start, mut depth, mut quoted, mut escaped) = (0, 0_usize, false, false);
    let mut all = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                all.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    all.push(&text[start..]);
    all
}

/// One value: JSON where it is JSON, else the text as it stands.
fn one(text: &str) -> Result<Value, Wrong> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => Ok(value),
        Err(why) if text.starts_with(['"', '[', '{']) => {
            Err((format!("{} is not JSON: {why}", quoted(text)), "see json.org".into()))
        }
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

/// A number, how many decimals it was written with, and its unit.
struct Figure {
    value: f64,
    decimals: usize,
    unit: String,
}

fn figure(text: &str) -> Option<Figure> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (decimals <= 12).then(|| Figure { value, decimals, unit: unit.trim().to_owned() })
}

fn range(whole: &str, from: &str, rest: &str) -> Result<Vec<Value>, Wrong> {
    let remedy = "write FROM..TO:STEP or FROM..TO:logCOUNT, such as 100..2000:100, 100..10000:log7 or 128MB..512MB:128MB";
    let wrong = |what: String| (what, remedy.to_owned());
    let (to, step) = rest.split_once(':').map_or((rest, None), |(to, step)| (to, Some(step)));
    let unread = || wrong(format!("{} is not a range", quoted(whole)));
    let (from, to) = (figure(from).ok_or_else(unread)?, figure(to).ok_or_else(unread)?);
    let unit = &to.unit;
    if from.unit != *unit && !from.unit.is_empty() {
        return Err(wrong(format!("{} has two units", quoted(whole))));
    }
    if to.value < from.value {
        return Err(wrong(format!("{} ends before it begins", quoted(whole))));
    }
    let mut decimals = from.decimals.max(to.decimals);
    let numbers = match step.map(str::trim) {
        Some(count) if count.starts_with("log") => {
            let count = count[3..].trim().parse::<usize>().ok();
            let count = count.filter(|n| (2..=VALUES_MAX).contains(n)).ok_or_else(|| {
                wrong(format!("{}: log wants a count of 2 or more", quoted(whole)))
            })?;
            if from.value <= 0.0 {
                return Err(wrong(format!("{}: equal ratios begin above 0", quoted(whole))));
            }
            if decimals > 0 {
                decimals = 6;
            }
            let ratio = libm::log(to.value / from.value) / (count - 1) as f64;
            (0..count).map(|i| from.value * libm::exp(ratio * i as f64)).collect::<Vec<_>>()
        }
        step => {
            let step = match step {
                Some(text) => figure(text).ok_or_else(unread)?,
                None => Figure { value: 1.0, decimals: 0, unit: String::new() },
            };
            if step.unit != *unit && !step.unit.is_empty() {
                return Err(wrong(format!("{} has two units", quoted(whole))));
            }
            if step.value <= 0.0 {
                return Err(wrong(format!("{}: the step is not above 0", quoted(whole))));
            }
            decimals = decimals.max(step.decimals);
            let count = ((to.value - from.value) / step.value + 1e-9).floor();
            if count >= VALUES_MAX as f64 {
                return Err(wrong(format!("{}: more than {VALUES_MAX} values", quoted(whole))));
            }
            (0..=count as usize).map(|i| from.value + step.value * i as f64).collect()
        }
    };
    let mut texts: Vec<String> = numbers.iter().map(|n| format!("{n:.decimals$}")).collect();
    texts.dedup();
    let value = |text: String| {
        if !unit.is_empty() {
            return Value::String(format!("{text}{unit}"));
        }
        match text.parse::<i64>() {
            Ok(whole) => whole.into(),
            Err(_) => text
                .parse::<f64>()
                .ok()
                .and_then(Number::from_f64)
                .map_or(Value::String(text), Value::Number),
        }
    };
    Ok(texts.into_iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_ranges_units_and_json() {
        for (text, wanted) in [
            ("3,6,12", json!([3, 6, 12])),
            ("100..500:100", json!([100, 200, 300, 400, 500])),
            ("100..450:100", json!([100, 200, 300, 400])),
            ("1..3", json!([1, 2, 3])),
            ("0.1..0.4:0.1", json!([0.1, 0.2, 0.3, 0.4])),
            ("1,10..30:10, 99", json!([1, 10, 20, 30, 99])),
            ("100..10000:log5", json!([100, 316, 1000, 3162, 10000])),
            ("1..2:log3", json!([1, 2])),
            ("128MB..384MB:128MB", json!(["128MB", "256MB", "384MB"])),
            ("5..15s:5", json!(["5s", "10s", "15s"])),
            ("128MB, 1GB", json!(["128MB", "1GB"])),
            ("true,false", json!([true, false])),
            ("{\"a\": [1,2]},[3,4],\"x,y\",null", json!([{"a": [1, 2]}, [3, 4], "x,y", null])),
            ("\"1..3\"", json!(["1..3"])),
        ] {
            assert_eq!(Value::from(values(text).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        for text in [
            "",
            "1,,2",
            "1,1",
            "9..3:1",
            "1..9:0",
            "1..9:-1",
            "1..9:x",
            "a..b",
            "0..9:log3",
            "1..9:log1",
            "1..9:logx",
            "1MB..2GB:1MB",
            "1..100000000:1",
            "{\"a\"",
            "\"x",
            "..",
            "1..",
        ] {
            let (what, remedy) = values(text).unwrap_err();
            assert!(!what.is_empty() && !remedy.is_empty(), "{text}");
        }
    }
}
