//! Rows, one a design: names at the left, a horizontal figure axis, whiskers.

use super::frame::{MARGIN, NAME, SMALL};
use super::paint::{fit, width};
use super::scale::Scale;
use super::scene::{AXIS, GRID, Hang, INK, Point, SOFT, Scene};
use crate::experiment::result::{Estimate, RunResult};
use plotters::style::RGBColor;

/// Height of a row.
pub(super) const ROW: f64 = 34.0;
/// Room for the widest name.
const MOST_NAME: f64 = 240.0;
/// Half the height of a whisker's end.
const CAP: f64 = 5.5;
/// Line width of a whisker.
const WHISKER: f64 = 1.25;
/// Room below the rows for ticks and the axis' name.
pub(super) const BELOW: f64 = 56.0;

/// Names at the left; answers where the figures may begin.
pub(super) fn names(scene: &mut Scene, result: &RunResult, top: f64) -> f64 {
    let all = || result.designs.iter().map(|d| fit(&d.name, NAME, MOST_NAME));
    let widest = all().map(|name| width(&name, NAME)).fold(40.0, f64::max);
    for (i, name) in all().enumerate() {
        scene.text((MARGIN + widest, middle(top, i)), &name, (INK, NAME), Hang::End);
    }
    MARGIN + widest + 14.0
}

/// Height of the middle of a row.
pub(super) fn middle(top: f64, row: usize) -> f64 {
    (row as f64 + 0.5) * ROW + top
}

/// Grid, ticks and name of a horizontal axis below `rows` rows; answers the axis laid out.
pub(super) fn axis(
    scene: &mut Scene,
    scale: &Scale,
    ends: (f64, f64),
    rows: (f64, usize),
    (label, name): (&dyn Fn(f64) -> String, &str),
) -> Scale {
    let x = scale.between(ends.0, ends.1);
    let (top, bottom) = (rows.0, rows.0 + rows.1.max(1) as f64 * ROW);
    let mut free = f64::NEG_INFINITY;
    for tick in x.ticks() {
        let Some(at) = x.at(*tick) else { continue };
        scene.line(vec![(at, top), (at, bottom)], GRID, 1.0);
        let words = label(*tick);
        let half = width(&words, SMALL) / 2.0;
        if at - half > free {
            scene.text((at, bottom + 13.0), &words, (SOFT, SMALL), Hang::Middle);
            free = at + half + 8.0;
        }
    }
    scene.line(vec![(ends.0, bottom), (ends.1, bottom)], AXIS, 1.0);
    let centre = f64::midpoint(ends.0, ends.1);
    scene.text((centre, bottom + 36.0), name, (INK, SMALL), Hang::Middle);
    x
}

/// The interval of an estimate around a row's middle.
pub(super) fn whisker(scene: &mut Scene, x: &Scale, of: Estimate, y: f64, color: RGBColor) {
    let (Some(low), Some(high)) = (x.at(of.low), x.at(of.high)) else { return };
    let up = |at: f64| -> Vec<Point> { vec![(at, y - CAP), (at, y + CAP)] };
    scene.line(vec![(low, y), (high.max(low + 0.01), y)], color, WHISKER);
    scene.line(up(low), color, WHISKER);
    scene.line(up(high), color, WHISKER);
}
