//! Pods come, are probed, restart and go: the worked examples of probes, terminations, load balancer checks and readiness gates.

use super::common::outturns;
use super::scenario::findings;
use super::theory::no_network;
use headroom::kernel::Span;
use headroom::model::message::Cause;
use headroom::model::probe::{Belief, ProbeSpec, back_off};
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// `rate` evenly spaced requests a second of `work` at node `edge`.
fn scenario(rate: u32, seconds: u32, work: &Value, nodes: &Value, events: &Value) -> Value {
    json!({
        "name": "pod-life",
        "workload": {"users": {
            "load": {"open": {"rate": {"steady": {"rate": format!("{rate}/s"), "for": format!("{seconds}s")}}, "arrivals": "even"}},
            "request": "job", "connection": no_network()
        }},
        "work": {"job": work},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes, "events": events}},
        "run": {"replications": 2, "seed": 1, "horizon": format!("{}s", seconds + 200)}
    })
}

fn service(replicas: u32, lifecycle: Value) -> Value {
    json!({"pods": {"replicas": replicas, "hosts": {"count": replicas, "vcpu": 1, "instance": "t3.medium"}, "lifecycle": lifecycle}})
}

fn quick() -> Value {
    json!([{"cpu": {"constant": "1ms"}}])
}

fn first(value: &Value) -> Outturn {
    outturns(&value.to_string()).remove(0).remove(0)
}

/// Level times seconds of a gauge over the whole run.
fn area(row: &Outturn, name: &str) -> f64 {
    let gauge = row.ledger.gauges.iter().find(|gauge| gauge.name == name).unwrap();
    gauge.levels.areas().iter().sum::<u128>() as f64 * 1e-9
}

fn lowest(row: &Outturn, name: &str, from: f64) -> f64 {
    let gauge = row.ledger.gauges.iter().find(|gauge| gauge.name == name).unwrap();
    let width = row.ledger.clock.width().as_secs_f64();
    let means = gauge.levels.areas().iter().map(|area| *area as f64 * 1e-9 / width);
    let whole = (row.end.as_secs_f64() / width) as usize;
    let means: Vec<f64> = means.take(whole).skip((from / width) as usize).collect();
    means.into_iter().fold(f64::INFINITY, f64::min)
}

fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
}

fn failed(row: &Outturn) -> u64 {
    row.ledger.classes.iter().map(|class| class.failed).sum()
}

fn lost(row: &Outturn, cause: Cause) -> u64 {
    row.ledger.failures.iter().filter(|f| f.cause == cause).map(|f| f.count).sum()
}

fn event(at: &str, what: Value) -> Value {
    json!({"at": at, "node": "api", "do": what})
}

fn silent_at(at: &str, probe: &Value) -> f64 {
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, json!({"readiness": probe}))});
    let events = json!([event(at, json!({"freeze": {"pod": 0}}))]);
    let row = first(&scenario(1, 80, &quick(), &nodes, &events));
    area(&row, "replicas ready")
}

#[test]
fn t_life_1_a_silent_pod_is_unready_after_21_to_31_seconds() {
    for beside in [true, false] {
        let probe = json!({"phase": "0s", "shares_queue": beside});
        // The probes come at 0, 10, 20, 30 and 40 s, and each gives up a second later.
        let after = silent_at("10100ms", &probe);
        let before = silent_at("9900ms", &probe);
        assert!((after - 41.0).abs() < 1e-6 && (before - 31.0).abs() < 1e-6, "{after} {before}");
    }
    // One that refuses fails at once: 20 s from just before a probe, 30 s from just after one.
    let spec = ProbeSpec::default();
    for (ticks, late) in [([0, 10, 20], 20), ([10, 20, 30], 30)] {
        let mut belief = Belief::new(true);
        let end = ticks.into_iter().find(|_| belief.seen(false, spec.thresholds()).is_some());
        assert_eq!(end, Some(late));
    }
}

#[test]
fn t_life_1_at_a_random_phase_it_is_uniform() {
    let nodes =
        json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, json!({"readiness": {}}))});
    let events = json!([event("20s", json!({"freeze": {"pod": 0}}))]);
    let mut value = scenario(1, 60, &quick(), &nodes, &events);
    value["run"]["replications"] = json!(60);
    let rows = outturns(&value.to_string()).remove(0);
    let times: Vec<f64> = rows.iter().map(|row| area(row, "replicas ready") - 20.0).collect();
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    assert!(times.iter().all(|t| (21.0 - 1e-6..=31.0 + 1e-6).contains(t)), "{times:?}");
    // Uniform on ten seconds: five standard errors of the mean of sixty are 1.9 s.
    assert!((mean - 26.0).abs() < 1.9, "{mean}");
}

