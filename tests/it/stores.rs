//! Databases and poolers: slots, logins, listen queues, FIFO lines and their timeouts, deterministic where it can be.

use super::common::outturns;
use super::theory::{burst, closed, even, threads};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Threads that send one statement of `hold`, with the given pool, to node `to`; other nodes are given.
pub(super) fn design(users: Value, hold: &str, to: &str, pool: Value, nodes: Value) -> String {
    let mut api = threads(5000);
    api["pods"]["pool"] = json!({to: pool});
    api["pods"]["backlog"] = json!(65_535);
    api["pods"]["somaxconn"] = json!(65_535);
    let mut all = json!({"api": api});
    for (name, node) in nodes.as_object().unwrap() {
        all[name] = node.clone();
    }
    json!({"name": "stores", "workload": {"users": users},
        "work": {"job": [{"query": {"to": to, "hold": {"constant": hold}}}]},
        "designs": {"d": {"enter": {"users": "api"}, "nodes": all}},
        "run": {"replications": 2, "horizon": "1h"}})
    .to_string()
}

fn direct() -> Value {
    json!({"mode": "direct"})
}

/// A server whose logins cost nothing and whose statements do not slow one another.
pub(super) fn free(connections: u32) -> Value {
    json!({"postgres": {"connections": connections, "reserved": 0, "fork": "0s", "exit": "0s",
        "login": {"constant": "0s"}, "sigma": 0.0, "kappa": 0.0}})
}

/// A `PostgreSQL` 15 as measured, without slow-down of statements.
fn postgres(connections: u32) -> Value {
    json!({"postgres": {"connections": connections, "auth": "trust", "sigma": 0.0, "kappa": 0.0}})
}

pub(super) fn first(text: &str) -> Outturn {
    outturns(text).remove(0).remove(0)
}

pub(super) fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).unwrap().1
}

pub(super) fn failures(row: &Outturn) -> Vec<(Cause, u64)> {
    let mut list: Vec<_> = row.ledger.failures.iter().map(|f| (f.cause, f.count)).collect();
    list.sort();
    list
}

pub(super) fn ok(row: &Outturn) -> u64 {
    row.ledger.classes.iter().map(|c| c.ok).sum()
}

pub(super) fn peak(row: &Outturn, name: &str) -> u64 {
    let gauge = row.ledger.gauges.iter().find(|g| g.name == name).unwrap();
    gauge.levels.highs().iter().copied().max().unwrap()
}

fn proxy(percent: u32) -> Value {
    json!({"rds_proxy": {"to": "db", "max_connections_percent": percent, "latency": {"constant": "0s"}}})
}

fn bouncer(size: u32) -> Value {
    json!({"pgbouncer": {"to": "db", "pool_mode": "transaction", "default_pool_size": size,
        "max_client_conn": 5000, "login": "0s", "statement": "0s"}})
}

#[test]
fn statements_that_compute_have_the_servers_processors() {
    // 10 ms of processor time each on two: 200 a second and 160 ms for each of 32. A quarter of it: 800 a second. By default half:
    // 400. A curve that is given holds alone: 32 / (1 + 31 σ + 32 · 31 κ) = 1,175 a second.
    let rate = |more: Value| {
        let mut own = json!({"connections": 100, "vcpu": 2});
        own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pool = json!({"max": 32, "connecting": 32});
        let nodes = json!({"db": {"postgres": own}});
        let users = json!({"load": {"closed": {"users": 32, "for": "60s"}}, "request": "job",
            "connection": {"tls": false, "rtt": "0s"}});
        ok(&first(&design(users, "10ms", "db", pool, nodes))) as f64 / 60.0
    };
    for (more, want) in [
        (json!({"cpu_share": 1.0}), 200.0),
        (json!({"cpu_share": 0.25}), 800.0),
        (json!({}), 400.0),
        (json!({"sigma": 0.03, "kappa": 8e-4}), 1_174.9),
        (json!({"cpu_share": 0.0}), 1_174.9),
        (json!({"kappa": 8e-4, "cpu_share": 1.0}), 200.0),
    ] {
        let got = rate(more.clone());
        assert!((got / want - 1.0).abs() < 0.02, "{more}: {got}");
    }
}

