//! HTTP/2 from users: streams, connections, handshakes, what closes a connection and what does not. docs/facts/cluster.md, section 5.8.

use super::common::{outturns, plan};
use super::scenario::findings;
use super::theory::{constant, threads, wait};
use headroom::experiment::{Silent, counterfactuals, run};
use headroom::kernel::Key;
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn first(scenario: &Value) -> Outturn {
    outturns(&scenario.to_string()).remove(0).remove(0)
}

/// nginx without processor time of its own in front of pods with room for everybody, all without a network in between.
fn nginx(own: &Value) -> Value {
    let mut front = json!({"upstream": ["a"], "workers": 1, "worker_connections": 10_000, "nofile": 65_536,
        "upstream_rtt": "0s", "cpu_accept": "0s", "cpu_request": "0s", "cpu_handshake": "0s"});
    front.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    json!({"nginx": front})
}

/// `connections` shared ones; none: one for each user.
fn http2(connections: Option<u32>, rtt: &str) -> Value {
    let own = connections.map_or(json!({}), |n| json!({"connections": n}));
    json!({"rtt": rtt, "http2": own})
}

fn scenario(users: &Value, job: &Value, edge: &Value, events: &Value) -> Value {
    json!({"name": "streams", "workload": {"users": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"users": "edge"}, "accounts": {"main": {}},
            "nodes": {"edge": edge, "a": threads(100_000)}, "events": events}},
        "run": {"replications": 2, "horizon": "1h"}})
}

fn burst(requests: u32, connection: Value) -> Value {
    json!({"load": {"burst": {"requests": requests}}, "request": "job", "connection": connection})
}

/// Latencies of successes in the order of size, by quantile of each.
fn latency(row: &Outturn, nth: u64) -> f64 {
    let class = &row.ledger.classes[0];
    class.latency.quantile((nth as f64 - 0.5) / class.ok as f64).unwrap()
}

fn near(found: f64, truth: f64) {
    assert!((found - truth).abs() <= truth * 0.008 + 1e-6, "{found} for {truth}");
}

fn peak(row: &Outturn, gauge: &str) -> u64 {
    let own = row.ledger.gauges.iter().find(|g| g.name == gauge).unwrap();
    *own.levels.highs().iter().max().unwrap()
}

#[test]
fn t_h2_1_streams_beyond_the_limit_wait_in_the_client() {
    let users = burst(300, http2(Some(1), "0s"));
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &nginx(&json!({})), &json!([])));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (300, 0));
    for (nth, seconds) in [(1, 1.0), (128, 1.0), (129, 2.0), (256, 2.0), (257, 3.0), (300, 3.0)] {
        near(latency(&row, nth), seconds);
    }
    let limit =
        row.ledger.limits.iter().find(|l| l.name == "http2_max_concurrent_streams").unwrap();
    // 128 wait for one second, 44 for two.
    assert_eq!(limit.waiting, 216_000_000_000);
    // One connection of a client and at most 128 to the upstream.
    assert_eq!(peak(&row, "connections"), 129);
}

#[test]
fn t_h2_2_the_first_request_opens_and_the_others_come_with_it() {
    // 100 ms round trip: SYN, TLS and request take 250 ms, the answer 50 ms, for all of them.
    let users = burst(100, http2(Some(1), "100ms"));
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &nginx(&json!({})), &json!([])));
    near(latency(&row, 1), 1.3);
    near(latency(&row, 100), 1.3);
    // The same from an ALB, whose clients are met after their handshake.
    let alb = json!({"alb": {"to": ["a"], "overhead": {"constant": "0s"}, "target_rtt": "0s"}});
    let users = burst(129, http2(Some(1), "100ms"));
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &alb, &json!([])));
    near(latency(&row, 1), 1.3);
    near(latency(&row, 128), 1.3);
    // Its request waits for a stream, and then takes a round trip: 1.3 s + 1.1 s.
    near(latency(&row, 129), 2.4);
}

