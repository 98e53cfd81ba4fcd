//! Text to scenario: parse, findings with a place, resolve, explain.
pub mod spec;
pub mod threshold;
