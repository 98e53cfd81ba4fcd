//! When idle environments are taken away: a sharp timer, or the reaper that real logs show.
//!
//! The logs (docs/lambda-log.md) show three things that a timer per environment cannot: with requests coming, an
//! environment that is idle for 10 min stays; one that no peak of concurrency has needed for about 18 min goes; and all go
//! together once the function as a whole has been idle for 10 min. So the reaper remembers when each level of concurrency was
//! last left, and looks around at regular instants.

use crate::kernel::{Span, Time};
use crate::model::era::Upkeep;

/// The reaper of one function.
#[derive(Debug, Clone)]
pub(super) struct Reaper {
    rule: Upkeep,
    /// Offset of its rounds.
    phase: Span,
    /// When concurrency k was last left, at k − 1. Above the present concurrency the times fall with k, because a
    /// fall from k + 1 comes before the fall from k.
    left: Vec<Time>,
}

impl Reaper {
    /// A reaper whose rounds begin at `phase`.
    pub(super) fn new(rule: Upkeep, phase: Span) -> Reaper {
        Reaper { rule, phase, left: Vec::new() }
    }

    /// Concurrency fell from `level` to one less.
    pub(super) fn fell_from(&mut self, level: u32, now: Time) {
        let level = level as usize;
        if self.left.len() < level {
            self.left.resize(level, now);
        }
        if let Some(left) = level.checked_sub(1).and_then(|at| self.left.get_mut(at)) {
            *left = now;
        }
    }

    /// How many environments are worth keeping at `now`: none if the function has been idle for long, else as many as
    /// the highest concurrency of late.
    pub(super) fn wanted(&mut self, in_flight: u32, now: Time) -> usize {
        let in_flight = in_flight as usize;
        if in_flight == 0 && self.left.first().is_none_or(|&left| left + self.rule.idle <= now) {
            self.left.clear();
            return 0;
        }
        let old = |left: &Time| *left + self.rule.surplus <= now;
        while self.left.len() > in_flight.max(1) && self.left.last().is_some_and(old) {
            self.left.pop();
        }
        self.left.len().max(in_flight)
    }

    /// How many environments the highest concurrency within `Upkeep::recent` needed: a lost one beyond is not replaced.
    pub(super) fn needed(&self, in_flight: u32, now: Time) -> usize {
        let recent = |left: &Time| *left + self.rule.recent > now;
        self.left.iter().rposition(recent).map_or(0, |at| at + 1).max(in_flight as usize)
    }

    /// The next round at which one of `alive` environments could go; none while all are at work.
    pub(super) fn next_round(&self, in_flight: u32, alive: usize, now: Time) -> Option<Time> {
        if alive <= in_flight as usize {
            return None;
        }
        // At the earliest the function falls idle at once and stays so.
        let idle = if in_flight == 0 { self.left.first().copied().unwrap_or(now) } else { now };
        // Beyond the highest level of late nothing protects an environment.
        let surplus = self.left.get(alive - 1).map_or(now, |&left| left + self.rule.surplus);
        let due = (idle + self.rule.idle).min(surplus).max(now);
        let since = due.nanos().saturating_sub(self.phase.nanos());
        let period = self.rule.period.nanos().max(1);
        let at = Time::ZERO + self.phase + Span::from_nanos(since.div_ceil(period) * period);
        Some(if at > now { at } else { at + self.rule.period })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Upkeep = Upkeep {
        idle: Span::from_secs(620),
        surplus: Span::from_secs(1100),
        recent: Span::from_secs(300),
        period: Span::from_secs(30),
        shortest_life: Span::from_secs(7000),
        longest_life: Span::from_secs(7400),
        mean_loss: Span::from_secs(30_000),
    };

    fn at(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn what_is_kept_follows_the_highest_concurrency_of_late() {
        // Concurrency 3 left at 100 s, 2 at 500 s, 1 at 1,000 s.
        let mut reaper = Reaper::new(RULE, Span::ZERO);
        reaper.fell_from(3, at(100));
        reaper.fell_from(2, at(500));
        reaper.fell_from(1, at(1000));
        for (now, in_flight, wanted) in [
            (1199, 0, 3), // 3 was needed 1,099 s ago
            (1200, 0, 2), // and is surplus after 1,100 s
            (1599, 0, 2),
            (1599, 5, 5), // those at work are always wanted
            (1600, 1, 1), // 2 was left 1,100 s ago, one is at work
            (1619, 0, 1),
            (1620, 0, 0), // idle for 620 s: all go
        ] {
            assert_eq!(reaper.wanted(in_flight, at(now)), wanted, "{now} s, {in_flight} in flight");
        }
    }

    #[test]
    fn rounds_come_on_a_grid_after_the_time_is_up() {
        let mut reaper = Reaper::new(RULE, Span::from_secs(7));
        reaper.fell_from(2, at(90));
        reaper.fell_from(1, at(100));
        // Idle from 100 s on: due at 720 s, and 7 + 24 × 30 = 727 is the next round.
        assert_eq!(reaper.next_round(0, 2, at(100)), Some(at(727)));
        // With one at work the function could be idle from now on: 700 + 620, or level 2 is surplus at 1,190.
        assert_eq!(reaper.next_round(1, 2, at(700)), Some(at(1207)));
        // All at work: nothing to take.
        assert_eq!(reaper.next_round(2, 2, at(700)), None);
        // A third that was never needed goes at the next round.
        assert_eq!(reaper.next_round(1, 3, at(700)), Some(at(727)));
        // A round that is now is over.
        assert_eq!(reaper.next_round(1, 3, at(727)), Some(at(757)));
    }

    #[test]
    fn a_level_that_is_reached_again_counts_anew() {
        let mut reaper = Reaper::new(RULE, Span::ZERO);
        reaper.fell_from(2, at(0));
        reaper.fell_from(1, at(1));
        reaper.fell_from(2, at(900));
        reaper.fell_from(1, at(901));
        assert_eq!(reaper.wanted(0, at(1500)), 2);
        // Concurrency 2 was needed 300 s ago: one lost then is not replaced, one lost a moment earlier is.
        assert_eq!([reaper.needed(0, at(1199)), reaper.needed(0, at(1200))], [2, 1]);
        assert_eq!([reaper.needed(0, at(1201)), reaper.needed(3, at(1201))], [0, 3]);
        // An empty reaper keeps nothing.
        assert_eq!(Reaper::new(RULE, Span::ZERO).wanted(0, at(0)), 0);
    }
}
