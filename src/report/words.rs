//! Sentences about a design that more than one report says.

use super::format::{seconds, share};
use crate::experiment::result::{Bottleneck, DesignResult};

/// How a design did, in half a sentence, and whether every request succeeded.
pub(super) fn outcome(design: &DesignResult) -> (bool, String) {
    let rate = design.success_rate;
    if design.latency_all.count == 0 {
        return (false, "no request ended".into());
    }
    if rate.value >= 1.0 {
        let p95 = seconds(design.latency.p95.value);
        return (true, format!("every request succeeded, p95 {p95}"));
    }
    let why = design.failures.first().map_or(String::new(), |row| {
        format!("; {} failed by {} at {}", share(row.share.value), row.cause, row.node)
    });
    (false, format!("{} of requests succeeded{why}", share(rate.value)))
}

/// The first bottleneck in a few words.
pub(super) fn first_limit(limit: &Bottleneck) -> String {
    format!("{} of {} at {}", limit.about, limit.node, seconds(limit.at))
}

/// A sentence with a capital letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
