//! What is done to pods from outside: terminated, killed, started, frozen, blocked.

use super::pod::Life;
use super::service::Pods;
use crate::model::calls::{Op, Via};
use crate::model::context::Ctx;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::operation::Action;

/// The end of a blocked time: word is the pod.
pub(super) const THAW: u8 = 7;

impl Pods {
    /// Carries out what happens to a pod.
    pub(super) fn operate(&mut self, action: &Action, ctx: &mut Ctx) {
        let pod = usize::from(action.pod().unwrap_or_default());
        match action {
            Action::Terminate(_) => match &mut self.fleet {
                Some(fleet) if fleet.row(pod).here() => {
                    fleet.remove(pod);
                    self.carry_out(ctx);
                }
                Some(_) => {}
                None => self.drain(pod, ctx),
            },
            Action::RollOut(_) => {
                if let Some(fleet) = &mut self.fleet {
                    fleet.roll_out();
                    self.carry_out(ctx);
                }
            }
            Action::Kill(_) => self.crash(pod, ctx),
            Action::LoseHosts(_) | Action::Interrupt(_) | Action::DrainHosts(_) => {
                self.operate_hosts(action, ctx);
            }
            // The world carries out what happens around a node.
            Action::Slow(_) | Action::Down(_) | Action::BlackHole(_) => {}
            Action::Start(_) if self.fleet.is_some() => {}
            Action::Start(_) => self.comes_up(pod, ctx),
            Action::Freeze(_) => self.pods[pod].frozen = true,
            Action::Thaw(_) => self.thaw(pod, ctx),
            Action::Block(block) => {
                self.pods[pod].frozen = true;
                ctx.wake(block.duration, THAW, pod as u32, 0);
            }
        }
    }

    /// The process listens from now on.
    pub(super) fn comes_up(&mut self, pod: usize, ctx: &mut Ctx) {
        self.pods[pod].life = Life::Up;
        self.fill_pools(pod as u16, ctx);
    }

    /// What came while the process stood still is delivered now, in order.
    pub(super) fn thaw(&mut self, pod: usize, ctx: &mut Ctx) {
        let to = ctx.me;
        self.pods[pod].frozen = false;
        for message in std::mem::take(&mut self.pods[pod].deferred) {
            ctx.queue.immediately(Event::new(to, message));
        }
        self.accept_waiting(pod as u16, ctx);
    }

    /// Keeps a message for later if the pod stands still.
    #[inline(always)]
    pub(super) fn defers(&mut self, pod: u16, message: Message) -> bool {
        let pod = &mut self.pods[usize::from(pod)];
        if pod.frozen {
            pod.defer(message);
        }
        pod.frozen
    }

    /// The process takes no new connection.
    pub(super) fn drain(&mut self, pod: usize, ctx: &mut Ctx) {
        self.pods[pod].life = Life::Draining;
        self.reset_queued(pod, ctx);
    }

    /// The listening socket is closed: connections that nobody has accepted are reset.
    fn reset_queued(&mut self, pod: usize, ctx: &mut Ctx) {
        let queued = std::mem::take(&mut self.pods[pod].accept_queue);
        self.left_accept_queue(queued.len(), ctx);
        for call in queued {
            // Who has given up by then loses nothing.
            if self.ending(pod) && !ctx.calls.get(call).abandoned {
                ctx.ledger.refused_by(self.limits.removal, ctx.queue.now());
            }
            self.reply(call, Outcome::failed(Cause::Reset, ctx.me, 0), ctx);
        }
    }

    /// The process dies: everything it holds is reset, its connections to stores are closed.
    pub(super) fn kill(&mut self, pod: usize, ctx: &mut Ctx) {
        self.pods[pod].life = Life::Down;
        self.reset_queued(pod, ctx);
        let here = self.pods[pod].unread();
        for call in ctx.calls.at(ctx.me, pod as u16) {
            let row = ctx.calls.get(call);
            // A request that is still on its way on a kept connection meets a closed port.
            let under_way = row.b == 0 && row.via != Via::New && here.binary_search(&call).is_err();
            if !under_way {
                self.drop_call(pod, call, ctx);
            }
        }
        self.reset_pools(pod as u16, ctx);
        // Answers that came while the process stood still are taken by nobody.
        for message in std::mem::take(&mut self.pods[pod].deferred) {
            if let Message::Reply(child) = message
                && ctx.calls.alive(child)
            {
                ctx.calls.close(child);
            }
        }
        self.pods[pod].forget();
    }

    fn drop_call(&mut self, pod: usize, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        // A SYN that is still to be sent again meets a closed port then.
        if row.established == crate::kernel::Time::MAX {
            return;
        }
        if ctx.calls.alive(row.child) {
            let child = ctx.calls.get(row.child);
            let (to, op, tag) = (child.to, child.op, child.tag);
            ctx.abandon(row.child);
            if op == Op::Query {
                ctx.hang_up(to, 1, tag);
            }
        }
        self.off_processor(pod, call, ctx);
        self.leave_connection(call, ctx);
        ctx.queue.cancel(row.timer);
        self.left_progress(call, ctx);
        if self.ending(pod) {
            ctx.ledger.refused_by(self.limits.grace, ctx.queue.now());
        }
        self.reply(call, Outcome::failed(Cause::Reset, ctx.me, 0), ctx);
    }

    /// Closes what the pod's pools hold idle and begins anew.
    fn reset_pools(&mut self, pod: u16, ctx: &mut Ctx) {
        self.leave_ahead(pod, ctx);
        let stores: Vec<NodeId> = self.pools.iter().map(|pool| pool.store).collect();
        for store in stores {
            while let Some(connection) = self.pool_at(pod, store).take_idle() {
                ctx.hang_up(store, 1, connection);
            }
        }
        self.pods[usize::from(pod)].forget_pools();
    }
}
