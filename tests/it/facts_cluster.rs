//! Worked examples of accept queues, pods, pools, kube-proxy and nginx, deterministic: constants, no network.

use super::common::outturns;
use super::theory::{burst, closed, constant, single, threads, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn first(text: &str) -> Outturn {
    outturns(text).remove(0).remove(0)
}

/// Counter of a node's report.
fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).unwrap().1
}

fn peak(row: &Outturn, name: &str) -> u64 {
    let gauge = row.ledger.gauges.iter().find(|g| g.name == name).unwrap();
    gauge.levels.highs().iter().copied().max().unwrap()
}

/// One sync worker, busy with a first request from 0 s on, and `n` connects at 1 ms.
fn busy_worker(backlog: u32, n: u32, busy: &str, horizon: &str) -> Value {
    json!({"name": "backlog", "workload": {"first": burst(1, "0s", "long"), "rest": burst(n, "1ms", "short")},
        "work": {"long": [{"wait": {"constant": busy}}], "short": [{"wait": {"constant": "0s"}}]},
        "designs": {"d": {"enter": {"first": "pod", "rest": "pod"}, "nodes": {"pod": {"pods": {"replicas": 1,
            "runtime": {"sync_workers": {"workers": 1, "timeout": "0s"}}, "backlog": backlog}}}}},
        "run": {"replications": 2, "horizon": horizon}})
}

#[test]
fn t_tcp_1_backlog_five_holds_six() {
    let row = first(&busy_worker(5, 20, "60s", "1s").to_string());
    assert_eq!((peak(&row, "accept queue"), counter(&row, "pod", "syn_dropped")), (6, 14));
    assert_eq!(row.unfinished, 21);
}

#[test]
fn t_tcp_2_backlog_128_the_rest_connects_at_three_seconds() {
    // Both schedules of resent SYNs have one at 3 s.
    for schedule in ["exponential", "linear"] {
        let mut scenario = busy_worker(128, 200, "2500ms", "1h");
        scenario["workload"]["rest"]["connection"]["syn_retry"] = json!(schedule);
        let row = first(&scenario.to_string());
        assert_eq!(peak(&row, "accept queue"), 129);
        let latency = &row.ledger.classes[1].latency;
        assert_eq!(latency.count(), 200);
        // Measured: 3.0 to 3.1 s, since kernel timers round up to their wheel.
        let rest = latency.sum_nanos() - 129 * 2_499_000_000;
        assert!((71 * 3_000_000_000..=71 * 3_100_000_000).contains(&rest), "{schedule}: {rest}");
    }
}

#[test]
fn t_tcp_3_never_accepted_gives_up_at_127_or_131_seconds() {
    for (schedule, seconds) in [("exponential", 127), ("linear", 131)] {
        let mut scenario = busy_worker(5, 20, "1h", "2h");
        scenario["workload"]["rest"]["connection"]["syn_retry"] = json!(schedule);
        let row = first(&scenario.to_string());
        let rest = &row.ledger.classes[1];
        assert_eq!((rest.ok, rest.failed), (6, 14));
        // The kernel's timers round up to their wheel: measured 134.8 s for the 131 s of the linear schedule.
        let each = rest.latency_failed.sum_nanos() as f64 / 14e9;
        assert!(
            (f64::from(seconds)..f64::from(seconds) * 1.03).contains(&each),
            "{schedule}: {each}"
        );
        assert!(row.ledger.failures.iter().all(|f| f.cause == Cause::ConnectTimeout));
    }
}

