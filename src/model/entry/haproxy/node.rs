//! HAProxy as it runs: clients in front, one queue, servers behind.

use super::ring::{Draws, Ring};
use super::spec::{HaproxyBalance, HaproxySpec};
use crate::kernel::{LaneId, Rank, Span, Time, TimerId};
use crate::model::calls::{Call, Opening, Via};
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::listener::{Connect, Listener, SynRetry};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::thread::Thread;
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

const READ: u8 = 0;
const SEND: u8 = 1;
const SYN_END: u8 = 2;
const DATA: u8 = 3;
const CONNECT_TIMEOUT: u8 = 4;
const SERVER_TIMEOUT: u8 = 5;
const QUEUE_TIMEOUT: u8 = 6;
const RETRY: u8 = 7;

/// HAProxy waits this long before it connects to the same server again (`proxy.c`, `cf_retry` "turn-around").
const TURN_AROUND: Span = Span::from_secs(1);

// Where a request stands, in the second word of its call.
const QUEUED: u32 = 1;
const SENT: u32 = 2;

/// One server.
#[derive(Debug)]
struct Server {
    node: NodeId,
    address: u16,
    connections: u32,
}

/// One client's connection: whether it is open and who holds its other end.
#[derive(Debug, Clone, Copy)]
struct Client {
    owner: (NodeId, u32),
    open: bool,
    /// Requests on it.
    streams: u32,
    /// Whether it may carry several at a time.
    http2: bool,
    /// Whether it is closed after the last of them.
    leaving: bool,
}

/// One request under way.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    client: u32,
    server: u16,
    retries: u16,
    connect_timer: TimerId,
    timer: TimerId,
    since: Time,
}

/// HAProxy as it runs.
pub struct Haproxy {
    name: String,
    instance: Option<String>,
    servers: Vec<Server>,
    next: usize,
    balance: HaproxyBalance,
    random_draws: u8,
    ring: Ring,
    draws: Draws,
    server_max: u32,
    maxconn: u32,
    retries: u16,
    listener: Listener,
    waiting: VecDeque<(CallId, Time)>,
    clients: Vec<Client>,
    free_clients: Vec<u32>,
    clients_open: u32,
    exchanges: Vec<Exchange>,
    free_exchanges: Vec<u32>,
    queue: VecDeque<CallId>,
    lanes: [LaneId; 3],
    server_span: Span,
    hop: Span,
    syn_retry: SynRetry,
    cpu_request: Span,
    thread: Thread,
    limits: Limits,
    queue_gauge: GaugeId,
    queue_timeouts: u64,
}

struct Limits {
    listen: LimitId,
    maxconn: LimitId,
    server: LimitId,
    upstream: LimitId,
    cpu: LimitId,
}

impl Component for Haproxy {
    type Spec = HaproxySpec;

