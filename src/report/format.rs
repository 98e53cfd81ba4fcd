//! Figures for people: units, separators, intervals; never a rounding that hides a failure.

pub(super) use crate::experiment::figures::{TimeUnit, count, counted, seconds, share};
use crate::experiment::figures::{digits, separated};
use crate::experiment::result::Estimate;

/// Money in the currency of the price table: `$12.60`, `$0.0000184`.
pub(super) fn money(value: f64, currency: &str) -> String {
    let sign = if currency == "USD" { "$".to_owned() } else { format!("{currency} ") };
    if value == 0.0 {
        return format!("{sign}0");
    }
    if value.abs() >= 1.0 {
        return format!("{sign}{}", separated(&format!("{value:.2}")));
    }
    format!("{sign}{}", digits(value, 3))
}

/// A figure that cannot be negative, with its interval, by the given way of showing one value: `43.5 % [42.1, 44.9]`. The interval
/// of a mean over few replications may reach below zero; what is shown of it begins there.
pub(super) fn interval(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    let low = if estimate.low < 0.0 { 0.0 } else { estimate.low };
    difference(&Estimate { low, ..*estimate }, show)
}

/// A time with its interval, in one unit: `7.47 s [7.40, 7.55]`.
pub(super) fn time_interval(estimate: &Estimate) -> String {
    let unit = TimeUnit::of(estimate);
    interval(estimate, |v| unit.show(v))
}

/// A figure of either sign with its interval.
pub(super) fn difference(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    let (value, low, high) = (show(estimate.value), show(estimate.low), show(estimate.high));
    if low == value && high == value {
        return value;
    }
    format!("{value} [{}, {}]", bare(&low, &value), bare(&high, &value))
}

/// Leaves out the unit of a bound where it is that of the value.
fn bare(bound: &str, value: &str) -> String {
    let unit = value.rsplit_once(' ').map(|(_, unit)| unit);
    match (bound.rsplit_once(' '), unit) {
        (Some((number, own)), Some(unit)) if own == unit => number.to_owned(),
        _ => bound.to_owned(),
    }
}

/// Cuts a text to `width` characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(seconds(7.468), "7.47 s");
        assert_eq!(seconds(0.033), "33.0 ms");
        assert_eq!(seconds(0.000_002_1), "2.10 µs");
        assert_eq!(seconds(130.2), "2m10s");
        assert_eq!(share(0.4348), "43.5 %");
        assert_eq!(share(0.999_96), "99.996 %");
        assert_eq!(share(1.0), "100 %");
        assert_eq!(share(0.000_004), "0.0004 %");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(3.5), "3.50");
        assert_eq!(money(1633.1, "USD"), "$1,633.10");
        assert_eq!(money(0.000_018_4, "USD"), "$0.0000184");
    }

    #[test]
    fn intervals_share_their_unit() {
        let estimate = Estimate { value: 7.468, low: 7.4, high: 7.55 };
        assert_eq!(time_interval(&estimate), "7.47 s [7.40, 7.55]");
        let of = |value, low, high| time_interval(&Estimate { value, low, high });
        assert_eq!(of(0.9996, 0.98, 1.02), "1,000 ms [980, 1,020]");
        assert_eq!(of(130.2, 95.0, 165.4), "2m10s [1m35s, 2m45s]");
        assert_eq!(of(0.000_002, 0.0, 0.5), "0.00200 ms [0, 500]");
        assert_eq!(of(0.0, 0.0, 0.0), "0 s");
        let exact = Estimate { value: 1.0, low: 1.0, high: 1.0 };
        assert_eq!(interval(&exact, share), "100 %");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn what_cannot_be_negative_is_not_shown_so() {
        let waiting = Estimate { value: 1.03, low: -1.827, high: 3.88 };
        assert_eq!(time_interval(&waiting), "1.03 s [0, 3.88]");
        let lost = Estimate { value: 464.0, low: -826.0, high: 1753.0 };
        assert_eq!(interval(&lost, count), "464 [0, 1,753]");
        let paid = Estimate { value: 2.39e-5, low: -1.67e-5, high: 6.46e-5 };
        assert_eq!(interval(&paid, |v| money(v, "USD")), "$0.0000239 [$0, $0.0000646]");
        let unit = TimeUnit::of(&waiting);
        assert_eq!(difference(&waiting, |v| unit.show(v)), "1.03 s [-1.83, 3.88]");
    }
}
