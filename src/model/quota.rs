//! Processors of a machine on which every pod has a limit of its own.
//!
//! A Kubernetes CPU limit is one quota for all threads of a container (`cpu.max`, Linux's CFS bandwidth control), and pods are
//! control groups: when there is too little for all, the scheduler shares cores among pods, not among their threads. With n jobs
//! a pod can use d = min(limit, n) cores. Where the sum of d is at most what the machine has, every pod gets its d; else the
//! level λ with Σ min(d, λ) = cores, which is what equal weights (`cpu.weight`, from equal requests) come to. The jobs of a pod share
//! its part alike. Periods of the quota (100 ms) are not modelled: a pod at its limit is slower, not stopped and started.

use super::cpu::{Processor, Sharing};
use crate::kernel::{Span, Time};
use std::collections::BTreeMap;

/// A wake-up to ask for: when, and for which pod's part.
pub(super) type PartDue = (Time, u32);

/// The processors of a machine with a limit for each pod.
#[derive(Debug)]
pub(super) struct Limited {
    cores: f64,
    speed: f64,
    limit: f64,
    /// Parts by number of the pod.
    places: BTreeMap<u32, u32>,
    parts: Vec<Processor>,
    /// Whether some pod has less than it could use.
    contended: bool,
    /// Wake-ups that are to be asked for.
    due: Vec<PartDue>,
}

impl Limited {
    /// An idle machine of `cores` cores of relative `speed`, whose pods may use `limit` cores each.
    pub(super) fn new(cores: f64, speed: f64, limit: f64) -> Limited {
        Limited {
            cores,
            speed,
            limit,
            places: BTreeMap::new(),
            parts: Vec::new(),
            contended: false,
            due: Vec::new(),
        }
    }

    /// Whether every pod has all that its limit allows, so that it is the limit that slows it down.
    pub(super) fn unshared(&self) -> bool {
        !self.contended
    }

    /// The next wake-up to ask for.
    pub(super) fn next_due(&mut self) -> Option<PartDue> {
        self.due.pop()
    }

    /// Reference work done so far, nanoseconds.
    pub(super) fn work_done(&self) -> f64 {
        self.parts.iter().map(Processor::work_done).sum()
    }

    /// Reference work done by now, nanoseconds.
    pub(super) fn done_by(&mut self, now: Time) -> f64 {
        self.parts.iter_mut().map(|part| part.done_by(now)).sum()
    }

    /// Adds a job of a pod.
    pub(super) fn start(&mut self, now: Time, pod: u32, id: u32, work: Span) {
        let at = self.place(pod);
        let due = self.parts[at as usize].start(now, id, 0, work);
        self.due.extend(due.map(|due| (due, at)));
        self.share_out(now);
    }

    /// A wake-up of a part has come: the job that has ended, if one has.
    pub(super) fn complete(&mut self, now: Time, at: u32) -> Option<u32> {
        let (ended, due) = self.parts[at as usize].complete(now);
        self.due.extend(due.map(|due| (due, at)));
        if ended.is_some() {
            self.share_out(now);
        }
        ended.map(|(id, _)| id)
    }

    /// Removes a job of a pod before its end.
    pub(super) fn remove(&mut self, now: Time, pod: u32, id: u32) {
        let at = self.place(pod);
        let due = self.parts[at as usize].remove(now, id, 0);
        self.due.extend(due.map(|due| (due, at)));
        self.share_out(now);
    }

    /// The machine has other cores from now on (credits run out).
    pub(super) fn reshare(&mut self, now: Time, cores: f64, speed: f64) {
        (self.cores, self.speed) = (cores, speed);
        self.give_all(now, f64::INFINITY);
        self.share_out(now);
    }

    fn place(&mut self, pod: u32) -> u32 {
        let next = self.parts.len() as u32;
        let at = *self.places.entry(pod).or_insert(next);
        if at == next {
            let sharing = Sharing::Cores { cores: self.limit, speed: self.speed, per_job: 1.0 };
            self.parts.push(Processor::new(sharing));
        }
        at
    }

    /// Finds out how much every pod gets.
    fn share_out(&mut self, now: Time) {
        // All limits together fit the machine: the common case.
        if !self.contended && self.limit * self.parts.len() as f64 <= self.cores {
            return;
        }
        let busy = self.parts.iter().map(Processor::len).filter(|jobs| *jobs > 0);
        let mut demands: Vec<f64> = busy.map(|jobs| self.limit.min(jobs as f64)).collect();
        if demands.iter().sum::<f64>() <= self.cores {
            if std::mem::take(&mut self.contended) {
                self.give_all(now, f64::INFINITY);
            }
            return;
        }
        self.contended = true;
        demands.sort_unstable_by(f64::total_cmp);
        self.give_all(now, level(&demands, self.cores));
    }

