//! Faults of the network around nodes: longer ways, and nodes that cannot be reached.

use super::message::NodeId;
use crate::kernel::Span;

/// Faults that are in force, by node.
#[derive(Debug, Default)]
pub struct Faults {
    rows: Vec<(Span, u32)>,
}

impl Faults {
    fn row(&mut self, node: NodeId) -> &mut (Span, u32) {
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

    /// `node` goes down, or comes back.
    pub fn take_down(&mut self, node: NodeId, begins: bool) {
        let row = self.row(node);
        row.1 = if begins { row.1 + 1 } else { row.1 - 1 };
    }
}
