//! The proxy as it runs: accept, read, choose a peer, connect, wait, answer.

use super::parts::{Counts, Exchange, Limits};
use super::peers::Peers;
use super::spec::NginxSpec;
use super::worker::{Connection, State, Worker};
use crate::kernel::{LaneId, Rank, Span, Time, TimerId};
use crate::model::calls::{Call, Via};
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::ledger::GaugeId;
use crate::model::listener::{SynRetry, accept_queue};
use crate::model::message::{CallId, Cause, Message, NodeId, Outcome};
use crate::model::usage::{UsageLine, host_hours};
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

const READ: u8 = 0;
const RESUME: u8 = 1;
const CONNECT_TIMEOUT: u8 = 2;
const READ_TIMEOUT: u8 = 3;
const IDLE: u8 = 4;
const SYN_END: u8 = 5;
const SEND: u8 = 6;
const BEGIN: u8 = 7;

/// After EMFILE a worker stops listening for this long (`ngx_event_accept.c`: accept_mutex_delay 500 ms).
const ACCEPT_PAUSE: Span = Span::from_millis(500);

/// nginx as it runs.
pub struct Nginx {
    name: String,
    instance: Option<String>,
    workers: Vec<Worker>,
    connections: Vec<Connection>,
    free: Vec<u32>,
    exchanges: Vec<Exchange>,
    free_exchanges: Vec<u32>,
    listen_queue: VecDeque<(CallId, Time)>,
    listen_max: usize,
    busiest_share: f64,
    keepalive: (LaneId, u32),
    upstream_keepalive: u32,
    connect_timeout: LaneId,
    read_timeout: LaneId,
    read_span: Span,
    next_upstream: bool,
    upstream_hop: Span,
    upstream_syn_retry: SynRetry,
    cpu_request: Span,
    cpu_handshake: Span,
    limits: Limits,
    connections_gauge: GaugeId,
    listen_gauge: GaugeId,
    counts: Counts,
}

impl Component for Nginx {
    type Spec = NginxSpec;

