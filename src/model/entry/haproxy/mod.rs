//! HAProxy as a reverse proxy: maxconn in front and per server, one queue for all servers, kept connections, retries.

mod exchange;
mod node;
mod pool;
mod ring;
mod spec;
pub use node::Haproxy;
pub use spec::{ABOUT, HaproxyBalance, HaproxySpec, HttpReuse};
