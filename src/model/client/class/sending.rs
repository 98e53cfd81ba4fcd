//! How an attempt leaves: a connection for it, what the load generator has to do, the SYN or the request.

use super::http2::WITH_THE_FIRST;
use super::{Class, Connection, Kept, KeptBy, OPEN, SEND, TIMEOUT};
use crate::kernel::{Key, Rank, Span, Time};
use crate::model::calls::{Opening, Via};
use crate::model::context::Ctx;
use crate::model::message::CallId;
use std::num::NonZeroU32;

/// An attempt that leaves: whose it is, what its draws hang on, and the connection it has, if any.
pub(super) struct Leaving {
    pub(super) slot: u32,
    pub(super) turn: u32,
    pub(super) index: u32,
    pub(super) key: Key,
    pub(super) attempt: u16,
    pub(super) work: u16,
    pub(super) kept: Option<Kept>,
}

impl Class {
    /// The user sends an attempt, unless the adaptive limiter holds it back.
    #[inline(always)]
    pub(super) fn attempt(&mut self, slot: u32, ctx: &mut Ctx) {
        let delay = self.adaptive.as_mut().map_or(Span::ZERO, |limit| limit.delay(ctx.now()));
        if delay.is_zero() {
            self.send(slot, ctx);
        } else {
            let turn = self.users[slot as usize].turn;
            ctx.wake(delay, SEND, slot, turn);
        }
    }

    /// The user sends; whatever the load generator has to do before comes first.
    #[inline(always)]
    pub(super) fn send(&mut self, slot: u32, ctx: &mut Ctx) {
        let user = &mut self.users[slot as usize];
        if user.connection.is_none() && !self.spare.is_empty() {
            self.take_spare(slot, ctx);
        }
        let user = &mut self.users[slot as usize];
        let turn = user.turn;
        let opens = user.connection.is_none();
        if let Some(lane) = self.timeout {
            user.timer = ctx.arm(lane, TIMEOUT, slot, turn);
        }
        if self.http2.is_none() {
            return self.pays(slot, opens, ctx);
        }
        if let Some(opens) = self.take_stream(slot, ctx) {
            self.sends(slot, opens, ctx);
        }
    }

    /// Takes over the connection that was left last, after those that the server has closed meanwhile are gone.
    #[inline(always)]
    pub(super) fn take_spare(&mut self, slot: u32, ctx: &mut Ctx) {
        if let Some(most) = self.idle_close
            && self.spare.front().is_some_and(|(_, since)| ctx.now().since(*since) > most)
        {
            self.close_spare(most, ctx);
        }
        if self.connection.kept_by == KeptBy::Generator {
            self.users[slot as usize].connection = self.spare.pop_back().map(|(kept, _)| kept);
        }
    }

    /// The server has closed the connections that were idle for longer than this.
    #[cold]
    fn close_spare(&mut self, most: Span, ctx: &mut Ctx) {
        let now = ctx.now();
        while let Some((kept, since)) = self.spare.front()
            && now.since(*since) > most
        {
            ctx.hang_up(kept.node, kept.number, kept.tag.get());
            self.spare.pop_front();
        }
    }

    /// The server has closed a user's connection, which was idle for too long.
    #[inline(never)]
    pub(super) fn was_closed(&mut self, slot: u32, ctx: &mut Ctx) {
        if let Some(connection) = self.users[slot as usize].connection.take() {
            ctx.hang_up(connection.node, connection.number, connection.tag.get());
        }
    }

    /// The adaptive limiter lets the attempt go.
    #[inline(never)]
    pub(super) fn sends_late(&mut self, slot: u32, ctx: &mut Ctx) {
        self.send(slot, ctx);
    }

    /// The user's request has its connection, or opens one.
    #[inline(never)]
    pub(super) fn sends(&mut self, slot: u32, opens: bool, ctx: &mut Ctx) {
        self.pays(slot, opens, ctx);
    }

    /// The load generator does its part, then the request leaves.
    #[inline(always)]
    fn pays(&mut self, slot: u32, opens: bool, ctx: &mut Ctx) {
        let now = ctx.now();
        let turn = self.users[slot as usize].turn;
        let connect = if opens { self.generator.connect } else { Span::ZERO };
        let cost = self.generator.request + connect;
        if cost.is_zero() {
            return self.leaves(slot, ctx);
        }
        let at = self.opening_until.max(now);
        self.opening_until = at + cost;
        let user = &mut self.users[slot as usize];
        user.opening = true;
        // Through the queue even if it is now: the others of this instant are to be known first.
        ctx.wake_at(at, Rank::Arrival, OPEN, slot, turn);
    }

