//! What the API server would refuse in a specification, and one would not notice otherwise.

use super::spec::{HpaSpec, MetricSpec, MetricType, ScalingRules, Target, TargetType};
use crate::units::Quantity;

/// Something wrong in a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where, steps separated by `/`: `metrics/0/resource/target`.
    pub path: String,
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

fn wrong(path: impl Into<String>, message: impl Into<String>, remedy: &'static str) -> Wrong {
    Wrong { path: path.into(), message: message.into(), remedy }
}

impl HpaSpec {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<Wrong> {
        let mut found = Vec::new();
        if self.min_replicas > self.max_replicas {
            let message = format!(
                "minReplicas {} is more than maxReplicas {}",
                self.min_replicas, self.max_replicas
            );
            found.push(wrong("minReplicas", message, "lower it, or raise maxReplicas"));
        }
        let outside = |m: &MetricSpec| matches!(m.sort, MetricType::Object | MetricType::External);
        if self.min_replicas == 0 && !self.metrics.iter().any(outside) {
            let message = "minReplicas 0 needs an Object or External metric";
            found.push(wrong(
                "minReplicas",
                message,
                "pods that do not run have no metric to wake them by",
            ));
        }
        for (i, metric) in self.metrics.iter().enumerate() {
            metric.check(&format!("metrics/{i}"), &mut found);
        }
        let behavior = self.behavior.iter();
        for (name, rules) in
            behavior.flat_map(|b| [("scaleUp", &b.scale_up), ("scaleDown", &b.scale_down)])
        {
            if let Some(rules) = rules {
                rules.check(&format!("behavior/{name}"), &mut found);
            }
        }
        found
    }
}

impl MetricSpec {
    fn check(&self, at: &str, found: &mut Vec<Wrong>) {
        const PER_POD: &[TargetType] = &[TargetType::Utilization, TargetType::AverageValue];
        const WHOLE: &[TargetType] = &[TargetType::Value, TargetType::AverageValue];
        let kinds = [
            (MetricType::Resource, "resource", self.resource.as_ref().map(|m| &m.target), PER_POD),
            (
                MetricType::ContainerResource,
                "containerResource",
                self.container_resource.as_ref().map(|m| &m.target),
                PER_POD,
            ),
            (
                MetricType::Pods,
                "pods",
                self.pods.as_ref().map(|m| &m.target),
                &[TargetType::AverageValue],
            ),
            (MetricType::Object, "object", self.object.as_ref().map(|m| &m.target), WHOLE),
            (MetricType::External, "external", self.external.as_ref().map(|m| &m.target), WHOLE),
        ];
        for (sort, key, target, allowed) in kinds {
            match (sort == self.sort, target) {
                (true, None) => {
                    let message = format!("a metric of type {sort:?} needs the key `{key}`");
                    found.push(wrong(at, message, "add the details of the metric"));
                }
                (true, Some(target)) => target.check(&format!("{at}/{key}/target"), allowed, found),
                (false, Some(_)) => {
                    let message = format!("the metric is of type {:?}, not of this", self.sort);
                    found.push(wrong(
                        format!("{at}/{key}"),
                        message,
                        "keep the key that belongs to the type",
                    ));
                }
                (false, None) => {}
            }
        }
    }
}

impl Target {
    fn check(&self, at: &str, allowed: &[TargetType], found: &mut Vec<Wrong>) {
        let given: Vec<TargetType> = [
            (TargetType::Utilization, self.average_utilization.is_some()),
            (TargetType::AverageValue, self.average_value.is_some()),
            (TargetType::Value, self.value.is_some()),
        ]
        .into_iter()
        .filter_map(|(sort, given)| given.then_some(sort))
        .collect();
        match given.as_slice() {
            [only] if !allowed.contains(only) => {
                let message = format!("a target of type {only:?} does not fit this metric");
                found.push(wrong(at, message, "Resource: averageUtilization or averageValue; Pods: averageValue; Object, External: value or averageValue"));
            }
            [only] if self.sort.is_some_and(|sort| sort != *only) => {
                let message = format!("the value that is given is of type {only:?}");
                found.push(wrong(format!("{at}/type"), message, "let the type fit the value"));
            }
            [_] => {}
            _ => {
                let message = format!("{} target values where one is wanted", given.len());
                found.push(wrong(at, message, "give averageUtilization, averageValue or value"));
            }
        }
        for (key, value) in [("averageValue", self.average_value), ("value", self.value)] {
            if value.is_some_and(|value| value <= Quantity::default()) {
                found.push(wrong(
                    format!("{at}/{key}"),
                    "a target that is not above zero",
                    "give a positive amount",
                ));
            }
        }
    }
}

impl ScalingRules {
    fn check(&self, at: &str, found: &mut Vec<Wrong>) {
        if self.policies.as_ref().is_some_and(Vec::is_empty) {
            found.push(wrong(
                format!("{at}/policies"),
                "an empty list of policies",
                "leave the key out for the defaults, or say selectPolicy: Disabled",
            ));
        }
        if self.tolerance.is_some_and(|tolerance| tolerance < Quantity::default()) {
            let path = format!("{at}/tolerance");
            found.push(wrong(path, "a negative tolerance", "0.1 is Kubernetes' default"));
        }
    }
}
