//! Target tracking as AWS does it (ECS services, EC2 groups, provisioned concurrency of Lambda): two alarms on a metric, a proportional
//! step, cooldowns. Predictive parts and anomaly bands are left out.

use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Target tracking of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetTracking {
    /// What the metric should be: percent of the processor, or requests per replica and minute.
    #[schemars(range(min = 0.000_001))]
    pub target: f64,
    /// One point of the metric in this time.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "AWS: ECS and Application Auto Scaling metrics have one point a minute; EC2 basic monitoring five minutes"))]
    pub period: Span,
    /// So many points above the target in a row start growing.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "alarms that Application Auto Scaling makes: 3 of 3 points (containers-roadmap 1208)"))]
    pub out_points: u32,
    /// So many points below `in_share` of the target in a row start shrinking.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "alarms that Application Auto Scaling makes: 15 of 15 points"))]
    pub in_points: u32,
    /// Share of the target below which it shrinks.
    #[serde(default = "ninety_percent")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "AWS: more than 10 % below the target"))]
    pub in_share: f64,
    /// After growing, only a larger step than that one for this long.
    #[serde(default = "cooldown")]
    #[schemars(extend("x-source" = "Application Auto Scaling: 300 s for ECS; 0 for Lambda"))]
    pub out_cooldown: Span,
    /// After any change, no shrinking for this long.
    #[serde(default = "cooldown")]
    #[schemars(extend("x-source" = "Application Auto Scaling: 300 s for ECS; 0 for Lambda"))]
    pub in_cooldown: Span,
    /// Whether it shrinks at all.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "AWS: DisableScaleIn is false"))]
    pub scale_in: bool,
}

fn minute() -> Span {
    Span::from_secs(60)
}
fn three() -> u32 {
    3
}
fn fifteen() -> u32 {
    15
}
fn ninety_percent() -> f64 {
    0.9
}
fn cooldown() -> Span {
    Span::from_secs(300)
}
fn yes() -> bool {
    true
}

impl TargetTracking {
    /// As for an ECS service.
    pub fn ecs(target: f64) -> TargetTracking {
        TargetTracking {
            target,
            period: minute(),
            out_points: three(),
            in_points: fifteen(),
            in_share: ninety_percent(),
            out_cooldown: cooldown(),
            in_cooldown: cooldown(),
            scale_in: true,
        }
    }

    /// As for provisioned concurrency of a Lambda function (`LambdaProvisionedConcurrencyUtilization`): no cooldowns.
    pub fn provisioned_concurrency(target: f64) -> TargetTracking {
        let none = Span::ZERO;
        TargetTracking { out_cooldown: none, in_cooldown: none, ..TargetTracking::ecs(target) }
    }
}

/// What target tracking remembers.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    points: VecDeque<f64>,
    /// When it last grew, and from how many.
    grew: Option<(Time, u32)>,
    shrank: Option<Time>,
}

impl Tracker {
    /// Takes a point of the metric, the average over the period that has just ended, and says how many replicas are wanted if
    /// that is a change. A point that is missing interrupts both alarms.
    pub fn point(
        &mut self,
        spec: &TargetTracking,
        now: Time,
        current: u32,
        metric: Option<f64>,
    ) -> Option<u32> {
        let Some(metric) = metric else {
            self.points.clear();
            return None;
        };
        self.points.push_back(metric);
        if self.points.len() > spec.out_points.max(spec.in_points) as usize {
            self.points.pop_front();
        }
        let ratio = metric / spec.target;
        if self.all(spec.out_points, |point| point > spec.target) {
            // Within the cooldown the step is reckoned from where the last one began, so that only a larger one counts.
            let cooling = self.grew.filter(|(at, _)| *at + spec.out_cooldown > now);
            let from = cooling.map_or(current, |(_, from)| from);
            let wanted = whole(f64::from(from) * ratio);
            if wanted > current {
                self.grew = Some((cooling.map_or(now, |(at, _)| at), from));
                return Some(wanted);
            }
            return None;
        }
        let cooling = [self.grew.map(|(at, _)| at), self.shrank].into_iter().flatten();
        let rested = cooling.max().is_none_or(|at| at + spec.in_cooldown <= now);
        let low = self.all(spec.in_points, |point| point < spec.target * spec.in_share);
        let wanted = whole(f64::from(current) * ratio);
        if spec.scale_in && rested && low && wanted < current {
            self.shrank = Some(now);
            return Some(wanted);
        }
        None
    }

