//! Runs scenarios given as JSON values.

use headroom::experiment::result::RunResult;
use headroom::experiment::{Plan, Silent, replicate, run};
use headroom::model::data::Data;
use headroom::model::world::Outturn;
use headroom::price::Table;
use headroom::scenario::spec::Scenario;

/// A plan from JSON text, without files.
pub(crate) fn plan(text: &str) -> Plan {
    let scenario: Scenario = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Plan {
        resolved: serde_json::to_value(&scenario).unwrap(),
        scenario,
        data: Data::default(),
        prices: Table::builtin("us-east-1").unwrap(),
        assumptions: Vec::new(),
    }
}

/// Runs a plan to its result.
pub(crate) fn result(text: &str) -> RunResult {
    run(&plan(text), &Silent).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs a plan to its raw replications, `[design][replication]`.
pub(crate) fn outturns(text: &str) -> Vec<Vec<Outturn>> {
    replicate(&plan(text), &Silent).unwrap_or_else(|e| panic!("{e}"))
}
