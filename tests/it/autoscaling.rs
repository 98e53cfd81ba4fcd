//! Autoscalers in the simulation: nothing is sooner than its lags, nothing is lost when pods go, and the worked examples of the fact
//! sheet hold end to end.

use super::common::result;
use super::scenario::findings;
use headroom::experiment::result::{DesignResult, RunResult};
use serde_json::{Value, json};

/// Constant gaps of `1/rate` between requests that each need `cpu`, from 10/s to `peak` at 60 s; pods of one vCPU.
fn scenario(pods: Value, peak: &str, lasts: &str, all: &str) -> String {
    let rate = json!({"spike": {"base": "10/s", "peak": peak, "at": "60s", "lasts": lasts, "ramp": "0s", "for": all}});
    json!({
        "name": "autoscaling",
        "workload": {"users": {
            "load": {"open": {"rate": rate}},
            "request": "work",
            "connection": {"rtt": "1ms"},
            "patience": {"timeout": "20s"}
        }},
        "work": {"work": [{"cpu": {"constant": "100ms"}}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"alb": {"to": ["api"]}},
            "api": {"pods": pods}
        }}},
        "run": {"replications": 2, "seed": 1}
    })
    .to_string()
}

fn pods(replicas: u32, autoscaler: Value) -> Value {
    json!({
        "replicas": replicas,
        "hosts": {"count": replicas, "vcpu": 1, "instance": "t2.micro"},
        "runtime": {"event_loop": {}},
        "queue": 50,
        "concurrency": 20,
        "autoscaler": autoscaler
    })
}

fn hpa(min: u32, max: u32, target: u32) -> Value {
    let metric = json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": target}}});
    json!({"minReplicas": min, "maxReplicas": max, "metrics": [metric], "behavior": {}})
}

fn with(mut pods: Value, key: &str, value: Value) -> Value {
    pods[key] = value;
    pods
}

/// When a gauge of the pods first rises to `level` in any replication, seconds; infinity if it never does.
fn reaches(design: &DesignResult, gauge: &str, level: f64) -> f64 {
    let series = &design.series;
    let row = series.gauges.iter().find(|row| row.gauge == gauge).unwrap();
    let at = row.max.iter().position(|max| *max >= level);
    at.map_or(f64::INFINITY, |at| series.t[at] + series.bucket)
}

fn only(result: &RunResult) -> &DesignResult {
    &result.designs[0]
}

/// Two pods at full load from 60 s on; when three are wanted, with readings of the kubelet so far apart, seconds.
fn third_wanted(housekeeping: Option<&str>) -> f64 {
    let mut own =
        json!({"hpa": hpa(2, 10, 70), "start": {"constant": "7s"}, "ready": {"constant": "5s"}});
    if let Some(interval) = housekeeping {
        own["housekeeping_interval"] = json!(interval);
    }
    let room = json!({"count": 10, "vcpu": 1, "instance": "t2.micro"});
    let mut value: Value =
        serde_json::from_str(&scenario(with(pods(2, own), "hosts", room), "40/s", "200s", "300s"))
            .unwrap();
    value["run"]["replications"] = json!(12);
    let result = result(&value.to_string());
    let series = &only(&result).series;
    let row = series.gauges.iter().find(|row| row.gauge == "replicas wanted").unwrap();
    // The mean over replications of when each rises: what the mean level is short of ten at last is time below it.
    let at = row.mean.iter().position(|mean| *mean >= 3.0).unwrap();
    series.t[at]
}

#[test]
fn t_hpa_6_what_the_autoscaler_sees_is_up_to_35_seconds_old() {
    // Read when scraped: a scrape within 15 s of the step, a sync within another 15 s; a window that began before the step may fall
    // short once. Read by the kubelet every 10 to 20 s: as much later as a reading is old, 7 to 8 s on the average, and the window is
    // longer. All are means of twelve replications.
    let [at_once, usual] = [Some("0s"), None].map(third_wanted);
    assert!((60.0..95.0).contains(&at_once), "{at_once}");
    assert!(usual > at_once && usual < 60.0 + 20.0 + 30.0 + 15.0 + 15.0, "{at_once} {usual}");
}

