//! Charts of a sweep: figures along the first numeric axis, with bands, and how far each design holds.

use super::Chart;
use super::figure::{figure, seconds};
use super::frame::{Grid, Label, MARGIN, NAME, Panel, SMALL, WIDTH, headline, legend, legend_end};
use super::paint::{fit, png, svg, width};
use super::scale::Scale;
use super::scene::{
    BLUE, GREEN, GREY, Hang, INK, ORANGE, PURPLE, Point, SKY, SOFT, Scene, VERMILLION,
};
use crate::experiment::crossing::{Crossing, Line, interpolate, lines, measure};
use crate::experiment::result::{Estimate, PER_USER, PER_USER_MONTHLY, Verdict};
use crate::experiment::sweep::{PointDesign, SweepPoint, SweepResult};
use plotters::style::RGBColor;

/// Colours of designs, in their order, then again from the first.
const COLORS: [RGBColor; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK];
/// Opacity of a band.
const BAND: f64 = 0.18;
/// Width of a line.
const LINE: f64 = 2.0;
/// Radius of a dot at a point.
const DOT: f64 = 2.6;
/// Extra width for each line that is drawn over one.
const HALO: f64 = 2.2;
/// Relative difference up to which two figures look alike.
const ALIKE: f64 = 0.03;
/// Opacity of the interval of a crossing.
const CROSSING: f64 = 0.22;
/// Above this ratio of largest to smallest an axis is logarithmic.
const LOG_FROM: f64 = 50.0;
/// More panels than this are not drawn.
const PANELS: usize = 9;

/// A figure that is drawn.
struct Drawn {
    name: &'static str,
    metric: &'static str,
    title: &'static str,
    axis: &'static str,
    label: Label,
    share: bool,
}

const DRAWN: [Drawn; 4] = [
    Drawn {
        name: "sweep_cost_per_user",
        metric: PER_USER,
        title: "Cost per served user",
        axis: "cost per user with at least one success",
        label: tiny,
        share: false,
    },
    Drawn {
        name: "sweep_cost_per_user_monthly",
        metric: PER_USER_MONTHLY,
        title: "Cost per served user over a month",
        axis: "monthly cost / users served in a month",
        label: tiny,
        share: false,
    },
    Drawn {
        name: "sweep_success_rate",
        metric: "success_rate",
        title: "Success rate",
        axis: "success rate (of finished requests)",
        label: |v| format!("{} %", figure(v * 100.0, 3)),
        share: true,
    },
    Drawn {
        name: "sweep_latency_p95",
        metric: "latency_p95",
        title: "95th percentile of latency",
        axis: "p95 latency of successes",
        label: seconds,
        share: false,
    },
];

/// All charts of a sweep; none if no axis has numbers.
pub fn sweep_charts(result: &SweepResult) -> Vec<Chart> {
    let lines = lines(&result.head.axes, &result.points);
    let Some(first) = lines.first() else { return Vec::new() };
    let designs: Vec<String> = match first.points.first() {
        Some((_, point)) => point.designs.iter().map(|design| design.name.clone()).collect(),
        None => return Vec::new(),
    };
    let view = View { result, lines: &lines, designs: &designs };
    let mut scenes: Vec<(&'static str, Scene)> =
        DRAWN.iter().map(|drawn| (drawn.name, view.figure(drawn))).collect();
    if first.points.iter().any(|(_, point)| !point.thresholds.is_empty()) {
        scenes.push(("sweep_capacity", view.capacity()));
    }
    let chart =
        |(name, scene): (&'static str, Scene)| Chart { name, svg: svg(&scene), png: png(&scene) };
    scenes.into_iter().map(chart).collect()
}

fn is_cost(metric: &str) -> bool {
    [PER_USER, PER_USER_MONTHLY].contains(&metric)
}

struct View<'a> {
    result: &'a SweepResult,
    lines: &'a [Line<'a>],
    designs: &'a [String],
}

/// From the smallest to the largest figure above zero.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|v| v.is_finite() && *v > 0.0)
        .fold((f64::INFINITY, 0.0), |(low, high), v| (low.min(v), f64::max(high, v)))
}

