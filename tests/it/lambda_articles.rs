//! What the articles report of Lambda, as runs of the shipped scenarios; and examples of platform errors and retries.

use super::common::{outturns, result};
use super::facts_lambda::{counter, failures, first, function, lone, ok, peak};
use super::golden::{plan, scenarios};
use super::theory::{closed, constant, erlang_b, even, holds, lognormal, poisson, threads, wait};
use headroom::experiment::result::{ClassRow, DesignResult, RunResult};
use headroom::experiment::{Silent, replicate, run};
use headroom::model::message::Cause;
use serde_json::json;

fn shipped(name: &str, replications: u32) -> RunResult {
    let (_, text) = scenarios().into_iter().find(|(own, _)| own == name).unwrap();
    run(&plan(&text, replications), &Silent).unwrap()
}

fn design<'a>(result: &'a RunResult, name: &str) -> &'a DesignResult {
    result.designs.iter().find(|design| design.name == name).unwrap()
}

fn class<'a>(design: &'a DesignResult, name: &str) -> &'a ClassRow {
    design.classes.iter().find(|class| class.name == name).unwrap()
}

#[test]
fn users_are_starved_by_a_queue_and_six_ways_help() {
    let result = shipped("starved-pool", 10);
    let served = |name: &str| class(design(&result, name), "visitors").success_rate;
    // 10 of 1,000 are left for a load of 20: Erlang B.
    let truth = 1.0 - erlang_b(20.0, 10);
    assert!((truth - (1.0 - 0.538)).abs() < 5e-4);
    holds(served("plain"), truth, 0.05);
    for name in [
        "reserve-background",
        "raised-quota",
        "batches-of-ten",
        "reserve-users",
        "provision-users",
        "queue-in-front",
        "other-region",
        "wished-maximum",
        "wished-group",
    ] {
        assert!(served(name).low > 0.9999, "{name}: {:?}", served(name));
    }
}

#[test]
fn t_err_1_platform_errors_of_two_eras() {
    // Lost invocations hang until the function's timeout.
    let lost = |share: f64, requests: f64| {
        let mut function = function(0);
        function["platform_errors"] = json!(share);
        function["timeout"] = json!("1s");
        let seconds = requests / 2.0 / 8_000.0;
        let text = lone(&even(8_000.0, seconds), &wait(&constant(1.0)), &function, 10_000);
        let rows = outturns(&text.to_string()).remove(0);
        let started: u64 = rows.iter().map(ok).sum::<u64>();
        let failed: Vec<_> = rows.iter().flat_map(failures).collect();
        assert!(failed.iter().all(|f| (f.0, f.1) == (Cause::PlatformError, 500)), "{failed:?}");
        let failed: u64 = failed.iter().map(|f| f.2).sum();
        assert_eq!(started + failed, requests as u64);
        failed
    };
    // A tenth of 1.6 million at 2 %: 3,200 expected, standard deviation 56.
    assert!(lost(0.02, 160_000.0).abs_diff(3_200) < 4 * 56);
    // 1.6 million at 6.25e-7: 1 expected; more than 6 are seen once in 12,000 times.
    assert!(lost(6.25e-7, 1_600_000.0) <= 6);
}

#[test]
fn t_sdk_3_retries_multiply_load_until_the_tokens_are_gone() {
    // A function without concurrency: every attempt fails at once. One SDK client for all users.
    let attempts = |calls: u32, shared: bool| {
        let mut users = even(1.0, f64::from(calls));
        users["retry"] = json!({"sdk": {"mode": "standard", "shared": shared}});
        let mut function = function(0);
        function["reserved"] = json!(0);
        let row = first(&lone(&users, &wait(&constant(10.0)), &function, 1000));
        counter(&row, "fn", "throttled")
    };
    // The bucket of 500 tokens pays for 50 calls of three attempts; from then on there is one attempt a call.
    assert_eq!(attempts(50, true), 150);
    assert_eq!(attempts(250, true), 150 + 200);
    // Devices have a bucket each: three times the load for ever.
    assert_eq!(attempts(250, false), 750);
}

#[test]
fn t_usl_2_a_pool_of_thirty_six_gives_the_peak() {
    // The database of T-USL-1: a statement alone takes 1.0044 ms.
    let throughput = |pool: u32| {
        let mut api = threads(2_000);
        api["pods"]["pool"] = json!({"db": {"max": pool, "connecting": 1000}});
        let text = json!({"name": "usl", "workload": {"users": closed(1_000, 20, constant(0.0))},
            "work": {"job": [{"query": {"to": "db", "hold": {"constant": "1.00437ms"}}}]},
            "designs": {"d": {"enter": {"users": "api"}, "nodes": {"api": api, "db": {"mysql": {
                "connections": 1_100, "login": {"constant": "0s"}, "fork": "0s", "exit": "0s",
                "sigma": 0.026_715_91, "kappa": 7.690_945e-4}}}}},
            "run": {"replications": 2, "horizon": "10min"}});
        let result = result(&text.to_string());
        (result.designs[0].throughput.value, result.designs[0].latency.mean.value)
    };
    let (pooled, waiting) = throughput(36);
    let (all, active) = throughput(1_000);
    // 12,342/s with the pool, a tenth without; 1,000 wait 81 ms in the one case, 800 ms in the other.
    assert!((pooled / 12_342.3 - 1.0).abs() < 0.02, "{pooled}");
    assert!((all / 1_250.8 - 1.0).abs() < 0.02, "{all}");
    assert!((waiting * 12_342.3 / 1_000.0 - 1.0).abs() < 0.03, "{waiting}");
    assert!((active / 0.799_5 - 1.0).abs() < 0.03, "{active}");
}

