//! Nominal 95 % intervals cover the truth between 93 and 97 % of the time, over 1,000 seeds, for every kind of figure.

use super::common::plan;
use headroom::experiment::result::{Estimate, RunResult};
use headroom::experiment::{Silent, run};

/// No queueing: each request takes a lognormal 100 ms (cv 1) and fails with probability 0.1 (lost by the platform, cut at
/// the function's timeout). So every figure's expectation is known exactly, also over a short run.
const SCENARIO: &str = r#"{"name": "known", "era": "y2023", "workload": {"users": {"load": {"open": {"arrivals": "even", "rate": {"steady": {"rate": "20/s", "for": "10s"}}}},
    "request": "job", "connection": {"rtt": "0s", "tls": false}}}, "work": {"job": [{"wait": {"lognormal": {"mean": "100ms", "cv": 1.0}}}]},
    "designs": {
      "a": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "x", "runtime": "go", "memory": "1024MB", "timeout": "60s", "platform_errors": 0.1,
        "place": {"constant": "0s"}, "init": {"constant": "0s"}}}}, "accounts": {"x": {}}},
      "b": {"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "hosts": {"count": 1, "instance": "t3.medium"}, "runtime": {"threads": {"threads": 10000}}}}}}},
    "run": {"replications": 20, "seed": 1}}"#;

/// What is estimated, its true value, and where it stands in a result.
type Figure = (&'static str, f64, fn(&RunResult) -> Estimate);

fn covers(truth: f64, e: &Estimate) -> bool {
    e.low <= truth && truth <= e.high
}

#[test]
fn every_kind_of_interval() {
    let mut plan = plan(SCENARIO);
    // p99 of a lognormal with mean 0.1 and cv 1.
    let (var, z) = (2.0_f64.ln(), 2.326_347_874_040_841);
    let p99 = 0.1 * (-var / 2.0 + z * var.sqrt()).exp();
    // Billed: every lost invocation 60 s, the others their time rounded up to the next millisecond (half of one on average).
    let gb_s = 0.1 * 60.0 + 0.9 * (0.1 + 0.0005);
    let per_request = gb_s * 0.000_016_666_7 + 0.2e-6;
    let per_user = per_request / 0.9;
    let n = 1000;
    let figures: [Figure; 5] = [
        ("mean latency", 0.1, |r| r.designs[1].latency.mean),
        ("success rate", 0.9, |r| r.designs[0].success_rate),
        ("p99", p99, |r| r.designs[1].latency.p99),
        ("cost per user", per_user, |r| r.designs[0].cost.per_user),
        ("difference of success", 0.1, |r| {
            r.differences.iter().find(|d| d.metric == "success_rate").unwrap().difference
        }),
    ];
    let mut covered = [0; 5];
    for seed in 0..n {
        plan.scenario.run.seed = seed;
        let result = run(&plan, &Silent).unwrap();
        for (count, (_, truth, of)) in covered.iter_mut().zip(&figures) {
            *count += usize::from(covers(*truth, &of(&result)));
        }
    }
    for (count, (what, ..)) in covered.iter().zip(&figures) {
        let share = *count as f64 / n as f64;
        assert!((0.93..=0.97).contains(&share), "{what}: {share}");
    }
}
