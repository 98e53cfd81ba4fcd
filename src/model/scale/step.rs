//! Alarms and the policies they trigger: step scaling with warm-up, simple scaling with a cooldown (EC2 Auto Scaling, Elastic
//! Beanstalk's triggers).

use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How an adjustment is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// So many more or fewer.
    #[default]
    ChangeInCapacity,
    /// So many percent of the present number more or fewer.
    PercentChangeInCapacity,
    /// This number.
    ExactCapacity,
}

impl Adjustment {
    /// What an adjustment makes of a number. Percent are rounded as AWS does: towards zero, but never to no change.
    pub fn apply(self, current: u32, by: i32) -> u32 {
        let current = i64::from(current);
        let wanted = match self {
            Adjustment::ChangeInCapacity => current + i64::from(by),
            Adjustment::ExactCapacity => i64::from(by),
            Adjustment::PercentChangeInCapacity => {
                let change = current * i64::from(by);
                let cut = change / 100;
                current + if cut == 0 { change.signum() } else { cut }
            }
        };
        wanted.clamp(0, i64::from(u32::MAX)) as u32
    }
}

/// One step: for breaches from `lower` up to `upper`, measured from the alarm's threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Breach from which it applies; none: from minus infinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Breach below which it applies; none: to infinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// By how much, or to what.
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub adjustment: i32,
}

/// The number that a breach of the alarm's threshold by `breach` asks for, if a step covers it.
pub fn stepped(sort: Adjustment, steps: &[Step], current: u32, breach: f64) -> Option<u32> {
    let covers = |step: &&Step| {
        step.lower.is_none_or(|lower| breach >= lower)
            && step.upper.is_none_or(|upper| breach < upper)
    };
    steps.iter().find(covers).map(|step| sort.apply(current, step.adjustment))
}

/// What step scaling remembers: from how many it last grew, for as long as those replicas warm up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stepper {
    warming: Option<(Time, u32)>,
}

impl Stepper {
    /// How many are wanted now that the alarm sounds. Replicas that warm up count, so a breach that grows adds the difference only;
    /// while they do, nothing shrinks.
    pub fn alarm(
        &mut self,
        (sort, steps, warm_up): (Adjustment, &[Step], Span),
        now: Time,
        current: u32,
        breach: f64,
    ) -> Option<u32> {
        let warming = self.warming.filter(|(at, _)| *at + warm_up > now);
        let from = warming.map_or(current, |(_, from)| from);
        let wanted = stepped(sort, steps, from, breach)?;
        if wanted > current {
            self.warming = Some((now, from));
            return Some(wanted);
        }
        (wanted < current && warming.is_none()).then_some(wanted)
    }
}

/// An alarm: so many of the last points beyond a threshold.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    points: VecDeque<bool>,
}

impl Alarm {
    /// Takes whether the newest point lies beyond the threshold; true while `needed` of the last `points` do.
    pub fn point(&mut self, beyond: bool, points: u32, needed: u32) -> bool {
        self.points.push_back(beyond);
        if self.points.len() > points as usize {
            self.points.pop_front();
        }
        self.points.iter().filter(|beyond| **beyond).count() >= needed as usize
    }
}

/// Simple scaling: one activity at a time, and a cooldown after each in which alarms are ignored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Simple {
    busy: bool,
    rests_until: Option<Time>,
}

impl Simple {
    /// Whether an alarm is listened to.
    pub fn listens(&self, now: Time) -> bool {
        !self.busy && self.rests_until.is_none_or(|until| until <= now)
    }
    /// An activity begins.
    pub fn begins(&mut self) {
        self.busy = true;
    }
    /// The activity is over (the instance is in service, or gone): the cooldown begins.
    pub fn done(&mut self, now: Time, cooldown: Span) {
        self.busy = false;
        self.rests_until = Some(now + cooldown);
    }
}

/// What a Beanstalk trigger looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Bytes that an instance sends in a period, averaged over the instances.
    #[default]
    NetworkOut,
    /// Percent of the processor.
    CpuUtilization,
    /// Requests in a period, at all instances.
    RequestCount,
}

