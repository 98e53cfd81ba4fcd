//! Amounts of money as integers, so that a bill's lines sum to its total to the last digit.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// An amount in the price table's currency, held in millionths of a millionth of a unit (1e-12).
///
/// Twelve decimals hold every list price exactly: the smallest, 0.0000000309 a GB-second, is 30,900 of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Money(i128);

/// Decimals held.
const DECIMALS: usize = 12;
/// One unit of the currency.
const UNIT: i128 = 1_000_000_000_000;

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyError {
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write it like \"0.20\" or \"0.0000166667\"", self.problem)
    }
}

impl std::error::Error for MoneyError {}

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// From units of 1e-12.
    pub const fn from_pico(pico: i128) -> Money {
        Money(pico)
    }

    /// In units of 1e-12.
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// In units of the currency; exact to about 16 digits.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / UNIT as f64
    }

    /// Reads `"1633.10"`: digits, at most twelve of them after the point, and nothing lost.
    pub fn parse(text: &str) -> Result<Money, MoneyError> {
        let fail = |why: &str| Err(MoneyError { problem: format!("\"{text}\" {why}") });
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !number(whole) || !number(part) || digits.ends_with('.') {
            return fail("is not a decimal number");
        }
        if part.len() > DECIMALS {
            return fail("has more than twelve decimals");
        }
        if whole.len() > 18 {
            return fail("is absurdly large");
        }
        let padded = format!("{whole}{part:0<DECIMALS$}");
        let Ok(pico) = padded.parse::<i128>() else { return fail("is not a decimal number") };
        Ok(Money(if negative { -pico } else { pico }))
    }

    /// Exact decimal text, as a price table has it: `0.0000166667`.
    pub fn exact(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let part = format!("{:012}", magnitude % UNIT.unsigned_abs());
        let part = part.trim_end_matches('0');
        let whole = magnitude / UNIT.unsigned_abs();
        if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
    }

    /// For people, with the sign of a currency by its ISO 4217 code: `$12.60`, `EUR 12.60`.
    ///
    /// Two decimals from 1 on, four from 0.01 on, three figures below; trailing zeros after the cents go.
    pub fn show(self, currency: &str) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let symbol = if currency == "USD" { "$".to_string() } else { format!("{currency} ") };
        let magnitude = self.0.unsigned_abs();
        let decimals = decimals_shown(magnitude);
        let step = 10_u128.pow(u32::try_from(DECIMALS - decimals).unwrap_or(0));
        let rounded = (magnitude + step / 2) / step;
        let scale = UNIT.unsigned_abs() / step;
        let mut part = format!("{:0decimals$}", rounded % scale);
        while part.len() > 2 && part.ends_with('0') {
            part.pop();
        }
        format!("{sign}{symbol}{}.{part}", grouped(rounded / scale))
    }
}

/// How many decimals an amount is shown with.
fn decimals_shown(magnitude: u128) -> usize {
    let unit = UNIT.unsigned_abs();
    if magnitude == 0 || magnitude >= unit {
        return 2;
    }
    if magnitude >= unit / 100 {
        return 4;
    }
    // `figures` digits remain after the leading zeros; keep three of them.
    let figures = magnitude.to_string().len();
    (DECIMALS - figures + 3).min(DECIMALS)
}

/// Whole units with a comma every three digits.
fn grouped(whole: u128) -> String {
    let digits = whole.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Money {
    /// As [`Money::show`] in dollars.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.show("USD"))
    }
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Money;
    fn sub(self, other: Money) -> Money {
        Money(self.0 - other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        self.0 += other.0;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_decimals_in_and_out() {
        for (text, pico) in [
            ("0", 0),
            ("0.0000000309", 30_900),
            ("0.0000166667", 16_666_700),
            ("3.5", 3_500_000_000_000),
            ("-1.25", -1_250_000_000_000),
            ("0.000000000001", 1),
        ] {
            assert_eq!(Money::parse(text), Ok(Money(pico)), "{text}");
            assert_eq!(Money(pico).exact(), text);
        }
        let absurd = "9".repeat(19);
        for bad in ["", ".5", "5.", "1e-6", "$1", "1,000", "--1", "0.0000000000001", "-", &absurd] {
            assert!(Money::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shown_for_people() {
        for (text, shown) in [
            ("0", "$0.00"),
            ("0.011833357", "$0.0118"),
            ("0.1392", "$0.1392"),
            ("0.4", "$0.40"),
            ("0.048", "$0.048"),
            ("0.99999", "$1.00"),
            ("12.6", "$12.60"),
            ("999.999", "$1,000.00"),
            ("1633.1", "$1,633.10"),
            ("301667.2", "$301,667.20"),
            ("1234567.891", "$1,234,567.89"),
            ("0.0000112", "$0.0000112"),
            ("0.00999999", "$0.01"),
            ("0.000000000001", "$0.000000000001"),
            ("-2.5", "-$2.50"),
        ] {
            assert_eq!(Money::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Money::parse("12.6").unwrap().show("EUR"), "EUR 12.60");
        assert_eq!(format!("{:>8}", Money::parse("12.6").unwrap()), "  $12.60");
    }

    #[test]
    fn sums_order_and_floats() {
        let parts = ["0.1", "0.2", "0.3"].map(|t| Money::parse(t).unwrap());
        let sum: Money = parts.into_iter().sum();
        assert_eq!(sum, Money::parse("0.6").unwrap());
        assert!(parts[0] < parts[1] && (sum.as_f64() - 0.6).abs() < 1e-15);
        assert_eq!(sum - parts[2], parts[0] + parts[1]);
    }
}
