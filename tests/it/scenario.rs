//! Bad input: a code, a place, a remedy, all problems at once, and never a panic.

use headroom::model::data::Data;
use headroom::price::Table;
use headroom::scenario::threshold::{METRICS, PERCENTILES};
use headroom::scenario::{
    Findings, catalogue, explain, explain_code, read, schema_of, schema_text, spec::Scenario,
};
use std::collections::BTreeSet;

pub(crate) fn findings(bytes: &[u8]) -> Findings {
    let (scenario, mut findings) = read(bytes);
    if let Some(scenario) = scenario {
        let prices = Table::builtin(&scenario.scenario.region);
        findings.extend(scenario.check(&Data::default(), prices.as_ref()));
    }
    findings
}

pub(crate) fn codes(text: &str) -> Vec<&'static str> {
    findings(text.as_bytes()).sorted().iter().map(|finding| finding.code).collect()
}

const COMPARE: &str = include_str!("../../src/cli/templates/compare.json");

/// Replaces text in the template and expects exactly these codes.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(COMPARE.contains(from), "the template has no {from}");
    let text = COMPARE.replacen(from, to, 1);
    let found = codes(&text);
    assert_eq!(found, expected, "{from} -> {to}");
    for finding in findings(text.as_bytes()).sorted() {
        assert!(finding.span.is_some() && !finding.remedy.is_empty(), "{finding:?}");
    }
}

#[test]
fn the_templates_have_no_problems() {
    for text in [
        COMPARE,
        include_str!("../../src/cli/templates/lambda.json"),
        include_str!("../../src/cli/templates/cluster.json"),
    ] {
        assert_eq!(codes(text), Vec::<&str>::new());
    }
}

#[test]
fn every_kind_of_mistake_has_its_code() {
    check("\"workers\": 2", "\"wrokers\": 2", &["E0201"]);
    check("\"workers\": 2", "\"workers\": \"two\"", &["E0206"]);
    check("\"workers\": 2", "\"workers\": -2", &["E0207"]);
    check("\"workers\": 2", "\"workers\": 0", &["E0207"]);
    check("\"workers\": 2", "\"workers\": 1e308", &["E0207"]);
    check("\"workers\": 2", "\"workers\": 2.5", &["E0208"]);
    check("\"workers\": 2", "\"workers\": NaN", &["E0110"]);
    check("\"workers\": 2", "\"workers\": 2, \"workers\": 3", &["E0109"]);
    check("\"nodes\": {", "\"nods\": {", &["E0205", "E0201"]);
    check("\"timeout\": \"30s\"", "\"timeout\": 30", &["E0211"]);
    check("\"timeout\": \"30s\"", "\"timeout\": \"soon\"", &["E0210"]);
    check("\"runtime\": \"nodejs22\"", "\"runtime\": \"nodejs21\"", &["E0209"]);
    check("\"postgres\": {", "\"postgress\": {", &["E0202"]);
    check("\"to\": \"fn\"", "\"to\": \"fm\"", &["E0301"]);
    check("\"account\": \"main\"", "\"account\": \"mian\"", &["E0302"]);
    check("\"request\": \"checkout\"", "\"request\": \"chekout\"", &["E0300"]);
    check("\"to\": \"fn\"", "\"to\": \"db\"", &["E0303"]);
    check("\"rate>0.999\"", "\"rate>high\"", &["E0309"]);
    check("\"memory\": \"512MB\"", "\"memory\": \"64MB\"", &["E0312"]);
    check("\"api\"\n", "\n", &["E0315"]);
    check("\"nofile\": 65536", "\"nofile\": 8", &["E0316"]);
    check("\"worker_connections\": 4096", "\"worker_connections\": 3", &["E0317"]);
}

#[test]
fn all_problems_are_told_at_once() {
    let text = COMPARE
        .replacen("\"workers\": 2", "\"wrokers\": 2", 1)
        .replacen("\"timeout\": \"30s\"", "\"timeout\": 30", 1)
        .replacen("\"runtime\": \"nodejs22\"", "\"runtime\": \"nodejs21\"", 1);
    assert_eq!(codes(&text), ["E0211", "E0201", "E0209"]);
    let text = COMPARE.replacen("\"to\": \"fn\"", "\"to\": \"fm\"", 1).replacen(
        "\"account\": \"main\"",
        "\"account\": \"mian\"",
        1,
    );
    assert_eq!(codes(&text), ["E0301", "E0302"]);
}

