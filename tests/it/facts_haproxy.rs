//! Worked examples of HAProxy, measured on 2.6.12: docs/facts/cluster.md, section 5.9.

use super::common::outturns;
use super::theory::{burst, closed, constant, even, exponential, no_network, threads, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Users in front of an HAProxy with one server.
fn run(workload: &Value, job: &Value, haproxy: &Value, api: &Value, events: &Value) -> Outturn {
    let mut own = json!({"upstream": ["api"]});
    own.as_object_mut().unwrap().extend(haproxy.as_object().unwrap().clone());
    let enter: serde_json::Map<String, Value> =
        workload.as_object().unwrap().keys().map(|name| (name.clone(), json!("edge"))).collect();
    let scenario = json!({"name": "haproxy", "workload": workload, "work": {"job": job},
        "designs": {"d": {"enter": enter, "nodes": {"edge": {"haproxy": own}, "api": api}, "events": events}},
        "run": {"replications": 2, "seed": 1}});
    outturns(&scenario.to_string()).remove(0).remove(0)
}

fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).unwrap().1
}

fn failures(row: &Outturn) -> Vec<(Cause, u16, u64)> {
    row.ledger.failures.iter().map(|f| (f.cause, f.status, f.count)).collect()
}

/// Users that keep their connection.
fn keeping(mut users: Value) -> Value {
    users["connection"]["keepalive"] = true.into();
    users
}

#[track_caller]
fn near(found: Option<f64>, measured: f64, by: f64) {
    assert!(found.is_some_and(|found| (found - measured).abs() <= by), "{found:?}, {measured}");
}

/// 40 users who wait 2 s for a server that takes ten requests at a time, for 60 s.
fn impatient(service: &Value, abortonclose: bool) -> Outturn {
    let mut users = closed(40, 60, constant(0.0));
    users["patience"] = json!({"timeout": "2s"});
    let haproxy = json!({"server_maxconn": 10, "abortonclose": abortonclose});
    let job = wait(service);
    run(&json!({"users": users}), &job, &haproxy, &threads(100_000), &json!([]))
}

#[test]
fn t_hap_1_requests_of_clients_that_have_left_keep_the_queue() {
    let row = impatient(&constant(1_000.0), false);
    let class = &row.ledger.classes[0];
    // Measured: 10 of 1,210, at most 10 in progress.
    assert_eq!(class.ok, 10);
    assert!((1_200..=1_220).contains(&(class.ok + class.failed)), "{}", class.failed);
    let gauge = row.ledger.gauges.iter().find(|g| g.name == "requests in progress").unwrap();
    assert_eq!(gauge.levels.highs().iter().max(), Some(&10));
    // The server answers what was asked for, wanted or not, but for what was in the queue for a minute.
    let api = row.names.iter().position(|name| name.0 == "api").unwrap();
    let late = counter(&row, "edge", "queue_timeouts");
    assert_eq!(row.ledger.nodes[api].ok + late, class.ok + class.failed);
    assert!(late < 50, "{late}");
}

/// T-HAP-1 with exponential service: measured 15 of 1,214 without abortonclose, 604 of 1,329 with it.
#[test]
fn with_abortonclose_the_queue_holds_those_who_wait() {
    let answered = |abortonclose: bool| {
        let row = impatient(&exponential(1_000.0), abortonclose);
        let class = &row.ledger.classes[0];
        (class.ok, class.ok + class.failed)
    };
    let (ok, all) = answered(false);
    assert!((5..=40).contains(&ok) && (1_190..=1_240).contains(&all), "{ok} of {all}");
    // Four standard deviations of a run of 60 s with ten places are some 100.
    let (ok, all) = answered(true);
    assert!((504..=704).contains(&ok) && (1_229..=1_429).contains(&all), "{ok} of {all}");
}

/// Five clients leave at 0.5 s, one comes at 0.8 s; a server that takes one request at a time and a second for it.
fn late(connection: &Value, limit: &str, abortonclose: bool) -> Outturn {
    let mut early = burst(5, "0s", "job");
    early["patience"] = json!({"timeout": "500ms"});
    let mut late = burst(1, "800ms", "job");
    late["connection"] = connection.clone();
    early["connection"] = connection.clone();
    let haproxy = json!({limit: 1, "backlog": 4096, "abortonclose": abortonclose});
    let job = wait(&constant(1_000.0));
    run(&json!({"early": early, "late": late}), &job, &haproxy, &threads(100_000), &json!([]))
}

