//! What an adaptive limit learns from: calls that have ended, one by one or in windows (`WindowedLimit` of Netflix's concurrency-limits 0.5).

use crate::kernel::{Span, Time};

/// What one call says of what stands behind the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// From being sent to being answered.
    pub(super) rtt: Span,
    /// Calls in progress when it was sent, itself included.
    pub(super) in_progress: u32,
    /// Whether it was not answered in time, or answered with "too much".
    pub(super) dropped: bool,
}

/// What one window says, or one call where there are no windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Mean round-trip time, seconds.
    pub(super) rtt: f64,
    /// Most calls in progress.
    pub(super) in_progress: u32,
    /// Whether one was dropped.
    pub(super) dropped: bool,
}

/// Samples of one window (`AverageSampleWindow`).
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    ends: Time,
    count: u32,
    sum: f64,
    in_progress: u32,
    dropped: bool,
}

/// `WindowedLimit`: samples that a window must have.
const WINDOW_LEAST: u32 = 10;
/// `WindowedLimit`: shorter answers are no sample.
const RTT_LEAST: Span = Span::from_micros(100);

impl Samples {
    /// Adds a sample; gives what the window says that ends with it. A window of nothing: each sample by itself.
    pub(super) fn take(&mut self, now: Time, sample: Sample, window: Span) -> Option<Seen> {
        if sample.rtt < RTT_LEAST {
            return None;
        }
        let (rtt, in_progress) = (sample.rtt.as_secs_f64(), sample.in_progress);
        if window.is_zero() {
            return Some(Seen { rtt, in_progress, dropped: sample.dropped });
        }
        self.count += 1;
        self.sum += rtt;
        self.in_progress = self.in_progress.max(in_progress);
        self.dropped |= sample.dropped;
        if now <= self.ends {
            return None;
        }
        let ended = std::mem::take(self);
        self.ends = now + window;
        let rtt = ended.sum / f64::from(ended.count);
        let seen = Seen { rtt, in_progress: ended.in_progress, dropped: ended.dropped };
        (ended.count >= WINDOW_LEAST).then_some(seen)
    }
}
