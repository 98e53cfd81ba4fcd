//! Token budgets: full at start, refilled continuously or in steps, never waited for.

use crate::kernel::{Span, Time};

/// Token bucket: full at start, refilled continuously, never waited for.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Tokens per second.
    rate: f64,
    size: f64,
    level: f64,
    since: Time,
}

impl Bucket {
    /// A full bucket of `size` tokens, refilled with `rate` tokens per second.
    pub fn new(rate: f64, size: f64) -> Bucket {
        Bucket { rate, size, level: size, since: Time::ZERO }
    }

    #[inline]
    fn refill(&mut self, now: Time) {
        let earned = now.since(self.since).as_secs_f64() * self.rate;
        self.level = (self.level + earned).min(self.size);
        self.since = now;
    }

    /// Takes a token if there is one.
    #[inline]
    pub fn take(&mut self, now: Time) -> bool {
        self.take_many(now, 1.0)
    }

    /// Takes `n` tokens if there are as many.
    #[inline]
    pub fn take_many(&mut self, now: Time, n: f64) -> bool {
        self.refill(now);
        // A billionth of a token forgives the rounding of the refill.
        let enough = self.level + 1e-9 >= n;
        if enough {
            self.level = (self.level - n).max(0.0);
        }
        enough
    }

    /// Changes rate and size; a bucket that was full is full again.
    pub fn set(&mut self, now: Time, rate: f64, size: f64) {
        self.refill(now);
        let full = self.level >= self.size;
        self.level = if full { size } else { self.level.min(size) };
        (self.rate, self.size) = (rate, size);
    }

    /// Adds tokens, never above the size.
    pub fn put(&mut self, n: f64) {
        self.level = (self.level + n).min(self.size);
    }

    /// Another rate and size; the tokens in it stay.
    pub fn resize(&mut self, now: Time, rate: f64, size: f64) {
        self.refill(now);
        self.rate = rate;
        self.size = size;
        self.level = self.level.min(size);
    }

    /// Tokens per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Tokens in the bucket.
    pub fn level(&mut self, now: Time) -> f64 {
        self.refill(now);
        self.level
    }
}

/// A budget that grows in steps: full at rest, and from the first token of a burst on so many more after every full period.
#[derive(Debug, Clone)]
pub struct Steps {
    size: i64,
    step: i64,
    period: Span,
    level: i64,
    since: Time,
}

impl Steps {
    /// A full budget of `size` tokens that gets `step` more every `period` of a burst.
    pub fn new(size: u32, step: u32, period: Span) -> Steps {
        let (size, step) = (i64::from(size), i64::from(step.max(1)));
        Steps { size, step, period, level: size, since: Time::ZERO }
    }

    fn refill(&mut self, now: Time) {
        if self.level == self.size {
            // At rest: a burst would begin now.
            self.since = now;
            return;
        }
        let period = self.period.nanos().max(1);
        let periods = now.since(self.since).nanos() / period;
        self.since += Span::from_nanos(periods * period);
        let steps = i64::try_from(periods).unwrap_or(i64::MAX).saturating_mul(self.step);
        self.level = self.level.saturating_add(steps).min(self.size);
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        self.refill(now);
        let enough = self.level > 0;
        self.level -= i64::from(enough);
        enough
    }

    /// Takes `n` tokens, those of the future too, and says when the last of them will be there.
    pub fn take_ahead(&mut self, n: u32, now: Time) -> Time {
        self.refill(now);
        self.level -= i64::from(n);
        let missing = u64::try_from(-self.level).unwrap_or(0);
        if missing == 0 {
            return now;
        }
        let periods = missing.div_ceil(self.step.unsigned_abs());
        self.since + Span::from_nanos(periods.saturating_mul(self.period.nanos()))
    }
}

/// A budget of either form.
#[derive(Debug, Clone)]
pub enum Budget {
    /// Refilled all the time.
    Continuous(Bucket),
    /// Refilled in steps.
    Stepwise(Steps),
}

impl Budget {
    /// Takes a token if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        match self {
            Budget::Continuous(bucket) => bucket.take(now),
            Budget::Stepwise(steps) => steps.take(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_after_full_periods_of_a_burst() {
        let at = |seconds| Time::ZERO + Span::from_secs(seconds);
        let mut steps = Steps::new(3000, 500, Span::from_secs(60));
        let mut all = |seconds| (0..10_000).filter(|_| steps.take(at(seconds))).count();
        // The burst begins at 100 s, not at a full minute.
        assert_eq!([100, 159, 160, 279, 280].map(&mut all), [3000, 0, 500, 500, 500]);
        // Unused steps add up to the size, and a new burst has its own minutes.
        assert_eq!([10_000, 10_059, 10_060].map(&mut all), [3000, 0, 500]);
        let mut steps = Steps::new(3000, 500, Span::from_secs(60));
        assert_eq!(steps.take_ahead(2000, at(5)), at(5));
        assert_eq!(steps.take_ahead(2001, at(6)), at(5 + 180));
        assert!(!steps.take(at(184)), "given away ahead");
    }

    fn passed(arrivals: &[(u64, u64)]) -> u64 {
        // API Gateway's account bucket: 10,000/s, 5,000 deep. Arrivals: (milliseconds, how many).
        let mut bucket = Bucket::new(10_000.0, 5_000.0);
        arrivals
            .iter()
            .map(|&(ms, n)| {
                (0..n).filter(|_| bucket.take(Time::from_nanos(ms * 1_000_000))).count() as u64
            })
            .sum()
    }

    #[test]
    fn t_gw_1_ten_per_millisecond_all_pass() {
        let arrivals: Vec<_> = (0..1000).map(|ms| (ms, 10)).collect();
        assert_eq!(passed(&arrivals), 10_000);
    }

    #[test]
    fn t_gw_2_ten_thousand_at_once_half_pass() {
        assert_eq!(passed(&[(0, 10_000)]), 5_000);
    }

    #[test]
    fn t_gw_3_five_thousand_then_spread_all_pass() {
        let mut arrivals = vec![(0, 5_000)];
        // 5,000 spread over the remaining 999 ms: five a millisecond, five more in the first five.
        arrivals.extend((1..1000).map(|ms| (ms, if ms <= 5 { 6 } else { 5 })));
        assert_eq!(arrivals.iter().map(|a| a.1).sum::<u64>(), 10_000);
        assert_eq!(passed(&arrivals), 10_000);
    }

    #[test]
    fn t_gw_4_five_thousand_and_five_thousand_100_ms_later() {
        assert_eq!(passed(&[(0, 5_000), (100, 5_000)]), 6_000);
        // AWS's guide says 6,000 at the "101st millisecond"; the arithmetic at 101 ms gives 6,010.
        assert_eq!(passed(&[(0, 5_000), (101, 5_000)]), 6_010);
    }

    #[test]
    fn t_gw_5_the_burst_is_earned_back() {
        let mut arrivals = vec![(0, 5_000), (101, 1_000)];
        // 4,000 over the last 899 ms: four a millisecond, and 404 left over in the first ones.
        arrivals.extend((101..1000).map(|ms| (ms, if ms < 505 { 5 } else { 4 })));
        assert_eq!(arrivals.iter().map(|a| a.1).sum::<u64>(), 10_000);
        assert_eq!(passed(&arrivals), 10_000);
    }
}
