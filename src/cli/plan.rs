//! `headroom plan` and `headroom check`: what would run, and what is wrong.

use super::args::{CheckArgs, FindingFormat, PlanArgs, Shared};
use super::{Exit, load, say};
use crate::scenario;

/// Shows the resolved scenario and what a run would take.
pub(super) fn plan(args: &PlanArgs, shared: &Shared) -> Exit {
    let loaded = match load::load(&args.scenario) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    loaded.tell(shared);
    let Some(read) = loaded.read.as_ref().filter(|_| !loaded.findings.has_errors()) else {
        return Exit::Usage;
    };
    if args.json {
        let text = serde_json::to_string_pretty(&read.resolved).unwrap_or_default() + "\n";
        return say::bytes(text.as_bytes());
    }
    let declared = &read.scenario.assumed;
    let mut text = scenario::mark_resolved(&read.said, &read.resolved, read.schema, declared);
    text.push('\n');
    text.push_str(&crate::experiment::forecast(&read.scenario, &loaded.data));
    say::bytes(text.as_bytes())
}

/// Shows all findings, on standard output.
pub(super) fn check(args: &CheckArgs, shared: &Shared) -> Exit {
    let loaded = match load::load(&args.scenario) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let findings = &loaded.findings;
    let colour = super::files::wants_colour(shared.color);
    let text = match args.format {
        FindingFormat::Text if findings.is_empty() => format!("{}: no problems\n", loaded.name),
        FindingFormat::Text => scenario::render_text(&loaded.name, &loaded.text, findings, colour),
        FindingFormat::Json => scenario::render_json(&loaded.text, findings),
        FindingFormat::Github => scenario::render_github(&loaded.name, &loaded.text, findings),
    };
    match (say::bytes(text.as_bytes()), findings.has_errors()) {
        (Exit::Ok, true) => Exit::Usage,
        (exit, _) => exit,
    }
}
