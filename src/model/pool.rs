//! A client-side pool of connections to one store: idle, opening, waiting line.
//!
//! Checkout: an idle connection, else open one if allowed, else wait in line (MongoDB connection pool
//! specification; `pg-pool` differs only in opening without limit). The owner carries the decisions out.

use super::message::CallId;
use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A pool of connections, per pod or per execution environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// Most connections.
    #[serde(default = "max_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers: maxPoolSize 100 (connection pool specification)"))]
    pub max: u32,
    /// Most connections being opened at a time.
    #[serde(default = "connecting_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers: maxConnecting 2 (connection pool specification); node-postgres has no such limit"))]
    pub connecting: u32,
    /// How long a request waits for a connection before it fails; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "MongoDB waitQueueTimeoutMS and node-postgres connectionTimeoutMillis: unlimited unless set"))]
    pub acquire_timeout: Option<Span>,
}

fn max_default() -> u32 {
    100
}
fn connecting_default() -> u32 {
    2
}

impl Default for PoolSpec {
    fn default() -> Self {
        PoolSpec { max: max_default(), connecting: connecting_default(), acquire_timeout: None }
    }
}

/// What the owner of a pool must do for a request that wants a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkout {
    /// An idle connection was taken: use it.
    Ready,
    /// A new connection is to be opened for this request.
    Open,
    /// The request waits in line.
    Wait,
}

/// A pool as it runs.
#[derive(Debug, Clone)]
pub struct Pool {
    max: u32,
    connecting: u32,
    idle: u32,
    busy: u32,
    opening: u32,
    waiting: VecDeque<CallId>,
}

impl Pool {
    /// An empty pool.
    pub fn new(spec: &PoolSpec) -> Pool {
        Pool {
            max: spec.max,
            connecting: spec.connecting,
            idle: 0,
            busy: 0,
            opening: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Connections that exist.
    pub fn open(&self) -> u32 {
        self.idle + self.busy
    }
    /// Requests in line.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn may_open(&self) -> bool {
        self.idle + self.busy + self.opening < self.max && self.opening < self.connecting
    }

    /// A request wants a connection.
    pub fn checkout(&mut self, call: CallId) -> Checkout {
        if self.idle > 0 {
            self.idle -= 1;
            self.busy += 1;
            Checkout::Ready
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

    /// A request is done with its connection. Returns who takes it over.
    pub fn checkin(&mut self) -> Option<CallId> {
        if let Some(next) = self.waiting.pop_front() {
            return Some(next);
        }
        self.busy -= 1;
        self.idle += 1;
        None
    }

    /// A connection in use broke.
    pub fn broken(&mut self) -> Option<CallId> {
        self.busy -= 1;
        self.open_for_waiter()
    }

    /// A request in line has gone. O(n).
    pub fn leave(&mut self, call: CallId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != call);
        self.waiting.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> CallId {
        CallId { slot, turn: 0 }
    }

    #[test]
    fn opens_at_most_two_at_a_time_and_serves_in_order() {
        let mut pool = Pool::new(&PoolSpec { max: 3, connecting: 2, acquire_timeout: None });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Open);
        assert_eq!(pool.checkout(id(2)), Checkout::Wait);
        assert_eq!(pool.checkout(id(3)), Checkout::Wait);
        assert_eq!(pool.opened(), Some(id(2)), "a place to open is free again");
        assert_eq!(pool.opened(), None, "three exist or are being opened: the limit");
        assert_eq!(pool.checkin(), Some(id(3)));
        assert_eq!(pool.opened(), None);
        assert_eq!((pool.open(), pool.waiting()), (3, 0));
        assert_eq!(pool.checkin(), None);
        assert_eq!(pool.checkout(id(4)), Checkout::Ready);
    }

    #[test]
    fn a_refused_connection_lets_the_next_in_line_try() {
        let mut pool = Pool::new(&PoolSpec { max: 1, connecting: 1, acquire_timeout: None });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Wait);
        assert_eq!(pool.refused(), Some(id(1)));
        assert_eq!(pool.refused(), None);
        assert_eq!(pool.open(), 0);
    }
}
