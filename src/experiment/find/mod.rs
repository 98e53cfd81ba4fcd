//! The inverse questions: how many users, how few servers, which configuration, from which traffic on.
mod boundary;
mod cheapest;
mod found;
mod grid;
mod probe;
mod turn;

pub use cheapest::{CONFIGURATIONS_MAX, Race, cheapest};
pub use found::{Answer, Found, Outcome, Point};
pub use grid::Grid;
pub use probe::{ALPHA, Effort, Maker, Stop};
pub use turn::{Direction, Outturn, Search, break_even, turn};
