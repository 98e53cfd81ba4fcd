//! `headroom find`: the inverse questions.

use super::args::{FindArgs, FindFormat, Shared};
use super::progress::Watch;
use super::{Exit, files, load, run, say};
use crate::experiment::Plan;
use crate::experiment::find::{
    ALPHA, Answer, CONFIGURATIONS_MAX, Direction, Effort, Found, Grid, Outcome, Race, Search, Stop,
    break_even, cheapest, turn,
};
use crate::experiment::result::SCHEMA_VERSION;
use crate::report;
use crate::scenario::{Path, Segment};
use serde_json::Value;

/// Most users a search without a range goes up to.
const USERS_MAX: &str = "1..1000000";

/// What is asked.
enum Question {
    Turn(Direction, Grid, Option<f64>),
    BreakEven(Grid, [String; 2]),
    Cheapest(Vec<Grid>),
}

/// Searches, and shows what was found.
pub(super) fn command(args: &FindArgs, shared: &Shared) -> Exit {
    let plan = match load::plan(&args.scenario, shared) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let asked = question(args, &plan).and_then(|question| {
        let designs = designs(args, &plan, &question)?;
        Ok((question, designs))
    });
    let (question, designs) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            return refuse("E0014", &why);
        }
    };
    let watch = Watch::new(shared.quiet);
    let (found, stop) = search(args, &plan, &question, &designs, &watch);
    watch.done();
    if let Some(exit) = refused(stop.as_ref()) {
        return exit;
    }
    let text = match args.format {
        FindFormat::Table => {
            report::find::table(&found, &plan.prices.currency, files::wants_colour(shared.color))
        }
        FindFormat::Json => report::find::json(&found),
    };
    match say::bytes(text.as_bytes()) {
        Exit::Ok if found.interrupted => Exit::Interrupted,
        Exit::Ok => verdict(&found.answers),
        exit => exit,
    }
}

fn refuse(code: &str, why: &str) -> Exit {
    say::error(&format!("error[{code}]: {why}"));
    Exit::Usage
}

/// Tells why a search could not go on; none if it was only interrupted.
fn refused(stop: Option<&Stop>) -> Option<Exit> {
    match stop? {
        Stop::Interrupted => None,
        Stop::Invalid(why) => Some(refuse("E0015", why)),
        Stop::Run(why) => Some(run::failed(why)),
    }
}

fn verdict(answers: &[Answer]) -> Exit {
    let has = |outcome| answers.iter().any(|answer| answer.outcome == outcome);
    if has(Outcome::Found) || has(Outcome::All) {
        Exit::Ok
    } else if has(Outcome::Undecided) {
        Exit::Undecided
    } else {
        Exit::Thresholds
    }
}

/// `PATH=VALUES` in two.
fn knob(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once('=').map_or((text, None), |(path, values)| (path.trim(), Some(values)))
}

fn grid(plan: &Plan, text: &str) -> Result<Grid, String> {
    let (path, values) = knob(text);
    let known = plan.value(path);
    let values = match values {
        Some(values) => values,
        None if known.is_some_and(Value::is_u64) => USERS_MAX,
        None => return Err(format!("{path} needs a range: {path}=LOW..HIGH")),
    };
    Grid::parse(path, values).map_err(|why| format!("{text}: {why}"))
}

fn question(args: &FindArgs, plan: &Plan) -> Result<Question, String> {
    if plan.scenario.thresholds.is_empty() && args.break_even.is_none() {
        return Err(
            "the scenario has no thresholds, so there is nothing to stay within; add `thresholds`"
                .into(),
        );
    }
    if let Some(text) = &args.break_even {
        let between = args.between.as_deref().unwrap_or_default();
        let names: Vec<&str> = between.split(',').map(str::trim).collect();
        let [a, b] = names[..] else {
            return Err("--between names two designs: --between \"a,b\"".into());
        };
        for name in [a, b] {
            if !plan.scenario.designs.contains_key(name) {
                return Err(format!("there is no design \"{name}\""));
            }
        }
        return Ok(Question::BreakEven(grid(plan, text)?, [a.to_owned(), b.to_owned()]));
    }
    if args.cheapest {
        let grids = args.vary.iter().map(|text| grid(plan, text)).collect::<Result<Vec<_>, _>>()?;
        if grids.is_empty() {
            return Err("--cheapest needs at least one --vary PATH=VALUES".into());
        }
        let all: usize = grids.iter().map(Grid::len).product();
        if all > CONFIGURATIONS_MAX {
            return Err(format!("{all} configurations; give fewer values (2,000 at most)"));
        }
        return Ok(Question::Cheapest(grids));
    }
    let (direction, text) = match (&args.max, &args.min) {
        (Some(text), _) => (Direction::Max, text),
        (_, Some(text)) => (Direction::Min, text),
        _ => return Err("name one of --max, --min, --cheapest and --break-even".into()),
    };
    let grid = grid(plan, text)?;
    let start = plan.value(&grid.path).and_then(Value::as_f64);
    Ok(Question::Turn(direction, grid, start))
}

