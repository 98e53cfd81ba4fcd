//! Worked examples of balancers in front of pods: docs/facts/cluster.md, sections 6 and 13.

use super::common::outturns;
use super::scenario::findings;
use super::theory::no_network;
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn scenario(rate: f64, seconds: u32, work: &Value, nodes: &Value, events: &Value) -> Value {
    json!({
        "name": "balancer",
        "workload": {"users": {
            "load": {"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}, "arrivals": "even"}},
            "request": "job", "connection": no_network()
        }},
        "work": {"job": work},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes, "events": events}},
        "run": {"replications": 2, "seed": 1, "horizon": format!("{}s", seconds + 600)}
    })
}

fn first(value: &Value) -> Outturn {
    outturns(&value.to_string()).remove(0).remove(0)
}

fn alb(algorithm: &str, group: Value) -> Value {
    let mut alb = json!({"to": ["api"], "algorithm": algorithm, "overhead": {"constant": "0s"}});
    if !group.is_null() {
        alb["target_group"] = group;
    }
    json!({"alb": alb})
}

fn lost(row: &Outturn, cause: Cause, status: u16) -> u64 {
    let own = row.ledger.failures.iter().filter(|f| f.cause == cause && f.status == status);
    own.map(|f| f.count).sum()
}

/// Requests in progress of a node, time-weighted mean from `from` to `to`, seconds.
fn mean_level(row: &Outturn, gauge: &str, (from, to): (f64, f64)) -> f64 {
    let gauge = row.ledger.gauges.iter().find(|g| g.name == gauge).unwrap();
    let width = row.ledger.clock.width().as_secs_f64();
    let cells =
        gauge.levels.areas().iter().take((to / width) as usize).skip((from / width) as usize);
    let areas: Vec<f64> = cells.map(|area| *area as f64 * 1e-9 / width).collect();
    areas.iter().sum::<f64>() / areas.len() as f64
}

#[test]
fn t_alb_2_no_answer_within_the_idle_timeout_is_504_and_the_target_works_on() {
    let nodes = json!({"edge": alb("round_robin", Value::Null),
        "api": {"pods": {"replicas": 1, "hosts": {"count": 1}}}});
    let work = json!([{"wait": {"constant": "65s"}}]);
    let row = first(&scenario(1.0, 10, &work, &nodes, &json!([])));
    let class = &row.ledger.classes[0];
    assert_eq!((class.ok, lost(&row, Cause::UpstreamTimeout, 504)), (0, class.failed));
    let late = class.latency_failed.quantile(0.5).unwrap();
    assert!((late - 60.0).abs() < 0.5, "{late}");
    // The pod ends what it has begun: 65 s of work for every request.
    let api = row.names.iter().position(|name| name.0 == "api").unwrap();
    assert_eq!(row.ledger.nodes[api].ok, class.failed);
    let busy = row.ledger.nodes[api].time as f64 * 1e-9 / class.failed as f64;
    assert!((busy - 65.0).abs() < 0.1, "{busy}");
}

#[test]
fn an_idle_timeout_below_the_time_to_connect_holds_for_new_connections_too() {
    let mut edge = alb("round_robin", Value::Null);
    edge["alb"]["idle_timeout"] = json!("1s");
    let nodes = json!({"edge": edge, "api": {"pods": {"replicas": 1, "hosts": {"count": 1}}}});
    for (wait, want) in [("900ms", (10, 0)), ("3s", (0, 10))] {
        let row =
            first(&scenario(1.0, 10, &json!([{"wait": {"constant": wait}}]), &nodes, &json!([])));
        let class = &row.ledger.classes[0];
        assert_eq!((class.ok, lost(&row, Cause::UpstreamTimeout, 504)), want, "{wait}");
        let late = class.latency_failed.quantile(0.5).unwrap_or(1.0);
        assert!((late - 1.0).abs() < 0.02, "{late}");
    }
}

