//! Values put in place of others: where they land, what is refused, and that the checks still hold.

use headroom::scenario::{Axis, points, read_varied};
use serde_json::{Value, json};

const COMPARE: &str = include_str!("../../src/cli/templates/compare.json");

/// What the template says at a JSON pointer after these axes took their first values.
fn said(axes: &[&str], pointer: &str) -> Value {
    let axes: Vec<Axis> = axes.iter().map(|text| Axis::parse(text).unwrap()).collect();
    let first = points(&axes).unwrap().remove(0);
    let (read, findings) = read_varied(COMPARE.as_bytes(), &first);
    assert!(!findings.has_errors(), "{:?}", findings.sorted());
    read.unwrap().said.pointer(pointer).cloned().unwrap_or_default()
}

/// The codes and texts of what is wrong.
fn wrong(axis: &str) -> Vec<(&'static str, String)> {
    let axis = match Axis::parse(axis) {
        Ok(axis) => axis,
        Err(finding) => return vec![(finding.code, finding.remedy)],
    };
    let first = points(&[axis]).unwrap().remove(0);
    let (_, findings) = read_varied(COMPARE.as_bytes(), &first);
    let own = |f: &headroom::scenario::Finding| {
        assert!(f.span.is_some() && !f.message.is_empty(), "{f:?}");
        (f.code, f.remedy.clone())
    };
    findings.sorted().into_iter().map(own).collect()
}

fn template() -> Value {
    serde_json::from_str(COMPARE).unwrap()
}

#[test]
fn a_value_lands_where_the_path_leads() {
    let class = template()["workload"].as_object().unwrap().keys().next().unwrap().clone();
    let pointer = format!("/workload/{class}/request");
    for path in [format!("workload.{class}"), "workload.*".into(), format!("workload[\"{class}\"]")]
    {
        assert_eq!(said(&[&format!("{path}.request=other,third")], &pointer), "other");
    }
    assert_eq!(
        said(&["run.seed=5", "run.replications=9"], "/run"),
        json!({"replications": 9, "seed": 5})
    );
}

#[test]
fn a_wildcard_passes_over_what_has_no_such_place() {
    // Only one of the designs has pods; the other is left alone.
    let axes = ["designs.*.nodes.*.pods.replicas=11"];
    let before = template();
    let read = said(&axes, "");
    let mut changed = 0;
    for (name, design) in before["designs"].as_object().unwrap() {
        for (node, spec) in design["nodes"].as_object().unwrap() {
            let now = &read["designs"][name]["nodes"][node];
            if spec.get("pods").is_some() {
                changed += 1;
                assert_eq!(now["pods"]["replicas"], 11);
            } else {
                assert_eq!(now, spec);
            }
        }
    }
    assert!(changed >= 1);
}

#[test]
fn a_key_that_has_a_default_may_be_added() {
    assert!(template()["run"].get("free_tier").is_none());
    assert_eq!(said(&["run.free_tier=true"], "/run/free_tier"), true);
    assert_eq!(said(&["run.month.windows=30"], "/run/month/windows"), 30);
    assert_eq!(said(&["name=2026"], "/name"), "2026");
}

#[test]
fn axes_make_a_cross_product_whose_last_changes_fastest() {
    let axes = ["a.b=1,2", "c=x,y,z"].map(|text| Axis::parse(text).unwrap());
    let all = points(&axes).unwrap();
    let texts: Vec<String> =
        all.iter().map(|p| p.iter().map(|(_, v)| v.to_string()).collect::<String>()).collect();
    assert_eq!(texts, ["1\"x\"", "1\"y\"", "1\"z\"", "2\"x\"", "2\"y\"", "2\"z\""]);
    assert_eq!(axes[0].name(), "b");
    assert_eq!(points(&[]).unwrap().len(), 1);
}

#[test]
fn what_leads_nowhere_is_refused_with_a_remedy() {
    for (axis, code, remedy) in [
        ("users", "E0230", "PATH"),
        ("=3", "E0230", "PATH"),
        ("run.seed=", "E0231", "comma"),
        ("run.seed=9..3", "E0231", "FROM..TO"),
        ("run.sede=3", "E0233", "did you mean `seed`"),
        ("wrokload.*.load=3", "E0233", "did you mean `workload`"),
        ("designs.*.nodes.*.pods.replica=3", "E0233", "did you mean `replicas`"),
        ("designs.nothing.nodes=3", "E0233", "allowed"),
        ("run.seed.x=3", "E0233", "end the path"),
        ("designs.*.nodes.*.pods.replicas=0", "E0207", "allowed"),
        ("designs.*.nodes.*.lambda.memory=512", "E0211", "\"512MB\""),
        ("designs.*.nodes.*.lambda.memory=soon", "E0210", "write it like"),
    ] {
        let found = wrong(axis);
        assert!(
            found.iter().any(|(c, r)| *c == code && (r.contains(remedy) || code == "E0230")),
            "{axis}: {found:?}"
        );
    }
    let twice = ["run.seed=1", "run.seed=2"].map(|text| Axis::parse(text).unwrap());
    assert_eq!(points(&twice).unwrap_err().code, "E0232");
    let many = ["a=1..1000", "b=1..1000"].map(|text| Axis::parse(text).unwrap());
    assert_eq!(points(&many).unwrap_err().code, "E0232");
}

#[test]
fn no_path_makes_it_panic() {
    for path in [
        "",
        "*",
        "*.*",
        "*.*.*.*.*.*.*.*",
        "designs[0]",
        "workload[*]",
        "work.*[9]",
        "work.*[*].*",
        "[",
        "a..b",
        "name.x",
        "run[\"seed\"]",
    ] {
        for value in ["1", "{}", "[[]]", "null", "\"\\u0000\"", "1e300"] {
            if let Ok(axis) = Axis::parse(&format!("{path}={value}")) {
                let point = points(&[axis]).unwrap().remove(0);
                let _ = read_varied(COMPARE.as_bytes(), &point);
            }
        }
    }
}
