//! Why a run went as it did: blame that sums, a story in order, limits lifted, assumptions varied.

use super::common::{outturns, plan};
use super::{conservation, golden};
use headroom::experiment::result::{DesignResult, RunResult};
use headroom::experiment::{
    Silent, counterfactuals, limit_can_be_lifted, replicate, run, sensitivities,
};
use serde_json::{Value, json};

#[test]
fn blame_sums_to_the_failures_exactly() {
    let mut blamed = 0;
    for seed in 0..30 {
        let plan = plan(&conservation::random(seed));
        let result = run(&plan, &Silent).unwrap();
        let rows = replicate(&plan, &Silent).unwrap();
        for (design, rows) in result.designs.iter().zip(&rows) {
            let failed: u64 =
                rows.iter().flat_map(|row| &row.ledger.classes).map(|class| class.failed).sum();
            let told: u64 = design.failures.iter().map(|row| row.total).sum();
            assert_eq!(told, failed, "seed {seed}, {}", design.name);
            for row in &design.failures {
                let Some(limit) = &row.blame else { continue };
                blamed += row.total;
                let known = |l: &&headroom::experiment::result::Bottleneck| {
                    l.node == limit.node && l.limit == limit.limit
                };
                let limit = design.limits.iter().find(known).expect("a limit that bound");
                assert!(limit.failures.value > 0.0 || limit.waiting.value > 0.0);
            }
        }
    }
    assert!(blamed > 1000, "only {blamed} failures were put down to a limit");
}

#[test]
fn causes_lead_to_the_limits_that_refused() {
    let result = golden_result("lambda-to-kubernetes", 2);
    for (design, cause, limit) in [
        ("nginx-untuned", "descriptors", "nofile"),
        ("dns", "connect_timeout", "accept_queue"),
        ("lambda", "connection_slots", "connection_slots"),
    ] {
        let row = &design_of(&result, design).failures[0];
        assert_eq!(row.cause, cause);
        assert_eq!(row.blame.as_ref().unwrap().limit, limit);
    }
    let result = golden_result("lambda-vpc-to-beanstalk", 2);
    let failures = &design_of(&result, "lambda-vpc").failures;
    let row = failures.iter().find(|row| row.cause == "throttled_account").unwrap();
    assert_eq!(row.blame.as_ref().unwrap().limit, "account_concurrency");
}

fn golden_result(name: &str, replications: u32) -> RunResult {
    let (_, text) = golden::scenarios().into_iter().find(|(own, _)| own == name).unwrap();
    run(&golden::plan(&text, replications), &Silent).unwrap()
}

fn design_of<'a>(result: &'a RunResult, name: &str) -> &'a DesignResult {
    result.designs.iter().find(|design| design.name == name).unwrap()
}

#[test]
fn the_story_is_in_order_and_names_what_matters() {
    for (name, text) in golden::scenarios() {
        let result = run(&golden::plan(&text, 2), &Silent).unwrap();
        for design in &result.designs {
            let story = &design.story;
            assert!(story.windows(2).all(|two| two[0].at <= two[1].at), "{name} {}", design.name);
            assert_eq!(story.iter().filter(|moment| moment.kind == "end").count(), 1);
            let Some(limit) = &design.bottleneck else { continue };
            let told = story.iter().any(|m| m.kind == "limit" && m.text.starts_with(&limit.about));
            assert!(told || limit.bound_in <= 0.5, "{name} {}: {limit:?}", design.name);
        }
    }
}

#[test]
fn retries_are_told_with_their_factor() {
    let text = r#"{"name": "m", "workload": {"users": {"load": {"open": {"rate": {"steady": {"rate": "100/s", "for": "10s"}}}}, "request": "job",
        "idempotent": true, "retry": {"exponential": {"attempts": 3, "base": "50ms"}}}},
        "work": {"job": [{"wait": {"constant": "1s"}}]},
        "designs": {"d": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "a", "runtime": "go", "timeout": "60s"}}},
        "accounts": {"a": {"concurrency": 20}}}}, "run": {"replications": 3, "seed": 1}}"#;
    let result = run(&plan(text), &Silent).unwrap();
    let design = &result.designs[0];
    let retries = design.story.iter().find(|moment| moment.kind == "retries").unwrap();
    let factor = retries.figures["factor"];
    assert!(factor > 1.5 && (factor - design.attempts_per_request.value).abs() < 1e-12);
    let sent: f64 = design.series.attempts.iter().sum();
    let per = sent / design.requests.value;
    assert!((per - design.attempts_per_request.value).abs() < 1e-9);
}

