//! Point estimates and 95 % confidence intervals over independent replications.
//!
//! * mean: t-interval.
//! * ratio ΣY/ΣX (success rate, cost per user): linearisation, the t-interval of the residuals Y − R·X.
//! * quantile: two order statistics of the pooled values. Which two follows from how much the share below the quantile
//!   differs between replications (R. Woodruff, "Confidence intervals for medians and other position measures",
//!   J. Am. Stat. Assoc. 47, 1952), so that values correlated within a replication do not narrow it.
//! * difference: t-interval of what the two figures differ by in each replication.
//!
//! A ratio or a quantile of the whole has a *linearised* value in each replication: the figure plus what this replication
//! pulls it up or down by. Their mean is the figure and their spread its error, so figures can be paired like means.
//!
//! A share of few events, or of all but few, is at least as uncertain as Clopper's and Pearson's exact interval of its count, which
//! holds if requests fail independently of one another: never having seen a failure does not prove that there is none, and a single
//! one says little about their rate. Rare failures that come together, as in an outage, cannot be bounded so: runs without one do
//! not tell how often there is one.
//!
//! Requests that had no answer when the run was stopped may have succeeded or not: the interval of a share reaches from all of
//! them lost to all of them served.

use super::result::Estimate;
use super::student::{clopper_pearson, t_critical, t_quantile};
use crate::kernel::{Histogram, Span};

impl Estimate {
    /// A figure without spread.
    pub fn exact(value: f64) -> Estimate {
        Estimate { value, low: value, high: value }
    }

    fn around(value: f64, half: f64) -> Estimate {
        Estimate { value, low: value - half, high: value + half }
    }

    /// The estimate of a multiple.
    pub fn times(&self, factor: f64) -> Estimate {
        let (a, b) = (self.low * factor, self.high * factor);
        Estimate { value: self.value * factor, low: a.min(b), high: a.max(b) }
    }

    /// Whether the interval holds a value.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether the interval excludes zero.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// The same figure at another confidence, 1 − `alpha`, for a figure of `n` replications: exact where the interval is
    /// that of a mean, a ratio or an exact bound of a share; along the same slope for a quantile.
    pub fn at_level(self, alpha: f64, n: usize) -> Estimate {
        let edge =
            (self.value >= 1.0 && self.high <= 1.0) || (self.value <= 0.0 && self.low >= 0.0);
        let wider = if edge {
            libm::log(alpha / 2.0) / libm::log(0.025)
        } else {
            let df = n.saturating_sub(1).max(1);
            t_critical(alpha, df as f64) / t_quantile(df)
        };
        Estimate {
            value: self.value,
            low: self.value - (self.value - self.low) * wider,
            high: self.value + (self.high - self.value) * wider,
        }
    }

    fn clamped(self, low: f64, high: f64) -> Estimate {
        Estimate {
            value: self.value,
            low: self.low.clamp(low, high),
            high: self.high.clamp(low, high),
        }
    }
}

/// Half-width of the t-interval of a mean whose residuals are given (their mean need not be exactly zero).
fn half_width(residuals: impl Iterator<Item = f64> + Clone, n: usize) -> f64 {
    if n < 2 {
        return f64::INFINITY;
    }
    let squares: f64 = residuals.map(|r| r * r).sum();
    let variance = squares / (n - 1) as f64;
    t_quantile(n - 1) * (variance / n as f64).sqrt()
}

/// Mean of one value per replication.
pub fn mean(values: &[f64]) -> Estimate {
    let n = values.len();
    let m = values.iter().sum::<f64>() / n.max(1) as f64;
    Estimate::around(m, half_width(values.iter().map(|v| v - m), n))
}

/// Ratio ΣY / ΣX of (y, x) pairs, one per replication; none if ΣX is 0.
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let n = pairs.len();
    let (sum_y, sum_x) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
    if sum_x == 0.0 {
        return None;
    }
    let r = sum_y / sum_x;
    let mean_x = sum_x / n as f64;
    let half = half_width(pairs.iter().map(|(y, x)| (y - r * x) / mean_x), n);
    Some(Estimate::around(r, half))
}

/// Up to so many events, exact bounds of a share are wider than what they differ by between replications tells.
const FEW: u64 = 100;

/// A cell of a histogram is heavy with more than one part in so many of what lies on its smaller side.
const HEAVY: u64 = 4;

