//! The largest or smallest value of one knob within the thresholds.

use super::super::replicate::Observer;
use super::super::result::{DesignResult, Estimate, RunResult};
use super::boundary::{Boundary, Decision, boundary};
use super::found::{Answer, Outcome, Point, Warning};
use super::grid::{Grid, plain};
use super::probe::{Effort, Maker, Probe, Shown, Stop, within};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What every search needs.
pub struct Search<'a> {
    /// Makes plans.
    pub make: Maker<'a>,
    /// Watches and may stop.
    pub observer: &'a dyn Observer,
    /// Replications for a place.
    pub effort: Effort,
    /// Relative distance at which two values are near enough to one another.
    pub precision: f64,
    /// Writes the figures that answers speak of.
    pub show: Shown<'a>,
}

/// Which end of a knob is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The largest value that will do; smaller ones are easier.
    Max,
    /// The smallest value that will do; larger ones are easier.
    Min,
}

impl Search<'_> {
    pub(super) fn probe(&self) -> Probe<'_> {
        Probe {
            make: self.make,
            observer: self.observer,
            show: self.show,
            effort: self.effort,
            runs: 0,
            looks: 0,
            points: Vec::new(),
        }
    }

    pub(super) fn close(&self, a: f64, b: f64) -> bool {
        (a - b).abs() <= self.precision * a.abs().max(b.abs())
    }
}

/// An answer, the replications it took, and why it is not complete, if it is not.
pub type Outturn = (Answer, u64, Option<Stop>);

/// Searches one knob of one design for the last value within the thresholds (metric and expression). Takes for granted
/// that the design gets no better as the knob goes the hard way.
pub fn turn(
    search: &Search,
    grid: &Grid,
    direction: Direction,
    start: Option<f64>,
    design: &str,
    thresholds: &[(String, String)],
) -> Outturn {
    let mut probe = search.probe();
    let last = grid.len() - 1;
    // Places go from easy to hard.
    let at = |place: usize| match direction {
        Direction::Max => place,
        Direction::Min => last - place,
    };
    let start = start.map_or(last / 2, |number| at(grid.place(number)));
    let value = |place: usize| vec![grid.value(at(place)).clone()];
    let last_seen: RefCell<BTreeMap<usize, Settled>> = RefCell::default();
    let mut ask = |place: usize| {
        let answer = |result: &RunResult, alpha: f64| {
            let Some(own) = result.designs.first() else {
                return (Decision::Undecided, String::new());
            };
            last_seen.borrow_mut().insert(place, Settled::of(own, &value(place), search));
            within(own, thresholds, (alpha, result.replications), search.show)
        };
        probe.decide(&value(place), &[design], &answer)
    };
    let close = |a, b| search.close(grid.number(at(a)), grid.number(at(b)));
    let (found, mut stop) = boundary(grid.len(), start, &close, &mut ask);
    let mut settled = found.last_yes.and_then(|place| last_seen.take().remove(&place));
    if let (Some(Settled::Unknown), Some(place), None) = (&settled, found.last_yes, &stop) {
        // Few replications do not tell: the most that a place may have.
        match probe.result(&value(place), &[design], search.effort.most) {
            Ok(result) => {
                let own = result.designs.first();
                settled = own.map(|own| Settled::of(own, &value(place), search));
            }
            Err(why) => stop = Some(why),
        }
    }
    let found = Boundary { last_yes: found.last_yes.map(at), first_no: found.first_no.map(at) };
    let mut answer = within_answer(grid, direction, design, found, probe.points);
    if let Some(Settled::Grows(warning)) = settled {
        answer.warnings.push(warning);
    }
    (answer, probe.runs, stop)
}

/// Whether a design has settled at a place by the end of its load.
#[derive(Debug, Clone, PartialEq)]
enum Settled {
    /// Requests in flight do not grow by more than the part of the load that the search does not care for.
    Yes,
    /// They grow.
    Grows(Warning),
    /// So few replications do not tell.
    Unknown,
}

impl Settled {
    fn of(design: &DesignResult, at: &[Value], search: &Search) -> Settled {
        if let Some(warning) = Warning::of(design, at) {
            return Settled::Grows(warning);
        }
        let little = design.backlog.is_none_or(|own| own.share.high <= search.precision);
        if little { Settled::Yes } else { Settled::Unknown }
    }
}

fn within_answer(
    grid: &Grid,
    direction: Direction,
    design: &str,
    found: Boundary,
    points: Vec<Point>,
) -> Answer {
    let show = |place: usize| plain(grid.value(place));
    let (most, easiest) = match direction {
        Direction::Max => ("most", "the smallest"),
        Direction::Min => ("least", "the largest"),
    };
    let because = |place: usize| {
        let own = |point: &&Point| point.values.first() == Some(grid.value(place));
        points.iter().find(own).map_or(String::new(), |point| point.because.clone())
    };
    let (outcome, text) = match (found.last_yes, found.first_no) {
        (Some(yes), Some(no)) => (
            Outcome::Found,
            format!("{most} {}; at {} it does not hold ({})", show(yes), show(no), because(no)),
        ),
        (Some(yes), None) if yes == grid.len() - 1 || yes == 0 => {
            (Outcome::All, format!("the whole range holds, up to {}", show(yes)))
        }
        (Some(yes), None) => {
            (Outcome::Found, format!("{most} {}; beyond it nothing is decided", show(yes)))
        }
        (None, Some(no)) if no == 0 || no == grid.len() - 1 => {
            (Outcome::None, format!("not even {easiest}, {}, holds ({})", show(no), because(no)))
        }
        (None, Some(no)) => {
            (Outcome::Undecided, format!("no value surely holds; {} surely does not", show(no)))
        }
        (None, None) => (Outcome::Undecided, "nothing is decided in the whole range".to_owned()),
    };
    let estimate = found.last_yes.zip(found.first_no).map(|(yes, no)| {
        let (yes, no) = (grid.number(yes), grid.number(no));
        Estimate { value: yes, low: yes.min(no), high: yes.max(no) }
    });
    Answer {
        design: design.to_owned(),
        outcome,
        values: found.last_yes.map(|place| vec![grid.value(place).clone()]).unwrap_or_default(),
        beyond: found.first_no.map(|place| grid.value(place).clone()),
        estimate,
        indistinguishable: Vec::new(),
        text,
        warnings: Vec::new(),
        points,
    }
}
