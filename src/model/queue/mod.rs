//! Queues: messages that are worked on later.
pub mod sqs;
