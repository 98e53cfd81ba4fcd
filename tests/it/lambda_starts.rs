//! Environments of AWS Lambda: how they start, what keeps them warm, several requests in one, and what the era refuses.

use super::facts_lambda::{counter, failures, first, function, lone, ok, peak};
use super::scenario::findings;
use super::theory::{burst, closed, constant, even, poisson, wait};
use headroom::model::message::Cause;
use headroom::model::usage::UsageLine;
use headroom::model::world::Outturn;
use headroom::price::Table;
use serde_json::{Value, json};

fn usage(row: &Outturn) -> Vec<UsageLine> {
    row.reports.iter().flat_map(|report| report.usage.clone()).collect()
}

/// A function that takes 64 requests at a time, with an Init of half a second.
fn web(more: &[(&str, Value)]) -> Value {
    let mut function = function(500);
    function["per_environment"] = json!(64);
    function["on_full"] = json!("queue");
    for (key, value) in more {
        function[*key] = value.clone();
    }
    function
}

fn y2026(users: &Value, work: &Value, function: &Value) -> Outturn {
    let mut text = lone(users, work, function, 1_000);
    text["era"] = json!("y2026");
    first(&text)
}

#[test]
fn t_env_6_network_interfaces_run_out() {
    let mut vpc = function(150);
    vpc["vpc"] = json!(true);
    vpc["memory"] = json!("1536MB");
    let mut text = lone(&burst(1_000, "0s", "job"), &wait(&constant(30_000.0)), &vpc, 1_000);
    text["era"] = json!("y2018");
    let row = first(&text);
    // 250 interfaces of 3 GB each carry 500 environments of 1.5 GB.
    assert_eq!(ok(&row), 500);
    assert_eq!(failures(&row), [(Cause::InterfaceQuota, 502, 500)]);
    text["era"] = json!("y2019");
    assert_eq!(ok(&first(&text)), 1_000, "shared interfaces");
}

#[test]
fn t_new_1_the_sixty_fifth_request_starts_a_second_environment() {
    let run = |n| y2026(&burst(n, "0s", "job"), &wait(&constant(100.0)), &web(&[]));
    for (requests, environments) in [(64, 1), (65, 2), (128, 2), (129, 3)] {
        let row = run(requests);
        assert_eq!(ok(&row), u64::from(requests));
        assert_eq!(peak(&row, "environments"), environments);
        // All wait for the Init of their environment.
        let latency = row.ledger.classes[0].latency.sum_nanos();
        assert_eq!(latency, u128::from(requests) * 600_000_000);
    }
}

#[test]
fn t_new_2_only_the_most_environments_throttle() {
    let capped = web(&[("max_environments", json!(2))]);
    let row = y2026(&burst(129, "0s", "job"), &wait(&constant(100.0)), &capped);
    assert_eq!(ok(&row), 128);
    assert_eq!(failures(&row), [(Cause::ThrottledEnvironments, 429, 1)]);
    // Where the account's pool is used up, the request waits instead: one environment serves all in turn.
    let mut text = lone(&burst(200, "0s", "job"), &wait(&constant(100.0)), &web(&[]), 1);
    text["era"] = json!("y2026");
    let row = first(&text);
    assert_eq!((ok(&row), peak(&row, "environments")), (200, 1));
    // 64 + 64 + 64 + 8, one after the other.
    let latency = row.ledger.classes[0].latency.sum_nanos();
    assert_eq!(latency, (64 * 6 + 64 * 7 + 64 * 8 + 8 * 9) * 100_000_000);
}

