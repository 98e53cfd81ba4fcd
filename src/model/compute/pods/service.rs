//! The service as it runs: connects, admission, processor sharing on hosts, pools to stores.

use super::ahead::Ahead;
use super::burst::{Burst, CREDITS};
use super::fargate::Fargate;
use super::fleet::{FLEET, Fleet, hosts, places};
use super::hosts::own_host;
use super::limits::{Gauges, Limits};
use super::operations::THAW;
use super::pod::{AGAIN, IDLE, LOOK, Life, Pod, RUNNING, SIGNING, StorePool, TOO_OLD};
use super::runtime::{KindOf, Pace, Runtime};
use super::spec::PodsSpec;
use super::supervisor::{SILENT_WORKER, Supervisor, WORKER_UP};
use super::waiting::Discipline;
use crate::kernel::{Span, Time};
use crate::model::calls::{Op, Via};
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::cpu::Sharing;
use crate::model::endpoints::HEALTHY;
use crate::model::host::HostId;
use crate::model::listener::{Connect, Listener};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, OPERATION, Outcome};
use crate::model::pool::ESTABLISHED;
use crate::model::probe::PROBE;
use crate::model::sdk::SdkClients;
use crate::model::wiring::Wiring;
use crate::model::work::Step;

const READ: u8 = 0;
const STEP: u8 = 1;
/// A processor step is done.
pub(super) const CPU: u8 = 3;
/// The client's kernel gave up connecting.
const SYN_END: u8 = 4;
/// Data of a half-open connection comes again.
const DATA: u8 = 6;

// Where a call stands, in its second word.
const ENDED: u32 = 3;
/// In a plain wait: the only thing that can be dropped at once.
const WAITING: u32 = 4;

/// A service of pods as it runs.
#[expect(clippy::struct_field_names, reason = "pods is what they are called")]
pub struct Pods {
    pub(super) name: String,
    /// SDK clients of the pods.
    sdk: SdkClients,
    pub(super) pods: Vec<Pod>,
    pub(super) hosts: Vec<HostId>,
    pub(super) host_cores: f64,
    pub(super) speed: f64,
    pub(super) instance: Option<String>,
    pub(super) fargate: Option<Fargate>,
    pub(super) replicas: u16,
    pub(super) spot_price: Option<f64>,
    pub(super) kind: KindOf,
    /// Connections that an event loop accepts in one turn.
    pub(super) accepts: u32,
    /// Processor time of a full TLS handshake.
    pub(super) cpu_handshake: Span,
    pub(super) pace: Pace,
    pub(super) places: u32,
    /// Most connections with a request in a pod, of threads.
    pub(super) held_max: u32,
    queue_max: usize,
    discipline: Discipline,
    reject_status: u16,
    cancel: bool,
    pub(super) pools: Vec<StorePool>,
    /// Connections that are being opened for no request.
    pub(super) ahead: Vec<Ahead>,
    /// Connections opened to stores so far: their numbers.
    pub(super) connections: u32,
    pub(super) limits: Limits,
    pub(super) gauges: Gauges,
    in_progress: u64,
    /// Reference work of requests that nobody had anything of.
    pub(super) wasted: Span,
    pub(super) in_accept_queue: u64,
    pub(super) counts: Counts,
    pub(super) fleet: Option<Box<Fleet>>,
    pub(super) burst: Option<Box<Burst>>,
    pub(super) supervisor: Option<Supervisor>,
    /// The kind of request whose steps are done, by kind; empty: each kind's own.
    own_work: Vec<u16>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) syn_dropped: u64,
    pub(super) rejected: u64,
    pub(super) cancelled: u64,
    pub(super) connections_max: u64,
}

impl Component for Pods {
    type Spec = PodsSpec;

