//! Worked examples of AWS Lambda, API Gateway and databases, deterministic: constants, no network.

use super::common::{outturns, result};
use super::theory::{burst, closed, constant, even, no_network, poisson, single, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// A function with constant Init and no other start-up time.
fn function(init_ms: u32) -> Value {
    json!({"account": "main", "runtime": "nodejs20", "timeout": "60s", "memory": "1024MB",
        "place": {"constant": "0s"}, "init": {"constant": format!("{init_ms}ms")}})
}

/// One function, `fn`, behind nothing.
fn lone(users: &Value, job: &Value, function: &Value, concurrency: u32) -> Value {
    json!({"name": "function", "workload": {"users": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": function}},
            "accounts": {"main": {"concurrency": concurrency}}}},
        "run": {"replications": 2}})
}

fn first(scenario: &Value) -> Outturn {
    outturns(&scenario.to_string()).remove(0).remove(0)
}

/// Counter of a node's report.
fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).unwrap().1
}

/// Failed requests by cause and status.
fn failures(row: &Outturn) -> Vec<(Cause, u16, u64)> {
    let mut list: Vec<_> =
        row.ledger.failures.iter().map(|f| (f.cause, f.status, f.count)).collect();
    list.sort();
    list
}

fn ok(row: &Outturn) -> u64 {
    row.ledger.classes.iter().map(|c| c.ok).sum()
}

/// Highest level of a gauge, and its level over time: (bucket width, highs).
fn highs(row: &Outturn, name: &str) -> (f64, Vec<u64>) {
    let gauge = row.ledger.gauges.iter().find(|g| g.name == name).unwrap();
    (row.ledger.clock.width().as_secs_f64(), gauge.levels.highs().to_vec())
}

fn peak(row: &Outturn, name: &str) -> u64 {
    highs(row, name).1.into_iter().max().unwrap()
}

#[test]
fn t_env_1_a_slow_start_leaves_eight_environments() {
    // Init 300 ms, handler 90 ms, a request every 50 ms: 8 cold, the rest warm, for ever.
    for (seconds, requests) in [(0.5, 10), (5.0, 100)] {
        let row = first(&lone(&even(20.0, seconds), &wait(&constant(90.0)), &function(300), 1000));
        assert_eq!(ok(&row), requests);
        assert_eq!(counter(&row, "fn", "cold_starts"), 8);
        assert_eq!((peak(&row, "environments"), peak(&row, "concurrency")), (8, 8));
    }
}

#[test]
fn t_env_2_the_same_with_a_pool_of_three() {
    let row = first(&lone(&even(20.0, 0.5), &wait(&constant(90.0)), &function(300), 3));
    assert_eq!(counter(&row, "fn", "cold_starts"), 3);
    assert_eq!(failures(&row), [(Cause::ThrottledAccount, 429, 5)]);
    assert_eq!(ok(&row), 5);
}

#[test]
fn t_env_3_idle_environments_expire() {
    for (pause, cold) in [(11 * 60, 6), (9 * 60, 1)] {
        let mut users = closed(1, 1, json!({"constant": format!("{pause}s")}));
        users["load"]["closed"] =
            json!({"users": 1, "requests_per_user": 6, "think": {"constant": format!("{pause}s")}});
        let mut function = function(150);
        function["idle_life"] = json!("10min");
        let row = first(&lone(&users, &wait(&constant(90.0)), &function, 1000));
        assert_eq!((ok(&row), counter(&row, "fn", "cold_starts")), (6, cold));
    }
}

#[test]
fn t_env_4_even_arrivals_need_rate_times_cold_time() {
    let row = first(&lone(&even(1_000.0, 10.0), &wait(&constant(200.0)), &function(150), 1000));
    assert_eq!((ok(&row), counter(&row, "fn", "cold_starts")), (10_000, 350));
    assert_eq!(peak(&row, "environments"), 350);
}

