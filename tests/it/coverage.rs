//! Nominal 95 % intervals cover the truth between 93 and 97 % of the time, over 700 seeds, for every kind of figure
//! that a report prints. The estimators alone, on samples without a simulation, are tested beside them.

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

fn difference(result: &RunResult, metric: &str) -> Estimate {
    result.differences.iter().find(|d| d.metric == metric).unwrap().difference
}

/// Quantile of the lognormal law with mean 0.1 and cv 1, given the normal one.
fn lognormal(z: f64) -> f64 {
    let var = 2.0_f64.ln();
    0.1 * (-var / 2.0 + z * var.sqrt()).exp()
}

#[test]
fn every_kind_of_interval() {
    let mut plan = plan(SCENARIO);
    // Billed: every lost invocation 60 s, the others their time rounded up to the next millisecond (half of one on average).
    let gb_s = 0.1 * 60.0 + 0.9 * (0.1 + 0.0005);
    let per_request = gb_s * 0.000_016_666_7 + 0.2e-6;
    let (p95, p99) = (lognormal(1.644_853_626_951_473), lognormal(2.326_347_874_040_841));
    let figures: [Figure; 17] = [
        ("a mean", 0.1, |r| r.designs[1].latency.mean),
        ("a median", lognormal(0.0), |r| r.designs[1].latency.p50),
        ("p90", lognormal(1.281_551_565_544_6), |r| r.designs[1].latency.p90),
        ("p95", p95, |r| r.designs[1].latency.p95),
        ("p99", p99, |r| r.designs[1].latency.p99),
        ("p99.9", lognormal(3.090_232_306_167_814), |r| r.designs[1].latency.p99_9),
        ("p95 of a class", p95, |r| r.designs[1].classes[0].latency.p95),
        ("success rate", 0.9, |r| r.designs[0].success_rate),
        ("success rate of a class", 0.9, |r| r.designs[0].classes[0].success_rate),
        ("share of a cause", 0.1, |r| r.designs[0].failures[0].share),
        ("count of a cause", 20.0, |r| r.designs[0].failures[0].count),
        ("users served", 180.0, |r| r.designs[0].users_served),
        ("time at a node", 0.1, |r| r.designs[1].nodes[0].time_mean),
        ("cost", 200.0 * per_request, |r| r.designs[0].cost.total),
        ("cost per user", per_request / 0.9, |r| r.designs[0].cost.per_user),
        ("difference of success", 0.1, |r| difference(r, "success_rate")),
        // The same draws on both sides, but a tenth of them missing on one.
        ("difference of p95", 0.0, |r| difference(r, "latency_p95")),
    ];
    let n = 700;
    let mut covered = [0; 17];
    for seed in 0..n {
        plan.scenario.run.seed = seed;
        let result = run(&plan, &Silent).unwrap();
        for (count, (_, truth, of)) in covered.iter_mut().zip(&figures) {
            *count += usize::from(of(&result).holds(*truth));
        }
    }
    let missed: Vec<String> = covered
        .iter()
        .zip(&figures)
        .map(|(count, (what, ..))| (*count as f64 / n as f64, what))
        .filter(|(share, _)| !(0.93..=0.97).contains(share))
        .map(|(share, what)| format!("{what}: {share:.3}"))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
