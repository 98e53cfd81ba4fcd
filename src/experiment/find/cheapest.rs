//! The cheapest of many configurations that meets the thresholds: a race.
//!
//! All configurations see the same users, and run with few replications first. Those that surely miss a threshold, and those
//! that surely cost more than one that surely meets them, drop out; the rest run on with twice as many. What is still
//! level at the end is called indistinguishable.

use super::boundary::Decision;
use super::found::{Answer, Outcome, Point, Warning};
use super::grid::{Grid, plain};
use super::probe::{Probe, Stop, gap, within};
use super::turn::{Outturn, Search};
use crate::experiment::estimate::mean;
use crate::experiment::result::DesignResult;
use serde_json::Value;

/// Most configurations of a race.
pub const CONFIGURATIONS_MAX: usize = 2_000;

/// What is raced.
pub struct Race<'a> {
    /// The knobs; every combination of their values is a configuration.
    pub grids: &'a [Grid],
    /// Design that has the knobs.
    pub design: &'a str,
    /// Metric and expression of each threshold.
    pub thresholds: &'a [(String, String)],
    /// Figure that is made small.
    pub metric: &'a str,
    /// Relative difference of the figure that does not matter.
    pub indifference: f64,
    /// More of every knob never misses a threshold that less meets, and never costs less.
    pub monotone: bool,
}

struct Runner {
    places: Vec<usize>,
    values: Vec<Value>,
    /// Whether it meets the thresholds.
    holds: Decision,
    because: String,
    /// Why it is out of the race.
    out: Option<String>,
    replications: u32,
    last: Option<DesignResult>,
}

impl Runner {
    fn cost(&self, metric: &str) -> f64 {
        let values = self.last.as_ref().and_then(|design| design.replicated(metric));
        values.map_or(f64::INFINITY, |v| v.iter().sum::<f64>() / v.len() as f64)
    }
}

/// Races all combinations.
pub fn cheapest(search: &Search, race: &Race) -> Outturn {
    let mut probe = search.probe();
    let mut field = field(race.grids);
    let mut stop = None;
    if race.monotone {
        stop = prune(&mut probe, race, &mut field).err();
    }
    if stop.is_none() {
        stop = run(&mut probe, race, &mut field).err();
    }
    (answer(search, race, field, stop.is_some()), probe.runs, stop)
}

/// Every combination, the last knob fastest.
fn field(grids: &[Grid]) -> Vec<Runner> {
    let mut places: Vec<Vec<usize>> = vec![Vec::new()];
    for grid in grids {
        places = places
            .into_iter()
            .flat_map(|head| {
                (0..grid.len()).map(move |at| head.iter().copied().chain([at]).collect())
            })
            .collect();
    }
    let runner = |places: Vec<usize>| Runner {
        values: places.iter().zip(grids).map(|(at, grid)| grid.value(*at).clone()).collect(),
        places,
        holds: Decision::Undecided,
        because: String::new(),
        out: None,
        replications: 0,
        last: None,
    };
    places.into_iter().map(runner).collect()
}

/// One more look at a configuration with `replications`.
fn look(
    probe: &mut Probe,
    race: &Race,
    runner: &mut Runner,
    replications: u32,
) -> Result<(), Stop> {
    let mut result = probe.result(&runner.values, &[race.design], replications)?;
    runner.replications = replications;
    let Some(design) = result.designs.pop() else { return Ok(()) };
    if runner.holds == Decision::Undecided {
        let alpha = probe.next_alpha();
        (runner.holds, runner.because) =
            within(&design, race.thresholds, (alpha, replications), probe.show);
        if runner.holds == Decision::No {
            runner.out = Some(runner.because.clone());
        }
    }
    runner.last = Some(design);
    Ok(())
}

/// Settles who meets the thresholds where more is never worse: each answer settles all below or all above.
fn prune(probe: &mut Probe, race: &Race, field: &mut [Runner]) -> Result<(), Stop> {
    let below = |a: &Runner, b: &Runner| a.places.iter().zip(&b.places).all(|(a, b)| a <= b);
    loop {
        let open: Vec<usize> = (0..field.len())
            .filter(|&i| field[i].out.is_none() && field[i].replications == 0)
            .collect();
        // The one whose answer settles most, whichever it is.
        let settles = |&i: &usize| {
            let down = open.iter().filter(|&&j| below(&field[j], &field[i])).count();
            let up = open.iter().filter(|&&j| below(&field[i], &field[j])).count();
            (down.min(up), std::cmp::Reverse(i))
        };
        let Some(next) = open.iter().copied().max_by_key(settles) else { return Ok(()) };
        let mut replications = probe.effort.least;
        loop {
            look(probe, race, &mut field[next], replications)?;
            if field[next].holds != Decision::Undecided || replications >= probe.effort.most {
                break;
            }
            replications = (replications * 2).min(probe.effort.most);
        }
        let name = show(&field[next].values);
        for i in 0..field.len() {
            if i == next || field[i].out.is_some() {
                continue;
            }
            match field[next].holds {
                Decision::Yes if below(&field[next], &field[i]) => {
                    field[i].out = Some(format!("{name} holds with less"));
                }
                Decision::No if below(&field[i], &field[next]) => {
                    field[i].out = Some(format!("{name} has more and misses"));
                }
                _ => {}
            }
        }
    }
}

