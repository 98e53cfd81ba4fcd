//! Entries of the far future, unsorted, in a wheel of wheels: level l has 64 buckets of 64^l key units each, after
//! G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels" (1987).
//!
//! An entry stands at the level of the highest digit (of six bits) in which its key differs from `base`, the smallest key that
//! may still come in. To add one is O(1); a bucket that comes up is handed out if it is small, and spread over the levels
//! below if it is large, so that an entry is touched about three times in all, in the order in which memory lies.

/// Buckets a level.
const BUCKETS: usize = 64;
const BITS: u32 = 6;
/// Levels: 11 digits of 6 bits cover 64.
const LEVELS: usize = 11;
/// A bucket with more entries than this is spread over the level below.
const BATCH: usize = 512;

/// An entry: key and slot.
pub(super) type Entry = (u64, u32);

/// The far future.
#[derive(Debug, Clone)]
pub(super) struct Wheel {
    /// No key is smaller; levels are counted from here.
    base: u64,
    /// The smallest key that may still come in.
    edge: u64,
    len: usize,
    /// By level: bit b is set if bucket b holds something.
    occupied: [u64; LEVELS],
    buckets: Vec<Vec<Entry>>,
}

impl Wheel {
    /// An empty wheel for keys from `edge` on.
    pub(super) fn new(edge: u64) -> Wheel {
        let buckets = vec![Vec::new(); LEVELS * BUCKETS];
        Wheel { base: edge, edge, len: 0, occupied: [0; LEVELS], buckets }
    }

    /// How many entries it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The smallest key that may still come in.
    pub(super) fn edge(&self) -> u64 {
        self.edge
    }

    /// Adds an entry; its key is not below [`Wheel::edge`].
    pub(super) fn push(&mut self, key: u64, slot: u32) {
        debug_assert!(key >= self.base, "an entry before the wheel's beginning");
        let level = (key ^ self.base | 1).ilog2() / BITS;
        let digit = (key >> (level * BITS)) as usize % BUCKETS;
        self.occupied[level as usize] |= 1 << digit;
        self.buckets[level as usize * BUCKETS + digit].push((key, slot));
        self.len += 1;
    }

    /// Hands out a batch with the smallest keys, unsorted, in `batch`, which is empty before; [`Wheel::edge`] is beyond it
    /// afterwards.
    pub(super) fn take(&mut self, batch: &mut Vec<Entry>) {
        while let Some(level) = self.occupied.iter().position(|bits| *bits != 0) {
            let digit = self.occupied[level].trailing_zeros();
            self.occupied[level] &= self.occupied[level] - 1;
            let bucket = &mut self.buckets[level * BUCKETS + digit as usize];
            let large = bucket.len() > BATCH;
            self.len -= bucket.len();
            let first = bucket.iter().map(|entry| entry.0).min().unwrap_or(self.base);
            // Inside the bucket: all that is left differs from it at this level or above, as it did from the old one.
            self.base = first;
            if large && bucket.iter().any(|entry| entry.0 != first) {
                // Large buckets give their memory back.
                let entries = std::mem::take(bucket);
                for (key, slot) in entries {
                    self.push(key, slot);
                }
                continue;
            }
            std::mem::swap(bucket, batch);
            // A large batch has one key alone.
            let shift = if large { 0 } else { level as u32 * BITS };
            self.edge = first | ((1 << shift) - 1);
            self.edge = self.edge.saturating_add(1);
            return;
        }
    }
}
