//! AWS Lambda: execution environments, one request each, created on demand out of the account's pool.
mod admission;
mod environments;
mod events;
mod function;
mod meter;
mod runtime;
mod spec;
mod start;
pub use function::Lambda;
pub use runtime::Runtime;
pub use spec::{ABOUT, Architecture, EventsSpec, LambdaSpec, StoreConnection};
