//! nginx as a reverse proxy.
mod accept;
mod clients;
mod exchange;
mod limits;
mod mutex;
mod next;
mod parts;
mod peers;
mod ports;
mod proxy;
mod spec;
mod tried;
mod worker;
pub use limits::{LimitConn, LimitKey, LimitReq};
pub use next::NextOn;
pub use proxy::Nginx;
pub use spec::{ABOUT, Balance, Closer, Host, NginxSpec, ServerLine, Version};
