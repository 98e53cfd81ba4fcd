//! What nginx 1.22.1 did on our own machine: which answers go to another server, when connections end, whom limits hold for. One
//! worker, requests one after another; numbers of requests and connections were counted by the servers.

use super::facts_proxy::{arrived, behind, failures, first, kill, two};
use super::scenario::findings;
use super::theory::{burst, constant, even, threads, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A server that answers everything with this status, once a request of a class of its own has passed.
fn refusing(status: u16) -> Value {
    json!({"nginx": {"upstream": ["sink"], "workers": 1, "keepalive_requests": 1_000_000,
        "limit_req": {"rate": "0.001/s", "status": status, "key": "server"}}})
}

/// `n` requests, ten a second, to an nginx before two servers with these statuses (200: a pod that answers).
fn asked(n: u32, front: &Value, idempotent: bool, statuses: [u16; 2]) -> Outturn {
    let mut front = front.clone();
    front["upstream"] = json!(["a", "b"]);
    front["workers"] = json!(1);
    let mut users = even(10.0, f64::from(n) / 10.0);
    users["idempotent"] = json!(idempotent);
    let mut nodes = two();
    nodes["sink"] = threads(10);
    let mut scenario = behind(&users, &wait(&constant(1.0)), &front, &nodes, &json!([]));
    for (name, status) in ["a", "b"].iter().zip(statuses).filter(|(_, status)| *status != 200) {
        scenario["designs"]["d"]["nodes"][name] = refusing(status);
        scenario["designs"]["d"]["enter"][name] = json!(name);
        scenario["workload"][name] = burst(1, "0s", "job");
    }
    first(&scenario)
}

/// Statuses of failures with their numbers, and requests that the two servers got of nginx.
fn seen(row: &Outturn, statuses: [u16; 2]) -> (Vec<(u16, u64)>, [u64; 2]) {
    let mut failed: BTreeMap<u16, u64> = BTreeMap::new();
    for (_, status, count) in failures(row) {
        *failed.entry(status).or_default() += count;
    }
    let failed = failed.into_iter().collect();
    let own = |status: u16| u64::from(status != 200);
    (failed, [arrived(row, "a") - own(statuses[0]), arrived(row, "b") - own(statuses[1])])
}

#[test]
fn t_ngx_12_an_answer_that_is_named_goes_to_the_next_server_and_counts_as_a_failure() {
    let on = |words: &[&str]| json!({"proxy_next_upstream": words});
    let (s503, s404) = (on(&["error", "timeout", "http_503"]), on(&["http_404", "http_403"]));
    // The first is avoided for 10 s.
    let row = asked(8, &s503, true, [503, 200]);
    assert_eq!(seen(&row, [503, 200]), (vec![], [1, 8]));
    // Nothing is named: what they say goes to the client.
    let row = asked(8, &json!({}), true, [503, 200]);
    assert_eq!(seen(&row, [503, 200]), (vec![(503, 4)], [4, 4]));
    // 404 and 403 never count: the first is asked by turns, and no server is ever out.
    let row = asked(8, &s404, true, [404, 200]);
    assert_eq!(seen(&row, [404, 200]), (vec![], [4, 8]));
    let row = asked(6, &s404, true, [404, 403]);
    assert_eq!(seen(&row, [404, 403]), (vec![(403, 3), (404, 3)], [6, 6]));
    // A failure that is not named counts, but goes nowhere: 502, then 200.
    let only = json!({"upstream": ["a", "b"], "workers": 1, "proxy_next_upstream": ["http_503"]});
    let job = wait(&constant(1.0));
    let row = first(&behind(&even(10.0, 0.6), &job, &only, &two(), &json!([kill("a")])));
    assert_eq!(failures(&row), [(Cause::Refused, 502, 1)]);
    assert_eq!((arrived(&row, "a"), arrived(&row, "b")), (1, 5));
}

#[test]
fn t_ngx_12_when_all_servers_say_503_the_client_gets_one_503_and_then_502() {
    let s503 = json!({"proxy_next_upstream": ["error", "timeout", "http_503"]});
    // The second server's answer to the first request is passed on and counts for nothing; that to the second request counts, and
    // there is no live upstream for 10 s.
    let row = asked(6, &s503, true, [503, 503]);
    assert_eq!(seen(&row, [503, 503]), (vec![(502, 5), (503, 1)], [1, 2]));
    // Without max_fails, or with one try, it is 503 every time.
    let mut never = s503.clone();
    never["max_fails"] = json!(0);
    let row = asked(6, &never, true, [503, 503]);
    assert_eq!(seen(&row, [503, 503]), (vec![(503, 6)], [6, 6]));
    let mut once = s503;
    once["next_upstream_tries"] = json!(1);
    let row = asked(6, &once, true, [503, 503]);
    assert_eq!(seen(&row, [503, 503]), (vec![(503, 6)], [3, 3]));
}

#[test]
fn t_ngx_12_a_post_goes_to_the_next_server_only_with_non_idempotent() {
    let on = |words: &[&str]| json!({"proxy_next_upstream": words});
    let row = asked(8, &on(&["error", "timeout", "http_503"]), false, [503, 200]);
    assert_eq!(seen(&row, [503, 200]), (vec![(503, 4)], [4, 4]));
    let all = on(&["error", "timeout", "http_503", "non_idempotent"]);
    let row = asked(8, &all, false, [503, 200]);
    assert_eq!(seen(&row, [503, 200]), (vec![], [1, 8]));
    // So it does after a read timeout.
    for (words, failed) in [(["timeout", "error"], 1), (["timeout", "non_idempotent"], 0)] {
        let front = json!({"upstream": ["a", "b"], "workers": 1, "proxy_read_timeout": "1s",
            "proxy_next_upstream": words});
        let slow = json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": 1000}},
            "slow": [{"pod": 0, "factor": 100.0}]}});
        let mut users = burst(1, "0s", "job");
        users["idempotent"] = json!(false);
        let nodes = json!({"a": slow, "b": threads(1000)});
        let row = first(&behind(&users, &wait(&constant(60.0)), &front, &nodes, &json!([])));
        assert_eq!(row.ledger.classes[0].failed, failed, "{words:?}");
    }
}

