//! The common furniture: headline, legend, panels with axes and grid.

use super::paint::{fit, width};
use super::scale::Scale;
use super::scene::{AXIS, GRID, Hang, INK, Point, SOFT, Scene};
use plotters::style::RGBColor;

/// Words for a figure on an axis.
pub(super) type Label = fn(f64) -> String;

/// Width of every chart, points.
pub(super) const WIDTH: f64 = 960.0;
/// Space around everything.
pub(super) const MARGIN: f64 = 16.0;
/// Size of a headline.
pub(super) const HEADLINE: f64 = 17.0;
/// Size of a panel's name.
pub(super) const NAME: f64 = 13.0;
/// Size of ticks, legends and remarks.
pub(super) const SMALL: f64 = 11.5;
/// Room left of a panel for its tick labels.
const LEFT: f64 = 54.0;
/// Room above a panel for its name.
const ABOVE: f64 = 34.0;
/// Room below a panel for its tick labels.
const BELOW: f64 = 30.0;
/// Room between panels.
const BETWEEN: f64 = 14.0;
/// Height of a legend line.
const ROW: f64 = 20.0;
/// Where the legend begins.
const LEGEND: f64 = 54.0;

/// Draws the headline and the line below it.
pub(super) fn headline(scene: &mut Scene, title: &str, remark: &str) {
    let room = scene.size.0 - 2.0 * MARGIN;
    scene.text((MARGIN, 22.0), &fit(title, HEADLINE, room), (INK, HEADLINE), Hang::Start);
    scene.text((MARGIN, 43.0), &fit(remark, SMALL, room), (SOFT, SMALL), Hang::Start);
}

/// Draws the legend, in as many rows as it needs; answers where it ends.
pub(super) fn legend(scene: &mut Scene, entries: &[(String, RGBColor)]) -> f64 {
    let (places, end) = legend_places(entries);
    for ((x, y), (words, color)) in places.into_iter().zip(entries) {
        scene.rect((x, y - 5.0), (x + 12.0, y + 5.0), *color);
        scene.text((x + 17.0, y), &fit(words, SMALL, 300.0), (INK, SMALL), Hang::Start);
    }
    end
}

fn legend_places(entries: &[(String, RGBColor)]) -> (Vec<Point>, f64) {
    let (mut x, mut y) = (MARGIN, LEGEND + ROW / 2.0);
    let mut places = Vec::new();
    for (words, _) in entries {
        let wide = 17.0 + width(words, SMALL).min(300.0) + 18.0;
        if x + wide > WIDTH && x > MARGIN {
            (x, y) = (MARGIN, y + ROW);
        }
        places.push((x, y));
        x += wide;
    }
    (places, if entries.is_empty() { LEGEND } else { y + ROW / 2.0 })
}

/// Where a legend ends, before anything is drawn.
pub(super) fn legend_end(entries: &[(String, RGBColor)]) -> f64 {
    legend_places(entries).1
}

/// Where panels go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    columns: usize,
    top: f64,
    tall: f64,
    count: usize,
}

/// A panel's plot area.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Panel {
    /// Left edge.
    pub(super) left: f64,
    /// Upper edge.
    pub(super) top: f64,
    /// Right edge.
    pub(super) right: f64,
    /// Lower edge.
    pub(super) bottom: f64,
}

impl Grid {
    /// A grid of `count` panels below `top`.
    pub(super) fn new(count: usize, top: f64) -> Self {
        let columns = match count {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        };
        let tall = if columns == 1 { 300.0 } else { 190.0 };
        Self { columns, top, tall, count }
    }

    /// Height of the whole chart.
    pub(super) fn height(&self) -> f64 {
        let rows = self.count.max(1).div_ceil(self.columns) as f64;
        self.top + rows * (ABOVE + self.tall + BELOW) + 18.0 + MARGIN
    }

    /// The plot area of a panel.
    pub(super) fn panel(&self, index: usize) -> Panel {
        let columns = self.columns as f64;
        let left_most = MARGIN + 16.0;
        let wide = (WIDTH - left_most - MARGIN - (columns - 1.0) * BETWEEN) / columns;
        let left = left_most + (index % self.columns) as f64 * (wide + BETWEEN);
        let row = (index / self.columns) as f64;
        let top = self.top + row * (ABOVE + self.tall + BELOW) + ABOVE;
        Panel { left: left + LEFT, top, right: left + wide, bottom: top + self.tall }
    }

    /// The units of both axes, once for all panels.
    pub(super) fn axis_names(&self, scene: &mut Scene, x: &str, y: &str) {
        let (w, h) = scene.size;
        let middle = f64::midpoint(self.top, h - MARGIN - 18.0);
        scene.text((w / 2.0, h - MARGIN - 4.0), x, (INK, SMALL), Hang::Middle);
        scene.text((MARGIN, middle), y, (INK, SMALL), Hang::Upwards);
    }
}

impl Panel {
    /// Draws name, grid, axes and tick labels; answers both axes laid on the panel.
    pub(super) fn furnish(
        &self,
        scene: &mut Scene,
        name: &str,
        axes: (&Scale, &Scale),
        labels: (Label, Label),
    ) -> (Scale, Scale) {
        let x = axes.0.between(self.left, self.right);
        let y = axes.1.between(self.bottom, self.top);
        let room = self.right - self.left + LEFT;
        let place = (self.left - LEFT + 6.0, self.top - 19.0);
        scene.text(place, &fit(name, NAME, room - 6.0), (INK, NAME), Hang::Start);
        for tick in y.ticks() {
            let Some(at) = y.at(*tick) else { continue };
            scene.line(vec![(self.left, at), (self.right, at)], GRID, 1.0);
            let place = (self.left - 6.0, at);
            scene.text(place, &(labels.1)(*tick), (SOFT, SMALL), Hang::End);
        }
        for tick in x.ticks() {
            let Some(at) = x.at(*tick) else { continue };
            scene.line(vec![(at, self.bottom), (at, self.bottom + 4.0)], AXIS, 1.0);
            let words = (labels.0)(*tick);
            let most = scene.size.0 - 4.0 - width(&words, SMALL) / 2.0;
            let place = (at.min(most), self.bottom + 13.0);
            scene.text(place, &words, (SOFT, SMALL), Hang::Middle);
        }
        (x, y)
    }

    /// Draws the base line, after the figures.
    pub(super) fn base(&self, scene: &mut Scene) {
        scene.line(vec![(self.left, self.bottom), (self.right, self.bottom)], AXIS, 1.0);
    }

    /// Says why a panel is empty.
    pub(super) fn remark(&self, scene: &mut Scene, words: &str) {
        let middle = (f64::midpoint(self.left, self.right), f64::midpoint(self.top, self.bottom));
        scene.text(middle, words, (SOFT, SMALL), Hang::Middle);
    }
}
