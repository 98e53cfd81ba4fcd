//! Pods: replicas of one service on shared hosts.
mod autoscaler;
mod burst;
mod fleet;
mod hosts;
mod kubelet;
mod lifecycle;
mod machines;
mod operations;
mod pod;
mod policy;
mod scaler;
mod service;
mod spec;
mod stores;
pub use autoscaler::{AutoscalerSpec, NodesSpec};
pub use lifecycle::{Lifecycle, RollingUpdate, Sigterm};
pub use service::Pods;
pub use spec::{ABOUT, EventLoop, Hosts, PodsSpec, Runtime, SyncWorkers, Threads};