#[test]
fn t_db_1_a_proxy_lets_950_of_1000_start() {
    let nodes = json!({"proxy": proxy(95), "db": free(1000)});
    let row = first(&design(burst(1000, "0s", "job"), "1s", "proxy", direct(), nodes));
    let latency = &row.ledger.classes[0].latency;
    assert_eq!((ok(&row), latency.sum_nanos()), (1000, (950 + 50 * 2) * 1_000_000_000));
    assert_eq!(peak(&row, "server connections"), 950);
}

#[test]
fn t_db_2_a_pool_of_twenty_in_waves() {
    let nodes = json!({"pool": bouncer(20), "db": free(100)});
    let row = first(&design(burst(1000, "0s", "job"), "10ms", "pool", direct(), nodes.clone()));
    assert_eq!(
        row.ledger.classes[0].latency.max().nanos(),
        500_000_000,
        "the last starts at 0.49 s"
    );
    assert_eq!(ok(&row), 1000);
    // 13 waves start, the last at 120 s; PgBouncer notices the others at its next look, within a third of a second.
    let row = first(&design(burst(1000, "0s", "job"), "10s", "pool", direct(), nodes));
    assert_eq!((ok(&row), failures(&row)), (260, vec![(Cause::PoolTimeout, 740)]));
    let failed = &row.ledger.classes[0].latency_failed;
    let mean = failed.sum_nanos() as f64 / 740e9;
    assert!((120.0..120.334).contains(&mean), "{mean}");
    // RDS Proxy gives up at 120 s sharp, and completions go first.
    let nodes = json!({"proxy": proxy(100), "db": free(20)});
    let row = first(&design(burst(1000, "0s", "job"), "10s", "proxy", direct(), nodes));
    assert_eq!((ok(&row), failures(&row)), (260, vec![(Cause::PoolTimeout, 740)]));
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 740 * 120_000_000_000);
}

#[test]
fn a_connect_alone_takes_its_processor_time() {
    let mut db = postgres(100);
    db["postgres"]["login"] = json!({"constant": "1.9ms"});
    let text = design(burst(1, "0s", "job"), "0s", "db", direct(), json!({"db": db}));
    assert_eq!(first(&text).ledger.classes[0].latency.sum_nanos(), 2_300_000);
}

#[test]
fn connects_per_second_are_bounded_by_the_processors() {
    // Fork, login and end of a connection are 2.9 ms of 2 vCPUs: 690 a second.
    let users = closed(16, 10, json!({"constant": "0s"}));
    let row = first(&design(users, "0s", "db", direct(), json!({"db": postgres(100)})));
    let rate = ok(&row) as f64 / 10.0;
    assert!((rate / 690.0 - 1.0).abs() < 0.02, "{rate}");
}

#[test]
fn a_burst_gets_the_slots_and_the_rest_is_refused() {
    let mut db = postgres(100);
    db["postgres"]["backlog"] = json!(1000);
    let row = first(&design(burst(300, "0s", "job"), "1s", "db", direct(), json!({"db": db})));
    assert_eq!((ok(&row), failures(&row)), (97, vec![(Cause::ConnectionSlots, 203)]));
    assert_eq!(counter(&row, "db", "syn_dropped"), 0);
    // Refusals are forked and cost a login, as successes do.
    let refused = row.ledger.classes[0].latency_failed.sum_nanos() as f64 / 203e9;
    assert!((0.1..0.5).contains(&refused), "{refused}");
}

#[test]
fn a_full_listen_queue_sends_some_to_a_second_try() {
    // One in work, 31 in the queue; the others come again at 1 s, when the first statements are over.
    let mut db = postgres(40);
    db["postgres"]["backlog"] = json!(30);
    let row = first(&design(burst(60, "0s", "job"), "900ms", "db", direct(), json!({"db": db})));
    assert_eq!(counter(&row, "db", "syn_dropped"), 28);
    assert_eq!(ok(&row), 60);
    let latency = &row.ledger.classes[0].latency;
    assert!(latency.max().as_secs_f64() > 1.9 && latency.quantile(0.5).unwrap() < 1.1);
}

