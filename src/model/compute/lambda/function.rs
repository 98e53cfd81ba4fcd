//! The function as it runs: admission, cold start, invocation, metering.

use super::admission::{Admission, Refusal};
use super::environments::Environments;
use super::meter::Meter;
use super::spec::{Bind, LambdaSpec, StoreConnection};
use super::start::{ColdStart, Start};
use super::upkeep;
use crate::kernel::{LaneId, Rank, Span, Stream};
use crate::model::calls::{Call, Op};
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Message, NodeId, Outcome};
use crate::model::wiring::Wiring;
use crate::model::work::Step;

const READY: u8 = 0;
const STEP: u8 = 1;
const TIMEOUT: u8 = 2;
pub(super) const EXPIRE: u8 = 3;
/// The life of an environment is over.
pub(super) const RECYCLE: u8 = 4;
/// An environment started ahead of demand is ready.
pub(super) const AHEAD: u8 = 5;

// Marks in a call's second word.
/// The platform lost the invocation.
const LOST: u32 = 1;
/// The invocation ended; what still comes for it is stale.
const ENDED: u32 = 2;

/// Init is aborted and repeated inside the first invocation after this (Lambda guide, runtime environment).
const INIT_LIMIT: Span = Span::from_secs(10);

/// A function as it runs.
pub struct Lambda {
    pub(super) admission: Admission,
    pub(super) environments: Environments,
    start: ColdStart,
    cpu_share: f64,
    timeout: LaneId,
    /// Whether a waiting request takes the first environment that becomes free.
    pub(super) first_free: bool,
    pub(super) upkeep: Box<upkeep::State>,
    platform_errors: f64,
    connections: StoreConnection,
    slots_each: u16,
    stores: Vec<NodeId>,
    pub(super) limits: Limits,
    pub(super) gauges: Gauges,
    pub(super) meter: Meter,
}

pub(super) struct Limits {
    pub(super) cold: LimitId,
    timeout: LimitId,
}

pub(super) struct Gauges {
    pub(super) environments: GaugeId,
    concurrency: GaugeId,
}

impl Component for Lambda {
    type Spec = LambdaSpec;

