//! A target group: which targets a balancer sends to. Registered by a controller with its lag, healthy by checks of the balancer's own, taken
//! out with a deregistration delay.

use crate::kernel::{Key, Span};
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

    /// A check of a target passed or failed; says whether it is healthy from now on, if that is new.
    pub(super) fn checked(&mut self, at: usize, life: u16, passed: bool) -> Option<bool> {
        let spec = &self.spec;
        let member = &mut self.members[at];
        if member.life != life || !member.registered {
            return None;
        }
        let passes = if member.initial { 1 } else { spec.healthy_threshold };
        let change = member.belief.seen(passed, (passes, spec.unhealthy_threshold));
        member.initial &= change != Some(true);
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
        assert_eq!(group.checked(1, life, true), Some(true));
        let seen: Vec<_> = (0..7).map(|i| group.checked(1, life, i > 1)).collect();
        assert_eq!(seen, [None, Some(false), None, None, None, None, Some(true)]);
    }

    #[test]
    fn without_a_healthy_target_all_that_are_registered_get_requests() {
        let mut group = group();
        group.begin([true, true, false].into_iter());
        for at in [0, 1] {
            assert_eq!(
                [group.checked(at, 0, false), group.checked(at, 0, false)],
                [None, Some(false)]
            );
        }
        let some = group.count_healthy() > 0;
        assert_eq!([0, 1, 2].map(|at| group.routes_to(at, some)), [true, true, false]);
    }
}
