//! Measured cases of real nginx, HAProxy, Node.js, gunicorn, PostgreSQL and PgBouncer against predictions.

use headroom::experiment::Silent;
use headroom::experiment::verify::measured::{MeasuredCase, predict, scenario};
use std::path::PathBuf;

fn cases() -> Vec<MeasuredCase> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/measured");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
        .iter()
        .map(|path| {
            serde_json::from_str(&std::fs::read_to_string(path).unwrap())
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        })
        .collect()
}

#[test]
fn every_measured_case_becomes_a_scenario() {
    let cases = cases();
    assert_eq!(cases.len(), 98);
    for case in cases {
        let text = scenario(&case).unwrap_or_else(|why| panic!("{}: {why}", case.id));
        let (read, findings) = headroom::scenario::read(text.to_string().as_bytes());
        assert!(read.is_some() && !findings.has_errors(), "{}: {findings:?}", case.id);
    }
}

/// One or two of every kind of limit, those that run quickly; the whole ledger is `headroom verify --measured`.
#[test]
fn predictions_of_quick_cases_are_within_their_tolerances() {
    let quick = [
        "B-14", "E1-01", "E1-03", "E1-13", "E2-01", "E2-03", "E2-08", "E3-15", "E3-16", "E4-10",
        "E4-12", "E4-13", "E5-01", "E5-11", "E5-15", "E5-16", "E6-01", "E6-05", "E6-10", "E6-13",
        "E8-01", "E8-08", "E9-05",
    ];
    for case in cases().iter().filter(|case| quick.contains(&case.id.as_str())) {
        let judged = predict(case, 4, &Silent).unwrap();
        assert!(judged.note.is_none(), "{}: {:?}", case.id, judged.note);
        let off: Vec<_> = judged.metrics.iter().filter(|metric| !metric.within).collect();
        assert!(off.is_empty(), "{}: {off:?}", case.id);
    }
}