#[test]
fn t_hap_2_a_late_request_waits_for_those_whose_clients_have_left() {
    let http2 = json!({"rtt": "0s", "http2": {}});
    for (connection, abortonclose, measured) in
        [(no_network(), false, 5.21), (no_network(), true, 1.0), (http2, false, 1.0)]
    {
        let row = late(&connection, "server_maxconn", abortonclose);
        let class = row.ledger.classes.iter().find(|class| class.ok == 1).unwrap();
        near(class.latency.quantile(1.0), measured, 0.03);
        let api = row.names.iter().position(|name| name.0 == "api").unwrap();
        // Those who leave at one instant hand on their place to one another: measured, 2 to 6 get to the server.
        let arrived = row.ledger.nodes[api].arrived;
        assert!(arrived == 6 || measured < 2.0 && arrived >= 2, "{arrived}");
    }
}

#[test]
fn t_hap_9_clients_that_left_before_they_were_accepted_are_served_for_nobody() {
    for (abortonclose, measured) in [(false, 5.23), (true, 1.01)] {
        let row = late(&no_network(), "maxconn", abortonclose);
        let class = row.ledger.classes.iter().find(|class| class.ok == 1).unwrap();
        near(class.latency.quantile(1.0), measured, 0.05);
    }
}

/// Connections to the server for this load.
fn server_connections(users: &Value, reuse: &str) -> u64 {
    let job = wait(&constant(5.0));
    let haproxy = json!({"http_reuse": reuse});
    let row = run(&json!({"users": users}), &job, &haproxy, &threads(100_000), &json!([]));
    assert_eq!(row.ledger.classes[0].failed, 0);
    counter(&row, "edge", "server_connections")
}

#[test]
fn t_hap_3_connections_to_servers_are_used_again() {
    let rounds = |users: u32| {
        let mut users = keeping(closed(users, 1, constant(0.0)));
        let n = users["load"]["closed"]["users"].clone();
        users["load"] = json!({"closed": {"users": n, "requests_per_user": 50}});
        users
    };
    // Measured: 50 requests of one client, 50 each of 20 at once, ten clients with one request, one after another.
    for (reuse, alone, together, new) in
        [("safe", 1, 20, 10), ("never", 1, 20, 10), ("always", 1, 20, 1)]
    {
        assert_eq!(server_connections(&rounds(1), reuse), alone, "{reuse}");
        assert_eq!(server_connections(&rounds(20), reuse), together, "{reuse}");
        assert_eq!(server_connections(&even(1.0, 10.0), reuse), new, "{reuse}");
    }
}

#[test]
fn on_http2_no_request_counts_as_the_first() {
    // Measured: one request, then ten at once of another client: ten connections, of which the first is used again.
    let connections = |connection: &Value| {
        let (mut one, mut ten) = (burst(1, "0s", "job"), burst(10, "1s", "job"));
        one["connection"] = connection.clone();
        ten["connection"] = connection.clone();
        let workload = json!({"one": one, "ten": ten});
        let job = wait(&constant(20.0));
        let row = run(&workload, &job, &json!({}), &threads(100), &json!([]));
        counter(&row, "edge", "server_connections")
    };
    assert_eq!(connections(&json!({"rtt": "0s", "http2": {"connections": 1}})), 10);
    assert_eq!(connections(&no_network()), 11);
}

#[test]
fn t_hap_4_after_a_connect_timeout_it_connects_again_at_once() {
    let fails = |timeout: &str, event: Value| {
        let users = burst(1, "1s", "job");
        let events = json!([{"at": "500ms", "node": "api", "do": event}]);
        let haproxy = json!({"timeout_connect": timeout});
        let job = wait(&constant(10.0));
        let row = run(&json!({"users": users}), &job, &haproxy, &threads(10), &events);
        let failed = failures(&row);
        assert!(matches!(failed[..], [(_, 503, 1)]), "{failed:?}");
        row.ledger.classes[0].latency_failed.quantile(1.0)
    };
    // Measured: a black hole, timeout connect 1 s and three retries.
    near(fails("1s", json!({"black_hole": {"for": "100s"}})), 4.02, 0.03);
    // Measured: refused, timeout connect 200 ms.
    near(fails("200ms", json!({"kill": {"pod": 0}})), 0.605, 0.01);
    near(fails("5s", json!({"kill": {"pod": 0}})), 3.0, 0.03);
}

