//! What PgBouncer and RDS Proxy have in common: clients, a FIFO queue, connections to the server.
//!
//! A statement of the model is a transaction: it takes a server connection, or waits in line for one. A *pinned* client keeps
//! its server connection until it disconnects. Server connections are opened when somebody waits, so many at a time as the
//! product opens, and not again for a while after one was refused.

use crate::kernel::{Key, Rank, Span, Time};
use crate::model::calls::{Call, Op};
use crate::model::component::NodeReport;
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::thread::Thread;
use crate::model::wiring::Wiring;
use std::collections::{BTreeMap, VecDeque};

const LOGIN: u8 = 0;
const STATEMENT: u8 = 1;
/// Periodic and due checks: word is nothing, turn tells the valid one.
const CHECK: u8 = 2;
/// A refused server connection may be tried again.
const RETRY: u8 = 3;

/// What messages cost on their way through.
#[derive(Debug)]
pub(super) enum Cost {
    /// One thread does everything in order.
    Thread { login: Span, statement: Span },
    /// Each message is delayed.
    Latency(Sampler),
}

/// How a pooler behaves.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) to: NodeId,
    /// Most client connections.
    pub(super) clients_max: usize,
    /// Most connections to the server.
    pub(super) size: usize,
    /// More of them once the first in line has waited so long.
    pub(super) reserve: Option<(usize, Span)>,
    /// Most idle connections kept.
    pub(super) idle_max: usize,
    /// Most connections being opened at a time.
    pub(super) opening_max: usize,
    /// Share of clients that keep their server connection.
    pub(super) pinned: f64,
    pub(super) wait_timeout: Option<Span>,
    /// Timeouts are looked at in this period only.
    pub(super) period: Option<Span>,
    pub(super) idle_timeout: Option<Span>,
    pub(super) lifetime: Option<Span>,
    pub(super) login_retry: Span,
    pub(super) cost: Cost,
}

#[derive(Debug)]
struct Client {
    /// Which client this is: an owner may use its number again.
    number: u32,
    pinned: bool,
    /// The server connection that it keeps.
    server: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Server {
    alive: bool,
    /// A statement runs on it.
    running: bool,
    opened: Time,
    idle_since: Time,
}

/// Clients, their queue and the connections to the server.
pub(super) struct Pooler {
    policy: Policy,
    key: Key,
    clients: BTreeMap<(NodeId, u32), Client>,
    clients_ever: u32,
    servers: Vec<Server>,
    /// Alive or being opened.
    server_count: usize,
    opening: usize,
    opened_ever: u64,
    /// Idle server connections, the one used last at the back.
    idle: VecDeque<u32>,
    /// Statements that wait for a server connection.
    waiting: VecDeque<CallId>,
    /// Logins that wait until the server is known to be there.
    welcome_line: VecDeque<CallId>,
    welcome: bool,
    refused_at: Option<Time>,
    /// When a server connection was last closed because its lifetime was over.
    aged_out_at: Option<Time>,
    thread: Thread,
    /// Phase of the periodic check.
    phase: Span,
    check_at: Option<Time>,
    check_turn: u32,
    limits: Limits,
    gauges: Gauges,
    counts: Counts,
}

struct Limits {
    clients: LimitId,
    pool: LimitId,
    thread: LimitId,
}

struct Gauges {
    clients: GaugeId,
    servers: GaugeId,
    waiting: GaugeId,
}

#[derive(Default)]
struct Counts {
    clients_refused: u64,
    wait_timeouts: u64,
    server_logins: u64,
    server_logins_refused: u64,
    pinned: u64,
}

impl Pooler {
    pub(super) fn new(policy: Policy, wiring: &mut Wiring) -> Pooler {
        let key = wiring.key();
        let thread = Thread::new(wiring.machine());
        let (me, ledger) = (wiring.me, &mut *wiring.ledger);
        let (clients_max, size) = (policy.clients_max, policy.size);
        let all = size + policy.reserve.map_or(0, |(more, _)| more);
        let period = policy.period.map_or(1, |period| period.nanos().max(1));
        let client_limit = (clients_max < usize::MAX).then_some(clients_max as u64);
        Pooler {
            phase: Span::from_nanos(key.named("check").stream().below(period)),
            policy,
            key,
            clients: BTreeMap::new(),
            clients_ever: 0,
            servers: Vec::new(),
            server_count: 0,
            opening: 0,
            opened_ever: 0,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            welcome_line: VecDeque::new(),
            welcome: false,
            refused_at: None,
            aged_out_at: None,
            thread,
            check_at: None,
            check_turn: 0,
            limits: Limits {
                clients: ledger.limit(
                    me,
                    "client_connections",
                    match client_limit {
                        Some(n) => format!("{n} client connections"),
                        None => "no limit of client connections".into(),
                    },
                ),
                pool: ledger.limit(me, "pool_size", format!("{size} server connections")),
                thread: ledger.limit(me, "pooler_thread", "the pooler's one thread".into()),
            },
            gauges: Gauges {
                clients: ledger.gauge(me, "client connections", client_limit),
                servers: ledger.gauge(me, "server connections", Some(all as u64)),
                waiting: ledger.gauge(me, "waiting clients", None),
            },
            counts: Counts::default(),
        }
    }

