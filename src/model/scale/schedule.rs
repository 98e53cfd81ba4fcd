//! Scaling by the clock: at given times, once or again and again; and by a forecast made of past days.

use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change at a time that is known beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// When, from the start of the run.
    pub at: Span,
    /// Again after this time, and so on; once if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// So many replicas from then on.
    pub replicas: u32,
}

impl Scheduled {
    /// The last time at or before `now` at which it fell due.
    fn last(&self, now: Time) -> Option<Time> {
        let first = Time::ZERO + self.at;
        if now < first {
            return None;
        }
        let every = self.every.filter(|every| !every.is_zero());
        let turns = every.map_or(0, |every| now.since(first).nanos() / every.nanos());
        Some(first + every.unwrap_or(Span::ZERO) * turns)
    }

    /// The next time after `now`.
    pub fn next(&self, now: Time) -> Option<Time> {
        let first = Time::ZERO + self.at;
        match (self.last(now), self.every.filter(|every| !every.is_zero())) {
            (None, _) => Some(first),
            (Some(last), Some(every)) => Some(last + every),
            (Some(_), None) => None,
        }
    }
}

/// What the schedule says now: the entry that fell due last, of several at one time the last in the list.
pub fn scheduled(entries: &[Scheduled], now: Time) -> Option<u32> {
    let due = entries.iter().filter_map(|entry| Some((entry.last(now)?, entry.replicas)));
    due.fold(None, |best: Option<(Time, u32)>, new| match best {
        Some(best) if best.0 > new.0 => Some(best),
        _ => Some(new),
    })
    .map(|(_, replicas)| replicas)
}

/// A forecast of load by the time of day, as predictive scaling makes it of past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predictive {
    /// Load of past days, one figure a slot, the oldest first; the run begins where it ends. Requests per second.
    pub history: Vec<f64>,
    /// Length of a slot.
    #[serde(default = "hour")]
    #[schemars(extend("x-source" = "EC2 predictive scaling: hourly forecasts"))]
    pub slot: Span,
    /// Slots after which the load repeats.
    #[serde(default = "day")]
    #[schemars(range(min = 1, max = 10_000), extend("x-assumed" = "load repeats daily"))]
    pub season: u32,
    /// Requests per second that one replica is meant to serve.
    #[schemars(range(min = 0.000_001))]
    pub target: f64,
    /// Replicas are ready this long before they are needed.
    #[serde(default = "buffer")]
    #[schemars(extend("x-source" = "EC2 predictive scaling: SchedulingBufferTime 300 s"))]
    pub buffer: Span,
}

fn hour() -> Span {
    Span::from_secs(3600)
}
fn day() -> u32 {
    24
}
fn buffer() -> Span {
    Span::from_secs(300)
}

impl Predictive {
    /// Load expected in the slot that begins `ahead` slots after the history's end: the mean of that slot over past seasons.
    pub fn forecast(&self, ahead: u64) -> Option<f64> {
        let season = u64::from(self.season.max(1));
        let end = self.history.len() as u64;
        let same = (0..end).filter(|slot| (end + ahead) % season == slot % season);
        let loads: Vec<f64> = same.map(|slot| self.history[slot as usize]).collect();
        (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64)
    }

    /// Replicas wanted now: for the larger of the loads of this slot and of the one that the buffer reaches into.
    pub fn replicas(&self, now: Time) -> Option<u32> {
        let slot = self.slot.nanos().max(1);
        let at = |time: Time| self.forecast(time.nanos() / slot);
        let load = at(now)?.max(at(now + self.buffer)?);
        Some((load / self.target).ceil().clamp(0.0, 1e9) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(h: f64) -> Time {
        Time::ZERO + Span::from_secs_f64(h * 3600.0)
    }

    #[test]
    fn the_entry_that_fell_due_last_counts() {
        let day = Some(Span::from_secs(86_400));
        let entries = [
            Scheduled { at: Span::from_secs(8 * 3600), every: day, replicas: 12 },
            Scheduled { at: Span::from_secs(20 * 3600), every: day, replicas: 3 },
            Scheduled { at: Span::from_secs(36 * 3600), every: None, replicas: 20 },
        ];
        for (hour, wanted) in [
            (7.9, None),
            (8.0, Some(12)),
            (21.0, Some(3)),
            (33.0, Some(12)),
            (36.0, Some(20)),
            (44.0, Some(3)),
        ] {
            assert_eq!(scheduled(&entries, hours(hour)), wanted, "{hour} h");
        }
        assert_eq!(entries[0].next(hours(9.0)), Some(hours(32.0)));
        assert_eq!(entries[2].next(hours(37.0)), None);
        assert_eq!(entries[2].next(hours(1.0)), Some(hours(36.0)));
    }

    #[test]
    fn a_forecast_is_the_mean_of_the_same_hour() {
        // Two days: 10 requests per second, at hour 9 of the days 90 and 110.
        let mut history = vec![10.0; 48];
        (history[9], history[33]) = (90.0, 110.0);
        let spec = Predictive { history, slot: hour(), season: 24, target: 5.0, buffer: buffer() };
        assert_eq!(spec.forecast(0), Some(10.0));
        assert_eq!(spec.forecast(9), Some(100.0));
        assert_eq!(spec.replicas(hours(8.0)), Some(2));
        // Five minutes before the hour the replicas are there.
        assert_eq!(spec.replicas(hours(8.95)), Some(20));
        assert_eq!(spec.replicas(hours(9.5)), Some(20));
        assert_eq!(spec.replicas(hours(10.0)), Some(2));
        assert_eq!(Predictive { history: Vec::new(), ..spec }.replicas(hours(1.0)), None);
    }
}
