//! Nothing is lost: random scenarios pass the closing audit, causes sum to failures, bills to their totals.

use super::common::{outturns, plan};
use super::golden;
use headroom::experiment::{Silent, replicate, run};
use headroom::kernel::{Key, Stream};
use serde_json::{Value, json};

/// A random small scenario: limits that bind, timeouts, retries, every kind of node.
pub(crate) fn random(seed: u64) -> String {
    let mut value: Value = serde_json::from_str(&plain(seed)).unwrap();
    // A stream of its own, so that the other designs are those they would be without.
    let s = &mut Key::root(seed, 6).stream();
    let mut design = value["designs"]["nginx"].clone();
    let mut guard = |to: &str| json!({"guard": with(to, parts(s))});
    design["enter"]["users"] = json!("gate");
    design["nodes"]["gate"] = guard("lb");
    design["nodes"]["lb"] = json!({"alb": {"to": ["outer"]}});
    design["nodes"]["outer"] = guard("edge");
    design["nodes"]["inner"] = guard("port");
    design["nodes"]["edge"]["nginx"]["upstream"] = json!(["inner"]);
    value["designs"]["guarded"] = design;
    value.to_string()
}

fn with(to: &str, mut parts: Value) -> Value {
    parts["to"] = json!(to);
    parts
}

/// Some of what a guard is made of.
fn parts(s: &mut Stream) -> Value {
    let mut parts = json!({});
    if s.chance(0.5) {
        let window = if s.chance(0.5) { json!({"calls": 10}) } else { json!({"time": "2s"}) };
        parts["circuit_breaker"] = json!({"sliding_window": window, "minimum_number_of_calls": 5,
            "wait_duration_in_open_state": "500ms", "permitted_number_of_calls_in_half_open_state": 1 + s.below(3)});
    }
    if s.chance(0.3) {
        parts["rate_limit"] =
            json!({"rate": format!("{}/s", 20 + s.below(100)), "burst": 1 + s.below(20)});
    }
    if s.chance(0.3) {
        parts["timeout"] = json!("300ms");
    }
    if s.chance(0.7) {
        parts["limit"] = match s.below(3) {
            0 => json!({"static": {"max": 1 + s.below(30)}}),
            1 => json!({"aimd": {"min": 1, "initial": 5, "timeout": "200ms"}}),
            _ => json!({"gradient2": {"min": 1, "initial": 5, "sample_window": "0s"}}),
        };
        let codel = json!({"adaptive_lifo": s.chance(0.5)});
        match s.below(4) {
            0 => parts["queue"] = json!({"length": 1 + s.below(20)}),
            1 => parts["queue"] = json!({"max_wait": "100ms"}),
            2 => parts["queue"] = json!({"length": 50, "max_wait": "150ms", "codel": codel}),
            _ => {}
        }
    }
    parts
}