#[test]
fn t_new_3_managed_instances_cost_the_instance_and_fifteen_percent() {
    let managed = web(&[
        ("on_full", json!("throttle")),
        ("memory", json!("2GB")),
        ("scale_on", json!({"cpu": {"min": 3}})),
        ("managed", json!({"instance": "m7g.large", "per_instance": 3})),
    ]);
    let row = y2026(&even(2.0, 3_600.0), &wait(&constant(100.0)), &managed);
    assert_eq!((ok(&row), counter(&row, "fn", "cold_starts")), (7_200, 0));
    let price = Table::builtin("us-east-1").unwrap().item("ec2.m7g.large").unwrap().first_price();
    let paid = |u: &UsageLine| u.quantity * u.price_share.unwrap_or(1.0);
    let hours: f64 = usage(&row).iter().filter(|u| u.unit == "hour").map(paid).sum();
    let per_hour = hours * price.as_f64() / (row.end.as_secs_f64() / 3_600.0);
    assert!((per_hour - 0.093_84).abs() < 1e-6, "{per_hour}");
    assert!(usage(&row).iter().all(|line| !line.item.starts_with("lambda.duration")));
}

#[test]
fn t_seed_2_ten_million_a_day() {
    let rate = 10e6 / 86_400.0;
    assert!((rate - 115.7_f64).abs() < 0.05);
    let row = first(&lone(&even(rate, 60.0), &wait(&constant(10.0)), &function(150), 1_000));
    assert_eq!(ok(&row), 6_945);
}

#[test]
fn requests_in_one_environment_share_its_processor() {
    // 64 requests of 100 ms processor on 1,769 MB, one vCPU: the last ends after 6.4 s, all at the same time.
    let shared = web(&[("memory", json!("1769MB"))]);
    let work = json!([{"cpu": {"constant": "100ms"}}]);
    let row = y2026(&burst(64, "0s", "job"), &work, &shared);
    let latency = row.ledger.classes[0].latency.sum_nanos() as f64 * 1e-9;
    assert!((latency - 64.0 * 6.9).abs() < 1e-3, "{latency}");
}

#[test]
fn scaling_by_load_follows_with_a_delay_and_throttles_a_jump() {
    let managed = web(&[
        ("on_full", json!("throttle")),
        ("memory", json!("1769MB")),
        ("per_environment", json!(10)),
        ("scale_on", json!({"cpu": {"min": 3, "launch": {"constant": "30s"}}})),
    ]);
    // 15 at a time fill half of the room for 30; twice as many fit at once, four times as many do not.
    let jump = |peak: &str| {
        let users = json!({"load": {"open": {"arrivals": "even", "rate": {"spike": {
                "base": "15/s", "peak": peak, "at": "60s", "lasts": "200s", "ramp": "0s", "for": "260s"}}}},
            "request": "job", "connection": {"rtt": "0s", "tls": false, "keepalive": false}});
        y2026(&users, &wait(&constant(1_000.0)), &managed)
    };
    let doubled = jump("29/s");
    assert_eq!(failures(&doubled), []);
    assert!(
        (5..=7).contains(&peak(&doubled, "environments")),
        "{}",
        peak(&doubled, "environments")
    );
    let jumped = jump("60/s");
    let [(Cause::ThrottledEnvironments, 429, throttled)] = failures(&jumped)[..] else {
        panic!("{:?}", failures(&jumped));
    };
    // 20 to 30 a second are too many until the launch is done: 30 s and the wait for the next look.
    assert!((20 * 30..=30 * 60).contains(&throttled), "{throttled}");
    assert!(peak(&jumped, "environments") >= 12);
}

#[test]
fn a_crash_and_a_timeout_make_the_next_invocation_run_init() {
    let mut faulty = function(500);
    faulty["crashes"] = json!(1.0);
    let row = first(&lone(&even(1.0, 3.0), &wait(&constant(100.0)), &faulty, 1_000));
    assert_eq!(failures(&row), [(Cause::FunctionError, 500, 3)]);
    assert_eq!((counter(&row, "fn", "cold_starts"), counter(&row, "fn", "crashes")), (1, 3));
    // The first waits for Init before its invocation, the others run it inside: 0.6 s each.
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 1_800_000_000);
    // Billed at 1 GB: Init 0.5 (era y2025) + 0.1, then 0.6 each.
    assert!((gb_s(&row) - 1.8).abs() < 1e-9, "{}", gb_s(&row));
}