fn color(design: usize) -> RGBColor {
    COLORS[design % COLORS.len()]
}

impl View<'_> {
    fn x_scale(&self) -> Scale {
        let places = || self.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
        let (low, high) = span(places());
        let least = places().fold(f64::INFINITY, f64::min);
        if least > 0.0 && high > low * LOG_FROM {
            Scale::log(low, high)
        } else {
            Scale::exact(0.0_f64.min(least), high, 8)
        }
    }

    fn x_name(&self) -> String {
        let axis = &self.result.head.axes[self.lines[0].axis];
        let unit = match axis.values.first().and_then(measure) {
            Some((_, unit)) if !unit.is_empty() => format!(", {unit}"),
            _ => String::new(),
        };
        fit(&format!("{}{unit}  ({})", axis.name.replace('_', " "), axis.path), SMALL, 700.0)
    }

    fn panel_name(&self, line: &Line) -> String {
        let axes = self.result.head.axes.iter().enumerate().filter(|(i, _)| *i != line.axis);
        let words = axes.zip(&line.others).map(|((_, axis), value)| {
            format!("{} = {}", axis.name, value.as_str().map_or(value.to_string(), str::to_owned))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn figure(&self, drawn: &Drawn) -> Scene {
        let names = self.designs.iter().enumerate().map(|(i, name)| (name.clone(), color(i)));
        let entries: Vec<(String, RGBColor)> = names.collect();
        let shown = &self.lines[..self.lines.len().min(PANELS)];
        let grid = Grid::new(shown.len(), legend_end(&entries));
        let x_name = self.x_name();
        let mut scene =
            Scene::new(WIDTH, grid.height(), &format!("{} along {x_name}", drawn.title));
        let left_out = self.lines.len() - shown.len();
        let mut remark =
            format!("bands: 95 % intervals over replications; {}", self.result.head.scenario.name);
        if is_cost(drawn.metric) {
            remark = format!("{remark}; grey: interval of a crossover of the cheapest design");
        }
        if left_out > 0 {
            remark = format!("{remark}; {left_out} more panels are in sweep.csv");
        }
        headline(&mut scene, drawn.title, &remark);
        legend(&mut scene, &entries);
        let currency = &self.result.head.prices.currency;
        let unit = if is_cost(drawn.metric) { format!(" ({currency})") } else { String::new() };
        grid.axis_names(&mut scene, &x_name, &format!("{}{unit}", drawn.axis));
        let (x, y) = (self.x_scale(), self.y_scale(drawn));
        for (i, line) in shown.iter().enumerate() {
            let panel = grid.panel(i);
            let labels: (Label, Label) = (|v| figure(v, 4), drawn.label);
            let name = self.panel_name(line);
            let (x, y) = panel.furnish(&mut scene, &name, (&x, &y), labels);
            if is_cost(drawn.metric) {
                self.crossings(&mut scene, &panel, line, (drawn.metric, &x, &y));
            }
            for (design, name) in self.designs.iter().enumerate() {
                let above = &self.designs[design + 1..];
                let same = |other: &&String| coincide(line, name, other, drawn.metric);
                let pen = Pen { color: color(design), above: above.iter().filter(same).count() };
                curve(&mut scene, line, name, drawn.metric, (&x, &y, &pen));
            }
            panel.base(&mut scene);
        }
        scene
    }

    fn y_scale(&self, drawn: &Drawn) -> Scale {
        if drawn.share {
            return Scale::linear(0.0, 1.0, 5);
        }
        let points = self.lines.iter().flat_map(|line| line.points.iter());
        let all: Vec<Estimate> = points
            .flat_map(|(_, point)| point.designs.iter().filter_map(|d| d.figure(drawn.metric)))
            .collect();
        let (low, high) = span(all.iter().map(|e| e.value));
        if high > low * LOG_FROM {
            return Scale::log(low, high);
        }
        // A band that is far wider than all figures would press them flat: it is cut at twice the largest.
        let top = all.iter().map(|e| e.high).fold(high, f64::max).min(2.0 * high);
        Scale::linear(0.0, top, 5)
    }

    /// Crossovers of the cheapest design along a line.
    fn crossings(
        &self,
        scene: &mut Scene,
        panel: &Panel,
        line: &Line,
        (metric, x, y): (&str, &Scale, &Scale),
    ) {
        let own = self.result.crossings.iter();
        let own = own.filter(|c| c.metric == metric && c.others == line.others);
        let own: Vec<&Crossing> = own.filter(|c| is_cheapest(c, line)).collect();
        for (row, group) in together(&own).iter().enumerate() {
            let crossing = group[0];
            let last = line.points.last().map_or(0.0, |(x, _)| *x);
            let first = line.points.first().map_or(0.0, |(x, _)| *x);
            let ends = (crossing.low.unwrap_or(first), crossing.high.unwrap_or(last));
            let (Some(at), Some(low), Some(high)) = (x.at(crossing.at), x.at(ends.0), x.at(ends.1))
            else {
                continue;
            };
            let corners = vec![
                (low, panel.top),
                (high.max(low + 0.5), panel.top),
                (high.max(low + 0.5), panel.bottom),
                (low, panel.bottom),
            ];
            scene.area(corners, GREY, CROSSING);
            scene.dashes((at, panel.bottom), (at, panel.top), INK, 1.25);
            let cost = cost_at(line, metric, &crossing.after, crossing.at);
            if let Some(height) = cost.and_then(|c| y.at(c)) {
                scene.dot((at, height), INK, 4.0);
            }
            let words = words(group);
            let room = panel.right - panel.left;
            let half = width(&words, SMALL) / 2.0;
            let middle =
                at.clamp(panel.left + half.min(room / 2.0), panel.right - half.min(room / 2.0));
            let height = panel.top - 19.0 + 14.0 * (row % 2) as f64;
            scene.text((middle, height), &fit(&words, SMALL, room), (INK, SMALL), Hang::Middle);
        }
    }

    /// Chart `sweep_capacity`: where the thresholds are met.
    fn capacity(&self) -> Scene {
        const ROW: f64 = 30.0;
        let entries = [
            ("all thresholds met".to_owned(), GREEN),
            ("undecided".to_owned(), GREY),
            ("a threshold missed".to_owned(), VERMILLION),
        ];
        let top = legend_end(&entries) + 10.0;
        let row_name = |line: &Line, design: &str| match self.panel_name(line).as_str() {
            "" => design.to_owned(),
            others => format!("{design}, {others}"),
        };
        let mut rows: Vec<(String, Vec<(f64, Verdict)>)> = Vec::new();
        for line in self.lines {
            for design in self.designs {
                let verdicts = line.points.iter().map(|(x, point)| (*x, verdict(point, design)));
                rows.push((row_name(line, design), verdicts.collect()));
            }
        }
        rows.truncate(40);
        let bottom = top + rows.len() as f64 * ROW;
        let mut scene = Scene::new(WIDTH, bottom + 60.0, "Where each design meets the thresholds");
        let demanded: Vec<String> = self.demanded();
        headline(&mut scene, "Capacity: where the thresholds are met", &demanded.join(", "));
        legend(&mut scene, &entries);
        let names = rows.iter().map(|(name, _)| fit(name, NAME, 260.0)).collect::<Vec<_>>();
        let wide = names.iter().map(|name| width(name, NAME)).fold(40.0, f64::max);
        let left = MARGIN + wide + 14.0;
        let x = self.x_scale().between(left, WIDTH - MARGIN - 130.0);
        for tick in x.ticks() {
            let Some(at) = x.at(*tick) else { continue };
            scene.line(vec![(at, bottom), (at, bottom + 4.0)], SOFT, 1.0);
            scene.text((at, bottom + 14.0), &figure(*tick, 4), (SOFT, SMALL), Hang::Middle);
        }
        let centre = f64::midpoint(left, WIDTH - MARGIN - 130.0);
        scene.text((centre, bottom + 38.0), &self.x_name(), (INK, SMALL), Hang::Middle);
        for (i, ((_, verdicts), name)) in rows.iter().zip(&names).enumerate() {
            let y = top + (i as f64 + 0.5) * ROW;
            scene.text((left - 12.0, y), name, (INK, NAME), Hang::End);
            cells(&mut scene, &x, verdicts, y);
        }
        scene
    }

    fn demanded(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let points = self.lines.iter().filter_map(|line| line.points.first());
        for row in points.flat_map(|(_, point)| &point.thresholds) {
            let text = format!("{}: {}", row.subject(), row.expression);
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all
    }
}

/// One row of verdicts: a cell around each point, and how far all are met.
fn cells(scene: &mut Scene, x: &Scale, verdicts: &[(f64, Verdict)], y: f64) {
    const BAR: f64 = 16.0;
    for (j, (at, verdict)) in verdicts.iter().enumerate() {
        let before = j.checked_sub(1).map_or(*at, |k| f64::midpoint(verdicts[k].0, *at));
        let after = verdicts.get(j + 1).map_or(*at, |(next, _)| f64::midpoint(*next, *at));
        let (Some(from), Some(to)) = (x.at(before), x.at(after)) else { continue };
        let color = match verdict {
            Verdict::Pass => GREEN,
            Verdict::Undecided => GREY,
            Verdict::Fail => VERMILLION,
        };
        let gap = if to - from > 4.0 { 0.75 } else { 0.0 };
        scene.rect((from + gap, y - BAR / 2.0), (to - gap, y + BAR / 2.0), color);
    }
    let holds = verdicts.iter().take_while(|(_, verdict)| *verdict == Verdict::Pass).last();
    let words = match holds {
        Some((at, _)) if Some(*at) == verdicts.last().map(|(x, _)| *x) => {
            "holds throughout".to_owned()
        }
        Some((at, _)) => format!("holds to {}", figure(*at, 4)),
        None => "never holds".to_owned(),
    };
    scene.text((WIDTH - MARGIN - 120.0, y), &words, (INK, SMALL), Hang::Start);
}

/// All thresholds of a design at a point, the worst verdict.
fn verdict(point: &SweepPoint, design: &str) -> Verdict {
    let own = || point.thresholds.iter().filter(|row| row.design == design).map(|row| row.verdict);
    if own().any(|verdict| verdict == Verdict::Fail) {
        Verdict::Fail
    } else if own().any(|verdict| verdict == Verdict::Undecided) {
        Verdict::Undecided
    } else {
        Verdict::Pass
    }
}

fn design<'a>(point: &'a SweepPoint, name: &str) -> Option<&'a PointDesign> {
    point.designs.iter().find(|design| design.name == name)
}

/// Cost per user of a design between two points.
fn cost_at(line: &Line, metric: &str, name: &str, at: f64) -> Option<f64> {
    let cost = |point: &SweepPoint| Some(design(point, name)?.figure(metric)?.value);
    let right = line.points.iter().position(|(x, _)| *x >= at)?.max(1);
    let ((x0, left), (x1, right)) = (line.points[right - 1], *line.points.get(right)?);
    let (left, right) = (cost(left)?, cost(right)?);
    Some(interpolate((x0, left), (x1, right), at))
}

/// Whether the designs that cross are the cheapest of all there. Means of powers are not quite powers of means, so both
/// are told from the others by the lower.
fn is_cheapest(crossing: &Crossing, line: &Line) -> bool {
    let Some((_, first)) = line.points.first() else { return false };
    let pair = [&crossing.before, &crossing.after];
    let own = pair.iter().filter_map(|name| cost_at(line, &crossing.metric, name, crossing.at));
    let own = own.fold(f64::INFINITY, f64::min);
    let others = first.designs.iter().filter(|design| !pair.contains(&&design.name));
    let mut costs =
        others.filter_map(|design| cost_at(line, &crossing.metric, &design.name, crossing.at));
    // Designs that cost the same cross at the same place, but for the last digits.
    costs.all(|cost| cost >= own * (1.0 - 1e-3))
}

/// Crossings at one place, such as those of designs that cost the same, are told together.
fn together<'a>(crossings: &[&'a Crossing]) -> Vec<Vec<&'a Crossing>> {
    let mut groups: Vec<Vec<&Crossing>> = Vec::new();
    for crossing in crossings {
        match groups.iter_mut().find(|group| place(group[0]) == place(crossing)) {
            Some(group) => group.push(crossing),
            None => groups.push(vec![crossing]),
        }
    }
    groups
}

