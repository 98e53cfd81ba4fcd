//! Measured cases of real nginx, HAProxy, Node.js, gunicorn, PostgreSQL and PgBouncer against predictions.

use super::common::outturns;
use headroom::experiment::Silent;
use headroom::experiment::verify::measured::{MeasuredCase, predict, scenario};
use headroom::model::ledger::ClassLedger;
use serde_json::{Value, json};
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

#[test]
fn what_no_scenario_can_say_is_refused_all_at_once() {
    let why = scenario(&variant(
        "E3-03",
        &[("/nginx/accept_mutex", json!(true)), ("/load/arrivals", json!("bursty"))],
    ));
    assert_eq!(
        why.unwrap_err(),
        "not modelled: load.arrivals \"bursty\", nginx.accept_mutex with several workers"
    );
    let lambda =
        [("/lambda/prewarm", json!(5)), ("/sysctl", json!({"net.ipv4.tcp_fin_timeout": 5}))];
    let why = scenario(&variant("E8-01", &lambda)).unwrap_err();
    assert_eq!(why, "not modelled: lambda.prewarm, sysctl net.ipv4.tcp_fin_timeout");
    let next = [("/nginx/proxy_next_upstream", json!("error http_418"))];
    let why = scenario(&variant("E9-03", &next)).unwrap_err();
    assert_eq!(why, "not modelled: nginx.proxy_next_upstream \"http_418\"");
    let think = [("/load/think", json!({"kind": "uniform", "low_s": 1}))];
    assert_eq!(
        scenario(&variant("E3-03", &think)).unwrap_err(),
        "law uniform without lo_s and hi_s"
    );
}

#[test]
fn the_parameters_of_proxy_next_upstream_are_read_as_nginx_writes_them() {
    let node = |text: &str, version: &str| {
        let settings = [
            ("/nginx/proxy_next_upstream", json!(text)),
            ("/nginx/version", json!(version)),
            ("/nginx/keepalive_requests", Value::Null),
            ("/nginx/upstream/keepalive", json!(8)),
            ("/nginx/upstream/keepalive_timeout_s", json!(5)),
        ];
        let scenario = scenario(&variant("E9-03", &settings)).unwrap();
        let (read, findings) = headroom::scenario::read(scenario.to_string().as_bytes());
        assert!(read.is_some() && !findings.has_errors(), "{findings:?}");
        scenario["designs"]["measured"]["nodes"]["nginx"]["nginx"].clone()
    };
    for (text, on, words) in [
        ("error timeout", true, Value::Null),
        ("off", false, Value::Null),
        ("error off", false, Value::Null),
        (
            "error timeout http_503 non_idempotent",
            true,
            json!(["error", "timeout", "http_503", "non_idempotent"]),
        ),
    ] {
        let node = node(text, "1.22.1");
        assert_eq!((&node["next_upstream"], &node["proxy_next_upstream"]), (&json!(on), &words));
        assert_eq!(node["upstream_keepalive_timeout"], "5000000us");
        assert!(node["keepalive_requests"].is_null() && node["version"] == "1.22");
    }
    // 1.19.2 keeps a sixteenth free, and closes after 100 requests still.
    let between = node("error", "1.19.5");
    assert_eq!(
        (&between["version"], &between["keepalive_requests"]),
        (&json!("1.22"), &json!(100))
    );
    assert_eq!(between["upstream_keepalive_requests"], 100);
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

/// A shipped case with other settings (JSON pointer, value).
fn variant(base: &str, settings: &[(&str, Value)]) -> MeasuredCase {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/measured")
        .join(format!("{base}.json"));
    let mut case: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (pointer, value) in settings {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        case["config"].pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(case).unwrap()
}

/// A shipped case, other settings of it, and counts of one run: successes, failures from least to most.
type Noted<'a> = (&'a str, &'a [(&'a str, Value)], Option<f64>, (f64, f64));

/// Further runs of the same campaign, of which only counts were noted: shipped cases with other settings.
#[test]
fn runs_that_are_known_by_their_counts_come_out() {
    let loops = [
        ("/load/requests_per_user", Value::Null),
        ("/load/duration_s", json!(6)),
        ("/load/think", json!({"kind": "const", "mean_s": 0.3})),
    ];
    let own = [("/lambda/conn_mode", json!("perinv")), ("/load/users", json!(80))];
    let per_invocation = [&loops[..], &own[..]].concat();
    let runs: [Noted; 8] = [
        ("E1-01", &[("/nginx/worker_rlimit_nofile", json!(512))], Some(842.0), (258.0, 258.0)),
        ("E1-13", &[("/nginx/worker_rlimit_nofile", json!(1024))], Some(590.0), (510.0, 510.0)),
        ("E2-01", &[("/nginx/worker_connections", json!(512))], Some(239.0), (861.0, 861.0)),
        (
            "E2-01",
            &[("/nginx/worker_connections", json!(512)), ("/load/ramp_s", json!(0.3))],
            Some(255.0),
            (845.0, 845.0),
        ),
        // All that were in flight in the killed pod: 24, with the deviation of a number of that size.
        ("E9-03", &[("/nginx/proxy_next_upstream", json!("off"))], None, (19.0, 29.0)),
        // Init that cannot connect: least and most of three runs.
        ("E8-03", &loops, None, (136.0, 152.0)),
        ("E8-03", &per_invocation, None, (0.0, 0.0)),
        (
            "E5-11",
            &[
                ("/pgbouncer/query_wait_timeout_s", json!(2)),
                ("/pgbouncer/max_client_conn", json!(1000)),
                ("/pgbouncer/default_pool_size", json!(20)),
            ],
            None,
            (239.0, 240.0),
        ),
    ];
    for (base, settings, ok, failed) in runs {
        let rows = outturns(&scenario(&variant(base, settings)).unwrap().to_string()).remove(0);
        let mean = |count: fn(&ClassLedger) -> u64| {
            rows.iter().map(|row| count(&row.ledger.classes[0]) as f64).sum::<f64>()
                / rows.len() as f64
        };
        let (good, bad) = (mean(|class| class.ok), mean(|class| class.failed));
        assert!(ok.is_none_or(|ok| ok == good), "{base}: {good} succeeded, not {ok:?}");
        assert!((failed.0..=failed.1).contains(&bad), "{base}: {bad} failed, not {failed:?}");
    }
}