#[test]
fn a_snapshot_is_restored_or_fails_at_ten_seconds() {
    let mut snap = function(5_000);
    snap["runtime"] = json!("java21");
    snap["snap_start"] = json!({"restore": {"constant": "600ms"}});
    let run = |function: &Value| {
        first(&lone(&burst(1, "0s", "job"), &wait(&constant(100.0)), function, 1_000))
    };
    let row = run(&snap);
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 700_000_000, "instead of 5.1 s");
    assert!(!usage(&row).iter().any(|line| line.item.contains("snapstart")), "free for Java");
    snap["snap_start"] = json!({"restore": {"constant": "11s"}});
    let row = run(&snap);
    assert_eq!(failures(&row), [(Cause::SnapStartTimeout, 408, 1)]);
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 10_000_000_000);
    // Python pays for the cache and for each restore.
    snap["runtime"] = json!("python3.12");
    snap["snap_start"] = json!({"restore": {"constant": "600ms"}});
    let lines = usage(&run(&snap));
    let of = |item: &str| lines.iter().find(|u| u.item == item).unwrap().quantity;
    assert!((of("lambda.snapstart_restore") - 1.0).abs() < 1e-9);
    assert!((of("lambda.snapstart_cache") - 0.7).abs() < 1e-9);
}

/// GB-seconds of durations.
fn gb_s(row: &Outturn) -> f64 {
    let durations = usage(row).into_iter().filter(|u| u.item.starts_with("lambda.duration"));
    durations.map(|u| u.quantity).sum()
}

#[test]
fn t_env_8_network_interface_and_download_are_neither_billed_nor_done_again() {
    // Init 300 ms, a VPC (200 ms), 20 MB of dependencies: 0.2 s of download, 1.8 s of loading.
    let mut heavy = function(300);
    (heavy["vpc"], heavy["package"], heavy["timeout"]) = (json!(true), json!("20MB"), json!("3s"));
    let mut text = lone(&burst(1, "10s", "job"), &wait(&constant(10.0)), &heavy, 1_000);
    let row = first(&text);
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 2_510_000_000);
    assert!((gb_s(&row) - 2.11).abs() < 1e-9, "{}", gb_s(&row));
    // After a timeout at 2.5 + 3 s the environment has its code and its interface, and loads again: 2.11 s.
    text["workload"]["slow"] = burst(1, "0s", "slow");
    text["work"]["slow"] = wait(&constant(10_000.0));
    text["designs"]["d"]["enter"]["slow"] = json!("fn");
    let row = first(&text);
    let latency = row.ledger.classes.iter().map(|class| class.latency.sum_nanos()).sum::<u128>();
    assert_eq!((latency, counter(&row, "fn", "cold_starts")), (2_110_000_000, 1));
    assert!((gb_s(&row) - (2.1 + 3.0 + 2.11)).abs() < 1e-9, "{}", gb_s(&row));
}

#[test]
fn a_restore_needs_no_download_and_is_not_billed() {
    let mut snap = function(5_000);
    (snap["runtime"], snap["package"]) = (json!("java21"), json!("50MB"));
    snap["snap_start"] = json!({"restore": {"constant": "700ms"}});
    let row = first(&lone(&burst(100, "0s", "job"), &wait(&constant(10.0)), &snap, 1_000));
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 100 * 710_000_000);
    assert!((gb_s(&row) - 1.0).abs() < 1e-9, "{}", gb_s(&row));
    snap["snap_start"] = json!({"restore": {"constant": "11s"}});
    let row = first(&lone(&burst(100, "0s", "job"), &wait(&constant(10.0)), &snap, 1_000));
    assert!(gb_s(&row) < 1e-9, "no invocation: {}", gb_s(&row));
}

