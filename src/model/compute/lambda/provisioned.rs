//! Provisioned concurrency: environments that stand ready before anybody asks, and are paid for meanwhile.
//!
//! A request for more takes a preparation, then environments come at the era's rate; none of the new ones can be used before
//! all are there (Lambda guide, provisioned concurrency).

use super::function::{Lambda, PROVISIONED, SETTING, TRACK};
use super::meter::Payer;
use crate::kernel::{Key, Rank, Span, Time};
use crate::model::account::Account;
use crate::model::context::Ctx;
use crate::model::dist::{Dist, Sampler, Uniform};
use crate::model::era::Era;
use crate::model::scale::tracking::{TargetTracking, Tracker};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Provisioned concurrency of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionedSpec {
    /// Environments held ready.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub concurrency: u32,
    /// Whether they are ready when the run begins; else they are asked for at its beginning.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "the run is a window of a longer operation"))]
    pub ready: bool,
    /// From asking for more to the first new environment.
    #[serde(default = "preparation")]
    #[schemars(extend("x-source" = "Lambda guide 2023, provisioned concurrency: one to two minutes; uniform between them assumed", "x-assumed" = true))]
    pub preparation: Dist,
    /// Later settings, in order of time (scheduled scaling).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Setting>,
    /// Target tracking of the utilisation (Application Auto Scaling); none: only the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
}

/// A scheduled change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// When, from the start of the run.
    pub at: Span,
    /// Environments held ready from then on.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub concurrency: u32,
}

/// Target tracking of provisioned concurrency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Share of the provisioned environments that should be at work.
    #[serde(default = "seventy_percent")]
    #[schemars(range(min = 0.1, max = 0.9), extend("x-source" = "Lambda guide: targets from 10 to 90 %, 70 % in its example"))]
    pub target: f64,
    /// Fewest environments.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min: u32,
    /// Most environments.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
}

fn yes() -> bool {
    true
}
fn seventy_percent() -> f64 {
    0.7
}
fn preparation() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_secs(60), high: Span::from_secs(120) })
}

impl ProvisionedSpec {
    /// The largest number that may ever be held.
    pub fn most(&self) -> u32 {
        let scheduled = self.schedule.iter().map(|setting| setting.concurrency);
        let tracked = self.tracking.as_ref().map(|tracking| tracking.max);
        scheduled.chain(tracked).fold(self.concurrency, u32::max)
    }
}

/// Billed from enabling to disabling, up to the next five minutes (Lambda price page, provisioned concurrency).
const BILLED_STEP: Span = Span::from_secs(300);

/// What was held, environment-milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// On the bill of the window, as if it were disabled at its end.
    pub(super) billed_ms: u128,
    /// Without the rounding of what is still held at the end: a month is extended from it.
    pub(super) ms: u128,
}

/// Milliseconds of whole steps since a time.
fn billed_ms(since: Time, now: Time) -> u128 {
    u128::from(now.since(since).nanos().div_ceil(BILLED_STEP.nanos()) * 300_000)
}

/// Provisioned concurrency as it runs.
pub(super) struct Provisioned {
    spec: ProvisionedSpec,
    preparation: Sampler,
    key: Key,
    /// New environments a second; none: the era's account-wide budget.
    rate: Option<f64>,
    /// What was asked for last.
    pub(super) target: u32,
    /// Environments that can be used, idle or at work.
    pub(super) ready: u32,
    /// Environments at work that go as soon as they are free.
    retiring: u32,
    /// How often more was asked for.
    turn: u32,
    /// What is held, in layers: how many, and since when.
    layers: Vec<(u32, Time)>,
    held_ms: u128,
    tracker: Tracker,
    /// Environment-time at work since the last point of the metric, and when it was last added to.
    busy: u128,
    busy_since: Time,
    at_work: u32,
}

impl Provisioned {
    pub(super) fn new(spec: &ProvisionedSpec, wiring: &Wiring) -> Result<Provisioned, String> {
        Ok(Provisioned {
            spec: spec.clone(),
            preparation: spec.preparation.sampler(wiring.data)?,
            key: wiring.key().named("provisioned"),
            rate: (wiring.era >= Era::Y2023).then_some(100.0),
            target: 0,
            ready: 0,
            retiring: 0,
            turn: 0,
            layers: Vec::new(),
            held_ms: 0,
            tracker: Tracker::default(),
            busy: 0,
            busy_since: Time::ZERO,
            at_work: 0,
        })
    }

    fn hold(&mut self, environments: u32, now: Time) {
        let mut held: u32 = self.layers.iter().map(|layer| layer.0).sum();
        if environments > held {
            self.layers.push((environments - held, now));
        }
        while held > environments {
            let Some((count, since)) = self.layers.pop() else { break };
            let gone = count.min(held - environments);
            self.held_ms += u128::from(gone) * billed_ms(since, now);
            held -= gone;
            if count > gone {
                self.layers.push((count - gone, since));
            }
        }
    }

    /// What was held from the start of the run to its end.
    pub(super) fn held(&self, end: Time) -> Held {
        let sum = |ms: &dyn Fn(Time) -> u128| -> u128 {
            let open = self.layers.iter().map(|&(count, since)| u128::from(count) * ms(since));
            self.held_ms + open.sum::<u128>()
        };
        Held {
            billed_ms: sum(&|since| billed_ms(since, end)),
            ms: sum(&|since| u128::from(end.since(since).nanos() / 1_000_000)),
        }
    }

