//! What pools do without a request: connections that are opened ahead, and those whose time is over. The driver's own processor time for
//! connections that no request asked for is left out.

use super::pod::{AGAIN, LOOK, TOO_OLD};
use super::service::Pods;
use crate::kernel::Span;
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::message::{CallId, Message, NodeId};
use crate::model::probe::PROBE;

/// How often a pool looks whether enough connections are idle (`HikariPool.java`: `HOUSEKEEPING_PERIOD_MS`).
const LOOK_EVERY: Span = Span::from_secs(30);
/// From a connection that could not be opened ahead to the next try; half as much again after each, up to the longest
/// (`HikariPool.java`, `PoolEntryCreator`).
const AGAIN_FIRST: Span = Span::from_millis(250);
const AGAIN_LONGEST: Span = Span::from_secs(10);
/// Failures in a row after which the longest is reached.
const AGAIN_MOST: u32 = 15;

/// A connection that is being opened for no request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    call: CallId,
    pod: u16,
    failures: u32,
}

/// A pod and a store in one word.
fn both(pod: u16, store: NodeId) -> u32 {
    u32::from(pod) << 16 | u32::from(store.0)
}

/// The pod and the store of a word.
fn parts(word: u32) -> (u16, NodeId) {
    ((word >> 16) as u16, NodeId(word as u16))
}

impl Pods {
    /// A process has started: its pools begin to fill.
    pub(super) fn fill_pools(&mut self, pod: u16, ctx: &mut Ctx) {
        for at in 0..self.pools.len() {
            let own = &self.pools[at];
            let (store, settings) = (own.store, &own.settings);
            if settings.min_idle == 0 {
                continue;
            }
            if settings.min_idle < settings.max {
                ctx.wake(LOOK_EVERY, LOOK, both(pod, store), self.pods[usize::from(pod)].lives);
            }
            self.open_ahead(pod, store, ctx);
        }
    }

    /// Opens the connections that a pool is short of.
    pub(super) fn open_ahead(&mut self, pod: u16, store: NodeId, ctx: &mut Ctx) {
        for _ in 0..self.pool_at(pod, store).open_ahead() {
            self.open_one(pod, store, 0, ctx);
        }
    }

    fn open_one(&mut self, pod: u16, store: NodeId, failures: u32, ctx: &mut Ctx) {
        let Some(pool) = self.store_pool(store) else { return };
        let key = pool.key.with(u64::from(pod)).with(u64::from(self.connections));
        self.connections = self.connections.wrapping_add(1);
        let tag = self.connections;
        let call = ctx.connect(Call { key, tag, ..Call::request(ctx.me, store, CallId::NONE) });
        self.ahead.push(Ahead { call, pod, failures });
    }

    /// A probe, or a connection that was opened ahead, was answered.
    #[cold]
    pub(super) fn answered_no_request(&mut self, child: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(child).work == PROBE {
            return self.probe_answered(child, ctx);
        }
        let of_child = |ahead: &Ahead| ahead.call == child;
        let Some(at) = self.ahead.iter().position(of_child) else { return };
        if !self.defers(self.ahead[at].pod, Message::Reply(child)) {
            self.ahead_answered(at, child, ctx);
        }
    }

    /// A connection that was being opened for no request is open or refused.
    fn ahead_answered(&mut self, at: usize, child: CallId, ctx: &mut Ctx) {
        let Ahead { pod, failures, .. } = self.ahead.swap_remove(at);
        let answer = ctx.take_reply(child);
        let (store, connection) = (answer.to, answer.tag);
        let life = self.pods[usize::from(pod)].lives;
        if !answer.outcome.is_ok() {
            let wait = (0..failures).fold(AGAIN_FIRST, |wait, _| wait.scaled(1.5));
            let wait = wait.min(AGAIN_LONGEST);
            let failures = (failures + 1).min(AGAIN_MOST);
            return ctx.wake(wait, AGAIN, both(pod, store), life << 4 | failures);
        }
        let now = ctx.now();
        let next = self.pool_at(pod, store).opened_ahead(connection, now);
        self.is_open(pod, store, connection, ctx);
        match next {
            Some(next) => self.gets(next, store, connection, ctx),
            None => self.rests(pod, store, ctx),
        }
        self.open_ahead(pod, store, ctx);
    }

    /// A timer of a pool's own.
    pub(super) fn pool_woken(&mut self, (timer, word, turn): (u8, u32, u32), ctx: &mut Ctx) {
        if timer == TOO_OLD {
            let (pod, store) = parts(turn);
            if self.pool_at(pod, store).too_old(word) {
                ctx.hang_up(store, 1, word);
                self.open_ahead(pod, store, ctx);
            }
            return;
        }
        let (pod, store) = parts(word);
        let life = self.pods[usize::from(pod)].lives;
        if timer == LOOK && life == turn {
            ctx.wake(LOOK_EVERY, LOOK, word, turn);
            self.open_ahead(pod, store, ctx);
        } else if timer == AGAIN
            && life << 4 == turn & !AGAIN_MOST
            && self.pool_at(pod, store).still_missing()
        {
            self.open_one(pod, store, turn & AGAIN_MOST, ctx);
        }
    }

    /// A connection is open: it is counted, and its time begins.
    pub(super) fn is_open(&mut self, pod: u16, store: NodeId, connection: u32, ctx: &mut Ctx) {
        let open = u64::from(self.pods[usize::from(pod)].connections());
        self.counts.connections_max = self.counts.connections_max.max(open);
        let Some(pool) = self.store_pool(store) else { return };
        let Some(lifetime) = pool.settings.max_lifetime else { return };
        let drawn = pool.key.named("lifetime").with(u64::from(connection)).stream().unit();
        let lasts = lifetime.scaled(1.0 - pool.settings.lifetime_spread * drawn);
        ctx.wake(lasts, TOO_OLD, connection, both(pod, store));
    }

    /// A process has died: the connections that it was opening ahead are given up.
    pub(super) fn leave_ahead(&mut self, pod: u16, ctx: &mut Ctx) {
        for at in (0..self.ahead.len()).rev() {
            if self.ahead[at].pod == pod {
                let Ahead { call, .. } = self.ahead.swap_remove(at);
                let row = *ctx.calls.get(call);
                ctx.abandon(call);
                ctx.hang_up(row.to, 1, row.tag);
            }
        }
    }
}
