//! One proxied request: choosing a peer, connecting, waiting, trying the next, answering.

use super::next::NextOn;
use super::parts::Exchange;
use super::peers::{Idle, Peers};
use super::proxy::{CONNECT_TIMEOUT, DELAYED, IDLE, Nginx, READ_TIMEOUT};
use super::spec::Closer;
use super::worker::State;
use crate::kernel::{Rank, Span, Time, TimerId};
use crate::model::calls::{Call, Opening, Via};
use crate::model::context::{Ctx, Purpose};
use crate::model::kept::Kept;
use crate::model::message::{CallId, Cause, NodeId, Outcome};

/// The call's second word once its answer is on the way.
const ANSWERED: u32 = 1;
/// The call's second word while its first is the number of its exchange.
const BEGUN: u32 = 2;
/// The call's second word from its arrival on a connection that stands until its worker turns to it.
pub(super) const ARRIVED: u32 = 3;

impl Nginx {
    /// Notes what is done for a request.
    pub(super) fn new_exchange(&mut self, call: CallId, connection: u32, ctx: &mut Ctx) {
        let row = &mut self.connections[connection as usize];
        row.requests += 1;
        let worker = row.worker;
        if !row.leaving && self.keepalive.ends(row, ctx.now()) {
            row.leaving = true;
            if row.http2 {
                let way = ctx.calls.get(call).hop;
                ctx.go_away(row.owner, way);
            }
        }
        let exchange = Exchange {
            connection,
            worker,
            peer: 0,
            tried: 0,
            tries: 0,
            holds: false,
            cached: false,
            counted: false,
            requests: 0,
            opened: Time::ZERO,
            since: ctx.now(),
            connect_timer: TimerId::NONE,
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
        self.further.clear(at);
        let row = ctx.calls.get(call);
        row.a = at;
        row.b = BEGUN;
    }

    /// What the worker sees of a peer group: its own, or with a zone everybody's.
    fn peers(&mut self, worker: usize) -> &mut Peers {
        let at = self.seen_by(worker);
        &mut self.workers[at].peers
    }

    /// The worker whose peer group a worker looks at.
    fn seen_by(&self, worker: usize) -> usize {
        if self.zone { 0 } else { worker }
    }

    /// The address that a connection comes from.
    fn client_of(&self, connection: u32) -> u64 {
        self.connections[connection as usize].client
    }

    /// The request has been read: it passes the limits, waits, or is refused.
    pub(super) fn pass_limits(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let at = ctx.calls.get(call).a as usize;
        let client = self.client_of(self.exchanges[at].connection);
        match self.requests.hold_back(client, now) {
            Ok(delay) if delay.is_zero() => self.take_place(call, ctx),
            Ok(delay) => {
                ctx.ledger.waited_for(self.limits.requests, now, now + delay);
                ctx.wake(delay, DELAYED, call.slot, call.turn);
            }
            Err(status) => self.refuse_request(call, Cause::RateLimited, status, ctx),
        }
    }

    /// A request has been held back long enough, if its client is still there.
    pub(super) fn delayed(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).b != ANSWERED {
            self.take_place(call, ctx);
        }
    }

    /// A request that is not held back goes on, unless too many are in progress.
    fn take_place(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let at = ctx.calls.get(call).a as usize;
        let client = self.client_of(self.exchanges[at].connection);
        match self.requests.enter(client) {
            Ok(()) => {
                let exchange = &mut self.exchanges[at];
                (exchange.counted, exchange.since) = (true, now);
                self.send_upstream(call, ctx);
            }
            Err(status) => self.refuse_request(call, Cause::ConcurrencyLimited, status, ctx),
        }
    }

    fn refuse_request(&mut self, call: CallId, cause: Cause, status: u16, ctx: &mut Ctx) {
        ctx.ledger.refused_by(self.limits.requests, ctx.queue.now());
        self.answer(call, Outcome::failed(cause, ctx.me, status), ctx);
    }

