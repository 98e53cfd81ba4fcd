//! The function as it runs: admission, cold start, invocation, metering.

use super::environments::Environments;
use super::spec::{Bind, LambdaSpec, StoreConnection};
use super::upkeep;
use crate::kernel::{LaneId, Rank, Span, Stream};
use crate::model::bucket::Bucket;
use crate::model::calls::{Call, Op};
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Message, NodeId, Outcome};
use crate::model::usage::UsageLine;
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
/// What a VPC adds to a cold start since September 2019 (mikhail.io: p50 0.470 against 0.260 s in 2020).
const VPC_SHARED_INTERFACE: Span = Span::from_millis(200);
/// Until August 2019: share of cold starts that attached an interface, and ln-mean and ln-deviation of its seconds
/// (fit to mikhail.io's figures of April and June 2019).
const VPC_ATTACH: (f64, f64, f64) = (0.51, 2.22, 0.33);
/// Cold start per zipped MB of dependencies (mikhail.io, 2021: 14 MB 1.7 s, 35 MB 3.9 s).
const PER_PACKAGE_MB: Span = Span::from_millis(100);

/// A function as it runs.
pub struct Lambda {
    name: String,
    duration_item: String,
    account: u16,
    reserved: Option<u32>,
    pub(super) in_flight: u32,
    pub(super) environments: Environments,
    rate: Bucket,
    scaling: Option<Bucket>,
    place: Sampler,
    init: Sampler,
    attach: Option<Sampler>,
    extra: Span,
    cpu_share: f64,
    timeout: LaneId,
    /// Whether a waiting request takes the first environment that becomes free.
    pub(super) first_free: bool,
    pub(super) upkeep: upkeep::State,
    platform_errors: f64,
    connections: StoreConnection,
    slots_each: u16,
    stores: Vec<NodeId>,
    memory_mb: u64,
    billing_step: Span,
    init_billed: bool,
    pub(super) limits: Limits,
    pub(super) gauges: Gauges,
    meter: Meter,
}

pub(super) struct Limits {
    pool: LimitId,
    reserved: LimitId,
    rate: LimitId,
    scaling: LimitId,
    pub(super) cold: LimitId,
    timeout: LimitId,
}

pub(super) struct Gauges {
    pub(super) environments: GaugeId,
    concurrency: GaugeId,
}

#[derive(Default)]
struct Meter {
    requests: u64,
    requests_wasted: u64,
    /// Billed milliseconds × MB.
    mb_ms: u128,
    mb_ms_wasted: u128,
    cold_starts: u64,
    throttled: u64,
    timeouts: u64,
}

impl Component for Lambda {
    type Spec = LambdaSpec;

