//! A 4-ary min-heap of (key, value) with the keys in an array of their own.
//!
//! Four children stand in one cache line of 16-byte keys, and the choice of the smallest is free of
//! unpredictable branches. `pop` leaves the root vacant, because the handler of an event mostly pushes the
//! next one at once: that push then costs one sift-down instead of a sift-up and an earlier sift-down.
//! Equal keys do not occur: the queue puts a sequence number in the low bits.

const ARITY: usize = 4;

/// Min-heap ordered by a unique `u128` key.
#[derive(Debug, Clone)]
pub struct Heap<V> {
    keys: Vec<u128>,
    values: Vec<V>,
    /// Whether the root was taken and not yet refilled; then `keys[0]` is meaningless.
    vacant: bool,
}

impl<V: Copy> Default for Heap<V> {
    fn default() -> Self {
        Heap { keys: Vec::new(), values: Vec::new(), vacant: false }
    }
}

impl<V: Copy> Heap<V> {
    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.keys.len() - usize::from(self.vacant)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry. O(log4 n).
    pub fn push(&mut self, key: u128, value: V) {
        if self.vacant {
            self.vacant = false;
            self.sift_down(key, value);
        } else {
            self.keys.push(key);
            self.values.push(value);
            self.sift_up(self.keys.len() - 1, key, value);
        }
    }

    /// Takes the entry with the smallest key. O(log4 n).
    pub fn pop(&mut self) -> Option<(u128, V)> {
        self.refill();
        let (&key, &value) = (self.keys.first()?, self.values.first()?);
        self.vacant = true;
        Some((key, value))
    }

    /// The smallest key.
    pub fn peek(&mut self) -> Option<u128> {
        self.refill();
        self.keys.first().copied()
    }

    /// Closes the gap that the last `pop` left, with the last entry.
    fn refill(&mut self) {
        if !self.vacant {
            return;
        }
        self.vacant = false;
        if let (Some(key), Some(value)) = (self.keys.pop(), self.values.pop())
            && !self.keys.is_empty()
        {
            self.sift_down(key, value);
        }
    }

    fn sift_up(&mut self, mut at: usize, key: u128, value: V) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.keys[parent] <= key {
                break;
            }
            self.keys[at] = self.keys[parent];
            self.values[at] = self.values[parent];
            at = parent;
        }
        self.keys[at] = key;
        self.values[at] = value;
    }

    /// Lets (key, value) sink from the vacant root.
    fn sift_down(&mut self, key: u128, value: V) {
        let keys = self.keys.as_mut_slice();
        let values = &mut self.values[..keys.len()];
        let mut at = 0;
        loop {
            let first = at * ARITY + 1;
            let (child, least) = if let Some(four) = keys.get(first..first + ARITY) {
                let (a, ka) = if four[1] < four[0] { (1, four[1]) } else { (0, four[0]) };
                let (b, kb) = if four[3] < four[2] { (3, four[3]) } else { (2, four[2]) };
                if kb < ka { (first + b, kb) } else { (first + a, ka) }
            } else {
                let rest = keys.get(first..).unwrap_or(&[]);
                match rest.iter().enumerate().min_by_key(|&(_, k)| *k) {
                    Some((i, &k)) => (first + i, k),
                    None => break,
                }
            };
            if key < least {
                break;
            }
            keys[at] = least;
            values[at] = values[child];
            at = child;
        }
        keys[at] = key;
        values[at] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_sorted_map_on_random_operations() {
        for seed in 0..50 {
            let mut stream = Key::root(seed, 0).stream();
            let mut heap = Heap::default();
            let mut twin = BTreeMap::new();
            for step in 0..2_000_u64 {
                if stream.below(5) < 3 {
                    let key = u128::from(stream.below(1 << 12)) << 64 | u128::from(step);
                    heap.push(key, step);
                    twin.insert(key, step);
                } else {
                    assert_eq!(heap.pop(), twin.pop_first(), "seed {seed} step {step}");
                }
                assert_eq!(heap.len(), twin.len());
                if stream.below(7) == 0 {
                    assert_eq!(heap.peek(), twin.first_key_value().map(|(k, _)| *k));
                }
            }
            while let Some(entry) = twin.pop_first() {
                assert_eq!(heap.pop(), Some(entry));
            }
            assert_eq!(heap.pop(), None);
        }
    }
}
