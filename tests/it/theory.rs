//! Closed forms of queueing theory, and stations written as scenarios.

use headroom::experiment::result::Estimate;
use serde_json::{Value, json};

/// Erlang's loss formula by its recursion: B(n) = a·B(n−1) / (n + a·B(n−1)).
pub(crate) fn erlang_b(a: f64, servers: u32) -> f64 {
    (1..=servers).fold(1.0, |b, n| a * b / (f64::from(n) + a * b))
}

/// A test's claim: the true value lies in the 95 % interval, which is narrow enough to mean something.
#[track_caller]
pub(crate) fn holds(estimate: Estimate, truth: f64, relative_half_width: f64) {
    assert!(estimate.low <= truth && truth <= estimate.high, "{truth} is not in {estimate:?}");
    let half = (estimate.high - estimate.low) / 2.0;
    assert!(half <= relative_half_width * truth, "{estimate:?} is too wide for {truth}");
}

/// Users that meet the entry without any network in between.
pub(crate) fn no_network() -> Value {
    json!({"rtt": "0s", "tls": false, "keepalive": false})
}

/// Poisson arrivals of one kind of request, `job`.
pub(crate) fn poisson(rate: f64, seconds: f64) -> Value {
    json!({"load": {"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}}},
        "request": "job", "connection": no_network()})
}

/// Evenly spaced arrivals of one kind of request, `job`.
pub(crate) fn even(rate: f64, seconds: f64) -> Value {
    let mut users = poisson(rate, seconds);
    users["load"]["open"]["arrivals"] = json!("even");
    users
}

/// Requests at one instant.
pub(crate) fn burst(requests: u32, at: &str, request: &str) -> Value {
    json!({"load": {"burst": {"requests": requests, "at": at}}, "request": request, "connection": no_network()})
}

/// Users that ask again at once after an answer.
pub(crate) fn closed(users: u32, seconds: u32, think: Value) -> Value {
    json!({"load": {"closed": {"users": users, "for": format!("{seconds}s"), "think": think}},
        "request": "job", "connection": no_network()})
}

/// Pods that serve `threads` requests at a time.
pub(crate) fn threads(threads: u32) -> Value {
    json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": threads}}}})
}

/// A scenario of one class `users` that enters one design at node `station`.
pub(crate) fn single(users: &Value, job: &Value, station: &Value, reps: u32, seed: u64) -> String {
    json!({"name": "station", "workload": {"users": users}, "work": {"job": job},
        "designs": {"station": {"enter": {"users": "station"}, "nodes": {"station": station},
            "accounts": {"main": {}}}},
        "run": {"replications": reps, "seed": seed}})
    .to_string()
}

/// Step that waits for a random time.
pub(crate) fn wait(law: &Value) -> Value {
    json!([{"wait": law}])
}

/// Exponential law.
pub(crate) fn exponential(ms: f64) -> Value {
    json!({"exponential": {"mean": format!("{ms}ms")}})
}

/// Constant law.
pub(crate) fn constant(ms: f64) -> Value {
    json!({"constant": format!("{ms}ms")})
}

/// Lognormal law.
pub(crate) fn lognormal(ms: f64, cv: f64) -> Value {
    json!({"lognormal": {"mean": format!("{ms}ms"), "cv": cv}})
}