#[test]
fn t_h2_3_one_handshake_a_connection_and_more_users_for_the_same_descriptors() {
    // 100 users ask 5 times. HTTP/1.1 and a connection each: 100 handshakes of 10 ms on one worker; shared by all: four.
    let users = |connection: Value| json!({"load": {"closed": {"users": 100, "requests_per_user": 5}}, "request": "job", "connection": connection});
    let job = wait(&constant(1_000.0));
    let run = |connection: Value, own: Value| {
        first(&scenario(&users(connection), &job, &nginx(&own), &json!([])))
    };
    let costly = json!({"cpu_handshake": "10ms"});
    let own = run(http2(None, "0s"), costly.clone());
    let shared = run(http2(Some(4), "0s"), costly);
    // The last of all first requests ends 100 · 10 ms after a second; of the shared ones after 4 · 10 ms.
    assert_eq!((own.ledger.classes[0].ok, shared.ledger.classes[0].ok), (500, 500));
    near(own.ledger.classes[0].latency.quantile(1.0).unwrap(), 2.0);
    near(shared.ledger.classes[0].latency.quantile(1.0).unwrap(), 1.04);
    assert_eq!((peak(&own, "connections"), peak(&shared, "connections")), (200, 104));
    // 128 descriptors less 9: of 100 users with connections of their own 19 get one to the upstream, of those who share four all.
    let tight = json!({"nofile": 128, "base_descriptors": 9});
    let own = run(http2(None, "0s"), tight.clone());
    let shared = run(http2(Some(4), "0s"), tight);
    assert!(own.ledger.classes[0].failed > 0);
    assert_eq!((shared.ledger.classes[0].ok, shared.ledger.classes[0].failed), (500, 0));
}

#[test]
fn t_h2_4_a_500_leaves_the_connection_open() {
    // One descriptor for upstreams: one of twenty requests at once is served, the others get a 500.
    let tight = json!({"nofile": 128, "base_descriptors": 126});
    let users = |connection: Value| {
        json!({"load": {"closed": {"users": 20, "for": "10s", "think": {"constant": "2s"}}}, "request": "job",
            "connection": connection})
    };
    let job = wait(&constant(1_000.0));
    let row = first(&scenario(&users(http2(Some(1), "0s")), &job, &nginx(&tight), &json!([])));
    let refused = row.ledger.failures.iter().find(|f| f.cause == Cause::Descriptors).unwrap();
    assert_eq!(refused.status, 500);
    assert!(row.ledger.classes[0].ok > 0 && refused.count > 50);
    assert_eq!(row.ledger.classes[0].ok + refused.count, row.ledger.classes[0].issued);
    // Never another connection than the first.
    assert_eq!(peak(&row, "connections"), 2);
}

#[test]
fn t_h2_5_goaway_lets_streams_end_and_the_next_open_another_connection() {
    // Ten requests a connection; 25 at once: the first ten on one, ten on the next, five on a third. What crosses the GOAWAY comes again.
    let edge = nginx(&json!({"keepalive_requests": 10}));
    let users = burst(25, http2(Some(1), "0s"));
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &edge, &json!([])));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (25, 0));
    near(latency(&row, 25), 1.0);
    assert_eq!(row.ledger.classes[0].attempts, 25);
    assert_eq!(peak(&row, "connections"), 25 + 3);
    // With a round trip of 100 ms all 25 are there before the GOAWAY is known: 15 are sent again over a connection of their own.
    let users = burst(25, http2(Some(1), "100ms"));
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &edge, &json!([])));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].attempts), (25, 25));
    near(latency(&row, 10), 1.3);
    near(latency(&row, 11), 1.6);
    near(latency(&row, 20), 1.6);
    near(latency(&row, 21), 1.9);
}

#[test]
fn t_h2_6_a_lost_connection_takes_all_its_requests_with_it() {
    // The node is down from 500 ms on: a request that comes then is refused, and with it the 50 that wait for their answer.
    let users = json!({"load": {"open": {"rate": {"steady": {"rate": "100/s", "for": "600ms"}}, "arrivals": "even"}},
        "request": "job", "connection": http2(Some(1), "0s")});
    let down = json!([{"at": "495ms", "node": "edge", "do": {"down": {"for": "10s"}}}]);
    let row = first(&scenario(&users, &wait(&constant(1_000.0)), &nginx(&json!({})), &down));
    let class = &row.ledger.classes[0];
    assert_eq!((class.ok, class.failed), (0, class.issued));
    let refused = row.ledger.failures.iter().find(|f| f.cause == Cause::Refused).unwrap();
    assert_eq!(refused.count, class.issued);
    assert!((refused.first.as_secs_f64() - 0.5).abs() < 0.011, "{:?}", refused.first);
    // With two connections half of those in flight are on the other one, until a request meets it too.
    let none_yet =
        first(&scenario(&users, &wait(&constant(1_000.0)), &nginx(&json!({})), &json!([])));
    assert_eq!(none_yet.ledger.classes[0].failed, 0);
}