/// Puts the changes of a counterfactual into the scenario's own text, as a user would.
fn edited(text: &str, design: &str, lifted: &DesignResult) -> String {
    let mut scenario: Value = serde_json::from_str(text).unwrap();
    for change in &lifted.counterfactual.as_ref().unwrap().changes {
        let mut place = &mut scenario["designs"][design];
        for key in change.path.split('.') {
            if !place.is_object() {
                *place = Value::Object(serde_json::Map::new());
            }
            place = &mut place[key];
        }
        *place = change.to.clone();
    }
    scenario["designs"].as_object_mut().unwrap().retain(|name, _| name == design);
    // Paths of other designs lead nowhere now.
    scenario["assumed"] = serde_json::json!({});
    scenario.to_string()
}

#[test]
fn a_lifted_limit_agrees_with_a_real_run_again() {
    let mut tried = 0;
    for (name, text) in golden::scenarios() {
        let plan = golden::plan(&text, 2);
        let mut result = run(&plan, &Silent).unwrap();
        let before = result.clone();
        counterfactuals(&plan, &mut result, &Silent).unwrap();
        for (design, before) in result.designs.iter().zip(&before.designs) {
            let Some(told) = &design.counterfactual else {
                assert!(design.bottleneck.is_none());
                continue;
            };
            if let Some(why) = &told.refused {
                // The era's own rule forbids it (a REST API gives up after 29 s), or AWS alone sets the limit: no run can say
                // what would be.
                let forbidden = why.starts_with("E0311") || why.starts_with("AWS sets");
                assert!(forbidden, "{name} {}: {why}", design.name);
                continue;
            }
            let again = edited(&text, &design.name, design);
            let again = run(&golden::plan(&again, 2), &Silent).unwrap();
            let again = &again.designs[0];
            assert_eq!(again.success_rate, told.success_rate, "{name} {}", design.name);
            assert_eq!(again.latency, told.latency, "{name} {}", design.name);
            assert_eq!(again.cost.per_user, told.cost_per_user, "{name} {}", design.name);
            assert_eq!(again.bottleneck, told.next, "{name} {}", design.name);
            // The difference is against the design as it was, and the limit is out of the way.
            let change = told.differences.iter().find(|row| row.metric == "success_rate").unwrap();
            let apart = told.success_rate.value - before.success_rate.value;
            assert!((change.difference.value - apart).abs() < 0.02, "{name} {}", design.name);
            let same = |limit: &headroom::experiment::result::Bottleneck| {
                limit.node == told.node && limit.limit == told.limit
            };
            // A limit with more parts than fields (a cold start also waits for its own first use) may come next
            // again, with less of it.
            let was = before.bottleneck.as_ref().unwrap();
            let less = |next: &headroom::experiment::result::Bottleneck| {
                !same(next)
                    || next.failures.value + next.waiting.value
                        < 0.5 * (was.failures.value + was.waiting.value)
            };
            assert!(told.next.as_ref().is_none_or(less), "{name} {}: still binds", design.name);
            tried += 1;
        }
    }
    assert!(tried >= 8);
}

#[test]
fn every_limit_that_scenarios_meet_is_in_the_table() {
    let mut unknown = std::collections::BTreeSet::new();
    for (_, text) in golden::scenarios() {
        for design in run(&golden::plan(&text, 2), &Silent).unwrap().designs {
            for limit in &design.limits {
                let node = design.nodes.iter().find(|node| node.name == limit.node).unwrap();
                if !limit_can_be_lifted(&node.kind, &limit.limit) {
                    unknown.insert((node.kind.clone(), limit.limit.clone()));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "add these to src/experiment/lift.rs: {unknown:?}");
}

#[test]
fn an_assumption_is_varied_both_ways_and_weighed() {
    // One user, one constant step: the latency is the step, so halving and doubling it is known.
    let text = r#"{"name": "s", "assumed": {"work.job[0].wait": "a guess", "designs.d.nodes.fn.lambda.memory": "a guess"},
        "workload": {"users": {"load": {"closed": {"users": 1, "for": "20s"}}, "request": "job", "connection": {"rtt": "1ms"}}},
        "work": {"job": [{"wait": {"constant": "1s"}}]},
        "designs": {"d": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "a", "runtime": "go", "timeout": "60s", "memory": "512MB",
          "init": {"constant": "0s"}, "place": {"constant": "0s"}}}}, "accounts": {"a": {}}}},
        "thresholds": {"latency": ["p(95)<1.5s"]}, "run": {"replications": 10, "seed": 1}}"#;
    let mut plan = plan(text);
    plan.assumptions = ["work.job[0].wait", "designs.d.nodes.fn.lambda.memory"]
        .map(|path| headroom::experiment::result::Assumption {
            path: path.into(),
            value: "1s".into(),
            why: "a guess".into(),
        })
        .to_vec();
    let mut result = run(&plan, &Silent).unwrap();
    sensitivities(&plan, &mut result, &Silent).unwrap();
    assert_eq!(result.sensitivity.len(), 2);
    let of = |path: &str| {
        let row = result.sensitivity.iter().find(|row| row.path == path).unwrap();
        let [half, double] = &row.sides[..] else { panic!("two sides") };
        (half.clone(), double.clone())
    };
    let (half, double) = of("work.job[0].wait");
    // The histogram is exact to 0.8 %, and the network adds a little that does not scale.
    assert!((half.latency_p95.unwrap().value + 0.5).abs() < 0.02, "{half:?}");
    assert!((double.latency_p95.unwrap().value - 1.0).abs() < 0.02, "{double:?}");
    assert_eq!(double.verdicts.len(), 1, "the threshold of 1.5 s turns");
    assert!(half.verdicts.is_empty());
    let (_, memory) = of("designs.d.nodes.fn.lambda.memory");
    assert!(memory.latency_p95.unwrap().value.abs() < 1e-9);
    assert!(memory.cost_per_user.unwrap().value > 0.5, "twice the memory costs more");
}