    fn build(spec: &NginxSpec, wiring: &mut Wiring) -> Result<Nginx, String> {
        let me = wiring.me;
        let mut servers = Vec::new();
        for name in &spec.upstream {
            let node = wiring.node(name)?;
            servers.extend((0..wiring.addresses(node)).map(|address| (node, address)));
        }
        let fail_timeout = spec.fail_timeout.nanos() / 1_000_000_000;
        let descriptors = spec.nofile.saturating_sub(spec.base());
        // The listening sockets and the channel to the master stand in the same table.
        let slots = spec.worker_connections.saturating_sub(spec.listeners + 1);
        let worker = |_| {
            let peers = Peers::new(&servers, spec.balance, spec.max_fails, fail_timeout);
            Worker::new(peers, descriptors, slots, spec.worker_connections / 16, spec.version)
        };
        let listen_max = accept_queue(spec.backlog, spec.somaxconn);
        let ledger = &mut *wiring.ledger;
        let workers = u64::from(spec.workers);
        let (nofile, wc) = (spec.nofile, spec.worker_connections);
        let limits = Limits {
            listen: ledger.limit(me, "listen_queue", format!("listen queue of {listen_max}")),
            descriptors: ledger.limit(me, "nofile", format!("{nofile} descriptors per worker")),
            slots: ledger.limit(me, "worker_connections", format!("worker_connections {wc}")),
            cpu: ledger.limit(me, "cpu", format!("{workers} worker processes")),
            upstream: ledger.limit(
                me,
                "upstream",
                "upstream servers that fail or do not answer".into(),
            ),
        };
        let connections_gauge = ledger.gauge(me, "connections", Some(workers * u64::from(slots)));
        let listen_gauge = ledger.gauge(me, "listen queue", Some(listen_max as u64));
        Ok(Nginx {
            name: wiring.name.to_owned(),
            instance: spec.host.instance.clone(),
            workers: (0..spec.workers).map(worker).collect(),
            connections: Vec::new(),
            free: Vec::new(),
            exchanges: Vec::new(),
            free_exchanges: Vec::new(),
            listen_queue: VecDeque::new(),
            listen_max,
            busiest_share: spec.busiest_share(),
            keepalive: (
                wiring.queue.lane(spec.keepalive_timeout, Rank::Timeout),
                spec.keepalive_requests,
            ),
            upstream_keepalive: spec.upstream_keepalive,
            connect_timeout: wiring.queue.lane(spec.proxy_connect_timeout, Rank::Timeout),
            read_timeout: wiring.queue.lane(spec.proxy_read_timeout, Rank::Timeout),
            read_span: spec.proxy_read_timeout,
            next_upstream: spec.next_upstream,
            upstream_hop: spec.upstream_rtt.scaled(0.5),
            upstream_syn_retry: spec.upstream_syn_retry,
            cpu_request: spec.cpu_request,
            cpu_handshake: spec.cpu_handshake,
            limits,
            connections_gauge,
            listen_gauge,
            counts: Counts::default(),
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Cancel(call) => self.client_left(call, ctx),
            Message::HangUp(owner, connection, tag) => {
                let row = self.connections.get(connection as usize);
                if row.is_some_and(|c| c.state == State::Idle && c.owner == (owner, tag)) {
                    self.close_connection(connection, ctx);
                }
            }
            Message::Wake(RESUME, worker, _) => {
                self.workers[worker as usize].paused = false;
                self.accept_waiting(ctx);
            }
            Message::Wake(IDLE, connection, turn) => {
                let row = &self.connections[connection as usize];
                if row.state == State::Idle && row.turn == turn {
                    self.close_connection(connection, ctx);
                }
            }
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                if !ctx.calls.alive(call) {
                    return;
                }
                match timer {
                    READ => self.request_read(call, ctx),
                    BEGIN => self.begin(call, ctx),
                    SEND => self.send_upstream(call, ctx),
                    CONNECT_TIMEOUT => self.connect_timed_out(call, ctx),
                    READ_TIMEOUT => self.read_timed_out(call, ctx),
                    _ => {
                        ctx.ledger.refused_by(self.limits.listen, ctx.queue.now());
                        ctx.fail(call, Cause::ConnectTimeout, 0);
                    }
                }
            }
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let hours = host_hours(ctx.now());
        let usage = self.instance.iter().map(|instance| UsageLine {
            node: self.name.clone(),
            item: format!("ec2.{instance}"),
            quantity: hours,
            unit: "hour",
            reserved: true,
            idle: 0.0,
            wasted: 0.0,
        });
        NodeReport {
            counters: vec![
                ("syn_dropped", self.counts.syn_dropped),
                ("accept_pauses", self.counts.accept_pauses),
                ("next_upstream", self.counts.next_upstream),
                ("closed_for_reuse", self.counts.closed_for_reuse),
                ("client_closed_499", self.counts.client_closed),
            ],
            usage: usage.collect(),
        }
    }
}

impl Nginx {
    /// A request on a kept connection, or the SYN of a new one.
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if let Via::Open(connection) = row.via {
            let known = self.connections.get(connection as usize);
            let open =
                known.is_some_and(|c| c.state == State::Idle && c.owner == (row.from, row.tag));
            if open {
                self.leave_reusable(connection, ctx);
                let kept = &mut self.connections[connection as usize];
                kept.state = State::Active;
                kept.call = call;
                return self.take_up(call, connection, ctx);
            }
            // nginx closed it meanwhile and the client knows: it connects anew.
            ctx.calls.get(call).via = Via::New;
        }
        if row.abandoned {
            return ctx.fail(call, Cause::ConnectTimeout, 0);
        }
        if self.workers.iter().all(|worker| worker.paused) {
            if self.listen_queue.len() >= self.listen_max {
                self.counts.syn_dropped += 1;
                return ctx.syn_lost(call, self.limits.listen, SYN_END);
            }
            self.established(call, ctx);
            self.enqueue(call, ctx);
        } else {
            self.established(call, ctx);
            self.accept(call, ctx);
        }
    }

    fn established(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.established = now;
        row.mark = now + row.handshake;
    }

    fn enqueue(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.listen_queue.push_back((call, now));
        ctx.ledger.set(self.listen_gauge, now, self.listen_queue.len() as u64);
    }

