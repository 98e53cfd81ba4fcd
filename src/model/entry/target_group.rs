//! A target group: which targets a balancer sends to. Registered by a controller with its lag, healthy by checks of the balancer's own, taken
//! out with a deregistration delay.

use crate::kernel::{Key, Span, Time};
use crate::model::data::Data;
use crate::model::dist::{Dist, Sampler, Uniform};
use crate::model::probe::Belief;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a balancer knows its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetGroupSpec {
    /// From check to check of a target.
    #[serde(default = "interval_default")]
    #[schemars(extend("x-source" = "ALB guide: HealthCheckIntervalSeconds 30"))]
    pub interval: Span,
    /// How long an answer to a check may take.
    #[serde(default = "timeout_default")]
    #[schemars(extend("x-source" = "ALB guide: HealthCheckTimeoutSeconds 5"))]
    pub timeout: Span,
    /// Checks in a row that make an unhealthy target healthy; a new target needs one.
    #[serde(default = "healthy_default")]
    #[schemars(range(min = 2, max = 10), extend("x-source" = "ALB guide: HealthyThresholdCount 5"))]
    pub healthy_threshold: u32,
    /// Failed checks in a row that make a target unhealthy.
    #[serde(default = "unhealthy_default")]
    #[schemars(range(min = 2, max = 10), extend("x-source" = "ALB guide: UnhealthyThresholdCount 2"))]
    pub unhealthy_threshold: u32,
    /// When in its interval a target is first checked; none: at random, another for every target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Span>,
    /// From a change of a pod to a balancer that acts on it: controller, API call, data plane.
    #[serde(default = "lag_default")]
    #[schemars(extend("x-source" = "users of the AWS Load Balancer Controller reckon with about 10 s: assumed", "x-assumed" = true))]
    pub registration_lag: Dist,
    /// From a target that becomes healthy to its full share of requests, which grows evenly in time; none: at once. Only in turn. A target that
    /// becomes healthy when all that are healthy are in slow start themselves, or none is, has its full share at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "ALB guide: slow_start.duration_seconds, off, or 30 to 900 s"))]
    pub slow_start: Option<Span>,
    /// How long requests in progress may go on when their target is taken out.
    #[serde(default = "delay_default")]
    #[schemars(extend("x-source" = "ALB guide: deregistration_delay.timeout_seconds 300"))]
    pub deregistration_delay: Span,
}

fn interval_default() -> Span {
    Span::from_secs(30)
}
fn timeout_default() -> Span {
    Span::from_secs(5)
}
fn healthy_default() -> u32 {
    5
}
fn unhealthy_default() -> u32 {
    2
}
fn lag_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_secs(5), high: Span::from_secs(10) })
}
fn delay_default() -> Span {
    Span::from_secs(300)
}

impl Default for TargetGroupSpec {
    fn default() -> Self {
        TargetGroupSpec {
            interval: interval_default(),
            timeout: timeout_default(),
            healthy_threshold: healthy_default(),
            unhealthy_threshold: unhealthy_default(),
            phase: None,
            registration_lag: lag_default(),
            slow_start: None,
            deregistration_delay: delay_default(),
        }
    }
}

/// One target.
#[derive(Debug, Clone)]
struct Member {
    /// Whether the controller wants it in, and how often that has changed.
    wanted: bool,
    changes: u32,
    registered: bool,
    /// Not checked yet since it was registered.
    initial: bool,
    belief: Belief,
    /// Since when it has been healthy, if that came about during the run.
    healthy_since: Option<Time>,
    /// Turns that it has saved up while its share grows.
    credit: f64,
    /// Counts registrations: a check of an earlier one is stale.
    life: u16,
}

/// The targets of a balancer.
#[derive(Debug)]
pub(super) struct TargetGroup {
    pub(super) spec: TargetGroupSpec,
    members: Vec<Member>,
    lag: Sampler,
    key: Key,
}

impl TargetGroup {
    /// # Errors
    /// Says which law has no meaning; a checked scenario has no such errors.
    pub(super) fn new(
        spec: &TargetGroupSpec,
        data: &Data,
        key: Key,
    ) -> Result<TargetGroup, String> {
        let lag = spec.registration_lag.sampler(data)?;
        Ok(TargetGroup { spec: spec.clone(), members: Vec::new(), lag, key })
    }

    /// The targets at the beginning: those that are registered are healthy.
    pub(super) fn begin(&mut self, registered: impl Iterator<Item = bool>) {
        let member = |registered: bool| Member {
            wanted: registered,
            changes: 0,
            registered,
            initial: false,
            belief: Belief::new(true),
            healthy_since: None,
            credit: 0.0,
            life: 0,
        };
        self.members = registered.map(member).collect();
    }

