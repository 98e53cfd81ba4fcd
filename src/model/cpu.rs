//! Processor sharing: cores shared by jobs, or a database shared by active statements.
//!
//! All jobs on one processor progress at the same rate r(n), which depends on how many there are. Progress is kept
//! as one *virtual work* clock V with dV/dt = r(n): a job that enters at V with work w leaves at V + w, whatever
//! happens in between. So a change of the number of jobs costs O(log n), and one pending event stands for all.
//!
//! A wake-up that was asked for is kept: a new one is asked for only if the next job ends earlier than that. Where jobs do not
//! slow one another down, no wake-up is ever in vain; where they do, one that comes too early is aimed again.

use super::line::Line;
use crate::kernel::{Span, Time};

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
    /// job, and no more than the cores do: r(n) = min(1 / (1 + σ(n−1) + κn(n−1)), most / n).
    Usl {
        /// Contention σ.
        sigma: f64,
        /// Coherency κ.
        kappa: f64,
        /// Jobs that the cores can do at a time at full speed; infinite: the law alone.
        most: f64,
    },
}

impl Sharing {
    /// Rate of each of `n` jobs.
    #[inline]
    pub fn rate(self, n: usize) -> f64 {
        let n = n as f64;
        match self {
            Sharing::Cores { cores, speed, per_job } => speed * per_job.min(cores / n),
            Sharing::Usl { sigma, kappa, most } => {
                let law = 1.0 / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
                law.min(most / n)
            }
        }
    }
}

/// A job that ended (its id and turn), if one did, and when to come back besides the times asked for before.
pub type Completed = (Option<(u32, u32)>, Option<Time>);

/// Rates that a processor remembers.
const REMEMBERED: usize = 256;

/// A shared processor.
#[derive(Debug, Clone)]
pub struct Processor {
    sharing: Sharing,
    /// How fast each of the present jobs progresses.
    rate: f64,
    /// How fast each of 0, 1, 2 … jobs progresses, as far as there have been so many: two divisions less for each job.
    rates: Vec<f64>,
    /// Jobs (id and turn) in order of completion: virtual finish, then order of entry. A number that is not negative has the order of
    /// its bits.
    jobs: Line<(u32, u32)>,
    virtual_work: f64,
    since: Time,
    /// When the next job ends if nothing changes.
    due: Time,
    /// Wake-ups that were asked for and have not come yet, the next one last.
    awaited: Vec<Time>,
    busy_ns: f64,
}

impl Processor {
    /// An idle processor.
    pub fn new(sharing: Sharing) -> Processor {
        Processor {
            sharing,
            rate: sharing.rate(0),
            rates: Vec::new(),
            jobs: Line::default(),
            virtual_work: 0.0,
            since: Time::ZERO,
            due: Time::MAX,
            awaited: Vec::new(),
            busy_ns: 0.0,
        }
    }

    /// How its jobs share it.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// How many jobs run.
    #[inline]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether it is idle.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    #[inline]
    fn advance(&mut self, now: Time) {
        let n = self.jobs.len();
        if n > 0 {
            let progress = now.since(self.since).nanos_f64() * self.rate;
            self.virtual_work += progress;
            self.busy_ns += progress * n as f64;
        } else {
            // Nothing refers to the old virtual clock: restart it and keep its precision.
            self.virtual_work = 0.0;
        }
        self.since = now;
    }

    /// Adds a job. Returns when to call [`Processor::complete`], if no time asked for before is early enough.
    #[inline]
    pub fn start(&mut self, now: Time, id: u32, turn: u32, work: Span) -> Option<Time> {
        self.join(now, id, turn, work);
        self.aim()
    }

    /// Adds a job to a processor that stands still.
    #[inline]
    pub(super) fn join(&mut self, now: Time, id: u32, turn: u32, work: Span) {
        self.advance(now);
        let finish = self.virtual_work + work.nanos_f64();
        self.jobs.push(finish.to_bits(), (id, turn));
    }

    /// Stands still until [`Processor::reshare`]: jobs that come meanwhile [`Processor::join`], and others are taken out by
    /// [`Processor::take_out`].
    pub(super) fn pause(&mut self, now: Time) {
        self.advance(now);
        (self.rate, self.due) = (0.0, Time::MAX);
    }

    /// Finds out when the next job ends if nothing changes. Returns that if nobody comes by then.
    #[inline(always)]
    fn aim(&mut self) -> Option<Time> {
        let n = self.jobs.len();
        if n == 0 {
            self.due = Time::MAX;
            return None;
        }
        let finish = f64::from_bits(self.jobs.first());
        self.rate = match self.rates.get(n) {
            Some(rate) => *rate,
            None => self.rate_of_many(n),
        };
        let left = (finish - self.virtual_work).max(0.0) / self.rate;
        self.due = self.since + Span::from_nanos(rounded_up(left));
        self.awaits()
    }

    /// The rate of more jobs than there have been, or than are remembered.
    #[inline(never)]
    fn rate_of_many(&mut self, n: usize) -> f64 {
        let (known, sharing) = (self.rates.len(), self.sharing);
        self.rates.extend((known..REMEMBERED.min(n + 1)).map(|jobs| sharing.rate(jobs)));
        sharing.rate(n)
    }

    /// When to come for the job that is due, if nobody comes by then.
    #[inline]
    fn awaits(&mut self) -> Option<Time> {
        if self.awaited.last().is_some_and(|next| *next <= self.due) {
            return None;
        }
        self.awaited.push(self.due);
        Some(self.due)
    }