    /// Which worker wakes first: the busiest has its share, the others share the rest.
    fn waking_worker(&self, call: CallId, ctx: &mut Ctx) -> usize {
        let n = self.workers.len();
        let u = ctx.stream(call, Purpose::Accept).unit();
        if n == 1 || u < self.busiest_share {
            return 0;
        }
        let rest = (u - self.busiest_share) / (1.0 - self.busiest_share).max(1e-12);
        1 + ((rest * (n - 1) as f64) as usize).min(n - 2)
    }

    /// A worker accepts the connection, or all pause and it stays in the kernel's queue.
    fn accept(&mut self, call: CallId, ctx: &mut Ctx) {
        let first = self.waking_worker(call, ctx);
        let n = self.workers.len();
        for turn in 0..n {
            let worker = (first + turn) % n;
            if self.workers[worker].paused {
                continue;
            }
            if !self.workers[worker].has_descriptor() {
                self.pause(worker, ctx);
                continue;
            }
            return self.accepted_by(worker, call, ctx);
        }
        self.enqueue(call, ctx);
    }

    /// accept() failed with EMFILE.
    fn pause(&mut self, worker: usize, ctx: &mut Ctx) {
        self.counts.accept_pauses += 1;
        self.workers[worker].paused = true;
        ctx.wake(ACCEPT_PAUSE, RESUME, worker as u32, 0);
    }

    fn accepted_by(&mut self, worker: usize, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.drain(worker, ctx);
        if !self.workers[worker].has_slot() {
            // Closed at once, without an answer.
            ctx.ledger.refused_by(self.limits.slots, now);
            return self.refuse(call, Cause::WorkerConnections, 0, ctx);
        }
        self.workers[worker].take();
        let row = *ctx.calls.get(call);
        let connection = Connection {
            worker: worker as u16,
            state: State::Accepted,
            owner: (row.from, row.tag),
            requests: 0,
            call,
            timer: TimerId::NONE,
            turn: 0,
        };
        let at = self.new_connection(connection);
        let turn = self.connections[at as usize].turn;
        self.workers[worker].now_reusable(at, turn);
        self.show_connections(ctx);
        ctx.calls.get(call).via = Via::Open(at);
        let mut ready = row.mark.max(now);
        if row.tls {
            // The signature is computed when the hello is in, one round trip before the request.
            ready = ready.max(self.workers[worker].work(now, self.cpu_handshake));
            ctx.ledger.waited_for(self.limits.cpu, row.mark.max(now), ready);
        }
        ctx.wake_at(ready, Rank::Arrival, READ, call.slot, call.turn);
    }

    fn new_connection(&mut self, connection: Connection) -> u32 {
        if let Some(at) = self.free.pop() {
            let row = &mut self.connections[at as usize];
            *row = Connection { turn: row.turn.wrapping_add(1), ..connection };
            return at;
        }
        self.connections.push(connection);
        u32::try_from(self.connections.len() - 1).unwrap_or(u32::MAX)
    }

    fn show_connections(&self, ctx: &mut Ctx) {
        let used: u32 = self.workers.iter().map(Worker::slots_used).sum();
        ctx.ledger.set(self.connections_gauge, ctx.queue.now(), u64::from(used));
    }

    /// Closes reusable connections when slots run short: idle clients, and clients whose request is not read yet.
    fn drain(&mut self, worker: usize, ctx: &mut Ctx) {
        for _ in 0..self.workers[worker].to_drain() {
            let rows = &self.connections;
            let reusable = |at: u32, turn: u32| {
                let row = &rows[at as usize];
                row.turn == turn && matches!(row.state, State::Idle | State::Accepted)
            };
            let Some(victim) = self.workers[worker].oldest_reusable(reusable) else { return };
            self.counts.closed_for_reuse += 1;
            let row = self.connections[victim as usize];
            self.close_connection(victim, ctx);
            if row.state == State::Accepted {
                ctx.ledger.refused_by(self.limits.slots, ctx.queue.now());
                self.refuse(row.call, Cause::WorkerConnections, 0, ctx);
            }
        }
    }

