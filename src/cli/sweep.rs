//! `headroom sweep` and `headroom merge`: points of a grid, journals in a folder, results out of them.

use super::args::{MergeArgs, Shared, SweepArgs, SweepFormat};
use super::load::{self, Source};
use super::progress::Watch;
use super::shard::{self, Shard};
use super::{Exit, files, run, say};
use crate::experiment::journal::{self, Journal, MergeError};
use crate::experiment::sweep::{SweepAxis, SweepHead, SweepPoint, SweepResult, sweep};
use crate::experiment::{Plan, RunError};
use crate::report;
use crate::scenario::{self, Assignment, Axis, Finding};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const NOT_RESUMED: &str = "E0020";
const OTHER_SWEEP: &str = "E0021";
const OVERLAP: &str = "E0022";
const MISSING: &str = "E0023";
const NO_JOURNAL: &str = "E0024";

fn refuse(code: &str, what: &str, remedy: &str) -> Exit {
    say::error(&format!("error[{code}]: {what}\n  = help: {remedy}"));
    Exit::Usage
}

fn found(finding: &Finding) -> Exit {
    refuse(finding.code, &finding.message, &finding.remedy)
}

fn io(why: &files::FileError) -> Exit {
    say::error(&why.to_string());
    Exit::Failed
}

/// Runs a sweep, or a shard of one.
pub(super) fn command(args: &SweepArgs, shared: &Shared) -> Exit {
    go(args, shared).unwrap_or_else(|exit| exit)
}

/// A sweep whose points have all been read and checked.
struct Grid<'a> {
    args: &'a SweepArgs,
    source: Source,
    points: Vec<Vec<Assignment>>,
    head: SweepHead,
}

fn go(args: &SweepArgs, shared: &Shared) -> Result<Exit, Exit> {
    let source = load::source(&args.scenario)?;
    if args.emit.is_some() {
        return Ok(shard::manifest(args, &source));
    }
    let shard = shard::chosen(args.shard.as_deref())?;
    let grid = Grid::new(args, source, shared)?;
    if let Some(threads) = args.threads {
        // The pool can be set up once in a process.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
    }
    let journal = match &args.out {
        Some(dir) => Some(Open::new(dir, &grid.head, shard, args.resume)?),
        None if shard != Shard::WHOLE => {
            return Err(refuse(
                NO_JOURNAL,
                "a shard without --out leaves nothing to merge",
                "add --out DIR",
            ));
        }
        None => None,
    };
    let done = journal.as_ref().map(|open| open.done.clone()).unwrap_or_default();
    let finished = grid.run(shard, journal.as_ref(), done, shared)?;
    if shard != Shard::WHOLE {
        if !shared.quiet {
            say::error(&format!(
                "shard {} of {}: {} points are done",
                shard.index + 1,
                shard.count,
                finished.len()
            ));
        }
        return Ok(Exit::Ok);
    }
    let result = SweepResult::new(grid.head, finished);
    finish(&result, args.out.as_deref(), args.format)
}

