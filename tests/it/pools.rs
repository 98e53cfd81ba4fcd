//! Pools of pods by the rules of their drivers: opened ahead, closed when idle, too many or too old, sized by default. All by hand.

use super::stores::{counter, design, failures, first, free, ok, peak};
use super::theory::{burst, closed};
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// A server of `PostgreSQL` whose logins take so long, one after the other.
fn slow(login: &str) -> Value {
    let mut db = free(100);
    db["postgres"]["login"] = json!({"constant": login});
    db["postgres"]["vcpu"] = json!(1);
    json!({"db": db})
}

fn run(users: Value, hold: &str, pool: Value, nodes: Value) -> Outturn {
    first(&design(users, hold, "db", pool, nodes))
}

#[test]
fn t_pool_4_hikaricp_opens_all_ahead_one_at_a_time() {
    // The k-th connection is open after 10 k ms; four requests of 1 s that came at once have one each: 4 s, and 10 + 20 + 30 + 40 ms.
    let pool = json!({"driver": "hikaricp", "max": 4});
    let row = run(burst(4, "0s", "job"), "1s", pool.clone(), slow("10ms"));
    assert_eq!((ok(&row), counter(&row, "db", "logins")), (4, 4));
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 4_100_000_000);
    // Who comes later finds them open: there were four before anybody asked.
    let row = run(burst(4, "1s", "job"), "1ms", pool, slow("10ms"));
    assert_eq!(row.ledger.classes[0].latency.max().nanos(), 1_000_000);
    assert_eq!((counter(&row, "db", "logins"), peak(&row, "connections")), (4, 4));
}

#[test]
fn hikaricp_tries_again_what_was_refused_and_requests_wait() {
    // Two slots for three. The third is refused at 0, 0.25, 0.625 and 1.1875 s; its request has the first that is free, at 1 s.
    let pool = json!({"driver": "hikaricp", "max": 3});
    let row = run(burst(3, "0s", "job"), "1s", pool, json!({"db": free(2)}));
    assert_eq!((ok(&row), failures(&row)), (3, vec![]));
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 4_000_000_000);
    assert_eq!(counter(&row, "db", "logins_refused"), 4);
    // A driver that opens for a request tells it: the third fails at once.
    let row = run(burst(3, "0s", "job"), "1s", json!({"max": 3}), json!({"db": free(2)}));
    assert_eq!((ok(&row), failures(&row)[0].1), (2, 1));
}

#[test]
fn t_pool_5_a_connection_that_is_too_old_is_replaced_between_uses() {
    // A request every 2 s up to 58 s. A connection of 0 s is over at 11 s, the next is of 12 s: 0, 12, 24, 36, 48 s. One that is in use
    // at 11 s serves its request until 11.5 s; the next is again of 12 s.
    for (hold, think) in [("100ms", "1900ms"), ("1500ms", "500ms")] {
        let users = closed(1, 60, json!({"constant": think}));
        let pool = json!({"max": 1, "max_lifetime": "11s", "idle_timeout": "0s"});
        let row = run(users, hold, pool, json!({"db": free(10)}));
        assert_eq!((ok(&row), counter(&row, "db", "logins")), (30, 5), "{hold}");
        assert_eq!(failures(&row), []);
    }
}

#[test]
fn lifetimes_of_hikaricp_are_up_to_a_fortieth_shorter() {
    // Ten of 1,000 s, opened at 0 s: by 974.9 s none has been replaced, by 1,000.1 s all have, and none twice before 1,949 s.
    let logins = |seconds: u32| {
        let pool = json!({"driver": "hikaricp", "max_lifetime": "1000s"});
        let users = json!({"load": {"burst": {"requests": 1, "at": format!("{seconds}s")}},
            "request": "job", "connection": {"tls": false, "rtt": "0s"}});
        counter(&run(users, "0s", pool, json!({"db": free(100)})), "db", "logins")
    };
    assert_eq!((logins(974), logins(1001)), (10, 20));
    let midway = logins(988);
    assert!((11..20).contains(&midway), "spread over 25 s: {midway}");
}

