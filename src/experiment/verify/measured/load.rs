//! How the users of a measured case come, what times they draw and when they try again.

use super::case::{Law, LoadConfig, RetryConfig};
use serde_json::{Value, json};

/// A time in seconds as a text that keeps microseconds.
pub(super) fn s(seconds: f64) -> String {
    format!("{}us", (seconds * 1e6).round())
}

pub(super) fn ms(milliseconds: f64) -> String {
    s(milliseconds / 1e3)
}

pub(super) fn law(law: &Law) -> Result<Value, String> {
    let mean = || law.mean_s.ok_or_else(|| format!("law {} without mean_s", law.kind));
    Ok(match law.kind.as_str() {
        "const" => json!({"constant": s(mean()?)}),
        "exp" | "exponential" => json!({"exponential": {"mean": s(mean()?)}}),
        "uniform" => {
            let (Some(low), Some(high)) = (law.lo_s, law.hi_s) else {
                return Err("law uniform without lo_s and hi_s".into());
            };
            json!({"uniform": {"low": s(low), "high": s(high)}})
        }
        "lognormal" => {
            let sigma = law.sigma.ok_or("lognormal without sigma")?;
            json!({"lognormal": {"mean": s(mean()?), "cv": ((sigma * sigma).exp() - 1.0).sqrt()}})
        }
        other => return Err(format!("law \"{other}\" is not known")),
    })
}

pub(super) fn mean(law: &Law) -> f64 {
    law.mean_s.unwrap_or_else(|| (law.lo_s.unwrap_or(0.0) + law.hi_s.unwrap_or(0.0)) / 2.0)
}

/// When users come. By the measurement's own words stages belong to open loads, and a ramp and a number of requests for each user to
/// closed ones: of the other kind they say nothing.
pub(super) fn arrivals(load: &LoadConfig) -> Result<Value, String> {
    if load.mode == "closed" {
        let mut closed =
            json!({"users": load.users, "for": s(load.duration_s), "ramp": s(load.ramp_s)});
        if let Some(n) = load.requests_per_user {
            closed["requests_per_user"] = n.into();
        }
        if let Some(think) = &load.think {
            closed["think"] = law(think)?;
        }
        return Ok(json!({"closed": closed}));
    }
    let arrivals = load.arrivals.as_deref().unwrap_or("poisson");
    if load.stages.is_empty() {
        let steady = json!({"rate": format!("{}/s", load.rate), "for": s(load.duration_s)});
        return Ok(json!({"open": {"rate": {"steady": steady}, "arrivals": arrivals}}));
    }
    // Constant pieces: a jump, then a level stage.
    let mut stages = Vec::new();
    let mut at = 0.0;
    for stage in &load.stages {
        let until = stage.until_s.min(load.duration_s);
        stages.push(json!({"duration": "0s", "target": format!("{}/s", stage.rate)}));
        stages.push(json!({"duration": s(until - at), "target": format!("{}/s", stage.rate)}));
        at = until;
    }
    Ok(json!({"open": {"rate": {"stages": {"stages": stages}}, "arrivals": arrivals}}))
}

/// What a prefix of error kinds may cover, and the failures of a scenario that these are.
const FAILURES: [(&str, &[&str]); 8] = [
    ("timeout", &["timeout"]),
    ("429", &["http_429"]),
    ("500", &["http_500"]),
    ("502", &["http_502"]),
    ("503", &["http_503"]),
    ("504", &["http_504"]),
    ("refused", &["connect_refused"]),
    ("closed", &["eof", "read_reset", "write_reset", "connect_reset", "connect_etimedout"]),
];

/// The failures after which the load generator tries again, from prefixes of its error kinds.
fn retry_on(prefixes: &[String]) -> Vec<&'static str> {
    let covered = |kind: &&str| prefixes.iter().any(|prefix| kind.starts_with(prefix.as_str()));
    FAILURES.iter().filter(|(_, kinds)| kinds.iter().any(covered)).map(|(on, _)| *on).collect()
}

/// Retries of the load generator.
pub(super) fn retry(retry: &RetryConfig) -> Value {
    let mut policy = json!({
        "attempts": retry.max + 1,
        "base": ms(retry.base_ms),
        "factor": retry.factor.max(1.0),
        // Without a cap pauses grow for ever: longer than any load lasts.
        "cap": retry.cap_ms.map_or("1000d".into(), |cap| ms(cap.max(retry.base_ms))),
        "jitter": if retry.jitter.is_empty() { "none" } else { retry.jitter.as_str() },
    });
    // Any failure, where nothing is said.
    if let Some(on) = &retry.on {
        policy["on"] = retry_on(on).into();
    }
    json!({"exponential": policy})
}
