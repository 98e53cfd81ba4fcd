//! e^x with the bits of `libm::exp` on every platform, in half the time.
//!
//! `libm` follows FreeBSD's `e_exp.c` and ends in a general scaling by a power of two, which also serves results that are not normal
//! numbers and costs as much as all else. Where the result is sure to be normal, the scaling is one exact multiplication.

/// ln 2 in two parts, the first with so few bits that a multiple of it is exact (`e_exp.c`).
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Coefficients of the rational approximation on [−½ ln 2, ½ ln 2] (`e_exp.c`).
const P: [f64; 5] = [
    1.666_666_666_666_660_2e-1,
    -2.777_777_777_701_559_3e-3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
];

/// e^x.
#[inline]
pub(super) fn exp(x: f64) -> f64 {
    // Between 1.5 ln 2 and what keeps the result normal; all else is rare.
    if !(1.04..700.0).contains(&x.abs()) {
        return libm::exp(x);
    }
    let halves = (std::f64::consts::LOG2_E * x + 0.5_f64.copysign(x)) as i32;
    let n = f64::from(halves);
    let (high, low) = (x - n * LN2_HIGH, n * LN2_LOW);
    let r = high - low;
    let square = r * r;
    let c =
        r - square * (P[0] + square * (P[1] + square * (P[2] + square * (P[3] + square * P[4]))));
    let y = 1.0 + (r * c / (2.0 - c) - low + high);
    y * f64::from_bits(((1023 + halves) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    #[test]
    fn has_the_bits_of_libm() {
        let mut stream = Key::root(1, 0).named("exp").stream();
        for reach in [0.5, 1.5, 30.0, 720.0] {
            for _ in 0..200_000 {
                let x = (2.0 * stream.unit() - 1.0) * reach;
                assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x:e}");
            }
        }
        for x in [0.0, -0.0, 1.04, -1.04, 700.0, 1e9, -1e9, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x:e}");
        }
        assert!(exp(f64::NAN).is_nan());
    }
}
