//! The server as it runs: its connections and their ends, statements.

use super::engine::Engine;
use super::spec::{DatabaseSpec, WhenFull};
use crate::kernel::{Rank, Span, Time};
use crate::model::calls::{Op, SHARED};
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::cpu::{Processor, Sharing};
use crate::model::dist::Sampler;
use crate::model::host::{HostId, ThreadOf};
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::listener::accept_queue;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::owners::Owners;
use crate::model::pool::GREETED;
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

/// Processor time for a connection is spent.
pub(super) const CPU: u8 = 0;
const STATEMENT: u8 = 1;
pub(super) const WAITED: u8 = 2;
/// The client's kernel gave up connecting.
pub(super) const SYN_END: u8 = 3;
/// The session map is open again.
const UNLOCK: u8 = 4;

/// A process has ended.
const EXIT: u8 = 5;
/// Where a login stands (its call's second word): the client's first message has not come yet.
pub(super) const UNGREETED: u32 = 4;

/// The process of a connection that ends after its work.
const ENDING: u32 = u32::MAX;

/// In the first word of a statement: its caller waits for it, as far as is known here, and hangs up after that.
const WAITED_FOR: u32 = u32::MAX;
/// The same: its connection had gone before it came.
const NO_ROW: u32 = u32::MAX - 1;

/// DocumentDB's "short time" in which many new connections lock its session map: not given, a second is assumed.
const RUSH: Span = Span::from_secs(1);
/// New connections that make a rush (DocumentDB developer guide: "about 1,000").
const RUSH_SIZE: u32 = 1_000;

/// One open connection, or the several that one owner opened at once.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) slots: u32,
    /// Statements at work on it that keep it when its owner hangs up.
    pub(super) keepers: u32,
    /// Its owner has gone; it ends with its statement.
    pub(super) closed: bool,
}

/// DocumentDB's lock of the session map.
#[derive(Debug)]
pub(super) struct SessionMap {
    lock: Span,
    locked_until: Time,
    window: Time,
    fresh: u32,
}

/// A database server as it runs.
pub struct Database {
    pub(super) engine: Engine,
    pub(super) name: String,
    pub(super) class: Option<String>,
    /// All slots, and those for everybody.
    pub(super) connections: u32,
    pub(super) slots: u32,
    /// Slots taken, also by logins and ends under way.
    pub(super) taken: u32,
    /// Rows of connections, and which row an owner's number means now: the owner may use a number again while a statement of
    /// the connection before it still runs.
    pub(super) connected: Vec<Connection>,
    pub(super) free: Vec<u32>,
    pub(super) open: Owners,
    pub(super) listening: VecDeque<CallId>,
    pub(super) accept_max: usize,
    pub(super) forking: bool,
    pub(super) fork: Span,
    pub(super) exit: Span,
    pub(super) login: Sampler,
    pub(super) login_wait: Sampler,
    pub(super) host: HostId,
    /// Whether every connection has a process with a session of its own.
    pub(super) sessions: bool,
    /// DocumentDB: connections that wait for a slot.
    pub(super) slot_line: VecDeque<CallId>,
    /// DocumentDB: connections with a slot that wait for the session map.
    pub(super) map_line: VecDeque<CallId>,
    pub(super) when_full: WhenFull,
    pub(super) session_map: Option<SessionMap>,
    pub(super) work: Processor,
    pub(super) active_max: usize,
    pub(super) statements: VecDeque<CallId>,
    pub(super) limits: Limits,
    pub(super) gauges: Gauges,
    pub(super) counts: Counts,
}

pub(super) struct Limits {
    pub(super) slots: LimitId,
    pub(super) login: LimitId,
    pub(super) work: LimitId,
    pub(super) backlog: LimitId,
    pub(super) active: LimitId,
    pub(super) session_map: LimitId,
}