#[test]
fn pools_larger_than_the_server_fail_as_they_grow() {
    // A pool of 90 against 47 slots: whoever cannot get a pooled connection tries to open one and is refused.
    let users = closed(120, 20, json!({"constant": "1s"}));
    let pool = json!({"max": 90, "connecting": 90});
    let row = first(&design(users.clone(), "700ms", "db", pool, json!({"db": postgres(50)})));
    let (good, bad) = (ok(&row), failures(&row)[0].1);
    assert!(bad > good / 10, "{good} and {bad}");
    let pool = json!({"max": 47, "connecting": 47});
    let row = first(&design(users, "700ms", "db", pool, json!({"db": postgres(50)})));
    assert!(failures(&row).is_empty(), "{:?}", failures(&row));
}

#[test]
fn an_acquire_timeout_counts_the_wait_in_line() {
    let pool = json!({"max": 1, "connecting": 1, "acquire_timeout": "500ms"});
    let row = first(&design(burst(10, "0s", "job"), "300ms", "db", pool, json!({"db": free(10)})));
    assert_eq!((ok(&row), failures(&row)), (2, vec![(Cause::PoolTimeout, 8)]));
    assert_eq!(row.ledger.classes[0].latency_failed.sum_nanos(), 8 * 500_000_000);
}

#[test]
fn idle_connections_of_a_pool_are_closed() {
    let pool = json!({"max": 10, "connecting": 10, "idle_timeout": "2s"});
    let mut users = burst(5, "0s", "job");
    users["load"] =
        json!({"closed": {"users": 5, "think": {"constant": "10s"}, "requests_per_user": 3}});
    let row = first(&design(users, "100ms", "db", pool, json!({"db": free(10)})));
    assert_eq!((ok(&row), counter(&row, "db", "logins")), (15, 15));
    let last = row.ledger.gauges.iter().find(|g| g.name == "connections").unwrap();
    assert_eq!(last.levels.highs().iter().copied().min(), Some(0));
}

#[test]
fn pgbouncer_refuses_clients_and_goes_on_with_fewer_servers() {
    let mut pool = bouncer(60);
    pool["pgbouncer"]["max_client_conn"] = json!(100);
    let nodes = json!({"pool": pool, "db": postgres(50)});
    let row = first(&design(burst(300, "0s", "job"), "1s", "pool", direct(), nodes));
    assert_eq!((ok(&row), failures(&row)), (100, vec![(Cause::ClientConnections, 200)]));
    // 47 slots for 60 wanted: one refusal, and none is tried for the next 15 s.
    assert_eq!(counter(&row, "pool", "server_logins"), 47);
    assert_eq!(counter(&row, "pool", "server_logins_refused"), 1);
}

#[test]
fn pgbouncer_opens_one_server_connection_at_a_time() {
    let mut db = free(100);
    db["postgres"]["login"] = json!({"constant": "10ms"});
    let nodes = json!({"pool": bouncer(40), "db": db});
    let row = first(&design(burst(40, "0s", "job"), "1s", "pool", direct(), nodes));
    // The k-th connection is open after 10 k ms.
    let sum: u128 = (1..=40).map(|k| 1_000_000_000 + k * 10_000_000).sum();
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), sum);
}

#[test]
fn session_mode_holds_a_server_connection_between_statements() {
    // Two pods' pools of 10 clients keep 20 sessions; the pool has 10 server connections.
    let mut pool = bouncer(10);
    pool["pgbouncer"]["query_wait_timeout"] = json!("2s");
    let run = |mode: &str| {
        let mut pool = pool.clone();
        pool["pgbouncer"]["pool_mode"] = json!(mode);
        let nodes = json!({"pool": pool, "db": free(100)});
        let client = json!({"max": 20, "connecting": 20});
        first(&design(closed(20, 10, json!({"constant": "200ms"})), "50ms", "pool", client, nodes))
    };
    assert!(failures(&run("transaction")).is_empty());
    let session = run("session");
    assert_eq!(failures(&session)[0].0, Cause::PoolTimeout);
    assert_eq!(peak(&session, "server connections"), 10);
}