    /// Takes connections out of the kernel's queue while any worker can.
    fn accept_waiting(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        while self.workers.iter().any(|worker| !worker.paused) {
            let Some((call, since)) = self.listen_queue.pop_front() else { break };
            let before = self.listen_queue.len();
            ctx.ledger.waited_for(self.limits.descriptors, since, now);
            if ctx.calls.get(call).abandoned {
                ctx.fail(call, Cause::ClientTimeout, 0);
                continue;
            }
            self.accept(call, ctx);
            if self.listen_queue.len() > before {
                // It went back: keep its place at the front and the time it has waited.
                self.listen_queue.pop_back();
                self.listen_queue.push_front((call, now));
                break;
            }
        }
        ctx.ledger.set(self.listen_gauge, now, self.listen_queue.len() as u64);
    }

    fn leave_reusable(&mut self, connection: u32, ctx: &mut Ctx) {
        let row = &mut self.connections[connection as usize];
        ctx.queue.cancel(row.timer);
        row.turn = row.turn.wrapping_add(1);
        let worker = row.worker as usize;
        self.workers[worker].no_longer_reusable();
    }

    /// The request of a new connection is there: the worker turns to it when it has done what came before. Until then the
    /// connection counts as not yet used, and may be closed for want of slots.
    fn request_read(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let Via::Open(connection) = ctx.via(call) else { return };
        let worker = self.connections[connection as usize].worker as usize;
        let ready = self.workers[worker].work(now, self.cpu_request);
        ctx.ledger.waited_for(self.limits.cpu, now + self.cpu_request, ready);
        ctx.wake(ready - now, BEGIN, call.slot, call.turn);
    }

    /// The worker handles the first request of a connection.
    fn begin(&mut self, call: CallId, ctx: &mut Ctx) {
        let Via::Open(connection) = ctx.via(call) else { return };
        let row = &self.connections[connection as usize];
        if row.state != State::Accepted || row.call != call {
            return;
        }
        self.leave_reusable(connection, ctx);
        self.connections[connection as usize].state = State::Active;
        self.new_exchange(call, connection, ctx);
        self.send_upstream(call, ctx);
    }

    /// Takes up a request on a kept connection.
    fn take_up(&mut self, call: CallId, connection: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        self.new_exchange(call, connection, ctx);
        let worker = self.connections[connection as usize].worker;
        let ready = self.workers[worker as usize].work(now, self.cpu_request);
        ctx.ledger.waited_for(self.limits.cpu, now + self.cpu_request, ready);
        ctx.wake(ready - now, SEND, call.slot, call.turn);
    }

    /// Notes what is done for a request.
    fn new_exchange(&mut self, call: CallId, connection: u32, ctx: &mut Ctx) {
        let row = &mut self.connections[connection as usize];
        row.requests += 1;
        let worker = row.worker;
        let exchange = Exchange {
            connection,
            worker,
            peer: 0,
            tried: 0,
            tries: 0,
            holds: false,
            timer: TimerId::NONE,
        };
        let at = match self.free_exchanges.pop() {
            Some(at) => {
                self.exchanges[at as usize] = exchange;
                at
            }
            None => {
                self.exchanges.push(exchange);
                u32::try_from(self.exchanges.len() - 1).unwrap_or(u32::MAX)
            }
        };
        ctx.calls.get(call).a = at;
    }

