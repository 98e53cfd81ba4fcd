//! Latency over time: a coarse histogram for each interval of a run.
//!
//! Has as many cells for each octave as a median over time can be read with, a quarter of those of a [`Histogram`](crate::kernel::Histogram).
//! An interval keeps the octaves that its latencies lie in, no others.

use crate::kernel::{Clock, Span};

/// Cells of an octave: 2^(1/16) is 4.4 % wide.
const OCTAVE: usize = 16;
/// Octaves, from 2^16 ns (66 µs).
const COARSE: usize = OCTAVE * 26;

/// Coarse latency histogram per bucket: for p50 and p95 over time.
#[derive(Debug, Clone, Default)]
pub struct LatencySeries {
    shift: Option<Clock>,
    buckets: Vec<Coarse>,
}

/// One bucket: sum and counts.
#[derive(Debug, Clone, Default)]
pub struct Coarse {
    /// Sum of latencies, ns.
    pub sum: u128,
    /// Number of the first cell that is kept, and the counts from there on; whole octaves.
    first: usize,
    cells: Vec<u32>,
}

impl Coarse {
    #[inline]
    fn count_in(&mut self, cell: usize) {
        match self.cells.get_mut(cell.wrapping_sub(self.first)) {
            Some(n) => *n += 1,
            None => {
                let octave = cell / OCTAVE * OCTAVE;
                self.reach(octave, octave + OCTAVE);
                self.cells[cell - self.first] += 1;
            }
        }
    }

    /// Makes room for the cells from `low` to `high`, which are whole octaves.
    #[cold]
    fn reach(&mut self, low: usize, high: usize) {
        if self.cells.is_empty() {
            self.first = low;
        }
        let end = high.max(self.first + self.cells.len());
        let first = low.min(self.first);
        let mut cells = vec![0; end - first];
        cells[self.first - first..][..self.cells.len()].copy_from_slice(&self.cells);
        (self.first, self.cells) = (first, cells);
    }

