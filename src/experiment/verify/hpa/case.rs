//! A conformance case as its author writes it, and what the controller would see of it.

use crate::kernel::{Span, Time};
use crate::model::scale::hpa::{
    Container, Controller, History, HpaSpec, Observed, Phase, PodState, Readiness, ScaleEvent,
    Values,
};
use crate::units::{Moment, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file of cases. A bare list of cases is read too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HpaFile {
    /// Schema of this file, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What the cases are about.
    #[serde(default)]
    pub about: String,
    /// The cases.
    pub cases: Vec<HpaCase>,
}

/// One reconciliation: what the controller sees and remembers, and what it should decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HpaCase {
    /// Name of the case.
    pub id: String,
    /// What it shows.
    #[serde(default)]
    pub about: String,
    /// The time of the reconciliation; all other times are on the same clock.
    #[serde(default)]
    pub now: Moment,
    /// `spec.replicas` of the scaled workload.
    pub current_replicas: u32,
    /// `status.replicas` of the scaled workload; as many as `currentReplicas` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_replicas: Option<u32>,
    /// `spec` of the autoscaler, in Kubernetes' field names.
    pub spec: HpaSpec,
    /// Flags of the controller.
    #[serde(default)]
    pub controller: Flags,
    /// Pods of the workload.
    #[serde(default)]
    pub pods: Vec<PodCase>,
    /// Values of Object and External metrics.
    #[serde(default)]
    pub metrics: MetricValues,
    /// What the controller remembers.
    #[serde(default)]
    pub history: HistoryCase,
    /// What it should decide; a case without it is only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// Flags of kube-controller-manager, with its defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Flags {
    /// Tolerance of the ratio of usage to target, 0.1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
    /// How long after its start a pod's CPU is distrusted, 300 s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_initialization_period: Option<Moment>,
    /// How long after its start a pod that turned unready counts as never ready, 30 s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_readiness_delay: Option<Moment>,
    /// How long a higher recommendation holds, 300 s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downscale_stabilization: Option<Moment>,
}

/// A pod, or several that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PodCase {
    /// Name, for the reader.
    #[serde(default)]
    pub name: String,
    /// How many pods are like this.
    #[serde(default = "one")]
    #[schemars(range(max = 100_000))]
    pub count: u32,
    /// Phase, `Running` unless given.
    #[serde(default)]
    pub phase: Phase,
    /// Status of the condition `Ready`, true unless given; null: it has no such condition yet.
    #[serde(default = "yes")]
    pub ready: Option<bool>,
    /// When `ready` last changed (`lastTransitionTime`); the start time unless given.
    #[serde(default)]
    pub ready_since: Option<Moment>,
    /// Start time; long ago unless given; null: the kubelet has not taken it up.
    #[serde(default = "long_ago")]
    pub start_time: Option<Moment>,
    /// Whether its deletion has begun (it has a `deletionTimestamp`).
    #[serde(default)]
    pub deleting: bool,
    /// Requests of a pod with one container, by resource: `{"cpu": "100m", "memory": "128Mi"}`.
    #[serde(default)]
    pub requests: BTreeMap<String, Quantity>,
    /// Usage of a pod with one container, by resource; what is missing or null was not measured.
    #[serde(default)]
    pub usage: BTreeMap<String, Option<Quantity>>,
    /// Containers, instead of `requests` and `usage`.
    #[serde(default)]
    pub containers: Vec<ContainerCase>,
    /// Values of Pods metrics; what is missing or null was not measured.
    #[serde(default)]
    pub metrics: BTreeMap<String, Option<Quantity>>,
    /// When usage was sampled; now unless given.
    #[serde(default)]
    pub sample_time: Option<Moment>,
    /// Over which time usage was averaged; 15 s unless given.
    #[serde(default = "window_default")]
    pub window: Moment,
}