    /// Whether it has begun.
    pub(super) fn begun(&self) -> bool {
        !self.members.is_empty()
    }

    pub(super) fn registered(&self, at: usize) -> bool {
        self.members[at].registered
    }

    /// Number of a target's registration.
    pub(super) fn life(&self, at: usize) -> u16 {
        self.members[at].life
    }

    pub(super) fn healthy(&self, at: usize) -> bool {
        let member = &self.members[at];
        member.registered && !member.initial && member.belief.healthy()
    }

    /// How many are healthy.
    pub(super) fn count_healthy(&self) -> u64 {
        (0..self.members.len()).filter(|at| self.healthy(*at)).count() as u64
    }

    /// The targets that get requests: the healthy ones; if there are none, all that are registered.
    pub(super) fn routes_to(&self, at: usize, some_healthy: bool) -> bool {
        if some_healthy { self.healthy(at) } else { self.members[at].registered }
    }

    /// The controller sees whether a target is wanted; if that is new: the lag, and the number of the change with whether it is wanted in its
    /// last bit.
    pub(super) fn follow(&mut self, at: usize, wanted: bool) -> Option<(Span, u32)> {
        let key = self.key.named("lag").with(at as u64);
        let member = &mut self.members[at];
        if member.wanted == wanted {
            return None;
        }
        member.wanted = wanted;
        member.changes += 1;
        let lag = self.lag.sample(&mut key.with(u64::from(member.changes)).stream());
        Some((lag, member.changes << 1 | u32::from(wanted)))
    }

    /// A change has reached the balancer: the target goes in or out. Says whether this is new.
    pub(super) fn apply(&mut self, at: usize, change: u32) -> bool {
        let member = &mut self.members[at];
        // One that has been overtaken by a later change has no effect.
        if change >> 1 != member.changes || member.registered == (change & 1 == 1) {
            return false;
        }
        member.registered = change & 1 == 1;
        member.initial = member.registered;
        member.belief = Belief::new(false);
        member.life = member.life.wrapping_add(1);
        true
    }

    /// From registration, or from the beginning, to the first check.
    pub(super) fn first_check(&self, at: usize) -> Span {
        let key = self.key.named("check").with(at as u64).with(u64::from(self.members[at].life));
        let interval = self.spec.interval.nanos().max(1);
        self.spec.phase.unwrap_or_else(|| Span::from_nanos(key.stream().below(interval)))
    }

    /// The target whose turn it is, of those in `turns`. With slow start one of n targets that has had a part f of the time is to get the
    /// share f / n: it takes (n - 1) f / (n - f) of its turns.
    pub(super) fn turn(&mut self, turns: &[usize], now: Time) -> Option<usize> {
        let n = turns.len() as f64;
        for &at in turns {
            let part = self.part(at, now);
            if part >= 1.0 {
                return Some(at);
            }
            let member = &mut self.members[at];
            member.credit += (n - 1.0) * part / (n - part);
            if member.credit >= 1.0 {
                member.credit -= 1.0;
                return Some(at);
            }
        }
        turns.first().copied()
    }

    /// How much of its share a target has had time to get.
    fn part(&self, at: usize, now: Time) -> f64 {
        match (self.spec.slow_start, self.members[at].healthy_since) {
            (Some(whole), Some(since)) => now.since(since).as_secs_f64() / whole.as_secs_f64(),
            _ => 1.0,
        }
    }

    /// Whether a healthy target is not in slow start: only then another enters it (ALB guide, target groups, slow start mode:
    /// "Newly registered targets enter slow start mode only when there is at least one healthy target that is not").
    fn any_warm(&self, now: Time) -> bool {
        self.spec.slow_start.is_some()
            && (0..self.members.len()).any(|at| self.healthy(at) && self.part(at, now) >= 1.0)
    }