#[test]
fn the_reserve_pool_helps_after_its_timeout() {
    let mut pool = bouncer(1);
    pool["pgbouncer"]["reserve_pool_size"] = json!(1);
    pool["pgbouncer"]["reserve_pool_timeout"] = json!("3s");
    let nodes = json!({"pool": pool, "db": free(10)});
    let row = first(&design(burst(3, "0s", "job"), "10s", "pool", direct(), nodes));
    // 10 s, 3 + 10 s, and 20 s.
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 43_000_000_000);
}

#[test]
fn pinning_makes_a_proxy_a_session_pool() {
    let run = |pinned: f64| {
        let mut proxy = proxy(100);
        proxy["rds_proxy"]["pinned"] = json!(pinned);
        proxy["rds_proxy"]["connection_borrow_timeout"] = json!("1s");
        let nodes = json!({"proxy": proxy, "db": free(10)});
        let client = json!({"max": 30, "connecting": 30});
        first(&design(closed(30, 10, json!({"constant": "300ms"})), "30ms", "proxy", client, nodes))
    };
    assert!(failures(&run(0.0)).is_empty());
    let all = run(1.0);
    assert!(failures(&all)[0].1 > 100);
    assert!(counter(&all, "proxy", "pinned") > 20);
}

/// Requests that query a table directly from threads.
fn table(users: Value, spec: Value) -> String {
    design(users, "0s", "db", direct(), json!({"db": {"dynamodb": spec}}))
}

#[test]
fn t_ddb_1_a_table_of_a_hundred_units_under_a_thousand_writes() {
    let spec = json!({"mode": {"provisioned": {"read": 1, "write": 100}}, "write_share": 1.0, "retries": "none"});
    let row = first(&table(even(1000.0, 60.0), spec));
    // 30,000 stored units and 100 a second: all pass for 33.3 s, then 100 a second: 30,000 + 60 · 100.
    assert!((ok(&row) as f64 - 36_000.0).abs() <= 2.0, "{}", ok(&row));
    assert_eq!(row.ledger.failures[0].cause, Cause::ThrottledStore);
    assert!((row.ledger.failures[0].first.as_secs_f64() - 33.3).abs() < 0.1);
}

#[test]
fn a_table_scales_by_what_it_consumed() {
    // 1,000 writes a second on 100 units for 300 s. Minutes 1 and 2 consume 36,000 and 6,000, so 100 / 0.7 units are asked for at 120 s;
    // with a minute for the update minute 3 serves 6,000 and the next two 8,571 each.
    let scaling =
        |delay: &str| json!({"max_read": 1.0, "max_write": 10_000.0, "delay": {"constant": delay}});
    let run = |users: Value, write: u32, delay: &str, retries: &str| {
        let mode = json!({"provisioned": {"read": 1, "write": write, "scaling": scaling(delay)}});
        first(&table(users, json!({"mode": mode, "write_share": 1.0, "retries": retries})))
    };
    for (delay, served) in [("0s", 71_388), ("60s", 65_143), ("180s", 60_000)] {
        let row = run(even(1000.0, 300.0), 100, delay, "none");
        assert!(ok(&row).abs_diff(served) <= 10, "{delay}: {}", ok(&row));
    }
    // Retries that are throttled again are no demand: 150 writes a second never ask for more than 150 / 0.7 = 214 units and what
    // was put off.
    let row = run(even(150.0, 300.0), 20, "0s", "legacy");
    let held: f64 = row
        .reports
        .iter()
        .flat_map(|r| &r.usage)
        .filter(|u| u.item == "dynamodb.wcu_hour")
        .map(|u| u.quantity)
        .sum();
    assert!(held * 3600.0 < 300.0 * 300.0, "{held}");
}

