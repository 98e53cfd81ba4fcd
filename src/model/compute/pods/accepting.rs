//! The accept queue from the process's side: whether it takes a connection now, and which.

use super::runtime::KindOf;
use super::service::Pods;
use crate::model::context::Ctx;
use crate::model::message::CallId;

impl Pods {
    /// Whether the process would take a new connection at once.
    pub(super) fn accepts_now(&self, pod: u16) -> bool {
        let pod = &self.pods[pod as usize];
        if pod.frozen {
            return false;
        }
        match self.kind {
            KindOf::EventLoop => !pod.loop_busy,
            KindOf::SyncWorkers => pod.running < self.places,
            KindOf::Threads => pod.held < self.held_max,
        }
    }

    /// An idle process takes what waits in the accept queue.
    pub(super) fn accept_waiting(&mut self, pod: u16, ctx: &mut Ctx) {
        while self.accepts_now(pod) {
            let Some(call) = self.next_connection(pod, ctx) else { return };
            self.accept(call, ctx);
        }
    }

    /// A connection has a request: it counts, where there is a limit.
    #[inline(always)]
    pub(super) fn holds(&mut self, pod: u16) {
        if self.held_max < u32::MAX {
            self.pods[pod as usize].held += 1;
        }
    }

    /// A connection has no request any more: another may be taken.
    #[cold]
    pub(super) fn let_go(&mut self, pod: u16, ctx: &mut Ctx) {
        let held = &mut self.pods[pod as usize].held;
        *held = held.saturating_sub(1);
        self.accept_waiting(pod, ctx);
    }

    /// So many connections have left a pod's accept queue.
    pub(super) fn left_accept_queue(&mut self, n: usize, ctx: &mut Ctx) {
        self.in_accept_queue -= n as u64;
        ctx.ledger.set(self.gauges.accept_queue, ctx.queue.now(), self.in_accept_queue);
    }

    pub(super) fn next_connection(&mut self, pod: u16, ctx: &mut Ctx) -> Option<CallId> {
        let call = self.pods[pod as usize].accept_queue.pop_front()?;
        let now = ctx.now();
        self.in_accept_queue -= 1;
        ctx.ledger.set(self.gauges.accept_queue, now, self.in_accept_queue);
        let row = ctx.calls.get(call);
        let since = row.established;
        match self.kind {
            KindOf::SyncWorkers => ctx.ledger.waited_for(self.limits.places, since, now),
            KindOf::EventLoop => self.waited_for_thread(pod, since, ctx),
            // Without a limit only a process that stands still lets a connection wait.
            KindOf::Threads if self.held_max == u32::MAX => {
                ctx.ledger.waited_for(self.limits.cpu, since, now);
            }
            KindOf::Threads => ctx.ledger.waited_for(self.limits.connections, since, now),
        }
        Some(call)
    }
}
