//! `headroom diff`: two results, or what two scenarios give under the same seed.

use super::args::{DiffArgs, FailOn, Format, ScenarioArgs, Shared};
use super::progress::Watch;
use super::{Exit, files, load, run, say};
use crate::experiment;
use crate::experiment::compare::{Comparison, compare};
use crate::experiment::result::{RunResult, SCHEMA_VERSION};
use crate::report;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Compares two results or scenarios.
pub(super) fn command(args: &DiffArgs, shared: &Shared) -> Exit {
    let comparison = match compared(args, shared) {
        Ok(comparison) => comparison,
        Err(exit) => return exit,
    };
    let text = match args.format {
        Format::Table => report::diff::table(&comparison, files::wants_colour(shared.color)),
        Format::Json => report::diff::json(&comparison),
        Format::Csv => report::diff::csv(&comparison),
        Format::Markdown => report::diff::markdown(&comparison),
    };
    let shown = say::bytes(text.as_bytes());
    if shown != Exit::Ok {
        return shown;
    }
    if let Some(summary) = files::step_summary() {
        let text = report::diff::markdown(&comparison);
        if let Err(why) = files::append(&summary, text.as_bytes()) {
            say::error(&why.to_string());
            return Exit::Failed;
        }
    }
    let bad = match args.fail_on {
        FailOn::Regression => comparison.regressed(),
        FailOn::Change => comparison.changed(),
        FailOn::Never => false,
    };
    if bad { Exit::Thresholds } else { Exit::Ok }
}

fn compared(args: &DiffArgs, shared: &Shared) -> Result<Comparison, Exit> {
    let stored = [stored(&args.base)?, stored(&args.new)?];
    // A scenario beside a result runs as that result did, so that they can be paired.
    let like = stored.iter().flatten().next();
    let seed = args.seed.or(like.map(|result| result.seed));
    let replications = args.replications.or(like.map(|result| result.replications));
    let [base, new] = stored;
    let made = |stored: Option<RunResult>, file: &PathBuf, seed: Option<u64>| match stored {
        Some(result) => Ok(result),
        None => simulated(args, file, seed, replications, shared),
    };
    let base = made(base, &args.base, seed)?;
    let new = made(new, &args.new, seed.or(Some(base.seed)))?;
    compare(&base, &new, args.tolerance / 100.0)
        .map_err(|why| refuse("E0013", &format!("{why}; run both again with the same designs")))
}

fn refuse(code: &str, why: &str) -> Exit {
    say::error(&format!("error[{code}]: {why}"));
    Exit::Usage
}

/// The result in a file; none if it holds something else, such as a scenario.
fn stored(path: &Path) -> Result<Option<RunResult>, Exit> {
    if path == Path::new("-") {
        return Err(refuse(
            "E0002",
            "diff reads two files and no standard input; write it to a file",
        ));
    }
    let bytes = files::read(path).map_err(|why| {
        say::error(&why.to_string());
        Exit::Usage
    })?;
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    let Some(version) = value.get("schema_version") else { return Ok(None) };
    let name = path.display();
    if version.as_u64() != Some(u64::from(SCHEMA_VERSION)) {
        let why = format!(
            "{name}: schema_version {version}, while this program writes {SCHEMA_VERSION}; run the scenario again"
        );
        return Err(refuse("E0012", &why));
    }
    serde_json::from_value(value).map(Some).map_err(|why| {
        refuse("E0012", &format!("{name}: not a whole result: {why}; run the scenario again"))
    })
}

fn simulated(
    args: &DiffArgs,
    file: &Path,
    seed: Option<u64>,
    replications: Option<u32>,
    shared: &Shared,
) -> Result<RunResult, Exit> {
    let scenario = ScenarioArgs {
        file: Some(file.to_owned()),
        prices: args.prices.clone(),
        seed,
        replications,
    };
    let plan = load::plan(&scenario, shared)?;
    let watch = Watch::new(shared.quiet);
    let outcome = experiment::run(&plan, &watch);
    watch.done();
    outcome.map_err(|why| run::failed(&why))
}
