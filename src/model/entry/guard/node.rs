//! The guard as it runs: asks its parts in order, sends on, learns from what comes back.

use super::breaker::Breaker;
use super::limit::LimitSpec;
use super::part::Part;
use super::sample::Sample;
use super::spec::{GuardSpec, Per};
use crate::kernel::{LaneId, Rank, Time, TimerId};
use crate::model::calls::{Calls, Via};
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::entry::onward::Onward;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, Outcome};
use crate::model::wiring::Wiring;

const READ: u8 = 0;
const TIMEOUT: u8 = 1;
const SHED: u8 = 2;

// Where a call stands, in its second word. The first is how many were in progress when it was sent.
const ASKED: u32 = 0;
const QUEUED: u32 = 1;
const SENT: u32 = 2;

/// A guard as it runs.
pub struct Guard {
    /// One for the node behind it, or one for each of its addresses.
    parts: Vec<Part>,
    /// Whose turn it is.
    next: usize,
    timeout: Option<LaneId>,
    /// Levels of all parts together.
    in_progress: u32,
    waiting: u32,
    allowed: u64,
    requests: u64,
    limits: Limits,
    gauges: Gauges,
}

/// Each is there where its part is.
struct Limits {
    breaker: Option<LimitId>,
    rate: Option<LimitId>,
    limit: Option<LimitId>,
    length: Option<LimitId>,
    max_wait: Option<LimitId>,
    timeout: Option<LimitId>,
}

struct Gauges {
    in_progress: GaugeId,
    limit: Option<GaugeId>,
    queue: Option<GaugeId>,
}

/// A limit in words.
fn words(spec: &LimitSpec) -> String {
    match spec {
        LimitSpec::Static(own) => format!("{} calls in progress", own.max),
        LimitSpec::Aimd(own) => format!("AIMD limit, {} to {} in progress", own.min, own.max),
        LimitSpec::Gradient2(own) => {
            format!("Gradient2 limit, {} to {} in progress", own.min, own.max)
        }
        LimitSpec::Vegas(own) => format!("Vegas limit, up to {} in progress", own.max),
    }
}

fn limits(spec: &GuardSpec, wiring: &mut Wiring) -> Limits {
    let me = wiring.me;
    let each = if spec.per == Per::Address { ", each address" } else { "" };
    let mut limit = |name, about: Option<String>| {
        let ledger = &mut *wiring.ledger;
        about.map(|about| ledger.limit(me, name, about + each))
    };
    let queue = spec.queue.as_ref();
    let breaker = spec.circuit_breaker.as_ref().map(|own| {
        let wait = own.wait_duration_in_open_state;
        format!("circuit breaker, opens at {} % failed for {wait}", own.failure_rate_threshold)
    });
    let rate = spec.rate_limit.map(|own| format!("{}, bucket {} deep", own.rate, own.burst));
    let longest = queue.and_then(|own| match (&own.codel, own.max_wait) {
        (Some(codel), _) => Some(format!("waits of {}, {} in line", codel.interval, codel.target)),
        (None, Some(most)) => Some(format!("waits of {most}")),
        (None, None) => None,
    });
    Limits {
        breaker: limit("circuit_breaker", breaker),
        rate: limit("rate_limit", rate),
        limit: limit("concurrency_limit", spec.limit.as_ref().map(words)),
        length: limit("queue", queue.and_then(|q| q.length).map(|n| format!("queue of {n}"))),
        max_wait: limit("max_wait", longest),
        timeout: limit("timeout", spec.timeout.map(|span| format!("timeout {span}"))),
    }
}

fn gauges(spec: &GuardSpec, parts: u64, wiring: &mut Wiring) -> Gauges {
    let (me, ledger) = (wiring.me, &mut *wiring.ledger);
    let (fixed, follows) = match &spec.limit {
        Some(LimitSpec::Static(own)) => (Some(u64::from(own.max) * parts), false),
        Some(LimitSpec::Aimd(_) | LimitSpec::Gradient2(_) | LimitSpec::Vegas(_)) => (None, true),
        None => (None, false),
    };
    Gauges {
        in_progress: ledger.gauge(me, "requests in progress", fixed),
        limit: follows.then(|| ledger.gauge(me, "concurrency limit", None)),
        queue: spec.queue.as_ref().map(|own| {
            ledger.gauge(me, "queue", own.length.map(|length| u64::from(length) * parts))
        }),
    }
}

impl Component for Guard {
    type Spec = GuardSpec;

