//! The autoscaler at work: samples metrics, lets the policy decide, starts pods through every lag and drains those it removes.

use super::autoscaler::{AutoscalerSpec, METRICS};
use super::pod::{Life, Pod};
use super::policy::{Metrics, Policy};
use super::spec::PodsSpec;
use crate::kernel::{Key, Span, Time};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::Sampler;
use crate::model::ledger::GaugeId;
use crate::model::message::CallId;
use crate::model::scale::hpa::{Container, Phase, PodState, Readiness};
use crate::model::scale::nodes::Provisioning;
use crate::model::wiring::Wiring;
use std::collections::{BTreeMap, VecDeque};

/// Timers of the scaler begin here.
pub(super) const SCALER: u8 = 32;
const SCRAPE: u8 = SCALER;
const DECIDE: u8 = SCALER + 1;
const POINT: u8 = SCALER + 2;
const STARTED: u8 = SCALER + 3;
const READY: u8 = SCALER + 4;
const GONE: u8 = SCALER + 5;
const NODE_UP: u8 = SCALER + 6;
const NODE_EMPTY: u8 = SCALER + 7;
/// A point of an alarm has become visible.
const SEEN: u8 = SCALER + 8;

/// A drained pod that still works is looked at again after this.
const DRAIN_AGAIN: Span = Span::from_secs(1);

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Absent,
    /// No machine has room for it.
    Waiting,
    /// Scheduled: image, start of the container.
    Starting,
    /// The process runs, no probe has passed.
    Running,
    Ready,
    Draining,
}

/// What the scaler knows of a pod.
#[derive(Debug, Clone)]
struct Row {
    stage: Stage,
    /// Counts its lives: a timer of an earlier one is stale.
    life: u32,
    /// When the kubelet took it up, when the process ran, when its readiness last changed.
    scheduled: Option<Time>,
    runs: Time,
    changed: Time,
    /// Reference work and answers since the last sample.
    work: Span,
    answers: u64,
    sample: Option<Sample>,
}

/// A sample of a pod.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Time,
    window: Span,
    cpu_milli: i64,
    rate_milli: i64,
    in_progress: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
    Absent,
    Coming,
    Up,
}

/// Machines that come and go.
struct Machines {
    rows: Vec<(Machine, u32)>,
    per_node: u16,
    law: Provisioning,
    unneeded: Span,
    /// Node time on the bill so far, and until when it is counted.
    billed: f64,
    since: Time,
}

struct Gauges {
    wanted: GaugeId,
    pending: GaugeId,
    started: GaugeId,
    ready: GaugeId,
    draining: GaugeId,
}

/// The autoscaler of a service.
pub(super) struct Scaler {
    policy: Policy,
    bounds: (u32, u32),
    rows: Vec<Row>,
    machines: Option<Machines>,
    start: Sampler,
    ready: Sampler,
    drain: Span,
    scrape: Span,
    decide: Span,
    request: f64,
    speed: f64,
    answer_bytes: f64,
    wanted: u32,
    /// Since the last point of an alarm: reference work, answers, pod time.
    work: Span,
    answers: u64,
    pod_time: f64,
    /// Points that the alarm does not see yet.
    points: VecDeque<Metrics>,
    counted_to: Time,
    scraped: Time,
    gauges: Gauges,
    key: Key,
    /// Pods started and removed.
    pub(super) added: u64,
    pub(super) removed: u64,
    /// Pods whose process has ended: the service closes what they hold.
    pub(super) gone: Vec<u16>,
}

/// Most pods that there may be.
pub(super) fn places(spec: &PodsSpec) -> u16 {
    let most = spec.autoscaler.as_ref().map_or(0, |scaler| scaler.bounds().1.min(10_000));
    spec.replicas.max(most as u16)
}

/// Hosts that there may be, and the host of every pod.
pub(super) fn hosts(spec: &PodsSpec) -> (u16, Box<dyn Fn(u16) -> u16>) {
    let count = spec.hosts.count;
    match spec.autoscaler.as_ref().and_then(|scaler| scaler.nodes.as_ref()) {
        Some(nodes) => {
            let per_node = nodes.pods_per_node.max(1);
            (count.max(places(spec).div_ceil(per_node)), Box::new(move |pod| pod / per_node))
        }
        None => (count, Box::new(move |pod| pod % count)),
    }
}

