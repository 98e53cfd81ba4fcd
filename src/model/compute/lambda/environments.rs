//! The execution environments of one function: rows, and the idle ones in order of last use.

use super::initial::Pick;
use crate::kernel::{Span, Time, prefetch};
use crate::model::message::CallId;
use std::collections::{BTreeMap, VecDeque};

/// One execution environment.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Environment {
    /// Bit per store of the design: whether a connection is open.
    pub(super) connected: u64,
    /// Whether the next invocation has to run Init first (after a timeout or crash).
    pub(super) needs_init: bool,
    /// Its Init, as far as it is billed with the first invocation that is still to come.
    pub(super) unbilled: Span,
    /// When it became idle.
    idle_since: Time,
    /// The request that caused it or runs in it.
    pub(super) call: CallId,
    /// Requests in it at work or waiting for its start.
    used: u32,
    /// Rows are used again: timers of an earlier environment in this row have another turn.
    pub(super) turn: u32,
    /// Whether its Init is going on.
    pub(super) starting: bool,
    /// Whether its start fails: the snapshot was not restored in time.
    pub(super) broken: bool,
    /// Whether it goes as soon as it is idle.
    pub(super) retiring: bool,
    /// Whether it is one of the provisioned.
    pub(super) provisioned: bool,
    /// Arrival of the first request that it served; [`Time::MAX`] before that.
    pub(super) first_use: Time,
    /// End of the last.
    pub(super) last_use: Time,
}
// A cache line; a large vector begins 16 bytes into one, so both ends have to be asked for.
const _: () =
    assert!(size_of::<Environment>() <= 64 && std::mem::offset_of!(Environment, provisioned) >= 48);

/// All environments of a function.
#[derive(Debug)]
pub(super) struct Environments {
    rows: Vec<Environment>,
    free: Vec<u32>,
    /// Requests that wait for the start of an environment, besides the one that caused it.
    waiting: BTreeMap<u32, Vec<CallId>>,
    /// Requests that one environment takes at a time.
    room: u32,
    /// Idle ones; the most recently used at the back, so the front is the first to expire.
    idle: VecDeque<u32>,
    /// Those at work that have room for more.
    partial: Vec<u32>,
    /// Idle ones of the provisioned, the most recently used last.
    provisioned_idle: Vec<u32>,
    provisioned: usize,
    /// Which of the idle ones is taken.
    pick: Pick,
}

impl Environments {
    pub(super) fn new(room: u32, pick: Pick) -> Environments {
        Environments {
            rows: Vec::new(),
            free: Vec::new(),
            waiting: BTreeMap::new(),
            room,
            idle: VecDeque::new(),
            partial: Vec::new(),
            provisioned_idle: Vec::new(),
            provisioned: 0,
            pick,
        }
    }

    /// Whether one takes several requests at a time.
    pub(super) fn shared(&self) -> bool {
        self.room > 1
    }