/// Share of successes in trials, one (successes, trials) pair per replication; none without trials.
pub fn share(pairs: &[(u64, u64)]) -> Option<Estimate> {
    let floats: Vec<(f64, f64)> = pairs.iter().map(|&(k, n)| (k as f64, n as f64)).collect();
    let estimate = ratio(&floats)?;
    let (k, n) = pairs.iter().fold((0, 0), |s, p| (s.0 + p.0, s.1 + p.1));
    let few = k.min(n - k);
    if few > FEW {
        return Some(estimate.clamped(0.0, 1.0));
    }
    let (low, high) = clopper_pearson(few, n);
    let (low, high) = if few == k { (low, high) } else { (1.0 - high, 1.0 - low) };
    // Where all replications agree, what is left of their spread is rounding.
    let wider = if few == 0 { Estimate::exact(estimate.value.round()) } else { estimate };
    Some(
        Estimate { value: wider.value, low: wider.low.min(low), high: wider.high.max(high) }
            .clamped(0.0, 1.0),
    )
}

/// The same share if `open` more trials, beside the `ended` ones, may have gone either way.
pub fn with_open(share: Option<Estimate>, ended: u64, open: u64) -> Option<Estimate> {
    let (ended, open) = (ended as f64, open as f64);
    match share {
        None => (open > 0.0).then_some(Estimate { value: 0.0, low: 0.0, high: 1.0 }),
        Some(own) => Some(Estimate {
            value: own.value,
            low: own.low * ended / (ended + open),
            high: (own.high * ended + open) / (ended + open),
        }),
    }
}

/// Values of a ratio ΣY / ΣX, one per replication: R + (Y − R·X) / mean X; none if ΣX is 0.
pub fn linearised(pairs: &[(f64, f64)]) -> Option<Vec<f64>> {
    let (sum_y, sum_x) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
    if sum_x == 0.0 {
        return None;
    }
    let (r, mean_x) = (sum_y / sum_x, sum_x / pairs.len() as f64);
    Some(pairs.iter().map(|(y, x)| r + (y - r * x) / mean_x).collect())
}

/// A quantile of all values together.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantile {
    /// The pooled quantile with its interval. Where fewer than about 3.7 / (1 − q) independent values were seen, none of
    /// them bounds it from above with confidence; the upper end is then the largest.
    pub estimate: Estimate,
    /// Its linearised value in each replication.
    pub values: Vec<f64>,
}

/// Quantile `q` of durations, one histogram per replication; `whole` is all of them merged, and `open` more were not over yet, whose
/// durations may be larger than all others. None without values.
pub fn quantile(whole: &Histogram, sections: &[Histogram], q: f64, open: u64) -> Option<Quantile> {
    let ends = Ends::of(whole, sections);
    let middle = whole.quantile(q)?;
    let value = ends.exact(middle);
    let n = sections.len();
    let total = whole.count() as f64;
    let per_section = total / n as f64;
    // What each replication adds to the share below the quantile.
    let pulls = |below: &dyn Fn(&Histogram) -> f64| -> Vec<f64> {
        let share = sections.iter().map(below).sum::<f64>() / total;
        let pull = |section: &Histogram| below(section) - share * section.count() as f64;
        sections.iter().map(|section| pull(section) / per_section).collect()
    };
    let spread = |pulls: &[f64]| half_width(pulls.iter().copied(), n);
    let (below, own) = whole.around(middle);
    let pulls = if own * HEAVY > (below + own).min(whole.count() - below) {
        // The middle of a cell with a good part of all values would hide half of what that part varies by.
        let without = pulls(&|section| section.around(middle).0 as f64);
        let with =
            pulls(&|section| section.around(middle).0 as f64 + section.around(middle).1 as f64);
        // The larger spread counts.
        if spread(&without) > spread(&with) { without } else { with }
    } else {
        pulls(&|section| section.at_most(middle))
    };
    let half = spread(&pulls);
    let (low_q, high_q) = ((q - half).max(0.0), (q + half).min(1.0));
    let ranked = |q: f64| whole.ranked(q * total).unwrap_or(middle);
    let (low, high) = (ranked(low_q).min(middle), ranked(high_q).max(middle));
    // If all that are open end later than these, a larger one of these has the rank.
    let late = ranked((high_q * (1.0 + open as f64 / total)).min(1.0)).max(high);
    // Seconds for a unit of share: the slope of the quantile function over the interval.
    let slope = if high_q > low_q { (high - low) / (high_q - low_q) } else { 0.0 };
    // Differences of designs are finer than a cell of the histogram, hence not from its middle.
    let centre = whole.ranked(q * total).unwrap_or(value);
    let values = pulls.iter().map(|pull| centre - pull * slope).collect();
    let estimate = Estimate { value, low: ends.exact(low), high: ends.exact(late) };
    Some(Quantile { estimate, values })
}

