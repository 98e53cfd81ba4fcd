//! What pods do on their processors: one thread of an event loop, workers, threads, and threads beside an event loop.

use super::pod::{GREETING, LATE, OFFLOADED, PREPARING, READING, REFUSED, SIGNING};
use super::runtime::KindOf;
use super::service::{CPU, Pods};
use crate::kernel::{Span, Time};
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::host::ThreadOf;
use crate::model::ledger::LimitId;
use crate::model::message::CallId;
use crate::model::work::{Step, Work};

impl Pods {
    /// Processor time of `work` in this pod, which is its step or its driver's state `code`.
    pub(super) fn work_of(&mut self, pod: u16, work: Span, code: u32) -> Span {
        self.pace.work(&mut self.pods[usize::from(pod)], work, code)
    }

    /// A request ends that nobody has anything of. Its draws have names, so what its steps took can be drawn once more, and requests
    /// that go well carry no sum along.
    #[cold]
    pub(super) fn count_wasted(&mut self, row: &Call, works: &[Work]) {
        let steps = works.get(usize::from(row.work)).map_or(&[][..], |work| &work.steps);
        let slow = self.pods[usize::from(row.address)].slow;
        for (at, step) in (0..row.step).zip(steps) {
            if let Step::Cpu(law) = step {
                let work = law.sample(&mut Call { step: at, ..*row }.step_stream());
                self.wasted = self.wasted + work.scaled(slow);
            }
        }
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
        if mark + amount < now {
            ctx.ledger.waited_for(self.slowed_by(pod, ctx), mark + amount, now);
        }
        if self.kind == KindOf::EventLoop {
            let [took, waited] = &mut self.pods[usize::from(pod)].tasks;
            *took = *took + now.since(mark);
            *waited = *waited + now.since(mark + amount);
        }
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
            let now = ctx.now();
            let since = std::mem::replace(&mut ctx.calls.get(call).mark, now);
            self.waited_for_thread(pod, since, ctx);
            self.on_processor(call, ctx);
        }
    }

    /// What slows down a pod's threads that are on a processor: its own limit, credits that its host has used up, or too little for
    /// all on the host.
    fn slowed_by(&self, pod: u16, ctx: &Ctx) -> LimitId {
        let host = usize::from(self.pods[usize::from(pod)].host);
        if ctx.host(self.hosts[host]).only_limits() {
            return self.limits.cpu_limit;
        }
        let credits = self.burst.as_ref().and_then(|burst| burst.binds(host));
        credits.unwrap_or(self.limits.cpu)
    }

    /// A call has waited for the thread of an event loop. As far as the tasks before it were slow since their pod had too little
    /// processor time, it is that which it waited for; by the mean of all tasks so far.
    pub(super) fn waited_for_thread(&self, pod: u16, since: Time, ctx: &mut Ctx) {
        let now = ctx.now();
        let [took, slowed] = self.pods[usize::from(pod)].tasks;
        if slowed.is_zero() {
            return ctx.ledger.waited_for(self.limits.event_loop, since, now);
        }
        let share = slowed.as_secs_f64() / took.as_secs_f64();
        let until = since + now.since(since).scaled(1.0 - share);
        ctx.ledger.waited_for(self.limits.event_loop, since, until);
        if until < now {
            ctx.ledger.waited_for(self.slowed_by(pod, ctx), until, now);
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
