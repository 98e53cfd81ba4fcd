//! Which addresses of a node take new connections: what an EndpointSlice is to kube-proxy and to an ingress, and a list of targets to a load
//! balancer's controller. A node whose addresses never change says nothing, and all of them count.

use super::message::NodeId;

/// Timer kind that tells a watcher that the endpoints of a node have changed: its word is the node.
pub const ENDPOINTS: u8 = 250;
/// Timer kind by which a balancer tells a node that it finds one of its addresses healthy (turn 1) or not: its word is the address.
pub const HEALTHY: u8 = 251;

/// What a node says of its addresses, each list in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    ready: Vec<u16>,
    targets: Vec<u16>,
}

/// Addresses by node.
#[derive(Debug, Default)]
pub struct Endpoints {
    listed: Vec<Option<Listed>>,
    watchers: Vec<(NodeId, NodeId)>,
    /// Grows with every change, so that a reader can tell cheaply whether anything is new.
    version: u64,
}

impl Endpoints {
    /// Says which addresses of a node take connections in the eyes of proxies, and which a balancer's controller is to register. Both in
    /// ascending order. Says whether anything is new.
    pub fn set(&mut self, node: NodeId, ready: Vec<u16>, targets: Vec<u16>) -> bool {
        if self.listed.len() <= node.index() {
            self.listed.resize(node.index() + 1, None);
        }
        let listed = Some(Listed { ready, targets });
        let new = self.listed[node.index()] != listed;
        if new {
            self.listed[node.index()] = listed;
            self.version += 1;
        }
        new
    }

    fn of(&self, node: NodeId) -> Option<&Listed> {
        self.listed.get(node.index())?.as_ref()
    }

    /// The ready addresses of a node; none if all are, always.
    pub fn ready(&self, node: NodeId) -> Option<&[u16]> {
        self.of(node).map(|listed| &listed.ready[..])
    }

    /// Whether an address takes new connections.
    pub fn takes(&self, node: NodeId, address: u16) -> bool {
        self.ready(node).is_none_or(|ready| ready.binary_search(&address).is_ok())
    }

    /// Whether a balancer's controller registers an address.
    pub fn is_target(&self, node: NodeId, address: u16) -> bool {
        self.of(node).is_none_or(|listed| listed.targets.binary_search(&address).is_ok())
    }

    /// Whoever is to be told of changes of a node.
    pub fn watchers(&self, node: NodeId) -> Vec<NodeId> {
        let of = self.watchers.iter().filter(|(watched, _)| *watched == node);
        of.map(|(_, watcher)| *watcher).collect()
    }

    /// Tells `watcher` of changes of `node` from now on.
    pub fn watch(&mut self, node: NodeId, watcher: NodeId) {
        if !self.watchers.contains(&(node, watcher)) {
            self.watchers.push((node, watcher));
        }
    }

    /// Differs from an earlier one if anything has changed since.
    pub fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_take_until_a_node_says_which() {
        let mut endpoints = Endpoints::default();
        let node = NodeId(3);
        assert!(endpoints.takes(node, 7) && endpoints.ready(node).is_none());
        assert!(endpoints.set(node, vec![0, 2], vec![0, 1, 2]));
        assert!(!endpoints.set(node, vec![0, 2], vec![0, 1, 2]));
        assert!(endpoints.takes(node, 2) && !endpoints.takes(node, 1));
        assert!(endpoints.is_target(node, 1) && endpoints.takes(NodeId(2), 1));
        assert_eq!(endpoints.version(), 1);
    }
}
