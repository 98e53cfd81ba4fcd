//! Asynchronous invocation: the function's own queue of events, its retries, and where events go that nobody could work on.
//!
//! `queued → delivering → done | wait(60 s, 120 s) after an error | wait(1 s … 300 s) after a throttle | dropped`.

use super::events_spec::EventsSpec;
use crate::kernel::Key;
use crate::kernel::{Span, Time};
use crate::model::calls::{Call, Op};
use crate::model::context::Ctx;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, NodeId, Outcome};
use crate::model::wiring::Wiring;

/// Waits before the first and the second retry after an error of the function (Lambda guide, asynchronous invocation).
const ERROR_WAITS: [Span; 2] = [Span::from_secs(60), Span::from_secs(120)];
/// Shortest and longest wait after a throttle or an error of the service.
const THROTTLE_WAIT: (Span, Span) = (Span::from_secs(1), Span::from_secs(300));
/// An event up to this size is one request; each started chunk above is one more (Lambda price page).
const FREE_BYTES: u32 = 256 << 10;
const CHUNK_BYTES: u32 = 64 << 10;

/// An event in the queue.
#[derive(Clone, Copy)]
struct Event {
    key: Key,
    work: u16,
    bytes: u32,
    accepted: Time,
    attempts: u16,
    errors: u8,
    throttles: u32,
    /// Its next wake-up is the end of its age.
    expiring: bool,
}

/// The queue of events of one function.
pub(super) struct Events {
    retries: u8,
    age_max: Span,
    factor: f64,
    on_failure: Option<NodeId>,
    blocked: bool,
    rows: Vec<Event>,
    free: Vec<u32>,
    open: u64,
    limit: LimitId,
    queued: GaugeId,
    accepted: u64,
    retried: u64,
    throttled: u64,
    failed: u64,
    expired: u64,
    /// Requests billed for the size of events.
    pub(super) extra_requests: u64,
}

impl Events {
    pub(super) fn new(
        spec: &EventsSpec,
        reserved: Option<u32>,
        wiring: &mut Wiring,
    ) -> Result<Events, String> {
        let on_failure = spec.on_failure.as_ref().map(|name| wiring.node(name)).transpose()?;
        let (me, age) = (wiring.me, spec.age_max());
        Ok(Events {
            retries: spec.retries(),
            age_max: age,
            factor: spec.throttle_factor,
            on_failure,
            blocked: reserved == Some(0),
            rows: Vec::new(),
            free: Vec::new(),
            open: 0,
            limit: wiring.ledger.limit(me, "event_age", format!("maximum event age {age}")),
            queued: wiring.ledger.gauge(me, "events", None),
            accepted: 0,
            retried: 0,
            throttled: 0,
            failed: 0,
            expired: 0,
            extra_requests: 0,
        })
    }

    /// Whether an event has not come to its end.
    pub(super) fn busy(&self) -> bool {
        self.open > 0
    }

    /// Queues an event: its sender is answered at once.
    pub(super) fn accept(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        ctx.calls.get(call).established = ctx.now();
        self.accepted += 1;
        self.extra_requests +=
            u64::from(row.bytes.saturating_sub(FREE_BYTES).div_ceil(CHUNK_BYTES));
        let event = Event {
            key: row.key.named("event"),
            work: row.work,
            bytes: row.bytes,
            accepted: ctx.now(),
            attempts: 0,
            errors: 0,
            throttles: 0,
            expiring: false,
        };
        ctx.reply(call, Outcome { status: 202, ..Outcome::OK });
        let slot = if let Some(slot) = self.free.pop() {
            self.rows[slot as usize] = event;
            slot
        } else {
            self.rows.push(event);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        };
        self.change(1, ctx);
        if self.blocked {
            // Reserved concurrency of zero: no attempt is made.
            self.give_up(slot, ctx);
        } else {
            self.deliver(slot, ctx);
        }
    }

    /// A wait of an event is over.
    pub(super) fn woken(&mut self, slot: u32, ctx: &mut Ctx) {
        if self.rows[slot as usize].expiring {
            self.expired += 1;
            ctx.ledger.refused_by(self.limit, ctx.now());
            self.give_up(slot, ctx);
        } else {
            self.retried += 1;
            self.deliver(slot, ctx);
        }
    }

    fn deliver(&mut self, slot: u32, ctx: &mut Ctx) {
        let event = &mut self.rows[slot as usize];
        event.attempts = event.attempts.saturating_add(1);
        let call = Call {
            key: event.key,
            work: event.work,
            visit: event.attempts,
            op: Op::Deliver,
            ..Call::request(ctx.me, ctx.me, CallId { slot, turn: 0 })
        };
        ctx.call(call, Span::ZERO);
    }

    /// An attempt ended: how long until the next one, if there is one.
    pub(super) fn delivered(&mut self, answer: &Call, ctx: &mut Ctx, wake: u8) {
        let slot = answer.parent.slot;
        let event = &mut self.rows[slot as usize];
        let failure = answer.outcome;
        if failure.is_ok() {
            return self.end(slot, ctx);
        }
        // What Lambda itself refused (429, 5xx) is tried until the event is too old; only a run that failed uses up a retry.
        let refused = !failure.function_error && matches!(failure.status, 429 | 500..);
        let wait = if refused {
            self.throttled += u64::from(failure.throttled_by_lambda());
            let grown = libm::pow(self.factor, f64::from(event.throttles));
            event.throttles += 1;
            let wait = THROTTLE_WAIT.0.as_secs_f64() * grown;
            Span::from_secs_f64(wait.min(THROTTLE_WAIT.1.as_secs_f64()))
        } else if event.errors < self.retries {
            event.errors += 1;
            ERROR_WAITS[usize::from(event.errors - 1).min(1)]
        } else {
            self.failed += 1;
            return self.give_up(slot, ctx);
        };
        let (next, end) = (ctx.now() + wait, event.accepted + self.age_max);
        event.expiring = next >= end;
        let at = next.min(end).max(ctx.now());
        ctx.wake(at.since(ctx.now()), wake, slot, 0);
    }

    /// The event goes to the dead-letter queue or failure destination, or is dropped.
    fn give_up(&mut self, slot: u32, ctx: &mut Ctx) {
        let event = self.rows[slot as usize];
        if let Some(to) = self.on_failure {
            let call = Call {
                key: event.key,
                work: event.work,
                bytes: event.bytes,
                op: Op::Event,
                ..Call::request(ctx.me, to, CallId::NONE)
            };
            ctx.call(call, Span::ZERO);
        }
        self.end(slot, ctx);
    }

    fn end(&mut self, slot: u32, ctx: &mut Ctx) {
        self.free.push(slot);
        self.change(-1, ctx);
    }

    fn change(&mut self, by: i64, ctx: &mut Ctx) {
        self.open = self.open.saturating_add_signed(by);
        ctx.ledger.set(self.queued, ctx.now(), self.open);
    }

    /// Counters of the node's report; none where no event ever came.
    pub(super) fn counters(&self) -> Vec<(&'static str, u64)> {
        if self.accepted == 0 {
            return Vec::new();
        }
        vec![
            ("events", self.accepted),
            ("event_retries", self.retried),
            ("event_throttles", self.throttled),
            ("events_failed", self.failed),
            ("events_expired", self.expired),
            ("events_left", self.open),
        ]
    }
}
