//! Stores: databases with connection slots, logins and a throughput curve.
pub mod database;
