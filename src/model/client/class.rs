//! A class of users as it runs: a pseudo node that sends requests and takes their answers.
//!
//! Everything random about user u's request k is keyed by (class, u, k): the same in every design, whatever retries,
//! other users or other nodes do.

mod coming;
mod http2;
mod race;
mod sending;
mod simple;
mod user;

use super::addresses::Race;
use super::arrivals::Arrivals;
use super::load::{Load, WhenBusy};
use super::spec::{ClassSpec, Connection, Generator, KeptBy};
use crate::kernel::{Key, LaneId, Name, Rank, Span, Time, prefetch};
use crate::model::calls::{Call, Opening};
use crate::model::context::Ctx;
use crate::model::dist::{Dist, Sampler};
use crate::model::http2::{GOAWAY, OPENED};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::retry::{Adaptive, Retry, RetryState, SdkMode};
use crate::model::wiring::Wiring;
use http2::Http2;
use sending::tls_trips;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use user::{Kept, User};

const START: u8 = 0;
const ARRIVAL: u8 = 1;
const NEXT: u8 = 2;
const RETRY: u8 = 3;
const TIMEOUT: u8 = 4;
const SEND: u8 = 5;
/// The load generator opens the connection of a user.
const OPEN: u8 = 6;
/// The next address of a name has its turn.
const NEXT_ADDRESS: u8 = 7;

/// No row.
const NIL: u32 = u32::MAX;

const RETRIES: Name = Name::new("retry");
const THINK: Name = Name::new("think");

/// One kind of request of a session: its work and the pause after it.
#[derive(Debug, Clone)]
struct Round {
    work: u16,
    think: Sampler,
}

/// A class of users as it runs.
pub struct Class {
    index: usize,
    entry: NodeId,
    key: Key,
    rounds: Vec<Round>,
    closed: Option<ClosedLoad>,
    arrivals: Option<Arrivals>,
    vus: Option<(u32, WhenBusy)>,
    timeout: Option<LaneId>,
    patience: Option<Span>,
    retry: Retry,
    /// What all requests have in common, and first attempts on new connections besides; from whom they come is known from the start of
    /// the run on.
    model: Call,
    shared: RetryState,
    adaptive: Option<Adaptive>,
    connection: Connection,
    generator: Generator,
    /// Whether the entry accepts connections itself (nginx, pods) or takes requests as they come (AWS front doors).
    entry_listens: bool,
    /// How many addresses the entry's name has, and the pause before the next one is tried: only where clients go on to it.
    addresses: Option<(u16, LaneId)>,
    /// Connections of many requests at a time, where users speak HTTP/2.
    http2: Option<Box<Http2>>,
    /// By user, where clients go on to further addresses.
    races: Vec<Race>,
    /// By user, where TLS sessions are resumed: until when.
    sessions: Vec<Time>,
    /// By user, where each has retry tokens of its own.
    own: Vec<RetryState>,
    /// By user, from the first failure on: the last pause before a retry.
    backoffs: Vec<Span>,
    users: Vec<User>,
    /// The first of the rows that are free; each names the next as its number.
    free: u32,
    /// Users that are here.
    present: usize,
    next_user: u32,
    /// Connections that users who have gone left open (open load), and since when, the oldest first. Those of a load generator are
    /// used again, the most recent first.
    spare: VecDeque<(Kept, Time)>,
    /// After how long the entry closes an idle connection, as far as its users learn it before they send.
    idle_close: Option<Span>,
    /// Until when the load generator opens connections that are wanted already.
    opening_until: Time,
    /// Name of the connection that was opened last: each has one of its own.
    opened: NonZeroU32,
    /// Scheduled arrivals that wait for a user of the load generator.
    waiting: VecDeque<Time>,
    /// Arrivals that were never sent because the load generator had no user free.
    dropped: u64,
    /// Round trips of a handshake that resumes nothing.
    round_trips: Span,
    /// Whether every user that will ever come has come.
    exhausted: bool,
    in_progress: u64,
    /// Whether its users come, send and are done in one act each.
    simple: bool,
}

