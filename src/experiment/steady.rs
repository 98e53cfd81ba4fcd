//! The steady state of a run that asks for one: success, latency and throughput between the warm-up and the end of the load.
//!
//! A burst has no steady state, and its first seconds are what it is about: nothing is cut from a run that does not ask.
//! Where one is asked for, the warm-up ends where MSER-5 says (K. P. White, "An effective truncation heuristic for bias
//! reduction in simulation output", Simulation 69, 1997): where the squared standard error of what is left is smallest,
//! over means of five buckets, pooled over all replications. If that is not in the first half, there is no steady state to speak of.
//! Requests belong to the moment at which they end; quantiles over time are too coarse to be given here.

use super::estimate::{mean, ratio, share};
use super::result::Steady;
use crate::kernel::Counts;
use crate::model::world::Outturn;

/// Buckets of a batch.
const BATCH: usize = 5;
/// With fewer batches the rule has nothing to choose from.
const BATCHES_MIN: usize = 10;

/// What one replication did under load, bucket by bucket.
struct Track {
    /// Sum of the latencies of successes in s, and their number.
    latency: Vec<(f64, f64)>,
    ok: Vec<u64>,
    failed: Vec<u64>,
}

/// The steady state of a design, as far as it has one.
pub(super) fn steady(rows: &[Outturn]) -> Steady {
    let clock = rows.iter().map(|row| row.ledger.clock).reduce(crate::kernel::Clock::widest);
    let clock = clock.unwrap_or_default();
    let ends = |row: &Outturn| {
        let classes = row.ledger.classes.iter().map(|class| class.load_ends);
        classes.max().unwrap_or_default().min(row.end)
    };
    let end = rows.iter().map(ends).min().unwrap_or_default();
    let width = clock.width().as_secs_f64();
    // Whole batches under load: what drains after its end is no steady state.
    let batches = (end.nanos() / clock.width().nanos()) as usize / BATCH;
    let buckets = batches * BATCH;
    let tracks: Vec<Track> = rows.iter().map(|row| track(row, clock, buckets)).collect();
    let batch = |batch: usize| {
        let own = batch * BATCH..(batch + 1) * BATCH;
        let cells = tracks.iter().flat_map(|track| &track.latency[own.clone()]);
        let (sum, n) = cells.fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        (n > 0.0).then(|| sum / n)
    };
    let means: Option<Vec<f64>> = (0..batches).map(batch).collect();
    let until = buckets as f64 * width;
    let Some(cut) = means.and_then(|means| warm_up(&means)) else {
        return Steady { until, ..Steady::default() };
    };
    let from = cut * BATCH;
    let seconds = (buckets - from) as f64 * width;
    let sum = |cells: &[u64]| cells[from..].iter().sum::<u64>();
    let pairs = tracks.iter().map(|track| (sum(&track.ok), sum(&track.ok) + sum(&track.failed)));
    let latency = tracks.iter().map(|track| {
        let cells = track.latency[from..].iter();
        cells.fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1))
    });
    let rates = tracks.iter().map(|track| sum(&track.ok) as f64 / seconds);
    Steady {
        warm_up: Some(from as f64 * width),
        until,
        success_rate: share(&pairs.collect::<Vec<_>>()),
        latency_mean: ratio(&latency.collect::<Vec<_>>()),
        throughput: Some(mean(&rates.collect::<Vec<_>>())),
    }
}

fn track(row: &Outturn, clock: crate::kernel::Clock, buckets: usize) -> Track {
    let mut series = row.ledger.latency.clone();
    series.widen(clock);
    let mut latency: Vec<(f64, f64)> =
        series.buckets().iter().map(|b| (b.sum as f64 * 1e-9, b.count() as f64)).collect();
    latency.resize(buckets, (0.0, 0.0));
    let cells = |counts: &mut dyn Iterator<Item = &Counts>| {
        let mut sum = Counts::default();
        counts.for_each(|own| sum.merge(clock, own));
        let mut cells = sum.cells().to_vec();
        cells.resize(buckets, 0);
        cells
    };
    Track {
        latency,
        ok: cells(&mut std::iter::once(&row.ledger.succeeded)),
        failed: cells(&mut row.ledger.failures.iter().map(|failure| &failure.series)),
    }
}

/// How many of the values are warm-up; none if they do not settle in their first half.
fn warm_up(values: &[f64]) -> Option<usize> {
    if values.len() < BATCHES_MIN {
        return None;
    }
    let error = |cut: usize| {
        let rest = &values[cut..];
        let n = rest.len() as f64;
        let mean = rest.iter().sum::<f64>() / n;
        rest.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n * n)
    };
    let half = values.len() / 2;
    let (mut best, mut least) = (0, error(0));
    for cut in 1..=half {
        let error = error(cut);
        if error < least {
            (best, least) = (cut, error);
        }
    }
    (best < half).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use rand_distr::{Distribution, Exp1};

    #[test]
    fn almost_nothing_is_cut_from_what_has_no_warm_up() {
        // Batches of five buckets of some requests each: 40 means of 50 exponential values.
        let (mut cut, mut none, n, of) = (0, 0, 1_000, 40);
        for seed in 0..n {
            let mut stream = Key::root(seed, 79).stream();
            let mut one = || (0..50).map(|_| -> f64 { Exp1.sample(&mut stream) }).sum::<f64>();
            let values: Vec<f64> = (0..of).map(|_| one()).collect();
            match warm_up(&values) {
                Some(own) => cut += own,
                None => none += 1,
            }
        }
        let share = cut as f64 / (n * of) as f64;
        assert!(share < 0.05, "{share}");
        assert!(none < n / 50, "{none}");
    }

    #[test]
    fn a_warm_up_is_cut_and_a_trend_has_no_end() {
        let decay = |i: u32| 1.0 + 5.0 * (-f64::from(i) / 2.0).exp() + 0.01 * f64::from(i % 3);
        let cut = warm_up(&(0..40).map(decay).collect::<Vec<_>>()).unwrap();
        assert!((6..16).contains(&cut), "{cut}");
        assert_eq!(warm_up(&(0..40).map(f64::from).collect::<Vec<_>>()), None);
        assert_eq!(warm_up(&[1.0; 9]), None);
        assert_eq!(warm_up(&[1.0; 10]), Some(0));
    }
}
