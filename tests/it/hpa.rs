//! The Horizontal Pod Autoscaler: the conformance table, the worked examples of the fact sheet, bad input.

use headroom::experiment::verify::hpa::{HpaFile, judge, read};
use headroom::kernel::{Key, Span, Time};
use headroom::model::scale::hpa::{
    Behavior, Container, Controller, History, HpaSpec, Observed, Phase, PodState, Readiness,
    Reason, reconcile,
};
use headroom::scenario::{schema_of, schema_text};
use std::collections::BTreeMap;

fn file(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_conformance_table_agrees() {
    let bytes = std::fs::read(file("tests/data/hpa/cases.json")).unwrap();
    let (cases, findings) = read(&bytes);
    assert!(findings.is_empty(), "{:?}", findings.sorted());
    let cases = cases.unwrap();
    assert!(cases.len() >= 60);
    assert!(cases.iter().all(|case| case.expect.is_some()));
    let result = judge(&cases);
    let off: Vec<_> = result.cases.iter().filter(|case| !case.within).collect();
    assert!(off.is_empty(), "{off:#?}");
    assert_eq!(result.summary.cases, cases.len());
}

#[test]
fn golden_schema_of_the_cases_is_that_of_the_types() {
    let path = file("schemas/hpa-cases.schema.json");
    let schema = schema_of::<HpaFile>();
    let text = schema_text(&schema);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "UPDATE_GOLDEN=1 refreshes it");
    let bytes = std::fs::read(file("tests/data/hpa/cases.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&cases).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// The example in the documentation is one that runs and agrees.
#[test]
fn the_documented_example_agrees() {
    let text = std::fs::read_to_string(file("docs/hpa-cases.md")).unwrap();
    let mut examples = 0;
    for block in text.split("```json\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (cases, findings) = read(block.as_bytes());
        assert!(findings.is_empty(), "{:?}\n{block}", findings.sorted());
        assert!(judge(&cases.unwrap()).all_within(), "{block}");
        examples += 1;
    }
    assert!(examples >= 1);
}

fn secs(s: u64) -> Time {
    Time::from_nanos(s * 1_000_000_000)
}

fn pod(usage: i64) -> PodState {
    let one = |value| BTreeMap::from([("cpu".to_owned(), value)]);
    PodState {
        phase: Phase::Running,
        deleting: false,
        readiness: Some(Readiness { ready: true, since: Time::ZERO }),
        started: Some(Time::ZERO),
        containers: vec![Container { name: "app".into(), requests: one(100), usage: one(usage) }],
        metrics: BTreeMap::new(),
        sampled: secs(10_000),
        window: Span::from_secs(15),
    }
}

fn spec(min: u32, max: u32, target: u32, behavior: bool) -> HpaSpec {
    let text = format!(
        r#"{{"minReplicas": {min}, "maxReplicas": {max}, "metrics": [{{"type": "Resource", "resource":
        {{"name": "cpu", "target": {{"type": "Utilization", "averageUtilization": {target}}}}}}}]}}"#
    );
    let mut spec: HpaSpec = serde_json::from_str(&text).unwrap();
    spec.behavior = behavior.then(Behavior::default);
    spec
}

/// A load of `total` thousandths of a core, shared evenly by the running pods.
fn sync(spec: &HpaSpec, history: &mut History, at: u64, replicas: u32, total: i64) -> u32 {
    let each = |i: u32| {
        (total / i64::from(replicas)) + i64::from(i64::from(i) < total % i64::from(replicas))
    };
    let seen = Observed {
        now: secs(10_000 + at),
        replicas,
        status_replicas: replicas,
        pods: (0..replicas).map(|i| pod(each(i))).collect(),
        object_values: BTreeMap::new(),
        external_values: BTreeMap::new(),
    };
    reconcile(spec, &Controller::default(), &seen, history).desired
}

#[test]
fn t_hpa_1_seven_then_twelve() {
    let spec = spec(1, 100, 50, true);
    let mut history = History::default();
    assert_eq!(sync(&spec, &mut history, 0, 3, 600), 7);
    assert_eq!(sync(&spec, &mut history, 15, 7, 600), 12);
}

#[test]
fn t_hpa_2_unready_pods_count_as_idle() {
    let spec = spec(1, 100, 50, true);
    let mut pods: Vec<PodState> = (0..3).map(|_| pod(200)).collect();
    let mut fresh = pod(0);
    fresh.readiness = Some(Readiness { ready: false, since: secs(10_000) });
    fresh.started = Some(secs(10_000));
    pods.extend((0..4).map(|_| fresh.clone()));
    let seen = Observed {
        now: secs(10_015),
        replicas: 7,
        status_replicas: 7,
        pods,
        object_values: BTreeMap::new(),
        external_values: BTreeMap::new(),
    };
    let decision = reconcile(&spec, &Controller::default(), &seen, &mut History::default());
    assert_eq!((decision.desired, decision.recommended), (12, Some(12)));
    assert_eq!(decision.reason(), Reason::DesiredWithinRange);
}

#[test]
fn t_hpa_3_the_band_of_ten_percent() {
    let spec = spec(1, 100, 50, false);
    for (percent, wanted) in [(44, 9), (46, 10), (48, 10), (50, 10), (52, 10), (54, 10), (56, 12)] {
        let mut history = History::default();
        assert_eq!(sync(&spec, &mut history, 0, 10, percent * 10), wanted, "{percent} %");
    }
}

#[test]
fn t_hpa_4_both_ends_of_the_band_keep() {
    let spec = spec(1, 100, 50, false);
    for percent in [45, 55] {
        assert_eq!(sync(&spec, &mut History::default(), 0, 10, percent * 10), 10, "{percent} %");
    }
}