impl Scaler {
    /// # Errors
    /// Says which law has no meaning; a checked scenario has no such errors.
    pub(super) fn build(
        own: &AutoscalerSpec,
        spec: &PodsSpec,
        wiring: &mut Wiring,
    ) -> Result<Scaler, String> {
        let (me, all) = (wiring.me, places(spec));
        let machines = own.nodes.as_ref().map(|nodes| -> Result<Machines, String> {
            let sampler = |law: &crate::model::dist::Dist| law.sampler(wiring.data);
            let laws = (&nodes.ec2, &nodes.join);
            let up =
                |node: u16| if node < spec.hosts.count { Machine::Up } else { Machine::Absent };
            Ok(Machines {
                rows: (0..hosts(spec).0).map(|node| (up(node), 0)).collect(),
                per_node: nodes.pods_per_node.max(1),
                law: Provisioning::new(nodes.provisioner, laws, sampler)?,
                unneeded: nodes.unneeded,
                billed: 0.0,
                since: Time::ZERO,
            })
        });
        let row = |pod: u16| Row {
            stage: if pod < spec.replicas { Stage::Ready } else { Stage::Absent },
            life: 0,
            scheduled: Some(Time::ZERO),
            runs: Time::ZERO,
            changed: Time::ZERO,
            work: Span::ZERO,
            answers: 0,
            sample: None,
        };
        let mut gauge = |name| wiring.ledger.gauge(me, name, Some(u64::from(all)));
        let gauges = Gauges {
            wanted: gauge("replicas wanted"),
            pending: gauge("replicas pending"),
            started: gauge("replicas started"),
            ready: gauge("replicas ready"),
            draining: gauge("replicas draining"),
        };
        Ok(Scaler {
            policy: Policy::new(own, u32::from(spec.replicas)),
            bounds: own.bounds(),
            rows: (0..all).map(row).collect(),
            machines: machines.transpose()?,
            start: own.start.sampler(wiring.data)?,
            ready: own.ready.sampler(wiring.data)?,
            drain: own.drain,
            scrape: own.scrape_interval,
            decide: own.sync_period,
            request: own.cpu_request.unwrap_or(spec.hosts.vcpu),
            speed: spec.hosts.speed,
            answer_bytes: own.answer_bytes.0 as f64,
            wanted: u32::from(spec.replicas),
            work: Span::ZERO,
            answers: 0,
            pod_time: 0.0,
            points: VecDeque::new(),
            counted_to: Time::ZERO,
            scraped: Time::ZERO,
            gauges,
            key: wiring.key().named("autoscaler"),
            added: 0,
            removed: 0,
            gone: Vec::new(),
        })
    }

    /// Begins to sample and to decide, each at a random phase.
    pub(super) fn begin(&mut self, ctx: &mut Ctx) {
        let mut stream = self.key.named("phase").stream();
        let mut phase = |period: Span| Span::from_nanos(1 + stream.below(period.nanos().max(1)));
        ctx.wake(phase(self.scrape), SCRAPE, 0, 0);
        let decide = phase(self.policy.period(self.decide));
        ctx.wake(decide, DECIDE, 0, 0);
        if let Some((period, _)) = self.policy.points() {
            ctx.wake(period, POINT, 0, 0);
        }
        self.show(ctx);
    }

    /// A pod for a client whose pod is gone.
    pub(super) fn another(&self, call: CallId, ctx: &mut Ctx) -> Option<u16> {
        let mut stream = ctx.stream(call, Purpose::Routing);
        let ready = ctx.endpoints.ready(ctx.me)?;
        (!ready.is_empty()).then(|| ready[stream.below(ready.len() as u64) as usize])
    }

    /// Whether a pod keeps its connections open: one that drains closes each after its answer.
    pub(super) fn keeps(&self, pod: u16) -> bool {
        self.rows[pod as usize].stage != Stage::Draining
    }

    /// A pod did so much reference work.
    pub(super) fn worked(&mut self, pod: u16, work: Span) {
        let row = &mut self.rows[pod as usize];
        row.work = row.work + work;
        self.work = self.work + work;
    }

