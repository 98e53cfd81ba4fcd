//! What the functions and the gateways of an account share, and what a gateway puts on the bill: figures by hand.

use super::facts_lambda::{counter, failures, first, function};
use super::scenario::codes;
use super::theory::{burst, constant, even, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Requests of each class that were served.
fn served(scenario: &Value) -> Vec<u64> {
    first(scenario).ledger.classes.iter().map(|class| class.ok).collect()
}

/// Classes `a` and `b`, each at a node of its own.
fn two(users: &Value, job: &Value, enter: [&str; 2], nodes: &Value, accounts: &Value) -> Value {
    json!({"name": "two", "era": "y2025", "workload": {"a": users, "b": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"a": enter[0], "b": enter[1]}, "nodes": nodes, "accounts": accounts}},
        "run": {"replications": 2}})
}

/// A quantity on the bill.
fn billed(row: &Outturn, item: &str) -> f64 {
    let lines = row.reports.iter().flat_map(|report| &report.usage);
    lines.filter(|line| line.item == item).map(|line| line.quantity).sum()
}

#[test]
fn functions_without_a_reservation_share_ten_requests_a_second_for_each_unit() {
    // 20,000 requests a second for 5 s against a bucket of 10,000 and 10,000 a second; 400 at a time, far below the pool.
    let run = |reserved: Value| {
        let (f, mut g) = (function(0), function(0));
        g["reserved"] = reserved;
        let nodes = json!({"f": {"lambda": f}, "g": {"lambda": g}});
        let job = wait(&constant(20.0));
        served(&two(&even(10_000.0, 5.0), &job, ["f", "g"], &nodes, &json!({"main": {}})))
    };
    let shared: u64 = run(Value::Null).iter().sum();
    assert!(shared.abs_diff(60_000) <= 2, "{shared}");
    // A reservation of 500 has 5,000 and 5,000 a second of its own, and leaves the others theirs.
    let [f, g] = run(json!(500))[..] else { panic!() };
    assert!(f == 50_000 && g.abs_diff(30_000) <= 2, "{f} {g}");
}

#[test]
fn gateways_of_an_account_share_its_bucket() {
    let run = |accounts: &Value, more: &Value| {
        let mut http = json!({"kind": "http", "to": "fn"});
        for (key, value) in more.as_object().unwrap() {
            http[key] = value.clone();
        }
        let mut rest = json!({"kind": "rest", "to": "fn"});
        if accounts.as_object().unwrap().len() > 1 {
            rest["account"] = json!("main");
        }
        let nodes = json!({"rest": {"api_gateway": rest}, "http": {"api_gateway": http},
            "fn": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 10_000}}}}});
        let job = wait(&constant(1.0));
        two(&burst(5_000, "0s", "job"), &job, ["rest", "http"], &nodes, accounts)
    };
    let total = |scenario: &Value| served(scenario).iter().sum::<u64>();
    let none = json!({});
    // A design without an account has AWS's figures, 5,000 deep; so has an account that does not say otherwise.
    assert_eq!(total(&run(&json!({}), &none)), 5_000);
    assert_eq!(total(&run(&json!({"main": {}}), &none)), 5_000);
    assert_eq!(total(&run(&json!({"main": {"gateway_burst": 7_000}}), &none)), 7_000);
    let apart = json!({"main": {}, "other": {}});
    let other = json!({"account": "other"});
    assert_eq!(total(&run(&apart, &other)), 10_000);
    // Whoever has several accounts says which.
    let errors = |scenario: &Value| {
        codes(&scenario.to_string())
            .into_iter()
            .filter(|code| code.starts_with('E'))
            .collect::<Vec<_>>()
    };
    let balanced = |more: &Value| {
        let mut text = run(&apart, more);
        let nodes = &mut text["designs"]["d"]["nodes"];
        nodes["lb"] = json!({"alb": {"to": ["fn"]}});
        for door in ["rest", "http"] {
            nodes[door]["api_gateway"]["to"] = json!("lb");
        }
        text
    };
    assert!(errors(&balanced(&other)).is_empty());
    for unclear in [&none, &json!({"account": "mine"})] {
        assert_eq!(errors(&balanced(unclear)), ["E0302"]);
    }
    // In front of functions of two accounts: each has the bucket of its function's.
    let mut functions = run(&apart, &none);
    let nodes = &mut functions["designs"]["d"]["nodes"];
    nodes["rest"]["api_gateway"].as_object_mut().unwrap().remove("account");
    nodes["http"]["api_gateway"]["to"] = json!("other");
    for (name, account) in [("fn", "main"), ("other", "other")] {
        nodes[name] = json!({"lambda": function(0)});
        nodes[name]["lambda"]["account"] = json!(account);
        nodes[name]["lambda"]["reserved"] = json!(0);
    }
    assert!(errors(&functions).is_empty());
    let at_lambda = |row: &Outturn| {
        failures(row).iter().filter(|f| f.0 != Cause::ThrottledGateway).map(|f| f.2).sum::<u64>()
    };
    assert_eq!(at_lambda(&first(&functions)), 10_000);
    functions["designs"]["d"]["nodes"]["other"]["lambda"]["account"] = json!("main");
    assert_eq!(at_lambda(&first(&functions)), 5_000);
}

/// A gateway in front of a function.
fn gate(users: &Value, door: &Value, function: &Value) -> Value {
    json!({"name": "gate", "era": "y2025", "workload": {"users": users}, "work": {"job": wait(&constant(1.0))},
        "designs": {"d": {"enter": {"users": "gate"}, "nodes": {"gate": {"api_gateway": door}, "fn": {"lambda": function}},
            "accounts": {"main": {"concurrency": 20_000}}}},
        "run": {"replications": 2}})
}

#[test]
fn what_a_gateway_throttles_is_not_billed_and_what_lambda_throttles_is() {
    let door = json!({"kind": "rest", "to": "fn"});
    let mut ready = function(0);
    ready["provisioned"] = json!({"concurrency": 9_000});
    let row = first(&gate(&burst(10_000, "0s", "job"), &door, &ready));
    assert_eq!(failures(&row), [(Cause::ThrottledGateway, 429, 5_000)]);
    assert_eq!(
        (counter(&row, "gate", "requests"), billed(&row, "api_gateway.rest")),
        (10_000, 5_000.0)
    );
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    let row = first(&gate(&burst(100, "0s", "job"), &door, &blocked));
    assert_eq!(billed(&row, "api_gateway.rest"), 100.0);
}

#[test]
fn an_http_api_counts_each_started_512_kb() {
    // 5 MB are ten times 512 KB, one byte more eleven; a REST API counts requests.
    for (kind, body, each) in [
        ("http", "5MB", 10.0),
        ("http", "5242881B", 11.0),
        ("http", "0B", 1.0),
        ("rest", "5MB", 1.0),
    ] {
        let mut users = burst(100, "0s", "job");
        users["body"] = json!(body);
        let row = first(&gate(&users, &json!({"kind": kind, "to": "fn"}), &function(0)));
        assert_eq!(billed(&row, &format!("api_gateway.{kind}")), 100.0 * each, "{kind} {body}");
    }
}