    /// Chooses a peer, gets a connection to it, sends the request.
    pub(super) fn send_upstream(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let at = ctx.calls.get(call).a;
        let exchange = self.exchanges[at as usize];
        let worker = exchange.worker as usize;
        let mut stream = ctx.stream(call, Purpose::Routing);
        let client = self.client_of(exchange.connection);
        let seen_by = self.seen_by(worker);
        let peers = &mut self.workers[seen_by].peers;
        peers.follow(&ctx.endpoints);
        let tried = self.further.with(at, exchange.tried);
        let Some(peer) = peers.choose(tried, client, now, &mut stream) else {
            let ports = self.peers(worker).lack_ports();
            let limit = if ports { self.limits.ports } else { self.limits.upstream };
            ctx.ledger.refused_by(limit, now);
            return self.answer(call, Outcome::failed(Cause::NoLiveUpstreams, ctx.me, 502), ctx);
        };
        self.let_closed_go(worker, peer, ctx);
        let idle = &mut self.peers(worker).get(peer).idle;
        let own = idle.iter().rposition(|idle| usize::from(idle.worker) == worker);
        let cached = own.map(|at| idle.remove(at));
        self.workers[worker].idle_upstream -= u32::from(cached.is_some());
        if cached.is_none() && !self.take_connection(call, peer, ctx) {
            return;
        }
        let row = self.peers(worker).get(peer);
        row.connections += 1;
        let (node, address) = (row.node, row.address);
        let me = ctx.me;
        let parent = ctx.calls.get(call);
        let child = Call {
            address,
            visit: parent.visit | exchange.tries << 8,
            via: cached.map_or(Via::New, |idle| Via::Open(idle.kept.connection)),
            established: if cached.is_some() { now } else { Time::MAX },
            mark: cached.map_or(Time::ZERO, |idle| idle.kept.closes()),
            keep_alive: self.upstream_keepalive.idle > 0,
            amount: self.upstream_hop * 2,
            hop: self.upstream_hop,
            opening: Opening::plain(self.upstream_syn_retry),
            ..parent.child(me, node, call)
        };
        let child = ctx.call(child, self.upstream_hop);
        let connect_timer = match cached {
            Some(_) => TimerId::NONE,
            None => ctx.arm(self.connect_timeout, CONNECT_TIMEOUT, call.slot, call.turn),
        };
        let timer = ctx.arm(self.read_timeout, READ_TIMEOUT, call.slot, call.turn);
        ctx.calls.get(call).child = child;
        let exchange = self.tries(at, peer);
        exchange.holds = true;
        exchange.cached = cached.is_some();
        (exchange.requests, exchange.opened) =
            cached.map_or((1, now), |idle| (idle.requests + 1, idle.opened));
        exchange.connect_timer = connect_timer;
        exchange.timer = timer;
    }

    /// Notes that a request tries a peer.
    fn tries(&mut self, at: u32, peer: usize) -> &mut Exchange {
        let exchange = &mut self.exchanges[at as usize];
        exchange.peer = peer as u16;
        exchange.tried = self.further.add(at, exchange.tried, peer);
        exchange.tries += 1;
        exchange
    }

    /// Takes what a new upstream connection needs of the worker: a descriptor, a slot, a port. Where one is lacking the request has
    /// been answered, or asks another peer.
    fn take_connection(&mut self, call: CallId, peer: usize, ctx: &mut Ctx) -> bool {
        let now = ctx.now();
        let at = ctx.calls.get(call).a;
        let worker = self.exchanges[at as usize].worker as usize;
        if !self.workers[worker].has_descriptor() {
            ctx.ledger.refused_by(self.limits.descriptors, now);
            self.answer(call, Outcome::failed(Cause::Descriptors, ctx.me, 500), ctx);
            return false;
        }
        self.drain(worker, ctx);
        if !self.workers[worker].has_slot() {
            ctx.ledger.refused_by(self.limits.slots, now);
            self.answer(call, Outcome::failed(Cause::WorkerConnections, ctx.me, 500), ctx);
            return false;
        }
        if !self.ports[peer].take(self.local_ports, now) {
            ctx.ledger.refused_by(self.limits.ports, now);
            self.tries(at, peer);
            self.peers(worker).portless(peer, now);
            let outcome = Outcome::failed(Cause::PortsExhausted, ctx.me, 502);
            self.try_next(call, outcome, NextOn::Error, false, ctx);
            return false;
        }
        self.workers[worker].take();
        self.show_connections(ctx);
        true
    }

