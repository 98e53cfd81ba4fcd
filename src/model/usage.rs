//! What a design physically used. Money is not known here; the `price` floor turns these lines into a bill.

use crate::kernel::Time;

/// Hours for which one host is billed that ran from the start to `end`: per second, at least a minute (EC2 pricing page,
/// on-demand Linux).
pub fn host_hours(end: Time) -> f64 {
    (end.nanos().div_ceil(1_000_000_000).max(60)) as f64 / 3600.0
}

/// One metered quantity of one node over one replication, rounded the way it is billed.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageLine {
    /// Name of the node that used it.
    pub node: String,
    /// Item of the price table, e.g. `lambda.requests` or `ec2.t3.medium`.
    pub item: String,
    /// Quantity in `unit`.
    pub quantity: f64,
    /// Unit, as in the price table: `request`, `GB-s`, `hour`, `GB`, `LCU-hour`, …
    pub unit: &'static str,
    /// Paid by the hour however little is used (hosts, provisioned, control plane), or per use.
    pub reserved: bool,
    /// Part of `quantity` that stood idle (reserved lines only).
    pub idle: f64,
    /// Part of `quantity` spent on attempts that failed or had to be repeated.
    pub wasted: f64,
}
