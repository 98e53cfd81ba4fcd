//! One request: choosing a server, waiting for a place, connecting, waiting for the answer, trying again, answering.

use super::node::{
    CONNECT_TIMEOUT, Exchange, Haproxy, PURGE, PURGE_DELAY, QUEUE_TIMEOUT, RETRY, SEND,
    SERVER_TIMEOUT,
};
use super::spec::HaproxyBalance;
use crate::kernel::{Rank, Span, Time, TimerId};
use crate::model::calls::{Call, Opening, Via};
use crate::model::context::Ctx;
use crate::model::kept::Kept;
use crate::model::message::{CallId, Cause, Outcome};

// Where a request stands, in the second word of its call.
const QUEUED: u32 = 1;
const SENT: u32 = 2;
const PAUSED: u32 = 3;

impl Haproxy {
    /// The request is here: the thread turns to it when it has done what came before.
    pub(super) fn read(&mut self, call: CallId, client: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let own = &mut self.clients[client as usize];
        let exchange = Exchange {
            client,
            server: u16::MAX,
            retries: 0,
            first: !own.http2 && !own.begun,
            reused: false,
            connect_timer: TimerId::NONE,
            timer: TimerId::NONE,
            since: now,
        };
        own.begun = true;
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

    /// Whether a request is not to be served any more: its client has left, and HAProxy looks (with `abortonclose`) or is told (on HTTP/2).
    fn given_up(&self, call: CallId, ctx: &mut Ctx) -> bool {
        let row = ctx.calls.get(call);
        let client = self.exchanges[row.a as usize].client;
        row.abandoned && (self.abort_on_close || self.clients[client as usize].http2)
    }

    /// A request gets a server, or its place in the queue.
    pub(super) fn dispatch(&mut self, call: CallId, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        if self.given_up(call, ctx) {
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

    /// Sends the request to its server, over an idle connection or a new one.
    pub(super) fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        let exchange = self.exchanges[at];
        let (now, hop) = (ctx.now(), self.hop);
        let server = &mut self.servers[usize::from(exchange.server)];
        let (node, address) = (server.node, server.address);
        let mut kept = server.pool.take(exchange.first, self.reuse, now, hop);
        if let Some(own) = self.private.get_mut(exchange.client as usize) {
            kept = own.take(exchange.server, now, hop);
        }
        self.server_connections += u64::from(kept.is_none());
        let parent = *ctx.calls.get(call);
        let child = Call {
            address,
            visit: parent.visit | exchange.retries << 8,
            via: kept.map_or(Via::New, |kept| Via::Open(kept.connection)),
            established: if kept.is_some() { now } else { Time::MAX },
            mark: kept.map_or(Time::ZERO, Kept::closes),
            keep_alive: true,
            amount: hop * 2,
            hop,
            opening: Opening::plain(self.syn_retry),
            ..parent.child(ctx.me, node, call)
        };
        let child = ctx.call(child, hop);
        let row = ctx.calls.get(call);
        row.child = child;
        row.b = SENT;
        let exchange = &mut self.exchanges[at];
        exchange.reused = kept.is_some();
        exchange.connect_timer = match kept {
            Some(_) => TimerId::NONE,
            None => ctx.arm(self.lanes[0], CONNECT_TIMEOUT, call.slot, call.turn),
        };
        exchange.timer = ctx.arm(self.lanes[1], SERVER_TIMEOUT, call.slot, call.turn);
    }

    /// A request's connection to its server is not needed any more; `idle`: its number there, if it may be kept.
    fn disconnect(&mut self, at: usize, idle: Option<u32>, ctx: &mut Ctx) {
        let exchange = self.exchanges[at];
        let number = exchange.server;
        let server = &mut self.servers[usize::from(number)];
        let Some(connection) = idle else { return server.pool.close() };
        let kept = Kept::new(connection, ctx.now(), self.hop, server.keepalive);
        let stays = if let Some(own) = self.private.get_mut(exchange.client as usize) {
            server.pool.close();
            own.keep(number, kept)
        } else {
            let stays = server.pool.keep(kept, exchange.reused);
            if stays && !server.purging {
                server.purging = true;
                ctx.wake(PURGE_DELAY, PURGE, number.into(), 0);
            }
            stays
        };
        if !stays {
            ctx.hang_up(server.node, connection, 0);
        }
    }

    /// Closes idle connections to a server that were not needed lately.
    pub(super) fn purge(&mut self, number: u32, ctx: &mut Ctx) {
        let server = &mut self.servers[number as usize];
        for kept in server.pool.purge(ctx.now(), self.hop) {
            ctx.hang_up(server.node, kept.connection, 0);
        }
        server.purging = server.pool.len() > 0;
        if server.purging {
            ctx.wake(PURGE_DELAY, PURGE, number, 0);
        }
    }

    pub(super) fn connect_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if row.b != SENT || !ctx.calls.alive(row.child) {
            return;
        }
        if ctx.calls.get(row.child).established == Time::MAX {
            ctx.abandon(row.child);
            self.disconnect(row.a as usize, None, ctx);
            self.retry(call, Cause::UpstreamConnectTimeout, Span::ZERO, ctx);
        }
    }

    /// A connection to the server failed: again after a pause, or 503.
    fn retry(&mut self, call: CallId, cause: Cause, pause: Span, ctx: &mut Ctx) {
        let at = ctx.calls.get(call).a as usize;
        self.stop_timers(at, ctx);
        if self.exchanges[at].retries < self.retries {
            self.exchanges[at].retries += 1;
            if pause.is_zero() {
                return self.connect(call, ctx);
            }
            ctx.calls.get(call).b = PAUSED;
            return ctx.wake(pause, RETRY, call.slot, call.turn);
        }
        ctx.ledger.refused_by(self.limits.upstream, ctx.now());
        self.free_server(at, ctx);
        self.answer(call, Outcome::failed(cause, ctx.me, 503), ctx);
    }

    pub(super) fn server_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if row.b != SENT || !ctx.calls.alive(row.child) {
            return;
        }
        let sent = ctx.calls.get(row.child).established;
        let reused = self.exchanges[row.a as usize].reused;
        let connecting = if reused { Span::ZERO } else { self.hop * 2 };
        let due = if sent == Time::MAX { now } else { sent + connecting } + self.server_span;
        if due > now {
            return ctx.wake_at(due, Rank::Timeout, SERVER_TIMEOUT, call.slot, call.turn);
        }
        ctx.abandon(row.child);
        self.disconnect(row.a as usize, None, ctx);
        ctx.ledger.refused_by(self.limits.upstream, now);
        self.free_server(row.a as usize, ctx);
        self.answer(call, Outcome::failed(Cause::UpstreamTimeout, ctx.me, 504), ctx);
    }