#[test]
fn t_h2_7_giving_up_a_request_leaves_the_connection_open() {
    let users = |connection: Value| {
        json!({"load": {"closed": {"users": 2, "requests_per_user": 3, "think": {"constant": "1s"}}}, "request": "job",
            "patience": {"timeout": "500ms"}, "connection": connection})
    };
    let costly = nginx(&json!({"cpu_handshake": "10ms"}));
    let job = wait(&constant(1_000.0));
    for connections in [None, Some(1)] {
        let row = first(&scenario(&users(http2(connections, "0s")), &job, &costly, &json!([])));
        let class = &row.ledger.classes[0];
        assert_eq!((class.ok, class.failed), (0, 6));
        assert!(row.ledger.failures.iter().all(|f| f.cause == Cause::ClientTimeout));
        let left = row.reports[1].counters.iter().find(|c| c.0 == "client_closed_499").unwrap().1;
        assert_eq!(left, 6);
        // A new connection would spend 10 ms in the handshake first: nothing but the first requests waited for one.
        let cpu = row.ledger.limits.iter().find(|l| l.name == "cpu").unwrap();
        assert!(cpu.waiting <= 20_000_000, "{cpu:?}");
        let now_open = row.ledger.gauges.iter().find(|g| g.name == "connections").unwrap();
        assert_eq!(now_open.levels.level(), 0, "closed with the last user");
    }
}

#[test]
fn users_of_an_open_class_take_over_connections_of_those_who_left() {
    // One request at a time: a connection each if they overlap, else one for all.
    let users = |rate: &str| {
        json!({"load": {"open": {"rate": {"steady": {"rate": rate, "for": "20s"}}, "arrivals": "even"}},
            "request": "job", "connection": http2(None, "0s")})
    };
    let job = wait(&constant(1_000.0));
    let slow = first(&scenario(&users("0.5/s"), &job, &nginx(&json!({})), &json!([])));
    assert_eq!(peak(&slow, "connections"), 2);
    let fast = first(&scenario(&users("2.5/s"), &job, &nginx(&json!({})), &json!([])));
    assert_eq!(peak(&fast, "connections"), 6);
}

#[test]
fn an_idle_connection_ends_with_goaway_and_the_next_request_opens_another() {
    // Two requests 10 s apart, and idle connections are closed after 5 s: each needs a handshake of 100 ms.
    let users = |connection: Value| {
        json!({"load": {"closed": {"users": 1, "requests_per_user": 2, "think": {"constant": "10s"}}}, "request": "job",
            "connection": connection})
    };
    for (timeout, handshakes) in [("5s", 2), ("15s", 1)] {
        let edge = nginx(&json!({"keepalive_timeout": timeout, "cpu_handshake": "100ms"}));
        for connections in [None, Some(1)] {
            let users = users(http2(connections, "0s"));
            let row = first(&scenario(&users, &wait(&constant(1_000.0)), &edge, &json!([])));
            let class = &row.ledger.classes[0];
            assert_eq!((class.ok, class.attempts), (2, 2));
            assert_eq!(class.latency.sum_nanos(), 2_000_000_000 + handshakes * 100_000_000);
        }
    }
}

#[test]
fn haproxy_has_a_hundred_streams_and_one_of_maxconn() {
    let edge = json!({"haproxy": {"upstream": ["a"], "maxconn": 2, "upstream_rtt": "0s", "cpu_request": "0s"}});
    let row = first(&scenario(
        &burst(201, http2(Some(2), "0s")),
        &wait(&constant(1_000.0)),
        &edge,
        &json!([]),
    ));
    assert_eq!(row.ledger.classes[0].ok, 201);
    near(latency(&row, 200), 1.0);
    near(latency(&row, 201), 2.0);
}

