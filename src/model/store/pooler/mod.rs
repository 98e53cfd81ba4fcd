//! Poolers: many client connections share few connections to a database server.
pub mod pgbouncer;
mod pool;
pub mod rds_proxy;
