//! The saturation ladder: nine limits of one chain bind in turn as users grow, and each is named and lifted.

use super::golden;
use headroom::experiment::result::{DesignResult, RunResult};
use headroom::experiment::{Silent, counterfactuals, run};
use serde_json::{Value, json};

/// Node and limit that bind on each rung, in order.
const RUNGS: [(&str, &str); 9] = [
    ("edge", "nofile"),
    ("edge", "worker_connections"),
    ("edge", "listen_queue"),
    ("edge", "ephemeral_ports"),
    ("api", "concurrency"),
    ("api", "cpu"),
    ("api", "connection_pool"),
    ("db", "connection_slots"),
    ("db", "active_work"),
];

fn text() -> String {
    golden::scenarios().into_iter().find(|(name, _)| name == "saturation-ladder").unwrap().1
}

#[test]
fn each_rung_is_named_and_lifting_it_helps() {
    let plan = golden::plan(&text(), 2);
    let mut result = run(&plan, &Silent).unwrap();
    counterfactuals(&plan, &mut result, &Silent).unwrap();
    assert_eq!(result.designs.len(), RUNGS.len());
    let mut users = 0.0;
    for (design, (node, limit)) in result.designs.iter().zip(RUNGS) {
        let name = &design.name;
        let first = design.bottleneck.as_ref().unwrap();
        assert_eq!((first.node.as_str(), first.limit.as_str()), (node, limit), "{name}");
        let told = design.counterfactual.as_ref().unwrap();
        assert_eq!(told.refused, None, "{name}");
        let success = told.success_rate.value - design.success_rate.value;
        let p99 = told.latency.p99.value / design.latency.p99.value;
        let mean = told.latency.mean.value / design.latency.mean.value;
        assert!(success > 0.1 || p99 < 0.8 || mean < 0.8, "{name}: {success} {p99} {mean}");
        let next = told.next.as_ref().map(|next| (next.node.as_str(), next.limit.as_str()));
        assert_ne!(next, Some((node, limit)), "{name}: the limit still binds");
        // What failed is put down to it.
        for row in design.failures.iter().filter(|row| row.share.value > 0.05) {
            let blamed = row.blame.as_ref().unwrap();
            assert_eq!((blamed.node.as_str(), blamed.limit.as_str()), (node, limit), "{name}");
        }
        assert!(design.users.value > users, "users grow from rung to rung");
        users = design.users.value;
    }
}

/// The designs with the load of the rung before each, the first with half of its own.
fn one_load_down() -> RunResult {
    let mut value: Value = serde_json::from_str(&text()).unwrap();
    let classes: Vec<String> = value["designs"]
        .as_object()
        .unwrap()
        .values()
        .map(|design| design["enter"].as_object().unwrap().keys().next().unwrap().clone())
        .collect();
    let mut half = value["workload"][&classes[0]].clone();
    half["load"]["closed"]["users"] = json!(150);
    value["workload"]["half"] = half;
    let before = std::iter::once("half".to_owned()).chain(classes);
    for (design, class) in value["designs"].as_object_mut().unwrap().values_mut().zip(before) {
        design["enter"] = json!({class: "edge"});
    }
    run(&golden::plan(&value.to_string(), 2), &Silent).unwrap()
}

#[test]
fn a_rung_does_not_bind_before_its_load() {
    // A partner answers within 4 s, the rest takes some 20 ms: with nothing in the way the slowest hundredth takes 4.0 s.
    let unhindered =
        |design: &DesignResult| design.success_rate.value > 0.998 && design.latency.p99.value < 4.2;
    for design in &one_load_down().designs {
        let figures = (design.success_rate.value, design.latency.p99.value);
        assert!(unhindered(design), "{}: {figures:?} {:?}", design.name, design.bottleneck);
    }
}

/// The page is followed command by command.
#[test]
fn the_document_on_the_ladder_does_what_it_says() {
    assert_eq!(super::common::follow_page("docs/saturation-ladder.md"), 1);
}