#[test]
fn t_hpa_pods_come_no_sooner_than_their_lags() {
    let own = json!({"hpa": hpa(2, 10, 70), "start": {"constant": "7s"}, "ready": {"constant": "5s"},
        "housekeeping_interval": "0s"});
    let room = json!({"count": 10, "vcpu": 1, "instance": "t2.micro"});
    let pods = with(pods(2, own), "hosts", room);
    let result = result(&scenario(pods, "40/s", "200s", "700s"));
    let design = only(&result);
    // 4 vCPU of load at 70 %: six pods.
    assert!(reaches(design, "replicas ready", 6.0).is_finite());
    let wanted = reaches(design, "replicas wanted", 3.0);
    let ready = reaches(design, "replicas ready", 3.0);
    assert!(wanted > 60.0 && wanted < 60.0 + 30.0 + 4.0, "{wanted}");
    // Both are known to a bucket of the series.
    let lag = ready - wanted;
    let bucket = design.series.bucket;
    assert!(lag > 12.0 - bucket && lag < 12.0 + 2.0 * bucket, "{wanted} {ready}");
    // The load is over at 260 s: 300 s later it is back at two pods.
    let last = design.series.gauges.iter().find(|row| row.gauge == "replicas wanted").unwrap();
    let at = |second: f64| (second / design.series.bucket) as usize;
    assert!(last.mean[at(500.0)] >= 5.5, "{}", last.mean[at(500.0)]);
    assert!((last.mean[at(640.0)] - 2.0).abs() < 1e-9, "{}", last.mean[at(640.0)]);
}

#[test]
fn a_pod_with_a_limit_and_without_a_request_asks_for_its_limit() {
    // 0.8 of a core on one pod of 0.5 on a host of two vCPUs: at 100 % of the limit and a target of 60 % it needs at least two pods,
    // and three for all of the load. By the host's vCPUs it would be at 25 % for ever.
    let mut own = pods(
        1,
        json!({"hpa": hpa(1, 10, 60), "start": {"constant": "2s"}, "ready": {"constant": "1s"}}),
    );
    own["hosts"] = json!({"count": 5, "vcpu": 2, "instance": "t3.large"});
    own["cpu"] = json!(0.5);
    let result = result(&scenario(own, "8/s", "300s", "400s"));
    assert!(reaches(only(&result), "replicas wanted", 3.0).is_finite());
}

#[test]
fn no_request_is_lost_when_pods_go() {
    // Enough pods from the beginning, so that what fails would fail by scaling down.
    let behavior = json!({"scaleDown": {"stabilizationWindowSeconds": 30}});
    let mut hpa = hpa(1, 8, 50);
    hpa["behavior"] = behavior;
    for edge in ["alb", "node_port", "dns", "nginx"] {
        let text = scenario(pods(8, json!({"hpa": hpa})), "12/s", "10s", "240s");
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let entry = match edge {
            "alb" => json!({"alb": {"to": ["api"]}}),
            "node_port" => json!({"node_port": {"to": "api"}}),
            "dns" => json!({"dns": {"to": ["api"], "ttl": "1s"}}),
            _ => {
                json!({"nginx": {"upstream": ["api"], "worker_connections": 4096, "nofile": 65536}})
            }
        };
        value["designs"]["d"]["nodes"]["edge"] = entry;
        value["workload"]["users"]["connection"]["keepalive"] = json!(true);
        let result = result(&value.to_string());
        let design = only(&result);
        assert!(reaches(design, "replicas draining", 1.0).is_finite(), "{edge}: none went");
        assert!((design.success_rate.value - 1.0).abs() < 1e-12, "{edge}: {:?}", design.failures);
    }
}

#[test]
fn t_ecs_1_target_tracking_brings_no_relief_before_four_minutes() {
    let own = json!({"target_tracking": {"target": 70.0}, "max_replicas": 12, "start": {"constant": "30s"}});
    let room = json!({"count": 12, "vcpu": 1, "instance": "t2.micro"});
    let pods = with(pods(2, own), "hosts", room);
    let result = result(&scenario(pods, "40/s", "600s", "700s"));
    let wanted = reaches(only(&result), "replicas wanted", 3.0);
    // The load comes at 60 s, a minute boundary: three points later, and the minute until the alarm sees them.
    assert!((60.0 + 240.0..60.0 + 250.0).contains(&wanted), "{wanted}");
    assert!(reaches(only(&result), "replicas ready", 3.0) >= 60.0 + 270.0);
}