/// Rounds of twice as many replications, until one is left or none can be told apart.
fn run(probe: &mut Probe, race: &Race, field: &mut [Runner]) -> Result<(), Stop> {
    let mut replications = probe.effort.least;
    loop {
        for runner in field.iter_mut().filter(|runner| runner.out.is_none()) {
            if runner.replications < replications {
                look(probe, race, runner, replications)?;
            }
        }
        let level = drop_dearer(probe, race, field);
        if level || replications >= probe.effort.most {
            return Ok(());
        }
        replications = (replications * 2).min(probe.effort.most);
    }
}

/// The configuration that costs least of those that surely hold.
fn leader(race: &Race, field: &[Runner]) -> Option<usize> {
    let sure =
        (0..field.len()).filter(|&i| field[i].holds == Decision::Yes && field[i].out.is_none());
    sure.min_by(|&i, &j| field[i].cost(race.metric).total_cmp(&field[j].cost(race.metric)))
}

/// Drops what surely costs more than the leader. Says whether the race is over: nothing is left whose cost or whose
/// thresholds more replications could tell.
fn drop_dearer(probe: &mut Probe, race: &Race, field: &mut [Runner]) -> bool {
    let Some(best) = leader(race, field) else {
        return field.iter().all(|runner| runner.out.is_some());
    };
    let Some(base) = field[best].last.clone() else { return false };
    let name = show(&field[best].values);
    let base_cost = field[best].cost(race.metric);
    let matters = race.indifference * base_cost.abs();
    let mut level = true;
    for (i, runner) in field.iter_mut().enumerate() {
        if i == best || runner.out.is_some() {
            continue;
        }
        let Some(own) = &runner.last else { continue };
        let Some(gap) = gap(own, &base, race.metric, probe.next_alpha()) else { continue };
        if gap.low > 0.0 {
            let more = gap.value / base_cost * 100.0;
            runner.out = Some(format!("costs {more:.1} % more than {name}"));
        } else {
            level &= runner.holds == Decision::Yes && gap.low >= -matters && gap.high <= matters;
        }
    }
    level
}

fn show(values: &[Value]) -> String {
    values.iter().map(plain).collect::<Vec<_>>().join(", ")
}

fn answer(search: &Search, race: &Race, field: Vec<Runner>, interrupted: bool) -> Answer {
    let best = leader(race, &field);
    let open = |i: &usize| Some(*i) != best && field[*i].out.is_none();
    let alike: Vec<usize> =
        (0..field.len()).filter(open).filter(|&i| field[i].holds == Decision::Yes).collect();
    let unsure: Vec<usize> =
        (0..field.len()).filter(open).filter(|&i| field[i].holds != Decision::Yes).collect();
    let own = best.and_then(|i| Warning::of(field[i].last.as_ref()?, &field[i].values));
    let estimate = best.and_then(|i| field[i].last.as_ref()?.replicated(race.metric)).map(mean);
    let mut parts = vec![match (best, estimate) {
        (Some(i), Some(cost)) => {
            let cost = (search.show)(race.metric, cost.value);
            format!("{}: {} {cost}", show(&field[i].values), race.metric)
        }
        _ if interrupted => "stopped before any configuration was sure to hold".into(),
        _ if unsure.is_empty() => "no configuration holds".into(),
        _ => "no configuration surely holds".into(),
    }];
    let list = |which: &[usize]| {
        let names: Vec<String> =
            which.iter().take(8).map(|&i| format!("({})", show(&field[i].values))).collect();
        let more = which.len().saturating_sub(8);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{tail}", names.join(" "))
    };
    if !alike.is_empty() {
        parts.push(format!("indistinguishable from it: {}", list(&alike)));
    }
    if !unsure.is_empty() {
        parts.push(format!("undecided whether within the thresholds: {}", list(&unsure)));
    }
    let outcome = match best {
        Some(_) => Outcome::Found,
        None if unsure.is_empty() && !interrupted => Outcome::None,
        None => Outcome::Undecided,
    };
    Answer {
        design: race.design.to_owned(),
        outcome,
        values: best.map(|i| field[i].values.clone()).unwrap_or_default(),
        beyond: None,
        estimate,
        indistinguishable: alike.iter().chain(&unsure).map(|&i| field[i].values.clone()).collect(),
        text: parts.join("; "),
        warnings: own.into_iter().collect(),
        points: field.into_iter().map(point).collect(),
    }
}

fn point(runner: Runner) -> Point {
    Point {
        values: runner.values,
        decision: runner.holds.into(),
        replications: runner.replications,
        because: runner.out.unwrap_or(runner.because),
    }
}
