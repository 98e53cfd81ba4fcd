//! Point estimates and 95 % confidence intervals over independent replications.
//!
//! * mean: t-interval.
//! * ratio ΣY/ΣX (success rate, cost per user): linearisation, the t-interval of the residuals Y − R·X.
//! * quantile: that of the pooled histogram, with the spread of the replications' own quantiles around it
//!   (sectioning; S. Asmussen, P. Glynn, "Stochastic Simulation", 2007, III.5).
//! * difference: t-interval of paired differences.
//!
//! Where all replications agree exactly, a share of 0 or 1 gets the exact (Clopper-Pearson) bound of its count: never
//! having seen a failure does not prove that there is none.

use super::result::Estimate;

/// Two-sided 95 % quantile of Student's t with `df` degrees of freedom. Below 30 from the table to six digits, above
/// by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), exact to 1e-6 there.
pub fn t_quantile(df: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004,
        2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905,
        2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899,
        2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
    ];
    if let Some(t) = df.checked_sub(1).and_then(|i| TABLE.get(i)) {
        return *t;
    }
    let z = 1.959_963_984_540_054_f64;
    let n = df.max(1) as f64;
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    let g1 = (z3 + z) / 4.0;
    let g2 = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    let g3 = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    z + g1 / n + g2 / (n * n) + g3 / (n * n * n)
}

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

    /// Whether the interval excludes zero.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
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

/// Share of successes in trials, one (successes, trials) pair per replication; none without trials.
pub fn share(pairs: &[(u64, u64)]) -> Option<Estimate> {
    let floats: Vec<(f64, f64)> = pairs.iter().map(|&(k, n)| (k as f64, n as f64)).collect();
    let estimate = ratio(&floats)?;
    let (k, n) = pairs.iter().fold((0, 0), |s, p| (s.0 + p.0, s.1 + p.1));
    // Clopper-Pearson at the edge: the one-sided 97.5 % bound is 1 − 0.025^(1/n).
    let edge = 1.0 - libm::pow(0.025, 1.0 / n as f64);
    Some(if k == n {
        Estimate { value: 1.0, low: 1.0 - edge, high: 1.0 }
    } else if k == 0 {
        Estimate { value: 0.0, low: 0.0, high: edge }
    } else {
        estimate.clamped(0.0, 1.0)
    })
}

/// A pooled figure with the spread of the replications' own figures around it.
pub fn sectioned(pooled: f64, sections: &[f64]) -> Estimate {
    let half = half_width(sections.iter().map(|s| s - pooled), sections.len());
    Estimate::around(pooled, half).clamped(0.0, f64::INFINITY)
}

/// Paired difference, one (a, b) pair per replication: mean of a − b.
pub fn difference(pairs: &[(f64, f64)]) -> Estimate {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    mean(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Key, Stream};
    use rand_distr::{Distribution, Exp1};

    #[test]
    fn quantiles_of_student() {
        for (df, t) in
            [(1, 12.706_205), (19, 2.093_024), (30, 2.042_272), (40, 2.021_075), (120, 1.979_930)]
        {
            assert!((t_quantile(df) - t).abs() < 2e-6, "{df}: {}", t_quantile(df));
        }
    }

    /// Share of 2,000 experiments whose interval holds the truth.
    fn coverage(truth: f64, experiment: impl Fn(&mut Stream) -> Estimate) -> f64 {
        let n = 2_000;
        let covered = (0..n).filter(|&seed| {
            let e = experiment(&mut Key::root(seed, 77).stream());
            e.low <= truth && truth <= e.high
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
            difference(&pairs)
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
    }
}
