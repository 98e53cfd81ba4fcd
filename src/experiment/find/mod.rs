//! The inverse questions: how many users, how few servers, which configuration, from which traffic on.
mod boundary;
mod cheapest;
mod even;
mod found;
mod grid;
mod probe;
mod turn;

pub use cheapest::{CONFIGURATIONS_MAX, Race, cheapest};
pub use even::break_even;
pub use found::{Answer, Found, Outcome, Point, Warning};
pub use grid::Grid;
pub use probe::{ALPHA, Effort, Maker, Shown, Stop};
pub use turn::{Direction, Outturn, Search, turn};
