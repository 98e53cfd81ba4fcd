//! Worked examples of nginx, TLS, DNS and load generators: what fails over, what runs out, what is refused.

use super::common::outturns;
use super::theory::{burst, closed, constant, even, no_network, poisson, threads, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

pub(crate) fn first(scenario: &Value) -> Outturn {
    outturns(&scenario.to_string()).remove(0).remove(0)
}

pub(crate) fn arrived(row: &Outturn, node: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.ledger.nodes[at].arrived
}

pub(crate) fn failures(row: &Outturn) -> Vec<(Cause, u16, u64)> {
    row.ledger.failures.iter().map(|f| (f.cause, f.status, f.count)).collect()
}

/// Users in front of one nginx with upstream nodes `a` and `b` (both pods of threads, or as given).
pub(crate) fn behind(
    users: &Value,
    job: &Value,
    front: &Value,
    nodes: &Value,
    events: &Value,
) -> Value {
    let mut all = nodes.clone();
    all["front"] = json!({"nginx": front});
    json!({"name": "proxy", "workload": {"users": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"users": "front"}, "nodes": all, "events": events}},
        "run": {"replications": 2, "horizon": "1h"}})
}

pub(crate) fn two() -> Value {
    json!({"a": threads(100_000), "b": threads(100_000)})
}

pub(crate) fn kill(node: &str) -> Value {
    json!({"at": "0s", "node": node, "do": {"kill": {"pod": 0}}})
}

#[test]
fn t_ngx_2_the_second_half_waits_for_the_pause() {
    // 118 answers, half of them at 2 s + the next tick of 500 ms + 2 s, and 82 times 500. The run that was measured took all
    // that waited at each tick (multi_accept).
    let front = json!({"upstream": ["a"], "workers": 1, "worker_connections": 4096, "nofile": 128,
        "base_descriptors": 9, "multi_accept": true});
    let mut users = burst(200, "0s", "job");
    users["connection"] = json!({"rtt": "0s", "tls": false, "keepalive": false});
    let job = wait(&constant(2_000.0));
    let row = first(&behind(&users, &job, &front, &two(), &json!([])));
    let class = &row.ledger.classes[0];
    assert_eq!(class.ok + class.failed, 200);
    assert!((116..=120).contains(&class.ok), "{}", class.ok);
    assert!(failures(&row).iter().all(|f| (f.0, f.1) == (Cause::Descriptors, 500)));
    // The later half at 4.5 s.
    let (p25, p75) = (class.latency.quantile(0.25), class.latency.quantile(0.75));
    assert!((p25.unwrap() - 2.0).abs() < 0.05, "{p25:?}");
    assert!((p75.unwrap() - 4.5).abs() < 0.1, "{p75:?}");
}

#[test]
fn t_ngx_4_a_refused_server_costs_one_connect_in_ten_seconds() {
    let front = json!({"upstream": ["a", "b"], "workers": 1});
    let job = wait(&constant(1.0));
    let row = first(&behind(&even(2.0, 10.0), &job, &front, &two(), &json!([kill("a")])));
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (20, 0));
    assert_eq!((arrived(&row, "a"), arrived(&row, "b")), (1, 20));
}

#[test]
fn t_ngx_5_when_all_are_refused_only_the_first_request_touches_the_network() {
    let front = json!({"upstream": ["a", "b"], "workers": 1});
    let job = wait(&constant(1.0));
    let dead = json!([kill("a"), kill("b")]);
    let row = first(&behind(&even(10.0, 0.5), &job, &front, &two(), &dead));
    assert_eq!(row.ledger.classes[0].failed, 5);
    assert!(failures(&row).iter().all(|f| f.1 == 502));
    assert_eq!((arrived(&row, "a"), arrived(&row, "b")), (1, 1));
    // A request every 100 ms for 14 s: after more than 10 s one probe per server again.
    let row = first(&behind(&even(10.0, 14.0), &job, &front, &two(), &dead));
    assert_eq!(row.ledger.classes[0].failed, 140);
    assert_eq!((arrived(&row, "a"), arrived(&row, "b")), (2, 2));
}

