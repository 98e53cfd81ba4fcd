//! `headroom report`: stored results to reports, and files that are none.

use std::path::PathBuf;
use std::process::{Command, Output};

fn headroom(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headroom"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_stored_result_gives_the_same_report_as_the_run() {
    let dir = folder("report");
    let out = dir.to_str().unwrap();
    let run = headroom(&["run", "scenarios/spike.json", "--replications", "2", "--out", out, "-q"]);
    assert!(run.status.success(), "{run:?}");
    let result = dir.join("result.json");
    let result = result.to_str().unwrap();
    let html = headroom(&["report", result]).stdout;
    assert_eq!(html, std::fs::read(dir.join("report.html")).unwrap());
    assert!(html.starts_with(b"<!DOCTYPE html>"));
    let table = headroom(&["report", result, "--format", "table"]).stdout;
    assert_eq!(table, run.stdout);
    let svg = headroom(&["report", result, "--format", "svg", "--chart", "latency"]).stdout;
    assert_eq!(svg, std::fs::read(dir.join("latency.svg")).unwrap());
    let target = dir.join("copy.png");
    let png = ["report", result, "--format", "png", "--out", target.to_str().unwrap()];
    assert!(headroom(&png).status.success());
    let first = std::fs::read(dir.join("success_and_latency.png")).unwrap();
    assert_eq!(std::fs::read(target).unwrap(), first);
    let markdown = headroom(&["report", result, "--format", "markdown"]).stdout;
    assert!(markdown.starts_with(b"<!-- headroom:spike -->"));
}

#[test]
fn what_is_no_result_is_refused() {
    let dir = folder("no-report");
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (path, says) in [
        ("nowhere.json".to_owned(), "E0001"),
        ("scenarios/spike.json".to_owned(), "no schema_version"),
        (write("text", "hello"), "E0012"),
        (write("later", r#"{"schema_version": 99}"#), "its schema_version is 99"),
        (write("cut", r#"{"schema_version": 1, "headroom": "0"}"#), "missing field"),
    ] {
        let output = headroom(&["report", &path]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{path}: {told}");
        assert!(output.stdout.is_empty());
    }
    let output = headroom(&["report", "x", "--format", "svg", "--chart", "no"]);
    assert_eq!(output.status.code(), Some(2));
}