/// Two pods with 50 requests a second each; one is deleted at 20 s and not replaced within the run.
fn deleted(pre_stop: &str, lag: &str) -> Outturn {
    let lifecycle = json!({"start": {"constant": "1h"}, "endpoint_lag": {"constant": lag}, "pre_stop": pre_stop});
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(2, lifecycle)});
    let events = json!([event("20s", json!({"terminate": {"pod": 0}}))]);
    first(&scenario(100, 40, &quick(), &nodes, &events))
}

#[test]
fn t_life_2_requests_between_sigterm_and_the_end_of_the_endpoint_are_refused() {
    let row = deleted("0s", "2s");
    let refused = lost(&row, Cause::Refused);
    // 200 requests come in these two seconds; every other one, at random: 100, five standard deviations are 36.
    assert!((64..=136).contains(&refused) && failed(&row) == refused, "{refused}");
    assert_eq!(failed(&deleted("5s", "2s")), 0);
    // A shorter lag never loses more.
    let by_lag = ["0s", "500ms", "1s", "2s", "4s"].map(|lag| failed(&deleted("0s", lag)));
    assert!(by_lag.is_sorted() && by_lag[0] == 0, "{by_lag:?}");
}

#[test]
fn t_life_3_a_crash_loop_waits_10_20_40_80_160_300_seconds() {
    let waits: Vec<f64> = (0..8).map(|n| back_off(n).as_secs_f64()).collect();
    assert_eq!(waits, [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]);
    // It crashes ten seconds after every start: at 10 s, and so on.
    let crashes = [10, 20, 40, 70, 120, 210, 380];
    let events: Vec<Value> =
        crashes.iter().map(|at| event(&format!("{at}s"), json!({"kill": {"pod": 0}}))).collect();
    let lifecycle = json!({"boot": {"constant": "0s"}, "endpoint_lag": {"constant": "0s"}});
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
    let row = first(&scenario(1, 700, &quick(), &nodes, &json!(events)));
    assert_eq!(counter(&row, "api", "restarts"), 7);
    // Seven times ten seconds, and from 680 s to the end.
    let ready = area(&row, "replicas ready") - 70.0;
    let last = row.end.as_secs_f64() - 680.0;
    assert!((ready - last).abs() < 1e-6, "{ready} {last}");
}

#[test]
fn t_life_3_ten_minutes_of_clean_running_begin_anew() {
    let events = json!([
        event("10s", json!({"kill": {"pod": 0}})),
        event("20s", json!({"kill": {"pod": 0}})),
        event("640s", json!({"kill": {"pod": 0}}))
    ]);
    let lifecycle = json!({"boot": {"constant": "0s"}});
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
    let row = first(&scenario(1, 660, &quick(), &nodes, &events));
    // Down from 20 to 30 s only: the third restart is at once.
    let down = row.end.as_secs_f64() - area(&row, "replicas ready");
    assert!((down - 10.0).abs() < 1e-6, "{down}");
}

#[test]
fn t_life_4_a_probe_that_waits_in_line_kills_a_busy_pod() {
    let run = |shares: bool| {
        let lifecycle = json!({"liveness": {"shares_queue": shares}, "sigterm": "exit", "boot": {"constant": "1h"}});
        let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
        let mut value =
            scenario(1, 40, &json!([{"cpu": {"constant": "22900us"}}]), &nodes, &json!([]));
        value["workload"]["users"]["load"] = json!({"closed": {"users": 367, "for": "40s"}});
        // Users whose pod refuses ask again after a while.
        value["workload"]["users"]["load"]["closed"]["think"] = json!({"constant": "100ms"});
        first(&value)
    };
    let killed = run(true);
    assert!(counter(&killed, "api", "restarts") >= 1);
    let until = area(&killed, "replicas ready");
    assert!(lost(&killed, Cause::Reset) > 300, "{:?}", killed.ledger.failures);
    // Ready until the third probe fails, 21 to 31 s into the step; then, without a readiness probe, again at once.
    assert!(until > 0.0);
    let left = run(false);
    assert_eq!((counter(&left, "api", "restarts"), failed(&left)), (0, 0));
}

