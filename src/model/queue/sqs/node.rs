//! The queue as it runs: messages, batches in the hands of the mapping, metered calls.

use super::pollers::Pollers;
use super::spec::{Items, POLLER_HOUR, SqsSpec};
use crate::kernel::{Key, LaneId, Rank, Span, Time, TimerId};
use crate::model::batch::Item;
use crate::model::calls::{Call, Op};
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Event, Message, NodeId, Outcome};
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

const STORED: u8 = 0;
const VISIBLE: u8 = 1;
const WINDOW: u8 = 2;
const STEP: u8 = 3;
const RETRY: u8 = 4;
const FREE: u8 = 5;

/// Messages of one receive or delete call (SQS quotas).
const PER_CALL: usize = 10;
/// A call is billed once for each started chunk (SQS price page).
const CHUNK_BYTES: u64 = 64 << 10;
/// Longest wait of a receive on an empty queue (SQS guide, long polling); Lambda polls that way.
const LONG_POLL: Span = Span::from_secs(20);

/// A message. Its stamp changes whenever it is received or gone: an older receipt is void.
#[derive(Clone, Copy, Debug)]
struct Stored {
    key: Key,
    work: u16,
    receives: u32,
    bytes: u32,
    sent: Time,
    /// When it became visible.
    visible: Time,
    hidden: bool,
    stamp: u32,
    timer: TimerId,
}

/// A receipt: message and stamp.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    slot: u32,
    stamp: u32,
}

/// Messages handed to the function together.
#[derive(Debug, Default)]
struct Flight {
    receipts: Vec<Receipt>,
    batch: u32,
    deadline: Time,
}

/// A queue as it runs.
#[expect(clippy::struct_excessive_bools, reason = "independent settings and timers")]
pub struct Sqs {
    name: String,
    to: Option<NodeId>,
    dead_letters: Option<NodeId>,
    visibility: Span,
    visibility_lane: LaneId,
    window_lane: LaneId,
    throttle_retry: Span,
    retry_lane: LaneId,
    max_receives: u32,
    retention: Span,
    in_flight_max: u32,
    message_bytes: u32,
    batch: usize,
    window: Span,
    partial: bool,
    overlapping: bool,
    overhead: Sampler,
    pollers: Pollers,
    poller_hours: bool,
    messages: Vec<Stored>,
    free: Vec<u32>,
    visible: VecDeque<Receipt>,
    visible_count: u32,
    in_flight: u32,
    flights: Vec<Flight>,
    flights_free: Vec<u32>,
    working: u32,
    step_armed: bool,
    /// Since when messages wait although the mapping has grown to its maximum.
    full_since: Option<Time>,
    window_armed: bool,
    free_armed: bool,
    backlog: GaugeId,
    batches: GaugeId,
    limits: Limits,
    meter: Meter,
    idle_since: Time,
}

struct Limits {
    growth: LimitId,
    concurrency: LimitId,
    throughput: LimitId,
    receives: LimitId,
    in_flight: LimitId,
    retention: LimitId,
}

#[derive(Default)]
struct Meter {
    sent: u64,
    received: u64,
    deleted: u64,
    dead: u64,
    expired: u64,
    batches: u64,
    throttled: u64,
    failed: u64,
    calls: u64,
    calls_wasted: u64,
    /// Nanoseconds of pollers on an empty queue.
    idle: u128,
}

impl Component for Sqs {
    type Spec = SqsSpec;

