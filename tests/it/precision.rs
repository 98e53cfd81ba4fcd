//! `--precision`: replications are added until intervals are narrow enough, and the intervals that come out still cover.

use super::common::plan;
use headroom::experiment::result::{Estimate, RunResult};
use headroom::experiment::{Precision, Silent, run, run_until};
use std::process::{Command, Output};

/// Forty requests a replication: a tenth is lost and billed to the timeout, the others take a lognormal 100 ms (cv 1).
const SCENARIO: &str = r#"{"name": "known", "era": "y2023", "workload": {"users": {"load": {"open": {"arrivals": "even", "rate": {"steady": {"rate": "20/s", "for": "2s"}}}},
    "request": "job", "connection": {"rtt": "0s", "tls": false}}}, "work": {"job": [{"wait": {"lognormal": {"mean": "100ms", "cv": 1.0}}}]},
    "designs": {
      "a": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "x", "runtime": "go", "memory": "1024MB", "timeout": "60s", "platform_errors": 0.1,
        "place": {"constant": "0s"}, "init": {"constant": "0s"}}}}, "accounts": {"x": {}}},
      "b": {"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "hosts": {"count": 1, "instance": "t3.medium"}, "runtime": {"threads": {"threads": 10000}}}}}}},
    "run": {"replications": 2, "seed": 1}}"#;

type Figure = (&'static str, f64, fn(&RunResult) -> Estimate);

#[test]
fn intervals_of_a_run_that_stops_when_it_is_precise_cover_the_truth() {
    let mut plan = plan(SCENARIO);
    let gb_s = 0.1 * 60.0 + 0.9 * (0.1 + 0.0005);
    let per_request = gb_s * 0.000_016_666_7 + 0.2e-6;
    let var = 2.0_f64.ln();
    let p95 = 0.1 * (-var / 2.0 + 1.644_853_626_951_473 * var.sqrt()).exp();
    let figures: [Figure; 4] = [
        ("success rate", 0.9, |r| r.designs[0].success_rate),
        ("cost per user", per_request / 0.9, |r| r.designs[0].cost.per_user),
        ("mean", 0.1, |r| r.designs[1].latency.mean),
        ("p95", p95, |r| r.designs[1].latency.p95),
    ];
    // Costs vary most: sd / mean of one request is 2.95, so about 58 replications of 40 requests make ± 12 %; the tail of the
    // successes asks for some more.
    let wanted = Precision { relative: 0.12, most: 1_000 };
    let (mut covered, mut replications, n) = ([0; 4], 0, 500);
    for seed in 0..n {
        plan.scenario.run.seed = seed;
        let result = run_until(&plan, &wanted, &Silent).unwrap();
        let told = result.precision.as_ref().unwrap();
        assert!(told.reached && told.width <= 0.12, "{told:?}");
        replications += u64::from(result.replications);
        for (count, (_, truth, of)) in covered.iter_mut().zip(&figures) {
            *count += usize::from(of(&result).holds(*truth));
        }
    }
    let mean = replications as f64 / n as f64;
    assert!((60.0..=100.0).contains(&mean), "{mean} replications");
    for (count, (what, ..)) in covered.iter().zip(&figures) {
        let share = *count as f64 / n as f64;
        assert!((0.93..=0.97).contains(&share), "{what}: {share:.3}");
    }
}

#[test]
fn the_result_is_that_of_so_many_replications_from_the_start() {
    let mut plan = plan(SCENARIO);
    let precise = Precision { relative: 0.1, most: 1_000 };
    let mut sequential = run_until(&plan, &precise, &Silent).unwrap();
    assert!(sequential.replications > 20, "{}", sequential.replications);
    assert!(precise.is_done(&sequential));
    plan.scenario.run.replications = sequential.replications;
    assert!(sequential.precision.take().is_some());
    assert_eq!(sequential, run(&plan, &Silent).unwrap());
}

#[test]
fn what_does_not_become_precise_is_said() {
    let plan = plan(SCENARIO);
    let wanted = Precision { relative: 1e-4, most: 30 };
    let result = run_until(&plan, &wanted, &Silent).unwrap();
    let told = result.precision.clone().unwrap();
    assert!(!told.reached && told.width > 0.1 && result.replications == 30, "{told:?}");
    assert!(wanted.is_done(&result));
}

fn headroom(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headroom"));
    let dir = env!("CARGO_MANIFEST_DIR");
    command.args(args).current_dir(dir).env_remove("CLICOLOR_FORCE").output().unwrap()
}

#[test]
fn the_flag_of_run() {
    let scenario = "scenarios/haproxy.json";
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let wide = headroom(&["run", scenario, "--precision", "50%", "--quiet"]);
    assert!(text(&wide.stdout).contains("Precision of 50 % reached: the widest interval"));
    let narrow = ["run", scenario, "--precision", "0.001", "--most", "3", "--strict", "--quiet"];
    let narrow = headroom(&narrow);
    let told = text(&narrow.stdout);
    assert!(told.contains("not reached") && told.contains("3 replications each"), "{told}");
    assert!([98, 99].contains(&narrow.status.code().unwrap()));
    for bad in [["--precision", "0%"], ["--precision", "x"], ["--most", "9"]] {
        let refused = headroom(&["run", scenario, bad[0], bad[1]]);
        assert_eq!(refused.status.code(), Some(2), "{bad:?}");
    }
}
