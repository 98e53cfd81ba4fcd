//! The service's side of its stores: connection pools per pod, statements, waits for a connection.

use super::pod::{
    ACQUIRE, GREETING, IDLE, LATE, OFFLOADED, OPENING, POOL, PREPARING, READING, REFUSED, RUNNING,
    StorePool,
};
use super::service::Pods;
use crate::kernel::Span;
use crate::model::context::Ctx;
use crate::model::dist::Sampler;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::pool::{Checkin, Checkout, GREETED, Pool, PoolMode, PoolSpec};
use crate::model::work::Step;

impl Pods {
    pub(super) fn store_pool(&self, store: NodeId) -> Option<&StorePool> {
        self.pools.iter().find(|pool| pool.store == store)
    }

    pub(super) fn pool_at(&mut self, pod: u16, store: NodeId) -> &mut Pool {
        let spec = self.pools.iter().find(|pool| pool.store == store);
        let usual = || Pool::new(PoolMode::Pool, &PoolSpec::default().settings());
        let fresh = || spec.map_or_else(usual, StorePool::empty);
        self.pods[pod as usize].pool(store, fresh)
    }

    /// A statement needs a connection.
    pub(super) fn checkout(&mut self, call: CallId, store: NodeId, ctx: &mut Ctx) {
        let pod = ctx.calls.get(call).address;
        match self.pool_at(pod, store).checkout(call) {
            Checkout::Ready(connection) => self.query(call, store, connection, ctx),
            Checkout::Open => {
                self.arm_acquire(call, store, ctx);
                self.open(call, store, ctx);
            }
            Checkout::Wait => {
                self.arm_acquire(call, store, ctx);
                ctx.calls.get(call).b = POOL;
            }
        }
    }

    fn arm_acquire(&mut self, call: CallId, store: NodeId, ctx: &mut Ctx) {
        let lane = self.store_pool(store).and_then(|pool| pool.acquire);
        let timer = lane.map(|lane| ctx.arm(lane, ACQUIRE, call.slot, call.turn));
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        if let Some(timer) = timer {
            row.timer = timer;
        }
    }

