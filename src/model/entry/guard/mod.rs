//! Overload protection in front of a service.
mod breaker;
mod limit;
mod node;
mod part;
mod queue;
mod sample;
mod spec;
mod vegas;
pub use breaker::{BreakerSpec, SlidingWindow};
pub use limit::{Aimd, Gradient2, LimitSpec, Static};
pub use node::Guard;
pub use queue::{Codel, QueueSpec};
pub use spec::{ABOUT, GuardSpec, Per, RateLimit};
pub use vegas::Vegas;
