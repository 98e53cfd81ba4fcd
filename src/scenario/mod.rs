//! Text to scenario: parse, findings with a place, resolve, explain.
mod check;
mod graph;
pub mod spec;
pub mod threshold;
pub use check::{REQUESTS_MAX, USERS_MAX, check};