#[derive(Debug, Clone)]
struct ClosedLoad {
    users: u32,
    ramp: Span,
    deadline: Time,
    rounds: u32,
    think: Sampler,
}

/// The requests of a session, and the pauses after them.
fn rounds(spec: &ClassSpec, wiring: &mut Wiring) -> Result<Vec<Round>, String> {
    let zero = Dist::Constant(Span::ZERO);
    let steps = match (&spec.request, &spec.session) {
        (Some(request), None) => vec![(request, &zero)],
        (None, Some(session)) => session.iter().map(|s| (&s.request, &s.think)).collect(),
        _ => return Err("give either `request` or `session`".into()),
    };
    let round = |(request, think): (&String, &Dist)| {
        Ok(Round { work: wiring.work(request)?, think: think.sampler(wiring.data)? })
    };
    steps.into_iter().map(round).collect()
}

/// What all requests of a class have in common, but for times and the work.
fn model(spec: &ClassSpec, entry: NodeId) -> Call {
    let connection = &spec.connection;
    Call {
        keep_alive: connection.keepalive,
        idempotent: spec.idempotent,
        bytes: u32::try_from(spec.body.0).unwrap_or(u32::MAX),
        opening: Opening::plain(connection.syn_retry)
            .syn_retries(connection.syn_retries)
            .signed(connection.tls),
        ..Call::request(NodeId(0), entry, CallId::NONE)
    }
}

/// The users of a closed load.
fn closed(spec: &ClassSpec, wiring: &Wiring) -> Result<Option<ClosedLoad>, String> {
    let Load::Closed(load) = &spec.load else { return Ok(None) };
    Ok(Some(ClosedLoad {
        users: load.users,
        ramp: load.ramp,
        deadline: load.duration.map_or(Time::MAX, |d| Time::ZERO + d),
        rounds: load.requests_per_user.unwrap_or(u32::MAX),
        think: load.think.sampler(wiring.data)?,
    }))
}

impl Class {
    /// Makes a class ready. `entry` is the node where this design lets the class in.
    ///
    /// # Errors
    /// Says which law, kind of request or trace is wrong.
    pub fn new(
        spec: &ClassSpec,
        index: usize,
        entry: NodeId,
        wiring: &mut Wiring,
    ) -> Result<Class, String> {
        let key = wiring.key();
        let vus = match &spec.load {
            Load::Open(open) => open.vus.as_ref().map(|vus| (vus.max, vus.when_busy)),
            _ => None,
        };
        wiring.ledger.classes[index].load_ends =
            spec.load.ends().map_or(Time::MAX, |ends| Time::ZERO + ends);
        let timeout = spec.patience.timeout.map(|t| wiring.queue.lane(t, Rank::Timeout));
        let choices = wiring.choices(entry);
        let patience = spec.connection.addresses.patience().filter(|_| choices > 1);
        let addresses =
            patience.map(|patience| (choices, wiring.queue.lane(patience, Rank::Timeout)));
        let rounds = rounds(spec, wiring)?;
        let connection = &spec.connection;
        let round_trips = connection.rtt * u64::from(1 + tls_trips(connection));
        let adaptive = matches!(&spec.retry, Retry::Sdk(sdk) if sdk.mode == SdkMode::Adaptive);
        let mut class = Class {
            index,
            entry,
            key,
            closed: closed(spec, wiring)?,
            arrivals: Arrivals::new(&spec.load, key, wiring.data)?,
            vus,
            timeout,
            patience: spec.patience.timeout,
            shared: spec.retry.state(),
            retry: spec.retry.clone(),
            model: Call {
                amount: round_trips + connection.send_delay,
                work: rounds.first().map_or(0, |round| round.work),
                hop: wiring.way(connection.rtt),
                ..model(spec, entry)
            },
            adaptive: adaptive.then(Adaptive::default),
            connection: spec.connection.clone(),
            generator: spec.generator.clone(),
            entry_listens: wiring.listens(entry),
            addresses,
            http2: Http2::new(spec.connection.http2, entry, wiring)?,
            races: Vec::new(),
            sessions: Vec::new(),
            own: Vec::new(),
            backoffs: Vec::new(),
            users: Vec::new(),
            free: NIL,
            present: 0,
            next_user: 0,
            spare: VecDeque::new(),
            idle_close: wiring.keepalive(entry),
            opening_until: Time::ZERO,
            opened: NonZeroU32::MAX,
            waiting: VecDeque::new(),
            dropped: 0,
            round_trips,
            rounds,
            exhausted: false,
            in_progress: 0,
            simple: false,
        };
        class.simple = class.is_simple();
        Ok(class)
    }

