//! Simulated time: whole nanoseconds in two types, so that order never hangs on a rounding.

use std::ops::{Add, AddAssign, Mul, Sub};

/// A point on the run's clock, nanoseconds since its start. 584 years fit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(u64);

/// A length of time, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Span(u64);

impl Time {
    /// The start of the run.
    pub const ZERO: Time = Time(0);
    /// Later than any event.
    pub const MAX: Time = Time(u64::MAX);
    /// From nanoseconds since the start.
    #[inline]
    pub const fn from_nanos(ns: u64) -> Time {
        Time(ns)
    }
    /// Nanoseconds since the start.
    #[inline]
    pub const fn nanos(self) -> u64 {
        self.0
    }
    /// Seconds since the start.
    #[inline]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-9
    }
    /// Time since `earlier`, zero if that lies in the future.
    #[inline]
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// Longer than any run; used for "no limit".
    pub const MAX: Span = Span(u64::MAX >> 1);
    /// From nanoseconds.
    #[inline]
    pub const fn from_nanos(ns: u64) -> Span {
        Span(ns)
    }
    /// From microseconds.
    #[inline]
    pub const fn from_micros(us: u64) -> Span {
        Span(us * 1_000)
    }
    /// From milliseconds.
    #[inline]
    pub const fn from_millis(ms: u64) -> Span {
        Span(ms * 1_000_000)
    }
    /// From whole seconds.
    #[inline]
    pub const fn from_secs(s: u64) -> Span {
        Span(s * 1_000_000_000)
    }
    /// From seconds, to the nearest nanosecond; negative and NaN count as zero, huge values as [`Span::MAX`].
    #[inline]
    pub fn from_secs_f64(s: f64) -> Span {
        Span::from_nanos_f64(s * 1e9)
    }
    /// From nanoseconds, to the nearest whole one; negative and NaN count as zero, huge values as [`Span::MAX`].
    #[inline]
    pub fn from_nanos_f64(ns: f64) -> Span {
        // `as` saturates and makes NaN 0. Processors convert signed numbers in one step, unsigned ones in ten.
        Span(((ns + 0.5) as i64).max(0).cast_unsigned())
    }
    /// Nanoseconds.
    #[inline]
    pub const fn nanos(self) -> u64 {
        self.0
    }
    /// Nanoseconds as a real number.
    #[inline]
    pub fn nanos_f64(self) -> f64 {
        self.0.min(Span::MAX.0).cast_signed() as f64
    }
    /// Seconds.
    #[inline]
    pub fn as_secs_f64(self) -> f64 {
        self.nanos_f64() * 1e-9
    }
    /// Whether this is no time at all.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// `self − other`, zero if `other` is longer.
    #[inline]
    pub fn minus(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
    /// The length times a factor, to the nearest nanosecond.
    #[inline]
    pub fn scaled(self, factor: f64) -> Span {
        Span::from_nanos_f64(self.nanos_f64() * factor)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    #[inline]
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}
impl AddAssign<Span> for Time {
    #[inline]
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}
impl Sub for Time {
    type Output = Span;
    #[inline]
    fn sub(self, earlier: Time) -> Span {
        debug_assert!(earlier <= self, "time ran backwards");
        self.since(earlier)
    }
}
impl Add for Span {
    type Output = Span;
    #[inline]
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0).min(Span::MAX.0))
    }
}
impl Mul<u64> for Span {
    type Output = Span;
    #[inline]
    fn mul(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n).min(Span::MAX.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_to_the_nearest_nanosecond() {
        assert_eq!(Span::from_secs_f64(1.5e-9).nanos(), 2);
        assert_eq!(Span::from_secs_f64(0.3), Span::from_millis(300));
        assert_eq!(Span::from_secs_f64(-1.0), Span::ZERO);
        assert_eq!(Span::from_secs_f64(f64::NAN), Span::ZERO);
        assert_eq!(Span::from_secs_f64(f64::INFINITY), Span::MAX);
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Time::MAX + Span::from_secs(1), Time::MAX);
        assert_eq!(Span::MAX + Span::MAX, Span::MAX);
        assert_eq!(Time::ZERO.since(Time::from_nanos(5)), Span::ZERO);
    }
}