/// The same without overload protection.
fn plain(seed: u64) -> String {
    let s = &mut Key::root(seed, 5).stream();
    let pick = |s: &mut Stream, all: &[&str]| all[s.below(all.len() as u64) as usize].to_owned();
    let load = match s.below(4) {
        0 => format!(r#"{{"closed": {{"users": {}, "for": "5s", "think": {{"exponential": {{"mean": "200ms"}}}}}}}}"#, 1 + s.below(300)),
        1 => format!(r#"{{"open": {{"rate": {{"steady": {{"rate": "{}/s", "for": "5s"}}}}}}}}"#, 1 + s.below(300)),
        2 => format!(r#"{{"burst": {{"requests": {}, "spread": "100ms"}}}}"#, 1 + s.below(800)),
        _ => r#"{"open": {"arrivals": "even", "vus": {"max": 20, "when_busy": "wait"}, "rate": {"steady": {"rate": "100/s", "for": "4s"}}}}"#.into(),
    };
    let retry = pick(
        s,
        &[
            r#"{"none": {}}"#,
            r#"{"exponential": {"attempts": 3, "base": "50ms"}}"#,
            r#"{"fixed": {"attempts": 5, "delay": "10ms", "budget": {"ratio": 0.2}}}"#,
            r#"{"sdk": {"mode": "adaptive"}}"#,
            r#"{"sdk": {"mode": "standard"}}"#,
        ],
    );
    let timeout = pick(s, &["80ms", "1s", "20s"]);
    let (keepalive, tls) = (pick(s, &["true", "false"]), pick(s, &["true", "false"]));
    let runtime = pick(
        s,
        &[
            r#"{"event_loop": {}}"#,
            r#"{"event_loop": {"accepts": 3}}"#,
            r#"{"event_loop": {"accepts": 1000000}}"#,
            r#"{"sync_workers": {"workers": 3}}"#,
            r#"{"threads": {"threads": 5}}"#,
            r#"{"threads": {"threads": 5, "connections": 7}}"#,
        ],
    );
    let pods = format!(
        r#"{{"pods": {{"replicas": {}, "runtime": {runtime}, "backlog": {}, "queue": {}, "cancel": {}, "pool": {{"db": {{"max": {}, "acquire_timeout": "300ms", "mode": "{}", "driver": "{}", "startup_cpu": "{}", "refused_cpu": "{}", "statement_cpu": "1ms"}}}}}}}}"#,
        2 + s.below(3),
        1 + s.below(20),
        s.below(30),
        pick(s, &["true", "false"]),
        1 + s.below(5),
        pick(s, &["pool", "direct"]),
        pick(s, &["mongodb", "node_postgres", "hikaricp", "sqlalchemy"]),
        pick(s, &["0s", "2ms"]),
        pick(s, &["0s", "3ms"])
    );
    let nginx = format!(
        r#"{{"nginx": {{"upstream": ["port"], "workers": {}, "worker_connections": {}, "nofile": {}, "version": "{}", "upstream_keepalive": {}, "proxy_read_timeout": "500ms", "proxy_connect_timeout": "2s", "balance": "{}"}}}}"#,
        1 + s.below(3),
        8 + s.below(100),
        20 + s.below(100),
        pick(s, &["1.18", "1.22"]),
        s.below(4),
        pick(s, &["round_robin", "least_conn", "random"])
    );
    let db = format!(r#"{{"postgres": {{"connections": {}, "vcpu": 2}}}}"#, 5 + s.below(30));
    format!(
        r#"{{"name": "random", "era": "{}", "workload": {{"users": {{"load": {load}, "request": "job", "patience": {{"timeout": "{timeout}"}}, "retry": {retry},
        "idempotent": {}, "connection": {{"rtt": "5ms", "keepalive": {keepalive}, "tls": {tls}}}}}}},
        "work": {{"job": [{{"cpu": {{"exponential": {{"mean": "5ms"}}}}}}, {{"query": {{"to": "db", "hold": {{"exponential": {{"mean": "20ms"}}}}}}}}, {{"wait": {{"constant": "10ms"}}}}]}},
        "designs": {{
          "nginx": {{"enter": {{"users": "edge"}}, "nodes": {{"edge": {nginx}, "port": {{"node_port": {{"to": "api"}}}}, "api": {pods}, "db": {db}}}}},
          "dns": {{"enter": {{"users": "name"}}, "nodes": {{"name": {{"dns": {{"to": ["port"]}}}}, "port": {{"node_port": {{"to": "api"}}}}, "api": {pods}, "db": {db}}}}},
          "alb": {{"enter": {{"users": "lb"}}, "nodes": {{"lb": {{"alb": {{"to": ["api"], "idle_timeout": "400ms"}}}}, "api": {pods}, "db": {db}}}}},
          "lambda": {{"enter": {{"users": "gate"}}, "nodes": {{"gate": {{"api_gateway": {{"kind": "rest", "to": "fn", "timeout": "2s"}}}},
             "fn": {{"lambda": {{"account": "a", "runtime": "python3.12", "timeout": "1s", "platform_errors": 0.05, "connections": "{}"}}}}, "db": {db}}}, "accounts": {{"a": {{"gateway_burst": {}, "concurrency": {}}}}}}}
        }}, "run": {{"replications": 2, "seed": {seed}, "horizon": "300s"}}}}"#,
        pick(s, &["y2018", "y2020", "y2021", "y2023", "y2025"]),
        pick(s, &["true", "false"]),
        pick(s, &["per_environment", "in_init", "per_invocation"]),
        10 + s.below(500),
        2 + s.below(60)
    )
}