    fn build(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Lambda, String> {
        let (era, me) = (wiring.era, wiring.me);
        let admission = Admission::new(spec, wiring)?;
        let applies = spec.reserved.unwrap_or(wiring.accounts[&spec.account].concurrency);
        let ledger = &mut *wiring.ledger;
        let timeout = format!("function timeout {}", spec.timeout);
        let limits = Limits {
            cold: ledger.limit(me, "cold_start", "no idle environment: cold start".into()),
            timeout: ledger.limit(me, "function_timeout", timeout),
        };
        let gauges = Gauges {
            environments: ledger.gauge(me, "environments", None),
            concurrency: ledger.gauge(me, "concurrency", Some(u64::from(applies))),
        };
        Ok(Lambda {
            admission,
            environments: Environments::default(),
            start: ColdStart::new(spec, wiring)?,
            cpu_share: spec.cpu_share(era),
            timeout: wiring.queue.lane(spec.timeout, Rank::Timeout),
            first_free: spec.bind.unwrap_or(Bind::of(era)) == Bind::FirstFree,
            upkeep: Box::new(upkeep::State::new(spec.idle_life, era, wiring.key())),
            platform_errors: spec.platform_errors,
            connections: spec.connections,
            slots_each: spec.connections_per_environment as u16,
            stores: Vec::new(),
            limits,
            gauges,
            meter: Meter::new(wiring.name, spec, era),
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(READY | AHEAD, environment, _) => self.ready(environment, ctx),
            Message::Wake(EXPIRE, ..) => self.expire(ctx),
            Message::Wake(RECYCLE, environment, turn) => self.life_over(environment, turn, ctx),
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                // A step of an invocation that was reset meanwhile is stale.
                if ctx.calls.alive(call) && ctx.calls.get(call).b & ENDED == 0 {
                    if timer == STEP { self.run(call, ctx) } else { self.timed_out(call, ctx) }
                }
            }
            // Lambda works on when the caller has gone.
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let mut report = self.meter.report();
        report.counters.extend(self.upkeep_counters());
        report
    }
}

impl Lambda {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        ctx.calls.get(call).established = ctx.now();
        match self.admit(ctx) {
            Ok(idle) => {
                let level = u64::from(self.admission.in_flight());
                ctx.ledger.set(self.gauges.concurrency, ctx.now(), level);
                match idle {
                    Some(environment) => self.invoke(environment, call, ctx),
                    None => self.cold_start(call, ctx),
                }
            }
            Err((limit, cause)) => {
                self.meter.throttled += 1;
                ctx.ledger.refused_by(limit, ctx.now());
                ctx.fail(call, cause, 429);
            }
        }
    }

    /// An idle environment, or none if a new one may be created.
    fn admit(&mut self, ctx: &mut Ctx) -> Result<Option<u32>, Refusal> {
        self.admission.enter(ctx)?;
        let idle = self.environments.take_idle();
        if idle.is_none() {
            self.admission.grow(ctx)?;
        }
        Ok(idle)
    }

    /// Creates an environment for `call`.
    fn cold_start(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.meter.cold_starts += 1;
        let environment = self.environments.create(call);
        self.created(environment, ctx);
        let start = self.draw_start(environment, &mut ctx.stream(call, Purpose::ColdStart));
        if self.first_free {
            self.waits(call, environment);
        } else {
            ctx.ledger.waited_for(self.limits.cold, now, now + start);
        }
        ctx.wake(start, READY, environment, 0);
    }

    /// Draws how long a new environment needs until it is ready.
    pub(super) fn draw_start(&mut self, environment: u32, stream: &mut Stream) -> Span {
        let Start { place, init } = self.start.draw(stream);
        let init_here = init.min(INIT_LIMIT);
        // Aborted at the limit and run again, inside the invocation's time.
        self.environments.get(environment).needs_init = init > INIT_LIMIT;
        self.meter.init(init_here);
        place + init_here
    }

    /// The environment begins to work on `call`.
    pub(super) fn invoke(&mut self, environment: u32, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.meter.requests += 1;
        self.used(environment, ctx.calls.get(call).established, now);
        self.environments.get(environment).call = call;
        let timer = ctx.arm(self.timeout, TIMEOUT, call.slot, call.turn);
        let row = ctx.calls.get(call);
        row.a = environment;
        row.b = 0;
        row.mark = now;
        row.timer = timer;
        if self.platform_errors > 0.0
            && ctx.stream(call, Purpose::Fault).chance(self.platform_errors)
        {
            // Nothing of the application runs; only the function's timeout ends it.
            ctx.calls.get(call).b = LOST;
            return;
        }
        if std::mem::take(&mut self.environments.get(environment).needs_init) {
            let init = self.start.again(&mut ctx.stream(call, Purpose::ColdStart));
            ctx.wake(init, STEP, call.slot, call.turn);
            return;
        }
        self.run(call, ctx);
    }

    /// Runs the work from its present step on.
    fn run(&mut self, call: CallId, ctx: &mut Ctx) {
        let works = ctx.works;
        let mut delay = Span::ZERO;
        loop {
            let row = ctx.calls.get(call);
            let steps = &works[usize::from(row.work)].steps;
            let Some(step) = steps.get(usize::from(row.step)) else {
                if delay.is_zero() {
                    return self.finish(call, Outcome::OK, ctx);
                }
                return ctx.wake(delay, STEP, call.slot, call.turn);
            };
            match step {
                // Times in a row are one event.
                Step::Cpu(law) => {
                    let work = law.sample(&mut ctx.step_stream(call));
                    delay = delay + work.scaled(1.0 / self.cpu_share);
                }
                Step::Wait(law) => delay = delay + law.sample(&mut ctx.step_stream(call)),
                _ if !delay.is_zero() => return ctx.wake(delay, STEP, call.slot, call.turn),
                Step::Query(store, hold) => return self.query(call, *store, hold, ctx),
                Step::Call(to, work) | Step::Publish(to, work, _) => {
                    return self.call(call, *to, *work, ctx);
                }
            }
            ctx.calls.get(call).step += 1;
        }
    }

    fn store_bit(&mut self, store: NodeId) -> u64 {
        let at = self.stores.iter().position(|known| *known == store).unwrap_or_else(|| {
            self.stores.push(store);
            self.stores.len() - 1
        });
        1 << at.min(63)
    }

    fn query(&mut self, call: CallId, store: NodeId, hold: &Sampler, ctx: &mut Ctx) {
        let bit = self.store_bit(store);
        let environment = ctx.calls.get(call).a;
        let child = if self.environments.get(environment).connected & bit == 0 {
            let child = ctx.calls.get(call).child(ctx.me, store, call);
            let child =
                Call { op: Op::Connect, weight: self.slots_each, tag: environment, ..child };
            ctx.call(child, Span::ZERO)
        } else {
            let amount = hold.sample(&mut ctx.step_stream(call));
            ctx.call_store(store, call, Op::Query, amount, environment)
        };
        ctx.calls.get(call).child = child;
    }

    fn call(&mut self, call: CallId, to: NodeId, work: u16, ctx: &mut Ctx) {
        let child = ctx.call_service(to, work, call);
        ctx.calls.get(call).child = child;
    }

    /// A connection, statement or call on behalf of an invocation was answered.
    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        ctx.calls.get(call).child = CallId::NONE;
        if !answer.outcome.is_ok() {
            if answer.op == Op::Query {
                // A statement that failed takes its connection with it.
                let (bit, environment) = (self.store_bit(answer.to), answer.tag);
                self.environments.get(environment).connected &= !bit;
                self.hang_up(environment, bit, ctx);
            }
            return self.finish(call, answer.outcome.shown_as(500), ctx);
        }
        if answer.op == Op::Connect {
            let bit = self.store_bit(answer.to);
            let environment = ctx.calls.get(call).a;
            self.environments.get(environment).connected |= bit;
        } else {
            ctx.calls.get(call).step += 1;
        }
        self.run(call, ctx);
    }

