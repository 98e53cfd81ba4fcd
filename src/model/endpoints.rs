//! Which addresses of a node take new connections: what an EndpointSlice is to kube-proxy, or a target group to a balancer. A node whose
//! addresses never change says nothing, and all of them count.

use super::message::NodeId;

/// Ready addresses by node.
#[derive(Debug, Default)]
pub struct Endpoints {
    ready: Vec<Option<Vec<u16>>>,
    /// Grows with every change, so that a reader can tell cheaply whether anything is new.
    version: u64,
}

impl Endpoints {
    /// Says which addresses of a node are ready, in ascending order.
    pub fn set(&mut self, node: NodeId, addresses: Vec<u16>) {
        if self.ready.len() <= node.index() {
            self.ready.resize(node.index() + 1, None);
        }
        self.ready[node.index()] = Some(addresses);
        self.version += 1;
    }

    /// The ready addresses of a node; none if all are, always.
    pub fn ready(&self, node: NodeId) -> Option<&[u16]> {
        self.ready.get(node.index())?.as_deref()
    }

    /// Whether an address takes new connections.
    pub fn takes(&self, node: NodeId, address: u16) -> bool {
        self.ready(node).is_none_or(|ready| ready.binary_search(&address).is_ok())
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
        endpoints.set(node, vec![0, 2]);
        assert!(endpoints.takes(node, 2) && !endpoints.takes(node, 1));
        assert!(endpoints.takes(NodeId(2), 1));
        assert_eq!(endpoints.version(), 1);
    }
}