    fn build(spec: &GuardSpec, wiring: &mut Wiring) -> Result<Guard, String> {
        let to = wiring.node(&spec.to)?;
        let addresses = match spec.per {
            Per::Node => 1,
            Per::Address => wiring.addresses(to),
        };
        let hop = wiring.way(spec.rtt);
        let part = |address| Part::new(spec, Onward::to(to, address, hop), wiring);
        let parts: Vec<Part> = (0..addresses).map(part).collect();
        Ok(Guard {
            next: 0,
            timeout: spec.timeout.map(|span| wiring.queue.lane(span, Rank::Timeout)),
            in_progress: 0,
            waiting: 0,
            allowed: parts.iter().map(|part| u64::from(part.allows())).sum(),
            requests: 0,
            limits: limits(spec, wiring),
            gauges: gauges(spec, u64::from(addresses), wiring),
            parts,
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        self.show(ctx);
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Cancel(call) => self.caller_left(call, ctx),
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                if !ctx.calls.alive(call) {
                    return;
                }
                match (timer, ctx.calls.get(call).b) {
                    (READ, _) => self.ask(call, ctx),
                    (TIMEOUT, SENT) => self.timed_out(call, ctx),
                    (SHED, QUEUED) => self.shed(call, ctx),
                    _ => {}
                }
            }
            Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let breakers = self.parts.iter().filter_map(|part| part.breaker.as_ref());
        let opened = self.limits.breaker.map(|_| breakers.map(Breaker::opened).sum());
        let opened = opened.map(|times: u64| ("circuit_opened", times));
        let counters = [("requests", self.requests)].into_iter().chain(opened).collect();
        NodeReport { counters, usage: Vec::new() }
    }
}

/// Whether a call still waits in the queue.
fn waits(calls: &Calls, call: CallId) -> bool {
    calls.alive(call) && calls.peek(call).b == QUEUED
}

impl Guard {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.requests += 1;
        let row = ctx.calls.get(call);
        row.b = ASKED;
        let opens = row.via == Via::New;
        if opens {
            row.established = now;
        }
        if row.keep_alive {
            row.via = Via::Open(0);
        }
        let handshake = row.amount;
        if opens && !handshake.is_zero() {
            ctx.wake_at(now + handshake, Rank::Arrival, READ, call.slot, call.turn);
        } else {
            self.ask(call, ctx);
        }
    }

    /// Asks every part in order whether the call may go on.
    fn ask(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        if ctx.calls.get(call).abandoned {
            return ctx.fail(call, Cause::ClientTimeout, 0);
        }
        // The breaker counts time from here.
        ctx.calls.get(call).mark = now;
        let Some(at) = self.choose(ctx) else {
            return refuse(call, None, (Cause::NoTargets, 503), ctx);
        };
        ctx.calls.get(call).address = at as u16;
        let part = &mut self.parts[at];
        if part.breaker.as_mut().is_some_and(|own| !own.permits(now)) {
            return refuse(call, self.limits.breaker, (Cause::CircuitOpen, 503), ctx);
        }
        let refusal = if part.bucket.as_mut().is_some_and(|own| !own.take(now)) {
            Some((self.limits.rate, (Cause::RateLimited, 429)))
        } else if part.has_place() && part.nobody_waits() {
            None
        } else {
            match &part.line {
                None => Some((self.limits.limit, (Cause::ConcurrencyLimited, 503))),
                Some(line) if line.full() => Some((self.limits.length, (Cause::QueueFull, 503))),
                Some(_) => return self.wait(call, ctx),
            }
        };
        match refusal {
            None => self.send(call, ctx),
            Some((limit, answer)) => {
                part.no_result();
                refuse(call, limit, answer, ctx);
            }
        }
    }

