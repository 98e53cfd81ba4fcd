//! Where predictions meet the truth: measured cases, logs, theorems.
pub mod measured;
