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
        let slot = self.new_user(scheduled);
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
    pub(super) fn comes(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        self.arrive(now, ctx);
        self.schedule_arrival(ctx);
    }

    #[inline(always)]
    pub(super) fn schedule_arrival(&mut self, ctx: &mut Ctx) {
        if let Some(at) = self.arrivals.as_mut().and_then(Arrivals::take_next) {
            ctx.wake_at(self.tick(at.max(ctx.now())), Rank::Arrival, ARRIVAL, 0, 0);
        } else if self.closed.is_none() {
            self.exhausted = true;
        }
    }

    /// An open arrival, scheduled for `scheduled`.
    #[inline(always)]
    pub(super) fn arrive(&mut self, scheduled: Time, ctx: &mut Ctx) {
        if let Some((max, when_busy)) = self.vus
            && self.present >= max as usize
        {
            match when_busy {
                WhenBusy::Drop => self.dropped += 1,
                WhenBusy::Wait => self.waiting.push_back(scheduled),
            }
            return;
        }
        let slot = self.new_user(scheduled);
        self.begin(slot, ctx);
    }

    /// A scheduled arrival that waited for a user of the load generator has one.
    #[inline(never)]
    pub(super) fn comes_late(&mut self, ctx: &mut Ctx) {
        let Some(scheduled) = self.waiting.pop_front() else { return };
        debug_assert!(scheduled <= ctx.now());
        self.arrive(scheduled, ctx);
    }

    #[inline(always)]
    pub(super) fn new_user(&mut self, scheduled: Time) -> u32 {
        let own = (!self.retry.shared()).then(|| self.retry.state());
        let session = self.session_of_before(u64::from(self.next_user));
        let slot = self.place(scheduled, Time::ZERO);
        if let Some(new) = session {
            set(&mut self.sessions, slot, new);
        }
        if let Some(new) = own {
            set(&mut self.own, slot, new);
        }
        slot
    }

    /// Gives a user that comes in a row.
    #[inline(always)]
    pub(super) fn place(&mut self, scheduled: Time, sent: Time) -> u32 {
        let index = self.next_user;
        self.next_user = index.wrapping_add(1);
        self.present += 1;
        let slot = self.free;
        let Some(row) = self.users.get_mut(slot as usize) else {
            return self.add(index, scheduled, sent);
        };
        self.free = row.index;
        *row = User { turn: row.turn, ..User::new(index, scheduled, sent) };
        slot
    }

    /// A row that was never used.
    #[cold]
    #[inline(never)]
    fn add(&mut self, index: u32, scheduled: Time, sent: Time) -> u32 {
        self.users.push(User::new(index, scheduled, sent));
        if self.addresses.is_some() {
            self.races.push(Race::default());
        }
        if let Some(http2) = &mut self.http2 {
            http2.add_user();
        }
        u32::try_from(self.users.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Sets what a table holds for a user; a row that was never used is the next of the table.
fn set<T>(table: &mut Vec<T>, slot: u32, value: T) {
    match table.get_mut(slot as usize) {
        Some(old) => *old = value,
        None => table.push(value),
    }
}
