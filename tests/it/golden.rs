//! Golden outputs: every shipped scenario, run with few replications, prints what it printed before.
//! `UPDATE_GOLDEN=1 cargo test golden` rewrites them; read the difference before committing.

use headroom::experiment::{Plan, Silent, run};
use headroom::model::data::Data;
use headroom::price::Table;
use headroom::scenario::read;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Name and text of every shipped scenario.
pub(crate) fn scenarios() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The plan of a shipped scenario, with `replications` of each design.
pub(crate) fn plan(text: &str, replications: u32) -> Plan {
    let (scenario, findings) = read(text.as_bytes());
    assert!(!findings.has_errors(), "{:?}", findings.sorted());
    let mut scenario = scenario.unwrap();
    let prices = Table::builtin(&scenario.scenario.region).unwrap();
    let found = scenario.check(&Data::default(), Some(&prices));
    assert!(!found.has_errors(), "{:?}", found.sorted());
    scenario.scenario.run.replications = replications;
    let assumptions = headroom::scenario::assumptions(
        &scenario.said,
        &scenario.resolved,
        scenario.schema,
        &scenario.scenario.assumed,
    );
    Plan {
        resolved: serde_json::to_value(&scenario.scenario).unwrap(),
        scenario: scenario.scenario,
        data: Data::default(),
        prices,
        assumptions: assumptions
            .into_iter()
            .map(|row| headroom::experiment::result::Assumption {
                path: row.path,
                value: row.value,
                why: row.why,
            })
            .collect(),
    }
}

#[test]
fn every_scenario_prints_what_it_printed() {
    let mut changed = Vec::new();
    for (name, text) in scenarios() {
        let result = run(&plan(&text, 5), &Silent).unwrap();
        let table = headroom::report::table(&result, 100, false);
        let path = folder("tests/golden").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder("tests/golden")).unwrap();
            std::fs::write(&path, &table).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != table {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "changed: {changed:?}; see the head of this file");
}

#[test]
fn the_four_way_load_test_comes_out_as_measured() {
    let text = std::fs::read_to_string(folder("scenarios/lambda-to-kubernetes.json")).unwrap();
    let result = run(&plan(&text, 20), &Silent).unwrap();
    let design = |name: &str| result.designs.iter().find(|d| d.name == name).unwrap();
    let success = |name: &str| design(name).success_rate.value;
    assert!((success("nginx") - 1.0).abs() < 1e-12);
    let mean = design("nginx").latency.mean.value;
    assert!((mean / 7.468 - 1.0).abs() < 0.05, "nginx mean {mean}");
    assert!((success("nginx-2000") - 1.0).abs() < 1e-12);
    for name in ["dns", "nodeport"] {
        assert!((0.85..=0.93).contains(&success(name)), "{name} {}", success(name));
    }
    assert!((success("lambda") - 0.4348).abs() < 0.02, "lambda {}", success("lambda"));
    assert!(success("nginx") > success("dns") && success("dns") > success("lambda"));
    assert!((success("dns") - success("nodeport")).abs() < 0.02);
    let untuned = design("nginx-untuned");
    assert_eq!(untuned.failures[0].cause, "descriptors");
    assert_eq!(untuned.failures[0].status, 500);
    assert!(design("nginx").failures.is_empty());
    assert_eq!(design("lambda").bottleneck.as_ref().unwrap().limit, "connection_slots");
    assert!(mean < design("dns").latency_all.mean.value);
}
