//! Entries of the far future, unsorted, in a wheel of wheels: level l has 64 buckets of 64^l key units each, after
//! G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels" (1987).
//!
//! An entry stands at the level of the highest digit (of six bits) in which its key differs from `base`. To add one is O(1); a
//! bucket that comes up is handed out if it is small, and spread over the levels below if it is large. Whatever moves, moves
//! whole and in the order in which memory lies: with a million pending, an index into rows would miss the cache at every event.
//!
//! Entries of one key stay in the order in which they came, so nothing here looks at what they hold.

/// Buckets a level.
const BUCKETS: usize = 1 << BITS;
const BITS: u32 = 6;
/// Levels: 11 digits of 6 bits cover 64.
const LEVELS: usize = 11;
/// A bucket with more entries than this is spread over the levels below. To sort some hundred numbers costs less than to move
/// what belongs to them once more.
pub(super) const BATCH: usize = 512;
/// Bits that are left for the distance of a key from the batch's start, where the place in the batch takes the others.
const KEY_BITS: u32 = u64::BITS - BATCH.ilog2();

/// What waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<V> {
    pub(super) key: u64,
    pub(super) sequence: u64,
    pub(super) value: V,
}

/// Entries of a bucket lie in pieces that go from bucket to bucket: memory is what is pending, whatever moves.
const CHUNK: usize = 32;
const NIL: u32 = u32::MAX;

/// A bucket: its first and last chunk, how many entries it holds, all chunks but the last being full.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: u32,
    last: u32,
    len: u32,
    /// A key that it holds, and the bits in which others differ from it.
    key: u64,
    differ: u64,
}

const EMPTY: Bucket = Bucket { first: NIL, last: NIL, len: 0, key: 0, differ: 0 };

/// The far future.
#[derive(Debug, Clone)]
pub(super) struct Wheel<V> {
    /// No key is smaller; levels are counted from here.
    base: u64,
    /// The smallest key that may still come in.
    edge: u64,
    len: usize,
    /// By level: bit b is set if bucket b holds something.
    occupied: [u64; LEVELS],
    buckets: Vec<Bucket>,
    /// Chunk c holds [`CHUNK`] of these from c · [`CHUNK`] on.
    entries: Vec<Entry<V>>,
    /// By chunk: the next of its bucket, or of those that are free.
    next: Vec<u32>,
    free: u32,
}

/// A number whose lowest `width` bits are set.
fn low(width: u32) -> u64 {
    1_u64.unbounded_shl(width).wrapping_sub(1)
}

impl<V> Default for Wheel<V> {
    fn default() -> Self {
        Wheel {
            base: 0,
            edge: 0,
            len: 0,
            occupied: [0; LEVELS],
            buckets: vec![EMPTY; LEVELS * BUCKETS],
            entries: Vec::new(),
            next: Vec::new(),
            free: NIL,
        }
    }
}

impl<V: Copy> Wheel<V> {
    /// How many entries it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The smallest key that may still come in.
    pub(super) fn edge(&self) -> u64 {
        self.edge
    }

