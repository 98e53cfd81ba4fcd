//! Quantities with their unit in the text: `"150ms"`, `"512MB"`, `"20/s"`. Parsing, printing, JSON Schema.

mod quantity;

pub use quantity::{Moment, Quantity, parse_moment, parse_quantity};

use crate::kernel::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// An amount of memory or data, bytes. As AWS and the kernel count, `MB` and `MiB` both mean 2^20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// From mebibytes (what AWS calls MB).
    pub const fn from_mb(mb: u64) -> Bytes {
        Bytes(mb << 20)
    }
    /// In mebibytes.
    pub fn mb(self) -> f64 {
        self.0 as f64 / 1_048_576.0
    }
    /// In gibibytes.
    pub fn gb(self) -> f64 {
        self.mb() / 1024.0
    }
}

/// How often something happens, per second.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default)]
pub struct Rate(pub f64);

impl Rate {
    /// Per second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

/// A price for a length of time, such as `0.10/hour` or `120/month`, in the currency of the price table. The amount stays text: what it is
/// worth is not known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    amount: String,
    period: &'static str,
}

impl Price {
    /// The amount for [`Self::hours`], exact decimal text.
    pub fn amount(&self) -> &str {
        &self.amount
    }
    /// Hours that the amount is paid for: a month has 730, as AWS's own examples count them, and a year twelve months.
    pub fn hours(&self) -> u32 {
        hours_of(self.period).map_or(1, |(_, hours)| hours)
    }
    /// What it comes to in a month: for axes, not for bills.
    pub fn per_month(&self) -> f64 {
        self.amount.parse().unwrap_or(f64::NAN) / f64::from(self.hours()) * 730.0
    }
}

/// What a text with a unit was expected to look like, and why this one does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong, e.g. `no unit`.
    pub problem: String,
    /// Accepted forms, e.g. `150ms, 2s, 1m30s`.
    pub accepted: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write it like {}", self.problem, self.accepted)
    }
}

impl UnitError {
    fn new(problem: impl Into<String>, accepted: &'static str) -> UnitError {
        UnitError { problem: problem.into(), accepted }
    }
}

const SPAN_FORMS: &str = "\"150ms\", \"2s\", \"1m30s\" or \"6h\" (ns, us, ms, s, m, h, d)";
const BYTES_FORMS: &str = "\"512MB\", \"4GB\" or \"128KiB\" (B, KB, MB, GB, TB; powers of 1024)";
const PRICE_FORMS: &str =
    "\"0.10/hour\", \"120/month\" or \"900/year\", without the sign of a currency";
const RATE_FORMS: &str = "\"20/s\", \"1.5k/s\" or \"300/m\" (per ms, s, m, h, d)";

/// Splits `"1.5k/s"` into the number and what follows.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text
        .char_indices()
        .find(|&(i, c)| {
            let exponent = (c == 'e' || c == 'E')
                && text[i + 1..].starts_with(|d: char| d.is_ascii_digit() || d == '-' || d == '+');
            let sign = (c == '-' || c == '+') && (i == 0 || text[..i].ends_with(['e', 'E']));
            !(c.is_ascii_digit() || c == '.' || exponent || sign)
        })
        .map_or(text.len(), |(i, _)| i);
    text[..end].parse().ok().map(|number| (number, &text[end..]))
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// The longest time a scenario may name: a hundred years.
const SECONDS_MAX: f64 = 100.0 * 365.0 * 86_400.0;

/// Reads `"150ms"`, `"1m30s"`.
pub fn parse_span(text: &str) -> Result<Span, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, SPAN_FORMS));
    let mut rest = text.trim();
    if rest.is_empty() {
        return fail("an empty text is not a time".into());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let Some((number, tail)) = split_number(rest) else {
            return fail(format!("\"{text}\" is not a time"));
        };
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        if end == 0 {
            return fail(format!("\"{text}\" has no unit"));
        }
        let Some(scale) = seconds_of(&tail[..end]) else {
            return fail(format!("\"{}\" is not a unit of time", &tail[..end]));
        };
        if !(number >= 0.0 && number.is_finite()) {
            return fail(format!("\"{text}\" is negative or not finite"));
        }
        seconds += number * scale;
        rest = &tail[end..];
    }
    if seconds > SECONDS_MAX {
        return fail(format!("\"{text}\" is longer than a hundred years"));
    }
    Ok(Span::from_secs_f64(seconds))
}

