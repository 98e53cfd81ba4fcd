//! Against theory: the theoretical value lies inside the 95 % interval.

use super::common::result;

/// A station of `c` servers with unlimited waiting room, Poisson arrivals, no network.
fn station(c: u32, rate: f64, law: &str, seconds: u32, reps: u32) -> String {
    format!(
        r#"{{"name": "station", "workload": {{"users": {{"load": {{"open": {{"rate": {{"steady": {{"rate": "{rate}/s", "for": "{seconds}s"}}}}}}}},
        "request": "job", "connection": {{"rtt": "0s", "tls": false, "keepalive": false}}}}}},
        "work": {{"job": [{{"wait": {law}}}]}},
        "designs": {{"station": {{"enter": {{"users": "station"}}, "nodes": {{"station": {{"pods": {{"replicas": 1,
        "runtime": {{"threads": {{"threads": {c}}}}}}}}}}}}}}},
        "run": {{"replications": {reps}, "seed": 8}}}}"#
    )
}

#[test]
fn mm1_mean_time_in_system() {
    // rho 0.5, service 10 ms: W = 20 ms; a start from empty over 2,000 s costs less than 1e-5 of it.
    let r = result(&station(1, 50.0, r#"{"exponential": {"mean": "10ms"}}"#, 2_000, 20));
    let d = &r.designs[0];
    println!("{:?} {:?}", d.latency.mean, d.success_rate);
    assert!(d.latency.mean.low <= 0.020 && 0.020 <= d.latency.mean.high, "{:?}", d.latency.mean);
}