    /// How many exist that were created on demand.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len() - self.provisioned
    }

    /// How many exist.
    pub(super) fn all(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    #[inline]
    pub(super) fn get(&mut self, at: u32) -> &mut Environment {
        &mut self.rows[at as usize]
    }

    /// The Inits that no invocation has followed yet.
    pub(super) fn unbilled(&self) -> impl Iterator<Item = Span> {
        self.rows.iter().map(|row| row.unbilled).filter(|init| !init.is_zero())
    }

    /// Has the row of an environment loaded that will be needed soon.
    pub(super) fn prefetch(&self, at: u32) {
        if let Some(row) = self.rows.get(at as usize) {
            prefetch(row);
            prefetch(&row.provisioned);
        }
    }

    /// A request waits for the start of an environment.
    pub(super) fn wait_for(&mut self, at: u32, call: CallId) {
        self.waiting.entry(at).or_default().push(call);
    }

    /// The requests that waited for the start of an environment.
    pub(super) fn take_waiting(&mut self, at: u32) -> Vec<CallId> {
        self.waiting.remove(&at).unwrap_or_default()
    }

    /// Whether a timer's environment is still there.
    pub(super) fn alive(&self, at: u32, turn: u32) -> bool {
        self.rows.get(at as usize).is_some_and(|row| row.turn == turn)
    }

    /// First and last use of every environment that there is and that was used.
    pub(super) fn uses(&self) -> impl Iterator<Item = (Time, Time)> {
        // One that is at work now for the first time has no last use yet.
        let used = self.rows.iter().filter(|row| row.first_use < Time::MAX);
        used.map(|row| (row.first_use, row.last_use.max(row.first_use)))
    }

    /// Takes an idle environment: the most recently used one (observed in 99.7 % of 23,230 choices on AWS, 2020) unless the scenario
    /// says otherwise.
    #[inline]
    pub(super) fn take_idle(&mut self) -> Option<u32> {
        let at = match &mut self.pick {
            Pick::Newest => self.idle.pop_back()?,
            Pick::Oldest => self.idle.pop_front()?,
            Pick::Any(_) if self.idle.is_empty() => return None,
            Pick::Any(stream) => self.idle.remove(stream.below(self.idle.len() as u64) as usize)?,
        };
        self.rows[at as usize].used = 1;
        if self.room > 1 {
            self.partial.push(at);
        }
        Some(at)
    }

    /// Takes a place in an environment that is at work already and has room.
    #[inline]
    pub(super) fn take_partial(&mut self) -> Option<u32> {
        let &at = self.partial.last()?;
        let row = &mut self.rows[at as usize];
        row.used += 1;
        if row.used == self.room {
            self.partial.pop();
        }
        Some(at)
    }

    /// Whether a provisioned environment is idle.
    pub(super) fn provisioned_free(&self) -> bool {
        !self.provisioned_idle.is_empty()
    }

    /// Takes a provisioned environment.
    pub(super) fn take_provisioned(&mut self) -> Option<u32> {
        let at = self.provisioned_idle.pop()?;
        self.rows[at as usize].used = 1;
        Some(at)
    }

    /// Creates one for `call`.
    pub(super) fn create(&mut self, call: CallId) -> u32 {
        let row = Environment {
            connected: 0,
            needs_init: false,
            unbilled: Span::ZERO,
            idle_since: Time::ZERO,
            call,
            used: u32::from(call != CallId::NONE),
            turn: 0,
            starting: true,
            broken: false,
            retiring: false,
            provisioned: false,
            first_use: Time::MAX,
            last_use: Time::ZERO,
        };
        let at = if let Some(at) = self.free.pop() {
            let turn = self.rows[at as usize].turn;
            self.rows[at as usize] = Environment { turn, ..row };
            at
        } else {
            self.rows.push(row);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        };
        if self.room > 1 && call != CallId::NONE {
            self.partial.push(at);
        }
        at
    }

    /// Creates one that is idle at once; nobody has used it yet.
    pub(super) fn create_idle(&mut self, now: Time) -> u32 {
        let at = self.create(CallId::NONE);
        self.rows[at as usize].starting = false;
        self.release_unused(at, now);
        at
    }

    /// Creates one of the provisioned, ready for work.
    pub(super) fn create_provisioned(&mut self) {
        let at = self.create(CallId::NONE);
        self.provisioned += 1;
        self.rows[at as usize].starting = false;
        self.rows[at as usize].provisioned = true;
        self.provisioned_idle.push(at);
    }

    /// An environment begins to work on `call`.
    #[inline]
    pub(super) fn begin(&mut self, at: u32, call: CallId) {
        let row = &mut self.rows[at as usize];
        row.call = call;
        // One that took over a request that waited for another was not taken from the idle ones.
        row.used = row.used.max(1);
    }

    /// A request leaves an environment. Says how many are left in it.
    #[inline]
    pub(super) fn leave(&mut self, at: u32) -> u32 {
        let row = &mut self.rows[at as usize];
        row.used -= 1;
        let used = row.used;
        if self.room > 1 {
            if used == 0 {
                self.partial.retain(|&partial| partial != at);
            } else if used + 1 == self.room {
                self.partial.push(at);
            }
        }
        used
    }

    /// An environment becomes idle.
    #[inline]
    pub(super) fn release(&mut self, at: u32, now: Time) {
        let row = &mut self.rows[at as usize];
        row.idle_since = now;
        row.call = CallId::NONE;
        if row.provisioned {
            self.provisioned_idle.push(at);
        } else {
            self.idle.push_back(at);
        }
    }

    /// An environment that nobody has used yet becomes idle: it is taken last.
    pub(super) fn release_unused(&mut self, at: u32, now: Time) {
        let row = &mut self.rows[at as usize];
        row.idle_since = now;
        row.call = CallId::NONE;
        row.used = 0;
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
        row.first_use = Time::MAX;
        self.provisioned -= usize::from(row.provisioned);
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