    fn timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        self.meter.timeouts += 1;
        ctx.abandon(row.child);
        // The runtime is stopped: memory and connections are gone, Init runs again in the next invocation.
        self.environments.get(row.a).needs_init = true;
        self.close_connections(row.a, ctx);
        ctx.ledger.refused_by(self.limits.timeout, ctx.now());
        let cause = if row.b & LOST != 0 { Cause::PlatformError } else { Cause::FunctionTimeout };
        let outcome = Outcome::failed(cause, ctx.me, 500);
        self.finish(call, outcome, ctx);
    }

    fn finish(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        ctx.queue.cancel(row.timer);
        let wasted = row.abandoned || !outcome.is_ok();
        self.meter.requests_wasted += u64::from(wasted);
        self.meter.duration(now.since(row.mark), wasted);
        if self.connections == StoreConnection::PerInvocation {
            self.close_connections(row.a, ctx);
        }
        let level = self.admission.in_flight();
        self.admission.leave(ctx);
        ctx.ledger.set(self.gauges.concurrency, now, u64::from(self.admission.in_flight()));
        ctx.calls.get(call).b |= ENDED;
        self.free(row.a, level, ctx);
        ctx.reply(call, outcome);
    }

    pub(super) fn close_connections(&mut self, environment: u32, ctx: &mut Ctx) {
        let connected = std::mem::take(&mut self.environments.get(environment).connected);
        self.hang_up(environment, connected, ctx);
    }

    /// Closes the connections of an environment; stores know them by its number.
    fn hang_up(&self, environment: u32, connected: u64, ctx: &mut Ctx) {
        for (at, store) in self.stores.iter().enumerate() {
            if connected & (1 << at.min(63)) != 0 {
                ctx.hang_up(*store, u32::from(self.slots_each), environment);
            }
        }
    }
}
