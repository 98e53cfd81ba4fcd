//! How users come: all of a closed load, one after the other of an open one, later where the load generator has nobody free.

use super::{ARRIVAL, Arrivals, Class, Race, START, User};
use crate::kernel::{Rank, Span, Time};
use crate::model::client::load::WhenBusy;
use crate::model::context::Ctx;

impl Class {
    /// Starts the `number`-th closed user and wakes for the next one.
    pub(super) fn start_closed(&mut self, number: u32, ctx: &mut Ctx) {
        let Some(closed) = &self.closed else { return };
        let (users, ramp) = (closed.users, closed.ramp);
        let scheduled = Time::MAX;
        let slot = self.new_user::<false>(scheduled);
        self.exhausted = number + 1 >= users;
        if !self.exhausted {
            let at = self.tick(Time::ZERO + ramp.scaled(f64::from(number + 1) / f64::from(users)));
            if at > ctx.now() {
                ctx.wake_at(at, Rank::Arrival, START, number + 1, 0);
            } else {
                ctx.wake(Span::ZERO, START, number + 1, 0);
            }
        }
        self.goes_on_with(slot, ctx);
    }

    /// The next arrival of an open load is here.
    #[inline(never)]
    pub(super) fn comes<const SIMPLE: bool>(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        self.arrive::<SIMPLE>(now, ctx);
        self.schedule_arrival::<SIMPLE>(ctx);
    }

    #[inline(always)]
    pub(super) fn schedule_arrival<const SIMPLE: bool>(&mut self, ctx: &mut Ctx) {
        if let Some(at) = self.arrivals.as_mut().and_then(Arrivals::take_next) {
            let at = at.max(ctx.now());
            let at = if SIMPLE { at } else { self.tick(at) };
            ctx.wake_at(at, Rank::Arrival, ARRIVAL, 0, 0);
        } else if self.closed.is_none() {
            self.exhausted = true;
        }
    }

    /// An open arrival, scheduled for `scheduled`.
    #[inline(always)]
    fn arrive<const SIMPLE: bool>(&mut self, scheduled: Time, ctx: &mut Ctx) {
        if !SIMPLE
            && let Some((max, when_busy)) = self.vus
            && self.present >= max as usize
        {
            match when_busy {
                WhenBusy::Drop => self.dropped += 1,
                WhenBusy::Wait => self.waiting.push_back(scheduled),
            }
            return;
        }
        let slot = self.new_user::<SIMPLE>(scheduled);
        self.begin::<SIMPLE>(slot, ctx);
    }

    /// A scheduled arrival that waited for a user of the load generator has one.
    #[inline(never)]
    pub(super) fn comes_late(&mut self, ctx: &mut Ctx) {
        let Some(scheduled) = self.waiting.pop_front() else { return };
        debug_assert!(scheduled <= ctx.now());
        self.arrive::<false>(scheduled, ctx);
    }

    #[inline(always)]
    fn new_user<const SIMPLE: bool>(&mut self, scheduled: Time) -> u32 {
        let user = User::new(self.next_user, scheduled);
        self.next_user = self.next_user.wrapping_add(1);
        self.present += 1;
        let slot = self.free;
        if SIMPLE {
            let Some(row) = self.users.get_mut(slot as usize) else { return self.add_user(user) };
            self.free = row.index;
            *row = User { turn: row.turn, ..user };
            return slot;
        }
        let own = (!self.retry.shared()).then(|| self.retry.state());
        let session = self.session_of_before(u64::from(user.index));
        if let Some(row) = self.users.get_mut(slot as usize) {
            self.free = row.index;
            *row = User { turn: row.turn, ..user };
            if let (Some(new), Some(until)) = (session, self.sessions.get_mut(slot as usize)) {
                *until = new;
            }
            if let (Some(new), Some(tokens)) = (own, self.own.get_mut(slot as usize)) {
                *tokens = new;
            }
            return slot;
        }
        self.sessions.extend(session);
        self.own.extend(own);
        if self.addresses.is_some() {
            self.races.push(Race::default());
        }
        if let Some(http2) = &mut self.http2 {
            http2.add_user();
        }
        self.add_user(user)
    }

    /// A row that was never used.
    #[cold]
    fn add_user(&mut self, user: User) -> u32 {
        self.users.push(user);
        u32::try_from(self.users.len() - 1).unwrap_or(u32::MAX)
    }
}
