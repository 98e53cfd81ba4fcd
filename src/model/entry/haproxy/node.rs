//! HAProxy as it runs: what it holds, who handles which message, and its clients' connections.

use super::pool::{Pool, Private};
use super::ring::{Draws, Ring};
use super::spec::{HaproxyBalance, HaproxySpec, HttpReuse};
use crate::kernel::{LaneId, Rank, Span, Time, TimerId};
use crate::model::calls::Via;
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::ledger::{GaugeId, Ledger, LimitId};
use crate::model::listener::{Connect, Listener, SynRetry};
use crate::model::message::{CallId, Cause, Event, Message, NodeId};
use crate::model::thread::Thread;
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

const READ: u8 = 0;
pub(super) const SEND: u8 = 1;
const SYN_END: u8 = 2;
const DATA: u8 = 3;
pub(super) const CONNECT_TIMEOUT: u8 = 4;
pub(super) const SERVER_TIMEOUT: u8 = 5;
pub(super) const QUEUE_TIMEOUT: u8 = 6;
pub(super) const RETRY: u8 = 7;
/// The thread has done its part of a TLS handshake.
const HANDSHAKE: u8 = 8;
/// A client's connection has been idle for long.
const IDLE: u8 = 9;
/// Idle connections to a server that nobody needs are closed.
pub(super) const PURGE: u8 = 10;

/// HAProxy waits this long, or for timeout connect if that is shorter, before it connects to the same server again
/// (`back_handle_st_cer`, 2.6).
const TURN_AROUND: Span = Span::from_secs(1);
/// Between two looks for idle connections to a server that nobody needs (`pool-purge-delay`).
pub(super) const PURGE_DELAY: Span = Span::from_secs(5);

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) node: NodeId,
    pub(super) address: u16,
    /// Requests that have its places.
    pub(super) connections: u32,
    /// How long it keeps an idle connection.
    pub(super) keepalive: Option<Span>,
    pub(super) pool: Pool,
    /// Whether idle connections to it are looked at after a while.
    pub(super) purging: bool,
}

/// One client's connection: whether it is open and who holds its other end.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one connection")]
pub(super) struct Client {
    owner: (NodeId, u32),
    open: bool,
    /// Whether a request has come on it.
    pub(super) begun: bool,
    /// Requests on it.
    pub(super) streams: u32,
    /// Whether it may carry several at a time.
    pub(super) http2: bool,
    /// Whether it is closed after the last of them.
    pub(super) leaving: bool,
    /// Ends it while it carries none; `turn` is raised whenever that is armed or of no use any more.
    timer: TimerId,
    turn: u32,
}

/// One request under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    pub(super) client: u32,
    pub(super) server: u16,
    pub(super) retries: u16,
    /// Whether it is the first of its client's connection.
    pub(super) first: bool,
    /// Whether it went over a connection that had served another.
    pub(super) reused: bool,
    pub(super) connect_timer: TimerId,
    pub(super) timer: TimerId,
    pub(super) since: Time,
}

/// HAProxy as it runs.
pub struct Haproxy {
    pub(super) name: String,
    pub(super) instance: Option<String>,
    pub(super) servers: Vec<Server>,
    pub(super) next: usize,
    pub(super) balance: HaproxyBalance,
    pub(super) random_draws: u8,
    pub(super) ring: Ring,
    pub(super) draws: Draws,
    pub(super) server_max: u32,
    pub(super) maxconn: u32,
    pub(super) retries: u16,
    pub(super) listener: Listener,
    pub(super) waiting: VecDeque<(CallId, Time)>,
    pub(super) clients: Vec<Client>,
    pub(super) free_clients: Vec<u32>,
    pub(super) clients_open: u32,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) free_exchanges: Vec<u32>,
    pub(super) queue: VecDeque<CallId>,
    /// For timeout connect, server and queue.
    pub(super) lanes: [LaneId; 3],
    /// For a client's idle connection.
    pub(super) idle: Option<LaneId>,
    pub(super) abort_on_close: bool,
    pub(super) reuse: HttpReuse,
    /// With `http-reuse never`: what belongs to each client's connection.
    pub(super) private: Vec<Private>,
    pub(super) turn_around: Span,
    pub(super) server_span: Span,
    pub(super) hop: Span,
    pub(super) syn_retry: SynRetry,
    pub(super) cpu_request: Span,
    pub(super) cpu_handshake: Span,
    pub(super) thread: Thread,
    pub(super) limits: Limits,
    pub(super) queue_gauge: GaugeId,
    pub(super) queue_timeouts: u64,
    /// Connections to servers that were opened.
    pub(super) server_connections: u64,
}