    pub(super) fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Wake(timer @ (LOGIN | STATEMENT), slot, turn) => {
                self.thread.done(ctx);
                let call = CallId { slot, turn };
                if timer == LOGIN {
                    self.logged_in(call, ctx);
                } else {
                    self.statement(call, ctx);
                }
            }
            Message::Wake(CHECK, _, turn) if turn == self.check_turn => self.check(ctx),
            Message::Wake(RETRY, ..) => self.launch(ctx),
            Message::Wake(..) => {}
            Message::Reply(child) => self.answered(child, ctx),
            Message::Cancel(call) => self.gone_while_waiting(|_, waiting| waiting == call, ctx),
            Message::HangUp(owner, _, tag) => self.hung_up((owner, tag), ctx),
        }
    }

    pub(super) fn close(&self) -> NodeReport {
        let counts = &self.counts;
        NodeReport {
            counters: vec![
                ("clients_refused", counts.clients_refused),
                ("wait_timeouts", counts.wait_timeouts),
                ("server_logins", counts.server_logins),
                ("server_logins_refused", counts.server_logins_refused),
                ("pinned", counts.pinned),
            ],
            usage: Vec::new(),
        }
    }

    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let login = ctx.calls.get(call).op == Op::Connect;
        let timer = if login { LOGIN } else { STATEMENT };
        match &self.policy.cost {
            Cost::Thread { login: cost, statement } => {
                let cost = if login { *cost } else { *statement };
                let done = self.thread.run(cost, timer, call.slot, call.turn, ctx);
                ctx.ledger.waited_for(self.limits.thread, now + cost, done);
            }
            Cost::Latency(law) => {
                let delay = law.sample(&mut ctx.stream(call, Purpose::FrontDoor));
                ctx.wake(delay, timer, call.slot, call.turn);
            }
        }
    }

    fn logged_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if row.abandoned {
            return ctx.reply(call, Outcome::OK);
        }
        if self.clients.len() >= self.policy.clients_max {
            self.counts.clients_refused += 1;
            ctx.ledger.refused_by(self.limits.clients, now);
            return ctx.fail(call, Cause::ClientConnections, 0);
        }
        let pinned = self.policy.pinned >= 1.0
            || (self.policy.pinned > 0.0
                && ctx.stream(call, Purpose::Pinning).chance(self.policy.pinned));
        self.counts.pinned += u64::from(pinned);
        self.clients_ever = self.clients_ever.wrapping_add(1);
        let client = Client { number: self.clients_ever, pinned, server: None };
        self.clients.insert((row.from, row.tag), client);
        ctx.ledger.set(self.gauges.clients, now, self.clients.len() as u64);
        if self.welcome {
            return ctx.reply(call, Outcome::OK);
        }
        self.welcome_line.push_back(call);
        self.launch(ctx);
    }

    fn statement(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        let client = (row.from, row.tag);
        let abandoned = row.abandoned;
        match self.clients.get(&client) {
            Some(client) if !abandoned => match client.server {
                Some(server) => self.run(call, server, ctx),
                None => match self.idle.pop_back() {
                    Some(server) => self.run(call, server, ctx),
                    None => {
                        self.waiting.push_back(call);
                        ctx.ledger.set(self.gauges.waiting, now, self.waiting.len() as u64);
                        self.launch(ctx);
                        self.schedule(ctx);
                    }
                },
            },
            _ => ctx.fail(call, Cause::Reset, 0),
        }
    }

    fn run(&mut self, call: CallId, server: u32, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let mut number = 0;
        if let Some(client) = self.clients.get_mut(&(row.from, row.tag)) {
            number = client.number;
            if client.pinned {
                client.server = Some(server);
            }
        }
        self.servers[server as usize].running = true;
        let child = ctx.call_store(self.policy.to, call, row.amount, server);
        let row = ctx.calls.get(call);
        row.b = number;
        row.child = child;
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let (server, outcome) = (answer.tag, answer.outcome);
        if answer.op == Op::Connect {
            self.opening -= 1;
            if outcome.is_ok() {
                self.opened(server, ctx);
            } else {
                self.refused(server, outcome, ctx);
            }
            return;
        }
        self.servers[server as usize].running = false;
        let call = answer.parent;
        let row = *ctx.calls.get(call);
        ctx.reply(call, outcome);
        match self.clients.get(&(row.from, row.tag)) {
            Some(client) if outcome.is_ok() && client.number == row.b => {
                if client.server.is_none() {
                    self.used(server, ctx);
                }
            }
            // A client that left in the middle of its statement leaves the server connection in an unknown state.
            _ => self.close_server(server, ctx),
        }
    }

    /// A server connection was used and is given back: its lifetime counts before the next in line (PgBouncer, `release_server`).
    fn used(&mut self, server: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        if self.life_over_at(server).is_some_and(|at| at <= now) {
            self.aged_out_at = Some(now);
            return self.close_server(server, ctx);
        }
        self.release(server, ctx);
    }

    /// When the lifetime of a server connection is over: connections are not closed for that closer together than a lifetime divided by
    /// the size of the pool, so that they do not all log in again at once (PgBouncer, `life_over` in objects.c).
    fn life_over_at(&self, server: u32) -> Option<Time> {
        let lifetime = self.policy.lifetime?;
        let own = self.servers[server as usize].opened + lifetime;
        let apart = Span::from_nanos(lifetime.nanos() / self.policy.size.max(1) as u64);
        Some(self.aged_out_at.map_or(own, |last| own.max(last + apart)))
    }

    /// A server connection is free: the next in line has it.
    fn release(&mut self, server: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        if let Some(next) = self.waiting.pop_front() {
            ctx.ledger.set(self.gauges.waiting, now, self.waiting.len() as u64);
            let since = ctx.calls.get(next).mark;
            ctx.ledger.waited_for(self.limits.pool, since, now);
            return self.run(next, server, ctx);
        }
        if self.idle.len() >= self.policy.idle_max {
            return self.close_server(server, ctx);
        }
        self.servers[server as usize].idle_since = now;
        self.idle.push_back(server);
        self.schedule(ctx);
    }

    /// Opens connections to the server for those who wait, if the rules allow.
    fn launch(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        loop {
            let wanted = self.waiting.len() + usize::from(!self.welcome_line.is_empty());
            if self.opening >= self.policy.opening_max.min(wanted) {
                return;
            }
            if self.refused_at.is_some_and(|at| at + self.policy.login_retry > now) {
                return;
            }
            if self.server_count >= self.policy.size + self.reserve_now(ctx) {
                return;
            }
            self.open(ctx);
        }
    }

    /// Connections of the reserve that may be used now.
    fn reserve_now(&self, ctx: &mut Ctx) -> usize {
        let now = ctx.now();
        match (self.policy.reserve, self.waiting.front()) {
            (Some((more, after)), Some(&first)) if ctx.calls.get(first).mark + after <= now => more,
            _ => 0,
        }
    }

    fn open(&mut self, ctx: &mut Ctx) {
        let fresh =
            Server { alive: true, running: false, opened: ctx.now(), idle_since: Time::ZERO };
        let at = self.servers.iter().position(|server| !server.alive).unwrap_or_else(|| {
            self.servers.push(fresh);
            self.servers.len() - 1
        });
        self.servers[at] = fresh;
        self.opening += 1;
        self.opened_ever += 1;
        self.server_count += 1;
        ctx.ledger.set(self.gauges.servers, ctx.queue.now(), self.server_count as u64);
        ctx.connect(Call {
            tag: at as u32,
            key: self.key.with(self.opened_ever),
            ..Call::request(ctx.me, self.policy.to, CallId::NONE)
        });
    }

    fn opened(&mut self, server: u32, ctx: &mut Ctx) {
        self.counts.server_logins += 1;
        self.refused_at = None;
        self.welcome = true;
        while let Some(call) = self.welcome_line.pop_front() {
            ctx.reply(call, Outcome::OK);
        }
        self.release(server, ctx);
        self.launch(ctx);
    }

    /// The server refused a connection. Others go on with those there are; if there are none, who logs in is told.
    fn refused(&mut self, server: u32, outcome: Outcome, ctx: &mut Ctx) {
        self.counts.server_logins_refused += 1;
        self.forget(server, ctx);
        self.refused_at = Some(ctx.now());
        ctx.wake(self.policy.login_retry, RETRY, 0, 0);
        if self.server_count == 0 {
            while let Some(call) = self.welcome_line.pop_front() {
                let row = *ctx.calls.get(call);
                self.clients.remove(&(row.from, row.tag));
                ctx.reply(call, outcome);
            }
            ctx.ledger.set(self.gauges.clients, ctx.queue.now(), self.clients.len() as u64);
        }
    }

    fn forget(&mut self, server: u32, ctx: &mut Ctx) {
        self.servers[server as usize].alive = false;
        self.server_count -= 1;
        ctx.ledger.set(self.gauges.servers, ctx.queue.now(), self.server_count as u64);
    }

    fn close_server(&mut self, server: u32, ctx: &mut Ctx) {
        ctx.hang_up(self.policy.to, 1, server);
        self.forget(server, ctx);
        self.launch(ctx);
    }

    fn hung_up(&mut self, owner: (NodeId, u32), ctx: &mut Ctx) {
        let Some(client) = self.clients.remove(&owner) else { return };
        ctx.ledger.set(self.gauges.clients, ctx.queue.now(), self.clients.len() as u64);
        self.gone_while_waiting(|from, _| from == owner, ctx);
        // A pinned client that is idle gives its connection back; one in a statement takes it with it, when that ends.
        if let Some(server) = client.server
            && !self.servers[server as usize].running
        {
            self.used(server, ctx);
        }
    }

    /// Answers the waiting statements of those who have gone.
    fn gone_while_waiting(&mut self, gone: impl Fn((NodeId, u32), CallId) -> bool, ctx: &mut Ctx) {
        let mut left = VecDeque::new();
        for call in std::mem::take(&mut self.waiting) {
            let row = *ctx.calls.get(call);
            if gone((row.from, row.tag), call) {
                ctx.fail(call, Cause::ClientTimeout, 0);
            } else {
                left.push_back(call);
            }
        }
        self.waiting = left;
        ctx.ledger.set(self.gauges.waiting, ctx.queue.now(), self.waiting.len() as u64);
    }

    /// When a check is due at the earliest: for the first in line, the reserve, or an idle server connection.
    fn schedule(&mut self, ctx: &mut Ctx) {
        let front = self.waiting.front().map(|&call| ctx.calls.get(call).mark);
        let after = |since: Option<Time>, wait: Option<Span>| Some(since? + wait?);
        let lives = self.idle.iter().filter_map(|&at| self.life_over_at(at)).min();
        let idle = self.idle.front().map(|&at| self.servers[at as usize].idle_since);
        let checked =
            [after(front, self.policy.wait_timeout), lives, after(idle, self.policy.idle_timeout)];
        let reserve = after(front, self.policy.reserve.map(|(_, after)| after));
        let now = ctx.now();
        let due = checked.into_iter().flatten().map(|at| self.next_check(at.max(now)));
        let due = due.chain(reserve.filter(|at| *at > now)).min();
        if let Some(due) = due
            && self.check_at.is_none_or(|at| due < at)
        {
            self.check_at = Some(due);
            self.check_turn = self.check_turn.wrapping_add(1);
            ctx.wake_at(due, Rank::Timeout, CHECK, 0, self.check_turn);
        }
    }

    /// The first check at which `at` lies in the past.
    fn next_check(&self, at: Time) -> Time {
        let Some(period) = self.policy.period else { return at };
        let since = at.nanos().saturating_sub(self.phase.nanos());
        Time::from_nanos(self.phase.nanos() + (since / period.nanos() + 1) * period.nanos())
    }

    fn check(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        self.check_at = None;
        if let Some(timeout) = self.policy.wait_timeout {
            while let Some(&call) = self.waiting.front()
                && ctx.calls.get(call).mark + timeout <= now
            {
                self.waiting.pop_front();
                self.counts.wait_timeouts += 1;
                ctx.ledger.refused_by(self.limits.pool, now);
                ctx.fail(call, Cause::PoolTimeout, 0);
            }
            ctx.ledger.set(self.gauges.waiting, now, self.waiting.len() as u64);
        }
        let idle = std::mem::take(&mut self.idle);
        for server in idle {
            let since = self.servers[server as usize].idle_since;
            let aged = self.life_over_at(server).is_some_and(|at| at <= now);
            if aged {
                self.aged_out_at = Some(now);
            }
            if aged || self.policy.idle_timeout.is_some_and(|most| since + most <= now) {
                ctx.hang_up(self.policy.to, 1, server);
                self.forget(server, ctx);
            } else {
                self.idle.push_back(server);
            }
        }
        self.launch(ctx);
        self.schedule(ctx);
    }
}
