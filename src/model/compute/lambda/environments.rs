//! The execution environments of one function: rows, and the idle ones in order of last use.

use crate::kernel::{Span, Time};
use crate::model::message::CallId;
use std::collections::VecDeque;

/// One execution environment.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    /// Bit per store of the design: whether a connection is open.
    pub(super) connected: u64,
    /// Whether the next invocation has to run Init first (after a timeout or crash).
    pub(super) needs_init: bool,
    /// When it became idle.
    idle_since: Time,
    /// The request that caused it or runs in it.
    pub(super) call: CallId,
}

/// All environments of a function.
#[derive(Debug, Default)]
pub(super) struct Environments {
    rows: Vec<Environment>,
    free: Vec<u32>,
    /// Idle ones; the most recently used at the back, so the front is the first to expire.
    idle: VecDeque<u32>,
}

impl Environments {
    /// How many exist.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    pub(super) fn get(&mut self, at: u32) -> &mut Environment {
        &mut self.rows[at as usize]
    }

    /// Takes the most recently used idle environment (observed in 99.7 % of 23,230 choices on AWS, 2020).
    pub(super) fn take_idle(&mut self) -> Option<u32> {
        self.idle.pop_back()
    }

    /// Creates one for `call`.
    pub(super) fn create(&mut self, call: CallId) -> u32 {
        let row = Environment { connected: 0, needs_init: false, idle_since: Time::ZERO, call };
        if let Some(at) = self.free.pop() {
            self.rows[at as usize] = row;
            return at;
        }
        self.rows.push(row);
        u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
    }

    /// An environment becomes idle.
    pub(super) fn release(&mut self, at: u32, now: Time) {
        self.rows[at as usize].idle_since = now;
        self.rows[at as usize].call = CallId::NONE;
        self.idle.push_back(at);
    }

    /// When the next idle environment expires.
    pub(super) fn next_expiry(&self, life: Span) -> Option<Time> {
        self.idle.front().map(|&at| self.rows[at as usize].idle_since + life)
    }

    /// Removes an environment that has been idle for `life`. Returns its number and connections.
    pub(super) fn expire(&mut self, now: Time, life: Span) -> Option<(u32, u64)> {
        let &at = self.idle.front()?;
        let row = &self.rows[at as usize];
        if row.idle_since + life > now {
            return None;
        }
        let connected = row.connected;
        self.idle.pop_front();
        self.free.push(at);
        Some((at, connected))
    }
}
