//! AWS Lambda: execution environments, one request each, created on demand out of the account's pool.
mod environments;
mod function;
mod runtime;
mod spec;
pub use function::Lambda;
pub use runtime::Runtime;
pub use spec::{ABOUT, Architecture, LambdaSpec, StoreConnection};
