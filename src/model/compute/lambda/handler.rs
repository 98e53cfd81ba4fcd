//! What the handler does: the steps of a request, its calls and statements, and the messages of a batch.

use super::function::{EVENT, Lambda, STEP};
use super::spec::StoreConnection;
use crate::kernel::Span;
use crate::model::batch::Next;
use crate::model::calls::{Call, Op, SHARED};
use crate::model::context::Ctx;
use crate::model::dist::Sampler;
use crate::model::message::{CallId, Cause, NodeId, Outcome};
use crate::model::work::Step;

impl Lambda {
    /// Runs the work from its present step on.
    pub(super) fn run(&mut self, call: CallId, ctx: &mut Ctx) {
        if self.is_ping(call, ctx) {
            return self.finish(call, Outcome::OK, ctx);
        }
        let works = ctx.works;
        if self.connections == StoreConnection::InInit
            && ctx.calls.get(call).step == 0
            && let Some(store) = self.not_connected(call, ctx)
        {
            return self.connect(call, store, ctx);
        }
        let mut delay = Span::ZERO;
        loop {
            let row = ctx.calls.get(call);
            let steps = &works[usize::from(row.work)].steps;
            let Some(step) = steps.get(usize::from(row.step)) else {
                if !delay.is_zero() {
                    return ctx.wake(delay, STEP, call.slot, call.turn);
                }
                match ctx.calls.next_item(call) {
                    Next::Item => continue,
                    Next::Wait(wait) => return ctx.wake(wait, STEP, call.slot, call.turn),
                    Next::Done => return self.complete(call, ctx),
                }
            };
            match step {
                Step::Cpu(law) if self.shared.is_some() => {
                    if !delay.is_zero() {
                        return ctx.wake(delay, STEP, call.slot, call.turn);
                    }
                    let work = law.sample(&mut row.step_stream());
                    return self.compute(call, work, ctx);
                }
                // Times in a row are one event.
                Step::Cpu(law) => {
                    let work = law.sample(&mut row.step_stream());
                    delay = delay + work.scaled(self.pace);
                }
                Step::Wait(law) => {
                    let wait = law.sample(&mut row.step_stream());
                    let batch = ctx.calls.batch_of(call);
                    if !batch.is_some_and(|batch| ctx.calls.batches.get(batch).overlaps(wait)) {
                        delay = delay + wait;
                    }
                }
                _ if !delay.is_zero() => return ctx.wake(delay, STEP, call.slot, call.turn),
                Step::Query(store, hold) => return self.query(call, *store, hold, ctx),
                Step::Call(to, work, _) => {
                    let child = ctx.call_service(*to, *work, call);
                    return self.sent(call, child, ctx);
                }
                Step::Publish(to, work, size) => {
                    let child = ctx.send(*to, *work, Op::Request, *size, call);
                    return self.sent(call, child, ctx);
                }
                Step::Event(to, work, size) => {
                    let child = ctx.send(*to, *work, Op::Event, *size, call);
                    return self.sent(call, child, ctx);
                }
                Step::Fail(share, every_time) => {
                    if ctx.step_fails(call, *share, *every_time) {
                        let outcome = Outcome::failed(Cause::FunctionError, ctx.me, 500);
                        return self.item_failed(call, outcome, ctx);
                    }
                }
            }
            ctx.calls.get(call).step += 1;
        }
    }

    pub(super) fn store_bit(&mut self, store: NodeId) -> u64 {
        let at = self.stores.iter().position(|known| *known == store).unwrap_or_else(|| {
            self.stores.push(store);
            self.stores.len() - 1
        });
        1 << at.min(63)
    }

    /// The first store of the work to which the environment has no connection yet.
    fn not_connected(&mut self, call: CallId, ctx: &mut Ctx) -> Option<NodeId> {
        let row = ctx.calls.get(call);
        let (work, environment) = (row.work, row.a);
        let connected = self.environments.get(environment).connected;
        ctx.works[usize::from(work)].steps.iter().find_map(|step| match step {
            Step::Query(store, _) => (connected & self.store_bit(*store) == 0).then_some(*store),
            _ => None,
        })
    }

    fn query(&mut self, call: CallId, store: NodeId, hold: &Sampler, ctx: &mut Ctx) {
        let bit = self.store_bit(store);
        let environment = ctx.calls.get(call).a;
        if self.environments.get(environment).connected & bit == 0 {
            return self.connect(call, store, ctx);
        }
        let amount = hold.sample(&mut ctx.calls.get(call).step_stream());
        let child = ctx.call_store(store, call, amount, environment);
        if self.environments.shared() {
            ctx.calls.get(child).weight = SHARED;
        }
        self.sent(call, child, ctx);
    }

    fn connect(&mut self, call: CallId, store: NodeId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        let (environment, child) = (row.a, row.child(ctx.me, store, call));
        let child = Call { weight: self.slots_each, tag: environment, ..child };
        let child = ctx.connect(child);
        self.sent(call, child, ctx);
    }

    /// The invocation waits for `child`.
    fn sent(&mut self, call: CallId, child: CallId, ctx: &mut Ctx) {
        ctx.calls.get(call).child = child;
    }

    /// The work failed: the whole invocation, unless it is a batch whose messages are reported one by one.
    fn item_failed(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let batch = ctx.calls.batch_of(call);
        if !batch.is_some_and(|batch| ctx.calls.batches.get(batch).item_failed()) {
            return self.finish(call, outcome, ctx);
        }
        // Nothing is left of this message.
        ctx.calls.get(call).step = u16::MAX;
        self.run(call, ctx);
    }

    /// A connection, statement or call on behalf of an invocation was answered.
    #[inline(never)]
    pub(super) fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        if self.is_ping(child, ctx) {
            return ctx.calls.close(child);
        }
        let row = ctx.calls.peek(child);
        let (op, call, to, tag, outcome) = (row.op, row.parent, row.to, row.tag, row.outcome);
        match op {
            Op::Deliver => {
                let answer = ctx.take_reply(child);
                return self.events.delivered(&answer, ctx, EVENT);
            }
            Op::Request => {
                let answer = ctx.take_reply(child);
                if let Some(pause) = self.sdk.answered(ctx.calls.get(call).a, &answer, ctx) {
                    ctx.calls.get(call).child = CallId::NONE;
                    return ctx.wake(pause, STEP, call.slot, call.turn);
                }
            }
            Op::Event | Op::Query | Op::Connect | Op::Batch => ctx.calls.close(child),
        }
        if call == CallId::NONE {
            // What went to the failure destination, or a connection from before the run.
            if op == Op::Connect {
                self.initial_answered(outcome.is_ok(), (tag, to), ctx);
            }
            return;
        }
        ctx.calls.get(call).child = CallId::NONE;
        if !outcome.is_ok() {
            if op == Op::Query {
                // A statement that failed takes its connection with it.
                let bit = self.store_bit(to);
                self.environments.get(tag).connected &= !bit;
                self.hang_up(tag, bit, ctx);
            }
            if op == Op::Connect && self.connections == StoreConnection::InInit {
                let environment = ctx.calls.get(call).a;
                self.environments.get(environment).broken = true;
                return self.finish(call, outcome, ctx);
            }
            return self.item_failed(call, outcome, ctx);
        }
        if op == Op::Connect {
            let bit = self.store_bit(to);
            let environment = ctx.calls.get(call).a;
            self.environments.get(environment).connected |= bit;
        } else {
            ctx.calls.get(call).step += 1;
        }
        self.run(call, ctx);
    }
}