#[test]
fn idle_connections_that_are_kept_outlast_the_idle_timeout() {
    // Two are opened ahead; three rounds of five requests, 10.1 s apart, need three more each, which are closed after 2 s.
    let pool = json!({"max": 10, "min_idle": 2, "idle_timeout": "2s"});
    let mut users = burst(5, "0s", "job");
    users["load"] =
        json!({"closed": {"users": 5, "think": {"constant": "10s"}, "requests_per_user": 3}});
    let row = run(users, "100ms", pool, json!({"db": free(20)}));
    assert_eq!((ok(&row), counter(&row, "db", "logins")), (15, 2 + 3 + 3 + 3));
    let open = row.ledger.gauges.iter().find(|g| g.name == "connections").unwrap();
    assert_eq!(open.levels.highs().iter().copied().min(), Some(2));
}

#[test]
fn t_pool_6_sqlalchemy_keeps_five_and_closes_the_rest() {
    // Two rounds of twelve: five of the first stay, seven are closed and opened again.
    let mut users = burst(12, "0s", "job");
    users["load"] =
        json!({"closed": {"users": 12, "think": {"constant": "5s"}, "requests_per_user": 2}});
    let row = run(users, "100ms", json!({"driver": "sqlalchemy"}), json!({"db": free(100)}));
    assert_eq!((ok(&row), counter(&row, "db", "logins")), (24, 12 + 7));
    // The sixteenth of a burst waits for one of the fifteen.
    let row = run(
        burst(16, "0s", "job"),
        "100ms",
        json!({"driver": "sqlalchemy"}),
        json!({"db": free(100)}),
    );
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), (15 + 2) * 100_000_000);
}

#[test]
fn a_pool_that_nobody_sized_is_that_of_the_engines_usual_driver() {
    // Thirty statements of 100 ms at once: three rounds with ten connections, one with a hundred.
    let server = json!({"connections": 200, "reserved": 0, "vcpu": 2, "sigma": 0.0, "kappa": 0.0,
        "login": {"constant": "0s"}, "fork": "0s", "exit": "0s"});
    for (kind, driver, rounds) in
        [("postgres", "node_postgres", 3), ("mysql", "mysql2", 3), ("mongodb", "mongodb", 1)]
    {
        let text = design(
            burst(30, "0s", "job"),
            "100ms",
            "db",
            json!({}),
            json!({"db": {kind: server.clone()}}),
        );
        let mut scenario: Value = serde_json::from_str(&text).unwrap();
        let pods = &mut scenario["designs"]["d"]["nodes"]["api"]["pods"];
        pods.as_object_mut().unwrap().remove("pool");
        let text = scenario.to_string();
        let row = first(&text);
        assert_eq!(ok(&row), 30);
        let last = row.ledger.classes[0].latency.max().nanos();
        assert_eq!(last, rounds * 100_000_000, "{kind}");
        // It stands among the assumptions, with its source.
        let read = headroom::scenario::read(text.as_bytes()).0.unwrap();
        let assumed = &read.scenario.assumed;
        let rows =
            headroom::scenario::assumptions(&read.said, &read.resolved, read.schema, assumed);
        let path = "designs.d.nodes.api.pods.pool.db.driver";
        let row = rows.iter().find(|row| row.path == path).unwrap();
        assert!(row.value.contains(driver) && row.why.contains(driver), "{row:?}");
    }
}

#[test]
fn pools_that_contradict_themselves_are_told() {
    let found = |pool: Value| {
        let text = design(burst(1, "0s", "job"), "0s", "db", pool, json!({"db": free(100)}));
        let found = super::scenario::findings(text.as_bytes());
        let own = found.sorted().into_iter().filter(|finding| finding.code == "E0396");
        own.map(|finding| finding.path.rsplit('.').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"max": 10, "min_idle": 11})), ["min_idle"]);
    assert_eq!(found(json!({"min_idle": 5, "max_idle": 4})), ["max_idle"]);
    assert_eq!(found(json!({"mode": "direct", "min_idle": 1})), ["min_idle"]);
    assert_eq!(found(json!({"mode": "direct", "max_lifetime": "1s"})), ["max_lifetime"]);
    assert_eq!(found(json!({"driver": "hikaricp", "max": 3})), Vec::<String>::new());
    assert_eq!(found(json!({"mode": "direct", "min_idle": 0})), Vec::<String>::new());
}
