//! The story of a design's run in order of time: what bound first, what followed from it, when it was over.
//!
//! It is told from the figures of the result alone, so a stored result and a fresh one tell the same.

use super::figures::{count, counted, seconds, share};
use super::result::{Bottleneck, DesignResult, GaugeSeries, Moment, Series};

/// A limit is told if it caused at least this share of the failures or of the waiting at limits.
const WORTH_TELLING: f64 = 0.01;

/// A queue that never held more than this is not told.
const QUEUE_MIN: f64 = 2.0;

/// The moments of a run, earliest first.
pub(super) fn story(design: &DesignResult) -> Vec<Moment> {
    let mut moments = limits(design);
    moments.extend(failures(design));
    moments.extend(retries(design));
    moments.extend(design.series.gauges.iter().flat_map(|gauge| levels(gauge, &design.series)));
    moments.extend(latency(&design.series));
    moments.extend(endings(design));
    // Stable: moments of one time keep the order in which they were found, causes before effects.
    moments.sort_by(|a, b| a.at.total_cmp(&b.at));
    moments
}

fn moment(at: f64, kind: &str, node: &str, text: String, figures: &[(&str, f64)]) -> Moment {
    let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Moment { at, kind: kind.into(), node: node.into(), text, figures }
}

fn limits(design: &DesignResult) -> Vec<Moment> {
    let sum = |of: fn(&Bottleneck) -> f64| design.limits.iter().map(of).sum::<f64>();
    let (failures, waiting) = (sum(|l| l.failures.value), sum(|l| l.waiting.value));
    let tells = |limit: &&Bottleneck| {
        let part = |own: f64, all: f64| all > 0.0 && own >= WORTH_TELLING * all;
        let named = design
            .bottleneck
            .as_ref()
            .is_some_and(|named| named.node == limit.node && named.limit == limit.limit);
        named
            || limit.bound_in > 0.5
                && (part(limit.failures.value, failures) || part(limit.waiting.value, waiting))
    };
    let tell = |limit: &Bottleneck| {
        let (failed, waited) = (limit.failures.value, limit.waiting.value);
        let effect = match (failed > 0.0, waited > 0.0) {
            (true, true) => {
                let calls = counted(failed, "call");
                format!("makes {calls} fail, {} of waiting in all", seconds(waited))
            }
            (true, false) => format!("makes {} fail in all", counted(failed, "call")),
            _ => format!("makes calls wait, {} in all", seconds(waited)),
        };
        moment(
            limit.since(),
            "limit",
            &limit.node,
            format!("{} of {} binds: {effect}", limit.about, limit.node),
            &[("failures", failed), ("waiting", waited)],
        )
    };
    design.limits.iter().filter(tells).map(tell).collect()
}

fn failures(design: &DesignResult) -> Vec<Moment> {
    let tell = |row: &super::result::FailureRow| {
        let text = format!(
            "first {} at {}; in all {} of requests fail so",
            row.cause.replace('_', " "),
            row.node,
            share(row.share.value)
        );
        let figures = [("requests", row.count.value), ("share", row.share.value)];
        moment(row.since(), "failure", &row.node, text, &figures)
    };
    let rows = design.failures.iter().filter(|row| row.share.value >= 1e-4);
    rows.map(tell).collect()
}

/// When users begin to ask again, how much that adds, and when it adds most.
fn retries(design: &DesignResult) -> Option<Moment> {
    let s = &design.series;
    let again: Vec<f64> =
        s.attempts.iter().zip(&s.started).map(|(all, new)| (all - new).max(0.0)).collect();
    let all: f64 = again.iter().sum();
    if design.attempts_per_request.value < 1.01 || all <= 0.0 {
        return None;
    }
    // The first bucket by whose end a hundredth of all retries were sent.
    let mut sent = 0.0;
    let first = again.iter().position(|n| {
        sent += n;
        sent >= all / 100.0
    })?;
    let peak = top(&again)?;
    let factor = design.attempts_per_request.value;
    let rate = again[peak] / s.bucket;
    let text = format!(
        "retries set in: ×{} attempts per request over the run, most at {} with {} retries per s",
        count(factor),
        seconds(s.t[peak]),
        count(rate)
    );
    let figures = [("factor", factor), ("peak_at", s.t[peak]), ("peak_rate", rate)];
    Some(moment(*s.t.get(first)?, "retries", "", text, &figures))
}

