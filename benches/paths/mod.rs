//! The paths that benchmarks and instruction counts run: one definition for all.

use headroom::experiment::Plan;
use headroom::model::data::Data;
use headroom::model::world::World;
use headroom::price::Table;
use headroom::scenario::spec::Scenario;
use serde_json::{Value, json};

/// The scenario of a path that runs for so many seconds; none for an unknown name.
pub(crate) fn path(name: &str, seconds: f64) -> Option<Value> {
    Some(match name {
        "mm1" => station(80.0, 1, "10ms", seconds),
        "mm100" => station(9_000.0, 100, "10ms", seconds),
        "lambda" => lambda(1_000.0, ["20ms", "10ms"], seconds),
        "lambda_100k" => lambda(100_000.0, ["20ms", "10ms"], seconds),
        // About as many environments as requests per second: an invocation takes a second.
        "lambda_100" => lambda(100.0, ["670ms", "325ms"], seconds),
        "lambda_1000" => lambda(1_000.0, ["670ms", "325ms"], seconds),
        "lambda_10000" => lambda(10_000.0, ["670ms", "325ms"], seconds),
        "nginx" => nginx(seconds),
        _ => return None,
    })
}

fn steady(rate: f64, seconds: f64) -> Value {
    json!({"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}}})
}

fn exponential(mean: &str) -> Value {
    json!({"exponential": {"mean": mean}})
}

/// Open arrivals, one station with first come, first served and so many servers: M/M/c.
fn station(rate: f64, servers: u32, service: &str, seconds: f64) -> Value {
    json!({
        "name": "station",
        "workload": {"users": {"load": steady(rate, seconds), "request": "job",
            "connection": {"rtt": "0s", "tls": false, "keepalive": false}}},
        "work": {"job": [{"wait": exponential(service)}]},
        "designs": {"d": {"enter": {"users": "s"}, "nodes": {"s": {"pods":
            {"replicas": 1, "runtime": {"threads": {"threads": servers}}}}}}},
        "run": {"replications": 2, "seed": 1}
    })
}

/// Users, API Gateway, a function, a connection to a store: with timeouts of client, gateway and function, retries, causes,
/// series and metering. No limit binds: every figure is the price of a request that is served.
fn lambda(rate: f64, cpu: [&str; 2], seconds: f64) -> Value {
    json!({
        "name": "lambda", "era": "y2021",
        "workload": {"users": {"load": steady(rate, seconds), "request": "job",
            "patience": {"timeout": "30s"}, "connection": {"rtt": "20ms", "tls": false}}},
        "work": {"job": [{"cpu": exponential(cpu[0])},
            {"query": {"to": "db", "hold": exponential("5ms")}}, {"cpu": exponential(cpu[1])}]},
        "designs": {"d": {"enter": {"users": "gw"}, "accounts": {"a": {"concurrency": 1_000_000, "burst": 1_000_000,
                "gateway_rate": "10000000/s", "gateway_burst": 10_000_000}}, "nodes": {
            "gw": {"api_gateway": {"to": "fn", "kind": "http", "overhead": exponential("2ms")}},
            "fn": {"lambda": {"account": "a", "runtime": "go", "memory": "1769MB", "timeout": "30s"}},
            "db": {"postgres": {"connections": 200_000, "vcpu": 64, "sigma": 0, "kappa": 0,
                "login": {"constant": "0s"}, "fork": "0s", "exit": "0s"}}}}},
        "run": {"replications": 2, "seed": 1}
    })
}

/// Users, nginx, pods with pools of connections, a store.
fn nginx(seconds: f64) -> Value {
    json!({
        "name": "nginx",
        "workload": {"users": {"load": steady(400.0, seconds), "request": "job",
            "patience": {"timeout": "30s"}, "connection": {"rtt": "20ms"},
            "retry": {"exponential": {"attempts": 3, "base": "200ms"}}}},
        "work": {"job": [{"cpu": exponential("5ms")}, {"query": {"to": "db", "hold": exponential("4ms")}}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"nginx": {"upstream": ["api"], "workers": 2, "worker_connections": 4096, "nofile": 65536,
                "host": {"instance": "t3.small"}}},
            "api": {"pods": {"replicas": 4, "hosts": {"count": 2, "instance": "t3.medium", "vcpu": 2},
                "runtime": {"event_loop": {}}, "pool": {"db": {"max": 20}}}},
            "db": {"postgres": {"connections": 225, "vcpu": 2, "class": "rds.postgres.t3.medium"}}}}},
        "run": {"replications": 2, "seed": 1}
    })
}

/// A plan that runs such a scenario.
///
/// # Panics
/// If the scenario is wrong: then this file is.
pub(crate) fn plan(scenario: &Value) -> Plan {
    let checked: Scenario = serde_json::from_value(scenario.clone()).expect("a valid scenario");
    Plan {
        resolved: serde_json::to_value(&checked).expect("it came from JSON"),
        scenario: checked,
        data: Data::default(),
        prices: Table::builtin("us-east-1").expect("it is built in"),
        assumptions: Vec::new(),
    }
}

/// Runs one replication; returns requests and events.
///
/// # Panics
/// If the run breaks a law of conservation.
pub(crate) fn once(plan: &Plan, replication: u64) -> (u64, u64) {
    let design = plan.scenario.designs.values().next().expect("there is one");
    let world = World::build(&plan.setup(design, replication)).expect("a design that can be built");
    let outturn = world.run(&|| false).expect("nothing is lost").expect("nobody stops it");
    (outturn.ledger.classes.iter().map(|class| class.issued).sum(), outturn.events)
}