/// Elastic Beanstalk's scaling triggers (`aws:autoscaling:trigger` and `aws:autoscaling:asg`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Beanstalk {
    /// What is measured.
    #[serde(default)]
    #[schemars(extend("x-source" = "Elastic Beanstalk: MeasureName NetworkOut"))]
    pub measure: Measure,
    /// Time of one point.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-source" = "Elastic Beanstalk: Period 5 minutes"))]
    pub period: Span,
    /// So many points beyond a threshold trigger.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "Elastic Beanstalk: EvaluationPeriods 1"))]
    pub points: u32,
    /// Above this it grows.
    #[serde(default = "upper")]
    #[schemars(extend("x-source" = "Elastic Beanstalk: UpperThreshold 6,000,000 bytes"))]
    pub upper: f64,
    /// Below this it shrinks.
    #[serde(default = "lower")]
    #[schemars(extend("x-source" = "Elastic Beanstalk: LowerThreshold 2,000,000 bytes"))]
    pub lower: f64,
    /// Instances added by a trigger.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "Elastic Beanstalk: UpperBreachScaleIncrement 1"))]
    pub increment: u32,
    /// Instances removed by a trigger.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "Elastic Beanstalk: LowerBreachScaleIncrement −1"))]
    pub decrement: u32,
    /// After a change, no other for this long.
    #[serde(default = "cooldown")]
    #[schemars(extend("x-source" = "Elastic Beanstalk: Cooldown 360 s"))]
    pub cooldown: Span,
}

fn five_minutes() -> Span {
    Span::from_secs(300)
}
fn one() -> u32 {
    1
}
fn upper() -> f64 {
    6_000_000.0
}
fn lower() -> f64 {
    2_000_000.0
}
fn cooldown() -> Span {
    Span::from_secs(360)
}

impl Default for Beanstalk {
    fn default() -> Beanstalk {
        Beanstalk {
            measure: Measure::NetworkOut,
            period: five_minutes(),
            points: one(),
            upper: upper(),
            lower: lower(),
            increment: one(),
            decrement: one(),
            cooldown: cooldown(),
        }
    }
}

/// What the triggers remember.
#[derive(Debug, Clone, Default)]
pub struct Triggers {
    upper: Alarm,
    lower: Alarm,
    high: bool,
    low: bool,
    simple: Simple,
}

impl Triggers {
    /// Takes a point of the measure.
    pub fn point(&mut self, spec: &Beanstalk, metric: Option<f64>) {
        let beyond = |test: fn(f64, f64) -> bool, bound| metric.is_some_and(|m| test(m, bound));
        self.high =
            self.upper.point(beyond(|m, bound| m > bound, spec.upper), spec.points, spec.points);
        self.low =
            self.lower.point(beyond(|m, bound| m < bound, spec.lower), spec.points, spec.points);
    }

    /// What an alarm that still sounds asks for; asked every minute, since actions are repeated while it does.
    pub fn ask(
        &mut self,
        spec: &Beanstalk,
        now: Time,
        current: u32,
        (min, max): (u32, u32),
    ) -> Option<u32> {
        if !self.simple.listens(now) {
            return None;
        }
        let wanted = match (self.high, self.low) {
            (true, _) => current.saturating_add(spec.increment),
            (_, true) => current.saturating_sub(spec.decrement),
            _ => return None,
        };
        let wanted = wanted.clamp(min, max);
        if wanted == current {
            return None;
        }
        self.simple.begins();
        Some(wanted)
    }

