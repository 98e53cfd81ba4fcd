//! What a report claims about a run whose truth is known by construction: unfinished requests, the month, and what binds.

use super::common::result;
use super::theory::{constant, wait};
use headroom::experiment::compare::{Change, compare};
use headroom::experiment::result::{DesignResult, RunResult, Verdict};
use serde_json::{Value, json};

/// Open arrivals at `rate` for a time, to one node `api` before others.
fn open(rate: &str, lasts: &str, work: &Value, nodes: &Value, run: &Value) -> Value {
    json!({"name": "claims", "workload": {"users": {"request": "job",
            "connection": {"rtt": "2ms", "tls": false, "keepalive": false},
            "load": {"open": {"rate": {"steady": {"rate": rate, "for": lasts}}}}}},
        "work": {"job": work}, "designs": {"d": {"enter": {"users": "api"}, "nodes": nodes}}, "run": run})
}

fn threads(threads: u32, hosts: &Value) -> Value {
    json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": threads}}, "hosts": hosts,
        "backlog": 65535, "somaxconn": 65535}})
}

fn first(text: &Value) -> DesignResult {
    result(&text.to_string()).designs.remove(0)
}

fn named(text: &Value) -> String {
    first(text).bottleneck.map_or("none".into(), |limit| format!("{} {}", limit.node, limit.limit))
}

#[test]
fn an_overloaded_server_that_is_stopped_early_has_not_served_everybody() {
    // 50 a second are served of 100 that come; the last seconds' answers would come within 200 s.
    let nodes = json!({"api": threads(1, &json!({"count": 1, "vcpu": 1}))});
    let run = json!({"replications": 4, "horizon": "100s"});
    let work = wait(&constant(20.0));
    let mut scenario = open("100/s", "100s", &work, &nodes, &run);
    scenario["thresholds"] =
        json!({"success_rate": ["rate>0.99"], "latency": ["p(50)<90s", "p(95)<90s", "avg<90s"]});
    let told = result(&scenario.to_string());
    let design = &told.designs[0];
    let share = design.unfinished.value / design.requests.value;
    assert!((share - 0.5).abs() < 0.02, "{share}");
    assert_eq!(design.success_rate.value.to_bits(), 1.0_f64.to_bits());
    assert!((design.success_rate.low - 0.5).abs() < 0.02, "{:?}", design.success_rate);
    assert!(
        told.thresholds.iter().all(|row| row.verdict == Verdict::Undecided),
        "{:?}",
        told.thresholds
    );
    // Left to its end, it serves them all.
    scenario["run"]["horizon"] = json!("1h");
    let told = result(&scenario.to_string());
    assert_eq!(told.designs[0].unfinished.value.to_bits(), 0);
    assert_eq!(
        told.thresholds.iter().find(|row| row.metric == "success_rate").unwrap().verdict,
        Verdict::Pass
    );
}

/// Two designs, one with a thread for every request and one with a single thread that serves half of what comes, stopped at the end of the load.
fn stopped_early() -> Value {
    let node = |n: u32| json!({"api": threads(n, &json!({"count": 1, "vcpu": 1}))});
    let run = json!({"replications": 4, "horizon": "100s"});
    let mut scenario = open("100/s", "99s", &wait(&constant(20.0)), &node(1_000), &run);
    scenario["designs"]["narrow"] = json!({"enter": {"users": "api"}, "nodes": node(1)});
    scenario
}

#[test]
fn differences_of_success_count_what_had_no_answer_as_intervals_do() {
    let told = result(&stopped_early().to_string());
    let [wide, narrow] = &told.designs[..] else { panic!("two designs") };
    let row = told.differences.iter().find(|row| row.metric == "success_rate").unwrap();
    assert_eq!((row.design.as_str(), row.baseline.as_str()), ("narrow", "d"));
    // Of those with an answer all were served, in both; half may yet fail in the one.
    assert_eq!((wide.success_rate.value, narrow.success_rate.value), (1.0, 1.0));
    assert!((narrow.success_rate.low - 0.5).abs() < 0.02, "{:?}", narrow.success_rate);
    let own = row.difference;
    assert!(own.value.abs() < 1e-9 && (own.low + 0.5).abs() < 0.03 && own.high < 1e-9, "{own:?}");
    assert!(!row.significant);
    // Two results are compared the same way.
    let mut base = told.clone();
    base.designs.truncate(1);
    let mut new = told.clone();
    new.designs.remove(0);
    new.designs[0].name = "d".into();
    let diff = compare(&base, &new, 0.0).unwrap();
    let row = diff.rows.iter().find(|row| row.metric == "success_rate").unwrap();
    assert!((row.delta.low + 0.5).abs() < 0.03, "{row:?}");
    assert_eq!(row.change, Change::NotShown);
}

