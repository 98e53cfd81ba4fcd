//! Hosts that go, dependencies that fail, credits that run out, requests that are routed: what is lost, and when it is over.

use super::common::{outturns, result};
use super::scenario::findings;
use super::theory::no_network;
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn scenario(rate: f64, seconds: u32, work: &Value, nodes: &Value, events: &Value) -> Value {
    json!({
        "name": "failures",
        "workload": {"users": {
            "load": {"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}, "arrivals": "even"}},
            "request": "job", "connection": no_network()
        }},
        "work": {"job": work},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes, "events": events}},
        "run": {"replications": 2, "seed": 1, "horizon": format!("{}s", seconds + 600)}
    })
}

fn cluster(replicas: u32, hosts: u32, lifecycle: Value) -> Value {
    json!({"edge": {"node_port": {"to": "api"}}, "api": {"pods": {"replicas": replicas,
        "hosts": {"count": hosts, "vcpu": 1, "instance": "t3.medium"}, "lifecycle": lifecycle}}})
}

fn quick() -> Value {
    json!([{"cpu": {"constant": "1ms"}}])
}

fn first(value: &Value) -> Outturn {
    outturns(&value.to_string()).remove(0).remove(0)
}

fn area(row: &Outturn, name: &str) -> f64 {
    let gauge = row.ledger.gauges.iter().find(|gauge| gauge.name == name).unwrap();
    gauge.levels.areas().iter().sum::<u128>() as f64 * 1e-9
}

fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
}

fn failed(row: &Outturn) -> u64 {
    row.ledger.classes.iter().map(|class| class.failed).sum()
}

fn lost(row: &Outturn, cause: Cause) -> u64 {
    row.ledger.failures.iter().filter(|f| f.cause == cause).map(|f| f.count).sum()
}

/// Four pods on as many hosts, one of them taken away two minutes after its notice at 20 s. Replacements are ready after `ready`, requests last
/// 30 s. Returns pod seconds that were missing, and requests lost.
fn interrupted(ready: &str) -> (f64, u64) {
    let lifecycle = json!({"start": {"constant": ready}, "boot": {"constant": "0s"}, "endpoint_lag": {"constant": "0s"},
        "grace": "60s", "disruption_budget": 0});
    let events = json!([{"at": "20s", "node": "api", "do": {"interrupt": {"hosts": [0]}}}]);
    let work = json!([{"wait": {"constant": "30s"}}]);
    let row = first(&scenario(4.0, 300, &work, &cluster(4, 4, lifecycle), &events));
    (4.0 * row.end.as_secs_f64() - area(&row, "replicas ready"), failed(&row))
}

#[test]
fn t_spot_1_a_replacement_within_the_notice_leaves_no_gap() {
    // Ready after 60 s, drained by 90 s.
    let (missing, lost) = interrupted("60s");
    assert!(missing.abs() < 1e-6 && lost == 0, "{missing} {lost}");
    // Ready after 150 s: the host goes at 120 s, and thirty seconds of its requests with it.
    let (missing, lost) = interrupted("150s");
    assert!((missing - 30.0).abs() < 1e-6, "{missing}");
    assert!((10..=50).contains(&lost), "{lost}");
}

#[test]
fn a_host_lost_without_a_word_is_missed_for_50_seconds_and_replaced_after_350() {
    let lifecycle = json!({"start": {"constant": "5s"}, "boot": {"constant": "0s"}, "endpoint_lag": {"constant": "0s"}});
    let events = json!([{"at": "20s", "node": "api", "do": {"lose_hosts": {"hosts": [0, 1]}}}]);
    let mut value = scenario(20.0, 600, &quick(), &cluster(4, 4, lifecycle), &events);
    value["workload"]["users"]["patience"] = json!({"timeout": "5s"});
    let row = first(&value);
    // Half of what comes in fifty seconds: 500, five standard deviations are 79.
    assert!((421..=579).contains(&lost(&row, Cause::ClientTimeout)), "{:?}", row.ledger.failures);
    // Two pods missing from 70 s on, replaced 350 s after the loss, five seconds later.
    let missing = 4.0 * row.end.as_secs_f64() - area(&row, "replicas ready");
    assert!((missing - 2.0 * 305.0).abs() < 1e-6, "{missing}");
}

