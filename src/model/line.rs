//! The jobs of a processor in order of completion: a sorted list while they are few, which they mostly are, and what serves many
//! otherwise.

use crate::kernel::Pending;

/// The list gives way when it holds more: to put one in walks over half of it.
const MANY: usize = 24;
/// The list serves again when no more are left.
const FEW: usize = 8;

/// Jobs by key; those of one key in order of entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Line<V> {
    /// In descending order: the next is the last. Empty while there are many.
    few: Vec<(u64, V)>,
    many: Pending<V>,
    sequence: u64,
    len: usize,
}

impl<V: Copy> Line<V> {
    /// How many wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a job.
    #[inline]
    pub(super) fn push(&mut self, key: u64, job: V) {
        self.len += 1;
        // While there are many, few is empty.
        if self.few.len() + 1 < self.len || self.few.len() == MANY {
            return self.push_many(key, job);
        }
        self.few.push((key, job));
        let few = self.few.as_mut_slice();
        let mut at = few.len() - 1;
        while at > 0 && few[at - 1].0 <= key {
            few[at] = few[at - 1];
            at -= 1;
        }
        few[at] = (key, job);
    }

    /// Adds a job where there are many, or too many for the list.
    #[inline(never)]
    fn push_many(&mut self, key: u64, job: V) {
        while let Some((key, job)) = self.few.pop() {
            self.sequence += 1;
            self.many.push(key, self.sequence, job);
        }
        self.sequence += 1;
        self.many.push(key, self.sequence, job);
    }

    /// The smallest key; the largest number there is if none waits.
    #[inline]
    pub(super) fn first(&mut self) -> u64 {
        match self.few.last() {
            Some((key, _)) => *key,
            None => self.many.first(),
        }
    }

    /// Takes the first.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u64, V)> {
        match self.few.pop() {
            None => self.pop_many(),
            first => {
                self.len -= 1;
                first
            }
        }
    }

    /// What comes next, most likely.
    pub(super) fn soon(&self) -> Option<&V> {
        self.few.last().map(|first| &first.1).or_else(|| self.many.peek())
    }

    /// Takes the first of many.
    #[inline(never)]
    fn pop_many(&mut self) -> Option<(u64, V)> {
        self.many.first();
        let first = self.many.pop().map(|(key, job)| (key, *job))?;
        self.len -= 1;
        if self.many.len() <= FEW {
            self.few.extend(std::mem::take(&mut self.many).into_sorted());
            self.few.reverse();
        }
        Some(first)
    }

    /// All jobs with their keys, in order.
    pub(super) fn into_sorted(mut self) -> impl Iterator<Item = (u64, V)> {
        std::iter::from_fn(move || self.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_sorted_set_whether_few_or_many() {
        for (seed, width) in [1, 5, 1 << 40].into_iter().enumerate() {
            let mut stream = Key::root(seed as u64, 0).named("line").stream();
            let mut line = Line::default();
            let mut twin = BTreeSet::new();
            let (mut few, mut changes) = (true, 0);
            for number in 0..40_000_u64 {
                // Some 40 come, then more than that go.
                let grows = number / 200 % 2 == 0;
                if stream.below(10) < if grows { 6 } else { 3 } {
                    let key = stream.below(width);
                    line.push(key, number);
                    twin.insert((key, number));
                } else {
                    assert_eq!(line.first(), twin.first().map_or(u64::MAX, |first| first.0));
                    assert_eq!(line.pop(), twin.pop_first(), "width {width} number {number}");
                }
                assert_eq!(line.len(), twin.len());
                changes += usize::from(few != line.many.is_empty());
                few = line.many.is_empty();
            }
            assert!(changes > 100, "few and many in turn: {changes}");
            assert!(line.into_sorted().eq(twin), "width {width}");
        }
    }
}
