//! Figures as people read them, in one form wherever a text has them: in what a result tells and in every report.

use super::result::Estimate;

/// Significant digits of a positive number: `1234` → `1,230`, `0.001234` → `0.00123`.
pub fn digits(value: f64, significant: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (significant - 1 - magnitude).max(0);
    let text = format!("{value:.*}", decimals.min(15) as usize);
    separated(&text)
}

/// Puts commas between thousands.
pub fn separated(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    match fraction {
        Some(fraction) => format!("{sign}{out}.{fraction}"),
        None => format!("{sign}{out}"),
    }
}

/// A count: `1,234` or, for small means, `3.5`.
pub fn count(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        separated(&format!("{value:.0}"))
    } else {
        digits(value, 3)
    }
}

/// A share: `43.5 %`, `100 %`; what is not all is never shown as all.
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    if value <= 0.0 {
        return "0 %".into();
    }
    if value >= 1.0 {
        return "100 %".into();
    }
    let mut decimals = 1;
    while decimals < 8 {
        let text = format!("{percent:.decimals$}");
        let shown: f64 = text.parse().unwrap_or(percent);
        if shown > 0.0 && shown < 100.0 {
            return format!("{text} %");
        }
        decimals += 1;
    }
    format!("{percent} %")
}

/// A count with what is counted: `1 request`, `2,508 calls`.
pub fn counted(value: f64, noun: &str) -> String {
    let text = count(value);
    let plural = if text == "1" { "" } else { "s" };
    format!("{text} {noun}{plural}")
}

/// Seconds: `7.47 s`, `33 ms`, `1.2 ms`, `2m10s`.
pub fn seconds(value: f64) -> String {
    TimeUnit::of_size(value).show(value)
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// `3.63 h`.
    Hours,
    /// `2m10s`.
    Minutes,
    /// `7.47 s`.
    Seconds,
    /// `33.0 ms`.
    Millis,
    /// `2.10 µs`.
    Micros,
}

impl TimeUnit {
    /// The unit that suits a time, seconds.
    pub fn of_size(value: f64) -> TimeUnit {
        match value {
            v if v >= 7200.0 => TimeUnit::Hours,
            v if v >= 100.0 => TimeUnit::Minutes,
            v if v >= 1.0 || v == 0.0 => TimeUnit::Seconds,
            v if v >= 1e-3 => TimeUnit::Millis,
            _ => TimeUnit::Micros,
        }
    }

    /// The unit of a figure and both ends of its interval: that of the figure, or of an end that is far larger.
    pub fn of(estimate: &Estimate) -> TimeUnit {
        let (value, end) = (estimate.value.abs(), estimate.low.abs().max(estimate.high.abs()));
        TimeUnit::of_size(if end.is_finite() && end >= value * 5.0 { end } else { value })
    }

    /// A time in this unit.
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".into();
        }
        match self {
            TimeUnit::Hours => format!("{} h", digits(value / 3600.0, 3)),
            TimeUnit::Minutes => {
                let whole = value.round() as u64;
                format!("{}m{:02}s", whole / 60, whole % 60)
            }
            TimeUnit::Seconds => format!("{} s", digits(value, 3)),
            TimeUnit::Millis => format!("{} ms", digits(value * 1e3, 3)),
            TimeUnit::Micros => format!("{} µs", digits(value * 1e6, 3)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_hours_wherever_they_are_told() {
        assert_eq!(seconds(13_071.0), "3.63 h");
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(f64::INFINITY), "–");
    }
}
