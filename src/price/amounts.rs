//! Integer arithmetic of a bill: quantities, tiers, and shares that sum exactly.

use super::money::Money;
use super::table::Tier;

/// Quantities are counted in billionths of their unit.
const SCALE: f64 = 1e9;
/// The same as an integer.
const SCALE_INT: i128 = 1_000_000_000;
/// Largest quantity that can be priced, in its unit: with [`PRICE_MAX`] it keeps every product in 128 bits.
pub(super) const QUANTITY_MAX: f64 = 1e13;
/// Largest price of one unit.
pub(super) const PRICE_MAX: Money = Money::from_pico(10_000 * 1_000_000_000_000);
/// Weights are scaled down until their sum is below this, so that a product of two fits 128 bits.
const WEIGHT_MAX: i128 = 1 << 62;

/// A quantity as an integer, or what is wrong with it.
pub(super) fn fixed(quantity: f64) -> Result<i128, String> {
    if quantity.is_nan() || quantity < 0.0 {
        return Err(format!("the quantity {quantity} is negative or not a number"));
    }
    if quantity > QUANTITY_MAX {
        return Err(format!(
            "the quantity {quantity:e} is above {QUANTITY_MAX:e}, which none can be"
        ));
    }
    Ok(rounded(quantity))
}

/// A quantity that was checked before, as an integer. Whole units are exact: they are scaled as integers.
#[expect(clippy::cast_possible_truncation, reason = "at most 1e13, far inside 128 bits")]
pub(super) fn rounded(quantity: f64) -> i128 {
    quantity.trunc() as i128 * SCALE_INT + (quantity.fract() * SCALE).round() as i128
}

/// Price of a quantity that starts at the bottom of the tiers; each part is paid at its own tier's price.
pub(super) fn tiered(tiers: &[Tier], quantity: i128) -> Money {
    let mut below = 0;
    let mut sum = 0;
    for tier in tiers {
        let top = tier.up_to.map_or(quantity, rounded).min(quantity);
        if top > below {
            sum += tier.price.pico() * (top - below);
            below = top;
        }
    }
    debug_assert!(below == quantity || tiers.is_empty(), "the last tier has no upper end");
    Money::from_pico((sum + SCALE_INT / 2) / SCALE_INT)
}

/// Cost of so many hours of what costs `price` for every `per_hours` of them; none beyond 128 bits.
pub(super) fn prorated(price: Money, per_hours: u32, hours: i128) -> Option<Money> {
    let whole = SCALE_INT * i128::from(per_hours.max(1));
    let sum = price.pico().checked_mul(hours)?.checked_add(whole / 2)?;
    Some(Money::from_pico(sum / whole))
}

/// Splits `amount` in proportion to `weights` so that the parts sum to it exactly (largest remainder, ties
/// to the earlier). A weight of zero gets nothing; with no weight at all there is nothing to split.
pub(super) fn split(amount: i128, weights: &[i128]) -> Vec<i128> {
    let shift = shift_for(weights.iter().sum());
    let weights: Vec<i128> = weights.iter().map(|w| w >> shift).collect();
    let total: i128 = weights.iter().sum();
    if total == 0 {
        debug_assert!(amount == 0, "an amount without a quantity");
        return vec![0; weights.len()];
    }
    let mut parts: Vec<i128> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(i128, usize)> = Vec::with_capacity(weights.len());
    for (i, &weight) in weights.iter().enumerate() {
        let rest = (amount % total) * weight;
        parts.push((amount / total) * weight + rest / total);
        remainders.push((rest % total, i));
    }
    remainders.sort_by_key(|&(remainder, i)| (std::cmp::Reverse(remainder), i));
    let left = amount - parts.iter().sum::<i128>();
    for &(_, i) in remainders.iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[i] += 1;
    }
    debug_assert_eq!(parts.iter().sum::<i128>(), amount);
    parts
}

/// `amount` × `part` / `whole`, rounded down; `part` counts as at most `whole`.
pub(super) fn share(amount: Money, part: i128, whole: i128) -> Money {
    let shift = shift_for(whole);
    let (part, whole) = (part.clamp(0, whole) >> shift, whole >> shift);
    if whole == 0 {
        return Money::ZERO;
    }
    let amount = amount.pico();
    Money::from_pico((amount / whole) * part + (amount % whole) * part / whole)
}

/// By how many bits to scale weights down so that their sum is below [`WEIGHT_MAX`].
fn shift_for(total: i128) -> u32 {
    let mut shift = 0;
    while total >> shift >= WEIGHT_MAX {
        shift += 1;
    }
    shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(up_to: Option<f64>, price: &str) -> Tier {
        Tier { up_to, price: Money::parse(price).unwrap() }
    }

    #[test]
    fn each_part_at_its_own_tier() {
        let tiers = [tier(Some(10.0), "3"), tier(Some(30.0), "2"), tier(None, "1")];
        for (quantity, price) in
            [(0.0, "0"), (10.0, "30"), (10.5, "31"), (30.0, "70"), (31.0, "71"), (100.0, "140")]
        {
            assert_eq!(
                tiered(&tiers, rounded(quantity)),
                Money::parse(price).unwrap(),
                "{quantity}"
            );
        }
    }

    #[test]
    fn the_largest_amount_fits() {
        let tiers = [Tier { up_to: None, price: PRICE_MAX }];
        let amount = tiered(&tiers, rounded(QUANTITY_MAX));
        assert_eq!(amount, Money::from_pico(10_i128.pow(29)));
        let parts =
            split(amount.pico(), &[rounded(QUANTITY_MAX / 3.0), rounded(QUANTITY_MAX / 1.5)]);
        assert_eq!(parts.iter().sum::<i128>(), amount.pico());
        assert_eq!(share(amount, rounded(QUANTITY_MAX), rounded(QUANTITY_MAX)), amount);
    }

    #[test]
    fn shares_sum_and_the_remainder_goes_to_the_largest() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(10, &[0, 2, 1]), [0, 7, 3]);
        assert_eq!(split(0, &[5, 0]), [0, 0]);
        assert_eq!(split(0, &[]), Vec::<i128>::new());
        assert_eq!(split(1, &[i128::from(u64::MAX), 1]), [1, 0]);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1.1e13] {
            assert!(fixed(bad).is_err(), "{bad}");
        }
        assert_eq!(fixed(0.1), Ok(100_000_000));
        assert_eq!(fixed(6e9 + 1.0), Ok(6_000_000_001_000_000_000));
    }
}
