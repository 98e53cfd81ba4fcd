//! All that a node may touch besides itself.

use super::account::Account;
use super::calls::{Call, Calls, Op, Via};
use super::cpu::Sharing;
use super::endpoints::Endpoints;
use super::faults::Faults;
use super::flows::{FLOW_ENDED, Flow, Flows, Path};
use super::host::{Host, HostId, Job, ThreadOf};
use super::ledger::{Ledger, LimitId};
use super::listener::{DATA_RETRIES, Data, data_retry, timer_wheel};
use super::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use super::operation::Operation;
use super::work::Work;
use crate::kernel::{LaneId, Name, Queue, Rank, Span, Stream, Time, TimerId};
use crate::units::Bytes;

/// Purposes of random draws. The numbers are part of the streams' keys: never renumber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A step of the work; add the step's number.
    Step = 0,
    /// Overhead of a front door.
    FrontDoor = 1 << 16,
    /// Start of an execution environment.
    ColdStart = 2 << 16,
    /// Choice among servers.
    Routing = 3 << 16,
    /// Faults of the platform.
    Fault = 4 << 16,
    /// Cost of a login.
    Login = 5 << 16,
    /// Accept order of a server's worker processes.
    Accept = 6 << 16,
    /// Whether a function's runtime crashes.
    Crash = 30 << 16,
    /// Whether a client of a pooler keeps its server connection.
    Pinning = 40 << 16,
    /// Which item of a store a request asks for, and whether it writes.
    Item = 41 << 16,
    /// Start of a worker that takes the place of a killed one.
    WorkerBoot = 44 << 16,
    /// Delay before a throttled call to a store is tried again.
    StoreRetry = 42 << 16,
    /// Whether an authoriser has to be asked, and how long it takes.
    Authorizer = 43 << 16,
}

const CALL: Name = Name::new("call");
const FAIL: Name = Name::new("fail");

/// What a node is given with every message: the world around it. Made once a run.
pub struct Ctx<'a> {
    /// Pending events.
    pub queue: Queue<Event>,
    /// Calls in flight.
    pub calls: Calls,
    /// What is counted.
    pub ledger: Ledger,
    /// Addresses that take new connections.
    pub endpoints: Endpoints,
    /// Faults of the network that are in force.
    pub faults: Faults,
    /// Connections that a forwarder follows to their end.
    pub flows: Flows,
    /// Classes of users that speak HTTP/2.
    pub http2: Vec<NodeId>,
    /// AWS accounts of the design.
    pub accounts: Vec<Account>,
    /// What happens to nodes at given times.
    pub operations: &'a [Operation],
    /// Kinds of request.
    pub works: &'a [Work],
    /// Processors.
    pub hosts: Vec<Host>,
    /// Keys of the nodes, by name.
    pub salts: &'a [u64],
    /// How many nodes there are: whoever has a higher number is a class of users.
    pub nodes: usize,
    /// The node itself.
    pub me: NodeId,
}

