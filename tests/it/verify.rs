//! The ledger of truth: what `headroom verify` runs without a flag, its oracles, its page and its files.

use headroom::experiment::Silent;
use headroom::experiment::verify::builtin::{LAMBDA_LOGS, MEASURED};
use headroom::experiment::verify::oracle::{oracles, predict};
use std::path::PathBuf;
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn headroom(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headroom")).args(args).current_dir(root()).output().unwrap()
}

/// Half of the ledger's replications: the intervals are wider, and the theoretical value lies in each.
#[test]
fn every_oracle_holds() {
    for oracle in oracles() {
        let case = predict(&oracle, 10, &Silent).unwrap();
        assert!(case.within && case.note.is_none() && !case.metrics.is_empty(), "{case:#?}");
        for metric in &case.metrics {
            // An interval that holds everything proves nothing.
            let truth = metric.observed.unwrap();
            assert!(metric.tolerance < 0.3 * truth, "{}: {metric:?}", case.id);
        }
    }
}

#[test]
fn an_oracle_misses_a_station_that_is_not_its_own() {
    // The same users at a server that is 5 % slower.
    let mut wrong = oracles().into_iter().find(|oracle| oracle.id == "mm1").unwrap();
    wrong.scenario["work"]["job"][0]["wait"]["exponential"]["mean"] = "10.5ms".into();
    let case = predict(&wrong, 5, &Silent).unwrap();
    assert!(!case.within && !case.metrics[0].within, "{case:#?}");
    // One that is no scenario is a miss with a reason.
    wrong.scenario["work"]["job"][0]["wait"] = "soon".into();
    let case = predict(&wrong, 2, &Silent).unwrap();
    assert!(!case.within && case.note.is_some(), "{case:#?}");
}

#[test]
fn an_oracle_is_the_same_twice() {
    let oracle = || oracles().into_iter().find(|oracle| oracle.id == "spike").unwrap();
    assert_eq!(predict(&oracle(), 2, &Silent), predict(&oracle(), 2, &Silent));
}

#[test]
fn ids_of_oracles_are_unique_and_their_scenarios_have_no_findings() {
    let all = oracles();
    for (i, oracle) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|other| other.id != oracle.id), "{}", oracle.id);
        let (read, findings) = headroom::scenario::read(oracle.scenario.to_string().as_bytes());
        assert!(read.is_some() && !findings.has_errors(), "{}: {findings:?}", oracle.id);
    }
}

#[test]
fn what_comes_with_the_program_is_what_lies_in_the_folders() {
    for (folder, ending, list) in
        [("measured", "json", MEASURED), ("aws-lambda-2020", "csv", LAMBDA_LOGS)]
    {
        let entries = std::fs::read_dir(root().join("tests/data").join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == ending))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let listed: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, names, "src/experiment/verify/builtin.rs lists the files of {folder}");
    }
}

#[test]
fn theory_measurement_and_log_stand_in_one_ledger() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    let _ = std::fs::remove_dir_all(&dir);
    let out = dir.to_str().unwrap();
    // One of each kind: closed-1100, B-14 and run05 are the quick ones.
    let args = ["verify", "--replications", "2", "-q", "--format", "json"];
    let mut kinds = Vec::new();
    for case in ["closed-1100", "B-14", "run05"] {
        let output = headroom(&[&args[..], &["--case", case, "--out", out]].concat());
        assert!(output.status.success(), "{output:?}");
        let ledger: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(ledger["summary"]["cases"], 1, "{ledger}");
        kinds.push(ledger["cases"][0]["kind"].as_str().unwrap().to_owned());
        for metric in ledger["cases"][0]["metrics"].as_array().unwrap() {
            for field in ["predicted", "observed", "tolerance"] {
                assert!(metric[field].is_number(), "{metric}");
            }
            assert!(metric["within"].is_boolean());
        }
        let stored = std::fs::read(dir.join("verification.json")).unwrap();
        assert_eq!(stored, output.stdout);
        let page = std::fs::read_to_string(dir.join("verification.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(case));
    }
    assert_eq!(kinds, ["oracle", "measured", "lambda-log"]);
}

#[test]
fn kinds_choose_and_scenarios_are_shown() {
    let args = ["verify", "--kind", "measured", "--case", "closed-1100", "-q"];
    let output = headroom(&args);
    // No case of that kind has such a name, and nothing verified is no success.
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("E0378"));
    let output = headroom(&["verify", "--case", "mm1", "--scenario"]);
    let scenario: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scenario["name"], "mm1");
    let output = headroom(&["verify", "--hpa", "tests/data/hpa/cases.json", "--format", "html"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no HTML page"));
    let output = headroom(&["verify", "--kind", "theory"]);
    assert_eq!(output.status.code(), Some(2));
}
