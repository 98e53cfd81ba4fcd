//! The function as it runs: admission, start, invocation, end.

use super::admission::{Admission, Refusal, Side};
use super::environments::Environments;
use super::events::Events;
use super::initial::{InitialSpec, Pick};
use super::meter::{Meter, Payer};
use super::provisioned::Provisioned;
use super::shared::Shared;
use super::spec::{Bind, LambdaSpec, StoreConnection};
use super::start::{ColdStart, Start, StartEnd};
use super::upkeep;
use super::warm_up::WarmUpSpec;
use crate::kernel::{Key, LaneId, Rank, Span, Stream, Time};
use crate::model::calls::{Call, Op};
use crate::model::component::{Component, NodeReport};
use crate::model::context::{Ctx, Purpose};
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::sdk::SdkClients;
use crate::model::wiring::Wiring;

const READY: u8 = 0;
pub(super) const STEP: u8 = 1;
const TIMEOUT: u8 = 2;
pub(super) const EXPIRE: u8 = 3;
/// The life of an environment is over.
pub(super) const RECYCLE: u8 = 4;
/// An environment started ahead of demand is ready.
pub(super) const AHEAD: u8 = 5;
/// Provisioned environments that were asked for are ready.
pub(super) const PROVISIONED: u8 = 6;
/// A scheduled setting of the provisioned concurrency is due.
pub(super) const SETTING: u8 = 7;
/// Target tracking looks at the utilisation.
pub(super) const TRACK: u8 = 8;
/// A round of the warm-up policy.
pub(super) const PING: u8 = 9;
/// The processor of a shared environment may be done with a request.
pub(super) const CPU: u8 = 10;
/// The line in front of full environments looks again.
pub(super) const LOOK: u8 = 11;
/// Scaling by load looks at the load.
pub(super) const SCALE: u8 = 12;
/// The wait of an asynchronous event is over.
pub(super) const EVENT: u8 = 13;

/// Largest body of a synchronous invocation (Lambda quotas: 6 MB).
const BODY_MAX: u32 = 6 << 20;

// Marks in a call's second word.
/// The platform lost the invocation.
const LOST: u32 = 1;
/// The invocation ended; what still comes for it is stale.
const ENDED: u32 = 2;

/// A function as it runs.
pub struct Lambda {
    pub(super) admission: Box<Admission>,
    pub(super) environments: Environments,
    pub(super) start: ColdStart,
    /// How long a processor step takes, relative to a whole vCPU.
    pub(super) pace: f64,
    timeout: LaneId,
    /// Whether a waiting request takes the first environment that becomes free.
    pub(super) first_free: bool,
    pub(super) upkeep: Box<upkeep::State>,
    pub(super) provisioned: Option<Box<Provisioned>>,
    pub(super) shared: Option<Box<Shared>>,
    pub(super) warm_up: Option<Box<WarmUpSpec>>,
    pub(super) pings_sent: u64,
    /// Memory that one environment takes of the VPC's network interfaces, MB, in the era that attaches them.
    pub(super) interface_mb: Option<u64>,
    /// Environments that there are from the beginning, and what they have served.
    pub(super) initial: Option<(u32, Option<u16>)>,
    platform_errors: f64,
    crashes: f64,
    pub(super) connections: StoreConnection,
    pub(super) slots_each: u16,
    pub(super) stores: Vec<NodeId>,
    /// SDK clients of the environments.
    pub(super) sdk: SdkClients,
    pub(super) key: Key,
    pub(super) limits: Limits,
    pub(super) gauges: Gauges,
    pub(super) meter: Box<Meter>,
    pub(super) events: Box<Events>,
}

pub(super) struct Limits {
    pub(super) cold: LimitId,
    payload: LimitId,
    timeout: LimitId,
    interfaces: Option<LimitId>,
}

pub(super) struct Gauges {
    pub(super) environments: GaugeId,
    concurrency: GaugeId,
}

/// Where a request may run.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In an environment that exists, perhaps one that is just being started.
    In(u32),
    /// In one that is to be created.
    New,
}

impl Component for Lambda {
    type Spec = LambdaSpec;