#[test]
fn a_drain_keeps_to_the_disruption_budget() {
    let run = |budget: Value| {
        let lifecycle = json!({"start": {"constant": "10s"}, "boot": {"constant": "0s"}, "endpoint_lag": {"constant": "0s"},
            "pre_stop": "2s", "disruption_budget": budget});
        let events = json!([{"at": "20s", "node": "api", "do": {"drain_hosts": {"hosts": [0]}}}]);
        let row = first(&scenario(20.0, 100, &quick(), &cluster(4, 2, lifecycle), &events));
        (4.0 * row.end.as_secs_f64() - area(&row, "replicas ready"), failed(&row))
    };
    assert_eq!(run(json!(0)), (0.0, 0));
    // Without a budget both pods of the host go at once: two are missing for ten seconds.
    let (missing, lost) = run(Value::Null);
    assert!((missing - 20.0).abs() < 1e-6 && lost == 0, "{missing} {lost}");
}

#[test]
fn a_slow_and_an_absent_dependency_last_as_long_as_they_are_said_to() {
    let nodes = cluster(1, 1, json!({}));
    let run = |events: Value| first(&scenario(10.0, 100, &quick(), &nodes, &events));
    let down = run(json!([{"at": "20s", "node": "api", "do": {"down": {"for": "30s"}}}]));
    assert_eq!((lost(&down, Cause::Refused), failed(&down)), (300, 300));
    let slow =
        run(json!([{"at": "20s", "node": "edge", "do": {"slow": {"by": "250ms", "for": "30s"}}}]));
    let plain = run(json!([]));
    let sum = |row: &Outturn| row.ledger.classes[0].latency.sum_nanos() as f64 * 1e-9;
    assert!(
        (sum(&slow) - sum(&plain) - 300.0 * 0.25).abs() < 0.3,
        "{} {}",
        sum(&slow),
        sum(&plain)
    );
    // Three outages of ten seconds, a minute from the first to the next.
    let again = json!([{"at": "5s", "every": {"constant": "30s"}, "node": "api", "do": {"down": {"for": "10s"}}}]);
    let often = lost(&run(again), Cause::Refused);
    // From 5, 35, 65 and 95 s on, the last one cut by the end of the load.
    assert_eq!(often, 350);
}

/// An outage of ten seconds at ten requests a second, then twenty seconds of a longer way: each event answers for its own.
#[test]
fn events_say_what_they_cost() {
    let events = json!([{"at": "20s", "node": "api", "do": {"down": {"for": "10s"}}},
        {"at": "60s", "node": "edge", "do": {"slow": {"by": "1s", "for": "20s"}}}]);
    let nodes = cluster(1, 1, json!({}));
    let run = result(&scenario(10.0, 100, &quick(), &nodes, &events).to_string());
    let [down, slow] = run.designs[0].incidents.as_slice() else { panic!("two events") };
    let bucket = run.designs[0].series.bucket;
    assert_eq!((down.what.as_str(), down.node.as_str(), down.times), ("down", "api", 1.0));
    assert!((down.at - 20.0).abs() < 1e-9 && (down.lost.value - 100.0).abs() < 1e-9, "{down:?}");
    assert_eq!((down.causes.len(), down.causes[0].cause.as_str()), (1, "refused"));
    // As fine as the series: the last refusal comes a moment before the end of the outage.
    assert!((down.failing.value - 10.0).abs() <= bucket + 0.1, "{down:?}");
    assert_eq!((slow.lost.value, slow.failing.value, slow.recovered), (0.0, 0.0, 1.0));
    // Once the way is short again, quick answers outnumber the slow ones that are still on it.
    assert!((slow.slow.value - 20.0).abs() <= bucket + 0.1, "{slow:?}");
    // Still going on when the next event comes: what is known ends there.
    let twice = json!([{"at": "20s", "node": "api", "do": {"down": {"for": "30s"}}},
        {"at": "30s", "node": "edge", "do": {"slow": {"by": "0s", "for": "1s"}}}]);
    let run = result(&scenario(10.0, 100, &quick(), &nodes, &twice).to_string());
    let [down, after] = run.designs[0].incidents.as_slice() else { panic!("two events") };
    assert!(down.recovered < 0.5 && (down.lost.value - 100.0).abs() <= 10.0 * bucket + 1.0);
    let lost = down.lost.value + after.lost.value;
    assert!((lost - 300.0).abs() < 1e-9, "{lost}");
}