/// Reads `"512MB"`.
pub fn parse_bytes(text: &str) -> Result<Bytes, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, BYTES_FORMS));
    let Some((number, unit)) = split_number(text.trim()) else {
        return fail(format!("\"{text}\" is not an amount of memory"));
    };
    let shift = match unit.trim() {
        "B" => 0,
        "K" | "KB" | "Ki" | "KiB" | "kB" => 10,
        "M" | "MB" | "Mi" | "MiB" => 20,
        "G" | "GB" | "Gi" | "GiB" => 30,
        "T" | "TB" | "Ti" | "TiB" => 40,
        "" => return fail(format!("\"{text}\" has no unit")),
        other => return fail(format!("\"{other}\" is not a unit of memory")),
    };
    let bytes = number * (1_u64 << shift) as f64;
    if !(0.0..=1e18).contains(&bytes) {
        return fail(format!("\"{text}\" is negative or absurdly large"));
    }
    Ok(Bytes(bytes.round() as u64))
}

/// Reads `"20/s"`, `"1.5k/s"`.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, RATE_FORMS));
    let Some((number, tail)) = split_number(text.trim()) else {
        return fail(format!("\"{text}\" is not a rate"));
    };
    let (scale, tail) = match tail.strip_prefix(['k', 'K']) {
        Some(tail) => (1e3, tail),
        None => match tail.strip_prefix('M') {
            Some(tail) => (1e6, tail),
            None => (1.0, tail),
        },
    };
    let Some(unit) = tail.strip_prefix('/') else {
        return fail(format!("\"{text}\" does not say per what time"));
    };
    let Some(seconds) = seconds_of(unit) else {
        return fail(format!("\"{unit}\" is not a unit of time"));
    };
    let rate = number * scale / seconds;
    if !(0.0..=1e12).contains(&rate) {
        return fail(format!("\"{text}\" is negative or absurdly large"));
    }
    Ok(Rate(rate))
}

/// A period that is paid for, by the name that it is printed with, and its hours.
fn hours_of(period: &str) -> Option<(&'static str, u32)> {
    Some(match period {
        "hour" => ("hour", 1),
        "month" => ("month", 730),
        "year" => ("year", 8760),
        _ => return None,
    })
}

/// Largest amount of a price: with it no bill leaves 128 bits.
const AMOUNT_MAX: f64 = 1e6;
/// Decimals of an amount that a bill keeps.
const DECIMALS_MAX: usize = 12;

/// Reads `"0.10/hour"`, `"120/month"`.
pub fn parse_price(text: &str) -> Result<Price, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, PRICE_FORMS));
    let Some((amount, period)) = text.trim().split_once('/') else {
        return fail(format!("\"{text}\" does not say for what time"));
    };
    let Some((period, _)) = hours_of(period.trim()) else {
        return fail(format!("\"{period}\" is not a time that is paid for"));
    };
    let amount = amount.trim();
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return fail(format!("\"{amount}\" is not a decimal number"));
    }
    if part.len() > DECIMALS_MAX {
        return fail(format!("\"{amount}\" has more than twelve decimals"));
    }
    if !amount.parse::<f64>().is_ok_and(|value| value <= AMOUNT_MAX) {
        return fail(format!("{amount} is absurdly large"));
    }
    Ok(Price { amount: amount.to_owned(), period })
}

/// Prints a time in its largest fitting unit, at full precision: `150ms`, `1.5s`, `2h`.
pub fn show_span(span: Span) -> String {
    let ns = span.nanos();
    let units: [(u64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if ns == 0 {
        return "0s".into();
    }
    // A whole number of a coarse unit reads best; otherwise seconds or finer with decimals.
    for (size, name) in units {
        if ns.is_multiple_of(size) && (size <= 1_000_000_000 || ns / size < 1000) {
            let whole = ns / size;
            if size >= 1_000_000_000 || whole < 1000 || size == 1 {
                return format!("{whole}{name}");
            }
        }
        if ns >= size && size <= 1_000_000_000 {
            let text = format!("{:.9}", ns as f64 / size as f64);
            return format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{ns}ns")
}

fn show_bytes(bytes: Bytes) -> String {
    let n = bytes.0;
    for (shift, name) in [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")] {
        if n >= 1 << shift && n.is_multiple_of(1 << shift) {
            return format!("{}{name}", n >> shift);
        }
    }
    format!("{n}B")
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_span(*self))
    }
}
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_bytes(*self))
    }
}
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, self.period)
    }
}