    /// When environments that are asked for now can be used.
    fn ready_at(&mut self, more: u32, now: Time, account: &mut Account) -> Time {
        let prepared = self.preparation.sample(&mut self.key.with(u64::from(self.turn)).stream());
        match self.rate {
            Some(rate) => now + prepared + Span::from_secs_f64(f64::from(more) / rate),
            None => account.provisioned_at(more, now) + prepared,
        }
    }

    /// An environment began (+1) or ended (-1) work: the utilisation is averaged over time.
    pub(super) fn works(&mut self, change: i32, now: Time) {
        self.busy += u128::from(self.at_work) * u128::from(now.since(self.busy_since).nanos());
        self.busy_since = now;
        self.at_work = self.at_work.saturating_add_signed(change);
    }

    /// Whether an environment that became free has to go.
    pub(super) fn gives_up(&mut self) -> bool {
        let gives_up = self.retiring > 0;
        self.retiring -= u32::from(gives_up);
        gives_up
    }
}

impl Lambda {
    /// Allocates what the scenario starts with, and arms the schedule.
    pub(super) fn start_provisioned(&mut self, ctx: &mut Ctx) {
        let Some(provisioned) = &self.provisioned else { return };
        let spec = provisioned.spec.clone();
        for (at, setting) in spec.schedule.iter().enumerate() {
            ctx.wake_at(Time::ZERO + setting.at, Rank::Completion, SETTING, at as u32, 0);
        }
        if let Some(tracking) = &spec.tracking {
            ctx.wake(tracking.policy().period, TRACK, 0, 0);
        }
        if spec.ready {
            self.hold(spec.concurrency, ctx);
            self.provide(spec.concurrency, ctx);
        } else {
            self.ask_for(spec.concurrency, ctx);
        }
    }

    fn hold(&mut self, environments: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        if let Some(provisioned) = &mut self.provisioned {
            provisioned.target = environments;
            provisioned.hold(environments, now);
            self.admission.allocate(now, environments, ctx);
        }
    }

    /// A scheduled setting is due.
    pub(super) fn apply_setting(&mut self, at: u32, ctx: &mut Ctx) {
        let Some(provisioned) = &self.provisioned else { return };
        if let Some(setting) = provisioned.spec.schedule.get(at as usize) {
            let wanted = setting.concurrency;
            self.ask_for(wanted, ctx);
        }
    }

    /// Changes what is held: less at once, more after the preparation.
    fn ask_for(&mut self, environments: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        self.hold(environments, ctx);
        let Some(provisioned) = &mut self.provisioned else { return };
        provisioned.turn += 1;
        if environments <= provisioned.ready {
            return self.give_back(ctx);
        }
        let account = self.admission.account(ctx);
        let at = provisioned.ready_at(environments - provisioned.ready, now, account);
        ctx.wake_at(at, Rank::Completion, PROVISIONED, environments, 0);
    }

    /// A request for so many is fulfilled, as far as they are still wanted.
    pub(super) fn provisioned_ready(&mut self, environments: u32, ctx: &mut Ctx) {
        if let Some(provisioned) = &self.provisioned {
            let wanted = environments.min(provisioned.target);
            let more = wanted.saturating_sub(provisioned.ready);
            self.provide(more, ctx);
        }
    }

    fn provide(&mut self, more: u32, ctx: &mut Ctx) {
        let Some(provisioned) = &mut self.provisioned else { return };
        let first = u64::from(provisioned.turn) << 32;
        provisioned.ready += more;
        for n in 0..more {
            let key = provisioned.key.with(first | u64::from(n)).named("init");
            let init = self.start.ahead(&mut key.stream());
            // It always paid for Init, as a duration of its own.
            self.meter.init(init, Payer::Provisioned);
            self.environments.create_provisioned();
        }
        self.show_environments(ctx);
    }

    /// Less is wanted than is there: idle ones go at once, others when they are free.
    fn give_back(&mut self, ctx: &mut Ctx) {
        let Some(provisioned) = &mut self.provisioned else { return };
        let surplus = provisioned.ready - provisioned.target;
        provisioned.ready = provisioned.target;
        provisioned.retiring += surplus;
        while let Some(provisioned) = &mut self.provisioned
            && provisioned.retiring > 0
            && let Some(environment) = self.environments.take_provisioned()
        {
            provisioned.retiring -= 1;
            self.remove(environment, ctx);
        }
        self.show_environments(ctx);
    }

    /// A minute is over: target tracking looks at the utilisation.
    pub(super) fn track(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(provisioned) = &mut self.provisioned else { return };
        let Some(tracking) = provisioned.spec.tracking.clone() else { return };
        let policy = tracking.policy();
        ctx.wake(policy.period, TRACK, 0, 0);
        provisioned.works(0, now);
        let busy = std::mem::take(&mut provisioned.busy) as f64;
        let ready = f64::from(provisioned.ready) * policy.period.nanos() as f64;
        let used = (ready > 0.0).then(|| busy / ready);
        let wanted = provisioned.tracker.point(&policy, now, provisioned.target, used);
        if let Some(wanted) = wanted.map(|n| n.clamp(tracking.min, tracking.max))
            && wanted != provisioned.target
        {
            self.ask_for(wanted, ctx);
        }
    }
}

impl Tracking {
    fn policy(&self) -> TargetTracking {
        TargetTracking::provisioned_concurrency(self.target)
    }
}
