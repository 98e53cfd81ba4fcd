//! Clusters that cannot be: each is refused before it runs, with a code, the place, what was found and what to do.

use super::scenario::{codes, findings};
use serde_json::{Value, json};

/// A chain of all that can be wrong: balancer, proxies, pods of each runtime, pooler, database.
fn cluster() -> Value {
    json!({"name": "cluster", "workload": {"users": {"load": {"closed": {"users": 1, "for": "1s"}}, "request": "job"}},
        "work": {"job": [{"query": {"to": "pool", "hold": {"constant": "1ms"}}}]},
        "designs": {"d": {"enter": {"users": "lb"}, "nodes": {
            "lb": {"alb": {"to": ["proxy"]}},
            "proxy": {"haproxy": {"upstream": ["edge"], "instance": "t3.small"}},
            "edge": {"nginx": {"workers": 2, "nofile": 1024, "worker_connections": 512, "upstream": ["api"], "host": {"instance": "t3.small"}}},
            "api": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 8}}, "pool": {"pool": {"max": 10}}}},
            "pool": {"pgbouncer": {"to": "db"}},
            "db": {"postgres": {"connections": 100, "vcpu": 2}}}}}})
}

/// Codes and places of the errors, once a value is put at a place below the nodes.
fn errors(place: &str, value: &Value) -> Vec<(String, String)> {
    let mut scenario = cluster();
    let mut at = &mut scenario["designs"]["d"]["nodes"];
    for key in place.split('.') {
        at = &mut at[key];
    }
    *at = value.clone();
    let text = scenario.to_string();
    let found = findings(text.as_bytes());
    let errors = found.sorted().into_iter().filter(|finding| finding.code.starts_with('E'));
    errors
        .map(|finding| {
            assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
            assert!(finding.span.is_some(), "{finding:?}");
            (finding.code.to_owned(), finding.path.clone())
        })
        .collect()
}

#[test]
fn impossible_clusters_are_refused_with_a_reason() {
    assert_eq!(errors("edge.nginx.workers", &json!(2)), []);
    let wrong = [
        // An idle worker of two, with two listeners, holds 12 descriptors; one more is not enough for a request, which takes two.
        ("edge.nginx.nofile", json!(12), "E0316"),
        ("edge.nginx.nofile", json!(13), "E0316"),
        // Two listeners and a request's two connections.
        ("edge.nginx.worker_connections", json!(4), "E0317"),
        ("edge.nginx.upstream", json!([]), "E0315"),
        ("edge.nginx.servers", json!({"db": {"weight": 2}}), "E0397"),
        (
            "edge.nginx.limit_req",
            json!({"rate": "1/s", "burst": 2, "delay": 1, "nodelay": true}),
            "E0398",
        ),
        ("edge.nginx.servers", json!({"api": {"backup": true}}), "E0397"),
        ("edge.nginx.proxy_next_upstream", json!([]), "E0400"),
        ("edge.nginx.proxy_next_upstream", json!(["off", "error"]), "E0400"),
        ("edge.nginx.upstream_keepalive_requests", json!(0), "E0207"),
        ("edge.nginx.servers", json!({"api": {"weight": 0}}), "E0207"),
        ("edge.nginx.workers", json!(0), "E0207"),
        ("edge.nginx.backlog", json!(0), "E0207"),
        ("edge.nginx.somaxconn", json!(0), "E0207"),
        ("edge.nginx.listeners", json!(0), "E0207"),
        ("edge.nginx.local_ports", json!(0), "E0207"),
        ("proxy.haproxy.upstream", json!([]), "E0315"),
        ("proxy.haproxy.maxconn", json!(0), "E0207"),
        ("proxy.haproxy.server_maxconn", json!(0), "E0207"),
        ("proxy.haproxy.backlog", json!(0), "E0207"),
        ("lb.alb.to", json!([]), "E0315"),
        ("api.pods.replicas", json!(0), "E0207"),
        ("api.pods.backlog", json!(0), "E0207"),
        ("api.pods.concurrency", json!(0), "E0207"),
        ("api.pods.runtime.threads.threads", json!(0), "E0207"),
        ("api.pods.pool.pool.max", json!(0), "E0207"),
        ("pool.pgbouncer.default_pool_size", json!(0), "E0207"),
        ("pool.pgbouncer.max_client_conn", json!(0), "E0207"),
        ("db.postgres.connections", json!(0), "E0207"),
        // Three of three are kept for administrators.
        ("db.postgres.connections", json!(3), "E0310"),
        ("db.postgres.backlog", json!(0), "E0207"),
    ];
    for (place, value, code) in wrong {
        let found = errors(place, &value);
        let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, [code], "{place} = {value}");
        // The place is the value's, or a field beside it that contradicts it.
        let node = place.rsplit_once('.').unwrap().0;
        let beside = format!("designs.d.nodes.{node}");
        assert!(found[0].1.starts_with(&beside), "{place} = {value}: {}", found[0].1);
    }
    let workers = json!({"sync_workers": {"workers": 0}});
    assert_eq!(errors("api.pods.runtime", &workers)[0].0, "E0207");
    // One descriptor more, and it runs.
    assert_eq!(errors("edge.nginx.nofile", &json!(14)), []);
    assert_eq!(errors("edge.nginx.worker_connections", &json!(5)), []);
    let nowhere = json!({"dns": {"to": []}});
    assert!(errors("lb", &nowhere).iter().any(|(code, _)| code == "E0318"));
}

