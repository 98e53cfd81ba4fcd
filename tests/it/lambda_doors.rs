//! Front doors of a function: status by cause, throttles in order, bodies that are too large, calls tried again by an SDK.

use super::common::outturns;
use super::facts_lambda::{counter, failures, first, function, lone, ok};
use super::theory::{burst, constant, even, wait};
use headroom::model::data::Data;
use headroom::model::message::Cause;
use headroom::price::Table;
use headroom::scenario::read;
use serde_json::{Value, json};

/// `door` in front of `fn`.
fn behind(door: &Value, users: &Value, job: &Value, function: &Value, pool: u32) -> Value {
    json!({"name": "doors", "era": "y2026", "workload": {"users": users}, "work": {"job": job, "other": job},
        "designs": {"d": {"enter": {"users": "door"}, "nodes": {"door": door, "fn": {"lambda": function}},
            "accounts": {"main": {"concurrency": pool}}}},
        "run": {"replications": 2}})
}

fn rest(more: &Value) -> Value {
    let mut door = json!({"kind": "rest", "to": "fn", "overhead": {"constant": "0s"}});
    for (key, value) in more.as_object().unwrap() {
        door[key] = value.clone();
    }
    json!({"api_gateway": door})
}

fn doors() -> [(Value, u16, u16, u32); 4] {
    // Door, status of a throttle, of a function that fails, and largest body in MB.
    let none = json!({"constant": "0s"});
    [
        (rest(&json!({})), 500, 502, 6),
        (json!({"api_gateway": {"kind": "http", "to": "fn", "overhead": none}}), 503, 500, 6),
        (json!({"function_url": {"to": "fn", "overhead": none}}), 429, 502, 6),
        (json!({"alb": {"to": ["fn"], "overhead": none}}), 502, 502, 1),
    ]
}

#[test]
fn every_door_has_its_own_status() {
    for (door, throttled, failed, body) in doors() {
        let users = burst(10, "0s", "job");
        let row = first(&behind(&door, &users, &wait(&constant(1_000.0)), &function(0), 4));
        assert_eq!(failures(&row), [(Cause::ThrottledAccount, throttled, 6)], "{door}");
        let failing = json!([{"fail": {"share": 1.0}}]);
        let row = first(&behind(&door, &users, &failing, &function(0), 100));
        assert_eq!(failures(&row), [(Cause::FunctionError, failed, 10)], "{door}");
        let mut slow = function(0);
        slow["timeout"] = json!("2s");
        let row = first(&behind(&door, &users, &wait(&constant(9_000.0)), &slow, 100));
        assert_eq!(failures(&row), [(Cause::FunctionTimeout, failed, 10)], "{door}");
        // The largest body passes, one byte more does not, and the function does not see it.
        for (extra, served) in [(0, 10), (1, 0)] {
            let mut users = users.clone();
            users["body"] = json!(format!("{}B", (body << 20) + extra));
            let row = first(&behind(&door, &users, &wait(&constant(1.0)), &function(0), 100));
            assert_eq!((ok(&row), counter(&row, "fn", "invocations")), (served, served), "{door}");
            if served == 0 {
                assert_eq!(failures(&row), [(Cause::PayloadTooLarge, 413, 10)], "{door}");
            }
        }
    }
}

#[test]
fn a_function_that_failed_is_the_same_to_a_door_whatever_made_it_fail() {
    for (door, _, failed, _) in doors() {
        // Its table refuses, or another function that Lambda refuses.
        let users = burst(10, "0s", "job");
        let job = json!([{"query": {"to": "table", "hold": {"constant": "1ms"}}}]);
        let mut text = behind(&door, &users, &job, &function(0), 100);
        let full = json!({"on_demand": {"peak_writes": 0, "peak_reads": 0}});
        text["designs"]["d"]["nodes"]["table"] =
            json!({"dynamodb": {"mode": full, "write_share": 1.0, "retries": "none"}});
        assert_eq!(failures(&first(&text)), [(Cause::ThrottledStore, failed, 10)], "{door}");
        let mut blocked = function(0);
        blocked["reserved"] = json!(0);
        text["work"]["job"] = json!([{"call": {"to": "inner", "request": "inner"}}]);
        text["work"]["inner"] = wait(&constant(1.0));
        text["designs"]["d"]["nodes"]["inner"] = json!({"lambda": blocked});
        assert_eq!(failures(&first(&text)), [(Cause::ThrottledReserved, failed, 10)], "{door}");
    }
}

