//! Several classes of users in one workload: each has its own figures, thresholds and rows.

use super::common::result;
use super::theory::{constant, wait};
use headroom::experiment::result::{RunResult, Verdict};
use headroom::report;
use serde_json::{Value, json};

/// Web users whose requests take 20 ms, and a batch whose requests take 2 s; only the first design has both.
fn scenario(thresholds: &Value) -> Value {
    let load = |rate: &str| json!({"open": {"rate": {"steady": {"rate": rate, "for": "20s"}}}});
    let class = |request: &str, rate: &str| json!({"request": request, "connection": {"rtt": "0s", "tls": false}, "load": load(rate)});
    let pods = json!({"pods": {"replicas": 1, "runtime": {"threads": {"threads": 1000}}}});
    json!({"name": "classes", "workload": {"batch": class("report", "5/s"), "web": class("page", "20/s")},
        "work": {"page": wait(&constant(20.0)), "report": wait(&constant(2_000.0))},
        "designs": {"both": {"enter": {"web": "api", "batch": "api"}, "nodes": {"api": pods}},
            "alone": {"enter": {"web": "api"}, "nodes": {"api": pods}}},
        "thresholds": thresholds, "run": {"replications": 3}})
}

fn told(thresholds: &Value) -> RunResult {
    result(&scenario(thresholds).to_string())
}

#[test]
fn a_threshold_judges_the_class_that_it_names() {
    let told = told(&json!({"latency": ["p(95)<100ms"], "latency{class:web}": ["p(95)<100ms"],
        "latency_all{class:batch}": ["avg>1s"], "throughput{class:batch}": ["value<10"],
        "success_rate{class:batch}": ["rate>0.9"]}));
    let verdict = |design: &str, subject: &str| {
        let own = |row: &&headroom::experiment::result::ThresholdResult| {
            row.design == design && row.subject() == subject
        };
        told.thresholds.iter().find(own).map(|row| row.verdict)
    };
    // A fifth of all requests are those of the batch, so the 95th percentile of all is theirs.
    assert_eq!(verdict("both", "latency"), Some(Verdict::Fail));
    for subject in [
        "latency{class:web}",
        "latency_all{class:batch}",
        "throughput{class:batch}",
        "success_rate{class:batch}",
    ] {
        assert_eq!(verdict("both", subject), Some(Verdict::Pass), "{subject}");
    }
    // The batch does not enter the other design: nothing is judged there.
    assert_eq!(verdict("alone", "latency{class:web}"), Some(Verdict::Pass));
    assert_eq!(verdict("alone", "success_rate{class:batch}"), None);
}

#[test]
fn what_had_no_answer_of_a_class_counts_for_that_class() {
    // The batch's requests of the last two seconds have no answer at 20 s; the web's have.
    let mut scenario = scenario(&json!({"success_rate{class:batch}": ["rate>0.95"],
        "latency{class:batch}": ["avg<3s"], "success_rate{class:web}": ["rate>0.95"]}));
    scenario["run"]["horizon"] = json!("20s");
    let told = result(&scenario.to_string());
    let verdicts = told.thresholds.iter().filter(|row| row.design == "both");
    let verdicts: Vec<Verdict> = verdicts.map(|row| row.verdict).collect();
    // In the order of names: latency and success rate of the batch, success rate of the web.
    assert_eq!(verdicts, [Verdict::Undecided, Verdict::Undecided, Verdict::Pass]);
}

#[test]
fn every_report_has_a_row_for_each_class_where_there_are_several() {
    let told = told(&json!({"latency{class:web}": ["p(95)<100ms"]}));
    let csv = report::csv::summary(&told);
    let metric = "both,latency_p95{class:web},0.02";
    assert!(csv.contains(metric) && csv.contains("both,success_rate{class:batch},1,"), "{csv}");
    assert!(!csv.contains("alone,latency_p95{"), "one class alone has its figures already: {csv}");
    let text = report::table(&told, 120, false);
    let rows: Vec<&str> = text.lines().filter(|line| line.contains('└')).collect();
    let of =
        |class: &str| rows.iter().filter(|row| row.starts_with(&format!("│ └ {class}"))).count();
    assert_eq!((of("web"), of("batch")), (1, 1), "{text}");
    assert!(text.contains("latency{class:web} p(95)<100ms"), "{text}");
    let markdown = report::markdown(&told);
    assert!(markdown.contains("| └ web | 100 %"), "{markdown}");
    assert!(markdown.contains("`latency{class:web} p(95)<100ms`"), "{markdown}");
    let html = report::html(&told, None);
    assert!(html.contains("latency{class:web}"));
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["thresholds"][0]["class"], "web");
    let (web, batch) = (&json["designs"][0]["classes"][1], &json["designs"][0]["classes"][0]);
    assert_eq!((&web["name"], &batch["name"]), (&json!("web"), &json!("batch")));
    let sum =
        |key: &str| web[key]["value"].as_f64().unwrap() + batch[key]["value"].as_f64().unwrap();
    for key in ["users", "users_served", "requests", "throughput", "unfinished"] {
        let whole = json["designs"][0][key]["value"].as_f64().unwrap();
        assert!((sum(key) - whole).abs() < 1e-9 * whole.max(1.0), "{key}");
    }
}
