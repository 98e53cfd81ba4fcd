//! A client-side pool of connections to one store: idle, opening, waiting line.
//!
//! Checkout: the idle connection used last, else open one if allowed, else wait in line (MongoDB connection pool
//! specification; node-postgres `pg-pool/index.js`). A connection that cannot be opened fails the request it was opened for,
//! and the next in line tries. The owner carries the decisions out. Connections are known by numbers that their owner gives.

use super::message::CallId;
use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// To who connects: the kernels have connected, and the server waits for the first message. The words are the parent of the connect.
pub const ESTABLISHED: u8 = 247;
/// To the server: the first message of a connect, whose words these are, is there.
pub const GREETED: u8 = 248;

/// How a pod connects to one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// A pool, or a connection for each statement.
    #[serde(default)]
    #[schemars(extend("x-source" = "drivers pool by default"))]
    pub mode: PoolMode,
    /// Most connections.
    #[serde(default = "max_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers: maxPoolSize 100 (connection pool specification); node-postgres: max 10"))]
    pub max: u32,
    /// Most connections being opened at a time.
    #[serde(default = "connecting_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers: maxConnecting 2 (connection pool specification); node-postgres has no such limit"))]
    pub connecting: u32,
    /// How long a request waits for a connection, and how long a connection may take to open, before it fails; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "MongoDB waitQueueTimeoutMS and node-postgres connectionTimeoutMillis: unlimited unless set"))]
    pub acquire_timeout: Option<Span>,
    /// Processor time that the connecting process spends between the connect of the kernels and its first message: on an event loop
    /// it waits for the one thread, and the database's process for this connection waits for the message. Other stores than
    /// databases do not wait for it.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: a sixth of what a connection with one statement takes"))]
    pub startup_cpu: Span,
    /// Processor time that the connecting process spends on a new connection once the server has accepted it (keys of a
    /// password, TLS, the driver): on an event loop it waits for the one thread, and the server's slot is held meanwhile.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of psycopg 2.9: 0.3 ms without a password, 2 ms with scram-sha-256"))]
    pub connect_cpu: Span,
    /// Processor time for a new connection that is spent before `connect_cpu` in threads beside an event loop, which goes on
    /// meanwhile: keys that libuv's pool derives.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said"))]
    pub connect_offload: Span,
    /// Processor time that the process spends on the answer of a statement, and in mode `direct` on closing the connection, before
    /// the connection is free for others.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: half of what a connection with one statement takes"))]
    pub statement_cpu: Span,
    /// Processor time that the process spends on a connection that the server has refused, before its request knows: the answer is read,
    /// an error is made of it, the connection is closed.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: half of what a connection with one statement takes"))]
    pub refused_cpu: Span,
    /// An idle connection is closed after this; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "MongoDB maxIdleTimeMS: never unless set; node-postgres idleTimeoutMillis: 10 s"))]
    pub idle_timeout: Option<Span>,
}

/// Whether connections are shared by requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// Kept and used again.
    #[default]
    Pool,
    /// Opened for each statement and closed after it; the other fields but `acquire_timeout` mean nothing.
    Direct,
}

/// Whether a cost need not be written.
pub fn costs_nothing(span: &Span) -> bool {
    span.is_zero()
}
fn max_default() -> u32 {
    100
}
fn connecting_default() -> u32 {
    2
}

impl Default for PoolSpec {
    fn default() -> Self {
        PoolSpec {
            mode: PoolMode::Pool,
            max: max_default(),
            connecting: connecting_default(),
            acquire_timeout: None,
            startup_cpu: Span::ZERO,
            connect_cpu: Span::ZERO,
            connect_offload: Span::ZERO,
            statement_cpu: Span::ZERO,
            refused_cpu: Span::ZERO,
            idle_timeout: None,
        }
    }
}

/// What the owner of a pool must do for a request that wants a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkout {
    /// The idle connection of this number was taken: use it.
    Ready(u32),
    /// A new connection is to be opened for this request.
    Open,
    /// The request waits in line.
    Wait,
}

/// A pool as it runs.
#[derive(Debug, Clone)]
pub struct Pool {
    mode: PoolMode,
    max: u32,
    connecting: u32,
    /// Number and since when; the one used last at the end, so the first is the first to be closed.
    idle: VecDeque<(u32, Time)>,
    busy: u32,
    opening: u32,
    waiting: VecDeque<CallId>,
}