    /// The part that a call is for: with one for each address the next in turn that is not ejected, if there is one, and that has a place,
    /// if there is one. None: no address takes connections.
    fn choose(&mut self, ctx: &Ctx) -> Option<usize> {
        let n = self.parts.len();
        if n == 1 {
            return Some(0);
        }
        let now = ctx.now();
        let mut best: Option<(u8, usize)> = None;
        for at in (0..n).map(|i| (self.next + i) % n) {
            let part = &self.parts[at];
            if !ctx.endpoints.takes(part.way.node(), part.way.address()) {
                continue;
            }
            let ejected = part.breaker.as_ref().is_some_and(|own| own.refuses(now));
            let rank =
                if ejected { 2 } else { u8::from(!(part.has_place() && part.nobody_waits())) };
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, at));
            }
            if rank == 0 {
                break;
            }
        }
        let (_, at) = best?;
        self.next = (at + 1) % n;
        Some(at)
    }

    /// The part of a call.
    fn part(&mut self, call: CallId, ctx: &Ctx) -> &mut Part {
        &mut self.parts[usize::from(ctx.calls.peek(call).address)]
    }

    fn wait(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(line) = &mut self.part(call, ctx).line else { return };
        line.trim(|other| waits(&ctx.calls, other));
        let lane = line.push(call, now);
        let timer = lane.map(|lane| ctx.arm(lane, SHED, call.slot, call.turn));
        let row = ctx.calls.get(call);
        row.timer = timer.unwrap_or(TimerId::NONE);
        row.b = QUEUED;
        self.waiting += 1;
        self.show(ctx);
    }

    fn send(&mut self, call: CallId, ctx: &mut Ctx) {
        self.in_progress += 1;
        let part = self.part(call, ctx);
        part.in_progress += 1;
        let in_progress = part.in_progress;
        part.way.send(call, ctx);
        let timer = self.timeout.map(|lane| ctx.arm(lane, TIMEOUT, call.slot, call.turn));
        let row = ctx.calls.get(call);
        row.a = in_progress;
        row.b = SENT;
        row.timer = timer.unwrap_or(TimerId::NONE);
        self.show(ctx);
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let timer = ctx.calls.get(call).timer;
        ctx.queue.cancel(timer);
        let at = usize::from(ctx.calls.peek(call).address);
        let outcome = self.parts[at].way.returned(&answer);
        self.ended(call, answer.sent, outcome, ctx);
        ctx.reply(call, outcome);
        self.next(at, ctx);
    }

    fn timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let outcome = Outcome::failed(Cause::UpstreamTimeout, ctx.me, 504);
        let row = ctx.calls.peek(call);
        let (child, at) = (row.child, usize::from(row.address));
        let sent = ctx.calls.get(child).sent;
        ctx.abandon(child);
        self.ended(call, sent, outcome, ctx);
        refuse(call, self.limits.timeout, (Cause::UpstreamTimeout, 504), ctx);
        self.next(at, ctx);
    }

    /// A call that was sent on has ended: what is learnt from it.
    fn ended(&mut self, call: CallId, sent: Time, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        self.in_progress -= 1;
        let row = ctx.calls.get(call);
        let (asked, in_progress, at) = (row.mark, row.a, usize::from(row.address));
        let part = &mut self.parts[at];
        part.in_progress -= 1;
        if let Some(breaker) = &mut part.breaker {
            breaker.record(now, now.since(asked), !outcome.is_ok());
        }
        // A way without an answer is shown as 502 or 504.
        let dropped = matches!(outcome.status, 429 | 502 | 503 | 504);
        if let Some(limit) = &mut part.limit
            && (outcome.is_ok() || dropped)
        {
            self.allowed -= u64::from(limit.allows());
            limit.learn(now, Sample { rtt: now.since(sent), in_progress, dropped });
            self.allowed += u64::from(limit.allows());
        }
    }

    /// Calls that wait go on as far as there are places.
    fn next(&mut self, at: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        while self.parts[at].has_place() {
            let Some(line) = &mut self.parts[at].line else { break };
            let calls = &ctx.calls;
            let Some(call) = line.pop(now, |other| waits(calls, other)) else { break };
            self.waiting -= 1;
            let row = *ctx.calls.get(call);
            ctx.queue.cancel(row.timer);
            if let Some(limit) = self.limits.limit {
                ctx.ledger.waited_for(limit, row.mark, now);
            }
            self.send(call, ctx);
        }
        self.show(ctx);
    }

    /// A call has waited for as long as it may.
    fn shed(&mut self, call: CallId, ctx: &mut Ctx) {
        self.leave(call, ctx);
        refuse(call, self.limits.max_wait, (Cause::MaxWaitExceeded, 503), ctx);
    }

    /// A call waits no longer, and is not sent on.
    fn leave(&mut self, call: CallId, ctx: &mut Ctx) {
        ctx.calls.get(call).b = ASKED;
        self.waiting -= 1;
        let part = self.part(call, ctx);
        if let Some(line) = &mut part.line {
            line.left();
        }
        part.no_result();
        self.show(ctx);
    }

    fn caller_left(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = *ctx.calls.get(call);
        match row.b {
            QUEUED => {
                ctx.queue.cancel(row.timer);
                self.leave(call, ctx);
                ctx.fail(call, Cause::ClientTimeout, 0);
            }
            SENT => {
                ctx.queue.cancel(row.timer);
                ctx.abandon(row.child);
                self.in_progress -= 1;
                let at = usize::from(row.address);
                self.parts[at].in_progress -= 1;
                self.parts[at].no_result();
                ctx.fail(call, Cause::ClientTimeout, 0);
                self.next(at, ctx);
            }
            // Its handshake is not over: it is met when that is.
            _ => {}
        }
    }

    /// Notes the levels.
    fn show(&self, ctx: &mut Ctx) {
        let now = ctx.now();
        ctx.ledger.set(self.gauges.in_progress, now, u64::from(self.in_progress));
        if let Some(gauge) = self.gauges.limit {
            ctx.ledger.set(gauge, now, self.allowed);
        }
        if let Some(gauge) = self.gauges.queue {
            ctx.ledger.set(gauge, now, u64::from(self.waiting));
        }
    }
}

/// Answers a call that a limit refused.
fn refuse(call: CallId, limit: Option<LimitId>, answer: (Cause, u16), ctx: &mut Ctx) {
    if let Some(limit) = limit {
        ctx.ledger.refused_by(limit, ctx.queue.now());
    }
    ctx.fail(call, answer.0, answer.1);
}
