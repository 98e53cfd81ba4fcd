//! The pending events in order of (key, sequence), by whatever serves their number best.
//!
//! * Up to some thousands wait in a [`Heap`].
//! * Beyond that all but the nearest wait unsorted in a [`Wheel`]. A batch that comes up is sorted into a *run* and read from its
//!   end; what is pushed before the end of the batch goes to the heap, which is small then.
//! * Events with one key are rare, so neither looks at sequences: when the heap says that its least key is there again, all of
//!   that key are taken out and sorted by sequence, as a run.

use super::heap::Heap;
use super::order::NEVER;
use super::wheel::{Entry, Wheel};

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
    /// In descending order: the next is the last. Older than what the heap holds under the same key.
    run: Vec<Entry>,
    wheel: Option<Box<Wheel>>,
    rows: Vec<Row<V>>,
    free: u64,
    len: usize,
}

impl<V> Default for Pending<V> {
    fn default() -> Self {
        Pending {
            heap: Heap::default(),
            run: Vec::new(),
            wheel: None,
            rows: Vec::new(),
            free: u64::MAX,
            len: 0,
        }
    }
}

impl<V: Copy> Pending<V> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
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

    /// Adds a value whose sequence number is the largest so far.
    #[inline]
    pub fn push(&mut self, key: u64, sequence: u64, value: V) {
        self.len += 1;
        let slot = self.row(sequence, value);
        match &mut self.wheel {
            Some(wheel) if key >= wheel.edge() => wheel.push(key, slot),
            _ => self.heap.push(key, slot),
        }
    }

    /// The smallest key; the largest number there is if none waits.
    #[expect(clippy::inline_always, reason = "once an event; a call costs as much as what it does")]
    #[inline(always)]
    pub fn first(&mut self) -> u64 {
        let heap = self.heap.peek();
        match self.run.last() {
            Some(run) => heap.min(run.0),
            None if heap == NEVER => self.load(),
            None => heap,
        }
    }

    /// Whether the first event has an older sequence number than this; there is one.
    #[cold]
    pub fn older(&mut self, sequence: u64) -> bool {
        let heap = self.heap.peek();
        if self.run.last().is_none_or(|run| heap < run.0)
            && let Some(first) = self.heap.pop()
        {
            let first = self.untie(first);
            self.run.push(first);
        }
        let first = self.run.last();
        first.is_some_and(|entry| self.rows[entry.1 as usize].sequence < sequence)
    }

    /// Takes the value of which [`Pending::first`] spoke: its key and itself, which stays where it is until the next is added.
    #[expect(clippy::inline_always, reason = "once an event; a call costs as much as what it does")]
    #[inline(always)]
    pub fn pop(&mut self) -> Option<(u64, &V)> {
        let (key, slot) = if self.run.is_empty() { self.pop_heap() } else { self.pop_nearest() }?;
        self.len -= 1;
        let row = &mut self.rows[slot as usize];
        row.sequence = std::mem::replace(&mut self.free, u64::from(slot));
        Some((key, &row.value))
    }

    /// All values with their keys, in order.
    pub fn into_sorted(mut self) -> impl Iterator<Item = (u64, V)> {
        std::iter::from_fn(move || {
            self.first();
            self.pop().map(|(key, value)| (key, *value))
        })
    }

    /// Takes the first of the heap.
    #[expect(clippy::inline_always, reason = "once an event; a call costs as much as what it does")]
    #[inline(always)]
    fn pop_heap(&mut self) -> Option<Entry> {
        let first = self.heap.pop()?;
        if self.heap.tied(first.0) {
            return Some(self.untie(first));
        }
        if self.heap.len() > MANY {
            self.spread(first.0);
        }
        Some(first)
    }

    /// Takes all of one key out of the heap and puts them in order; returns the first.
    #[cold]
    fn untie(&mut self, first: Entry) -> Entry {
        let from = self.run.len();
        while self.heap.peek() == first.0 {
            self.run.extend(self.heap.pop());
        }
        self.run.push(first);
        let rows = &self.rows;
        self.run[from..]
            .sort_unstable_by_key(|entry| std::cmp::Reverse(rows[entry.1 as usize].sequence));
        self.run.pop().unwrap_or(first)
    }

    /// Moves the heap's entries, none of which is before `key`, to a wheel.
    #[cold]
    fn spread(&mut self, key: u64) {
        if self.wheel.is_some() {
            // What came in before the edge stays: it is next.
            return;
        }
        let mut wheel = Box::new(Wheel::new(key));
        self.heap.drain().for_each(|(key, slot)| wheel.push(key, slot));
        self.wheel = Some(wheel);
    }

    /// Takes the first of run and heap.
    #[inline(never)]
    fn pop_nearest(&mut self) -> Option<Entry> {
        match self.run.last() {
            Some(run) if self.heap.peek() < run.0 => self.pop_heap(),
            _ => self.run.pop(),
        }
    }

    /// The next batch of the wheel becomes the run; a wheel that holds few becomes the heap. Returns the smallest key.
    #[cold]
    fn load(&mut self) -> u64 {
        let Some(mut wheel) = self.wheel.take() else { return NEVER };
        if wheel.len() > FEW {
            wheel.take(&mut self.run);
            self.wheel = Some(wheel);
            let rows = &self.rows;
            self.run.sort_unstable_by(|one, other| {
                let sequence = |entry: &Entry| rows[entry.1 as usize].sequence;
                other.0.cmp(&one.0).then_with(|| sequence(other).cmp(&sequence(one)))
            });
            return self.run.last().map_or(NEVER, |first| first.0);
        }
        let mut batch = Vec::new();
        while wheel.len() > 0 {
            wheel.take(&mut batch);
            batch.drain(..).for_each(|(key, slot)| self.heap.push(key, slot));
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
}