/// Index of the first largest value.
fn top(values: &[f64]) -> Option<usize> {
    let high = values.iter().copied().fold(0.0, f64::max);
    values.iter().position(|v| *v >= high)
}

/// When a level reaches its limit; when a queue is longest, and when it has drained.
fn levels(gauge: &GaugeSeries, series: &Series) -> Vec<Moment> {
    let mut found = Vec::new();
    let Some(peak) = top(&gauge.mean) else { return found };
    let name = format!("{} of {}", gauge.gauge, gauge.node);
    let high = gauge.max.iter().copied().fold(0.0, f64::max);
    let full = gauge.limit.and_then(|limit| {
        let at = gauge.max.iter().position(|level| *level >= limit && limit > 0.0)?;
        Some((at, limit))
    });
    if let Some((at, limit)) = full {
        let text = format!("{name}: full with {}", count(limit));
        found.push(moment(series.t[at], "full", &gauge.node, text, &[("limit", limit)]));
    }
    if !gauge.gauge.contains("queue") || high < QUEUE_MIN {
        return found;
    }
    if full.is_none() {
        let text = format!("{name}: longest with {}", count(high));
        found.push(moment(series.t[peak], "queue", &gauge.node, text, &[("level", high)]));
    }
    // What is no queue on average has nothing to drain.
    if gauge.mean[peak] < QUEUE_MIN {
        return found;
    }
    let after = gauge.mean.iter().rposition(|level| *level > 0.05 * gauge.mean[peak]);
    if let Some(t) = after.and_then(|at| series.t.get(at + 1)) {
        let text = format!(
            "{name}: drained to below 5 % of its height, {} at {}",
            count(high),
            seconds(series.t[peak])
        );
        found.push(moment(*t, "recovery", &gauge.node, text, &[]));
    }
    found
}

/// When answers were slowest.
fn latency(series: &Series) -> Option<Moment> {
    let p50: Vec<f64> = series.latency_p50.iter().map(|v| v.unwrap_or(0.0)).collect();
    let at = top(&p50)?;
    let first = p50.iter().copied().find(|v| *v > 0.0)?;
    // Latency that never doubled is no event.
    (p50[at] >= 2.0 * first).then(|| {
        let text = format!(
            "answers are slowest: a median of {}, after {} at first",
            seconds(p50[at]),
            seconds(first)
        );
        moment(series.t[at], "latency", "", text, &[("median", p50[at]), ("first", first)])
    })
}

fn endings(design: &DesignResult) -> Vec<Moment> {
    let s = &design.series;
    let last = |values: &[f64]| values.iter().rposition(|n| *n > 0.0);
    let mut found = Vec::new();
    let failing = last(&s.failed);
    if let Some((at, t)) = failing.and_then(|at| Some((at, *s.t.get(at + 1)?))) {
        let ok: f64 = s.ok[at + 1..].iter().sum();
        if ok >= 1.0 {
            let text = format!("no request fails from here on, {} succeed", count(ok));
            found.push(moment(t, "recovery", "", text, &[("ok", ok)]));
        }
    }
    if let Some(t) = last(&s.started).and_then(|at| s.t.get(at + 1)) {
        found.push(moment(*t, "load", "", "no new request comes".into(), &[]));
    }
    let text = "the last answer is given".into();
    found.push(moment(design.duration.value, "end", "", text, &[]));
    found
}
