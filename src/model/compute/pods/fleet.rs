//! The pods of a service as their controllers see them: created, scheduled, started, ready, drained, replaced by a rolling update.

use super::fargate::PodTime;
use super::kubelet::beliefs;
use super::lags::Lags;
use super::machines::{Machine, Machines};
use super::pod::Pod;
use super::replica::{Laws, Row, Stage};
use super::scaler::Scaling;
use super::spec::PodsSpec;
use super::usage::Counter;
use super::victims::{Deleter, Ranked};
use crate::kernel::{Key, Time};
use crate::model::context::{Ctx, Purpose};
use crate::model::endpoints::ENDPOINTS;
use crate::model::ledger::GaugeId;
use crate::model::message::{CallId, Event, Message};
use crate::model::wiring::Wiring;

/// Timers of the fleet begin here, those of its autoscaler first.
pub(super) const FLEET: u8 = 32;
/// A pod's container starts.
pub(super) const STARTED: u8 = FLEET + 8;
/// A machine is up.
pub(super) const NODE_UP: u8 = FLEET + 9;
/// A machine has been empty for long enough.
pub(super) const NODE_EMPTY: u8 = FLEET + 10;
/// A change of a pod has reached every proxy: turn is the number of the change.
pub(super) const PUBLISHED: u8 = FLEET + 11;
/// Timers of kubelets begin here.
pub(super) const KUBELET: u8 = FLEET + 32;

struct Gauges {
    wanted: GaugeId,
    pending: GaugeId,
    started: GaugeId,
    ready: GaugeId,
    draining: GaugeId,
}

/// What the service has to do to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// Start its container.
    Start(usize),
    /// Delete it.
    Stop(usize),
}

/// The pods of a service.
pub(super) struct Fleet {
    rows: Vec<Row>,
    pub(super) laws: Laws,
    deleter: Deleter,
    machines: Option<Machines>,
    pub(super) scaling: Option<Box<Scaling>>,
    pub(super) wanted: u32,
    /// Number of the latest rollout.
    generation: u32,
    /// So many places, the first ones, are on hosts that have the processors for them.
    fitting: usize,
    todo: Vec<Todo>,
    /// Hosts that take no new pods, by number.
    closed: Vec<bool>,
    /// Hosts that a new machine has taken the place of.
    new_hosts: Vec<usize>,
    /// Whether anything that others see or that decisions hang on has changed since the last look at all pods: probes that say
    /// nothing new are many.
    changed: bool,
    gauges: Gauges,
    pub(super) lags: Lags,
    pub(super) key: Key,
    /// Pods started, removed, and containers started again.
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) restarted: u64,
    /// Time of pods that have ended.
    pub(super) lives: PodTime,
}

/// Most pods that there may be: with a lifecycle there may be those that are replaced beside those that replace them.
pub(super) fn places(spec: &PodsSpec) -> u16 {
    let scaled = spec.autoscaler.as_ref().map_or(0, |scaler| scaler.bounds().1.min(10_000));
    let most = u32::from(spec.replicas).max(scaled);
    let room = spec.lifecycle.as_ref().map_or(0, |own| most + own.rolling_update.of(most).0);
    (most + room).min(20_000) as u16
}

/// Hosts that there may be, and the host of every pod.
pub(super) fn hosts(spec: &PodsSpec) -> (u16, Box<dyn Fn(u16) -> u16>) {
    let count = spec.hosts.count;
    if spec.hosts.fargate.is_some() {
        return (places(spec), Box::new(|pod| pod));
    }
    match spec.autoscaler.as_ref().and_then(|scaler| scaler.nodes.as_ref()) {
        Some(nodes) => {
            let per_node = nodes.pods_per_node.max(1);
            (count.max(places(spec).div_ceil(per_node)), Box::new(move |pod| pod / per_node))
        }
        None => (count, Box::new(move |pod| pod % count)),
    }
}

