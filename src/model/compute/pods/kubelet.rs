//! Containers of pods as their kubelet sees them: start, probes, restarts with back-off, termination within the grace period.

use super::fleet::{Fleet, KUBELET, Todo, idle};
use super::hosts::{EVICTED, LEASE_OVER, TAKEN};
use super::lifecycle::Sigterm;
use super::pod::Life;
use super::replica::Stage;
use super::scaler::READING;
use super::service::Pods;
use crate::kernel::Span;
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::message::{CallId, Cause, Outcome};
use crate::model::probe::{BACK_OFF_RESET, Belief, PROBE, back_off};

/// The process begins to listen.
const BOOTED: u8 = KUBELET;
/// Without a readiness probe, but with a law of the time to readiness.
const READY: u8 = KUBELET + 1;
/// A pod gets SIGTERM.
const SIGTERM: u8 = KUBELET + 2;
/// It has lingered for long enough after SIGTERM.
const LINGERED: u8 = KUBELET + 3;
/// A draining pod is looked at.
const DRAINED: u8 = KUBELET + 4;
/// The grace period is over.
const SIGKILL: u8 = KUBELET + 5;
/// The back-off is over.
const RESTART: u8 = KUBELET + 6;
/// A probe of each kind is due.
const PROBE_DUE: u8 = KUBELET + 8;
/// A probe that nobody answers has timed out.
const SILENT: u8 = KUBELET + 11;
/// A probe on its way has timed out: word and turn are its call.
const PROBE_TIMEOUT: u8 = KUBELET + 14;

// Kinds of probe.
const STARTUP: u8 = 0;
const LIVENESS: u8 = 1;
const READINESS: u8 = 2;

/// Processor time that a probe takes: assumed, a trivial route.
const PROBE_WORK: Span = Span::from_millis(1);

/// A drained pod that still works is looked at again after this.
const DRAIN_AGAIN: Span = Span::from_secs(1);
/// A hook that is not over at the end of the grace period is given this once (kubelet, `killContainer`).
const GRACE_EXTENSION: Span = Span::from_secs(2);

