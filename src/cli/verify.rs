//! `headroom verify`: predictions beside the truth.

use super::args::{Shared, VerifyArgs, VerifyFormat};
use super::progress::Watch;
use super::{Exit, files, say, verify_hpa};
use crate::experiment::verification::{Case, Verification};
use crate::experiment::verify::measured::{self, MeasuredCase};
use crate::report;
use std::path::PathBuf;

const NOT_A_CASE: &str = "E0370";
const NO_COUNTERPART: &str = "E0371";

/// Verifies what was asked for.
pub(super) fn command(args: &VerifyArgs, shared: &Shared) -> Exit {
    if let Some(file) = &args.hpa {
        return verify_hpa::command(file, args.format, shared);
    }
    let mut paths = Vec::new();
    for folder in &args.measured {
        match files::below(folder) {
            Ok(found) => paths.extend(found),
            Err(why) => {
                say::error(&why.to_string());
                return Exit::Usage;
            }
        }
    }
    let cases = match read_cases(&paths, args.case.as_deref()) {
        Ok(cases) => cases,
        Err(exit) => return exit,
    };
    if args.scenario {
        return scenarios(&cases);
    }
    let watch = Watch::new(shared.quiet);
    let mut judged: Vec<Case> = Vec::new();
    for case in &cases {
        match measured::predict(case, args.replications, &watch) {
            Ok(case) => judged.push(case),
            Err(_) => break,
        }
    }
    watch.done();
    let result = Verification::new(judged);
    let text = match args.format {
        VerifyFormat::Table => report::verification(&result, files::width()),
        VerifyFormat::Json => report::verification_json(&result),
    };
    let shown = say::bytes(text.as_bytes());
    if Watch::interrupted() { Exit::Interrupted } else { shown }
}

/// Reads every file that is a measured case; files of other kinds in the folder are passed over.
fn read_cases(paths: &[PathBuf], prefix: Option<&str>) -> Result<Vec<MeasuredCase>, Exit> {
    let mut cases = Vec::new();
    let mut wrong = false;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let bytes = files::read(path).map_err(|why| {
            say::error(&why.to_string());
            Exit::Failed
        })?;
        let value: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
        if value.as_ref().is_ok_and(|v| v.get("config").is_none() || v.get("observed").is_none()) {
            continue;
        }
        match value.and_then(serde_json::from_value::<MeasuredCase>) {
            Ok(case) if prefix.is_none_or(|prefix| case.id.starts_with(prefix)) => cases.push(case),
            Ok(_) => {}
            Err(why) => {
                wrong = true;
                say::error(&format!(
                    "error[{NOT_A_CASE}]: {}: not a measured case: {why}; docs/measuring.md describes the form",
                    path.display()
                ));
            }
        }
    }
    if wrong { Err(Exit::Usage) } else { Ok(cases) }
}

fn scenarios(cases: &[MeasuredCase]) -> Exit {
    for case in cases {
        match measured::scenario(case) {
            Ok(scenario) => {
                let text = serde_json::to_string_pretty(&scenario).unwrap_or_default() + "\n";
                let shown = say::bytes(text.as_bytes());
                if shown != Exit::Ok {
                    return shown;
                }
            }
            Err(why) => {
                say::error(&format!("error[{NO_COUNTERPART}]: case {}: {why}", case.id));
                return Exit::Failed;
            }
        }
    }
    Exit::Ok
}