#[test]
fn a_success_rate_of_one_is_judged_by_the_requests_of_the_run() {
    let mut scenario = stopped_early();
    scenario["thresholds"] = json!({"success_rate": ["rate>=1"], "throughput": ["value>=1"]});
    let verdict = |scenario: &Value, design: &str| {
        let told = result(&scenario.to_string());
        let own = |row: &&headroom::experiment::result::ThresholdResult| {
            row.design == design && row.metric == "success_rate"
        };
        let row = told.thresholds.iter().find(own).unwrap();
        (row.verdict, row.observed.unwrap().low < 1.0)
    };
    // All had an answer and none failed: met, though the interval tells that this is no proof.
    assert_eq!(verdict(&scenario, "d"), (Verdict::Pass, true));
    assert_eq!(verdict(&scenario, "narrow"), (Verdict::Undecided, true));
    scenario["workload"]["users"]["patience"] = json!({"timeout": "1s"});
    assert_eq!(verdict(&scenario, "narrow"), (Verdict::Fail, true));
}

#[test]
fn a_month_has_as_many_windows_for_all_designs() {
    // One is done after 3,602 s and the other before 3,600; both come once a day.
    let mut scenario = json!({"name": "month", "workload": {"users": {"request": "job",
            "load": {"burst": {"requests": 2, "at": "3598s"}}}},
        "work": {"job": wait(&constant(100.0))}, "designs": {}, "run": {"replications": 2}});
    for (name, init) in [("slow", 4_000.0), ("fast", 100.0)] {
        let function = json!({"lambda": {"account": "a", "runtime": "go", "memory": "1024MB", "timeout": "10s",
            "init": constant(init)}});
        scenario["designs"][name] =
            json!({"enter": {"users": "f"}, "accounts": {"a": {}}, "nodes": {"f": function}});
    }
    let designs = result(&scenario.to_string()).designs;
    let windows: Vec<f64> =
        designs.iter().map(|d| d.cost.monthly.value / d.cost.total.value).collect();
    let ends: Vec<f64> = designs.iter().map(|d| d.duration.value).collect();
    assert!(ends.iter().any(|s| *s > 3_600.0) && ends.iter().any(|s| *s < 3_600.0), "{ends:?}");
    assert!(windows.iter().all(|n| (n - 730.0 / 24.0).abs() < 1e-6), "{windows:?}");
}

#[test]
fn the_thread_of_an_event_loop_a_pods_limit_and_the_hosts_are_told_apart() {
    let cpu = json!([{"cpu": {"exponential": {"mean": "10ms"}}}]);
    let run = json!({"replications": 3});
    let of = |rate: &str, pods: Value| {
        let nodes = json!({"api": {"pods": pods}});
        named(&open(rate, "20s", &cpu, &nodes, &run))
    };
    let hosts = |vcpu: f64| json!({"count": 1, "vcpu": vcpu});
    let node = |vcpu: f64, replicas: u32| json!({"replicas": replicas, "hosts": hosts(vcpu), "runtime": {"event_loop": {}}, "backlog": 65535, "somaxconn": 65535});
    // One thread of 16 vCPUs does 100 a second.
    assert_eq!(of("120/s", node(16.0, 1)), "api event_loop");
    // Half a vCPU for it does 50; a processor of half a vCPU does too.
    let mut limited = node(16.0, 1);
    limited["cpu"] = json!(0.5);
    assert_eq!(of("60/s", limited), "api cpu_limit");
    assert_eq!(of("60/s", node(0.5, 1)), "api cpu");
}

