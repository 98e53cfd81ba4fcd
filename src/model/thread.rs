//! Threads that do one thing after another, such as an event loop's.

use super::context::Ctx;
use super::host::{HostId, Job, ThreadOf};
use crate::kernel::{Span, Time};
use std::collections::VecDeque;

/// A node with such a thread has no other.
const ONLY: ThreadOf = ThreadOf { number: 0, pod: 0, own_session: false };

/// One thread that does things in the order in which they come: on a core of its own, or on a machine's.
#[derive(Debug)]
pub struct Thread {
    machine: Option<HostId>,
    /// On a core of its own: when all that came is done.
    busy_until: Time,
    /// On a machine: what waits while the first is at work.
    line: VecDeque<(Job, Span)>,
}

impl Thread {
    /// An idle thread.
    pub fn new(machine: Option<HostId>) -> Thread {
        Thread { machine, busy_until: Time::ZERO, line: VecDeque::new() }
    }

    /// Does something that costs `work`; the node is woken with `timer` when it is done, and must then call
    /// [`Thread::done`]. Returns when that is if the machine has a core for it at once.
    pub fn run(&mut self, work: Span, timer: u8, word: u32, turn: u32, ctx: &mut Ctx) -> Time {
        let now = ctx.now();
        let end = self.busy_until.max(now) + work;
        self.busy_until = end;
        let Some(machine) = self.machine else {
            ctx.wake(end - now, timer, word, turn);
            return end;
        };
        let job = Job { node: ctx.me, timer, word, turn, thread: ONLY };
        self.line.push_back((job, work));
        if self.line.len() == 1 {
            ctx.compute(machine, ONLY, work, timer, word, turn);
        }
        end
    }

    /// The first thing is done: the thread turns to the next.
    pub fn done(&mut self, ctx: &mut Ctx) {
        let Some(machine) = self.machine else { return };
        self.line.pop_front();
        if let Some((job, work)) = self.line.front() {
            ctx.compute(machine, ONLY, *work, job.timer, job.word, job.turn);
        } else {
            self.busy_until = ctx.now();
        }
    }
}
