//! Kubernetes' Horizontal Pod Autoscaler, autoscaling/v2: the specification, what the controller sees, one reconciliation.
mod check;
mod limit;
mod observe;
mod proposal;
mod reason;
mod spec;
mod sync;

pub use check::Wrong;
pub use limit::{History, ScaleEvent};
pub use observe::{Container, Observed, Phase, PodState, Readiness, Values};
pub use reason::{Condition, Reason};
pub use spec::{
    Behavior, ContainerResource, Controller, CrossVersionObjectReference, ExternalMetric, HpaSpec,
    MetricIdentifier, MetricSpec, MetricType, ObjectMetric, PodsMetric, Policy, PolicyType,
    ResourceMetric, ScalingRules, SelectPolicy, Selector, Target, TargetType,
};
pub use sync::{Decision, reconcile};
