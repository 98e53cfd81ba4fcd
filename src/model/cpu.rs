//! Processor sharing: cores shared by runnable threads, or a database shared by active statements.
//!
//! All jobs on one processor progress at the same rate r(n), which depends on how many there are. Progress is kept
//! as one *virtual work* clock V with dV/dt = r(n): a job that enters at V with work w leaves at V + w, whatever
//! happens in between. So a change of the number of jobs costs O(log n), and one pending event stands for all.

use crate::kernel::{Span, Time};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How fast each of n jobs progresses, in reference seconds of work per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sharing {
    /// `cores` cores of relative `speed`; a job uses at most `per_job` of a core.
    /// r(n) = speed · min(per_job, cores / n).
    Cores {
        /// Number of cores.
        cores: f64,
        /// Speed of a core relative to the reference machine.
        speed: f64,
        /// Most that one job can use, cores.
        per_job: f64,
    },
    /// Universal Scalability Law (N. Gunther, 1993): throughput X(n) = n / (1 + σ(n−1) + κn(n−1)) relative to one
    /// job, hence r(n) = 1 / (1 + σ(n−1) + κn(n−1)).
    Usl {
        /// Contention σ.
        sigma: f64,
        /// Coherency κ.
        kappa: f64,
    },
}

impl Sharing {
    /// Rate of each of `n` jobs.
    pub fn rate(self, n: usize) -> f64 {
        let n = n as f64;
        match self {
            Sharing::Cores { cores, speed, per_job } => speed * per_job.min(cores / n),
            Sharing::Usl { sigma, kappa } => {
                1.0 / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
            }
        }
    }
}

/// A job's place in the order of completion: virtual finish, then order of entry.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Job {
    finish: f64,
    sequence: u64,
    id: u32,
    turn: u32,
}
impl Eq for Job {}
impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Job {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.finish.total_cmp(&other.finish).then(self.sequence.cmp(&other.sequence))
    }
}

/// A job that ended (its id and turn), and when to come back for the next one under which turn.
pub type Completed = ((u32, u32), Option<(Time, u32)>);

/// A shared processor.
#[derive(Debug, Clone)]
pub struct Processor {
    sharing: Sharing,
    jobs: BinaryHeap<Reverse<Job>>,
    virtual_work: f64,
    since: Time,
    sequence: u64,
    turn: u32,
    busy_ns: f64,
}

impl Processor {
    /// An idle processor.
    pub fn new(sharing: Sharing) -> Processor {
        Processor {
            sharing,
            jobs: BinaryHeap::new(),
            virtual_work: 0.0,
            since: Time::ZERO,
            sequence: 0,
            turn: 0,
            busy_ns: 0.0,
        }
    }

    /// How many jobs run.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether it is idle.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Reference work done so far, nanoseconds.
    pub fn work_done(&self) -> f64 {
        self.busy_ns
    }

    /// Reference work done until `now`, nanoseconds.
    pub fn done_by(&mut self, now: Time) -> f64 {
        self.advance(now);
        self.busy_ns
    }

    /// How much longer a job lasts among the present ones than alone.
    pub fn slowdown(&self) -> f64 {
        self.sharing.rate(1) / self.sharing.rate(self.jobs.len().max(1))
    }

    fn advance(&mut self, now: Time) {
        let n = self.jobs.len();
        if n > 0 {
            let progress = now.since(self.since).nanos() as f64 * self.sharing.rate(n);
            self.virtual_work += progress;
            self.busy_ns += progress * n as f64;
        } else {
            // Nothing refers to the old virtual clock: restart it and keep its precision.
            self.virtual_work = 0.0;
        }
        self.since = now;
    }

    /// Adds a job. Returns when to call [`Processor::complete`] next and under which turn.
    pub fn start(&mut self, now: Time, id: u32, turn: u32, work: Span) -> (Time, u32) {
        self.advance(now);
        self.sequence += 1;
        let finish = self.virtual_work + work.nanos() as f64;
        self.jobs.push(Reverse(Job { finish, sequence: self.sequence, id, turn }));
        self.next().unwrap_or((now, self.turn))
    }

    /// When the next job ends if nothing changes, under a new turn: earlier wake-ups are stale.
    fn next(&mut self) -> Option<(Time, u32)> {
        let Reverse(first) = self.jobs.peek()?;
        let left = (first.finish - self.virtual_work).max(0.0) / self.sharing.rate(self.jobs.len());
        self.turn = self.turn.wrapping_add(1);
        Some((self.since + Span::from_nanos(left.ceil() as u64), self.turn))
    }