#[test]
fn t_env_5_slow_network_interfaces_throttle_for_ten_seconds() {
    // Cold start 10 s, handler 200 ms, 1,000/s for 60 s, pool 1,000.
    let mut function = function(10_000);
    // The sheet's choice: a request waits for the environment that it started.
    function["bind"] = json!("own");
    let mut scenario = lone(&even(1_000.0, 60.0), &wait(&constant(200.0)), &function, 1000);
    scenario["era"] = json!("y2020");
    let row = first(&scenario);
    assert_eq!(counter(&row, "fn", "cold_starts"), 1000);
    assert_eq!(failures(&row), [(Cause::ThrottledAccount, 429, 9_200)]);
    assert_eq!(ok(&row), 1_000 + 49_800);
}

#[test]
fn t_env_7_init_beyond_ten_seconds_runs_again() {
    let users = burst(1, "0s", "job");
    let mut function = function(12_000);
    function["timeout"] = json!("30s");
    let row = first(&lone(&users, &wait(&constant(100.0)), &function, 1000));
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 22_100_000_000);
    function["timeout"] = json!("5s");
    let row = first(&lone(&users, &wait(&constant(100.0)), &function, 1000));
    assert_eq!(failures(&row), [(Cause::FunctionTimeout, 500, 1)]);
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 15_000_000_000);
}

#[test]
fn t_con_1_a_burst_meets_the_pool_or_the_old_burst_limit() {
    let burst = burst(5_000, "0s", "job");
    for (era, limit, started, cause) in [
        ("y2018", 3000, 1000, Cause::ThrottledAccount),
        ("y2021", 3000, 1000, Cause::ThrottledAccount),
        ("y2023", 3000, 1000, Cause::ThrottledAccount),
        ("y2026", 3000, 1000, Cause::ThrottledAccount),
        ("y2021", 500, 500, Cause::ThrottledScaling),
    ] {
        let mut scenario = lone(&burst, &wait(&constant(10_000.0)), &function(150), 1000);
        scenario["era"] = json!(era);
        scenario["designs"]["d"]["accounts"]["main"]["burst"] = json!(limit);
        let row = first(&scenario);
        assert_eq!(ok(&row), started, "{era}");
        assert_eq!(failures(&row), [(cause, 429, 5_000 - started)], "{era}");
    }
}

#[test]
fn t_con_2_one_function_grows_by_a_hundred_a_second() {
    // 2,000 at once and 400/s more than are ever served: demand without end. Levels within a bucket of 0.27 s.
    let mut more = even(400.0, 95.0);
    more["request"] = json!("job");
    let mut endless = function(0);
    endless["timeout"] = json!("900s");
    let text = json!({"name": "growth", "workload": {"users": more, "wave": burst(2_000, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "800s"}}]},
        "designs": {"d": {"enter": {"users": "fn", "wave": "fn"}, "nodes": {"fn": {"lambda": endless}},
            "accounts": {"main": {"concurrency": 10_000}}}},
        "run": {"replications": 2, "horizon": "96s"}});
    let row = first(&text);
    let (width, levels) = highs(&row, "environments");
    for (t, want) in
        [(0.0, 1_000.0), (10.0, 2_000.0), (45.0, 5_500.0), (89.9, 9_990.0), (95.0, 10_000.0)]
    {
        let got = levels[(t / width) as usize] as f64;
        assert!((got - want).abs() <= 100.0 * width + 1.0, "{t} s: {got} {want}");
    }
}

#[test]
fn t_con_4_every_function_has_its_own_scaling_budget() {
    let text = json!({"name": "two",
        "workload": {"a": burst(3_000, "0s", "job"), "b": burst(3_000, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"a": "f", "b": "g"},
            "nodes": {"f": {"lambda": function(150)}, "g": {"lambda": function(150)}},
            "accounts": {"main": {"concurrency": 10_000}}}},
        "run": {"replications": 2}});
    let row = first(&text);
    assert_eq!((row.ledger.classes[0].ok, row.ledger.classes[1].ok), (1_000, 1_000));
    assert_eq!(row.ledger.classes.iter().map(|c| c.failed).sum::<u64>(), 4_000);
    assert!(failures(&row).iter().all(|f| (f.0, f.1) == (Cause::ThrottledScaling, 429)));
}

