//! How a process takes and works on requests, and how fast: runtimes, their timers, and code that is compiled while it runs.

use super::pod::Pod;
use crate::kernel::{Span, Stream, Time};
use crate::model::dist::Dist;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a process takes and works on requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// One thread for processor time, any number of waits: Node.js, tornado, uvicorn.
    EventLoop(EventLoop),
    /// Each worker serves one connection at a time and accepts the next when idle: gunicorn sync.
    SyncWorkers(SyncWorkers),
    /// A pool of threads behind one acceptor: gunicorn gthread, servlet containers.
    Threads(Threads),
}

/// What distinguishes runtimes for whoever takes connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KindOf {
    EventLoop,
    SyncWorkers,
    Threads,
}

impl KindOf {
    pub(super) fn of(runtime: &Runtime) -> KindOf {
        match runtime {
            Runtime::EventLoop(_) => KindOf::EventLoop,
            Runtime::SyncWorkers(_) => KindOf::SyncWorkers,
            Runtime::Threads(_) => KindOf::Threads,
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Runtime::EventLoop(EventLoop::default())
    }
}

/// An event loop. A turn of it does all tasks that are ready when it begins; what becomes ready meanwhile has to wait for the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventLoop {
    /// New connections that it takes in one turn. The others stay in the kernel's accept queue, so a busy loop that takes one a turn
    /// lets that queue overflow where one that takes all reads them into its own memory.
    #[serde(default = "accepts_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "Node.js 20.3 and later: 1 (libuv 1.45 no longer accepts in a loop, pull request 3696); before: all that wait, here 1,000,000; asyncio: the backlog (CPython asyncio/selector_events.py, _accept_connection)"))]
    pub accepts: u32,
    /// What its timers count in; none: they are exact. A `wait` is cut to a whole number of these, at least one, and runs from
    /// one reading of the loop's clock to another, so that it ends up to one earlier or later, and late by the kernel's slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "exact unless said; Node.js 1ms (timers.html: non-integer delays are truncated, less than 1 is set to 1; libuv design.html: the loop's time is read once an iteration)"))]
    pub timer: Option<Span>,
}

/// Sync workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncWorkers {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub workers: u32,
    /// A worker that has not answered for so long is killed, and its client sees a reset; zero: never.
    #[serde(default = "worker_timeout")]
    #[schemars(extend("x-source" = "gunicorn settings: timeout 30 s"))]
    pub timeout: Span,
    /// From a killed worker to the next that accepts.
    #[serde(default = "worker_boot")]
    #[schemars(extend("x-source" = "none unless said: gunicorn's arbiter forks the next worker at once"))]
    pub boot: Dist,
}

fn accepts_default() -> u32 {
    1
}

impl Default for EventLoop {
    fn default() -> Self {
        EventLoop { accepts: accepts_default(), timer: None }
    }
}

fn worker_timeout() -> Span {
    Span::from_secs(30)
}
fn worker_boot() -> Dist {
    Dist::Constant(Span::ZERO)
}

/// Threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threads {
    /// How many.
    #[schemars(range(min = 1, max = 100_000))]
    pub threads: u32,
    /// Interpreters with a lock of their own that the threads of a pod belong to, each of which computes on one core at a time
    /// (CPython: its worker processes); none: all threads may compute at once, as those of a JVM, of .NET or Go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("x-source" = "no lock unless said; CPython glossary, global interpreter lock: one thread at a time executes bytecode"))]
    pub interpreters: Option<u32>,
    /// Most connections with a request that the process takes, waiting for a thread or at work in one; the others stay in the kernel's accept
    /// queue. None: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "any number unless said; Tomcat maxConnections 8,192 beside an acceptCount of 100 (config/http.html), gunicorn gthread worker_connections 1,000 for each worker (workers/gthread.py, run)"))]
    pub connections: Option<u32>,
}

/// Late by so much is a timer of an event loop: the kernel's timer slack of 50 us (prctl(2), `PR_SET_TIMERSLACK`), and the time until
/// the thread has woken up. Own measurement of Node.js 20 on an idle virtual machine: 60 timers of 100 and 200 ms at a time are 0.21
/// to 0.28 ms late in the median, a tenth of them more than 0.3 ms early and a tenth 0.9 ms late.
const LATE: Span = Span::from_micros(250);

impl EventLoop {
    /// How long a wait that begins at `now` takes. The loop reads its clock in whole units at the beginning of an iteration, and
    /// sleeps for whole units: a timer that was to run for `wait` fires when so many units, less a part of one, have passed,
    /// and the phase of the iteration that notices it (`phase`, evenly spread from 0 to 1) is another one's.
    pub(super) fn sleeps(&self, now: Time, wait: Span, phase: f64) -> Span {
        let Some(unit) = self.timer.filter(|unit| !unit.is_zero()) else { return wait };
        let begun = now.nanos() / unit.nanos() * unit.nanos();
        let runs = (wait.nanos() / unit.nanos()).max(1) * unit.nanos();
        let fires = Time::from_nanos(begun + runs) + unit.scaled(phase) + LATE;
        fires.since(now)
    }
}

