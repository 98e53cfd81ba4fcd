//! The pending events in order of (key, sequence), by whatever serves their number best.
//!
//! * Up to some thousands wait in a [`Heap`] of keys, with what belongs to them in rows beside it.
//! * Beyond that all but the nearest wait unsorted in a [`Wheel`]. A batch that comes up is the *run*: where it lies stays as it
//!   is, and its keys are sorted together with places in it, as single numbers. What is added before the end of the batch goes to
//!   the heap, which is small then.
//! * Events with one key are rare, so the heap does not look at sequences: when it says that its least key is there again, all of
//!   that key are taken out and sorted by sequence, as *ties*.

use super::heap::Heap;
use super::order::NEVER;
use super::wheel::{BATCH, Entry, Wheel};
use std::cmp::Reverse;

/// The heap gives way to a wheel when it holds more.
const MANY: usize = 8_192;
/// The wheel gives way to the heap when no more are left.
const FEW: usize = 2_048;

#[derive(Debug, Clone, Copy)]
struct Row<V> {
    /// Of a row that is free: the next free one.
    sequence: u64,
    value: V,
}

/// Values in order of (key, sequence). What is added may not come before what was taken.
#[derive(Debug, Clone)]
pub struct Pending<V> {
    heap: Heap,
    /// Key and row of what the heap held under one key, in descending order: the next is the last.
    ties: Vec<(u64, u32)>,
    /// The batch of the wheel that comes up, by age. Under one key it is older than what heap and ties hold.
    run: Vec<Entry<V>>,
    /// Distance from `start` times [`BATCH`] plus place in the run, in descending order.
    order: Vec<u64>,
    start: u64,
    /// The smallest key of run and ties.
    nearest: u64,
    wheel: Option<Box<Wheel<V>>>,
    /// Where the wheel begins.
    edge: u64,
    rows: Vec<Row<V>>,
    free: u64,
}

impl<V> Default for Pending<V> {
    fn default() -> Self {
        Pending {
            heap: Heap::default(),
            ties: Vec::new(),
            run: Vec::new(),
            order: Vec::new(),
            start: 0,
            nearest: NEVER,
            wheel: None,
            edge: NEVER,
            rows: Vec::new(),
            free: u64::MAX,
        }
    }
}

impl<V: Copy> Pending<V> {
    /// How many wait.
    pub fn len(&self) -> usize {
        let far = self.wheel.as_ref().map_or(0, |wheel| wheel.len());
        self.heap.len() + self.ties.len() + self.order.len() + far
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value whose sequence number is the largest so far.
    #[inline(always)]
    pub fn push(&mut self, key: u64, sequence: u64, value: V) {
        match self.heap.vacant() {
            Some(slot) if key < self.edge => {
                self.rows[slot as usize] = Row { sequence, value };
                self.heap.replace(key);
            }
            _ => self.add(key, sequence, value),
        }
    }

    /// Adds a value that does not take the place of the one that was taken last.
    #[inline(never)]
    fn add(&mut self, key: u64, sequence: u64, value: V) {
        if key >= self.edge
            && let Some(wheel) = &mut self.wheel
        {
            return wheel.push(Entry { key, sequence, value });
        }
        let slot = self.row(sequence, value);
        self.heap.push(key, slot);
        // If most come before the wheel's edge, it began too late.
        let len = self.heap.len();
        if len > MANY && self.wheel.as_ref().is_none_or(|wheel| wheel.len() < len) {
            self.spread();
        }
    }

    fn row(&mut self, sequence: u64, value: V) -> u32 {
        let row = Row { sequence, value };
        let slot = self.free;
        if let Some(free) = self.rows.get_mut(slot as usize) {
            self.free = free.sequence;
            *free = row;
            return slot as u32;
        }
        self.rows.push(row);
        (self.rows.len() - 1) as u32
    }

    /// Frees the row of a value that was taken; it stays there until the next is added.
    fn give_back(&mut self, slot: u32) {
        self.rows[slot as usize].sequence = std::mem::replace(&mut self.free, u64::from(slot));
    }

    /// Closes the gap in the heap, if nothing was added since the last was taken from it.
    #[inline(always)]
    fn settle(&mut self) {
        if let Some(slot) = self.heap.vacant() {
            self.give_back(slot);
            self.heap.close();
        }
    }

    /// The smallest key; the largest number there is if none waits.
    #[inline]
    pub fn first(&mut self) -> u64 {
        self.settle();
        let first = self.heap.peek().min(self.nearest);
        if first == NEVER { self.load() } else { first }
    }

    /// Whether the first event has an older sequence number than this; there is one.
    #[cold]
    pub fn older(&mut self, sequence: u64) -> bool {
        self.settle();
        if self.heap.peek() < self.nearest {
            let first = self.heap.pop();
            let first = self.untie(first);
            self.ties.push(first);
            self.nearest = first.0;
        }
        let first = match self.ties.last() {
            Some(tie) if tie.0 < self.run_key() => Some(self.rows[tie.1 as usize].sequence),
            _ => self.order.last().map(|at| self.run[*at as usize % BATCH].sequence),
        };
        first.is_some_and(|first| first < sequence)
    }

    /// Whether the first comes before `bound` and [`Pending::pop_heap`] takes it.
    #[inline(always)]
    pub(super) fn in_heap(&mut self, bound: u64) -> bool {
        self.settle();
        self.heap.peek() < bound.min(self.nearest)
    }

    /// Takes the first after [`Pending::in_heap`] said yes: its key and itself, which stays where it is until the next is added.
    #[inline(always)]
    pub(super) fn pop_heap(&mut self) -> (u64, &V) {
        let (key, mut slot) = self.heap.pop();
        if self.heap.tied(key) {
            slot = self.untie((key, slot)).1;
            self.give_back(slot);
        }
        (key, &self.rows[slot as usize].value)
    }

    /// Takes the value of which [`Pending::first`] spoke: its key and itself, which stays where it is until the next is added.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, &V)> {
        if self.in_heap(NEVER) {
            return Some(self.pop_heap());
        }
        let key = self.nearest;
        if self.ties.last().is_some_and(|tie| tie.0 < self.run_key()) {
            let (key, slot) = self.ties.pop()?;
            self.give_back(slot);
            self.look();
            return Some((key, &self.rows[slot as usize].value));
        }
        let at = self.order.pop()?;
        self.look();
        Some((key, &self.run[at as usize % BATCH].value))
    }

