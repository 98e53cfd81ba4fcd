//! Warm-up policies: the function calls itself, so that environments exist before users need them.

use super::function::{Lambda, PING};
use crate::kernel::{Span, Time};
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::message::CallId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calls that only keep environments alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmUpSpec {
    /// Distance between two rounds; the first is at the start of the run.
    #[serde(default = "every_default")]
    #[schemars(extend("x-source" = "the usual schedule of warming plugins: 5 min, below every idle life that was measured"))]
    pub every: Span,
    /// Pings of one round, all at once: so many environments are warm afterwards.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100_000), extend("x-source" = "warming plugins: 1 unless said"))]
    pub concurrency: u32,
    /// How long a ping holds its environment, so that the next ping of the round needs another one.
    #[serde(default = "hold_default")]
    #[schemars(extend("x-source" = "the handlers of warming plugins return after some tens of milliseconds: assumed", "x-assumed" = true))]
    pub hold: Span,
    /// Predicts the concurrency of each round from earlier days; none: always `concurrency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// What earlier days saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Length of one interval.
    pub interval: Span,
    /// Peak concurrency in each interval, a list for each earlier day; the run begins with the first interval.
    pub days: Vec<Vec<u32>>,
    /// Which quantile over the days is expected.
    #[serde(default = "quantile_default")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "the highest day: assumed", "x-assumed" = true))]
    pub quantile: f64,
    /// Factor on what is expected.
    #[serde(default = "headroom_default")]
    #[schemars(range(min = 0.0, max = 100.0), extend("x-source" = "a fifth more: assumed", "x-assumed" = true))]
    pub headroom: f64,
}

fn every_default() -> Span {
    Span::from_secs(300)
}
fn one() -> u32 {
    1
}
fn hold_default() -> Span {
    Span::from_millis(50)
}
fn quantile_default() -> f64 {
    1.0
}
fn headroom_default() -> f64 {
    1.2
}

impl History {
    /// Concurrency expected in the `ahead` after `at`: the highest interval that begins or goes on in it.
    pub fn expected(&self, at: Span, ahead: Span) -> u32 {
        let interval = self.interval.nanos().max(1);
        let first = at.nanos() / interval;
        let last = (at.nanos() + ahead.nanos().saturating_sub(1)) / interval;
        let highest = (first..=last).map(|n| self.of_interval(n as usize)).max().unwrap_or(0);
        (f64::from(highest) * self.headroom).ceil() as u32
    }

    fn of_interval(&self, interval: usize) -> u32 {
        let mut seen: Vec<u32> =
            self.days.iter().filter_map(|day| day.get(interval).copied()).collect();
        seen.sort_unstable();
        let rank = (self.quantile * seen.len() as f64).ceil() as usize;
        seen.get(rank.max(1) - 1).copied().unwrap_or(0)
    }
}

impl WarmUpSpec {
    /// Pings of the round at `at` while `in_flight` environments are at work, and so are warm anyway.
    pub fn pings(&self, at: Span, in_flight: u32) -> u32 {
        match &self.history {
            // The next round comes after one period, and its environments need a moment to start.
            Some(history) => {
                history.expected(at, self.every + self.every).saturating_sub(in_flight)
            }
            None => self.concurrency,
        }
    }
}

impl Lambda {
    /// A round of pings.
    pub(super) fn ping(&mut self, ctx: &mut Ctx) {
        let Some(spec) = &self.warm_up else { return };
        let (me, now) = (ctx.me, ctx.now());
        let pings = spec.pings(now.since(Time::ZERO), self.admission.in_flight());
        ctx.wake(spec.every, PING, 0, 0);
        for _ in 0..pings {
            self.pings_sent += 1;
            let key = self.key.named("warm-up").with(self.pings_sent);
            ctx.call(Call { key, ..Call::request(me, me, CallId::NONE) }, Span::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prediction_looks_ahead_and_takes_the_quantile_over_the_days() {
        let minutes = |n: u64| Span::from_secs(60 * n);
        let history = History {
            interval: minutes(10),
            days: vec![vec![5, 50, 10], vec![8, 30, 10], vec![6, 40]],
            quantile: 1.0,
            headroom: 1.0,
        };
        assert_eq!(history.expected(minutes(0), minutes(10)), 8);
        // The rise at 10 min is prepared for in the rounds before it.
        assert_eq!(history.expected(minutes(5), minutes(10)), 50);
        assert_eq!(history.expected(minutes(20), minutes(10)), 10);
        assert_eq!(history.expected(minutes(30), minutes(10)), 0, "nothing is known");
        let median = History { quantile: 0.5, headroom: 1.25, ..history };
        assert_eq!(median.expected(minutes(10), minutes(5)), 50);
        let spec =
            WarmUpSpec { every: minutes(5), concurrency: 3, hold: Span::ZERO, history: None };
        assert_eq!(spec.pings(minutes(5), 100), 3);
        let spec = WarmUpSpec { history: Some(median), ..spec };
        assert_eq!(spec.pings(minutes(5), 12), 38);
    }
}
