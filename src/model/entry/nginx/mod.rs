//! nginx as a reverse proxy.
mod accept;
mod exchange;
mod parts;
mod peers;
mod proxy;
mod spec;
mod worker;
pub use proxy::Nginx;
pub use spec::{ABOUT, Balance, Host, NginxSpec, Version};
