//! Processors of a machine on which every pod has a limit of its own.
//!
//! A Kubernetes CPU limit is one quota for all threads of a container (`cpu.max`, Linux's CFS bandwidth control): in every period of 100 ms
//! its threads may use limit × 100 ms of processor time together, as fast as they can, and stand still when that is used up until
//! the next period begins. What is left of a period is lost (`cpu.cfs_burst_us` 0).
//!
//! Pods are control groups: when there is too little for all, the scheduler shares cores among pods, not among their threads. With n
//! jobs a pod that does not stand still can use d = n cores, or as many as its interpreters let compute at a time. Where the sum
//! of d is at most what the machine has, every pod gets its d; else the level λ with Σ min(d, λ) = cores, which is what equal weights
//! (`cpu.weight`, from equal requests) come to. The jobs of a pod share its part alike.
//!
//! Sources: Linux, `Documentation/scheduler/sched-bwc.rst` (a fixed period per group, quota for its threads together, throttled until the
//! next refill); Kubernetes, `KubeletConfiguration.cpuCFSQuotaPeriod` (100 ms).

use super::cpu::{Processor, Sharing};
use crate::kernel::{Key, Span, Time};
use std::collections::BTreeMap;

/// A wake-up to ask for: when, for which pod's part, and under which turn: zero for its jobs, others for its quota.
pub(super) type PartDue = (Time, u32, u32);

/// From one quota of a container to the next.
const PERIOD: Span = Span::from_millis(100);

/// The turn of wake-ups for the end of a job.
const JOBS: u32 = 0;

/// A pod's part of the machine.
#[derive(Debug)]
struct Part {
    processor: Processor,
    /// When the first of its periods begins that begins in the run.
    phase: Span,
    /// Processor time that was left of its quota when it was last settled, nanoseconds, and when that was.
    left: f64,
    settled: Time,
    /// Cores that it has used since, and that it could have used.
    uses: f64,
    demand: f64,
    /// Whether it stands still until the next period.
    throttled: bool,
    /// When it is to be looked at for its quota, as far as that is asked for, and under which turn.
    asked: Time,
    turn: u32,
}

impl Part {
    /// When the period began that `now` lies in.
    fn begun(&self, now: Time) -> Time {
        let since = now.nanos().saturating_sub(self.phase.nanos());
        let whole = since / PERIOD.nanos() * PERIOD.nanos();
        if now.nanos() < self.phase.nanos() {
            Time::ZERO
        } else {
            Time::ZERO + self.phase + Span::from_nanos(whole)
        }
    }

    /// When the next period begins.
    fn next(&self, now: Time) -> Time {
        let first = Time::ZERO + self.phase;
        if now < first { first } else { self.begun(now) + PERIOD }
    }

    /// Takes what it has used off its quota, of which it gets a new one when a period begins.
    fn settle(&mut self, quota: f64, now: Time) {
        let begun = self.begun(now);
        if begun > self.settled {
            (self.left, self.settled) = (quota, begun);
        }
        self.left -= self.uses * now.since(self.settled).nanos_f64();
        self.settled = now;
    }

    /// When its quota is used up if it goes on as it does, which begins now. A nanosecond late: work that ends with the quota ends.
    fn runs_out(&self, quota: f64) -> Option<Time> {
        let next = self.next(self.settled);
        let needs = |of: f64| Span::from_nanos((of.max(0.0) / self.uses).ceil() as u64 + 1);
        if self.left < self.uses * next.since(self.settled).nanos_f64() {
            Some(self.settled + needs(self.left))
        } else if self.uses * PERIOD.nanos_f64() > quota {
            Some(next + needs(quota))
        } else {
            None
        }
    }
}