    fn build(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Lambda, String> {
        let (era, me) = (wiring.era, wiring.me);
        let admission = Box::new(Admission::new(spec, wiring)?);
        let events = Box::new(Events::new(&spec.events, spec.reserved, wiring)?);
        let account = &wiring.accounts[&spec.account];
        let applies = spec.reserved.unwrap_or(account.concurrency);
        let interface_mb = (spec.vpc && era.attaches_interface()).then_some(spec.memory.0 >> 20);
        let interfaces = format!("{} network interfaces of the VPC", account.vpc_interfaces);
        let timeout = format!("function timeout {}", spec.timeout);
        let ledger = &mut *wiring.ledger;
        let limits = Limits {
            cold: ledger.limit(me, "cold_start", "no idle environment: cold start".into()),
            timeout: ledger.limit(me, "function_timeout", timeout),
            payload: ledger.limit(me, "payload", "bodies of 6 MB".into()),
            interfaces: interface_mb.map(|_| ledger.limit(me, "network_interfaces", interfaces)),
        };
        let gauges = Gauges {
            environments: ledger.gauge(me, "environments", None),
            concurrency: ledger.gauge(me, "concurrency", Some(u64::from(applies))),
        };
        let provisioned = match &spec.provisioned {
            Some(provisioned) => Some(Box::new(Provisioned::new(provisioned, wiring)?)),
            None => None,
        };
        let initial = match &spec.initial {
            Some(InitialSpec { environments, served }) => {
                Some((*environments, served.as_ref().map(|work| wiring.work(work)).transpose()?))
            }
            None => None,
        };
        Ok(Lambda {
            admission,
            environments: Environments::new(
                spec.per_environment,
                Pick::new(spec.pick_idle, wiring.key()),
            ),
            start: ColdStart::new(spec, wiring)?,
            pace: 1.0 / spec.cpu_share(era),
            timeout: wiring.queue.lane(spec.timeout, Rank::Timeout),
            first_free: spec.per_environment == 1
                && spec.bind.unwrap_or(Bind::of(era)) == Bind::FirstFree,
            upkeep: Box::new(upkeep::State::new(spec.idle_life(), era, wiring.key())),
            provisioned,
            shared: Shared::new(spec, wiring)?.map(Box::new),
            warm_up: spec.warm_up.clone().map(Box::new),
            pings_sent: 0,
            interface_mb,
            initial,
            platform_errors: if spec.platform_errors_of_era {
                era.platform_errors()
            } else {
                spec.platform_errors
            },
            crashes: spec.crashes,
            connections: spec.connections,
            slots_each: spec.connections_per_environment as u16,
            stores: Vec::new(),
            sdk: SdkClients::default(),
            key: wiring.key(),
            limits,
            gauges,
            meter: Box::new(Meter::new(wiring.name, spec, era)),
            events,
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        self.start_initial(ctx);
        self.start_provisioned(ctx);
        self.start_fleet(ctx);
        if self.warm_up.is_some() {
            ctx.wake(Span::ZERO, PING, 0, 0);
        }
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(STEP, slot, turn) => self.stepped(CallId { slot, turn }, ctx),
            _ => self.told(event, ctx),
        }
    }

    fn foresee(&self, call: &Call) {
        self.environments.prefetch(call.a);
    }

    fn busy(&self) -> bool {
        self.events.busy()
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        self.show_environments(ctx);
        let now = ctx.now();
        let held = self.provisioned.as_ref().map(|provisioned| provisioned.held(now));
        let alive = self.shared.as_ref().map_or(0, |shared| shared.alive_ms());
        for init in self.environments.unbilled() {
            self.meter.init(init, Payer::OnDemand);
        }
        self.meter.event_requests(self.events.extra_requests);
        let usage = self.meter.usage(held, alive, now);
        let mut more = self.upkeep_counters();
        more.extend(self.events.counters());
        NodeReport { usage, ..self.meter.report(more) }
    }
}

impl Lambda {
    /// Handles what does not come with every request.
    #[inline(never)]
    fn told(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Wake(READY, environment, _) => self.ready(environment, ctx),
            Message::Wake(AHEAD, environment, _) => {
                self.ready(environment, ctx);
                self.launched(ctx);
            }
            Message::Wake(EXPIRE, ..) => self.expire(ctx),
            Message::Wake(RECYCLE, environment, turn) => self.life_over(environment, turn, ctx),
            Message::Wake(EVENT, slot, _) => self.events.woken(slot, ctx),
            Message::Wake(PROVISIONED, n, _) => self.provisioned_ready(n, ctx),
            Message::Wake(SETTING, at, _) => self.apply_setting(at, ctx),
            Message::Wake(TRACK, ..) => self.track(ctx),
            Message::Wake(PING, ..) => self.ping(ctx),
            Message::Wake(CPU, environment, _) => self.computed(environment, ctx),
            Message::Wake(LOOK, ..) => self.look_again(ctx),
            Message::Wake(SCALE, ..) => self.scale(ctx),
            Message::Wake(_, slot, turn) => {
                let call = CallId { slot, turn };
                if is_invoked(call, ctx) {
                    self.timed_out(call, ctx);
                }
            }
            // Lambda works on when the caller has gone; only a request that still stands in line goes.
            Message::Cancel(call) => self.leave_line(call, ctx),
            Message::Arrive(_) | Message::Reply(_) | Message::HangUp(..) => {}
        }
    }

    /// A step of an invocation is over.
    #[inline(never)]
    fn stepped(&mut self, call: CallId, ctx: &mut Ctx) {
        if is_invoked(call, ctx) {
            self.run(call, ctx);
        }
    }

    #[inline(never)]
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(call).op == Op::Event {
            return self.events.accept(call, ctx);
        }
        ctx.calls.get(call).established = ctx.now();
        if ctx.calls.get(call).bytes > BODY_MAX {
            ctx.ledger.refused_by(self.limits.payload, ctx.now());
            return ctx.fail(call, Cause::PayloadTooLarge, 413);
        }
        match self.place(ctx) {
            Ok(place) => self.settle(place, call, ctx),
            Err((limit, cause)) => {
                if self.shared.as_ref().is_some_and(|shared| shared.waits_after(cause)) {
                    return self.line_up(call, limit, ctx);
                }
                self.meter.throttled += 1;
                ctx.ledger.refused_by(limit, ctx.now());
                ctx.fail(call, cause, if cause == Cause::InterfaceQuota { 502 } else { 429 });
            }
        }
    }

