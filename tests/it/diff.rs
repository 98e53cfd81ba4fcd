//! `headroom diff`: false alarms, power with and without pairs, what the command prints and how it ends.

use super::common::{plan, result};
use headroom::experiment::compare::{Change, Comparison, compare};
use headroom::experiment::{Plan, Silent, run};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

/// Poisson arrivals; a tenth of the invocations is lost; a queue before two threads. Every compared figure varies.
fn scenario(wait_ms: f64) -> Value {
    json!({"name": "shop", "workload": {"users": {"load": {"open": {"rate": {"steady": {"rate": "20/s", "for": "10s"}}}},
            "request": "job", "connection": {"rtt": "0s", "tls": false}}},
        "work": {"job": [{"wait": {"lognormal": {"mean": format!("{wait_ms}ms"), "cv": 1.0}}}]},
        "designs": {
            "lambda": {"enter": {"users": "fn"}, "accounts": {"x": {}}, "nodes": {"fn": {"lambda": {"account": "x", "runtime": "go", "timeout": "2s", "platform_errors": 0.1}}}},
            "queue": {"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 3}}}}}},
            "wide": {"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 10000}}}}}}},
        "run": {"replications": 20, "seed": 1}})
}

fn of_seed(plan: &mut Plan, seed: u64) -> headroom::experiment::result::RunResult {
    plan.scenario.run.seed = seed;
    run(plan, &Silent).unwrap()
}

#[test]
fn identical_scenarios_with_different_seeds_are_seldom_called_different() {
    let mut plan = plan(&scenario(100.0).to_string());
    plan.scenario.run.replications = 10;
    let (mut alarms, n) = (0, 200);
    for pair in 0..n {
        let (a, b) = (of_seed(&mut plan, 2 * pair), of_seed(&mut plan, 2 * pair + 1));
        let diff = compare(&a, &b, 0.0).unwrap();
        assert_eq!(diff.pairs, 0);
        alarms += u32::from(diff.changed());
    }
    // At most 5 %, and 3 points for the chance of 200 pairs.
    assert!(f64::from(alarms) / n as f64 <= 0.08, "{alarms} of {n}");
}

fn mean_latency(diff: &Comparison, design: &str) -> Change {
    let row = |row: &&headroom::experiment::compare::Delta| {
        row.design == design && row.metric == "latency_mean"
    };
    diff.rows.iter().find(row).unwrap().change
}

/// Nothing queues at `wide`, so work that takes 3 % longer is a mean latency 3 % longer.
#[test]
fn three_percent_of_latency_show_in_pairs_and_not_without() {
    let (mut before, mut after) =
        (plan(&scenario(100.0).to_string()), plan(&scenario(103.0).to_string()));
    let (mut paired, mut unpaired, n) = (0, 0, 20);
    for seed in 0..n {
        let base = of_seed(&mut before, seed);
        let (same, other) = (of_seed(&mut after, seed), of_seed(&mut after, seed + 1_000));
        let worse = |new| {
            let diff = compare(&base, new, 0.0).unwrap();
            u64::from(mean_latency(&diff, "wide") == Change::Worse)
        };
        paired += worse(&same);
        unpaired += worse(&other);
        let diff = compare(&base, &same, 0.0).unwrap();
        let row = diff.rows.iter().find(|r| r.design == "wide" && r.metric == "latency_mean");
        let relative = row.unwrap().relative.unwrap();
        assert!((relative.value - 0.03).abs() < 1e-6, "{relative:?}");
    }
    assert_eq!(paired, n);
    assert!(unpaired <= 2, "{unpaired} of {n} without pairs");
}

#[test]
fn a_result_is_identical_to_itself_and_tolerance_hides_small_changes() {
    let (base, new) = (result(&scenario(100.0).to_string()), result(&scenario(103.0).to_string()));
    let same = compare(&base, &base, 0.0).unwrap();
    assert!(!same.changed() && same.rows.iter().all(|row| row.delta.value == 0.0));
    let diff = compare(&base, &new, 0.10).unwrap();
    assert_eq!(mean_latency(&diff, "wide"), Change::Negligible);
    let back = compare(&new, &base, 0.0).unwrap();
    assert_eq!(mean_latency(&back, "wide"), Change::Better);
    assert!(!back.regressed());
}

fn headroom(args: &[&str], summary: Option<&PathBuf>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headroom"));
    command.args(args).env_remove("GITHUB_STEP_SUMMARY").env_remove("CLICOLOR_FORCE");
    if let Some(path) = summary {
        command.env("GITHUB_STEP_SUMMARY", path);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("diff");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, value: &Value| {
        let path = dir.join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let base = file("base.json", &scenario(100.0));
    let mut other = scenario(110.0);
    other["designs"]["new one"] = other["designs"]["wide"].clone();
    other["designs"].as_object_mut().unwrap().shift_remove("queue");
    let new = file("new.json", &other);
    let out = dir.join("out");
    let run = headroom(&["run", &base, "--seed", "7", "--out", out.to_str().unwrap()], None);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let stored = out.join("result.json").to_str().unwrap().to_owned();

    // A stored result against a scenario: the latter runs under the seed of the former.
    let summary = dir.join("summary.md");
    std::fs::write(&summary, "already there\n").unwrap();
    let output = headroom(&["diff", &stored, &new, "--format", "json"], Some(&summary));
    assert_eq!(output.status.code(), Some(99), "{}", text(&output.stderr));
    let diff: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&diff["pairs"], &diff["new"]["seed"]), (&json!(20), &json!(7)));
    assert_eq!((&diff["only_base"], &diff["only_new"]), (&json!(["queue"]), &json!(["new one"])));
    let rows = diff["rows"].as_array().unwrap();
    let row = rows.iter().find(|r| r["design"] == "wide" && r["metric"] == "latency_p95").unwrap();
    assert_eq!(row["change"], "worse");
    let written = std::fs::read_to_string(&summary).unwrap();
    assert!(written.starts_with("already there\n"), "{written}");
    assert!(written.contains("❌ worse | wide | latency_mean"), "{written}");

    for (args, exit) in [
        (vec!["--fail-on", "never"], 0),
        (vec!["--fail-on", "change"], 99),
        (vec!["--tolerance", "50"], 0),
    ] {
        let all: Vec<&str> = ["diff", &base, &new].into_iter().chain(args.clone()).collect();
        assert_eq!(headroom(&all, None).status.code(), Some(exit), "{args:?}");
    }
    let table = text(&headroom(&["diff", &base, &base], None).stdout);
    assert!(table.starts_with("identical in all 24 figures"), "{table}");
    let csv = text(&headroom(&["diff", &base, &new, "--format", "csv"], None).stdout);
    assert!(csv.lines().count() == 17 && csv.contains(",worse"), "{csv}");

    let mut old: Value = serde_json::from_slice(&std::fs::read(&stored).unwrap()).unwrap();
    old["schema_version"] = json!(2);
    let old = file("old.json", &old);
    let output = headroom(&["diff", &stored, &old], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("error[E0012]"), "{}", text(&output.stderr));
    let mut lonely = scenario(100.0);
    lonely["designs"] = json!({"other": lonely["designs"]["wide"].clone()});
    let lonely = file("lonely.json", &lonely);
    let output = headroom(&["diff", &stored, &lonely], None);
    assert!(text(&output.stderr).contains("error[E0013]"), "{}", text(&output.stderr));
}