    /// Ends the job that is due, if the wake-up is not stale. Returns it and when to come back.
    pub fn complete(&mut self, now: Time, turn: u32) -> Option<Completed> {
        if turn != self.turn || self.jobs.is_empty() {
            return None;
        }
        self.advance(now);
        let Reverse(job) = self.jobs.pop()?;
        // The wake-up was rounded up to a nanosecond; the clock must not run behind the job.
        self.virtual_work = self.virtual_work.max(job.finish);
        Some(((job.id, job.turn), self.next()))
    }

    /// Changes how jobs share (credits run out, a limit is changed). Returns when to come back.
    pub fn reshare(&mut self, now: Time, sharing: Sharing) -> Option<(Time, u32)> {
        self.advance(now);
        self.sharing = sharing;
        self.next()
    }

    /// Removes a job before its end. Returns when to come back. O(n): for kills, not for every request.
    pub fn remove(&mut self, now: Time, id: u32, turn: u32) -> Option<(Time, u32)> {
        self.advance(now);
        self.jobs.retain(|Reverse(job)| !(job.id == id && job.turn == turn));
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    /// The obvious slow twin: remaining work of every job, decremented at every event.
    struct Twin {
        sharing: Sharing,
        jobs: Vec<(u32, f64)>,
        now: f64,
    }
    impl Twin {
        fn advance(&mut self, now: f64) {
            if !self.jobs.is_empty() {
                let done = (now - self.now) * self.sharing.rate(self.jobs.len());
                self.jobs.iter_mut().for_each(|job| job.1 -= done);
            }
            self.now = now;
        }
        fn next(&self) -> Option<(f64, u32)> {
            let rate = self.sharing.rate(self.jobs.len());
            let first = self.jobs.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
            Some((self.now + first.1 / rate, first.0))
        }
    }

    #[test]
    fn agrees_with_its_slow_twin() {
        for sharing in [
            Sharing::Cores { cores: 2.0, speed: 1.0, per_job: 1.0 },
            Sharing::Cores { cores: 1.0, speed: 0.4, per_job: 0.5 },
            Sharing::Usl { sigma: 0.1, kappa: 0.01 },
        ] {
            let mut stream = Key::root(9, 0).stream();
            let mut fast = Processor::new(sharing);
            let mut twin = Twin { sharing, jobs: Vec::new(), now: 0.0 };
            let mut due: Option<(Time, u32)> = None;
            let mut arrival = 0_u64;
            let mut ended = 0.0;
            for id in 0..2_000_u32 {
                arrival += stream.below(3_000_000);
                let arrives = Time::from_nanos(arrival);
                while let Some((at, turn)) = due.filter(|d| d.0 <= arrives) {
                    let (t, want) = twin.next().unwrap();
                    let ((got, _), next) = fast.complete(at, turn).unwrap();
                    assert_eq!(got, want);
                    // Every wake-up is rounded up to a whole nanosecond.
                    ended += 1.0;
                    assert!((at.nanos() as f64 - t).abs() <= ended, "{} against {t}", at.nanos());
                    twin.advance(t);
                    twin.jobs.retain(|job| job.0 != want);
                    due = next;
                }
                let work = stream.below(4_000_000) + 1;
                twin.advance(arrival as f64);
                twin.jobs.push((id, work as f64));
                due = Some(fast.start(arrives, id, 0, Span::from_nanos(work)));
            }
        }
    }

    #[test]
    fn t_usl_1_throughput_at_each_load() {
        // MySQL on Cisco UCS, Percona's data as fitted in the usl-rs tests.
        let (lambda, sigma, kappa) = (995.6486, 0.026_715_91, 7.690_945e-4);
        let usl = Sharing::Usl { sigma, kappa };
        for (n, x, ms) in [
            (1, 995.6, 1.0044),
            (10, 7_602.3, 1.3154),
            (20, 11_063.6, 1.8077),
            (35, 12_341.7, 2.8359),
            (36, 12_342.3, 2.9168),
            (100, 8_843.2, 11.308),
            (1000, 1_250.8, 799.5),
        ] {
            let throughput = lambda * n as f64 * usl.rate(n);
            assert!((throughput / x - 1.0).abs() < 1e-4, "X({n}) = {throughput}");
            let latency = n as f64 / throughput * 1e3;
            assert!((latency / ms - 1.0).abs() < 1e-4, "R({n}) = {latency}");
        }
    }
}
