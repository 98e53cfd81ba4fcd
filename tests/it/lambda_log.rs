//! Logs of real Lambda functions, replayed; and the upkeep of environments of 2020 in cases that can be computed by hand.

use super::common::outturns;
use super::theory::{constant, no_network, wait};
use headroom::experiment::Silent;
use headroom::experiment::verification::Case;
use headroom::experiment::verify::lambda_log::{predict, read, scenario};
use headroom::model::world::Outturn;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

fn log(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/aws-lambda-2020");
    std::fs::read_to_string(folder.join(format!("{name}.csv"))).unwrap()
}

fn case(name: &str) -> Case {
    predict(&read(name, &log(name)).unwrap(), 8, &Silent).unwrap()
}

fn within(case: &Case, metric: &str) -> bool {
    case.metrics.iter().find(|m| m.name == metric).unwrap().within
}

#[test]
fn five_real_logs_are_met() {
    let cases: Vec<Case> = ["run02", "run03", "run05", "run07", "run09"].map(case).into();
    let met = |metric: &str| cases.iter().filter(|case| within(case, metric)).count();
    for metric in ["new_environment", "environments"] {
        assert_eq!(met(metric), 5, "{metric}: {cases:#?}");
    }
    assert!(met("slow_start") >= 4, "{cases:#?}");
    assert!(cases.iter().all(|case| case.note.is_none()));
}

#[test]
fn a_replay_is_the_same_twice() {
    assert_eq!(case("run05"), case("run05"));
}

#[test]
fn the_scenario_of_a_log_names_its_file() {
    let text = scenario(&read("run05", &log("run05")).unwrap(), "run05.csv");
    assert_eq!(text["workload"]["client"]["load"]["trace"]["file"], "run05.csv");
    assert_eq!(text["era"], "y2020");
}

/// A function of one second's work and a start-up of 400 ms, with other fields of its own.
fn design(users: &Value, function: &Value) -> Outturn {
    let mut lambda = json!({"account": "main", "runtime": "python3.9", "timeout": "60s",
        "memory": "128MB", "place": {"constant": "400ms"}, "init": {"constant": "0s"}});
    for (name, value) in function.as_object().unwrap() {
        lambda[name] = value.clone();
    }
    let classes = users.as_object().unwrap().keys();
    let enter: Map<String, Value> = classes.map(|name| (name.clone(), json!("fn"))).collect();
    let scenario = json!({"name": "upkeep", "era": "y2020",
        "workload": users, "work": {"job": wait(&constant(1000.0))},
        "designs": {"d": {"enter": enter, "nodes": {"fn": {"lambda": lambda}},
            "accounts": {"main": {"concurrency": 1000}}}},
        "run": {"replications": 2, "horizon": "12h"}});
    outturns(&scenario.to_string()).remove(0).remove(0)
}

/// Requests at these seconds.
fn served(starts: &[f64], function: &Value) -> Outturn {
    let class = |(i, at): (usize, &f64)| {
        let load = json!({"burst": {"requests": 1, "at": format!("{at}s")}});
        let class = json!({"load": load, "request": "job", "connection": no_network()});
        (format!("u{i:02}"), class)
    };
    let users: Map<String, Value> = starts.iter().enumerate().map(class).collect();
    design(&Value::Object(users), function)
}

fn counter(row: &Outturn, name: &str) -> u64 {
    row.reports[0].counters.iter().find(|c| c.0 == name).unwrap().1
}

#[test]
fn an_idle_function_loses_its_environments_between_619_and_646_seconds() {
    // The first answer comes at 1.4 s; idle for 617 s is safe, for 648 s is not.
    for (next, cold) in [(618.4, 1), (649.4, 2)] {
        assert_eq!(counter(&served(&[0.0, next], &json!({})), "cold_starts"), cold, "{next}");
    }
}

#[test]
fn a_second_environment_stays_while_the_function_is_used() {
    // Two at once at 0 s, then one every 300 s: at 900 s both are there, at 1,500 s the second is surplus.
    for (pair, cold) in [(900.0, 2), (1500.0, 3)] {
        let mut starts = vec![0.0, 0.0];
        let mut at = 300.0;
        while at < pair {
            starts.push(at);
            at += 300.0;
        }
        starts.extend([pair, pair]);
        assert_eq!(counter(&served(&starts, &json!({})), "cold_starts"), cold, "{pair}");
    }
}

#[test]
fn a_waiting_request_takes_the_first_environment_that_is_free() {
    // The second comes 1.2 s after the first: the first answers at 1.4 s, its own environment would be ready at 1.6 s.
    let starts = [0.0, 1.2];
    for (bind, first_uses, latency) in [("first_free", 1, 1.4 + 1.2), ("own", 2, 1.4 + 1.4)] {
        let row = served(&starts, &json!({"bind": bind}));
        assert_eq!((counter(&row, "cold_starts"), counter(&row, "first_uses")), (2, first_uses));
        let sum: u128 = row.ledger.classes.iter().map(|c| c.latency.sum_nanos()).sum();
        assert!((sum as f64 / 1e9 - latency).abs() < 1e-6, "{bind}: {sum}");
    }
}

#[test]
fn a_timer_said_in_the_scenario_replaces_the_upkeep() {
    let row = served(&[0.0, 618.4], &json!({"idle_life": "10min"}));
    assert_eq!(counter(&row, "cold_starts"), 2);
    assert!(row.reports[0].counters.iter().all(|c| c.0 != "environments_recycled"));
}

#[test]
fn a_busy_function_is_recycled_and_replaced_ahead_of_demand() {
    // A request a minute for eight hours: an environment lives two hours at most, and nobody waits for its successor.
    let load =
        json!({"closed": {"users": 1, "requests_per_user": 480, "think": {"constant": "1min"}}});
    let class = json!({"load": load, "request": "job", "connection": no_network()});
    let row = design(&json!({"user": class}), &json!({}));
    let recycled = counter(&row, "environments_recycled");
    assert!((3..=20).contains(&recycled), "{recycled}");
    assert_eq!(counter(&row, "environments_started_ahead"), recycled);
    assert_eq!(counter(&row, "slow_first_uses"), 1);
    assert_eq!(counter(&row, "first_uses"), recycled + 1);
}