    /// Gives every pod its limit, at most `level`.
    fn give_all(&mut self, now: Time, level: f64) {
        let cores = self.limit.min(level);
        let sharing = Sharing::Cores { cores, speed: self.speed, per_job: 1.0 };
        for (at, part) in self.parts.iter_mut().enumerate() {
            if part.sharing() != sharing {
                let due = part.reshare(now, sharing);
                self.due.extend(due.map(|due| (due, at as u32)));
            }
        }
    }
}

/// The level λ with Σ min(d, λ) = cores for demands in ascending order whose sum is more than that.
fn level(demands: &[f64], cores: f64) -> f64 {
    let mut left = cores;
    for (at, demand) in demands.iter().enumerate() {
        let equal = left / (demands.len() - at) as f64;
        if *demand >= equal {
            return equal;
        }
        left -= demand;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    #[test]
    fn levels_fill_from_below() {
        assert_eq!(level(&[1.0, 1.0, 1.0], 2.0).to_bits(), (2.0_f64 / 3.0).to_bits());
        // Half a core is left alone; the others share three and a half.
        assert_eq!(level(&[0.5, 2.0, 2.0], 4.0).to_bits(), 1.75_f64.to_bits());
        assert_eq!(level(&[1.0, 4.0], 4.0).to_bits(), 3.0_f64.to_bits());
    }

    /// The obvious slow twin: remaining work of every job, decremented at every event.
    struct Twin {
        cores: f64,
        limit: f64,
        now: f64,
        /// Pod, job, work left.
        jobs: Vec<(u32, u32, f64)>,
    }
    impl Twin {
        fn rate(&self, pod: u32) -> f64 {
            let count = |pod: u32| self.jobs.iter().filter(|job| job.0 == pod).count() as f64;
            let mut pods: Vec<u32> = self.jobs.iter().map(|job| job.0).collect();
            pods.sort_unstable();
            pods.dedup();
            let demand = |pod: u32| self.limit.min(count(pod));
            let total: f64 = pods.iter().map(|pod| demand(*pod)).sum();
            if total <= self.cores {
                return demand(pod) / count(pod);
            }
            // By bisection.
            let (mut low, mut high) = (0.0_f64, self.limit);
            for _ in 0..100 {
                let middle = f64::midpoint(low, high);
                let used: f64 = pods.iter().map(|pod| demand(*pod).min(middle)).sum();
                if used < self.cores { low = middle } else { high = middle }
            }
            demand(pod).min(low) / count(pod)
        }
        fn advance(&mut self, now: f64) {
            let rates: Vec<f64> = self.jobs.iter().map(|job| self.rate(job.0)).collect();
            for (job, rate) in self.jobs.iter_mut().zip(rates) {
                job.2 -= (now - self.now) * rate;
            }
            self.now = now;
        }
        fn next(&self) -> Option<(f64, u32)> {
            let ends = self.jobs.iter().map(|job| (self.now + job.2 / self.rate(job.0), job.1));
            ends.min_by(|a, b| a.0.total_cmp(&b.0))
        }
    }

    #[test]
    fn agrees_with_its_slow_twin() {
        for (cores, limit) in [(2.0, 0.5), (2.0, 1.5), (4.0, 2.0), (8.0, 1.0)] {
            let mut stream = Key::root(11, 0).stream();
            let mut fast = Limited::new(cores, 1.0, limit);
            let mut twin = Twin { cores, limit, now: 0.0, jobs: Vec::new() };
            let mut due: Vec<PartDue> = Vec::new();
            let (mut arrival, mut slack, mut done) = (0_u64, 1.0, 0);
            for id in 0..1_000_u32 {
                arrival += stream.below(900_000) * (4.0 / cores.min(4.0 * limit)) as u64;
                let arrives = Time::from_nanos(arrival);
                while let Some(&first) = due.iter().min().filter(|first| first.0 <= arrives) {
                    let at = due.iter().position(|other| *other == first).unwrap();
                    due.swap_remove(at);
                    let ended = fast.complete(first.0, first.1);
                    due.extend(std::iter::from_fn(|| fast.next_due()));
                    let Some(got) = ended else { continue };
                    let (t, want) = twin.next().unwrap();
                    slack += 1.0;
                    assert!((first.0.nanos() as f64 - t).abs() <= slack, "{first:?} against {t}");
                    assert_eq!(got, want, "{cores} cores, limit {limit}");
                    twin.advance(t);
                    twin.jobs.retain(|job| job.1 != want);
                    done += 1;
                }
                let (pod, work) = (stream.below(6) as u32, stream.below(3_000_000) + 1);
                twin.advance(arrival as f64);
                twin.jobs.push((pod, id, work as f64));
                fast.start(arrives, pod, id, Span::from_nanos(work));
                due.extend(std::iter::from_fn(|| fast.next_due()));
            }
            assert!(done > 900, "{done}");
        }
    }
}