    fn build(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Lambda, String> {
        let (era, me) = (wiring.era, wiring.me);
        let account = &wiring.accounts[&spec.account];
        let applies = spec.reserved.unwrap_or(account.concurrency);
        let ledger = &mut *wiring.ledger;
        let pool = format!("account concurrency {}", account.concurrency);
        let limits = Limits {
            pool: ledger.limit(me, "account_concurrency", pool),
            reserved: ledger.limit(
                me,
                "reserved_concurrency",
                format!("reserved concurrency {applies}"),
            ),
            rate: ledger.limit(
                me,
                "request_rate",
                format!("{} requests/s", u64::from(applies) * 10),
            ),
            scaling: ledger.limit(me, "scaling_rate", "1,000 new environments per 10 s".into()),
            cold: ledger.limit(me, "cold_start", "no idle environment: cold start".into()),
            timeout: ledger.limit(
                me,
                "function_timeout",
                format!("function timeout {}", spec.timeout),
            ),
        };
        let gauges = Gauges {
            environments: ledger.gauge(me, "environments", None),
            concurrency: ledger.gauge(me, "concurrency", Some(u64::from(applies))),
        };
        let ten_times = f64::from(applies) * 10.0;
        let init = spec.init.clone().unwrap_or_else(|| spec.runtime.init());
        let attach = (spec.vpc && era.attaches_interface())
            .then(|| Sampler::Lognormal(VPC_ATTACH.1 + libm::log(1e9), VPC_ATTACH.2));
        let vpc = if spec.vpc && attach.is_none() { VPC_SHARED_INTERFACE } else { Span::ZERO };
        Ok(Lambda {
            name: wiring.name.to_owned(),
            duration_item: format!("lambda.duration.{}", spec.architecture.name()),
            account: wiring.account(&spec.account)?,
            reserved: spec.reserved,
            in_flight: 0,
            environments: Environments::default(),
            rate: Bucket::new(ten_times, ten_times),
            scaling: (!era.account_scaling()).then(|| Bucket::new(100.0, 1000.0)),
            place: spec.place.sampler(wiring.data)?,
            init: init.sampler(wiring.data)?,
            attach,
            extra: vpc + PER_PACKAGE_MB.scaled(spec.package.mb()),
            cpu_share: spec.cpu_share(era),
            timeout: wiring.queue.lane(spec.timeout, Rank::Timeout),
            first_free: spec.bind.unwrap_or(Bind::of(era)) == Bind::FirstFree,
            upkeep: upkeep::State::new(spec.idle_life, era.idle_life(), era.upkeep(), wiring.key()),
            platform_errors: spec.platform_errors,
            connections: spec.connections,
            slots_each: spec.connections_per_environment as u16,
            stores: Vec::new(),
            memory_mb: spec.memory.0 >> 20,
            billing_step: era.billing_step(),
            init_billed: era.init_billed(),
            limits,
            gauges,
            meter: Meter::default(),
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
        let upkeep = self.upkeep_counters();
        let meter = &self.meter;
        let gb_s = |mb_ms: u128| mb_ms as f64 / (1024.0 * 1000.0);
        let line = |item: &str, quantity: f64, unit, wasted: f64| UsageLine {
            node: self.name.clone(),
            item: item.into(),
            quantity,
            unit,
            reserved: false,
            idle: 0.0,
            wasted,
        };
        let wasted = meter.requests_wasted as f64;
        NodeReport {
            counters: [
                ("invocations", meter.requests),
                ("cold_starts", meter.cold_starts),
                ("throttled", meter.throttled),
                ("timeouts", meter.timeouts),
                ("environments_expired", self.upkeep.counts.expired),
            ]
            .into_iter()
            .chain(upkeep)
            .collect(),
            usage: vec![
                line("lambda.requests", meter.requests as f64, "request", wasted),
                line(&self.duration_item, gb_s(meter.mb_ms), "GB-s", gb_s(meter.mb_ms_wasted)),
            ],
        }
    }
}

impl Lambda {
    /// Admission in the order of the limits: request rate, reserved, pool, idle environment, scaling budget.
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        ctx.calls.get(call).established = now;
        if !self.rate.take(now) {
            return self.throttle(call, self.limits.rate, Cause::ThrottledRequestRate, ctx);
        }
        match self.reserved {
            Some(reserved) if self.in_flight >= reserved => {
                return self.throttle(call, self.limits.reserved, Cause::ThrottledReserved, ctx);
            }
            Some(_) => {}
            None => {
                let account = &ctx.accounts[self.account as usize];
                if account.in_flight >= account.unreserved {
                    return self.throttle(call, self.limits.pool, Cause::ThrottledAccount, ctx);
                }
            }
        }
        let idle = self.environments.take_idle();
        if idle.is_none() && !self.may_scale(ctx) {
            return self.throttle(call, self.limits.scaling, Cause::ThrottledScaling, ctx);
        }
        self.in_flight += 1;
        if self.reserved.is_none() {
            ctx.accounts[self.account as usize].in_flight += 1;
        }
        ctx.ledger.set(self.gauges.concurrency, now, u64::from(self.in_flight));
        match idle {
            Some(environment) => self.invoke(environment, call, ctx),
            None => self.cold_start(call, ctx),
        }
    }

    fn may_scale(&mut self, ctx: &mut Ctx) -> bool {
        let now = ctx.now();
        match &mut self.scaling {
            Some(bucket) => bucket.take(now),
            None => ctx.accounts[self.account as usize].may_scale(now),
        }
    }

    fn throttle(&mut self, call: CallId, limit: LimitId, cause: Cause, ctx: &mut Ctx) {
        self.meter.throttled += 1;
        ctx.ledger.refused_by(limit, ctx.now());
        ctx.fail(call, cause, 429);
    }

    /// Creates an environment for `call`, which stays bound to it.
    fn cold_start(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.meter.cold_starts += 1;
        let environment = self.environments.create(call);
        self.created(environment, ctx);
        let mut stream = ctx.stream(call, Purpose::ColdStart);
        let (place, init) = self.start_time(environment, &mut stream);
        if self.first_free {
            self.waits(call, environment);
        } else {
            ctx.ledger.waited_for(self.limits.cold, now, now + place + init);
        }
        ctx.wake(place + init, READY, environment, 0);
    }

    /// Time of placement and of Init for a new environment. Init is billed by era.
    pub(super) fn start_time(&mut self, environment: u32, stream: &mut Stream) -> (Span, Span) {
        let mut place = self.place.sample(stream);
        let init = self.init.sample(stream) + self.extra;
        if let Some(attach) = &self.attach
            && stream.chance(VPC_ATTACH.0)
        {
            place = place + attach.sample(stream);
        }
        let init_here = init.min(INIT_LIMIT);
        // Aborted at the limit and run again, inside the invocation's time.
        self.environments.get(environment).needs_init = init > INIT_LIMIT;
        if self.init_billed {
            self.bill(init_here, false);
        }
        (place, init_here)
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
            let mut stream = ctx.stream(call, Purpose::ColdStart);
            let _placed = self.place.sample(&mut stream);
            let init = self.init.sample(&mut stream) + self.extra;
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
            let child = Call { op: Op::Connect, weight: self.slots_each, ..child };
            ctx.call(child, Span::ZERO)
        } else {
            let amount = hold.sample(&mut ctx.step_stream(call));
            ctx.call_store(store, call, Op::Query, amount)
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
        self.bill(now.since(row.mark), wasted);
        if self.connections == StoreConnection::PerInvocation {
            self.close_connections(row.a, ctx);
        }
        let level = self.in_flight;
        self.in_flight -= 1;
        if self.reserved.is_none() {
            ctx.accounts[self.account as usize].in_flight -= 1;
        }
        ctx.ledger.set(self.gauges.concurrency, now, u64::from(self.in_flight));
        ctx.calls.get(call).b |= ENDED;
        self.free(row.a, level, ctx);
        ctx.reply(call, outcome);
    }

    /// Adds a billed duration, rounded up to the era's step.
    fn bill(&mut self, duration: Span, wasted: bool) {
        let step = self.billing_step.nanos();
        let ms = duration.nanos().div_ceil(step) * (step / 1_000_000);
        let mb_ms = u128::from(ms) * u128::from(self.memory_mb);
        self.meter.mb_ms += mb_ms;
        if wasted {
            self.meter.mb_ms_wasted += mb_ms;
        }
    }

    pub(super) fn close_connections(&mut self, environment: u32, ctx: &mut Ctx) {
        let connected = std::mem::take(&mut self.environments.get(environment).connected);
        self.hang_up(connected, ctx);
    }

    fn hang_up(&self, connected: u64, ctx: &mut Ctx) {
        for (at, store) in self.stores.iter().enumerate() {
            if connected & (1 << at.min(63)) != 0 {
                ctx.hang_up(*store, u32::from(self.slots_each), 0);
            }
        }
    }
}
