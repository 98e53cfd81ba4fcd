//! Kubernetes' quantities (`500m`, `128Mi`) and points in time as its objects write them: seconds, `90s` or RFC 3339.
//! Calendars before 1970 and leap seconds are left out.

use super::{UnitError, parse_span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// An amount in Kubernetes' notation, billionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Quantity(i128);

/// A point in time, nanoseconds from the author's own zero or from 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(i64);

const QUANTITY_FORMS: &str = "500m, 2, 0.5, 1k or \"128Mi\" (n u m k M G T P E, Ki Mi Gi Ti Pi Ei)";
const MOMENT_FORMS: &str = "90 (seconds), \"90s\", \"-5m\" or \"2026-11-21T10:00:00Z\"";
const BILLION: i128 = 1_000_000_000;
/// The largest amount that is read, in units: the capacity of a Kubernetes quantity.
const UNITS_MAX: i128 = 1 << 63;

impl Quantity {
    /// From thousandths.
    pub const fn from_milli(milli: i64) -> Quantity {
        Quantity(milli as i128 * 1_000_000)
    }
    /// Thousandths, rounded up as Kubernetes does; huge amounts stay at the largest number.
    pub fn milli(self) -> i64 {
        let (whole, rest) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let up = whole + i128::from(rest > 0);
        i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
    }
    /// As a number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Moment {
    /// Longer ago than any window of the autoscaler: about 31 years before zero.
    pub const LONG_AGO: Moment = Moment(-1_000_000_000_000_000_000);
    /// From whole seconds.
    pub const fn from_secs(s: i64) -> Moment {
        Moment(s * 1_000_000_000)
    }
    /// Nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

/// Billionths of the units that a suffix stands for.
fn suffix(name: &str) -> Option<i128> {
    Some(match name {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => BILLION,
        "k" => BILLION * 1_000,
        "M" => BILLION * 1_000_000,
        "G" => BILLION * BILLION,
        "T" => BILLION * 1_000 * BILLION,
        "P" => BILLION * 1_000_000 * BILLION,
        "E" => BILLION * BILLION * BILLION,
        "Ki" => BILLION << 10,
        "Mi" => BILLION << 20,
        "Gi" => BILLION << 30,
        "Ti" => BILLION << 40,
        "Pi" => BILLION << 50,
        "Ei" => BILLION << 60,
        _ => return None,
    })
}

/// Reads `"500m"`, `"128Mi"`, `"0.5"`, `"1e3"`. What is finer than a billionth is rounded up.
pub fn parse_quantity(text: &str) -> Result<Quantity, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, QUANTITY_FORMS));
    let body = text.trim();
    let (negative, body) = match body.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, body.strip_prefix('+').unwrap_or(body)),
    };
    let end = body.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(body.len());
    let (number, unit) = body.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 40 {
        return fail(format!("\"{text}\" is not a quantity"));
    }
    // An exponent of ten, unless the letter is the suffix E.
    let exponent = unit.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok());
    let (scale, tens) = match exponent {
        Some(tens) if (-30..=30).contains(&tens) => (BILLION, tens),
        Some(_) => return fail(format!("\"{text}\" is absurdly large or small")),
        None => match suffix(unit) {
            Some(scale) => (scale, 0),
            None => return fail(format!("\"{unit}\" is not a suffix of a quantity")),
        },
    };
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(i128::MAX) };
    // The number has at most 40 characters.
    let tens = tens - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let raised = |n: i128| 10_i128.checked_pow(n.unsigned_abs() as u32);
    let nanos = if tens >= 0 {
        raised(i128::from(tens)).and_then(|ten| mantissa.checked_mul(scale)?.checked_mul(ten))
    } else {
        raised(i128::from(tens)).and_then(|ten| {
            let product = mantissa.checked_mul(scale)?;
            Some(product / ten + i128::from(product % ten > 0))
        })
    };
    match nanos.filter(|nanos| *nanos <= UNITS_MAX * BILLION) {
        Some(nanos) => Ok(Quantity(if negative { -nanos } else { nanos })),
        None => fail(format!("\"{text}\" is absurdly large")),
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last of a year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468
}

