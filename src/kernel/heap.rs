//! A 4-ary min-heap of 8-byte keys, each with a slot number beside it.
//!
//! Four children stand in a cache line of their own, and the choice of the smallest is free of unpredictable
//! branches. `pop` leaves the root vacant, because the handler of an event mostly pushes the next one at once: that push
//! then costs one sift-down instead of a sift-up and an earlier sift-down. Among equal keys the order is arbitrary; the
//! heap says when there are any, and [`Pending`](super::pending::Pending) puts them in order.

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

const NOTHING: Four = Four { keys: [u64::MAX; 4], slots: [0; 4] };

/// The root stands in the last place of group 0, so that the children of place p are group p − 2.
const ROOT: usize = 3;

/// Min-heap of (key, slot).
#[derive(Debug, Clone)]
pub(super) struct Heap {
    fours: Vec<Four>,
    /// The place after the last.
    end: usize,
    /// Whether the root was taken and not yet refilled; then its key is the one that was taken.
    vacant: bool,
}

impl Default for Heap {
    fn default() -> Self {
        Heap { fours: vec![NOTHING], end: ROOT, vacant: false }
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

impl Heap {
    /// How many entries wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - ROOT - usize::from(self.vacant)
    }

    /// Adds an entry. O(log4 n).
    #[inline]
    pub(super) fn push(&mut self, key: u64, slot: u32) {
        if self.vacant {
            self.vacant = false;
            self.sift_down(key, slot);
            return;
        }
        self.append(key, slot);
    }

    #[inline(never)]
    fn append(&mut self, key: u64, slot: u32) {
        let at = self.end;
        self.end += 1;
        if at / 4 == self.fours.len() {
            self.fours.push(NOTHING);
        }
        self.sift_up(at, key, slot);
    }

    /// Takes an entry with the smallest key. O(log4 n).
    #[expect(clippy::inline_always, reason = "as peek")]
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(u64, u32)> {
        let key = self.peek();
        if self.end == ROOT {
            return None;
        }
        self.vacant = true;
        Some((key, self.fours[0].slots[ROOT]))
    }

    /// The smallest key; the largest number there is if the heap is empty.
    #[expect(clippy::inline_always, reason = "once an event; a call costs as much as what it does")]
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u64 {
        if self.vacant {
            self.refill();
        }
        self.fours[0].keys[ROOT]
    }

    /// Whether another entry has the key that was popped last, if nothing was pushed since.
    #[inline]
    pub(super) fn tied(&self, key: u64) -> bool {
        self.fours.get(ROOT - 2).is_some_and(|four| four.keys.contains(&key))
    }

    /// All entries, in no order; the heap is empty afterwards.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, u32)> + use<> {
        self.peek();
        let Heap { fours, end, .. } = std::mem::take(self);
        (ROOT..end).map(move |at| (fours[at / 4].keys[at % 4], fours[at / 4].slots[at % 4]))
    }

    /// Closes the gap that the last `pop` left, with the last entry.
    #[inline(never)]
    fn refill(&mut self) {
        self.vacant = false;
        self.end -= 1;
        let at = self.end;
        let (group, place) = (at / 4, at % 4);
        let four = &mut self.fours[group];
        let (key, slot) = (four.keys[place], four.slots[place]);
        four.keys[place] = u64::MAX;
        if place == 0 {
            self.fours.truncate(group);
        }
        if at > ROOT {
            self.sift_down(key, slot);
        }
    }

    #[inline]
    fn sift_up(&mut self, mut at: usize, key: u64, slot: u32) {
        while at > ROOT {
            let parent = at / 4 + 2;
            let above = &self.fours[parent / 4];
            let (moved, moved_slot) = (above.keys[parent % 4], above.slots[parent % 4]);
            if moved <= key {
                break;
            }
            self.fours[at / 4].set(at % 4, moved, moved_slot);
            at = parent;
        }
        self.fours[at / 4].set(at % 4, key, slot);
    }

    /// Lets (key, slot) sink from the vacant root.
    #[inline(never)]
    fn sift_down(&mut self, key: u64, slot: u32) {
        let fours = self.fours.as_mut_slice();
        let (mut group, mut place) = (0, ROOT);
        loop {
            let below = 4 * group + place - 2;
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
                } else {
                    assert_eq!(heap.pop(), twin.pop_first(), "seed {seed} step {step}");
                }
                assert_eq!(heap.len(), twin.len());
                if stream.below(7) == 0 {
                    assert_eq!(heap.peek(), twin.first_key_value().map_or(u64::MAX, |(k, _)| *k));
                }
            }
            while let Some(entry) = twin.pop_first() {
                assert_eq!(heap.pop(), Some(entry));
            }
            assert_eq!(heap.pop(), None);
        }
    }

    #[test]
    fn says_whether_the_least_key_is_there_again() {
        let mut heap = Heap::default();
        [7, 3, 9, 3, 3].into_iter().enumerate().for_each(|(slot, key)| heap.push(key, slot as u32));
        for left in [true, true, false] {
            assert_eq!(heap.pop().unwrap().0, 3);
            assert_eq!(heap.tied(3), left);
        }
        let mut rest: Vec<_> = heap.drain().collect();
        rest.sort_unstable();
        assert_eq!(rest, [(7, 0), (9, 2)]);
        assert_eq!(heap.len(), 0);
    }
}
