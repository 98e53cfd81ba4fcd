//! What a design costs by the hour whatever its load, and no node meters. No node knows of it: it is handed on to the bill.

use crate::units::Price;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that is paid for as long as the design stands. It is held for the window and, for the month's bill, for all 730 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixedSpec {
    /// So many of an item of the price table that is paid by the hour.
    Item(ItemSpec),
    /// An own price, such as a contract with a third party has it.
    Fee(FeeSpec),
}

/// So many of an item of the price table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemSpec {
    /// Item of the price table, e.g. `eks.cluster_hour`, `nat.hour` or `ec2.t3.medium`. Its unit is an hour, or
    /// the hour of a vCPU or a GB (`fargate.vcpu_hour`, `fargate.gb_hour`).
    pub name: String,
    /// How many, or how many vCPUs or GB; a part of one that several systems share is a fraction.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 10_000.0), extend("x-source" = "one of it"))]
    pub count: f64,
}

/// An own price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeSpec {
    /// Price of one for an hour, a month (730 h) or a year (8,760 h), in the currency of the price table: `0.10/hour`, `120/month`.
    pub price: Price,
    /// How many; a part of one that several systems share is a fraction.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 10_000.0), extend("x-source" = "one of it"))]
    pub count: f64,
}

fn one() -> f64 {
    1.0
}
