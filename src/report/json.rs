//! The whole result as JSON: the machine-readable contract.

use crate::experiment::result::RunResult;

/// Pretty JSON with a trailing newline.
pub fn json(result: &RunResult) -> String {
    let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
    text.push('\n');
    text
}
