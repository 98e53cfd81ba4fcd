//! Figures per interval, with a width that adapts so that any run ends with 128 to 256 intervals.
//!
//! Everything starts at 2^20 ns (about a millisecond) a bucket; when a run outgrows 256 buckets all series of the
//! run halve together. Widths are powers of two, so series of different replications always merge exactly.

use super::{Span, Time};

/// Number of buckets at which the width doubles.
const BUCKETS_MAX: u64 = 256;
const SHIFT_START: u32 = 20;

/// The common bucket width of a run's series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    shift: u32,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { shift: SHIFT_START }
    }
}

impl Clock {
    /// The bucket of `now`; widens first if need be.
    #[inline]
    pub fn bucket(&mut self, now: Time) -> u32 {
        while now.nanos() >> self.shift >= BUCKETS_MAX {
            self.shift += 1;
        }
        (now.nanos() >> self.shift) as u32
    }
    /// The wider of two clocks.
    pub fn widest(self, other: Clock) -> Clock {
        Clock { shift: self.shift.max(other.shift) }
    }
    /// Width of a bucket.
    pub fn width(self) -> Span {
        Span::from_nanos(1 << self.shift)
    }
}

/// Events per bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    shift: u32,
    cells: Vec<u64>,
}

impl Counts {
    /// Adds `n` to a bucket of `clock`.
    #[inline]
    pub fn add(&mut self, clock: Clock, bucket: u32, n: u64) {
        let bucket = bucket as usize;
        if self.shift == clock.shift
            && let Some(cell) = self.cells.get_mut(bucket)
        {
            *cell += n;
            return;
        }
        self.add_beyond(clock, bucket, n);
    }
    #[cold]
    fn add_beyond(&mut self, clock: Clock, bucket: usize, n: u64) {
        self.widen(clock);
        if bucket >= self.cells.len() {
            self.cells.resize(bucket + 1, 0);
        }
        self.cells[bucket] += n;
    }
    /// Brings the cells to the width of `clock`.
    pub fn widen(&mut self, clock: Clock) {
        if self.cells.is_empty() {
            self.shift = clock.shift;
        }
        while self.shift < clock.shift {
            self.cells = self.cells.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.shift += 1;
        }
    }
    /// Adds all of `other`, at the width of `clock` (not finer than either).
    pub fn merge(&mut self, clock: Clock, other: &Counts) {
        self.widen(clock);
        let mut other = other.clone();
        other.widen(clock);
        if other.cells.len() > self.cells.len() {
            self.cells.resize(other.cells.len(), 0);
        }
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine += theirs;
        }
    }
    /// The value of each bucket.
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }
    /// Sum over all buckets.
    pub fn total(&self) -> u64 {
        self.cells.iter().sum()
    }
}

/// A level over time: per bucket the integral (level × ns) and the highest value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    shift: u32,
    areas: Vec<u128>,
    highs: Vec<u64>,
    level: u64,
    since: Time,
    /// End of the bucket of the last change.
    until: Time,
    /// What that bucket has so far, besides what stands in the vectors.
    area: u128,
    high: u64,
}

impl Levels {
    /// The level now.
    pub fn level(&self) -> u64 {
        self.level
    }

    /// Sets the level from `now` on.
    #[inline]
    pub fn set(&mut self, clock: &mut Clock, now: Time, level: u64) {
        if now >= self.until {
            self.turn(clock, now);
        }
        self.area += u128::from(self.level) * u128::from(now.since(self.since).nanos());
        self.since = now;
        self.level = level;
        self.high = self.high.max(level);
    }

    /// Goes on to the bucket of `now`; the level has been the same since the last change.
    #[inline(never)]
    fn turn(&mut self, clock: &mut Clock, now: Time) {
        let bucket = clock.bucket(now);
        self.flush(*clock);
        let len = bucket as usize + 1;
        if len > self.areas.len() {
            self.areas.resize(len, 0);
            self.highs.resize(len, 0);
        }
        let width = clock.width().nanos();
        let begins = u64::from(bucket) * width;
        let mut at = self.since.nanos();
        while at < begins {
            let index = at >> clock.shift;
            let end = (index + 1) * width;
            self.areas[index as usize] += u128::from(self.level) * u128::from(end - at);
            let high = &mut self.highs[index as usize];
            *high = (*high).max(self.level);
            at = end;
        }
        self.since = Time::from_nanos(at);
        self.until = Time::from_nanos(begins + width);
        // A level that lasts into the bucket counts there; one that ends at its very beginning does not.
        self.high = if now.nanos() > at { self.level } else { 0 };
    }

    /// Writes down what the bucket of the last change has.
    fn flush(&mut self, clock: Clock) {
        self.widen(clock);
        let last = self.until.nanos().saturating_sub(1) >> clock.shift;
        if let (Some(area), Some(high)) =
            (self.areas.get_mut(last as usize), self.highs.get_mut(last as usize))
        {
            *area += std::mem::take(&mut self.area);
            *high = (*high).max(std::mem::take(&mut self.high));
        }
    }

    /// Completes the series at the end of the run.
    pub fn finish(&mut self, clock: &mut Clock, now: Time) {
        let level = self.level;
        self.set(clock, now, level);
        self.flush(*clock);
    }

    /// Brings the cells to the width of `clock`.
    pub fn widen(&mut self, clock: Clock) {
        if self.areas.is_empty() {
            self.shift = clock.shift;
        }
        while self.shift < clock.shift {
            self.areas = self.areas.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.highs =
                self.highs.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
            self.shift += 1;
        }
    }

    /// Integral of the level in each bucket, level × ns.
    pub fn areas(&self) -> &[u128] {
        &self.areas
    }
    /// Highest level in each bucket.
    pub fn highs(&self) -> &[u64] {
        &self.highs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    #[test]
    fn counts_survive_widening() {
        let mut clock = Clock::default();
        let mut counts = Counts::default();
        for ms in 0..100_000_u64 {
            let bucket = clock.bucket(Time::from_nanos(ms * 1_000_000));
            counts.add(clock, bucket, 1);
        }
        assert_eq!(counts.total(), 100_000);
        assert!((128..=256).contains(&counts.cells().len()), "{}", counts.cells().len());
    }

    #[test]
    fn levels_keep_their_integral() {
        let mut stream = Key::root(5, 0).stream();
        let mut clock = Clock::default();
        let mut levels = Levels::default();
        let (mut now, mut level, mut area) = (0_u64, 0_u64, 0_u128);
        for _ in 0..5_000 {
            let step = stream.below(40_000_000);
            area += u128::from(level) * u128::from(step);
            now += step;
            level = stream.below(100);
            levels.set(&mut clock, Time::from_nanos(now), level);
        }
        levels.finish(&mut clock, Time::from_nanos(now));
        assert_eq!(levels.areas().iter().sum::<u128>(), area);
        assert!(levels.areas().len() <= 600);
        assert!(levels.highs().iter().all(|&h| h < 100));
    }
}
