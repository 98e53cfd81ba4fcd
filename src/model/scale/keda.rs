//! KEDA: scaling on the length of a queue. Its operator wakes a workload from zero and puts it to sleep; in between it feeds a
//! Horizontal Pod Autoscaler with an External metric.

use super::hpa::{
    Behavior, ExternalMetric, HpaSpec, MetricIdentifier, MetricSpec, MetricType, Target,
};
use crate::kernel::{Span, Time};
use crate::units::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name under which the metric is handed to the autoscaler.
pub const METRIC: &str = "queue";

/// A ScaledObject with one trigger on the length of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keda {
    /// Items of the queue per replica.
    #[schemars(range(min = 0.001))]
    pub threshold: f64,
    /// More items than this wake the workload from zero, and keep it awake.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("x-source" = "KEDA: activation thresholds are 0"))]
    pub activation: f64,
    /// How often the operator looks.
    #[serde(default = "polling")]
    #[schemars(extend("x-source" = "KEDA: pollingInterval 30 s"))]
    pub polling_interval: Span,
    /// How long after the last activity the workload is put to sleep.
    #[serde(default = "cooldown")]
    #[schemars(extend("x-source" = "KEDA: cooldownPeriod 300 s"))]
    pub cooldown_period: Span,
    /// How fast the autoscaler may act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

fn polling() -> Span {
    Span::from_secs(30)
}
fn cooldown() -> Span {
    Span::from_secs(300)
}

impl Keda {
    /// The autoscaler that KEDA creates: it never goes below one.
    pub fn hpa(&self, min: u32, max: u32) -> HpaSpec {
        let threshold = Quantity::from_milli((self.threshold * 1000.0).round() as i64);
        let target = Target { average_value: Some(threshold), ..Target::default() };
        let metric = MetricIdentifier { name: METRIC.into(), selector: None };
        HpaSpec {
            scale_target_ref: None,
            min_replicas: min.max(1),
            max_replicas: max.max(1),
            metrics: vec![MetricSpec {
                sort: MetricType::External,
                resource: None,
                container_resource: None,
                pods: None,
                object: None,
                external: Some(ExternalMetric { metric, target }),
            }],
            behavior: self.behavior.clone(),
        }
    }
}

/// What the operator remembers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Operator {
    active: Option<Time>,
    next: Time,
}

impl Operator {
    /// Looks at the queue if a polling interval has passed; says how many replicas are wanted if that is its business: waking from zero, or
    /// going to sleep.
    pub fn poll(
        &mut self,
        spec: &Keda,
        now: Time,
        current: u32,
        min: u32,
        length: f64,
    ) -> Option<u32> {
        if now < self.next {
            return None;
        }
        self.next = now + spec.polling_interval;
        if length > spec.activation {
            self.active = Some(now);
            return (current == 0).then_some(min.max(1));
        }
        if current == 0 {
            return (min > 0).then_some(min);
        }
        let rested = self.active.is_none_or(|at| at + spec.cooldown_period <= now);
        (min == 0 && rested).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Keda {
        Keda {
            threshold: 5.0,
            activation: 2.0,
            polling_interval: polling(),
            cooldown_period: cooldown(),
            behavior: None,
        }
    }

    #[test]
    fn wakes_above_the_activation_and_sleeps_after_the_cooldown() {
        let spec = spec();
        let mut operator = Operator::default();
        let at = |s| Time::ZERO + Span::from_secs(s);
        assert_eq!(operator.poll(&spec, at(0), 0, 0, 2.0), None);
        assert_eq!(operator.poll(&spec, at(30), 0, 0, 3.0), Some(1));
        assert_eq!(operator.poll(&spec, at(60), 1, 0, 100.0), None);
        assert_eq!(operator.poll(&spec, at(330), 7, 0, 0.0), None);
        assert_eq!(operator.poll(&spec, at(360), 7, 0, 0.0), Some(0));
        // With a minimum it never puts anything to sleep.
        assert_eq!(operator.poll(&spec, at(900), 7, 1, 0.0), None);
    }

    #[test]
    fn the_autoscaler_divides_the_queue_by_the_threshold() {
        use crate::model::scale::hpa::{Controller, History, Observed, reconcile};
        use std::collections::BTreeMap;
        let hpa = spec().hpa(0, 50);
        assert_eq!((hpa.min_replicas, hpa.check()), (1, Vec::new()));
        let seen = Observed {
            now: Time::ZERO,
            replicas: 6,
            status_replicas: 6,
            pods: Vec::new(),
            object_values: BTreeMap::new(),
            external_values: BTreeMap::from([(METRIC.to_owned(), vec![47_000])]),
        };
        let decision = reconcile(&hpa, &Controller::default(), &seen, &mut History::default());
        assert_eq!(decision.desired, 10);
    }
}
