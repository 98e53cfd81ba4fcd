//! Axes: from figures to points, with round ticks, linear or logarithmic.

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<f64>,
}

fn nice_step(span: f64, want: usize) -> f64 {
    let raw = span / want.max(1) as f64;
    let ten = libm::pow(10.0, libm::floor(libm::log10(raw)));
    let rest = raw / ten;
    let lead = [1.0, 2.0, 5.0].into_iter().find(|m| rest <= m * 1.000_001).unwrap_or(10.0);
    lead * ten
}

impl Scale {
    /// From 0 (or `low`) to at least `high` in about `want` round steps.
    pub(super) fn linear(low: f64, high: f64, want: usize) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high - low > 1e-300 { high } else { low + 1.0 };
        let step = nice_step(high - low, want);
        let first = libm::floor(low / step + 1e-9);
        let last = libm::ceil(high / step - 1e-9);
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= last && ticks.len() < 100 {
            ticks.push(at * step);
            at += 1.0;
        }
        Self { low: first * step, high: last * step, from: 0.0, to: 1.0, log: false, ticks }
    }

    /// Like [`Scale::linear`], but ends exactly at `high`: for time.
    pub(super) fn exact(low: f64, high: f64, want: usize) -> Self {
        let mut scale = Self::linear(low, high, want);
        if high.is_finite() && high > scale.low {
            scale.high = high;
            scale.ticks.retain(|t| *t <= high * (1.0 + 1e-9));
        }
        scale
    }

    /// Whole decades, or halves (1, 3) of them, around two positive figures.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low { high } else { low * 10.0 };
        let (mut first, mut last) = (libm::floor(libm::log10(low)), libm::ceil(libm::log10(high)));
        if last - first < 1.0 {
            last = first + 1.0;
        }
        first = first.max(last - 15.0);
        let stride = if last - first > 7.0 { 2.0 } else { 1.0 };
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= last {
            ticks.push(libm::pow(10.0, at));
            at += stride;
        }
        let (low, high) = (libm::pow(10.0, first), libm::pow(10.0, last));
        Self { low, high, from: 0.0, to: 1.0, log: true, ticks }
    }

    /// The same axis laid between two places.
    pub(super) fn between(&self, from: f64, to: f64) -> Self {
        Self { from, to, ..self.clone() }
    }

    /// Place of a figure, kept within the axis; `None` if it has none.
    pub(super) fn at(&self, figure: f64) -> Option<f64> {
        if !figure.is_finite() {
            return None;
        }
        let kept = figure.clamp(self.low, self.high);
        let share = if self.log {
            libm::log10(kept / self.low) / libm::log10(self.high / self.low)
        } else {
            (kept - self.low) / (self.high - self.low)
        };
        Some(self.from + share * (self.to - self.from))
    }

    /// Whether equal lengths are equal ratios.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// Round figures along the axis.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Smallest figure on the axis.
    pub(super) fn low(&self) -> f64 {
        self.low
    }
}
