//! Replications, estimates and comparisons. The only floor with threads.
mod fold;
mod judge;
mod limits;
mod plan;
mod replicate;
mod series;

pub mod estimate;
pub mod result;
pub use fold::run;
pub use plan::Plan;
pub use replicate::{Observer, RunError, Silent, replicate};
