//! What `headroom verify` holds to be true, and where it takes it from: folders, or what comes with the program.

use super::args::VerifyKind;
use super::progress::Watch;
use super::{Exit, files, say};
use crate::experiment::RunError;
use crate::experiment::verification::Case;
use crate::experiment::verify::builtin::{LAMBDA_LOGS, MEASURED};
use crate::experiment::verify::lambda_log::{self, Log};
use crate::experiment::verify::measured::{self, MeasuredCase};
use crate::experiment::verify::oracle::{self, Oracle, oracles};
use serde_json::Value;
use std::path::{Path, PathBuf};

const NOT_A_CASE: &str = "E0370";
const NOT_A_LOG: &str = "E0374";

/// Something that is known to be true.
pub(super) enum Truth {
    /// A theorem.
    Oracle(Oracle),
    /// A measurement of a cluster.
    Measured(Box<MeasuredCase>),
    /// A log of Lambda requests, and the name of its file.
    Log(Log, String),
}

impl Truth {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        match self {
            Truth::Oracle(oracle) => oracle.id,
            Truth::Measured(case) => &case.id,
            Truth::Log(log, _) => &log.id,
        }
    }

    /// What kind of truth it is.
    pub(super) fn kind(&self) -> VerifyKind {
        match self {
            Truth::Oracle(_) => VerifyKind::Oracle,
            Truth::Measured(_) => VerifyKind::Measured,
            Truth::Log(..) => VerifyKind::LambdaLog,
        }
    }

    /// What the simulator says, judged.
    pub(super) fn predict(&self, replications: u32, watch: &Watch) -> Result<Case, RunError> {
        match self {
            Truth::Oracle(oracle) => oracle::predict(oracle, replications, watch),
            Truth::Measured(case) => measured::predict(case, replications, watch),
            Truth::Log(log, _) => lambda_log::predict(log, replications, watch),
        }
    }

    /// The scenario that it becomes, or why there is none.
    pub(super) fn scenario(&self) -> Result<Value, String> {
        match self {
            Truth::Oracle(oracle) => Ok(oracle.scenario.clone()),
            Truth::Measured(case) => measured::scenario(case),
            Truth::Log(log, file) => Ok(lambda_log::scenario(log, file)),
        }
    }
}

/// Theory, then the measurements that come with the program.
pub(super) fn builtin() -> Result<Vec<Truth>, Exit> {
    let mut truths: Vec<Truth> = oracles().into_iter().map(Truth::Oracle).collect();
    let mut wrong = false;
    for (name, text) in MEASURED {
        match case(&format!("{name}.json"), text.as_bytes()) {
            Ok(read) => truths.extend(read),
            Err(exit) => wrong |= exit == Exit::Usage,
        }
    }
    for (name, text) in LAMBDA_LOGS {
        match log(name, &format!("{name}.csv"), text.as_bytes()) {
            Ok(read) => truths.push(read),
            Err(exit) => wrong |= exit == Exit::Usage,
        }
    }
    if wrong { Err(Exit::Usage) } else { Ok(truths) }
}

/// Every measured case below the folders, then every log; files of other kinds are passed over.
pub(super) fn folders(folders: &[PathBuf]) -> Result<Vec<Truth>, Exit> {
    let mut paths = Vec::new();
    for folder in folders {
        match files::below(folder) {
            Ok(found) => paths.extend(found),
            Err(why) => {
                say::error(&why.to_string());
                return Err(Exit::Usage);
            }
        }
    }
    let ends = |path: &PathBuf, ending: &str| path.extension().is_some_and(|e| e == ending);
    let mut truths = Vec::new();
    let mut wrong = false;
    for path in paths.iter().filter(|path| ends(path, "json")) {
        match case(&path.display().to_string(), &read(path)?) {
            Ok(read) => truths.extend(read),
            Err(exit) => wrong |= exit == Exit::Usage,
        }
    }
    for path in paths.iter().filter(|path| ends(path, "csv")) {
        let name = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let id = name(path.file_stem());
        if !id.starts_with("run") {
            continue;
        }
        // A scenario names its log relative to itself: it belongs beside the log.
        match log(&id, &name(path.file_name()), &read(path)?) {
            Ok(read) => truths.push(read),
            Err(exit) => wrong |= exit == Exit::Usage,
        }
    }
    if wrong { Err(Exit::Usage) } else { Ok(truths) }
}

fn read(path: &Path) -> Result<Vec<u8>, Exit> {
    files::read(path).map_err(|why| {
        say::error(&why.to_string());
        Exit::Usage
    })
}

/// A measured case; none if the file is JSON of another kind.
fn case(name: &str, bytes: &[u8]) -> Result<Option<Truth>, Exit> {
    let value: Result<Value, _> = serde_json::from_slice(bytes);
    if value.as_ref().is_ok_and(|v| v.get("config").is_none() || v.get("observed").is_none()) {
        return Ok(None);
    }
    match value.and_then(serde_json::from_value::<MeasuredCase>) {
        Ok(case) => Ok(Some(Truth::Measured(Box::new(case)))),
        Err(why) => {
            say::error(&format!(
                "error[{NOT_A_CASE}]: {name}: not a measured case: {why}; docs/measuring.md describes the form"
            ));
            Err(Exit::Usage)
        }
    }
}

fn log(id: &str, name: &str, bytes: &[u8]) -> Result<Truth, Exit> {
    match lambda_log::read(id, &String::from_utf8_lossy(bytes)) {
        Ok(log) => Ok(Truth::Log(log, name.to_owned())),
        Err(why) => {
            say::error(&format!(
                "error[{NOT_A_LOG}]: {name}: {why}; docs/lambda-log.md describes the form"
            ));
            Err(Exit::Usage)
        }
    }
}
