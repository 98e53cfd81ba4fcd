//! Faults of the network around nodes: longer ways, and nodes that cannot be reached.

use super::message::{CallId, NodeId};
use crate::kernel::Span;
use std::collections::BTreeMap;

/// Faults that are in force, by node.
#[derive(Debug, Default)]
pub struct Faults {
    rows: Vec<(Span, u32)>,
    /// Nodes whose packets vanish, with the addresses: none, all of them.
    holes: Vec<(NodeId, Vec<u16>)>,
    /// Calls whose packets have vanished, by slot: turn of the row, and how often they were sent.
    vanished: BTreeMap<u32, (u32, u32)>,
    /// Whether there was a fault in this run: until then nobody need ask.
    any: bool,
    /// Whether there was a hole.
    any_hole: bool,
}

impl Faults {
    fn row(&mut self, node: NodeId) -> &mut (Span, u32) {
        self.any = true;
        if self.rows.len() <= node.index() {
            self.rows.resize(node.index() + 1, (Span::ZERO, 0));
        }
        &mut self.rows[node.index()]
    }

    /// What a call to `node` takes longer.
    pub fn delay(&self, node: NodeId) -> Span {
        self.rows.get(node.index()).map_or(Span::ZERO, |row| row.0)
    }

    /// Whether `node` cannot be reached.
    pub fn down(&self, node: NodeId) -> bool {
        self.rows.get(node.index()).is_some_and(|row| row.1 > 0)
    }

    /// The way to `node` gets longer, or as long as before.
    pub fn lengthen(&mut self, node: NodeId, by: Span, begins: bool) {
        let row = self.row(node);
        let longer = row.0.nanos();
        let by = by.nanos();
        row.0 = Span::from_nanos(if begins { longer + by } else { longer.saturating_sub(by) });
    }

    /// Packets to these addresses of a node vanish from now on, or get through again.
    pub fn swallow(&mut self, node: NodeId, addresses: &[u16], begins: bool) {
        self.any = true;
        self.any_hole = true;
        if begins {
            self.holes.push((node, addresses.to_vec()));
        } else if let Some(at) =
            self.holes.iter().position(|hole| *hole == (node, addresses.to_vec()))
        {
            self.holes.swap_remove(at);
        }
    }

    /// Whether there was any fault so far.
    #[inline]
    pub fn any(&self) -> bool {
        self.any
    }

    /// Whether packets ever vanished.
    #[inline]
    pub fn any_hole(&self) -> bool {
        self.any_hole
    }

    /// Whether packets to an address of a node vanish.
    pub fn swallows(&self, node: NodeId, address: u16) -> bool {
        let hit = |hole: &(NodeId, Vec<u16>)| {
            hole.0 == node && (hole.1.is_empty() || hole.1.contains(&address))
        };
        self.holes.iter().any(hit)
    }

    /// The packet of a call has vanished: says how often it has by now.
    pub fn vanished(&mut self, call: CallId) -> u32 {
        let row = self.vanished.entry(call.slot).or_insert((call.turn, 0));
        if row.0 != call.turn {
            *row = (call.turn, 0);
        }
        row.1 += 1;
        row.1
    }

    /// Whether the callee has never heard of this call because its packets vanish.
    pub fn holds(&self, call: CallId) -> bool {
        self.vanished.get(&call.slot).is_some_and(|row| row.0 == call.turn)
    }

    /// The call got through, or its caller knows that it never will. Says whether its packets had vanished.
    pub fn found(&mut self, call: CallId) -> bool {
        self.holds(call) && self.vanished.remove(&call.slot).is_some()
    }

    /// `node` goes down, or comes back.
    pub fn take_down(&mut self, node: NodeId, begins: bool) {
        let row = self.row(node);
        row.1 = if begins { row.1 + 1 } else { row.1 - 1 };
    }
}
