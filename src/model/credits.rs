//! CPU credits of burstable instances (T family). One credit is one vCPU for a minute.
//!
//! `earned' = min(cap, earned + rate·dt − use)`; launch credits are spent first and stand outside the cap. In standard mode an instance without
//! credits is held to its baseline; in unlimited mode it borrows: what it earns within a day pays back, more is charged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A size of the T family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burstable {
    /// Name, e.g. `t2.micro`.
    pub instance: &'static str,
    /// vCPUs.
    pub vcpu: f64,
    /// Credits earned an hour.
    pub per_hour: f64,
    /// Baseline, share of each vCPU.
    pub baseline: f64,
}

/// EC2 user guide, "CPU credits and baseline performance". Most credits that can be held are those of a day.
const SIZES: &[Burstable] = &[
    size("t2.nano", 1.0, 3.0, 0.05),
    size("t2.micro", 1.0, 6.0, 0.10),
    size("t2.small", 1.0, 12.0, 0.20),
    size("t2.medium", 2.0, 24.0, 0.20),
    size("t2.large", 2.0, 36.0, 0.30),
    size("t3.nano", 2.0, 6.0, 0.05),
    size("t3.micro", 2.0, 12.0, 0.10),
    size("t3.small", 2.0, 24.0, 0.20),
    size("t3.medium", 2.0, 24.0, 0.20),
    size("t3.large", 2.0, 36.0, 0.30),
    size("t3.xlarge", 4.0, 96.0, 0.40),
    size("t3.2xlarge", 8.0, 192.0, 0.40),
    size("t3a.nano", 2.0, 6.0, 0.05),
    size("t3a.micro", 2.0, 12.0, 0.10),
    size("t3a.small", 2.0, 24.0, 0.20),
    size("t3a.medium", 2.0, 24.0, 0.20),
    size("t3a.large", 2.0, 36.0, 0.30),
    size("t3a.xlarge", 4.0, 96.0, 0.40),
    size("t3a.2xlarge", 8.0, 192.0, 0.40),
    size("t4g.nano", 2.0, 6.0, 0.05),
    size("t4g.micro", 2.0, 12.0, 0.10),
    size("t4g.small", 2.0, 24.0, 0.20),
    size("t4g.medium", 2.0, 24.0, 0.20),
    size("t4g.large", 2.0, 36.0, 0.30),
    size("t4g.xlarge", 4.0, 96.0, 0.40),
    size("t4g.2xlarge", 8.0, 192.0, 0.40),
];

const fn size(instance: &'static str, vcpu: f64, per_hour: f64, baseline: f64) -> Burstable {
    Burstable { instance, vcpu, per_hour, baseline }
}

/// The mode that AWS gives a type of this name, or an item of a price table that ends with one; none: it has no CPU credits. Databases
/// too (RDS user guide, instance class types: T3 and T4g are in unlimited mode, T2 can be).
pub fn mode_of(name: &str) -> Option<CreditMode> {
    match name.rsplit('.').nth(1)? {
        "t2" => Some(CreditMode::Standard),
        "t3" | "t3a" | "t4g" => Some(CreditMode::Unlimited),
        _ => None,
    }
}

/// Launch credits of a T2 instance in standard mode, for each vCPU.
const LAUNCH: f64 = 30.0;

impl Burstable {
    /// The size of an instance type; none: it is not burstable.
    pub fn of(instance: &str) -> Option<Burstable> {
        SIZES.iter().find(|size| size.instance == instance).copied()
    }

    /// Most credits that can be held, and most that can be borrowed before they are charged: those of a day.
    pub fn cap(&self) -> f64 {
        self.per_hour * 24.0
    }

    /// The mode that AWS gives it.
    pub fn default_mode(&self) -> CreditMode {
        mode_of(self.instance).unwrap_or(CreditMode::Unlimited)
    }
}

/// What happens when the credits are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreditMode {
    /// The instance is held to its baseline.
    Standard,
    /// It borrows, and pays for what it cannot earn back.
    Unlimited,
}

/// CPU credits of burstable hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditsSpec {
    /// What happens when they are used up; none: standard for T2, unlimited for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "EC2 user guide: T2 launches as standard, T3, T3a and T4g as unlimited"))]
    pub mode: Option<CreditMode>,
    /// Credits that the first hosts have earned before the run; those that come later have none.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 4608.0), extend("x-source" = "EC2 user guide: a new instance has launch credits at the most"))]
    pub earned: f64,
    /// Whether the first hosts still have their launch credits (T2 in standard mode).
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "EC2 user guide: 30 for each vCPU"))]
    pub launch: bool,
}

fn yes() -> bool {
    true
}

/// The credits of one instance.
#[derive(Debug, Clone)]
pub struct Credits {
    size: Burstable,
    mode: CreditMode,
    launch: f64,
    /// Below zero: borrowed.
    earned: f64,
    charged: f64,
}

impl Credits {
    /// Of an instance that has just been launched.
    pub fn fresh(size: Burstable, mode: CreditMode) -> Credits {
        let t2 = size.instance.starts_with("t2.") && mode == CreditMode::Standard;
        let launch = if t2 { LAUNCH * size.vcpu } else { 0.0 };
        Credits { size, mode, launch, earned: 0.0, charged: 0.0 }
    }