#[test]
fn step_scaling_takes_the_larger_step_for_the_larger_breach() {
    let steps = json!([{"lower": 0, "upper": 20, "adjustment": 1}, {"lower": 20, "adjustment": 4}]);
    let own = json!({"step_scaling": {"high": {"threshold": 60, "steps": steps}, "low": {"threshold": 20, "steps": [{"upper": 0, "adjustment": -1}]}},
        "max_replicas": 12, "start": {"constant": "30s"}});
    let room = json!({"count": 12, "vcpu": 1, "instance": "t2.micro"});
    let pods = with(pods(2, own), "hosts", room);
    let result = result(&scenario(pods, "40/s", "600s", "700s"));
    // The load comes at 60 s: one point, and the minute until the alarm sees it. Both pods are full, so it is the larger step.
    let wanted = reaches(only(&result), "replicas wanted", 6.0);
    assert!((60.0 + 120.0..60.0 + 130.0).contains(&wanted), "{wanted}");
    assert!(
        reaches(only(&result), "replicas wanted", 3.0) >= wanted - 1e-9,
        "no smaller step first"
    );
}

#[test]
fn t_eb_1_default_triggers_take_54_minutes_to_nine_more_instances() {
    let text = include_str!("../../scenarios/beanstalk-triggers.json");
    let mut value: Value = serde_json::from_str(text).unwrap();
    value["run"]["replications"] = json!(2);
    let result = result(&value.to_string());
    let load = 300.0;
    let design = |name: &str| result.designs.iter().find(|d| d.name == name).unwrap();
    let slow = reaches(design("default-triggers"), "replicas ready", 12.0) - load;
    let fast = reaches(design("tuned-triggers"), "replicas ready", 12.0) - load;
    assert!(slow >= 54.0 * 60.0, "{slow}");
    assert!(fast < 25.0 * 60.0, "{fast}");
    let success = |name: &str| design(name).success_rate.value;
    assert!(success("tuned-triggers") > success("default-triggers") + 0.1);
    // Machines that came later cost less.
    let cost = |name: &str| design(name).cost.total.value;
    assert!(cost("default-triggers") < cost("tuned-triggers"));
}

#[test]
fn t_node_1_pods_without_room_wait_for_a_machine() {
    let nodes = json!({"pods_per_node": 1});
    let own = json!({"hpa": hpa(2, 10, 50), "start": {"constant": "1s"}, "ready": {"constant": "1s"}, "nodes": nodes});
    let result = result(&scenario(pods(2, own), "40/s", "300s", "400s"));
    let design = only(&result);
    let wanted = reaches(design, "replicas wanted", 3.0);
    let started = reaches(design, "replicas started", 3.0);
    assert!(started - wanted >= 22.0 - 2.0 * design.series.bucket, "{wanted} {started}");
    assert!(started - wanted < 120.0, "{wanted} {started}");
}

#[test]
fn schedules_and_forecasts_are_there_before_the_load() {
    let room = json!({"count": 8, "vcpu": 1, "instance": "t2.micro"});
    for policy in [
        json!({"scheduled": [{"at": "20s", "replicas": 8}], "max_replicas": 8}),
        json!({"predictive": {"history": [10.0, 10.0, 40.0, 40.0], "slot": "30s", "season": 4, "target": 5.0,
            "buffer": "30s"}, "max_replicas": 8}),
    ] {
        let pods = with(pods(2, policy), "hosts", room.clone());
        let result = result(&scenario(pods, "40/s", "60s", "120s"));
        let design = only(&result);
        assert!(reaches(design, "replicas ready", 8.0) <= 60.0 + design.series.bucket);
        assert!((design.success_rate.value - 1.0).abs() < 1e-12, "{:?}", design.failures);
    }
}

