//! HAProxy as a reverse proxy: maxconn in front and per server, one queue for all servers, retries.

mod node;
mod ring;
mod spec;
pub use node::Haproxy;
pub use spec::{ABOUT, HaproxyBalance, HaproxySpec};