impl Fleet {
    /// None: the pods of the service are there from the beginning to the end.
    ///
    /// # Errors
    /// Says which law has no meaning; a checked scenario has no such errors.
    pub(super) fn build(
        spec: &PodsSpec,
        wiring: &mut Wiring,
    ) -> Result<Option<Box<Fleet>>, String> {
        let scaler = spec.autoscaler.as_deref();
        let laws = match (&spec.lifecycle, scaler) {
            (Some(lifecycle), _) => Laws::of_lifecycle(lifecycle, wiring.data)?,
            (None, Some(scaler)) => Laws::of_autoscaler(scaler, wiring.data)?,
            (None, None) => return Ok(None),
        };
        let (me, all, key) = (wiring.me, places(spec), wiring.key().named("autoscaler"));
        let machines = scaler.and_then(|scaler| scaler.nodes.as_ref());
        let sizes = (spec.hosts.count, hosts(spec).0);
        let machines =
            machines.map(|nodes| Machines::build(nodes, sizes, wiring.data, key)).transpose()?;
        let mut gauge = |name| wiring.ledger.gauge(me, name, Some(u64::from(all)));
        let gauges = Gauges {
            wanted: gauge("replicas wanted"),
            pending: gauge("replicas pending"),
            started: gauge("replicas started"),
            ready: gauge("replicas ready"),
            draining: gauge("replicas draining"),
        };
        let host_of = hosts(spec).1;
        let row = |pod| Row { host: host_of(pod), ..Row::new(pod < spec.replicas) };
        Ok(Some(Box::new(Fleet {
            rows: (0..all).map(row).collect(),
            laws,
            deleter: Deleter::of(scaler, wiring.era),
            machines,
            scaling: scaler.map(|own| Box::new(Scaling::new(own, spec))),
            wanted: u32::from(spec.replicas),
            generation: 0,
            fitting: spec.fitting().map_or(usize::from(all), |n| n as usize),
            todo: Vec::new(),
            closed: vec![false; usize::from(sizes.1)],
            new_hosts: Vec::new(),
            changed: true,
            gauges,
            lags: Lags::default(),
            key,
            added: 0,
            removed: 0,
            restarted: 0,
            lives: PodTime::default(),
        })))
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, at: usize) -> &Row {
        &self.rows[at]
    }

    pub(super) fn row_mut(&mut self, at: usize) -> &mut Row {
        &mut self.rows[at]
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.rows
    }

    pub(super) fn life_key(&self, pod: usize) -> Key {
        self.key.with(pod as u64).with(u64::from(self.rows[pod].life))
    }

    /// A pod for a client whose pod is gone.
    pub(super) fn another(call: CallId, ctx: &mut Ctx) -> Option<u16> {
        let mut stream = ctx.stream(call, Purpose::Routing);
        let ready = ctx.endpoints.ready(ctx.me)?;
        (!ready.is_empty()).then(|| ready[stream.below(ready.len() as u64) as usize])
    }

    /// Whether a pod keeps its connections open: one that has got SIGTERM closes each after its answer.
    pub(super) fn keeps(&self, pod: u16) -> bool {
        !self.rows[pod as usize].signalled
    }

    /// Machine time on the bill, seconds, and how many machines there were at first; none if machines do not come and go.
    pub(super) fn machines_held(&mut self, now: Time) -> Option<(f64, f64)> {
        self.machines.as_mut().map(|machines| machines.held(now))
    }

    /// A timer of the fleet or its autoscaler.
    pub(super) fn woken(&mut self, timer: (u8, u32, u32), pods: &[Pod], ctx: &mut Ctx) {
        let (sort, word, turn) = timer;
        let at = word as usize;
        self.changed = true;
        self.count_pod_time(ctx.now());
        match sort {
            NODE_UP => self.machine_up(at, turn, ctx),
            NODE_EMPTY => {
                if let Some(machines) = &mut self.machines {
                    let mut own = machines.pods(at, self.rows.len());
                    if own.all(|pod| self.rows[pod].stage == Stage::Absent) {
                        machines.go(at, turn, ctx.queue.now());
                    }
                }
            }
            PUBLISHED => {
                // Turn: the number of the change, and in its last bit whether the pod is ready.
                let row = &mut self.rows[at];
                if turn > row.heard {
                    (row.heard, row.published) = (turn, turn & 1 == 1);
                }
            }
            STARTED if self.rows[at].life == turn => self.todo.push(Todo::Start(at)),
            STARTED => {}
            _ => self.scaling_woken(sort, pods, ctx),
        }
        self.settled(ctx.now());
    }