    /// A place for one more request, or the limit that leaves none.
    #[inline(always)]
    pub(super) fn place(&mut self, ctx: &mut Ctx) -> Result<Place, Refusal> {
        if let Some(environment) = self.environments.take_partial() {
            return Ok(Place::In(environment));
        }
        let ready = self.environments.provisioned_free();
        if self.admission.enter(ready, ctx)? == Side::Provisioned
            && let Some(environment) = self.environments.take_provisioned()
        {
            if let Some(provisioned) = &mut self.provisioned {
                provisioned.works(1, ctx.now());
            }
            return Ok(Place::In(environment));
        }
        if let Some(environment) = self.environments.take_idle() {
            return Ok(Place::In(environment));
        }
        let present = self.environments.len();
        if let Some(Err(refusal)) = self.shared.as_ref().map(|shared| shared.may_create(present)) {
            self.admission.leave(Side::OnDemand, ctx);
            return Err(refusal);
        }
        self.admission.grow(ctx)?;
        if let (Some(mb), Some(limit)) = (self.interface_mb, self.limits.interfaces)
            && !self.admission.account(ctx).take_interface(mb)
        {
            self.admission.leave(Side::OnDemand, ctx);
            return Err((limit, Cause::InterfaceQuota));
        }
        Ok(Place::New)
    }

    /// An environment has gone: the memory that it took of the network interfaces is free.
    pub(super) fn give_interface(&self, ctx: &mut Ctx) {
        if let Some(mb) = self.interface_mb {
            self.admission.account(ctx).give_interface(mb);
        }
    }

    /// A request goes to its place.
    #[inline(always)]
    pub(super) fn settle(&mut self, place: Place, call: CallId, ctx: &mut Ctx) {
        if let Some(shared) = &mut self.shared {
            shared.serving += 1;
        }
        self.show_concurrency(ctx);
        match place {
            Place::New => self.cold_start(call, ctx),
            Place::In(environment) if self.environments.get(environment).starting => {
                self.environments.wait_for(environment, call);
            }
            Place::In(environment) => self.begins(environment, call, ctx),
        }
    }

    fn show_concurrency(&self, ctx: &mut Ctx) {
        let level = self.shared.as_ref().map_or(self.admission.in_flight(), |s| s.serving);
        ctx.ledger.set(self.gauges.concurrency, ctx.now(), u64::from(level));
    }

