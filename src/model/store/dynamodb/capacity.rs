//! Capacity of a DynamoDB table in units per second: provisioned with burst and auto scaling, or on demand.

use crate::kernel::{Span, Time};
use crate::model::bucket::Bucket;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How capacity is bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the unit used.
    OnDemand(OnDemand),
    /// By the unit held.
    Provisioned(Provisioned),
}

impl Default for Mode {
    fn default() -> Self {
        Mode::OnDemand(OnDemand::default())
    }
}

/// On demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnDemand {
    /// Highest rate of reads that the table has seen, units a second; it takes twice that. A new table: 6,000.
    #[serde(default = "peak_reads")]
    #[schemars(range(min = 0.0, max = 100_000_000.0), extend("x-source" = "DynamoDB guide: a new table takes 12,000 reads a second"))]
    pub peak_reads: f64,
    /// Highest rate of writes that the table has seen, units a second; it takes twice that. A new table: 2,000.
    #[serde(default = "peak_writes")]
    #[schemars(range(min = 0.0, max = 100_000_000.0), extend("x-source" = "DynamoDB guide: a new table takes 4,000 writes a second"))]
    pub peak_writes: f64,
    /// Quota of the table, units a second, for reads and for writes.
    #[serde(default = "quota")]
    #[schemars(range(min = 1.0, max = 100_000_000.0), extend("x-source" = "DynamoDB quotas: 40,000 units a table"))]
    pub quota: f64,
}

impl Default for OnDemand {
    fn default() -> Self {
        OnDemand { peak_reads: peak_reads(), peak_writes: peak_writes(), quota: quota() }
    }
}

/// Provisioned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// Read units a second.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub read: f64,
    /// Write units a second.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub write: f64,
    /// Auto scaling; none: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
}

/// Auto scaling of provisioned capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Share of the capacity that it aims at.
    #[serde(default = "target")]
    #[schemars(range(min = 0.2, max = 0.9), extend("x-source" = "DynamoDB console: 70 %"))]
    pub target: f64,
    /// Most read units.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub max_read: f64,
    /// Most write units.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub max_write: f64,
}

fn peak_reads() -> f64 {
    6_000.0
}
fn peak_writes() -> f64 {
    2_000.0
}
fn quota() -> f64 {
    40_000.0
}
fn target() -> f64 {
    0.7
}

impl Mode {
    /// The limit in words.
    pub(super) fn about(&self) -> String {
        match self {
            Mode::OnDemand(table) => format!(
                "on demand: twice the peak of {} reads/s and {} writes/s, at most {}/s",
                table.peak_reads, table.peak_writes, table.quota
            ),
            Mode::Provisioned(table) => {
                format!("provisioned {} read and {} write units/s", table.read, table.write)
            }
        }
    }
}

/// Unused provisioned capacity is kept for so long (DynamoDB guide: 5 minutes, best effort).
const BURST_SECONDS: f64 = 300.0;
/// A new peak counts after this (DynamoDB guide).
const PEAK_AFTER: Span = Span::from_secs(30 * 60);
/// Consecutive minutes above the target before auto scaling acts (DynamoDB guide).
const MINUTES_ABOVE: u32 = 2;

/// Capacity of one kind of unit as it runs.
#[derive(Debug)]
pub(super) struct Capacity {
    bucket: Bucket,
    rule: Rule,
    rate: f64,
    used: f64,
    /// Units held, summed over time up to `since`.
    held: f64,
    since: Time,
    /// The second or minute that is being counted, and the units asked for in it.
    window: u64,
    asked: f64,
}

#[derive(Debug)]
enum Rule {
    Fixed,
    Scaled { target: f64, most: f64, above: u32 },
    OnDemand { quota: f64, fresh: f64, since: Time },
}

impl Capacity {
    pub(super) fn reads(mode: &Mode) -> Capacity {
        match mode {
            Mode::OnDemand(table) => Capacity::on_demand(table.peak_reads, table.quota),
            Mode::Provisioned(table) => {
                let scaling = table.scaling.as_ref().map(|s| (s.target, s.max_read));
                Capacity::provisioned(table.read, scaling)
            }
        }
    }

    pub(super) fn writes(mode: &Mode) -> Capacity {
        match mode {
            Mode::OnDemand(table) => Capacity::on_demand(table.peak_writes, table.quota),
            Mode::Provisioned(table) => {
                let scaling = table.scaling.as_ref().map(|s| (s.target, s.max_write));
                Capacity::provisioned(table.write, scaling)
            }
        }
    }

    fn new(rate: f64, size: f64, rule: Rule) -> Capacity {
        Capacity {
            bucket: Bucket::new(rate, size),
            rule,
            rate,
            used: 0.0,
            held: 0.0,
            since: Time::ZERO,
            window: 0,
            asked: 0.0,
        }
    }

    fn provisioned(rate: f64, scaling: Option<(f64, f64)>) -> Capacity {
        let rule = match scaling {
            Some((target, most)) => Rule::Scaled { target, most, above: 0 },
            None => Rule::Fixed,
        };
        Capacity::new(rate, rate * BURST_SECONDS, rule)
    }

