//! Environments that serve several requests at a time (Managed Instances, Web Functions): room, processor sharing, the line in
//! front of full environments, and environments that follow the load instead of arrivals.

use super::admission::Refusal;
use super::function::{AHEAD, CPU, LOOK, Lambda, SCALE};
use super::spec::LambdaSpec;
use crate::kernel::{Rank, Span, Time};
use crate::model::context::Ctx;
use crate::model::cpu::{Processor, Sharing};
use crate::model::dist::{Dist, Sampler};
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What becomes of a request that finds no room and may not start an environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// It is refused at once.
    #[default]
    Throttle,
    /// It waits for the next environment, unless the most environments are all full (Web Functions).
    Queue,
}

/// When new environments come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleOn {
    /// When a request finds none with room.
    #[default]
    Arrival,
    /// When processors or environments are busy; a request never starts one (Managed Instances).
    Cpu(CpuScaling),
}

/// Scaling by load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuScaling {
    /// Environments that always run.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 15_000), extend("x-source" = "Lambda guide, Managed Instances: at least 3"))]
    pub min: u32,
    /// Share of processors, or of room for requests, that should be in use.
    #[serde(default = "half")]
    #[schemars(range(min = 0.01, max = 1.0), extend("x-source" = "Lambda guide: traffic may double within 5 min, hence half: assumed", "x-assumed" = true))]
    pub target: f64,
    /// Distance between two looks at the load.
    #[serde(default = "fifteen_seconds")]
    #[schemars(extend("x-source" = "not published: assumed", "x-assumed" = true))]
    pub every: Span,
    /// From the decision to a new environment that works, an instance included.
    #[serde(default = "launch")]
    #[schemars(extend("x-source" = "not published; an EC2 instance boots in tens of seconds: assumed", "x-assumed" = true))]
    pub launch: Dist,
}

/// Managed Instances: what the environments run on, for the bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedSpec {
    /// EC2 instance type, such as `m7g.large`.
    pub instance: String,
    /// Environments on one instance.
    #[schemars(range(min = 1, max = 1000))]
    pub per_instance: u32,
}

fn three() -> u32 {
    3
}
fn half() -> f64 {
    0.5
}
fn fifteen_seconds() -> Span {
    Span::from_secs(15)
}
fn launch() -> Dist {
    Dist::Constant(Span::from_secs(40))
}

/// How often a line in front of full environments looks for a new one.
const LOOK_AGAIN: Span = Span::from_millis(100);

/// The time from the first request that an environment works on until it has none.
#[derive(Clone, Copy, Default)]
struct Shift {
    at_work: u32,
    since: Time,
    /// Whether a request was of use to somebody.
    useful: bool,
}

/// State that only functions with several requests per environment have.
pub(super) struct Shared {
    room: u32,
    most: usize,
    full: LimitId,
    queues: bool,
    line: VecDeque<CallId>,
    looking: bool,
    vcpus: f64,
    processors: Vec<Processor>,
    /// Requests at work or waiting for a start.
    pub(super) serving: u32,
    scaling: Option<(CpuScaling, Sampler)>,
    starting: u32,
    launched: u64,
    /// Processor time asked for since the last look.
    cpu_used: Span,
    /// What each environment is at.
    shifts: Vec<Shift>,
    /// Environment-time since the start, and since when how many there are.
    alive_nanos: u128,
    alive: (Time, usize),
}