/// The smallest and the largest value where every replication has the same one, to the nanosecond. Replications are independent, so that is a
/// value that many take (a constant service time, a timeout), and its cell of the histogram is read as that value.
struct Ends<'a> {
    whole: &'a Histogram,
    min: Option<f64>,
    max: Option<f64>,
}

impl Ends<'_> {
    fn of<'a>(whole: &'a Histogram, sections: &[Histogram]) -> Ends<'a> {
        let mut own = sections.iter().filter(|section| section.count() > 0);
        let several = sections.len() > 1;
        let min = whole.min().filter(|_| several && own.clone().all(|h| h.min() == whole.min()));
        let max = Some(whole.max()).filter(|_| several && own.all(|h| h.max() == whole.max()));
        let (min, max) = (min.map(Span::as_secs_f64), max.map(Span::as_secs_f64));
        // Of two in one cell, neither stands for it.
        let one = |(a, b)| a < b && whole.around(a) == whole.around(b);
        let (min, max) = if min.zip(max).is_some_and(one) { (None, None) } else { (min, max) };
        Ends { whole, min, max }
    }

    /// A value of the histogram, exact where it lies in the cell of such an end.
    fn exact(&self, value: f64) -> f64 {
        let cell = |seconds: f64| self.whole.around(seconds);
        let known = [self.min, self.max].into_iter().flatten();
        known.into_iter().find(|end| cell(*end) == cell(value)).unwrap_or(value)
    }
}

/// Quantiles in ascending order, with intervals in the same order: the lower end of none lies above that of a greater one, the upper end
/// of none below that of a smaller one. Each interval is found from its own spread, so of few replications, whose spreads are themselves
/// uncertain, they may cross. They are only ever widened, so each still holds its quantile with the confidence it had.
pub fn ordered<const N: usize>(mut quantiles: [Estimate; N]) -> [Estimate; N] {
    for i in 1..N {
        quantiles[i].high = quantiles[i].high.max(quantiles[i - 1].high);
    }
    for i in (1..N).rev() {
        quantiles[i - 1].low = quantiles[i - 1].low.min(quantiles[i].low);
    }
    quantiles
}

/// The differences that remain possible if what had no answer may have gone either way, from the lowest to the highest: `least` is the
/// difference with all open requests of the one lost and all of the other served, `most` the other way round (C. Manski, "Nonparametric
/// bounds on treatment effects", Am. Econ. Rev. 80, 1990).
pub fn spanned(own: Estimate, least: Estimate, most: Estimate) -> Estimate {
    Estimate { value: own.value, low: own.low.min(least.low), high: own.high.max(most.high) }
}

