//! `accept_mutex`: one worker at a time waits for new connections (`ngx_event.c`, `ngx_process_events_and_timers`;
//! `ngx_event_accept.c`, both of 1.22.1).
//!
//! Before it waits for events a worker tries to lock the mutex. If it can, it listens, and holds the lock until it has accepted;
//! accepting comes before whatever else was ready. If it cannot, it stops to listen and wakes up after `accept_mutex_delay` to try again.
//! A worker with less than an eighth of its connections free does not try (`ngx_accept_disabled`), as often as connections are
//! missing; but it does not stop to listen either, so that it goes on to accept beside whoever has the lock meanwhile. After EMFILE
//! it stops to listen, does without one try, and has no timer.
//!
//! Held against nginx 1.22.1, 1,100 connections at once, 2 and 4 workers: with 256 and 512 worker_connections one worker serves its 119 and 239,
//! and a second one more if its try falls into the burst. With 512 descriptors each more succeed than here (502 to 588 of two workers, here
//! 337 to 464): a worker that reads many requests in one iteration does not accept between them.
//!
//! Events that the model handles outside the loop (an upstream's answer, the end of a client's connection) end a wait.

use super::proxy::{ACCEPT_AGAIN, Nginx};
use super::worker::Task;
use crate::kernel::{Key, LaneId, Rank, Span, Time, TimerId};
use crate::model::context::Ctx;
use crate::model::message::CallId;

/// The mutex, and how it is asked for.
pub(super) struct AcceptMutex {
    holder: Option<usize>,
    delay: Span,
    lane: LaneId,
    /// An eighth of `worker_connections`.
    eighth: u32,
    /// At which time within the delay workers try.
    phases: Key,
}

/// A worker's part.
#[derive(Debug)]
pub(super) struct Turn {
    /// Whether the socket is among those it waits for.
    listens: bool,
    /// How many times it does not try.
    disabled: u32,
    /// What is left of the events of the present iteration.
    batch: usize,
    /// Whether it waits for events.
    waits: bool,
    /// Whether it has tried to lock the mutex before this wait, and not got it.
    failed: bool,
    again: TimerId,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn {
            listens: false,
            disabled: 0,
            batch: 0,
            waits: true,
            failed: false,
            again: TimerId::NONE,
        }
    }
}

impl AcceptMutex {
    pub(super) fn new(delay: Span, lane: LaneId, worker_connections: u32, key: Key) -> AcceptMutex {
        let phases = key.named("accept_mutex");
        AcceptMutex { holder: None, delay, lane, eighth: worker_connections / 8, phases }
    }
}

impl Nginx {
    /// Workers were started long ago: the first has the lock, the others try again at times of their own.
    pub(super) fn start_mutex(&mut self, ctx: &mut Ctx) {
        let Some(mutex) = &mut self.mutex else { return };
        mutex.holder = Some(0);
        for worker in 1..self.workers.len() {
            let phase = mutex.phases.with(worker as u64).stream().unit();
            ctx.wake_at(
                Time::ZERO + mutex.delay.scaled(phase),
                Rank::Timeout,
                ACCEPT_AGAIN,
                worker as u32,
                0,
            );
        }
        self.workers[0].turn.listens = true;
    }

    /// What the worker turns to next; nothing: it waits.
    pub(super) fn next_in_batch(&mut self, worker: usize, ctx: &mut Ctx) -> Option<(Task, Time)> {
        let row = &mut self.workers[worker];
        if row.turn.batch == 0 {
            if !row.turn.waits {
                self.try_lock(worker, ctx.now());
            }
            self.collect(worker, ctx);
        }
        let row = &mut self.workers[worker];
        row.turn.batch = row.turn.batch.checked_sub(1)?;
        row.ready.pop_front()
    }

    /// Asks for the lock, as a worker does that is about to wait for events.
    fn try_lock(&mut self, worker: usize, now: Time) {
        let Some(mutex) = &mut self.mutex else { return };
        let row = &mut self.workers[worker];
        if row.turn.disabled > 0 {
            row.turn.disabled -= 1;
            row.turn.failed = false;
            return;
        }
        let had =
            std::mem::replace(&mut row.turn.listens, *mutex.holder.get_or_insert(worker) == worker);
        row.turn.failed = !row.turn.listens;
        if row.turn.listens && !had {
            row.resumed = now;
        }
    }

    /// Takes what is ready for one iteration, or waits.
    fn collect(&mut self, worker: usize, ctx: &mut Ctx) {
        let Some(mutex) = &mut self.mutex else { return };
        let row = &mut self.workers[worker];
        let first = self.sockets[0].waiting.front().filter(|_| row.turn.listens);
        if let Some(&(_, since)) = first {
            row.ready.push_front((Task::Listen, since));
        } else if !row.ready.is_empty() && mutex.holder == Some(worker) {
            mutex.holder = None;
        }
        row.turn.batch = row.ready.len();
        let waits = row.turn.batch == 0;
        if std::mem::replace(&mut row.turn.waits, waits) && !waits {
            ctx.queue.cancel(row.turn.again);
        }
        // Who has failed to lock it tries again in a while.
        if waits && row.turn.failed {
            row.turn.again = ctx.arm(mutex.lane, ACCEPT_AGAIN, worker as u32, 0);
        }
    }

    /// Something ended a worker's wait that is not for its loop.
    pub(super) fn stir(&mut self, worker: usize, ctx: &mut Ctx) {
        let row = &mut self.workers[worker];
        if self.mutex.is_some() && row.turn.waits {
            row.turn.waits = false;
            ctx.queue.cancel(row.turn.again);
            self.turn(worker, ctx);
        }
    }

    /// An upstream's answer, which ends its worker's wait.
    pub(super) fn answered_in_turn(&mut self, child: CallId, ctx: &mut Ctx) {
        let call = ctx.calls.peek(child).parent;
        let at = ctx.calls.get(call).a;
        let worker = usize::from(self.exchanges[at as usize].worker);
        self.answered(child, ctx);
        self.stir(worker, ctx);
    }

    /// A connection waits: whoever waits for one wakes up, all of them (without `EPOLLEXCLUSIVE`).
    pub(super) fn notify_listeners(&mut self, ctx: &mut Ctx) {
        for worker in 0..self.workers.len() {
            let row = &self.workers[worker];
            if row.turn.waits && row.turn.listens {
                self.turn(worker, ctx);
            }
        }
    }

    /// A worker has accepted, or there was nothing left to accept: the lock is free.
    pub(super) fn unlock(&mut self, worker: usize) {
        if let Some(mutex) = &mut self.mutex
            && mutex.holder == Some(worker)
        {
            mutex.holder = None;
        }
    }

    /// A worker takes a connection: how many times it will not try for more.
    pub(super) fn note_free(&mut self, worker: usize) {
        let Some(mutex) = &self.mutex else { return };
        let row = &mut self.workers[worker];
        row.turn.disabled = mutex.eighth.saturating_sub(row.slots_free());
    }

    /// accept() failed with EMFILE: the worker stops to listen, and gives the lock away.
    pub(super) fn give_up_listening(&mut self, worker: usize) {
        self.unlock(worker);
        let row = &mut self.workers[worker];
        row.turn.listens = false;
        row.turn.disabled = 1;
    }
}