impl Pool {
    /// An empty pool.
    pub fn new(spec: &PoolSpec) -> Pool {
        Pool {
            mode: spec.mode,
            max: spec.max,
            connecting: spec.connecting,
            idle: VecDeque::new(),
            busy: 0,
            opening: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Connections that exist.
    pub fn open(&self) -> u32 {
        self.idle.len() as u32 + self.busy
    }
    /// Requests in line.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn may_open(&self) -> bool {
        self.mode == PoolMode::Direct
            || (self.open() + self.opening < self.max && self.opening < self.connecting)
    }

    /// A request wants a connection.
    pub fn checkout(&mut self, call: CallId) -> Checkout {
        if let Some((number, _)) = self.idle.pop_back() {
            self.busy += 1;
            Checkout::Ready(number)
        } else if self.may_open() {
            self.opening += 1;
            Checkout::Open
        } else {
            self.waiting.push_back(call);
            Checkout::Wait
        }
    }

    /// A connection that was being opened is open, and its request has it. Returns who may open the next.
    pub fn opened(&mut self) -> Option<CallId> {
        self.opening -= 1;
        self.busy += 1;
        self.open_for_waiter()
    }

    /// Opening failed; its request fails with it. Returns who may try next.
    pub fn refused(&mut self) -> Option<CallId> {
        self.opening -= 1;
        self.open_for_waiter()
    }

    fn open_for_waiter(&mut self) -> Option<CallId> {
        if !self.may_open() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.opening += 1;
        Some(next)
    }

    /// A request is done with its connection. Returns what becomes of the connection.
    #[inline]
    pub fn checkin(&mut self, number: u32, now: Time) -> Checkin {
        if self.mode == PoolMode::Direct {
            self.busy -= 1;
            return Checkin::Close;
        }
        if let Some(next) = self.waiting.pop_front() {
            return Checkin::Next(next);
        }
        self.busy -= 1;
        self.idle.push_back((number, now));
        Checkin::Idle
    }

    /// A connection in use broke. Returns who may open another.
    pub fn broken(&mut self) -> Option<CallId> {
        self.busy -= 1;
        self.open_for_waiter()
    }

    /// Takes out a connection that has been idle for `timeout`.
    pub fn expire(&mut self, now: Time, timeout: Span) -> Option<u32> {
        let &(number, since) = self.idle.front()?;
        if since + timeout > now {
            return None;
        }
        self.idle.pop_front();
        Some(number)
    }

    /// Since when the connection that has been idle longest is idle.
    pub fn idle_since(&self) -> Option<Time> {
        self.idle.front().map(|(_, since)| *since)
    }

    /// A request in line has gone. O(n).
    pub fn leave(&mut self, call: CallId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != call);
        self.waiting.len() < before
    }
}

/// What becomes of a connection that a request has given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkin {
    /// This request takes it over.
    Next(CallId),
    /// It stays open.
    Idle,
    /// It is to be closed.
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> CallId {
        CallId { slot, turn: 0 }
    }
    const NOW: Time = Time::ZERO;

    #[test]
    fn opens_at_most_two_at_a_time_and_serves_in_order() {
        let mut pool = Pool::new(&PoolSpec { max: 3, ..PoolSpec::default() });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Open);
        assert_eq!(pool.checkout(id(2)), Checkout::Wait);
        assert_eq!(pool.checkout(id(3)), Checkout::Wait);
        assert_eq!(pool.opened(), Some(id(2)), "a place to open is free again");
        assert_eq!(pool.opened(), None, "three exist or are being opened: the limit");
        assert_eq!(pool.checkin(7, NOW), Checkin::Next(id(3)));
        assert_eq!(pool.opened(), None);
        assert_eq!((pool.open(), pool.waiting()), (3, 0));
        assert_eq!(pool.checkin(7, NOW), Checkin::Idle);
        assert_eq!(pool.checkin(8, NOW), Checkin::Idle);
        assert_eq!(pool.checkout(id(4)), Checkout::Ready(8), "the one used last");
    }

    #[test]
    fn a_refused_connection_lets_the_next_in_line_try() {
        let mut pool = Pool::new(&PoolSpec { max: 1, connecting: 1, ..PoolSpec::default() });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Wait);
        assert_eq!(pool.refused(), Some(id(1)));
        assert_eq!(pool.refused(), None);
        assert_eq!(pool.open(), 0);
    }

    #[test]
    fn idle_connections_are_closed_oldest_first() {
        let mut pool = Pool::new(&PoolSpec { max: 2, ..PoolSpec::default() });
        for _ in 0..2 {
            assert_eq!(pool.checkout(id(0)), Checkout::Open);
            assert_eq!(pool.opened(), None);
        }
        let (second, timeout) = (Time::from_nanos(5), Span::from_nanos(10));
        assert_eq!(pool.checkin(1, NOW), Checkin::Idle);
        assert_eq!(pool.checkin(2, second), Checkin::Idle);
        assert_eq!(pool.expire(Time::from_nanos(9), timeout), None);
        assert_eq!(pool.expire(Time::from_nanos(10), timeout), Some(1));
        assert_eq!(pool.expire(Time::from_nanos(10), timeout), None);
        assert_eq!((pool.idle_since(), pool.open()), (Some(second), 1));
    }

    #[test]
    fn direct_mode_opens_and_closes_without_limit() {
        let spec = PoolSpec { mode: PoolMode::Direct, max: 1, ..PoolSpec::default() };
        let mut pool = Pool::new(&spec);
        for _ in 0..5 {
            assert_eq!(pool.checkout(id(0)), Checkout::Open);
        }
        assert_eq!(pool.opened(), None);
        assert_eq!(pool.checkin(1, NOW), Checkin::Close);
        assert_eq!(pool.open(), 0);
    }
}
