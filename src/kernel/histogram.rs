//! Durations in log-linear cells: fixed relative error, exact merge, memory independent of how many there are.
//!
//! Values below 64 ns have a cell each; above, every octave is split into 64 cells. A quantile is reported as the
//! middle of its cell, hence at most 1/128 = 0.8 % off. Counts, sum, minimum and maximum are exact integers, so
//! that merging in any order gives the same histogram.

use super::Span;

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// A mergeable histogram of durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    cells: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { cells: Vec::new(), count: 0, sum: 0, min: u64::MAX, max: 0 }
    }
}

#[inline]
fn cell_of(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let exponent = value.ilog2();
    let shift = exponent - SUB_BITS;
    ((u64::from(shift) << SUB_BITS) + (value >> shift)) as usize
}

/// Lower end and width of a cell.
fn bounds_of(cell: usize) -> (u64, u64) {
    let cell = cell as u64;
    if cell < SUB {
        return (cell, 1);
    }
    let shift = (cell >> SUB_BITS) - 1;
    ((cell - (shift << SUB_BITS)) << shift, 1 << shift)
}

impl Histogram {
    /// Adds one duration; returns the number of its cell.
    #[inline]
    pub fn record(&mut self, span: Span) -> usize {
        let value = span.nanos();
        let cell = cell_of(value);
        match self.cells.get_mut(cell) {
            Some(n) => *n += 1,
            None => self.add_beyond(cell),
        }
        self.count += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        cell
    }