#[test]
fn t_ngx_6_read_timeouts_pass_get_on_but_not_post() {
    let front = json!({"upstream": ["a"], "workers": 1, "proxy_read_timeout": "1s"});
    let slow = json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": 1000}},
        "slow": [{"pod": 0, "factor": 100.0}]}});
    let job = wait(&constant(60.0));
    for idempotent in [true, false] {
        let mut users = burst(1, "0s", "job");
        users["idempotent"] = json!(idempotent);
        let nodes = json!({"a": slow, "b": threads(1000)});
        let row = first(&behind(&users, &job, &front, &nodes, &json!([])));
        assert_eq!(failures(&row), [(Cause::UpstreamTimeout, 504, 1)], "a single upstream");
        let late = row.ledger.classes[0].latency_failed.max().as_secs_f64();
        assert!((1.0..1.02).contains(&late), "{late}");

        let mut front = front.clone();
        front["upstream"] = json!(["a", "b"]);
        let mut users = even(0.25, 12.0);
        users["idempotent"] = json!(idempotent);
        let row = first(&behind(&users, &job, &front, &nodes, &json!([])));
        // Requests at 0, 4 and 8 s: the first meets the slow server, which is avoided for 10 s then.
        let class = &row.ledger.classes[0];
        assert_eq!((arrived(&row, "a"), class.issued), (1, 3));
        if idempotent {
            assert_eq!(class.failed, 0);
            let late = class.latency.max().as_secs_f64();
            assert!((1.06..1.08).contains(&late), "{late}");
        } else {
            assert_eq!(failures(&row), [(Cause::UpstreamTimeout, 504, 1)]);
        }
    }
}

#[test]
fn t_ngx_7_ports_run_out_after_56_seconds() {
    // max_fails 0: with the default of 1, servers without a free port would be left out for 10 s, and less than 941/s pass.
    let ports = |closer: &str, seconds: f64| {
        let front = json!({"upstream": ["a", "b"], "workers": 1, "worker_connections": 100_000,
            "nofile": 200_000, "upstream_closed_by": closer, "max_fails": 0});
        let users = even(1000.0, seconds);
        first(&behind(&users, &wait(&constant(1.0)), &front, &two(), &json!([])))
    };
    assert_eq!(ports("nginx", 56.0).ledger.classes[0].failed, 0);
    // 56,464 ports last 56.5 s; then 941 a second succeed in the mean, and the rest is 502.
    let row = ports("nginx", 360.0);
    let class = &row.ledger.classes[0];
    let later = (class.ok - 56_464) as f64 / (360.0 - 56.464);
    assert!((later / 941.1 - 1.0).abs() < 0.03, "{later}");
    assert!(failures(&row).iter().all(|f| f.1 == 502));
    assert!(failures(&row).iter().any(|f| f.0 == Cause::PortsExhausted));
    // The servers close first: no limit.
    assert_eq!(ports("upstream", 120.0).ledger.classes[0].failed, 0);
}

#[test]
fn t_ngx_8_without_upstream_keepalive_every_request_connects() {
    // One user, one request after another, 10 ms to the server and back: a new connection is a round trip more.
    let mean = |kept: u32| {
        let front = json!({"upstream": ["a"], "workers": 1, "upstream_keepalive": kept,
            "upstream_rtt": "10ms", "cpu_request": "0s", "cpu_accept": "0s"});
        let mut users = closed(1, 10, constant(0.0));
        users["connection"]["keepalive"] = json!(true);
        let row = first(&behind(&users, &wait(&constant(20.0)), &front, &two(), &json!([])));
        row.ledger.classes[0].latency.mean().unwrap()
    };
    assert!((mean(0) - 0.040).abs() < 1e-4, "{}", mean(0));
    assert!((mean(1) - 0.030).abs() < 1e-4, "{}", mean(1));
}

#[test]
fn t_ngx_10_weights_share_requests_and_a_backup_takes_those_that_fail() {
    let job = wait(&constant(1.0));
    // Ten requests a second for 4 s: 40 by 3 to 1.
    let front = json!({"upstream": ["a", "b"], "workers": 1, "servers": {"a": {"weight": 3}}});
    let row = first(&behind(&even(10.0, 4.0), &job, &front, &two(), &json!([])));
    assert_eq!((arrived(&row, "a"), arrived(&row, "b")), (30, 10));
    // A backup idles while the other server answers, and takes all when that refuses; what is down takes nothing.
    for (line, events, at) in [
        (json!({"b": {"backup": true}}), json!([]), (40, 0)),
        // Probed once, then again more than 10 s later.
        (json!({"b": {"backup": true}}), json!([kill("a")]), (1, 40)),
        (json!({"a": {"down": true}}), json!([]), (0, 40)),
    ] {
        let front = json!({"upstream": ["a", "b"], "workers": 1, "servers": line});
        let row = first(&behind(&even(10.0, 4.0), &job, &front, &two(), &events));
        assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[0].failed), (40, 0));
        assert_eq!((arrived(&row, "a"), arrived(&row, "b")), at, "{line}");
    }
}

