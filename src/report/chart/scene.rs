//! A drawing as data: lines, areas, dots and words in points, before any backend sees it.

use plotters::style::RGBColor;

/// Text colour.
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
/// Colour of tick labels and remarks.
pub(super) const SOFT: RGBColor = RGBColor(96, 96, 96);
/// Colour of axes.
pub(super) const AXIS: RGBColor = RGBColor(140, 140, 140);
/// Colour of grid lines.
pub(super) const GRID: RGBColor = RGBColor(230, 230, 230);

/// Okabe–Ito bluish green.
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
/// Okabe–Ito blue.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
/// Okabe–Ito sky blue.
pub(super) const SKY: RGBColor = RGBColor(86, 180, 233);
/// Okabe–Ito vermillion.
pub(super) const VERMILLION: RGBColor = RGBColor(213, 94, 0);
/// Okabe–Ito orange.
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
/// Okabe–Ito reddish purple.
pub(super) const PURPLE: RGBColor = RGBColor(204, 121, 167);
/// Okabe–Ito yellow.
pub(super) const YELLOW: RGBColor = RGBColor(240, 228, 66);
/// What is left over.
pub(super) const GREY: RGBColor = RGBColor(153, 153, 153);

/// A place, in points from the upper left corner.
pub(super) type Point = (f64, f64);

/// Where a text hangs on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hang {
    /// The text starts at the point.
    Start,
    /// The text is centred on the point.
    Middle,
    /// The text ends at the point.
    End,
    /// Centred, reading upwards.
    Upwards,
}

/// One thing to draw.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// An open line of some width.
    Line(Vec<Point>, RGBColor, f64),
    /// A filled polygon with an opacity.
    Area(Vec<Point>, RGBColor, f64),
    /// A filled dot of some radius.
    Dot(Point, RGBColor, f64),
    /// Words of some size, vertically centred on the point.
    Text(Point, String, RGBColor, f64, Hang),
}

/// All of a drawing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    /// Size in points.
    pub(super) size: (f64, f64),
    /// What it shows, for readers that cannot see it.
    pub(super) about: String,
    /// Drawn in this order.
    pub(super) shapes: Vec<Shape>,
}

fn finite(p: &Point) -> bool {
    p.0.is_finite() && p.1.is_finite()
}

impl Scene {
    /// An empty drawing.
    pub(super) fn new(width: f64, height: f64, about: &str) -> Self {
        Self { size: (width, height), about: about.to_owned(), shapes: Vec::new() }
    }

    /// A line through the finite points; a single point becomes a dot.
    pub(super) fn line(&mut self, points: Vec<Point>, color: RGBColor, width: f64) {
        let points: Vec<Point> = points.into_iter().filter(finite).collect();
        match points.as_slice() {
            [] => {}
            [only] => self.dot(*only, color, width.max(1.0) * 0.75),
            _ => self.shapes.push(Shape::Line(points, color, width)),
        }
    }

    /// A straight line of dashes.
    pub(super) fn dashes(&mut self, from: Point, to: Point, color: RGBColor, width: f64) {
        const DASH: f64 = 5.0;
        const GAP: f64 = 3.5;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        if !length.is_finite() || length <= 0.0 {
            return;
        }
        let mut at = 0.0;
        while at < length {
            let end = (at + DASH).min(length);
            let put = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
            self.line(vec![put(at), put(end)], color, width);
            at += DASH + GAP;
        }
    }

    /// A filled polygon through the finite points.
    pub(super) fn area(&mut self, points: Vec<Point>, color: RGBColor, opacity: f64) {
        let points: Vec<Point> = points.into_iter().filter(finite).collect();
        if points.len() > 2 {
            self.shapes.push(Shape::Area(points, color, opacity));
        }
    }

    /// A filled rectangle between two corners; nothing if it has no extent.
    pub(super) fn rect(&mut self, a: Point, b: Point, color: RGBColor) {
        if (a.0 - b.0).abs() > 1e-6 && (a.1 - b.1).abs() > 1e-6 {
            self.area(vec![a, (b.0, a.1), b, (a.0, b.1)], color, 1.0);
        }
    }

    /// A filled dot.
    pub(super) fn dot(&mut self, at: Point, color: RGBColor, radius: f64) {
        if finite(&at) {
            self.shapes.push(Shape::Dot(at, color, radius));
        }
    }

    /// Words.
    pub(super) fn text(&mut self, at: Point, words: &str, style: (RGBColor, f64), hang: Hang) {
        if finite(&at) && !words.is_empty() {
            self.shapes.push(Shape::Text(at, words.to_owned(), style.0, style.1, hang));
        }
    }
}
