//! Measured cases of real nginx, HAProxy, Node.js, gunicorn, PostgreSQL and PgBouncer against predictions.

use super::common::outturns;
use headroom::experiment::Silent;
use headroom::experiment::verify::measured::{MeasuredCase, predict, scenario};
use headroom::model::ledger::ClassLedger;
use serde_json::{Value, json};
use std::path::PathBuf;

fn cases() -> Vec<MeasuredCase> {
    cases_of("measured")
}

pub(crate) fn cases_of(folder: &str) -> Vec<MeasuredCase> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
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
    let refused = |base: &str, settings: &[(&str, Value)], why: &str| {
        assert_eq!(scenario(&variant(base, settings)).unwrap_err(), why);
    };
    refused(
        "E3-03",
        &[
            ("/load/arrivals", json!("bursty")),
            ("/nginx/upstream/lb", json!("ip_hash")),
            ("/sysctl", json!({"net.ipv4.tcp_rto_min_us": 5000, "net.ipv4.tcp_syn_retries": 2})),
        ],
        "not modelled: load.arrivals \"bursty\", nginx.upstream.lb \"ip_hash\" with several servers and one client address, \
         sysctl net.ipv4.tcp_rto_min_us, sysctl tcp_syn_retries below 6 with a proxy",
    );
    refused(
        "E8-01",
        &[("/lambda/pick_idle", json!("oldest"))],
        "not modelled: lambda.pick_idle \"oldest\"",
    );
    let few_ports = json!({"net.ipv4.ip_local_port_range": "40000 40499"});
    refused(
        "E1-01",
        &[("/sysctl", few_ports)],
        "not modelled: sysctl ip_local_port_range smaller than the load generator's connections",
    );
    refused(
        "E3-16",
        &[("/pods/0/threads", json!(4))],
        "not modelled: pods.threads of gunicorn with several workers",
    );
    let next = [("/nginx/proxy_next_upstream", json!("error http_418"))];
    refused("E9-03", &next, "not modelled: nginx.proxy_next_upstream \"http_418\"");
    refused(
        "E3-03",
        &[("/load/think", json!({"kind": "uniform", "low_s": 1}))],
        "law uniform without lo_s and hi_s",
    );
    let elsewhere = json!([{"t_s": 1, "action": "sigterm", "pod": "nginx"}]);
    refused("E9-01", &[("/events", elsewhere)], "an event names \"nginx\", which is no server");
}

/// The scenario of a variant, at JSON pointers below its design.
fn converted(base: &str, settings: &[(&str, Value)], pointers: &[(&str, Value)]) {
    let text = scenario(&variant(base, settings)).unwrap_or_else(|why| panic!("{base}: {why}"));
    let (read, findings) = headroom::scenario::read(text.to_string().as_bytes());
    assert!(read.is_some() && !findings.has_errors(), "{base}: {findings:?}");
    for (pointer, value) in pointers {
        assert_eq!(text.pointer(pointer).unwrap_or(&Value::Null), value, "{base}{pointer}");
    }
}

const NODES: &str = "/designs/measured/nodes";

fn node(path: &str) -> String {
    format!("{NODES}/{path}")
}

#[test]
fn settings_of_servers_and_proxies_are_converted() {
    let [discipline, runtime, keepalive] =
        ["queue_discipline", "runtime/threads", "keepalive_timeout"]
            .map(|field| node(&format!("pods0/pods/{field}")));
    let all = ["/pods/0/queue_discipline", "/pods/1/queue_discipline", "/pods/2/queue_discipline"];
    let lifo = all.map(|pointer| (pointer, json!("lifo")));
    converted("E3-15", &lifo, &[(&discipline, json!("lifo"))]);
    let threads: Vec<_> = ["/pods/0", "/pods/1", "/pods/2"]
        .iter()
        .flat_map(|pod| {
            [(format!("{pod}/workers"), json!(1)), (format!("{pod}/threads"), json!(8))]
        })
        .collect();
    let threads: Vec<_> =
        threads.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
    converted(
        "E3-16",
        &threads,
        &[(&runtime, json!({"threads": 8, "connections": 1000})), (&keepalive, json!("2000000us"))],
    );
    let nginx = [
        ("/nginx/accept_mutex", json!(true)),
        ("/nginx/accept_mutex_delay_s", json!(0.1)),
        ("/nginx/keepalive_requests", json!(2)),
        ("/nginx/upstream/lb", json!("least_conn")),
        (
            "/sysctl",
            json!({"net.ipv4.ip_local_port_range": [32768, 60999], "net.ipv4.tcp_tw_reuse": 1}),
        ),
    ];
    let at = |field: &str| node(&format!("nginx/nginx/{field}"));
    converted(
        "E3-03",
        &nginx,
        &[
            (&at("accept_mutex"), json!(true)),
            (&at("accept_mutex_delay"), json!("100000us")),
            (&at("keepalive_requests"), json!(2)),
            (&at("balance"), json!("least_conn")),
            (&at("local_ports"), json!(28_232)),
        ],
    );
    converted(
        "E3-18",
        &[("/haproxy/timeout_client_s", json!(30))],
        &[(&node("haproxy/haproxy/timeout_client"), json!("30000000us"))],
    );
}

