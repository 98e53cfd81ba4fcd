//! Where users come in: front doors, proxies, names.
pub mod alb;
pub mod api_gateway;
pub mod capacity_units;
pub mod dns;
pub mod function_url;
pub mod guard;
pub mod haproxy;
pub mod kube_proxy;
pub mod nginx;
pub mod nlb;
pub mod node_port;
mod onward;
pub mod router;
pub mod target_group;
