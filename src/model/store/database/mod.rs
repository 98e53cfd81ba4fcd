//! Database servers: connection slots, logins that cost processor time, statements that slow one another down.
mod engine;
mod login;
mod server;
mod spec;
pub use engine::Auth;
pub use server::Database;
pub use spec::{ABOUT_DOCUMENTDB, ABOUT_MONGODB, ABOUT_MYSQL, ABOUT_POSTGRES, DatabaseSpec};