#[test]
fn a_small_table_has_one_partition_for_its_burst() {
    let spec = json!({"mode": {"provisioned": {"read": 1, "write": 100}}, "write_share": 1.0, "retries": "none"});
    let row = first(&table(burst(9_000, "0s", "job"), spec));
    assert_eq!((ok(&row), row.ledger.failures[0].count), (1_000, 8_000));
    // 2,500 units have three partitions.
    let spec = json!({"mode": {"provisioned": {"read": 1, "write": 2_500}}, "write_share": 1.0, "retries": "none"});
    assert_eq!(ok(&first(&table(burst(9_000, "0s", "job"), spec))), 3_000);
}

#[test]
fn t_ddb_2_on_demand_takes_twice_its_peak_at_once() {
    let spec = json!({"mode": {"on_demand": {"peak_reads": 2000, "quota": 1e6}}, "consistency": "strong",
        "write_share": 0.0, "retries": "none"});
    let row = first(&table(burst(5_000, "0s", "job"), spec));
    assert_eq!((ok(&row), row.ledger.failures[0].count), (4_000, 1_000));
    let row =
        first(&table(burst(4_001, "0s", "job"), json!({"write_share": 1.0, "retries": "none"})));
    assert_eq!((ok(&row), row.ledger.failures[0].count), (4_000, 1), "a new table");
}

#[test]
fn t_ddb_3_a_hot_key_has_one_partition() {
    let spec = json!({"mode": {"provisioned": {"read": 1, "write": 20_000}}, "write_share": 1.0, "hot_key_share": 1.0,
        "retries": "none"});
    let row = first(&table(even(1500.0, 20.0), spec));
    // The partition's first second is full: 1,000 more pass.
    assert!((ok(&row) as f64 - 21_000.0).abs() <= 2.0, "{}", ok(&row));
}

#[test]
fn throttled_calls_are_tried_again_by_the_sdk() {
    let spec = |retries: &str| json!({"mode": {"on_demand": {"peak_writes": 50}}, "write_share": 1.0, "retries": retries});
    let row = first(&table(burst(200, "0s", "job"), spec("legacy")));
    assert_eq!(ok(&row), 200, "10 attempts wait for the next second");
    assert!(counter(&row, "db", "throttled_attempts") >= 100);
    let row = first(&table(burst(200, "0s", "job"), spec("none")));
    assert_eq!(ok(&row), 100);
}

#[test]
fn environments_and_pods_fight_for_the_same_slots() {
    // 60 environments and 60 pooled connections want 100 slots; together 20 too many.
    let users = |to: &str| {
        json!({"load": {"burst": {"requests": 60, "at": "0s"}}, "request": to,
        "connection": {"rtt": "0s", "tls": false}})
    };
    let step = json!([{"query": {"to": "db", "hold": {"constant": "1s"}}}]);
    let text = |classes: &[&str]| {
        let enter = json!({"clients": "api", "events": "fn"});
        let mut scenario = json!({"name": "shared", "workload": {}, "work": {"job": step},
            "designs": {"d": {"enter": {}, "accounts": {"main": {}}, "nodes": {
                "api": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 100}}, "pool": {"db": {"max": 60, "connecting": 60}}}},
                "fn": {"lambda": {"account": "main", "runtime": "nodejs20", "timeout": "60s", "place": {"constant": "0s"},
                    "init": {"constant": "0s"}}},
                "db": free(100)}}},
            "run": {"replications": 2}});
        for class in classes {
            scenario["workload"][class] = users("job");
            scenario["designs"]["d"]["enter"][class] = enter[class].clone();
        }
        scenario.to_string()
    };
    assert!(failures(&first(&text(&["clients"]))).is_empty());
    assert!(failures(&first(&text(&["events"]))).is_empty());
    let both = first(&text(&["clients", "events"]));
    assert_eq!((ok(&both), failures(&both)), (100, vec![(Cause::ConnectionSlots, 20)]));
    assert_eq!(peak(&both, "connections"), 100);
}

