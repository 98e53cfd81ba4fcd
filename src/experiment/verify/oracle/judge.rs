//! Runs a known answer and judges what came of it.
//!
//! A prediction holds if the true value lies in its interval. There are dozens of them in the ledger, so each interval has
//! 99.9 %: by chance alone a correct simulator misses one figure of a thousand. The tolerance shown is half the
//! interval: it says what the comparison could have seen, and shrinks with more replications.

use super::catalogue::{Figure, Known, Oracle, Truth};
use crate::experiment::estimate::{mean, ratio};
use crate::experiment::replicate::{Observer, RunError, replicate};
use crate::experiment::result::Estimate;
use crate::experiment::verification::{Case, Metric};
use crate::experiment::verify::plan;
use crate::kernel::{Counts, Span};
use crate::model::data::Data;
use crate::model::world::Outturn;

const KIND: &str = "oracle";
/// Chance of a miss of a correct figure.
const ALPHA: f64 = 0.001;
/// Width of a histogram's cell at most, relative: a share above a limit is one above the end of its cell.
const CELL: f64 = 1.0 / 64.0;
/// Points at which a curve is averaged over a bucket.
const POINTS: u32 = 10;

/// Runs an oracle and judges it.
///
/// # Errors
/// The run was interrupted; anything else that is wrong is a case that is missed.
pub fn predict(
    oracle: &Oracle,
    replications: u32,
    observer: &dyn Observer,
) -> Result<Case, RunError> {
    let missed = |why: String| Ok(Case::failed(oracle.id, KIND, &oracle.title, why));
    let mut text = oracle.scenario.clone();
    text["run"]["replications"] = (replications * oracle.times).into();
    let plan = match plan(&text, Data::default()) {
        Ok(plan) => plan,
        Err(why) => return missed(why),
    };
    match replicate(&plan, observer) {
        Ok(rows) => {
            let metrics = oracle.truths.iter().map(|truth| compare(truth, &rows[0])).collect();
            Ok(Case::new(oracle.id, KIND, &oracle.title, metrics))
        }
        Err(interrupted @ RunError::Interrupted { .. }) => Err(interrupted),
        Err(why) => missed(why.to_string()),
    }
}

fn compare(truth: &Truth, rows: &[Outturn]) -> Metric {
    let Some(estimate) = figure(truth.figure, rows) else {
        return Metric {
            name: truth.name.clone(),
            predicted: None,
            observed: None,
            tolerance: 0.0,
            range: None,
            within: false,
        };
    };
    let wide = estimate.at_level(ALPHA, rows.len());
    let half = (wide.high - wide.low) / 2.0;
    let near =
        |value: f64, tolerance: f64| Metric::near(&truth.name, estimate.value, value, tolerance);
    match (&truth.value, truth.figure) {
        (Known::Exact(value), _) => near(*value, half),
        (Known::About(value, error), _) => near(*value, half.max(error * value)),
        (Known::Tail(tail), Figure::Slower(limit)) => {
            // The limit lies somewhere in its cell.
            let t = limit as f64 * 1e-3;
            near(tail(t), half + tail(t) - tail(t * (1.0 + CELL)))
        }
        (Known::Curve(curve), Figure::InProgress(at)) => {
            let width = width_of(rows);
            let from = (at / width).floor() * width;
            let point = |i: u32| curve(from + (f64::from(i) + 0.5) * width / f64::from(POINTS));
            near((0..POINTS).map(point).sum::<f64>() / f64::from(POINTS), half)
        }
        (Known::Tail(of) | Known::Curve(of), _) => near(of(0.0), half),
    }
}

/// Width of the buckets of time, the widest of all replications.
fn width_of(rows: &[Outturn]) -> f64 {
    rows.iter().map(|row| row.ledger.clock.width().as_secs_f64()).fold(0.0, f64::max)
}

fn figure(figure: Figure, rows: &[Outturn]) -> Option<Estimate> {
    let pairs = |of: &dyn Fn(&Outturn) -> (f64, f64)| {
        ratio(&rows.iter().map(of).collect::<Vec<(f64, f64)>>())
    };
    let each =
        |of: &dyn Fn(&Outturn) -> f64| Some(mean(&rows.iter().map(of).collect::<Vec<f64>>()));
    match figure {
        Figure::Latency => pairs(&|row| {
            let latency = &row.ledger.classes[0].latency;
            (latency.sum_nanos() as f64 * 1e-9, latency.count() as f64)
        }),
        Figure::Slower(limit) => pairs(&|row| {
            let latency = &row.ledger.classes[0].latency;
            let n = latency.count() as f64;
            let share = latency.share_above(Span::from_millis(limit)).unwrap_or(0.0);
            (share * n, n)
        }),
        Figure::Lost(warm) => pairs(&|row| lost(row, warm)),
        Figure::Throughput(seconds) => {
            each(&|row| row.ledger.classes[0].ok_in_load as f64 / seconds)
        }
        Figure::InProgress(at) => each(&|row| level(row, at, width_of(rows))),
        Figure::Requests => each(&|row| row.ledger.classes[0].issued as f64),
        Figure::End => each(&|row| row.ledger.last_end.as_secs_f64()),
    }
}

/// Failed and all requests that came after the warm-up. A refusal happens at the instant of arrival, so starts and failures
/// of a bucket belong together.
fn lost(row: &Outturn, warm: f64) -> (f64, f64) {
    let clock = row.ledger.clock;
    let skip = (warm / clock.width().as_secs_f64()).ceil() as usize;
    let after = |counts: &Counts| {
        let mut counts = counts.clone();
        counts.widen(clock);
        counts.cells().iter().skip(skip).sum::<u64>() as f64
    };
    let failed = row.ledger.failures.iter().map(|failure| after(&failure.series)).sum();
    (failed, after(&row.ledger.started))
}

/// Mean number of requests in progress over the bucket of a time; buckets narrower than `width` are merged.
fn level(row: &Outturn, at: f64, width: f64) -> f64 {
    let Some(gauge) = row.ledger.gauges.iter().find(|gauge| gauge.name == "requests in progress")
    else {
        return 0.0;
    };
    let mut levels = gauge.levels.clone();
    levels.widen(row.ledger.clock);
    let own = row.ledger.clock.width().as_secs_f64();
    let merged = (width / own).round() as usize;
    let first = (at / width).floor() as usize * merged;
    let area: u128 = levels.areas().iter().skip(first).take(merged).sum();
    area as f64 * 1e-9 / width
}