#[test]
fn t_con_6_ten_requests_a_second_per_unit_of_concurrency() {
    // 20,000/s of 49 ms need 980 concurrent, but the pool of 1,000 lets 10,000/s in: half is throttled once the
    // bucket's 10,000 are spent.
    let row = first(&lone(&even(20_000.0, 4.0), &wait(&constant(49.0)), &function(0), 1000));
    assert_eq!(ok(&row) + row.ledger.classes[0].failed, 80_000);
    let [(Cause::ThrottledRequestRate, 429, throttled)] = failures(&row)[..] else {
        panic!("{:?}", failures(&row));
    };
    assert!(throttled.abs_diff(30_000) <= 2, "{throttled}");
    // 30,000/s of 20 ms: concurrency 600, and a quota of 3,000 serves them all.
    let row = first(&lone(&even(30_000.0, 2.0), &wait(&constant(20.0)), &function(0), 3000));
    assert_eq!((ok(&row), peak(&row, "concurrency")), (60_000, 600));
}

#[test]
fn t_con_8_reservations_bound_and_guarantee() {
    let mut reserved = function(150);
    reserved["reserved"] = json!(400);
    let text = json!({"name": "reserved",
        "workload": {"a": burst(500, "0s", "job"), "b": burst(500, "0s", "job"), "c": burst(300, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"a": "fa", "b": "fb", "c": "fc"},
            "nodes": {"fa": {"lambda": reserved}, "fb": {"lambda": reserved}, "fc": {"lambda": function(150)}},
            "accounts": {"main": {"concurrency": 1000}}}},
        "run": {"replications": 2}});
    let row = first(&text);
    let ok: Vec<u64> = row.ledger.classes.iter().map(|c| c.ok).collect();
    assert_eq!(ok, [400, 400, 200]);
    assert_eq!(
        failures(&row),
        [
            (Cause::ThrottledAccount, 429, 100),
            (Cause::ThrottledReserved, 429, 100),
            (Cause::ThrottledReserved, 429, 100)
        ]
    );
    // The idle rest is of no use to A.
    let mut alone = text.clone();
    alone["designs"]["d"]["enter"] = json!({"a": "fa"});
    assert_eq!(first(&alone).ledger.classes[0].ok, 400);
}

/// `fn` behind an API Gateway without overhead.
fn behind_gateway(kind: &str, users: &Value, work: &Value, function: &Value) -> Value {
    json!({"name": "gateway", "era": "y2023", "workload": {"users": users}, "work": work,
        "designs": {"d": {"enter": {"users": "api"}, "accounts": {"main": {}}, "nodes": {
            "api": {"api_gateway": {"kind": kind, "to": "fn", "overhead": {"constant": "0s"}}},
            "fn": {"lambda": function}}}},
        "run": {"replications": 2}})
}

/// Quantity of GB-seconds of `fn`.
fn gb_seconds(row: &Outturn) -> f64 {
    let lines = row.reports.iter().flat_map(|r| &r.usage);
    lines.filter(|u| u.unit == "GB-s").map(|u| u.quantity).sum()
}

#[test]
fn t_gw_6_gateway_gives_up_the_function_goes_on() {
    for (kind, status, seconds) in [("rest", 504, 29), ("http", 503, 30)] {
        let work = json!({"job": [{"wait": {"constant": "35s"}}]});
        let row = first(&behind_gateway(kind, &burst(1, "0s", "job"), &work, &function(0)));
        assert_eq!(failures(&row), [(Cause::IntegrationTimeout, status, 1)]);
        assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), seconds * 1_000_000_000);
        // Memory is 1 GB: 35 GB-s, and the concurrency is held for 35 s.
        assert!((gb_seconds(&row) - 35.0).abs() < 1e-9);
        let gauge = row.ledger.gauges.iter().find(|g| g.name == "concurrency").unwrap();
        assert_eq!(gauge.levels.areas().iter().sum::<u128>(), 35_000_000_000);
    }
}