#[test]
fn t_cred_1_a_burst_of_load_empties_a_fresh_t2_micro_and_leaves_the_baseline() {
    let pods = json!({"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 1, "instance": "t2.micro", "credits": {}},
        "concurrency": 100, "queue": 0}});
    // One vCPU in all: 60 credits an hour are used and 6 earned, so that 30 last for 33.3 minutes.
    let work = json!([{"cpu": {"constant": "100ms"}}]);
    let nodes = json!({"edge": pods});
    let row = first(&scenario(10.0, 3000, &work, &nodes, &json!([])));
    let throttled = counter(&row, "edge", "throttled_host_seconds") as f64;
    let end = row.end.as_secs_f64();
    assert!((end - throttled - 2000.0).abs() < 5.0, "{end} {throttled}");
    // Afterwards it serves a tenth: 1 of 10 requests a second.
    let after = row.ledger.classes[0].ok as f64 - 20_000.0;
    assert!((after - 0.1 * 10.0 * (end - 2000.0)).abs() < 120.0, "{after} {end}");
    let unlimited = {
        let mut nodes = nodes.clone();
        nodes["edge"]["pods"]["hosts"]["credits"] = json!({"mode": "unlimited"});
        first(&scenario(10.0, 3000, &work, &nodes, &json!([])))
    };
    assert_eq!((failed(&unlimited), counter(&unlimited, "edge", "throttled_host_seconds")), (0, 0));
    // 3,000 s at 0.9 vCPU beyond what is earned: 0.75 vCPU-hours.
    let line = unlimited.reports[0].usage.iter().find(|l| l.item.contains("surplus")).unwrap();
    assert!((line.quantity - 0.75).abs() < 0.002, "{}", line.quantity);
}

#[test]
fn t_s2_1_a_thousand_a_second_for_0_9_seconds_hold_900() {
    let mut nodes = cluster(12, 12, json!({}));
    nodes["api"]["pods"]["lifecycle"] = Value::Null;
    let row = first(&scenario(
        1000.0,
        60,
        &json!([{"wait": {"exponential": {"mean": "900ms"}}}]),
        &nodes,
        &json!([]),
    ));
    let held = area(&row, "requests in progress") / 60.0;
    assert!((held / 900.0 - 1.0).abs() < 0.03, "{held}");
}

#[test]
fn t_s2_2_twelve_instances_stand_11_9_ms_and_not_12_1() {
    let run = |cpu: &str, seconds: u32| {
        let nodes = json!({"edge": {"alb": {"to": ["api"], "overhead": {"constant": "0s"}}}, "api": {"pods": {"replicas": 12,
            "hosts": {"count": 12, "vcpu": 1, "instance": "t2.micro"}, "backlog": 4096}}});
        let row = first(&scenario(
            1000.0,
            seconds,
            &json!([{"cpu": {"constant": cpu}}]),
            &nodes,
            &json!([]),
        ));
        row.ledger.classes[0].latency.sum_nanos() as f64 * 1e-9 / row.ledger.classes[0].ok as f64
    };
    let stable = [20, 60].map(|seconds| run("11900us", seconds));
    assert!(stable.iter().all(|mean| *mean < 0.015), "{stable:?}");
    // 0.83 % too much: the line grows as long as the load lasts.
    let growing = [20, 60].map(|seconds| run("12100us", seconds));
    assert!(growing[0] > 0.05 && growing[1] > 2.0 * growing[0], "{growing:?}");
}