    /// Tells a policy that has one activity at a time that it is over.
    fn settled(&mut self, now: Time) {
        let moving = |row: &Row| !matches!(row.stage, Stage::Absent | Stage::Ready);
        // What waits for room on the hosts is no activity: it may wait for ever.
        let fitting = &self.rows[..self.fitting.min(self.rows.len())];
        if !fitting.iter().any(moving)
            && let Some(scaling) = &mut self.scaling
        {
            scaling.policy.settled(now);
        }
    }

    /// Whether anything has changed since the last time that this was asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What is to be done next; decides anew when nothing is left.
    pub(super) fn next(&mut self, ctx: &mut Ctx) -> Option<Todo> {
        if self.todo.is_empty() {
            self.reconcile(ctx);
        }
        self.todo.pop()
    }

    /// Creates and removes pods until there are as many as wanted, all of the latest rollout.
    fn reconcile(&mut self, ctx: &mut Ctx) {
        self.count_pod_time(ctx.now());
        self.place_waiting(ctx);
        let wanted = self.wanted as usize;
        let latest = self.generation;
        if self.rows.iter().any(|row| row.here() && row.is_old(latest)) {
            return self.roll(ctx);
        }
        let present = self.rows.iter().filter(|row| row.here()).count();
        self.create(wanted.saturating_sub(present), ctx);
        for _ in wanted..present {
            let Some(at) = self.least_needed(ctx.now(), |_| true) else { break };
            self.remove(at);
        }
    }

    /// One step of a rolling update, as a Deployment's controller takes it.
    fn roll(&mut self, ctx: &mut Ctx) {
        let wanted = self.wanted;
        let (mut surge, mut missing) = self.laws.update.of(wanted);
        let count = |rows: &[Row], which: &dyn Fn(&Row) -> bool| {
            rows.iter().filter(|row| row.here() && which(row)).count() as u32
        };
        let latest = self.generation;
        let leaving = count(&self.rows, &|row| row.leaving);
        if leaving > 0 {
            // A drain is no rollout: replacements come at once, and the budget says how many may be missing.
            surge = surge.max(leaving);
            missing = self.laws.budget.unwrap_or(leaving);
        }
        let total = count(&self.rows, &|_| true);
        let new = count(&self.rows, &|row| !row.is_old(latest));
        let room = (wanted + surge).saturating_sub(total);
        self.create(room.min(wanted.saturating_sub(new)) as usize, ctx);
        let total = count(&self.rows, &|_| true);
        let new_unready =
            count(&self.rows, &|row| !row.is_old(latest) && row.stage != Stage::Ready);
        let least = wanted.saturating_sub(missing);
        let removable = total.saturating_sub(least + new_unready);
        // Old pods that do not serve go first and cost nothing; then as many as may be missing.
        let old = |row: &Row| row.is_old(latest);
        let idle_old = count(&self.rows, &|row| old(row) && row.stage != Stage::Ready);
        let ready = count(&self.rows, &|row| row.stage == Stage::Ready);
        let serving = ready.saturating_sub(least).min(removable.saturating_sub(idle_old));
        for _ in 0..removable.min(idle_old) + serving {
            let Some(at) = self.least_needed(ctx.now(), old) else { break };
            self.remove(at);
        }
    }

    /// The pod of a kind that is deleted first.
    fn least_needed(&self, now: Time, which: impl Fn(&Row) -> bool) -> Option<usize> {
        Ranked { rows: &self.rows, now, deleter: self.deleter, key: self.key }.first(which)
    }

    /// A host takes no new pods, or does again.
    pub(super) fn close(&mut self, host: usize, closed: bool) {
        self.changed = true;
        self.closed[host] = closed;
    }

    /// The machine under a host is gone. Where machines come and go another may take its place.
    pub(super) fn lose_machine(&mut self, host: usize, now: Time) {
        self.changed = true;
        if let Some(machines) = &mut self.machines {
            machines.lose(host, now);
            self.closed[host] = false;
        }
    }