    fn all(&self, last: u32, holds: impl Fn(f64) -> bool) -> bool {
        let last = last as usize;
        self.points.len() >= last && self.points.iter().rev().take(last).all(|point| holds(*point))
    }
}

/// Rounded up, as AWS does in order not to fall short.
fn whole(exact: f64) -> u32 {
    exact.ceil().clamp(0.0, 1e9) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Time {
        Time::ZERO + Span::from_secs(60) * minute
    }

    #[test]
    fn t_ecs_1_no_growth_before_three_points() {
        let spec = TargetTracking::ecs(50.0);
        let mut tracker = Tracker::default();
        assert_eq!(tracker.point(&spec, at(1), 4, Some(100.0)), None);
        assert_eq!(tracker.point(&spec, at(2), 4, Some(100.0)), None);
        assert_eq!(tracker.point(&spec, at(3), 4, Some(100.0)), Some(8));
    }

    #[test]
    fn t_ecs_2_no_shrinking_before_fifteen_points() {
        let spec = TargetTracking::ecs(50.0);
        let mut tracker = Tracker::default();
        for minute in 1..15 {
            assert_eq!(tracker.point(&spec, at(minute), 8, Some(20.0)), None, "{minute}");
        }
        assert_eq!(tracker.point(&spec, at(15), 8, Some(20.0)), Some(4));
        // 300 s after the change it may go on.
        for minute in 16..20 {
            assert_eq!(tracker.point(&spec, at(minute), 4, Some(20.0)), None, "{minute}");
        }
        assert_eq!(tracker.point(&spec, at(20), 4, Some(20.0)), Some(2));
    }

    #[test]
    fn within_the_cooldown_only_a_larger_step_counts() {
        let spec = TargetTracking::ecs(50.0);
        let mut tracker = Tracker::default();
        let mut step =
            |minute, current, metric| tracker.point(&spec, at(minute), current, Some(metric));
        assert_eq!((step(1, 4, 75.0), step(2, 4, 75.0), step(3, 4, 75.0)), (None, None, Some(6)));
        // The same pressure again asks for the 6 there are; a stronger one for more.
        assert_eq!(step(4, 6, 75.0), None);
        assert_eq!(step(5, 6, 100.0), Some(8));
        // After the cooldown of the first step it is reckoned from what there is.
        assert_eq!(step(8, 8, 75.0), Some(12));
    }

    #[test]
    fn between_the_alarms_and_without_points_nothing_happens() {
        let spec = TargetTracking::ecs(50.0);
        let mut tracker = Tracker::default();
        for minute in 1..60 {
            assert_eq!(tracker.point(&spec, at(minute), 4, Some(47.0)), None);
        }
        assert_eq!(tracker.point(&spec, at(60), 4, Some(90.0)), None);
        assert_eq!(tracker.point(&spec, at(61), 4, None), None);
        assert_eq!(tracker.point(&spec, at(62), 4, Some(90.0)), None);
        assert_eq!(tracker.point(&spec, at(63), 4, Some(90.0)), None);
        assert_eq!(tracker.point(&spec, at(64), 4, Some(90.0)), Some(8));
    }

    #[test]
    fn provisioned_concurrency_has_no_cooldown() {
        let spec = TargetTracking::provisioned_concurrency(0.7);
        let mut tracker = Tracker::default();
        assert_eq!(tracker.point(&spec, at(1), 100, Some(0.9)), None);
        assert_eq!(tracker.point(&spec, at(2), 100, Some(0.9)), None);
        assert_eq!(tracker.point(&spec, at(3), 100, Some(0.84)), Some(120));
        assert_eq!(tracker.point(&spec, at(4), 120, Some(0.84)), Some(144));
        // 0.63 is 90 % of 0.7: at that nothing shrinks.
        for minute in 5..30 {
            assert_eq!(tracker.point(&spec, at(minute), 144, Some(0.635)), None);
        }
        for minute in 30..44 {
            assert_eq!(tracker.point(&spec, at(minute), 144, Some(0.35)), None);
        }
        assert_eq!(tracker.point(&spec, at(44), 144, Some(0.35)), Some(72));
    }
}
