//! Chart `cost_per_user`: what one served user costs by design, split by how it is paid.

use super::figure::{figure, money};
use super::frame::{MARGIN, SMALL, WIDTH, headline, legend, legend_end};
use super::paint::width;
use super::rows::{BELOW, ROW, axis, middle, names, whisker};
use super::scale::Scale;
use super::scene::{BLUE, GREY, Hang, INK, ORANGE, SOFT, Scene};
use crate::experiment::result::{Cost, DesignResult, RunResult};
use plotters::style::RGBColor;

/// Colour of what is paid by use.
const VARIABLE: RGBColor = BLUE;
/// Colour of reserved capacity in use.
const RESERVED: RGBColor = ORANGE;
/// Colour of reserved capacity that stood idle.
const IDLE: RGBColor = GREY;
/// Height of a bar.
const BAR: f64 = 18.0;
/// Above this ratio of dearest to cheapest the axis is logarithmic.
const LOG_FROM: f64 = 50.0;

/// Shares of the bill: variable, reserved in use, reserved idle; zero where there is no bill.
fn shares(cost: &Cost) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for line in cost.lines.iter().filter(|l| l.amount.is_finite() && l.amount > 0.0) {
        if line.reserved {
            let idle = if line.idle.is_finite() { line.idle.clamp(0.0, line.amount) } else { 0.0 };
            sums[1] += line.amount - idle;
            sums[2] += idle;
        } else {
            sums[0] += line.amount;
        }
    }
    let total: f64 = sums.iter().sum();
    if total > 0.0 { sums.map(|s| s / total) } else { [1.0, 0.0, 0.0] }
}

/// So many users are priced together that the figures read well, and how to say it.
fn lot(result: &RunResult) -> (f64, &'static str) {
    let dearest = result.designs.iter().filter_map(known).fold(0.0, f64::max);
    if dearest >= 1.0 || dearest <= 0.0 {
        (1.0, "user")
    } else if dearest >= 0.001 {
        (1e3, "1,000 users")
    } else {
        (1e6, "1,000,000 users")
    }
}

fn known(design: &DesignResult) -> Option<f64> {
    let value = design.cost.per_user.value;
    (value.is_finite() && value > 0.0).then_some(value)
}

fn scale(result: &RunResult) -> Scale {
    let each = || result.designs.iter().filter_map(known);
    let (low, dearest) = (each().fold(f64::INFINITY, f64::min), each().fold(0.0, f64::max));
    let highs = result.designs.iter().map(|d| d.cost.per_user.high).filter(|v| v.is_finite());
    let high = highs.fold(dearest, f64::max);
    if dearest > low * LOG_FROM { Scale::log(low / 2.0, high) } else { Scale::linear(0.0, high, 5) }
}

fn bar(scene: &mut Scene, x: &Scale, design: &DesignResult, y: f64) {
    let Some((from, to)) = known(design).and_then(|v| Some((x.at(x.low())?, x.at(v)?))) else {
        return;
    };
    let mut left = from;
    for (share, color) in shares(&design.cost).into_iter().zip([VARIABLE, RESERVED, IDLE]) {
        let right = left + share * (to - from);
        scene.rect((left, y - BAR / 2.0), (right, y + BAR / 2.0), color);
        left = right;
    }
    whisker(scene, x, design.cost.per_user, y, INK);
}

fn label(design: &DesignResult, lot: f64, currency: &str) -> String {
    let value = design.cost.per_user.value;
    match known(design) {
        Some(value) => money(value * lot, currency),
        None if value.is_finite() && design.users_served.value > 0.0 => money(0.0, currency),
        None => "no user served".to_owned(),
    }
}

/// Draws the chart.
pub(super) fn scene(result: &RunResult) -> Scene {
    let entries = [
        ("paid by use".to_owned(), VARIABLE),
        ("reserved, in use".to_owned(), RESERVED),
        ("reserved, idle".to_owned(), IDLE),
    ];
    let (rows, top) = (result.designs.len(), legend_end(&entries) + 8.0);
    let height = top + rows.max(1) as f64 * ROW + BELOW;
    let mut scene = Scene::new(WIDTH, height, "Cost per served user by design");
    let split = "bars split by share of the bill; whiskers: 95 % intervals over replications";
    let scale = scale(result);
    let log =
        if scale.is_log() { "; logarithmic axis: a bar's parts show shares only" } else { "" };
    headline(&mut scene, "Cost per served user", &format!("{split}{log}"));
    legend(&mut scene, &entries);
    let (lot, lot_name) = lot(result);
    let currency = result.prices.currency.as_str();
    let left = names(&mut scene, result, top);
    let words: Vec<String> = result.designs.iter().map(|d| label(d, lot, currency)).collect();
    let room = words.iter().map(|w| width(w, SMALL)).fold(0.0, f64::max);
    let ends = (left, WIDTH - MARGIN - room - 16.0);
    let tick = |v: f64| figure(v * lot, 3);
    let name = format!("cost per {lot_name} with at least one success ({currency})");
    let x = axis(&mut scene, &scale, ends, (top, rows), (&tick, &name));
    for (i, (design, words)) in result.designs.iter().zip(&words).enumerate() {
        let y = middle(top, i);
        bar(&mut scene, &x, design, y);
        scene.text((ends.1 + 12.0, y), words, (INK, SMALL), Hang::Start);
    }
    if rows == 0 {
        scene.text((MARGIN, middle(top, 0)), "no design", (SOFT, SMALL), Hang::Start);
    }
    scene
}
