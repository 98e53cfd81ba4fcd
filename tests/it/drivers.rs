//! What pods do on their processors for a connection: code that is still being compiled, the client's part of a login, the
//! answer of a statement; and timers of whole milliseconds.

use super::common::outturns;
use super::theory::no_network;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// One pod with one event loop, users that all begin at time 0, requests one after another.
fn run(users: u32, each: u32, steps: &Value, pods: &Value, nodes: &Value) -> Outturn {
    let mut node =
        json!({"replicas": 1, "hosts": {"count": 1, "vcpu": 1}, "runtime": {"event_loop": {}}});
    node.as_object_mut().unwrap().extend(pods.as_object().unwrap().clone());
    let mut all = json!({"api": {"pods": node}});
    all.as_object_mut().unwrap().extend(nodes.as_object().unwrap().clone());
    let mut connection = no_network();
    connection["keepalive"] = true.into();
    let scenario = json!({
        "name": "drivers",
        "workload": {"users": {
            "load": {"closed": {"users": users, "for": "1000s", "requests_per_user": each}}, "request": "job",
            "connection": connection,
        }},
        "work": {"job": steps},
        "designs": {"d": {"enter": {"users": "api"}, "nodes": all}},
        "run": {"replications": 2, "seed": 1, "horizon": "2000s"}
    });
    outturns(&scenario.to_string()).remove(0).remove(0)
}

/// A server whose login takes 20 ms and whose fork and end take nothing.
fn database() -> Value {
    json!({"db": {"postgres": {"connections": 50, "vcpu": 2, "fork": "0s", "exit": "0s", "login": {"constant": "20ms"}, "sigma": 0.0, "kappa": 0.0}}})
}

fn total_ms(row: &Outturn) -> f64 {
    row.ledger.classes[0].latency.sum_nanos() as f64 / 1e6
}

#[test]
fn a_process_is_slow_until_it_is_warm() {
    let steps = json!([{"cpu": {"constant": "100ms"}}]);
    let plain = run(1, 10, &steps, &json!({}), &json!({}));
    assert_eq!(total_ms(&plain), 1000.0);
    // Three times at first, evenly down to once at the fifth request: 3 + 2.5 + 2 + 1.5 + 6.
    let cold = run(1, 10, &steps, &json!({"warm_up": {"requests": 4, "factor": 3.0}}), &json!({}));
    assert_eq!(total_ms(&cold), 1500.0);
    let lazy = json!({"warm_up": {"requests": 4, "factor": 3.0, "first": 5.0}});
    assert_eq!(total_ms(&run(1, 10, &steps, &lazy, &json!({}))), 1700.0);
}

#[test]
fn a_server_waits_for_the_first_message_of_a_busy_client() {
    // Two requests of 50 ms: the loop takes both, then the first messages of both connects, 10 ms each. The logins begin
    // at 110 and 120 ms, not at 50 and 100.
    let steps = json!([{"cpu": {"constant": "50ms"}}, {"query": {"to": "db", "hold": {"constant": "30ms"}}}]);
    let pool = |startup: &str| json!({"pool": {"db": {"mode": "direct", "connecting": 10, "startup_cpu": startup}}});
    let row = run(2, 1, &steps, &pool("10ms"), &database());
    assert_eq!(total_ms(&row), (110.0 + 50.0) + (120.0 + 50.0));
    let row = run(2, 1, &steps, &pool("0s"), &database());
    assert_eq!(total_ms(&row), (50.0 + 50.0) + (100.0 + 50.0));
}

#[test]
fn an_answer_is_read_before_its_connection_is_free() {
    let steps = json!([{"query": {"to": "db", "hold": {"constant": "50ms"}}}]);
    let pool = json!({"pool": {"db": {"max": 1, "statement_cpu": "20ms"}}});
    // A login of 20 ms, then two statements of 50 + 20 ms one after the other.
    let row = run(2, 1, &steps, &pool, &database());
    assert_eq!(total_ms(&row), 90.0 + 160.0);
}

