//! Known answers of queueing theory, each written as a scenario that the simulator runs like any other.
mod catalogue;
mod forms;
mod judge;
mod stations;
pub use catalogue::{Oracle, oracles};
pub use judge::predict;
