//! Machines of the cluster: what their type gives them, what they cost, and what runs out.

use super::common::{outturns, plan, result};
use super::facts_lambda::{first, function};
use super::theory::{burst, no_network};
use headroom::experiment::{Silent, counterfactuals, run};
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn scenario(rate: f64, seconds: u32, work: &Value, nodes: &Value) -> Value {
    json!({
        "name": "machines",
        "workload": {"users": {
            "load": {"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}, "arrivals": "even"}},
            "request": "job", "connection": no_network()
        }},
        "work": {"job": work},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes}},
        "run": {"replications": 2, "seed": 1, "horizon": format!("{}s", seconds + 600)}
    })
}

/// One pod of many threads on a host like this.
fn pod(hosts: &Value) -> Value {
    json!({"edge": {"pods": {"replicas": 1, "hosts": hosts, "runtime": {"threads": {"threads": 1000}}}}})
}

/// Mean latency of 60 requests of 100 ms of processor time a second.
fn latency(hosts: Value) -> f64 {
    let work = json!([{"cpu": {"constant": "100ms"}}]);
    let row = &outturns(&scenario(60.0, 20, &work, &pod(&hosts)).to_string())[0][0];
    row.ledger.classes[0].latency.sum_nanos() as f64 * 1e-9 / row.ledger.classes[0].ok as f64
}

#[test]
fn a_host_has_the_processors_of_its_type_unless_others_are_said() {
    // Six processors' worth of work: eight are enough, two are not.
    let eight = latency(json!({"count": 1, "instance": "c5.2xlarge"}));
    assert!((eight - 0.1).abs() < 1e-6, "{eight}");
    let two = latency(json!({"count": 1, "instance": "c5.2xlarge", "vcpu": 2}));
    assert!(two > 10.0, "{two}");
    let small = latency(json!({"count": 1, "instance": "c5.large"}));
    assert!((small - two).abs() < 1e-9, "{small} {two}");
}

#[test]
fn a_database_has_the_processors_and_the_memory_of_its_class() {
    let limits = |spec: Value| {
        let work = json!([{"query": {"to": "db", "hold": {"constant": "1ms"}}}]);
        let mut nodes = pod(&json!({"count": 1}));
        nodes["db"] = json!({"postgres": spec});
        let row = &outturns(&scenario(1.0, 1, &work, &nodes).to_string())[0][0];
        row.ledger.limits.iter().map(|limit| limit.about.clone()).collect::<Vec<_>>()
    };
    let has = |spec: Value, words: &str| {
        let limits = limits(spec);
        assert!(limits.iter().any(|about| about.contains(words)), "{words}: {limits:?}");
    };
    has(json!({"class": "rds.postgres.m5.xlarge"}), "logins on 4 vCPU");
    has(json!({"class": "rds.postgres.m5.xlarge"}), "1799 connection slots");
    has(json!({"class": "rds.postgres.m5.xlarge", "vcpu": 3}), "logins on 3 vCPU");
    has(json!({"connections": 10}), "logins on 2 vCPU");
}

#[test]
fn credits_that_are_used_up_are_the_bottleneck_and_not_the_processor() {
    // A whole vCPU is wanted, 30 credits last for 33 minutes, and then a tenth is left.
    let hosts = json!({"count": 1, "instance": "t2.micro", "credits": {}});
    let work = json!([{"cpu": {"constant": "100ms"}}]);
    let mut text = scenario(10.0, 3000, &work, &pod(&hosts));
    text["workload"]["users"]["patience"] = json!({"timeout": "5s"});
    let outcome = result(&text.to_string());
    let design = &outcome.designs[0];
    let named = design.bottleneck.as_ref().unwrap();
    assert_eq!((named.node.as_str(), named.limit.as_str()), ("edge", "cpu_credits"), "{named:?}");
    assert!((named.at - 2000.0).abs() < 10.0, "{named:?}");
    let blame = design.failures[0].blame.as_ref().unwrap();
    assert_eq!((blame.limit.as_str(), blame.how.as_str()), ("cpu_credits", "waited"), "{blame:?}");
    // With more of them at the start there is none.
    text["designs"]["d"]["nodes"]["edge"]["pods"]["hosts"]["credits"] = json!({"earned": 144});
    let rich = result(&text.to_string());
    assert!(rich.designs[0].failures.is_empty());
    let found = rich.designs[0].limits.iter().any(|limit| limit.limit == "cpu_credits");
    assert!(!found, "a limit that nobody met does not bind");
}