    /// The next two values, most likely, just after one was taken: what else is added may come before.
    #[inline]
    pub fn soon(&self) -> [Option<&V>; 2] {
        if let Some(last) = self.order.len().checked_sub(1) {
            let value = |at: usize| {
                let at = *self.order.get(at)?;
                Some(&self.run[at as usize % BATCH].value)
            };
            return [value(last), value(last.wrapping_sub(1))];
        }
        self.heap.soon().map(|slot| slot.map(|slot| &self.rows[slot as usize].value))
    }

    /// The value that comes next, most likely: while there are few, surely.
    pub fn peek(&self) -> Option<&V> {
        match self.heap.front() {
            Some(slot) => Some(&self.rows[slot as usize].value),
            None => self.soon()[0],
        }
    }

    /// All values with their keys, in order.
    pub fn into_sorted(mut self) -> impl Iterator<Item = (u64, V)> {
        std::iter::from_fn(move || {
            self.first();
            self.pop().map(|(key, value)| (key, *value))
        })
    }

    /// The first key of the run.
    fn run_key(&self) -> u64 {
        self.order.last().map_or(NEVER, |at| self.start + at / BATCH as u64)
    }

    /// Looks for the smallest key of run and ties.
    fn look(&mut self) {
        let tie = self.ties.last().map_or(NEVER, |tie| tie.0);
        self.nearest = tie.min(self.run_key());
    }

    /// Takes all of one key out of the heap, of which `first` was taken already, and puts them in order; returns the first.
    #[cold]
    fn untie(&mut self, first: (u64, u32)) -> (u64, u32) {
        let from = self.ties.len();
        self.ties.push(first);
        self.heap.close();
        while self.heap.peek() == first.0 {
            self.ties.push(self.heap.pop());
            self.heap.close();
        }
        let rows = &self.rows;
        self.ties[from..].sort_unstable_by_key(|tie| Reverse(rows[tie.1 as usize].sequence));
        let first = self.ties.pop().unwrap_or(first);
        self.look();
        first
    }

    /// Moves all to a new wheel, oldest first.
    #[cold]
    fn spread(&mut self) {
        let mut all = Vec::with_capacity(self.len());
        let near = self.ties.drain(..).chain(self.heap.drain());
        all.extend(near.map(|(key, slot)| {
            let Row { sequence, value } = self.rows[slot as usize];
            Entry { key, sequence, value }
        }));
        all.extend(self.order.drain(..).map(|at| self.run[at as usize % BATCH]));
        if let Some(mut wheel) = self.wheel.take() {
            while wheel.len() > 0 {
                wheel.take(&mut all);
            }
        }
        all.sort_unstable_by_key(|entry| entry.sequence);
        let mut wheel = Box::new(Wheel::default());
        for entry in all {
            wheel.push(entry);
        }
        self.edge = wheel.edge();
        self.wheel = Some(wheel);
        self.rows = Vec::new();
        self.free = u64::MAX;
        self.nearest = NEVER;
    }

