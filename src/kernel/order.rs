//! The order of events: by time, then by rank, then by age.
//!
//! Time and rank make one key of 64 bits, so that to compare two events is to compare two integers.

use super::Time;

/// Who goes first among events of the same nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Work that ends: frees places.
    Completion = 0,
    /// Requests that arrive: take places.
    Arrival = 1,
    /// Limits that run out: an answer at the same nanosecond still counts.
    Timeout = 2,
}

const RANK_BITS: u32 = 2;
/// Latest time at which an event may lie, 146 years; "never" is later.
const LAST: u64 = u64::MAX >> (RANK_BITS + 1);
/// No event has so late a key.
pub(super) const NEVER: u64 = u64::MAX;

/// The key of an event.
#[inline]
pub(super) fn key(at: Time, rank: Rank) -> u64 {
    at.nanos().min(LAST) << RANK_BITS | rank as u64
}

/// The time in a key.
#[inline]
pub(super) fn time(key: u64) -> Time {
    Time::from_nanos(key >> RANK_BITS)
}
