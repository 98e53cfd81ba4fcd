//! Which address a connection comes from: what `$binary_remote_addr` and ip_hash know of a client.

use super::limits::LimitKey;
use super::spec::{Balance, NginxSpec};
use crate::kernel::Key;
use crate::model::calls::Call;

/// Whether anything asks where clients come from.
pub(super) fn asks_for_clients(spec: &NginxSpec) -> bool {
    let keys = [
        spec.limit_req.as_ref().map(|limit| limit.key),
        spec.limit_conn.as_ref().map(|limit| limit.key),
    ];
    spec.balance == Balance::IpHash || keys.contains(&Some(LimitKey::Client))
}

/// The addresses of clients.
#[derive(Debug)]
pub(super) struct Clients {
    /// Whether anything asks for them.
    asked: bool,
    /// How many users have; 0: each its own.
    users: u64,
    key: Key,
}

impl Clients {
    pub(super) fn new(spec: &NginxSpec, key: Key) -> Clients {
        Clients {
            asked: asks_for_clients(spec),
            users: u64::from(spec.clients),
            key: key.named("client"),
        }
    }

    /// The address of who opens a connection with a call, by a number; `nodes`: whoever has a number from this on is users. A proxy in
    /// front of nginx is one address.
    pub(super) fn of(&self, call: &Call, nodes: usize) -> u64 {
        if !self.asked {
            return 0;
        }
        let caller = self.key.with(call.from.index() as u64);
        if call.from.index() < nodes {
            return caller.bits();
        }
        let user = caller.with(u64::from(call.parent.slot)).with(u64::from(call.weight));
        match self.users {
            0 => user.bits(),
            n => user.stream().below(n),
        }
    }
}
