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
    /// Rows are used again: timers of an earlier environment in this row have another turn.
    pub(super) turn: u32,
    /// Whether its Init is going on.
    pub(super) starting: bool,
    /// Whether it goes as soon as it is idle.
    pub(super) retiring: bool,
    /// Arrival of the first request that it served.
    pub(super) first_use: Option<Time>,
    /// End of the last.
    pub(super) last_use: Time,
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

    /// Whether a timer's environment is still there.
    pub(super) fn alive(&self, at: u32, turn: u32) -> bool {
        self.rows.get(at as usize).is_some_and(|row| row.turn == turn)
    }

    /// First and last use of every environment that there is and that was used.
    pub(super) fn uses(&self) -> impl Iterator<Item = (Time, Time)> {
        // One that is at work now for the first time has no last use yet.
        self.rows
            .iter()
            .filter_map(|row| row.first_use.map(|first| (first, row.last_use.max(first))))
    }

    /// Takes the most recently used idle environment (observed in 99.7 % of 23,230 choices on AWS, 2020).
    pub(super) fn take_idle(&mut self) -> Option<u32> {
        self.idle.pop_back()
    }

    /// Creates one for `call`.
    pub(super) fn create(&mut self, call: CallId) -> u32 {
        let row = Environment {
            connected: 0,
            needs_init: false,
            idle_since: Time::ZERO,
            call,
            turn: 0,
            starting: true,
            retiring: false,
            first_use: None,
            last_use: Time::ZERO,
        };
        if let Some(at) = self.free.pop() {
            let turn = self.rows[at as usize].turn;
            self.rows[at as usize] = Environment { turn, ..row };
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

    /// An environment that nobody has used yet becomes idle: it is taken last.
    pub(super) fn release_unused(&mut self, at: u32, now: Time) {
        self.rows[at as usize].idle_since = now;
        self.rows[at as usize].call = CallId::NONE;
        self.idle.push_front(at);
    }

    /// Takes the idle environment that was used longest ago.
    pub(super) fn take_oldest(&mut self) -> Option<u32> {
        self.idle.pop_front()
    }

    /// Takes this environment if it is idle.
    pub(super) fn take(&mut self, at: u32) -> bool {
        let place = self.idle.iter().position(|&idle| idle == at);
        place.is_some_and(|place| self.idle.remove(place).is_some())
    }

    /// An environment that is not idle goes for good.
    pub(super) fn remove(&mut self, at: u32) {
        let row = &mut self.rows[at as usize];
        row.turn += 1;
        row.first_use = None;
        self.free.push(at);
    }

    /// When the next idle environment expires.
    pub(super) fn next_expiry(&self, life: Span) -> Option<Time> {
        self.idle.front().map(|&at| self.rows[at as usize].idle_since + life)
    }

    /// Takes the environment that has been idle for `life`, if there is one.
    pub(super) fn take_expired(&mut self, now: Time, life: Span) -> Option<u32> {
        self.next_expiry(life).filter(|&at| at <= now).and_then(|_| self.take_oldest())
    }
}