/// One user on a kept connection, `n` requests with a pause after each, to an nginx with some ports toward its server: how many requests
/// failed for want of a port.
fn without_port(n: u32, pause_ms: f64, ports: u32, front: &Value) -> u64 {
    let mut front = front.clone();
    front["upstream"] = json!(["a"]);
    front["workers"] = json!(1);
    front["keepalive_requests"] = json!(1_000_000);
    front["local_ports"] = json!(ports);
    let users = json!({"load": {"closed": {"users": 1, "for": "1h", "requests_per_user": n,
        "think": constant(pause_ms)}}, "request": "job", "connection": {"tls": false, "rtt": "0s"}});
    let row = first(&behind(&users, &wait(&constant(0.1)), &front, &two(), &json!([])));
    assert!(failures(&row).iter().all(|f| f.0 == Cause::PortsExhausted));
    row.ledger.classes[0].failed
}

#[test]
fn t_ngx_13_connections_to_servers_end_after_requests_time_and_idle_time() {
    // Each connection that nginx closes keeps its port for 60 s: as many ports as connections are enough, one less is not.
    let kept = |more: Value| {
        let mut front = json!({"upstream_keepalive": 8});
        front.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        front
    };
    for (n, pause, connections, front) in [
        (20, 0.0, 4, kept(json!({"upstream_keepalive_requests": 5}))),
        (2_500, 0.0, 3, kept(json!({}))),
        (2_500, 0.0, 25, kept(json!({"version": "1.18"}))),
        // Requests at 0, 0.3 … 1.2 s: that one is the last.
        (12, 300.0, 3, kept(json!({"upstream_keepalive_time": "1s"}))),
        (4, 700.0, 1, kept(json!({"upstream_keepalive_timeout": "1s"}))),
        (4, 1_300.0, 4, kept(json!({"upstream_keepalive_timeout": "1s"}))),
    ] {
        assert_eq!(without_port(n, pause, connections, &front), 0, "{front}");
        if connections > 1 {
            assert!(without_port(n, pause, connections - 1, &front) > 0, "{front}");
        }
    }
}