    /// Adds an entry; its key is not below [`Wheel::edge`], and it is younger than all of its key.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<V>) {
        self.len += 1;
        self.put(entry);
    }

    /// Puts an entry where it belongs.
    #[inline]
    fn put(&mut self, entry: Entry<V>) {
        let key = entry.key;
        debug_assert!(key >= self.base, "an entry before the wheel's beginning");
        let level = (key ^ self.base | 1).ilog2() / BITS;
        let digit = (key >> (level * BITS)) as usize % BUCKETS;
        self.occupied[level as usize] |= 1 << digit;
        let at = level as usize * BUCKETS + digit;
        let bucket = &mut self.buckets[at];
        let place = bucket.len as usize % CHUNK;
        bucket.len += 1;
        bucket.differ |= bucket.key ^ key;
        if place == 0 {
            // In parts, which stay in registers: an entry would have to be put together in memory, here and above.
            return self.extend(at, entry.key, entry.sequence, entry.value);
        }
        self.entries[bucket.last as usize * CHUNK + place] = entry;
    }

    /// Puts an entry into a new chunk at the end of a bucket.
    #[inline(never)]
    fn extend(&mut self, at: usize, key: u64, sequence: u64, value: V) {
        let entry = Entry { key, sequence, value };
        let mut chunk = self.free;
        if let Some(next) = self.next.get_mut(chunk as usize) {
            self.free = std::mem::replace(next, NIL);
            self.entries[chunk as usize * CHUNK] = entry;
        } else {
            chunk = self.next.len() as u32;
            self.next.push(NIL);
            self.entries.resize(self.entries.len() + CHUNK, entry);
        }
        let bucket = &mut self.buckets[at];
        match self.next.get_mut(bucket.last as usize) {
            Some(next) => *next = chunk,
            None => (bucket.first, bucket.key, bucket.differ) = (chunk, key, 0),
        }
        bucket.last = chunk;
    }

    /// Moves the entries of a bucket to the levels below.
    fn spread(&mut self, bucket: Bucket) {
        let (mut chunk, mut left) = (bucket.first, bucket.len as usize);
        while left > 0 {
            let start = chunk as usize * CHUNK;
            let held = left.min(CHUNK);
            for at in start..start + held {
                self.put(self.entries[at]);
            }
            left -= held;
            chunk = self.give_back(chunk);
        }
    }

    /// Frees a chunk and returns the next of its bucket.
    fn give_back(&mut self, chunk: u32) -> u32 {
        let next = std::mem::replace(&mut self.next[chunk as usize], self.free);
        self.free = chunk;
        next
    }

    /// Adds a batch with the smallest keys to `to`, those of one key by age, else unsorted: at most [`BATCH`] entries. No key of it
    /// is before the number returned, and none more than 2^[`KEY_BITS`] after.
    pub(super) fn take(&mut self, to: &mut Vec<Entry<V>>) -> u64 {
        while let Some(level) = self.occupied.iter().position(|bits| *bits != 0) {
            let at = level * BUCKETS + self.occupied[level].trailing_zeros() as usize;
            let bucket = std::mem::replace(&mut self.buckets[at], EMPTY);
            self.occupied[level] &= self.occupied[level] - 1;
            let width = u64::BITS - bucket.differ.leading_zeros();
            // Inside the bucket: all that is left differs from it at this level or above, as it did from the old one.
            self.base = bucket.key & !low(width);
            if width == 0 || bucket.len as usize <= BATCH && width <= KEY_BITS {
                self.hand_out(bucket, to);
                return self.base;
            }
            self.spread(bucket);
        }
        u64::MAX
    }

    /// Hands out the first [`BATCH`] entries of a bucket, which has more only if all are of one key.
    fn hand_out(&mut self, mut bucket: Bucket, to: &mut Vec<Entry<V>>) {
        let batch = (bucket.len as usize).min(BATCH);
        let mut left = batch;
        while left > 0 {
            let start = bucket.first as usize * CHUNK;
            let held = left.min(CHUNK);
            to.extend_from_slice(&self.entries[start..start + held]);
            left -= held;
            bucket.first = self.give_back(bucket.first);
        }
        self.len -= batch;
        bucket.len -= batch as u32;
        if bucket.len > 0 {
            let digit = bucket.key as usize % BUCKETS;
            self.buckets[digit] = bucket;
            self.occupied[0] |= 1 << digit;
        }
    }

    /// What comes in from now on is beyond `last`, the largest key of the batch that was taken, or younger.
    pub(super) fn advance(&mut self, last: u64) {
        self.base = last;
        // Some of that key may not have been handed out yet.
        let left = self.occupied[0] >> (last % BUCKETS as u64) & 1;
        self.edge = last.saturating_add(1 - left);
    }
}