    /// Creates an environment for `call`.
    fn cold_start(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let payer = self.payer(None, call, ctx);
        match payer {
            Payer::WarmUp => self.meter.cold_starts_warm_up += 1,
            _ => self.meter.cold_starts += 1,
        }
        let environment = self.environments.create(call);
        self.created(environment, ctx);
        let mut stream = ctx.stream(call, Purpose::ColdStart);
        let start = self.draw_start(environment, &mut stream);
        if self.first_free {
            self.waits(call, environment);
        } else {
            ctx.ledger.waited_for(self.limits.cold, now, now + start);
        }
        ctx.wake(start, READY, environment, 0);
    }

    /// Draws how long a new environment needs until it is ready. Whether Init is billed goes by era.
    pub(super) fn draw_start(&mut self, environment: u32, stream: &mut Stream) -> Span {
        let Start { place, init, end } = self.start.draw(stream);
        let unbilled = self.meter.start(init);
        let row = self.environments.get(environment);
        row.needs_init = end == StartEnd::InitAgain;
        row.broken = end == StartEnd::RestoreFailed;
        row.unbilled = unbilled;
        place + init
    }

    /// The snapshot of an environment was not restored in time: the request that waits for it fails, and it is gone.
    pub(super) fn start_failed(&mut self, environment: u32, call: CallId, ctx: &mut Ctx) {
        if call != CallId::NONE {
            self.meter.timeouts += 1;
            self.admission.leave(Side::OnDemand, ctx);
            self.show_concurrency(ctx);
            ctx.fail(call, Cause::SnapStartTimeout, 408);
        }
        self.remove(environment, ctx);
        self.show_environments(ctx);
    }

    /// Whether a call is one of the function's own warm-up pings.
    pub(super) fn is_ping(&self, call: CallId, ctx: &mut Ctx) -> bool {
        self.warm_up.is_some() && {
            let row = ctx.calls.get(call);
            row.op == Op::Request && row.from == ctx.me && row.to == ctx.me
        }
    }

    fn payer(&mut self, environment: Option<u32>, call: CallId, ctx: &mut Ctx) -> Payer {
        if self.is_ping(call, ctx) {
            return Payer::WarmUp;
        }
        match environment.map(|at| self.environments.get(at).provisioned) {
            Some(true) => Payer::Provisioned,
            _ => Payer::OnDemand,
        }
    }

    /// The environment begins to work on `call`, which waited for it.
    #[inline(never)]
    pub(super) fn invoke(&mut self, environment: u32, call: CallId, ctx: &mut Ctx) {
        self.begins(environment, call, ctx);
    }

    /// The environment begins to work on `call`.
    #[inline(always)]
    fn begins(&mut self, environment: u32, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let payer = self.payer(Some(environment), call, ctx);
        self.meter.request(payer);
        self.used(environment, ctx.calls.get(call).established, now);
        self.environments.begin(environment, call);
        let timer = ctx.arm(self.timeout, TIMEOUT, call.slot, call.turn);
        let row = ctx.calls.get(call);
        row.a = environment;
        row.b = 0;
        row.mark = now;
        row.timer = timer;
        if let Some(shared) = &mut self.shared {
            shared.begins(environment, now);
        }
        ctx.calls.begin_batch(call);
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
        match &self.warm_up {
            Some(warm_up) if payer == Payer::WarmUp => {
                ctx.wake(warm_up.hold, STEP, call.slot, call.turn);
            }
            _ => self.run(call, ctx),
        }
    }

    /// The handler is done; a crash takes the answer and the runtime with it.
    #[inline(always)]
    pub(super) fn complete(&mut self, call: CallId, ctx: &mut Ctx) {
        if self.crashes > 0.0 && ctx.stream(call, Purpose::Crash).chance(self.crashes) {
            self.meter.crashes += 1;
            let environment = ctx.calls.get(call).a;
            self.reset(environment, ctx);
            let outcome = Outcome::failed(Cause::FunctionError, ctx.me, 500);
            return self.finish(call, outcome, ctx);
        }
        self.ends(call, Outcome::OK, ctx);
    }