impl<'a> Grid<'a> {
    /// Reads and checks every point, so that a bad one is refused before anything runs.
    fn new(args: &'a SweepArgs, source: Source, shared: &Shared) -> Result<Grid<'a>, Exit> {
        let axis = |text: &String| Axis::parse(text).map_err(|finding| found(&finding));
        let axes = args.vary.iter().map(axis).collect::<Result<Vec<_>, _>>()?;
        let points = scenario::points(&axes).map_err(|finding| found(&finding))?;
        let mut digests = Vec::with_capacity(points.len());
        let mut base = None;
        for (number, point) in points.iter().enumerate() {
            let loaded = load::load_point(&source, &args.scenario, point)?;
            let plan = if loaded.findings.has_errors() || number == 0 {
                loaded.told(shared)
            } else {
                loaded.plan()
            };
            let Some(plan) = plan.and_then(|plan| chosen(plan, &args.design)) else {
                let values = point
                    .iter()
                    .map(|(path, value)| format!("{path}={}", scenario::value_text(value)));
                say::error(&format!("at the point {}", values.collect::<Vec<_>>().join(" ")));
                return Err(Exit::Usage);
            };
            digests.push(plan.digest());
            base.get_or_insert(plan);
        }
        let Some(base) = base else { return Err(Exit::Usage) };
        let axis = |axis: &Axis| SweepAxis {
            path: axis.path.to_string(),
            name: axis.name(),
            values: axis.values.clone(),
        };
        let mut head = SweepHead::new(&base, axes.iter().map(axis).collect(), &digests);
        head.precision = args.precision.wanted();
        Ok(Grid { args, source, points, head })
    }

    /// Runs what is not done yet; answers all points of the shard in order.
    fn run(
        &self,
        shard: Shard,
        journal: Option<&Open>,
        done: Vec<SweepPoint>,
        shared: &Shared,
    ) -> Result<Vec<SweepPoint>, Exit> {
        let all: Vec<usize> = shard.points(self.points.len()).collect();
        let todo: Vec<usize> =
            all.iter().copied().filter(|n| done.iter().all(|p| p.point != *n)).collect();
        let finished = Mutex::new((done, None));
        let watch = Watch::new(shared.quiet);
        let precision = self.head.precision;
        let outcome =
            sweep(&todo, &|number| self.plan(number), precision.as_ref(), &watch, &|point| {
                let mut state = finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(Err(why)) = journal.map(|open| open.add(&point)) {
                    state.1.get_or_insert(why);
                }
                state.0.push(point);
            });
        watch.done();
        let (mut points, broken) =
            finished.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(why) = broken {
            return Err(io(&why));
        }
        match outcome {
            Ok(()) => {}
            Err(RunError::Interrupted { .. }) => {
                let kept = if journal.is_some() {
                    "; go on with --resume"
                } else {
                    "; with --out DIR they would be kept"
                };
                say::error(&format!(
                    "interrupted: {} of {} points are done{kept}",
                    points.len(),
                    all.len()
                ));
                return Err(Exit::Interrupted);
            }
            Err(why) => return Err(run::failed(&why)),
        }
        points.sort_by_key(|point| point.point);
        Ok(points)
    }

    fn plan(&self, number: usize) -> Result<(Plan, Vec<serde_json::Value>), String> {
        let point = &self.points[number];
        let changed = || "a file changed while the sweep was running".to_owned();
        let loaded =
            load::load_point(&self.source, &self.args.scenario, point).map_err(|_| changed())?;
        let plan =
            loaded.plan().and_then(|plan| chosen(plan, &self.args.design)).ok_or_else(changed)?;
        Ok((plan, point.iter().map(|(_, value)| value.clone()).collect()))
    }
}

/// A plan with the named designs only; all of them where none is named.
fn chosen(mut plan: Plan, names: &[String]) -> Option<Plan> {
    if names.is_empty() {
        return Some(plan);
    }
    for name in names {
        if !plan.scenario.designs.contains_key(name) {
            let known: Vec<&str> = plan.scenario.designs.keys().map(String::as_str).collect();
            refuse(
                "E0234",
                &format!("there is no design \"{name}\""),
                &format!("designs: {}", known.join(", ")),
            );
            return None;
        }
    }
    plan.scenario.designs.retain(|name, _| names.contains(name));
    plan.resolved = serde_json::to_value(&plan.scenario).unwrap_or_default();
    Some(plan)
}

/// The journal of a sweep that is going on.
struct Open {
    path: PathBuf,
    done: Vec<SweepPoint>,
}

impl Open {
    fn new(dir: &Path, head: &SweepHead, shard: Shard, resume: bool) -> Result<Open, Exit> {
        files::open_folder(dir).map_err(|why| io(&why))?;
        let path = dir.join(shard::journal_name(shard));
        let mut journal =
            Journal { head: head.clone(), shard, points: std::collections::BTreeMap::new() };
        if files::exists(&path) {
            let bytes = files::read(&path).map_err(|why| io(&why))?;
            let before = Journal::read(&String::from_utf8_lossy(&bytes));
            if !resume && before.is_some() {
                let what = format!("\"{}\" holds a sweep already", path.display());
                return Err(refuse(
                    NOT_RESUMED,
                    &what,
                    "add --resume to go on with it, or choose another folder",
                ));
            }
            // Not even the first line was whole: nothing had been finished.
            if let Some(before) = before {
                if before.head != *head || before.shard != shard {
                    let what = format!(
                        "\"{}\" is the journal of another sweep: {}",
                        path.display(),
                        differs(&before.head, head)
                    );
                    return Err(refuse(
                        OTHER_SWEEP,
                        &what,
                        "give the same scenario, values, seed, prices and version, or choose another folder",
                    ));
                }
                journal = before;
            }
        }
        files::write(&path, journal.text().as_bytes()).map_err(|why| io(&why))?;
        Ok(Open { path, done: journal.points.into_values().collect() })
    }