    pub(super) fn connect_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let (at, child) = {
            let row = ctx.calls.get(call);
            (row.a, row.child)
        };
        self.exchanges[at as usize].connect_timer = TimerId::NONE;
        let connected = !ctx.calls.alive(child) || ctx.calls.get(child).established < Time::MAX;
        if connected {
            return;
        }
        ctx.abandon(child);
        self.release_upstream(at, None, true, ctx);
        self.blame(at, ctx);
        let outcome = Outcome::failed(Cause::UpstreamConnectTimeout, ctx.me, 504);
        self.try_next(call, outcome, NextOn::Timeout, false, ctx);
    }

    pub(super) fn read_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        // A wake-up that was armed for an earlier peer of this request is stale.
        if !ctx.calls.alive(row.child) || !self.exchanges[row.a as usize].holds {
            return;
        }
        // The read timeout counts from when the request was sent, that is from when the connection was there.
        let child = ctx.calls.get(row.child);
        let (sent, new) = (child.established, child.via == Via::New);
        let connecting = if new { self.upstream_hop * 2 } else { Span::ZERO };
        let due = if sent == Time::MAX {
            now + self.read_span
        } else {
            sent + connecting + self.read_span
        };
        if due > now {
            return ctx.wake_at(due, Rank::Timeout, READ_TIMEOUT, call.slot, call.turn);
        }
        ctx.abandon(row.child);
        self.release_upstream(row.a, None, true, ctx);
        self.blame(row.a, ctx);
        let outcome = Outcome::failed(Cause::UpstreamTimeout, ctx.me, 504);
        self.try_next(call, outcome, NextOn::Timeout, true, ctx);
    }

    fn blame(&mut self, at: u32, ctx: &mut Ctx) {
        let exchange = self.exchanges[at as usize];
        self.peers(exchange.worker as usize).failed(exchange.peer as usize, ctx.now());
    }

    /// Gives the upstream connection back, or keeps it as `idle`; `aborted` when nginx closes it before its answer.
    fn release_upstream(&mut self, at: u32, idle: Option<u32>, aborted: bool, ctx: &mut Ctx) {
        let exchange = &mut self.exchanges[at as usize];
        exchange.holds = false;
        ctx.queue.cancel(exchange.timer);
        ctx.queue.cancel(exchange.connect_timer);
        let (worker, peer) = (exchange.worker as usize, exchange.peer as usize);
        let (requests, opened) = (exchange.requests, exchange.opened);
        let (now, hop, keep) = (ctx.now(), self.upstream_hop, self.upstream_keepalive);
        let row = self.peers(worker).get(peer);
        row.connections -= 1;
        match idle {
            Some(connection) if keep.idle > 0 && !keep.worn(requests, opened, now) => {
                let kept = Kept::new(connection, now, hop, row.keepalive);
                row.idle.push(Idle { worker: worker as u16, requests, opened, kept });
                self.workers[worker].idle_upstream += 1;
                if self.workers[worker].idle_upstream > keep.idle {
                    self.close_oldest_idle(worker, ctx);
                }
            }
            _ => {
                self.workers[worker].give();
                // What the server would keep, nginx closes.
                let closes = aborted || idle.is_some() || self.upstream_closed_by == Closer::Nginx;
                self.ports[peer].give(closes, now);
            }
        }
        self.show_connections(ctx);
    }

    /// The worker keeps more idle connections to the upstream than it may, whichever server they lead to: the one that has been idle
    /// longest is closed (`ngx_http_upstream_free_keepalive_peer`).
    fn close_oldest_idle(&mut self, worker: usize, ctx: &mut Ctx) {
        if let Some(peer) = self.peers(worker).take_oldest_idle(worker) {
            self.let_idle_go(worker, peer, true, ctx);
        }
    }

    /// An idle connection of a worker to a peer is no more; `first`: nginx closed it, not the peer.
    fn let_idle_go(&mut self, worker: usize, peer: usize, first: bool, ctx: &mut Ctx) {
        self.workers[worker].idle_upstream -= 1;
        self.workers[worker].give();
        self.ports[peer].give(first, ctx.now());
    }

    /// Lets the idle connections to a peer go that the peer has closed, or nginx for being idle too long.
    fn let_closed_go(&mut self, worker: usize, peer: usize, ctx: &mut Ctx) {
        let (now, hop) = (ctx.now(), self.upstream_hop);
        let most = self.upstream_keepalive.timeout;
        let too_old = |kept: Kept| now - kept.since() >= most;
        let idle = &self.peers(worker).get(peer).idle;
        let gone = |idle: &&Idle| idle.kept.gone(now, hop) || too_old(idle.kept);
        let gone = idle.iter().take_while(gone).count();
        for _ in 0..gone {
            let idle = self.peers(worker).get(peer).idle.remove(0);
            self.let_idle_go(usize::from(idle.worker), peer, !idle.kept.gone(now, hop), ctx);
        }
    }

    /// Whether a request may have another server: one is left, and it is not too late.
    fn may_go_on(&mut self, at: u32, now: Time) -> bool {
        let exchange = self.exchanges[at as usize];
        let all = self.peers(usize::from(exchange.worker)).tries();
        let (tries, timeout) = (self.next.tries, self.next.timeout);
        let most = if tries == 0 { all } else { tries.min(all) };
        let late = !timeout.is_zero() && now - exchange.since >= timeout;
        usize::from(exchange.tries) < most && !late
    }

    /// Passes the request to the next peer if the rules allow, else answers. `sent`: the peer may have got it.
    fn try_next(&mut self, call: CallId, outcome: Outcome, on: NextOn, sent: bool, ctx: &mut Ctx) {
        let (at, idempotent) = {
            let row = ctx.calls.get(call);
            (row.a, row.idempotent)
        };
        if self.next.takes(on, sent && !idempotent) && self.may_go_on(at, ctx.now()) {
            self.counts.next_upstream += 1;
            return self.send_upstream(call, ctx);
        }
        // Who found no port has told so already.
        if outcome.cause != Some(Cause::PortsExhausted) {
            ctx.ledger.refused_by(self.limits.upstream, ctx.now());
        }
        self.answer(call, outcome, ctx);
    }

    #[inline(never)]
    pub(super) fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
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
        if self.next.answers
            && let Some(on) = self.next.takes_answer(answer.outcome.status, idempotent)
            && self.may_go_on(at, ctx.now())
        {
            return self.pass_over(call, on, kept.is_some(), ctx);
        }
        self.release_upstream(at, kept, false, ctx);
        let exchange = self.exchanges[at as usize];
        if answer.outcome.status != 0 {
            // An answer of the application, good or bad, is passed on as it is.
            self.peers(exchange.worker as usize).answered(exchange.peer as usize);
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
        if exchange.cached && sent {
            // A kept connection that fails does not count as a try (ngx_http_upstream_next), and an only server is asked again.
            let only = self.peers(usize::from(exchange.worker)).single();
            let exchange = &mut self.exchanges[at as usize];
            exchange.tries -= 1;
            if only {
                exchange.tried = 0;
                self.further.clear(at);
            }
        }
        self.try_next(call, outcome, NextOn::Error, sent, ctx);
    }

    /// A server's answer is not what the client is to get: the request goes to the next one. Its connection is closed, as its body has
    /// not been read (`ngx_http_upstream_test_next`).
    #[cold]
    fn pass_over(&mut self, call: CallId, on: NextOn, kept: bool, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a;
        self.release_upstream(at, None, kept, ctx);
        if on.counts_as_failure() {
            self.blame(at, ctx);
        } else {
            let exchange = self.exchanges[at as usize];
            self.peers(exchange.worker as usize).answered(exchange.peer as usize);
        }
        self.counts.next_upstream += 1;
        self.send_upstream(call, ctx);
    }

    /// Answers the client; keeps its connection unless the rules say otherwise.
    fn answer(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        let connection = self.exchanges[row.a as usize].connection;
        if self.exchanges[row.a as usize].counted {
            let client = self.client_of(connection);
            self.requests.leave(client);
        }
        ctx.calls.get(call).b = ANSWERED;
        self.free_exchanges.push(row.a);
        let worker = self.connections[connection as usize].worker as usize;
        let owed = self.workers[worker].owed;
        self.workers[worker].owed = owed + self.cpu_request.scaled(0.5);
        let own = &mut self.connections[connection as usize];
        own.streams -= 1;
        let keep = if own.http2 {
            // The end of a stream does not ask whether its connection is kept (ngx_http_v2_close_stream).
            own.streams > 0 || !own.leaving
        } else {
            // nginx's own 500 clears keep-alive; 502, 503 and 504 do not (ngx_http_special_response.c), nor a 500 of the application.
            let closes = outcome.status == 500 && outcome.node == ctx.me;
            row.keep_alive && !closes && !own.leaving
        };
        let (http2, streams) = (own.http2, own.streams);
        let call_row = ctx.calls.get(call);
        call_row.keep_alive = keep;
        call_row.via = Via::Open(connection);
        if keep && (http2 || !row.abandoned) {
            if streams == 0 {
                self.rest(worker, connection, ctx);
            }
        } else {
            self.close_connection(connection, ctx);
        }
        debug_assert!(now == ctx.now());
        ctx.reply(call, outcome);
    }

    /// A request that its worker never began with leaves its connection.
    pub(super) fn drop_request(&mut self, connection: u32, ctx: &mut Ctx) {
        let own = &mut self.connections[connection as usize];
        own.streams -= 1;
        let (streams, worker) = (own.streams, usize::from(own.worker));
        if !own.http2 || (own.leaving && streams == 0) {
            self.close_connection(connection, ctx);
        } else if streams == 0 {
            self.rest(worker, connection, ctx);
        }
    }

    /// A connection carries no request any more, and is kept.
    fn rest(&mut self, worker: usize, connection: u32, ctx: &mut Ctx) {
        let kept = &mut self.connections[connection as usize];
        kept.state = State::Idle;
        kept.turn = kept.turn.wrapping_add(1);
        let turn = kept.turn;
        kept.timer = ctx.arm(self.keepalive.lane, IDLE, connection, turn);
        self.now_reusable(worker, connection, turn);
    }

    /// A connection may be closed for another from now on.
    pub(super) fn now_reusable(&mut self, worker: usize, connection: u32, turn: u32) {
        let rows = &self.connections;
        self.workers[worker].now_reusable(connection, turn, |at, turn| {
            let row = &rows[at as usize];
            row.turn == turn && matches!(row.state, State::Idle | State::Accepted)
        });
    }

    /// The client went away: its connection and that to the upstream are closed.
    #[inline(never)]
    pub(super) fn client_left(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = *ctx.calls.get(call);
        let Via::Open(connection) = row.via else { return };
        let Some(known) = self.connections.get(connection as usize).copied() else { return };
        if known.call != call && !(known.http2 && known.state == State::Active) {
            return;
        }
        match known.state {
            // Its worker has not turned to it yet.
            State::Active if row.b == ARRIVED => {
                self.drop_request(connection, ctx);
                ctx.fail(call, Cause::ClientTimeout, 0);
            }
            State::Active if row.b == BEGUN => {
                self.counts.client_closed += 1;
                if self.exchanges[row.a as usize].holds {
                    ctx.abandon(row.child);
                    self.release_upstream(row.a, None, true, ctx);
                }
                let outcome = Outcome::failed(Cause::ClientTimeout, NodeId(row.from.0), 499);
                self.answer(call, outcome, ctx);
            }
            State::Accepted => {
                self.close_connection(connection, ctx);
                self.refuse(call, Cause::ClientTimeout, 0, ctx);
            }
            // It has not come yet: a request and the end of its stream may have left at one instant.
            State::Active | State::Idle | State::Closed => {}
        }
    }
}