#[test]
fn settings_of_clients_kernels_and_stores_are_converted() {
    let retry =
        |on: Value| json!({"max": 2, "base_ms": 100, "factor": 2, "jitter": "equal", "on": on});
    let at = "/workload/users/retry/exponential";
    let (on, cap, jitter) = (format!("{at}/on"), format!("{at}/cap"), format!("{at}/jitter"));
    for (prefixes, failures) in [
        (json!(["http_503"]), json!(["503"])),
        (json!(["http_"]), json!(["429", "500", "502", "503", "504"])),
        (json!(["eof", "connect_refused"]), json!(["refused", "closed"])),
        (json!(["timeout"]), json!(["timeout"])),
        (Value::Null, Value::Null),
    ] {
        let wanted = [(on.as_str(), failures), (&cap, json!("1000d")), (&jitter, json!("equal"))];
        converted("E10-03", &[("/load/retry", retry(prefixes))], &wanted);
    }
    converted(
        "E6-01",
        &[("/sysctl", json!({"net.ipv4.tcp_syn_retries": 2, "net.ipv4.tcp_fin_timeout": 5}))],
        &[("/workload/users/connection/syn_retries", json!(2))],
    );
    converted(
        "E6-01",
        &[("/sysctl", json!({"net.ipv4.tcp_max_syn_backlog": 64}))],
        &[(&node("pods0/pods/max_syn_backlog"), json!(64))],
    );
    converted(
        "E5-01",
        &[("/postgres/role_is_superuser", json!(true))],
        &[(&node("db/postgres/reserved"), json!(0))],
    );
    converted(
        "E5-08",
        &[("/pods/0/db/connect_timeout_ms", json!(700))],
        &[
            (&node("pods0/pods/pool/db/acquire_timeout"), json!("700000us")),
            (&node("pods0/pods/pool/db/idle_timeout"), json!("60000000us")),
        ],
    );
    for mode in ["session", "statement"] {
        let wanted = [(&*node("pgbouncer/pgbouncer/pool_mode"), json!(mode))];
        converted("E5-10", &[("/pgbouncer/pool_mode", json!(mode))], &wanted);
    }
    let lambda =
        [("/lambda/prewarm", json!(5)), ("/lambda/pick_idle", json!("least recently used"))];
    converted(
        "E8-01",
        &lambda,
        &[
            (&node("fn/lambda/initial"), json!({"environments": 5, "served": "request"})),
            (&node("fn/lambda/pick_idle"), json!("least_recently_used")),
        ],
    );
}

#[test]
fn loads_go_by_what_belongs_to_their_mode() {
    // Stages belong to open loads; a ramp and requests for each user to closed ones.
    let plain = |base: &str| scenario(&variant(base, &[])).unwrap()["workload"].clone();
    let stages = json!([{"until_s": 4, "rate": 10}]);
    let closed = scenario(&variant("E3-03", &[("/load/stages", stages)])).unwrap();
    assert_eq!(closed["workload"], plain("E3-03"));
    let ramp = [("/load/ramp_s", json!(3)), ("/load/requests_per_user", json!(2))];
    let open = scenario(&variant("E7-01", &ramp)).unwrap();
    assert_eq!(open["workload"], plain("E7-01"));
}

