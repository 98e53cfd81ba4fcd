//! A standard SQS queue, and the event source mapping that hands its messages to a function.
mod node;
mod pollers;
mod spec;
pub use node::Sqs;
pub use spec::{ABOUT, Items, Provisioned, SqsSpec};
