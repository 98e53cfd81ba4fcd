//! Logins: the listen queue, the one accepting process, a process for each connection, its slot, its login.
//!
//! A backend of PostgreSQL takes its slot when it becomes a process of the server (`InitProcess`), after some of its login, and
//! looks at the slots of administrators at the end of its login. So logins that will be refused take slots too, and most
//! refusals of a burst cost nearly as much as a login. Its slot is free before its process has ended.

use super::server::{CPU, Connection, Database, SYN_END, UNGREETED, WAITED};
use super::spec::WhenFull;
use crate::kernel::{Rank, Span, Time};
use crate::model::context::{Ctx, Purpose};
use crate::model::host::ThreadOf;
use crate::model::message::{CallId, Cause, Event, Message, Outcome};
use crate::model::pool::ESTABLISHED;

// Where a login stands, in its call's second word.
const FORK: u32 = 1;
const START: u32 = 2;
const LOGIN: u32 = 3;

/// The accepting process among the server's threads; whoever serves a connection has the call's slot and one.
const POSTMASTER: u32 = 0;

/// Part of a login's processor time until a backend of PostgreSQL asks for its slot, and of an end's that a refused login
/// needs: own measurement of PostgreSQL 15 (schedstat, `refused` for want of a process and of a slot that is not reserved).
const UNTIL_SLOT: f64 = 0.4;
const REFUSED_END: f64 = 0.67;

