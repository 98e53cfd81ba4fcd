//! Where predictions meet the truth: measured cases, logs, theorems.
pub mod builtin;
pub mod hpa;
pub mod lambda_log;
pub mod measured;
pub mod oracle;

use crate::experiment::plan::Plan;
use crate::model::data::Data;
use crate::price::Table;
use crate::scenario;
use serde_json::Value;

/// The plan of a scenario that was made of a measurement.
fn plan(text: &Value, data: Data) -> Result<Plan, String> {
    let (read, mut findings) = scenario::read(text.to_string().as_bytes());
    let prices = Table::builtin("us-east-1").ok_or("no price table")?;
    if let Some(read) = &read {
        findings.extend(read.check(&data, Some(&prices)));
    }
    match read {
        Some(read) if !findings.has_errors() => Ok(Plan {
            scenario: read.scenario,
            resolved: read.resolved,
            data,
            prices,
            assumptions: Vec::new(),
        }),
        _ => Err(findings.first_error().unwrap_or_default()),
    }
}