pub(super) struct Limits {
    pub(super) listen: LimitId,
    pub(super) maxconn: LimitId,
    pub(super) server: LimitId,
    pub(super) upstream: LimitId,
    pub(super) cpu: LimitId,
}

impl Limits {
    fn announce(spec: &HaproxySpec, places: usize, me: NodeId, ledger: &mut Ledger) -> Limits {
        let per_server = spec
            .server_maxconn
            .map_or("no maxconn per server".into(), |n| format!("maxconn {n} per server"));
        Limits {
            listen: ledger.limit(me, "listen_queue", format!("listen queue of {places}")),
            maxconn: ledger.limit(me, "maxconn", format!("maxconn {}", spec.maxconn)),
            server: ledger.limit(me, "server_maxconn", per_server),
            upstream: ledger.limit(me, "upstream", "servers that fail or do not answer".into()),
            cpu: ledger.limit(me, "cpu", "one thread".into()),
        }
    }
}

/// The servers: every address of every node that is named.
///
/// # Errors
/// A name that is no node.
fn servers(names: &[String], wiring: &mut Wiring) -> Result<Vec<Server>, String> {
    let mut servers = Vec::new();
    for name in names {
        let node = wiring.node(name)?;
        let keepalive = wiring.keepalive(node);
        let server = |address| Server {
            node,
            address,
            connections: 0,
            keepalive,
            pool: Pool::default(),
            purging: false,
        };
        servers.extend((0..wiring.addresses(node)).map(server));
    }
    Ok(servers)
}

impl Component for Haproxy {
    type Spec = HaproxySpec;