impl Shared {
    pub(super) fn new(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Option<Shared>, String> {
        if spec.per_environment == 1 {
            return Ok(None);
        }
        let scaling = match &spec.scale_on {
            ScaleOn::Arrival => None,
            ScaleOn::Cpu(cpu) => Some((cpu.clone(), cpu.launch.sampler(wiring.data)?)),
        };
        let most = spec.max_environments.map_or(usize::MAX, |n| n as usize);
        let words = match spec.max_environments {
            Some(n) => format!("{n} environments of {} requests", spec.per_environment),
            None => format!("environments of {} requests, scaled by load", spec.per_environment),
        };
        Ok(Some(Shared {
            room: spec.per_environment,
            most,
            full: wiring.ledger.limit(wiring.me, "environments", words),
            queues: spec.on_full == OnFull::Queue,
            line: VecDeque::new(),
            looking: false,
            vcpus: spec.memory.mb() / wiring.era.mb_per_vcpu(),
            processors: Vec::new(),
            serving: 0,
            scaling,
            starting: 0,
            launched: 0,
            cpu_used: Span::ZERO,
            shifts: Vec::new(),
            alive_nanos: 0,
            alive: (Time::ZERO, 0),
        }))
    }

    /// Whether a request may start one more environment besides `present` ones.
    pub(super) fn may_create(&self, present: usize) -> Result<(), Refusal> {
        let may = self.scaling.is_none() && present < self.most;
        if may { Ok(()) } else { Err((self.full, Cause::ThrottledEnvironments)) }
    }

    /// Whether a request that was refused so waits instead.
    pub(super) fn waits_after(&self, cause: Cause) -> bool {
        let waits = [Cause::ThrottledAccount, Cause::ThrottledReserved, Cause::ThrottledScaling];
        self.queues && waits.contains(&cause)
    }

    /// The number of environments changes to `present`.
    pub(super) fn count(&mut self, present: usize, now: Time) {
        let (since, level) = self.alive;
        self.alive_nanos += u128::from(now.since(since).nanos()) * level as u128;
        self.alive = (now, present);
    }

    /// Environment-milliseconds so far.
    pub(super) fn alive_ms(&self) -> u128 {
        self.alive_nanos / 1_000_000
    }

    /// An environment begins to work on a request.
    pub(super) fn begins(&mut self, environment: u32, now: Time) {
        let at = environment as usize;
        if self.shifts.len() <= at {
            self.shifts.resize(at + 1, Shift::default());
        }
        let shift = &mut self.shifts[at];
        if shift.at_work == 0 {
            (shift.since, shift.useful) = (now, false);
        }
        shift.at_work += 1;
    }

    /// An environment is done with a request, which was `wasted` or not. With the last one: how long it worked, and whether
    /// all of it was for nothing.
    pub(super) fn ends(
        &mut self,
        environment: u32,
        wasted: bool,
        now: Time,
    ) -> Option<(Span, bool)> {
        let shift = &mut self.shifts[environment as usize];
        shift.useful |= !wasted;
        shift.at_work -= 1;
        (shift.at_work == 0).then(|| (now.since(shift.since), !shift.useful))
    }

    /// Starts processor work of a request; says when to look and under which turn.
    fn compute(&mut self, at: u32, call: CallId, work: Span, now: Time) -> Option<Time> {
        let sharing = Sharing::Cores { cores: self.vcpus, speed: 1.0, per_job: 1.0 };
        let at = at as usize;
        while self.processors.len() <= at {
            self.processors.push(Processor::new(sharing));
        }
        self.cpu_used = self.cpu_used + work;
        self.processors[at].start(now, call.slot, call.turn, work)
    }

    /// Environments wanted when a share `used` of `working` ones is in use.
    fn wanted(&self, spec: &CpuScaling, working: u32, used: f64) -> u32 {
        let exact = (f64::from(working) * used / spec.target).ceil() as u32;
        let most = u32::try_from(self.most).unwrap_or(u32::MAX);
        exact.clamp(spec.min.min(most), most)
    }
}

impl Lambda {
    /// Starts the environments that always run.
    pub(super) fn start_fleet(&mut self, ctx: &mut Ctx) {
        let Some((spec, _)) = self.shared.as_ref().and_then(|shared| shared.scaling.as_ref())
        else {
            return;
        };
        let (min, every) = (spec.min, spec.every);
        for _ in 0..min {
            let _ = self.environments.create_idle(ctx.now());
        }
        self.show_environments(ctx);
        ctx.wake(every, SCALE, 0, 0);
    }

    /// A look at the load: new environments are launched, surplus idle ones go.
    pub(super) fn scale(&mut self, ctx: &mut Ctx) {
        let Some(shared) = &mut self.shared else { return };
        let Some((spec, _)) = shared.scaling.clone() else { return };
        let present = u32::try_from(self.environments.len()).unwrap_or(u32::MAX);
        let working = (present - shared.starting).max(1);
        let all = f64::from(working);
        let cpu = std::mem::take(&mut shared.cpu_used).as_secs_f64();
        let cpu = cpu / (spec.every.as_secs_f64() * all * shared.vcpus);
        let full = f64::from(shared.serving) / (all * f64::from(shared.room));
        let wanted = shared.wanted(&spec, working, cpu.max(full));
        ctx.wake(spec.every, SCALE, 0, 0);
        for _ in present..wanted {
            self.launch(ctx);
        }
        for _ in wanted..present {
            let Some(environment) = self.environments.take_oldest() else { break };
            self.remove(environment, ctx);
        }
        self.show_environments(ctx);
    }

