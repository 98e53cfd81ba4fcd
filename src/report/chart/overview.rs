//! Chart `success_and_latency`: success rate and 95th percentile by design, with intervals.

use super::figure::{figure, percent, seconds};
use super::frame::{MARGIN, SMALL, WIDTH, headline};
use super::rows::{BELOW, ROW, axis, middle, names, whisker};
use super::scale::Scale;
use super::scene::{BLUE, GREEN, Hang, INK, SOFT, Scene};
use crate::experiment::result::{Estimate, RunResult};
use plotters::style::RGBColor;

/// Colour of success rates.
const SUCCESS: RGBColor = GREEN;
/// Colour of latencies.
const LATENCY: RGBColor = BLUE;
/// Radius of a dot.
const DOT: f64 = 4.0;
/// Upper edge of the rows.
const TOP: f64 = 64.0;
/// Room right of each half for the figures in words.
const WORDS: f64 = 70.0;
/// Room between both halves.
const BETWEEN: f64 = 22.0;
/// Above this ratio of largest to smallest the latency axis is logarithmic.
const LOG_FROM: f64 = 50.0;

fn ends(estimates: &[Option<Estimate>]) -> (f64, f64) {
    let all = || {
        let known = estimates.iter().flatten().flat_map(|e| [e.low, e.value, e.high]);
        known.filter(|v| v.is_finite())
    };
    let low = all().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    (low, all().fold(0.0, f64::max))
}

/// One half: dots, whiskers and words.
fn half(
    scene: &mut Scene,
    x: &Scale,
    estimates: &[Option<Estimate>],
    color: RGBColor,
    (at, words): (f64, fn(f64) -> String),
) {
    for (i, estimate) in estimates.iter().enumerate() {
        let y = middle(TOP, i);
        let place = (at, y);
        let known = estimate.filter(|e| e.value.is_finite());
        let Some(of) = known else {
            scene.text(place, "none", (SOFT, SMALL), Hang::Start);
            continue;
        };
        if let Some(value) = x.at(of.value) {
            scene.dot((value, y), color, DOT);
        }
        whisker(scene, x, of, y, INK);
        scene.text(place, &words(of.value), (INK, SMALL), Hang::Start);
    }
}

/// Draws the chart.
pub(super) fn scene(result: &RunResult) -> Scene {
    let rows = result.designs.len();
    let height = TOP + rows.max(1) as f64 * ROW + BELOW;
    let mut scene = Scene::new(WIDTH, height, "Success rate and p95 latency by design");
    headline(&mut scene, "Success and latency", "dots with 95 % intervals over replications");
    let left = names(&mut scene, result, TOP);
    let wide = (WIDTH - MARGIN - left - BETWEEN) / 2.0;
    let first = (left + 8.0, left + wide - WORDS);
    let second = (left + wide + BETWEEN + 8.0, left + 2.0 * wide + BETWEEN - WORDS);
    let success: Vec<Option<Estimate>> =
        result.designs.iter().map(|d| Some(d.success_rate)).collect();
    let latency: Vec<Option<Estimate>> = result
        .designs
        .iter()
        .map(|d| Some(d.latency.p95).filter(|_| d.latency.count > 0))
        .collect();
    let (low, high) = ends(&latency);
    let scale =
        if high > low * LOG_FROM { Scale::log(low, high) } else { Scale::linear(0.0, high, 5) };
    let share = |v: f64| format!("{} %", figure(v * 100.0, 3));
    let lines = (TOP, rows);
    let rate = Scale::linear(0.0, 1.0, 5);
    let x = axis(&mut scene, &rate, first, lines, (&share, "success rate (of finished requests)"));
    half(&mut scene, &x, &success, SUCCESS, (first.1 + 12.0, percent));
    let x = axis(&mut scene, &scale, second, lines, (&seconds, "p95 latency of successes"));
    half(&mut scene, &x, &latency, LATENCY, (second.1 + 12.0, seconds));
    if rows == 0 {
        scene.text((MARGIN, middle(TOP, 0)), "no design", (SOFT, SMALL), Hang::Start);
    }
    scene
}
