//! A token bucket: full at start, refilled continuously, never waited for.

use crate::kernel::Time;

/// Token bucket in integer nano-tokens, so that no rounding accumulates.
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

    fn refill(&mut self, now: Time) {
        let earned = now.since(self.since).as_secs_f64() * self.rate;
        self.level = (self.level + earned).min(self.size);
        self.since = now;
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        self.take_many(now, 1.0)
    }

    /// Takes `n` tokens if there are as many.
    pub fn take_many(&mut self, now: Time, n: f64) -> bool {
        self.refill(now);
        // A billionth of a token forgives the rounding of the refill.
        let enough = self.level + 1e-9 >= n;
        if enough {
            self.level = (self.level - n).max(0.0);
        }
        enough
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

    /// Tokens in the bucket.
    pub fn level(&mut self, now: Time) -> f64 {
        self.refill(now);
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
