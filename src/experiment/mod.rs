//! Replications, estimates and comparisons. The only floor with threads.
mod blame;
mod counterfactual;
mod fold;
mod forecast;
mod judge;
mod lift;
mod limits;
mod plan;
mod replicate;
mod sensitivity;
mod series;
mod story;

pub mod compare;
pub mod estimate;
pub mod find;
pub mod result;
pub mod student;
pub mod verification;
pub mod verify;
pub use counterfactual::counterfactuals;
pub use fold::run;
pub use forecast::forecast;
pub use lift::known as limit_can_be_lifted;
pub use plan::Plan;
pub use replicate::{Observer, RunError, Silent, replicate};
pub use sensitivity::sensitivities;