#[test]
fn documentdb_queues_locks_and_limits_active_statements() {
    let run = |spec: Value, requests: u32, hold: &str| {
        let mut server = json!({"login": {"constant": "0s"}, "sigma": 0.0, "kappa": 0.0});
        server.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let nodes = json!({"db": {"documentdb": server}});
        first(&design(burst(requests, "0s", "job"), hold, "db", direct(), nodes))
    };
    // 1,000 connections of a t3.medium, 102 of them active: ten waves of statements.
    let row = run(json!({"class": "documentdb.t3.medium"}), 1_020, "1s");
    assert_eq!((ok(&row), failures(&row)), (1_000, vec![(Cause::ConnectionSlots, 20)]));
    assert_eq!(row.ledger.classes[0].latency.max().nanos(), 10_000_000_000);
    let row = run(json!({"connections": 10, "when_full": "queue"}), 30, "1s");
    assert_eq!((ok(&row), row.ledger.classes[0].latency.max().nanos()), (30, 3_000_000_000));
    // The 1,001st connection of a second locks the session map for itself and for all after it.
    let row = run(json!({"connections": 2_000, "session_map_lock": "4s"}), 1_200, "0s");
    let latency = &row.ledger.classes[0].latency;
    assert_eq!((ok(&row), latency.sum_nanos()), (1_200, 200 * 4_000_000_000));
}

#[test]
fn a_cache_keeps_items_until_they_expire() {
    let cache = |contents: Value| json!({"cache": {"to": "server", "contents": contents, "service": "0s", "latency": {"constant": "0s"}}});
    let run = |contents: Value| {
        let nodes = json!({"db": cache(contents), "server": free(100)});
        first(&design(even(10.0, 60.0), "1ms", "db", json!({"max": 5, "connecting": 5}), nodes))
    };
    // One key that lives for 10 s: a miss at the start and one for each time it has expired.
    let row = run(json!({"keys": {"count": 1, "ttl": "10s"}}));
    assert_eq!((counter(&row, "db", "misses"), counter(&row, "db", "hits")), (6, 594));
    let row = run(json!({"keys": {"count": 1, "warm": true, "flush": ["30s"]}}));
    assert_eq!(counter(&row, "db", "misses"), 1);
    let row = run(json!({"hit_ratio": 0.9}));
    let share = counter(&row, "db", "misses") as f64 / 600.0;
    assert!((share - 0.1).abs() < 0.04, "{share}");
    assert_eq!(
        counter(&row, "server", "logins"),
        1,
        "one client connection of the pool, one behind it"
    );
}

#[test]
fn a_flushed_cache_lets_the_stampede_through() {
    // 50 requests at one instant miss one key: all of them go to the server.
    let cache = json!({"cache": {"to": "server", "contents": {"keys": {"count": 1, "warm": true, "flush": ["1s"]}}}});
    let nodes = json!({"db": cache, "server": free(100)});
    let row = first(&design(burst(50, "2s", "job"), "10ms", "db", direct(), nodes.clone()));
    assert_eq!((counter(&row, "db", "misses"), peak(&row, "connections")), (50, 50));
    let row = first(&design(burst(50, "500ms", "job"), "10ms", "db", direct(), nodes));
    assert_eq!(counter(&row, "db", "misses"), 0);
}

#[test]
fn a_connection_number_used_again_means_another_connection() {
    // A function that times out closes its connection while its statement runs on, and its next invocation opens another.
    let text = json!({"name": "again", "workload": {"users": closed(3, 20, json!({"constant": "100ms"}))},
        "work": {"job": [{"query": {"to": "db", "hold": {"exponential": {"mean": "1s"}}}}]},
        "designs": {"d": {"enter": {"users": "fn"}, "accounts": {"main": {}}, "nodes": {
            "fn": {"lambda": {"account": "main", "runtime": "nodejs20", "timeout": "1s"}}, "db": free(100)}},
          "proxied": {"enter": {"users": "fn"}, "accounts": {"main": {}}, "nodes": {
            "fn": {"lambda": {"account": "main", "runtime": "nodejs20", "timeout": "1s"}},
            "db": {"rds_proxy": {"to": "server", "pinned": 0.5}}, "server": free(20)}}},
        "run": {"replications": 2}});
    for row in outturns(&text.to_string()).iter().flatten() {
        assert!(ok(row) > 10 && failures(row)[0].1 > 5);
        assert!(peak(row, "connections") < 20, "slots of closed connections come back");
    }
}