#[test]
fn a_refused_connection_costs_its_driver_before_the_request_knows() {
    // One slot for two requests: the login of 20 ms of one of them ends with a refusal.
    let steps = json!([{"query": {"to": "db", "hold": {"constant": "30ms"}}}]);
    let mut nodes = database();
    nodes["db"]["postgres"]["connections"] = 4.into();
    nodes["db"]["postgres"]["reserved"] = 3.into();
    let failed_ms = |cpu: &str| {
        let pool =
            json!({"pool": {"db": {"mode": "direct", "connecting": 10, "refused_cpu": cpu}}});
        let class = run(2, 1, &steps, &pool, &nodes).ledger.classes.swap_remove(0);
        assert_eq!((class.ok, class.failed), (1, 1));
        class.latency_failed.sum_nanos() / 1_000_000
    };
    assert_eq!((failed_ms("0s"), failed_ms("10ms")), (20, 30));
}

#[test]
fn keys_are_derived_beside_the_event_loop() {
    // Both connects derive keys for 40 ms, sharing one processor with nobody else: done at 20 + 80 ms. On the loop it would be the same sum,
    // but a third request without a database is answered meanwhile.
    let steps = json!([{"query": {"to": "db", "hold": {"constant": "10ms"}}}]);
    let beside =
        json!({"pool": {"db": {"mode": "direct", "connecting": 10, "connect_offload": "40ms"}}});
    let row = run(2, 1, &steps, &beside, &database());
    assert_eq!(total_ms(&row), 2.0 * (20.0 + 80.0 + 10.0));
    let on_the_loop =
        json!({"pool": {"db": {"mode": "direct", "connecting": 10, "connect_cpu": "40ms"}}});
    let row = run(2, 1, &steps, &on_the_loop, &database());
    assert_eq!(total_ms(&row), (20.0 + 40.0 + 10.0) + (20.0 + 80.0 + 10.0));
}

#[test]
fn a_client_that_gives_up_before_its_first_message_leaves_nothing_behind() {
    // The loop is busy for 1 s with the second request's first step, so the first connect's timeout of 300 ms passes while its
    // first message waits: it fails when the loop looks, and the server lets the process go.
    let steps =
        json!([{"cpu": {"constant": "1s"}}, {"query": {"to": "db", "hold": {"constant": "10ms"}}}]);
    let pool = json!({"pool": {"db": {"mode": "direct", "connecting": 10, "startup_cpu": "10ms", "acquire_timeout": "300ms"}}});
    let row = run(2, 1, &steps, &pool, &database());
    let class = &row.ledger.classes[0];
    assert_eq!((class.ok, class.failed), (1, 1));
    let connections = row.ledger.gauges.iter().find(|gauge| gauge.name == "connections").unwrap();
    assert_eq!(connections.levels.highs().iter().copied().max(), Some(1));
}

#[test]
fn timers_of_an_event_loop_count_whole_milliseconds() {
    // 7.9 ms are 7: 1,000 waits in a row take 7.25 ms on the average, give or take the phase of the clock.
    let steps = json!([{"wait": {"constant": "7900us"}}]);
    let exact = run(1, 1000, &steps, &json!({}), &json!({}));
    assert_eq!(total_ms(&exact), 7900.0);
    let node = json!({"runtime": {"event_loop": {"timer": "1ms"}}});
    let row = run(1, 1000, &steps, &node, &json!({}));
    let mean = total_ms(&row) / 1000.0;
    assert!((mean - 7.25).abs() < 0.05, "{mean}");
}

#[test]
fn a_full_waiting_line_rejects_with_the_status_that_was_said() {
    let steps = json!([{"wait": {"constant": "10ms"}}]);
    for (said, status) in [(json!({}), 503), (json!({"reject_status": 429}), 429)] {
        let mut pods = json!({"concurrency": 1, "queue": 1});
        pods.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let row = run(5, 1, &steps, &pods, &json!({}));
        let rejected: Vec<_> = row.ledger.failures.iter().map(|f| (f.status, f.count)).collect();
        assert_eq!((row.ledger.classes[0].ok, rejected), (2, vec![(status, 3)]));
    }
}