    /// The job that ends next, most likely.
    pub(super) fn soon(&self) -> Option<(u32, u32)> {
        self.jobs.soon().copied()
    }

    /// A wake-up that was asked for has come: ends the job that is due, if one is. Returns it and when to come back.
    pub fn complete(&mut self, now: Time) -> Completed {
        debug_assert_eq!(self.awaited.last(), Some(&now), "a wake-up that nobody asked for");
        self.awaited.pop();
        if self.is_empty() {
            return (None, None);
        }
        if self.due > now {
            let stands_still = self.due == Time::MAX;
            return (None, if stands_still { None } else { self.awaits() });
        }
        self.advance(now);
        let ended = self.jobs.pop();
        // The wake-up was rounded up to a nanosecond; the clock must not run behind the job.
        let finish = ended.map_or(0.0, |(finish, _)| f64::from_bits(finish));
        self.virtual_work = self.virtual_work.max(finish);
        (ended.map(|(_, job)| job), self.aim())
    }

    /// Changes how jobs share (credits run out, a limit is changed). Returns when to come back.
    pub fn reshare(&mut self, now: Time, sharing: Sharing) -> Option<Time> {
        self.advance(now);
        self.sharing = sharing;
        self.rates.clear();
        self.aim()
    }

    /// Removes a job before its end. Returns when to come back. O(n): for kills, not for every request.
    pub fn remove(&mut self, now: Time, id: u32, turn: u32) -> Option<Time> {
        self.take_out(now, id, turn);
        self.aim()
    }

    /// Removes a job from a processor that stands still.
    pub(super) fn take_out(&mut self, now: Time, id: u32, turn: u32) {
        self.advance(now);
        let jobs = std::mem::take(&mut self.jobs);
        for (finish, job) in jobs.into_sorted().filter(|(_, job)| *job != (id, turn)) {
            self.jobs.push(finish, job);
        }
    }
}

/// Whole nanoseconds that are not less.
#[inline]
fn rounded_up(nanos: f64) -> u64 {
    let whole = (nanos as i64).max(0);
    whole.cast_unsigned() + u64::from((whole as f64) < nanos)
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
            Sharing::Usl { sigma: 0.1, kappa: 0.01, most: f64::INFINITY },
            Sharing::Usl { sigma: 0.0, kappa: 0.001, most: 2.0 },
        ] {
            let mut stream = Key::root(9, 0).stream();
            let mut fast = Processor::new(sharing);
            let mut twin = Twin { sharing, jobs: Vec::new(), now: 0.0 };
            let mut due: Vec<Time> = Vec::new();
            let mut wakes = 0;
            let mut arrival = 0_u64;
            let mut ended = 0.0;
            for id in 0..2_000_u32 {
                arrival += stream.below(3_000_000);
                let arrives = Time::from_nanos(arrival);
                while let Some(&at) = due.iter().min().filter(|at| **at <= arrives) {
                    due.retain(|other| *other != at);
                    wakes += 1;
                    let (t, want) = twin.next().map_or((f64::MAX, 0), |next| next);
                    let (got, next) = fast.complete(at);
                    due.extend(next);
                    let Some((got, _)) = got else {
                        assert!(at.nanos() as f64 <= t + ended + 1.0, "late for {want}");
                        continue;
                    };
                    assert_eq!(got, want);
                    // Every wake-up is rounded up to a whole nanosecond.
                    ended += 1.0;
                    assert!((at.nanos() as f64 - t).abs() <= ended, "{} against {t}", at.nanos());
                    twin.advance(t);
                    twin.jobs.retain(|job| job.0 != want);
                }
                let work = stream.below(4_000_000) + 1;
                twin.advance(arrival as f64);
                twin.jobs.push((id, work as f64));
                due.extend(fast.start(arrives, id, 0, Span::from_nanos(work)));
            }
            // Fewer than one for every arrival and one for every end.
            assert!(wakes < 4_000, "{wakes}");
        }
    }

    #[test]
    fn remembered_rates_are_those_of_the_law_in_force() {
        let laws = [0.1, 0.3]
            .map(|sigma| Sharing::Usl { sigma, kappa: 1e-4, most: f64::INFINITY })
            .into_iter()
            .chain([Sharing::Cores { cores: 7.3, speed: 0.7, per_job: 0.7 }]);
        let mut processor =
            Processor::new(Sharing::Usl { sigma: 0.0, kappa: 0.0, most: f64::INFINITY });
        let now = Time::ZERO;
        for law in laws {
            processor.reshare(now, law);
            // More than are remembered, then fewer again.
            for id in 0..REMEMBERED as u32 + 40 {
                processor.start(now, id, 0, Span::from_secs(1));
                assert_eq!(processor.rate.to_bits(), law.rate(processor.len()).to_bits());
            }
            for id in 0..REMEMBERED as u32 + 40 {
                processor.remove(now, id, 0);
                let n = processor.len();
                assert!(n == 0 || processor.rate.to_bits() == law.rate(n).to_bits(), "{n}");
            }
        }
    }

    #[test]
    fn t_usl_1_throughput_at_each_load() {
        // MySQL on Cisco UCS, Percona's data as fitted in the usl-rs tests.
        let (lambda, sigma, kappa) = (995.6486, 0.026_715_91, 7.690_945e-4);
        let usl = Sharing::Usl { sigma, kappa, most: f64::INFINITY };
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