    /// Chooses a peer, gets a connection to it, sends the request.
    fn send_upstream(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let at = ctx.calls.get(call).a;
        let exchange = self.exchanges[at as usize];
        let worker = exchange.worker as usize;
        let mut stream = ctx.stream(call, Purpose::Routing);
        self.workers[worker].peers.follow(ctx.endpoints);
        let Some(peer) = self.workers[worker].peers.choose(exchange.tried, now, &mut stream) else {
            ctx.ledger.refused_by(self.limits.upstream, now);
            return self.answer(call, Outcome::failed(Cause::NoLiveUpstreams, ctx.me, 502), ctx);
        };
        let cached = self.workers[worker].peers.get(peer).idle.pop();
        if cached.is_none() {
            if !self.workers[worker].has_descriptor() {
                ctx.ledger.refused_by(self.limits.descriptors, now);
                let outcome = Outcome::failed(Cause::Descriptors, ctx.me, 500);
                return self.answer(call, outcome, ctx);
            }
            self.drain(worker, ctx);
            if !self.workers[worker].has_slot() {
                ctx.ledger.refused_by(self.limits.slots, now);
                let outcome = Outcome::failed(Cause::WorkerConnections, ctx.me, 500);
                return self.answer(call, outcome, ctx);
            }
            self.workers[worker].take();
            self.show_connections(ctx);
        }
        let row = self.workers[worker].peers.get(peer);
        row.connections += 1;
        let (node, address) = (row.node, row.address);
        let parent = *ctx.calls.get(call);
        let child = Call {
            address,
            visit: parent.visit | exchange.tries << 8,
            via: cached.map_or(Via::New, Via::Open),
            established: if cached.is_some() { now } else { Time::MAX },
            keep_alive: self.upstream_keepalive > 0,
            handshake: self.upstream_hop * 2,
            hop: self.upstream_hop,
            syn_retry: self.upstream_syn_retry,
            ..parent.child(ctx.me, node, call)
        };
        let child = ctx.call(child, self.upstream_hop);
        let lane = if cached.is_some() { self.read_timeout } else { self.connect_timeout };
        let which = if cached.is_some() { READ_TIMEOUT } else { CONNECT_TIMEOUT };
        let timer = ctx.arm(lane, which, call.slot, call.turn);
        ctx.calls.get(call).child = child;
        let exchange = &mut self.exchanges[at as usize];
        exchange.peer = peer as u16;
        exchange.tried |= 1 << peer.min(63);
        exchange.tries += 1;
        exchange.holds = true;
        exchange.timer = timer;
    }