/// Reads `2026-11-21T10:00:00.5Z` or with an offset such as `+02:00`.
fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok().filter(|n| *n >= 0));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let split = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at(split);
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let length = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -length } else { length }
        }
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (parts.next()?.parse::<i64>().ok()?, parts.next()?.parse::<i64>().ok()?);
    let second: f64 = parts.next()?.parse().ok()?;
    let sane = (1970..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    let whole = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 - offset;
    (sane && parts.next().is_none()).then(|| whole * 1_000_000_000 + (second * 1e9).round() as i64)
}

/// Reads seconds as a number, a time with its unit, or RFC 3339.
pub fn parse_moment(text: &str) -> Result<Moment, UnitError> {
    let fail = |problem: String| Err(UnitError::new(problem, MOMENT_FORMS));
    let body = text.trim();
    if let Ok(seconds) = body.parse::<f64>() {
        if seconds.is_finite() && (Moment::LONG_AGO.as_secs()..=7.5e9).contains(&seconds) {
            return Ok(Moment((seconds * 1e9).round() as i64));
        }
        return fail(format!("{body} seconds are out of range"));
    }
    if let Some(nanos) = parse_rfc3339(body) {
        return Ok(Moment(nanos));
    }
    let (sign, length) = body.strip_prefix('-').map_or((1, body), |rest| (-1, rest));
    let nanos = parse_span(length).ok().and_then(|span| i64::try_from(span.nanos()).ok());
    match nanos {
        Some(nanos) if nanos <= -Moment::LONG_AGO.0 => Ok(Moment(sign * nanos)),
        _ => fail(format!("\"{text}\" is not a time")),
    }
}

impl Moment {
    fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (size, name) in [(BILLION, ""), (1_000_000, "m"), (1_000, "u"), (1, "n")] {
            if self.0 % size == 0 {
                return write!(f, "{}{name}", self.0 / size);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_secs())
    }
}

/// A number or a text, as both may stand in a file.
struct Written;

impl de::Visitor<'_> for Written {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<String, E> {
        Ok(n.to_string())
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<String, E> {
        Ok(n.to_string())
    }
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<String, E> {
        Ok(n.to_string())
    }
}

/// Gives a quantity that may be written as a number or as a text its form in files.
macro_rules! lenient_unit {
    ($type:ty, $name:literal, $parse:path, $about:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $parse(&deserializer.deserialize_any(Written)?).map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number"], "description": $about, "x-unit": $name })
            }
        }
    };
}
lenient_unit!(
    Quantity,
    "kubernetes-quantity",
    parse_quantity,
    "An amount as Kubernetes writes it: 500m, 2, 128Mi, 1k."
);
lenient_unit!(
    Moment,
    "moment",
    parse_moment,
    "A point in time or a length of it: seconds as a number, \"90s\", or RFC 3339."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_kubernetes() {
        for (text, milli) in [
            ("500m", 500),
            ("2", 2_000),
            ("0.5", 500),
            (".5", 500),
            ("1k", 1_000_000),
            ("1e3", 1_000_000),
            ("128Mi", 134_217_728_000),
            ("1.5Gi", 1_610_612_736_000),
            ("1n", 1),
            ("0", 0),
            ("-2", -2_000),
        ] {
            assert_eq!(parse_quantity(text).map(Quantity::milli), Ok(milli), "{text}");
        }
        for bad in ["", "m", "1.2.3", "5 apples", "1e99", "99999999999999999999E", "0x1"] {
            assert!(parse_quantity(bad).is_err(), "{bad}");
        }
        for text in ["500m", "3", "134217728", "7u"] {
            assert_eq!(parse_quantity(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn moments_in_three_forms() {
        for (text, seconds) in [
            ("90", 90),
            ("-3600", -3600),
            ("90s", 90),
            ("1m30s", 90),
            ("-5m", -300),
            ("1970-01-02T00:00:00Z", 86_400),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2000-03-01T02:00:00+02:00", 951_868_800),
        ] {
            assert_eq!(parse_moment(text), Ok(Moment::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_moment("1.5").map(Moment::nanos), Ok(1_500_000_000));
        for bad in ["", "soon", "1e30", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "-", "5 x"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
    }
}