    fn build(spec: &HaproxySpec, wiring: &mut Wiring) -> Result<Haproxy, String> {
        let me = wiring.me;
        let mut servers = Vec::new();
        for name in &spec.upstream {
            let node = wiring.node(name)?;
            let server = |address| Server { node, address, connections: 0 };
            servers.extend((0..wiring.addresses(node)).map(server));
        }
        let listener = Listener::new(spec.backlog.unwrap_or(spec.maxconn), spec.somaxconn, true);
        let lanes = [
            wiring.queue.lane(spec.timeout_connect, Rank::Timeout),
            wiring.queue.lane(spec.timeout_server, Rank::Timeout),
            wiring.queue.lane(spec.timeout_queue, Rank::Timeout),
        ];
        let thread = Thread::new(wiring.machine());
        let hop = wiring.way(spec.upstream_rtt);
        let ledger = &mut *wiring.ledger;
        let places = listener.places();
        let per_server = spec
            .server_maxconn
            .map_or("no maxconn per server".into(), |n| format!("maxconn {n} per server"));
        let limits = Limits {
            listen: ledger.limit(me, "listen_queue", format!("listen queue of {places}")),
            maxconn: ledger.limit(me, "maxconn", format!("maxconn {}", spec.maxconn)),
            server: ledger.limit(me, "server_maxconn", per_server),
            upstream: ledger.limit(me, "upstream", "servers that fail or do not answer".into()),
            cpu: ledger.limit(me, "cpu", "one thread".into()),
        };
        Ok(Haproxy {
            name: wiring.name.to_owned(),
            instance: spec.instance.clone(),
            ring: Ring::new(servers.len() as u16),
            servers,
            next: 0,
            balance: spec.balance,
            random_draws: spec.random_draws,
            draws: Draws::default(),
            server_max: spec.server_maxconn.unwrap_or(u32::MAX),
            maxconn: spec.maxconn,
            retries: spec.retries,
            listener,
            waiting: VecDeque::new(),
            clients: Vec::new(),
            free_clients: Vec::new(),
            clients_open: 0,
            exchanges: Vec::new(),
            free_exchanges: Vec::new(),
            queue: VecDeque::new(),
            lanes,
            server_span: spec.timeout_server,
            hop,
            syn_retry: spec.upstream_syn_retry,
            cpu_request: spec.cpu_request,
            thread,
            queue_gauge: ledger.gauge(me, "queue", None),
            limits,
            queue_timeouts: 0,
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Cancel(call) => self.client_left(call, ctx),
            Message::HangUp(owner, client, tag) => {
                let row = self.clients.get_mut(client as usize);
                let Some(own) = row.filter(|c| c.open && c.owner == (owner, tag)) else { return };
                // Of requests that were given up it hears later.
                own.leaving = own.http2;
                if own.streams == 0 {
                    self.close_client(client, ctx);
                }
            }
            Message::Wake(timer, slot, turn) => {
                if timer == SEND {
                    self.thread.done(ctx);
                }
                let call = CallId { slot, turn };
                if !ctx.calls.alive(call) {
                    return;
                }
                match timer {
                    READ => self.request_in(call, ctx),
                    SEND => self.dispatch(call, ctx),
                    DATA => self.data_again(call, ctx),
                    RETRY => self.connect(call, ctx),
                    CONNECT_TIMEOUT => self.connect_timed_out(call, ctx),
                    SERVER_TIMEOUT => self.server_timed_out(call, ctx),
                    QUEUE_TIMEOUT => self.queue_timed_out(call, ctx),
                    _ => {
                        ctx.ledger.refused_by(self.limits.listen, ctx.queue.now());
                        ctx.fail(call, Cause::ConnectTimeout, 0);
                    }
                }
            }
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let end = ctx.now();
        let host = |instance: &String| UsageLine::hosts(&self.name, instance, 1.0, end);
        NodeReport {
            counters: vec![("queue_timeouts", self.queue_timeouts)],
            usage: self.instance.iter().map(host).collect(),
        }
    }
}

impl Haproxy {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if let Via::Open(client) = row.via {
            let known = self.clients.get_mut(client as usize);
            let takes = |c: &&mut Client| {
                c.open
                    && (c.http2 || c.streams == 0)
                    && !c.leaving
                    && c.owner == (row.from, row.tag)
            };
            if let Some(kept) = known.filter(takes) {
                kept.streams += 1;
                return self.read(call, client, ctx);
            }
            if ctx.speaks_http2(row.from) {
                return ctx.not_taken(call);
            }
            ctx.calls.get(call).via = Via::New;
        }
        if row.abandoned {
            return ctx.fail(call, Cause::ConnectTimeout, 0);
        }
        match self.listener.syn(call, self.waiting.len(), now, row.hop * 2) {
            Connect::Queued => {
                let row = ctx.calls.get(call);
                row.established = now;
                row.mark = now + row.amount;
                self.waiting.push_back((call, now));
                self.accept(ctx);
            }
            Connect::Reset => ctx.kernel_resets(call, self.limits.listen),
            Connect::HalfOpen => ctx.data_lost(call, self.limits.listen, DATA, 1),
            Connect::Dropped => ctx.syn_lost(call, self.limits.listen, SYN_END),
        }
    }

    fn data_again(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if row.abandoned {
            self.listener.gone(call);
            return ctx.fail(call, Cause::ClientTimeout, 0);
        }
        let answer = self.listener.data(call, self.waiting.len(), now);
        if ctx.data_again(call, answer, self.limits.listen, DATA) {
            self.waiting.push_back((call, now));
            self.accept(ctx);
        }
    }

    /// Accepts what waits, as long as maxconn allows.
    fn accept(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        while self.clients_open < self.maxconn {
            let Some((call, since)) = self.waiting.pop_front() else { return };
            ctx.ledger.waited_for(self.limits.maxconn, since, now);
            let row = *ctx.calls.get(call);
            if row.abandoned {
                ctx.fail(call, Cause::ClientTimeout, 0);
                continue;
            }
            let http2 = ctx.speaks_http2(row.from);
            let owner = (row.from, row.tag);
            let client = Client { owner, open: true, streams: 1, http2, leaving: false };
            let at = match self.free_clients.pop() {
                Some(at) => {
                    self.clients[at as usize] = client;
                    at
                }
                None => {
                    self.clients.push(client);
                    self.clients.len() as u32 - 1
                }
            };
            self.clients_open += 1;
            ctx.calls.get(call).via = Via::Open(at);
            if row.mark > now {
                ctx.wake_at(row.mark, Rank::Arrival, READ, call.slot, call.turn);
            } else {
                self.request_in(call, ctx);
            }
        }
    }

    /// The first request of a connection is here.
    fn request_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let Via::Open(client) = ctx.via(call) else { return };
        if self.clients[client as usize].http2 && ctx.calls.get(call).abandoned {
            // Nobody knows of the connection any more.
            self.close_client(client, ctx);
            return ctx.fail(call, Cause::ClientTimeout, 0);
        }
        ctx.opened(call);
        self.read(call, client, ctx);
    }