#[test]
fn t_life_5_without_a_readiness_probe_a_booting_pod_is_sent_requests() {
    let run = |probe: bool| {
        let mut lifecycle = json!({"boot": {"constant": "5s"}, "endpoint_lag": {"constant": "0s"}});
        if probe {
            lifecycle["readiness"] = json!({"shares_queue": false});
        }
        let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(3, lifecycle)});
        let events = json!([event("20010ms", json!({"kill": {"pod": 0}}))]);
        first(&scenario(30, 60, &quick(), &nodes, &events))
    };
    let refused = lost(&run(false), Cause::Refused);
    // 150 requests in five seconds, a third of them: 50, five standard deviations are 29.
    assert!((21..=79).contains(&refused), "{refused}");
    assert_eq!(failed(&run(true)), 0);
}

#[test]
fn a_startup_probe_holds_the_others_back() {
    // A process that needs 25 s to boot: liveness alone would kill it at 20 s.
    let run = |startup: bool| {
        let mut lifecycle = json!({"boot": {"constant": "25s"}, "start": {"constant": "1s"}, "endpoint_lag": {"constant": "0s"},
            "liveness": {"phase": "0s", "shares_queue": false}, "readiness": {"phase": "0s", "shares_queue": false}});
        if startup {
            lifecycle["startup"] = json!({"failure_threshold": 30, "shares_queue": false});
        }
        let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
        let events = json!([event("5s", json!({"terminate": {"pod": 0}}))]);
        first(&scenario(1, 100, &quick(), &nodes, &events))
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(counter(&with, "api", "restarts"), 0);
    assert!(counter(&without, "api", "restarts") >= 1);
    // Container at 6 s, listening at 31 s, startup passes at 36 s and readiness with it.
    let ready = 5.0 + with.end.as_secs_f64() - 36.0;
    assert!((area(&with, "replicas ready") - ready).abs() < 0.01);
}

#[test]
fn t_life_6_an_initial_delay_runs_while_a_startup_probe_holds_its_probe_back() {
    // Container at 6 s, listening at 31 s, startup passes at 36 s: the initial delay of 20 s of readiness is over by then.
    let lifecycle = json!({"boot": {"constant": "25s"}, "start": {"constant": "1s"}, "endpoint_lag": {"constant": "0s"},
        "startup": {"failure_threshold": 30, "shares_queue": false},
        "readiness": {"initial_delay": "20s", "phase": "0s", "shares_queue": false}});
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
    let events = json!([event("5s", json!({"terminate": {"pod": 0}}))]);
    let row = first(&scenario(1, 100, &quick(), &nodes, &events));
    let ready = 5.0 + row.end.as_secs_f64() - 36.0;
    assert!(
        (area(&row, "replicas ready") - ready).abs() < 0.01,
        "{}",
        area(&row, "replicas ready")
    );
}

#[test]
fn t_s3_1_two_probers_with_other_phases_leave_a_window_of_nine_seconds() {
    // Period 10 s, three failures; the target dies just before 0.
    let declared = |phase: u32| {
        let mut belief = Belief::new(true);
        (0..9).map(|tick| phase + 10 * tick).find(|_| belief.seen(false, (1, 3)).is_some())
    };
    assert_eq!((declared(0), declared(9)), (Some(20), Some(29)));
    let gaps: Vec<u32> =
        (0..10).filter_map(|phase| Some(declared(phase)? - declared(0)?)).collect();
    assert_eq!(gaps, (0..10).collect::<Vec<_>>());
}

/// One request of 51 s is in progress when its pod is deleted.
fn long_request(grace: &str) -> Outturn {
    let lifecycle = json!({"grace": grace});
    let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
    let events = json!([event("1500ms", json!({"terminate": {"pod": 0}}))]);
    let mut value = scenario(1, 1, &json!([{"wait": {"constant": "51s"}}]), &nodes, &events);
    value["workload"]["users"]["load"] = json!({"burst": {"requests": 1, "at": "1s"}});
    first(&value)
}

#[test]
fn t_s3_2_a_request_of_51_seconds_needs_a_grace_beyond_it() {
    let (short, long) = (long_request("30s"), long_request("65s"));
    assert_eq!((lost(&short, Cause::Reset), failed(&short)), (1, 1));
    // It dies thirty seconds after the deletion.
    let latency = short.ledger.classes[0].latency.sum_nanos() as f64 * 1e-9;
    assert!(short.end.as_secs_f64() >= 31.5 && short.end.as_secs_f64() < 52.0, "{latency}");
    assert_eq!((failed(&long), long.ledger.classes[0].ok), (0, 1));
}

#[test]
fn a_process_that_ignores_sigterm_serves_until_sigkill_and_one_that_exits_resets() {
    let run = |sigterm: &str| {
        let lifecycle = json!({"sigterm": sigterm, "grace": "10s", "endpoint_lag": {"constant": "0s"}, "start": {"constant": "1h"}});
        let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(2, lifecycle)});
        let events = json!([event("20s", json!({"terminate": {"pod": 0}}))]);
        // Forty requests are in progress at any time, twenty of them in each pod.
        first(&scenario(20, 40, &json!([{"wait": {"constant": "1990ms"}}]), &nodes, &events))
    };
    let exits = lost(&run("exit"), Cause::Reset);
    assert!((8..=32).contains(&exits), "{exits}");
    assert_eq!((failed(&run("drain")), failed(&run("ignore"))), (0, 0));
}

