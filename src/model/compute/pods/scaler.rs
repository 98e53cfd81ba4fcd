//! The autoscaler at work: samples metrics, lets the policy decide, sees alarms with their delay.

use super::autoscaler::{AutoscalerSpec, METRICS};
use super::fleet::{FLEET, Fleet, in_progress};
use super::pod::Pod;
use super::policy::{Metrics, Policy};
use super::replica::{Row, Stage};
use super::spec::PodsSpec;
use super::usage::{Usage, next_reading};
use crate::kernel::{Span, Time};
use crate::model::context::Ctx;
use crate::model::scale::hpa::{Container, Phase, PodState, Readiness};
use std::collections::{BTreeMap, VecDeque};

const SCRAPE: u8 = FLEET;
const DECIDE: u8 = FLEET + 1;
const POINT: u8 = FLEET + 2;
/// A point of an alarm has become visible.
const SEEN: u8 = FLEET + 3;

/// A container's counter of processor time is read: word is the pod, turn its life.
pub(super) const READING: u8 = FLEET + 4;

/// A sample of what a pod's requests show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    rate_milli: i64,
    in_progress: i64,
}

/// An autoscaler and what it has measured.
pub(super) struct Scaling {
    pub(super) policy: Policy,
    bounds: (u32, u32),
    scrape: Span,
    /// From reading to reading of a container, at least; none: nobody asks, or it is read when it is scraped.
    housekeeping: Option<Span>,
    decide: Span,
    request: f64,
    speed: f64,
    answer_bytes: f64,
    /// Since the last point of an alarm: reference work, answers, pod time in nanoseconds.
    work: Span,
    answers: u64,
    pod_time: u128,
    counted_to: Time,
    /// Points that the alarm does not see yet.
    points: VecDeque<Metrics>,
    scraped: Time,
}

impl Scaling {
    pub(super) fn new(own: &AutoscalerSpec, spec: &PodsSpec) -> Scaling {
        let apart = own.hpa.is_some() && !own.housekeeping_interval.is_zero();
        Scaling {
            policy: Policy::new(own, u32::from(spec.replicas)),
            bounds: own.bounds(),
            scrape: own.scrape_interval,
            housekeeping: apart.then_some(own.housekeeping_interval),
            decide: own.sync_period,
            request: own.cpu_request.or(spec.cpu).unwrap_or(spec.hosts.vcpu()),
            speed: spec.hosts.speed,
            answer_bytes: own.answer_bytes.0 as f64,
            work: Span::ZERO,
            answers: 0,
            pod_time: 0,
            counted_to: Time::ZERO,
            points: VecDeque::new(),
            scraped: Time::ZERO,
        }
    }

    /// Every pod that runs is scraped. Its requests are counted over the time since the last scrape or its start.
    fn sample(&mut self, rows: &mut [Row], pods: &[Pod], now: Time) {
        for (row, pod) in rows.iter_mut().zip(pods) {
            let running = matches!(row.stage, Stage::Running | Stage::Ready | Stage::Draining);
            let window = now.since(self.scraped.max(row.runs));
            if !running || window.is_zero() {
                row.sample = row.sample.filter(|_| running);
                continue;
            }
            if self.housekeeping.is_none() {
                row.counter.read(now);
            }
            row.counter.scraped(row.runs, self.scrape);
            let rate = row.answers as f64 / window.as_secs_f64();
            row.sample = Some(Sample {
                rate_milli: (rate * 1000.0).round() as i64,
                in_progress: i64::from(in_progress(pod)),
            });
            row.answers = 0;
        }
        self.scraped = now;
    }

    /// What a policy sees at a sync: pods as the API server tells of them, with their last samples.
    fn metrics(&self, rows: &[Row], wanted: u32, pods: &[Pod], now: Time) -> Metrics {
        let request = (self.request * 1000.0).round() as i64;
        let state = |row: &Row| {
            let named = |value| BTreeMap::from([("cpu".to_owned(), value)]);
            let measured = row.sample.and_then(|_| row.counter.usage());
            let milli = |usage: Usage| {
                let cores = usage.work.as_secs_f64() / self.speed / usage.window.as_secs_f64();
                (cores * 1000.0).round() as i64
            };
            let usage = measured.map_or_else(BTreeMap::new, |usage| named(milli(usage)));
            let custom = row.sample.iter().flat_map(|sample| {
                let values = [sample.rate_milli, sample.in_progress * 1000];
                METRICS.iter().map(|name| (*name).to_owned()).zip(values)
            });
            PodState {
                phase: match row.stage {
                    Stage::Waiting | Stage::Starting => Phase::Pending,
                    _ => Phase::Running,
                },
                deleting: row.stage == Stage::Draining,
                readiness: Some(Readiness { ready: row.stage == Stage::Ready, since: row.changed }),
                started: row.scheduled,
                containers: vec![Container { name: "app".into(), requests: named(request), usage }],
                metrics: custom.collect(),
                sampled: measured.map_or(Time::ZERO, |usage| usage.at),
                window: measured.map_or(Span::ZERO, |usage| usage.window),
            }
        };
        let present = rows.iter().filter(|row| row.stage != Stage::Absent);
        Metrics {
            now,
            replicas: wanted,
            pods: present.map(state).collect(),
            load: pods.iter().map(|pod| f64::from(in_progress(pod))).sum(),
            cpu: None,
            answers: None,
            bytes: None,
        }
    }

