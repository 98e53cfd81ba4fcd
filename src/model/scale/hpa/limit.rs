//! What holds a recommendation back: stabilisation over past recommendations, policies over past changes, the two bounds.

use super::reason::Reason;
use super::spec::{Behavior, Controller, HpaSpec, Policy, PolicyType, ScalingRules, SelectPolicy};
use crate::kernel::{Span, Time};
use std::cmp::Ordering;

/// A change of the number of replicas that the autoscaler made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleEvent {
    /// When.
    pub at: Time,
    /// Replicas added, or removed if negative.
    pub change: i64,
}

/// What the controller remembers of an autoscaler. Lost when the controller restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// What metrics wanted, before any limit, and when.
    pub recommendations: Vec<(Time, u32)>,
    /// Its own changes; used where the specification has a `behavior`.
    pub events: Vec<ScaleEvent>,
}

impl History {
    /// Drops what no window can reach any more: the longest are an hour.
    pub fn forget(&mut self, now: Time) {
        let reach = Span::from_secs(3600);
        self.recommendations.retain(|(at, _)| *at + reach >= now);
        self.events.retain(|event| event.at + reach >= now);
    }

    /// Replicas added (first) and removed within the last `period`, the moment exactly a period ago left out.
    fn changes(&self, period: Span, now: Time) -> (i64, i64) {
        let recent = self.events.iter().filter(|event| event.at + period > now);
        recent.fold((0, 0), |(added, removed), event| match event.change {
            change if change > 0 => (added + change, removed),
            change => (added, removed - change),
        })
    }
}

/// A recommendation on its way through the limits.
pub(super) struct Limits<'a> {
    pub(super) spec: &'a HpaSpec,
    pub(super) controller: &'a Controller,
    pub(super) history: &'a History,
    pub(super) now: Time,
    pub(super) current: u32,
}