#[test]
fn t_env_9_init_and_its_first_invocation_are_rounded_together() {
    // Its own runtime, whose Init was always billed: 16 + 20 ms are one step of 100 ms.
    let mut rust = function(16);
    rust["runtime"] = json!("rust");
    let mut text = lone(&burst(100, "0s", "job"), &wait(&constant(20.0)), &rust, 1_000);
    for (era, seconds) in [("y2020", 0.1), ("y2023", 0.036)] {
        text["era"] = json!(era);
        let billed = gb_s(&first(&text));
        assert!((billed - 100.0 * seconds).abs() < 1e-9, "{era}: {billed}");
    }
    // An environment that nobody used is paid all the same: with `first_free`, eight were started and two do all the work.
    rust["bind"] = json!("first_free");
    (rust["init"], text["era"]) = (json!({"constant": "300ms"}), json!("y2023"));
    let users = even(20.0, 0.5);
    let row = first(&lone(&users, &wait(&constant(90.0)), &rust, 1_000));
    let cold = counter(&row, "fn", "cold_starts") as f64;
    assert!((gb_s(&row) - (cold * 0.3 + 10.0 * 0.09)).abs() < 1e-9, "{}", gb_s(&row));
}

#[test]
fn an_environment_with_several_requests_is_billed_once() {
    let run = |users: &Value, failing: f64| {
        let mut work = wait(&constant(1_000.0));
        work.as_array_mut().unwrap().push(json!({"fail": {"share": failing}}));
        let more = [("memory", json!("2GB")), ("architecture", json!("arm64"))];
        y2026(users, &work, &web(&more))
    };
    // 64 requests of 1 s at once, after an Init of 0.5 s, in 2 GB; then as many that overlap by half; the pause is free.
    let row = run(&burst(64, "0s", "job"), 0.0);
    assert!((gb_s(&row) - 3.0).abs() < 1e-9, "{}", gb_s(&row));
    let row = run(&even(2.0, 5.0), 0.0);
    // From 0.5 s (the end of Init; requests at 0, 0.5, … 4.5 s) to 5.5 s.
    assert!((gb_s(&row) - 2.0 * (0.5 + 5.0)).abs() < 1e-9, "{}", gb_s(&row));
    let row = run(&even(0.25, 12.0), 1.0);
    assert!((gb_s(&row) - 2.0 * (0.5 + 3.0)).abs() < 1e-9, "{}", gb_s(&row));
    let wasted: f64 = usage(&row).iter().filter(|u| u.unit == "GB-s").map(|u| u.wasted).sum();
    assert!((wasted - 6.0).abs() < 1e-9, "all that was for nothing: {wasted}");
}

#[test]
fn large_tmp_is_paid_by_duration() {
    let mut large = function(0);
    large["tmp"] = json!("2560MB");
    let row = first(&lone(&even(10.0, 1.0), &wait(&constant(100.0)), &large, 1_000));
    let line = usage(&row).into_iter().find(|u| u.item == "lambda.tmp_storage").unwrap();
    // 2 GB above the free 512 MB, 10 × 0.1 s.
    assert!((line.quantity - 2.0).abs() < 1e-9, "{line:?}");
}

#[test]
fn pings_keep_environments_and_are_paid_apart() {
    // A burst of 20 every ten minutes; environments live for six.
    let text = |warm_up: Value| {
        let mut function = function(1_000);
        function["idle_life"] = json!("6min");
        if !warm_up.is_null() {
            function["warm_up"] = warm_up;
        }
        let mut workload = serde_json::Map::new();
        let mut enter = serde_json::Map::new();
        for n in 0..6 {
            workload.insert(format!("u{n}"), burst(20, &format!("{}s", 60 + n * 600), "job"));
            enter.insert(format!("u{n}"), json!("fn"));
        }
        json!({"name": "warm", "workload": workload, "work": {"job": [{"wait": {"constant": "100ms"}}]},
            "designs": {"d": {"enter": enter, "nodes": {"fn": {"lambda": function}}, "accounts": {"main": {}}}},
            "run": {"replications": 2}})
    };
    let cold = |row: &Outturn| counter(row, "fn", "cold_starts");
    let plain = first(&text(Value::Null));
    assert_eq!(cold(&plain), 120);
    let one = first(&text(json!({})));
    assert_eq!(cold(&one), 20 - 1 + 5 * 19, "one ping keeps one environment");
    let twenty = first(&text(json!({"concurrency": 20})));
    assert_eq!(cold(&twenty), 0);
    assert_eq!(counter(&twenty, "fn", "warm_up_cold_starts"), 20);
    // Rounds at 0, 5, …, 50 min; the run ends soon after 51 min.
    assert_eq!(counter(&twenty, "fn", "warm_up_pings"), 11 * 20);
    let lines = usage(&twenty);
    let warm: Vec<_> = lines.iter().filter(|u| u.node == "fn (warm-up)").collect();
    assert_eq!(warm.len(), 2);
    assert!((warm[0].quantity - 220.0).abs() < 1e-9);
    // Predicted from two days: 20 in the minute of each burst, nothing between; pings only where they are of use.
    let day: Vec<u32> = (0..60).map(|minute| if minute % 10 == 1 { 20 } else { 0 }).collect();
    let history = json!({"interval": "1min", "days": [day, day], "headroom": 1.0});
    let predicted = first(&text(json!({"every": "2min", "history": history})));
    assert_eq!(cold(&predicted), 0);
    assert!(counter(&predicted, "fn", "warm_up_pings") < 20 * 20);
}

