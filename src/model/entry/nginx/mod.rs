//! nginx as a reverse proxy.
mod parts;
mod peers;
mod proxy;
mod spec;
mod worker;
pub use proxy::Nginx;
pub use spec::{ABOUT, Balance, Host, NginxSpec, Version};