#[test]
fn servers_do_the_work_that_was_measured_at_each() {
    let services = [
        ("/pods/0/service", json!({"kind": "const", "mean_s": 0})),
        ("/pods/1/service", json!({"kind": "exp", "mean_s": 0.2})),
        ("/pods/2/service", json!({"kind": "uniform", "lo_s": 0.1, "hi_s": 0.2})),
    ];
    let exponential = json!({"exponential": {"mean": "200000us"}});
    let uniform = json!({"uniform": {"low": "100000us", "high": "200000us"}});
    converted(
        "E3-03",
        &services,
        &[
            (&node("pods0/pods/work"), Value::Null),
            (&node("pods1/pods/work"), json!({"request": "request at pods1"})),
        ],
    );
    let works = scenario(&variant("E3-03", &services)).unwrap()["work"].clone();
    assert_eq!(works["request"].as_array().unwrap().len(), 1);
    assert_eq!(works["request at pods1"][1]["wait"], exponential);
    assert_eq!(works["request at pods2"][1]["wait"], uniform);
    // A NodePort in front of servers that differ otherwise.
    let unlike = [("/pods/1/queue_limit", json!(9))];
    let names = json!({"to": ["pods0", "pods1", "pods2"], "ttl": "0s", "rotation": "random"});
    converted("E3-10", &unlike, &[(&node("names/dns"), names)]);
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

/// Cases whose settings were drawn at random (tests/data/measured-random/README.md), at the marks of the given ones.
#[test]
fn cases_drawn_at_random_come_out() {
    let cases = cases_of("measured-random");
    assert_eq!(cases.len(), 90);
    let (mut figures, mut within, mut whole) = (0, 0, 0);
    for case in &cases {
        let judged = predict(case, 20, &Silent).unwrap();
        assert!(judged.note.is_none(), "{}: {:?}", case.id, judged.note);
        let good = judged.metrics.iter().filter(|metric| metric.within).count();
        figures += judged.metrics.len();
        within += good;
        whole += usize::from(good == judged.metrics.len());
    }
    assert!(within * 100 >= figures * 95, "{within} of {figures} figures");
    assert!(whole * 10 >= cases.len() * 9, "{whole} of {} cases", cases.len());
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
    let mutex = [
        ("/nginx/worker_connections", json!(512)),
        ("/nginx/worker_processes", json!(2)),
        ("/nginx/accept_mutex", json!(true)),
    ];
    let prewarmed = |n: u32| [("/lambda/prewarm", json!(n))];
    let (some, many) = (prewarmed(40), prewarmed(60));
    let runs: [Noted; 11] = [
        // Own runs of nginx 1.22.1: 239 succeed, and as many as 239 others if the second worker tries to get the mutex meanwhile.
        ("E2-01", &mutex, None, (622.0, 861.0)),
        // 47 connections, 40 of them there already; or as many environments as found one.
        ("E8-03", &some, Some(47.0), (53.0, 53.0)),
        ("E8-03", &many, Some(47.0), (53.0, 53.0)),
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

/// p95 of what succeeded, seconds, and the share that did.
fn outcome(base: &str, settings: &[(&str, Value)]) -> (f64, f64) {
    let rows = outturns(&scenario(&variant(base, settings)).unwrap().to_string()).remove(0);
    let class = &rows[0].ledger.classes[0];
    (class.latency.quantile(0.95).unwrap(), class.ok as f64 / (class.ok + class.failed) as f64)
}

#[test]
fn environments_from_before_the_load_answer_at_once() {
    // 80 users at once: without them every first request is a cold start (0.6 s in the mean).
    let (cold, _) = outcome("E8-01", &[]);
    let (warm, all) = outcome("E8-01", &[("/lambda/prewarm", json!(80))]);
    assert!(cold > 0.5 && warm < 0.3 && all == 1.0, "{cold}, {warm}, {all}");
}

#[test]
fn the_newest_first_survives_a_spike_of_impatient_clients() {
    // E10-01: clients that leave after 1 s and an unbounded queue. First in, first out, everybody served has nearly left.
    let all = ["/pods/0", "/pods/1", "/pods/2"].map(|pod| format!("{pod}/queue_discipline"));
    let with = |word: &str| -> Vec<(&str, Value)> {
        all.iter().map(|pointer| (pointer.as_str(), json!(word))).collect()
    };
    let (_, fifo) = outcome("E10-01", &with("fifo"));
    let (_, lifo) = outcome("E10-01", &with("lifo"));
    assert!(lifo > fifo + 0.2, "{fifo} {lifo}");
}