#[test]
fn limit_req_delays_a_burst_and_refuses_the_rest_with_503() {
    // rate 10/s, burst 5, one client for all: of 20 at once one passes, five wait 0.1 to 0.5 s, 14 are refused.
    let front = json!({"upstream": ["a"], "workers": 1,
        "limit_req": {"rate": "10/s", "burst": 5, "key": "server"}});
    let row =
        first(&behind(&burst(20, "0s", "job"), &wait(&constant(0.0)), &front, &two(), &json!([])));
    assert_eq!(failures(&row), [(Cause::RateLimited, 503, 14)]);
    let slowest = row.ledger.classes[0].latency.max().as_secs_f64();
    assert!((0.5..0.51).contains(&slowest), "{slowest}");
}

#[test]
fn t_ngx_9_a_request_that_limit_req_holds_back_does_not_count_for_limit_conn() {
    // Own run of nginx 1.22.1: rate 10/s with burst 20, five at a time, 300 ms each: 20 at once are all answered, the last
    // after 1.9 s and its own 300 ms. Three are in progress at a time.
    let front = json!({"upstream": ["a"], "workers": 1,
        "limit_req": {"rate": "10/s", "burst": 20, "key": "server"}, "limit_conn": {"max": 5, "key": "server"}});
    let burst = burst(20, "0s", "job");
    let row = first(&behind(&burst, &wait(&constant(300.0)), &front, &two(), &json!([])));
    assert_eq!((row.ledger.classes[0].ok, failures(&row)), (20, vec![]));
    let slowest = row.ledger.classes[0].latency.max().as_secs_f64();
    assert!((2.2..2.22).contains(&slowest), "{slowest}");
    // Without a burst 19 are refused for their rate, and none for their number.
    let mut strict = front;
    strict["limit_req"]["burst"] = json!(0);
    strict["limit_conn"]["max"] = json!(1);
    let row = first(&behind(&burst, &wait(&constant(300.0)), &strict, &two(), &json!([])));
    assert_eq!(failures(&row), [(Cause::RateLimited, 503, 19)]);
}

#[test]
fn limit_conn_refuses_what_is_too_much_at_a_time() {
    let front = json!({"upstream": ["a"], "workers": 1,
        "limit_conn": {"max": 7, "status": 429, "key": "server"}});
    let row = first(&behind(
        &burst(20, "0s", "job"),
        &wait(&constant(100.0)),
        &front,
        &two(),
        &json!([]),
    ));
    assert_eq!(row.ledger.classes[0].ok, 7);
    assert_eq!(failures(&row), [(Cause::ConcurrencyLimited, 429, 13)]);
}

#[test]
fn max_conns_answers_502_beyond_it_and_a_zone_makes_it_one_for_all_workers() {
    let ok = |zone: bool| {
        let front = json!({"upstream": ["a", "b"], "workers": 2, "reuseport": true,
            "max_conns": 50, "zone": zone});
        let users = burst(400, "0s", "job");
        let row = first(&behind(&users, &wait(&constant(1_000.0)), &front, &two(), &json!([])));
        assert!(failures(&row).iter().all(|f| (f.0, f.1) == (Cause::NoLiveUpstreams, 502)));
        row.ledger.classes[0].ok
    };
    assert_eq!((ok(true), ok(false)), (100, 200));
}

#[test]
fn t_tls_1_handshakes_queue_for_the_core() {
    let front = json!({"upstream": ["a"], "workers": 1, "worker_connections": 10_000, "nofile": 20_000,
        "backlog": 4096, "cpu_handshake": "440us", "cpu_request": "0s", "cpu_accept": "0s"});
    let mut users = burst(1100, "0s", "job");
    users["connection"] = json!({"rtt": "0s", "tls": true, "keepalive": false});
    let row = first(&behind(&users, &wait(&constant(0.0)), &front, &two(), &json!([])));
    let latency = &row.ledger.classes[0].latency;
    assert_eq!(latency.count(), 1100);
    let spread = latency.max().as_secs_f64() - latency.quantile(0.001).unwrap();
    assert!((0.475..0.5).contains(&spread), "{spread}");
}