    #[cold]
    fn add_beyond(&mut self, cell: usize) {
        self.cells.resize(cell + 1, 0);
        self.cells[cell] = 1;
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        if other.cells.len() > self.cells.len() {
            self.cells.resize(other.cells.len(), 0);
        }
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.count
    }
    /// Their sum, nanoseconds.
    pub fn sum_nanos(&self) -> u128 {
        self.sum
    }
    /// Their mean, seconds; none if empty.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64 * 1e-9)
    }
    /// The shortest; none if empty.
    pub fn min(&self) -> Option<Span> {
        (self.count > 0).then(|| Span::from_nanos(self.min))
    }
    /// The longest.
    pub fn max(&self) -> Span {
        Span::from_nanos(self.max)
    }
    /// The smallest value that at least `q` of all values do not exceed (nearest rank), seconds; none if empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        if rank == self.count {
            return Some(self.max as f64 * 1e-9);
        }
        let mut seen = 0;
        for (cell, &n) in self.cells.iter().enumerate() {
            seen += n;
            if seen >= rank {
                let (low, width) = bounds_of(cell);
                let middle = low as f64 + (width - 1) as f64 / 2.0;
                return Some(middle.clamp(self.min as f64, self.max as f64) * 1e-9);
            }
        }
        Some(self.max as f64 * 1e-9)
    }
    /// How many values lie below the cell that holds `seconds`, and how many in it.
    pub fn around(&self, seconds: f64) -> (u64, u64) {
        // A whole number of nanoseconds may have become a little less on the way to seconds and back.
        let cell = cell_of((seconds * 1e9 + 1e-3) as u64);
        let below = self.cells.iter().take(cell).sum();
        (below, self.cells.get(cell).copied().unwrap_or(0))
    }
    /// How many values do not exceed `seconds`, counted evenly inside a cell.
    pub fn at_most(&self, seconds: f64) -> f64 {
        let at = seconds * 1e9;
        if self.count == 0 || at < self.min as f64 {
            return 0.0;
        }
        if at >= self.max as f64 {
            return self.count as f64;
        }
        let cell = cell_of(at as u64);
        let before: u64 = self.cells.iter().take(cell).sum();
        let (low, high) = self.ends(cell);
        let inside = if high > low { ((at - low) / (high - low)).clamp(0.0, 1.0) } else { 1.0 };
        before as f64 + inside * self.cells.get(cell).copied().unwrap_or(0) as f64
    }
    /// The value of a rank from 0 (the smallest) to `count` (the largest), seconds, evenly inside a cell: the inverse of
    /// [`at_most`](Self::at_most). None if empty.
    pub fn ranked(&self, rank: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let mut before = 0;
        for (cell, &n) in self.cells.iter().enumerate() {
            if n > 0 && (before + n) as f64 >= rank {
                let (low, high) = self.ends(cell);
                let inside = ((rank - before as f64) / n as f64).clamp(0.0, 1.0);
                return Some((low + (high - low) * inside) * 1e-9);
            }
            before += n;
        }
        Some(self.max as f64 * 1e-9)
    }
    /// The ends of a cell, as far as there are values, nanoseconds.
    fn ends(&self, cell: usize) -> (f64, f64) {
        let (low, width) = bounds_of(cell);
        (low.max(self.min) as f64, (low + width).min(self.max) as f64)
    }
    /// Share of the values above `limit`, to the resolution of a cell; none if empty.
    pub fn share_above(&self, limit: Span) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let cell = cell_of(limit.nanos());
        let above: u64 = self.cells.iter().skip(cell + 1).sum();
        Some(above as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    #[test]
    fn cells_tile_the_line() {
        let mut next = 0;
        for cell in 0..3_000 {
            let (low, width) = bounds_of(cell);
            assert_eq!(low, next);
            assert_eq!((cell_of(low), cell_of(low + width - 1)), (cell, cell));
            next = low + width;
        }
        assert!(cell_of(u64::MAX >> 1) < 4_000);
    }

    #[test]
    fn quantiles_agree_with_a_sort_to_one_percent() {
        for seed in 0..20 {
            let mut stream = Key::root(seed, 2).stream();
            let scale = 10_f64.powi(stream.below(9) as i32 + 1);
            let mut values: Vec<u64> =
                (0..5_000).map(|_| (-stream.unit_open().ln() * scale) as u64).collect();
            let mut histogram = Histogram::default();
            let mut halves = [Histogram::default(), Histogram::default()];
            for (i, &v) in values.iter().enumerate() {
                histogram.record(Span::from_nanos(v));
                halves[i % 2].record(Span::from_nanos(v));
            }
            let [mut left, right] = halves;
            left.merge(&right);
            assert_eq!(left, histogram, "merging is exact");
            values.sort_unstable();
            for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let rank = ((q * 5_000.0_f64).ceil() as usize).clamp(1, 5_000);
                let exact = values[rank - 1] as f64;
                let got = histogram.quantile(q).unwrap() * 1e9;
                assert!((got - exact).abs() <= exact * 0.01 + 0.5, "{q}: {got} against {exact}");
            }
            assert_eq!(histogram.sum_nanos(), values.iter().map(|&v| u128::from(v)).sum());
            for rank in [2.0, 17.5, 2_500.0, 4_990.25] {
                let value = histogram.ranked(rank).unwrap();
                // Between its neighbours, to the width of a cell, and back again.
                let (below, above) = (values[rank as usize - 2], values[rank as usize + 1]);
                let nanos = value * 1e9;
                assert!(nanos >= below as f64 * 0.98 - 1.0, "{rank}: {nanos} under {below}");
                assert!(nanos <= above as f64 * 1.02 + 1.0, "{rank}: {nanos} over {above}");
                assert!((histogram.at_most(value) - rank).abs() < 1e-3 * rank + 1.0);
            }
            assert!((histogram.ranked(5_000.0).unwrap() * 1e9 - values[4_999] as f64).abs() < 1e-3);
            assert_eq!(histogram.at_most(1e9) as u64, 5_000);
            assert_eq!(histogram.around(1e9), (5_000, 0));
            let (below, own) = histogram.around(histogram.ranked(2_500.5).unwrap());
            assert!(below <= 2_500 && 2_500 <= below + own, "{below} {own}");
        }
    }
}
