//! Student's t distribution: how surprising a difference is, and how wide an interval of any confidence must be.

/// 95 % quantiles (two-sided) for 1 to 30 degrees of freedom, to six digits.
const TABLE: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004,
    2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905,
    2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899,
    2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

/// Two-sided 95 % quantile of Student's t with `df` degrees of freedom. Up to 30 from the table to six digits, above
/// by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), exact to 1e-6 there.
pub fn t_quantile(df: usize) -> f64 {
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

/// Probability that |T| exceeds `t`, for any positive number of degrees of freedom.
pub fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(df / 2.0, 0.5, df / (df + t * t)).clamp(0.0, 1.0)
}

/// The t that |T| exceeds with probability `alpha`: by bisection, to about 1e-12.
pub fn t_critical(alpha: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, df) > alpha && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if two_sided(middle, df) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Clopper and Pearson's bounds, each with probability 2.5 %, of a probability of which `k` of `n` independent trials gave the event
/// ("The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934): the p at which at
/// least k, or at most k, have that probability. For k up to some hundreds.
pub fn clopper_pearson(k: u64, n: u64) -> (f64, f64) {
    let (k, n) = (k as f64, n as f64);
    // P(at least k | p) = I_p(k, n − k + 1), growing with p.
    let at_least = |k: f64, p: f64| incomplete_beta(k, n - k + 1.0, p);
    let solve = |reached: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            if reached(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        (low + high) / 2.0
    };
    let low = if k > 0.0 { solve(&|p| at_least(k, p) >= 0.025) } else { 0.0 };
    let high = if k < n { solve(&|p| at_least(k + 1.0, p) >= 0.975) } else { 1.0 };
    (low, high)
}

/// Regularised incomplete beta function by its continued fraction (DLMF 8.17.22), summed by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly below the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let log_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
        + a * libm::log(x)
        + b * libm::log1p(-x);
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    libm::exp(log_front) * fraction / a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_student() {
        for (df, t) in
            [(1, 12.706_205), (19, 2.093_024), (30, 2.042_272), (40, 2.021_075), (120, 1.979_930)]
        {
            assert!((t_quantile(df) - t).abs() < 2e-6, "{df}: {}", t_quantile(df));
        }
    }

    #[test]
    fn tail_and_quantile_agree_with_the_table_and_each_other() {
        for df in 1..200 {
            let p = two_sided(t_quantile(df), df as f64);
            assert!((p - 0.05).abs() < 1e-6, "{df}: {p}");
        }
        for (alpha, df) in [(0.5, 1.0), (0.01, 7.3), (1e-6, 19.0), (0.999, 250.0)] {
            let t = t_critical(alpha, df);
            assert!((two_sided(t, df) - alpha).abs() < 1e-9 * alpha.max(1e-3), "{alpha} {df}");
        }
        // Cauchy: P(|T| > 1) = 1/2; two degrees: P(|T| > t) = 1 − t/√(2 + t²).
        assert!((two_sided(1.0, 1.0) - 0.5).abs() < 1e-12);
        assert!((two_sided(3.0, 2.0) - (1.0 - 3.0 / 11.0_f64.sqrt())).abs() < 1e-12);
        assert_eq!(two_sided(f64::INFINITY, 5.0).to_bits(), 0);
        assert!((two_sided(0.0, 5.0) - 1.0).abs() < 1e-12);
    }
}