#[test]
fn an_image_starts_slower_and_its_init_was_always_billed() {
    let run = |package: &str| {
        let function = json!({"account": "main", "runtime": "nodejs22", "memory": "1GB", "timeout": "60s",
            "place": {"constant": "0s"}, "package_type": package});
        let mut text = lone(&poisson(50.0, 4.0), &wait(&constant(100.0)), &function, 1_000);
        text["era"] = json!("y2023");
        first(&text)
    };
    let [zip, image] = ["zip", "image"].map(run);
    let slowest = |row: &Outturn| row.ledger.classes[0].latency.sum_nanos();
    assert!(slowest(&image) > slowest(&zip));
    let gb_s = |row: &Outturn| {
        usage(row).iter().filter(|u| u.unit == "GB-s").map(|u| u.quantity).sum::<f64>()
            - ok(row) as f64 * 0.1
    };
    assert!(gb_s(&zip).abs() < 1e-9 && gb_s(&image) > 0.1, "{} {}", gb_s(&zip), gb_s(&image));
}

#[test]
fn what_an_era_lacks_is_refused_with_a_reason() {
    let codes = |era: &str, more: &[(&str, Value)]| {
        let mut text = lone(&even(1.0, 3.0), &wait(&constant(10.0)), &function(100), 1_000);
        text["era"] = json!(era);
        for (key, value) in more {
            text["designs"]["d"]["nodes"]["fn"]["lambda"][*key] = value.clone();
        }
        let found = findings(text.to_string().as_bytes());
        found.sorted().iter().map(|f| f.code).filter(|c| c.starts_with('E')).collect::<Vec<_>>()
    };
    let provisioned = ("provisioned", json!({"concurrency": 10}));
    assert_eq!(codes("y2018", std::slice::from_ref(&provisioned)), ["E0330"]);
    assert_eq!(codes("y2020", std::slice::from_ref(&provisioned)), Vec::<&str>::new());
    assert_eq!(codes("y2020", &[("package_type", json!("image"))]), ["E0330"]);
    assert_eq!(codes("y2020", &[("architecture", json!("arm64"))]), ["E0330"]);
    assert_eq!(codes("y2023", &[("per_environment", json!(64))]), ["E0330"]);
    assert_eq!(codes("y2020", &[("tmp", json!("1GB"))]), ["E0330"]);
    let snap = ("snap_start", json!({}));
    assert_eq!(codes("y2023", &[snap.clone(), ("runtime", json!("java21"))]), Vec::<&str>::new());
    assert_eq!(codes("y2025", std::slice::from_ref(&snap)), ["E0330"], "nodejs20");
    assert_eq!(codes("y2025", &[snap.clone(), ("runtime", json!("python3.12"))]), ["E0331"]);
    assert_eq!(codes("y2026", &[provisioned.clone(), ("reserved", json!(5))]), ["E0332"]);
    assert_eq!(codes("y2026", &[("on_full", json!("queue"))]), ["E0332"]);
    let web = ("per_environment", json!(8));
    assert_eq!(codes("y2026", &[web.clone(), provisioned]), ["E0332"]);
    let in_init = ("connections", json!("in_init"));
    assert_eq!(codes("y2026", std::slice::from_ref(&in_init)), Vec::<&str>::new());
    assert_eq!(codes("y2026", &[web, in_init]), ["E0332"]);
    // Steps of 64 MB until 2020; 1 s at least; sizes of /tmp and of the package; what SnapStart does not take.
    assert_eq!(codes("y2020", &[("memory", json!("130MB"))]), ["E0312"]);
    assert_eq!(codes("y2020", &[("memory", json!("192MB"))]), Vec::<&str>::new());
    assert_eq!(codes("y2021", &[("memory", json!("130MB"))]), Vec::<&str>::new());
    assert_eq!(codes("y2026", &[("timeout", json!("10ms"))]), ["E0313"]);
    for (tmp, found) in [("256MB", vec!["E0333"]), ("10240MB", vec![]), ("20480MB", vec!["E0333"])]
    {
        assert_eq!(codes("y2026", &[("tmp", json!(tmp))]), found, "{tmp}");
    }
    for (package, form, found) in [
        ("80MB", "zip", vec![]),
        ("251MB", "zip", vec!["E0333"]),
        ("251MB", "image", vec![]),
        ("11GB", "image", vec!["E0333"]),
    ] {
        let more = [("package", json!(package)), ("package_type", json!(form))];
        assert_eq!(codes("y2026", &more), found, "{package} {form}");
    }
    for more in [("tmp", json!("1GB")), ("package_type", json!("image"))] {
        let java = ("runtime", json!("java21"));
        assert_eq!(codes("y2026", &[snap.clone(), java, more]), ["E0332"]);
    }
    // The floor of 100 holds for both.
    assert_eq!(codes("y2026", &[("reserved", json!(901))]), ["E0314", "E0314"]);
    let many = ("provisioned", json!({"concurrency": 901}));
    assert_eq!(codes("y2026", &[many]), ["E0314", "E0314"]);
    assert_eq!(codes("y2026", &[("group", json!("none"))]), ["E0302"]);
    let upside_down = json!({"uniform": {"low": "2s", "high": "1s"}});
    assert_eq!(codes("y2026", &[("place", upside_down)]), ["E0307"]);
}

