//! Concurrency of AWS Lambda: worked examples of the fact sheet, provisioned concurrency, budgets by era, hypothetical controls.

use super::common::outturns;
use super::facts_lambda::{counter, failures, first, function, highs, lone, ok, peak};
use super::theory::{
    burst, constant, erlang_b, even, exponential, holds, lognormal, poisson, wait,
};
use headroom::experiment::estimate::ratio;
use headroom::model::message::Cause;
use serde_json::{Value, json};

/// Bursts of one function a minute apart, with so many requests each; handlers end within the minute.
fn minutes(bursts: &[u32], function: &Value, concurrency: u32) -> Value {
    let mut workload = serde_json::Map::new();
    let mut enter = serde_json::Map::new();
    for (minute, requests) in bursts.iter().enumerate() {
        let class = format!("minute{minute}");
        workload.insert(class.clone(), burst(*requests, &format!("{}s", minute * 60), "job"));
        enter.insert(class, json!("fn"));
    }
    json!({"name": "minutes", "era": "y2021", "workload": workload, "work": {"job": [{"wait": {"constant": "30s"}}]},
        "designs": {"d": {"enter": enter, "nodes": {"fn": {"lambda": function}},
            "accounts": {"main": {"concurrency": concurrency}}}},
        "run": {"replications": 2}})
}

/// Failed requests of each class.
fn failed(scenario: &Value) -> Vec<u64> {
    first(scenario).ledger.classes.iter().map(|class| class.failed).collect()
}

#[test]
fn a_reservation_of_zero_is_what_refuses() {
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    let row = first(&lone(&even(10.0, 1.0), &wait(&constant(1.0)), &blocked, 1_000));
    assert_eq!(failures(&row), [(Cause::ThrottledReserved, 429, 10)]);
}

#[test]
fn t_con_3_the_account_grows_by_five_hundred_a_minute() {
    let mut more = even(100.0, 860.0);
    more["request"] = json!("job");
    let mut endless = function(0);
    endless["timeout"] = json!("900s");
    let text = json!({"name": "growth", "era": "y2021",
        "workload": {"users": more, "wave": burst(3_500, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "890s"}}]},
        "designs": {"d": {"enter": {"users": "fn", "wave": "fn"}, "nodes": {"fn": {"lambda": endless}},
            "accounts": {"main": {"concurrency": 10_000}}}},
        "run": {"replications": 2, "horizon": "860s"}});
    let row = first(&text);
    let (width, levels) = highs(&row, "environments");
    let level = |seconds: f64| levels[(seconds / width) as usize];
    // A minute's 500 are taken within 5 s of demand.
    let got = [30.0, 55.0, 75.0, 115.0, 135.0, 830.0, 855.0].map(level);
    assert_eq!(got, [3_000, 3_000, 3_500, 3_500, 4_000, 9_500, 10_000]);
    // Two functions share the burst.
    let two = json!({"name": "two", "era": "y2021",
        "workload": {"a": burst(2_500, "0s", "job"), "b": burst(2_500, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"a": "f", "b": "g"},
            "nodes": {"f": {"lambda": function(0)}, "g": {"lambda": function(0)}},
            "accounts": {"main": {"concurrency": 10_000}}}},
        "run": {"replications": 2}});
    assert_eq!(ok(&first(&two)), 3_000);
    // In two accounts, or regions, each has its own.
    let mut apart = two;
    apart["designs"]["d"]["accounts"]["other"] =
        json!({"concurrency": 10_000, "region": "eu-central-1"});
    apart["designs"]["d"]["nodes"]["g"]["lambda"]["account"] = json!("other");
    assert_eq!(failed(&apart), [0, 1_500]);
}