    fn build(spec: &HaproxySpec, wiring: &mut Wiring) -> Result<Haproxy, String> {
        let me = wiring.me;
        let servers = servers(&spec.upstream, wiring)?;
        let listener = Listener::new(spec.backlog.unwrap_or(spec.maxconn), spec.somaxconn, true);
        let lanes = [
            wiring.queue.lane(spec.timeout_connect, Rank::Timeout),
            wiring.queue.lane(spec.timeout_server, Rank::Timeout),
            wiring.queue.lane(spec.timeout_queue, Rank::Timeout),
        ];
        let thread = Thread::new(wiring.machine());
        let hop = wiring.way(spec.upstream_rtt);
        let idle = spec.idle().map(|span| wiring.queue.lane(span, Rank::Timeout));
        let ledger = &mut *wiring.ledger;
        let limits = Limits::announce(spec, listener.places(), me, ledger);
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
            idle,
            abort_on_close: spec.abortonclose,
            reuse: spec.http_reuse,
            private: Vec::new(),
            turn_around: TURN_AROUND.min(spec.timeout_connect),
            server_span: spec.timeout_server,
            hop,
            syn_retry: spec.upstream_syn_retry,
            cpu_request: spec.cpu_request,
            cpu_handshake: spec.cpu_handshake,
            thread,
            queue_gauge: ledger.gauge(me, "queue", None),
            limits,
            queue_timeouts: 0,
            server_connections: 0,
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
            Message::Wake(IDLE, client, turn) => self.idle_for_long(client, turn, ctx),
            Message::Wake(PURGE, server, _) => self.purge(server, ctx),
            Message::Wake(timer, slot, turn) => {
                if matches!(timer, SEND | HANDSHAKE) {
                    self.thread.done(ctx);
                }
                let call = CallId { slot, turn };
                if !ctx.calls.alive(call) {
                    return;
                }
                match timer {
                    HANDSHAKE => self.await_request(call, ctx),
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
            counters: vec![
                ("queue_timeouts", self.queue_timeouts),
                ("server_connections", self.server_connections),
            ],
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
                self.busy(client, ctx);
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
        if let Some(cause) = ctx.data_over(call) {
            self.listener.gone(call);
            return ctx.fail(call, cause, 0);
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
            // Whoever left has sent the request before: it is in the connection, ahead of the end, and is served for nobody. Own
            // measurement of 2.6.12: with maxconn 1 and ten clients that had left, the eleventh waited for ten services.
            let told = row.opening.tls() || self.abort_on_close || ctx.speaks_http2(row.from);
            if row.abandoned && told {
                ctx.fail(call, Cause::ClientTimeout, 0);
                continue;
            }
            let at = self.new_client((row.from, row.tag), ctx.speaks_http2(row.from));
            ctx.calls.get(call).via = Via::Open(at);
            if row.opening.tls() {
                // The hello is in one round trip before the request.
                let cost = self.cpu_handshake;
                let done = self.thread.run(cost, HANDSHAKE, call.slot, call.turn, ctx);
                ctx.ledger.waited_for(self.limits.cpu, now + cost, done);
            } else if row.mark > now {
                self.await_request(call, ctx);
            } else {
                ctx.opened(call);
                self.read(call, at, ctx);
            }
        }
    }

    fn new_client(&mut self, owner: (NodeId, u32), http2: bool) -> u32 {
        let client = Client {
            owner,
            open: true,
            begun: false,
            streams: 1,
            http2,
            leaving: false,
            timer: TimerId::NONE,
            turn: 0,
        };
        self.clients_open += 1;
        if let Some(at) = self.free_clients.pop() {
            let turn = self.clients[at as usize].turn;
            self.clients[at as usize] = Client { turn, ..client };
            return at;
        }
        self.clients.push(client);
        if self.reuse == HttpReuse::Never {
            self.private.push(Private::default());
        }
        self.clients.len() as u32 - 1
    }

    /// The request's first byte is here, or comes later.
    fn await_request(&mut self, call: CallId, ctx: &mut Ctx) {
        let mark = ctx.calls.get(call).mark;
        if mark > ctx.now() {
            ctx.wake_at(mark, Rank::Arrival, READ, call.slot, call.turn);
        } else {
            self.request_in(call, ctx);
        }
    }

    /// The first request of a connection is here.
    fn request_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let Via::Open(client) = ctx.via(call) else { return };
        if ctx.calls.get(call).abandoned {
            // Its client left before it had sent it; nobody knows of the connection any more.
            self.close_client(client, ctx);
            return ctx.fail(call, Cause::ClientTimeout, 0);
        }
        ctx.opened(call);
        self.read(call, client, ctx);
    }

    /// A client's connection carries no request any more, and is kept.
    pub(super) fn rest(&mut self, client: u32, ctx: &mut Ctx) {
        if let Some(lane) = self.idle {
            let row = &mut self.clients[client as usize];
            row.turn = row.turn.wrapping_add(1);
            row.timer = ctx.arm(lane, IDLE, client, row.turn);
        }
    }

    /// A client's connection is not idle any more.
    fn busy(&mut self, client: u32, ctx: &mut Ctx) {
        if self.idle.is_some() {
            let row = &mut self.clients[client as usize];
            row.turn = row.turn.wrapping_add(1);
            ctx.queue.cancel(std::mem::replace(&mut row.timer, TimerId::NONE));
        }
    }

    fn idle_for_long(&mut self, client: u32, turn: u32, ctx: &mut Ctx) {
        let row = self.clients[client as usize];
        if !row.open || row.turn != turn || row.streams > 0 {
            return;
        }
        if row.http2 {
            ctx.go_away(row.owner, Span::ZERO);
        }
        self.close_client(client, ctx);
    }

    pub(super) fn close_client(&mut self, client: u32, ctx: &mut Ctx) {
        if !self.clients[client as usize].open {
            return;
        }
        self.busy(client, ctx);
        self.clients[client as usize].open = false;
        self.clients_open -= 1;
        self.free_clients.push(client);
        if let Some(own) = self.private.get_mut(client as usize) {
            for (server, kept) in own.close() {
                ctx.hang_up(self.servers[usize::from(server)].node, kept.connection, 0);
            }
        }
        self.accept(ctx);
    }
}