    pub(super) fn queue_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).b != QUEUED {
            return;
        }
        self.queue_timeouts += 1;
        self.leave_queue(call, ctx);
        ctx.ledger.refused_by(self.limits.server, ctx.now());
        self.answer(call, Outcome::failed(Cause::QueueFull, ctx.me, 503), ctx);
    }

    fn leave_queue(&mut self, call: CallId, ctx: &mut Ctx) {
        self.queue.retain(|other| *other != call);
        ctx.ledger.set(self.queue_gauge, ctx.queue.now(), self.queue.len() as u64);
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
        let Some(next) = self.queue.pop_front() else { return };
        ctx.ledger.set(self.queue_gauge, now, self.queue.len() as u64);
        let waiting = ctx.calls.get(next).a as usize;
        ctx.queue.cancel(self.exchanges[waiting].timer);
        ctx.ledger.waited_for(self.limits.server, self.exchanges[waiting].since, now);
        self.assign(next, server, ctx);
    }

    pub(super) fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let at = ctx.calls.get(call).a as usize;
        ctx.calls.get(call).child = CallId::NONE;
        if answer.outcome.status != 0 {
            let idle = match answer.via {
                Via::Open(connection) if answer.keep_alive => Some(connection),
                _ => None,
            };
            self.disconnect(at, idle, ctx);
            self.free_server(at, ctx);
            return self.answer(call, answer.outcome, ctx);
        }
        self.disconnect(at, None, ctx);
        if let Some(Cause::Refused | Cause::ConnectTimeout) = answer.outcome.cause {
            // Idle connections to a server that is gone have been closed.
            self.servers[usize::from(self.exchanges[at].server)].pool.clear();
            return self.retry(call, Cause::Refused, self.turn_around, ctx);
        }
        ctx.ledger.refused_by(self.limits.upstream, ctx.now());
        self.free_server(at, ctx);
        let Exchange { first, client, .. } = self.exchanges[at];
        let status = if first || self.clients[client as usize].http2 {
            502
        } else {
            // The client is to send it again: its connection is closed without a word (`http_wait_for_response`, TX_NOT_FIRST).
            ctx.calls.get(call).keep_alive = false;
            0
        };
        self.answer(call, Outcome::failed(Cause::UpstreamClosed, ctx.me, status), ctx);
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
        } else if own.streams == 0 {
            self.rest(client, ctx);
        }
        ctx.reply(call, outcome);
    }

    /// A request's client went away. Unless HAProxy looks for that, it is served all the same.
    pub(super) fn client_left(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.live(call).is_none_or(|row| row.b == 0) || !self.given_up(call, ctx) {
            return;
        }
        let row = *ctx.calls.get(call);
        let at = row.a as usize;
        match row.b {
            QUEUED => {
                self.stop_timers(at, ctx);
                self.leave_queue(call, ctx);
            }
            SENT if ctx.calls.alive(row.child) => {
                ctx.abandon(row.child);
                self.disconnect(at, None, ctx);
                self.free_server(at, ctx);
            }
            PAUSED => self.free_server(at, ctx),
            _ => return,
        }
        self.answer(call, Outcome::failed(Cause::ClientTimeout, ctx.me, 0), ctx);
    }
}
