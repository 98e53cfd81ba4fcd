//! The supervisor of sync workers: one that has been silent for too long is killed, its client sees a reset, and another takes its place.

use super::pod::{GREETING, LATE, OPENING, POOL};
use super::runtime::Runtime;
use super::service::Pods;
use super::spec::PodsSpec;
use crate::kernel::{LaneId, Rank};
use crate::model::calls::Op;
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause, Outcome};
use crate::model::wiring::Wiring;

/// A worker may have been silent for too long.
pub(super) const SILENT_WORKER: u8 = 9;
/// The successor of a killed worker accepts: word is the pod, turn its process.
pub(super) const WORKER_UP: u8 = 10;

/// A supervisor.
pub(super) struct Supervisor {
    timeout: LaneId,
    boot: Sampler,
    limit: LimitId,
    /// Workers killed.
    pub(super) killed: u64,
}

impl Supervisor {
    /// None where there are no sync workers, or where they may be silent for ever.
    ///
    /// # Errors
    /// Says which law has no meaning; a checked scenario has no such errors.
    pub(super) fn of(spec: &PodsSpec, wiring: &mut Wiring) -> Result<Option<Supervisor>, String> {
        let Runtime::SyncWorkers(workers) = &spec.runtime else { return Ok(None) };
        if workers.timeout.is_zero() {
            return Ok(None);
        }
        let about = format!("workers that are silent for {}", workers.timeout);
        Ok(Some(Supervisor {
            timeout: wiring.queue.lane(workers.timeout, Rank::Timeout),
            boot: workers.boot.sampler(wiring.data)?,
            limit: wiring.ledger.limit(wiring.me, "worker_timeout", about),
            killed: 0,
        }))
    }
}

impl Pods {
    /// A worker has accepted: from here on it is silent until it has answered.
    pub(super) fn watch_worker(&self, call: CallId, ctx: &mut Ctx) {
        if let Some(supervisor) = &self.supervisor {
            ctx.arm(supervisor.timeout, SILENT_WORKER, call.slot, call.turn);
        }
    }

    /// The worker of a request is killed, with all that it holds.
    pub(super) fn worker_silent(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(supervisor) = &mut self.supervisor else { return };
        supervisor.killed += 1;
        ctx.ledger.refused_by(supervisor.limit, now);
        let boot = supervisor.boot.sample(&mut ctx.stream(call, Purpose::WorkerBoot));
        let row = *ctx.calls.get(call);
        let pod = row.address;
        ctx.queue.cancel(row.timer);
        if matches!(row.b, POOL | OPENING | GREETING | LATE) {
            self.off_processor(usize::from(pod), call, ctx);
            self.leave_pool(call, ctx);
        } else if ctx.calls.alive(row.child) {
            let child = *ctx.calls.get(row.child);
            ctx.abandon(row.child);
            if child.op == Op::Query {
                self.give_back(pod, child.to, child.tag, false, ctx);
            }
        } else {
            self.off_processor(usize::from(pod), call, ctx);
            self.leave_connection(call, ctx);
        }
        self.left_progress(call, ctx);
        self.reply(call, Outcome::failed(Cause::WorkerKilled, ctx.me, 0), ctx);
        // Its place is taken until the next worker is there.
        let life = self.pods[usize::from(pod)].lives;
        ctx.wake(boot, WORKER_UP, u32::from(pod), life);
    }

    /// The next worker is there.
    pub(super) fn worker_up(&mut self, pod: u16, life: u32, ctx: &mut Ctx) {
        let row = &mut self.pods[usize::from(pod)];
        if row.lives == life {
            row.running -= 1;
            self.let_next_in(pod, ctx);
        }
    }
}