    /// Hosts that a new machine has taken the place of since the last time.
    pub(super) fn new_hosts(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.new_hosts)
    }

    /// Begins a rollout: every pod is to be replaced.
    pub(super) fn roll_out(&mut self) {
        self.changed = true;
        self.generation += 1;
    }

    fn create(&mut self, n: usize, ctx: &mut Ctx) {
        for _ in 0..n {
            // A pod that drains holds its place; what finds none is started when one is free, at the next decision.
            let Some(free) = self.free_place() else { break };
            self.create_at(free, ctx);
        }
    }

    fn free_place(&self) -> Option<usize> {
        let free = |row: &Row| row.stage == Stage::Absent && !self.closed[usize::from(row.host)];
        self.rows.iter().position(free)
    }

    /// Pods that no host had room for are scheduled where another has left some.
    fn place_waiting(&mut self, ctx: &mut Ctx) {
        let last = self.fitting.min(self.rows.len());
        while let Some(waits) = self.rows[last..].iter().position(|row| row.stage == Stage::Waiting)
            && let Some(free) = self.free_place().filter(|&free| free < last)
        {
            let (pod, life) = (self.rows[last + waits].clone(), self.rows[free].life);
            self.rows[last + waits].stage = Stage::Absent;
            let own = &self.rows[free];
            let (host, told, heard, published) = (own.host, own.told, own.heard, own.published);
            self.rows[free] = Row { host, told, heard, published, life: life + 1, ..pod };
            self.changed = true;
            self.schedule(free, ctx);
        }
    }

    fn create_at(&mut self, at: usize, ctx: &mut Ctx) {
        let now = ctx.now();
        self.changed = true;
        self.added += 1;
        let row = &mut self.rows[at];
        *row = Row {
            stage: Stage::Waiting,
            host: row.host,
            life: row.life + 1,
            generation: self.generation,
            scheduled: None,
            created: now,
            changed: now,
            told: row.told,
            heard: row.heard,
            published: row.published,
            ..Row::new(false)
        };
        if at >= self.fitting {
            return;
        }
        let Some(machines) = &mut self.machines else { return self.schedule(at, ctx) };
        match machines.of(at) {
            (_, Machine::Up) => self.schedule(at, ctx),
            (_, Machine::Coming) => {}
            (node, Machine::Absent) => {
                let (wait, life) = machines.order(node, now);
                ctx.wake(wait, NODE_UP, node as u32, life);
            }
        }
    }

    fn schedule(&mut self, at: usize, ctx: &mut Ctx) {
        let wait = self.laws.start.sample(&mut self.life_key(at).named("start").stream());
        let row = &mut self.rows[at];
        (row.stage, row.scheduled) = (Stage::Starting, Some(ctx.now()));
        ctx.wake(wait, STARTED, at as u32, row.life);
    }

    /// A pod is deleted; its place in the endpoints goes at once.
    pub(super) fn remove(&mut self, at: usize) {
        self.changed = true;
        self.removed += 1;
        self.todo.push(Todo::Stop(at));
        let row = &mut self.rows[at];
        // Until the kubelet has taken note, a pod that has not run is told from one that has by its stage.
        row.stage = Stage::Draining;
    }

    /// A container starts; the turn of its timers.
    pub(super) fn starts(&mut self, at: usize, now: Time) -> u32 {
        self.changed = true;
        let row = &mut self.rows[at];
        row.life += 1;
        (row.stage, row.runs, row.changed) = (Stage::Running, now, now);
        (row.counter, row.answers, row.sample) = (Counter::default(), 0, None);
        (row.again, row.signalled, row.contained) = (false, false, false);
        (row.beliefs, row.startup_failures) = (beliefs(false), 0);
        row.life
    }

    /// A pod or its container is told to stop; the turn of its timers.
    pub(super) fn stops(&mut self, at: usize, again: bool) -> u32 {
        self.changed = true;
        let row = &mut self.rows[at];
        row.life += 1;
        row.again = again;
        row.life
    }

    /// Whether the containers of a pod are ready has changed.
    pub(super) fn contained(&mut self, at: usize, ready: bool, now: Time) {
        self.changed = true;
        self.rows[at].contained = ready;
        self.ready_or_not(at, now);
    }

    /// The balancer's opinion of a pod. A gate once open stays open.
    pub(super) fn gate(&mut self, at: usize, healthy: bool, now: Time) {
        self.changed |= healthy && !self.rows[at].gate;
        self.rows[at].gate |= healthy;
        self.ready_or_not(at, now);
    }

    fn ready_or_not(&mut self, at: usize, now: Time) {
        let gated = self.laws.gate;
        let row = &mut self.rows[at];
        let stage =
            if row.contained && (row.gate || !gated) { Stage::Ready } else { Stage::Running };
        if matches!(row.stage, Stage::Running | Stage::Ready) && row.stage != stage {
            (row.stage, row.changed) = (stage, now);
        }
    }

    /// A pod is gone.
    pub(super) fn gone(&mut self, at: usize, ctx: &mut Ctx) {
        self.changed = true;
        self.count_pod_time(ctx.now());
        self.count_life(at, ctx.now());
        self.rows[at].stage = Stage::Absent;
        self.rows[at].contained = false;
        let Some(machines) = &mut self.machines else { return };
        let (node, _) = machines.of(at);
        let mut own = machines.pods(node, self.rows.len());
        if own.all(|pod| self.rows[pod].stage == Stage::Absent)
            && let Some(life) = machines.empty(node)
        {
            ctx.wake(machines.unneeded, NODE_EMPTY, node as u32, life);
        }
    }

    fn machine_up(&mut self, node: usize, life: u32, ctx: &mut Ctx) {
        let Some(machines) = &mut self.machines else { return };
        if machines.up(node, life) {
            self.new_hosts.push(node);
            for at in machines.pods(node, self.rows.len()) {
                if self.rows[at].stage == Stage::Waiting {
                    self.schedule(at, ctx);
                }
            }
        }
    }

    /// Writes the numbers into the ledger and the ready pods where entries look.
    pub(super) fn show(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        for at in 0..self.rows.len() {
            self.tell(at, ctx);
        }
        let count = |stages: &[Stage]| {
            self.rows.iter().filter(|row| stages.contains(&row.stage)).count() as u64
        };
        ctx.ledger.set(self.gauges.wanted, now, u64::from(self.wanted));
        ctx.ledger.set(self.gauges.pending, now, count(&[Stage::Waiting, Stage::Starting]));
        ctx.ledger.set(self.gauges.started, now, count(&[Stage::Running, Stage::Ready]));
        ctx.ledger.set(self.gauges.ready, now, count(&[Stage::Ready]));
        ctx.ledger.set(self.gauges.draining, now, count(&[Stage::Draining]));
        let published = |row: &&Row| row.published && !row.here();
        let late = self.rows.iter().filter(published).count() as u32;
        let lags = [Stage::Waiting, Stage::Starting, Stage::Running].map(|at| count(&[at]) as u32);
        self.lags.set(now, [lags[0], lags[1], lags[2], late]);
        let listed = |which: &dyn Fn(&Row) -> bool| -> Vec<u16> {
            let rows = (0_u16..).zip(&self.rows);
            rows.filter(|(_, row)| which(row)).map(|(at, _)| at).collect()
        };
        let ready = listed(&|row| row.published);
        let targets = listed(&|row| row.contained && row.stage != Stage::Draining);
        if ctx.endpoints.set(ctx.me, ready, targets) {
            for to in ctx.endpoints.watchers(ctx.me) {
                let message = Message::Wake(ENDPOINTS, u32::from(ctx.me.0), 0);
                ctx.queue.immediately(Event::new(to, message));
            }
        }
    }

    /// A change of a pod goes out to the proxies.
    fn tell(&mut self, at: usize, ctx: &mut Ctx) {
        let row = &mut self.rows[at];
        let ready = row.stage == Stage::Ready;
        if row.told.0 == ready {
            return;
        }
        row.told = (ready, row.told.1 + 1);
        let change = row.told.1;
        match &self.laws.lag {
            None => row.published = ready,
            Some(law) => {
                let key = self.key.named("lag").with(at as u64).with(u64::from(change));
                let wait = law.sample(&mut key.stream());
                ctx.wake(wait, PUBLISHED, at as u32, change << 1 | u32::from(ready));
            }
        }
    }
}

/// Requests in a pod, accepted or not.
pub(super) fn in_progress(pod: &Pod) -> u32 {
    pod.running + (pod.waiting.len() + pod.taken.len() + pod.accept_queue.len()) as u32
}

pub(super) fn idle(pod: &Pod) -> bool {
    in_progress(pod) == 0
}
