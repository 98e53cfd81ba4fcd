//! `headroom report`: stored results to reports, and files that are none.

use headroom::experiment::{Observer, Precision, Silent, run, run_until};
use headroom::report;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Fifty requests at once on a function of ten: forty calls are refused.
const CROWD: &str = r#"{"name": "crowd", "workload": {"users": {"load": {"burst": {"requests": 50}}, "request": "job"}},
    "work": {"job": [{"wait": {"constant": "1s"}}]},
    "designs": {"fn": {"enter": {"users": "url"}, "accounts": {"x": {"concurrency": 10}}, "nodes": {
      "url": {"function_url": {"to": "fn"}},
      "fn": {"lambda": {"account": "x", "runtime": "go", "memory": "1024MB", "timeout": "60s"}}}}},
    "run": {"replications": 40, "seed": 1}}"#;

/// Stops a run after so many replications.
struct Impatient(AtomicUsize, usize);

impl Observer for Impatient {
    fn finished(&self, _of: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= self.1
    }
}

#[test]
fn an_interrupted_run_says_so_in_every_report() {
    let plan = super::common::plan(CROWD);
    let result = run(&plan, &Impatient(AtomicUsize::new(0), 10)).unwrap();
    let cut = result.interrupted.unwrap();
    assert!((2..40).contains(&cut.done) && cut.planned == 40, "{cut:?}");
    assert_eq!(cut.done, result.replications);
    let json = report::json(&result);
    assert!(json.contains("\"interrupted\": {"), "{json}");
    let dir = folder("interrupted");
    let path = dir.join("result.json");
    std::fs::write(&path, &json).unwrap();
    let says = format!("on {} of 40 replications", cut.done);
    for format in ["table", "markdown", "html"] {
        let output = headroom(&["report", path.to_str().unwrap(), "--format", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("nterrupted: all figures rest") && text.contains(&says), "{text}");
    }
    let csv = report::csv::summary(&result);
    assert!(csv.contains("fn,interrupted_planned,40,40,40,replications"), "{csv}");
    for chart in report::charts(&result) {
        assert!(chart.svg.contains("interrupted"), "{}", chart.name);
    }
    // With `--precision` it is the next look that was cut off.
    let wanted = Precision { relative: 1e-9, most: 1_000 };
    let result = run_until(&plan, &wanted, &Impatient(AtomicUsize::new(0), 50)).unwrap();
    let cut = result.interrupted.unwrap();
    assert!(cut.done == result.replications && cut.planned > cut.done, "{cut:?}");
    // A whole run has no such field.
    let whole = run(&plan, &Silent).unwrap();
    assert!(whole.interrupted.is_none() && !report::json(&whole).contains("interrupted"));
}

#[test]
fn what_a_limit_refused_is_told_as_calls() {
    let result = super::common::result(CROWD);
    let refused = result.designs[0].bottleneck.as_ref().unwrap().failures.value;
    assert!(refused >= 40.0, "{refused}");
    let table = report::table(&result, 200, false);
    assert!(table.contains(&format!("; {refused} calls failed by it")), "{table}");
    assert!(table.contains(&format!("makes {refused} calls fail")), "{table}");
    assert!(report::html(&result, None).contains("Calls failed"));
}