    /// No instance is on its way any more, in or out: an activity that was going on is over.
    pub fn settled(&mut self, spec: &Beanstalk, now: Time) {
        if self.simple.busy {
            self.simple.done(now, spec.cooldown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_rounds_towards_zero_but_never_to_nothing() {
        let percent = |current, by| Adjustment::PercentChangeInCapacity.apply(current, by);
        assert_eq!(percent(100, 12), 112);
        assert_eq!(percent(33, 20), 39); // 6.6 → 6
        assert_eq!(percent(33, -20), 27); // −6.6 → −6
        assert_eq!(percent(3, 10), 4); // 0.3 → 1
        assert_eq!(percent(3, -10), 2); // −0.3 → −1
        assert_eq!(Adjustment::ChangeInCapacity.apply(3, -5), 0);
        assert_eq!(Adjustment::ExactCapacity.apply(3, 7), 7);
    }

    #[test]
    fn steps_by_breach_and_only_the_difference_while_warming() {
        let steps = [
            Step { lower: Some(0.0), upper: Some(10.0), adjustment: 10 },
            Step { lower: Some(10.0), upper: None, adjustment: 30 },
        ];
        let policy = (Adjustment::PercentChangeInCapacity, &steps[..], Span::from_secs(300));
        let at = |s| Time::ZERO + Span::from_secs(s);
        let mut stepper = Stepper::default();
        assert_eq!(stepper.alarm(policy, at(0), 10, 5.0), Some(11));
        assert_eq!(stepper.alarm(policy, at(60), 11, 5.0), None);
        assert_eq!(stepper.alarm(policy, at(120), 11, 12.0), Some(13));
        assert_eq!(stepper.alarm(policy, at(421), 13, 5.0), Some(14));
        assert_eq!(stepper.alarm(policy, at(421), 13, -5.0), None);
    }

    #[test]
    fn m_of_n_points() {
        let mut alarm = Alarm::default();
        let sounds: Vec<bool> =
            [true, false, true, false, false].map(|beyond| alarm.point(beyond, 3, 2)).into();
        assert_eq!(sounds, [false, false, true, false, false]);
    }

    /// Instances in service `start` after they are asked for; alarms are looked at every minute.
    fn minutes_from_3_to_12(spec: &Beanstalk, start: u64) -> u64 {
        let (mut triggers, mut current, mut due) = (Triggers::default(), 3, None);
        for second in 1..20_000 {
            let now = Time::ZERO + Span::from_secs(second);
            if due == Some(second) {
                triggers.settled(spec, now);
                if current == 12 {
                    return second / 60;
                }
            }
            if (second * 1_000_000_000).is_multiple_of(spec.period.nanos()) {
                triggers.point(spec, Some(50_000_000.0));
            }
            if second % 60 == 0
                && let Some(wanted) = triggers.ask(spec, now, current, (3, 12))
            {
                (current, due) = (wanted, Some(second + start));
            }
        }
        unreachable!()
    }

    #[test]
    fn t_eb_1_nine_instances_take_54_minutes() {
        assert!(minutes_from_3_to_12(&Beanstalk::default(), 60) >= 54);
        let tuned = Beanstalk {
            period: Span::from_secs(60),
            increment: 3,
            cooldown: Span::from_secs(60),
            ..Beanstalk::default()
        };
        assert!(minutes_from_3_to_12(&tuned, 60) < 10);
    }

    #[test]
    fn between_the_thresholds_and_at_the_bounds_nothing_happens() {
        let spec = Beanstalk::default();
        let mut triggers = Triggers::default();
        let now = Time::ZERO;
        triggers.point(&spec, Some(4e6));
        assert_eq!(triggers.ask(&spec, now, 2, (1, 4)), None);
        triggers.point(&spec, Some(7e6));
        assert_eq!(triggers.ask(&spec, now, 4, (1, 4)), None);
        triggers.point(&spec, Some(1e6));
        assert_eq!(triggers.ask(&spec, now, 1, (1, 4)), None);
        assert_eq!(triggers.ask(&spec, now, 4, (1, 4)), Some(3));
        // One activity at a time, then the cooldown.
        assert_eq!(triggers.ask(&spec, now, 3, (1, 4)), None);
        triggers.settled(&spec, now);
        assert_eq!(triggers.ask(&spec, now + Span::from_secs(359), 3, (1, 4)), None);
        assert_eq!(triggers.ask(&spec, now + Span::from_secs(360), 3, (1, 4)), Some(2));
    }
}
