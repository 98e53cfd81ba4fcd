//! Pods: replicas of one service on shared hosts.
mod operations;
mod pod;
mod service;
mod spec;
mod stores;
pub use service::Pods;
pub use spec::{ABOUT, EventLoop, Hosts, PodsSpec, Runtime, SyncWorkers, Threads};