fn balanced(replicas: u32, lifecycle: Value, group: Value) -> Value {
    json!({"edge": {"alb": {"to": ["api"], "target_group": group}}, "api": service(replicas, lifecycle)})
}

#[test]
fn t_alb_1_a_silent_target_is_out_after_35_to_65_seconds_and_back_after_five_passes() {
    let run = |down: Value, up: Value| -> Vec<(f64, f64)> {
        let mut nodes = balanced(2, json!({}), json!({}));
        nodes["api"]["pods"]["lifecycle"] = Value::Null;
        let events = json!([event("60s", down), event("200s", up)]);
        let mut value = scenario(1, 400, &quick(), &nodes, &events);
        value["run"]["replications"] = json!(30);
        let rows = outturns(&value.to_string()).remove(0);
        let width = rows[0].ledger.clock.width().as_secs_f64();
        let times = rows.iter().map(|row| {
            let gauge = row.ledger.gauges.iter().find(|g| g.name == "healthy targets").unwrap();
            let until = |seconds: f64| {
                let areas = gauge.levels.areas().iter().take((seconds / width) as usize);
                areas.sum::<u128>() as f64 * 1e-9
            };
            // One of two is healthy all the time: what the other adds before and after 200 s.
            let split = (200.0 / width).floor() * width;
            let out = until(200.0) - split - 60.0;
            let whole = row.end.as_secs_f64();
            let back =
                (whole - 200.0) - (area(row, "healthy targets") - until(200.0) - (whole - split));
            (out, back)
        });
        times.collect()
    };
    let pod = json!({"pod": 0});
    let silent = run(json!({"freeze": pod}), json!({"thaw": pod}));
    assert!(silent.iter().all(|t| (35.0 - 0.1..=65.1).contains(&t.0)), "{silent:?}");
    let refused = run(json!({"terminate": pod}), json!({"start": pod}));
    assert!(refused.iter().all(|t| (30.0 - 0.1..=60.1).contains(&t.0)), "{refused:?}");
    assert!(refused.iter().all(|t| (120.0 - 0.1..=150.1).contains(&t.1)), "{refused:?}");
    // A check that waits when the target comes to life again is answered in time: up to five seconds sooner.
    assert!(silent.iter().all(|t| (115.0 - 0.1..=150.1).contains(&t.1)), "{silent:?}");
    let mean = refused.iter().map(|t| t.0).sum::<f64>() / refused.len() as f64;
    // Uniform on thirty seconds: five standard errors of the mean of thirty are 7.9 s.
    assert!((mean - 45.0).abs() < 7.9, "{mean}");
}

/// A rolling update of two pods that are ready at once and boot for twenty seconds.
fn rollout(gate: bool, pre_stop: &str) -> Outturn {
    let lifecycle = json!({"start": {"constant": "1s"}, "boot": {"constant": "20s"}, "readiness_gate": gate,
        "pre_stop": pre_stop, "grace": "60s", "endpoint_lag": {"constant": "0s"}});
    let group = json!({"phase": "0s", "registration_lag": {"constant": "5s"}, "interval": "10s"});
    let events = json!([event("30s", json!({"roll_out": {}}))]);
    first(&scenario(20, 240, &quick(), &balanced(2, lifecycle, group), &events))
}

#[test]
fn t_gate_1_without_a_gate_no_healthy_target_is_left() {
    let without = rollout(false, "25s");
    assert!(lowest(&without, "healthy targets", 0.0) == 0.0);
    assert!(failed(&without) > 40, "{}", failed(&without));
    let with = rollout(true, "25s");
    assert!(lowest(&with, "healthy targets", 0.0) >= 2.0 - 1e-9);
    assert_eq!((failed(&with), counter(&with, "api", "pods_removed")), (0, 2));
}

