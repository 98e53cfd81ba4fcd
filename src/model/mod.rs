//! The world: users, nodes, requests walking over nodes, and the ledger of what happened.
pub mod usage;
