//! Pods: replicas of one service on shared hosts.
mod autoscaler;
mod pod;
mod policy;
mod scaler;
mod service;
mod spec;
pub use autoscaler::{AutoscalerSpec, NodesSpec};
pub use service::Pods;
pub use spec::{ABOUT, EventLoop, Hosts, PodsSpec, Runtime, SyncWorkers, Threads};
