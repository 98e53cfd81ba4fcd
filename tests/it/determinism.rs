//! The same bytes at any number of threads; the same users in every design.

use super::common::{outturns, plan};
use super::golden;
use headroom::experiment::{Observer, Silent, replicate, run};
use std::sync::atomic::{AtomicUsize, Ordering};

fn bytes(text: &str, threads: usize) -> Vec<u8> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let result = pool.install(|| run(&golden::plan(text, 4), &Silent).unwrap());
    serde_json::to_vec(&result).unwrap()
}

#[test]
fn threads_and_repetition_change_nothing() {
    for (name, text) in golden::scenarios() {
        let one = bytes(&text, 1);
        for threads in [2, 8, 1] {
            assert!(bytes(&text, threads) == one, "{name} differs at {threads} threads");
        }
    }
}

/// Stops when so many replications of designs are done.
struct After(usize, AtomicUsize);
impl Observer for After {
    fn finished(&self, _of: usize) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
    fn stopped(&self) -> bool {
        self.1.load(Ordering::SeqCst) >= self.0
    }
}

#[test]
fn a_stopped_run_keeps_what_its_threads_have_done() {
    let plan = golden::plan(&two_designs(r#"{"none": {}}"#, LAMBDA), 40);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let observer = After(40, AtomicUsize::new(0));
        let rows = pool.install(|| replicate(&plan, &observer).unwrap());
        // 40 are done. Of the first 40 in turn only those are missing that the other threads had in hand.
        assert!(rows.iter().all(|row| row.len() >= (40 - threads) / 2), "{threads} threads");
        assert_eq!(rows[0].len(), rows[1].len());
    }
}

const WORKLOAD: &str = r#""workload": {"users": {"load": {"open": {"rate": {"steady": {"rate": "50/s", "for": "60s"}}}}, "request": "job",
    "patience": {"timeout": "2s"}, "retry": RETRY, "connection": {"rtt": "10ms", "tls": false, "keepalive": false}}},
    "work": {"job": [{"wait": {"lognormal": {"mean": "40ms", "cv": 1.0}}}]}"#;

fn two_designs(retry: &str, second: &str) -> String {
    format!(
        r#"{{"name": "paired", {}, "designs": {{"a": {{"enter": {{"users": "s"}}, "nodes": {{"s": {{"pods": {{"replicas": 1,
        "runtime": {{"threads": {{"threads": 10000}}}}}}}}}}}}, "b": {second}}}, "run": {{"replications": 3, "seed": 5}}}}"#,
        WORKLOAD.replace("RETRY", retry)
    )
}

const LAMBDA: &str = r#"{"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "x", "runtime": "go", "timeout": "60s",
    "place": {"constant": "0s"}, "init": {"constant": "0s"}}}}, "accounts": {"x": {}}}"#;

#[test]
fn two_designs_draw_the_same_arrivals_and_work() {
    // Neither design queues, so each request's latency is its drawn work plus a constant: the two histograms must agree
    // value by value, with and without retries configured.
    for retry in [r#"{"none": {}}"#, r#"{"exponential": {"attempts": 4, "base": "50ms"}}"#] {
        let rows = outturns(&two_designs(retry, LAMBDA));
        for (a, b) in rows[0].iter().zip(&rows[1]) {
            let (a, b) = (&a.ledger, &b.ledger);
            assert_eq!(a.started.cells(), b.started.cells(), "arrival times");
            let (a, b) = (&a.classes[0].latency, &b.classes[0].latency);
            assert_eq!(a.count(), b.count());
            assert_eq!(a.sum_nanos(), b.sum_nanos(), "the drawn work");
            assert_eq!(a, b);
        }
    }
}

#[test]
fn retries_shift_nobody_elses_draws() {
    // The second design fails some requests, which are retried; its arrivals and the first attempts' work stay those of
    // the first design.
    let lossy =
        LAMBDA.replace(r#""accounts": {"x": {}}"#, r#""accounts": {"x": {"concurrency": 3}}"#);
    let retry = r#"{"fixed": {"attempts": 3, "delay": "100ms"}}"#;
    let rows = outturns(&two_designs(retry, &lossy));
    for (a, b) in rows[0].iter().zip(&rows[1]) {
        assert_eq!(a.ledger.started.cells(), b.ledger.started.cells());
        assert!(b.ledger.classes[0].attempts > b.ledger.classes[0].issued, "there are retries");
        assert_eq!(a.ledger.classes[0].attempts, a.ledger.classes[0].issued);
    }
}

#[test]
fn another_design_or_node_changes_nothing_in_this_one() {
    let retry = r#"{"none": {}}"#;
    let with_lambda = outturns(&two_designs(retry, LAMBDA));
    let other = r#"{"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1}}, "unused": {"postgres": {"connections": 10}}}}"#;
    let with_pods = outturns(&two_designs(retry, other));
    for (a, b) in with_lambda[0].iter().zip(&with_pods[0]) {
        assert_eq!(a.ledger.classes[0].latency, b.ledger.classes[0].latency);
        assert_eq!(a.events, b.events);
    }
}

#[test]
fn pairing_narrows_the_interval_of_the_difference() {
    let second = r#"{"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 4}}}}}}"#;
    let mut plan = plan(&two_designs(r#"{"none": {}}"#, second));
    plan.scenario.run.replications = 20;
    let result = run(&plan, &Silent).unwrap();
    let row = result.differences.iter().find(|d| d.metric == "latency_mean").unwrap();
    let paired = row.difference.high - row.difference.low;
    let wide = |i: usize| {
        let e = result.designs[i].latency.mean;
        e.high - e.low
    };
    let unpaired = (wide(0).powi(2) + wide(1).powi(2)).sqrt();
    assert!(paired < unpaired, "{paired} against {unpaired}");
}