#[test]
fn t_ngx_13_an_answer_that_is_passed_over_closes_its_connection() {
    // {503, 200}, http_503, max_fails 0: ten requests meet the first server five times, each on a new connection, and the second one
    // always on the same.
    let ports = |ports: u32| {
        let front = json!({"proxy_next_upstream": ["http_503"], "max_fails": 0, "upstream_keepalive": 8,
            "local_ports": ports});
        let row = asked(10, &front, true, [503, 200]);
        let (failed, at) = seen(&row, [503, 200]);
        assert_eq!(failed, vec![]);
        at
    };
    assert_eq!(ports(5), [5, 10]);
    // Without `error` a port that lacks would be the client's 502: it is the fifth connection.
    let front = json!({"proxy_next_upstream": ["http_503"], "max_fails": 0, "upstream_keepalive": 8, "local_ports": 4});
    let row = asked(10, &front, true, [503, 200]);
    assert_eq!(failures(&row), [(Cause::PortsExhausted, 502, 1)]);
    // {503, 503}: the answer of the last try leaves its connection open, for the first try of the next request. Ten requests open six
    // connections to the first server and five to the second.
    for (ports, lacks) in [(6, 0), (5, 1)] {
        let mut front = front.clone();
        front["local_ports"] = json!(ports);
        let row = asked(10, &front, true, [503, 503]);
        let found = seen(&row, [503, 503]).0.into_iter().find(|(status, _)| *status == 502);
        assert_eq!(found.map_or(0, |(_, count)| count), lacks);
    }
}

/// Mean latency of one user's requests on kept connections, in round trips; each connection takes one more.
fn round_trips(n: u32, pause_ms: f64, front: &Value) -> f64 {
    let mut front = front.clone();
    front["upstream"] = json!(["a"]);
    front["workers"] = json!(1);
    front["upstream_rtt"] = json!("0s");
    for free in ["cpu_request", "cpu_accept"] {
        front[free] = json!("0s");
    }
    let users = json!({"load": {"closed": {"users": 1, "for": "3h", "requests_per_user": n,
        "think": constant(pause_ms)}}, "request": "job", "connection": {"tls": false, "rtt": "10ms"}});
    let mut scenario = behind(&users, &wait(&constant(0.0)), &front, &two(), &json!([]));
    scenario["run"]["horizon"] = json!("3h");
    let row = first(&scenario);
    assert_eq!(row.ledger.classes[0].ok, u64::from(n));
    row.ledger.classes[0].latency.mean().unwrap() / 0.010
}

#[test]
fn t_ngx_14_connections_of_clients_end_after_requests_and_time() {
    for (n, pause, connections, front) in [
        (2_500, 0.0, 3, json!({})),
        (2_500, 0.0, 25, json!({"version": "1.18"})),
        (2_500, 0.0, 1, json!({"version": "1.18", "keepalive_requests": 2_500})),
        // Requests each 0.3 s and a little: the fifth comes after 1 s and is the last of its connection.
        (12, 295.0, 3, json!({"keepalive_time": "1s"})),
        // The default is an hour.
        (40, 60_000.0, 1, json!({})),
        (80, 60_000.0, 2, json!({})),
        (80, 60_000.0, 1, json!({"version": "1.18"})),
    ] {
        let mean = round_trips(n, pause, &front);
        let expected = 1.0 + f64::from(connections) / f64::from(n);
        assert!((mean - expected).abs() < 1e-3, "{front}: {mean}, {expected} expected");
    }
}

/// `users` users who open a connection for every request, each request `pause_ms` after the last answer, for 10 s.
fn reconnecting(users: u32, pause_ms: f64, front: &Value) -> Outturn {
    let mut front = front.clone();
    front["upstream"] = json!(["a", "b"]);
    front["workers"] = json!(1);
    let users = json!({"load": {"closed": {"users": users, "for": "10s", "think": constant(pause_ms)}},
        "request": "job", "connection": {"tls": false, "rtt": "0s", "keepalive": false}});
    first(&behind(&users, &wait(&constant(1.0)), &front, &two(), &json!([])))
}

#[test]
fn t_ngx_15_a_clients_limit_holds_for_its_address_whatever_it_connects_by() {
    // Two users, ten requests a second each, 1/s: one each at 0 s and at every second from there.
    let limited = |more: Value| {
        let mut front = json!({"limit_req": {"rate": "1/s"}});
        front.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        let row = reconnecting(2, 99.0, &front);
        assert!(failures(&row).iter().all(|f| (f.0, f.1) == (Cause::RateLimited, 503)));
        row.ledger.classes[0].ok
    };
    assert!((18..=22).contains(&limited(json!({}))), "{}", limited(json!({})));
    let one = limited(json!({"clients": 1}));
    assert!((9..=11).contains(&one), "{one}");
    // Everybody who comes once has a bucket of his own.
    let front = json!({"upstream": ["a"], "workers": 1, "limit_req": {"rate": "1/s"}});
    let job = wait(&constant(1.0));
    let row = first(&behind(&even(10.0, 10.0), &job, &front, &two(), &json!([])));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (100, 0));
}

