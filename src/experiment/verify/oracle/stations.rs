//! Stations of queueing theory written as scenarios: who comes, how long they are served, by what.

use serde_json::{Value, json};

/// Users that meet the entry without any network in between.
fn no_network() -> Value {
    json!({"rtt": "0s", "tls": false, "keepalive": false})
}

/// Arrivals at a rate, as the scenario writes it.
pub(super) fn open(rate: &Value) -> Value {
    json!({"load": {"open": {"rate": rate}}, "request": "job", "connection": no_network()})
}

/// Poisson arrivals.
pub(super) fn poisson(rate: f64, seconds: u32) -> Value {
    open(&json!({"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}))
}

/// Users in a closed loop.
pub(super) fn closed(users: u32, seconds: u32, think: &Value) -> Value {
    json!({"load": {"closed": {"users": users, "for": format!("{seconds}s"), "think": think}},
        "request": "job", "connection": no_network()})
}

/// One pod that serves so many requests at a time, others wait without limit.
pub(super) fn servers(threads: u32) -> Value {
    json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": threads}},
        "backlog": 65_535, "somaxconn": 65_535}})
}

/// The same with so many places to wait.
pub(super) fn servers_with_room(threads: u32, waiting: u32) -> Value {
    json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": threads}}, "queue": waiting}})
}

/// One processor that all share.
pub(super) fn shared_processor() -> Value {
    json!({"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 1},
        "runtime": {"threads": {"threads": 100_000}}}})
}

/// A function without cold starts, whose environments stay.
pub(super) fn function() -> Value {
    json!({"lambda": {"account": "main", "runtime": "go", "timeout": "900s", "place": {"constant": "0s"},
        "init": {"constant": "0s"}, "idle_life": "48h"}})
}

/// Exponential law.
pub(super) fn exponential(ms: f64) -> Value {
    json!({"exponential": {"mean": format!("{ms}ms")}})
}

/// Constant law.
pub(super) fn constant(ms: f64) -> Value {
    json!({"constant": format!("{ms}ms")})
}

/// Lognormal law.
pub(super) fn lognormal(ms: f64, cv: f64) -> Value {
    json!({"lognormal": {"mean": format!("{ms}ms"), "cv": cv}})
}

/// A service time that needs no processor.
pub(super) fn wait(law: &Value) -> Value {
    json!({"wait": law})
}

/// A service time of a processor.
pub(super) fn cpu(law: &Value) -> Value {
    json!({"cpu": law})
}

/// A design of one node.
pub(super) fn station(name: &str, users: &Value, step: &Value, node: &Value) -> Value {
    nodes(name, users, step, "station", &json!({"station": node}))
}

/// A design of several nodes that users enter at `entry`.
pub(super) fn nodes(name: &str, users: &Value, step: &Value, entry: &str, nodes: &Value) -> Value {
    json!({"name": name, "era": "y2023", "workload": {"users": users}, "work": {"job": [step]},
        "designs": {"theory": {"enter": {"users": entry}, "nodes": nodes}}})
}
