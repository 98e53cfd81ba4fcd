//! The platform's upkeep of a function's environments: expiry, recycling, replacements started ahead of demand, and which
//! environment a waiting request gets.

use super::environments::Environments;
use super::expiry::Reaper;
use super::function::{AHEAD, EXPIRE, Lambda, RECYCLE};
use super::meter::Payer;
use super::seen::Seen;
use crate::kernel::{Key, Rank, Span, Time};
use crate::model::context::Ctx;
use crate::model::era::{Era, Upkeep};
use crate::model::message::CallId;
use rand_distr::{Distribution, Exp1};
use std::collections::VecDeque;

/// When idle environments go.
#[derive(Debug, Clone)]
pub(super) enum Expiry {
    /// A timer for each.
    Timer(Span),
    /// The era's reaper, with recycling and replacements.
    Reaper(Upkeep, Reaper),
}

/// State of the upkeep of one function.
#[derive(Debug)]
pub(super) struct State {
    pub(super) expiry: Expiry,
    /// Whether the next round is scheduled.
    armed: bool,
    /// Key of the draws for environments that no request caused, and of lives.
    key: Key,
    /// Environments created so far.
    born: u64,
    /// Requests that wait for an environment, with the one that each started; some have it meanwhile.
    waiting: VecDeque<(CallId, u32)>,
    pub(super) seen: Seen,
    pub(super) counts: Counts,
}

/// What happened to environments.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) recycled: u64,
    pub(super) started_ahead: u64,
    pub(super) first_uses: u64,
    pub(super) slow_first_uses: u64,
}

impl State {
    /// `idle_life` is the scenario's timer, if it has one.
    pub(super) fn new(idle_life: Option<Span>, era: Era, key: Key) -> State {
        let expiry = match (idle_life, era.upkeep()) {
            (None, Some(rule)) => {
                let phase = rule.period.scaled(key.named("reaper").stream().unit());
                Expiry::Reaper(rule, Reaper::new(rule, phase))
            }
            (life, _) => Expiry::Timer(life.unwrap_or(era.idle_life())),
        };
        State {
            expiry,
            armed: false,
            key: key.named("environments"),
            born: 0,
            waiting: VecDeque::new(),
            seen: Seen::default(),
            counts: Counts::default(),
        }
    }

    fn next(&self, environments: &Environments, in_flight: u32, now: Time) -> Option<Time> {
        match &self.expiry {
            Expiry::Timer(life) => environments.next_expiry(*life),
            Expiry::Reaper(_, reaper) => reaper.next_round(in_flight, environments.len(), now),
        }
    }
}

impl Lambda {
    /// An environment was created: its life begins.
    pub(super) fn created(&mut self, environment: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        self.show_environments(ctx);
        self.upkeep.born += 1;
        if let Expiry::Reaper(rule, _) = &self.upkeep.expiry {
            let mut stream = self.upkeep.key.with(self.upkeep.born).named("life").stream();
            let span = rule.longest_life.minus(rule.shortest_life);
            let life = rule.shortest_life + span.scaled(stream.unit());
            let lost: f64 = Exp1.sample(&mut stream);
            let life = life.min(rule.mean_loss.scaled(lost));
            let turn = self.environments.get(environment).turn;
            ctx.wake_at(now + life, Rank::Timeout, RECYCLE, environment, turn);
        }
    }

    /// A request waits for the environment that it started.
    pub(super) fn waits(&mut self, call: CallId, environment: u32) {
        if self.first_free {
            self.upkeep.waiting.push_back((call, environment));
        }
    }

    /// The oldest request that still waits for its environment leaves it to whom it may concern.
    fn next_waiting(&mut self) -> Option<CallId> {
        while let Some((call, environment)) = self.upkeep.waiting.pop_front() {
            let started = self.environments.get(environment);
            if started.starting && started.call == call {
                started.call = CallId::NONE;
                return Some(call);
            }
        }
        None
    }

    /// Init of an environment is over.
    pub(super) fn ready(&mut self, environment: u32, ctx: &mut Ctx) {
        let row = self.environments.get(environment);
        row.starting = false;
        let (call, broken) = (row.call, row.broken);
        let waiting = self.environments.take_waiting(environment);
        if broken {
            return self.start_failed(environment, call, ctx);
        }
        if call == CallId::NONE {
            self.idle_unused(environment, ctx);
        } else {
            self.invoke(environment, call, ctx);
        }
        for call in waiting {
            self.invoke(environment, call, ctx);
        }
    }

    fn idle_unused(&mut self, environment: u32, ctx: &mut Ctx) {
        if self.environments.get(environment).retiring {
            return self.recycle(environment, ctx);
        }
        self.environments.release_unused(environment, ctx.now());
        self.arm_expiry(ctx);
    }

    /// Notes that an environment begins to work on a request.
    #[inline]
    pub(super) fn used(&mut self, environment: u32, arrived: Time, now: Time) {
        let row = self.environments.get(environment);
        if row.first_use == Time::MAX {
            row.first_use = arrived;
            self.upkeep.counts.first_uses += 1;
            self.upkeep.counts.slow_first_uses += u64::from(now > arrived);
        }
    }

