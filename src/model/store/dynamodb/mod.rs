//! Amazon DynamoDB.
mod capacity;
mod table;
pub use capacity::{Mode, OnDemand, Provisioned, Scaling};
pub use table::{ABOUT, Consistency, Dynamodb, DynamodbSpec, SdkRetries};
