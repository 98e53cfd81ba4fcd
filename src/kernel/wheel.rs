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
const BATCH: usize = 2_048;

/// An entry: key and slot.
pub(super) type Entry = (u64, u32);

/// Entries of one bucket, in pieces that go from bucket to bucket: memory is what is pending, whatever moves.
#[derive(Debug, Clone)]
struct Chunk {
    entries: [Entry; CHUNK],
    /// The next of the bucket, or of those that are free.
    next: u32,
}

const CHUNK: usize = 31;
const NIL: u32 = u32::MAX;

/// A bucket: its first chunk, how many entries it holds, all chunks but the first being full.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    chunk: u32,
    len: u32,
}

const EMPTY: Bucket = Bucket { chunk: NIL, len: 0 };

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
    buckets: Vec<Bucket>,
    chunks: Vec<Chunk>,
    free: u32,
}

impl Wheel {
    /// An empty wheel for keys from `edge` on.
    pub(super) fn new(edge: u64) -> Wheel {
        Wheel {
            base: edge,
            edge,
            len: 0,
            occupied: [0; LEVELS],
            buckets: vec![EMPTY; LEVELS * BUCKETS],
            chunks: Vec::new(),
            free: NIL,
        }
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
    #[inline]
    pub(super) fn push(&mut self, key: u64, slot: u32) {
        debug_assert!(key >= self.base, "an entry before the wheel's beginning");
        let level = (key ^ self.base | 1).ilog2() / BITS;
        let digit = (key >> (level * BITS)) as usize % BUCKETS;
        self.occupied[level as usize] |= 1 << digit;
        let at = level as usize * BUCKETS + digit;
        let Bucket { mut chunk, len } = self.buckets[at];
        let place = len as usize % CHUNK;
        if place == 0 {
            chunk = self.chunk(chunk);
        }
        self.chunks[chunk as usize].entries[place] = (key, slot);
        self.buckets[at] = Bucket { chunk, len: len + 1 };
        self.len += 1;
    }

    /// A chunk in front of `next`.
    fn chunk(&mut self, next: u32) -> u32 {
        let at = self.free;
        if let Some(chunk) = self.chunks.get_mut(at as usize) {
            self.free = std::mem::replace(&mut chunk.next, next);
            return at;
        }
        self.chunks.push(Chunk { entries: [(0, 0); CHUNK], next });
        (self.chunks.len() - 1) as u32
    }

    /// Hands every entry of a bucket to `to` and frees its chunks on the way.
    fn empty(&mut self, bucket: Bucket, mut to: impl FnMut(&mut Wheel, Entry)) {
        let mut at = bucket.chunk;
        let mut held = (bucket.len as usize - 1) % CHUNK + 1;
        while at != NIL {
            let Chunk { entries, next } = self.chunks[at as usize].clone();
            self.chunks[at as usize].next = self.free;
            self.free = at;
            // Backwards, as the run is read: entries of one key then need no sorting.
            for entry in entries[..held].iter().rev() {
                to(self, *entry);
            }
            (at, held) = (next, CHUNK);
        }
    }

    /// Smallest and largest key of a bucket.
    fn range(&self, bucket: Bucket) -> (u64, u64) {
        let (mut low, mut high) = (u64::MAX, 0);
        let mut at = bucket.chunk;
        let mut held = (bucket.len as usize - 1) % CHUNK + 1;
        while let Some(Chunk { entries, next }) = self.chunks.get(at as usize) {
            for (key, _) in &entries[..held] {
                (low, high) = (low.min(*key), high.max(*key));
            }
            (at, held) = (*next, CHUNK);
        }
        (low, high)
    }

    /// Hands out a batch with the smallest keys, unsorted, in `batch`; [`Wheel::edge`] is beyond it afterwards.
    pub(super) fn take(&mut self, batch: &mut Vec<Entry>) {
        while let Some(level) = self.occupied.iter().position(|bits| *bits != 0) {
            let digit = self.occupied[level].trailing_zeros();
            self.occupied[level] &= self.occupied[level] - 1;
            let at = level * BUCKETS + digit as usize;
            let bucket = std::mem::replace(&mut self.buckets[at], EMPTY);
            self.len -= bucket.len as usize;
            let (first, last) = self.range(bucket);
            // Inside the bucket: all that is left differs from it at this level or above, as it did from the old one.
            self.base = first;
            let large = bucket.len as usize > BATCH;
            if large && first < last {
                self.empty(bucket, |wheel, (key, slot)| wheel.push(key, slot));
                continue;
            }
            batch.reserve(bucket.len as usize);
            self.empty(bucket, |_, entry| batch.push(entry));
            // A large batch has one key alone.
            let shift = if large { 0 } else { level as u32 * BITS };
            self.edge = (first | ((1 << shift) - 1)).saturating_add(1);
            return;
        }
    }
}
