//! Figures as words: thousands separators, seconds, shares, money.

/// Digits after the point that keep `digits` significant ones, trailing zeros cut.
pub(super) fn figure(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let lead = libm::floor(libm::log10(value.abs()) + 1e-12).clamp(-15.0, 15.0);
    let mut after = 0_usize;
    while (after as f64) < f64::from(digits) - 1.0 - lead && after < 16 {
        after += 1;
    }
    let text = format!("{:.*}", after, value.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{rest}", grouped(whole))
}

fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Seconds with their unit: `250 ms`, `1.5 s`.
pub(super) fn seconds(value: f64) -> String {
    if value.is_finite() && value != 0.0 && value.abs() < 0.000_999_5 {
        format!("{} µs", figure(value * 1e6, 3))
    } else if value.is_finite() && value != 0.0 && value.abs() < 0.999_5 {
        format!("{} ms", figure(value * 1e3, 3))
    } else {
        format!("{} s", figure(value, 3))
    }
}

/// A share as a percentage.
pub(super) fn percent(value: f64) -> String {
    if value.is_finite() { format!("{:.2} %", value * 100.0) } else { figure(value, 1) }
}

/// An amount with its currency, small amounts by two significant digits.
pub(super) fn money(value: f64, currency: &str) -> String {
    let sign = match currency {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        other => return format!("{} {other}", figure(value, 3)),
    };
    format!("{sign}{}", figure(value, 3))
}

/// `throttled_account` as `throttled account`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(figure(1_234_567.0, 3), "1,234,567");
        assert_eq!(figure(0.000_002_5, 3), "0.0000025");
        assert_eq!(figure(-2000.0, 2), "−2,000");
        assert_eq!(figure(f64::NAN, 2), "–");
        assert_eq!(figure(0.3, 3), "0.3");
        assert_eq!(figure(1000.0, 3), "1,000");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(60.0), "60 s");
        assert_eq!(percent(0.9221), "92.21 %");
        assert_eq!(money(0.000_003, "USD"), "$0.000003");
        assert_eq!(money(1.5, "CHF"), "1.5 CHF");
    }
}