#[test]
fn credits_can_be_lifted_to_see_what_would_be_without_the_limit() {
    let hosts = json!({"count": 1, "instance": "t2.micro", "credits": {}});
    let work = json!([{"cpu": {"constant": "100ms"}}]);
    let mut text = scenario(10.0, 2500, &work, &pod(&hosts));
    text["workload"]["users"]["patience"] = json!({"timeout": "5s"});
    let plan = plan(&text.to_string());
    let mut outcome = run(&plan, &Silent).unwrap();
    counterfactuals(&plan, &mut outcome, &Silent).unwrap();
    let told = outcome.designs[0].counterfactual.as_ref().unwrap();
    let paths: Vec<&str> = told.changes.iter().map(|change| change.path.as_str()).collect();
    assert!(paths.len() == 1 && paths[0].ends_with("hosts.credits"), "{told:?}");
}

/// The usage line of an item of a node.
fn usage(row: &Outturn, item: &str) -> headroom::model::usage::UsageLine {
    row.reports.iter().flat_map(|own| &own.usage).find(|own| own.item == item).unwrap().clone()
}

#[test]
fn a_gateway_is_paid_for_requests_that_fail_behind_it() {
    let door = |kind: &str, users: &Value, job: &Value, more: &Value| {
        let mut gateway =
            json!({"kind": kind, "to": "fn", "overhead": {"constant": "0s"}, "timeout": "2s"});
        for (key, value) in more.as_object().unwrap() {
            gateway[key] = value.clone();
        }
        let text = json!({"name": "doors", "era": "y2026", "workload": {"users": users}, "work": {"job": job},
            "designs": {"d": {"enter": {"users": "door"},
                "nodes": {"door": {"api_gateway": gateway}, "fn": {"lambda": function(0)}},
                "accounts": {"main": {"concurrency": 1000}}}},
            "run": {"replications": 2}});
        let line = usage(&first(&text), &format!("api_gateway.{kind}"));
        (line.quantity, line.wasted)
    };
    let users = burst(10, "0s", "job");
    let quick = json!([{"wait": {"constant": "1ms"}}]);
    let none = json!({});
    assert_eq!(door("rest", &users, &quick, &none), (10.0, 0.0));
    // The function fails, or takes longer than the gateway waits.
    assert_eq!(door("rest", &users, &json!([{"fail": {"share": 1.0}}]), &none), (10.0, 10.0));
    assert_eq!(door("http", &users, &json!([{"wait": {"constant": "3s"}}]), &none), (10.0, 10.0));
    // Bodies of 600 KB are two requests each to an HTTP API; those that are too large are billed and of no use.
    let mut large = users.clone();
    large["body"] = json!("600KB");
    assert_eq!(door("http", &large, &json!([{"fail": {"share": 1.0}}]), &none), (20.0, 20.0));
    large["body"] = json!("11MB");
    assert_eq!(door("rest", &large, &quick, &none), (10.0, 10.0));
    // Who leaves before the answer has no use of it; what is throttled is not billed.
    let mut hasty = users.clone();
    hasty["patience"] = json!({"timeout": "1s"});
    assert_eq!(
        door("rest", &hasty, &json!([{"wait": {"constant": "1500ms"}}]), &none),
        (10.0, 10.0)
    );
    let stage = json!({"stage": {"rate": "1/s", "burst": 4}});
    assert_eq!(door("rest", &users, &quick, &stage), (4.0, 0.0));
    // Money follows.
    let mut text = json!({"name": "doors", "era": "y2026", "workload": {"users": users},
        "work": {"job": [{"fail": {"share": 1.0}}]},
        "designs": {"d": {"enter": {"users": "door"},
            "nodes": {"door": {"api_gateway": {"kind": "rest", "to": "fn"}}, "fn": {"lambda": function(0)}},
            "accounts": {"main": {"concurrency": 1000}}}},
        "run": {"replications": 2}});
    let wasted = |text: &Value| result(&text.to_string()).designs[0].cost.wasted.value;
    let behind_a_door = wasted(&text);
    text["designs"]["d"]["nodes"]["door"] = json!({"function_url": {"to": "fn"}});
    // Ten requests at 3.50 dollars a million.
    assert!((behind_a_door - wasted(&text) - 10.0 * 3.5e-6).abs() < 1e-9, "{behind_a_door}");
}

