//! Charts of a result, each as SVG and as PNG: data in, bytes out.
//!
//! A chart is first a scene (shapes in points), then painted by one drawing function on either backend.
//! The font is embedded, so the same result gives the same bytes on every machine.

mod cost;
mod figure;
mod frame;
mod gauges;
mod latency;
mod outcomes;
mod overview;
mod paint;
mod rows;
mod scale;
mod scene;
mod sweep;

pub use sweep::sweep_charts;

use crate::experiment::result::RunResult;

/// One chart in both formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Name, fit for a file name without its ending.
    pub name: &'static str,
    /// SVG text.
    pub svg: String,
    /// PNG bytes, two pixels a point.
    pub png: Vec<u8>,
}

/// Draws one chart.
type Draw = fn(&RunResult) -> scene::Scene;

/// Every chart by name, in the order of a report.
const CHARTS: [(&str, Draw); 5] = [
    ("success_and_latency", overview::scene),
    ("latency", latency::scene),
    ("outcomes", outcomes::scene),
    ("concurrency", gauges::scene),
    ("cost_per_user", cost::scene),
];

/// Names of all charts.
pub fn chart_names() -> impl Iterator<Item = &'static str> {
    CHARTS.iter().map(|(name, _)| *name)
}

/// All charts of a result.
pub fn charts(result: &RunResult) -> Vec<Chart> {
    let drawn = CHARTS.iter().map(|(name, draw)| {
        let mut scene = draw(result);
        if let Some(own) = &result.interrupted {
            let words = format!("interrupted: {} of {} replications", own.done, own.planned);
            scene.text(
                (scene.size.0 - frame::MARGIN, 22.0),
                &words,
                (scene::VERMILLION, frame::SMALL),
                scene::Hang::End,
            );
        }
        (*name, scene)
    });
    drawn
        .map(|(name, scene)| Chart { name, svg: paint::svg(&scene), png: paint::png(&scene) })
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
