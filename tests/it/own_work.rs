//! Nodes that do other work for a kind of request than the kind's own.

use super::common::outturns;
use super::scenario::findings;
use serde_json::{Value, json};

/// 100 requests, in turn to two nodes of one pod each.
fn two(second: &Value) -> Value {
    let steady = json!({"rate": "10/s", "for": "10s"});
    json!({"name": "two", "workload": {"users": {"request": "page", "connection": {"rtt": "0s", "tls": false},
            "load": {"open": {"rate": {"steady": steady}, "arrivals": "even"}}}},
        "work": {
            "page": [{"wait": {"constant": "100ms"}}],
            "page, version 2": [{"wait": {"constant": "300ms"}}, {"query": {"to": "db", "hold": {"constant": "50ms"}}}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"nginx": {"upstream": ["first", "second"], "workers": 1}},
            "first": {"pods": {"replicas": 1}}, "second": {"pods": second}, "db": {"postgres": {"connections": 20}}}}},
        "run": {"replications": 2}})
}

#[test]
fn a_node_does_its_own_work_for_a_kind_of_request() {
    let own =
        json!({"replicas": 1, "work": {"page": "page, version 2"}, "pool": {"db": {"max": 1}}});
    let row = outturns(&two(&own).to_string()).remove(0).remove(0);
    let latency = &row.ledger.classes[0].latency;
    assert_eq!(row.ledger.classes[0].ok, row.ledger.classes[0].issued);
    let near = |share: f64, wanted: f64| {
        let found = latency.quantile(share).unwrap();
        assert!((found - wanted).abs() < 0.01, "{found}, {wanted}");
    };
    near(0.25, 0.100);
    near(0.75, 0.350);
    let db = row.names.iter().position(|name| name.0 == "db").unwrap();
    assert!(row.ledger.nodes[db].ok * 2 >= row.ledger.classes[0].ok);
    // Without it both do the kind's own, and nothing leads to the database.
    let row = outturns(&two(&json!({"replicas": 1})).to_string()).remove(0).remove(0);
    assert!(row.ledger.classes[0].latency.quantile(0.99).unwrap() < 0.110);
}

#[test]
fn what_own_work_names_must_be_there() {
    let found = findings(
        two(&json!({"replicas": 1, "work": {"pag": "page, version 3"}})).to_string().as_bytes(),
    );
    let at = "designs.d.nodes.second.pods.work.pag";
    let unknown = found.sorted().into_iter().filter(|row| row.code == "E0300" && row.path == at);
    assert_eq!(unknown.count(), 2);
    // Its steps count as the kind's: a store that is not there is told.
    let mut without = two(&json!({"replicas": 1, "work": {"page": "page, version 2"}}));
    without["designs"]["d"]["nodes"].as_object_mut().unwrap().remove("db");
    let found = findings(without.to_string().as_bytes());
    assert!(found.sorted().iter().any(|row| row.code == "E0301"));
}
