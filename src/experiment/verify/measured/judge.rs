//! The judgement of a measured case: which figures are compared, and how far off they may be.

use super::case::MeasuredCase;
use super::figures::Figures;
use crate::experiment::verification::{Case, Metric};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many standard deviations of the repetitions a prediction may be off.
const DEVIATIONS: f64 = 3.0;
/// Success rate, absolute.
const SUCCESS: f64 = 0.02;
/// Quantiles of the latency: relative, and seconds.
const LATENCY: f64 = 0.10;
const LATENCY_SECONDS: f64 = 0.015;
/// Throughput of successes, relative.
const THROUGHPUT: f64 = 0.05;
/// Share of a group of errors, absolute.
const ERRORS: f64 = 0.03;
/// Attempts per request, relative.
const ATTEMPTS: f64 = 0.05;
/// Repetitions that differ by more than this many tolerances differ by a race: any of them could be predicted.
const RACE: f64 = 1.0;

/// Groups of errors and the kinds that belong to each; what is in none belongs to `other`.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("http_500", &["http_500"]),
    ("http_502", &["http_502"]),
    ("http_503", &["http_503"]),
    ("http_504", &["http_504"]),
    ("http_429", &["http_429"]),
    ("client_timeout", &["timeout"]),
    ("connect_timeout", &["timeout_connect", "connect_etimedout"]),
    ("refused", &["connect_refused"]),
    ("closed", &["eof", "eof_partial", "read_reset", "write_reset", "connect_reset"]),
];

/// The group of a kind of error.
pub(super) fn group_of(kind: &str) -> &'static str {
    GROUPS.iter().find(|(_, kinds)| kinds.contains(&kind)).map_or("other", |(group, _)| group)
}

/// One observed figure: mean, deviation and range over repetitions.
#[derive(Debug, Clone, Copy)]
struct Truth {
    mean: f64,
    sd: f64,
    min: f64,
    max: f64,
}

impl Truth {
    fn of(values: &[f64]) -> Option<Truth> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        (n > 0.0).then(|| Truth {
            mean,
            sd: if n > 1.0 { (spread / (n - 1.0)).sqrt() } else { 0.0 },
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    fn read(value: Option<&Value>) -> Option<Truth> {
        let value = value?;
        let at = |name: &str| value.get(name).and_then(Value::as_f64);
        let mean = at("mean").or_else(|| value.as_f64())?;
        Some(Truth {
            mean,
            sd: at("sd").unwrap_or(0.0),
            min: at("min").unwrap_or(mean),
            max: at("max").unwrap_or(mean),
        })
    }

    fn scaled(self, by: f64) -> Truth {
        Truth { mean: self.mean * by, sd: self.sd * by, min: self.min * by, max: self.max * by }
    }

    /// Judges a prediction; `least` is the tolerance without the spread of the repetitions.
    fn judge(self, name: &str, predicted: Option<f64>, least: f64) -> Metric {
        let tolerance = least.max(DEVIATIONS * self.sd);
        // Repetitions that are farther apart than the tolerance differ by a race: each of them is a truth.
        let race = self.max - self.min > RACE * least;
        let (low, high) = if race { (self.min, self.max) } else { (self.mean, self.mean) };
        let within = predicted.is_some_and(|p| p >= low - tolerance && p <= high + tolerance);
        Metric {
            name: name.into(),
            predicted,
            observed: Some(self.mean),
            tolerance,
            range: race.then_some([self.min, self.max]),
            within,
        }
    }
}

/// Compares what was predicted with what was observed.
pub(super) fn judge(case: &MeasuredCase, predicted: &Figures) -> Case {
    let summary = &case.observed.summary;
    let truth = |name: &str| Truth::read(summary.get(name));
    let mut metrics = Vec::new();
    let unfinished = truth("unfinished_at_end").is_some_and(|truth| truth.max > 0.0);
    let success = if unfinished { "success_rate_counting_unfinished" } else { "success_rate" };
    if let Some(truth) = truth(success) {
        let rate = if unfinished { predicted.success_of_all } else { predicted.success };
        metrics.push(truth.judge(success, Some(rate), SUCCESS));
    }
    for (name, value) in [
        ("p50", predicted.quantiles[0]),
        ("p90", predicted.quantiles[1]),
        ("p95", predicted.quantiles[2]),
    ] {
        let Some(truth) = Truth::read(summary.get("latency_ms").and_then(|l| l.get(name))) else {
            continue;
        };
        let truth = truth.scaled(1e-3);
        let least = (LATENCY * truth.mean).max(LATENCY_SECONDS);
        metrics.push(truth.judge(&format!("latency.{name}"), value, least));
    }
    if let Some(truth) = truth("throughput_ok_rps") {
        let least = THROUGHPUT * truth.mean;
        metrics.push(truth.judge("throughput_ok", Some(predicted.throughput), least));
    }
    metrics.extend(errors(case, predicted));
    if let Some(truth) = truth("attempts_per_request") {
        let least = ATTEMPTS * truth.mean;
        metrics.push(truth.judge("attempts_per_request", Some(predicted.attempts), least));
    }
    Case::new(&case.id, "measured", &case.title, metrics)
}

/// The share of every group of errors that was observed or predicted.
fn errors(case: &MeasuredCase, predicted: &Figures) -> Vec<Metric> {
    let rates = |value: &Value| -> Vec<(String, f64)> {
        let map = value.get("error_rate_by_kind").and_then(Value::as_object);
        let row = |(kind, share): (&String, &Value)| {
            let share = share.get("mean").and_then(Value::as_f64).or_else(|| share.as_f64())?;
            Some((kind.clone(), share))
        };
        map.map(|map| map.iter().filter_map(row).collect()).unwrap_or_default()
    };
    let share = |rates: &[(String, f64)], group: &str| -> f64 {
        rates.iter().filter(|(kind, _)| group_of(kind) == group).map(|(_, share)| share).sum()
    };
    let summary = rates(&case.observed.summary);
    let mut groups: BTreeSet<&str> = summary.iter().map(|(kind, _)| group_of(kind)).collect();
    groups.extend(predicted.errors.keys().copied());
    let counted = |value: &Value| -> Vec<(String, f64)> {
        let of = value.get("logical_requests").and_then(Value::as_f64).unwrap_or(0.0);
        let map = value.get("errors").and_then(Value::as_object);
        let row = |(kind, n): (&String, &Value)| Some((kind.clone(), n.as_f64()? / of));
        map.map(|map| map.iter().filter_map(row).collect()).unwrap_or_default()
    };
    let repetitions: Vec<_> = case.observed.repetitions.iter().map(counted).collect();
    let judged = groups.into_iter().filter_map(|group| {
        let each: Vec<f64> = repetitions.iter().map(|rates| share(rates, group)).collect();
        let mean = share(&summary, group);
        let truth = Truth::of(&each).map(|truth| Truth { mean, ..truth });
        let truth = truth.or_else(|| Truth::of(&[mean]))?;
        let value = predicted.errors.get(group).copied().unwrap_or(0.0);
        Some(truth.judge(&format!("errors.{group}"), Some(value), ERRORS))
    });
    judged.collect()
}