impl Database {
    pub(super) fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).established < Time::MAX {
            return self.stands(call, ctx);
        }
        // A SYN that is sent again has its path behind it.
        if ctx.calls.get(call).a == 0 && !self.sessions {
            let wait = self.login_wait.sample(&mut ctx.stream(call, Purpose::FrontDoor));
            if !wait.is_zero() {
                return ctx.wake(wait, WAITED, call.slot, call.turn);
            }
        }
        self.listen(call, ctx);
    }

    /// A connection that was opened before the run began takes its slots.
    #[cold]
    fn stands(&mut self, call: CallId, ctx: &mut Ctx) {
        let slots = u32::from(ctx.calls.get(call).weight);
        if self.taken + slots > self.slots {
            return self.refuse(call, ctx);
        }
        self.take(slots, ctx);
        self.connected(call, ctx);
    }

    /// A SYN: accepted, in the listen queue, or lost.
    pub(super) fn listen(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).abandoned {
            // The client gave up meanwhile: there is nothing to accept.
            return ctx.fail(call, Cause::ConnectTimeout, 0);
        }
        if self.forking && self.listening.len() >= self.accept_max {
            self.counts.syn_dropped += 1;
            return ctx.syn_lost(call, self.limits.backlog, SYN_END);
        }
        let row = ctx.calls.get(call);
        row.mark = ctx.queue.now();
        let (to, hop, parent, greets) = (row.from, row.hop, row.parent, !row.amount.is_zero());
        if greets {
            let message = Message::Wake(ESTABLISHED, parent.slot, parent.turn);
            ctx.queue.travel(hop, Rank::Completion, Event::new(to, message));
        }
        self.listening.push_back(call);
        self.accept(ctx);
    }

    /// The one accepting process turns to the next connection.
    fn accept(&mut self, ctx: &mut Ctx) {
        while !self.forking {
            let Some(call) = self.listening.pop_front() else { return };
            if self.fork.is_zero() {
                self.accepted(call, ctx);
            } else {
                self.forking = true;
                ctx.calls.get(call).b = FORK;
                let thread = ThreadOf::number(POSTMASTER);
                ctx.compute(self.host, thread, self.fork, CPU, call.slot, call.turn);
            }
        }
    }

    /// Accepted. MySQL gives it its slots or refuses it before the login. The login may have to wait for the session map.
    fn accepted(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        if !row.amount.is_zero() {
            row.b = UNGREETED;
            if row.abandoned {
                self.never_greeted(call, ctx);
            }
            return;
        }
        if self.sessions {
            return self.start_backend(call, ctx);
        }
        if self.engine.slots_before_login() {
            let slots = u32::from(ctx.calls.get(call).weight);
            if self.taken + slots > self.slots {
                return self.refuse(call, ctx);
            }
            self.take(slots, ctx);
        }
        if self.session_map_locked(ctx) {
            ctx.calls.get(call).mark = now;
            return self.map_line.push_back(call);
        }
        self.log_in(call, ctx);
    }

    /// The client's first message is there; whoever has accepted the connection goes on with it.
    pub(super) fn greeted(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.amount = Span::ZERO;
        if row.b == UNGREETED {
            // Until now it waited for the client.
            row.mark = now;
            self.accepted(call, ctx);
        }
    }

    /// The client has gone without a first message.
    pub(super) fn never_greeted(&mut self, call: CallId, ctx: &mut Ctx) {
        let thread = self.thread_of(call);
        ctx.fail(call, Cause::ClientTimeout, 0);
        self.end_process(self.exit.scaled(REFUSED_END), thread, ctx);
    }

    /// PostgreSQL: the new process goes as far as to ask for its slot.
    fn start_backend(&mut self, call: CallId, ctx: &mut Ctx) {
        let work = self.login.sample(&mut ctx.stream(call, Purpose::Login));
        let row = ctx.calls.get(call);
        row.amount = work;
        row.b = START;
        if work.is_zero() {
            return self.in_process(call, ctx);
        }
        let thread = self.thread_of(call);
        ctx.compute(self.host, thread, work.scaled(UNTIL_SLOT), CPU, call.slot, call.turn);
    }

    /// PostgreSQL: a process gets its slot, one of all, and goes on with its login, or is refused ("too many clients").
    fn in_process(&mut self, call: CallId, ctx: &mut Ctx) {
        let slots = u32::from(ctx.calls.get(call).weight);
        if self.taken + slots > self.connections {
            self.refuse(call, ctx);
            return self.end_process(self.exit.scaled(REFUSED_END), self.thread_of(call), ctx);
        }
        self.take(slots, ctx);
        let wait = self.login_wait.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        if wait.is_zero() {
            return self.authenticated(call, ctx);
        }
        ctx.wake(wait, WAITED, call.slot, call.turn);
    }

    /// PostgreSQL: the client has done its part, the backend goes on with the login.
    pub(super) fn authenticated(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.b = LOGIN;
        let rest = row.amount.minus(row.amount.scaled(UNTIL_SLOT));
        ctx.compute(self.host, self.thread_of(call), rest, CPU, call.slot, call.turn);
    }

    /// Who serves a connection.
    fn thread_of(&self, call: CallId) -> ThreadOf {
        ThreadOf { own_session: self.sessions, ..ThreadOf::number(call.slot.wrapping_add(1)) }
    }

    pub(super) fn take(&mut self, slots: u32, ctx: &mut Ctx) {
        self.taken += slots;
        ctx.ledger.set(self.gauges.connections, ctx.queue.now(), u64::from(self.taken));
    }

    fn refuse(&mut self, call: CallId, ctx: &mut Ctx) {
        self.counts.refused += 1;
        ctx.ledger.refused_by(self.limits.slots, ctx.queue.now());
        ctx.fail(call, Cause::ConnectionSlots, 0);
    }

    pub(super) fn log_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let work = self.login.sample(&mut ctx.stream(call, Purpose::Login));
        let row = ctx.calls.get(call);
        row.b = LOGIN;
        row.amount = work;
        // Through the heap even if it costs nothing, so that long queues do not recurse.
        ctx.compute(self.host, self.thread_of(call), work, CPU, call.slot, call.turn);
    }

    pub(super) fn cpu_done(&mut self, call: CallId, ctx: &mut Ctx) {
        match ctx.calls.get(call).b {
            FORK => {
                self.forking = false;
                self.accepted(call, ctx);
                self.accept(ctx);
            }
            START => self.in_process(call, ctx),
            _ => self.logged_in(call, ctx),
        }
    }

    fn logged_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.counts.logins += 1;
        let row = *ctx.calls.get(call);
        let slots = u32::from(row.weight);
        // What the login took beyond its unloaded time is waiting for the server's processors.
        ctx.ledger.waited_for(self.limits.login, row.mark + self.fork + row.amount, now);
        if self.sessions {
            if self.taken > self.slots {
                self.refuse(call, ctx);
                self.ended(slots, ctx);
                return self.end_process(self.exit.scaled(REFUSED_END), self.thread_of(call), ctx);
            }
        } else if !self.engine.slots_before_login() && !row.abandoned {
            if self.taken + slots > self.slots {
                if self.when_full == WhenFull::Queue {
                    ctx.calls.get(call).mark = now;
                    return self.slot_line.push_back(call);
                }
                return self.refuse(call, ctx);
            }
            self.take(slots, ctx);
        }
        self.connected(call, ctx);
    }

    /// The connection is open, unless its owner has gone meanwhile.
    pub(super) fn connected(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let slots = u32::from(row.weight);
        ctx.reply(call, Outcome::OK);
        if !row.abandoned {
            let connection = Connection { slots, keepers: 0, closed: false };
            let at = self.free.pop().unwrap_or_else(|| {
                self.connected.push(Connection::default());
                self.connected.len() as u32 - 1
            });
            self.connected[at as usize] = connection;
            self.open.insert((row.from, row.tag), at);
        } else if self.sessions || self.engine.slots_before_login() {
            self.end(slots, ctx);
        }
    }
}