/// The processors of a machine with a limit for each pod.
#[derive(Debug)]
pub(super) struct Limited {
    cores: f64,
    speed: f64,
    limit: f64,
    /// Most cores that a pod can use at a time.
    most: f64,
    key: Key,
    /// Parts by number of the pod.
    places: BTreeMap<u32, u32>,
    parts: Vec<Part>,
    /// Cores that all pods together could use now.
    demand: f64,
    /// Most cores that a pod gets now.
    share: f64,
    /// Whether some pod has less than it could use.
    contended: bool,
    /// Wake-ups that are to be asked for.
    due: Vec<PartDue>,
}

impl Limited {
    /// An idle machine of so many cores of a relative speed, whose pods may use `limit` cores each and can use `most` at a time. Their
    /// periods begin at times that follow from `key`.
    pub(super) fn new((cores, speed): (f64, f64), limit: f64, most: f64, key: Key) -> Limited {
        Limited {
            cores,
            speed,
            limit,
            most,
            key,
            places: BTreeMap::new(),
            parts: Vec::new(),
            demand: 0.0,
            share: cores,
            contended: false,
            due: Vec::new(),
        }
    }

    /// Whether the machine has all that the limits of its pods allow, so that it is the limit that slows them down.
    pub(super) fn unshared(&self) -> bool {
        !self.contended || self.limit * self.parts.len() as f64 <= self.cores
    }

    /// The next wake-up to ask for.
    pub(super) fn next_due(&mut self) -> Option<PartDue> {
        self.due.pop()
    }

    /// Reference work done so far, nanoseconds.
    pub(super) fn work_done(&self) -> f64 {
        self.parts.iter().map(|part| part.processor.work_done()).sum()
    }

    /// Reference work done by now, nanoseconds.
    pub(super) fn done_by(&mut self, now: Time) -> f64 {
        self.parts.iter_mut().map(|part| part.processor.done_by(now)).sum()
    }

    /// Adds a job of a pod.
    pub(super) fn start(&mut self, now: Time, pod: u32, id: u32, work: Span) {
        let at = self.place(pod);
        let part = &mut self.parts[at as usize];
        if part.throttled {
            return part.processor.join(now, id, 0, work);
        }
        let due = part.processor.start(now, id, 0, work);
        self.due.extend(due.map(|due| (due, at, JOBS)));
        self.changed(now, at);
    }

    /// A wake-up of a part has come: the job that has ended, if one has.
    pub(super) fn complete(&mut self, now: Time, at: u32, turn: u32) -> Option<u32> {
        if turn != JOBS {
            self.look_at_quota(now, at, turn);
            return None;
        }
        let (ended, due) = self.parts[at as usize].processor.complete(now);
        self.due.extend(due.map(|due| (due, at, JOBS)));
        if ended.is_some() {
            self.changed(now, at);
        }
        ended.map(|(id, _)| id)
    }

