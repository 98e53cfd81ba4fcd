//! The next of some 8-byte keys, each with a slot number beside it: a sorted list while they are few, then a 4-ary min-heap.
//!
//! Where only some tens wait, to move a handful of neighbours costs less than to sift, and to take the next costs nothing. In the
//! heap four children stand in a cache line of their own, and the choice of the smallest is free of unpredictable
//! branches. `pop` leaves the root vacant, because the handler of an event mostly adds the next one at once: to replace the root
//! then costs one sift-down instead of a sift-up and an earlier sift-down, and the slot is used again. Among equal keys the order
//! is arbitrary; the heap says when there are any, and [`Pending`](super::pending::Pending) puts them in order.

use std::cmp::Reverse;
use std::hint::select_unpredictable;

/// Four siblings in a cache line of their own. Places that are not taken hold the key [`u64::MAX`].
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Four {
    keys: [u64; 4],
    slots: [u32; 4],
}

impl Four {
    #[inline]
    fn set(&mut self, place: usize, key: u64, slot: u32) {
        self.keys[place] = key;
        self.slots[place] = slot;
    }
}

/// So many below the first stand in the sorted list at most.
const FEW: usize = 32;
/// A heap with no more below its root becomes a sorted list again.
const FEW_AGAIN: usize = 12;

const NOTHING: Four = Four { keys: [u64::MAX; 4], slots: [0; 4] };

/// Min-heap of (key, slot).
#[derive(Debug, Clone)]
pub(super) struct Heap {
    /// The smallest, or what was taken last while `vacant`. With the key [`u64::MAX`] the heap is empty.
    root: (u64, u32),
    vacant: bool,
    /// How many stand below the root.
    below: usize,
    /// What stands below the root while that is few, in descending order: the next is the last.
    few: [(u64, u32); FEW],
    /// The children of the root are group 0, those of place p group p + 1. Empty while there are few.
    fours: Vec<Four>,
}

impl Default for Heap {
    fn default() -> Self {
        Heap {
            root: (u64::MAX, 0),
            vacant: false,
            below: 0,
            few: [(u64::MAX, 0); FEW],
            fours: Vec::new(),
        }
    }
}

/// The least of four: its number and key.
fn least(four: &[u64; 4]) -> (usize, u64) {
    let (left, right) = (four[1] < four[0], four[3] < four[2]);
    let first = select_unpredictable(left, four[1], four[0]);
    let second = select_unpredictable(right, four[3], four[2]);
    let last = second < first;
    let at = select_unpredictable(last, 2 + usize::from(right), usize::from(left));
    (at, select_unpredictable(last, second, first))
}

/// Puts an entry in its place of a descending list whose last place is free.
#[inline(always)]
fn sort_in(few: &mut [(u64, u32)], entry: (u64, u32)) {
    let Some(mut free) = few.len().checked_sub(1) else { return };
    while free > 0 && few[free - 1].0 < entry.0 {
        few[free] = few[free - 1];
        free -= 1;
    }
    few[free] = entry;
}