#[test]
fn what_binds_by_construction_is_named_whatever_the_seed() {
    for seed in [3, 11, 12] {
        let run = json!({"replications": 6, "seed": seed});
        // A processor at 75 %, then three connections that do 150 a second of 150 that come.
        let work = json!([{"cpu": {"exponential": {"mean": "5ms"}}}, {"query": {"to": "db", "hold": {"exponential": {"mean": "20ms"}}}}]);
        let mut api = threads(1_000, &json!({"count": 1, "vcpu": 1}));
        api["pods"]["pool"] = json!({"db": {"max": 3}});
        let db = json!({"postgres": {"connections": 500, "vcpu": 64}});
        let nodes = json!({"api": api, "db": db});
        assert_eq!(
            named(&open("150/s", "30s", &work, &nodes, &run)),
            "api connection_pool",
            "seed {seed}"
        );
        // Twice what two processors can do, and a waiting line that refuses some of those who would give up anyway.
        let work = json!([{"cpu": {"exponential": {"mean": "10ms"}}}, {"wait": constant(20.0)}]);
        let mut api = threads(400, &json!({"count": 1, "vcpu": 2}));
        api["pods"]["queue"] = json!(150);
        let mut scenario = open("260/s", "20s", &work, &json!({"api": api}), &run);
        scenario["workload"]["users"]["patience"] = json!({"timeout": "2s"});
        assert_eq!(named(&scenario), "api cpu", "seed {seed}");
    }
}

#[test]
fn a_full_pool_before_a_slow_database_is_put_down_to_the_database() {
    // 40 connections to a database whose statements take 1 + (n − 1) · 1 times 5 ms when n are active: 200 a second, of 260.
    let work = json!([{"query": {"to": "db", "hold": {"constant": "5ms"}}}]);
    let mut api = threads(2_000, &json!({"count": 1, "vcpu": 4}));
    api["pods"]["pool"] = json!({"db": {"max": 40}});
    let db = json!({"postgres": {"connections": 500, "sigma": 1.0, "kappa": 0.0}});
    let run = json!({"replications": 3});
    let scenario = open("260/s", "20s", &work, &json!({"api": api, "db": db}), &run);
    assert_eq!(named(&scenario), "db active_work");
}

/// Cheap requests, and some that wait for 30 s: answered in one design, and in the other, which computes a hundred times as fast but waits ten
/// times as long, not before the run is stopped.
fn left_open(slow: &str) -> Value {
    let class = |request: &str, rate: &str| json!({"request": request, "connection": {"rtt": "1ms", "tls": false}, "load": {"open": {"rate": {"steady": {"rate": rate, "for": "99s"}}}}});
    let design = |speed: f64, factor: f64| {
        json!({"enter": {"quick": "api", "slow": "api"}, "nodes": {"api": {"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 2, "speed": speed},
            "runtime": {"threads": {"threads": 10_000}}, "slow": [{"pod": 0, "factor": factor}]}}}})
    };
    json!({"name": "open", "work": {"quick": [{"cpu": {"constant": "10ms"}}], "slow": [{"wait": {"constant": "30s"}}]},
        "workload": {"quick": class("quick", "20/s"), "slow": class("slow", slow)},
        "designs": {"answers": design(1.0, 1.0), "leaves": design(100.0, 10.0)},
        "run": {"replications": 6, "horizon": "100s"}})
}

#[test]
fn differences_of_latency_count_what_had_no_answer() {
    let of = |result: &RunResult, metric: &str| {
        let row = result.differences.iter().find(|row| row.metric == metric).unwrap();
        (row.significant, row.difference)
    };
    // A fifth is open: of those with an answer the 95th percentile is a thousand times as small, which says nothing.
    let many = result(&left_open("5/s").to_string());
    assert!(many.designs[1].latency.p95.value < 0.01 && many.designs[0].latency.p95.value > 29.0);
    for metric in ["latency_p95", "latency_mean"] {
        let (significant, difference) = of(&many, metric);
        assert!(!significant && difference.high >= 0.0, "{metric}: {difference:?}");
    }
    // Four in a thousand are: whenever they end, 95 % are faster.
    let few = result(&left_open("0.08/s").to_string());
    let (significant, difference) = of(&few, "latency_p95");
    assert!(significant && difference.high < -0.008, "{difference:?}");
    // Two results are compared alike.
    let only = |name: &str, slow: &str| {
        let mut scenario = left_open(slow);
        let design = scenario["designs"][name].take();
        scenario["designs"] = json!({"design": design});
        result(&scenario.to_string())
    };
    let change = |slow: &str, metric: &str| {
        let diff = compare(&only("answers", slow), &only("leaves", slow), 0.0).unwrap();
        diff.rows.iter().find(|row| row.metric == metric).unwrap().change
    };
    assert_eq!(change("5/s", "latency_p95"), Change::NotShown);
    assert_eq!(change("5/s", "latency_mean"), Change::NotShown);
    assert_eq!(change("5/s", "latency_p50"), Change::Better);
    assert_eq!(change("0.08/s", "latency_p95"), Change::Better);
}