    /// Removes a job of a pod before its end.
    pub(super) fn remove(&mut self, now: Time, pod: u32, id: u32) {
        let at = self.place(pod);
        let part = &mut self.parts[at as usize];
        if part.throttled {
            return part.processor.take_out(now, id, 0);
        }
        let due = part.processor.remove(now, id, 0);
        self.due.extend(due.map(|due| (due, at, JOBS)));
        self.changed(now, at);
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
            let mut phase = self.key.named("quota").with(u64::from(pod)).stream();
            self.parts.push(Part {
                processor: Processor::new(self.sharing()),
                phase: Span::from_nanos(phase.below(PERIOD.nanos())),
                left: self.quota(),
                settled: Time::ZERO,
                uses: 0.0,
                demand: 0.0,
                throttled: false,
                asked: Time::MAX,
                turn: JOBS,
            });
        }
        at
    }

    /// Processor time of a pod in a period, nanoseconds.
    fn quota(&self) -> f64 {
        self.limit * PERIOD.nanos_f64()
    }

    fn sharing(&self) -> Sharing {
        let cores = self.share.min(self.most);
        Sharing::Cores { cores, speed: self.speed, per_job: 1.0 }
    }

    /// A pod has more or fewer jobs that run, or stands still, or does so no longer.
    fn changed(&mut self, now: Time, at: u32) {
        self.account(now, at);
        self.share_out(now);
    }

    /// Reckons with what a pod uses from now on, and when it is to be looked at for its quota.
    fn account(&mut self, now: Time, at: u32) {
        let quota = self.quota();
        let part = &mut self.parts[at as usize];
        part.settle(quota, now);
        let runs = if part.throttled { 0 } else { part.processor.len() };
        let demand = self.most.min(runs as f64);
        self.demand += demand - std::mem::replace(&mut part.demand, demand);
        part.uses = self.share.min(demand);
        let look = if part.throttled {
            Some(part.next(now))
        } else if runs > 0 {
            part.runs_out(quota)
        } else {
            None
        };
        if let Some(look) = look.filter(|look| *look < part.asked) {
            part.asked = look;
            part.turn = part.turn.wrapping_add(1).max(JOBS + 1);
            self.due.push((look, at, part.turn));
        }
    }

    /// A pod is looked at for its quota: it stands still from now on, or no longer, or it is too early.
    fn look_at_quota(&mut self, now: Time, at: u32, turn: u32) {
        let (quota, sharing) = (self.quota(), self.sharing());
        let part = &mut self.parts[at as usize];
        if part.turn != turn {
            return;
        }
        part.asked = Time::MAX;
        part.settle(quota, now);
        if part.throttled {
            part.throttled = false;
            let due = part.processor.reshare(now, sharing);
            self.due.extend(due.map(|due| (due, at, JOBS)));
        } else if part.left <= 0.0 && !part.processor.is_empty() {
            part.throttled = true;
            part.processor.pause(now);
        }
        self.changed(now, at);
    }

    /// Finds out how much every pod gets.
    fn share_out(&mut self, now: Time) {
        // All get what they could use: the common case.
        if self.demand <= self.cores {
            if std::mem::take(&mut self.contended) {
                self.give_all(now, f64::INFINITY);
            }
            return;
        }
        self.contended = true;
        let demands = self.parts.iter().map(|part| part.demand).filter(|demand| *demand > 0.0);
        let mut demands: Vec<f64> = demands.collect();
        demands.sort_unstable_by(f64::total_cmp);
        self.give_all(now, level(&demands, self.cores));
    }

    /// Gives every pod what the machine has, at most `level`.
    fn give_all(&mut self, now: Time, level: f64) {
        self.share = self.cores.min(level);
        let sharing = self.sharing();
        for at in 0..self.parts.len() as u32 {
            let part = &mut self.parts[at as usize];
            if !part.throttled && part.processor.sharing() != sharing {
                let due = part.processor.reshare(now, sharing);
                self.due.extend(due.map(|due| (due, at, JOBS)));
                self.account(now, at);
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

    #[test]
    fn levels_fill_from_below() {
        assert_eq!(level(&[1.0, 1.0, 1.0], 2.0).to_bits(), (2.0_f64 / 3.0).to_bits());
        // Half a core is left alone; the others share three and a half.
        assert_eq!(level(&[0.5, 2.0, 2.0], 4.0).to_bits(), 1.75_f64.to_bits());
        assert_eq!(level(&[1.0, 4.0], 4.0).to_bits(), 3.0_f64.to_bits());
    }

    /// Wake-ups that were asked for, and who comes for them.
    #[derive(Default)]
    struct Clock(Vec<PartDue>);
    impl Clock {
        /// The next wake-up that is not after `until`: when, and the job that has ended, if one has.
        fn next(&mut self, pods: &mut Limited, until: Time) -> Option<(Time, Option<u32>)> {
            self.0.extend(std::iter::from_fn(|| pods.next_due()));
            let first = *self.0.iter().min().filter(|first| first.0 <= until)?;
            let at = self.0.iter().position(|other| *other == first)?;
            self.0.swap_remove(at);
            Some((first.0, pods.complete(first.0, first.1, first.2)))
        }
    }

    /// How long jobs of one pod of `limit` on `cores` take that all begin `after` a period did, in milliseconds.
    fn takes(cores: f64, limit: f64, works: &[u64], after: u64) -> Vec<f64> {
        let mut pods = Limited::new((cores, 1.0), limit, f64::INFINITY, Key::root(1, 0));
        let at = pods.place(0);
        let begin =
            Time::ZERO + pods.parts[at as usize].phase + PERIOD * 7 + Span::from_millis(after);
        for (id, work) in (0..).zip(works) {
            pods.start(begin, 0, id, Span::from_millis(*work));
        }
        let (mut clock, mut took) = (Clock::default(), vec![0.0; works.len()]);
        while let Some((now, ended)) = clock.next(&mut pods, Time::MAX) {
            if let Some(id) = ended {
                took[id as usize] = (now.since(begin).as_secs_f64() * 1e4).round() / 10.0;
            }
        }
        took
    }

    #[test]
    fn t_pod_8_a_pod_is_as_fast_as_its_machine_until_its_quota_is_used_up() {
        // 25 ms a period: 10 and 20 ms run through, of 40 ms 15 have to wait for the next one.
        assert_eq!(takes(2.0, 0.25, &[10], 0), [10.0]);
        assert_eq!(takes(2.0, 0.25, &[20], 0), [20.0]);
        assert_eq!(takes(2.0, 0.25, &[40], 0), [115.0]);
        assert_eq!(takes(2.0, 0.25, &[40], 75), [40.0]);
        assert_eq!(takes(2.0, 0.25, &[40], 90), [115.0]);
        // Work that ends with the quota ends.
        assert_eq!(takes(2.0, 0.25, &[25], 0), [25.0]);
        // A thread that may use a core is never held back; four use up the quota of 100 ms in 25.
        assert_eq!(takes(4.0, 1.0, &[250], 30), [250.0]);
        assert_eq!(takes(4.0, 1.0, &[30, 30, 30, 30], 0), [105.0; 4]);
        assert_eq!(takes(4.0, 1.0, &[20, 20, 20, 20], 0), [20.0; 4]);
        // On two cores in 50.
        assert_eq!(takes(2.0, 1.0, &[30, 30, 30, 30], 0), [110.0; 4]);
    }

    /// The obvious slow twin: remaining work of every job and quota of every pod, decremented at every event.
    struct Twin {
        cores: f64,
        quota: f64,
        most: f64,
        now: f64,
        /// Pod, job, work left.
        jobs: Vec<(u32, u32, f64)>,
        /// By pod: phase, quota left, whether it stands still.
        pods: Vec<(f64, f64, bool)>,
    }
    impl Twin {
        fn uses(&self, pod: u32) -> f64 {
            let demand = |pod: usize| {
                let jobs = self.jobs.iter().filter(|job| job.0 as usize == pod).count();
                if self.pods[pod].2 { 0.0 } else { self.most.min(jobs as f64) }
            };
            let all = 0..self.pods.len();
            let own = demand(pod as usize);
            if all.clone().map(demand).sum::<f64>() <= self.cores {
                return own;
            }
            // By bisection.
            let (mut low, mut high) = (0.0_f64, self.cores);
            for _ in 0..100 {
                let middle = f64::midpoint(low, high);
                let used: f64 = all.clone().map(|pod| demand(pod).min(middle)).sum();
                if used < self.cores { low = middle } else { high = middle }
            }
            own.min(low)
        }
        fn rate(&self, pod: u32) -> f64 {
            let jobs = self.jobs.iter().filter(|job| job.0 == pod).count();
            self.uses(pod) / jobs as f64
        }
        /// The next period of a pod.
        fn next_period(&self, pod: usize) -> f64 {
            let (phase, period) = (self.pods[pod].0, PERIOD.nanos_f64());
            phase + (((self.now - phase) / period).floor() + 1.0) * period
        }
        fn advance(&mut self, until: f64) {
            let rates: Vec<f64> = self.jobs.iter().map(|job| self.rate(job.0)).collect();
            let uses: Vec<f64> = (0..self.pods.len() as u32).map(|pod| self.uses(pod)).collect();
            let periods: Vec<f64> = (0..self.pods.len()).map(|pod| self.next_period(pod)).collect();
            for (job, rate) in self.jobs.iter_mut().zip(rates) {
                job.2 -= (until - self.now) * rate;
            }
            for (pod, row) in self.pods.iter_mut().enumerate() {
                row.1 -= (until - self.now) * uses[pod];
                if until >= periods[pod] - 1e-3 {
                    (row.1, row.2) = (self.quota, false);
                } else if row.1 <= 1e-3 && uses[pod] > 0.0 {
                    row.2 = true;
                }
            }
            self.now = until;
        }
        /// The next job to end, after what happens to quotas before, unless that is after `until`.
        fn next(&mut self, until: f64) -> Option<(f64, u32)> {
            loop {
                let ends = self.jobs.iter().map(|job| (self.now + job.2 / self.rate(job.0), job.1));
                let ends = ends.filter(|end| end.0.is_finite());
                let end = ends.min_by(|a, b| a.0.total_cmp(&b.0));
                let quotas = (0..self.pods.len() as u32).map(|pod| {
                    let empty = self.now + self.pods[pod as usize].1.max(0.0) / self.uses(pod);
                    empty.min(self.next_period(pod as usize))
                });
                let quota = quotas.fold(f64::INFINITY, f64::min);
                if let Some(end) = end.filter(|end| end.0 <= quota && end.0 <= until) {
                    return Some(end);
                }
                if quota > until {
                    return None;
                }
                self.advance(quota);
            }
        }
    }

    #[test]
    fn agrees_with_its_slow_twin() {
        let all = f64::INFINITY;
        for (cores, limit, most) in
            [(2.0, 0.5, all), (2.0, 1.5, all), (4.0, 0.25, 1.0), (8.0, 1.0, 2.0), (4.0, all, 1.0)]
        {
            let mut stream = Key::root(11, 0).stream();
            let mut fast = Limited::new((cores, 1.0), limit, most, Key::root(3, 0));
            let phases = (0..6).map(|pod| fast.place(pod)).collect::<Vec<_>>();
            let phases = phases.iter().map(|at| fast.parts[*at as usize].phase.nanos_f64());
            let quota = limit * PERIOD.nanos_f64();
            let pods = phases.map(|phase| (phase, quota, false)).collect();
            let mut twin = Twin { cores, quota, most, now: 0.0, jobs: Vec::new(), pods };
            let (mut clock, mut arrival, mut done) = (Clock::default(), 0_u64, 0);
            for id in 0..1_000_u32 {
                // Three quarters of what the cores or the limits allow.
                arrival += stream.below((40e6 / (0.75 * cores.min(6.0 * limit.min(most)))) as u64);
                let arrives = Time::from_nanos(arrival);
                while let Some((now, ended)) = clock.next(&mut fast, arrives) {
                    let Some(got) = ended else { continue };
                    let (t, want) = twin.next(f64::INFINITY).unwrap();
                    // Each end is rounded to a nanosecond, and they follow from one another.
                    let off = (now.nanos() as f64 - t).abs();
                    assert!(off <= f64::from(done + 1), "{now:?} against {t}");
                    assert_eq!(got, want, "{cores} cores, limit {limit}");
                    twin.advance(t);
                    twin.jobs.retain(|job| job.1 != want);
                    done += 1;
                }
                let (pod, work) = (stream.below(6) as u32, stream.below(40_000_000) + 1);
                twin.next(arrival as f64);
                twin.advance(arrival as f64);
                twin.jobs.push((pod, id, work as f64));
                fast.start(arrives, pod, id, Span::from_nanos(work));
            }
            assert!(done > 900, "{done}");
        }
    }
}
