//! The server as it runs: listen queue, fork, login, slots, statements.
//!
//! A backend of PostgreSQL takes its slot when it becomes a process of the server (`InitProcess`), after some of its login, and
//! looks at the slots of administrators at the end of its login. So logins that will be refused take slots too, and most
//! refusals of a burst cost nearly as much as a login. Its slot is free before its process has ended.

use super::engine::Engine;
use super::spec::{DatabaseSpec, WhenFull};
use crate::kernel::{Rank, Span, Time};
use crate::model::calls::Op;
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::cpu::{Processor, Sharing};
use crate::model::dist::Sampler;
use crate::model::host::{HostId, ThreadOf};
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::listener::accept_queue;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::owners::Owners;
use crate::model::pool::{ESTABLISHED, GREETED};
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

/// Processor time for a connection is spent.
const CPU: u8 = 0;
const STATEMENT: u8 = 1;
const WAITED: u8 = 2;
/// The client's kernel gave up connecting.
const SYN_END: u8 = 3;
/// The session map is open again.
const UNLOCK: u8 = 4;

// Where a login stands, in its call's second word.
const FORK: u32 = 1;
const START: u32 = 2;
const LOGIN: u32 = 3;
/// The client's first message has not come yet.
const UNGREETED: u32 = 4;
/// A process has ended.
const EXIT: u8 = 5;

/// The accepting process among the server's threads; whoever serves a connection has the call's slot and one.
const POSTMASTER: u32 = 0;
/// The process of a connection that ends after its work.
const ENDING: u32 = u32::MAX;

/// Part of a login's processor time until a backend of PostgreSQL asks for its slot, and of an end's that a refused login
/// needs: own measurement of PostgreSQL 15 (schedstat, `refused` for want of a process and of a slot that is not reserved).
const UNTIL_SLOT: f64 = 0.4;
const REFUSED_END: f64 = 0.67;

/// A statement without a connection, in its call's first word.
const NO_ROW: u32 = u32::MAX;

/// DocumentDB's "short time" in which many new connections lock its session map: not given, a second is assumed.
const RUSH: Span = Span::from_secs(1);
/// New connections that make a rush (DocumentDB developer guide: "about 1,000").
const RUSH_SIZE: u32 = 1_000;

/// One open connection, or the several that one owner opened at once.
#[derive(Debug, Default)]
struct Connection {
    slots: u32,
    /// Statements at work on it.
    active: u32,
    /// Its owner has gone; it ends with its statement.
    closed: bool,
}

/// DocumentDB's lock of the session map.
#[derive(Debug)]
struct SessionMap {
    lock: Span,
    locked_until: Time,
    window: Time,
    fresh: u32,
}

/// A database server as it runs.
pub struct Database {
    engine: Engine,
    name: String,
    class: Option<String>,
    /// All slots, and those for everybody.
    connections: u32,
    slots: u32,
    /// Slots taken, also by logins and ends under way.
    taken: u32,
    /// Rows of connections, and which row an owner's number means now: the owner may use a number again while a statement of
    /// the connection before it still runs.
    connected: Vec<Connection>,
    free: Vec<u32>,
    open: Owners,
    listening: VecDeque<CallId>,
    accept_max: usize,
    forking: bool,
    fork: Span,
    exit: Span,
    login: Sampler,
    login_wait: Sampler,
    host: HostId,
    /// Whether every connection has a process with a session of its own.
    sessions: bool,
    /// DocumentDB: connections that wait for a slot.
    slot_line: VecDeque<CallId>,
    /// DocumentDB: connections with a slot that wait for the session map.
    map_line: VecDeque<CallId>,
    when_full: WhenFull,
    session_map: Option<SessionMap>,
    work: Processor,
    active_max: usize,
    statements: VecDeque<CallId>,
    limits: Limits,
    gauges: Gauges,
    counts: Counts,
}

struct Limits {
    slots: LimitId,
    login: LimitId,
    work: LimitId,
    backlog: LimitId,
    active: LimitId,
    session_map: LimitId,
}

struct Gauges {
    connections: GaugeId,
    active: GaugeId,
}

#[derive(Default)]
struct Counts {
    logins: u64,
    refused: u64,
    syn_dropped: u64,
}