#[test]
fn autoscalers_that_cannot_work_are_refused() {
    let codes = |autoscaler: Value| -> Vec<String> {
        let text = scenario(pods(2, autoscaler), "40/s", "60s", "120s");
        let found = findings(text.as_bytes());
        let errors = found.sorted().into_iter().filter(|f| f.code.starts_with('E'));
        errors.map(|f| format!("{} {}", f.code, f.path)).collect()
    };
    let at = |rest: &str| format!("E0381 designs.d.nodes.api.pods{rest}");
    let scheduled = json!([{"at": "20s", "replicas": 8}]);
    let metric = |name: &str| json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": {"averageValue": 5}}});
    for (autoscaler, wanted) in [
        (json!({"max_replicas": 4}), at(".autoscaler")),
        (json!({"scheduled": scheduled}), at(".autoscaler.max_replicas")),
        (json!({"scheduled": scheduled, "hpa": hpa(1, 4, 50)}), at(".autoscaler")),
        (json!({"hpa": hpa(3, 4, 50)}), at(".replicas")),
        (json!({"hpa": hpa(5, 4, 50)}), at(".autoscaler.hpa.minReplicas")),
        (
            json!({"keda": {"threshold": 3}, "max_replicas": 4, "min_replicas": 0}),
            at(".autoscaler.min_replicas"),
        ),
        (
            json!({"hpa": {"maxReplicas": 4, "metrics": [metric("luck")]}}),
            at(".autoscaler.hpa.metrics[0]"),
        ),
        (json!({"hpa": hpa(1, 4, 50), "sync_period": "1ms"}), at(".autoscaler.sync_period")),
    ] {
        let found = codes(autoscaler.clone());
        assert!(found.contains(&wanted), "{autoscaler}: {found:?}");
    }
    assert_eq!(codes(json!({"hpa": hpa(1, 4, 50)})), Vec::<String>::new());
}

/// One host of two vCPUs and pods that ask for one each; a load that wants far more.
fn crowded(replicas: u32) -> Value {
    json!({
        "replicas": replicas,
        "hosts": {"count": 1, "instance": "m5.large"},
        "cpu": 1,
        "autoscaler": {"cpu_request": 1, "hpa": hpa(1, 20, 60), "start": {"constant": "2s"}, "ready": {"constant": "1s"}}
    })
}

#[test]
fn pods_that_no_host_has_room_for_stay_pending() {
    let result = result(&scenario(crowded(1), "100/s", "300s", "400s"));
    let row = |name: &str| {
        only(&result).series.gauges.iter().find(|row| row.gauge == name).unwrap().clone()
    };
    let high = |name: &str| row(name).max.iter().copied().fold(0.0, f64::max);
    assert!(high("replicas wanted") > 2.0);
    assert_eq!(high("replicas ready"), 2.0);
    assert!(high("replicas pending") > 0.0);
    let counters = only(&result).nodes.iter().flat_map(|node| &node.counters);
    let waited = counters.into_iter().find(|own| own.name == "pod_seconds_without_machine");
    assert!(waited.unwrap().value.value > 100.0);
}

#[test]
fn a_pending_pod_takes_the_place_of_one_that_goes() {
    let mut pods = crowded(2);
    pods["lifecycle"] = json!({});
    let mut scenario: Value =
        serde_json::from_str(&scenario(pods, "100/s", "300s", "400s")).unwrap();
    scenario["designs"]["d"]["events"] =
        json!([{"at": "200s", "node": "api", "do": {"terminate": {"pod": 0}}}]);
    let result = result(&scenario.to_string());
    let ready = only(&result).series.gauges.iter().find(|row| row.gauge == "replicas ready");
    let ready = ready.unwrap();
    let between = |from: f64, to: f64| {
        let own = only(&result).series.t.iter().zip(&ready.mean);
        own.filter(|(t, _)| (from..to).contains(*t)).map(|(_, mean)| *mean).collect::<Vec<_>>()
    };
    assert!(between(200.0, 240.0).iter().any(|n| *n < 2.0), "{:?}", between(200.0, 240.0));
    assert!(between(300.0, 340.0).iter().all(|n| (*n - 2.0).abs() < 1e-9));
}

#[test]
fn pods_without_room_are_told() {
    let told = |replicas: u32| {
        let found = findings(scenario(crowded(replicas), "20/s", "10s", "100s").as_bytes());
        let told = found.sorted().into_iter().filter(|f| ["E0381", "W0430"].contains(&f.code));
        told.map(|f| (f.code, f.message.clone())).collect::<Vec<_>>()
    };
    let (code, message) = &told(2)[0];
    assert_eq!((told(2).len(), *code), (1, "W0430"));
    assert!(message.contains("20 pods") && message.contains("room for 2"), "{message}");
    let (code, message) = &told(3)[0];
    assert_eq!((told(3).len(), *code), (1, "E0381"));
    assert!(message.contains("room for 2"), "{message}");
}
