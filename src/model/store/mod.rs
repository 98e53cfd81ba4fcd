//! Stores: databases with connection slots, logins and a throughput curve, and poolers in front of them.
pub mod database;
pub mod pooler;
