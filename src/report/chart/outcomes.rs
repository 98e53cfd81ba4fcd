//! Chart `outcomes`: successes and failures by cause, requests per second, stacked over time.

use super::figure::{figure, seconds, words};
use super::frame::{Grid, Label, WIDTH, headline, legend, legend_end};
use super::latency::last_time;
use super::scale::Scale;
use super::scene::{BLUE, GREEN, GREY, ORANGE, PURPLE, Point, SKY, Scene, VERMILLION, YELLOW};
use crate::experiment::result::{FailedBy, RunResult, Series};
use plotters::style::RGBColor;
use std::collections::BTreeMap;

/// Colour of successes.
const OK: RGBColor = GREEN;
/// Colours of causes, most frequent first.
const CAUSES: [RGBColor; 6] = [VERMILLION, ORANGE, PURPLE, BLUE, SKY, YELLOW];
/// Colour of all further causes.
const OTHER: RGBColor = GREY;
/// At most about so many steps along the time axis.
const STEPS: f64 = 80.0;
/// Panels keep one scale while the tallest peak is at most this many times the lowest.
const SHARED_UP_TO: f64 = 6.0;

/// Causes of all designs, most frequent first, ties by name.
fn causes(result: &RunResult) -> Vec<String> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for by in result.designs.iter().flat_map(|d| &d.series.failed_by) {
        let sum: f64 = by.count.iter().filter(|c| c.is_finite()).sum();
        *sums.entry(&by.cause).or_default() += sum;
    }
    let mut all: Vec<(&str, f64)> = sums.into_iter().filter(|(_, sum)| *sum > 0.0).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.into_iter().map(|(cause, _)| cause.to_owned()).collect()
}

/// The same counts in steps wide enough to see: neighbouring buckets are added up.
fn widened(series: &Series, end: f64) -> Series {
    let buckets = end / STEPS / series.bucket;
    let mut many = 1;
    while f64::from(many) < buckets && many < 1 << 20 {
        many += 1;
    }
    let many = usize::try_from(many).unwrap_or(1);
    let sums = |counts: &[f64]| counts.chunks(many).map(|c| c.iter().sum()).collect();
    let by = |of: &FailedBy| FailedBy { count: sums(&of.count), ..of.clone() };
    Series {
        bucket: series.bucket * many as f64,
        t: series.t.iter().step_by(many).copied().collect(),
        ok: sums(&series.ok),
        failed_by: series.failed_by.iter().map(by).collect(),
        ..Series::default()
    }
}

/// Layers of one design from the bottom: ok, each coloured cause, all other causes; a second's count.
fn layers(series: &Series, causes: &[String]) -> Vec<Vec<f64>> {
    let mut out = vec![vec![0.0; series.t.len()]; CAUSES.len() + 2];
    let mut add = |layer: usize, counts: &[f64]| {
        for (sum, count) in out[layer].iter_mut().zip(counts) {
            let rate = count / series.bucket;
            *sum += if rate.is_finite() { rate.max(0.0) } else { 0.0 };
        }
    };
    add(0, &series.ok);
    for by in &series.failed_by {
        let Some(rank) = causes.iter().position(|c| *c == by.cause) else { continue };
        add(1 + rank.min(CAUSES.len()), &by.count);
    }
    out
}

fn peak(layers: &[Vec<f64>]) -> f64 {
    let buckets = layers.first().map_or(0, Vec::len);
    (0..buckets).map(|i| layers.iter().map(|l| l[i]).sum::<f64>()).fold(0.0, f64::max)
}

fn color(layer: usize) -> RGBColor {
    if layer == 0 { OK } else { CAUSES.get(layer - 1).copied().unwrap_or(OTHER) }
}

/// The upper edge of a layer, as steps of a bucket's width.
fn steps(series: &Series, heights: &[f64], x: &Scale, y: &Scale) -> Vec<Point> {
    let mut edge = Vec::new();
    for (t, height) in series.t.iter().zip(heights) {
        let ends = (x.at(*t), x.at(t + series.bucket), y.at(*height));
        if let (Some(from), Some(to), Some(up)) = ends {
            edge.extend([(from, up), (to, up)]);
        }
    }
    edge
}

fn stack(scene: &mut Scene, series: &Series, layers: &[Vec<f64>], axes: (&Scale, &Scale)) {
    let mut floor = vec![0.0; series.t.len()];
    for (i, layer) in layers.iter().enumerate() {
        let top: Vec<f64> = floor.iter().zip(layer).map(|(a, b)| a + b).collect();
        if layer.iter().any(|v| *v > 0.0) {
            let mut area = steps(series, &top, axes.0, axes.1);
            area.extend(steps(series, &floor, axes.0, axes.1).into_iter().rev());
            scene.area(area, color(i), 1.0);
        }
        floor = top;
    }
}

fn entries(causes: &[String]) -> Vec<(String, RGBColor)> {
    let mut out = vec![("ok".to_owned(), OK)];
    out.extend(causes.iter().zip(CAUSES).map(|(cause, color)| (words(cause), color)));
    if causes.len() > CAUSES.len() {
        out.push(("other causes".to_owned(), OTHER));
    }
    out
}

/// Draws the chart.
pub(super) fn scene(result: &RunResult) -> Scene {
    let causes = causes(result);
    let entries = entries(&causes);
    let end = last_time(result);
    let wide: Vec<Series> = result.designs.iter().map(|d| widened(&d.series, end)).collect();
    let all: Vec<Vec<Vec<f64>>> = wide.iter().map(|s| layers(s, &causes)).collect();
    let peaks: Vec<f64> = all.iter().map(|l| peak(l)).collect();
    let highest = peaks.iter().copied().fold(0.0, f64::max);
    let lowest = peaks.iter().copied().filter(|p| *p > 0.0).fold(f64::INFINITY, f64::min);
    let shared = highest <= lowest * SHARED_UP_TO;
    let grid = Grid::new(result.designs.len(), legend_end(&entries));
    let mut scene = Scene::new(WIDTH, grid.height(), "Requests per second by outcome and design");
    let remark = if shared { "same scale in every panel" } else { "each panel has its own scale" };
    let step = wide.iter().map(|s| s.bucket).filter(|b| b.is_finite()).fold(0.0, f64::max);
    let step = seconds(step);
    let remark = format!("by the time of the answer, stacked, means over at most {step}; {remark}");
    headline(&mut scene, "How requests ended over time", &remark);
    legend(&mut scene, &entries);
    grid.axis_names(&mut scene, "time since the start (s)", "requests per second");
    let time = Scale::exact(0.0, end, 7);
    for (i, design) in result.designs.iter().enumerate() {
        let panel = grid.panel(i);
        let rate = Scale::linear(0.0, if shared { highest } else { peaks[i] }, 4);
        let labels: (Label, Label) = (|v| figure(v, 4), |v| figure(v, 4));
        let (x, y) = panel.furnish(&mut scene, &design.name, (&time, &rate), labels);
        stack(&mut scene, &wide[i], &all[i], (&x, &y));
        if peaks[i] <= 0.0 {
            panel.remark(&mut scene, "no request ended");
        }
        panel.base(&mut scene);
    }
    scene
}