impl Ctx<'_> {
    /// Whether a call comes from users, and not from a node that chose an address itself.
    pub fn from_users(&mut self, call: CallId) -> bool {
        self.calls.get(call).from.index() >= self.nodes
    }

    /// Whether nobody waits any more for what a call is to bring: its caller has gone, or whoever the caller works for. Not every
    /// caller tells the callee (a balancer does not).
    #[inline]
    pub fn in_vain(&self, call: CallId) -> bool {
        self.calls.some_abandoned && self.left_by_all(call)
    }

    fn left_by_all(&self, call: CallId) -> bool {
        let mut at = call;
        while self.calls.alive(at) {
            let row = self.calls.peek(at);
            if row.abandoned {
                return true;
            }
            if row.from.index() >= self.nodes {
                break;
            }
            at = row.parent;
        }
        false
    }

    /// Time of the event being handled.
    #[inline]
    pub fn now(&self) -> Time {
        self.queue.now()
    }

    /// Wakes this node after `delay`.
    #[inline(always)]
    pub fn wake(&mut self, delay: Span, timer: u8, word: u32, turn: u32) {
        let event = Event::new(self.me, Message::Wake(timer, word, turn));
        self.queue.after(delay, event);
    }

    /// Wakes this node at a point in time, ordered among others of that instant by `rank`.
    #[inline(always)]
    pub fn wake_at(&mut self, at: Time, rank: Rank, timer: u8, word: u32, turn: u32) {
        let event = Event::new(self.me, Message::Wake(timer, word, turn));
        self.queue.at(at, rank, event);
    }

    /// Runs `work` on a host; this node is woken with `timer` when it is done.
    pub fn compute(
        &mut self,
        host: HostId,
        thread: ThreadOf,
        work: Span,
        timer: u8,
        word: u32,
        turn: u32,
    ) {
        let job = Job { node: self.me, timer, word, turn, thread };
        let due = self.hosts[usize::from(host.0)].start(self.queue.now(), job, work);
        self.come_back(host, due);
    }

    /// Takes such work off the host before its end.
    pub fn stop_computing(
        &mut self,
        host: HostId,
        thread: ThreadOf,
        timer: u8,
        word: u32,
        turn: u32,
    ) {
        let job = Job { node: self.me, timer, word, turn, thread };
        let due = self.hosts[usize::from(host.0)].remove(self.queue.now(), job);
        self.come_back(host, due);
    }

    /// Changes how a host of this node is shared.
    pub fn reshare(&mut self, host: HostId, sharing: Sharing) {
        let due = self.hosts[usize::from(host.0)].reshare(self.queue.now(), sharing);
        self.come_back(host, due);
    }

    /// Reference work that a host has done by now, nanoseconds.
    pub fn work_done(&mut self, host: HostId) -> f64 {
        self.hosts[usize::from(host.0)].done_by(self.queue.now())
    }

    /// A host.
    pub fn host(&self, host: HostId) -> &Host {
        &self.hosts[usize::from(host.0)]
    }

    /// Notes when the next work of a host is done.
    pub(super) fn come_back(&mut self, host: HostId, due: Option<(Time, u32, u32)>) {
        let Some((at, core, turn)) = due else { return };
        self.queue.at(at, Rank::Completion, host.event(core, turn));
        while let Some((at, core, turn)) = self.hosts[usize::from(host.0)].also_due() {
            self.queue.at(at, Rank::Completion, host.event(core, turn));
        }
    }

    /// Arms a constant timer of this node.
    #[inline(always)]
    pub fn arm(&mut self, lane: LaneId, timer: u8, word: u32, turn: u32) -> TimerId {
        self.queue.arm(lane, Event::new(self.me, Message::Wake(timer, word, turn)))
    }

    /// Sends `call` to its callee; it arrives after `delay`, ordered as an arrival.
    #[inline(always)]
    pub fn call(&mut self, call: Call, delay: Span) -> CallId {
        let to = call.to;
        let id = self.calls.open(Call { sent: self.queue.now(), ..call });
        self.enter(id, to, delay);
        id
    }

    /// A call is on its way.
    #[inline(always)]
    pub(super) fn enter(&mut self, id: CallId, to: NodeId, delay: Span) {
        if self.faults.any() {
            return self.enter_slowed(id, to, delay);
        }
        self.sets_out(id, to, delay);
    }

    /// A call is on its way while the network has a fault.
    #[cold]
    fn enter_slowed(&mut self, id: CallId, to: NodeId, delay: Span) {
        self.sets_out(id, to, delay + self.faults.delay(to));
    }

    #[inline(always)]
    fn sets_out(&mut self, id: CallId, to: NodeId, delay: Span) {
        self.ledger.nodes[to.index()].enter(self.queue.now());
        let event = Event::new(to, Message::Arrive(id));
        self.queue.travel(delay, Rank::Arrival, event);
    }

    /// Runs a statement of length `amount` at a store on behalf of `parent`. The store knows the connection by this node and its number
    /// `tag`.
    #[inline(always)]
    pub fn call_store(&mut self, store: NodeId, parent: CallId, amount: Span, tag: u32) -> CallId {
        let row = self.calls.get(parent);
        let step = row.step;
        let call = Call { op: Op::Query, amount, tag, step, ..row.child(self.me, store, parent) };
        self.call(call, Span::ZERO)
    }

    /// Opens a connection to a store on behalf of `parent`, which it knows from then on by this node and the number `tag`; `startup` is what
    /// the client computes before its first message.
    pub fn connect_store(
        &mut self,
        store: NodeId,
        parent: CallId,
        startup: Span,
        tag: u32,
    ) -> CallId {
        let row = self.calls.get(parent);
        let step = row.step;
        let call = Call { amount: startup, tag, step, ..row.child(self.me, store, parent) };
        self.connect(call)
    }

    /// Opens a connection to a store.
    pub fn connect(&mut self, call: Call) -> CallId {
        self.ledger.nodes[call.to.index()].connects += 1;
        self.call(Call { op: Op::Connect, ..call }, Span::ZERO)
    }

    /// Calls a service on behalf of the present step of `parent`. The step is part of the new call's key: the same work
    /// called twice draws twice, and so does a retry.
    #[inline]
    pub fn call_service(&mut self, service: NodeId, work: u16, parent: CallId) -> CallId {
        let row = self.calls.get(parent);
        let key = row.step_key().under(CALL);
        let visit = u16::from(row.retries);
        let call = Call { work, key, visit, bytes: 0, ..row.child(self.me, service, parent) };
        self.call(call, Span::ZERO)
    }

    /// Sends a message or an event of `bytes` on behalf of the present step of `parent`; its draws are those of a call.
    pub fn send(&mut self, to: NodeId, work: u16, op: Op, bytes: Bytes, parent: CallId) -> CallId {
        let row = self.calls.get(parent);
        let key = row.step_key().under(CALL);
        let bytes = u32::try_from(bytes.0).unwrap_or(u32::MAX);
        let call = Call { work, key, op, bytes, visit: 0, ..row.child(self.me, to, parent) };
        self.call(call, Span::ZERO)
    }

    /// Delivers a call that this node routes on to `to`; same row, same caller.
    pub fn pass_on(&mut self, id: CallId, to: NodeId, address: u16) {
        let now = self.now();
        let row = self.calls.get(id);
        let from_here = row.to;
        row.to = to;
        row.address = address;
        let sent = std::mem::replace(&mut row.sent, now);
        self.ledger.nodes[from_here.index()].leave(now, sent, true);
        self.ledger.nodes[to.index()].enter(now);
        self.queue.immediately(Event::new(to, Message::Arrive(id)));
    }

    /// The kernel dropped the SYN of a call because `limit` was reached: it is sent again, or at last given up, when
    /// this node is woken with `give_up`. Counts its SYNs in the call's first word.
    pub fn syn_lost(&mut self, id: CallId, limit: LimitId, give_up: u8) {
        let now = self.now();
        let row = self.calls.get(id);
        row.a += 1;
        let (wait, last) = row.opening.wait_after(row.a);
        // The client's timer ran from when the SYN left.
        let due = timer_wheel(Time::ZERO + now.since(Time::ZERO + row.hop), wait) + row.hop;
        self.ledger.waited_for(limit, now, due);
        if last {
            self.wake_at(due, Rank::Timeout, give_up, id.slot, id.turn);
        } else {
            self.queue.at(due, Rank::Arrival, Event::new(self.me, Message::Arrive(id)));
        }
    }

    /// The connection of a call is half-open: its client is connected and sends the request again and again. This node is
    /// woken with `data` at the next repetition, which is the `n`-th (1 is the first).
    pub fn data_lost(&mut self, id: CallId, limit: LimitId, data: u8, n: u32) {
        let now = self.now();
        let row = self.calls.get(id);
        let rtt = row.hop * 2;
        if n == 1 {
            row.established = now;
            row.mark = now + row.amount;
        }
        let sent = if n == 1 { row.mark } else { now };
        row.a = n;
        let due = timer_wheel(Time::ZERO + sent.since(Time::ZERO + row.hop), data_retry(n, rtt))
            + row.hop;
        self.ledger.waited_for(limit, now, due);
        self.wake_at(due, Rank::Arrival, data, id.slot, id.turn);
    }

    /// Why a half-open connection is over on its client's side: the client has left, or its kernel has sent the request as often
    /// as it does.
    pub fn data_over(&mut self, id: CallId) -> Option<Cause> {
        let row = self.calls.get(id);
        if row.abandoned {
            return Some(Cause::ClientTimeout);
        }
        (row.a > DATA_RETRIES).then_some(Cause::Reset)
    }

    /// What the kernel does with the data of a half-open connection that came again. Whether the connection has a place now.
    pub fn data_again(&mut self, id: CallId, answer: Data, limit: LimitId, data: u8) -> bool {
        match answer {
            Data::Queued => return true,
            Data::Lost => {
                let n = self.calls.get(id).a + 1;
                self.data_lost(id, limit, data, n);
            }
            Data::Reset => self.kernel_resets(id, limit),
        }
        false
    }

    /// The kernel answers a connection with a reset because of `limit`.
    pub fn kernel_resets(&mut self, id: CallId, limit: LimitId) {
        self.ledger.refused_by(limit, self.queue.now());
        self.fail(id, Cause::Reset, 0);
    }

    /// Answers a call that this node was given. The caller learns it after the path's delay.
    #[inline(always)]
    pub fn reply(&mut self, id: CallId, outcome: Outcome) {
        if self.flows.any() {
            return self.reply_followed(id, outcome);
        }
        self.answer(id, outcome);
    }

    /// Answers a call whose connection forwarders may follow.
    #[cold]
    fn reply_followed(&mut self, id: CallId, outcome: Outcome) {
        self.flow_answered(id);
        self.answer(id, outcome);
    }

    #[inline(always)]
    fn answer(&mut self, id: CallId, outcome: Outcome) {
        let now = self.now();
        let row = self.calls.get(id);
        row.outcome = outcome;
        row.answered = true;
        let (to, from, sent, hop, abandoned) = (row.to, row.from, row.sent, row.hop, row.abandoned);
        self.ledger.nodes[to.index()].leave(now, sent, outcome.is_ok());
        if abandoned {
            self.calls.close(id);
        } else {
            let event = Event::new(from, Message::Reply(id));
            self.queue.travel(hop, Rank::Completion, event);
        }
    }

    /// A call was answered: forwarders of its connection may have to know.
    #[cold]
    fn flow_answered(&mut self, id: CallId) {
        let row = *self.calls.get(id);
        // Callers that speak HTTP/2 say themselves when a connection that never stood has ended.
        let stands = matches!(row.via, Via::Open(_)) || self.speaks_http2(row.from);
        let stays = stands && row.keep_alive;
        let ended = self.flows.answered(id, (row.from, row.tag), stays, self.queue.now());
        self.flow_ended(ended);
    }

    /// Answers with a failure that began here.
    #[inline(never)]
    pub fn fail(&mut self, id: CallId, cause: Cause, status: u16) {
        let me = self.me;
        self.reply(id, Outcome::failed(cause, me, status));
    }

    /// Takes the answer of a call that this node made: its outcome, and the row is gone.
    #[inline(always)]
    pub fn take_reply(&mut self, id: CallId) -> Call {
        let row = *self.calls.get(id);
        self.calls.close(id);
        row
    }

    /// This node gives up one of its own calls; the callee is told after the path's delay.
    pub fn abandon(&mut self, id: CallId) {
        if !self.calls.alive(id) {
            return;
        }
        self.calls.some_abandoned = true;
        let row = self.calls.get(id);
        if row.answered {
            // The answer is on its way: whoever called takes it and finds nobody waiting.
            row.abandoned = true;
            return;
        }
        row.abandoned = true;
        let event = Event::new(row.to, Message::Cancel(id));
        let (hop, owner) = (row.hop, (row.from, row.tag));
        self.queue.travel(hop, Rank::Completion, event);
        if self.flows.any() && !self.speaks_http2(owner.0) {
            // Whoever gives up a call closes its connection.
            let ended = self.flows.given_up(id, owner);
            self.flow_ended(ended);
        }
    }

    /// This node hands a call on and is to be woken with `word` when its connection ends. A connection of users that is silent for
    /// `idle` is forgotten.
    pub fn follow(&mut self, id: CallId, word: u32, idle: Option<Span>) {
        let flow = Flow { forwarder: self.me, word, idle, since: self.queue.now() };
        let row = *self.calls.get(id);
        if row.keep_alive && row.from.index() >= self.nodes {
            self.flows.follow_kept(row.from, row.tag, flow);
        } else {
            self.flows.follow_call(id, flow);
        }
    }

    /// Tells forwarders that a connection has ended.
    pub fn flow_ended(&mut self, ended: Path) {
        for Flow { forwarder: to, word, .. } in ended.into_iter().flatten() {
            self.queue.immediately(Event::new(to, Message::Wake(FLOW_ENDED, word, 0)));
        }
    }

    /// Closes an idle connection that this node holds to `to`.
    pub fn hang_up(&mut self, to: NodeId, connection: u32, tag: u32) {
        let message = Message::HangUp(self.me, connection, tag);
        self.queue.immediately(Event::new(to, message));
        if self.flows.any() {
            let ended = self.flows.closed(self.me, tag);
            self.flow_ended(ended);
        }
    }

    /// The random stream of this call for `purpose` at this node: keyed by request, try, step, purpose and the node's
    /// name, so that two nodes never draw the same.
    pub fn stream(&mut self, id: CallId, purpose: Purpose) -> Stream {
        let salt = self.salts[self.me.index()];
        let row = self.calls.get(id);
        let place = u64::from(row.visit) << 32 | purpose as u64 | u64::from(row.step);
        row.key.with(place ^ salt).stream()
    }

    /// Whether the present step of a call's work fails, as it does in `share` of the cases. `every_time`: a request
    /// that fails once fails at every try.
    pub fn step_fails(&mut self, id: CallId, share: f64, every_time: bool) -> bool {
        let row = self.calls.get(id);
        let visit = if every_time { 0 } else { row.visit };
        Call { visit, ..*row }.step_key().under(FAIL).stream().chance(share)
    }

    /// How a call travels.
    pub fn via(&mut self, id: CallId) -> Via {
        self.calls.get(id).via
    }
}