#[test]
fn t_con_5_the_operator_guide() {
    let none = function(0);
    assert_eq!(failed(&minutes(&[10_000], &none, 10_000)), [7_000]);
    assert_eq!(failed(&minutes(&[5_000, 5_000], &none, 10_000)), [2_000, 1_500]);
    assert_eq!(failed(&minutes(&[3_333, 3_333, 3_334], &none, 10_000)), [333, 0, 0]);
    assert_eq!(failed(&minutes(&[2_500; 4], &none, 10_000)), [0; 4]);
    let mut provisioned = none;
    provisioned["provisioned"] = json!({"concurrency": 7_000});
    let row = first(&minutes(&[10_000], &provisioned, 10_000));
    assert_eq!((ok(&row), counter(&row, "fn", "invocations_provisioned")), (10_000, 7_000));
    assert_eq!(counter(&row, "fn", "cold_starts"), 3_000);
}

#[test]
fn t_con_7_duration_times_rate_is_the_concurrency() {
    let run = |pool| first(&lone(&even(5_000.0, 2.0), &wait(&constant(200.0)), &function(0), pool));
    let exact = run(1_000);
    assert_eq!((ok(&exact), peak(&exact, "concurrency")), (10_000, 1_000));
    let short = run(999);
    assert!(failures(&short).iter().all(|f| f.0 == Cause::ThrottledAccount) && ok(&short) < 10_000);
}

#[test]
fn t_con_9_provisioned_concurrency_is_taken_from_all_others() {
    let mut idle = function(0);
    idle["provisioned"] = json!({"concurrency": 400});
    let text = json!({"name": "others", "workload": {"b": burst(700, "0s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"b": "other"},
            "nodes": {"fn": {"lambda": idle}, "other": {"lambda": function(0)}},
            "accounts": {"main": {}}}},
        "run": {"replications": 2}});
    assert_eq!(ok(&first(&text)), 600);
    // The eleventh at a time, or the 101st in a second, runs on demand.
    let mut ten = function(0);
    ten["provisioned"] = json!({"concurrency": 10});
    for (requests, ms) in [(11, 100.0), (101, 0.0)] {
        let row = first(&lone(&burst(requests, "0s", "job"), &wait(&constant(ms)), &ten, 1_000));
        let provisioned = counter(&row, "fn", "invocations_provisioned");
        assert_eq!((ok(&row), provisioned), (u64::from(requests), u64::from(requests) - 1));
        assert_eq!(counter(&row, "fn", "cold_starts"), 1);
    }
}

#[test]
fn t_con_10_nothing_is_usable_before_all_of_it_is_there() {
    // A request a second for 400 s. Preparation 90 s; then 5,000 at 100/s take 50 s; until 2023-11, 3,000 at once and 500/min.
    for (era, ready) in [("y2023", 140), ("y2021", 90 + 240)] {
        let mut function = function(0);
        function["provisioned"] =
            json!({"concurrency": 5_000, "ready": false, "preparation": {"constant": "90s"}});
        let mut text = lone(&even(1.0, 400.0), &wait(&constant(10.0)), &function, 10_000);
        text["era"] = json!(era);
        let row = first(&text);
        assert_eq!(counter(&row, "fn", "invocations_provisioned"), 400 - ready, "{era}");
    }
    // The documented range: one to two minutes.
    let mut function = function(0);
    function["provisioned"] = json!({"concurrency": 5_000, "ready": false});
    let rows =
        outturns(&lone(&even(1.0, 200.0), &wait(&constant(10.0)), &function, 10_000).to_string());
    for row in &rows[0] {
        let used = counter(row, "fn", "invocations_provisioned");
        assert!((30..=90).contains(&used), "{used}");
    }
}

