//! Overload protection in front of a service.
mod breaker;
mod limit;
mod node;
mod queue;
mod spec;
pub use breaker::{BreakerSpec, SlidingWindow};
pub use limit::{Aimd, Gradient2, LimitSpec, Static};
pub use node::Guard;
pub use queue::{Codel, QueueSpec};
pub use spec::{ABOUT, GuardSpec, RateLimit};