#[test]
fn the_data_of_a_half_open_connection_is_sent_again_for_fifteen_minutes() {
    // With syncookies all get connected when their SYN comes again; most meet a full queue whenever their data does, in waves
    // of which each lets eleven in. The kernel gives up after 0.2 s · 2ⁿ up to 120 s each, 924.6 s in all (tcp_retries2 = 15),
    // each rounded up to its timer wheel.
    let mut users = burst(300, "0s", "job");
    users["connection"]["rtt"] = json!("2ms");
    let scenario = json!({"name": "long", "workload": {"users": users}, "work": {"job": wait(&constant(2_000.0))},
        "designs": {"d": {"enter": {"users": "pod"}, "nodes": {"pod": {"pods": {"replicas": 1,
            "runtime": {"sync_workers": {"workers": 1, "timeout": "0s"}}, "backlog": 10, "somaxconn": 10}}}}},
        "run": {"replications": 2, "horizon": "6h"}});
    let row = first(&scenario.to_string());
    let all = &row.ledger.classes[0];
    // Twelve at first, and eleven in each wave that finds the queue empty: from the seventh (12.8 s) to the last (805 s).
    assert!((90..=130).contains(&all.ok), "{}", all.ok);
    assert_eq!(all.ok + all.failed, 300);
    assert!(row.ledger.failures.iter().all(|f| f.cause == Cause::Reset));
    let gave_up = all.latency_failed.max().as_secs_f64();
    assert!((924.6..924.6 * 1.03).contains(&gave_up), "{gave_up}");
    assert!(all.latency.max().as_secs_f64() < 805.0 * 1.03 + 22.0 + 1.0, "{:?}", all.latency.max());
}

#[test]
fn t_pod_1_an_event_loop_answers_one_after_another() {
    let pod = json!({"pods": {"replicas": 1, "hosts": {"count": 1, "vcpu": 1}}});
    let text = single(&burst(100, "0s", "job"), &json!([{"cpu": constant(20.0)}]), &pod, 2, 1);
    let row = first(&text);
    // The k-th completes at 20 k ms.
    let latency = &row.ledger.classes[0].latency;
    assert_eq!((latency.count(), latency.max().nanos()), (100, 2_000_000_000));
    assert_eq!(latency.sum_nanos(), (1..=100).map(|k| k * 20_000_000).sum::<u128>());
    for k in [1, 10, 50, 90, 99] {
        let got = latency.quantile(f64::from(k) / 100.0).unwrap();
        assert!((got / (0.02 * f64::from(k)) - 1.0).abs() < 0.01, "{k}: {got}");
    }
}

/// Threads with a pool to a database without contention.
fn pooled(requests: u32, pool: Value, login_wait: &str, hold: &str) -> Outturn {
    let mut pods = threads(1000);
    pods["pods"]["pool"] = json!({"db": pool});
    let text = json!({"name": "pool", "workload": {"users": burst(requests, "0s", "job")},
        "work": {"job": [{"query": {"to": "db", "hold": {"constant": hold}}}]},
        "designs": {"d": {"enter": {"users": "api"}, "nodes": {"api": pods,
            "db": {"mongodb": {"connections": 500, "login": {"constant": "0s"}, "login_wait": {"constant": login_wait},
                "sigma": 0.0, "kappa": 0.0}}}}},
        "run": {"replications": 2}});
    first(&text.to_string())
}

#[test]
fn t_pool_1_five_waves() {
    let row = pooled(50, json!({"max": 10, "connecting": 10}), "0s", "100ms");
    let latency = &row.ledger.classes[0].latency;
    assert_eq!(latency.sum_nanos(), 10 * (1 + 2 + 3 + 4 + 5) * 100_000_000);
    assert_eq!((latency.count(), latency.max().nanos()), (50, 500_000_000));
    assert_eq!(peak(&row, "connections"), 10);
}

#[test]
fn t_pool_2_two_connections_at_a_time_fill_a_pool_slowly() {
    // Long statements, so that none comes back before the pool is full: the last pair is open after 50 · 150 ms.
    let row = pooled(100, json!({"max": 100, "connecting": 2}), "150ms", "20s");
    let latency = &row.ledger.classes[0].latency;
    assert_eq!(latency.max().nanos(), 27_500_000_000);
    assert_eq!(
        latency.sum_nanos(),
        (1..=50).map(|k| 2 * (20_000 + 150 * k)).sum::<u128>() * 1_000_000
    );
    let gauge = row.ledger.gauges.iter().find(|g| g.name == "connections").unwrap();
    let width = row.ledger.clock.width().as_secs_f64();
    let full = gauge.levels.highs().iter().position(|&n| n == 100).unwrap() as f64 * width;
    assert!(full <= 7.5 && 7.5 < full + width, "{full}");
}