impl Heap {
    /// How many entries wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.below + usize::from(!self.vacant && self.root.0 != u64::MAX)
    }

    /// The slot of the entry that was taken, while nothing stands in its place.
    #[inline(always)]
    pub(super) fn vacant(&self) -> Option<u32> {
        self.vacant.then_some(self.root.1)
    }

    /// Puts an entry in the place of the one that was taken, with its slot. O(log4 n).
    #[inline(always)]
    pub(super) fn replace(&mut self, key: u64) {
        debug_assert!(self.vacant, "nothing was taken");
        self.vacant = false;
        if self.fours.is_empty() {
            self.sink(key, self.root.1);
        } else {
            self.sift_down(key, self.root.1);
        }
    }

    /// Adds an entry; the root is not vacant. O(log4 n).
    #[inline(always)]
    pub(super) fn push(&mut self, key: u64, slot: u32) {
        debug_assert!(!self.vacant, "replace costs less");
        if self.below == FEW && self.fours.is_empty() {
            self.grow();
        }
        if !self.fours.is_empty() {
            return self.push_heap(key, slot);
        }
        if self.root.0 == u64::MAX {
            self.root = (key, slot);
            return;
        }
        self.below += 1;
        let mut later = (key, slot);
        if key < self.root.0 {
            later = std::mem::replace(&mut self.root, later);
        }
        sort_in(&mut self.few[..self.below], later);
    }

    /// Makes a heap of the sorted list: in ascending order it is one already.
    #[cold]
    fn grow(&mut self) {
        self.fours.resize(FEW / 4, NOTHING);
        for (at, (key, slot)) in self.few.iter().rev().enumerate() {
            self.fours[at / 4].set(at % 4, *key, *slot);
        }
    }

    /// Adds an entry to the heap.
    #[inline(always)]
    fn push_heap(&mut self, key: u64, slot: u32) {
        let at = self.below;
        self.below += 1;
        if at / 4 == self.fours.len() {
            self.fours.push(NOTHING);
        }
        self.sift_up(at, key, slot);
    }

    /// Takes an entry with the smallest key; there is one. Its place has to be filled with [`Heap::replace`] or closed with
    /// [`Heap::close`] before anything else.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> (u64, u32) {
        debug_assert!(self.len() > 0 && !self.vacant, "nothing to take");
        self.vacant = true;
        self.root
    }

    /// The smallest key; the largest number there is if the heap is empty.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        debug_assert!(!self.vacant, "the root was taken");
        self.root.0
    }

    /// Whether another entry has the key that was taken last, whose place is vacant.
    #[inline(always)]
    pub(super) fn tied(&self, key: u64) -> bool {
        match self.fours.first() {
            Some(four) => four.keys.contains(&key),
            None => self.few[..self.below].last().is_some_and(|next| next.0 == key),
        }
    }

    /// The slot of the first entry, unless it was taken just now.
    #[inline]
    pub(super) fn front(&self) -> Option<u32> {
        (!self.vacant && self.root.0 != u64::MAX).then_some(self.root.1)
    }

    /// The slots of the next two entries while the place of the one that was taken is vacant: of the first surely, of the second most
    /// likely.
    #[inline]
    pub(super) fn soon(&self) -> [Option<u32>; 2] {
        let Some(four) = self.fours.first() else {
            let mut slots = self.few[..self.below].iter().rev().map(|entry| entry.1);
            return [slots.next(), slots.next()];
        };
        let mut keys = four.keys;
        let (first, key) = least(&keys);
        keys[first] = u64::MAX;
        let (second, later) = least(&keys);
        let slot = |at: usize, key| (key != u64::MAX).then(|| four.slots[at]);
        [slot(first, key), slot(second, later)]
    }

    /// All entries, in no order; the heap is empty afterwards.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, u32)> + use<> {
        debug_assert!(!self.vacant, "the root was taken");
        let Heap { root, fours, below, few, .. } = std::mem::take(self);
        let entry = move |at: usize| match fours.get(at / 4) {
            Some(four) => (four.keys[at % 4], four.slots[at % 4]),
            None => few[at],
        };
        let first = (root.0 != u64::MAX).then_some(root);
        first.into_iter().chain((0..below).map(entry))
    }

    /// Closes the gap that the last `pop` left.
    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.vacant = false;
        if !self.fours.is_empty() {
            return self.close_heap();
        }
        match self.few[..self.below].last() {
            Some(next) => {
                self.root = *next;
                self.below -= 1;
            }
            None => self.root.0 = u64::MAX,
        }
    }

    /// Closes the gap with the last entry of the heap; what is left may be few.
    #[inline(never)]
    fn close_heap(&mut self) {
        self.below -= 1;
        let (group, place) = (self.below / 4, self.below % 4);
        let four = &mut self.fours[group];
        let (key, slot) = (four.keys[place], four.slots[place]);
        four.keys[place] = u64::MAX;
        if place == 0 {
            self.fours.truncate(group);
        }
        self.sift_down(key, slot);
        if self.below <= FEW_AGAIN {
            let few = &mut self.few[..self.below];
            for (at, entry) in few.iter_mut().enumerate() {
                *entry = (self.fours[at / 4].keys[at % 4], self.fours[at / 4].slots[at % 4]);
            }
            few.sort_unstable_by_key(|entry| Reverse(entry.0));
            self.fours.clear();
        }
    }

    fn sift_up(&mut self, mut at: usize, key: u64, slot: u32) {
        let mut rising = (key, slot);
        while at >= 4 {
            let parent = at / 4 - 1;
            let above = &self.fours[parent / 4];
            let (moved, moved_slot) = (above.keys[parent % 4], above.slots[parent % 4]);
            if moved <= key {
                return self.fours[at / 4].set(at % 4, key, slot);
            }
            self.fours[at / 4].set(at % 4, moved, moved_slot);
            at = parent;
        }
        if key < self.root.0 {
            rising = std::mem::replace(&mut self.root, rising);
        }
        self.fours[at / 4].set(at % 4, rising.0, rising.1);
    }

    /// Lets (key, slot) go from the vacant root to its place.
    #[inline(never)]
    fn sink(&mut self, key: u64, slot: u32) {
        let few = &mut self.few[..self.below];
        match few.last() {
            Some(next) if next.0 < key => {
                self.root = *next;
                sort_in(few, (key, slot));
            }
            _ => self.root = (key, slot),
        }
    }

    /// Lets (key, slot) sink from the vacant root of the heap.
    #[inline(never)]
    fn sift_down(&mut self, key: u64, slot: u32) {
        let fours = self.fours.as_mut_slice();
        self.root = (key, slot);
        let Some(four) = fours.first() else { return };
        let (mut place, up) = least(&four.keys);
        if up >= key {
            return;
        }
        self.root = (up, four.slots[place]);
        let mut group = 0;
        loop {
            let below = 4 * group + place + 1;
            let Some(four) = fours.get(below) else { break };
            let (child, least) = least(&four.keys);
            if least >= key {
                break;
            }
            let moved = four.slots[child];
            fours[group].set(place, least, moved);
            (group, place) = (below, child);
        }
        fours[group].set(place, key, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::BTreeMap;

    fn pop(heap: &mut Heap) -> Option<(u64, u32)> {
        (heap.len() > 0).then(|| {
            let first = heap.pop();
            heap.close();
            first
        })
    }

    #[test]
    fn agrees_with_a_sorted_map_on_random_operations() {
        for seed in 0..50 {
            let mut stream = Key::root(seed, 0).stream();
            let mut heap = Heap::default();
            let mut twin = BTreeMap::new();
            for step in 0..2_000_u64 {
                if stream.below(5) < 3 {
                    let key = stream.below(1 << 12) << 32 | step;
                    heap.push(key, step as u32);
                    twin.insert(key, step as u32);
                } else if heap.len() > 0 && stream.below(2) == 0 {
                    let first = heap.pop();
                    assert_eq!(Some(first), twin.pop_first(), "seed {seed} step {step}");
                    assert_eq!((heap.vacant(), heap.len()), (Some(first.1), twin.len()));
                    let key = stream.below(1 << 12) << 32 | step;
                    heap.replace(key);
                    twin.insert(key, first.1);
                } else {
                    assert_eq!(pop(&mut heap), twin.pop_first(), "seed {seed} step {step}");
                }
                assert_eq!(heap.len(), twin.len());
                if stream.below(7) == 0 {
                    assert_eq!(heap.peek(), twin.first_key_value().map_or(u64::MAX, |(k, _)| *k));
                }
            }
            while let Some(entry) = twin.pop_first() {
                assert_eq!(pop(&mut heap), Some(entry));
            }
            assert_eq!(pop(&mut heap), None);
        }
    }

    #[test]
    fn says_whether_the_least_key_is_there_again() {
        let mut heap = Heap::default();
        [7, 3, 9, 3, 3].into_iter().enumerate().for_each(|(slot, key)| heap.push(key, slot as u32));
        for left in [true, true, false] {
            assert_eq!(heap.pop().0, 3);
            assert_eq!(heap.tied(3), left);
            heap.close();
        }
        let mut rest: Vec<_> = heap.drain().collect();
        rest.sort_unstable();
        assert_eq!(rest, [(7, 0), (9, 2)]);
        assert_eq!(heap.len(), 0);
    }
}
