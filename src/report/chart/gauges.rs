//! Chart `concurrency`: the gauges that came closest to their limits.

use super::figure::{figure, words};
use super::frame::{Grid, Label, WIDTH, headline, legend, legend_end};
use super::latency::last_time;
use super::scale::Scale;
use super::scene::{BLUE, SKY, Scene, VERMILLION};
use crate::experiment::result::{GaugeSeries, RunResult, Series};
use plotters::style::RGBColor;

/// How many gauges are shown.
const MOST: usize = 6;
/// Colour of the largest value.
const MAX: RGBColor = BLUE;
/// Colour of the mean.
const MEAN: RGBColor = SKY;
/// Colour of the limit.
const LIMIT: RGBColor = VERMILLION;
/// Line width of the largest value.
const MAX_WIDTH: f64 = 2.0;
/// Line width of the mean.
const MEAN_WIDTH: f64 = 1.5;
/// Line width of the limit.
const LIMIT_WIDTH: f64 = 1.5;

/// A gauge that has a limit.
struct Chosen<'a> {
    design: &'a str,
    series: &'a Series,
    gauge: &'a GaugeSeries,
    limit: f64,
    peak: f64,
}

fn peak(values: &[f64]) -> f64 {
    values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max)
}

/// The gauges closest to their limits; among equals every design's first before any one's second.
fn chosen(result: &RunResult) -> Vec<Chosen<'_>> {
    let mut all = Vec::new();
    for design in &result.designs {
        let mut own = Vec::new();
        for gauge in &design.series.gauges {
            let Some(limit) = gauge.limit.filter(|l| l.is_finite() && *l > 0.0) else { continue };
            let (peak, series) = (peak(&gauge.max), &design.series);
            own.push(Chosen { design: &design.name, series, gauge, limit, peak });
        }
        own.sort_by(|a, b| (b.peak / b.limit).total_cmp(&(a.peak / a.limit)));
        all.extend(own.into_iter().enumerate());
    }
    let percent = |one: &Chosen| libm::round(one.peak / one.limit * 100.0);
    all.sort_by(|a, b| percent(&b.1).total_cmp(&percent(&a.1)).then(a.0.cmp(&b.0)));
    all.into_iter().map(|(_, one)| one).take(MOST).collect()
}

fn curve(series: &Series, values: &[f64], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let middle = |t: &f64| t + series.bucket / 2.0;
    let pairs = series.t.iter().zip(values);
    pairs.filter_map(|(t, v)| Some((x.at(middle(t))?, y.at(*v)?))).collect()
}

/// Draws the chart.
pub(super) fn scene(result: &RunResult) -> Scene {
    let chosen = chosen(result);
    let entries = [
        ("largest in any replication".to_owned(), MAX),
        ("mean".to_owned(), MEAN),
        ("limit (dashed)".to_owned(), LIMIT),
    ];
    let grid = Grid::new(chosen.len(), legend_end(&entries));
    let mut scene = Scene::new(WIDTH, grid.height(), "Gauges closest to their limits over time");
    let remark = format!(
        "at most {MOST} gauges, highest share of its limit first; each panel has its own scale"
    );
    headline(&mut scene, "What ran closest to its limit", &remark);
    legend(&mut scene, &entries);
    grid.axis_names(&mut scene, "time since the start (s)", "in use (count)");
    let time = Scale::exact(0.0, last_time(result), 7);
    for (i, one) in chosen.iter().enumerate() {
        let panel = grid.panel(i);
        let count = Scale::linear(0.0, one.peak.max(one.limit), 4);
        let labels: (Label, Label) = (|v| figure(v, 4), |v| figure(v, 4));
        let name = format!("{} {} · {}", one.gauge.node, words(&one.gauge.gauge), one.design);
        let (x, y) = panel.furnish(&mut scene, &name, (&time, &count), labels);
        scene.line(curve(one.series, &one.gauge.mean, &x, &y), MEAN, MEAN_WIDTH);
        scene.line(curve(one.series, &one.gauge.max, &x, &y), MAX, MAX_WIDTH);
        if let Some(at) = y.at(one.limit) {
            scene.dashes((panel.left, at), (panel.right, at), LIMIT, LIMIT_WIDTH);
        }
        panel.base(&mut scene);
    }
    if chosen.is_empty() {
        grid.panel(0).remark(&mut scene, "no gauge has a limit");
    }
    scene
}