#[test]
fn provisioned_inside_a_reservation_leaves_the_rest_to_on_demand() {
    let mut inside = function(0);
    inside["reserved"] = json!(30);
    inside["provisioned"] = json!({"concurrency": 20});
    let row = first(&lone(&burst(50, "0s", "job"), &wait(&constant(1_000.0)), &inside, 1_000));
    assert_eq!(ok(&row), 30);
    assert_eq!(counter(&row, "fn", "cold_starts"), 10);
    assert_eq!(failures(&row), [(Cause::ThrottledReserved, 429, 20)]);
    // The whole reservation is provisioned: nothing runs on demand.
    inside["provisioned"]["concurrency"] = json!(30);
    inside["provisioned"]["ready"] = json!(false);
    let row = first(&lone(&burst(50, "0s", "job"), &wait(&constant(1_000.0)), &inside, 1_000));
    assert_eq!((ok(&row), failures(&row)), (0, vec![(Cause::ThrottledReserved, 429, 50)]));
}

#[test]
fn a_schedule_takes_provisioned_environments_away_and_bills_five_minutes() {
    // 100 from the start, 20 from 60 s on. A burst of 100 at 30 s finds all, one at 90 s only 20.
    let mut function = function(0);
    function["provisioned"] =
        json!({"concurrency": 100, "schedule": [{"at": "60s", "concurrency": 20}]});
    let text = json!({"name": "schedule",
        "workload": {"a": burst(100, "30s", "job"), "b": burst(100, "90s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"a": "fn", "b": "fn"}, "nodes": {"fn": {"lambda": function}},
            "accounts": {"main": {}}}},
        "run": {"replications": 2}});
    let row = first(&text);
    assert_eq!(counter(&row, "fn", "invocations_provisioned"), 120);
    assert_eq!(counter(&row, "fn", "cold_starts"), 80);
    let at = row.names.iter().position(|n| n.0 == "fn").unwrap();
    let line = |item: &str| row.reports[at].usage.iter().find(|u| u.item == item).unwrap().clone();
    // 80 were held for a minute and 20 for 100 s, and all are paid for five minutes. Memory is 1 GB.
    let held = line("lambda.provisioned.x86_64");
    assert!((held.quantity - (80.0 * 300.0 + 20.0 * 300.0)).abs() < 1e-6, "{held:?}");
    // At work: 120 × 10 s; Init takes no time here.
    assert!(held.reserved && (held.idle - (held.quantity - 1_200.0)).abs() < 1e-6, "{held:?}");
    assert!((line("lambda.provisioned_duration.x86_64").quantity - 1_200.0).abs() < 1e-6);
    assert!((line("lambda.duration.x86_64").quantity - 800.0).abs() < 1e-6);
}

#[test]
fn target_tracking_follows_the_utilisation() {
    // 70 at a time on 50: after three minutes 50 / 0.7 = 72 are asked for, and more while those are being prepared.
    let mut function = function(0);
    function["provisioned"] = json!({"concurrency": 50, "preparation": {"constant": "60s"},
        "tracking": {"target": 0.7, "min": 10, "max": 200}});
    let row = first(&lone(&even(70.0, 1_500.0), &wait(&constant(1_000.0)), &function, 1_000));
    let share = counter(&row, "fn", "invocations_provisioned") as f64 / 105_000.0;
    assert!(share > 0.9, "{share}");
    assert_eq!(counter(&row, "fn", "cold_starts"), 20);
}

#[test]
fn a_maximum_without_a_reservation_is_a_ceiling_and_no_guarantee() {
    let mut capped = function(150);
    capped["max_concurrency"] = json!(40);
    let two = |a: &Value, b: &Value, accounts: Value| {
        json!({"name": "capped",
            "workload": {"a": burst(100, "0s", "job"), "b": burst(1_000, "1s", "job")},
            "work": {"job": [{"wait": {"constant": "10s"}}]},
            "designs": {"d": {"enter": {"a": "fa", "b": "fb"},
                "nodes": {"fa": {"lambda": a}, "fb": {"lambda": b}}, "accounts": {"main": accounts}}},
            "run": {"replications": 2}})
    };
    // What the capped function does not use is there for the other: 1,000 − 40.
    let row = first(&two(&capped, &function(150), json!({})));
    assert_eq!(row.ledger.classes.iter().map(|c| c.ok).collect::<Vec<_>>(), [40, 960]);
    assert!(failures(&row).contains(&(Cause::ThrottledMaximum, 429, 60)));
    // A group of both.
    let mut member = function(150);
    member["group"] = json!("background");
    let row = first(&two(&member, &member, json!({"groups": {"background": 130}})));
    assert_eq!(row.ledger.classes.iter().map(|c| c.ok).collect::<Vec<_>>(), [100, 30]);
    assert_eq!(failures(&row), [(Cause::ThrottledMaximum, 429, 970)]);
}