/// Four users, three requests each, 50 ms between them; Init takes half a second, the database has two slots.
fn connects(how: &str) -> Outturn {
    let mut function = function(500);
    function["connections"] = json!(how);
    let mut users = closed(4, 100, constant(50.0));
    users["load"]["closed"]["requests_per_user"] = json!(3);
    first(&json!({"name": "connects", "workload": {"users": users},
        "work": {"job": [{"query": {"to": "db", "hold": {"constant": "100ms"}}}]},
        "designs": {"d": {"enter": {"users": "fn"}, "accounts": {"main": {}}, "nodes": {
            "fn": {"lambda": function},
            "db": {"postgres": {"connections": 2, "reserved": 0, "fork": "0s", "exit": "0s", "login": {"constant": "0s"},
                "sigma": 0.0, "kappa": 0.0}}}}},
        "run": {"replications": 2}}))
}

#[test]
fn an_environment_whose_init_cannot_connect_is_given_up() {
    // Two are refused at 0.5 s. At 0.55 s both work that are left, so two more start, and are refused at 1.05 s. At 1.1 s
    // those that are left are idle, for good.
    let row = connects("in_init");
    let class = &row.ledger.classes[0];
    assert_eq!((class.ok, failures(&row)), (8, vec![(Cause::ConnectionSlots, 500, 4)]));
    assert_eq!(class.latency_failed.sum_nanos(), 4 * 500_000_000);
    assert_eq!((counter(&row, "fn", "cold_starts"), peak(&row, "environments")), (6, 4));
    // Opened by the first request, a connection that is refused leaves an environment behind, which is there first next time.
    let row = connects("per_environment");
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 2 * 500_000_000);
    assert_eq!(counter(&row, "fn", "cold_starts"), 4);
}