    fn launch(&mut self, ctx: &mut Ctx) {
        let Some(shared) = &mut self.shared else { return };
        let Some((_, law)) = &shared.scaling else { return };
        shared.launched += 1;
        shared.starting += 1;
        let after = law.sample(&mut self.key.named("launch").with(shared.launched).stream());
        let environment = self.environments.create(CallId::NONE);
        let turn = self.environments.get(environment).turn;
        ctx.wake(after, AHEAD, environment, turn);
    }

    /// An environment that no request started is ready.
    pub(super) fn launched(&mut self, ctx: &mut Ctx) {
        if let Some(shared) = &mut self.shared {
            shared.starting = shared.starting.saturating_sub(1);
        }
        self.look(ctx);
    }

    /// A processor step on shared cores.
    pub(super) fn compute(&mut self, call: CallId, work: Span, ctx: &mut Ctx) {
        let (now, environment) = (ctx.now(), ctx.calls.get(call).a);
        let Some(shared) = &mut self.shared else { return };
        let due = shared.compute(environment, call, work, now);
        look_at(environment, due, ctx);
    }

    /// The processor of an environment may be done with a request.
    pub(super) fn computed(&mut self, environment: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(shared) = &mut self.shared else { return };
        let processor = &mut shared.processors[environment as usize];
        let (ended, due) = processor.complete(now);
        look_at(environment, due, ctx);
        let Some((slot, turn)) = ended else { return };
        let call = CallId { slot, turn };
        ctx.calls.get(call).step += 1;
        self.run(call, ctx);
    }

    /// A request ends before its processor work does.
    pub(super) fn stop_computing(&mut self, call: CallId, environment: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(shared) = &mut self.shared else { return };
        let Some(processor) = shared.processors.get_mut(environment as usize) else { return };
        let due = processor.remove(now, call.slot, call.turn);
        look_at(environment, due, ctx);
    }

    /// A request joins the line.
    pub(super) fn line_up(&mut self, call: CallId, limit: LimitId, ctx: &mut Ctx) {
        let Some(shared) = &mut self.shared else { return };
        shared.line.push_back(call);
        ctx.ledger.waited_for(limit, ctx.now(), ctx.now() + LOOK_AGAIN);
        if !std::mem::replace(&mut shared.looking, true) {
            ctx.wake(LOOK_AGAIN, LOOK, 0, 0);
        }
    }

    /// The first of the line, if there is one.
    pub(super) fn next_in_line(&mut self) -> Option<CallId> {
        self.shared.as_mut()?.line.pop_front()
    }

    /// The line looks for room and for new environments.
    pub(super) fn look(&mut self, ctx: &mut Ctx) {
        while let Some(&call) = self.shared.as_ref().and_then(|shared| shared.line.front()) {
            let Ok(place) = self.place(ctx) else { break };
            self.next_in_line();
            self.settle(place, call, ctx);
        }
    }

    /// The timer of the line.
    pub(super) fn look_again(&mut self, ctx: &mut Ctx) {
        self.look(ctx);
        if let Some(shared) = &mut self.shared {
            shared.looking = !shared.line.is_empty();
            if shared.looking {
                ctx.wake(LOOK_AGAIN, LOOK, 0, 0);
            }
        }
    }

    /// The caller of a request in line has gone.
    pub(super) fn leave_line(&mut self, call: CallId, ctx: &mut Ctx) {
        let Some(shared) = &mut self.shared else { return };
        if let Some(at) = shared.line.iter().position(|waiting| *waiting == call) {
            shared.line.remove(at);
            ctx.fail(call, Cause::ClientTimeout, 0);
        }
    }
}

/// Comes back for the processor of an environment.
fn look_at(environment: u32, due: Option<Time>, ctx: &mut Ctx) {
    if let Some(at) = due {
        ctx.wake_at(at, Rank::Completion, CPU, environment, 0);
    }
}
