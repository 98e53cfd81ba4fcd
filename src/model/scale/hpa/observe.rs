//! What the autoscaler sees: pods as the API server tells of them, metrics as the metrics APIs tell of them.

use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a pod stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Accepted, not all containers started.
    Pending,
    /// At least one container runs.
    #[default]
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// The pod's condition `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it is ready.
    pub ready: bool,
    /// When this last changed.
    pub since: Time,
}

/// A container's requests and last measured usage, in thousandths, by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it asked for.
    pub requests: BTreeMap<String, i64>,
    /// What it used; a resource that is missing was not measured.
    pub usage: BTreeMap<String, i64>,
}

/// A pod of the scaled workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// Its phase.
    pub phase: Phase,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// Its condition `Ready`, if it has one yet.
    pub readiness: Option<Readiness>,
    /// When the kubelet took it up, if it did.
    pub started: Option<Time>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Its custom metrics, thousandths by name.
    pub metrics: BTreeMap<String, i64>,
    /// When usage was sampled.
    pub sampled: Time,
    /// Over which time usage was averaged.
    pub window: Span,
}

impl PodState {
    /// Usage of a resource by the pod or one of its containers. A pod counts as measured if all its containers are.
    pub(super) fn usage(&self, resource: &str, container: Option<&str>) -> Option<i64> {
        let mut chosen = self.chosen(container).peekable();
        chosen.peek()?;
        chosen.map(|c| c.usage.get(resource).copied()).sum()
    }

    /// Request of a resource by the pod or one of its containers; none if a container asks for none.
    pub(super) fn request(&self, resource: &str, container: Option<&str>) -> Option<i64> {
        let mut chosen = self.chosen(container).peekable();
        chosen.peek()?;
        chosen.map(|c| c.requests.get(resource).copied()).sum()
    }

    /// Whether it is measured but has no such container.
    pub(super) fn measured_without(&self, container: &str) -> bool {
        self.containers.iter().any(|c| !c.usage.is_empty())
            && self.containers.iter().all(|c| c.name != container)
    }

    fn chosen<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |c| name.is_none_or(|name| c.name == name))
    }

    /// Whether it will never run again.
    pub(super) fn terminal(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }
}

/// Metrics that do not belong to pods, by name: one value a series, thousandths. A name that is missing cannot be had.
pub type Values = BTreeMap<String, Vec<i64>>;

/// All that the controller sees at one reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The time.
    pub now: Time,
    /// `spec.replicas` of the scaled workload.
    pub replicas: u32,
    /// `status.replicas` of the scaled workload: how many pods exist.
    pub status_replicas: u32,
    /// Its pods.
    pub pods: Vec<PodState>,
    /// Metrics of other objects.
    pub object_values: Values,
    /// Metrics from outside.
    pub external_values: Values,
}