    /// The request, or the SYN of its new connection, leaves at last.
    #[inline(never)]
    pub(super) fn dispatch(&mut self, slot: u32, ctx: &mut Ctx) {
        self.leaves(slot, ctx);
    }

    /// The request, or the SYN of its new connection, leaves.
    #[inline(always)]
    fn leaves(&mut self, slot: u32, ctx: &mut Ctx) {
        let key = self.request_key(slot);
        let user = &mut self.users[slot as usize];
        user.opening = false;
        let kept = match &self.http2 {
            None => user.connection,
            Some(http2) => http2.kept(slot),
        };
        let work = self.rounds[user.step as usize].work;
        let (turn, index, attempt) = (user.turn, user.index, user.attempt);
        let leaving = Leaving { slot, turn, index, key, attempt, work, kept };
        self.goes::<false>(&leaving, ctx);
    }

    /// The request, or the SYN of its new connection, leaves; what is known of it is given. `SIMPLE`: the first attempt of a simple
    /// class, which has all else from the model.
    #[inline(always)]
    pub(super) fn goes<const SIMPLE: bool>(&mut self, leaving: &Leaving, ctx: &mut Ctx) {
        let Leaving { slot, kept, .. } = *leaving;
        let resumes = !SIMPLE && self.resumes(slot, ctx.now());
        let handshake = if SIMPLE { self.model.amount } else { self.handshake(ctx.now(), resumes) };
        let opening = kept.is_none();
        // An open connection leads straight to whoever accepted it; names and routers are asked for new ones only.
        let mut to = kept.map_or(self.entry, |kept| kept.node);
        if let Some(kept) = kept
            && ctx.flows.any()
            && let Some((forwarder, ended)) =
                ctx.flows.forgotten(ctx.me, kept.tag.get(), ctx.queue.now())
        {
            // A forwarder on the way has dropped the row of this connection: it answers itself, with a reset.
            to = forwarder;
            ctx.flow_ended(ended);
        }
        if opening {
            self.opened = self.opened.checked_add(1).unwrap_or(NonZeroU32::MIN);
        }
        let tag = kept.map_or(self.opened, |kept| kept.tag).get();
        let via = kept.map_or(Via::New, |kept| Via::Open(kept.number));
        let address = match self.addresses {
            Some(_) if !SIMPLE && opening => self.races[slot as usize].rank,
            _ => 0,
        };
        // A front door that does not listen itself meets the request after the handshake.
        let hop = self.model.hop;
        let mut delay = if opening && !self.entry_listens { hop + handshake } else { hop };
        let mut counts = address == 0;
        if !SIMPLE && let Some(http2) = &mut self.http2 {
            let (behind, again) = http2.leaves(slot, tag);
            delay = if behind { WITH_THE_FIRST } else { delay };
            counts &= !again;
        }
        let now = ctx.now();
        if !SIMPLE && counts {
            ctx.ledger.attempt(self.index, now);
        }
        let (id, call) = ctx.calls.open_like(&self.model);
        self.users[slot as usize].call = id;
        (call.to, call.parent) = (to, CallId { slot, turn: leaving.turn });
        (call.key, call.via, call.tag, call.sent) = (leaving.key, via, tag, now);
        call.weight = leaving.index as u16;
        if !opening {
            call.established = now;
        }
        if !SIMPLE {
            let connection = &self.connection;
            let opening = Opening::plain(connection.syn_retry).syn_retries(connection.syn_retries);
            let opening = opening.signed(self.connection.tls && !resumes);
            (call.visit, call.work, call.address) = (leaving.attempt, leaving.work, address);
            (call.amount, call.opening) = (handshake, opening);
        }
        ctx.enter(id, to, delay);
        if !SIMPLE && opening && self.addresses.is_some() {
            self.arm_next_address(slot, ctx);
        }
    }

    /// From the SYN's arrival to the request's first byte: the round trips of TCP and TLS, the pause before sending, and the
    /// connections that the load generator opens first.
    #[inline(always)]
    fn handshake(&self, now: Time, resumes: bool) -> Span {
        let mut trips = self.round_trips;
        if resumes {
            // A resumed handshake takes one round trip in TLS 1.2 and in TLS 1.3.
            trips = self.connection.rtt * u64::from(1 + tls_trips(&self.connection).min(1));
        }
        trips.max(self.opening_until.since(now)) + self.connection.send_delay
    }
}

/// Round trips of a full TLS handshake.
pub(super) fn tls_trips(connection: &Connection) -> u32 {
    if connection.tls { connection.tls_round_trips } else { 0 }
}
