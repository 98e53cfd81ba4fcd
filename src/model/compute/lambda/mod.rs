//! AWS Lambda: execution environments, one request each, created on demand out of the account's pool.
mod environments;
mod expiry;
mod function;
mod runtime;
mod seen;
mod spec;
mod upkeep;
pub use function::Lambda;
pub use runtime::Runtime;
pub use seen::SEEN_AFTER;
pub use spec::{ABOUT, Architecture, Bind, LambdaSpec, StoreConnection};
