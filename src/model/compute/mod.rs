//! Where requests are worked on: functions and pods.
pub mod lambda;
pub mod pods;
