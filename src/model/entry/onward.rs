//! A node's way to one that it sends requests on to: connections that are opened when none is idle, kept and used again.

use crate::kernel::{Span, Time};
use crate::model::calls::{Call, Via};
use crate::model::context::Ctx;
use crate::model::message::{CallId, Cause, NodeId, Outcome};

/// The way to one node, or to one of its addresses.
pub(super) struct Onward {
    node: NodeId,
    address: u16,
    hop: Span,
    idle: Vec<u32>,
}

impl Onward {
    /// The way to `node`, which is `hop` away.
    pub(super) fn new(node: NodeId, hop: Span) -> Onward {
        Onward::to(node, 0, hop)
    }

    /// The way to an address of `node`.
    pub(super) fn to(node: NodeId, address: u16, hop: Span) -> Onward {
        Onward { node, address, hop, idle: Vec::new() }
    }

    /// The address at its end.
    pub(super) fn address(&self) -> u16 {
        self.address
    }

    /// The node at its end.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Sends a call on: the newest idle connection takes it, else a new one.
    pub(super) fn send(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let parent = *ctx.calls.get(call);
        let cached = self.idle.pop();
        let child = Call {
            address: self.address,
            via: cached.map_or(Via::New, Via::Open),
            established: if cached.is_some() { now } else { Time::MAX },
            keep_alive: true,
            amount: self.hop * 2,
            hop: self.hop,
            ..parent.child(ctx.me, self.node, call)
        };
        let child = ctx.call(child, self.hop);
        ctx.calls.get(call).child = child;
    }

    /// Takes the answer's connection back, and says what the caller is told: where nobody answered, what a proxy says for it.
    pub(super) fn returned(&mut self, answer: &Call) -> Outcome {
        if let (Via::Open(connection), true) = (answer.via, answer.keep_alive) {
            self.idle.push(connection);
        }
        match answer.outcome.cause {
            Some(Cause::ConnectTimeout) => answer.outcome.shown_as(504),
            Some(_) if answer.outcome.status == 0 => answer.outcome.shown_as(502),
            _ => answer.outcome,
        }
    }
}