/// Three pods that answer every health check with 503 and every request with 200.
#[test]
fn t_alb_3_without_a_healthy_target_all_get_requests() {
    let lifecycle = json!({"fails_probes": true, "linger": "1h", "grace": "2h", "endpoint_lag": {"constant": "3h"}, "start": {"constant": "3h"}});
    let group = json!({"interval": "5s", "timeout": "2s", "registration_lag": {"constant": "3h"}});
    let nodes = json!({"edge": alb("round_robin", group),
        "api": {"pods": {"replicas": 3, "hosts": {"count": 3, "vcpu": 1}, "lifecycle": lifecycle}}});
    // From SIGTERM on they tell probes to look elsewhere, and serve.
    let events: Vec<Value> = (0..3)
        .map(|pod| json!({"at": "20s", "node": "api", "do": {"terminate": {"pod": pod}}}))
        .collect();
    let work = json!([{"cpu": {"constant": "1ms"}}]);
    let row = first(&scenario(30.0, 100, &work, &nodes, &json!(events)));
    assert!(mean_level(&row, "healthy targets", (50.0, 90.0)) < 1e-9);
    let class = &row.ledger.classes[0];
    assert_eq!((class.ok, class.failed), (3_000, 0));
}

#[test]
fn slow_starts_that_aws_does_not_take_are_refused() {
    let codes = |ramp: &str, algorithm: &str| {
        let nodes = json!({"edge": alb(algorithm, json!({"slow_start": ramp})),
            "api": {"pods": {"replicas": 1, "hosts": {"count": 1}, "lifecycle": {}}}});
        let work = json!([{"wait": {"constant": "1s"}}]);
        let text = scenario(1.0, 10, &work, &nodes, &json!([])).to_string();
        let found = findings(text.as_bytes());
        found
            .sorted()
            .iter()
            .map(|f| f.code.to_string())
            .filter(|c| c.starts_with('E'))
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("100s", "round_robin"), [""; 0]);
    assert_eq!(codes("10s", "round_robin"), ["E0384"]);
    assert_eq!(codes("100s", "least_outstanding_requests"), ["E0384"]);
}

/// Two sync workers, four requests of 45 s at once, and workers that may be silent for 30 s.
#[test]
fn t_pod_2_requests_longer_than_the_timeout_of_a_worker_all_die() {
    let run = |timeout: &str| {
        let runtime = json!({"sync_workers": {"workers": 2, "timeout": timeout, "boot": {"constant": "500ms"}}});
        let nodes =
            json!({"edge": {"pods": {"replicas": 1, "hosts": {"count": 1}, "runtime": runtime}}});
        let mut value =
            scenario(1.0, 10, &json!([{"wait": {"constant": "45s"}}]), &nodes, &json!([]));
        value["workload"]["users"]["load"] =
            json!({"closed": {"users": 4, "requests_per_user": 1}});
        first(&value)
    };
    let row = run("30s");
    assert_eq!((row.ledger.classes[0].ok, lost(&row, Cause::WorkerKilled, 0)), (0, 4));
    // The first two die at 30 s; the next are accepted half a second later and die 30 s after that.
    let at = |q: f64| row.ledger.classes[0].latency_failed.quantile(q).unwrap();
    assert!(
        (at(0.5) - 30.0).abs() < 0.3 && (at(1.0) - 60.5).abs() < 0.01,
        "{} {}",
        at(0.5),
        at(1.0)
    );
    // With time enough, or none set, all are served: two at 45 s, two at 90 s.
    for patient in ["46s", "0s"] {
        let class = &run(patient).ledger.classes[0];
        assert_eq!((class.ok, class.latency.quantile(1.0).map(f64::round)), (4, Some(90.0)));
    }
}

/// Three targets of which one has a quarter of the speed, at three quarters of what they can do together.
#[test]
fn t_alb_5_in_turn_the_slow_target_drowns_and_by_outstanding_requests_queues_are_level() {
    let run = |algorithm: &str| {
        // Threads take all that comes: no request waits in a kernel's queue, which may overflow.
        let nodes = json!({"edge": alb(algorithm, Value::Null), "api": {"pods": {"replicas": 3, "hosts": {"count": 3, "vcpu": 1},
            "runtime": {"threads": {"threads": 100_000}}, "slow": [{"pod": 2, "factor": 4.0}]}}});
        // Rates of 100, 100 and 25 a second.
        first(&scenario(
            150.0,
            100,
            &json!([{"cpu": {"exponential": {"mean": "10ms"}}}]),
            &nodes,
            &json!([]),
        ))
    };
    let in_turn = run("round_robin");
    let level =
        |row: &Outturn, at: f64| mean_level(row, "requests in progress", (at - 5.0, at + 5.0));
    // The slow one gets 50 a second and does 25: it falls behind by 25 requests every second.
    let growth = (level(&in_turn, 90.0) - level(&in_turn, 20.0)) / 70.0;
    assert!((growth - 25.0).abs() < 2.0, "{growth}");
    let outstanding = run("least_outstanding_requests");
    assert!(level(&outstanding, 90.0) < 30.0, "{}", level(&outstanding, 90.0));
    let mean = |row: &Outturn| row.ledger.classes[0].latency.mean().unwrap();
    let means = (mean(&outstanding), mean(&in_turn));
    assert!(means.0 < 0.05 && means.1 > 50.0 * means.0, "{means:?}");
}

