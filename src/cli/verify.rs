//! `headroom verify`: predictions beside the truth.

use super::args::{Shared, VerifyArgs, VerifyFormat};
use super::progress::Watch;
use super::{Exit, files, say, verify_hpa};
use crate::experiment::verification::{Case, Verification};
use crate::experiment::verify::lambda_log::{self, Log};
use crate::experiment::verify::measured::{self, MeasuredCase};
use crate::report;
use std::path::PathBuf;

const NOT_A_CASE: &str = "E0370";
const NO_COUNTERPART: &str = "E0371";
const NOT_A_LOG: &str = "E0374";

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
    let logs = match read_logs(&paths, args.case.as_deref()) {
        Ok(logs) => logs,
        Err(exit) => return exit,
    };
    if args.scenario {
        return scenarios(&cases, &logs);
    }
    let watch = Watch::new(shared.quiet);
    let mut judged: Vec<Case> = Vec::new();
    let measured = cases.iter().map(|case| measured::predict(case, args.replications, &watch));
    let replayed = logs.iter().map(|(log, _)| lambda_log::predict(log, args.replications, &watch));
    for case in measured.chain(replayed) {
        match case {
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

/// Reads every log of Lambda requests, `run*.csv`.
fn read_logs(paths: &[PathBuf], prefix: Option<&str>) -> Result<Vec<(Log, PathBuf)>, Exit> {
    let mut logs = Vec::new();
    let mut wrong = false;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "csv")) {
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !id.starts_with("run") || prefix.is_some_and(|prefix| !id.starts_with(prefix)) {
            continue;
        }
        let bytes = files::read(path).map_err(|why| {
            say::error(&why.to_string());
            Exit::Failed
        })?;
        match lambda_log::read(&id, &String::from_utf8_lossy(&bytes)) {
            Ok(log) => logs.push((log, path.clone())),
            Err(why) => {
                wrong = true;
                say::error(&format!(
                    "error[{NOT_A_LOG}]: {}: {why}; docs/lambda-log.md describes the form",
                    path.display()
                ));
            }
        }
    }
    if wrong { Err(Exit::Usage) } else { Ok(logs) }
}

fn scenarios(cases: &[MeasuredCase], logs: &[(Log, PathBuf)]) -> Exit {
    for (log, path) in logs {
        // Relative to the scenario, which belongs beside the log.
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let scenario = lambda_log::scenario(log, &file);
        let text = serde_json::to_string_pretty(&scenario).unwrap_or_default() + "\n";
        let shown = say::bytes(text.as_bytes());
        if shown != Exit::Ok {
            return shown;
        }
    }
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