fn routed(router: Value) -> Value {
    let pods = |cpu: &str| json!({"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 1, "instance": "t3.medium", "speed": 1}, "slow": [{"pod": 0, "factor": cpu.parse::<f64>().unwrap()}]}});
    let nodes = json!({"edge": {"router": router}, "a": {"node_port": {"to": "left"}}, "b": {"node_port": {"to": "right"}},
        "left": pods("1"), "right": pods("1")});
    scenario(100.0, 100, &quick(), &nodes, &json!([]))
}

/// Requests that reached the two sides.
fn sides(value: &Value) -> (u64, u64) {
    let row = first(value);
    assert_eq!(failed(&row), 0, "{:?}", row.ledger.failures);
    let at = |name: &str| row.ledger.nodes[row.names.iter().position(|n| n.0 == name).unwrap()].ok;
    (at("left"), at("right"))
}

#[test]
fn a_router_keeps_to_weights_kinds_durations_and_shifts() {
    let (left, right) = sides(&routed(json!({"routes": [{"to": {"a": 9, "b": 1}}]})));
    // 10,000 requests, a tenth: five standard deviations are 150.
    assert!(left + right == 10_000 && (850..=1150).contains(&right), "{left} {right}");
    let shifted = json!({"routes": [{"to": {"a": 1}, "shift": [{"at": "50s", "to": {"b": 1}}]}]});
    let (left, right) = sides(&routed(shifted));
    assert!(left.abs_diff(5000) <= 2 && left + right == 10_000, "{left} {right}");
    let by_kind = json!({"routes": [{"work": ["job"], "to": {"b": 1}}, {"to": {"a": 1}}]});
    assert_eq!(sides(&routed(by_kind)), (0, 10_000));
    let by_time =
        |least: &str| json!({"routes": [{"longer_than": least, "to": {"b": 1}}, {"to": {"a": 1}}]});
    assert_eq!(sides(&routed(by_time("500us"))), (0, 10_000));
    assert_eq!(sides(&routed(by_time("2ms"))), (10_000, 0));
}

#[test]
fn a_router_overflows_from_a_full_side() {
    let mut value =
        routed(json!({"routes": [{"to": {"a": 1}, "overflow": {"above": 10, "to": "b"}}]}));
    value["work"]["job"] = json!([{"wait": {"constant": "200ms"}}]);
    // A place on the left is free 201 ms after it was taken, and the next request comes 10 ms apart: ten of 21 go there.
    let (left, right) = sides(&value);
    assert!(left.abs_diff(4762) < 15 && left + right == 10_000, "{left} {right}");
}

#[test]
fn events_and_routes_that_cannot_be_are_refused() {
    let codes = |value: &Value| -> Vec<String> {
        findings(value.to_string().as_bytes())
            .sorted()
            .iter()
            .filter(|f| f.code.starts_with('E'))
            .map(|f| format!("{} {}", f.code, f.path))
            .collect()
    };
    let events =
        |event: Value| scenario(1.0, 10, &quick(), &cluster(1, 1, json!({})), &json!([event]));
    let far = json!({"at": "1s", "node": "api", "do": {"lose_hosts": {"hosts": [3]}}});
    assert_eq!(codes(&events(far)), ["E0373 designs.d.events[0].do"]);
    let edge = json!({"at": "1s", "node": "edge", "do": {"roll_out": {}}});
    assert_eq!(codes(&events(edge)), ["E0376 designs.d.events[0].do"]);
    let node = |rest: &str| format!("E0385 designs.d.nodes.edge.router.{rest}");
    let wrong = [
        (json!({"routes": [{"work": ["job"], "to": {"a": 1}}]}), node("routes")),
        (json!({"routes": [{"to": {"a": 0}}]}), node("routes[0].to")),
        (json!({"routes": [{"to": {"left": 1}}]}), node("routes[0].to.left")),
        (
            json!({"routes": [{"to": {"a": 1}, "shift": [{"at": "5s", "to": {"b": 1}}, {"at": "5s", "to": {"a": 1}}]}]}),
            node("routes[0].shift"),
        ),
    ];
    for (router, wanted) in wrong {
        let found = codes(&routed(router.clone()));
        assert!(found.contains(&wanted), "{router}: {found:?}");
    }
    let mut odd = routed(json!({"routes": [{"to": {"a": 1, "b": 1}}]}));
    odd["designs"]["d"]["nodes"]["left"]["pods"]["hosts"] =
        json!({"count": 1, "instance": "m5.large", "credits": {}});
    assert_eq!(codes(&odd), ["E0386 designs.d.nodes.left.pods.hosts.credits"]);
}

#[test]
fn more_capacity_never_lowers_success() {
    // Paired runs without feedback: no retries, no autoscaler, the same users.
    let success = |replicas: u32, threads: u32| {
        let nodes = json!({"edge": {"alb": {"to": ["api"]}}, "api": {"pods": {"replicas": replicas, "queue": 5,
            "runtime": {"threads": {"threads": threads}}, "hosts": {"count": replicas, "vcpu": 1, "instance": "t3.medium"}}}});
        let mut value = scenario(
            60.0,
            60,
            &json!([{"cpu": {"exponential": {"mean": "50ms"}}}]),
            &nodes,
            &json!([]),
        );
        value["workload"]["users"]["load"]["open"]["arrivals"] = json!("poisson");
        value["workload"]["users"]["patience"] = json!({"timeout": "2s"});
        result(&value.to_string()).designs[0].success_rate.value
    };
    let by_pods = [1, 2, 3, 4, 6].map(|replicas| success(replicas, 4));
    assert!(by_pods.is_sorted(), "{by_pods:?}");
    assert!(by_pods[0] < 0.5 && by_pods[4] > 0.99, "{by_pods:?}");
}

/// Every worked example of operations on the fact sheets has a test that bears its name.
#[test]
fn every_worked_example_of_operations_is_a_test() {
    let sheets =
        [include_str!("../../docs/facts/cluster.md"), include_str!("../../docs/facts/lambda.md")];
    let kinds = ["LIFE", "HPA", "NODE", "CRED", "GATE", "ECS", "EB", "SPOT", "S2", "S3", "EC2"];
    let mut wanted: Vec<String> = vec!["alb_1".into()];
    for rest in sheets.iter().flat_map(|sheet| sheet.split("**T-").skip(1)) {
        let id = rest.split("**").next().unwrap_or_default();
        if kinds.iter().any(|kind| id.strip_prefix(kind).is_some_and(|n| n.starts_with('-'))) {
            wanted.push(id.to_lowercase().replace('-', "_"));
        }
    }
    wanted.sort();
    wanted.dedup();
    assert!(wanted.len() >= 25, "{wanted:?}");
    let tests = [
        include_str!("failures.rs"),
        include_str!("pod_life.rs"),
        include_str!("autoscaling.rs"),
        include_str!("hpa.rs"),
        include_str!("../../src/model/credits.rs"),
        include_str!("../../src/model/scale/nodes.rs"),
        include_str!("../../src/model/scale/tracking.rs"),
        include_str!("../../src/model/scale/step.rs"),
    ];
    let missing: Vec<_> = wanted
        .iter()
        .filter(|id| !tests.iter().any(|text| text.contains(&format!("fn t_{id}_"))))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_counter_of_some_replications_counts_as_zero_in_the_others() {
    // One invocation in 500 crashes: some replications have none, and their other counters stand elsewhere in the list.
    let nodes =
        json!({"edge": {"lambda": {"account": "m", "runtime": "nodejs20", "crashes": 0.002}}});
    let mut scenario =
        scenario(1.0, 300, &json!([{"wait": {"constant": "1s"}}]), &nodes, &json!([]));
    scenario["designs"]["d"]["accounts"] = json!({"m": {}});
    scenario["run"]["replications"] = json!(20);
    let rows = outturns(&scenario.to_string()).remove(0);
    let shown = result(&scenario.to_string()).designs.remove(0).nodes.remove(0).counters;
    for name in ["invocations", "crashes", "environments_expired"] {
        let each: Vec<u64> = rows.iter().map(|row| counter(row, "edge", name)).collect();
        if name == "crashes" {
            assert!(each.contains(&0) && each.iter().any(|n| *n > 0), "{each:?}");
        }
        let mean = each.iter().sum::<u64>() as f64 / 20.0;
        let own = shown.iter().find(|counter| counter.name == name).unwrap();
        assert!((own.value.value - mean).abs() < 1e-9, "{name}: {own:?}");
    }
}
