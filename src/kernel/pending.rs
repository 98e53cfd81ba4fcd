//! The pending events in order of (key, sequence), by whatever serves their number best.
//!
//! * Up to some thousands wait in a [`Heap`].
//! * Beyond that all but the nearest wait unsorted in a [`Wheel`]. A batch that comes up is sorted into a *run* and read from its
//!   end; what is pushed before the end of the batch goes to the heap, which is small then.
//! * Events with one key are rare, so neither looks at sequences: when the heap says that its least key is there again, all of
//!   that key are taken out and sorted by sequence, as a run.

use super::heap::Heap;
use super::wheel::{Entry, Wheel};

/// The heap gives way to a wheel when it holds more.
const MANY: usize = 8_192;
/// The wheel gives way to the heap when no more are left.
const FEW: usize = 2_048;

#[derive(Debug, Clone, Copy)]
struct Row<V> {
    sequence: u64,
    value: V,
}

/// Pending events.
#[derive(Debug, Clone)]
pub(super) struct Pending<V> {
    heap: Heap,
    /// In descending order: the next is the last. Older than what the heap holds under the same key.
    run: Vec<Entry>,
    wheel: Option<Box<Wheel>>,
    rows: Vec<Row<V>>,
    free: Vec<u32>,
}

impl<V: Copy> Default for Pending<V> {
    fn default() -> Self {
        Pending {
            heap: Heap::default(),
            run: Vec::new(),
            wheel: None,
            rows: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<V: Copy> Pending<V> {
    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    #[inline]
    fn row(&mut self, sequence: u64, value: V) -> u32 {
        let row = Row { sequence, value };
        if let Some(slot) = self.free.pop() {
            self.rows[slot as usize] = row;
            return slot;
        }
        self.rows.push(row);
        (self.rows.len() - 1) as u32
    }

    /// Adds an event whose sequence number is the largest so far.
    #[inline]
    pub(super) fn push(&mut self, key: u64, sequence: u64, value: V) {
        let slot = self.row(sequence, value);
        match &mut self.wheel {
            Some(wheel) if key >= wheel.edge() => wheel.push(key, slot),
            _ => self.heap.push(key, slot),
        }
    }

    /// Adds an event that may have an older sequence number than others of its key.
    pub(super) fn push_old(&mut self, key: u64, sequence: u64, value: V) {
        let (at, younger) = self.place(key, sequence);
        if younger {
            let slot = self.row(sequence, value);
            self.run.insert(at, (key, slot));
        } else {
            self.push(key, sequence, value);
        }
    }

    /// Where in the run it belongs, and whether the run has a younger event of its key.
    fn place(&self, key: u64, sequence: u64) -> (usize, bool) {
        let order = |entry: &Entry| (entry.0, self.rows[entry.1 as usize].sequence);
        let at = self.run.partition_point(|entry| order(entry) > (key, sequence));
        (at, at > 0 && self.run[at - 1].0 == key)
    }

    /// Takes the first event: key, sequence number and value.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u64, u64, V)> {
        let (key, slot) = if self.run.is_empty() {
            match self.pop_heap() {
                Some(first) => first,
                None => self.load()?,
            }
        } else {
            self.pop_nearest()?
        };
        let Row { sequence, value } = self.rows[slot as usize];
        self.free.push(slot);
        Some((key, sequence, value))
    }

    /// Takes the first of the heap.
    #[inline]
    fn pop_heap(&mut self) -> Option<Entry> {
        let first = self.heap.pop()?;
        if self.heap.tied(first.0) {
            return self.untie(first);
        }
        if self.heap.len() > MANY {
            self.spread(first.0);
        }
        Some(first)
    }

    /// Takes all of one key out of the heap and puts them in order.
    #[cold]
    fn untie(&mut self, first: Entry) -> Option<Entry> {
        let from = self.run.len();
        self.run.push(first);
        while self.heap.peek() == Some(first.0) {
            self.run.extend(self.heap.pop());
        }
        let rows = &self.rows;
        self.run[from..]
            .sort_unstable_by_key(|entry| std::cmp::Reverse(rows[entry.1 as usize].sequence));
        self.run.pop()
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
        match (self.run.last(), self.heap.peek()) {
            (Some(run), Some(heap)) if heap < run.0 => self.pop_heap(),
            _ => self.run.pop(),
        }
    }

    /// The next batch of the wheel becomes the run; a wheel that holds few becomes the heap.
    #[cold]
    fn load(&mut self) -> Option<Entry> {
        let mut wheel = self.wheel.take()?;
        if wheel.len() > FEW {
            wheel.take(&mut self.run);
            self.wheel = Some(wheel);
            let rows = &self.rows;
            self.run.sort_unstable_by(|one, other| {
                let sequence = |entry: &Entry| rows[entry.1 as usize].sequence;
                other.0.cmp(&one.0).then_with(|| sequence(other).cmp(&sequence(one)))
            });
            return self.run.pop();
        }
        let mut batch = Vec::new();
        while wheel.len() > 0 {
            wheel.take(&mut batch);
            batch.drain(..).for_each(|(key, slot)| self.heap.push(key, slot));
        }
        self.pop_heap()
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
                    // An older number, as the front of a lane has.
                    let old = stream.below(16) == 0;
                    sequence += 4;
                    let number = if old {
                        sequence.saturating_sub(4 * stream.below(50) + 1)
                    } else {
                        sequence
                    };
                    // A number that was used before for another event of that key is skipped.
                    if twin.insert((key, number)) {
                        if old {
                            pending.push_old(key, number, number);
                        } else {
                            pending.push(key, number, number);
                        }
                    }
                } else {
                    let (got, want) = (pending.pop(), twin.pop_first());
                    assert_eq!(got.map(|(k, s, _)| (k, s)), want, "width {width} step {step}");
                    now = want.map_or(now, |first| first.0);
                }
                assert_eq!(pending.len(), twin.len());
                wheels += usize::from(pending.wheel.is_some());
            }
            // Events that are all alike are a run at once.
            assert!(width < 1_000 || wheels > 1_000, "the wheel was at work {wheels} times");
            while let Some((key, number)) = twin.pop_first() {
                assert_eq!(pending.pop(), Some((key, number, number)), "width {width}");
            }
            assert_eq!(pending.pop(), None);
        }
    }
}
