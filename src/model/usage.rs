//! What a design physically used. Money is not known here; the `price` floor turns these lines into a bill.

use crate::kernel::{Span, Time};

/// Seconds for which one host, or one pod on Fargate, is billed that was there for `time`: whole ones, at least a minute (EC2 pricing
/// page, on-demand Linux; AWS Fargate pricing, Linux).
pub fn billed_seconds(time: Span) -> u64 {
    time.nanos().div_ceil(1_000_000_000).max(60)
}

/// Hours for which one host is billed that ran from the start to `end`.
fn host_hours(end: Time) -> f64 {
    billed_seconds(end - Time::ZERO) as f64 / 3600.0
}

/// Hours from the start of a run to `end`.
pub fn hours(end: Time) -> f64 {
    end.as_secs_f64() / 3600.0
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
    /// What a month is extended from: the quantity without the minimum that a short window is billed (reserved lines only).
    pub held: f64,
    /// How much is held between the windows of a month, in `unit` for an hour (of hosts that come and go); none: as much as in
    /// the window.
    pub between: Option<f64>,
    /// Part of `quantity` that stood idle (reserved lines only).
    pub idle: f64,
    /// Part of `quantity` spent on attempts that failed or had to be repeated. Of hosts of pods it is the share of their processor time
    /// that went into the work of requests which ended in a failure there, or whose user, or caller, had gone before the answer; what they
    /// took besides the steps of their work (handshakes, connecting to stores, code that is still cold) is not counted.
    pub wasted: f64,
    /// Share of the table's price that a unit costs (spot instances, fees that are a part of a price), 0 to 1; none: the price.
    pub price_share: Option<f64>,
}

impl UsageLine {
    /// A quantity that is paid per use.
    pub fn used(
        node: &str,
        item: impl Into<String>,
        quantity: f64,
        unit: &'static str,
    ) -> UsageLine {
        UsageLine {
            node: node.to_owned(),
            item: item.into(),
            quantity,
            unit,
            reserved: false,
            held: quantity,
            between: None,
            idle: 0.0,
            wasted: 0.0,
            price_share: None,
        }
    }

    /// A quantity that is paid for however little is used.
    pub fn held(
        node: &str,
        item: impl Into<String>,
        quantity: f64,
        unit: &'static str,
    ) -> UsageLine {
        UsageLine { reserved: true, ..UsageLine::used(node, item, quantity, unit) }
    }

    /// `count` EC2 instances that ran from the start to `end`.
    pub fn hosts(node: &str, instance: &str, count: f64, end: Time) -> UsageLine {
        let line =
            UsageLine::held(node, format!("ec2.{instance}"), host_hours(end) * count, "hour");
        UsageLine { held: hours(end) * count, ..line }
    }

    /// The same instances as spot instances at `share` of the on-demand price.
    pub fn as_spot(self, share: f64) -> UsageLine {
        UsageLine { node: format!("{} (spot)", self.node), price_share: Some(share), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Span;

    #[test]
    fn hosts_are_billed_a_minute_at_least_and_held_as_long_as_they_run() {
        let line = UsageLine::hosts("n", "t3.medium", 3.0, Time::ZERO + Span::from_secs(20));
        assert_eq!((line.quantity * 60.0).round() as u32, 3);
        assert!((line.held - 3.0 * 20.0 / 3600.0).abs() < 1e-12 && line.reserved);
        let spot = line.as_spot(0.25);
        // Hours are hours, whatever they cost.
        assert!((spot.held - 60.0 / 3600.0).abs() < 1e-12 && spot.node == "n (spot)");
        assert_eq!(spot.price_share, Some(0.25));
    }
}
