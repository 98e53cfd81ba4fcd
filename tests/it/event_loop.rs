//! How an event loop takes new connections: docs/facts/cluster.md, section 7.1, with its own measurements of Node.js 20.

use super::common::outturns;
use super::theory::no_network;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// What a turn of the measured server took with one request, mean of the 14 runs of T-POD-5.
const TURN: &str = "5.42ms";
/// The same in the run of T-POD-4.
const TURN_BESIDE_KEPT: &str = "5.34ms";
/// The same behind nginx, mean of ten runs.
const TURN_BEHIND_NGINX: &str = "5.2ms";

fn server(backlog: u32, event_loop: &Value) -> Value {
    json!({"api": {"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 1}, "backlog": backlog,
        "runtime": {"event_loop": event_loop}}}})
}

/// One run of these classes of users.
fn run(classes: &Value, cpu: &str, nodes: &Value, horizon: &str) -> Outturn {
    let names = classes.as_object().unwrap().keys();
    let enter: Value =
        names.map(|name| (name.clone(), json!("api"))).collect::<serde_json::Map<_, _>>().into();
    let scenario = json!({
        "name": "event loop", "workload": classes, "work": {"job": [{"cpu": {"constant": cpu}}]},
        "designs": {"d": {"enter": enter, "nodes": nodes}},
        "run": {"replications": 2, "seed": 1, "horizon": horizon}
    });
    outturns(&scenario.to_string()).remove(0).remove(0)
}

/// Users who come evenly, one request each, each on a connection of its own.
fn comers(users: u32, ramp: &str, connection: Value) -> Value {
    json!({"comers": {"load": {"closed": {"users": users, "ramp": ramp, "requests_per_user": 1}},
        "request": "job", "connection": connection}})
}

#[test]
fn t_pod_4_kept_connections_come_before_new_ones() {
    let mut kept = no_network();
    kept["keepalive"] = true.into();
    let mut new = no_network();
    new["keepalive"] = false.into();
    let classes = json!({
        "kept": {"load": {"closed": {"users": 10, "for": "3s"}}, "request": "job", "connection": kept},
        "new": {"load": {"burst": {"requests": 20, "at": "1s"}}, "request": "job", "connection": new},
    });
    let row = run(&classes, TURN_BESIDE_KEPT, &server(511, &json!({})), "10s");
    let latency = &row.ledger.classes[1].latency;
    assert_eq!(row.ledger.classes[1].ok, 20);
    // The first may be taken at the end of a turn or just miss it.
    for (n, measured) in [(1, 0.127), (2, 0.185), (5, 0.363), (10, 0.650), (20, 1.217)] {
        let predicted = latency.quantile((f64::from(n) - 0.5) / 20.0).unwrap();
        assert!((predicted - measured).abs() < 0.06, "{n}: {predicted} against {measured}");
    }
    let apart = (latency.quantile(1.0).unwrap() - latency.quantile(0.0).unwrap()) / 19.0;
    assert!((apart / 0.0574 - 1.0).abs() < 0.04, "{apart}");
    // A loop that takes all that wait serves them in the turn after this one.
    let all = run(&classes, TURN_BESIDE_KEPT, &server(511, &json!({"accepts": 1_000_000})), "10s");
    assert!(all.ledger.classes[1].latency.quantile(1.0).unwrap() < 0.3);
}

#[test]
fn t_pod_5_a_busy_loop_lets_its_accept_queue_overflow() {
    let measured = [
        (4096, [(0.5, 1.73, 1.82), (0.9, 3.09, 3.22), (0.99, 3.40, 3.52)], 0),
        (511, [(0.5, 1.75, 1.96), (0.9, 3.31, 3.82), (0.99, 3.39, 3.97)], 133),
        (128, [(0.5, 0.69, 0.74), (0.9, 3.74, 4.56), (0.99, 5.38, 6.86)], 2271),
    ];
    let connection =
        json!({"rtt": "15us", "tls": false, "keepalive": false, "syn_retry": "linear"});
    for (backlog, quantiles, overflows) in measured {
        let classes = comers(1200, "3s", connection.clone());
        let row = run(&classes, TURN, &server(backlog, &json!({})), "60s");
        assert_eq!(row.ledger.classes[0].ok, 1200);
        for (q, least, most) in quantiles {
            let predicted = row.ledger.classes[0].latency.quantile(q).unwrap();
            let within = 0.97 * least..=1.03 * most;
            // The last ones of the shortest queue come out at 5.0 s, too early; why is not known (docs/fidelity.md).
            let held = (backlog, q) != (128, 0.99);
            assert!(
                !held || within.contains(&predicted),
                "{backlog} p{q}: {predicted} against {least} to {most}"
            );
        }
        let dropped =
            row.reports[0].counters.iter().find(|(name, _)| *name == "syn_dropped").unwrap().1;
        assert_eq!(dropped > 0, overflows > 0);
    }
}

