//! From the kernel's listen queue to a request that was read: the workers' event loops and their connections.
//!
//! A worker handles what epoll reports in the order in which it became ready. The listening socket is level-triggered: it
//! stands behind what was ready already, and before what its own accept makes ready. With more than one worker it is
//! registered exclusively: a new connection wakes the first worker in line that sleeps, and marks the socket as ready for
//! the busy ones before it (fs/eventpoll.c). From 1.21.6 a worker goes to the end of that line after every 16 accepts
//! (`ngx_reorder_accept_events`); with multi_accept the accept loop ends with EAGAIN before it gets there.

use super::exchange::ARRIVED;
use super::proxy::{DATA, LOOP, Nginx, READ, RESUME, SYN_END, WOKEN};
use super::worker::{Connection, State, Task};
use crate::kernel::{Rank, Span, TimerId};
use crate::model::calls::Via;
use crate::model::context::{Ctx, Purpose};
use crate::model::host::ThreadOf;
use crate::model::listener::Connect;
use crate::model::message::{CallId, Cause, NodeId};

/// Accepts after which a worker goes to the end of the line.
const REORDER: u32 = 16;

impl Nginx {
    /// A request on a kept connection, or the SYN of a new one.
    #[inline(never)]
    pub(super) fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if let Via::Open(connection) = row.via {
            if row.abandoned && ctx.speaks_http2(row.from) {
                return ctx.fail(call, Cause::ClientTimeout, 0);
            }
            if self.takes(connection, (row.from, row.tag)) {
                return self.next_request(call, connection, ctx);
            }
            if ctx.speaks_http2(row.from) {
                return ctx.not_taken(call);
            }
            // nginx closed it meanwhile and the client knows: it connects anew.
            ctx.calls.get(call).via = Via::New;
        }
        if row.abandoned {
            return ctx.fail(call, Cause::ConnectTimeout, 0);
        }
        let queue = self.socket_of(call, ctx);
        let now = ctx.now();
        let queued = self.sockets[queue].waiting.len();
        match self.sockets[queue].listener.syn(call, queued, now, row.hop * 2) {
            Connect::Queued => {
                self.established(call, ctx);
                self.enqueue(queue, call, ctx);
            }
            Connect::Reset => ctx.kernel_resets(call, self.limits.listen),
            Connect::HalfOpen => ctx.data_lost(call, self.limits.listen, DATA, 1),
            Connect::Dropped => {
                self.counts.syn_dropped += 1;
                ctx.syn_lost(call, self.limits.listen, SYN_END);
            }
        }
    }

    /// Whether a request of its owner may come on a connection.
    fn takes(&self, connection: u32, owner: (NodeId, u32)) -> bool {
        let Some(row) = self.connections.get(connection as usize) else { return false };
        let free = row.state == State::Idle || (row.http2 && row.state == State::Active);
        free && row.owner == owner && !row.leaving
    }

    /// A request has come on a connection that stands.
    fn next_request(&mut self, call: CallId, connection: u32, ctx: &mut Ctx) {
        if self.connections[connection as usize].state == State::Idle {
            self.leave_reusable(connection, ctx);
        }
        let kept = &mut self.connections[connection as usize];
        kept.state = State::Active;
        kept.call = call;
        kept.streams += 1;
        let worker = kept.worker as usize;
        ctx.calls.get(call).b = ARRIVED;
        self.ready(worker, Task::Request(call), ctx);
    }

    /// The data of a half-open connection came again.
    pub(super) fn data_again(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let queue = self.socket_of(call, ctx);
        let socket = &mut self.sockets[queue];
        if let Some(cause) = ctx.data_over(call) {
            socket.listener.gone(call);
            return ctx.fail(call, cause, 0);
        }
        let answer = socket.listener.data(call, socket.waiting.len(), now);
        if ctx.data_again(call, answer, self.limits.listen, DATA) {
            self.enqueue(queue, call, ctx);
        }
    }

    /// The listening socket a connection belongs to: with reuseport the kernel's hash spreads them over one a worker.
    fn socket_of(&self, call: CallId, ctx: &mut Ctx) -> usize {
        match self.sockets.len() {
            1 => 0,
            n => ctx.stream(call, Purpose::Accept).below(n as u64) as usize,
        }
    }

    fn established(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.established = now;
        row.mark = now + row.amount;
    }

    fn enqueue(&mut self, queue: usize, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.sockets[queue].waiting.push_back((call, now));
        self.show_queue(ctx);
        match self.accept_share {
            Some(share) => self.notify_one(call, share, ctx),
            None if self.mutex.is_some() => self.notify_listeners(ctx),
            None => self.notify(queue, ctx),
        }
    }

    fn show_queue(&self, ctx: &mut Ctx) {
        let waiting: usize = self.sockets.iter().map(|socket| socket.waiting.len()).sum();
        ctx.ledger.set(self.listen_gauge, ctx.queue.now(), waiting as u64);
    }

    /// A connection waits: the first sleeping worker in line wakes, the busy ones before it will see it too.
    fn notify(&mut self, queue: usize, ctx: &mut Ctx) {
        for at in 0..self.line.len() {
            let worker = self.line[at];
            let row = &mut self.workers[worker];
            if row.paused || (self.sockets.len() > 1 && worker != queue) {
                continue;
            }
            let sleeps = row.sleeps();
            if !row.listening {
                row.listening = true;
                row.ready.push_back((Task::Listen, ctx.queue.now()));
            }
            if sleeps {
                return match self.wakeup_latency {
                    Some(latency) => ctx.wake(latency, WOKEN, worker as u32, 0),
                    None => self.turn(worker, ctx),
                };
            }
        }
    }

    /// A worker that was woken has got a processor.
    pub(super) fn runs(&mut self, worker: usize, ctx: &mut Ctx) {
        if self.workers[worker].current.is_none() {
            self.turn(worker, ctx);
        }
    }

    /// A connection waits, and whose it is to be is drawn: the first worker's with this probability, else one of the others'.
    fn notify_one(&mut self, call: CallId, share: f64, ctx: &mut Ctx) {
        let n = self.workers.len();
        let draw = ctx.stream(call, Purpose::Accept).unit();
        let other = (draw - share) / (1.0 - share) * (n - 1) as f64;
        let first = if draw < share { 0 } else { (1 + other as usize).min(n - 1) };
        let listens = |at: &usize| !self.workers[*at].paused;
        let Some(worker) = (first..n).chain(0..first).find(listens) else { return };
        if !self.workers[worker].listening {
            self.workers[worker].listening = true;
            self.ready(worker, Task::Listen, ctx);
        }
    }

    /// Something of a worker's is ready.
    pub(super) fn ready(&mut self, worker: usize, task: Task, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = &mut self.workers[worker];
        let sleeps = row.sleeps();
        row.ready.push_back((task, now));
        if sleeps {
            self.turn(worker, ctx);
        }
    }

    /// A worker turns to what is ready next; it takes effect when its processor time is spent.
    pub(super) fn turn(&mut self, worker: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        loop {
            let queue = worker.min(self.sockets.len() - 1);
            let empty = self.sockets[queue].waiting.is_empty();
            let next = match self.mutex {
                Some(_) => self.next_in_batch(worker, ctx),
                None => self.workers[worker].ready.pop_front(),
            };
            let Some((task, since)) = next else { return };
            let row = &mut self.workers[worker];
            let cost = match task {
                Task::Listen if empty => {
                    row.listening = false;
                    self.unlock(worker);
                    continue;
                }
                Task::Listen if self.mutex.is_some() => self.cpu_accept,
                Task::Listen => {
                    row.ready.push_back((Task::Listen, now));
                    self.cpu_accept
                }
                Task::Handshake(_) => self.cpu_handshake,
                // Half of a request's time is spent on its answer.
                Task::Read(_) | Task::Request(_) => self.cpu_request.scaled(0.5),
            };
            let row = &mut self.workers[worker];
            ctx.ledger.waited_for(self.limits.cpu, since, now);
            let cost = cost + std::mem::take(&mut row.owed);
            row.current = Some(task);
            return match self.machine {
                Some(machine) => {
                    let thread = ThreadOf::number(worker as u32);
                    ctx.compute(machine, thread, cost, LOOP, worker as u32, 0);
                }
                None => ctx.wake_at(now + cost, Rank::Completion, LOOP, worker as u32, 0),
            };
        }
    }

    /// A worker has done what it turned to.
    #[inline(never)]
    pub(super) fn turned(&mut self, worker: usize, ctx: &mut Ctx) {
        let Some(task) = self.workers[worker].current.take() else { return };
        match task {
            Task::Listen => {
                self.accept(worker, ctx);
                self.unlock(worker);
            }
            Task::Handshake(call) => {
                if ctx.calls.alive(call) {
                    self.await_request(call, worker, ctx);
                }
            }
            Task::Read(call) => self.begin(call, ctx),
            Task::Request(call) => self.take_up(call, ctx),
        }
        if self.workers[worker].current.is_none() {
            self.turn(worker, ctx);
        }
    }

    /// A worker accepts: one connection, or with multi_accept all that wait.
    fn accept(&mut self, worker: usize, ctx: &mut Ctx) {
        let queue = worker.min(self.sockets.len() - 1);
        let now = ctx.now();
        let mut accepted = 0_u64;
        while !self.sockets[queue].waiting.is_empty() && (accepted == 0 || self.multi_accept) {
            if !self.workers[worker].has_descriptor() {
                self.pause(worker, ctx);
                break;
            }
            let Some((call, since)) = self.sockets[queue].waiting.pop_front() else { break };
            accepted += 1;
            // It waited for the end of a pause after EMFILE, or for a worker that had other things to do.
            let paused = self.workers[worker].resumed > since;
            let limit = if paused { self.limits.descriptors } else { self.limits.cpu };
            ctx.ledger.waited_for(limit, since, now);
            if ctx.calls.get(call).abandoned {
                ctx.fail(call, Cause::ClientTimeout, 0);
            } else {
                self.accepted_by(worker, call, ctx);
            }
        }
        let owed = self.workers[worker].owed;
        self.workers[worker].owed = owed + self.cpu_accept * (accepted.max(1) - 1);
        self.show_queue(ctx);
        self.reorder(worker);
    }

    /// From 1.21.6 the socket is registered anew from time to time, so that other workers get their turn.
    fn reorder(&mut self, worker: usize) {
        if !self.reorders || self.sockets.len() > 1 || self.line.len() == 1 {
            return;
        }
        let row = &mut self.workers[worker];
        row.accepts += 1;
        if (row.accepts - 1).is_multiple_of(REORDER) && !row.paused {
            if let Some(at) = row.ready.iter().position(|(task, _)| matches!(task, Task::Listen)) {
                let listen = row.ready.remove(at);
                row.ready.extend(listen);
            }
            self.line.retain(|&other| other != worker);
            self.line.push(worker);
        }
    }

    /// accept() failed with EMFILE.
    fn pause(&mut self, worker: usize, ctx: &mut Ctx) {
        self.counts.accept_pauses += 1;
        if self.mutex.is_some() {
            return self.give_up_listening(worker);
        }
        let row = &mut self.workers[worker];
        row.paused = true;
        row.listening = false;
        row.ready.retain(|(task, _)| !matches!(task, Task::Listen));
        ctx.wake(self.accept_pause, RESUME, worker as u32, 0);
    }

    /// The pause after EMFILE is over.
    pub(super) fn resume(&mut self, worker: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = &mut self.workers[worker];
        row.paused = false;
        row.resumed = now;
        row.listening = true;
        let sleeps = row.sleeps();
        row.ready.push_back((Task::Listen, now));
        if sleeps {
            self.turn(worker, ctx);
        }
    }

    fn accepted_by(&mut self, worker: usize, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.note_free(worker);
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
            client: self.clients.of(&row, ctx.nodes),
            requests: 0,
            accepted: now,
            call,
            streams: 0,
            http2: ctx.speaks_http2(row.from),
            leaving: false,
            timer: TimerId::NONE,
            turn: 0,
        };
        let at = self.new_connection(connection);
        let turn = self.connections[at as usize].turn;
        self.now_reusable(worker, at, turn);
        self.show_connections(ctx);
        ctx.calls.get(call).via = Via::Open(at);
        if row.opening.tls() {
            // The hello is in one round trip before the request.
            self.workers[worker].ready.push_back((Task::Handshake(call), now));
        } else {
            self.await_request(call, worker, ctx);
        }
    }

    /// The request's first byte is here, or comes later.
    fn await_request(&mut self, call: CallId, worker: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        let mark = ctx.calls.get(call).mark;
        if mark > now {
            ctx.wake_at(mark, Rank::Arrival, READ, call.slot, call.turn);
        } else {
            self.workers[worker].ready.push_back((Task::Read(call), now));
        }
    }

    /// The request of a new connection has come in. Until its worker turns to it the connection counts as not yet used, and
    /// may be closed for want of slots.
    pub(super) fn request_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let Via::Open(connection) = ctx.via(call) else { return };
        let worker = self.connections[connection as usize].worker as usize;
        self.ready(worker, Task::Read(call), ctx);
    }

    /// The worker handles the first request of a connection.
    fn begin(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let Via::Open(connection) = ctx.via(call) else { return };
        let row = &self.connections[connection as usize];
        if row.state != State::Accepted || row.call != call {
            return;
        }
        self.leave_reusable(connection, ctx);
        let row = &mut self.connections[connection as usize];
        row.state = State::Active;
        row.streams = 1;
        ctx.opened(call);
        self.new_exchange(call, connection, ctx);
        self.pass_limits(call, ctx);
    }

    /// The worker handles a request on a kept connection.
    fn take_up(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let Via::Open(connection) = ctx.via(call) else { return };
        let row = &self.connections[connection as usize];
        if row.state != State::Active || (row.call != call && !row.http2) {
            return;
        }
        if row.leaving {
            // It was read behind the request after which the connection takes no more.
            self.drop_request(connection, ctx);
            return ctx.not_taken(call);
        }
        self.new_exchange(call, connection, ctx);
        self.pass_limits(call, ctx);
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

    /// Shows how many connection slots are in use.
    pub(super) fn show_connections(&self, ctx: &mut Ctx) {
        let used: u32 = self.workers.iter().map(super::worker::Worker::slots_used).sum();
        ctx.ledger.set(self.connections_gauge, ctx.queue.now(), u64::from(used));
    }

    /// Closes reusable connections when slots run short: idle clients, and clients whose request is not read yet.
    pub(super) fn drain(&mut self, worker: usize, ctx: &mut Ctx) {
        for _ in 0..self.workers[worker].to_drain() {
            let rows = &self.connections;
            let reusable = |at: u32, turn: u32| {
                let row = &rows[at as usize];
                row.turn == turn && matches!(row.state, State::Idle | State::Accepted)
            };
            let Some(victim) = self.workers[worker].oldest_reusable(reusable) else { return };
            self.counts.closed_for_reuse += 1;
            let row = self.connections[victim as usize];
            self.shut(victim, ctx);
            if row.state == State::Accepted {
                ctx.ledger.refused_by(self.limits.slots, ctx.queue.now());
                self.refuse(row.call, Cause::WorkerConnections, 0, ctx);
            }
        }
    }

    fn leave_reusable(&mut self, connection: u32, ctx: &mut Ctx) {
        let row = &mut self.connections[connection as usize];
        ctx.queue.cancel(row.timer);
        row.turn = row.turn.wrapping_add(1);
        let worker = row.worker as usize;
        self.workers[worker].no_longer_reusable();
    }

    /// Closes a client's connection that carries no request; on HTTP/2 the client is told.
    pub(super) fn shut(&mut self, connection: u32, ctx: &mut Ctx) {
        let row = &self.connections[connection as usize];
        if row.http2 && row.state == State::Idle {
            ctx.go_away(row.owner, Span::ZERO);
        }
        self.close_connection(connection, ctx);
    }

    /// Closes a client's connection.
    pub(super) fn close_connection(&mut self, connection: u32, ctx: &mut Ctx) {
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
    pub(super) fn refuse(&mut self, call: CallId, cause: Cause, status: u16, ctx: &mut Ctx) {
        ctx.calls.get(call).keep_alive = false;
        ctx.fail(call, cause, status);
    }
}
