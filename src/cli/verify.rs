//! `headroom verify`: predictions beside the truth.

use super::args::{Shared, VerifyArgs, VerifyFormat};
use super::progress::Watch;
use super::truths::{self, Truth};
use super::{Exit, files, say, verify_hpa};
use crate::experiment::verification::{Case, Verification};
use crate::report;
use crate::scenario::nearest;

const NO_CASE: &str = "E0378";
const NO_COUNTERPART: &str = "E0371";

/// Verifies what was asked for.
pub(super) fn command(args: &VerifyArgs, shared: &Shared) -> Exit {
    if let Some(file) = &args.hpa {
        return verify_hpa::command(file, args.format, shared);
    }
    let read =
        if args.measured.is_empty() { truths::builtin() } else { truths::folders(&args.measured) };
    let mut truths = match read {
        Ok(truths) => truths,
        Err(exit) => return exit,
    };
    truths.retain(|truth| args.kind.is_empty() || args.kind.contains(&truth.kind()));
    if let Err(exit) = named(args.case.as_deref(), &mut truths) {
        return exit;
    }
    if args.scenario {
        return scenarios(&truths);
    }
    if let Some(dir) = &args.out
        && let Err(why) = files::open_folder(dir)
    {
        say::error(&why.to_string());
        return Exit::Failed;
    }
    let watch = Watch::new(shared.quiet);
    let mut judged: Vec<Case> = Vec::new();
    for truth in &truths {
        match truth.predict(args.replications, &watch) {
            Ok(case) => judged.push(case),
            Err(_) => break,
        }
    }
    watch.done();
    let shown = show(args, &Verification::new(judged));
    if Watch::interrupted() { Exit::Interrupted } else { shown }
}

/// Keeps the cases whose names begin as asked; none at all is an error.
fn named(prefix: Option<&str>, truths: &mut Vec<Truth>) -> Result<(), Exit> {
    let ids: Vec<String> = truths.iter().map(|truth| truth.id().to_owned()).collect();
    let prefix = prefix.unwrap_or_default();
    truths.retain(|truth| truth.id().starts_with(prefix));
    if truths.is_empty() {
        let what = if prefix.is_empty() {
            "there is no case".to_owned()
        } else {
            let near = Some(nearest(prefix, ids.iter())).filter(|text| text.starts_with("did"));
            let some = || format!("there are {}, …", ids[..ids.len().min(5)].join(", "));
            format!("no case begins with \"{prefix}\"; {}", near.unwrap_or_else(some))
        };
        say::error(&format!("error[{NO_CASE}]: {what}"));
        return Err(Exit::Usage);
    }
    Ok(())
}

fn show(args: &VerifyArgs, result: &Verification) -> Exit {
    if let Some(dir) = &args.out {
        for (name, text) in [
            ("verification.json", report::verification_json(result)),
            ("verification.html", report::verification_html(result)),
        ] {
            if let Err(why) = files::write(&dir.join(name), text.as_bytes()) {
                say::error(&why.to_string());
                return Exit::Failed;
            }
        }
    }
    let text = match args.format {
        VerifyFormat::Table => report::verification(result, files::width()),
        VerifyFormat::Json => report::verification_json(result),
        VerifyFormat::Html => report::verification_html(result),
    };
    say::bytes(text.as_bytes())
}

fn scenarios(truths: &[Truth]) -> Exit {
    for truth in truths {
        match truth.scenario() {
            Ok(scenario) => {
                let text = serde_json::to_string_pretty(&scenario).unwrap_or_default() + "\n";
                let shown = say::bytes(text.as_bytes());
                if shown != Exit::Ok {
                    return shown;
                }
            }
            Err(why) => {
                say::error(&format!("error[{NO_COUNTERPART}]: case {}: {why}", truth.id()));
                return Exit::Failed;
            }
        }
    }
    Exit::Ok
}
