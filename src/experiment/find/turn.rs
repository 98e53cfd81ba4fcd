//! The largest or smallest value of one knob within the thresholds.

use super::super::replicate::Observer;
use super::super::result::{Estimate, RunResult};
use super::boundary::{Boundary, Decision, boundary};
use super::found::{Answer, Outcome, Point};
use super::grid::{Grid, plain};
use super::probe::{Effort, Maker, Probe, Shown, Stop, within};

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
    let answer = |result: &RunResult, alpha: f64| match result.designs.first() {
        Some(design) => within(design, thresholds, (alpha, result.replications), search.show),
        None => (Decision::Undecided, String::new()),
    };
    let (found, stop) = boundary(
        grid.len(),
        start,
        &|a, b| search.close(grid.number(at(a)), grid.number(at(b))),
        &mut |place| probe.decide(&[grid.value(at(place)).clone()], &[design], &answer),
    );
    let found = Boundary { last_yes: found.last_yes.map(at), first_no: found.first_no.map(at) };
    let answer = within_answer(grid, direction, design, found, probe.points);
    (answer, probe.runs, stop)
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
        points,
    }
}