    /// What an alarm sees: averages over a period that has just ended.
    fn point(&mut self, seen: Metrics, period: Span) -> Metrics {
        let seconds = period.as_secs_f64();
        let instances = self.pod_time as f64 * 1e-9 / seconds;
        let used = self.work.as_secs_f64() / self.speed;
        let shared = |value: f64| (instances > 0.0).then(|| value / instances);
        let metrics = Metrics {
            cpu: shared(used / seconds / self.request * 100.0),
            answers: Some(self.answers as f64),
            bytes: shared(self.answers as f64 * self.answer_bytes),
            ..seen
        };
        (self.work, self.answers, self.pod_time) = (Span::ZERO, 0, 0);
        metrics
    }
}

impl Fleet {
    /// Begins to sample and to decide, each at a random phase.
    pub(super) fn begin(&mut self, ctx: &mut Ctx) {
        if let Some(scaling) = &self.scaling {
            let mut stream = self.key.named("phase").stream();
            let mut phase =
                |period: Span| Span::from_nanos(1 + stream.below(period.nanos().max(1)));
            ctx.wake(phase(scaling.scrape), SCRAPE, 0, 0);
            let decide = phase(scaling.policy.period(scaling.decide));
            ctx.wake(decide, DECIDE, 0, 0);
            if let Some((period, _)) = scaling.policy.points() {
                ctx.wake(period, POINT, 0, 0);
            }
            if let Some(interval) = scaling.housekeeping {
                let running =
                    self.rows().iter().zip(0..).filter(|(row, _)| row.stage == Stage::Ready);
                for (row, at) in running {
                    let mut stream = self.life_key(at as usize).named("reading").stream();
                    let first = next_reading(interval, &mut stream).scaled(stream.unit());
                    ctx.wake(first, READING, at, row.life);
                }
            }
        }
        self.show(ctx);
    }

    /// The kubelet reads the counter of a container, the first time when it starts.
    pub(super) fn housekeep(&mut self, at: usize, life: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(interval) = self.scaling.as_ref().and_then(|scaling| scaling.housekeeping) else {
            return;
        };
        let key = self.life_key(at).named("reading").with(now.nanos());
        let row = self.row_mut(at);
        if row.life == life {
            row.counter.read(now);
            ctx.wake(next_reading(interval, &mut key.stream()), READING, at as u32, life);
        }
    }

    /// A pod did so much reference work.
    pub(super) fn worked(&mut self, pod: u16, work: Span) {
        let Some(scaling) = &mut self.scaling else { return };
        scaling.work = scaling.work + work;
        let row = self.row_mut(usize::from(pod));
        row.counter.work = row.counter.work + work;
    }

    /// A pod answered.
    pub(super) fn answered(&mut self, pod: u16) {
        let Some(scaling) = &mut self.scaling else { return };
        scaling.answers += 1;
        self.row_mut(usize::from(pod)).answers += 1;
    }

    /// A timer of the autoscaler.
    pub(super) fn scaling_woken(&mut self, timer: u8, pods: &[Pod], ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(mut scaling) = self.scaling.take() else { return };
        let seen = |scaling: &Scaling| scaling.metrics(self.rows(), self.wanted, pods, now);
        let wanted = match timer {
            SCRAPE => {
                scaling.sample(self.rows_mut(), pods, now);
                ctx.wake(scaling.scrape, SCRAPE, 0, 0);
                None
            }
            DECIDE => {
                ctx.wake(scaling.policy.period(scaling.decide), DECIDE, 0, 0);
                let seen = seen(&scaling);
                scaling.policy.decide(&seen, scaling.bounds)
            }
            POINT => {
                if let Some((period, delay)) = scaling.policy.points() {
                    ctx.wake(period, POINT, 0, 0);
                    let seen = seen(&scaling);
                    let point = scaling.point(seen, period);
                    scaling.points.push_back(point);
                    ctx.wake(delay, SEEN, 0, 0);
                }
                None
            }
            _ => scaling.points.pop_front().and_then(|point| {
                let point = Metrics { now, replicas: self.wanted, ..point };
                scaling.policy.point(&point, scaling.bounds)
            }),
        };
        if let Some(wanted) = wanted {
            self.wanted = wanted.min(scaling.bounds.1);
        }
        self.scaling = Some(scaling);
    }

    /// Counts the time of the pods that serve, for averages by instance.
    pub(super) fn count_pod_time(&mut self, now: Time) {
        let serving = |row: &&Row| matches!(row.stage, Stage::Ready | Stage::Draining);
        let serving = self.rows().iter().filter(serving).count();
        if let Some(scaling) = &mut self.scaling {
            let passed = now.since(scaling.counted_to).nanos();
            scaling.pod_time += serving as u128 * u128::from(passed);
            scaling.counted_to = now;
        }
    }
}