#[test]
fn a_thousand_requests_a_second_take_eight_hundred_to_a_thousand_environments() {
    // Article 002, legacy network interfaces: at 1,000/s a handler of 0.8 to 1 s.
    let mut function = function(0);
    function["idle_life"] = json!("1h");
    let text = lone(&poisson(1_000.0, 60.0), &wait(&lognormal(820.0, 0.5)), &function, 10_000);
    let row = first(&text);
    let most = peak(&row, "environments");
    assert!((800..1_000).contains(&most), "{most}");
}

#[test]
fn ten_to_fifteen_seconds_at_minimum_load_with_legacy_interfaces_and_not_later() {
    // Article 002 says 3 to 5 s without a VPC and 10 to 15 s in one. A request every 70 min meets no idle environment.
    let sorted = |era: &str| {
        let mut text =
            lone(&even(1.0 / 4_200.0, 4_200.0 * 300.0), &wait(&constant(50.0)), &function(0), 1000);
        let own = &mut text["designs"]["d"]["nodes"]["fn"]["lambda"];
        *own = json!({"account": "main", "memory": "512MB", "runtime": "nodejs18", "timeout": "60s",
            "vpc": true, "package": "30MB"});
        text["era"] = json!(era);
        text["run"] = json!({"replications": 2, "horizon": "10000h"});
        let row = first(&text);
        let latency = &row.ledger.classes[0].latency;
        assert_eq!(counter(&row, "fn", "cold_starts"), ok(&row));
        [0.25, 0.75].map(|q| latency.quantile(q).unwrap())
    };
    // Half of the cold starts attach an interface: the upper quartile is the middle of those.
    let [low, high] = sorted("y2018");
    assert!((3.0..5.0).contains(&low) && (10.0..15.0).contains(&high), "{low} {high}");
    let [low, high] = sorted("y2020");
    assert!((3.0..5.0).contains(&low) && (3.0..5.0).contains(&high), "{low} {high}");
}

#[test]
fn a_504_comes_from_waiting_and_the_work_goes_on() {
    // Cold starts of 12 s and logins in line at the database take longer than the 29 s of a REST API.
    let text = |era: &str| {
        json!({"name": "wait", "era": era,
            "workload": {"users": poisson(200.0, 20.0)},
            "work": {"job": [{"query": {"to": "db", "hold": {"constant": "10ms"}}}]},
            "designs": {"d": {"enter": {"users": "gate"}, "accounts": {"main": {}},
                "nodes": {"gate": {"api_gateway": {"kind": "rest", "to": "fn"}},
                    "fn": {"lambda": {"account": "main", "memory": "512MB", "runtime": "nodejs18",
                        "timeout": "60s", "vpc": true, "package": "30MB"}},
                    "db": {"mysql": {"connections": 2000, "vcpu": 1, "login": {"constant": "100ms"}}}}}},
            "run": {"replications": 2}})
    };
    let row = first(&text("y2018"));
    let waited: u64 = failures(&row).iter().filter(|f| f.1 == 504).map(|f| f.2).sum();
    assert!(failures(&row).iter().all(|f| f.1 != 504 || f.0 == Cause::IntegrationTimeout));
    assert!(waited > 50, "{:?}", failures(&row));
    // The function worked on: it answered more invocations than the users saw answers.
    assert!(counter(&row, "fn", "invocations") >= ok(&row) + waited);
}

#[test]
fn pre_warming_cuts_cold_starts_by_ninety_five_percent_and_costs_more() {
    let (_, text) = scenarios().into_iter().find(|(own, _)| own == "lambda-warm-up").unwrap();
    let plan = plan(&text, 5);
    let rows = replicate(&plan, &Silent).unwrap();
    let result = run(&plan, &Silent).unwrap();
    let at = |name: &str| result.designs.iter().position(|design| design.name == name).unwrap();
    let cold = |name: &str| {
        rows[at(name)].iter().map(|row| counter(row, "fn", "cold_starts")).sum::<u64>() as f64
    };
    let line = |name: &str, of: &str| {
        let lines = result.designs[at(name)].cost.lines.iter();
        lines.filter(|line| line.node.contains(of)).map(|line| line.amount).sum::<f64>()
    };
    for name in ["pings", "predicted", "provisioned"] {
        let left = cold(name) / cold("plain");
        assert!(left <= 0.05, "{name}: {left}");
    }
    // Pings have a line of their own; since Init is billed, the cold starts that they spare pay for them.
    let total = |name: &str| result.designs[at(name)].cost.total.value;
    for name in ["pings", "predicted"] {
        let own = line(name, "(warm-up)") / total(name);
        assert!((0.02..0.15).contains(&own), "{name}: {own}");
        assert!(total(name) < total("plain"), "{name}");
    }
    assert!(total("provisioned") > 3.0 * total("plain"));
}

#[test]
fn platform_errors_by_era_are_those_that_were_reported() {
    let of = |era: &str, field: &str, value: serde_json::Value| {
        let mut function = function(0);
        function["timeout"] = json!("1s");
        function[field] = value;
        let mut text = lone(&even(1_000.0, 10.0), &wait(&constant(1.0)), &function, 10_000);
        text["era"] = json!(era);
        failures(&first(&text))
    };
    for (era, share) in [("y2019", 0.02), ("y2023", 6.25e-7)] {
        let told = of(era, "platform_errors", json!(share));
        assert_eq!(of(era, "platform_errors_of_era", json!(true)), told, "{era}");
        assert_eq!(told.is_empty(), share < 0.01);
    }
}