impl Limits {
    fn announce(
        spec: &DatabaseSpec,
        slots: u32,
        backlog: usize,
        active: u32,
        wiring: &mut Wiring,
    ) -> Limits {
        let (me, ledger) = (wiring.me, &mut *wiring.ledger);
        let sigma = spec.sigma;
        Limits {
            slots: ledger.limit(me, "connection_slots", format!("{slots} connection slots")),
            login: ledger.limit(me, "login_rate", format!("logins on {} vCPU", spec.vcpu)),
            work: ledger.limit(
                me,
                "active_work",
                format!("throughput curve σ {sigma}, κ {}", spec.kappa()),
            ),
            backlog: ledger.limit(me, "listen_backlog", format!("listen queue of {backlog}")),
            active: ledger.limit(
                me,
                "active_connections",
                if active == u32::MAX {
                    "no limit of active statements".into()
                } else {
                    format!("{active} active statements")
                },
            ),
            session_map: ledger.limit(
                me,
                "session_map",
                format!("session map locked after {RUSH_SIZE} new connections"),
            ),
        }
    }
}

impl Component for Database {
    type Spec = DatabaseSpec;

    fn build(spec: &DatabaseSpec, wiring: &mut Wiring) -> Result<Database, String> {
        let engine = Engine::of(wiring.kind);
        let connections = spec.connections(engine).ok_or("the number of slots is not known")?;
        let slots = connections.saturating_sub(spec.reserved(engine));
        let active_max = spec.active(engine);
        let backlog = spec.backlog.unwrap_or_else(|| engine.backlog(connections));
        let accept_max = accept_queue(backlog, spec.somaxconn);
        let limits = Limits::announce(spec, slots, accept_max, active_max, wiring);
        let login =
            spec.login.clone().unwrap_or_else(|| engine.login(spec.auth.unwrap_or_default()));
        let cores = Sharing::Cores { cores: spec.vcpu, speed: 1.0, per_job: 1.0 };
        let host = wiring.machine().unwrap_or_else(|| wiring.host(cores));
        let (me, ledger) = (wiring.me, &mut *wiring.ledger);
        let active_limit = (active_max < u32::MAX).then_some(u64::from(active_max));
        Ok(Database {
            engine,
            name: wiring.name.to_owned(),
            class: spec.class.clone(),
            connections,
            slots,
            taken: 0,
            connected: Vec::new(),
            free: Vec::new(),
            open: Owners::default(),
            listening: VecDeque::new(),
            accept_max,
            forking: false,
            fork: spec.fork.unwrap_or_else(|| engine.fork()),
            exit: spec.exit.unwrap_or_else(|| engine.exit()),
            login: login.sampler(wiring.data)?,
            login_wait: spec.login_wait.sampler(wiring.data)?,
            host,
            sessions: engine == Engine::Postgres,
            slot_line: VecDeque::new(),
            map_line: VecDeque::new(),
            when_full: spec.when_full.unwrap_or_default(),
            session_map: spec.session_map_lock.map(|lock| SessionMap {
                lock,
                locked_until: Time::ZERO,
                window: Time::ZERO,
                fresh: 0,
            }),
            work: Processor::new(Sharing::Usl { sigma: spec.sigma, kappa: spec.kappa() }),
            active_max: active_max as usize,
            statements: VecDeque::new(),
            limits,
            gauges: Gauges {
                connections: ledger.gauge(me, "connections", Some(u64::from(slots))),
                active: ledger.gauge(me, "active statements", active_limit),
            },
            counts: Counts::default(),
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => match ctx.calls.get(call).op {
                Op::Connect => self.connect(call, ctx),
                _ => self.statement(call, ctx),
            },
            Message::Wake(CPU, slot, turn) => self.cpu_done(CallId { slot, turn }, ctx),
            Message::Wake(STATEMENT, ..) => self.complete(ctx),
            Message::Wake(WAITED, slot, turn) => {
                let call = CallId { slot, turn };
                if self.sessions { self.authenticated(call, ctx) } else { self.listen(call, ctx) }
            }
            Message::Wake(SYN_END, slot, turn) => {
                ctx.ledger.refused_by(self.limits.backlog, ctx.queue.now());
                ctx.fail(CallId { slot, turn }, Cause::ConnectTimeout, 0);
            }
            Message::Wake(GREETED, slot, turn) => self.greeted(CallId { slot, turn }, ctx),
            // Work of a client that went away goes on; its connection is closed when it ends.
            Message::Cancel(call) => {
                if ctx.calls.alive(call) && ctx.calls.get(call).b == UNGREETED {
                    self.never_greeted(call, ctx);
                }
            }
            // The slots of a process that ends were free before.
            Message::Wake(EXIT, ..) | Message::Reply(_) => {}
            Message::Wake(..) => self.unlocked(ctx),
            Message::HangUp(owner, _, tag) => self.hung_up((owner, tag), ctx),
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let held = hours(ctx.now());
        let class = |class: &String| UsageLine::held(&self.name, class, held, "hour");
        NodeReport {
            counters: vec![
                ("logins", self.counts.logins),
                ("logins_refused", self.counts.refused),
                ("syn_dropped", self.counts.syn_dropped),
            ],
            usage: self.class.iter().map(class).collect(),
        }
    }
}

impl Database {
    fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        // A SYN that is sent again has its path behind it.
        if ctx.calls.get(call).a == 0 && !self.sessions {
            let wait = self.login_wait.sample(&mut ctx.stream(call, Purpose::FrontDoor));
            if !wait.is_zero() {
                return ctx.wake(wait, WAITED, call.slot, call.turn);
            }
        }
        self.listen(call, ctx);
    }

    /// A SYN: accepted, in the listen queue, or lost.
    fn listen(&mut self, call: CallId, ctx: &mut Ctx) {
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
            ctx.queue.travel(hop, Rank::Completion, Event { to, message });
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
    fn greeted(&mut self, call: CallId, ctx: &mut Ctx) {
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
    fn never_greeted(&mut self, call: CallId, ctx: &mut Ctx) {
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
    fn authenticated(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.b = LOGIN;
        let rest = row.amount.minus(row.amount.scaled(UNTIL_SLOT));
        ctx.compute(self.host, self.thread_of(call), rest, CPU, call.slot, call.turn);
    }

    /// Who serves a connection.
    fn thread_of(&self, call: CallId) -> ThreadOf {
        ThreadOf { number: call.slot.wrapping_add(1), own_session: self.sessions }
    }

    fn take(&mut self, slots: u32, ctx: &mut Ctx) {
        self.taken += slots;
        ctx.ledger.set(self.gauges.connections, ctx.queue.now(), u64::from(self.taken));
    }

    fn refuse(&mut self, call: CallId, ctx: &mut Ctx) {
        self.counts.refused += 1;
        ctx.ledger.refused_by(self.limits.slots, ctx.queue.now());
        ctx.fail(call, Cause::ConnectionSlots, 0);
    }

    fn log_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let work = self.login.sample(&mut ctx.stream(call, Purpose::Login));
        let row = ctx.calls.get(call);
        row.b = LOGIN;
        row.amount = work;
        // Through the heap even if it costs nothing, so that long queues do not recurse.
        ctx.compute(self.host, self.thread_of(call), work, CPU, call.slot, call.turn);
    }

    fn cpu_done(&mut self, call: CallId, ctx: &mut Ctx) {
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
    fn connected(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let slots = u32::from(row.weight);
        ctx.reply(call, Outcome::OK);
        if !row.abandoned {
            let connection = Connection { slots, active: 0, closed: false };
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

    fn hung_up(&mut self, owner: (NodeId, u32), ctx: &mut Ctx) {
        if let Some(at) = self.open.remove(owner) {
            self.connected[at as usize].closed = true;
            self.end_if_done(at, ctx);
        }
    }

    /// A connection whose owner has gone ends with its last statement.
    #[inline]
    fn end_if_done(&mut self, at: u32, ctx: &mut Ctx) {
        let row = &self.connected[at as usize];
        if row.closed && row.active == 0 {
            let slots = row.slots;
            self.free.push(at);
            self.end(slots, ctx);
        }
    }

    /// A connection ends: its slots are free, then its process needs processor time to go.
    fn end(&mut self, slots: u32, ctx: &mut Ctx) {
        self.ended(slots, ctx);
        self.end_process(self.exit, ThreadOf { number: ENDING, own_session: self.sessions }, ctx);
    }

    fn end_process(&mut self, work: Span, thread: ThreadOf, ctx: &mut Ctx) {
        if !work.is_zero() {
            ctx.compute(self.host, thread, work, EXIT, 0, 0);
        }
    }

    fn ended(&mut self, slots: u32, ctx: &mut Ctx) {
        debug_assert!(slots <= self.taken, "more slots freed than taken");
        self.taken = self.taken.saturating_sub(slots);
        ctx.ledger.set(self.gauges.connections, ctx.queue.now(), u64::from(self.taken));
        self.next_in_slot_line(ctx);
    }

    /// Counts a new connection, and says whether logins must wait.
    fn session_map_locked(&mut self, ctx: &mut Ctx) -> bool {
        let now = ctx.now();
        let Some(map) = &mut self.session_map else { return false };
        if now < map.locked_until {
            return true;
        }
        if now.since(map.window) > RUSH {
            map.window = now;
            map.fresh = 0;
        }
        map.fresh += 1;
        if map.fresh > RUSH_SIZE {
            map.fresh = 0;
            map.locked_until = now + map.lock;
            ctx.wake_at(map.locked_until, Rank::Completion, UNLOCK, 0, 0);
            return true;
        }
        false
    }

    /// The session map is open again: all that wait for it log in.
    fn unlocked(&mut self, ctx: &mut Ctx) {
        while let Some(call) = self.map_line.pop_front() {
            let now = ctx.now();
            let since = std::mem::replace(&mut ctx.calls.get(call).mark, now);
            ctx.ledger.waited_for(self.limits.session_map, since, now);
            self.log_in(call, ctx);
        }
    }

    /// Lets connections in that waited for a slot.
    fn next_in_slot_line(&mut self, ctx: &mut Ctx) {
        while let Some(&call) = self.slot_line.front() {
            let row = *ctx.calls.get(call);
            let slots = u32::from(row.weight);
            if self.taken + slots > self.slots {
                return;
            }
            self.slot_line.pop_front();
            if !row.abandoned {
                ctx.ledger.waited_for(self.limits.slots, row.mark, ctx.queue.now());
                self.take(slots, ctx);
            }
            self.connected(call, ctx);
        }
    }

    fn statement(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        row.a = NO_ROW;
        if let Some(at) = self.open.get((row.from, row.tag)) {
            row.a = at;
            self.connected[at as usize].active += 1;
        }
        if self.work.len() >= self.active_max {
            return self.statements.push_back(call);
        }
        self.start(call, ctx);
    }

    #[inline]
    fn start(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let amount = ctx.calls.get(call).amount;
        let due = self.work.start(now, call.slot, call.turn, amount);
        ctx.ledger.set(self.gauges.active, now, self.work.len() as u64);
        wake(due, ctx);
    }

    fn complete(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        let (ended, due) = self.work.complete(now);
        wake(due, ctx);
        let Some((slot, turn)) = ended else { return };
        let call = CallId { slot, turn };
        let row = *ctx.calls.get(call);
        // What the statement took beyond its unloaded time is waiting for the server's throughput.
        ctx.ledger.waited_for(self.limits.work, row.mark + row.amount, now);
        ctx.ledger.set(self.gauges.active, now, self.work.len() as u64);
        ctx.reply(call, Outcome::OK);
        if row.a != NO_ROW {
            self.connected[row.a as usize].active -= 1;
            self.end_if_done(row.a, ctx);
        }
        if let Some(next) = self.statements.pop_front() {
            let row = ctx.calls.get(next);
            let since = std::mem::replace(&mut row.mark, now);
            ctx.ledger.waited_for(self.limits.active, since, now);
            self.start(next, ctx);
        }
    }
}

/// Comes back for the next statement that ends.
fn wake(due: Option<Time>, ctx: &mut Ctx) {
    if let Some(at) = due {
        ctx.wake_at(at, Rank::Completion, STATEMENT, 0, 0);
    }
}
