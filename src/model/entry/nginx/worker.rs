//! One worker process: what it has of descriptors and connection slots, and which connections it may close.

use super::mutex::Turn;
use super::peers::Peers;
use super::spec::Version;
use crate::kernel::{Span, Time, TimerId};
use crate::model::message::{CallId, NodeId};
use std::collections::VecDeque;

/// What a worker turns to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The listening socket.
    Listen,
    /// The TLS handshake of a new connection.
    Handshake(CallId),
    /// The first request of a connection.
    Read(CallId),
    /// A request on a kept connection.
    Request(CallId),
}

/// What a client connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not in use.
    Closed,
    /// Accepted; the request has not been read.
    Accepted,
    /// A request is in progress.
    Active,
    /// Kept alive between requests.
    Idle,
}

/// A client's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) worker: u16,
    pub(super) state: State,
    /// Who holds the other end, and its name for the connection.
    pub(super) owner: (NodeId, u32),
    /// The address it comes from, where anything asks for that.
    pub(super) client: u64,
    pub(super) requests: u32,
    pub(super) accepted: Time,
    /// The request that it carries; of HTTP/2 the first one.
    pub(super) call: CallId,
    /// Requests in progress.
    pub(super) streams: u32,
    /// Whether it may carry several at a time.
    pub(super) http2: bool,
    /// Whether it takes no more requests (of HTTP/2: GOAWAY) and is closed after the last.
    pub(super) leaving: bool,
    pub(super) timer: TimerId,
    /// Raised whenever the connection enters or leaves the list of reusable ones.
    pub(super) turn: u32,
}

/// One worker process.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) peers: Peers,
    descriptors_free: u32,
    slots_free: u32,
    slots: u32,
    /// A sixteenth of `worker_connections`: as many are kept free since 1.19.2.
    reserve: u32,
    version: Version,
    /// Reusable connections, oldest first; stale where the turn has moved on.
    reusable: VecDeque<(u32, u32)>,
    reusable_count: u32,
    /// Whether accept is paused after EMFILE.
    pub(super) paused: bool,
    /// When the last such pause ended.
    pub(super) resumed: Time,
    /// What is ready, in the order in which epoll reports it, and since when.
    pub(super) ready: VecDeque<(Task, Time)>,
    /// Whether the listening socket is among it.
    pub(super) listening: bool,
    /// What the worker is at.
    pub(super) current: Option<Task>,
    /// Processor time spent on connections accepted beside the first (multi_accept).
    pub(super) owed: Span,
    /// Accept events so far.
    pub(super) accepts: u32,
    /// Idle connections that it keeps to upstream servers.
    pub(super) idle_upstream: u32,
    /// With `accept_mutex`: whether it listens, and what it does in the present iteration.
    pub(super) turn: Turn,
}

impl Worker {
    pub(super) fn new(
        peers: Peers,
        descriptors: u32,
        slots: u32,
        reserve: u32,
        version: Version,
    ) -> Worker {
        Worker {
            peers,
            descriptors_free: descriptors,
            slots_free: slots,
            slots,
            reserve,
            version,
            reusable: VecDeque::new(),
            reusable_count: 0,
            paused: false,
            resumed: Time::ZERO,
            ready: VecDeque::new(),
            listening: false,
            current: None,
            owed: Span::ZERO,
            accepts: 0,
            idle_upstream: 0,
            turn: Turn::new(),
        }
    }

    pub(super) fn has_descriptor(&self) -> bool {
        self.descriptors_free > 0
    }

    pub(super) fn has_slot(&self) -> bool {
        self.slots_free > 0
    }

    /// Takes one descriptor and one slot.
    pub(super) fn take(&mut self) {
        self.descriptors_free -= 1;
        self.slots_free -= 1;
    }

    /// Gives one descriptor and one slot back.
    pub(super) fn give(&mut self) {
        self.descriptors_free += 1;
        self.slots_free += 1;
    }

    /// Connection slots that are free.
    pub(super) fn slots_free(&self) -> u32 {
        self.slots_free
    }

    /// Connection slots in use.
    pub(super) fn slots_used(&self) -> u32 {
        self.slots - self.slots_free
    }

    /// A connection becomes reusable. `is` says whether one that became so earlier still is, under the same turn.
    pub(super) fn now_reusable(
        &mut self,
        connection: u32,
        turn: u32,
        is: impl Fn(u32, u32) -> bool,
    ) {
        self.reusable.push_back((connection, turn));
        self.reusable_count += 1;
        // Those that were used since stay in the list until somebody looks; most of the time nobody does.
        if self.reusable.len() > 2 * self.reusable_count as usize + 64 {
            self.reusable.retain(|&(connection, turn)| is(connection, turn));
        }
    }

    /// A connection stops being reusable.
    pub(super) fn no_longer_reusable(&mut self) {
        self.reusable_count -= 1;
    }

    /// How many connections are to be closed before a new one is accepted (`ngx_drain_connections`).
    pub(super) fn to_drain(&self) -> u32 {
        let pressed = match self.version {
            Version::V1_18 => self.slots_free == 0,
            Version::V1_22 => self.slots_free <= self.reserve,
        };
        if pressed { (self.reusable_count / 8).clamp(1, 32).min(self.reusable_count) } else { 0 }
    }

    /// The oldest reusable connection that is still one.
    pub(super) fn oldest_reusable(&mut self, is: impl Fn(u32, u32) -> bool) -> Option<u32> {
        while let Some((connection, turn)) = self.reusable.pop_front() {
            if is(connection, turn) {
                return Some(connection);
            }
        }
        None
    }

    /// Whether the worker waits in epoll_wait.
    pub(super) fn sleeps(&self) -> bool {
        self.current.is_none() && self.ready.is_empty()
    }
}