    /// The runtime is stopped: memory and connections are gone, Init runs again in the next invocation. An environment that
    /// serves others meanwhile goes on.
    fn reset(&mut self, environment: u32, ctx: &mut Ctx) {
        if self.shared.is_none() {
            self.environments.get(environment).needs_init = true;
            self.close_connections(environment, ctx);
        }
    }

    fn timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        self.meter.timeouts += 1;
        ctx.abandon(row.child);
        self.stop_computing(call, row.a, ctx);
        self.reset(row.a, ctx);
        ctx.ledger.refused_by(self.limits.timeout, ctx.now());
        let cause = if row.b & LOST != 0 { Cause::PlatformError } else { Cause::FunctionTimeout };
        let outcome = Outcome::failed(cause, ctx.me, 500);
        self.finish(call, outcome, ctx);
    }

    /// An invocation ends in another way than by its last step: whatever was the cause, its caller sees the function fail.
    #[inline(never)]
    pub(super) fn finish(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let outcome = if outcome.is_ok() { outcome } else { outcome.as_function_error() };
        self.ends(call, outcome, ctx);
    }

    #[inline(always)]
    fn ends(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        ctx.queue.cancel(row.timer);
        let payer = self.payer(Some(row.a), call, ctx);
        let wasted = row.abandoned || !outcome.is_ok();
        if wasted {
            self.meter.wasted(payer);
        }
        self.bill(row.a, now.since(row.mark), payer, wasted, now);
        if self.connections == StoreConnection::PerInvocation && self.shared.is_none() {
            self.close_connections(row.a, ctx);
        }
        ctx.calls.get(call).b |= ENDED;
        self.vacate(row.a, ctx);
        ctx.reply(call, outcome);
    }

    /// Bills an invocation, together with the Init of its environment if it is the first.
    #[inline(always)]
    fn bill(
        &mut self,
        environment: u32,
        mut spent: Span,
        payer: Payer,
        mut wasted: bool,
        now: Time,
    ) {
        if let Some(shared) = &mut self.shared {
            // Several at a time: the environment's time at work, once.
            let Some(shift) = shared.ends(environment, wasted, now) else { return };
            (spent, wasted) = shift;
        }
        let init = std::mem::take(&mut self.environments.get(environment).unbilled);
        self.meter.duration(init, spent, payer, wasted);
    }

    /// A request leaves its environment: the line moves up, or there is room, or the environment is idle.
    fn vacate(&mut self, environment: u32, ctx: &mut Ctx) {
        if !self.environments.get(environment).starting
            && let Some(next) = self.next_in_line()
        {
            return self.invoke(environment, next, ctx);
        }
        if let Some(shared) = &mut self.shared {
            shared.serving -= 1;
        }
        if self.environments.leave(environment) > 0 {
            return self.show_concurrency(ctx);
        }
        if self.environments.get(environment).provisioned {
            return self.vacate_provisioned(environment, ctx);
        }
        let level = self.admission.on_demand();
        self.admission.leave(Side::OnDemand, ctx);
        self.show_concurrency(ctx);
        self.free(environment, level, ctx);
    }

    fn vacate_provisioned(&mut self, environment: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        self.admission.leave(Side::Provisioned, ctx);
        self.show_concurrency(ctx);
        let Some(provisioned) = &mut self.provisioned else { return };
        provisioned.works(-1, now);
        if provisioned.gives_up() {
            self.remove(environment, ctx);
            self.show_environments(ctx);
        } else {
            self.environments.release(environment, now);
        }
    }

    pub(super) fn close_connections(&mut self, environment: u32, ctx: &mut Ctx) {
        self.sdk.gone(environment);
        let connected = std::mem::take(&mut self.environments.get(environment).connected);
        self.hang_up(environment, connected, ctx);
    }

    /// Closes the connections of an environment; stores know them by its number.
    pub(super) fn hang_up(&self, environment: u32, connected: u64, ctx: &mut Ctx) {
        for (at, store) in self.stores.iter().enumerate() {
            if connected & (1 << at.min(63)) != 0 {
                ctx.hang_up(*store, u32::from(self.slots_each), environment);
            }
        }
    }
}

/// Whether an invocation goes on: what comes after it was reset is stale.
#[inline]
fn is_invoked(call: CallId, ctx: &mut Ctx) -> bool {
    ctx.calls.live(call).is_some_and(|row| row.b & ENDED == 0)
}
