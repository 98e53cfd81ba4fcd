//! The engine: time, event queue, random streams, statistics. It knows nothing of clouds.
pub mod time;
pub use time::{Span, Time};