    /// The next batch of the wheel becomes the run; a wheel that holds few becomes the heap. Returns the smallest key.
    #[cold]
    fn load(&mut self) -> u64 {
        let Some(mut wheel) = self.wheel.take() else { return NEVER };
        self.run.clear();
        if wheel.len() > FEW {
            let start = wheel.take(&mut self.run);
            let places = self.run.iter().enumerate();
            self.order
                .extend(places.map(|(at, entry)| ((entry.key - start) * BATCH as u64) | at as u64));
            self.order.sort_unstable_by_key(|at| Reverse(*at));
            self.start = start;
            wheel.advance(self.order.first().map_or(start, |last| start + last / BATCH as u64));
            self.edge = wheel.edge();
            self.wheel = Some(wheel);
            self.look();
            return self.nearest;
        }
        while wheel.len() > 0 {
            wheel.take(&mut self.run);
        }
        self.edge = NEVER;
        for Entry { key, sequence, value } in std::mem::take(&mut self.run) {
            let slot = self.row(sequence, value);
            self.heap.push(key, slot);
        }
        self.heap.peek()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::BTreeSet;

    /// Waves of up to 30,000 events, with steps between keys from 0 (all alike) to far.
    #[test]
    fn agrees_with_a_sorted_set_through_heap_run_and_wheel() {
        for (seed, width) in [1, 7, 3_000, 1 << 20, 1 << 40].into_iter().enumerate() {
            let mut stream = Key::root(seed as u64, 0).stream();
            let mut pending = Pending::default();
            let mut twin = BTreeSet::new();
            let (mut now, mut sequence) = (0_u64, 0_u64);
            let mut wheels = 0;
            for step in 0..150_000_u64 {
                let grows = step / 30_000 % 2 == 0;
                if stream.below(10) < if grows { 7 } else { 3 } {
                    // One in eight is near, whatever the others are.
                    let reach = if stream.below(8) == 0 { 3 } else { width };
                    let key = now + stream.below(reach);
                    sequence += 1;
                    twin.insert((key, sequence));
                    pending.push(key, sequence, sequence);
                } else {
                    let want = twin.pop_first();
                    assert_eq!(pending.first(), want.map_or(NEVER, |first| first.0));
                    if let Some((_, number)) = want
                        && stream.below(4) == 0
                    {
                        assert!(pending.older(number + 1) && !pending.older(number));
                    }
                    assert_eq!(
                        pending.pop().map(|(key, number)| (key, *number)),
                        want,
                        "width {width} step {step}"
                    );
                    now = want.map_or(now, |first| first.0);
                }
                assert_eq!(pending.len(), twin.len());
                wheels += usize::from(pending.wheel.is_some());
            }
            // Events that are all alike are a run at once.
            assert!(width < 1_000 || wheels > 1_000, "the wheel was at work {wheels} times");
            while let Some(want) = twin.pop_first() {
                assert_eq!(pending.first(), want.0);
                assert_eq!(pending.pop(), Some((want.0, &want.1)), "width {width}");
            }
            assert_eq!(pending.first(), NEVER);
        }
    }
    /// The classical hold model, below and beyond every switch, and down to nothing in the end.
    #[test]
    fn agrees_with_a_sorted_set_at_every_size() {
        for (seed, len) in [1, 300, FEW, MANY - 1, MANY + 2, 70_000].into_iter().enumerate() {
            let mut stream = Key::root(seed as u64, 1).stream();
            let mut pending = Pending::default();
            let mut twin = BTreeSet::new();
            let mut now = 0;
            for sequence in 0..len as u64 + 100_000 {
                if sequence >= len as u64 {
                    let want = twin.pop_first();
                    let got = if stream.below(2) == 0 && pending.in_heap(NEVER) {
                        Some(pending.pop_heap())
                    } else {
                        pending.first();
                        pending.pop()
                    };
                    assert_eq!(got.map(|(key, number)| (key, *number)), want, "{len} pending");
                    now = want.map_or(now, |first| first.0);
                }
                // Scales from nanoseconds to hours.
                let key = now + (stream.below(1 << 20) << stream.below(24));
                twin.insert((key, sequence));
                pending.push(key, sequence, sequence);
                assert_eq!(pending.len(), twin.len());
            }
            assert_eq!(pending.wheel.is_some(), len > MANY, "{len} pending");
            assert!(pending.into_sorted().eq(twin), "{len} pending");
        }
    }

    #[test]
    fn a_wheel_that_began_too_late_begins_again() {
        let mut pending = Pending::default();
        let mut twin = BTreeSet::new();
        let far = |n: u64| (n + 1) << 44;
        for n in 0..MANY as u64 + 2 {
            pending.push(far(n), n, n);
            twin.insert((far(n), n));
        }
        // The first batch spans days, and all that comes now lies before its end.
        assert_eq!(pending.first(), far(0));
        for n in 0..100_000 {
            let (key, sequence) = (1 + n * 7_919 % 100_003, MANY as u64 + 2 + n);
            pending.push(key, sequence, sequence);
            twin.insert((key, sequence));
        }
        assert!(pending.heap.len() <= 2 * MANY, "{} in the heap", pending.heap.len());
        assert!(pending.into_sorted().eq(twin));
    }

    #[test]
    fn a_hundred_thousand_at_once_come_by_age() {
        let mut pending = Pending::default();
        (0..100_000).for_each(|n| pending.push(5, n, n));
        for n in 0..100_000 {
            assert_eq!((pending.first(), pending.pop()), (5, Some((5, &n))));
            // Younger ones of that very key, while older ones wait in run and wheel.
            if n % 1_000 == 0 {
                pending.push(5, 100_000 + n / 1_000, 100_000 + n / 1_000);
            }
        }
        assert!(pending.into_sorted().map(|(_, n)| n).eq(100_000..100_100));
    }
}