#[test]
fn an_invocation_that_lambda_refuses_is_a_500_of_a_gateway() {
    // A snapshot that is not restored within 10 s: the invocation ends with 408, which no client of a door sees.
    let mut snap = function(0);
    snap["runtime"] = json!("java21");
    snap["snap_start"] = json!({"restore": {"constant": "11s"}});
    let users = burst(10, "0s", "job");
    for ((door, ..), status) in doors().into_iter().zip([500, 500, 502, 502]) {
        let row = first(&behind(&door, &users, &wait(&constant(1.0)), &snap, 100));
        assert_eq!(failures(&row), [(Cause::SnapStartTimeout, status, 10)], "{door}");
    }
    // No network interface left: 502 of the Lambda API.
    let mut vpc = function(0);
    (vpc["vpc"], vpc["memory"]) = (json!(true), json!("3008MB"));
    let users = burst(300, "0s", "job");
    let mut text = behind(&rest(&json!({})), &users, &wait(&constant(20_000.0)), &vpc, 1000);
    text["era"] = json!("y2018");
    let row = first(&text);
    let refused: Vec<_> =
        failures(&row).into_iter().filter(|f| f.0 == Cause::InterfaceQuota).collect();
    // 250 interfaces of 3 GB, 2.9375 GB each: 255 environments.
    assert_eq!(refused, [(Cause::InterfaceQuota, 500, 45)]);
}

#[test]
fn a_gateway_takes_ten_megabytes_and_a_function_six() {
    let mut users = burst(3, "0s", "job");
    for (size, invoked) in [("6MB", 3), ("7MB", 0), ("11MB", 0)] {
        users["body"] = json!(size);
        let row = first(&behind(&rest(&json!({})), &users, &wait(&constant(1.0)), &function(0), 9));
        assert_eq!(counter(&row, "fn", "invocations"), invoked, "{size}");
        let at = failures(&row).iter().map(|f| f.2).sum::<u64>();
        assert_eq!(at, 3 - invoked);
    }
}

#[test]
fn a_usage_plan_lets_its_burst_and_its_quota_through() {
    let job = wait(&constant(1.0));
    let served = |more: Value, requests: u32| {
        let users = burst(requests, "0s", "job");
        let row = first(&behind(&rest(&more), &users, &job, &function(0), 10_000));
        let causes: Vec<_> = failures(&row).iter().map(|f| (f.0, f.1)).collect();
        (ok(&row), causes)
    };
    let bucket = |n: u32| json!({"rate": "1/s", "burst": n});
    let throttled = vec![(Cause::ThrottledGateway, 429)];
    assert_eq!(
        served(json!({"usage_plan": {"throttle": bucket(30)}}), 100),
        (30, throttled.clone())
    );
    assert_eq!(served(json!({"stage": bucket(20)}), 100), (20, throttled.clone()));
    assert_eq!(served(json!({"methods": {"job": bucket(10)}}), 100), (10, throttled.clone()));
    // A throttle of another method does not concern this one.
    assert_eq!(served(json!({"methods": {"other": bucket(10)}}), 100), (100, vec![]));
    let own = json!({"usage_plan": {"methods": {"job": bucket(7)}, "throttle": bucket(30)}});
    assert_eq!(served(own, 100), (7, throttled));
    let quota = json!({"usage_plan": {"quota": {"requests": 40, "per": "24h"}}});
    assert_eq!(served(quota, 100), (40, vec![(Cause::QuotaExceeded, 429)]));
    // A new period, a new quota: 10 in each of 5 s.
    let per_second = rest(&json!({"usage_plan": {"quota": {"requests": 10, "per": "1s"}}}));
    let row = first(&behind(&per_second, &even(100.0, 5.0), &job, &function(0), 10_000));
    assert_eq!(ok(&row), 50);
}

#[test]
fn an_authoriser_adds_its_latency_unless_its_answer_is_kept() {
    for (cached, low, high) in [(0.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.9, 0.07, 0.13)] {
        let door = rest(&json!({"authorizer": {"latency": {"constant": "1s"}, "cached": cached}}));
        let users = even(100.0, 20.0);
        let row = first(&behind(&door, &users, &wait(&constant(0.0)), &function(0), 1_000));
        let waited = row.ledger.classes[0].latency.sum_nanos() as f64 / 1e9;
        let share = waited / ok(&row) as f64;
        assert!(low - 1e-6 <= share && share <= high + 1e-6, "{share}");
    }
}

#[test]
fn an_sdk_in_a_function_tries_throttled_calls_again() {
    // `front` calls `fn`, whose reserved concurrency is zero: three attempts in standard mode, one without.
    let text = |retry: &str, back: Value| {
        json!({"name": "sdk", "workload": {"users": even(1.0, 20.0)},
            "work": {"job": [{"call": {"to": "fn", "request": "inner", "retry": retry}}],
                "inner": [{"wait": {"constant": "1ms"}}]},
            "designs": {"d": {"enter": {"users": "front"}, "accounts": {"main": {}},
                "nodes": {"front": {"lambda": function(0)}, "fn": {"lambda": back}}}},
            "run": {"replications": 2}})
    };
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    for (retry, attempts) in [("none", 20), ("standard", 60), ("legacy", 100), ("y2026", 60)] {
        let row = first(&text(retry, blocked.clone()));
        assert_eq!(counter(&row, "fn", "throttled"), attempts, "{retry}");
        assert_eq!(ok(&row), 0);
    }
    // An error of the handler comes with status 200: nobody tries again, whether it began there or in its table.
    let mut text = text("standard", function(0));
    text["work"]["inner"] = json!([{"fail": {"share": 1.0}}]);
    assert_eq!(counter(&first(&text), "fn", "invocations"), 20);
    let full = json!({"on_demand": {"peak_writes": 0, "peak_reads": 0}});
    text["designs"]["d"]["nodes"]["table"] =
        json!({"dynamodb": {"mode": full, "write_share": 1.0, "retries": "none"}});
    text["work"]["inner"] = json!([{"query": {"to": "table", "hold": {"constant": "1ms"}}}]);
    assert_eq!(counter(&first(&text), "fn", "invocations"), 20);
}

