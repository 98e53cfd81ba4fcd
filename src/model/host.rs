//! Hosts: processors that the threads of one node, or of several on the same machine, share.

use super::context::Ctx;
use super::cpu::{Completed, Processor, Sharing};
use super::message::{Event, Message, NodeId};
use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A machine on which several nodes of the design run: their threads share its processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// vCPUs.
    #[schemars(range(min = 0.05, max = 448.0))]
    pub vcpu: f64,
    /// Speed of a vCPU relative to the machine on which processor times were taken.
    #[serde(default = "speed_default")]
    #[schemars(range(min = 0.001, max = 100.0), extend("x-source" = "assumed: the same machine", "x-assumed" = true))]
    pub speed: f64,
    /// Nodes that run on it.
    pub nodes: Vec<String>,
}

fn speed_default() -> f64 {
    1.0
}

/// A host. Index into the world's hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostId(pub(super) u16);

impl HostId {
    /// The wake-up for its next job.
    pub(super) fn event(self, turn: u32) -> Event {
        Event { to: NodeId::HOSTS, message: Message::Wake(0, u32::from(self.0), turn) }
    }
}

/// Work on a host: whose it is, and the timer of that node that rings when it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    pub(super) node: NodeId,
    pub(super) timer: u8,
    pub(super) word: u32,
    pub(super) turn: u32,
}

/// The processors of one machine as they run.
#[derive(Debug)]
pub struct Host {
    processor: Processor,
    jobs: Vec<Job>,
    free: Vec<u32>,
}

/// When to come back for the next job, and under which turn.
type Due = Option<(Time, u32)>;

impl Host {
    /// An idle host.
    pub(super) fn new(sharing: Sharing) -> Host {
        Host { processor: Processor::new(sharing), jobs: Vec::new(), free: Vec::new() }
    }

    /// Reference work done so far, nanoseconds.
    pub fn work_done(&self) -> f64 {
        self.processor.work_done()
    }

    pub(super) fn start(&mut self, now: Time, job: Job, work: Span) -> (Time, u32) {
        let at = if let Some(at) = self.free.pop() {
            self.jobs[at as usize] = job;
            at
        } else {
            self.jobs.push(job);
            self.jobs.len() as u32 - 1
        };
        self.processor.start(now, at, 0, work)
    }

    /// The job that is due, unless the wake-up is stale.
    pub(super) fn complete(&mut self, now: Time, turn: u32) -> Option<(Job, Due)> {
        let ((at, _), due): Completed = self.processor.complete(now, turn)?;
        self.free.push(at);
        Some((self.jobs[at as usize], due))
    }

    /// Takes a job off the processors before its end, if it is there. O(n): for kills, not for every request.
    pub(super) fn remove(&mut self, now: Time, job: Job) -> Due {
        let at = (0..self.jobs.len() as u32)
            .find(|at| self.jobs[*at as usize] == job && !self.free.contains(at))?;
        self.free.push(at);
        self.processor.remove(now, at, 0)
    }
}

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
        let job = Job { node: ctx.me, timer, word, turn };
        self.line.push_back((job, work));
        if self.line.len() == 1 {
            ctx.compute(machine, work, timer, word, turn);
        }
        end
    }

    /// The first thing is done: the thread turns to the next.
    pub fn done(&mut self, ctx: &mut Ctx) {
        let Some(machine) = self.machine else { return };
        self.line.pop_front();
        if let Some((job, work)) = self.line.front() {
            ctx.compute(machine, *work, job.timer, job.word, job.turn);
        } else {
            self.busy_until = ctx.now();
        }
    }
}
