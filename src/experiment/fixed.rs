//! What a design costs whatever its load, as lines of usage and fees.

use crate::kernel::Time;
use crate::model::fixed::FixedSpec;
use crate::model::usage::{UsageLine, hours};
use crate::model::world::DesignSpec;
use crate::price::metering::{HeldRule, billed_seconds, held_unit};
use crate::price::{Fee, Money, Table};

/// Items of the price table that a design holds from the start to `end`, for the least time and in the steps that the table bills.
pub(super) fn usage(spec: &DesignSpec, prices: &Table, end: Time) -> Vec<UsageLine> {
    let line = |(name, fixed): (&String, &FixedSpec)| {
        let FixedSpec::Item(own) = fixed else { return None };
        // A checked scenario names items that have a price and are held.
        let item = prices.item(&own.name).ok()?;
        let rule =
            HeldRule { minimum_seconds: item.minimum_seconds, step_seconds: item.step_seconds };
        let billed = billed_seconds(end.nanos(), rule) as f64 / 3600.0;
        let unit = held_unit(&item.unit)?;
        let line = UsageLine::held(name, own.name.clone(), billed * own.count, unit);
        Some(UsageLine { held: hours(end) * own.count, ..line })
    };
    spec.fixed.iter().filter_map(line).collect()
}

/// Own prices of a design.
pub(super) fn fees(spec: &DesignSpec) -> Vec<Fee> {
    let fee = |(name, fixed): (&String, &FixedSpec)| {
        let FixedSpec::Fee(own) = fixed else { return None };
        Some(Fee {
            name: name.clone(),
            // The text was read as a decimal number that money can hold.
            price: Money::parse(own.price.amount()).unwrap_or_default(),
            per_hours: own.price.hours(),
            count: own.count,
        })
    };
    spec.fixed.iter().filter_map(fee).collect()
}