    /// Begins the load.
    pub fn start(&mut self, ctx: &mut Ctx) {
        self.model.from = ctx.me;
        if self.closed.is_some() {
            ctx.wake_at(Time::ZERO, Rank::Arrival, START, 0, 0);
        }
        self.schedule_arrival(ctx);
    }

    /// Whether no request will ever come again.
    pub fn done(&self) -> bool {
        self.exhausted && self.present == 0
    }

    /// Requests that have begun and not ended.
    pub fn in_progress(&self) -> u64 {
        self.in_progress
    }

    /// Arrivals that the load generator never sent.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Has a user's row loaded that will be needed soon.
    pub(in crate::model) fn prefetch(&self, slot: u32) {
        if let Some(user) = self.users.get(slot as usize) {
            prefetch(user);
            prefetch(&user.served);
        }
    }

    /// Handles a message. What comes with every request has a function of its own: this one saves no registers.
    #[inline]
    pub fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Reply(call) if self.simple => self.is_done(call, ctx),
            Message::Wake(ARRIVAL, ..) if self.simple => self.comes_and_sends(ctx),
            Message::Reply(call) => self.answered(call, ctx),
            Message::Wake(ARRIVAL, ..) => self.comes(ctx),
            _ => self.told(event, ctx),
        }
    }

    /// Handles the other messages.
    #[inline(never)]
    fn told(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Wake(OPENED, slot, turn) => {
                self.connection_stands(CallId { slot, turn }, ctx);
            }
            Message::Wake(GOAWAY, tag, _) => self.connection_leaves(tag, ctx),
            Message::Wake(START, number, _) => self.start_closed(number, ctx),
            Message::Wake(timer, slot, turn) => {
                if self.users[slot as usize].turn != turn {
                    return;
                }
                match timer {
                    NEXT => self.goes_on_with(slot, ctx),
                    RETRY => self.tries_again(slot, ctx),
                    SEND => self.sends_late(slot, ctx),
                    OPEN if self.users[slot as usize].opening => self.dispatch(slot, ctx),
                    OPEN => {}
                    NEXT_ADDRESS => self.next_address(slot, ctx),
                    _ => self.timed_out(slot, ctx),
                }
            }
            Message::Reply(_) | Message::Arrive(_) | Message::Cancel(_) | Message::HangUp(..) => {
                debug_assert!(false, "users serve nobody");
            }
        }
    }

    /// A user begins the next request of a session.
    #[inline(never)]
    fn goes_on_with(&mut self, slot: u32, ctx: &mut Ctx) {
        self.begin(slot, ctx);
    }

    /// A user sends a request once more.
    #[inline(never)]
    fn tries_again(&mut self, slot: u32, ctx: &mut Ctx) {
        self.attempt(slot, ctx);
    }

    /// When the load generator's clock says that a time has come.
    fn tick(&self, at: Time) -> Time {
        let grain = self.generator.timer.nanos();
        if grain == 0 { at } else { Time::from_nanos(at.nanos().div_ceil(grain) * grain) }
    }

    /// Wakes a user after a pause.
    fn later(&self, pause: Span, timer: u8, slot: u32, turn: u32, ctx: &mut Ctx) {
        if pause.is_zero() || self.generator.timer.is_zero() {
            ctx.wake(pause, timer, slot, turn);
        } else {
            let at = self.tick(ctx.now() + pause);
            ctx.wake_at(at, Rank::Completion, timer, slot, turn);
        }
    }

    /// The user begins the request that is next.
    #[inline(always)]
    fn begin(&mut self, slot: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let user = &mut self.users[slot as usize];
        if let Some(closed) = &self.closed
            && now >= closed.deadline
        {
            self.retire(slot, ctx);
            return;
        }
        if user.request == 0 {
            ctx.ledger.classes[self.index].users += 1;
        }
        let idle_since = std::mem::replace(&mut user.sent, now);
        if user.connection.is_some()
            && self.idle_close.is_some_and(|idle| now.since(idle_since) > idle)
        {
            self.was_closed(slot, ctx);
        }
        let user = &mut self.users[slot as usize];
        user.attempt = 0;
        user.last_cause = None;
        if let Some(backoff) = self.backoffs.get_mut(slot as usize) {
            *backoff = Span::ZERO;
        }
        ctx.ledger.start(self.index, now);
        self.in_progress += 1;
        let state = self.own.get_mut(slot as usize).unwrap_or(&mut self.shared);
        self.retry.first_attempt(state);
        self.attempt(slot, ctx);
    }

    /// Key of the user's present request.
    #[inline(always)]
    fn request_key(&self, slot: u32) -> Key {
        let user = &self.users[slot as usize];
        self.key.with(u64::from(user.index)).with(u64::from(user.request))
    }

    #[inline(never)]
    fn answered(&mut self, id: CallId, ctx: &mut Ctx) {
        let call = ctx.take_reply(id);
        let slot = call.parent.slot;
        debug_assert_eq!(self.users[slot as usize].turn, call.parent.turn);
        if self.addresses.is_some() {
            if self.goes_on(slot, id, &call, ctx) {
                return;
            }
            self.end_race(slot, id, ctx);
        }
        if let Some(resumption) = self.connection.tls_resumption
            && let Some(until) = self.sessions.get_mut(slot as usize)
            && (call.established < Time::MAX || !self.entry_listens)
        {
            *until = (call.established.min(ctx.now()) + resumption.lifetime).max(*until);
        }
        if self.http2.is_some() && self.stream_ended(slot, &call, ctx) {
            return;
        }
        let http2 = self.http2.is_some();
        let user = &mut self.users[slot as usize];
        ctx.queue.cancel(user.timer);
        user.call = CallId::NONE;
        user.connection = if http2 { None } else { Kept::after(&call) };
        self.ended(slot, call.outcome, ctx);
    }

    fn timed_out(&mut self, slot: u32, ctx: &mut Ctx) {
        let user = &mut self.users[slot as usize];
        // A connection that the load generator has not opened yet has no call.
        let call = user.call;
        let mut established = self.connected(call, ctx);
        if call != CallId::NONE {
            ctx.abandon(call);
        }
        if self.addresses.is_some() {
            self.end_race(slot, call, ctx);
        }
        if self.http2.is_some() {
            established = self.stream_given_up(slot, established, ctx);
        }
        let user = &mut self.users[slot as usize];
        user.call = CallId::NONE;
        user.opening = false;
        user.connection = None;
        let cause = if established { Cause::ClientTimeout } else { Cause::ConnectTimeout };
        let outcome = Outcome::failed(cause, self.entry, 0);
        self.fails(slot, outcome, ctx);
    }

    /// An attempt failed that nobody answered.
    #[inline(never)]
    fn fails(&mut self, slot: u32, outcome: Outcome, ctx: &mut Ctx) {
        self.ended(slot, outcome, ctx);
    }

    /// An attempt ended: try again or be done.
    #[inline(always)]
    fn ended(&mut self, slot: u32, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        if let Some(limiter) = &mut self.adaptive {
            let throttled = outcome.cause.is_some_and(Cause::throttled);
            limiter.learn(now, throttled && !outcome.function_error);
        }
        if outcome.is_ok() {
            let user = &self.users[slot as usize];
            let state = self.own.get_mut(slot as usize).unwrap_or(&mut self.shared);
            self.retry.succeeded(state, user.attempt, user.last_cause);
        } else if self.tries_once_more(slot, outcome, ctx) {
            return;
        }
        let user = &mut self.users[slot as usize];
        ctx.ledger.end(self.index, now, user.sent, user.scheduled, outcome);
        self.in_progress -= 1;
        // From here on a connection that is kept is idle.
        user.sent = now;
        if outcome.is_ok() && !user.served {
            user.served = true;
            ctx.ledger.classes[self.index].users_served += 1;
        }
        self.next_request(slot, ctx);
    }

    /// After an attempt that failed: whether there will be another one.
    #[inline(never)]
    fn tries_once_more(&mut self, slot: u32, outcome: Outcome, ctx: &mut Ctx) -> bool {
        let user = &self.users[slot as usize];
        let (turn, attempt) = (user.turn, user.attempt);
        let key = self.request_key(slot).under(RETRIES);
        let state = self.own.get_mut(slot as usize).unwrap_or(&mut self.shared);
        let backoff = self.backoffs.get(slot as usize).copied().unwrap_or_default();
        let mut stream = key.with(u64::from(attempt)).stream();
        let now = ctx.now();
        let Some(pause) = self.retry.decide(state, outcome, attempt, backoff, now, &mut stream)
        else {
            return false;
        };
        let user = &mut self.users[slot as usize];
        user.attempt += 1;
        user.last_cause = outcome.cause;
        if self.backoffs.len() < self.users.len() {
            self.backoffs.resize(self.users.len(), Span::ZERO);
        }
        self.backoffs[slot as usize] = pause;
        self.later(pause, RETRY, slot, turn, ctx);
        true
    }

    /// Decides what the user does after a finished request.
    #[inline(always)]
    fn next_request(&mut self, slot: u32, ctx: &mut Ctx) {
        let user = &mut self.users[slot as usize];
        let round = &self.rounds[user.step as usize];
        let key = self.key;
        let (index, request) = (u64::from(user.index), u64::from(user.request));
        let stream = || key.with(index).with(request).under(THINK).stream();
        user.request += 1;
        let (turn, step) = (user.turn, user.step as usize + 1);
        if step < self.rounds.len() {
            user.step += 1;
            let pause = round.think.sample(&mut stream());
            self.later(pause, NEXT, slot, turn, ctx);
            return;
        }
        user.step = 0;
        // Whole sessions.
        let rounds = |requests: u32| requests as usize / self.rounds.len();
        match &self.closed {
            Some(closed) if rounds(user.request) < closed.rounds as usize => {
                let mut stream = stream();
                let pause = round.think.sample(&mut stream) + closed.think.sample(&mut stream);
                self.later(pause, NEXT, slot, turn, ctx);
            }
            _ => self.retire(slot, ctx),
        }
    }

    /// The user is done for good.
    #[inline(always)]
    fn retire(&mut self, slot: u32, ctx: &mut Ctx) {
        let user = &mut self.users[slot as usize];
        user.turn = user.turn.wrapping_add(1);
        let left = user.connection.take();
        user.index = self.free;
        self.free = slot;
        self.present -= 1;
        if let Some(connection) = left {
            self.leaves_behind(connection, ctx);
        }
        if self.http2.is_some() {
            self.leaves_connection(slot, ctx);
        }
        if !self.waiting.is_empty() {
            self.comes_late(ctx);
        }
    }

    /// What becomes of the connection of a user who goes.
    #[inline(always)]
    fn leaves_behind(&mut self, connection: Kept, ctx: &mut Ctx) {
        if self.closed.is_none() && self.connection.keepalive {
            // A browser's stays open until the server closes it, or to the end.
            if self.connection.kept_by == KeptBy::Generator || self.idle_close.is_some() {
                self.spare.push_back((connection, ctx.now()));
            }
        } else if self.entry_listens || ctx.flows.any() {
            ctx.hang_up(connection.node, connection.number, connection.tag.get());
        }
    }

    /// Longest wait of an attempt.
    pub fn patience(&self) -> Option<Span> {
        self.patience
    }
}
