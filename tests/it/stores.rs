//! Databases and poolers: slots, logins, listen queues, FIFO lines and their timeouts, deterministic where it can be.

use super::common::outturns;
use super::theory::{burst, closed, threads};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Threads that send one statement of `hold`, with the given pool, to node `to`; other nodes are given.
fn design(users: Value, hold: &str, to: &str, pool: Value, nodes: Value) -> String {
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
fn free(connections: u32) -> Value {
    json!({"postgres": {"connections": connections, "reserved": 0, "fork": "0s", "exit": "0s",
        "login": {"constant": "0s"}, "sigma": 0.0, "kappa": 0.0}})
}

/// A `PostgreSQL` 15 as measured, without slow-down of statements.
fn postgres(connections: u32) -> Value {
    json!({"postgres": {"connections": connections, "auth": "trust", "sigma": 0.0, "kappa": 0.0}})
}

fn first(text: &str) -> Outturn {
    outturns(text).remove(0).remove(0)
}

fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).unwrap().1
}

fn failures(row: &Outturn) -> Vec<(Cause, u64)> {
    let mut list: Vec<_> = row.ledger.failures.iter().map(|f| (f.cause, f.count)).collect();
    list.sort();
    list
}

fn ok(row: &Outturn) -> u64 {
    row.ledger.classes.iter().map(|c| c.ok).sum()
}

fn peak(row: &Outturn, name: &str) -> u64 {
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
