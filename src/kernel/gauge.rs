//! A level over time: mean weighted by time, and the highest value.

use super::Time;

/// Time-weighted integer level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauge {
    level: u64,
    high: u64,
    since: Time,
    area: u128,
}

impl Gauge {
    /// The level now.
    pub fn level(&self) -> u64 {
        self.level
    }
    /// The highest level so far.
    pub fn high(&self) -> u64 {
        self.high
    }
    /// Sets the level from `now` on.
    pub fn set(&mut self, now: Time, level: u64) {
        self.area += u128::from(self.level) * u128::from(now.since(self.since).nanos());
        self.since = now;
        self.level = level;
        self.high = self.high.max(level);
    }
    /// Raises the level.
    pub fn add(&mut self, now: Time, n: u64) {
        self.set(now, self.level + n);
    }
    /// Lowers the level; below zero is our bug.
    pub fn sub(&mut self, now: Time, n: u64) {
        debug_assert!(n <= self.level, "a level below zero");
        self.set(now, self.level.saturating_sub(n));
    }
    /// Integral of the level up to `now`, level × nanoseconds.
    pub fn area(&self, now: Time) -> u128 {
        self.area + u128::from(self.level) * u128::from(now.since(self.since).nanos())
    }
    /// Mean level from the start to `now`; the level itself at time zero.
    pub fn mean(&self, now: Time) -> f64 {
        if now == Time::ZERO {
            self.level as f64
        } else {
            self.area(now) as f64 / now.nanos() as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_is_level_times_time() {
        let mut gauge = Gauge::default();
        gauge.add(Time::from_nanos(10), 3);
        gauge.sub(Time::from_nanos(20), 1);
        assert_eq!(gauge.area(Time::from_nanos(30)), 3 * 10 + 2 * 10);
        assert_eq!((gauge.level(), gauge.high()), (2, 3));
        assert!((gauge.mean(Time::from_nanos(50)) - 90.0 / 50.0).abs() < 1e-12);
    }
}