#[test]
fn t_gate_2_losses_are_the_lag_beyond_the_hook() {
    let run = |pre_stop: &str| {
        let lifecycle = json!({"start": {"constant": "1h"}, "pre_stop": pre_stop, "grace": "60s"});
        let group = json!({"registration_lag": {"constant": "10s"}});
        let events = json!([event("20s", json!({"terminate": {"pod": 0}}))]);
        failed(&first(&scenario(40, 60, &quick(), &balanced(2, lifecycle, group), &events)))
    };
    // Twenty a second at the pod, five seconds.
    let short = run("5s");
    assert!((95..=105).contains(&short), "{short}");
    assert_eq!(run("25s"), 0);
}

#[test]
fn a_deregistered_target_may_finish_within_the_delay() {
    let run = |delay: &str| {
        let lifecycle = json!({"start": {"constant": "1h"}, "pre_stop": "30s", "grace": "120s"});
        let group = json!({"registration_lag": {"constant": "0s"}, "deregistration_delay": delay});
        let events = json!([event("20s", json!({"terminate": {"pod": 0}}))]);
        let work = json!([{"wait": {"constant": "15s"}}]);
        first(&scenario(4, 60, &work, &balanced(2, lifecycle, group), &events))
    };
    assert_eq!(failed(&run("20s")), 0);
    let cut = run("5s");
    // Two a second at the pod; those of the last ten seconds are not done when the delay is over.
    assert!((18..=22).contains(&lost(&cut, Cause::UpstreamClosed)), "{:?}", cut.ledger.failures);
}

#[test]
fn a_rolling_update_keeps_within_surge_and_unavailable() {
    for (surge, unavailable, most, least) in
        [(25.0, 25.0, 5.0, 3.0), (0.0, 50.0, 4.0, 2.0), (100.0, 0.0, 8.0, 4.0)]
    {
        let lifecycle = json!({"readiness": {}, "rolling_update": {"max_surge": surge, "max_unavailable": unavailable}, "pre_stop": "5s"});
        let nodes = json!({"edge": {"node_port": {"to": "api"}}, "api": service(4, lifecycle)});
        let events = json!([event("10s", json!({"roll_out": {}}))]);
        let row = first(&scenario(20, 200, &quick(), &nodes, &events));
        let gauge = |name: &str| row.ledger.gauges.iter().find(|g| g.name == name).unwrap();
        let started = gauge("replicas started").levels.highs().iter().max().copied().unwrap();
        assert!(
            started as f64 <= most && started as f64 >= 4.0,
            "{surge} {unavailable}: {started}"
        );
        assert!(lowest(&row, "replicas ready", 0.0) >= least - 1e-9, "{surge} {unavailable}");
        assert_eq!(
            (counter(&row, "api", "pods_added"), counter(&row, "api", "pods_removed")),
            (4, 4)
        );
        assert_eq!(failed(&row), 0, "{surge} {unavailable}: {:?}", row.ledger.failures);
    }
}

#[test]
fn lifecycles_that_cannot_be_are_refused() {
    let codes = |nodes: Value, events: Value| -> Vec<String> {
        let text = scenario(1, 10, &quick(), &nodes, &events).to_string();
        findings(text.as_bytes())
            .sorted()
            .iter()
            .filter(|f| !f.path.contains(".hosts"))
            .map(|f| format!("{} {}", f.code, f.path))
            .collect()
    };
    let port = |lifecycle: Value| json!({"edge": {"node_port": {"to": "api"}}, "api": service(1, lifecycle)});
    let at =
        |code: &str, rest: &str| vec![format!("{code} designs.d.nodes.api.pods.lifecycle{rest}")];
    assert_eq!(
        codes(port(json!({"readiness": {"period": "1ms"}})), json!([])),
        at("E0382", ".readiness")
    );
    let twice = json!({"liveness": {"success_threshold": 2}});
    assert_eq!(codes(port(twice), json!([])), at("E0382", ".liveness.success_threshold"));
    assert_eq!(codes(port(json!({"pre_stop": "40s"})), json!([])), at("W0403", ".grace"));
    let mut plain = port(json!({}));
    plain["api"]["pods"].as_object_mut().unwrap().remove("lifecycle");
    let roll = json!([event("1s", json!({"roll_out": {}}))]);
    assert_eq!(codes(plain, roll), ["E0383 designs.d.events[0].do"]);
    let fast = balanced(1, json!({}), json!({"interval": "1s"}));
    assert_eq!(codes(fast, json!([])), ["E0384 designs.d.nodes.edge.alb.target_group"]);
    assert_eq!(Span::from_secs(1), ProbeSpec::default().timeout);
}

