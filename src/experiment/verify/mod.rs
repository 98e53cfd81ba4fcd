//! Where predictions meet the truth: measured cases, logs, theorems.
pub mod hpa;
pub mod measured;
