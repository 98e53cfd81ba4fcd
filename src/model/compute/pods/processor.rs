//! What pods do on their processors: one thread of an event loop, workers, threads, and threads beside an event loop.

use super::pod::{GREETING, LATE, OFFLOADED, PREPARING, READING, REFUSED, SIGNING};
use super::service::{CPU, KindOf, Pods};
use crate::kernel::Span;
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::host::ThreadOf;
use crate::model::message::CallId;

impl Pods {
    /// Processor time of `work` in this pod, which is its step or its driver's state `code`.
    pub(super) fn work_of(&mut self, pod: u16, work: Span, code: u32) -> Span {
        self.pace.work(&mut self.pods[usize::from(pod)], work, code)
    }

    /// A processor step: on an event loop it waits for the one thread.
    pub(super) fn compute(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        let pod = &mut self.pods[row.address as usize];
        if self.kind == KindOf::EventLoop {
            if pod.loop_busy {
                pod.ready.push_back(call);
                return;
            }
            pod.loop_busy = true;
        }
        self.on_processor(call, ctx);
    }

    /// The server's part of a TLS handshake, which the request comes behind.
    #[inline(never)]
    pub(super) fn sign(&mut self, call: CallId, ctx: &mut Ctx) {
        let pod = ctx.calls.get(call).address;
        let work = self.work_of(pod, self.cpu_handshake, SIGNING);
        let row = ctx.calls.get(call);
        row.amount = work;
        row.b = SIGNING;
        self.compute(call, ctx);
    }

    pub(super) fn on_processor(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        let host = self.hosts[self.pods[row.address as usize].host as usize];
        ctx.compute(host, self.thread_of(&row, call), row.amount, CPU, call.slot, call.turn);
    }

    /// The thread that works for a call: its pod's, or one of its own beside an event loop.
    fn thread_of(&self, row: &Call, call: CallId) -> ThreadOf {
        let own = self.pods.len() as u32;
        let beside = row.b == OFFLOADED;
        let pod = u32::from(row.address);
        ThreadOf { pod, ..ThreadOf::number(if beside { own + call.slot } else { pod }) }
    }

    #[inline(never)]
    pub(super) fn cpu_done(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        let doing = row.b;
        let driver = [OFFLOADED, GREETING, LATE, PREPARING, READING, REFUSED, SIGNING];
        row.step += u16::from(!driver.contains(&doing));
        let (pod, mark, amount) = (row.address, row.mark, row.amount);
        if let Some(fleet) = &mut self.fleet {
            fleet.worked(pod, amount);
        }
        // What the step took beyond its time on an idle reference core is waiting for the processor.
        ctx.ledger.waited_for(self.limits.cpu, mark + amount, now);
        match doing {
            OFFLOADED => return self.offloaded(call, ctx),
            GREETING | LATE => self.greeted(call, doing == LATE, ctx),
            PREPARING => self.prepared(call, ctx),
            READING => self.read(call, ctx),
            REFUSED => self.refused(call, ctx),
            SIGNING => {
                ctx.calls.get(call).b = 0;
                self.seat(call, ctx);
            }
            _ => self.run(call, ctx),
        }
        if self.kind == KindOf::EventLoop {
            self.turn_loop(pod, ctx);
        }
    }

    /// A task of the event loop is done: the next one of this turn, or the next turn.
    fn turn_loop(&mut self, pod: u16, ctx: &mut Ctx) {
        let at = usize::from(pod);
        while self.pods[at].turn_left == 0 {
            // Who was accepted in the turn before is read in this one, after all that was ready by then.
            let taken = std::mem::take(&mut self.pods[at].taken);
            for &call in &taken {
                self.accept(call, ctx);
            }
            self.pods[at].turn_left = self.pods[at].ready.len();
            self.take_connections(taken, pod, ctx);
            if self.pods[at].turn_left == 0 && self.pods[at].taken.is_empty() {
                self.pods[at].loop_busy = false;
                return;
            }
        }
        self.pods[at].turn_left -= 1;
        if let Some(call) = self.pods[at].ready.pop_front() {
            self.on_processor(call, ctx);
        }
    }

    /// Takes as many connections as the event loop accepts in a turn. `room` is for their list.
    fn take_connections(&mut self, mut room: Vec<CallId>, pod: u16, ctx: &mut Ctx) {
        room.clear();
        for _ in 0..self.accepts {
            let Some(call) = self.next_connection(pod, ctx) else { break };
            room.push(call);
        }
        self.pods[usize::from(pod)].taken = room;
    }

    /// A call that may be on the processor leaves it.
    pub(super) fn off_processor(&mut self, pod: usize, call: CallId, ctx: &mut Ctx) {
        let host = self.hosts[self.pods[pod].host as usize];
        let row = *ctx.calls.get(call);
        ctx.stop_computing(host, self.thread_of(&row, call), CPU, call.slot, call.turn);
    }
}
