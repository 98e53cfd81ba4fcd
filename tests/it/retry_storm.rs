//! A retry storm that outlives its trigger, and what prevents it: the scenario of docs/retry-storm.md against its theory.

use super::common::outturns;
use super::golden;
use headroom::kernel::Counts;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Orders a second that both pods can serve: 20 ms each on a processor of its own.
const CAPACITY: f64 = 100.0;
/// How often a client tries.
const TRIES: f64 = 3.0;

/// The shipped scenario at another load, shorter, with some of its designs.
fn at(rate: f64, designs: &[&str]) -> String {
    let (_, text) = golden::scenarios().into_iter().find(|(n, _)| n == "retry-storm").unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("$schema");
    for class in ["shoppers", "careful"] {
        value["workload"][class]["load"]["open"]["rate"]["steady"] =
            json!({"rate": format!("{rate}/s"), "for": "300s"});
    }
    value["designs"].as_object_mut().unwrap().retain(|name, _| designs.contains(&name.as_str()));
    value["run"] = json!({"replications": 2, "seed": 1});
    value.to_string()
}

/// How many of a series fall into a stretch of the run, seconds.
fn within(counts: &Counts, row: &Outturn, (from, to): (f64, f64)) -> u64 {
    let mut counts = counts.clone();
    counts.widen(row.ledger.clock);
    let width = row.ledger.clock.width().as_secs_f64();
    let cells = counts.cells().iter().enumerate();
    let inside = cells.filter(|(i, _)| *i as f64 * width >= from && (*i + 1) as f64 * width <= to);
    inside.map(|(_, n)| n).sum()
}

/// Share of requests that end well between 200 s and 299 s, more than two minutes after the spike.
fn late(rate: f64, design: &str) -> f64 {
    let rows = outturns(&at(rate, &[design])).remove(0);
    let stretch = (200.0, 299.0);
    let ok: u64 = rows.iter().map(|row| within(&row.ledger.succeeded, row, stretch)).sum();
    let failures = |row: &Outturn| -> u64 {
        row.ledger.failures.iter().map(|f| within(&f.series, row, stretch)).sum()
    };
    let failed: u64 = rows.iter().map(failures).sum();
    ok as f64 / (ok + failed) as f64
}

#[test]
fn between_a_third_of_the_capacity_and_all_of_it_both_states_are_stable() {
    // In the bad state every attempt is served after its client has gone, so each request is served three times: it holds itself up
    // where TRIES · rate > CAPACITY. The good state holds where rate < CAPACITY.
    let edge = CAPACITY / TRIES;
    for rate in [20.0, 30.0, 37.0, 60.0, 80.0, 120.0] {
        let (below, above) = (late(rate, "retries"), late(rate, "retries-spike"));
        let good_below = rate < CAPACITY;
        let good_above = rate < edge;
        let says = |share: f64, good: bool| if good { share > 0.99 } else { share < 0.05 };
        assert!(says(below, good_below), "{rate}/s from below: {below}");
        assert!(says(above, good_above), "{rate}/s from above: {above}");
    }
}

#[test]
fn a_retry_budget_leaves_one_state_at_every_load() {
    // With a tenth of a retry for each request the bad state would need 1.1 · rate > CAPACITY: nothing between is left.
    for (rate, good) in [(20.0, true), (37.0, true), (60.0, true), (80.0, true), (120.0, false)] {
        for design in ["budget", "budget-spike"] {
            let share = late(rate, design);
            assert!(if good { share > 0.99 } else { share < 0.05 }, "{rate}/s {design}: {share}");
        }
    }
}

#[test]
fn a_breaker_or_a_limit_lets_the_same_clients_recover() {
    for design in ["breaker-spike", "limit-spike"] {
        let share = late(60.0, design);
        assert!(share > 0.99, "{design}: {share}");
    }
}

#[test]
fn in_the_storm_the_pods_are_busy_with_work_that_nobody_waits_for() {
    let row = &outturns(&at(60.0, &["retries-spike"]))[0][0];
    // All attempts of all requests are served in the end: 100 a second from the spike on.
    let api = row.names.iter().position(|(name, _)| name == "api").unwrap();
    let served = row.ledger.nodes[api].ok as f64;
    let busy = row.end.as_secs_f64() - 60.0;
    let rate = (served - 60.0 * 60.0) / busy;
    assert!((rate / CAPACITY - 1.0).abs() < 0.02, "{rate}");
    let stretch = (100.0, 299.0);
    let attempts = within(&row.ledger.attempted, row, stretch) as f64;
    let requests = within(&row.ledger.started, row, stretch) as f64;
    assert!((attempts / requests / TRIES - 1.0).abs() < 0.03, "{}", attempts / requests);
    assert!(within(&row.ledger.succeeded, row, stretch) < 10);
}

/// The page is followed command by command.
#[test]
fn the_document_on_retry_storms_does_what_it_says() {
    assert_eq!(super::common::follow_page("docs/retry-storm.md"), 4);
}