    /// The request is here: the thread turns to it when it has done what came before.
    fn read(&mut self, call: CallId, client: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let exchange = Exchange {
            client,
            server: u16::MAX,
            retries: 0,
            connect_timer: TimerId::NONE,
            timer: TimerId::NONE,
            since: now,
        };
        let at = match self.free_exchanges.pop() {
            Some(at) => {
                self.exchanges[at as usize] = exchange;
                at
            }
            None => {
                self.exchanges.push(exchange);
                self.exchanges.len() as u32 - 1
            }
        };
        let row = ctx.calls.get(call);
        row.a = at;
        row.b = 0;
        let done = self.thread.run(self.cpu_request, SEND, call.slot, call.turn, ctx);
        ctx.ledger.waited_for(self.limits.cpu, now + self.cpu_request, done);
    }

    /// A server that has a place.
    fn choose(&mut self, ctx: &mut Ctx) -> Option<usize> {
        let n = self.servers.len();
        let endpoints = &ctx.endpoints;
        let free = |at: usize| {
            let server = &self.servers[at];
            server.connections < self.server_max && endpoints.takes(server.node, server.address)
        };
        let in_turn = (0..n).map(|i| (self.next + i) % n).filter(|&at| free(at));
        let at = match self.balance {
            HaproxyBalance::Roundrobin => in_turn.into_iter().next()?,
            HaproxyBalance::Leastconn => in_turn.min_by_key(|&at| self.servers[at].connections)?,
            HaproxyBalance::Random => {
                let up =
                    |at: usize| endpoints.takes(self.servers[at].node, self.servers[at].address);
                let draws = &mut self.draws;
                let best = draws.take(self.random_draws.into());
                let best = best.filter_map(|key| self.ring.nearest(key, up));
                let best = best.reduce(|best, next| {
                    let load = |at: usize| self.servers[at].connections;
                    if load(next) > load(best) { best } else { next }
                })?;
                if !free(best) {
                    return None;
                }
                best
            }
        };
        self.next = (at + 1) % n;
        Some(at)
    }

    /// A request gets a server, or its place in the queue.
    fn dispatch(&mut self, call: CallId, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        if ctx.calls.get(call).abandoned {
            let left = Outcome::failed(Cause::ClientTimeout, ctx.me, 0);
            return self.answer(call, left, ctx);
        }
        let server = if self.queue.is_empty() { self.choose(ctx) } else { None };
        if let Some(server) = server {
            self.assign(call, server, ctx);
            return;
        }
        self.exchanges[at].since = ctx.now();
        self.exchanges[at].timer = ctx.arm(self.lanes[2], QUEUE_TIMEOUT, call.slot, call.turn);
        ctx.calls.get(call).b = QUEUED;
        self.queue.push_back(call);
        ctx.ledger.set(self.queue_gauge, ctx.queue.now(), self.queue.len() as u64);
    }

    fn assign(&mut self, call: CallId, server: usize, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        self.servers[server].connections += 1;
        self.exchanges[at].server = server as u16;
        self.connect(call, ctx);
    }