/// One pod on a host of one vCPU for 100 s: ten requests a second of 20 ms, so a fifth of its time.
fn a_fifth_busy(patience: &str, steps: Value) -> (f64, f64) {
    let text = json!({"name": "waste",
        "workload": {"users": {"request": "work", "patience": {"timeout": patience}, "connection": {"rtt": "1ms", "tls": false},
            "load": {"open": {"rate": {"steady": {"rate": "10/s", "for": "100s"}}, "arrivals": "even"}}}},
        "work": {"work": steps},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"alb": {"to": ["api"]}},
            "api": {"pods": {"replicas": 1, "hosts": {"count": 1, "instance": "c5.large", "vcpu": 1}}}}}},
        "run": {"replications": 2, "seed": 1}})
    .to_string();
    let outturns = outturns(&text);
    let lines = outturns[0][0].reports.iter().flat_map(|report| &report.usage);
    let line = lines.into_iter().find(|line| line.item == "ec2.c5.large").unwrap();
    (line.wasted / line.quantity, line.idle / line.quantity)
}

#[test]
fn host_time_for_requests_that_nobody_had_anything_of_is_wasted() {
    let cpu = json!({"cpu": {"constant": "20ms"}});
    let near = |own: f64, wanted: f64| assert!((own - wanted).abs() < 0.005, "{own} {wanted}");
    let (wasted, idle) = a_fifth_busy("5s", json!([cpu]));
    near(wasted, 0.0);
    near(idle, 0.8);
    // Everybody has gone before the answer.
    let (wasted, idle) = a_fifth_busy("15ms", json!([cpu]));
    near(wasted, 0.2);
    near(idle, 0.8);
    // A quarter fails after the work.
    let (wasted, _) = a_fifth_busy("5s", json!([cpu, {"fail": {"share": 0.25}}]));
    assert!((wasted - 0.05).abs() < 0.02, "{wasted}");
}

/// One thread of 100 ms: for 50 s one request a second, of which hardly any waits, then twenty. The limit bound long before it was felt.
#[test]
fn a_bottleneck_is_dated_from_when_it_is_felt() {
    use super::theory::{constant, poisson, single, threads, wait};
    let mut users = poisson(1.0, 50.0);
    users["load"] = json!({"open": {"rate": {"stages": {"start": "1/s", "stages": [
        {"duration": "50s", "target": "1/s"}, {"duration": "0s", "target": "20/s"},
        {"duration": "30s", "target": "20/s"}]}}}});
    let text = single(&users, &wait(&constant(100.0)), &threads(1), 10, 1);
    let design = super::common::result(&text).designs.remove(0);
    let limit = design.bottleneck.as_ref().unwrap();
    // The queue grows by 10 a second: half a twentieth of all waiting begins some 3 s after the jump, a twentieth 5 s after it.
    assert!(limit.at < 40.0, "{limit:?}");
    assert!((50.0..60.0).contains(&limit.since()), "{limit:?}");
    let told = design.story.iter().find(|moment| moment.kind == "limit").unwrap();
    assert_eq!(told.at.to_bits(), limit.since().to_bits());
}