#[test]
fn mistakes_about_stores_are_told() {
    let codes = |nodes: Value, era: &str| {
        let text = json!({"name": "bad", "era": era, "workload": {"users": burst(1, "0s", "job")},
            "work": {"job": [{"query": {"to": "db", "hold": {"constant": "1ms"}}}]},
            "designs": {"d": {"enter": {"users": "api"}, "nodes": {"api": {"pods": {"replicas": 1,
                "hosts": {"count": 1, "instance": "t3.medium"}}}, "db": nodes["db"], "server": nodes["server"]}}}});
        let found = super::scenario::findings(text.to_string().as_bytes());
        // Nothing leads to `server` where `db` is a server itself.
        let codes = found.sorted().iter().map(|finding| finding.code).collect::<Vec<_>>();
        let aside = ["W0401", "W0404", "W0412", "W0414", "W0462"];
        codes.into_iter().filter(|code| !aside.contains(code)).collect::<Vec<_>>()
    };
    let server = json!({"postgres": {"connections": 50}});
    let with = |db: Value| json!({"db": db, "server": server});
    let db = |spec: Value| with(json!({"postgres": spec}));
    assert_eq!(codes(db(json!({"vcpu": 2})), "y2025"), ["E0360"]);
    assert_eq!(codes(db(json!({"connections": 3})), "y2025"), ["E0310"]);
    assert_eq!(codes(db(json!({"connections": 50, "when_full": "queue"})), "y2025"), ["E0361"]);
    assert_eq!(codes(db(json!({"connections": 500, "memory": "1GB"})), "y2025"), ["W0460"]);
    let bouncer =
        |size: u32| with(json!({"pgbouncer": {"to": "server", "default_pool_size": size}}));
    assert_eq!(codes(bouncer(47), "y2025"), Vec::<&str>::new());
    assert_eq!(codes(bouncer(48), "y2025"), ["W0461"]);
    let proxy = |timeout: &str| {
        with(json!({"rds_proxy": {"to": "server", "connection_borrow_timeout": timeout}}))
    };
    assert_eq!(codes(proxy("10s"), "y2018"), ["E0362"]);
    assert_eq!(codes(proxy("301s"), "y2025"), ["E0363"]);
    assert_eq!(codes(with(json!({"dynamodb": {"item_size": "1MB"}})), "y2025"), ["E0364"]);
    let provisioned = |mode: Value| with(json!({"dynamodb": {"mode": {"provisioned": mode}}}));
    assert_eq!(
        codes(provisioned(json!({"read": 90_000, "write": 50_000})), "y2025"),
        ["E0369", "E0369"]
    );
    let raised = json!({"read": 90_000, "write": 50_000, "quota": 100_000});
    assert_eq!(codes(provisioned(raised), "y2025"), Vec::<&str>::new());
    let cache =
        |ratio: f64, to: &str| with(json!({"cache": {"to": to, "contents": {"hit_ratio": ratio}}}));
    assert_eq!(codes(cache(1.5, "server"), "y2025"), ["E0365"]);
    assert_eq!(codes(cache(0.5, "api"), "y2025"), ["E0303"]);
    assert_eq!(codes(cache(0.5, "nowhere"), "y2025"), ["E0301"]);
}

#[test]
fn a_backend_holds_its_slot_through_the_clients_part_of_the_login() {
    // Two slots, three connects at once, a second for the client's part: the third is refused before anybody is logged in.
    let mut server = free(2);
    server["postgres"]["login_wait"] = json!({"constant": "1s"});
    let row = first(&design(burst(3, "0s", "job"), "1s", "db", direct(), json!({"db": server})));
    assert_eq!((ok(&row), failures(&row)), (2, vec![(Cause::ConnectionSlots, 1)]));
    assert!(row.ledger.classes[0].latency_failed.quantile(1.0).unwrap() < 0.1);
}