/// Where designs cross, with the interval.
fn place(crossing: &Crossing) -> String {
    let show = |v: f64| figure(v, 4);
    let interval = match (crossing.low, crossing.high) {
        (Some(low), Some(high)) => format!("{} to {}", show(low), show(high)),
        (Some(low), None) => format!("{} or more, undecided", show(low)),
        (None, Some(high)) => format!("{} or less, undecided", show(high)),
        (None, None) => "undecided".to_owned(),
    };
    format!("from {} on ({interval})", show(crossing.at))
}

fn words(group: &[&Crossing]) -> String {
    let names = |of: fn(&Crossing) -> &String| {
        let mut all: Vec<&str> = group.iter().map(|crossing| of(crossing).as_str()).collect();
        all.sort_unstable();
        all.dedup();
        (all.join(", "), all.len())
    };
    let ((after, many), (before, _)) = (names(|c| &c.after), names(|c| &c.before));
    let are = if many > 1 { "are" } else { "is" };
    format!("{after} {are} cheaper than {before} {}", place(group[0]))
}

/// An amount of money on an axis; a power of ten where the zeros would not fit.
fn tiny(value: f64) -> String {
    if value <= 0.0 || value >= 9.5e-6 {
        return figure(value, 3);
    }
    let power = libm::floor(libm::log10(value) + 1e-9);
    format!("{}e{power}", figure(value / libm::pow(10.0, power), 3))
}