    /// An empty one with room for what this one has.
    fn alike(&self) -> Coarse {
        Coarse { sum: 0, first: self.first, cells: vec![0; self.cells.len()] }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Coarse) {
        self.sum += other.sum;
        if other.cells.is_empty() {
            return;
        }
        let (low, high) = (other.first, other.first + other.cells.len());
        if self.cells.is_empty() || low < self.first || high > self.first + self.cells.len() {
            self.reach(low, high);
        }
        let mine = self.cells.iter_mut().skip(other.first - self.first);
        mine.zip(&other.cells).for_each(|(mine, theirs)| *mine += theirs);
    }
    /// How many.
    pub fn count(&self) -> u64 {
        self.cells.iter().map(|&n| u64::from(n)).sum()
    }
    /// Mean, seconds.
    pub fn mean(&self) -> Option<f64> {
        let n = self.count();
        (n > 0).then(|| self.sum as f64 / n as f64 * 1e-9)
    }
    /// Quantile, seconds, to 4.4 %; where all lie in one cell their mean, which is exact for equal ones.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let at = self.cell(q)?;
        let alone = u64::from(self.cells[at]) == self.count();
        if alone { self.mean() } else { Some(middle(self.first + at)) }
    }
    /// The middle of the cell in which a quantile lies, seconds: to compare buckets, alike ones and mixed ones.
    pub fn coarse_quantile(&self, q: f64) -> Option<f64> {
        self.cell(q).map(|at| middle(self.first + at))
    }
    /// Which of the cells that are kept a quantile lies in.
    fn cell(&self, q: f64) -> Option<usize> {
        let rank = ((q * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.cells.iter().position(|&cell| {
            seen += u64::from(cell);
            seen >= rank
        })
    }
}

/// The middle of a coarse cell, seconds.
fn middle(at: usize) -> f64 {
    let octave = (1_u64 << (16 + at / OCTAVE)) as f64;
    octave * (1.0 + ((at % OCTAVE) as f64 + 0.5) / OCTAVE as f64) * 1e-9
}

/// The coarse cell that a cell of a [`Histogram`](crate::kernel::Histogram) lies in: those have 64 an octave, from 2^5 ns in their first 64.
#[inline]
fn coarse_cell(fine: usize) -> usize {
    const FIRST: usize = (16 - 5) * 64;
    (fine.saturating_sub(FIRST) / (64 / OCTAVE)).min(COARSE - 1)
}

impl LatencySeries {
    #[inline]
    pub(super) fn record(&mut self, clock: Clock, bucket: u32, latency: Span, cell: usize) {
        if self.shift != Some(clock) {
            self.widen(clock);
        }
        let bucket = bucket as usize;
        if bucket >= self.buckets.len() {
            self.extend(bucket + 1);
        }
        let row = &mut self.buckets[bucket];
        row.sum += u128::from(latency.nanos());
        row.count_in(coarse_cell(cell));
    }

    #[cold]
    fn extend(&mut self, len: usize) {
        // Latencies are mostly where those of the last interval were.
        let last = self.buckets.last().map(Coarse::alike).unwrap_or_default();
        self.buckets.resize_with(len - 1, Coarse::default);
        self.buckets.push(last);
    }

    /// Brings the buckets to the width of `clock`.
    pub fn widen(&mut self, clock: Clock) {
        let mut width = self.shift.unwrap_or(clock).width().nanos();
        while width < clock.width().nanos() {
            let old = std::mem::take(&mut self.buckets);
            let mut rows = old.into_iter();
            while let Some(mut row) = rows.next() {
                if let Some(next) = rows.next() {
                    row.merge(&next);
                }
                self.buckets.push(row);
            }
            width *= 2;
        }
        self.shift = Some(clock);
    }

    /// Adds all of `other`; both must have been widened to one clock.
    pub fn merge(&mut self, other: &LatencySeries) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize_with(other.buckets.len(), Coarse::default);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            mine.merge(theirs);
        }
        self.shift = self.shift.or(other.shift);
    }

    /// The buckets.
    pub fn buckets(&self) -> &[Coarse] {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Histogram, Key};

    fn recorded(spans: &[Span]) -> Coarse {
        let (mut row, mut fine) = (Coarse::default(), Histogram::default());
        for span in spans {
            row.count_in(coarse_cell(fine.record(*span)));
            row.sum += u128::from(span.nanos());
        }
        row
    }

    #[test]
    fn coarse_quantiles_are_within_a_sixteenth_of_an_octave() {
        for ms in [1_u64, 7, 33, 450, 7_468, 120_000] {
            let seconds = ms as f64 / 1e3;
            // Alone, or with its like, it is known exactly.
            let row = recorded(&[Span::from_millis(ms)]);
            assert!((row.quantile(0.5).unwrap() - seconds).abs() < 1e-12);
            let row = recorded(&[Span::from_millis(ms), Span::from_millis(2 * ms)]);
            let got = row.quantile(0.5).unwrap();
            assert!((got / seconds - 1.0).abs() < 1.0 / 32.0, "{ms} ms: {got}");
        }
    }

    #[test]
    fn buckets_merge_whatever_octaves_they_keep() {
        let mut stream = Key::root(3, 0).stream();
        for _ in 0..50 {
            let mut some = || -> Vec<Span> {
                let scale = 10_f64.powi(stream.below(9) as i32 + 2);
                let n = stream.below(40);
                (0..n)
                    .map(|_| Span::from_nanos((-stream.unit_open().ln() * scale) as u64))
                    .collect()
            };
            let (left, right) = (some(), some());
            let mut merged = recorded(&left);
            merged.merge(&recorded(&right));
            let both = recorded(&[left, right].concat());
            assert_eq!((merged.sum, merged.count()), (both.sum, both.count()));
            for q in [0.0, 0.3, 0.5, 0.95, 1.0] {
                assert_eq!(merged.coarse_quantile(q), both.coarse_quantile(q));
            }
        }
    }
}