    /// A check of a target passed or failed; says whether it is healthy from now on, if that is new.
    pub(super) fn checked(
        &mut self,
        at: usize,
        life: u16,
        passed: bool,
        now: Time,
    ) -> Option<bool> {
        let warm = self.any_warm(now);
        let spec = &self.spec;
        let member = &mut self.members[at];
        if member.life != life || !member.registered {
            return None;
        }
        let passes = if member.initial { 1 } else { spec.healthy_threshold };
        let change = member.belief.seen(passed, (passes, spec.unhealthy_threshold));
        if change == Some(true) {
            member.initial = false;
            (member.healthy_since, member.credit) = (warm.then_some(now), 0.0);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> TargetGroup {
        TargetGroup::new(&TargetGroupSpec::default(), &Data::default(), Key::root(1, 0)).unwrap()
    }

    #[test]
    fn a_new_target_needs_one_check_and_a_sick_one_five() {
        let mut group = group();
        group.begin([true, false].into_iter());
        assert_eq!(group.count_healthy(), 1);
        let (_, change) = group.follow(1, true).unwrap();
        assert!(group.follow(1, true).is_none());
        assert!(group.apply(1, change) && !group.healthy(1));
        let life = group.life(1);
        assert_eq!(group.checked(1, life, true, Time::ZERO), Some(true));
        let seen: Vec<_> = (0..7).map(|i| group.checked(1, life, i > 1, Time::ZERO)).collect();
        assert_eq!(seen, [None, Some(false), None, None, None, None, Some(true)]);
    }

    /// Three warm targets and a new one, 40 requests a second: its share of each ten seconds is (middle / 100 s) / 4, to half a turn.
    #[test]
    fn t_alb_4_a_new_target_gets_its_share_evenly_in_time() {
        let spec = TargetGroupSpec {
            slow_start: Some(Span::from_secs(100)),
            ..TargetGroupSpec::default()
        };
        let mut group = TargetGroup::new(&spec, &Data::default(), Key::root(1, 0)).unwrap();
        group.begin([true, true, true, false].into_iter());
        let (_, change) = group.follow(3, true).unwrap();
        group.apply(3, change);
        group.checked(3, group.life(3), true, Time::ZERO);
        let (mut next, mut taken) = (0, [[0_u32; 4]; 12]);
        for request in 0..4_800_u64 {
            let now = Time::ZERO + Span::from_millis(25 * request);
            let turns: Vec<usize> = (0..4).map(|i| (next + i) % 4).collect();
            let at = group.turn(&turns, now).unwrap();
            next = (at + 1) % 4;
            taken[request as usize / 400][at] += 1;
        }
        for (tenth, counts) in taken.iter().enumerate() {
            let share = (0.05 + 0.1 * tenth as f64).min(1.0) / 4.0;
            let own = f64::from(counts[3]);
            assert!((own - 400.0 * share).abs() <= 4.0, "{tenth}: {counts:?}");
            // The others share the rest evenly.
            assert!(counts[..3].iter().all(|n| (f64::from(*n) - (400.0 - own) / 3.0).abs() <= 2.0));
        }
    }

    #[test]
    fn t_alb_6_slow_start_needs_a_healthy_target_that_is_not_in_it() {
        let slow_start = Some(Span::from_secs(100));
        let spec = TargetGroupSpec { slow_start, ..TargetGroupSpec::default() };
        let mut group = TargetGroup::new(&spec, &Data::default(), Key::root(1, 0)).unwrap();
        group.begin([false, false, false].into_iter());
        // The first of an empty group has its share at once, the second beside it grows, so does the third; when the first fails the
        // second goes on growing, and the first comes back without a warm one beside it.
        let at = |seconds| Time::ZERO + Span::from_secs(seconds);
        let percent = |part: f64| (part * 100.0).round() as i64;
        let mut passes = |target: usize, seconds: u64| {
            if let Some((_, change)) = group.follow(target, true) {
                group.apply(target, change);
            }
            group.checked(target, group.life(target), true, at(seconds));
            percent(group.part(target, at(seconds + 10)))
        };
        assert!(passes(0, 0) >= 100);
        assert_eq!([passes(1, 10), passes(2, 20)], [10, 10]);
        for _ in 0..2 {
            group.checked(0, group.life(0), false, at(30));
        }
        assert_eq!(percent(group.part(1, at(30))), 20);
        for _ in 0..5 {
            group.checked(0, group.life(0), true, at(40));
        }
        assert_eq!([0, 1].map(|target| percent(group.part(target, at(60)))), [100, 50]);
    }

    #[test]
    fn without_a_healthy_target_all_that_are_registered_get_requests() {
        let mut group = group();
        group.begin([true, true, false].into_iter());
        for at in [0, 1] {
            assert_eq!(
                [0, 1].map(|_| group.checked(at, 0, false, Time::ZERO)),
                [None, Some(false)]
            );
        }
        let some = group.count_healthy() > 0;
        assert_eq!([0, 1, 2].map(|at| group.routes_to(at, some)), [true, true, false]);
    }
}