    fn build(spec: &PodsSpec, wiring: &mut Wiring) -> Result<Pods, String> {
        let pools = StorePool::all(&spec.pool, wiring)?;
        let sharing =
            Sharing::Cores { cores: spec.hosts.vcpu(), speed: spec.hosts.speed, per_job: 1.0 };
        let own_pools = || StorePool::fresh(&pools);
        let listener = Listener::new(spec.backlog(), spec.somaxconn, spec.syncookies)
            .syn_backlog(spec.max_syn_backlog)
            .aborting(spec.abort_on_overflow);
        let accept_max = listener.places();
        let fleet = Fleet::build(spec, wiring)?;
        let (host_count, host_of) = hosts(spec);
        let machine = wiring.machine();
        let hosts: Vec<HostId> = (0..host_count)
            .map(|_| machine.unwrap_or_else(|| own_host(spec, sharing, wiring)))
            .collect();
        let burst = Burst::build(&spec.hosts, host_count, sharing, wiring);
        let pod_count = places(spec);
        let mut pods: Vec<Pod> =
            (0..pod_count).map(|i| Pod::new(host_of(i), listener.clone(), own_pools())).collect();
        for pod in pods.iter_mut().skip(usize::from(spec.replicas)) {
            pod.life = Life::Down;
        }
        for slow in &spec.slow {
            pods[usize::from(slow.pod)].slow = slow.factor;
        }
        let places = spec.places();
        let limits = Limits::announce(spec, accept_max, wiring);
        let gauges = Gauges::announce(places, accept_max, u64::from(pod_count), wiring);
        Ok(Pods {
            name: wiring.name.to_owned(),
            own_work: wiring.own_work(&spec.work)?,
            sdk: SdkClients::default(),
            pods,
            hosts,
            host_cores: spec.hosts.vcpu(),
            speed: spec.hosts.speed,
            instance: spec.hosts.instance.clone(),
            fargate: spec.hosts.fargate,
            replicas: spec.replicas,
            spot_price: spec.hosts.spot_price,
            kind: KindOf::of(&spec.runtime),
            accepts: match &spec.runtime {
                Runtime::EventLoop(event_loop) => event_loop.accepts,
                Runtime::SyncWorkers(_) | Runtime::Threads(_) => u32::MAX,
            },
            cpu_handshake: spec.cpu_handshake,
            pace: Pace::new(&spec.runtime, spec.warm_up.as_ref()),
            places,
            held_max: spec.connections(),
            queue_max: spec.queue.map_or(usize::MAX, |n| n as usize),
            discipline: Discipline::new(spec.queue_discipline, wiring.key()),
            reject_status: spec.reject_status,
            cancel: spec.cancel,
            pools,
            ahead: Vec::new(),
            connections: 0,
            limits,
            gauges,
            in_progress: 0,
            wasted: Span::ZERO,
            in_accept_queue: 0,
            counts: Counts::default(),
            fleet,
            burst,
            supervisor: Supervisor::of(spec, wiring)?,
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        if let Some(fleet) = &mut self.fleet {
            fleet.begin(ctx);
            self.watch_running(ctx);
        }
        self.begin_credits(ctx);
        for pod in 0..self.pods.len() {
            if self.pods[pod].life == Life::Up {
                self.fill_pools(pod as u16, ctx);
            }
        }
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Cancel(call) => self.cancelled(call, ctx),
            Message::Wake(CPU, slot, turn) => self.cpu_done(CallId { slot, turn }, ctx),
            Message::Wake(STEP, slot, turn) => self.stepped(CallId { slot, turn }, ctx),
            _ => self.told(event, ctx),
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        self.report(ctx)
    }
}

impl Pods {
    /// Handles what does not come with every request.
    #[inline(never)]
    fn told(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Wake(OPERATION, index, _) => {
                let operations = ctx.operations;
                self.operate(&operations[index as usize].action, ctx);
            }
            Message::Wake(CREDITS, ..) => self.count_credits(ctx),
            Message::Wake(WORKER_UP, pod, life) => self.worker_up(pod as u16, life, ctx),
            Message::Wake(THAW, pod, _) => self.thaw(pod as usize, ctx),
            Message::Wake(IDLE, pod, store) => {
                self.close_idle(pod as u16, NodeId(store as u16), ctx);
            }
            Message::Wake(timer @ (AGAIN | LOOK | TOO_OLD), word, turn) => {
                self.pool_woken((timer, word, turn), ctx);
            }
            Message::Wake(HEALTHY, pod, healthy) => self.gated(pod as usize, healthy == 1, ctx),
            Message::Wake(timer, word, turn) if timer >= FLEET && timer != ESTABLISHED => {
                self.fleet_woken((timer, word, turn), ctx);
            }
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                if !self.takes(timer, call, ctx) {
                    return;
                }
                match timer {
                    READ => self.admit(call, ctx),
                    DATA => self.data_again(call, ctx),
                    SYN_END => {
                        ctx.ledger.refused_by(self.limits.accept, ctx.queue.now());
                        ctx.fail(call, Cause::ConnectTimeout, 0);
                    }
                    ESTABLISHED => self.greet(call, ctx),
                    SILENT_WORKER => self.worker_silent(call, ctx),
                    _ => self.acquire_timed_out(call, ctx),
                }
            }
            Message::Arrive(_) | Message::Reply(_) | Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    /// Whether a timer is about a request that is in progress, and its process does not stand still.
    #[inline(always)]
    fn takes(&mut self, timer: u8, call: CallId, ctx: &mut Ctx) -> bool {
        let Some(row) = ctx.calls.live(call).filter(|row| row.b != ENDED) else { return false };
        let address = row.address;
        let process = !matches!(timer, DATA | SYN_END);
        !(process && self.defers(address, Message::Wake(timer, call.slot, call.turn)))
    }

    /// A step of a request's work is over.
    #[inline(never)]
    fn stepped(&mut self, call: CallId, ctx: &mut Ctx) {
        if self.takes(STEP, call, ctx) {
            ctx.calls.get(call).b = RUNNING;
            self.goes_on(call, ctx);
        }
    }

    /// A request on an open connection, or the SYN of a new one.
    #[inline(never)]
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        if let Some(own) = self.own_work.get(usize::from(row.work)) {
            row.work = *own;
        }
        let open = row.via != Via::New;
        if let Via::Open(pod) = row.via {
            let mut pod = pod as u16;
            if self.fleet.is_some()
                && self.pods[usize::from(pod)].life != Life::Up
                && ctx.from_users(call)
                && let Some(other) = Fleet::another(call, ctx)
            {
                // The pod closed the connection when it went: its user has opened another one, to a pod that is there.
                pod = other;
            }
            let now = ctx.queue.now();
            let row = ctx.calls.get(call);
            row.address = pod;
            let closed = std::mem::replace(&mut row.mark, now);
            if closed > Time::ZERO && closed < now {
                // Closed for being idle while the request was on its way.
                ctx.ledger.refused_by(self.limits.keepalive, now);
                return ctx.fail(call, Cause::Reset, 0);
            }
        }
        let row = ctx.calls.get(call);
        let pod = row.address;
        if self.pods[pod as usize].life != Life::Up {
            // The port is closed, and so is every connection that led there.
            if self.fleet.is_some() {
                let ending = self.ending(usize::from(pod));
                let limit = if ending { self.limits.removal } else { self.limits.unready };
                ctx.ledger.refused_by(limit, ctx.queue.now());
            }
            return self.reply(call, Outcome::failed(Cause::Refused, ctx.me, 0), ctx);
        }
        if open {
            if !self.defers(pod, Message::Arrive(call)) {
                self.holds(pod);
                self.admit(call, ctx);
            }
            return;
        }
        if row.abandoned {
            // The client gave up while its SYN was lost: there is nothing to accept.
            return ctx.fail(call, Cause::ConnectTimeout, 0);
        }
        let (now, rtt) = (ctx.queue.now(), row.hop * 2);
        let idle = self.accepts_now(pod);
        let Pod { listener, accept_queue, .. } = &mut self.pods[pod as usize];
        match listener.syn(call, accept_queue.len(), now, rtt) {
            Connect::Queued => {
                self.established(call, ctx);
                self.queued(call, pod, idle, ctx);
            }
            Connect::Reset => ctx.kernel_resets(call, self.limits.accept),
            Connect::HalfOpen => ctx.data_lost(call, self.limits.accept, DATA, 1),
            Connect::Dropped => {
                self.counts.syn_dropped += 1;
                ctx.syn_lost(call, self.limits.accept, SYN_END);
            }
        }
    }

    /// A connection has a place in the accept queue; an idle process takes it at once.
    #[inline(always)]
    fn queued(&mut self, call: CallId, pod: u16, idle: bool, ctx: &mut Ctx) {
        if idle {
            self.pods[pod as usize].listener.taken(ctx.queue.now());
            return self.accept(call, ctx);
        }
        self.pods[pod as usize].accept_queue.push_back(call);
        self.in_accept_queue += 1;
        ctx.ledger.set(self.gauges.accept_queue, ctx.queue.now(), self.in_accept_queue);
    }

    /// The data of a half-open connection came again.
    fn data_again(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let address = ctx.calls.get(call).address;
        let idle = self.accepts_now(address);
        let pod = &mut self.pods[address as usize];
        if let Some(cause) = ctx.data_over(call) {
            pod.listener.gone(call);
            return ctx.fail(call, cause, 0);
        }
        let answer = pod.listener.data(call, pod.accept_queue.len(), now);
        if ctx.data_again(call, answer, self.limits.accept, DATA) {
            self.queued(call, address, idle, ctx);
        }
    }

    /// The kernel completed the handshake; the request's bytes come after the remaining round trips.
    fn established(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.established = now;
        row.mark = now + row.amount;
    }

    /// The process accepts a connection. A sync worker is occupied from here on.
    #[inline(always)]
    pub(super) fn accept(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = *ctx.calls.get(call);
        if self.kind == KindOf::SyncWorkers {
            self.pods[row.address as usize].running += 1;
            self.watch_worker(call, ctx);
        }
        self.holds(row.address);
        if row.mark > now {
            ctx.wake(row.mark - now, READ, call.slot, call.turn);
        } else {
            self.admit(call, ctx);
        }
    }

    /// The request is read, after the server's part of a TLS handshake if its connection is new.
    #[inline(always)]
    fn admit(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        if row.opening.tls() && row.via == Via::New && !self.cpu_handshake.is_zero() {
            return self.sign(call, ctx);
        }
        self.seat(call, ctx);
    }

    /// A place, the waiting line, or a rejection.
    #[inline(always)]
    pub(super) fn seat(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let pod = ctx.calls.get(call).address as usize;
        if self.kind == KindOf::SyncWorkers {
            return self.begin(call, ctx);
        }
        if self.pods[pod].running < self.places {
            self.begin(call, ctx);
        } else if self.pods[pod].waiting.len() < self.queue_max {
            ctx.calls.get(call).mark = now;
            self.pods[pod].waiting.push_back(call);
        } else {
            self.counts.rejected += 1;
            ctx.ledger.refused_by(self.limits.queue, now);
            self.reply(call, Outcome::failed(Cause::QueueFull, ctx.me, self.reject_status), ctx);
        }
    }

    /// A request takes a place; a sync worker was taken with the connection.
    #[inline(always)]
    fn begin(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = ctx.calls.get(call);
        row.b = RUNNING;
        let pod = &mut self.pods[row.address as usize];
        pod.running += u32::from(self.kind != KindOf::SyncWorkers);
        pod.begun = pod.begun.saturating_add(1);
        self.in_progress += 1;
        ctx.ledger.set(self.gauges.in_progress, ctx.queue.now(), self.in_progress);
        self.run(call, ctx);
    }

    /// Runs the work from its present step on.
    #[inline(never)]
    pub(super) fn run(&mut self, call: CallId, ctx: &mut Ctx) {
        self.goes_on(call, ctx);
    }

    #[inline(always)]
    fn goes_on(&mut self, call: CallId, ctx: &mut Ctx) {
        let works = ctx.works;
        let row = *ctx.calls.get(call);
        if row.work == PROBE {
            return self.run_probe(call, ctx);
        }
        let steps = &works[usize::from(row.work)].steps;
        match steps.get(usize::from(row.step)) {
            None => self.leaves(call, Outcome::OK, ctx),
            Some(Step::Cpu(law)) => {
                let work = law.sample(&mut row.step_stream());
                ctx.calls.get(call).amount = self.work_of(row.address, work, u32::from(row.step));
                self.compute(call, ctx);
            }
            Some(Step::Wait(law)) => {
                let stream = &mut row.step_stream();
                let (wait, pod) = (law.sample(stream), &self.pods[row.address as usize]);
                let delay = self.pace.wait(pod, wait, ctx.now(), stream);
                let row = ctx.calls.get(call);
                row.step += 1;
                row.b = WAITING;
                ctx.wake(delay, STEP, call.slot, call.turn);
            }
            Some(Step::Query(store, _)) => self.checkout(call, *store, ctx),
            Some(Step::Call(to, work, _)) => {
                let child = ctx.call_service(*to, *work, call);
                ctx.calls.get(call).child = child;
            }
            Some(Step::Publish(to, work, size)) => {
                let child = ctx.send(*to, *work, Op::Request, *size, call);
                ctx.calls.get(call).child = child;
            }
            Some(Step::Event(to, work, size)) => {
                let child = ctx.send(*to, *work, Op::Event, *size, call);
                ctx.calls.get(call).child = child;
            }
            Some(Step::Fail(share, every_time)) => {
                if ctx.step_fails(call, *share, *every_time) {
                    let outcome = Outcome::failed(Cause::FunctionError, ctx.me, 500);
                    return self.finish(call, outcome, ctx);
                }
                ctx.calls.get(call).step += 1;
                self.run(call, ctx);
            }
        }
    }

    /// A request that had begun is dropped.
    pub(super) fn left_progress(&mut self, call: CallId, ctx: &mut Ctx) {
        if ![0, SIGNING].contains(&ctx.calls.get(call).b) {
            self.in_progress -= 1;
            ctx.ledger.set(self.gauges.in_progress, ctx.queue.now(), self.in_progress);
        }
    }

    /// A connection, statement or call on behalf of a request was answered.
    #[inline(never)]
    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let parent = ctx.calls.get(child).parent;
        if parent == CallId::NONE {
            return self.answered_no_request(child, ctx);
        }
        let pod = ctx.calls.get(parent).address;
        if self.defers(pod, Message::Reply(child)) {
            return;
        }
        let row = ctx.calls.peek(child);
        let (op, call, store, tag, outcome) = (row.op, row.parent, row.to, row.tag, row.outcome);
        let ok = outcome.is_ok();
        let row = ctx.calls.get(call);
        row.child = CallId::NONE;
        let pod = row.address;
        if op != Op::Request {
            ctx.calls.close(child);
        }
        match op {
            Op::Connect => return self.connected(call, store, tag, outcome, ctx),
            Op::Query if ok && self.reads(call, store, tag, ctx) => return,
            Op::Query => self.give_back(pod, store, tag, ok, ctx),
            Op::Request => {
                let answer = ctx.take_reply(child);
                if let Some(pause) = self.sdk.answered(u32::from(pod), &answer, ctx) {
                    ctx.calls.get(call).b = WAITING;
                    return ctx.wake(pause, STEP, call.slot, call.turn);
                }
            }
            Op::Event | Op::Deliver | Op::Batch => {}
        }
        if ok {
            ctx.calls.get(call).step += 1;
            self.run(call, ctx);
        } else {
            self.finish(call, outcome.shown_as(500), ctx);
        }
    }