pub(super) struct Gauges {
    pub(super) connections: GaugeId,
    pub(super) active: GaugeId,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) refused: u64,
    pub(super) syn_dropped: u64,
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
        let (sigma, kappa) = (spec.sigma, spec.kappa());
        let cores = spec.most_at_work().map(|_| format!("statements on {} vCPU, ", spec.vcpu()));
        Limits {
            slots: ledger.limit(me, "connection_slots", format!("{slots} connection slots")),
            login: ledger.limit(me, "login_rate", format!("logins on {} vCPU", spec.vcpu())),
            work: ledger.limit(
                me,
                "active_work",
                format!("{}throughput curve σ {sigma}, κ {kappa}", cores.unwrap_or_default()),
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
        let cores = Sharing::Cores { cores: spec.vcpu(), speed: 1.0, per_job: 1.0 };
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
            work: Processor::new(spec.sharing()),
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

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) if ctx.calls.get(call).op != Op::Connect => {
                self.statement(call, ctx);
            }
            Message::Wake(STATEMENT, ..) => self.complete(ctx),
            _ => self.told(event, ctx),
        }
    }

    fn call_of(&self, timer: u8, word: u32) -> Option<u32> {
        if timer == STATEMENT { self.work.soon().map(|job| job.0) } else { Some(word) }
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
    /// Handles what does not come with every statement.
    #[inline(never)]
    fn told(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.connect(call, ctx),
            Message::Wake(CPU, slot, turn) => self.cpu_done(CallId { slot, turn }, ctx),
            Message::Wake(WAITED, slot, turn) => {
                let call = CallId { slot, turn };
                if self.sessions { self.authenticated(call, ctx) } else { self.listen(call, ctx) }
            }
            Message::Wake(SYN_END, slot, turn) => {
                ctx.ledger.refused_by(self.limits.backlog, ctx.queue.now());
                ctx.fail(CallId { slot, turn }, Cause::ConnectTimeout, 0);
            }
            Message::Wake(GREETED, slot, turn) => self.greeted(CallId { slot, turn }, ctx),
            Message::Cancel(call) => self.given_up(call, ctx),
            // The slots of a process that ends were free before.
            Message::Wake(EXIT, ..) | Message::Reply(_) => {}
            Message::Wake(..) => self.unlocked(ctx),
            Message::HangUp(owner, _, tag) => self.hung_up((owner, tag), ctx),
        }
    }

    /// Whoever called has gone away. A statement goes on, and keeps its connection until it ends: to be known before the connection is
    /// hung up, so that no statement has to look for its connection that its caller waits for.
    fn given_up(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = ctx.calls.get(call);
        if row.b == UNGREETED {
            return self.never_greeted(call, ctx);
        }
        if row.op == Op::Query && row.a == WAITED_FOR {
            self.keep_connection(call, ctx);
        }
    }

    /// A statement keeps its connection when the owner hangs up.
    fn keep_connection(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.a = self.open.get((row.from, row.tag)).unwrap_or(NO_ROW);
        if let Some(connection) = self.connected.get_mut(row.a as usize) {
            connection.keepers += 1;
        }
    }

    fn hung_up(&mut self, owner: (NodeId, u32), ctx: &mut Ctx) {
        debug_assert!(
            !self.works_for(owner, ctx),
            "a connection of a statement that its owner waits for"
        );
        if let Some(at) = self.open.remove(owner) {
            self.connected[at as usize].closed = true;
            self.end_if_done(at, ctx);
        }
    }

    /// Whether a statement is at work whose owner waits for it.
    fn works_for(&self, owner: (NodeId, u32), ctx: &Ctx) -> bool {
        let here =
            ctx.calls.iter_alive().filter(|row| row.to == ctx.me && (row.from, row.tag) == owner);
        here.into_iter().any(|row| row.op == Op::Query && row.a == WAITED_FOR && !row.answered)
    }

    /// A connection whose owner has gone ends with its last statement.
    #[inline]
    fn end_if_done(&mut self, at: u32, ctx: &mut Ctx) {
        let row = &self.connected[at as usize];
        if row.closed && row.keepers == 0 {
            let slots = row.slots;
            self.free.push(at);
            self.end(slots, ctx);
        }
    }

    /// A connection ends: its slots are free, then its process needs processor time to go.
    pub(super) fn end(&mut self, slots: u32, ctx: &mut Ctx) {
        self.ended(slots, ctx);
        self.end_process(
            self.exit,
            ThreadOf { own_session: self.sessions, ..ThreadOf::number(ENDING) },
            ctx,
        );
    }

    pub(super) fn end_process(&mut self, work: Span, thread: ThreadOf, ctx: &mut Ctx) {
        if !work.is_zero() {
            ctx.compute(self.host, thread, work, EXIT, 0, 0);
        }
    }

    pub(super) fn ended(&mut self, slots: u32, ctx: &mut Ctx) {
        debug_assert!(slots <= self.taken, "more slots freed than taken");
        self.taken = self.taken.saturating_sub(slots);
        ctx.ledger.set(self.gauges.connections, ctx.queue.now(), u64::from(self.taken));
        self.next_in_slot_line(ctx);
    }

    /// Counts a new connection, and says whether logins must wait.
    pub(super) fn session_map_locked(&mut self, ctx: &mut Ctx) -> bool {
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

    #[inline(never)]
    fn statement(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        row.a = WAITED_FOR;
        if row.weight == SHARED {
            self.keep_connection(call, ctx);
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

    #[inline(never)]
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
        if let Some(connection) = self.connected.get_mut(row.a as usize) {
            connection.keepers -= 1;
            self.end_if_done(row.a, ctx);
        }
        if !self.statements.is_empty()
            && let Some(next) = self.statements.pop_front()
        {
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
