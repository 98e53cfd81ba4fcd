//! Capacity units of a load balancer: what it handled in each hour, by the dimension that was used most.
//!
//! Pages of Elastic Load Balancing pricing: an LCU of an Application Load Balancer holds 25 new connections a second, 3,000 active
//! connections, 1 GB an hour (0.4 GB to functions) and 1,000 rule evaluations a second beyond ten for each request; an NLCU of a Network Load Balancer
//! holds, for TCP, 800 new connections a second, 100,000 active ones and 1 GB an hour. Only the largest dimension of an hour is charged.

use crate::kernel::{Span, Time};

/// What one unit holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerUnit {
    /// New connections a second.
    pub new: f64,
    /// Connections open at once.
    pub active: f64,
    /// GB an hour.
    pub gb: f64,
    /// Rule evaluations a second.
    pub rules: f64,
}

impl PerUnit {
    /// An LCU of an Application Load Balancer.
    pub const ALB: PerUnit = PerUnit { new: 25.0, active: 3_000.0, gb: 1.0, rules: 1_000.0 };
    /// An LCU where the targets are functions.
    pub const ALB_TO_FUNCTIONS: PerUnit = PerUnit { gb: 0.4, ..PerUnit::ALB };
    /// An NLCU of a Network Load Balancer, TCP.
    pub const NLB: PerUnit =
        PerUnit { new: 800.0, active: 100_000.0, gb: 1.0, rules: f64::INFINITY };
}

/// What a balancer has handled since the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Handled {
    /// Connections opened.
    pub connections: u64,
    /// Integral of the number of open connections, level × nanoseconds.
    pub area: u128,
    /// Bytes.
    pub bytes: f64,
    /// Rule evaluations that are charged.
    pub rules: u64,
}

/// Units by the hour.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    per: PerUnit,
    counted: Handled,
    unit_hours: f64,
}

/// Clock hours are charged one by one.
pub const HOUR: Span = Span::from_secs(3600);

/// The first full hour after a time.
pub fn next_hour(now: Time) -> Time {
    Time::from_nanos((now.nanos() / HOUR.nanos() + 1) * HOUR.nanos())
}

impl Meter {
    /// Nothing handled yet.
    pub fn new(per: PerUnit) -> Meter {
        Meter { per, counted: Handled::default(), unit_hours: 0.0 }
    }

    /// An hour, or the run, is over: `all` is what was handled since the start of the run. Unit-hours since then. A part of an hour counts as
    /// that part: what is charged is an average over the hour.
    pub fn roll(&mut self, all: Handled) -> f64 {
        let before = std::mem::replace(&mut self.counted, all);
        let new = (all.connections - before.connections) as f64 / 3600.0 / self.per.new;
        let active = (all.area - before.area) as f64 * 1e-9 / 3600.0 / self.per.active;
        let gb = (all.bytes - before.bytes) / 1_073_741_824.0 / self.per.gb;
        let rules = (all.rules - before.rules) as f64 / 3600.0 / self.per.rules;
        self.unit_hours += new.max(active).max(gb).max(rules);
        self.unit_hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-9, "{got} is not {want}");
    }

    const HOUR_NS: u128 = 3_600_000_000_000;
    const GB: f64 = 1_073_741_824.0;

    #[test]
    fn t_cost_10_the_largest_of_four_dimensions() {
        // 100 new a second, 6,000 active, 1.5 GB, 500 rules a second: max(4, 2, 1.5, 0.5) = 4 LCU for an hour.
        let handled = Handled {
            connections: 360_000,
            area: 6_000 * HOUR_NS,
            bytes: 1.5 * GB,
            rules: 1_800_000,
        };
        near(Meter::new(PerUnit::ALB).roll(handled), 4.0);
        // To functions 3 GB are 7.5 LCU.
        near(
            Meter::new(PerUnit::ALB_TO_FUNCTIONS).roll(Handled { bytes: 3.0 * GB, ..handled }),
            7.5,
        );
        // A network balancer: max(100 / 800, 6,000 / 100,000, 1.5), and no rules.
        near(Meter::new(PerUnit::NLB).roll(handled), 1.5);
        near(Meter::new(PerUnit::NLB).roll(Handled { bytes: 0.0, ..handled }), 0.125);
        let idle = Handled { area: 400_000 * HOUR_NS, ..Handled::default() };
        near(Meter::new(PerUnit::NLB).roll(idle), 4.0);
    }

    #[test]
    fn every_hour_has_a_largest_dimension_of_its_own() {
        let mut meter = Meter::new(PerUnit::ALB);
        let first = Handled { connections: 180_000, bytes: GB, ..Handled::default() };
        near(meter.roll(first), 2.0);
        // In the second hour nobody connects, and 5 GB go through what is open.
        near(meter.roll(Handled { bytes: 6.0 * GB, ..first }), 7.0);
        // Ten minutes of one rule a request at 6,000 requests a second: a sixth of an hour of six units.
        near(meter.roll(Handled { bytes: 6.0 * GB, rules: 3_600_000, ..first }), 8.0);
    }

    #[test]
    fn hours_follow_one_another() {
        assert_eq!(next_hour(Time::ZERO), Time::ZERO + HOUR);
        assert_eq!(next_hour(Time::ZERO + HOUR), Time::ZERO + HOUR * 2);
        assert_eq!(next_hour(Time::from_nanos(1)), Time::ZERO + HOUR);
    }
}