#[test]
fn streams_end_at_every_door_and_through_forwarders() {
    let users = json!({"load": {"closed": {"users": 40, "for": "20s", "think": {"exponential": {"mean": "100ms"}}}},
        "request": "job", "patience": {"timeout": "150ms"}, "connection": http2(Some(3), "20ms")});
    let job = wait(&json!({"exponential": {"mean": "100ms"}}));
    let doors = json!({
        "front": nginx(&json!({"keepalive_requests": 50, "cpu_request": "1ms"})),
        "nlb": {"nlb": {"to": ["front"]}}, "name": {"dns": {"to": ["nlb"]}},
        "haproxy": {"haproxy": {"upstream": ["a"]}}, "alb": {"alb": {"to": ["a"]}}, "a": threads(30),
        "gateway": {"api_gateway": {"kind": "http", "to": "alb"}}, "fn": {"lambda": {"account": "main", "runtime": "nodejs20"}},
        "url": {"function_url": {"to": "fn"}}});
    for entry in ["front", "nlb", "name", "haproxy", "alb", "gateway", "url"] {
        let mut value = scenario(
            &users,
            &job,
            &json!({}),
            &json!([
            {"at": "5s", "node": entry, "do": {"down": {"for": "1s"}}}]),
        );
        value["designs"]["d"]["nodes"] = doors.clone();
        value["designs"]["d"]["enter"] = json!({"users": entry});
        // The closing audit finds lost and doubled answers.
        let row = first(&value);
        let class = &row.ledger.classes[0];
        assert!(class.ok > 500, "{entry}: {}", class.ok);
        assert_eq!(class.ok + class.failed, class.issued, "{entry}");
    }
}

#[test]
fn http2_takes_tls_and_an_entry_that_speaks_it() {
    let scenario = |entry: &str, connection: Value| {
        let mut value =
            scenario(&burst(1, connection), &wait(&constant(1.0)), &nginx(&json!({})), &json!([]));
        value["designs"]["d"]["nodes"]["name"] = json!({"dns": {"to": ["edge", "a"]}});
        value["designs"]["d"]["nodes"]["nlb"] = json!({"nlb": {"to": ["edge"]}});
        value["designs"]["d"]["enter"] = json!({"users": entry});
        findings(value.to_string().as_bytes())
    };
    let errors = |entry: &str, connection: Value| {
        let found = scenario(entry, connection);
        let own = found.sorted().into_iter().filter(|f| f.code == "E0391");
        own.map(|f| (f.path.clone(), f.remedy.clone())).collect::<Vec<_>>()
    };
    let fine = http2(Some(1), "0s");
    assert!(errors("edge", fine.clone()).is_empty() && errors("nlb", fine.clone()).is_empty());
    for entry in ["a", "name"] {
        let found = errors(entry, fine.clone());
        assert_eq!(found.len(), 1, "{entry}: one of its addresses is a pod");
        assert_eq!(found[0].0, "designs.d.enter.users");
        assert!(found[0].1.contains("nginx"));
    }
    for off in ["tls", "keepalive"] {
        let mut connection = fine.clone();
        connection[off] = json!(false);
        let found = errors("edge", connection);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "workload.users.connection.http2");
    }
}