/// Code that is compiled while it runs: the first requests of a process take more processor time. What the `n`-th request takes
/// beyond a later one is `factor - 1` times as much, less `n / requests` of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// After how many requests a process is warm.
    #[schemars(range(min = 1, max = 100_000_000), extend("x-source" = "own measurement of Node.js 20: 3,000"))]
    pub requests: u32,
    /// How many times the processor time of a warm process the first request takes.
    #[schemars(range(min = 1.0, max = 1000.0), extend("x-source" = "own measurement of Node.js 20: 3 (V8: interpreter, baseline and optimising compiler)"))]
    pub factor: f64,
    /// How many times that a step takes when a process does it for the first time: modules are loaded, functions are compiled when
    /// they are first called; none: as `factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100_000.0), extend("x-source" = "as `factor` unless said; own measurement of the first connection of node-postgres 8: 15"))]
    pub first: Option<f64>,
}

impl WarmUp {
    /// Processor time of `work` in a process that has begun `begun` requests, the present one among them, and has done this step before
    /// or not.
    fn takes(&self, work: Span, begun: u32, before: bool) -> Span {
        let cold = 1.0 - f64::from(begun.saturating_sub(1)) / f64::from(self.requests);
        let factor = 1.0 + (self.factor - 1.0) * cold.max(0.0);
        match self.first.filter(|_| !before) {
            Some(first) => work.scaled(first.max(factor)),
            None if cold <= 0.0 => work,
            None => work.scaled(factor),
        }
    }
}

/// How fast the processes of a service are.
pub(super) struct Pace {
    event_loop: Option<EventLoop>,
    warm_up: Option<WarmUp>,
}

impl Pace {
    pub(super) fn new(runtime: &Runtime, warm_up: Option<&WarmUp>) -> Pace {
        let event_loop = match runtime {
            Runtime::EventLoop(event_loop) if event_loop.timer.is_some() => {
                Some(event_loop.clone())
            }
            _ => None,
        };
        Pace { event_loop, warm_up: warm_up.cloned() }
    }

    /// How long `work` takes a pod's process on an idle processor of the reference speed. `code` is the step of the work, or what the
    /// driver does.
    pub(super) fn work(&self, pod: &mut Pod, work: Span, code: u32) -> Span {
        let Some(warm_up) = &self.warm_up else { return slowed(pod, work) };
        let bit = 1 << code.min(63);
        let before = pod.has_run & bit != 0;
        pod.has_run |= bit;
        slowed(pod, warm_up.takes(work, pod.begun, before))
    }

    /// How long a pod waits that is to wait for `wait`.
    #[inline]
    pub(super) fn wait(&self, pod: &Pod, wait: Span, now: Time, stream: &mut Stream) -> Span {
        let wait = slowed(pod, wait);
        match &self.event_loop {
            Some(event_loop) => event_loop.sleeps(now, wait, stream.unit()),
            None => wait,
        }
    }
}

/// How long a step takes on a pod that may be a slow one.
#[inline]
fn slowed(pod: &Pod, time: Span) -> Span {
    if pod.slow.to_bits() == 1.0_f64.to_bits() { time } else { time.scaled(pod.slow) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_count_whole_units_between_two_readings_of_a_clock() {
        let node = EventLoop { timer: Some(Span::from_millis(1)), ..EventLoop::default() };
        let at = |us: u64, wait: u64, phase: f64| {
            node.sleeps(Time::from_nanos(us * 1000), Span::from_micros(wait), phase).nanos() / 1000
        };
        // 7.9 ms from 10.25 ms on: 7 whole ones from 10 on, noticed half a millisecond later, and late.
        assert_eq!(at(10_250, 7_900, 0.5), 17_500 + 250 - 10_250);
        assert_eq!(at(10_000, 300, 0.0), 1_250);
        let exact = EventLoop::default();
        let wait = Span::from_micros(7_900);
        assert_eq!(exact.sleeps(Time::from_nanos(10_250_000), wait, 0.5), wait);
        // On the average a timer of whole milliseconds is late by the slack.
        let draws = 1_000;
        let sum: u64 = (0..draws)
            .map(|i| at(777 * i, 200_000, ((i * 617) % draws) as f64 / draws as f64))
            .sum();
        let mean = sum as f64 / draws as f64;
        assert!((mean - 200_250.0).abs() < 30.0, "{mean}");
    }

    #[test]
    fn a_process_warms_up_evenly() {
        let node = WarmUp { requests: 3000, factor: 3.0, first: None };
        let work = Span::from_micros(100);
        assert_eq!(node.takes(work, 1, true), Span::from_micros(300));
        assert_eq!(node.takes(work, 1501, true), Span::from_micros(200));
        assert_eq!(node.takes(work, 3001, false), work);
        assert_eq!(node.takes(work, u32::MAX, true), work);
        let lazy = WarmUp { first: Some(15.0), ..node };
        assert_eq!(lazy.takes(work, 3001, false), Span::from_micros(1500));
        assert_eq!(lazy.takes(work, 1501, true), Span::from_micros(200));
    }
}
