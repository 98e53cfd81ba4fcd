//! HTTP/2 between users and whoever accepts their connections: what the two tell each other beside requests and answers.
//!
//! A connection carries many requests at a time, each a stream (RFC 9113). The caller learns when it stands, and when the other side
//! takes no more streams on it (GOAWAY); a stream that comes after that was not processed and may be sent again (section 6.8).
//! Giving up a stream (`RST_STREAM`) leaves the connection open.

use super::calls::Via;
use super::context::Ctx;
use super::message::{CallId, Cause, Event, Message, NodeId};
use crate::kernel::Span;

/// Timer kind that tells a caller that the connection of a call stands: word and turn are the call's.
pub const OPENED: u8 = 240;
/// Timer kind that tells a caller that a connection takes no more requests: its word is the caller's own name for it.
pub const GOAWAY: u8 = 241;

/// Requests at a time on one connection to a front door of AWS. The ALB guide ("Listeners") says 128; of API Gateway and function URLs
/// no figure is published: assumed the same.
pub const STREAMS_AWS: u32 = 128;

impl Ctx<'_> {
    /// Whether a caller speaks HTTP/2.
    #[inline]
    pub fn speaks_http2(&self, caller: NodeId) -> bool {
        self.http2.contains(&caller)
    }

    /// The first request of a connection is here: on HTTP/2, those that wait for the connection come right behind it.
    pub fn opened(&mut self, id: CallId) {
        let from = self.calls.peek(id).from;
        if self.speaks_http2(from) {
            let message = Message::Wake(OPENED, id.slot, id.turn);
            self.queue.immediately(Event::new(from, message));
        }
    }

    /// No more requests are taken on an HTTP/2 connection; its owner knows after `way`.
    pub fn go_away(&mut self, (owner, tag): (NodeId, u32), way: Span) {
        self.queue.after(way, Event::new(owner, Message::Wake(GOAWAY, tag, 0)));
    }

    /// A request has come on an HTTP/2 connection that takes no more: it was not processed, and its caller may send it again.
    pub fn not_taken(&mut self, id: CallId) {
        self.calls.get(id).via = Via::New;
        self.fail(id, Cause::Reset, 0);
    }
}
