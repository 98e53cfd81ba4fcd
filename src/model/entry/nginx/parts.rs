//! What the proxy notes: a request under way, the limits it announces, what it counts.

use crate::kernel::{Time, TimerId};
use crate::model::ledger::LimitId;
use crate::model::listener::Listener;
use crate::model::message::CallId;
use std::collections::VecDeque;

/// A listening socket: connections that no worker has accepted yet, and since when they wait.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: Listener,
    pub(super) waiting: VecDeque<(CallId, Time)>,
}

/// One proxied request: which worker, connection and peer, what was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) connection: u32,
    pub(super) worker: u16,
    pub(super) peer: u16,
    pub(super) tried: u64,
    pub(super) tries: u16,
    /// Whether an upstream connection is held.
    pub(super) holds: bool,
    /// Connect timeout, then nothing.
    pub(super) connect_timer: TimerId,
    /// Read timeout.
    pub(super) timer: TimerId,
}

pub(super) struct Limits {
    pub(super) listen: LimitId,
    pub(super) descriptors: LimitId,
    pub(super) slots: LimitId,
    pub(super) cpu: LimitId,
    pub(super) upstream: LimitId,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) syn_dropped: u64,
    pub(super) accept_pauses: u64,
    pub(super) next_upstream: u64,
    pub(super) closed_for_reuse: u64,
    pub(super) client_closed: u64,
}
