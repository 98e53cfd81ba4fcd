//! `headroom report`: a stored result to a report.

use super::args::{ReportArgs, ReportFormat, Shared};
use super::{Exit, files, say};
use crate::experiment::result::{RunResult, SCHEMA_VERSION};
use crate::experiment::verification::Verification;
use crate::report;
use std::path::Path;

const NOT_A_RESULT: &str = "E0012";

/// Reads a result, writes a report.
pub(super) fn command(args: &ReportArgs, shared: &Shared) -> Exit {
    match make(args, shared) {
        Ok(bytes) => match args.out.as_deref().filter(|path| *path != Path::new("-")) {
            None => say::bytes(&bytes),
            Some(path) => files::write(path, &bytes).map_or_else(
                |why| {
                    say::error(&why.to_string());
                    Exit::Failed
                },
                |()| Exit::Ok,
            ),
        },
        Err(why) => {
            say::error(&why);
            Exit::Usage
        }
    }
}

fn make(args: &ReportArgs, shared: &Shared) -> Result<Vec<u8>, String> {
    let result = result(&args.result)?;
    let chart = || report::charts(&result).into_iter().find(|chart| chart.name == args.chart);
    Ok(match args.format {
        ReportFormat::Html => {
            let validation = args.verify.as_deref().map(validation).transpose()?;
            report::html(&result, validation.as_ref()).into_bytes()
        }
        ReportFormat::Markdown => report::markdown(&result).into_bytes(),
        ReportFormat::Svg => chart().map(|chart| chart.svg.into_bytes()).unwrap_or_default(),
        ReportFormat::Png => chart().map(|chart| chart.png).unwrap_or_default(),
        ReportFormat::Csv => report::csv::summary(&result).into_bytes(),
        ReportFormat::Table => {
            let colour = args.out.is_none() && files::wants_colour(shared.color);
            report::table(&result, files::width(), colour).into_bytes()
        }
    })
}

/// A stored result, or why it is none.
pub(super) fn result(path: &Path) -> Result<RunResult, String> {
    let (bytes, name) = (files::read(path).map_err(|why| why.to_string())?, path.display());
    let refuse = |why: String| {
        format!(
            "error[{NOT_A_RESULT}]: \"{name}\" is not a result of a run: {why}; `run --out DIR` writes one as result.json"
        )
    };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|why| refuse(why.to_string()))?;
    match value["schema_version"].as_u64() {
        Some(version) if version == u64::from(SCHEMA_VERSION) => {}
        Some(version) => {
            return Err(refuse(format!(
                "its schema_version is {version}, this program reads {SCHEMA_VERSION}"
            )));
        }
        None => return Err(refuse("it has no schema_version".into())),
    }
    serde_json::from_value(value).map_err(|why| refuse(why.to_string()))
}

/// What `verify --format json` printed, or why it is not that.
fn validation(path: &Path) -> Result<Verification, String> {
    let bytes = files::read(path).map_err(|why| why.to_string())?;
    serde_json::from_slice(&bytes).map_err(|why| {
        let name = path.display();
        format!("error[{NOT_A_RESULT}]: \"{name}\" is not a verification: {why}; `verify --format json` prints one")
    })
}
