//! Figures over time: replications merged at one bucket width.

use super::fold::node_name;
use super::result::{FailedBy, GaugeSeries, Series};
use crate::kernel::{Clock, Counts, Histogram, Span};
use crate::model::latency_series::{Coarse, LatencySeries};
use crate::model::message::Cause;
use crate::model::world::Outturn;
use std::collections::BTreeMap;

/// Means over replications, one value a bucket.
pub(super) fn series(rows: &[Outturn]) -> Series {
    let Some(first) = rows.first() else { return Series::default() };
    let clock = rows.iter().fold(first.ledger.clock, |clock, row| clock.widest(row.ledger.clock));
    let n = rows.len() as f64;
    let buckets = rows
        .iter()
        .map(|row| row.end)
        .max()
        .map_or(1, |end| (end.nanos() / clock.width().nanos()) as usize + 1);
    let merged = |of: &dyn Fn(&Outturn) -> Option<&Counts>| {
        let mut sum = Counts::default();
        rows.iter().filter_map(of).for_each(|counts| sum.merge(clock, counts));
        padded(sum.cells().iter().map(|&c| c as f64 / n), buckets)
    };
    let mut ways: BTreeMap<(Cause, u16), Vec<f64>> = BTreeMap::new();
    for row in rows {
        for failure in &row.ledger.failures {
            let mut counts = failure.series.clone();
            counts.widen(clock);
            let sum =
                ways.entry((failure.cause, failure.node.0)).or_insert_with(|| vec![0.0; buckets]);
            for (mine, &c) in sum.iter_mut().zip(counts.cells()) {
                *mine += c as f64 / n;
            }
        }
    }
    let mut failed = vec![0.0; buckets];
    for column in ways.values() {
        failed.iter_mut().zip(column).for_each(|(sum, n)| *sum += n);
    }
    let mut latency = LatencySeries::default();
    for row in rows {
        let mut own = row.ledger.latency.clone();
        own.widen(clock);
        latency.merge(&own);
    }
    // No latency of a bucket lies outside of those of the whole run, which are known exactly.
    let served = || rows.iter().flat_map(|row| &row.ledger.classes).map(|class| &class.latency);
    let least = served().filter_map(Histogram::min).min().map_or(0.0, Span::as_secs_f64);
    let most = served().map(Histogram::max).max().map_or(0.0, Span::as_secs_f64);
    let quantile = |q: f64| {
        let of = |bucket: &Coarse| bucket.quantile(q).map(|own| short(own.max(least).min(most)));
        let cells = latency.buckets().iter().map(of);
        cells.chain(std::iter::repeat(None)).take(buckets).collect()
    };
    let means = latency.buckets().iter().map(|bucket| bucket.mean().map(short));
    Series {
        bucket: clock.width().as_secs_f64(),
        t: (0..buckets as u64).map(|i| seconds(i * clock.width().nanos())).collect(),
        started: merged(&|row| Some(&row.ledger.started)),
        attempts: merged(&|row| Some(&row.ledger.attempted)),
        ok: merged(&|row| Some(&row.ledger.succeeded)),
        failed,
        failed_by: ways
            .into_iter()
            .map(|((cause, node), count)| FailedBy {
                cause: cause.name().into(),
                node: node_name(rows, node),
                count,
            })
            .collect(),
        latency_mean: means.chain(std::iter::repeat(None)).take(buckets).collect(),
        latency_p50: quantile(0.5),
        latency_p95: quantile(0.95),
        gauges: gauges(rows, clock, buckets),
    }
}

/// Four significant digits, never coarser than one: as sure as a figure over time can be, and a third of the text.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let step = libm::pow(10.0, (3.0 - libm::floor(libm::log10(value.abs()))).max(0.0));
    libm::round(value * step) / step
}

/// Whole nanoseconds as seconds, to a microsecond.
fn seconds(nanos: u64) -> f64 {
    ((nanos + 500) / 1000) as f64 / 1e6
}

fn padded(cells: impl Iterator<Item = f64>, buckets: usize) -> Vec<f64> {
    cells.chain(std::iter::repeat(0.0)).take(buckets).collect()
}

/// Nanoseconds that all replications together spent in each bucket: one that is over has no level any more, which is not a level of
/// zero.
fn covered(rows: &[Outturn], clock: Clock, buckets: usize) -> Vec<f64> {
    let width = clock.width().nanos();
    let of = |bucket: u64| {
        let spent =
            rows.iter().map(|row| row.end.nanos().saturating_sub(bucket * width).min(width));
        // What ends with the bucket's first moment has no area there either.
        spent.sum::<u64>().max(1) as f64
    };
    (0..buckets as u64).map(of).collect()
}

fn gauges(rows: &[Outturn], clock: Clock, buckets: usize) -> Vec<GaugeSeries> {
    let Some(first) = rows.first() else { return Vec::new() };
    let covered = covered(rows, clock, buckets);
    let gauge = |(at, gauge): (usize, &crate::model::ledger::NodeGauge)| {
        let mut mean = vec![0.0; buckets];
        let mut max = vec![0.0_f64; buckets];
        for row in rows {
            let mut levels = row.ledger.gauges[at].levels.clone();
            levels.widen(clock);
            for ((sum, &area), covered) in mean.iter_mut().zip(levels.areas()).zip(&covered) {
                *sum += area as f64 / covered;
            }
            for (high, &level) in max.iter_mut().zip(levels.highs()) {
                *high = high.max(level as f64);
            }
        }
        GaugeSeries {
            node: node_name(rows, gauge.node.0),
            gauge: gauge.name.into(),
            limit: gauge.limit.map(|limit| limit as f64),
            mean: mean.into_iter().map(short).collect(),
            max,
        }
    };
    first.ledger.gauges.iter().enumerate().map(gauge).collect()
}