    /// An environment has done its work: it goes if its time has come, serves who waits, or is idle. `level` is the
    /// concurrency that was.
    pub(super) fn free(&mut self, environment: u32, level: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        if let Expiry::Reaper(_, reaper) = &mut self.upkeep.expiry {
            reaper.fell_from(level, now);
        }
        self.upkeep.seen.until(now);
        let row = self.environments.get(environment);
        row.last_use = now;
        if row.broken {
            self.remove(environment, ctx);
            self.show_environments(ctx);
        } else if row.retiring {
            self.recycle(environment, ctx);
        } else if !self.upkeep.waiting.is_empty()
            && let Some(call) = self.next_waiting()
        {
            let arrived = ctx.calls.get(call).established;
            ctx.ledger.waited_for(self.limits.cold, arrived, now);
            self.invoke(environment, call, ctx);
        } else {
            self.environments.release(environment, now);
            self.arm_expiry(ctx);
        }
    }

    pub(super) fn arm_expiry(&mut self, ctx: &mut Ctx) {
        if self.upkeep.armed {
            return;
        }
        if let Some(at) =
            self.upkeep.next(&self.environments, self.admission.on_demand(), ctx.now())
        {
            self.upkeep.armed = true;
            ctx.wake_at(at, Rank::Timeout, EXPIRE, 0, 0);
        }
    }

    /// Removes environments whose time is up, and comes back for the next one.
    pub(super) fn expire(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        loop {
            let taken = match &mut self.upkeep.expiry {
                Expiry::Timer(life) => self.environments.take_expired(now, *life),
                Expiry::Reaper(_, reaper) => {
                    let surplus =
                        self.environments.len() > reaper.wanted(self.admission.on_demand(), now);
                    if surplus { self.environments.take_oldest() } else { None }
                }
            };
            let Some(environment) = taken else { break };
            self.meter.expired += 1;
            self.remove(environment, ctx);
        }
        self.show_environments(ctx);
        self.upkeep.armed = false;
        self.arm_expiry(ctx);
    }

    /// The life of an environment is over: at once if it is idle, else when it will be.
    pub(super) fn life_over(&mut self, environment: u32, turn: u32, ctx: &mut Ctx) {
        if !self.environments.alive(environment, turn) {
            return;
        }
        if self.environments.take(environment) {
            self.recycle(environment, ctx);
        } else {
            self.environments.get(environment).retiring = true;
        }
    }

    /// Removes an environment and starts another ahead of demand, if it was needed of late.
    fn recycle(&mut self, environment: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        self.upkeep.counts.recycled += 1;
        self.remove(environment, ctx);
        self.show_environments(ctx);
        let Expiry::Reaper(_, reaper) = &self.upkeep.expiry else { return };
        if self.environments.len() >= reaper.needed(self.admission.on_demand(), now) {
            return;
        }
        self.upkeep.counts.started_ahead += 1;
        let fresh = self.environments.create(CallId::NONE);
        self.created(fresh, ctx);
        let mut stream = self.upkeep.key.with(self.upkeep.born).named("ahead").stream();
        let start = self.draw_start(fresh, &mut stream);
        let turn = self.environments.get(fresh).turn;
        ctx.wake(start, AHEAD, fresh, turn);
    }

    pub(super) fn remove(&mut self, environment: u32, ctx: &mut Ctx) {
        self.close_connections(environment, ctx);
        self.give_interface(ctx);
        let row = self.environments.get(environment);
        let (first, unbilled) = (row.first_use, std::mem::take(&mut row.unbilled));
        if first < Time::MAX {
            let last = row.last_use;
            self.upkeep.seen.add(first, last);
        }
        if !unbilled.is_zero() {
            self.meter.init(unbilled, Payer::OnDemand);
        }
        self.environments.remove(environment);
    }

    pub(super) fn show_environments(&mut self, ctx: &mut Ctx) {
        let (now, present) = (ctx.now(), self.environments.all());
        if let Some(shared) = &mut self.shared {
            shared.count(present, now);
        }
        ctx.ledger.set(self.gauges.environments, now, present as u64);
    }

    /// What is only known where the era's upkeep is modelled, for the report.
    pub(super) fn upkeep_counters(&mut self) -> Vec<(&'static str, u64)> {
        let (Expiry::Reaper(..), state) = (&self.upkeep.expiry, &self.upkeep) else {
            return Vec::new();
        };
        let mut seen = state.seen.clone();
        for (first, last) in self.environments.uses() {
            seen.add(first, last);
        }
        vec![
            ("environments_recycled", state.counts.recycled),
            ("environments_started_ahead", state.counts.started_ahead),
            ("first_uses", state.counts.first_uses),
            ("slow_first_uses", state.counts.slow_first_uses),
            ("environments_seen_ms", seen.milliseconds()),
        ]
    }
}
