//! Chart `latency`: median and 95th percentile over time, one panel a design, one scale for all.

use super::figure::{figure, seconds};
use super::frame::{Grid, Label, WIDTH, headline, legend, legend_end};
use super::scale::Scale;
use super::scene::{BLUE, Point, SKY, Scene};
use crate::experiment::result::{RunResult, Series};
use plotters::style::RGBColor;

/// Colour of the median.
const P50: RGBColor = BLUE;
/// Colour of the 95th percentile.
const P95: RGBColor = SKY;
/// Line width of the median.
const P50_WIDTH: f64 = 2.0;
/// Line width of the 95th percentile.
const P95_WIDTH: f64 = 1.75;
/// Opacity of the band between them.
const BAND: f64 = 0.18;
/// Above this ratio of largest to smallest the axis is logarithmic: two decades.
const LOG_FROM: f64 = 100.0;

/// Where all panels' time axes end.
pub(super) fn last_time(result: &RunResult) -> f64 {
    let ends = result.designs.iter().filter_map(|d| Some(d.series.t.last()? + d.series.bucket));
    ends.filter(|t| t.is_finite()).fold(0.0, f64::max)
}

fn values(series: &Series) -> impl Iterator<Item = f64> {
    let all = series.latency_p50.iter().chain(&series.latency_p95);
    all.copied().flatten().filter(|v| v.is_finite() && *v >= 0.0)
}

fn y_scale(result: &RunResult) -> Scale {
    let all = || result.designs.iter().flat_map(|d| values(&d.series));
    let high = all().fold(0.0, f64::max);
    let low = all().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    if high > low * LOG_FROM { Scale::log(low, high) } else { Scale::linear(0.0, high, 5) }
}

/// Stretches without a gap, as (time, value).
fn stretches(series: &Series, values: &[Option<f64>]) -> Vec<Vec<Point>> {
    let mut out = vec![Vec::new()];
    for (t, value) in series.t.iter().zip(values) {
        match value {
            Some(v) if v.is_finite() => {
                if let Some(last) = out.last_mut() {
                    last.push((t + series.bucket / 2.0, *v));
                }
            }
            _ => out.push(Vec::new()),
        }
    }
    out.retain(|stretch| !stretch.is_empty());
    out
}

fn place(points: &[Point], x: &Scale, y: &Scale) -> Vec<Point> {
    points.iter().filter_map(|(t, v)| Some((x.at(*t)?, y.at(*v)?))).collect()
}

/// Draws the chart.
pub(super) fn scene(result: &RunResult) -> Scene {
    let entries = [("p50 (median)".to_owned(), P50), ("p95".to_owned(), P95)];
    let grid = Grid::new(result.designs.len(), legend_end(&entries));
    let mut scene = Scene::new(WIDTH, grid.height(), "Latency over time by design");
    headline(
        &mut scene,
        "Latency of successful requests over time",
        "by the time of the answer; gaps where nothing succeeded; same scale in every panel",
    );
    legend(&mut scene, &entries);
    grid.axis_names(&mut scene, "time since the start (s)", "latency");
    let (time, latency) = (Scale::exact(0.0, last_time(result), 7), y_scale(result));
    for (i, design) in result.designs.iter().enumerate() {
        let panel = grid.panel(i);
        let labels: (Label, Label) = (|v| figure(v, 4), seconds);
        let (x, y) = panel.furnish(&mut scene, &design.name, (&time, &latency), labels);
        let series = &design.series;
        let upper = stretches(series, &series.latency_p95);
        let lower = stretches(series, &series.latency_p50);
        for (over, under) in upper.iter().zip(&lower).filter(|(a, b)| a.len() == b.len()) {
            let mut band = place(over, &x, &y);
            band.extend(place(under, &x, &y).into_iter().rev());
            scene.area(band, P95, BAND);
        }
        for stretch in &upper {
            scene.line(place(stretch, &x, &y), P95, P95_WIDTH);
        }
        for stretch in &lower {
            scene.line(place(stretch, &x, &y), P50, P50_WIDTH);
        }
        if lower.is_empty() && upper.is_empty() {
            panel.remark(&mut scene, "no successful request");
        }
        panel.base(&mut scene);
    }
    scene
}