    /// Connects to the request's server and sends the request.
    fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        let exchange = self.exchanges[at];
        let server = &self.servers[usize::from(exchange.server)];
        let (node, address) = (server.node, server.address);
        let parent = *ctx.calls.get(call);
        let child = Call {
            address,
            visit: parent.visit | exchange.retries << 8,
            amount: self.hop * 2,
            hop: self.hop,
            opening: Opening::plain(self.syn_retry),
            ..parent.child(ctx.me, node, call)
        };
        let child = ctx.call(child, self.hop);
        let row = ctx.calls.get(call);
        row.child = child;
        row.b = SENT;
        self.exchanges[at].connect_timer =
            ctx.arm(self.lanes[0], CONNECT_TIMEOUT, call.slot, call.turn);
        self.exchanges[at].timer = ctx.arm(self.lanes[1], SERVER_TIMEOUT, call.slot, call.turn);
    }

    fn connect_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if row.b != SENT || !ctx.calls.alive(row.child) {
            return;
        }
        if ctx.calls.get(row.child).established == Time::MAX {
            ctx.abandon(row.child);
            self.retry(call, Cause::UpstreamConnectTimeout, ctx);
        }
    }

    /// A connection to the server failed: again, a second later, or 503.
    fn retry(&mut self, call: CallId, cause: Cause, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        self.stop_timers(at, ctx);
        if self.exchanges[at].retries < self.retries {
            self.exchanges[at].retries += 1;
            ctx.wake(TURN_AROUND, RETRY, call.slot, call.turn);
            return;
        }
        ctx.ledger.refused_by(self.limits.upstream, ctx.now());
        self.free_server(at, ctx);
        self.answer(call, Outcome::failed(cause, ctx.me, 503), ctx);
    }

    fn server_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if row.b != SENT || !ctx.calls.alive(row.child) {
            return;
        }
        let sent = ctx.calls.get(row.child).established;
        let due = if sent == Time::MAX { now } else { sent + self.hop * 2 } + self.server_span;
        if due > now {
            return ctx.wake_at(due, Rank::Timeout, SERVER_TIMEOUT, call.slot, call.turn);
        }
        ctx.abandon(row.child);
        ctx.ledger.refused_by(self.limits.upstream, now);
        self.free_server(row.a as usize, ctx);
        self.answer(call, Outcome::failed(Cause::UpstreamTimeout, ctx.me, 504), ctx);
    }

    fn queue_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).b != QUEUED {
            return;
        }
        self.queue_timeouts += 1;
        self.queue.retain(|other| *other != call);
        ctx.ledger.refused_by(self.limits.server, ctx.now());
        self.answer(call, Outcome::failed(Cause::QueueFull, ctx.me, 503), ctx);
    }

    fn stop_timers(&mut self, at: usize, ctx: &mut Ctx) {
        ctx.queue.cancel(self.exchanges[at].connect_timer);
        ctx.queue.cancel(self.exchanges[at].timer);
    }

    /// A server has a place again: the first in the queue gets it.
    fn free_server(&mut self, at: usize, ctx: &mut Ctx) {
        self.stop_timers(at, ctx);
        let server = usize::from(self.exchanges[at].server);
        self.servers[server].connections -= 1;
        let now = ctx.now();
        while let Some(next) = self.queue.pop_front() {
            ctx.ledger.set(self.queue_gauge, now, self.queue.len() as u64);
            let waiting = ctx.calls.get(next).a as usize;
            ctx.queue.cancel(self.exchanges[waiting].timer);
            ctx.ledger.waited_for(self.limits.server, self.exchanges[waiting].since, now);
            if !ctx.calls.get(next).abandoned {
                return self.assign(next, server, ctx);
            }
            let left = Outcome::failed(Cause::ClientTimeout, ctx.me, 0);
            self.answer(next, left, ctx);
        }
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let at = ctx.calls.get(call).a as usize;
        ctx.calls.get(call).child = CallId::NONE;
        if answer.outcome.status != 0 {
            self.free_server(at, ctx);
            return self.answer(call, answer.outcome, ctx);
        }
        match answer.outcome.cause {
            Some(Cause::Refused | Cause::ConnectTimeout) => self.retry(call, Cause::Refused, ctx),
            _ => {
                ctx.ledger.refused_by(self.limits.upstream, ctx.now());
                self.free_server(at, ctx);
                self.answer(call, Outcome::failed(Cause::UpstreamClosed, ctx.me, 502), ctx);
            }
        }
    }

    fn answer(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let client = self.exchanges[row.a as usize].client;
        self.free_exchanges.push(row.a);
        ctx.calls.get(call).via = Via::Open(client);
        let own = &mut self.clients[client as usize];
        own.streams -= 1;
        let closes = if own.http2 {
            own.leaving && own.streams == 0
        } else {
            !row.keep_alive || row.abandoned
        };
        if closes {
            ctx.calls.get(call).keep_alive &= !self.clients[client as usize].http2;
            self.close_client(client, ctx);
        }
        ctx.reply(call, outcome);
    }

    fn close_client(&mut self, client: u32, ctx: &mut Ctx) {
        let row = &mut self.clients[client as usize];
        if row.open {
            row.open = false;
            self.clients_open -= 1;
            self.free_clients.push(client);
            self.accept(ctx);
        }
    }

    /// The client went away; what waits in the queue is skipped when its turn comes.
    fn client_left(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = *ctx.calls.get(call);
        if row.b == SENT && ctx.calls.alive(row.child) {
            ctx.abandon(row.child);
            self.free_server(row.a as usize, ctx);
            self.answer(call, Outcome::failed(Cause::ClientTimeout, ctx.me, 0), ctx);
        }
    }
}
