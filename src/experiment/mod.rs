//! Replications, estimates and comparisons. The only floor with threads.
mod fold;
mod forecast;
mod judge;
mod limits;
mod plan;
mod replicate;
mod series;

pub mod compare;
pub mod estimate;
pub mod find;
pub mod result;
pub mod student;
pub mod verification;
pub mod verify;
pub use fold::run;
pub use forecast::forecast;
pub use plan::Plan;
pub use replicate::{Observer, RunError, Silent, replicate};