    /// A pod answered.
    pub(super) fn answered(&mut self, pod: u16) {
        self.rows[pod as usize].answers += 1;
        self.answers += 1;
    }

    /// Machine time on the bill, seconds; none if machines do not come and go.
    pub(super) fn machine_seconds(&mut self, now: Time) -> Option<f64> {
        self.bill(now);
        self.machines.as_ref().map(|machines| machines.billed)
    }

    /// A timer of the scaler.
    pub(super) fn woken(
        &mut self,
        (timer, word, turn): (u8, u32, u32),
        pods: &mut [Pod],
        ctx: &mut Ctx,
    ) {
        let now = ctx.now();
        let at = word as usize;
        self.count_pod_time(now);
        match timer {
            SCRAPE => {
                self.sample(pods, now);
                ctx.wake(self.scrape, SCRAPE, 0, 0);
            }
            DECIDE => {
                ctx.wake(self.policy.period(self.decide), DECIDE, 0, 0);
                let wanted = self.policy.decide(&self.metrics(pods, now), self.bounds);
                self.scale(wanted, pods, ctx);
            }
            POINT => {
                if let Some((period, delay)) = self.policy.points() {
                    ctx.wake(period, POINT, 0, 0);
                    let point = self.point(now, period, pods);
                    self.points.push_back(point);
                    ctx.wake(delay, SEEN, 0, 0);
                }
            }
            SEEN => {
                if let Some(point) = self.points.pop_front() {
                    let point = Metrics { now, replicas: self.wanted, ..point };
                    let wanted = self.policy.point(&point, self.bounds);
                    self.scale(wanted, pods, ctx);
                }
            }
            NODE_UP => self.machine_up(at, turn, ctx),
            NODE_EMPTY => self.machine_empty(at, turn, now),
            _ if self.rows[at].life != turn => {}
            STARTED => {
                let row = &mut self.rows[at];
                (row.stage, row.runs, row.changed) = (Stage::Running, now, now);
                (row.work, row.answers, row.sample) = (Span::ZERO, 0, None);
                pods[at].life = Life::Up;
                let wait = self.ready.sample(&mut self.life_key(at).named("ready").stream());
                ctx.wake(wait, READY, word, turn);
            }
            READY => {
                let row = &mut self.rows[at];
                (row.stage, row.changed) = (Stage::Ready, now);
            }
            _ if !idle(&pods[at]) => ctx.wake(DRAIN_AGAIN, GONE, word, turn),
            _ => self.gone(at, ctx),
        }
        self.settled(now);
        self.show(ctx);
    }

    /// Tells a policy that has one activity at a time that it is over.
    fn settled(&mut self, now: Time) {
        let moving = |row: &Row| !matches!(row.stage, Stage::Absent | Stage::Ready);
        if !self.rows.iter().any(moving) {
            self.policy.settled(now);
        }
    }

    fn life_key(&self, pod: usize) -> Key {
        self.key.with(pod as u64).with(u64::from(self.rows[pod].life))
    }

    /// Every pod that runs is measured over the time since the last sample or its start.
    fn sample(&mut self, pods: &[Pod], now: Time) {
        for (row, pod) in self.rows.iter_mut().zip(pods) {
            let running = matches!(row.stage, Stage::Running | Stage::Ready | Stage::Draining);
            let window = now.since(self.scraped.max(row.runs));
            if !running || window.is_zero() {
                row.sample = row.sample.filter(|_| running);
                continue;
            }
            let seconds = window.as_secs_f64();
            let cores = row.work.as_secs_f64() / self.speed / seconds;
            row.sample = Some(Sample {
                at: now,
                window,
                cpu_milli: (cores * 1000.0).round() as i64,
                rate_milli: (row.answers as f64 / seconds * 1000.0).round() as i64,
                in_progress: i64::from(in_progress(pod)),
            });
            (row.work, row.answers) = (Span::ZERO, 0);
        }
        self.scraped = now;
    }