/// Difference a − b of two figures of the same replications, given their values in each.
pub fn difference(a: &[f64], b: &[f64]) -> Estimate {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    mean(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Key, Stream};
    use rand_distr::{Distribution, Exp1};

    /// Share of 2,000 experiments whose interval holds the truth.
    fn coverage(truth: f64, experiment: impl Fn(&mut Stream) -> Estimate) -> f64 {
        let n = 2_000;
        let covered = (0..n).filter(|&seed| {
            let e = experiment(&mut Key::root(seed, 77).stream());
            e.holds(truth)
        });
        covered.count() as f64 / n as f64
    }

    #[test]
    fn nominal_intervals_cover_the_truth() {
        // Three standard errors of a coverage of 0.95 over 2,000 experiments: ± 1.5 points.
        let exp = |s: &mut Stream| -> f64 { Exp1.sample(s) };
        let of_mean = coverage(1.0, |s| {
            let values: Vec<f64> =
                (0..20).map(|_| (0..50).map(|_| exp(s)).sum::<f64>() / 50.0).collect();
            mean(&values)
        });
        let of_ratio = coverage(2.0, |s| {
            // Y = 2 X + noise with mean zero, X about 30.
            let pairs: Vec<(f64, f64)> = (0..20)
                .map(|_| {
                    let x = 20.0 + (0..10).map(|_| exp(s)).sum::<f64>();
                    (2.0 * x + (0..10).map(|_| exp(s) - 1.0).sum::<f64>(), x)
                })
                .collect();
            ratio(&pairs).unwrap()
        });
        let of_share = coverage(0.9, |s| {
            let pairs: Vec<(u64, u64)> =
                (0..20).map(|_| ((0..200).filter(|_| s.chance(0.9)).count() as u64, 200)).collect();
            share(&pairs).unwrap()
        });
        let of_difference = coverage(1.0, |s| {
            let pairs: Vec<(f64, f64)> = (0..20)
                .map(|_| {
                    let common = exp(s) * 5.0;
                    (common + 2.0 * exp(s), common + exp(s))
                })
                .collect();
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            difference(&a, &b)
        });
        for (what, share) in [
            ("mean", of_mean),
            ("ratio", of_ratio),
            ("share", of_share),
            ("difference", of_difference),
        ] {
            assert!((0.93..=0.97).contains(&share), "{what}: {share}");
        }
    }

    #[test]
    fn nothing_seen_is_not_nothing_there() {
        let all = share(&[(100, 100), (100, 100)]).unwrap();
        assert_eq!((all.value, all.high), (1.0, 1.0));
        // 0.025^(1/200) = 0.9817.
        assert!((all.low - 0.981_72).abs() < 1e-4, "{}", all.low);
        assert_eq!(share(&[(0, 0)]), None);
        // One failure in 3,500 says no more than none: 5.57 / n against 3.69 / n.
        let of = |failed: u64| {
            let rows: Vec<(u64, u64)> =
                (0..20).map(|i| (175 - u64::from(i < failed), 175)).collect();
            share(&rows).unwrap().low
        };
        assert!((1.0 - of(0) - 3.689 / 3_500.0).abs() < 2e-6, "{}", of(0));
        assert!((1.0 - of(1) - 5.572 / 3_500.0).abs() < 2e-6, "{}", of(1));
        assert!(of(0) > of(1) && of(1) > of(2));
    }

    #[test]
    fn what_had_no_answer_may_have_gone_either_way() {
        let open = |share, ended, open| with_open(share, ended, open).unwrap();
        let exact = Some(Estimate::exact(1.0));
        assert_eq!(open(exact, 300, 0), Estimate::exact(1.0));
        assert_eq!(open(exact, 300, 100), Estimate { value: 1.0, low: 0.75, high: 1.0 });
        assert_eq!(
            open(Some(Estimate::exact(0.5)), 300, 100),
            Estimate { value: 0.5, low: 0.375, high: 0.625 }
        );
        assert_eq!(open(None, 0, 7), Estimate { value: 0.0, low: 0.0, high: 1.0 });
        assert_eq!(with_open(None, 0, 0), None);
    }

    #[test]
    fn few_failures_and_quantiles_beside_a_step_are_covered() {
        // 4 failures expected of 4,000 requests: exact bounds cover at least 95 %.
        let rare = coverage(0.999, |s| {
            let pairs: Vec<(u64, u64)> = (0..20)
                .map(|_| ((0..200).filter(|_| s.chance(0.999)).count() as u64, 200))
                .collect();
            share(&pairs).unwrap()
        });
        assert!(rare >= 0.94, "{rare}");
        // 5.2 % of all take 900 ms and the others 20 ms, so the 95th percentile is 900 ms, though not
        // in every sample.
        let step = coverage(0.9, |s| {
            let own: Vec<Histogram> = (0..20)
                .map(|_| {
                    let mut histogram = Histogram::default();
                    for _ in 0..500 {
                        let ms = if s.chance(0.052) { 900 } else { 20 };
                        histogram.record(Span::from_millis(ms));
                    }
                    histogram
                })
                .collect();
            let whole = merged(&own);
            let found = quantile(&whole, &own, 0.95, 0).unwrap().estimate;
            // To the width of a cell.
            Estimate { low: found.low * 0.992, high: found.high * 1.008, ..found }
        });
        assert!(step >= 0.93, "{step}");
    }

    fn merged(sections: &[Histogram]) -> Histogram {
        let mut whole = Histogram::default();
        for section in sections {
            whole.merge(section);
        }
        whole
    }

    /// Exponential latencies with mean 100 ms of one replication.
    fn section(s: &mut Stream, n: usize) -> Histogram {
        let mut histogram = Histogram::default();
        for _ in 0..n {
            let x: f64 = Exp1.sample(s);
            histogram.record(Span::from_secs_f64(0.1 * x));
        }
        histogram
    }

    #[test]
    fn intervals_of_quantiles_cover_the_truth_whatever_the_size_of_a_replication() {
        // 400 requests in all bound the 99th percentile (3.7 / 0.01 = 370), 10,000 the 99.9th as well.
        for (sizes, quantiles) in [
            ([10, 30], &[0.5, 0.9, 0.95, 0.99][..]),
            ([300, 700], &[0.5, 0.9, 0.95, 0.99, 0.999][..]),
        ] {
            let (mut printed, mut paired) = ([0; 5], [0; 5]);
            let n = 600;
            for seed in 0..n {
                let mut s = Key::root(seed, 78).stream();
                let own: Vec<Histogram> = (0..20).map(|i| section(&mut s, sizes[i % 2])).collect();
                let whole = merged(&own);
                for (i, q) in quantiles.iter().enumerate() {
                    let truth = -0.1 * (1.0_f64 - q).ln();
                    let quantile = quantile(&whole, &own, *q, 0).unwrap();
                    printed[i] += usize::from(quantile.estimate.holds(truth));
                    paired[i] += usize::from(mean(&quantile.values).holds(truth));
                }
            }
            for (i, q) in quantiles.iter().enumerate() {
                let shares = [printed[i], paired[i]].map(|k| k as f64 / n as f64);
                for share in shares {
                    assert!((0.93..=0.97).contains(&share), "{sizes:?} {q}: {shares:?}");
                }
            }
        }
    }

    #[test]
    fn quantiles_are_in_order_however_few_replications_there_are() {
        for (n, size) in [(2, 20), (2, 300), (3, 50), (3, 1_000)] {
            let mut crossed = 0;
            for seed in 0..300 {
                let mut s = Key::root(seed, 79).stream();
                let own: Vec<Histogram> = (0..n).map(|_| section(&mut s, size)).collect();
                let whole = merged(&own);
                let found = [0.5, 0.9, 0.95, 0.99, 0.999]
                    .map(|q| quantile(&whole, &own, q, 0).unwrap().estimate);
                let rising = |of: fn(&Estimate) -> f64, all: &[Estimate]| {
                    all.windows(2).all(|pair| of(&pair[0]) <= of(&pair[1]))
                };
                let in_order = |all: &[Estimate]| {
                    rising(|e| e.low, all) && rising(|e| e.value, all) && rising(|e| e.high, all)
                };
                crossed += usize::from(!in_order(&found));
                let kept = ordered(found);
                assert!(in_order(&kept), "{n} of {size}, seed {seed}: {kept:?}");
                for (before, after) in found.iter().zip(&kept) {
                    assert!(after.low <= before.low && before.high <= after.high);
                    assert_eq!(before.value.to_bits(), after.value.to_bits());
                }
            }
            assert!(crossed > 0, "{n} of {size}: nothing to put in order");
        }
    }

    #[test]
    fn what_many_requests_take_exactly_is_told_exactly() {
        // 97 % take 20 ms, which is not the middle of its cell, 2 % take longer, 1 % is given up after 30 s.
        let mut s = Key::root(1, 80).stream();
        let mut own: Vec<Histogram> = Vec::new();
        for _ in 0..5 {
            let mut histogram = Histogram::default();
            for i in 0..1_000 {
                let ms = match i % 100 {
                    0 => 30_000,
                    1 | 2 => 100 + s.below(1_000),
                    _ => 20,
                };
                histogram.record(Span::from_millis(ms));
            }
            own.push(histogram);
        }
        let whole = merged(&own);
        let of = |q: f64| quantile(&whole, &own, q, 0).unwrap().estimate;
        for (q, exact) in [(0.5, 0.02), (0.9, 0.02), (0.999, 30.0)] {
            let found = of(q);
            for value in [found.low, found.value, found.high] {
                assert!((value - exact).abs() < 1e-12, "{q}: {found:?}");
            }
        }
        // What is spread over a cell at the end is not: minima of replications differ.
        let own: Vec<Histogram> = (0..5).map(|_| section(&mut s, 100)).collect();
        let whole = merged(&own);
        let found = quantile(&whole, &own, 0.01, 0).unwrap().estimate.value;
        assert_eq!(found.to_bits(), whole.quantile(0.01).unwrap().to_bits());
    }

    #[test]
    fn other_confidence() {
        // t(19) at 99 % is 2.860935, at 95 % 2.093024.
        let e = Estimate { value: 10.0, low: 9.0, high: 12.0 }.at_level(0.01, 20);
        let factor = 2.860_935 / 2.093_024;
        assert!(
            (e.low - (10.0 - factor)).abs() < 1e-5 && (e.high - (10.0 + 2.0 * factor)).abs() < 1e-5
        );
        // The one-sided bound of nothing seen in 1,000: 1 − 0.005^(1/1000).
        let none = share(&[(0, 500), (0, 500)]).unwrap().at_level(0.01, 2);
        assert!((none.high - 0.005_284).abs() < 2e-5, "{none:?}");
        assert_eq!(none.low.to_bits(), 0);
    }
}