    fn on_demand(peak: f64, quota: f64) -> Capacity {
        let rate = (2.0 * peak).min(quota);
        Capacity::new(rate, rate, Rule::OnDemand { quota, fresh: peak, since: Time::ZERO })
    }

    /// Takes units if there are as many.
    pub(super) fn take(&mut self, now: Time, units: f64) -> bool {
        self.roll(now);
        self.asked += units;
        let taken = self.bucket.take_many(now, units);
        self.used += if taken { units } else { 0.0 };
        taken
    }

    /// Units served.
    pub(super) fn used(&self) -> f64 {
        self.used
    }

    /// Unit-hours held until now.
    pub(super) fn held_hours(&mut self, now: Time) -> f64 {
        self.hold(now);
        self.held / 3600.0
    }

    /// Unit-hours held and not used.
    pub(super) fn idle_hours(&mut self, now: Time) -> f64 {
        (self.held_hours(now) - self.used / 3600.0).max(0.0)
    }

    fn hold(&mut self, now: Time) {
        self.held += now.since(self.since).as_secs_f64() * self.rate;
        self.since = now;
    }

    /// Closes the windows that are over: minutes for auto scaling, seconds for the peak on demand.
    fn roll(&mut self, now: Time) {
        let length = match self.rule {
            Rule::Fixed => return,
            Rule::Scaled { .. } => 60_000_000_000,
            Rule::OnDemand { .. } => 1_000_000_000,
        };
        let window = now.nanos() / length;
        if window == self.window {
            return;
        }
        let asked = std::mem::take(&mut self.asked);
        let passed = window - self.window;
        self.window = window;
        let mut rate = self.rate;
        match &mut self.rule {
            Rule::Fixed => {}
            Rule::Scaled { target, most, above } => {
                let busy = asked / 60.0 > *target * rate;
                // A minute without a request lies in between: not consecutive.
                *above = if busy { *above + 1 } else { 0 };
                if *above >= MINUTES_ABOVE {
                    rate = (asked / 60.0 / *target).clamp(rate, most.max(rate));
                    *above = 0;
                } else if passed > 1 {
                    *above = 0;
                }
            }
            Rule::OnDemand { quota, fresh, since } => {
                if asked > *fresh {
                    *fresh = asked;
                    *since = now;
                }
                if now.since(*since) >= PEAK_AFTER {
                    rate = rate.max((2.0 * *fresh).min(*quota));
                }
            }
        }
        if rate > self.rate {
            self.hold(now);
            let size = if matches!(self.rule, Rule::OnDemand { .. }) { 1.0 } else { BURST_SECONDS };
            self.bucket.resize(now, rate, rate * size);
            self.rate = rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units that pass of `rate` a second for `seconds`, evenly spread.
    fn passed(capacity: &mut Capacity, rate: u64, from: u64, seconds: u64) -> u64 {
        let step = 1_000_000_000 / rate;
        let n = rate * seconds;
        (0..n)
            .filter(|i| capacity.take(Time::from_nanos(from * 1_000_000_000 + i * step), 1.0))
            .count() as u64
    }

    #[test]
    fn t_ddb_1_the_burst_lasts_33_seconds() {
        let mut table = Capacity::provisioned(100.0, None);
        assert_eq!(passed(&mut table, 1000, 0, 33), 33_000, "30,000 / 900 = 33.3 s");
        assert!(passed(&mut table, 1000, 33, 1) < 1000);
        let later = passed(&mut table, 1000, 34, 100);
        assert!((later as f64 / 10_000.0 - 1.0).abs() < 0.001, "{later}");
    }

    #[test]
    fn t_ddb_2_on_demand_takes_twice_the_peak() {
        let mut table = Capacity::on_demand(50_000.0, 1e9);
        let now = Time::ZERO;
        assert_eq!((0..120_000).filter(|_| table.take(now, 1.0)).count(), 100_000);
        let mut fresh = Capacity::on_demand(peak_writes(), quota());
        assert_eq!((0..5_000).filter(|_| fresh.take(now, 1.0)).count(), 4_000);
    }

    #[test]
    fn a_new_peak_counts_after_half_an_hour() {
        let mut table = Capacity::on_demand(100.0, 1e9);
        assert_eq!(passed(&mut table, 200, 0, 10), 2_000);
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        assert!(table.take(at(1_000), 1.0));
        assert!((table.rate - 200.0).abs() < 1e-9);
        assert!(table.take(at(1_900), 1.0));
        assert!((table.rate - 400.0).abs() < 1e-9, "{}", table.rate);
    }

    #[test]
    fn auto_scaling_acts_after_two_minutes_above_its_target() {
        let mut table = Capacity::provisioned(100.0, Some((0.7, 1_000.0)));
        passed(&mut table, 140, 0, 119);
        assert!((table.rate - 100.0).abs() < 1e-9);
        passed(&mut table, 140, 119, 2);
        assert!((table.rate / 200.0 - 1.0).abs() < 0.02, "140 / 0.7 = 200: {}", table.rate);
        let hours = table.held_hours(Time::from_nanos(3_600_000_000_000));
        assert!((hours - (120.0 * 100.0 + 3480.0 * 200.0) / 3600.0).abs() < 3.0, "{hours}");
    }
}