#[test]
fn t_kp_2_three_pods_on_two_nodes_carry_one_and_a_half() {
    // Node A has two pods and gets 2/3 of the connections, B 1/3: throughput 1.5 C with C = 100/s a node.
    let text = json!({"name": "skew", "workload": {"users": closed(300, 200, constant(0.0))},
        "work": {"job": [{"cpu": constant(10.0)}]},
        "designs": {"d": {"enter": {"users": "port"}, "nodes": {"port": {"node_port": {"to": "api"}},
            "api": {"pods": {"replicas": 3, "hosts": {"count": 2, "vcpu": 1}}}}}},
        "run": {"replications": 2}});
    let row = first(&text.to_string());
    let class = &row.ledger.classes[0];
    assert_eq!(class.failed, 0);
    // Served within the 200 s: all but the 300 in progress at their end.
    let served = (class.issued - 300) as f64 / 200.0;
    assert!((served / 150.0 - 1.0).abs() < 0.02, "{served}");
    // A saturated and B half busy: 75 % together, a little more idle in the tail.
    let busy = counter(&row, "api", "cpu_permille");
    assert!((730..=760).contains(&busy), "{busy}");
}

/// One nginx worker in front of an upstream of 2 s.
fn proxied(n: u32, front: &Value, spread: &str, rtt: &str) -> Outturn {
    let mut text = json!({"name": "nginx", "workload": {"users": burst(n, "0s", "job")}, "work": {"job": wait(&constant(2_000.0))},
        "designs": {"d": {"enter": {"users": "front"}, "nodes": {"front": {"nginx": front}, "api": threads(1000)}}},
        "run": {"replications": 2}});
    text["workload"]["users"]["load"]["burst"]["spread"] = json!(spread);
    text["workload"]["users"]["connection"] = json!({"rtt": rtt, "tls": false});
    first(&text.to_string())
}

#[test]
fn t_ngx_1_descriptors_run_out() {
    let front = json!({"upstream": ["api"], "workers": 1, "worker_connections": 4096, "nofile": 128,
        "listeners": 1});
    for (n, ok) in [(59, 59), (60, 59), (100, 59)] {
        let row = proxied(n, &front, "0s", "0s");
        let class = &row.ledger.classes[0];
        assert_eq!((class.ok, class.failed), (ok, u64::from(n) - ok), "{n}");
        assert!(
            row.ledger.failures.iter().all(|f| (f.cause, f.status) == (Cause::Descriptors, 500))
        );
        assert!(class.latency_failed.max().as_secs_f64() < 0.05);
    }
}

#[test]
fn t_ngx_3_worker_connections_run_out() {
    // 126 slots for 64 clients. Requests come 10 ms after their connections and 100 µs apart, more than a worker needs
    // for one: clients whose request is not there yet are those that nginx closes to keep 128/16 slots free.
    for (version, ok) in [("1.22", 59), ("1.18", 63)] {
        let front = json!({"upstream": ["api"], "workers": 1, "worker_connections": 128, "nofile": 4096,
            "version": version, "listeners": 1});
        let row = proxied(64, &front, "6400us", "10ms");
        let class = &row.ledger.classes[0];
        assert_eq!((class.ok, class.failed), (ok, 64 - ok), "{version}");
        let got: Vec<_> = row.ledger.failures.iter().map(|f| (f.cause, f.status)).collect();
        assert_eq!(got, [(Cause::WorkerConnections, 0)], "{version}: closed without an answer");
    }
}