#[test]
fn t_hpa_5_down_after_300_seconds_in_one_step() {
    for (behavior, until) in [(false, 300), (true, 285)] {
        let spec = spec(2, 100, 50, behavior);
        let mut history = History::default();
        assert_eq!(sync(&spec, &mut history, 0, 10, 500), 10);
        // The load ends just after; a window with a behavior leaves out what is exactly 300 s old.
        for at in (15..=until).step_by(15) {
            assert_eq!(sync(&spec, &mut history, at, 10, 0), 10, "{at} s, behavior {behavior}");
        }
        assert_eq!(sync(&spec, &mut history, until + 15, 10, 0), 2, "behavior {behavior}");
    }
}

/// Whatever is seen, a decision stays within the bounds once the number of replicas is.
#[test]
fn decisions_stay_within_the_bounds() {
    for seed in 0..2_000 {
        let mut stream = Key::root(seed, 0).stream();
        let mut draw = |most: u64| stream.below(most + 1);
        let (min, spread) = (1 + draw(5) as u32, draw(20) as u32);
        let spec = spec(min, min + spread, 1 + draw(150) as u32, draw(1) == 1);
        let replicas = min + draw(u64::from(spread)) as u32;
        let pods = (0..draw(25))
            .map(|_| {
                let mut pod = pod(draw(400).cast_signed());
                pod.phase = [Phase::Running, Phase::Running, Phase::Pending, Phase::Failed]
                    [draw(3) as usize];
                pod.started = (draw(9) > 0).then(|| secs(10_000 - draw(600)));
                pod.deleting = draw(9) == 0;
                if draw(4) == 0 {
                    pod.containers[0].usage.clear();
                }
                pod
            })
            .collect();
        let now = secs(10_000);
        let seen = Observed {
            now,
            replicas,
            status_replicas: replicas,
            pods,
            object_values: BTreeMap::new(),
            external_values: BTreeMap::new(),
        };
        let mut history = History {
            recommendations: (0..draw(5))
                .map(|_| (secs(10_000 - draw(600)), draw(30) as u32))
                .collect(),
            events: Vec::new(),
        };
        let decision = reconcile(&spec, &Controller::default(), &seen, &mut history);
        assert!((min..=min + spread).contains(&decision.desired), "seed {seed}: {decision:?}");
    }
}

fn problems(text: &str) -> Vec<String> {
    let (cases, findings) = read(text.as_bytes());
    assert!(cases.is_none() && findings.has_errors(), "{text}");
    findings.sorted().iter().map(|f| format!("{} {}", f.code, f.path)).collect()
}

#[test]
fn bad_cases_are_told_with_their_places() {
    let with = |spec: &str, rest: &str| {
        format!(r#"[{{"id": "a", "currentReplicas": 1, "spec": {spec}{rest}}}]"#)
    };
    for (text, wanted) in [
        ("[{}]".to_owned(), "E0205 [0].id"),
        (with(r#"{"maxReplicas": 3}"#, r#", "podz": []"#), "E0201 [0].podz"),
        (with(r#"{"maxReplicas": 3, "minReplicas": 4}"#, ""), "E0380 [0].spec.minReplicas"),
        (with(r#"{"maxReplicas": 3, "minReplicas": 0}"#, ""), "E0380 [0].spec.minReplicas"),
        (with(r#"{"maxReplicas": 0}"#, ""), "E0207 [0].spec.maxReplicas"),
        (
            with(r#"{"maxReplicas": 3, "metrics": [{"type": "Pods"}]}"#, ""),
            "E0380 [0].spec.metrics[0]",
        ),
        (
            with(
                r#"{"maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"value": 3}}}]}"#,
                "",
            ),
            "E0380 [0].spec.metrics[0].resource.target",
        ),
        (
            with(r#"{"maxReplicas": 3, "behavior": {"scaleUp": {"policies": []}}}"#, ""),
            "E0380 [0].spec.behavior.scaleUp.policies",
        ),
        (
            with(r#"{"maxReplicas": 3}"#, r#", "pods": [{"usage": {"cpu": "5 apples"}}]"#),
            "E0210 [0].pods[0].usage.cpu",
        ),
        (with(r#"{"maxReplicas": 3}"#, r#", "now": "soon""#), "E0210 [0].now"),
    ] {
        assert!(problems(&text).iter().any(|p| p == wanted), "{text}: {:?}", problems(&text));
    }
}

#[test]
fn the_command_prints_a_table_and_tells_differences_by_its_exit_code() {
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_headroom"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, table) = run(&["verify", "--hpa", "tests/data/hpa/cases.json"]);
    assert_eq!(code, 0, "{table}");
    assert!(table.contains("cases agree") && table.contains("t-hpa-1-first-sync"), "{table}");
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("hpa-wrong.json");
    let case = r#"[{"id": "a", "currentReplicas": 1, "spec": {"maxReplicas": 3},
        "pods": [{"requests": {"cpu": 1}, "usage": {"cpu": 2}}], "expect": {"desiredReplicas": 2}}]"#;
    std::fs::write(&path, case).unwrap();
    let (code, json) = run(&["verify", "--hpa", path.to_str().unwrap(), "--format", "json"]);
    assert_eq!(code, 99);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["cases"][0]["metrics"][0]["predicted"], 3);
    assert_eq!(json["cases"][0]["metrics"][0]["observed"], 2);
    assert_eq!(json["cases"][0]["within"], false);
    assert_eq!(json["summary"]["cases_within"], 0);
}