#[test]
fn a_statement_keeps_its_slot_when_another_of_its_environment_fails() {
    // One environment takes several requests at a time over one connection. The first statement runs from 0.5 s (after Init) to 2.5 s. The
    // second meets a server that is down, so the environment hangs up: the slot is free only when the first has ended. The third
    // is refused, the fourth served.
    let class = |at: &str| burst(1, at, "job");
    let text = json!({
        "name": "shared environment", "era": "y2026",
        "workload": {"a": class("0s"), "b": class("1.05s"), "c": class("1.5s"), "d": class("3s")},
        "work": {"job": [{"query": {"to": "db", "hold": {"constant": "2s"}}}]},
        "designs": {"d": {"enter": {"a": "fn", "b": "fn", "c": "fn", "d": "fn"}, "accounts": {"main": {}},
            "events": [{"at": "1s", "node": "db", "do": {"down": {"for": "100ms"}}}],
            "nodes": {"db": free(1), "fn": {"lambda": {"account": "main", "runtime": "nodejs20", "timeout": "60s",
                "memory": "1024MB", "place": {"constant": "0s"}, "init": {"constant": "500ms"}, "per_environment": 4}}}}},
        "run": {"replications": 2}
    });
    for row in outturns(&text.to_string()).remove(0) {
        let served: Vec<_> = row.ledger.classes.iter().map(|class| class.ok).collect();
        assert_eq!(served, [1, 0, 0, 1]);
        let causes: Vec<_> = row.ledger.failures.iter().map(|failure| failure.cause).collect();
        assert_eq!(causes, [Cause::Refused, Cause::ConnectionSlots]);
    }
}

/// Statements of half a second, five a second, through a `PgBouncer`; how often it logged in, and how many statements there were.
fn logins(lifetime: &str, seconds: u32) -> (u64, u64) {
    let pooler = json!({"pgbouncer": {"to": "db", "pool_mode": "transaction", "default_pool_size": 20,
        "max_client_conn": 5000, "server_lifetime": lifetime}});
    let load = json!({"open": {"rate": {"steady": {"rate": "5/s", "for": format!("{seconds}s")}}}});
    let nodes = json!({"px": pooler, "db": postgres(100)});
    let row = first(&design(
        json!({"load": load, "request": "job"}),
        "500ms",
        "px",
        json!({"max": 50}),
        nodes,
    ));
    assert_eq!(failures(&row), []);
    (counter(&row, "px", "server_logins"), ok(&row))
}

#[test]
fn server_connections_of_a_pooler_are_closed_when_their_lifetime_is_over() {
    // Of 10 s: no more than one in half a second goes, since the pool has 20 (PgBouncer, `life_over`), and the handful that it takes
    // to carry 2.5 statements at a time is renewed about every ten seconds.
    let (count, _) = logins("10s", 60);
    assert!((12..=60).contains(&count), "{count} logins");
    // Of none: each is used once. One may have been opened for a statement that found another free.
    let (count, statements) = logins("0s", 60);
    assert!((statements..=statements + statements / 10).contains(&count), "{count} {statements}");
    // The default of an hour: busy ones outlive it, and go when they are given back.
    assert!(logins("1h", 4_000).0 < 40);
}

/// What arrives at a store is its statements and the connections to it; the two are told apart.
#[test]
fn connections_to_a_store_are_no_statements() {
    let of = |pool: Value| {
        let row = first(&design(even(10.0, 10.0), "10ms", "db", pool, json!({"db": free(50)})));
        let at = row.names.iter().position(|n| n.0 == "db").unwrap();
        let node = &row.ledger.nodes[at];
        (node.arrived - node.connects, node.connects, ok(&row))
    };
    let (statements, connects, served) = of(json!({"max": 5}));
    assert_eq!((statements, connects), (served, 1));
    let (statements, connects, served) = of(direct());
    assert_eq!((statements, connects), (served, served));
}