impl Limits<'_> {
    /// The number that may be set, and the reasons in the order in which they arise.
    pub(super) fn apply(&self, wanted: u32) -> (u32, Vec<Reason>) {
        let (stable, limited, held, limit) = match &self.spec.behavior {
            None => {
                let stable = self.highest(self.controller.downscale_stabilization, wanted);
                let (limited, limit) = self.old_rules(stable);
                (stable, limited, Reason::ScaleDownStabilized, limit)
            }
            Some(behavior) => {
                let stable = self.stabilized(behavior, wanted);
                let (limited, limit) = self.rates(behavior, stable);
                let held = if wanted >= self.current {
                    Reason::ScaleUpStabilized
                } else {
                    Reason::ScaleDownStabilized
                };
                (stable, limited, held, limit)
            }
        };
        let able = if stable == wanted { Reason::ReadyForNewScale } else { held };
        (limited, vec![able, limit])
    }

    /// Without a `behavior`, a recommendation exactly one window old still counts.
    fn highest(&self, window: Span, wanted: u32) -> u32 {
        let recent = self.history.recommendations.iter().filter(|(at, _)| *at + window >= self.now);
        recent.map(|(_, replicas)| *replicas).max().unwrap_or(0).max(wanted)
    }

    /// With a `behavior`: the current number, moved no further than every recommendation of the windows agrees to.
    fn stabilized(&self, behavior: &Behavior, wanted: u32) -> u32 {
        let window = |rules: &Option<ScalingRules>, default: Span| {
            let seconds = rules.as_ref().and_then(|r| r.stabilization_window_seconds);
            seconds.map_or(default, |s| Span::from_secs(u64::from(s)))
        };
        let up = window(&behavior.scale_up, Span::ZERO);
        let down = window(&behavior.scale_down, self.controller.downscale_stabilization);
        let within = |window: Span| {
            let all = self.history.recommendations.iter();
            all.filter(move |(at, _)| *at + window > self.now).map(|(_, replicas)| *replicas)
        };
        let lowest = within(up).fold(wanted, u32::min);
        let highest = within(down).fold(wanted, u32::max);
        self.current.max(lowest).min(highest)
    }

    /// Without a `behavior`: at most double or four, never outside the bounds.
    fn old_rules(&self, wanted: u32) -> (u32, Reason) {
        let limit = self.current.saturating_mul(2).max(4);
        let (most, reason) = if self.spec.max_replicas > limit {
            (limit, Reason::ScaleUpLimit)
        } else {
            (self.spec.max_replicas, Reason::TooManyReplicas)
        };
        if wanted < self.spec.min_replicas {
            (self.spec.min_replicas, Reason::TooFewReplicas)
        } else if wanted > most {
            (most, reason)
        } else {
            (wanted, Reason::DesiredWithinRange)
        }
    }

    fn rates(&self, behavior: &Behavior, wanted: u32) -> (u32, Reason) {
        let (current, target) = (i64::from(self.current), i64::from(wanted));
        let (bound, reason) = match target.cmp(&current) {
            Ordering::Greater => {
                let limit = self.up_limit(behavior.scale_up.as_ref()).max(current);
                let max = i64::from(self.spec.max_replicas);
                let slow = max > limit;
                (max.min(limit), if slow { Reason::ScaleUpLimit } else { Reason::TooManyReplicas })
            }
            Ordering::Less => {
                let limit = self.down_limit(behavior.scale_down.as_ref()).min(current);
                let min = i64::from(self.spec.min_replicas);
                let slow = min < limit;
                (min.max(limit), if slow { Reason::ScaleDownLimit } else { Reason::TooFewReplicas })
            }
            Ordering::Equal => return (wanted, Reason::DesiredWithinRange),
        };
        let bound = bound.clamp(0, i64::from(i32::MAX)) as u32;
        let beyond = if target > current { wanted > bound } else { wanted < bound };
        if beyond { (bound, reason) } else { (wanted, Reason::DesiredWithinRange) }
    }

    /// The most replicas that policies allow now.
    fn up_limit(&self, rules: Option<&ScalingRules>) -> i64 {
        let policies = policies(rules, &[(PolicyType::Pods, 4), (PolicyType::Percent, 100)]);
        let allowed = policies.iter().map(|policy| {
            let start = self.at_start(policy);
            match policy.sort {
                PolicyType::Pods => start + i64::from(policy.value),
                PolicyType::Percent => {
                    (start as f64 * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i64
                }
            }
        });
        match select(rules) {
            SelectPolicy::Max => allowed.max(),
            SelectPolicy::Min => allowed.min(),
            SelectPolicy::Disabled => None,
        }
        .unwrap_or(i64::from(self.current))
    }

    /// The fewest replicas that policies allow now.
    fn down_limit(&self, rules: Option<&ScalingRules>) -> i64 {
        let policies = policies(rules, &[(PolicyType::Percent, 100)]);
        let allowed = policies.iter().map(|policy| {
            let start = self.at_start(policy);
            match policy.sort {
                PolicyType::Pods => start - i64::from(policy.value),
                PolicyType::Percent => {
                    (start as f64 * (1.0 - f64::from(policy.value) / 100.0)) as i64
                }
            }
        });
        match select(rules) {
            SelectPolicy::Max => allowed.min(),
            SelectPolicy::Min => allowed.max(),
            SelectPolicy::Disabled => None,
        }
        .unwrap_or(i64::from(self.current))
    }

    /// Replicas when the period of a policy began, by the autoscaler's own changes since.
    fn at_start(&self, policy: &Policy) -> i64 {
        let period = Span::from_secs(u64::from(policy.period_seconds));
        let (added, removed) = self.history.changes(period, self.now);
        i64::from(self.current) - added + removed
    }
}

fn select(rules: Option<&ScalingRules>) -> SelectPolicy {
    rules.and_then(|r| r.select_policy).unwrap_or(SelectPolicy::Max)
}

/// Policies in force; the defaults of the API have a period of 15 s.
fn policies(rules: Option<&ScalingRules>, defaults: &[(PolicyType, u32)]) -> Vec<Policy> {
    rules.and_then(|r| r.policies.clone()).unwrap_or_else(|| {
        let policy =
            |&(sort, value): &(PolicyType, u32)| Policy { sort, value, period_seconds: 15 };
        defaults.iter().map(policy).collect()
    })
}