/// Two pods behind a node port; one is deleted, and the node hears of it four seconds later.
#[test]
fn t_kp_3_new_connections_keep_coming_until_the_view_is_refreshed_and_open_ones_never_move() {
    let run = |keepalive: bool| {
        let lifecycle =
            json!({"endpoint_lag": {"constant": "4s"}, "start": {"constant": "3h"}, "grace": "2h"});
        let nodes = json!({"edge": {"node_port": {"to": "api"}},
            "api": {"pods": {"replicas": 2, "hosts": {"count": 2, "vcpu": 1}, "lifecycle": lifecycle}}});
        let events = json!([{"at": "20s", "node": "api", "do": {"terminate": {"pod": 0}}}]);
        let mut value = scenario(50.0, 40, &json!([{"cpu": {"constant": "1ms"}}]), &nodes, &events);
        value["workload"]["users"]["connection"]["keepalive"] = json!(keepalive);
        first(&value)
    };
    // Half of 50 new connections a second go to the deleted pod for four seconds: 100, five standard deviations are 36.
    let new = run(false);
    let refused = lost(&new, Cause::Refused, 0);
    assert!((64..=136).contains(&refused) && new.ledger.classes[0].failed == refused, "{refused}");
    // One connection serves them all, and stays where it was opened: all or nothing.
    let kept = run(true).ledger.classes[0].failed;
    assert!(kept <= 1, "{kept}");
}

/// One client at a time, gaps without memory, a proxy 10 ms from a pod that closes idle connections after 5 s.
fn keep_alive_mismatch(edge: Value, idempotent: bool) -> Outturn {
    let nodes = json!({"edge": edge, "api": {"pods": {"replicas": 1, "keepalive_timeout": "5s", "hosts": {"count": 1}}}});
    let work = json!([{"wait": {"constant": "1ms"}}]);
    let mut value = scenario(0.2, 400_000, &work, &nodes, &json!([]));
    let users = &mut value["workload"]["users"];
    users["load"] = json!({"open": {"rate": {"steady": {"rate": "0.2/s", "for": "400000s"}}}});
    users["idempotent"] = idempotent.into();
    first(&value)
}

#[test]
fn t_pod_3_a_request_that_crosses_the_close_of_its_connection_is_reset() {
    // Rate λ, hop h, keep-alive K: a connection is closed at K after its last answer left the pod, a request crosses that if it
    // leaves the proxy less than h before or after. P(gap in it) = e^(−λ(K−h)) − e^(−λ(K+h)), gaps counted from the pod's
    // answer.
    let crossing = (-0.2_f64 * 4.99).exp() - (-0.2_f64 * 5.01).exp();
    let nginx = json!({"nginx": {"upstream": ["api"], "workers": 1, "upstream_keepalive": 8, "upstream_rtt": "20ms",
        "max_fails": 0, "next_upstream_tries": 2}});
    for (edge, idempotent, fails) in [
        (nginx.clone(), false, true),
        (nginx, true, false),
        (
            json!({"alb": {"to": ["api"], "target_rtt": "20ms", "overhead": {"constant": "0s"}}}),
            true,
            true,
        ),
    ] {
        let row = keep_alive_mismatch(edge, idempotent);
        let class = &row.ledger.classes[0];
        let n = (class.ok + class.failed) as f64;
        let at_pod = row.ledger.nodes[0].failed as f64;
        let (expected, sd) = (n * crossing, (n * crossing).sqrt());
        assert!((at_pod - expected).abs() < 3.5 * sd, "{at_pod} resets, {expected} expected");
        // nginx asks again where it may: a GET is answered, a POST is 502; a load balancer's client gets 502.
        assert_eq!(class.failed, if fails { at_pod as u64 } else { 0 });
        assert!(row.ledger.failures.iter().all(|f| f.status == 502));
    }
}
