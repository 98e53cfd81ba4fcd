//! nginx as a reverse proxy.
mod accept;
mod exchange;
mod limits;
mod mutex;
mod parts;
mod peers;
mod ports;
mod proxy;
mod spec;
mod worker;
pub use limits::{LimitConn, LimitKey, LimitReq};
pub use proxy::Nginx;
pub use spec::{ABOUT, Balance, Closer, Host, NginxSpec, ServerLine, Version};
