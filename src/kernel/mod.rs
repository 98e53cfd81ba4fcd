//! The engine: time, event queue, random streams, statistics. It knows nothing of clouds.
mod gauge;
mod heap;
mod histogram;
mod pending;
mod queue;
mod series;
mod stream;
mod time;
mod wheel;
pub use gauge::Gauge;
pub use histogram::Histogram;
pub use queue::{LaneId, Queue, Rank, TimerId};
pub use series::{Clock, Counts, Levels};
pub use stream::{Key, Stream};
pub use time::{Span, Time};
