//! Step scaling on a pair of alarms, as EC2 Auto Scaling and ECS do it: the further beyond the threshold, the larger the step.

use super::step::{Adjustment, Alarm, Measure, Step, Stepper};
use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Step scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepScaling {
    /// What the alarms look at.
    #[serde(default = "cpu")]
    #[schemars(extend("x-source" = "the metric of the ECS and EC2 guides' examples"))]
    pub measure: Measure,
    /// Time of one point.
    #[serde(default = "a_minute")]
    #[schemars(extend("x-source" = "CloudWatch: ECS and detailed EC2 metrics come every minute"))]
    pub period: Span,
    /// Points that an alarm looks at.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "CloudWatch: evaluation periods, 1 unless said"))]
    pub evaluation_periods: u32,
    /// How many of them have to lie beyond the threshold; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "CloudWatch: datapoints to alarm, all unless said"))]
    pub datapoints_to_alarm: Option<u32>,
    /// How adjustments are meant.
    #[serde(default)]
    #[schemars(extend("x-source" = "EC2 Auto Scaling guide: the first of the three kinds"))]
    pub adjustment: Adjustment,
    /// How long new replicas count as warming up: a larger breach then adds the difference only, and nothing shrinks.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-source" = "EC2 Auto Scaling guide: the default cooldown of 300 s stands in where no warm-up is set"))]
    pub warm_up: Span,
    /// The alarm at or above whose threshold it grows.
    pub high: SteppedAlarm,
    /// The alarm at or below whose threshold it shrinks; none: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<SteppedAlarm>,
}

/// An alarm with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SteppedAlarm {
    /// Threshold, in the unit of the measure.
    pub threshold: f64,
    /// Steps by how far the measure lies from the threshold.
    pub steps: Vec<Step>,
}

fn cpu() -> Measure {
    Measure::CpuUtilization
}
fn a_minute() -> Span {
    Span::from_secs(60)
}
fn one() -> u32 {
    1
}
fn five_minutes() -> Span {
    Span::from_secs(300)
}

/// What step scaling remembers.
#[derive(Debug, Clone, Default)]
pub struct Stepping {
    stepper: Stepper,
    high: Alarm,
    low: Alarm,
}

impl Stepping {
    /// Takes a point of the measure; says how many are wanted if an alarm sounds and a step covers the breach.
    pub fn point(
        &mut self,
        spec: &StepScaling,
        now: Time,
        current: u32,
        metric: Option<f64>,
    ) -> Option<u32> {
        let (all, needed) = (spec.evaluation_periods, spec.needed());
        let above = metric.is_some_and(|m| m >= spec.high.threshold);
        let below = metric.zip(spec.low.as_ref()).is_some_and(|(m, low)| m <= low.threshold);
        let (high, low) = (self.high.point(above, all, needed), self.low.point(below, all, needed));
        let alarm = if high { Some(&spec.high) } else { spec.low.as_ref().filter(|_| low) }?;
        let policy = (spec.adjustment, alarm.steps.as_slice(), spec.warm_up);
        self.stepper.alarm(policy, now, current, metric? - alarm.threshold)
    }
}

impl StepScaling {
    fn needed(&self) -> u32 {
        self.datapoints_to_alarm.unwrap_or(self.evaluation_periods)
    }

    /// What contradicts itself: the path below the policy, what is wrong, what to do.
    pub fn check(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut wrong = Vec::new();
        if self.high.steps.is_empty() || self.low.as_ref().is_some_and(|low| low.steps.is_empty()) {
            let message = "an alarm without steps changes nothing".to_owned();
            wrong.push(("high.steps", message, "give at least one step with its adjustment"));
        }
        if self.needed() > self.evaluation_periods {
            let (needed, all) = (self.needed(), self.evaluation_periods);
            let message = format!("{needed} of {all} points never lie beyond a threshold");
            wrong.push(("datapoints_to_alarm", message, "at most `evaluation_periods`"));
        }
        if self.low.as_ref().is_some_and(|low| low.threshold >= self.high.threshold) {
            let message = "`low` is not below `high`: both alarms would sound at once".to_owned();
            wrong.push(("low.threshold", message, "leave room between the two thresholds"));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> StepScaling {
        let step = |lower, upper, adjustment| Step { lower, upper, adjustment };
        StepScaling {
            measure: cpu(),
            period: a_minute(),
            evaluation_periods: 2,
            datapoints_to_alarm: None,
            adjustment: Adjustment::ChangeInCapacity,
            warm_up: Span::from_secs(180),
            high: SteppedAlarm {
                threshold: 60.0,
                steps: vec![step(Some(0.0), Some(20.0), 1), step(Some(20.0), None, 3)],
            },
            low: Some(SteppedAlarm { threshold: 30.0, steps: vec![step(None, Some(0.0), -1)] }),
        }
    }

    #[test]
    fn it_grows_by_the_breach_after_two_points_and_shrinks_when_nothing_warms_up() {
        let (spec, mut own) = (spec(), Stepping::default());
        let mut current = 4;
        let seen: Vec<u32> = [70.0, 70.0, 85.0, 50.0, 20.0, 20.0, 20.0, 20.0]
            .into_iter()
            .zip(1..)
            .map(|(metric, minute)| {
                let now = Time::ZERO + Span::from_secs(60 * minute);
                current = own.point(&spec, now, current, Some(metric)).unwrap_or(current);
                current
            })
            .collect();
        // 70 % twice: one more. 85 %: three more than the four that it began with. Warm at 6 min; 20 % twice before that counts.
        assert_eq!(seen, [4, 5, 7, 7, 7, 6, 5, 4]);
        assert_eq!(own.point(&spec, Time::ZERO + Span::from_secs(900), 4, None), None);
    }

    #[test]
    fn contradictions_are_found() {
        assert!(spec().check().is_empty());
        let mut wrong = spec();
        wrong.high.steps.clear();
        wrong.datapoints_to_alarm = Some(3);
        wrong.high.threshold = 30.0;
        assert_eq!(wrong.check().len(), 3);
    }
}