/// What a line is drawn with.
struct Pen {
    color: RGBColor,
    /// Lines that will be drawn over this one: it is made so much wider that it still shows.
    above: usize,
}

/// Whether two lines look like one.
fn coincide(line: &Line, a: &str, b: &str, metric: &str) -> bool {
    let value = |point: &SweepPoint, name: &str| Some(design(point, name)?.figure(metric)?.value);
    line.points.iter().all(|(_, point)| match (value(point, a), value(point, b)) {
        (Some(a), Some(b)) => (a - b).abs() <= ALIKE * a.abs().max(b.abs()),
        (a, b) => a == b,
    })
}

/// One design's line, band and dots; gaps where the figure does not exist.
fn curve(
    scene: &mut Scene,
    line: &Line,
    name: &str,
    metric: &str,
    (x, y, pen): (&Scale, &Scale, &Pen),
) {
    let (color, wider) = (pen.color, HALO * pen.above as f64);
    let row = |(at, point): &(f64, &SweepPoint)| -> Option<(f64, Estimate)> {
        Some((*at, design(point, name)?.figure(metric)?))
    };
    let rows: Vec<Option<(f64, Estimate)>> = line.points.iter().map(row).collect();
    for stretch in rows.split(Option::is_none) {
        let known: Vec<&(f64, Estimate)> = stretch.iter().flatten().collect();
        let places = |of: fn(&Estimate) -> f64| -> Vec<Point> {
            let rows: Vec<(f64, f64)> = known.iter().map(|(at, e)| (*at, of(e))).collect();
            let all = if is_cost(metric) { smooth(&rows) } else { rows };
            all.into_iter().filter_map(|(at, v)| Some((x.at(at)?, y.at(v)?))).collect()
        };
        let mut band = places(|e| e.high);
        band.extend(places(|e| e.low).into_iter().rev());
        scene.area(band, color, BAND);
        for (at, e) in &known {
            let Some(place) = x.at(*at).zip(y.at(e.value)) else { continue };
            scene.dot(place, color, DOT + wider / 2.0);
        }
        scene.line(places(|e| e.value), color, LINE + wider);
    }
}

/// A line through costs that bends between them as the search for crossovers takes it.
fn smooth(rows: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const PIECES: u32 = 12;
    let Some(last) = rows.last() else { return Vec::new() };
    let between = |pair: &[(f64, f64)]| {
        let (left, right) = (pair[0], pair[1]);
        let place = move |i| left.0 + (right.0 - left.0) * f64::from(i) / f64::from(PIECES);
        (0..PIECES).map(move |i| (place(i), interpolate(left, right, place(i)))).collect::<Vec<_>>()
    };
    rows.windows(2).flat_map(between).chain([*last]).collect()
}