#[test]
fn spot_hosts_are_billed_in_hours_at_a_share_of_the_price() {
    let hosts = |spot: Value| json!({"count": 2, "instance": "m5.large", "spot_price": spot});
    let work = json!([{"wait": {"constant": "1ms"}}]);
    let line = |spot: Value| {
        let text = scenario(1.0, 1800, &work, &pod(&hosts(spot))).to_string();
        let outcome = result(&text);
        let shown = headroom::report::table(&outcome, 120, false);
        (outcome.designs[0].cost.lines[0].clone(), shown)
    };
    let (full, _) = line(Value::Null);
    let (spot, shown) = line(json!(0.35));
    assert_eq!((full.price_share, spot.price_share), (None, Some(0.35)));
    assert!((full.quantity - 1.0).abs() < 1e-3 && spot.quantity == full.quantity, "{spot:?}");
    for (part, whole) in
        [(spot.amount, full.amount), (spot.monthly, full.monthly), (spot.idle, full.idle)]
    {
        assert!((part - 0.35 * whole).abs() < 1e-9, "{part} {whole}");
    }
    assert!(shown.contains("hour at 35.0 % of the price"), "{shown}");
}

#[test]
fn provisioned_concurrency_is_billed_in_started_five_minutes() {
    let mut own = function(0);
    own["provisioned"] = json!({"concurrency": 20});
    let text = |at: &str| {
        json!({"name": "held", "workload": {"users": burst(1, at, "job")},
            "work": {"job": [{"wait": {"constant": "10s"}}]},
            "designs": {"d": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": own}}, "accounts": {"main": {}}}},
            "run": {"replications": 2}})
    };
    // Memory is 1 GB. The window ends at 100 s, or at 400 s; a month is held without an end.
    for (at, billed, held) in [("90s", 300.0, 100.0), ("390s", 600.0, 400.0)] {
        let line = usage(&first(&text(at)), "lambda.provisioned.x86_64");
        assert!((line.quantity - 20.0 * billed).abs() < 1e-6, "{line:?}");
        assert!((line.held - 20.0 * held).abs() < 1e-6, "{line:?}");
        assert!((line.idle - (line.quantity - 10.0)).abs() < 1e-6, "{line:?}");
    }
    let month = |at: &str| result(&text(at).to_string()).designs[0].cost.lines.clone();
    let monthly = |at: &str| {
        month(at).iter().find(|line| line.item == "lambda.provisioned.x86_64").unwrap().monthly
    };
    // 730 hours of 20 GB at 4.1667e-6 dollars a GB-second.
    for at in ["90s", "390s"] {
        let dollars = 730.0 * 3600.0 * 20.0 * 0.000_004_166_7;
        assert!((monthly(at) - dollars).abs() < 1e-6 * dollars, "{at}");
    }
}

#[test]
fn every_listening_socket_takes_a_descriptor() {
    // One worker of 128 descriptors: 10 are its own with one listener, and a request takes two.
    let served = |listeners: u32| {
        let nodes = json!({"edge": {"nginx": {"upstream": ["api"], "workers": 1, "worker_connections": 4096,
                "nofile": 128, "listeners": listeners}},
            "api": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 1000}}}}});
        let mut text = scenario(1.0, 1, &json!([{"wait": {"constant": "2s"}}]), &nodes);
        text["workload"]["users"]["load"] = json!({"burst": {"requests": 100}});
        let row = outturns(&text.to_string()).remove(0).remove(0);
        row.ledger.classes[0].ok
    };
    assert_eq!([1, 3, 5].map(served), [59, 58, 57]);
}
