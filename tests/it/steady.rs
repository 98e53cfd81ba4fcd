//! The steady state where one is asked for: against theory, and only there.

use super::common::{plan, result};
use headroom::experiment::{Silent, run};

/// M/M/1 with load 0.9.
fn queue(seconds: u32, steady: bool) -> String {
    format!(
        r#"{{"name": "queue", "workload": {{"users": {{"load": {{"open": {{"rate": {{"steady": {{"rate": "9/s", "for": "{seconds}s"}}}}}}}},
        "request": "job", "connection": {{"rtt": "0s", "tls": false, "keepalive": false}}}}}}, "work": {{"job": [{{"wait": {{"exponential": {{"mean": "100ms"}}}}}}]}},
        "designs": {{"d": {{"enter": {{"users": "s"}}, "nodes": {{"s": {{"pods": {{"replicas": 1, "runtime": {{"threads": {{"threads": 1}}}}}}}}}}}}}},
        "run": {{"replications": 20, "steady_state": {steady}}}}}"#
    )
}

/// A crowd of 100 at once before M/M/1 with load 0.5: it takes about 20 s to go, then the mean time in the system is
/// 0.1 / (1 − 0.5) = 0.2 s.
#[test]
fn what_comes_before_the_steady_state_is_cut_away() {
    let crowd = r#""crowd": {"load": {"burst": {"requests": 100}}, "request": "job", "connection": {"rtt": "0s", "tls": false, "keepalive": false}}, "users": {"load""#;
    let text = queue(400, true).replace("9/s", "5/s");
    let text = text.replace(r#""users": {"load""#, crowd);
    let text = text.replace(r#""enter": {"#, r#""enter": {"crowd": "s", "#);
    let mut plan = plan(&text);
    let (mut covered, mut whole, mut cut, n) = (0, 0, 0.0, 40);
    for seed in 0..n {
        plan.scenario.run.seed = seed;
        let design = run(&plan, &Silent).unwrap().designs.remove(0);
        let steady = design.steady.unwrap();
        let warm_up = steady.warm_up.unwrap();
        assert!(warm_up >= 10.0, "{warm_up}");
        cut += warm_up / n as f64;
        covered += usize::from(steady.latency_mean.unwrap().holds(0.2));
        whole += usize::from(design.latency.mean.holds(0.2));
    }
    assert!(covered >= 34 && whole == 0, "{covered} of {n}, {whole} uncut");
    assert!((15.0..80.0).contains(&cut), "{cut}");
}

#[test]
fn without_a_warm_up_almost_nothing_goes() {
    // Nobody waits: the latencies are independent from the first on.
    let text = queue(500, true).replace("\"threads\": 1}", "\"threads\": 10000}");
    let design = result(&text).designs.remove(0);
    let steady = design.steady.unwrap();
    assert!(steady.warm_up.unwrap() <= 50.0, "{steady:?}");
    assert!(steady.latency_mean.unwrap().holds(0.1), "{steady:?}");
    assert!(steady.throughput.unwrap().holds(9.0), "{steady:?}");
    assert_eq!(steady.success_rate.unwrap().value.to_bits(), 1.0_f64.to_bits());
}

#[test]
fn intervals_of_a_steady_state_cover_the_truth() {
    let text =
        queue(30, true).replace("9/s", "10/s").replace("\"threads\": 1}", "\"threads\": 10000}");
    // So short a service that the first requests, of which only the quick have ended, weigh nothing.
    let text = text.replace("100ms", "20ms");
    let mut plan = plan(&text.replace("\"replications\": 20", "\"replications\": 10"));
    let (mut mean, mut rate, mut cut, mut found, n) = (0, 0, 0.0, 0, 700);
    for seed in 0..n {
        plan.scenario.run.seed = seed;
        let steady = run(&plan, &Silent).unwrap().designs.remove(0).steady.unwrap();
        let Some(warm_up) = steady.warm_up else { continue };
        found += 1;
        cut += warm_up / steady.until;
        mean += usize::from(steady.latency_mean.unwrap().holds(0.02));
        rate += usize::from(steady.throughput.unwrap().holds(10.0));
    }
    // Now and then noise looks like a trend; then no figure is given.
    assert!(found >= 680 && cut / f64::from(found) < 0.06, "{found}, {cut}");
    for (what, count) in [("mean", mean), ("throughput", rate)] {
        let share = count as f64 / f64::from(found);
        assert!((0.93..=0.97).contains(&share), "{what}: {share:.3}");
    }
}

#[test]
fn a_run_that_does_not_ask_is_not_cut_and_a_burst_has_none() {
    let plain = result(&queue(20, false));
    assert!(plain.designs[0].steady.is_none());
    assert!(plain.resolved["run"].get("steady_state").is_none());
    // More comes than one server can do: the wait grows to the end.
    let text = queue(200, true).replace("9/s", "12/s");
    let steady = result(&text).designs.remove(0).steady.unwrap();
    assert_eq!((steady.warm_up, steady.latency_mean), (None, None));
}

/// Requests in flight grow until the load ends beyond the capacity (M/M/1 of 10 a second), and not below: at 80 % load an interval of 95 %
/// lies above zero once in 40 runs.
#[test]
fn requests_in_flight_grow_beyond_the_capacity_only() {
    let grows = |rate: &str, seeds: u64| {
        let text = queue(200, false).replace("9/s", rate);
        let mut plan = plan(&text.replace("\"replications\": 20", "\"replications\": 10"));
        let told = (0..seeds).filter(|&seed| {
            plan.scenario.run.seed = seed;
            let design = run(&plan, &Silent).unwrap().designs.remove(0);
            let own = design.backlog.unwrap();
            assert!((95.0..=105.0).contains(&own.from) && own.until <= 200.0, "{own:?}");
            assert_eq!(own.grows, design.grows().is_some());
            own.grows
        });
        told.count()
    };
    let (below, above) = (grows("8/s", 200), grows("11/s", 20));
    assert!(below <= 14, "{below} of 200");
    assert!(above >= 18, "{above} of 20");
}

/// A load whose rate changes to its end, or that has an end by itself, has no steady part; one with a last stage of its own has that.
#[test]
fn what_grows_is_looked_for_under_a_steady_rate() {
    let with = |load: &str| {
        let text = queue(200, false)
            .replace(r#"{"open": {"rate": {"steady": {"rate": "9/s", "for": "200s"}}}}"#, load);
        result(&text).designs.remove(0).backlog
    };
    assert_eq!(with(r#"{"closed": {"users": 5, "for": "100s"}}"#), None);
    assert_eq!(with(r#"{"burst": {"requests": 100}}"#), None);
    let ramp =
        r#"{"open": {"rate": {"stages": {"stages": [{"duration": "100s", "target": "5/s"}]}}}}"#;
    assert_eq!(with(ramp), None);
    let flat = r#"{"open": {"rate": {"stages": {"stages": [{"duration": "100s", "target": "5/s"},
        {"duration": "100s", "target": "5/s"}]}}}}"#;
    let own = with(flat).unwrap();
    assert!((148.0..=153.0).contains(&own.from) && !own.grows, "{own:?}");
}