/// 200 users who ask again at once for 10 s, through nginx with one worker, at a server that can do 190 a second.
#[test]
fn t_pod_7_behind_nginx_those_who_are_in_stay_in() {
    // Backlog, upstream keepalive, users; least and most of two runs: p50, p99, the longest, failures.
    let all = |least: f64, most: f64| (0.95 * least)..=(1.05 * most);
    let measured = [
        (
            511,
            0,
            200,
            all(1.035, 1.045),
            Some((all(1.059, 1.087), all(1.089, 1.122))),
            all(0.0, 0.0),
        ),
        (
            64,
            0,
            200,
            all(0.346, 0.355),
            Some((all(16.97, 28.04), all(28.04, 29.9))),
            all(31.0, 32.0),
        ),
        (511, 0, 700, all(2.676, 2.740), None, all(0.0, 0.0)),
        (
            511,
            32,
            200,
            all(0.238, 0.239),
            Some((all(10.91, 10.91), all(11.02, 11.03))),
            all(0.0, 0.0),
        ),
        (
            64,
            32,
            200,
            all(0.239, 0.243),
            Some((all(14.70, 14.79), all(27.78, 27.86))),
            all(0.0, 0.0),
        ),
    ];
    for (backlog, kept, users, p50, tail, failed) in measured {
        let mut nodes = server(backlog, &json!({}));
        nodes["edge"] = json!({"nginx": {"upstream": ["api"], "workers": 1, "worker_connections": 8192, "nofile": 20_000,
            "listeners": 1, "keepalive_requests": 100_000, "upstream_keepalive": kept, "upstream_rtt": "15us",
            "upstream_syn_retry": "linear"}});
        let scenario = json!({
            "name": "event loop",
            "workload": {"users": {"load": {"closed": {"users": users, "for": "10s"}}, "request": "job",
                "connection": {"rtt": "15us", "tls": false, "keepalive": true, "syn_retry": "linear"},
                "generator": {"connect": "30us"}}},
            "work": {"job": [{"cpu": {"constant": TURN_BEHIND_NGINX}}]},
            "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes}},
            "run": {"replications": 2, "seed": 1, "horizon": "100s"}
        });
        let row = outturns(&scenario.to_string()).remove(0).remove(0);
        let class = &row.ledger.classes[0];
        let at = |q: f64| class.latency.quantile(q).unwrap();
        let what = format!("backlog {backlog}, keepalive {kept}, {users} users");
        assert!(p50.contains(&at(0.5)), "{what}: p50 {}", at(0.5));
        if let Some((p99, longest)) = tail {
            assert!(p99.contains(&at(0.99)), "{what}: p99 {}", at(0.99));
            assert!(longest.contains(&at(1.0)), "{what}: longest {}", at(1.0));
        }
        assert!(failed.contains(&(class.failed as f64)), "{what}: {} failed", class.failed);
    }
}

#[test]
fn t_pod_6_one_connection_a_turn_by_hand() {
    let latencies = |event_loop: &Value| {
        let row = run(&comers(30, "30ms", no_network()), "10ms", &server(2, event_loop), "900ms");
        (row.ledger.classes[0].ok, row.ledger.classes[0].latency.sum_nanos() / 1_000_000)
    };
    assert_eq!(latencies(&json!({})), (7, 10 + 19 + 28 + 37 + 40 + 49 + 50));
    let all = json!({"accepts": 1_000_000});
    assert_eq!(latencies(&all), (7, 10 + 19 + 28 + 37 + 40 + 49 + 58));
}
