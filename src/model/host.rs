//! Hosts: processors that the threads of one node, or of several on the same machine, share.

use super::cpu::{Processor, Sharing};
use super::message::{Event, Message, NodeId, OPERATION};
use super::quota::Limited;
use super::slices::{CoreDue, Group, TimeSlices};
use crate::kernel::{Key, Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// With `sched_autogroup_enabled`: nice value of the session in which the nodes were started. They share one weight then,
    /// and each of PostgreSQL's backends has a session of its own at nice 0. None: all threads are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -20, max = 19), extend("x-source" = "sched(7), the autogroup feature; PostgreSQL InitPostmasterChild() calls setsid()"))]
    pub autogroup_nice: Option<i8>,
    /// How long a thread runs before another gets its turn; none: 0.7 ms × (1 + log2 of the vCPUs, at most 8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "Linux 6.12 kernel/sched/fair.c: sysctl_sched_base_slice 700 µs, times 1 + ilog2(ncpus)"))]
    pub base_slice: Option<Span>,
    /// Nodes that run on it.
    pub nodes: Vec<String>,
}

impl MachineSpec {
    /// The scheduler's base slice: `get_update_sysctl_factor` counts at most 8 processors.
    fn slice(&self) -> Span {
        let factor = 1 + (self.vcpu.clamp(1.0, 8.0) as u32).ilog2();
        self.base_slice.unwrap_or(Span::from_micros(700) * u64::from(factor))
    }
}

fn speed_default() -> f64 {
    1.0
}

/// A host. Index into the world's hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostId(pub(super) u16);

impl HostId {
    /// The wake-up for a core's next job.
    pub(super) fn event(self, core: u32, turn: u32) -> Event {
        let word = u32::from(self.0) << 16 | core;
        Event::new(NodeId::HOSTS, Message::Wake(OPERATION, word, turn))
    }
}

/// Work on a host: whose it is, and the timer of that node that rings when it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    pub(super) node: NodeId,
    pub(super) timer: u8,
    pub(super) word: u32,
    pub(super) turn: u32,
    pub(super) thread: ThreadOf,
}

/// The thread of a node that does some work. When its work has ended and the node has more for the same thread at that
/// instant, the thread keeps its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadOf {
    /// Which of the node's threads, in the node's own count.
    pub number: u32,
    /// The pod that it belongs to, where pods have a limit each.
    pub pod: u32,
    /// Whether it is a process with a session of its own, which Linux's autogroups tell from the rest.
    pub own_session: bool,
}

impl ThreadOf {
    /// A thread of the session in which the node was started.
    pub fn number(number: u32) -> ThreadOf {
        ThreadOf { number, pod: 0, own_session: false }
    }
}

/// The processors of one machine as they run.
#[derive(Debug)]
pub struct Host {
    cores: Cores,
    jobs: Vec<Job>,
    free: Vec<u32>,
    /// Whose work has just ended, where cores are taken in turns: its thread still holds the core.
    held: Option<Job>,
}

/// How threads get processor time.
#[derive(Debug)]
enum Cores {
    /// All at once, each a part.
    Shared(Box<Processor>),
    /// All at once, each a part of what its pod has.
    Limited(Limited),
    /// In turns, by weight.
    Turns { cores: TimeSlices, together: Group },
}

/// When to come back, for which core and under which turn.
type Due = Option<(Time, u32, u32)>;

/// Weight of nice 0 (`kernel/sched/core.c`, `sched_prio_to_weight`); a step of nice is a factor of 1.25.
const NICE_0: f64 = 1024.0;

impl Host {
    /// An idle host.
    pub(super) fn new(sharing: Sharing) -> Host {
        Host::of(Cores::Shared(Box::new(Processor::new(sharing))))
    }

    /// An idle host of so many cores of a relative speed on which every pod may use `limit` cores and can use `most` at a time.
    pub(super) fn limited(machine: (f64, f64), limit: f64, most: f64, key: Key) -> Host {
        Host::of(Cores::Limited(Limited::new(machine, limit, most, key)))
    }

    /// A machine that nodes share.
    pub(super) fn machine(spec: &MachineSpec) -> Host {
        let together = match spec.autogroup_nice {
            Some(nice) => {
                Group { number: Some(0), weight: NICE_0 * 1.25_f64.powi(-i32::from(nice)) }
            }
            None => Group { number: None, weight: NICE_0 },
        };
        let whole = (spec.vcpu.ceil() as usize).max(1);
        let speed = spec.speed * spec.vcpu / whole as f64;
        Host::of(Cores::Turns { cores: TimeSlices::new(whole, speed, spec.slice()), together })
    }

    fn of(cores: Cores) -> Host {
        Host { cores, jobs: Vec::new(), free: Vec::new(), held: None }
    }