fn one() -> u32 {
    1
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn yes() -> Option<bool> {
    Some(true)
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn long_ago() -> Option<Moment> {
    Some(Moment::LONG_AGO)
}

fn window_default() -> Moment {
    Moment::from_secs(15)
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerCase {
    /// Name.
    pub name: String,
    /// Requests by resource.
    #[serde(default)]
    pub requests: BTreeMap<String, Quantity>,
    /// Usage by resource; what is missing or null was not measured.
    #[serde(default)]
    pub usage: BTreeMap<String, Option<Quantity>>,
}

/// Values of metrics that do not belong to pods, by name. What is missing or null cannot be had.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricValues {
    /// For `type: Object`.
    #[serde(default)]
    pub object: BTreeMap<String, Option<Quantity>>,
    /// For `type: External`: the sum of the series.
    #[serde(default)]
    pub external: BTreeMap<String, Option<Quantity>>,
}

/// What the controller remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HistoryCase {
    /// Past recommendations, before any limit was applied to them.
    #[serde(default)]
    pub recommendations: Vec<RecommendationCase>,
    /// Past changes that the autoscaler made; they count where the specification has a `behavior`.
    #[serde(default)]
    pub scalings: Vec<ScalingCase>,
    /// The controller sees this autoscaler for the first time: it notes the current number as a recommendation.
    #[serde(default)]
    pub just_started: bool,
}

/// A past recommendation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendationCase {
    /// When.
    pub time: Moment,
    /// How many replicas.
    pub replicas: u32,
}

/// A past change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingCase {
    /// When.
    pub time: Moment,
    /// Replicas added, or removed if negative.
    #[schemars(range(min = -2_147_483_648_i64, max = 2_147_483_647_i64))]
    pub change: i64,
}

/// What should be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expect {
    /// Replicas afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<u32>,
    /// A reason that the controller gives, such as `ScaleUpLimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The controller's clock begins here, so that times before the author's zero fit.
fn clock(moment: Moment) -> Time {
    Time::from_nanos((moment.nanos() - Moment::LONG_AGO.nanos()).max(0) as u64)
}

fn span(length: Moment) -> Span {
    Span::from_nanos(length.nanos().max(0) as u64)
}

fn known(values: &BTreeMap<String, Option<Quantity>>) -> BTreeMap<String, i64> {
    let known =
        |(name, value): (&String, &Option<Quantity>)| Some((name.clone(), (*value)?.milli()));
    values.iter().filter_map(known).collect()
}

fn container(
    name: &str,
    requests: &BTreeMap<String, Quantity>,
    usage: &BTreeMap<String, Option<Quantity>>,
) -> Container {
    let requests = requests.iter().map(|(name, value)| (name.clone(), value.milli())).collect();
    Container { name: name.into(), requests, usage: known(usage) }
}

impl PodCase {
    fn state(&self, now: Moment) -> PodState {
        let since = self.ready_since.or(self.start_time).unwrap_or(Moment::LONG_AGO);
        let containers = if self.containers.is_empty() {
            vec![container("", &self.requests, &self.usage)]
        } else {
            self.containers.iter().map(|c| container(&c.name, &c.requests, &c.usage)).collect()
        };
        PodState {
            phase: self.phase,
            deleting: self.deleting,
            readiness: self.ready.map(|ready| Readiness { ready, since: clock(since) }),
            started: self.start_time.map(clock),
            containers,
            metrics: known(&self.metrics),
            sampled: clock(self.sample_time.unwrap_or(now)),
            window: span(self.window),
        }
    }
}

impl HpaCase {
    /// What the controller sees.
    pub(super) fn observed(&self) -> Observed {
        let values = |map: &BTreeMap<String, Option<Quantity>>| -> Values {
            known(map).into_iter().map(|(name, value)| (name, vec![value])).collect()
        };
        let pods = self.pods.iter().flat_map(|pod| {
            let state = pod.state(self.now);
            (0..pod.count).map(move |_| state.clone())
        });
        Observed {
            now: clock(self.now),
            replicas: self.current_replicas,
            status_replicas: self.status_replicas.unwrap_or(self.current_replicas),
            pods: pods.collect(),
            object_values: values(&self.metrics.object),
            external_values: values(&self.metrics.external),
        }
    }

    /// What it remembers.
    pub(super) fn remembered(&self) -> History {
        let past = self.history.recommendations.iter().map(|r| (clock(r.time), r.replicas));
        let first = self.history.just_started.then_some((clock(self.now), self.current_replicas));
        History {
            recommendations: past.chain(first).collect(),
            events: (self.history.scalings.iter())
                .map(|s| ScaleEvent { at: clock(s.time), change: s.change })
                .collect(),
        }
    }

    /// The controller's flags.
    pub(super) fn flags(&self) -> Controller {
        let default = Controller::default();
        let flags = &self.controller;
        Controller {
            tolerance: flags.tolerance.map_or(default.tolerance, Quantity::as_f64),
            cpu_initialization_period: (flags.cpu_initialization_period)
                .map_or(default.cpu_initialization_period, span),
            initial_readiness_delay: (flags.initial_readiness_delay)
                .map_or(default.initial_readiness_delay, span),
            downscale_stabilization: (flags.downscale_stabilization)
                .map_or(default.downscale_stabilization, span),
        }
    }
}
