//! Replications, estimates and comparisons. The only floor with threads.
pub mod result;
