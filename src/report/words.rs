//! Sentences about a design that more than one report says.

use super::format::{count, interval, seconds, share, time_interval};
use crate::experiment::result::{
    Bottleneck, CostLine, DesignResult, Estimate, Incident, Interrupted, Lost, Reached,
    Sensitivity, Steady,
};

/// Unit of a line of the bill, with the share of the price that it costs if it is not the price.
pub(super) fn unit(line: &CostLine) -> String {
    let of_price = line.price_share.map(|part| format!(" at {} of the price", share(part)));
    format!("{}{}", line.unit, of_price.unwrap_or_default())
}

/// What no bill holds, since no node knows how much it would be: an answer has no size here, a function writes no log.
pub(super) const NOT_BILLED: &str = "Bills leave out data transfer (to the Internet, between zones), NAT gateways, control planes, logs, storage and its I/O, but for what a design names under `fixed`.";

/// How a design did, in half a sentence, and whether every request succeeded.
pub(super) fn outcome(design: &DesignResult) -> (bool, String) {
    let rate = design.success_rate;
    if design.latency_all.count == 0 {
        return (false, "no request ended".into());
    }
    let open = design.unfinished.value / design.requests.value.max(1.0);
    let (which, without) = if open > 0.0 {
        (" with an answer", format!("; {} had none at the end", share(open)))
    } else {
        ("", String::new())
    };
    if rate.value >= 1.0 {
        let p95 = seconds(design.latency.p95.value);
        let all = open <= 0.0;
        return (all, format!("every request{which} succeeded, p95 {p95}{without}"));
    }
    let why = design.failures.first().map_or(String::new(), |row| {
        format!("; {} failed by {} at {}", share(row.share.value), row.cause, row.node)
    });
    (false, format!("{} of requests{which} succeeded{why}{without}", share(rate.value)))
}

/// The bottleneck in a few words.
pub(super) fn bottleneck(limit: &Bottleneck) -> String {
    format!("{} of {} from {} on", limit.about, limit.node, seconds(limit.since()))
}

/// What an event cost, in a sentence.
pub(super) fn incident(own: &Incident) -> String {
    let times =
        if own.times > 1.0 { format!(", {} times", count(own.times)) } else { String::new() };
    let lost = |lost: &Lost| format!("{} by {} at {}", count(lost.count), lost.cause, lost.node);
    let by: Vec<String> = own.causes.iter().take(3).map(lost).collect();
    let mut parts = vec![if by.is_empty() {
        "no request lost".to_owned()
    } else {
        let (all, last) = (interval(&own.lost, count), seconds(own.failing.value));
        format!("{all} requests lost ({}), the last {last} after it", by.join(", "))
    }];
    if own.slow.value > 0.0 {
        parts.push(format!("slow until {} after it", seconds(own.slow.value)));
    }
    if own.recovered < 1.0 {
        let open = share(1.0 - own.recovered);
        parts.push(format!("not over in {open} of the cases when the next event or the end came"));
    }
    format!("{} at {}{times}: {}", own.what.replace('_', " "), own.node, parts.join("; "))
}

/// That a run was stopped before its end, in a sentence.
pub fn interrupted(own: &Interrupted) -> String {
    format!(
        "interrupted: all figures rest on {} of {} replications of each design",
        own.done, own.planned
    )
}

/// What a wanted precision came to, in a sentence.
pub(super) fn precision(own: &Reached) -> String {
    let percent = |v: f64| format!("{:.3} %", v * 100.0).replace(".000 %", " %");
    let (wanted, design) = (percent(own.wanted), &own.design);
    if own.metric.is_empty() {
        return format!(
            "precision of {wanted}: no request ended, so there is no figure to be precise about"
        );
    }
    let metric = own.metric.replace('_', " ");
    let widest =
        format!("the widest interval, of {metric} of {design}, is ± {:.2} %", own.width * 100.0);
    if own.reached {
        format!("precision of {wanted} reached: {widest}")
    } else {
        format!("precision of {wanted} not reached: {widest}; raise --most")
    }
}

/// The steady state, or that there is none.
pub(super) fn steady(own: &Steady) -> String {
    let Some(warm_up) = own.warm_up else {
        return "none: the latency did not settle in the first half of the load".into();
    };
    let mut facts = vec![format!("from {} to {}", seconds(warm_up), seconds(own.until))];
    if let Some(e) = &own.success_rate {
        facts.push(format!("success {}", interval(e, share)));
    }
    if let Some(e) = &own.latency_mean {
        facts.push(format!("mean {}", time_interval(e)));
    }
    if let Some(e) = &own.throughput {
        facts.push(format!("{} ok/s", interval(e, count)));
    }
    facts.join(", ")
}

/// Whether a varied value changes a figure by more than chance, or turns a verdict.
pub(super) fn moves(row: &Sensitivity) -> bool {
    let shown = |e: Option<Estimate>| e.is_some_and(|e| e.excludes_zero());
    row.sides.iter().any(|side| {
        !side.verdicts.is_empty()
            || shown(side.success_rate)
            || shown(side.latency_p95)
            || shown(side.cost_per_user)
    })
}

/// A path of a scenario without the design that it lies in.
pub(super) fn below_design(path: &str) -> &str {
    let rest = path.strip_prefix("designs.").and_then(|rest| rest.split_once('.'));
    rest.map_or(path, |(_, rest)| rest)
}

/// "1 design", "2 designs".
pub(super) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A sentence with a capital letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