    fn add(&self, point: &SweepPoint) -> Result<(), files::FileError> {
        files::append_durably(&self.path, journal::point_line(point).as_bytes())
    }
}

/// What two sweeps differ in, in words.
fn differs(a: &SweepHead, b: &SweepHead) -> &'static str {
    if a.headroom != b.headroom {
        "another version of headroom made it"
    } else if a.axes != b.axes {
        "other values were varied"
    } else if a.precision != b.precision {
        "another precision was wanted"
    } else if a.scenario.name != b.scenario.name {
        "it is of another scenario"
    } else {
        "the scenario, its files, designs, seed, replications or prices have changed"
    }
}

/// Puts the shards of a sweep together.
pub(super) fn merge(args: &MergeArgs) -> Exit {
    merged(args).unwrap_or_else(|exit| exit)
}

fn merged(args: &MergeArgs) -> Result<Exit, Exit> {
    let mut paths = Vec::new();
    for dir in &args.dirs {
        let below = files::below(dir).map_err(|why| io(&why))?;
        let journals =
            below.into_iter().filter(|path| path.extension().is_some_and(|e| e == "journal"));
        let before = paths.len();
        paths.extend(journals);
        if paths.len() == before {
            let what = format!("there is no journal of a sweep in \"{}\"", dir.display());
            return Err(refuse(
                NO_JOURNAL,
                &what,
                "name the folders that `headroom sweep --shard … --out DIR` wrote",
            ));
        }
    }
    let mut journals = Vec::new();
    for path in &paths {
        let bytes = files::read(path).map_err(|why| io(&why))?;
        let Some(journal) = Journal::read(&String::from_utf8_lossy(&bytes)) else {
            let what = format!("\"{}\" is no journal of a sweep", path.display());
            return Err(refuse(NO_JOURNAL, &what, "run its shard again"));
        };
        journals.push(journal);
    }
    let heads: Vec<SweepHead> = journals.iter().map(|journal| journal.head.clone()).collect();
    let (head, points) = journal::merge(journals).map_err(|why| match why {
        MergeError::Different(a, b) => {
            let (left, right) = (paths[a].display(), paths[b].display());
            let what = format!(
                "\"{left}\" and \"{right}\" are of different sweeps: {}",
                differs(&heads[a], &heads[b])
            );
            refuse(OTHER_SWEEP, &what, "merge shards of one sweep")
        }
        MergeError::Overlap { point, in_both: (a, b) } => {
            let (left, right) = (paths[a].display(), paths[b].display());
            let what = format!("point {point} stands in \"{left}\" and in \"{right}\"");
            refuse(OVERLAP, &what, "give each shard once, all cut with the same number of shards")
        }
        MergeError::Missing { points, shards, of } => {
            let list = |all: &[usize], from: usize| {
                let few: Vec<String> =
                    all.iter().take(20).map(|n| (n + from).to_string()).collect();
                if all.len() > 20 { format!("{}, …", few.join(", ")) } else { few.join(", ") }
            };
            let what = format!("{} of the points are missing: {}", points.len(), list(&points, 0));
            let remedy = if shards.is_empty() {
                "a shard was cut off: run it again with --resume".to_owned()
            } else {
                format!("give the folders of shards {} of {of}", list(&shards, 1))
            };
            refuse(MISSING, &what, &remedy)
        }
    })?;
    files::open_folder(&args.out).map_err(|why| io(&why))?;
    finish(&SweepResult::new(head, points), Some(&args.out), args.format)
}

/// Shows a result and writes all that it leaves behind.
fn finish(result: &SweepResult, out: Option<&Path>, format: SweepFormat) -> Result<Exit, Exit> {
    if let Some(dir) = out {
        let write =
            |name: &str, bytes: &[u8]| files::write(&dir.join(name), bytes).map_err(|why| io(&why));
        write("sweep.json", report::sweep_json(result).as_bytes())?;
        write("sweep.csv", report::sweep_csv(result).as_bytes())?;
        for chart in report::sweep_charts(result) {
            write(&format!("{}.svg", chart.name), chart.svg.as_bytes())?;
            write(&format!("{}.png", chart.name), &chart.png)?;
        }
    }
    let text = match format {
        SweepFormat::Table => report::sweep_table(result, files::width()),
        SweepFormat::Csv => report::sweep_csv(result),
        SweepFormat::Json => report::sweep_json(result),
    };
    Ok(say::bytes(text.as_bytes()))
}
