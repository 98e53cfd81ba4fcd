//! `headroom explain` and `headroom schema`.

use super::args::ExplainArgs;
use super::{Exit, say};
use crate::scenario::{self, spec::Scenario};

/// Says what a field or a code means.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let path = args.path.as_deref().unwrap_or("");
    if let Some(text) = scenario::explain_code(path) {
        return say::bytes(text.as_bytes());
    }
    let schema = scenario::schema_of::<Scenario>();
    match scenario::explain(&schema, path, args.recursive) {
        Ok(text) => say::bytes(text.as_bytes()),
        Err(finding) => {
            say::error(&format!(
                "error[{}]: {}\n  = help: {}",
                finding.code, finding.message, finding.remedy
            ));
            Exit::Usage
        }
    }
}

/// Prints the JSON Schema of scenarios.
pub(super) fn schema() -> Exit {
    let schema = scenario::schema_of::<Scenario>();
    say::bytes(scenario::schema_text(&schema).as_bytes())
}