#[test]
fn t_gw_7_function_timeout_is_502_and_the_next_request_pays_init() {
    let mut function = function(500);
    function["timeout"] = json!("3s");
    let users = json!({"load": {"closed": {"users": 1, "requests_per_user": 1}}, "connection": no_network(),
        "session": [{"request": "slow", "think": {"constant": "1s"}}, {"request": "quick"}]});
    let work = json!({"slow": [{"wait": {"constant": "10s"}}], "quick": [{"wait": {"constant": "100ms"}}]});
    let row = first(&behind_gateway("rest", &users, &work, &function));
    assert_eq!(failures(&row), [(Cause::FunctionTimeout, 502, 1)]);
    let class = &row.ledger.classes[0];
    // The timeout runs from the end of the cold start: 0.5 + 3 s.
    assert_eq!(class.latency_failed.sum_nanos(), 3_500_000_000);
    assert_eq!(class.latency.sum_nanos(), 600_000_000);
    assert_eq!(counter(&row, "fn", "cold_starts"), 1);
    // Billed: 3 s and Init + handler of the second, 0.6 s.
    assert!((gb_seconds(&row) - 3.6).abs() < 1e-9, "{}", gb_seconds(&row));
}

#[test]
fn t_gw_8_a_burst_of_six_thousand() {
    let work = json!({"job": [{"wait": {"constant": "10s"}}]});
    let row = first(&behind_gateway("rest", &burst(6_000, "0s", "job"), &work, &function(150)));
    assert_eq!(ok(&row), 1_000);
    assert_eq!(
        failures(&row),
        [(Cause::ThrottledAccount, 500, 4_000), (Cause::ThrottledGateway, 429, 1_000)]
    );
}

#[test]
fn t_db_3_a_thousand_functions_against_450_slots() {
    let text = json!({"name": "slots", "workload": {"users": burst(1_000, "0s", "job")},
        "work": {"job": [{"query": {"to": "db", "hold": {"constant": "1s"}}}]},
        "designs": {"d": {"enter": {"users": "fn"}, "accounts": {"main": {}}, "nodes": {
            "fn": {"lambda": function(0)},
            "db": {"postgres": {"connections": 450, "reserved": 0, "fork": "0s", "exit": "0s", "login": {"constant": "0s"},
                "sigma": 0.0, "kappa": 0.0}}}}},
        "run": {"replications": 2}});
    let row = first(&text);
    assert_eq!(ok(&row), 450);
    assert_eq!(failures(&row), [(Cause::ConnectionSlots, 500, 550)]);
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 0, "refused at once");
}

#[test]
fn t_pool_3_environments_hold_more_connections_than_pods() {
    // 3 pods × 100 stay below 1,490; 800 environments × 2 = 1,600 do not: 745 fit.
    let text = json!({"name": "pools", "workload": {"users": burst(800, "0s", "job")},
        "work": {"job": [{"query": {"to": "db", "hold": {"constant": "1s"}}}]},
        "designs": {
            "lambda": {"enter": {"users": "fn"}, "accounts": {"main": {}}, "nodes": {
                "fn": {"lambda": {"account": "main", "runtime": "nodejs20", "place": {"constant": "0s"},
                    "timeout": "60s", "connections_per_environment": 2}},
                "db": {"mongodb": {"connections": 1490, "reserved": 0, "sigma": 0.0, "kappa": 0.0}}}},
            "pods": {"enter": {"users": "port"}, "nodes": {
                "port": {"node_port": {"to": "api"}}, "api": {"pods": {"replicas": 3}},
                "db": {"mongodb": {"connections": 1490, "reserved": 0, "sigma": 0.0, "kappa": 0.0}}}}},
        "run": {"replications": 2}});
    let rows = outturns(&text.to_string());
    assert_eq!(ok(&rows[0][0]), 745);
    assert_eq!(failures(&rows[0][0]), [(Cause::ConnectionSlots, 500, 55)]);
    assert_eq!((ok(&rows[1][0]), peak(&rows[1][0], "connections")), (800, 300));
}

#[test]
fn platform_errors_hang_until_the_function_timeout() {
    let mut faulty = function(0);
    faulty["platform_errors"] = json!(1.0);
    faulty["timeout"] = json!("3s");
    let row = first(&lone(&poisson(10.0, 5.0), &wait(&constant(10.0)), &faulty, 1000));
    let class = &row.ledger.classes[0];
    assert_eq!(
        (class.ok, u128::from(class.failed) * 3_000_000_000),
        (0, class.latency_failed.sum_nanos())
    );
    let d = &result(&single(
        &poisson(10.0, 5.0),
        &wait(&constant(10.0)),
        &json!({"lambda": faulty}),
        2,
        1,
    ))
    .designs[0];
    assert_eq!(d.failures[0].cause, "platform_error");
}