    /// Of an instance that has run before.
    pub fn of(size: Burstable, spec: &CreditsSpec) -> Credits {
        let fresh = Credits::fresh(size, spec.mode.unwrap_or_else(|| size.default_mode()));
        let launch = if spec.launch { fresh.launch } else { 0.0 };
        Credits { launch, earned: spec.earned.min(size.cap()), ..fresh }
    }

    /// Time passes, in which the instance used so many seconds of vCPUs.
    pub fn advance(&mut self, seconds: f64, vcpu_seconds: f64) {
        let used = vcpu_seconds / 60.0;
        let from_launch = self.launch.min(used);
        self.launch -= from_launch;
        self.earned += self.size.per_hour * seconds / 3600.0 - (used - from_launch);
        self.earned = self.earned.min(self.size.cap());
        if self.mode == CreditMode::Unlimited && self.earned < -self.size.cap() {
            self.charged -= self.earned + self.size.cap();
            self.earned = -self.size.cap();
        }
    }

    /// Credits left.
    pub fn balance(&self) -> f64 {
        self.launch + self.earned.max(0.0)
    }

    /// Whether the instance is held to its baseline.
    pub fn throttled(&self) -> bool {
        self.mode == CreditMode::Standard && self.launch + self.earned <= 0.0
    }

    /// vCPU-hours that are charged if the instance stops now: those beyond a day's earnings, and all that is still borrowed.
    pub fn surplus_vcpu_hours(&self) -> f64 {
        let borrowed =
            if self.mode == CreditMode::Unlimited { (-self.earned).max(0.0) } else { 0.0 };
        (self.charged + borrowed) / 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(instance: &str) -> Credits {
        let size = Burstable::of(instance).unwrap();
        Credits::fresh(size, size.default_mode())
    }

    /// Minutes until an instance is throttled at a constant use of vCPUs; none within a month.
    fn empty_after(mut credits: Credits, vcpu: f64) -> Option<f64> {
        for second in 1..=30 * 86_400 {
            credits.advance(1.0, vcpu);
            if credits.throttled() {
                return Some(f64::from(second) / 60.0);
            }
        }
        None
    }

    #[test]
    fn t_cred_1_a_fresh_t2_micro_at_83_requests_a_second() {
        for (cpu, minutes) in [(0.005, 94.7), (0.010, 40.9), (0.012, 33.3), (0.002, 450.0)] {
            let empty = empty_after(fresh("t2.micro"), 1000.0 / 12.0 * cpu).unwrap();
            assert!((empty - minutes).abs() < 0.06, "{cpu}: {empty}");
        }
        assert_eq!(empty_after(fresh("t2.micro"), 1000.0 / 12.0 * 0.0012 - 1e-9), None);
    }

    #[test]
    fn t_cred_2_t3_large_breaks_even_with_m5_large_at_42_5_percent() {
        let mut credits = fresh("t3.large");
        // A long time, so that what is free once does not count.
        let hours = 100_000.0;
        credits.advance(hours * 3600.0, hours * 3600.0 * 2.0 * 0.425);
        let an_hour = 0.0832 + credits.surplus_vcpu_hours() / hours * 0.05;
        assert!((an_hour - 0.096).abs() < 0.0005, "{an_hour}");
    }

    #[test]
    fn t_cred_3_a_day_of_idling_earns_144_beside_the_launch_credits() {
        let mut credits = fresh("t2.micro");
        credits.advance(86_400.0, 0.0);
        assert!((credits.balance() - 174.0).abs() < 1e-9);
        credits.advance(86_400.0, 0.0);
        assert!((credits.balance() - 174.0).abs() < 1e-9, "no more than a day's");
    }

    #[test]
    fn t_ec2_1_a_full_t2_micro_lasts_160_minutes_and_a_fresh_one_33() {
        let full = CreditsSpec { mode: None, earned: 144.0, launch: false };
        let size = Burstable::of("t2.micro").unwrap();
        let full = empty_after(Credits::of(size, &full), 1.0).unwrap();
        let new = empty_after(fresh("t2.micro"), 1.0).unwrap();
        // 30 credits, less 0.9 a minute net of what is earned; looked at once a second.
        let exact = 30.0 / 0.9;
        assert!(
            (full / 60.0 - 2.67).abs() < 0.005 && (new - exact).abs() < 1.0 / 30.0,
            "{full} {new}"
        );
    }

    #[test]
    fn t_ec2_2_borrowed_credits_cost_five_cents_a_vcpu_hour() {
        let mut credits = fresh("t3.nano");
        credits.advance(0.0, 0.42 * 3600.0);
        assert!((credits.surplus_vcpu_hours() * 0.05 - 0.021).abs() < 1e-12);
        // What is earned back is not charged.
        credits.advance(0.42 * 60.0 / 6.0 * 3600.0, 0.0);
        assert!(credits.surplus_vcpu_hours() < 1e-9);
    }
}