    fn connect_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let (at, child) = {
            let row = ctx.calls.get(call);
            (row.a, row.child)
        };
        let established = ctx.calls.get(child).established;
        if established < Time::MAX {
            // Connected: from here on the read timeout counts, since the request was sent.
            let due = established + self.upstream_hop * 2 + self.read_span;
            ctx.wake_at(due.max(now), Rank::Timeout, READ_TIMEOUT, call.slot, call.turn);
            self.exchanges[at as usize].timer = TimerId::NONE;
            return;
        }
        ctx.abandon(child);
        self.release_upstream(at, None, ctx);
        self.blame(at, ctx);
        let outcome = Outcome::failed(Cause::UpstreamConnectTimeout, ctx.me, 504);
        self.try_next(call, outcome, true, ctx);
    }

    fn read_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        // A wake-up that was armed for an earlier peer of this request is stale.
        if !ctx.calls.alive(row.child) || !self.exchanges[row.a as usize].holds {
            return;
        }
        let sent = ctx.calls.get(row.child).established;
        if sent == Time::MAX || sent + self.read_span > now {
            return;
        }
        ctx.abandon(row.child);
        self.release_upstream(row.a, None, ctx);
        self.blame(row.a, ctx);
        let outcome = Outcome::failed(Cause::UpstreamTimeout, ctx.me, 504);
        self.try_next(call, outcome, row.idempotent, ctx);
    }

    fn blame(&mut self, at: u32, ctx: &mut Ctx) {
        let exchange = self.exchanges[at as usize];
        let peers = &mut self.workers[exchange.worker as usize].peers;
        peers.failed(exchange.peer as usize, ctx.now());
    }

    /// Gives the upstream connection back, or keeps it as `idle`.
    fn release_upstream(&mut self, at: u32, idle: Option<u32>, ctx: &mut Ctx) {
        let exchange = &mut self.exchanges[at as usize];
        exchange.holds = false;
        ctx.queue.cancel(exchange.timer);
        let (worker, peer) = (exchange.worker as usize, exchange.peer as usize);
        let row = self.workers[worker].peers.get(peer);
        row.connections -= 1;
        let room = row.idle.len() < self.upstream_keepalive as usize;
        match idle {
            Some(connection) if room => row.idle.push(connection),
            _ => self.workers[worker].give(),
        }
        self.show_connections(ctx);
    }

    /// Passes the request to the next peer if the rules allow, else answers.
    fn try_next(&mut self, call: CallId, outcome: Outcome, may_repeat: bool, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a;
        let exchange = &self.exchanges[at as usize];
        let left = (exchange.tries as usize) < self.workers[exchange.worker as usize].peers.len();
        if self.next_upstream && may_repeat && left {
            self.counts.next_upstream += 1;
            return self.send_upstream(call, ctx);
        }
        ctx.ledger.refused_by(self.limits.upstream, ctx.now());
        self.answer(call, outcome, ctx);
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let (at, idempotent) = {
            let row = ctx.calls.get(call);
            row.child = CallId::NONE;
            (row.a, row.idempotent)
        };
        let kept = match answer.via {
            Via::Open(connection) if answer.keep_alive && answer.outcome.status != 0 => {
                Some(connection)
            }
            _ => None,
        };
        self.release_upstream(at, kept, ctx);
        let exchange = self.exchanges[at as usize];
        if answer.outcome.status != 0 {
            // An answer of the application, good or bad, is passed on as it is.
            self.workers[exchange.worker as usize].peers.answered(exchange.peer as usize);
            return self.answer(call, answer.outcome, ctx);
        }
        self.blame(at, ctx);
        let me = ctx.me;
        let (outcome, sent) = match answer.outcome.cause {
            Some(Cause::ConnectTimeout) => {
                (Outcome::failed(Cause::UpstreamConnectTimeout, me, 504), false)
            }
            Some(Cause::Refused) => (Outcome::failed(Cause::Refused, me, 502), false),
            _ => (Outcome::failed(Cause::UpstreamClosed, me, 502), true),
        };
        self.try_next(call, outcome, !sent || idempotent, ctx);
    }

    /// Answers the client; keeps its connection unless the rules say otherwise.
    fn answer(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        let connection = self.exchanges[row.a as usize].connection;
        self.free_exchanges.push(row.a);
        let served = self.connections[connection as usize].requests;
        // 500 clears keep-alive; 502, 503 and 504 do not (ngx_http_special_response.c).
        let keep = row.keep_alive && outcome.status != 500 && served < self.keepalive.1;
        let call_row = ctx.calls.get(call);
        call_row.keep_alive = keep;
        call_row.via = Via::Open(connection);
        if keep && !row.abandoned {
            let worker = self.connections[connection as usize].worker as usize;
            let kept = &mut self.connections[connection as usize];
            kept.state = State::Idle;
            kept.turn = kept.turn.wrapping_add(1);
            let turn = kept.turn;
            kept.timer = ctx.arm(self.keepalive.0, IDLE, connection, turn);
            self.workers[worker].now_reusable(connection, turn);
        } else {
            self.close_connection(connection, ctx);
        }
        debug_assert!(now == ctx.now());
        ctx.reply(call, outcome);
    }

    /// Closes a client's connection.
    fn close_connection(&mut self, connection: u32, ctx: &mut Ctx) {
        let Some(row) = self.connections.get(connection as usize) else { return };
        if row.state == State::Closed {
            return;
        }
        if matches!(row.state, State::Idle | State::Accepted) {
            self.leave_reusable(connection, ctx);
        }
        let row = &mut self.connections[connection as usize];
        row.state = State::Closed;
        let worker = row.worker as usize;
        self.workers[worker].give();
        self.free.push(connection);
        self.show_connections(ctx);
    }

    /// Ends a call that never got as far as a request.
    fn refuse(&mut self, call: CallId, cause: Cause, status: u16, ctx: &mut Ctx) {
        ctx.calls.get(call).keep_alive = false;
        ctx.fail(call, cause, status);
    }

    /// The client went away: its connection and that to the upstream are closed.
    fn client_left(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = *ctx.calls.get(call);
        let Via::Open(connection) = row.via else { return };
        let Some(state) = self.connections.get(connection as usize).map(|c| (c.state, c.call))
        else {
            return;
        };
        if state.1 != call {
            return;
        }
        match state.0 {
            State::Active => {
                self.counts.client_closed += 1;
                if self.exchanges[row.a as usize].holds {
                    ctx.abandon(row.child);
                    self.release_upstream(row.a, None, ctx);
                }
                let outcome = Outcome::failed(Cause::ClientTimeout, NodeId(row.from.0), 499);
                self.answer(call, outcome, ctx);
            }
            State::Accepted => {
                self.close_connection(connection, ctx);
                self.refuse(call, Cause::ClientTimeout, 0, ctx);
            }
            State::Idle | State::Closed => {}
        }
    }
}