impl Pods {
    /// A timer of the fleet: of its autoscaler or of a kubelet.
    pub(super) fn fleet_woken(&mut self, (timer, word, turn): (u8, u32, u32), ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return };
        if timer == READING {
            // Nothing but the counter changes.
            return fleet.housekeep(word as usize, turn, ctx);
        }
        if timer == PROBE_TIMEOUT {
            self.probe_timed_out(CallId { slot: word, turn }, ctx);
        } else if matches!(timer, LEASE_OVER | EVICTED | TAKEN) {
            self.host_woken(timer, word as usize, turn, ctx);
        } else if timer < KUBELET {
            fleet.woken((timer, word, turn), &self.pods, ctx);
        } else if fleet.row(word as usize).life == turn {
            self.kubelet(timer, word as usize, ctx);
        }
        self.carry_out(ctx);
    }

    fn kubelet(&mut self, timer: u8, at: usize, ctx: &mut Ctx) {
        match timer {
            BOOTED => self.comes_up(at, ctx),
            READY => self.contained(at, true, ctx),
            SIGTERM => self.sigterm(at, ctx),
            LINGERED => self.obey(at, ctx),
            DRAINED => self.drained(at, ctx),
            SIGKILL => self.ended(at, ctx),
            RESTART => self.container_starts(at, ctx),
            PROBE_DUE..SILENT => self.probe(timer - PROBE_DUE, at, ctx),
            _ => self.probed(timer - SILENT, at, false, ctx),
        }
    }

    /// Does what the fleet has decided, then tells everybody how it stands.
    pub(super) fn carry_out(&mut self, ctx: &mut Ctx) {
        if !self.fleet.as_mut().is_some_and(|fleet| fleet.take_changed()) {
            return;
        }
        while let Some(todo) = self.fleet.as_mut().and_then(|fleet| fleet.next(ctx)) {
            match todo {
                Todo::Start(at) => self.container_starts(at, ctx),
                Todo::Stop(at) => self.stop(at, false, ctx),
            }
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.show(ctx);
        }
    }

    /// Probes of pods that run from the beginning.
    pub(super) fn watch_running(&mut self, ctx: &mut Ctx) {
        let Some(fleet) = &self.fleet else { return };
        for at in 0..fleet.len() {
            if fleet.row(at).stage != Stage::Ready {
                continue;
            }
            for kind in [LIVENESS, READINESS] {
                let Some(spec) = &fleet.laws.probes[usize::from(kind)] else { continue };
                let key = fleet.key.named("probe").with(at as u64).with(u64::from(kind));
                let first = spec.first_of_running(&mut key.stream());
                ctx.wake(first, PROBE_DUE + kind, at as u32, fleet.row(at).life);
            }
        }
    }

    /// A container starts: its process listens when it has booted.
    fn container_starts(&mut self, at: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(fleet) = &mut self.fleet else { return };
        let boot = fleet.laws.boot.sample(&mut fleet.life_key(at).named("boot").stream());
        let life = fleet.starts(at, now);
        fleet.housekeep(at, life, ctx);
        let startup_probe = fleet.laws.probes[usize::from(STARTUP)].is_some();
        if boot.is_zero() {
            self.comes_up(at, ctx);
        } else {
            self.pods[at].life = Life::Down;
            ctx.wake(boot, BOOTED, at as u32, life);
        }
        if startup_probe {
            self.begin_probe(STARTUP, at, ctx);
        } else {
            self.started(at, ctx);
        }
    }

    /// No startup probe holds the container back any more.
    fn started(&mut self, at: usize, ctx: &mut Ctx) {
        self.begin_probe(LIVENESS, at, ctx);
        self.begin_probe(READINESS, at, ctx);
        let Some(fleet) = &mut self.fleet else { return };
        if fleet.laws.probes[usize::from(READINESS)].is_some() {
            return;
        }
        match &fleet.laws.ready {
            None => self.contained(at, true, ctx),
            Some(law) => {
                let wait = law.sample(&mut fleet.life_key(at).named("ready").stream());
                ctx.wake(wait, READY, at as u32, fleet.row(at).life);
            }
        }
    }

    fn begin_probe(&mut self, kind: u8, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &self.fleet else { return };
        if let Some(spec) = &fleet.laws.probes[usize::from(kind)] {
            let row = fleet.row(at);
            let wait = spec.first_after(ctx.now().since(row.runs));
            ctx.wake(wait, PROBE_DUE + kind, at as u32, row.life);
        }
    }

    /// The kubelet asks.
    fn probe(&mut self, kind: u8, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &self.fleet else { return };
        let Some(spec) = &fleet.laws.probes[usize::from(kind)] else { return };
        if kind == STARTUP && fleet.row(at).beliefs[usize::from(STARTUP)].healthy() {
            return;
        }
        let (life, timeout) = (fleet.row(at).life, spec.timeout);
        ctx.wake(spec.period, PROBE_DUE + kind, at as u32, life);
        if spec.shares_queue {
            let call = Call {
                work: PROBE,
                address: at as u16,
                tag: u32::from(kind) | life << 2,
                ..Call::request(ctx.me, ctx.me, CallId::NONE)
            };
            let call = ctx.call(call, Span::ZERO);
            ctx.wake(timeout, PROBE_TIMEOUT, call.slot, call.turn);
        } else if self.pods[at].life == Life::Up && self.pods[at].frozen {
            ctx.wake(timeout, SILENT + kind, at as u32, life);
        } else {
            let passed = self.pods[at].life == Life::Up && !self.tells_probes(at);
            self.probed(kind, at, passed, ctx);
        }
    }

    /// A probe at the server: a little work like that of any request, and an answer.
    pub(super) fn run_probe(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        if row.step == 0 {
            let at = usize::from(row.address);
            (row.amount, row.mark) = (PROBE_WORK, ctx.queue.now());
            // What the event loop has read before comes first.
            if !self.pods[at].ready.is_empty() {
                return self.pods[at].ready.push_back(call);
            }
            return self.compute(call, ctx);
        }
        let refused = self.tells_probes(usize::from(row.address));
        let failed = Outcome::failed(Cause::QueueFull, ctx.me, 503);
        self.finish(call, if refused { failed } else { Outcome::OK }, ctx);
    }

    /// A probe that went through the server's own queue is answered.
    pub(super) fn probe_answered(&mut self, call: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(call);
        self.probe_ended(answer.tag, usize::from(answer.address), answer.outcome.is_ok(), ctx);
        self.carry_out(ctx);
    }

    fn probe_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.alive(call) && !ctx.calls.get(call).abandoned {
            let row = *ctx.calls.get(call);
            ctx.abandon(call);
            self.probe_ended(row.tag, usize::from(row.address), false, ctx);
        }
    }

    fn probe_ended(&mut self, tag: u32, at: usize, passed: bool, ctx: &mut Ctx) {
        let current = |fleet: &Fleet| fleet.row(at).life & (u32::MAX >> 2) == tag >> 2;
        if self.fleet.as_deref().is_some_and(current) {
            self.probed((tag & 3) as u8, at, passed, ctx);
        }
    }

    /// One more result of a probe.
    fn probed(&mut self, kind: u8, at: usize, passed: bool, ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return };
        let Some(spec) = &fleet.laws.probes[usize::from(kind)] else { return };
        let thresholds = spec.thresholds();
        // A startup probe begins with no opinion: enough failures count although it has never passed.
        let belief = &mut fleet.row_mut(at).beliefs[usize::from(kind)];
        let change = belief.seen(passed, thresholds);
        match (kind, change) {
            (STARTUP, Some(true)) => self.started(at, ctx),
            (READINESS, Some(ready)) => self.contained(at, ready, ctx),
            (LIVENESS, Some(false)) => self.stop(at, true, ctx),
            (STARTUP, None) if !passed => {
                let row = fleet.row_mut(at);
                row.startup_failures += 1;
                if row.startup_failures >= thresholds.1 {
                    self.stop(at, true, ctx);
                }
            }
            _ => {}
        }
    }

    /// Whether the containers of a pod are ready has changed.
    fn contained(&mut self, at: usize, ready: bool, ctx: &mut Ctx) {
        if let Some(fleet) = &mut self.fleet {
            fleet.contained(at, ready, ctx.queue.now());
        }
    }

    /// A pod is deleted, or its container is to be started again: the hook, SIGTERM, at last SIGKILL.
    fn stop(&mut self, at: usize, again: bool, ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return };
        let life = fleet.stops(at, again);
        if self.pods[at].life == Life::Down {
            return self.ended(at, ctx);
        }
        let (pre_stop, grace) = (fleet.laws.pre_stop, fleet.laws.grace);
        let late = grace.filter(|grace| pre_stop >= *grace).map(|grace| grace + GRACE_EXTENSION);
        if let Some(kill) = late.or(grace) {
            ctx.wake(kill, SIGKILL, at as u32, life);
        }
        match late {
            _ if pre_stop.is_zero() => self.sigterm(at, ctx),
            None => ctx.wake(pre_stop, SIGTERM, at as u32, life),
            Some(late) if pre_stop < late => ctx.wake(pre_stop, SIGTERM, at as u32, life),
            Some(_) => {}
        }
    }

    fn sigterm(&mut self, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return };
        let row = fleet.row_mut(at);
        row.signalled = true;
        let life = row.life;
        if fleet.laws.linger.is_zero() {
            self.obey(at, ctx);
        } else {
            ctx.wake(fleet.laws.linger, LINGERED, at as u32, life);
        }
    }

    fn obey(&mut self, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &self.fleet else { return };
        match fleet.laws.sigterm {
            Sigterm::Ignore => {}
            Sigterm::Exit => self.ended(at, ctx),
            Sigterm::Drain => {
                self.drain(at, ctx);
                self.drained(at, ctx);
            }
        }
    }

    fn drained(&mut self, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &self.fleet else { return };
        if idle(&self.pods[at]) {
            return self.ended(at, ctx);
        }
        ctx.wake(DRAIN_AGAIN, DRAINED, at as u32, fleet.row(at).life);
    }

    /// The container's process is over, by itself or by SIGKILL: what it holds is reset. It starts again if it is to.
    pub(super) fn ended(&mut self, at: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        self.kill(at, ctx);
        let Some(fleet) = &mut self.fleet else { return };
        if !fleet.row(at).again {
            return fleet.gone(at, ctx);
        }
        fleet.contained(at, false, now);
        let row = fleet.row_mut(at);
        if now.since(row.runs) >= BACK_OFF_RESET {
            row.restarts = 0;
        }
        let wait = back_off(row.restarts);
        row.restarts += 1;
        row.restarted += 1;
        row.life += 1;
        let life = row.life;
        fleet.restarted += 1;
        ctx.wake(wait, RESTART, at as u32, life);
    }

    /// A process dies by itself: its kubelet starts it again.
    pub(super) fn crash(&mut self, at: usize, ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return self.kill(at, ctx) };
        if fleet.row(at).stage != Stage::Absent {
            let again = fleet.row(at).stage != Stage::Draining;
            fleet.stops(at, again);
            self.ended(at, ctx);
            self.carry_out(ctx);
        }
    }

    /// Whether a pod was deleted and is on its way out, or gone.
    pub(super) fn ending(&self, at: usize) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| !fleet.row(at).here())
    }

    /// Whether a process answers probes with 503: it has been told to go.
    pub(super) fn tells_probes(&self, at: usize) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.laws.fails_probes && fleet.row(at).signalled)
    }

    /// The balancer's opinion of a pod, for its readiness gate.
    pub(super) fn gated(&mut self, at: usize, healthy: bool, ctx: &mut Ctx) {
        if let Some(fleet) = &mut self.fleet {
            fleet.gate(at, healthy, ctx.queue.now());
            self.carry_out(ctx);
        }
    }
}

/// What is believed of a container before its first probe: it lives, it has not started, it is not ready. One that runs from the beginning
/// of the run has started and is ready.
pub(super) fn beliefs(running: bool) -> [Belief; 3] {
    [Belief::new(running), Belief::new(true), Belief::new(running)]
}