#[test]
fn a_law_that_cannot_be_drawn_from_is_refused_wherever_it_stands() {
    let laws = [
        json!({"lognormal": {}}),
        json!({"uniform": {"low": "2s", "high": "1s"}}),
        json!({"empirical": {}}),
        json!({"mixture": []}),
    ];
    let places = ["lb.alb.overhead", "db.postgres.login", "db.postgres.login_wait"];
    for (place, law) in places.iter().flat_map(|place| laws.iter().map(move |law| (place, law))) {
        let want = ("E0307".to_owned(), format!("designs.d.nodes.{place}"));
        assert_eq!(errors(place, law), [want], "{law}");
    }
    let nested = json!({"mixture": [{"weight": 1, "of": {"lognormal": {}}}]});
    assert_eq!(errors("lb.alb.overhead", &nested).len(), 1);
    let lifecycle = json!({"start": {"lognormal": {}}, "endpoint_lag": {"lognormal": {}}});
    assert_eq!(errors("api.pods.lifecycle", &lifecycle).len(), 2);
    let mut scenario = cluster();
    scenario["designs"]["d"]["events"] = json!([{"at": "1s", "every": {"lognormal": {}}, "node": "api", "do": {"kill": {"pod": 0}}}]);
    assert_eq!(codes(&scenario.to_string()).iter().filter(|code| **code == "E0307").count(), 1);
}

#[test]
fn work_that_leads_to_itself_through_a_queue_or_an_event_is_a_circle() {
    for step in [
        json!({"publish": {"to": "q", "request": "job"}}),
        json!({"event": {"to": "fn", "request": "job"}}),
    ] {
        let scenario = json!({"name": "loop",
            "workload": {"users": {"load": {"burst": {"requests": 1}}, "request": "job"}},
            "work": {"job": [step]},
            "designs": {"d": {"enter": {"users": "fn"}, "accounts": {"m": {}}, "nodes": {
                "fn": {"lambda": {"account": "m", "runtime": "nodejs20"}}, "q": {"sqs": {"to": "fn"}}}}}});
        assert!(codes(&scenario.to_string()).contains(&"E0305"), "{step}");
    }
}

#[test]
fn settings_that_exclude_one_another_are_refused() {
    let edge = json!({"upstream": ["api"], "accept_mutex": true, "accept_share": 0.6});
    let found = errors("edge.nginx", &edge);
    assert!(found.iter().any(|(code, _)| code == "E0421"), "{found:?}");
    let api = json!({"replicas": 1, "runtime": {"sync_workers": {"workers": 8}}, "queue_discipline": "lifo",
        "pool": {"pool": {"max": 10}}});
    let found = errors("api.pods", &api);
    assert!(found.iter().any(|(code, _)| code == "E0420"), "{found:?}");
}