/// Users, network and proxy drawn at random; what is drawn is in the scenario that a failure prints.
fn drawn(seed: u64) -> Value {
    let mut draw = Key::root(seed, 0).named("streams").stream();
    let mut pick = |values: &[Value]| values[draw.below(values.len() as u64) as usize].clone();
    let load = pick(&[
        json!({"burst": {"requests": 300}}),
        json!({"closed": {"users": 30, "for": "8s", "think": {"exponential": {"mean": "50ms"}}}}),
        json!({"closed": {"users": 60, "requests_per_user": 8, "ramp": "1s"}}),
        json!({"open": {"rate": {"steady": {"rate": "150/s", "for": "5s"}}}}),
        json!({"open": {"rate": {"steady": {"rate": "150/s", "for": "5s"}}, "vus": {"max": 20, "when_busy": "wait"}}}),
    ]);
    let mut connection = json!({"rtt": pick(&[json!("0s"), json!("20ms"), json!("200ms")]),
        "http2": pick(&[json!({}), json!({"connections": 1}), json!({"connections": 3})])});
    connection["addresses"] = pick(&[
        json!("first"),
        json!({"happy_eyeballs": {}}),
        json!({"one_by_one": {"attempt": "60ms"}}),
    ]);
    let mut users = json!({"load": load, "request": "job", "connection": connection,
        "generator": pick(&[json!({}), json!({"connect": "2ms", "request": "1ms"})]),
        "retry": pick(&[json!({"none": {}}), json!({"fixed": {"attempts": 3, "delay": "0s"}})])});
    let patience = pick(&[Value::Null, json!("80ms"), json!("400ms")]);
    if !patience.is_null() {
        users["patience"] = json!({"timeout": patience});
    }
    let nginx = json!({"upstream": ["a"], "workers": 2, "backlog": pick(&[json!(2), json!(511)]),
        "keepalive_requests": pick(&[json!(1), json!(7), json!(1000)]), "nofile": pick(&[json!(40), json!(1024)]),
        "worker_connections": pick(&[json!(30), json!(768)]), "keepalive_timeout": pick(&[json!("20ms"), json!("75s")]),
        "http2_max_concurrent_streams": pick(&[json!(1), json!(5), json!(128)]), "cpu_request": pick(&[json!("0s"), json!("3ms")])});
    let haproxy = json!({"upstream": ["a"], "maxconn": pick(&[json!(2), json!(2000)]), "server_maxconn": pick(&[json!(5), json!(500)]),
        "http_reuse": pick(&[json!("never"), json!("safe"), json!("always")]), "abortonclose": pick(&[json!(false), json!(true)]),
        "timeout_client": pick(&[json!("20ms"), json!("1h")])});
    let edge = pick(&[json!("front"), json!("proxy"), json!("lb"), json!("name"), json!("nlb")]);
    let event = pick(&[
        json!([]),
        json!([{"at": "1s", "node": "front", "do": {"down": {"for": "1s"}}}]),
        json!([{"at": "1s", "node": "front", "do": {"black_hole": {"for": "2s"}}}, {"at": "2s", "node": "proxy", "do": {"down": {"for": "1s"}}}]),
    ]);
    json!({"name": "drawn", "workload": {"users": users},
        "work": {"job": [{"wait": {"exponential": {"mean": "60ms"}}}]},
        "designs": {"d": {"enter": {"users": edge}, "events": event, "nodes": {"front": {"nginx": nginx},
            "proxy": {"haproxy": haproxy}, "lb": {"alb": {"to": ["a"]}}, "name": {"dns": {"to": ["front", "proxy"]}},
            "nlb": {"nlb": {"to": ["front"]}}, "a": threads(40)}}},
        "run": {"replications": 2, "horizon": "10m"}})
}

#[test]
fn no_request_is_lost_or_answered_twice_whatever_is_drawn() {
    for seed in 0..300 {
        // The closing audit compares what was issued with what ended, at every node.
        let value = drawn(seed);

        for row in outturns(&value.to_string()).remove(0) {
            let class = &row.ledger.classes[0];
            assert_eq!(class.ok + class.failed + row.unfinished, class.issued, "seed {seed}");
            // Without a timeout of their own they may wait for connections that others keep (HAProxy's maxconn).
            let for_ever = value["workload"]["users"]["patience"].is_null();
            assert!(for_ever || row.unfinished == 0, "seed {seed}: {value}");
        }
    }
}

#[test]
fn more_streams_lift_the_limit_that_bound() {
    let users = burst(300, http2(Some(1), "0s"));
    let mut value = scenario(&users, &wait(&constant(1_000.0)), &nginx(&json!({})), &json!([]));
    value["run"]["replications"] = json!(5);
    let plan = plan(&value.to_string());
    let mut result = run(&plan, &Silent).unwrap();
    counterfactuals(&plan, &mut result, &Silent).unwrap();
    let design = &result.designs[0];
    assert_eq!(design.bottleneck.as_ref().unwrap().limit, "http2_max_concurrent_streams");
    let lifted = design.counterfactual.as_ref().unwrap();
    assert!(lifted.refused.is_none() && lifted.changes.len() == 1, "{lifted:?}");
}
