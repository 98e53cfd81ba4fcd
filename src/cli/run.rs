//! `headroom run`: load, run, show, write.

use super::args::{Format, RunArgs, Shared};
use super::progress::Watch;
use super::{Exit, files, load, say};
use crate::experiment::result::{RunResult, Verdict};
use crate::experiment::{self, Plan, RunError};
use crate::report;
use std::path::Path;

/// Runs a scenario.
pub(super) fn command(args: &RunArgs, shared: &Shared) -> Exit {
    let mut loaded = match load::plan(&args.scenario, shared) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    if args.also.steady_state {
        loaded.scenario.run.steady_state = true;
        loaded.resolved["run"]["steady_state"] = true.into();
    }
    if let Some(dir) = &args.out
        && let Err(why) = files::open_folder(dir)
    {
        say::error(&why.to_string());
        return Exit::Failed;
    }
    if let Some(threads) = args.threads {
        // The pool can be set up once in a process; this is the only place that does.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
    }
    let watch = Watch::new(shared.quiet);
    let outcome = answer(&loaded, args, &watch);
    watch.done();
    let result = match outcome {
        Ok(result) => result,
        Err(why) => return failed(&why),
    };
    let shown = show(&result, args, shared);
    if shown != Exit::Ok {
        return shown;
    }
    if let Some(dir) = &args.out
        && let Err(why) = write_all(dir, &result)
    {
        say::error(&why.to_string());
        return Exit::Failed;
    }
    if Watch::interrupted() {
        say::error(&match &result.interrupted {
            Some(own) => report::interrupted(own),
            None => "interrupted after the last replication: the figures are whole".into(),
        });
        return Exit::Interrupted;
    }
    if args.scenario.file.is_none() {
        // The built-in scenario is a demonstration: that some of its designs fail is what it shows.
        return Exit::Ok;
    }
    verdict(&result, args.strict)
}

/// The run, and what else was asked for about it.
fn answer(plan: &Plan, args: &RunArgs, watch: &Watch) -> Result<RunResult, RunError> {
    let mut result = match args.precision.wanted() {
        Some(precision) => experiment::run_until(plan, &precision, watch)?,
        None => experiment::run(plan, watch)?,
    };
    if args.also.counterfactual {
        watch.next("designs without their bottleneck");
        experiment::counterfactuals(plan, &mut result, watch)?;
    }
    if args.also.sensitivity {
        watch.next("assumed values halved and doubled");
        experiment::sensitivities(plan, &mut result, watch)?;
    }
    Ok(result)
}

/// Says why a run gave no result.
pub(super) fn failed(why: &RunError) -> Exit {
    let (code, exit) = match why {
        RunError::Broken(_) => ("E0010", Exit::Failed),
        RunError::Price(_) => ("E0320", Exit::Failed),
        RunError::Interrupted { .. } => ("E0011", Exit::Interrupted),
    };
    say::error(&format!("error[{code}]: {why}"));
    exit
}

fn show(result: &RunResult, args: &RunArgs, shared: &Shared) -> Exit {
    let text = match args.format {
        Format::Table => report::table(result, files::width(), files::wants_colour(shared.color)),
        Format::Json => report::json(result),
        Format::Csv => report::csv::summary(result),
        Format::Markdown => report::markdown(result),
    };
    say::bytes(text.as_bytes())
}

/// Writes everything that a run leaves behind.
fn write_all(dir: &Path, result: &RunResult) -> Result<(), files::FileError> {
    files::write(&dir.join("result.json"), report::json(result).as_bytes())?;
    files::write(&dir.join("report.html"), report::html(result, None).as_bytes())?;
    for (name, text) in report::csv::all(result) {
        files::write(&dir.join(name), text.as_bytes())?;
    }
    for chart in report::charts(result) {
        files::write(&dir.join(format!("{}.svg", chart.name)), chart.svg.as_bytes())?;
        files::write(&dir.join(format!("{}.png", chart.name)), &chart.png)?;
    }
    Ok(())
}

fn verdict(result: &RunResult, strict: bool) -> Exit {
    let has = |verdict| result.thresholds.iter().any(|threshold| threshold.verdict == verdict);
    let wide = result.precision.as_ref().is_some_and(|own| !own.reached);
    if has(Verdict::Fail) {
        Exit::Thresholds
    } else if strict && (wide || has(Verdict::Undecided)) {
        Exit::Undecided
    } else {
        Exit::Ok
    }
}