    /// The work is done or failed: answer, and let the next one in.
    #[inline(never)]
    pub(super) fn finish(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        self.leaves(call, outcome, ctx);
    }

    #[inline(always)]
    fn leaves(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        let pod = ctx.calls.get(call).address;
        let level = self.in_progress;
        self.in_progress -= 1;
        self.reply(call, outcome, ctx);
        self.pods[pod as usize].running -= 1;
        self.let_next_in(pod, ctx);
        // Who is let in says so.
        if self.in_progress < level {
            ctx.ledger.set(self.gauges.in_progress, ctx.queue.now(), self.in_progress);
        }
    }

    #[inline(always)]
    pub(super) fn let_next_in(&mut self, pod: u16, ctx: &mut Ctx) {
        let now = ctx.now();
        if self.kind == KindOf::SyncWorkers {
            if let Some(call) = self.next_connection(pod, ctx) {
                self.accept(call, ctx);
            }
            return;
        }
        while self.pods[pod as usize].running < self.places {
            let waiting = &mut self.pods[pod as usize].waiting;
            let Some(call) = self.discipline.next(waiting) else { return };
            let since = ctx.calls.get(call).mark;
            ctx.ledger.waited_for(self.limits.places, since, now);
            if self.cancel && ctx.calls.get(call).abandoned {
                self.counts.cancelled += 1;
                self.reply(call, Outcome::failed(Cause::ClientTimeout, ctx.me, 0), ctx);
                continue;
            }
            self.begin(call, ctx);
        }
    }