#[test]
fn a_raise_of_the_quota_takes_effect_in_time() {
    let mut text = json!({"name": "raise",
        "workload": {"a": burst(3_000, "0s", "job"), "b": burst(3_000, "100s", "job")},
        "work": {"job": [{"wait": {"constant": "10s"}}]},
        "designs": {"d": {"enter": {"a": "fn", "b": "fn"}, "nodes": {"fn": {"lambda": function(0)}},
            "accounts": {"main": {"raises": [{"at": "50s", "concurrency": 2_000}]}}}},
        "run": {"replications": 2}});
    // The second burst reuses 1,000 environments and may start 1,000 more.
    assert_eq!(failed(&text), [2_000, 1_000]);
    text["designs"]["d"]["accounts"]["main"]["raises"] = json!([]);
    assert_eq!(failed(&text), [2_000, 2_000]);
}

#[test]
fn a_stepwise_budget_comes_every_ten_seconds() {
    let mut text = json!({"name": "steps",
        "workload": {"a": burst(1_500, "0s", "job"), "b": burst(1_500, "9.9s", "job"), "c": burst(1_500, "10s", "job")},
        "work": {"job": [{"wait": {"constant": "60s"}}]},
        "designs": {"d": {"enter": {"a": "fn", "b": "fn", "c": "fn"}, "nodes": {"fn": {"lambda": function(0)}},
            "accounts": {"main": {"concurrency": 10_000, "scaling_grain": "stepwise"}}}},
        "run": {"replications": 2}});
    text["designs"]["d"]["nodes"]["fn"]["lambda"]["timeout"] = json!("90s");
    assert_eq!(failed(&text), [500, 1_500, 500]);
    text["designs"]["d"]["accounts"]["main"]["scaling_grain"] = json!("continuous");
    assert_eq!(failed(&text), [500, 510, 1_490]);
}

#[test]
fn throttle_share_of_the_pool_is_erlang_b_whatever_the_law() {
    // Six in 100,000 are seldom: more replications for the lowest load.
    for (a, law, seconds, replications, width) in [
        (900.0, constant(1_000.0), 150.0, 24, 1.0),
        (1000.0, constant(1_000.0), 100.0, 10, 0.15),
        (1000.0, lognormal(1_000.0, 2.0), 200.0, 10, 0.2),
        (1100.0, exponential(1_000.0), 100.0, 10, 0.05),
        (1100.0, constant(1_000.0), 100.0, 10, 0.05),
    ] {
        let mut function = function(0);
        function["timeout"] = json!("900s");
        let mut text = lone(&poisson(a, seconds), &wait(&law), &function, 1_000);
        text["run"] = json!({"replications": replications, "seed": 3});
        let rows = outturns(&text.to_string()).remove(0);
        let refused = |row: &headroom::model::world::Outturn| {
            let clock = row.ledger.clock;
            let skip = (12.0 / clock.width().as_secs_f64()).ceil() as usize;
            let after = |counts: &headroom::kernel::Counts| {
                let mut counts = counts.clone();
                counts.widen(clock);
                counts.cells().iter().skip(skip).sum::<u64>() as f64
            };
            let failed: f64 = row.ledger.failures.iter().map(|f| after(&f.series)).sum();
            (failed, after(&row.ledger.started))
        };
        let share = ratio(&rows.iter().map(refused).collect::<Vec<_>>()).unwrap();
        holds(share, erlang_b(a, 1_000), width);
    }
}
