//! The specification of an autoscaler in Kubernetes' own field names (autoscaling/v2), and the controller's flags.

use crate::kernel::Span;
use crate::units::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `spec` of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HpaSpec {
    /// What is scaled; has no meaning here and may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_target_ref: Option<CrossVersionObjectReference>,
    /// Never fewer replicas than this.
    #[serde(default = "one")]
    #[schemars(extend("x-source" = "Kubernetes autoscaling/v2: minReplicas defaults to 1"))]
    pub min_replicas: u32,
    /// Never more replicas than this.
    #[schemars(range(min = 1))]
    pub max_replicas: u32,
    /// Metrics; the largest number of replicas that one of them wants counts.
    #[serde(default)]
    #[schemars(extend("x-source" = "Kubernetes autoscaling/v2: without metrics, 80 % CPU utilisation"))]
    pub metrics: Vec<MetricSpec>,
    /// How fast it may scale. Left out: the older rule (at most double or four at each sync, 300 s of stabilisation down).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

fn one() -> u32 {
    1
}

/// A name of an object in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CrossVersionObjectReference {
    /// API group and version.
    #[serde(default)]
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// One metric. `type` names the key that holds the details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MetricSpec {
    /// Which sort of metric.
    #[serde(rename = "type")]
    pub sort: MetricType,
    /// For `Resource`: CPU or memory of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceMetric>,
    /// For `ContainerResource`: CPU or memory of one container in each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<ContainerResource>,
    /// For `Pods`: a metric that each pod has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsMetric>,
    /// For `Object`: a metric of one other object, such as requests at an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectMetric>,
    /// For `External`: a metric from outside the cluster, such as the length of a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMetric>,
}

/// Sorts of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricType {
    /// CPU or memory of pods.
    Resource,
    /// CPU or memory of one container in each pod.
    ContainerResource,
    /// A metric that each pod has.
    Pods,
    /// A metric of another object.
    Object,
    /// A metric from outside the cluster.
    External,
}

/// CPU or memory of pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceMetric {
    /// `cpu` or `memory`.
    pub name: String,
    /// What is wanted.
    pub target: Target,
}

/// CPU or memory of one container in each pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerResource {
    /// `cpu` or `memory`.
    pub name: String,
    /// Name of the container.
    pub container: String,
    /// What is wanted.
    pub target: Target,
}

/// A metric that each pod has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodsMetric {
    /// Which metric.
    pub metric: MetricIdentifier,
    /// What is wanted: an `averageValue`.
    pub target: Target,
}

/// A metric of another object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ObjectMetric {
    /// Which metric.
    pub metric: MetricIdentifier,
    /// Which object; has no meaning here and may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described_object: Option<CrossVersionObjectReference>,
    /// What is wanted: a `value` or an `averageValue`.
    pub target: Target,
}

/// A metric from outside the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalMetric {
    /// Which metric.
    pub metric: MetricIdentifier,
    /// What is wanted: a `value` or an `averageValue`.
    pub target: Target,
}

/// A metric by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricIdentifier {
    /// Its name.
    pub name: String,
    /// Which of its series; has no meaning here, since metrics are told apart by their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// A selector by labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Selector {
    /// Labels and their values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// What is wanted of a metric: exactly one of the three values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    /// Which of the values is given; may be left out, since the value says it.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<TargetType>,
    /// Percent of the request, averaged over the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub average_utilization: Option<u32>,
    /// Amount per pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    /// Amount of the metric as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
}

/// Sorts of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetType {
    /// Percent of the request.
    Utilization,
    /// Amount as a whole.
    Value,
    /// Amount per pod.
    AverageValue,
}

/// How fast an autoscaler may act, in both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Behavior {
    /// Rules for more replicas. What is left out has its default: the larger of 4 pods and 100 % in 15 s, no stabilisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Rules for fewer replicas. What is left out has its default: 100 % in 15 s, 300 s of stabilisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// Rules for one direction.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScalingRules {
    /// How far back recommendations are taken into account: the lowest counts for growing, the highest for shrinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
    /// Which policy counts: `Max` (default) the one that allows the larger change, `Min` the smaller, `Disabled` no change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// How much may change in how much time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<Policy>>,
    /// How far the ratio of usage to target may be from one without a change, in this direction; 0.1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// How much may change in how much time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// Whether the value counts pods or percent of the pods at the start of the period.
    #[serde(rename = "type")]
    pub sort: PolicyType,
    /// Pods or percent.
    #[schemars(range(min = 1))]
    pub value: u32,
    /// The period.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: u32,
}

/// Sorts of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyType {
    /// A number of pods.
    Pods,
    /// Percent of the pods at the start of the period.
    Percent,
}

/// Flags of the controller that reconciles autoscalers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controller {
    /// How far the ratio may be from one without a change (`--horizontal-pod-autoscaler-tolerance`).
    pub tolerance: f64,
    /// How long after its start a pod's CPU is distrusted (`--horizontal-pod-autoscaler-cpu-initialization-period`).
    pub cpu_initialization_period: Span,
    /// How long after its start a pod that turned unready counts as never ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`).
    pub initial_readiness_delay: Span,
    /// How long a higher recommendation holds (`--horizontal-pod-autoscaler-downscale-stabilization`).
    pub downscale_stabilization: Span,
}

impl Default for Controller {
    /// Kubernetes' defaults.
    fn default() -> Controller {
        Controller {
            tolerance: 0.1,
            cpu_initialization_period: Span::from_secs(300),
            initial_readiness_delay: Span::from_secs(30),
            downscale_stabilization: Span::from_secs(300),
        }
    }
}

/// Tolerances in both directions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerances {
    down: f64,
    up: f64,
}

impl Tolerances {
    /// Whether a ratio is near enough to one. Both ends belong to the band, as in releases since 1.33.
    pub(super) fn hold(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

impl HpaSpec {
    /// Metrics in force: 80 % CPU utilisation if none is given.
    pub fn metrics(&self) -> Vec<MetricSpec> {
        if !self.metrics.is_empty() {
            return self.metrics.clone();
        }
        let target = Target { average_utilization: Some(80), ..Target::default() };
        let resource = Some(ResourceMetric { name: "cpu".into(), target });
        vec![MetricSpec {
            sort: MetricType::Resource,
            resource,
            container_resource: None,
            pods: None,
            object: None,
            external: None,
        }]
    }

    /// Tolerances in force.
    pub(super) fn tolerances(&self, controller: &Controller) -> Tolerances {
        let of = |rules: Option<&ScalingRules>| {
            rules.and_then(|r| r.tolerance).map_or(controller.tolerance, Quantity::as_f64)
        };
        let behavior = self.behavior.as_ref();
        Tolerances {
            down: of(behavior.and_then(|b| b.scale_down.as_ref())),
            up: of(behavior.and_then(|b| b.scale_up.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_tolerance_belong_to_it() {
        let hold = |ratio| Tolerances { down: 0.1, up: 0.1 }.hold(ratio);
        assert!(hold(1.0) && hold(1.1) && hold(0.9) && hold(55.0 / 50.0) && hold(45.0 / 50.0));
        assert!(!hold(1.11) && !hold(0.89) && !hold(f64::NAN) && !hold(f64::INFINITY));
    }
}