#[test]
fn notes_on_a_design_that_was_taken_out_are_told_once() {
    // Two on the design that is gone, one mistyped on one that is there.
    let notes = r#"{"assumed": {"designs.gone.nodes.fn.lambda.memory": "a", "designs.gone.nodes.fn.lambda.timeout": "b",
        "designs.pods.nodes.api.pods.replcas": "c"}, "#;
    let found = findings(COMPARE.replacen('{', notes, 1).as_bytes());
    let told: Vec<_> = found
        .sorted()
        .iter()
        .map(|one| (one.code, one.message.clone(), one.span.is_some()))
        .collect();
    let message = |text: &str| text.to_owned();
    let expected = [
        (
            "E0217",
            message("2 notes are about `designs.gone`, which this scenario does not have"),
            true,
        ),
        (
            "E0217",
            message("`designs.pods.nodes.api.pods.replcas` leads to no value of this scenario"),
            true,
        ),
    ];
    assert_eq!(told, expected);
}

#[test]
fn thresholds_are_explained_with_all_metrics_and_statistics() {
    let text = explain(&schema_of::<Scenario>(), "thresholds", false).unwrap();
    let metrics = METRICS.iter().map(|(name, _)| (*name).to_owned());
    let quantiles = PERCENTILES.iter().map(|p| format!("p({p})"));
    for name in
        metrics.chain(quantiles).chain(["rate", "avg", "med", "max", "value"].map(Into::into))
    {
        assert!(text.contains(&format!("`{name}`")), "{name}: {text}");
    }
}

#[test]
fn what_is_required_and_what_may_stand_behind_is_explained() {
    let of = |path: &str| explain(&schema_of::<Scenario>(), path, false).unwrap();
    let diurnal = of("workload.*.load.open.rate.diurnal");
    let line = |text: &str, name: &str| {
        text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned()
    };
    assert!(line(&diurnal, "for ").ends_with(", required"), "{diurnal}");
    assert!(of("workload.*.load.open.rate.diurnal.for").contains("none, it is required"));
    let lambda = of("designs.*.nodes.*.lambda");
    assert!(line(&lambda, "runtime ").ends_with(", required"), "{lambda}");
    assert!(!line(&lambda, "timeout ").contains("required"), "{lambda}");
    let alb = of("designs.*.nodes.*.alb");
    assert_eq!(
        line(&alb, "behind:").trim(),
        "behind:  node_port, haproxy, nginx, guard, lambda, pods"
    );
    assert!(!lambda.contains("behind:"));
}

#[test]
fn what_cannot_be_explained_is_told_in_words() {
    let of = |path: &str| {
        let finding = explain(&schema_of::<Scenario>(), path, false).unwrap_err();
        (finding.message, finding.remedy)
    };
    let (what, remedy) = of("desings");
    assert_eq!(what, "there is no `desings` at the top");
    assert!(remedy.starts_with("did you mean `designs`?"), "{remedy}");
    assert_eq!(of("run.seeed").0, "there is no `seeed` below `run`");
    assert_eq!(of("E9999").0, "there is no code `E9999`");
    let found = findings(b"hello");
    assert_eq!(found.sorted()[0].remedy, "see `headroom explain`");
}

#[test]
fn circles_of_calls_are_refused() {
    let text = COMPARE.replacen(
        "\"checkout\": [",
        "\"a\": [{\"call\": {\"to\": \"api\", \"request\": \"b\"}}], \"b\": [{\"call\": {\"to\": \"api\", \"request\": \"a\"}}], \"checkout\": [",
        1,
    );
    assert!(codes(&text).contains(&"E0305"), "{:?}", codes(&text));
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/scenario.schema.json");
    let text = schema_text(&schema_of::<Scenario>());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == text, "run UPDATE_GOLDEN=1 cargo test and commit schemas/");
}

#[test]
fn every_scenario_meets_the_published_schema() {
    let schema = schema_of::<Scenario>();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, text) in super::golden::scenarios() {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn codes_are_unique_sorted_and_explained() {
    let all: Vec<_> = catalogue().collect();
    assert!(all.windows(2).all(|pair| pair[0].code < pair[1].code));
    for entry in all {
        assert!(entry.code.len() == 5 && !entry.title.is_empty(), "{}", entry.code);
        assert!(entry.explanation.len() > 40, "{}", entry.code);
    }
    assert!(explain_code("e0102").is_some_and(|text| text.contains("closing bracket")));
    assert_eq!(explain_code("E9999"), None);
}

/// Reads the sources: a code in quotes anywhere must have its entry, and back.
#[test]
fn every_code_in_use_is_in_the_table_and_back() {
    let mut used = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let own = ["codes.rs", "warnings.rs"];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !own.iter().any(|name| path.ends_with(format!("src/scenario/{name}")))
            {
                files.push(path);
            }
        }
    }
    for path in files {
        let source = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for piece in source.split('"') {
            let code = piece.len() == 5
                && piece.starts_with(['E', 'W'])
                && piece[1..].bytes().all(|b| b.is_ascii_digit());
            if code {
                used.insert(piece.to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = catalogue().map(|entry| entry.code.to_owned()).collect();
    assert_eq!(used.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
    let unused: Vec<_> = listed.difference(&used).collect();
    assert!(unused.is_empty(), "in the table but never given: {unused:?}");
}