    #[inline(always)]
    pub(super) fn reply(&mut self, call: CallId, outcome: Outcome, ctx: &mut Ctx) {
        if !outcome.is_ok() || ctx.in_vain(call) {
            self.count_wasted(ctx.calls.peek(call), ctx.works);
        }
        let row = ctx.calls.get(call);
        row.b = ENDED;
        // A connection to a pod is known by the pod; sync workers close after every answer.
        row.keep_alive &= self.kind != KindOf::SyncWorkers && outcome.status != 0;
        if let Some(fleet) = &mut self.fleet {
            row.keep_alive &= fleet.keeps(row.address);
            fleet.answered(row.address);
        }
        row.via = Via::Open(u32::from(row.address));
        let pod = row.address;
        ctx.reply(call, outcome);
        if self.held_max < u32::MAX {
            self.let_go(pod, ctx);
        }
    }

    /// The client of a call went away.
    #[inline(never)]
    fn cancelled(&mut self, call: CallId, ctx: &mut Ctx) {
        if !self.cancel || !ctx.calls.alive(call) {
            return;
        }
        // Only waits can be dropped at once; queued calls are skipped when their turn comes, and a task on the
        // processor or a statement in a store runs to its end.
        if ctx.calls.get(call).b == WAITING {
            self.counts.cancelled += 1;
            let me = ctx.me;
            self.finish(call, Outcome::failed(Cause::ClientTimeout, me, 0), ctx);
        }
    }
}