#[test]
fn an_sdk_that_invokes_a_function_tries_again_what_lambda_refused_only() {
    let with = |retry: Value, job: &Value, own: &Value| {
        let mut users = burst(100, "0s", "job");
        users["retry"] = retry;
        first(&lone(&users, job, own, 1000))
    };
    let fails = json!([{"fail": {"share": 1.0}}]);
    let sdk = |mode: &str| json!({"sdk": {"mode": mode}});
    for mode in ["legacy", "standard", "adaptive", "y2026"] {
        let row = with(sdk(mode), &fails, &function(0));
        assert_eq!(counter(&row, "fn", "invocations"), 100, "{mode}");
    }
    let mut short = function(0);
    short["timeout"] = json!("1s");
    let row = with(sdk("standard"), &wait(&constant(5_000.0)), &short);
    assert_eq!((counter(&row, "fn", "timeouts"), counter(&row, "fn", "invocations")), (100, 100));
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    let row = with(sdk("standard"), &wait(&constant(1.0)), &blocked);
    assert_eq!(counter(&row, "fn", "throttled"), 300);
    // What an application of its own does with the error that it finds in the answer is its own affair.
    let row = with(json!({"fixed": {"attempts": 3, "delay": "1s"}}), &fails, &function(0));
    assert_eq!(counter(&row, "fn", "invocations"), 300);
}

#[test]
fn an_sdk_in_pods_has_tokens_for_a_hundred_retries() {
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    let text = json!({"name": "sdk", "workload": {"users": even(5.0, 100.0)},
        "work": {"job": [{"call": {"to": "fn", "request": "inner", "retry": "standard"}}],
            "inner": [{"wait": {"constant": "1ms"}}]},
        "designs": {"d": {"enter": {"users": "api"}, "accounts": {"main": {}},
            "nodes": {"api": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 1000}}}},
                "fn": {"lambda": blocked}}}},
        "run": {"replications": 2}});
    let rows = outturns(&text.to_string()).remove(0);
    // 500 calls, 500 tokens of which each retry costs five.
    assert_eq!(counter(&rows[0], "fn", "throttled"), 500 + 100);
}

fn codes(text: &Value) -> Vec<String> {
    let (scenario, mut findings) = read(text.to_string().as_bytes());
    let prices = Table::builtin("us-east-1").unwrap();
    if let Some(scenario) = scenario {
        findings = scenario.check(&Data::default(), Some(&prices));
    }
    findings.sorted().iter().map(|finding| finding.code.to_owned()).collect()
}

#[test]
fn doors_that_an_era_or_an_api_lacks_are_refused() {
    let users = burst(1, "0s", "job");
    let job = wait(&constant(1.0));
    let mut text = behind(&json!({"function_url": {"to": "fn"}}), &users, &job, &function(0), 10);
    assert_eq!(codes(&text), Vec::<String>::new());
    text["era"] = json!("y2020");
    assert_eq!(codes(&text), ["E0330"]);
    let plan = json!({"throttle": {"rate": "1/s", "burst": 1}});
    let door = json!({"api_gateway": {"kind": "http", "to": "fn", "usage_plan": plan}});
    assert_eq!(codes(&behind(&door, &users, &job, &function(0), 10)), ["E0346"]);
    // Timeouts: 50 ms to 29 s (REST; 300 s since June 2024) or 30 s (HTTP, since March 2020).
    for (era, kind, timeout, found) in [
        ("y2018", "http", "10s", vec!["E0330"]),
        ("y2020", "http", "30s", vec![]),
        ("y2026", "http", "31s", vec!["E0311"]),
        ("y2026", "http", "20ms", vec!["E0311"]),
        ("y2021", "rest", "29s", vec![]),
        ("y2021", "rest", "30s", vec!["E0311"]),
        ("y2026", "rest", "300s", vec![]),
        ("y2026", "rest", "301s", vec!["E0311"]),
        ("y2026", "rest", "49ms", vec!["E0311"]),
    ] {
        let door = json!({"api_gateway": {"kind": kind, "to": "fn", "timeout": timeout}});
        let mut text = behind(&door, &users, &job, &function(0), 200);
        text["era"] = json!(era);
        assert_eq!(codes(&text), found, "{era} {kind} {timeout}");
    }
    let door = rest(&json!({"methods": {"no such work": {"rate": "1/s", "burst": 1}}}));
    assert_eq!(codes(&behind(&door, &users, &job, &function(0), 10)), ["E0300"]);
}