    fn open(&mut self, call: CallId, store: NodeId, ctx: &mut Ctx) {
        self.connections = self.connections.wrapping_add(1);
        // A server that is told so waits for the first message of the connection.
        let startup = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.startup_cpu);
        let child = ctx.connect_store(store, call, startup, self.connections);
        let row = ctx.calls.get(call);
        row.b = OPENING;
        row.child = child;
    }

    pub(super) fn query(&mut self, call: CallId, store: NodeId, connection: u32, ctx: &mut Ctx) {
        let works = ctx.works;
        let row = *ctx.calls.get(call);
        let step = works[usize::from(row.work)].steps.get(usize::from(row.step));
        let zero = Sampler::Constant(0.0);
        let law = if let Some(Step::Query(_, law)) = step { law } else { &zero };
        let amount = law.sample(&mut ctx.calls.get(call).step_stream());
        let child = ctx.call_store(store, call, amount, connection);
        let row = ctx.calls.get(call);
        row.b = RUNNING;
        row.child = child;
    }

    /// A request in line for a pool may go on.
    pub(super) fn woken(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let since = ctx.calls.get(call).mark;
        ctx.ledger.waited_for(self.limits.pool, since, now);
    }

    /// Whoever may open a connection now does so. Its timer runs on: waiting and opening count together.
    fn open_next(&mut self, next: Option<CallId>, store: NodeId, ctx: &mut Ctx) {
        if let Some(next) = next {
            self.woken(next, ctx);
            self.open(next, store, ctx);
        }
    }

    /// A connection was opened or refused for a request.
    pub(super) fn connected(
        &mut self,
        call: CallId,
        store: NodeId,
        connection: u32,
        outcome: Outcome,
        ctx: &mut Ctx,
    ) {
        let row = ctx.calls.get(call);
        let (pod, timer) = (row.address, row.timer);
        row.b = RUNNING;
        ctx.queue.cancel(timer);
        if !outcome.is_ok() {
            row.outcome = outcome.shown_as(500);
            let work = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.refused_cpu);
            if work.is_zero() {
                return self.refused(call, ctx);
            }
            return self.drive(call, REFUSED, connection, work, ctx);
        }
        let next = self.pool_at(pod, store).opened(connection);
        self.is_open(pod, store, connection, ctx);
        self.open_next(next, store, ctx);
        let keys = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.connect_offload);
        if keys.is_zero() {
            return self.prepare(call, store, connection, ctx);
        }
        // Native code, which does not warm up.
        let row = ctx.calls.get(call);
        (row.b, row.a, row.amount, row.mark) = (OFFLOADED, connection, keys, ctx.queue.now());
        self.on_processor(call, ctx);
    }

    /// The driver knows that a connection was refused, and so does the request; whoever waits may try.
    pub(super) fn refused(&mut self, call: CallId, ctx: &mut Ctx) {
        self.not_opened(call, ctx);
        let outcome = ctx.calls.get(call).outcome;
        self.finish(call, outcome, ctx);
    }

    /// A connection that was being opened for a request will not be.
    fn not_opened(&mut self, call: CallId, ctx: &mut Ctx) {
        if let Some(store) = store_of(call, ctx) {
            let pod = ctx.calls.get(call).address;
            let next = self.pool_at(pod, store).refused();
            self.open_next(next, store, ctx);
        }
    }

    /// The kernels have connected: the driver writes its first message.
    pub(super) fn greet(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if row.b == OPENING
            && let Some(store) = store_of(call, ctx)
        {
            let startup = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.startup_cpu);
            self.drive(call, GREETING, row.a, startup, ctx);
        }
    }

    /// The first message of a connection goes out.
    pub(super) fn greeted(&mut self, call: CallId, late: bool, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.b = OPENING;
        let child = row.child;
        if late {
            return self.acquire_timed_out(call, ctx);
        }
        let to = ctx.calls.get(child).to;
        let message = Message::Wake(GREETED, child.slot, child.turn);
        ctx.queue.immediately(Event::new(to, message));
    }

    /// What other threads had to do for a connection is done.
    pub(super) fn offloaded(&mut self, call: CallId, ctx: &mut Ctx) {
        let connection = ctx.calls.get(call).a;
        if let Some(store) = store_of(call, ctx) {
            self.prepare(call, store, connection, ctx);
        }
    }

    /// The driver's own part of opening a connection.
    fn prepare(&mut self, call: CallId, store: NodeId, connection: u32, ctx: &mut Ctx) {
        let work = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.connect_cpu);
        if work.is_zero() {
            return self.query(call, store, connection, ctx);
        }
        self.drive(call, PREPARING, connection, work, ctx);
    }

    /// The driver works for a connection of this request's, in the process that waits for it.
    fn drive(&mut self, call: CallId, state: u32, connection: u32, work: Span, ctx: &mut Ctx) {
        let pod = ctx.calls.get(call).address;
        // The driver's bits stand above those of the steps.
        let work = self.work_of(pod, work, 48 + state);
        let row = ctx.calls.get(call);
        (row.b, row.a, row.amount) = (state, connection, work);
        self.compute(call, ctx);
    }

    /// The answer of a statement has come: whether the driver has to work on it before the connection is free.
    pub(super) fn reads(
        &mut self,
        call: CallId,
        store: NodeId,
        connection: u32,
        ctx: &mut Ctx,
    ) -> bool {
        let work = self.store_pool(store).map_or(Span::ZERO, |pool| pool.spec.statement_cpu);
        if !work.is_zero() {
            self.drive(call, READING, connection, work, ctx);
        }
        !work.is_zero()
    }

    /// The driver has read the answer of a statement.
    pub(super) fn read(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.b = RUNNING;
        let (pod, connection) = (row.address, row.a);
        if let Some(store) = store_of(call, ctx) {
            self.give_back(pod, store, connection, true, ctx);
        }
        ctx.calls.get(call).step += 1;
        self.run(call, ctx);
    }

    /// The driver has done its part of opening a connection.
    pub(super) fn prepared(&mut self, call: CallId, ctx: &mut Ctx) {
        let connection = ctx.calls.get(call).a;
        if let Some(store) = store_of(call, ctx) {
            self.query(call, store, connection, ctx);
        }
    }

    /// A request whose driver was at work for its connection is dropped, and the connection with it.
    pub(super) fn leave_connection(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if row.b == REFUSED {
            self.not_opened(call, ctx);
        } else if matches!(row.b, OFFLOADED | PREPARING | READING)
            && let Some(store) = store_of(call, ctx)
        {
            self.give_back(row.address, store, row.a, false, ctx);
        }
    }

    /// A statement ended: its connection goes to the next request, stays or is closed. One that failed takes its connection
    /// with it.
    pub(super) fn give_back(
        &mut self,
        pod: u16,
        store: NodeId,
        connection: u32,
        ok: bool,
        ctx: &mut Ctx,
    ) {
        let now = ctx.now();
        if !ok {
            ctx.hang_up(store, 1, connection);
            let next = self.pool_at(pod, store).broken(connection);
            self.open_next(next, store, ctx);
            return self.open_ahead(pod, store, ctx);
        }
        match self.pool_at(pod, store).checkin(connection, now) {
            Checkin::Next(next) => {
                self.gets(next, store, connection, ctx);
            }
            Checkin::Idle => self.rests(pod, store, ctx),
            Checkin::Close => ctx.hang_up(store, 1, connection),
            Checkin::Retire => {
                ctx.hang_up(store, 1, connection);
                let next = self.pool_at(pod, store).next_to_open();
                self.open_next(next, store, ctx);
                self.open_ahead(pod, store, ctx);
            }
        }
    }

    /// A connection is idle from now on.
    #[inline]
    pub(super) fn rests(&mut self, pod: u16, store: NodeId, ctx: &mut Ctx) {
        if let Some(lane) = self.store_pool(store).and_then(|pool| pool.idle) {
            ctx.arm(lane, IDLE, u32::from(pod), u32::from(store.0));
        }
    }

    /// Who waited in line has a connection that was free.
    pub(super) fn gets(&mut self, call: CallId, store: NodeId, connection: u32, ctx: &mut Ctx) {
        let timer = ctx.calls.get(call).timer;
        ctx.queue.cancel(timer);
        self.woken(call, ctx);
        self.query(call, store, connection, ctx);
    }

    /// Closes connections that have been idle for long enough.
    pub(super) fn close_idle(&mut self, pod: u16, store: NodeId, ctx: &mut Ctx) {
        let now = ctx.now();
        let timeout = self.store_pool(store).and_then(|pool| pool.settings.idle_timeout);
        while let Some(timeout) = timeout
            && let Some(connection) = self.pool_at(pod, store).expire(now, timeout)
        {
            ctx.hang_up(store, 1, connection);
        }
    }

    /// A request has waited too long for a connection.
    pub(super) fn acquire_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        if row.b == GREETING {
            // The loop looks at its timers when it has done what it is at.
            row.b = LATE;
        } else if self.leave_pool(call, ctx) {
            ctx.ledger.refused_by(self.limits.pool, ctx.now());
            self.finish(call, Outcome::failed(Cause::PoolTimeout, ctx.me, 500), ctx);
        }
    }

    /// A request that waits for a connection, or opens one, does so no longer. Says whether it did.
    pub(super) fn leave_pool(&mut self, call: CallId, ctx: &mut Ctx) -> bool {
        let row = *ctx.calls.get(call);
        let Some(store) = store_of(call, ctx) else { return false };
        match row.b {
            POOL => {
                self.pool_at(row.address, store).leave(call);
            }
            OPENING | GREETING | LATE => {
                let connection = ctx.calls.get(row.child).tag;
                ctx.abandon(row.child);
                ctx.hang_up(store, 1, connection);
                ctx.calls.get(call).child = CallId::NONE;
                self.not_opened(call, ctx);
            }
            _ => return false,
        }
        true
    }
}

/// The store that a call's present step asks.
fn store_of(call: CallId, ctx: &mut Ctx) -> Option<NodeId> {
    let row = ctx.calls.get(call);
    let (work, step) = (usize::from(row.work), usize::from(row.step));
    match ctx.works[work].steps.get(step) {
        Some(Step::Query(store, _)) => Some(*store),
        _ => None,
    }
}
