//! `headroom verify --hpa`: conformance of the Horizontal Pod Autoscaler.

use super::args::{Shared, VerifyFormat};
use super::{Exit, files, say};
use crate::experiment::verify::hpa;
use crate::{report, scenario};
use std::path::Path;

/// Judges the cases of a file. Cases that differ end with the exit code of failed thresholds.
pub(super) fn command(file: &Path, format: VerifyFormat, shared: &Shared) -> Exit {
    if format == VerifyFormat::Html {
        say::error(
            "error[E0006]: conformance cases have no HTML page; take --format table or json",
        );
        return Exit::Usage;
    }
    let bytes = match files::read(file) {
        Ok(bytes) => bytes,
        Err(why) => {
            say::error(&why.to_string());
            return Exit::Usage;
        }
    };
    let (cases, findings) = hpa::read(&bytes);
    if !findings.is_empty() {
        let colour = files::wants_colour(shared.color);
        let text = String::from_utf8_lossy(&bytes);
        let name = file.display().to_string();
        say::error(scenario::render_text(&name, &text, &findings, colour).trim_end());
    }
    let Some(cases) = cases else { return Exit::Usage };
    let result = hpa::judge(&cases);
    let text = match format {
        VerifyFormat::Table | VerifyFormat::Html => report::conformance(&result),
        VerifyFormat::Json => report::conformance_json(&result),
    };
    match say::bytes(text.as_bytes()) {
        Exit::Ok if !result.all_within() => Exit::Thresholds,
        exit => exit,
    }
}