/// Designs that a question concerns: those named, else those that its paths lead into or whose users they change.
fn designs(args: &FindArgs, plan: &Plan, question: &Question) -> Result<Vec<String>, String> {
    let all = &plan.scenario.designs;
    if let Some(name) = args.design.iter().find(|name| !all.contains_key(name.as_str())) {
        return Err(format!("there is no design \"{name}\""));
    }
    if !args.design.is_empty() {
        return Ok(args.design.clone());
    }
    let path = match question {
        Question::Turn(_, grid, _) | Question::BreakEven(grid, _) => Path::parse(&grid.path),
        Question::Cheapest(grids) => Path::parse(&grids[0].path),
    };
    let named = |at: usize| match path.0.get(at) {
        Some(Segment::Key(key)) if key != "*" => Some(key.as_str()),
        _ => None,
    };
    let concerned: Vec<String> = match (named(0), named(1)) {
        (Some("designs"), Some(name)) => vec![name.to_owned()],
        (Some("workload"), Some(class)) => {
            let entered = all.iter().filter(|(_, design)| design.enter.contains_key(class));
            entered.map(|(name, _)| name.clone()).collect()
        }
        _ => all.keys().cloned().collect(),
    };
    if concerned.is_empty() || concerned.iter().any(|name| !all.contains_key(name.as_str())) {
        return Err(format!("{path} concerns no design"));
    }
    Ok(concerned)
}

/// The scenario's thresholds: metric and text of each.
fn thresholds(plan: &Plan) -> Vec<(String, String)> {
    let all = plan.scenario.thresholds.iter();
    all.flat_map(|(metric, list)| list.iter().map(|text| (metric.clone(), text.clone()))).collect()
}

fn search(
    args: &FindArgs,
    plan: &Plan,
    question: &Question,
    designs: &[String],
    watch: &Watch,
) -> (Found, Option<Stop>) {
    let grids: Vec<&Grid> = match question {
        Question::Turn(_, grid, _) | Question::BreakEven(grid, _) => vec![grid],
        Question::Cheapest(grids) => grids.iter().collect(),
    };
    let paths: Vec<Path> = grids.iter().map(|grid| Path::parse(&grid.path)).collect();
    let make = |values: &[Value]| plan.with(&paths, values);
    let least = args.scenario.replications.unwrap_or(10);
    let search = Search {
        make: &make,
        observer: watch,
        effort: Effort { least, most: args.most.max(least) },
        precision: args.precision / 100.0,
        show: &|metric, value| report::find::figure(metric, value, &plan.prices.currency),
    };
    let thresholds = thresholds(plan);
    let met: Vec<String> =
        thresholds.iter().map(|(metric, text)| format!("{metric} {text}")).collect();
    let outturns: Vec<_> = match question {
        Question::Turn(direction, grid, start) => designs
            .iter()
            .map(|design| turn(&search, grid, *direction, *start, design, &thresholds))
            .collect(),
        Question::BreakEven(grid, [a, b]) => {
            vec![break_even(&search, grid, [a, b], &args.by, &thresholds)]
        }
        Question::Cheapest(grids) => designs
            .iter()
            .map(|design| {
                let race = Race {
                    grids,
                    design,
                    thresholds: &thresholds,
                    metric: &args.by,
                    indifference: args.indifference / 100.0,
                    monotone: args.monotone,
                };
                cheapest(&search, &race)
            })
            .collect(),
    };
    let (name, criterion) = match question {
        Question::Turn(Direction::Max, ..) => ("max", met),
        Question::Turn(Direction::Min, ..) => ("min", met),
        Question::BreakEven(..) => ("break_even", vec![args.by.clone()]),
        Question::Cheapest(..) => ("cheapest", [met, vec![args.by.clone()]].concat()),
    };
    let stop = outturns.iter().find_map(|(_, _, stop)| stop.clone());
    let found = Found {
        schema_version: SCHEMA_VERSION,
        headroom: env!("CARGO_PKG_VERSION").into(),
        scenario: plan.reference(),
        seed: plan.scenario.run.seed,
        question: name,
        paths: grids.iter().map(|grid| grid.path.clone()).collect(),
        criterion,
        confidence: 1.0 - ALPHA,
        runs: outturns.iter().map(|(_, runs, _)| runs).sum(),
        interrupted: stop == Some(Stop::Interrupted),
        answers: outturns.into_iter().map(|(answer, _, _)| answer).collect(),
    };
    (found, stop)
}
