//! A user's way to a connection: the addresses of a name one after the other or side by side, and TLS sessions that are resumed.

use super::super::addresses::not_connected;
use super::Class;
use super::NEXT_ADDRESS;
use crate::kernel::Time;
use crate::model::calls::Call;
use crate::model::context::Ctx;
use crate::model::message::CallId;

impl Class {
    /// Until when a new user can resume a session of an earlier visit, where sessions are resumed.
    pub(super) fn session_of_before(&self, user: u64) -> Option<Time> {
        let resumption = self.connection.tls_resumption.filter(|_| self.connection.tls)?;
        let returning = resumption.returning;
        let comes_back = || self.key.with(user).named("session").stream().chance(returning);
        Some(if returning > 0.0 && comes_back() { Time::MAX } else { Time::ZERO })
    }

    /// Whether a user's next handshake resumes a session.
    #[inline]
    pub(super) fn resumes(&self, slot: u32, now: Time) -> bool {
        self.sessions.get(slot as usize).is_some_and(|until| now < *until)
    }

    /// Notes when the next address of the name has its turn, or when those that are tried side by side are compared.
    pub(super) fn arm_next_address(&mut self, slot: u32, ctx: &mut Ctx) {
        let Some((choices, lane)) = self.addresses else { return };
        let turn = self.users[slot as usize].turn;
        let race = &mut self.races[slot as usize];
        if race.rank + 1 < choices || !race.others.is_empty() {
            race.timer = ctx.arm(lane, NEXT_ADDRESS, slot, turn);
        }
    }

    /// Whether the connection of a call stands. A front door that does not listen itself takes what reaches it.
    pub(super) fn connected(&self, call: CallId, ctx: &mut Ctx) -> bool {
        call != CallId::NONE
            && (ctx.calls.get(call).established < Time::MAX
                || (!self.entry_listens && !ctx.faults.holds(call)))
    }

    /// The same as the client sees it: the server's answer to its SYN has come back.
    fn knows(&self, call: CallId, ctx: &mut Ctx) -> bool {
        let now = ctx.now();
        let on_its_way =
            |row: &Call| row.established < Time::MAX && row.established + row.hop > now;
        self.connected(call, ctx) && !on_its_way(ctx.calls.get(call))
    }

    /// The present address had its time: if no connection stands, the next one is tried.
    pub(super) fn next_address(&mut self, slot: u32, ctx: &mut Ctx) {
        let Some((choices, _)) = self.addresses else { return };
        let present = self.users[slot as usize].call;
        if self.knows(present, ctx) {
            return self.give_up_others(slot, present, ctx);
        }
        let others = self.races[slot as usize].others.clone();
        if let Some(&stands) = others.iter().find(|other| self.knows(**other, ctx)) {
            self.users[slot as usize].call = stands;
            self.races[slot as usize].others.push(present);
            return self.give_up_others(slot, stands, ctx);
        }
        if self.races[slot as usize].rank + 1 >= choices {
            // All are being tried: compare them again.
            return self.arm_next_address(slot, ctx);
        }
        if self.connection.addresses.side_by_side() {
            self.races[slot as usize].others.push(present);
        } else {
            ctx.abandon(present);
        }
        self.races[slot as usize].rank += 1;
        self.dispatch(slot, ctx);
    }

    /// Closes the sockets to all addresses but the one that is taken.
    pub(super) fn give_up_others(&mut self, slot: u32, taken: CallId, ctx: &mut Ctx) {
        let Some(race) = self.races.get_mut(slot as usize) else { return };
        ctx.queue.cancel(race.timer);
        let others = std::mem::take(&mut race.others);
        for other in others.into_iter().filter(|other| *other != taken) {
            ctx.abandon(other);
        }
    }

    /// One address did not let the user in: whether another one is being tried, or is from now on.
    pub(super) fn goes_on(&mut self, slot: u32, id: CallId, call: &Call, ctx: &mut Ctx) -> bool {
        let Some((choices, _)) = self.addresses else { return false };
        if !not_connected(call.outcome, call.established < Time::MAX) {
            return false;
        }
        let user = &mut self.users[slot as usize];
        let race = &mut self.races[slot as usize];
        race.others.retain(|other| *other != id);
        if user.call == id {
            user.call = race.others.pop().unwrap_or(CallId::NONE);
        }
        if race.rank + 1 < choices {
            ctx.queue.cancel(race.timer);
            if user.call != CallId::NONE {
                race.others.push(user.call);
            }
            race.rank += 1;
            self.dispatch(slot, ctx);
            return true;
        }
        user.call != CallId::NONE
    }

    /// One address answered, or the user gave up: the others are left alone.
    pub(super) fn end_race(&mut self, slot: u32, answered: CallId, ctx: &mut Ctx) {
        let present = self.users[slot as usize].call;
        if present != CallId::NONE && present != answered {
            ctx.abandon(present);
        }
        self.give_up_others(slot, answered, ctx);
        self.races[slot as usize].rank = 0;
    }
}
