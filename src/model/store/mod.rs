//! Stores: databases with connection slots, poolers in front of them, tables with capacity, caches.
pub mod cache;
pub mod database;
pub mod dynamodb;
pub mod pooler;