#[test]
fn t_dns_1_one_cache_sends_everybody_to_one_address_for_a_minute() {
    // New connections from 1 s to 59 s, within one period: all go to the same of two addresses, whichever.
    let mut sides = [0, 0];
    for seed in 1..=12 {
        let mut users = poisson(5.0, 58.0);
        users["load"]["open"]["rate"]["steady"]["for"] = json!("58s");
        let scenario = json!({"name": "dns", "workload": {"users": users},
            "work": {"job": wait(&constant(1.0))},
            "designs": {"d": {"enter": {"users": "name"}, "nodes": {"a": threads(9), "b": threads(9),
                "name": {"dns": {"to": ["a", "b"], "ttl": "60s", "resolvers": 1}}}}},
            "run": {"replications": 2, "seed": seed}});
        let row = first(&scenario);
        let (a, b) = (arrived(&row, "a"), arrived(&row, "b"));
        assert!(a.min(b) == 0 && a + b > 200, "{a} {b}");
        sides[usize::from(a == 0)] += 1;
    }
    assert!(sides[0] > 0 && sides[1] > 0, "{sides:?}");
}

#[test]
fn cyclic_rotation_spreads_users_evenly_and_keeps_each_at_its_address() {
    let scenario = json!({"name": "dns", "workload": {"users": closed(30, 20, constant(500.0))},
        "work": {"job": wait(&constant(1.0))},
        "designs": {"d": {"enter": {"users": "name"}, "nodes": {"a": threads(9), "b": threads(9), "c": threads(9),
            "name": {"dns": {"to": ["a", "b", "c"], "ttl": "1000d", "rotation": "cyclic"}}}}},
        "run": {"replications": 2}});
    let row = first(&scenario);
    let counts: Vec<u64> = ["a", "b", "c"].iter().map(|node| arrived(&row, node)).collect();
    assert!(counts.iter().all(|n| *n == counts[0] && *n > 350), "{counts:?}");
}

#[test]
fn t_lg_1_coordinated_omission() {
    let frozen = |users: &Value| {
        let scenario = json!({"name": "omission", "workload": {"users": users},
            "work": {"job": wait(&constant(10.0))},
            "designs": {"d": {"enter": {"users": "pod"}, "nodes": {"pod": threads(100_000)},
                "events": [{"at": "50s", "node": "pod", "do": {"freeze": {"pod": 0}}},
                           {"at": "60s", "node": "pod", "do": {"thaw": {"pod": 0}}}]}},
            "run": {"replications": 2}});
        first(&scenario).ledger.classes.remove(0).latency
    };
    // Closed, one user: about 9,000 samples, one of them of 10 s.
    let latency = frozen(&closed(1, 100, constant(0.0)));
    assert!((8_990..=9_010).contains(&latency.count()), "{}", latency.count());
    assert!((latency.quantile(0.99).unwrap() - 0.010).abs() < 5e-4);
    let beyond = latency.max().as_secs_f64();
    assert!((9.98..=10.02).contains(&beyond), "{beyond}");
    assert!(latency.quantile(0.9998).unwrap() < 0.011, "exactly one sample is slow");
    // Open, 100/s: a tenth of 10,000 samples uniform on 0 to 10 s.
    let mut users = even(100.0, 100.0);
    users["connection"] = no_network();
    let latency = frozen(&users);
    assert!((9_999..=10_001).contains(&latency.count()), "{}", latency.count());
    assert!((latency.quantile(0.95).unwrap() - 5.0).abs() < 0.1);
    assert!((latency.mean().unwrap() - 0.51).abs() < 0.01);
}

#[test]
fn a_timeout_of_nothing_in_front_of_a_service_gives_up_before_it_arrives() {
    for field in ["proxy_connect_timeout", "proxy_read_timeout"] {
        let mut front = json!({"upstream": ["port"], "workers": 1});
        front[field] = json!("0s");
        let nodes = json!({"port": {"node_port": {"to": "a"}}, "a": threads(10)});
        let mut users = burst(10, "0s", "job");
        users["connection"] = json!({"rtt": "10ms", "tls": false});
        let row = first(&behind(&users, &wait(&constant(1.0)), &front, &nodes, &json!([])));
        let class = &row.ledger.classes[0];
        assert_eq!((class.ok, class.failed), (0, 10), "{field}: {:?}", failures(&row));
    }
}
