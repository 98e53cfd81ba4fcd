//! Simple classes, as most are: what their users do with every request in one act each, and no question asked of what they do without.
//! The outcome is that of the general functions, which serve all other classes, and these in whatever fails.

use super::sending::Leaving;
use super::user::Kept;
use super::{Class, TIMEOUT};
use crate::model::context::Ctx;
use crate::model::message::CallId;

impl Class {
    /// Whether this class does without closed loads and sessions, limits and costs of a load generator, retry tokens, the adaptive
    /// limiter, resumed TLS sessions, further addresses and HTTP/2.
    pub(super) fn is_simple(&self) -> bool {
        let generator = &self.generator;
        let costs = [generator.connect, generator.request, generator.timer];
        let own_ways = self.addresses.is_some() || self.http2.is_some();
        let tokens = !self.retry.shared() || self.retry.counts() || self.adaptive.is_some();
        self.closed.is_none()
            && self.rounds.len() == 1
            && self.vus.is_none()
            && self.connection.tls_resumption.is_none()
            && costs.iter().all(|cost| cost.is_zero())
            && !own_ways
            && !tokens
    }

    /// The next arrival of a simple class is here: the same as [`Class::comes`].
    #[inline(never)]
    pub(super) fn comes_and_sends(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        let index = self.next_user;
        let slot = self.place(now, now);
        ctx.ledger.newcomer(self.index, now);
        self.in_progress += 1;
        let mut kept = None;
        if !self.spare.is_empty() {
            self.take_spare(slot, ctx);
            kept = self.users[slot as usize].connection;
        }
        let user = &mut self.users[slot as usize];
        let turn = user.turn;
        if let Some(lane) = self.timeout {
            user.timer = ctx.arm(lane, TIMEOUT, slot, turn);
        }
        let key = self.key.with(u64::from(index)).with(0);
        let leaving =
            Leaving { slot, turn, index, key, attempt: 0, work: self.rounds[0].work, kept };
        self.goes::<true>(&leaving, ctx);
        self.schedule_arrival(ctx);
    }

    /// A request of a simple class was answered, and with that its user is done: the same as [`Class::answered`].
    #[inline(never)]
    pub(super) fn is_done(&mut self, id: CallId, ctx: &mut Ctx) {
        if !ctx.calls.get(id).outcome.is_ok() {
            return self.answered(id, ctx);
        }
        let now = ctx.now();
        let call = ctx.take_reply(id);
        let slot = call.parent.slot;
        let user = &mut self.users[slot as usize];
        debug_assert_eq!(user.turn, call.parent.turn);
        ctx.queue.cancel(user.timer);
        ctx.ledger.served(self.index, now, user.sent, user.scheduled);
        (user.turn, user.index) = (user.turn.wrapping_add(1), self.free);
        self.free = slot;
        self.present -= 1;
        self.in_progress -= 1;
        if let Some(connection) = Kept::after(&call) {
            self.leaves_behind(connection, ctx);
        }
    }
}