    fn build(spec: &SqsSpec, wiring: &mut Wiring) -> Result<Sqs, String> {
        let me = wiring.me;
        let to = spec.to.as_ref().map(|name| wiring.node(name)).transpose()?;
        let dead_letters = spec.dead_letters.as_ref().map(|name| wiring.node(name)).transpose()?;
        let visibility = spec.visibility(to.and_then(|node| wiring.timeout(node)));
        let pollers = Pollers::new(spec, wiring.era);
        let most = pollers.most();
        let receives = spec.max_receives.unwrap_or(u32::MAX);
        let (in_flight, retention) = (spec.in_flight_max, spec.retention);
        let ledger = &mut *wiring.ledger;
        let limits = Limits {
            growth: ledger.limit(
                me,
                "event_source_growth",
                "growth of the event source mapping".into(),
            ),
            concurrency: ledger.limit(
                me,
                "event_source_concurrency",
                format!("{most} batches at a time"),
            ),
            throughput: ledger.limit(
                me,
                "poller_throughput",
                "10 receive calls and 1 MB a second for each provisioned poller".into(),
            ),
            receives: ledger.limit(me, "max_receives", format!("{receives} receives")),
            in_flight: ledger.limit(me, "in_flight", format!("{in_flight} messages in flight")),
            retention: ledger.limit(me, "retention", format!("retention {retention}")),
        };
        Ok(Sqs {
            name: wiring.name.to_owned(),
            to,
            dead_letters,
            visibility,
            visibility_lane: wiring.queue.lane(visibility, Rank::Timeout),
            window_lane: wiring.queue.lane(spec.window, Rank::Timeout),
            throttle_retry: spec.throttle_retry,
            retry_lane: wiring.queue.lane(spec.throttle_retry, Rank::Arrival),
            max_receives: receives,
            retention: spec.retention,
            in_flight_max: spec.in_flight_max,
            message_bytes: u32::try_from(spec.message_size.0).unwrap_or(u32::MAX),
            batch: spec.batch as usize,
            window: spec.window,
            partial: spec.report_failures,
            overlapping: spec.items == Items::Overlapping,
            overhead: spec.overhead.sampler(wiring.data)?,
            pollers,
            poller_hours: spec.provisioned.is_some(),
            messages: Vec::new(),
            free: Vec::new(),
            visible: VecDeque::new(),
            visible_count: 0,
            in_flight: 0,
            flights: Vec::new(),
            flights_free: Vec::new(),
            working: 0,
            step_armed: false,
            full_since: None,
            window_armed: false,
            free_armed: false,
            backlog: wiring.ledger.gauge(me, "visible messages", None),
            batches: wiring.ledger.gauge(me, "batches", None),
            limits,
            meter: Meter::default(),
            idle_since: Time::ZERO,
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => {
                ctx.calls.get(call).established = ctx.queue.now();
                let delay = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
                ctx.wake(delay, STORED, call.slot, call.turn);
            }
            Message::Wake(STORED, slot, turn) => self.store(CallId { slot, turn }, ctx),
            Message::Wake(VISIBLE, slot, stamp) => self.reappear(Receipt { slot, stamp }, ctx),
            Message::Wake(RETRY, flight, _) => self.invoke(flight, ctx),
            Message::Wake(timer, ..) => {
                match timer {
                    STEP => self.step_armed = false,
                    FREE => self.free_armed = false,
                    _ => self.window_armed = false,
                }
                self.receive(ctx);
            }
            Message::Reply(child) => self.worked(child, ctx),
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn busy(&self) -> bool {
        self.to.is_some() && self.visible_count + self.in_flight + self.working > 0
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        self.count_idle(ctx.now());
        let meter = &self.meter;
        let empty = (meter.idle / u128::from(LONG_POLL.nanos())) as u64;
        let line = |item: &str, quantity: f64, unit, wasted: u64| UsageLine {
            wasted: wasted as f64,
            ..UsageLine::used(&self.name, item, quantity, unit)
        };
        let calls = (meter.calls + empty) as f64;
        let mut usage = vec![line("sqs.standard", calls, "request", meter.calls_wasted)];
        if self.poller_hours {
            let held = f64::from(self.pollers.idle) * hours(ctx.now());
            usage.push(UsageLine::held(&self.name, POLLER_HOUR, held, "hour"));
        }
        NodeReport {
            counters: vec![
                ("sent", meter.sent),
                ("received", meter.received),
                ("deleted", meter.deleted),
                ("batches", meter.batches),
                ("batches_throttled", meter.throttled),
                ("batches_failed", meter.failed),
                ("empty_receives", empty),
                ("dead_letters", meter.dead),
                ("expired", meter.expired),
                ("left", u64::from(self.visible_count + self.in_flight)),
            ],
            usage,
        }
    }
}

fn chunks(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES).max(1)
}

impl Sqs {
    /// Time of pollers on an empty queue, up to now.
    fn count_idle(&mut self, now: Time) {
        if self.to.is_some() && self.visible_count == 0 {
            let pollers = self.pollers.idle.saturating_sub(self.working);
            self.meter.idle += u128::from(now.since(self.idle_since).nanos()) * u128::from(pollers);
        }
        self.idle_since = now;
    }

    fn store(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let bytes = if row.bytes == 0 { self.message_bytes } else { row.bytes };
        self.meter.sent += 1;
        self.meter.calls += chunks(u64::from(bytes));
        let now = ctx.now();
        let stored = Stored {
            // The message's draws are its own, whenever it is worked on.
            key: row.key.named("message"),
            work: row.work,
            receives: 0,
            bytes,
            sent: now,
            visible: now,
            hidden: false,
            stamp: 0,
            timer: TimerId::NONE,
        };
        let slot = if let Some(slot) = self.free.pop() {
            let stamp = self.messages[slot as usize].stamp;
            self.messages[slot as usize] = Stored { stamp, ..stored };
            slot
        } else {
            self.messages.push(stored);
            u32::try_from(self.messages.len() - 1).unwrap_or(u32::MAX)
        };
        self.count_idle(now);
        let stamp = self.messages[slot as usize].stamp;
        self.visible.push_back(Receipt { slot, stamp });
        self.visible_count += 1;
        ctx.reply(call, Outcome::OK);
        self.receive(ctx);
    }

    /// The next visible message that is still to be worked on.
    fn front(&mut self, ctx: &mut Ctx) -> Option<Receipt> {
        while let Some(&receipt) = self.visible.front() {
            let row = self.messages[receipt.slot as usize];
            if row.stamp != receipt.stamp {
                self.visible.pop_front();
            } else if row.sent + self.retention <= ctx.now() {
                self.meter.expired += 1;
                ctx.ledger.refused_by(self.limits.retention, ctx.now());
                self.remove(receipt.slot, ctx);
            } else if row.receives >= self.max_receives {
                self.meter.dead += 1;
                ctx.ledger.refused_by(self.limits.receives, ctx.now());
                self.bury(row, ctx);
                self.remove(receipt.slot, ctx);
            } else {
                return Some(receipt);
            }
        }
        None
    }

    /// Sends a message on to the dead-letter queue.
    fn bury(&self, row: Stored, ctx: &mut Ctx) {
        if let Some(to) = self.dead_letters {
            let call = Call {
                key: row.key,
                work: row.work,
                bytes: row.bytes,
                op: Op::Event,
                ..Call::request(ctx.me, to, CallId::NONE)
            };
            ctx.call(call, Span::ZERO);
        }
    }

    /// A message is gone: deleted, dead or too old.
    fn remove(&mut self, slot: u32, ctx: &mut Ctx) {
        let row = &mut self.messages[slot as usize];
        row.stamp = row.stamp.wrapping_add(1);
        ctx.queue.cancel(row.timer);
        if row.hidden {
            self.in_flight -= 1;
        } else {
            self.visible_count -= 1;
        }
        self.free.push(slot);
    }

    /// Hands visible messages to the function while the mapping may take more.
    fn receive(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        self.count_idle(now);
        while self.to.is_some()
            && let Some(first) = self.front(ctx)
        {
            let waiting = self.visible_count as usize;
            let due = self.messages[first.slot as usize].visible + self.window;
            if waiting < self.batch && due > now {
                self.await_window(due, ctx);
                break;
            }
            if self.working >= self.pollers.allowed(now, true) {
                self.await_step(ctx);
                break;
            }
            if self.in_flight >= self.in_flight_max {
                ctx.ledger.refused_by(self.limits.in_flight, now);
                break;
            }
            if self.pollers.free() > now {
                self.await_pollers(ctx);
                break;
            }
            if let Some(since) = self.full_since.take() {
                ctx.ledger.waited_for(self.limits.concurrency, since, now);
            }
            let flight = self.take_batch(ctx);
            self.invoke(flight, ctx);
        }
        if self.visible_count == 0 {
            self.full_since = None;
            self.pollers.allowed(now, false);
        }
        ctx.ledger.set(self.backlog, now, u64::from(self.visible_count));
        ctx.ledger.set(self.batches, now, u64::from(self.working));
    }

    /// Comes back when the first message has waited for the window.
    fn await_window(&mut self, due: Time, ctx: &mut Ctx) {
        if self.window_armed {
            return;
        }
        self.window_armed = true;
        let now = ctx.now();
        if due == now + self.window {
            ctx.arm(self.window_lane, WINDOW, 0, 0);
        } else {
            ctx.wake_at(due, Rank::Timeout, WINDOW, 0, 0);
        }
    }

    /// Comes back when the mapping may work on one more batch.
    fn await_step(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(wait) = self.pollers.next_step() else {
            self.full_since.get_or_insert(now);
            return;
        };
        ctx.ledger.waited_for(self.limits.growth, now, now + wait);
        if !self.step_armed {
            self.step_armed = true;
            ctx.wake(wait.max(Span::from_micros(1)), STEP, 0, 0);
        }
    }

    /// Comes back when the provisioned pollers may receive again.
    fn await_pollers(&mut self, ctx: &mut Ctx) {
        let free = self.pollers.free();
        ctx.ledger.waited_for(self.limits.throughput, ctx.now(), free);
        if !self.free_armed {
            self.free_armed = true;
            ctx.wake_at(free, Rank::Arrival, FREE, 0, 0);
        }
    }

    /// Receives up to a batch of messages: hidden from now on, one receive more.
    fn take_batch(&mut self, ctx: &mut Ctx) -> u32 {
        let now = ctx.now();
        let at = self.flights_free.pop().unwrap_or_else(|| {
            self.flights.push(Flight::default());
            u32::try_from(self.flights.len() - 1).unwrap_or(u32::MAX)
        });
        let batch = ctx.calls.batches.open(self.partial, self.overlapping);
        let mut receipts = std::mem::take(&mut self.flights[at as usize].receipts);
        receipts.clear();
        let (mut bytes, mut all_bytes) = (0, 0);
        while receipts.len() < self.batch
            && self.in_flight < self.in_flight_max
            && let Some(seen) = self.front(ctx)
        {
            self.visible.pop_front();
            self.visible_count -= 1;
            self.in_flight += 1;
            let row = &mut self.messages[seen.slot as usize];
            row.stamp = row.stamp.wrapping_add(1);
            row.receives += 1;
            row.hidden = true;
            row.timer = ctx.arm(self.visibility_lane, VISIBLE, seen.slot, row.stamp);
            self.meter.received += 1;
            bytes += u64::from(row.bytes);
            all_bytes += u64::from(row.bytes);
            let wasted = u64::from(row.receives > 1);
            self.meter.calls_wasted += wasted;
            receipts.push(Receipt { slot: seen.slot, stamp: row.stamp });
            let receives = u16::try_from(row.receives).unwrap_or(u16::MAX);
            let item = Item { key: row.key, work: row.work, receives, failed: false };
            ctx.calls.batches.get(batch).items.push(item);
            if receipts.len().is_multiple_of(PER_CALL) {
                self.meter.calls += chunks(std::mem::take(&mut bytes));
            }
        }
        if !receipts.len().is_multiple_of(PER_CALL) {
            self.meter.calls += chunks(bytes);
        }
        self.pollers.received(now, receipts.len().div_ceil(PER_CALL) as u64, all_bytes);
        self.working += 1;
        self.flights[at as usize] = Flight { receipts, batch, deadline: now + self.visibility };
        at
    }

    /// Invokes the function with a batch.
    fn invoke(&mut self, flight: u32, ctx: &mut Ctx) {
        let Some(to) = self.to else { return };
        let batch = self.flights[flight as usize].batch;
        let Some(first) = ctx.calls.batches.get(batch).items.first().copied() else { return };
        self.meter.batches += 1;
        let call = Call {
            key: first.key,
            work: first.work,
            visit: first.receives,
            op: Op::Batch,
            tag: batch,
            ..Call::request(ctx.me, to, CallId { slot: flight, turn: 0 })
        };
        ctx.call(call, Span::ZERO);
    }

    /// The function answered for a batch.
    fn worked(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        if answer.parent == CallId::NONE {
            // What went to the dead-letter queue.
            return;
        }
        let at = answer.parent.slot;
        let now = ctx.now();
        self.count_idle(now);
        match answer.outcome.cause {
            Some(_) if answer.outcome.throttled_by_lambda() => {
                self.meter.throttled += 1;
                if now + self.throttle_retry < self.flights[at as usize].deadline {
                    ctx.arm(self.retry_lane, RETRY, at, 0);
                    return;
                }
            }
            Some(_) => {
                self.meter.failed += 1;
                if !self.partial {
                    self.pollers.slow_down();
                }
            }
            None => self.delete(at, ctx),
        }
        ctx.calls.batches.close(self.flights[at as usize].batch);
        self.flights_free.push(at);
        self.working -= 1;
        self.receive(ctx);
    }

    /// Deletes the messages of a batch that the function did not report as failed.
    fn delete(&mut self, at: u32, ctx: &mut Ctx) {
        let receipts = std::mem::take(&mut self.flights[at as usize].receipts);
        let batch = self.flights[at as usize].batch;
        let mut deleted = 0;
        for (i, receipt) in receipts.iter().enumerate() {
            if ctx.calls.batches.get(batch).items[i].failed {
                continue;
            }
            deleted += 1;
            // A message that was received again meanwhile has another receipt, and stays.
            if self.messages[receipt.slot as usize].stamp == receipt.stamp {
                self.meter.deleted += 1;
                self.remove(receipt.slot, ctx);
            }
        }
        self.meter.calls += u64::div_ceil(deleted, PER_CALL as u64);
        self.flights[at as usize].receipts = receipts;
    }

    /// The visibility timeout of a message is over.
    fn reappear(&mut self, receipt: Receipt, ctx: &mut Ctx) {
        let now = ctx.now();
        self.count_idle(now);
        let row = &mut self.messages[receipt.slot as usize];
        debug_assert_eq!(row.stamp, receipt.stamp, "the timer of a message that is gone");
        (row.hidden, row.visible) = (false, now);
        self.in_flight -= 1;
        self.visible_count += 1;
        self.visible.push_back(receipt);
        self.receive(ctx);
    }
}