#[test]
fn random_scenarios_lose_nothing() {
    for seed in 0..60 {
        let text = random(seed);
        let rows =
            replicate(&plan(&text), &Silent).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        for row in rows.iter().flatten() {
            let l = &row.ledger;
            let failed: u64 = l.classes.iter().map(|c| c.failed).sum();
            assert_eq!(l.failures.iter().map(|f| f.count).sum::<u64>(), failed, "seed {seed}");
            assert_eq!(l.failures.iter().map(|f| f.series.total()).sum::<u64>(), failed);
            let (issued, ok): (u64, u64) =
                l.classes.iter().fold((0, 0), |s, c| (s.0 + c.issued, s.1 + c.ok));
            assert_eq!(issued, ok + failed + row.unfinished, "seed {seed}");
            assert_eq!(l.started.total(), issued);
            assert_eq!(l.succeeded.total(), ok);
        }
    }
}

/// Classes that need little have functions of their own for what comes with every request. A limit of users that is never reached
/// takes them away: what comes out must be the same to the last event.
#[test]
fn simple_classes_come_out_as_by_the_general_functions() {
    for seed in 0..40 {
        let mut value: Value = serde_json::from_str(&random(seed)).unwrap();
        let rate = format!("{}/s", 20 + 13 * seed);
        let users = &mut value["workload"]["users"];
        let retry = json!({"exponential": {"attempts": 1 + seed % 4, "base": "50ms"}});
        users["retry"] = if seed % 3 == 0 { json!({"none": {}}) } else { retry };
        if seed % 2 == 0 {
            users["connection"]["kept_by"] = json!("user");
        }
        users["load"] = json!({"open": {"rate": {"stages": {"start": rate, "stages": [
            {"duration": "3s", "target": rate}, {"duration": "2s", "target": "10/s"}]}}}});
        let simple = outturns(&value.to_string());
        value["workload"]["users"]["load"]["open"]["vus"] =
            json!({"max": 10_000_000, "when_busy": "drop"});
        let general = outturns(&value.to_string());
        assert_eq!(format!("{simple:?}"), format!("{general:?}"), "seed {seed}");
    }
}

#[test]
fn bills_and_causes_of_every_scenario_sum_up() {
    for (name, text) in golden::scenarios() {
        let result = run(&golden::plan(&text, 3), &Silent).unwrap();
        for d in &result.designs {
            let lines: f64 = d.cost.lines.iter().map(|line| line.amount).sum();
            assert!((lines - d.cost.total.value).abs() < 1e-6, "{name} {}: {lines}", d.name);
            let failures: f64 = d.failures.iter().map(|row| row.count.value).sum();
            let failed = d.requests.value
                - d.unfinished.value
                - d.latency.count as f64 / f64::from(result.replications);
            assert!((failures - failed).abs() < 1e-6, "{name} {}: {failures} {failed}", d.name);
            let by: f64 = d.series.failed_by.iter().flat_map(|by| &by.count).sum();
            assert!((by - failures).abs() < 1e-6);
            assert!(d.series.t.len() <= 257, "{name}: {} buckets", d.series.t.len());
        }
    }
}

#[test]
fn more_capacity_never_lowers_success_without_feedback() {
    let mut last = 0;
    for pool in [5, 10, 20, 40, 80] {
        let text = format!(
            r#"{{"name": "m", "workload": {{"users": {{"load": {{"open": {{"rate": {{"steady": {{"rate": "100/s", "for": "20s"}}}}}}}}, "request": "job"}}}},
            "work": {{"job": [{{"wait": {{"lognormal": {{"mean": "300ms", "cv": 1.0}}}}}}]}},
            "designs": {{"d": {{"enter": {{"users": "fn"}}, "nodes": {{"fn": {{"lambda": {{"account": "a", "runtime": "go", "timeout": "60s"}}}}}},
            "accounts": {{"a": {{"concurrency": {pool}}}}}}}}}, "run": {{"replications": 5, "seed": 1}}}}"#
        );
        let rows = replicate(&plan(&text), &Silent).unwrap();
        let ok: u64 = rows[0].iter().map(|row| row.ledger.classes[0].ok).sum();
        assert!(ok >= last, "pool {pool}: {ok} after {last}");
        last = ok;
    }
}
