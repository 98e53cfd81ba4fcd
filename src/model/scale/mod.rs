//! Autoscalers as pure policies: what they see and when in, how many replicas they want and why out. Nothing here keeps time or
//! starts anything.
pub mod hpa;
pub mod keda;
pub mod nodes;
pub mod schedule;
pub mod step;
pub mod stepping;
pub mod tracking;
