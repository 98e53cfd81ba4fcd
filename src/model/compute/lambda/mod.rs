//! AWS Lambda: execution environments, one request each, created on demand out of the account's pool.
mod admission;
mod environments;
mod expiry;
mod function;
mod meter;
mod runtime;
mod seen;
mod spec;
mod start;
mod upkeep;
pub use function::Lambda;
pub use runtime::Runtime;
pub use seen::SEEN_AFTER;
pub use spec::{ABOUT, Architecture, Bind, LambdaSpec, StoreConnection};