#[test]
fn t_ngx_15_limits_of_rate_and_number_answer_each_with_its_own_status() {
    // 12 at once, ten a second with a burst of 8 at once and 3 at a time: 3 pass, 6 are too many, 3 too fast.
    let front = json!({"upstream": ["a"], "workers": 1, "clients": 1,
        "limit_req": {"rate": "10/s", "burst": 8, "nodelay": true, "status": 429},
        "limit_conn": {"max": 3}});
    let job = wait(&constant(500.0));
    let row = first(&behind(&burst(12, "0s", "job"), &job, &front, &two(), &json!([])));
    let mut found = failures(&row);
    found.sort_unstable_by_key(|failure| failure.1);
    assert_eq!(row.ledger.classes[0].ok, 3);
    assert_eq!(found, [(Cause::RateLimited, 429, 3), (Cause::ConcurrencyLimited, 503, 6)]);
}

#[test]
fn t_ngx_16_ip_hash_sends_a_network_to_one_server() {
    let shares = |more: Value| {
        let mut front = json!({"balance": "ip_hash"});
        front.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        let row = reconnecting(40, 499.0, &front);
        assert_eq!(row.ledger.classes[0].failed, 0);
        let (a, b) = (arrived(&row, "a"), arrived(&row, "b"));
        // 40 users, 20 requests each: a user, or a network, is at one server all the time.
        assert!(a % 20 == 0 && b % 20 == 0 && a + b == 800, "{a} {b}");
        a.min(b) / 20
    };
    let each = shares(json!({}));
    assert!((10..=20).contains(&each), "{each}: 20 with a standard deviation of 3");
    assert_eq!(shares(json!({"networks": 1})), 0);
    assert_eq!(shares(json!({"clients": 1})), 0);
}

#[test]
fn every_server_of_a_group_of_a_hundred_is_tried() {
    // All but the last refuse: each request goes from one to the next until that one answers.
    let kills: Vec<Value> =
        (0..99).map(|pod| json!({"at": "0s", "node": "a", "do": {"kill": {"pod": pod}}})).collect();
    let front = json!({"upstream": ["a"], "workers": 1, "max_fails": 0});
    let pods = json!({"a": {"pods": {"replicas": 100, "runtime": {"threads": {"threads": 10}}}}});
    let job = wait(&constant(1.0));
    let row = first(&behind(&even(10.0, 0.1), &job, &front, &pods, &json!(kills)));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (1, 0));
    assert_eq!(arrived(&row, "a"), 100);
}

#[test]
fn what_an_nginx_does_not_have_or_use_is_told() {
    let told = |front: Value| {
        let mut front = front;
        front["upstream"] = json!(["a"]);
        let users = even(1.0, 1.0);
        let scenario = behind(&users, &wait(&constant(1.0)), &front, &two(), &json!([]));
        let findings = findings(scenario.to_string().as_bytes());
        let own = |code: &str| ["E0400", "E0401", "W0440", "W0441"].contains(&code);
        let found = findings.sorted().into_iter().filter(|f| own(f.code));
        found.map(|f| (f.code, f.path.rsplit('.').next().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let one = |code: &'static str, field: &str| vec![(code, field.to_owned())];
    assert_eq!(told(json!({"keepalive_time": "2h", "upstream_keepalive": 4})), []);
    let old = json!({"version": "1.18", "keepalive_time": "2h"});
    assert_eq!(told(old), one("E0401", "keepalive_time"));
    let old = json!({"version": "1.18", "upstream_keepalive": 4, "upstream_keepalive_time": "2h"});
    assert_eq!(told(old), one("E0401", "upstream_keepalive_time"));
    let idle = json!({"upstream_keepalive_timeout": "5s"});
    assert_eq!(told(idle), one("W0440", "upstream_keepalive_timeout"));
    let hash = json!({"balance": "ip_hash", "clients": 5, "networks": 2});
    assert_eq!(told(hash), []);
    let limit = json!({"limit_conn": {"max": 3}, "clients": 5, "networks": 2});
    assert_eq!(told(limit), one("W0441", "networks"));
    let shared = json!({"limit_conn": {"max": 3, "key": "server"}, "clients": 5});
    assert_eq!(told(shared), one("W0441", "clients"));
    let both = json!({"next_upstream": false, "proxy_next_upstream": ["error"]});
    assert_eq!(told(both), one("E0400", "proxy_next_upstream"));
}