/// Gives a quantity its text form in files: serde both ways and a schema with pattern and `x-unit`.
macro_rules! text_unit {
    ($type:ty, $name:literal, $parse:path, $about:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $about, "pattern": $pattern, "x-unit": $name })
            }
        }
    };
}
text_unit!(
    Span,
    "duration",
    parse_span,
    "A length of time with its unit: 150ms, 2s, 1m30s.",
    r"^\s*([0-9.eE+-]+(ns|us|µs|ms|s|m|min|h|d))+\s*$"
);
text_unit!(
    Bytes,
    "bytes",
    parse_bytes,
    "An amount of memory or data with its unit: 512MB, 4GB (powers of 1024).",
    r"^\s*[0-9.eE+-]+\s*(B|[KMGTk](i?B?))\s*$"
);
text_unit!(
    Rate,
    "rate",
    parse_rate,
    "How often, with its unit: 20/s, 1.5k/s, 300/m.",
    r"^\s*[0-9.eE+-]+[kKM]?/(ms|s|m|min|h|d)\s*$"
);
text_unit!(
    Price,
    "price",
    parse_price,
    "A price for a length of time, in the currency of the price table: 0.10/hour, 120/month, 900/year.",
    r"^\s*[0-9]+(\.[0-9]+)?\s*/\s*(hour|month|year)\s*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_unit() {
        for (text, ns) in [
            ("150ms", 150_000_000),
            ("2s", 2_000_000_000),
            ("1m30s", 90_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("7us", 7_000),
            ("1e3ms", 1_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text).map(Span::nanos), Ok(ns), "{text}");
        }
        for bad in ["", "15", "fast", "-1s", "1parsec", "NaNs", "1e300s", "5s5"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn printed_times_read_back() {
        for ns in [0, 1, 999, 1_000, 1_500, 22_870_000, 150_000_000, 1_500_000_000, 90_000_000_000]
        {
            let span = Span::from_nanos(ns);
            assert_eq!(parse_span(&show_span(span)), Ok(span), "{}", show_span(span));
        }
        assert_eq!(show_span(Span::from_secs(7200)), "2h");
        assert_eq!(show_span(Span::from_millis(1500)), "1.5s");
    }

    #[test]
    fn memory_and_rates() {
        assert_eq!(parse_bytes("512MB"), Ok(Bytes::from_mb(512)));
        assert_eq!(parse_bytes("512Mi"), Ok(Bytes::from_mb(512)));
        assert_eq!(parse_bytes("1.5GB"), Ok(Bytes::from_mb(1536)));
        assert_eq!(Bytes::from_mb(1536).to_string(), "1536MB");
        assert!(parse_bytes("512").is_err() && parse_bytes("-1MB").is_err());
        assert_eq!(parse_rate("1.5k/s"), Ok(Rate(1500.0)));
        assert_eq!(parse_rate("300/m"), Ok(Rate(5.0)));
        assert!(parse_rate("10").is_err() && parse_rate("-1/s").is_err());
        assert!(parse_rate("1e308/ms").is_err());
    }

    #[test]
    fn prices_for_a_time() {
        for (text, hours, shown) in [
            ("0.10/hour", 1, "0.10/hour"),
            ("120/month", 730, "120/month"),
            (" 900 / year ", 8760, "900/year"),
            ("1000000/hour", 1, "1000000/hour"),
        ] {
            let price = parse_price(text).unwrap();
            assert_eq!((price.hours(), price.to_string().as_str()), (hours, shown), "{text}");
            assert_eq!(parse_price(shown), Ok(price), "{text}");
        }
        for bad in [
            "",
            "120",
            "$1/month",
            "-1/hour",
            "1e3/hour",
            "1/h",
            ".5/hour",
            "5./hour",
            "1000001/hour",
        ] {
            assert!(parse_price(bad).is_err(), "{bad}");
        }
        assert!(parse_price("0.1234567890123/hour").is_err());
    }
}