    /// What a policy sees at a sync: pods as the API server tells of them, with their last samples.
    fn metrics(&self, pods: &[Pod], now: Time) -> Metrics {
        let request = (self.request * 1000.0).round() as i64;
        let state = |row: &Row| {
            let named = |value| BTreeMap::from([("cpu".to_owned(), value)]);
            let usage = row.sample.map_or_else(BTreeMap::new, |sample| named(sample.cpu_milli));
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
                sampled: row.sample.map_or(Time::ZERO, |sample| sample.at),
                window: row.sample.map_or(Span::ZERO, |sample| sample.window),
            }
        };
        let present = self.rows.iter().filter(|row| row.stage != Stage::Absent);
        Metrics {
            now,
            replicas: self.wanted,
            pods: present.map(state).collect(),
            load: pods.iter().map(|pod| f64::from(in_progress(pod))).sum(),
            cpu: None,
            answers: None,
            bytes: None,
        }
    }

    /// What an alarm sees: averages over a period that has just ended.
    fn point(&mut self, now: Time, period: Span, pods: &[Pod]) -> Metrics {
        self.count_pod_time(now);
        let seconds = period.as_secs_f64();
        let instances = self.pod_time / seconds;
        let used = self.work.as_secs_f64() / self.speed;
        let shared = |value: f64| (instances > 0.0).then(|| value / instances);
        let metrics = Metrics {
            cpu: shared(used / seconds / self.request * 100.0),
            answers: Some(self.answers as f64),
            bytes: shared(self.answers as f64 * self.answer_bytes),
            ..self.metrics(pods, now)
        };
        (self.work, self.answers, self.pod_time) = (Span::ZERO, 0, 0.0);
        metrics
    }

    fn count_pod_time(&mut self, now: Time) {
        let running =
            self.rows.iter().filter(|row| matches!(row.stage, Stage::Ready | Stage::Draining));
        self.pod_time += running.count() as f64 * now.since(self.counted_to).as_secs_f64();
        self.counted_to = now;
    }

    /// Starts or removes pods until there are as many as wanted.
    fn scale(&mut self, wanted: Option<u32>, pods: &[Pod], ctx: &mut Ctx) {
        if let Some(wanted) = wanted {
            self.wanted = wanted.min(self.bounds.1);
        }
        self.count_pod_time(ctx.now());
        let here = |row: &Row| !matches!(row.stage, Stage::Absent | Stage::Draining);
        let present = self.rows.iter().filter(|row| here(row)).count();
        for _ in present..self.wanted as usize {
            // A pod that drains holds its place; what finds none is started when one is free, at the next decision.
            let Some(free) = self.rows.iter().position(|row| row.stage == Stage::Absent) else {
                break;
            };
            self.create(free, ctx);
        }
        for _ in self.wanted as usize..present {
            // Those that do not serve yet go first, then the newest, as a ReplicaSet ranks them.
            let ranked = self.rows.iter().enumerate().filter(|(_, row)| here(row));
            let rank = |&(at, row): &(usize, &Row)| {
                let serves = match row.stage {
                    Stage::Ready => 3,
                    Stage::Running => 2,
                    Stage::Starting => 1,
                    _ => 0,
                };
                (serves, std::cmp::Reverse(row.changed), std::cmp::Reverse(at))
            };
            let Some((at, _)) = ranked.min_by_key(rank) else { break };
            self.remove(at, &pods[at], ctx);
        }
    }

    fn create(&mut self, at: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        self.added += 1;
        let row = &mut self.rows[at];
        row.life += 1;
        (row.stage, row.scheduled, row.changed, row.sample) = (Stage::Waiting, None, now, None);
        let Some(machines) = &mut self.machines else { return self.schedule(at, ctx) };
        let node = at / machines.per_node as usize;
        match machines.rows[node].0 {
            Machine::Up => self.schedule(at, ctx),
            Machine::Coming => {}
            Machine::Absent => {
                self.bill(now);
                let Some(machines) = &mut self.machines else { return };
                let (state, life) = &mut machines.rows[node];
                (*state, *life) = (Machine::Coming, *life + 1);
                let key = self.key.named("machine").with(node as u64).with(u64::from(*life));
                let wait = machines.law.draw(&mut key.stream());
                ctx.wake(wait, NODE_UP, node as u32, *life);
            }
        }
    }

    fn schedule(&mut self, at: usize, ctx: &mut Ctx) {
        let wait = self.start.sample(&mut self.life_key(at).named("start").stream());
        let row = &mut self.rows[at];
        (row.stage, row.scheduled) = (Stage::Starting, Some(ctx.now()));
        ctx.wake(wait, STARTED, at as u32, row.life);
    }

    fn remove(&mut self, at: usize, pod: &Pod, ctx: &mut Ctx) {
        self.removed += 1;
        let now = ctx.now();
        let row = &mut self.rows[at];
        row.life += 1;
        let life = row.life;
        if matches!(row.stage, Stage::Waiting | Stage::Starting) {
            return self.gone(at, ctx);
        }
        (row.stage, row.changed) = (Stage::Draining, now);
        let wait = if self.drain.is_zero() && idle(pod) { Span::ZERO } else { self.drain };
        ctx.wake(wait, GONE, at as u32, life);
    }

    fn gone(&mut self, at: usize, ctx: &mut Ctx) {
        self.count_pod_time(ctx.now());
        self.rows[at].stage = Stage::Absent;
        self.gone.push(at as u16);
        let Some(machines) = &mut self.machines else { return };
        let node = at / machines.per_node as usize;
        let of_node = self.rows.chunks(machines.per_node as usize).nth(node);
        let empty = of_node.is_none_or(|rows| rows.iter().all(|row| row.stage == Stage::Absent));
        let (state, life) = &mut machines.rows[node];
        if empty && *state == Machine::Up {
            *life += 1;
            ctx.wake(machines.unneeded, NODE_EMPTY, node as u32, *life);
        }
    }

    fn machine_up(&mut self, node: usize, life: u32, ctx: &mut Ctx) {
        let Some(machines) = &mut self.machines else { return };
        if machines.rows[node].1 != life {
            return;
        }
        machines.rows[node].0 = Machine::Up;
        let first = node * machines.per_node as usize;
        let last = (first + machines.per_node as usize).min(self.rows.len());
        for at in first..last {
            if self.rows[at].stage == Stage::Waiting {
                self.schedule(at, ctx);
            }
        }
    }

    fn machine_empty(&mut self, node: usize, life: u32, now: Time) {
        self.bill(now);
        let Some(machines) = &mut self.machines else { return };
        let first = node * machines.per_node as usize;
        let last = (first + machines.per_node as usize).min(self.rows.len());
        let empty = self.rows[first..last].iter().all(|row| row.stage == Stage::Absent);
        if machines.rows[node] == (Machine::Up, life) && empty {
            machines.rows[node].0 = Machine::Absent;
        }
    }

    fn bill(&mut self, now: Time) {
        let Some(machines) = &mut self.machines else { return };
        let up = machines.rows.iter().filter(|(state, _)| *state != Machine::Absent).count();
        machines.billed += up as f64 * now.since(machines.since).as_secs_f64();
        machines.since = now;
    }

    /// Writes the numbers into the ledger and the ready pods where entries look.
    fn show(&self, ctx: &mut Ctx) {
        let now = ctx.now();
        let count = |stages: &[Stage]| {
            self.rows.iter().filter(|row| stages.contains(&row.stage)).count() as u64
        };
        let pending = count(&[Stage::Waiting, Stage::Starting]);
        let started = count(&[Stage::Running, Stage::Ready]);
        ctx.ledger.set(self.gauges.wanted, now, u64::from(self.wanted));
        ctx.ledger.set(self.gauges.pending, now, pending);
        ctx.ledger.set(self.gauges.started, now, started);
        ctx.ledger.set(self.gauges.ready, now, count(&[Stage::Ready]));
        ctx.ledger.set(self.gauges.draining, now, count(&[Stage::Draining]));
        let ready = (0_u16..).zip(&self.rows).filter(|(_, row)| row.stage == Stage::Ready);
        let ready: Vec<u16> = ready.map(|(at, _)| at).collect();
        if ctx.endpoints.ready(ctx.me) != Some(&ready[..]) {
            ctx.endpoints.set(ctx.me, ready);
        }
    }
}

fn in_progress(pod: &Pod) -> u32 {
    pod.running + pod.waiting.len() as u32 + pod.accept_queue.len() as u32
}

fn idle(pod: &Pod) -> bool {
    in_progress(pod) == 0
}