#[test]
fn t_hap_5_a_request_that_crosses_the_close_of_its_connection_ends_its_clients() {
    // As T-POD-3, with a hop of 10 ms and a server that keeps connections for 5 s: a request leaves less than a hop before or after that
    // if its client, who has had the last answer a hop after it left, waits for 4.98 to 5 s.
    let api = json!({"pods": {"replicas": 1, "keepalive_timeout": "5s", "runtime": {"threads": {"threads": 10}}}});
    let load = |users: &Value, reuse: &str, status: u16| {
        let haproxy = json!({"upstream_rtt": "20ms", "cpu_request": "0s", "http_reuse": reuse});
        let job = wait(&constant(1.0));
        let row = run(&json!({"users": users}), &job, &haproxy, &api, &json!([]));
        let class = &row.ledger.classes[0];
        let n = (class.ok + class.failed) as f64;
        let expected = n * ((-0.2_f64 * 4.98).exp() - (-0.2_f64 * 5.0).exp());
        let resets = row.ledger.nodes[row.names.iter().position(|n| n.0 == "api").unwrap()].failed;
        let far = (resets as f64 - expected).abs() / expected.sqrt();
        assert!(far < 3.5, "{reuse}: {resets} resets, {expected} expected");
        assert_eq!(failures(&row), [(Cause::UpstreamClosed, status, resets)]);
    };
    // Not the first of its client: closed without a word, as measured. The first: 502.
    let users = closed(1, 400_000, exponential(5_000.0));
    load(&keeping(users.clone()), "safe", 0);
    load(&users, "always", 502);
}

#[test]
fn t_hap_6_idle_clients_are_closed_after_timeout_client() {
    // Two users and one connection: the second is accepted when the first has been idle for long enough.
    let waits = |haproxy: Value| {
        let mut own = json!({"maxconn": 1});
        own.as_object_mut().unwrap().extend(haproxy.as_object().unwrap().clone());
        let users = keeping(closed(2, 5, constant(20_000.0)));
        let job = wait(&constant(10.0));
        let row = run(&json!({"users": users}), &job, &own, &threads(10), &json!([]));
        assert_eq!(row.ledger.classes[0].ok, 2);
        row.ledger.classes[0].latency.quantile(1.0)
    };
    // Measured: 1,002 ms with timeout client 1 s, 505 ms with timeout http-keep-alive 500 ms.
    near(waits(json!({"timeout_client": "1s"})), 1.02, 0.01);
    near(waits(json!({"timeout_client": "5s", "timeout_http_keep_alive": "500ms"})), 0.52, 0.01);
    // A request that takes longer than timeout client is answered: measured, 2.0 s with 500 ms.
    let job = wait(&constant(2_000.0));
    let users = json!({"users": keeping(burst(1, "0s", "job"))});
    let row = run(&users, &job, &json!({"timeout_client": "500ms"}), &threads(10), &json!([]));
    near(row.ledger.classes[0].latency.quantile(1.0), 2.0, 0.02);
}

#[test]
fn t_hap_7_tls_handshakes_take_the_threads_time() {
    let last = |tls: bool| {
        let mut users = burst(50, "0s", "job");
        users["connection"] = json!({"rtt": "0s", "tls": tls, "keepalive": false});
        let haproxy = json!({"cpu_handshake": "10ms", "cpu_request": "1ms", "upstream_rtt": "0s"});
        let job = wait(&constant(10.0));
        let row = run(&json!({"users": users}), &job, &haproxy, &threads(100), &json!([]));
        row.ledger.classes[0].latency.quantile(1.0)
    };
    // 50 handshakes and the requests in between and after them, then the last one's 10 ms.
    near(last(true), 50.0 * 0.011 + 0.010, 0.005);
    near(last(false), 50.0 * 0.001 + 0.010, 0.005);
}

/// The audit at the end of a run finds calls that nobody answers and work that nobody asked for.
#[test]
fn one_behind_another_loses_nothing_whatever_is_set() {
    let mut users = closed(30, 20, exponential(50.0));
    users["patience"] = json!({"timeout": "150ms"});
    let job = wait(&exponential(60.0));
    for reuse in ["never", "safe", "aggressive", "always"] {
        for abortonclose in [false, true] {
            let inner = json!({"upstream": ["pods"], "server_maxconn": 8, "maxconn": 20, "http_reuse": reuse,
                "abortonclose": abortonclose, "timeout_client": "100ms", "timeout_connect": "200ms"});
            let outer = json!({"upstream": ["api"], "server_maxconn": 25, "http_reuse": reuse, "timeout_queue": "300ms",
                "abortonclose": abortonclose, "timeout_server": "300ms", "timeout_client": "1s", "upstream_rtt": "5ms"});
            let users = json!({"new": users, "kept": keeping(users.clone())});
            let scenario = json!({"name": "chain", "workload": users, "work": {"job": job},
                "designs": {"d": {"enter": {"new": "edge", "kept": "edge"}, "nodes": {"edge": {"haproxy": outer},
                    "api": {"haproxy": inner}, "pods": {"pods": {"replicas": 2, "keepalive_timeout": "200ms"}}},
                    "events": [{"at": "8s", "node": "pods", "do": {"kill": {"pod": 0}}}]}},
                "run": {"replications": 3, "seed": 7}});
            for row in outturns(&scenario.to_string()).remove(0) {
                for class in &row.ledger.classes {
                    assert_eq!(class.ok + class.failed, class.issued, "{reuse} {abortonclose}");
                }
            }
        }
    }
}