#[test]
fn a_rolling_update_done_right_loses_nothing_and_each_omission_costs() {
    let text = include_str!("../../scenarios/rolling-update.json");
    let mut value: Value = serde_json::from_str(text).unwrap();
    value["run"]["replications"] = json!(3);
    let result = super::common::result(&value.to_string());
    let design = |name: &str| result.designs.iter().find(|d| d.name == name).unwrap();
    let lost = |name: &str| design(name).failures.iter().map(|f| f.count.value).sum::<f64>();
    assert!(lost("all-right").abs() < 1e-12, "{:?}", design("all-right").failures);
    // Three pods, each refused for the 5 to 10 s of the lag, by a third of 40.5 requests a second.
    let hook = lost("no-pre-stop");
    assert!((3.0 * 5.0 * 13.5 * 0.8..3.0 * 10.0 * 13.5 * 1.2).contains(&hook), "{hook}");
    assert!(lost("no-gate") > 100.0, "{}", lost("no-gate"));
    assert!((1.0..30.0).contains(&lost("default-grace")), "{}", lost("default-grace"));
    // Nine seconds between the two probers, a third of the requests.
    let window = lost("two-probers");
    assert!((9.0 * 13.5 * 0.7..9.0 * 13.5 * 1.3).contains(&window), "{window}");
}

/// Two pods behind a name, its first address always that of pod 0, which is deleted at 40 s; ten requests a second for 80 s.
fn behind_a_name(dns: Value, lag: &str) -> u64 {
    let lifecycle =
        json!({"start": {"constant": "1h"}, "endpoint_lag": {"constant": lag}, "sigterm": "exit"});
    let mut name = json!({"to": ["api"], "rotation": "fixed", "resolvers": 1});
    for (field, value) in dns.as_object().unwrap() {
        name[field] = value.clone();
    }
    let nodes = json!({"edge": {"dns": name}, "api": service(2, lifecycle)});
    let events = json!([event("40s", json!({"terminate": {"pod": 0}}))]);
    let row = first(&scenario(10, 80, &quick(), &nodes, &events));
    assert_eq!(failed(&row), lost(&row, Cause::Refused));
    failed(&row)
}

#[test]
fn t_dns_3_a_cache_tells_of_a_pod_that_is_gone_until_its_answer_has_expired() {
    // Answers of 30 s are asked for at 0, 30 and 60 s: 20 s of refusals. One more request on either side.
    let lost = |dns: Value, lag| behind_a_name(dns, lag);
    let near = |got: u64, want: u64| got.abs_diff(want) <= 2;
    let usual = lost(json!({}), "0s");
    assert!(near(usual, 200), "{usual}");
    let longer = lost(json!({"ttl": "25s"}), "0s");
    assert!(near(longer, 100), "asked again at 50 s: {longer}");
    // The lag of the endpoints comes first: what is asked for at 50 s tells of the pod once more.
    let both = lost(json!({"ttl": "25s"}), "11s");
    assert!(near(both, 350), "{both}");
    assert_eq!(lost(json!({"ttl": "0s"}), "0s"), 0, "nothing is kept");
    // A program that keeps its answer for life never learns of it: the requests come one after the other, as one user's.
    let for_life = lost(json!({"resolve_once": 1.0}), "0s");
    assert!(near(for_life, 400), "{for_life}");
}

#[test]
fn ten_thousand_pods_that_are_probed_take_no_longer_than_their_probes() {
    // With a look at all pods after each of the 80,000 probes this would take minutes.
    let text = serde_json::json!({"name": "many",
        "workload": {"users": {"request": "work",
            "load": {"open": {"rate": {"steady": {"rate": "1/s", "for": "60s"}}}}}},
        "work": {"work": [{"cpu": {"constant": "5ms"}}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"alb": {"to": ["api"]}},
            "api": {"pods": {"replicas": 10_000, "hosts": {"count": 3, "instance": "m5.large"},
                "lifecycle": {"readiness": {"shares_queue": false}}}}}}},
        "run": {"replications": 2, "seed": 1}})
    .to_string();
    let result = super::common::result(&text);
    assert_eq!(result.designs[0].success_rate.value, 1.0);
}