    /// Whether pods have a limit each, and nothing but that holds them back now.
    pub(super) fn only_limits(&self) -> bool {
        matches!(&self.cores, Cores::Limited(pods) if pods.unshared())
    }

    /// Reference work done so far, nanoseconds.
    pub fn work_done(&self) -> f64 {
        match &self.cores {
            Cores::Shared(processor) => processor.work_done(),
            Cores::Limited(pods) => pods.work_done(),
            Cores::Turns { cores, .. } => cores.work_done(),
        }
    }

    /// Reference work done by now, nanoseconds.
    pub(super) fn done_by(&mut self, now: Time) -> f64 {
        match &mut self.cores {
            Cores::Shared(processor) => processor.done_by(now),
            Cores::Limited(pods) => pods.done_by(now),
            Cores::Turns { cores, .. } => cores.work_done(),
        }
    }

    /// Changes how the jobs of a host of one node share it (credits run out).
    pub(super) fn reshare(&mut self, now: Time, sharing: Sharing) -> Due {
        match &mut self.cores {
            Cores::Shared(processor) => shared(processor.reshare(now, sharing)),
            Cores::Limited(pods) => {
                if let Sharing::Cores { cores, speed, .. } = sharing {
                    pods.reshare(now, cores, speed);
                }
                pods.next_due()
            }
            Cores::Turns { .. } => None,
        }
    }

    pub(super) fn start(&mut self, now: Time, job: Job, work: Span) -> Due {
        let at = if let Some(at) = self.free.pop() {
            self.jobs[at as usize] = job;
            at
        } else {
            self.jobs.push(job);
            self.jobs.len() as u32 - 1
        };
        match &mut self.cores {
            Cores::Shared(processor) => shared(processor.start(now, at, 0, work)),
            Cores::Limited(pods) => {
                pods.start(now, job.thread.pod, at, work);
                pods.next_due()
            }
            Cores::Turns { cores, together } => {
                let goes_on = |held: &mut Job| (held.node, held.thread) == (job.node, job.thread);
                if self.held.take_if(goes_on).is_some() {
                    return on_core(cores.go_on(now, at, work));
                }
                let own = Group { number: None, weight: NICE_0 };
                let group = if job.thread.own_session { own } else { *together };
                on_core(cores.start(now, at, group, work))
            }
        }
    }

    /// What the node is told whose job has ended, if one has and the wake-up is not stale, and when to come back. Its thread holds
    /// its core until [`Host::leave`].
    pub(super) fn complete(&mut self, now: Time, core: u32, turn: u32) -> (Option<Event>, Due) {
        let (ended, due) = match &mut self.cores {
            Cores::Shared(processor) => {
                let (ended, due) = processor.complete(now);
                (ended.map(|(at, _)| at), shared(due))
            }
            Cores::Limited(pods) => {
                let ended = pods.complete(now, core, turn);
                (ended, pods.next_due())
            }
            Cores::Turns { cores, .. } => {
                let (ended, due) = cores.turned(now, core as usize, turn);
                (ended, on_core(due))
            }
        };
        let Some(at) = ended else { return (None, due) };
        self.free.push(at);
        let job = &self.jobs[at as usize];
        if let Cores::Turns { .. } = self.cores {
            self.held = Some(*job);
        }
        (Some(Event::new(job.node, Message::Wake(job.timer, job.word, job.turn))), due)
    }

    /// When to come back besides the time that the last change returned: what one pod does may change what others have.
    pub(super) fn also_due(&mut self) -> Due {
        match &mut self.cores {
            Cores::Limited(pods) => pods.next_due(),
            Cores::Shared(_) | Cores::Turns { .. } => None,
        }
    }

    /// The node has been told that its work has ended: the thread leaves its core if there was no more for it.
    pub(super) fn leave(&mut self, now: Time) -> Due {
        let Cores::Turns { cores, .. } = &mut self.cores else { return None };
        self.held.take()?;
        on_core(cores.leave(now))
    }

    /// Takes a job off the processors before its end, if it is there. O(n): for kills, not for every request.
    pub(super) fn remove(&mut self, now: Time, job: Job) -> Due {
        let at = (0..self.jobs.len() as u32)
            .find(|at| self.jobs[*at as usize] == job && !self.free.contains(at))?;
        self.free.push(at);
        match &mut self.cores {
            Cores::Shared(processor) => shared(processor.remove(now, at, 0)),
            Cores::Limited(pods) => {
                pods.remove(now, job.thread.pod, at);
                pods.next_due()
            }
            Cores::Turns { cores, .. } => on_core(cores.remove(now, at)),
        }
    }
}

/// A processor that all share has one place to look at, and knows itself which wake-ups it awaits.
fn shared(due: Option<Time>) -> Due {
    due.map(|at| (at, 0, 0))
}

fn on_core(due: CoreDue) -> Due {
    due.map(|(core, at, turn)| (at, core as u32, turn))
}
