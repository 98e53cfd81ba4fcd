//! An Application Load Balancer: targets in turn or by outstanding requests, timeouts, status codes, LCU metering.

use super::capacity_units::{Handled, Meter, PerUnit, next_hour};
use super::target_group::{TargetGroup, TargetGroupSpec};
use crate::kernel::{Gauge, LaneId, Rank, Span, Time, TimerId};
use crate::model::calls::{Call, Via};
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::endpoints::{ENDPOINTS, Endpoints, HEALTHY};
use crate::model::era::Era;
use crate::model::flows::FLOW_ENDED;
use crate::model::http2::STREAMS_AWS;
use crate::model::kept::Kept;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId};
use crate::model::probe::PROBE;
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "An Application Load Balancer in front of pods or functions: routing, idle and connect timeouts, status codes, LCUs.",
    models: &[
        "round robin and least outstanding requests over the addresses of its targets",
        "connections to targets kept and reused",
        "HTTP/2 from clients, 128 requests at a time on a connection; HTTP/1.1 to targets",
        "502 when a target refuses or closes, 504 after 10 s without a connection or when the idle timeout passes without an answer; the target works on",
        "functions as targets: the balancer waits for the function; every failure of it, a throttle too, is a 502; bodies above 1 MB are a 413; 0.4 GB an LCU",
        "no retry on another target",
        "with a target group: registration with the lag of its controller, health checks, fail-open, deregistration delay, readiness gates of its pods",
        "capacity units as the largest of new connections, active connections of clients, bytes and rule evaluations of each hour",
    ],
    leaves_out: &[
        "stickiness, weights; its nodes check as one",
        "the closing of a client's idle connection before its user's next request: until then it counts as active",
        "its own scaling: AWS publishes no limit",
    ],
    example: r#"{"to": ["api"]}"#,
};

/// An Application Load Balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlbSpec {
    /// Nodes whose addresses are its targets.
    pub to: Vec<String>,
    /// Routing algorithm.
    #[serde(default)]
    #[schemars(extend("x-source" = "ALB default"))]
    pub algorithm: Algorithm,
    /// Idle timeout: an answer must begin within it.
    #[serde(default = "idle_default")]
    #[schemars(extend("x-source" = "ALB guide: 60 s"))]
    pub idle_timeout: Span,
    /// Time the balancer itself adds; none: median 2 ms, p99 10 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "no distribution is published: assumed", "x-assumed" = true))]
    pub overhead: Option<Dist>,
    /// Health checks and registration of its targets, which are pods; none: it sends to every ready pod, and knows at once which these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<TargetGroupSpec>,
    /// Round-trip time to its targets.
    #[serde(default = "rtt_default")]
    #[schemars(extend("x-source" = "assumed: one region", "x-assumed" = true))]
    pub target_rtt: Span,
    /// Bytes of one request and its answer, for the capacity units.
    #[serde(default = "bytes_default")]
    #[schemars(extend("x-source" = "assumed: a small JSON answer", "x-assumed" = true))]
    pub bytes_per_request: crate::units::Bytes,
    /// Listener rules that a request is held against, for the capacity units.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1000), extend("x-source" = "the default rule alone unless said; ten a request are free"))]
    pub rules: u32,
}

/// Routing algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// In turn.
    #[default]
    RoundRobin,
    /// The target with the fewest requests in progress.
    LeastOutstandingRequests,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn idle_default() -> Span {
    Span::from_secs(60)
}
fn rtt_default() -> Span {
    Span::from_micros(500)
}
fn bytes_default() -> crate::units::Bytes {
    crate::units::Bytes(5 * 1024)
}
fn overhead_default() -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(2)),
        p99: Some(Span::from_millis(10)),
        ..Lognormal::default()
    })
}

impl Spec for AlbSpec {
    fn keepalive(&self) -> Option<Span> {
        Some(self.idle_timeout)
    }
    fn targets(&self) -> Vec<(String, &str)> {
        self.to.iter().enumerate().map(|(i, name)| (format!("to[{i}]"), name.as_str())).collect()
    }
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        Some(STREAMS_AWS)
    }
    fn check(&self, check: &mut Check) {
        if self.to.is_empty() {
            check.problem(
                "E0315",
                "to",
                "a balancer without a target answers everybody with 503".into(),
                "name at least one node, e.g. [\"api\"]",
            );
        }
        for (path, name) in self.targets() {
            check.target(&path, name);
            if self.target_group.is_some()
                && check.nodes.get(name).is_some_and(|kind| *kind != "pods")
            {
                check.problem(
                    "E0384",
                    &path,
                    format!("\"{name}\" is not a `pods` node, and only pods answer health checks"),
                    "leave `target_group` out, or send to pods",
                );
            }
        }
        if let Some(group) = &self.target_group
            && (group.interval < Span::from_secs(5) || group.timeout < Span::from_secs(2))
        {
            check.problem(
                "E0384",
                "target_group",
                format!("checks every {} with a timeout of {}", group.interval, group.timeout),
                "AWS takes intervals of 5 to 300 s and timeouts of 2 to 120 s",
            );
        }
        if !(Span::from_secs(1)..=Span::from_secs(4_000)).contains(&self.idle_timeout) {
            check.problem(
                "E0384",
                "idle_timeout",
                format!("an idle timeout of {}", self.idle_timeout),
                "AWS takes 1 to 4,000 s",
            );
        }
        let ramp = self.target_group.as_ref().and_then(|group| group.slow_start);
        let in_turn = self.algorithm == Algorithm::RoundRobin;
        if let Some(ramp) = ramp
            && !(in_turn && (Span::from_secs(30)..=Span::from_secs(900)).contains(&ramp))
        {
            check.problem(
                "E0384",
                "target_group.slow_start",
                format!("a slow start of {ramp}"),
                "AWS takes 30 to 900 s, and only with the algorithm `round_robin`",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec!["alb.hour".into(), "alb.lcu_hour".into()]
    }
}

/// Fixed by AWS: time to connect to a target.
const CONNECT_TIMEOUT: Span = Span::from_secs(10);
/// Largest body of a request to a function (ALB guide, Lambda functions as targets: 1 MB).
const FUNCTION_BODY_MAX: u32 = 1 << 20;
const CONNECT: u8 = 0;
const IDLE: u8 = 1;
/// A target is to be checked: turn is its registration.
const CHECK: u8 = 2;
/// A check was not answered in time: word and turn are its call.
const CHECK_TIMEOUT: u8 = 3;
/// A change of a target has reached the balancer.
const CHANGED: u8 = 4;
/// The deregistration delay of a target is over.
const DEREGISTERED: u8 = 5;
/// An hour is over.
const HOUR_OVER: u8 = 6;
/// Rule evaluations of a request that are not charged (ELB price page).
const FREE_RULES: u32 = 10;

struct Target {
    node: NodeId,
    address: u16,
    outstanding: u32,
    /// How long it keeps an idle connection, and those kept to it, those that wait longest first.
    keepalive: Option<Span>,
    idle: Vec<Kept>,
    /// Whether it is a function: no connection of its own, no timeout of the balancer.
    function: bool,
}

/// An ALB as it runs.
pub struct Alb {
    name: String,
    targets: Vec<Target>,
    group: Option<TargetGroup>,
    healthy: Option<GaugeId>,
    algorithm: Algorithm,
    next: usize,
    hop: Span,
    overhead: Sampler,
    connect: LaneId,
    idle: LaneId,
    idle_span: Span,
    connect_limit: LimitId,
    idle_limit: LimitId,
    targets_limit: LimitId,
    body_limit: Option<LimitId>,
    bytes_each: f64,
    requests: u64,
    new_connections: u64,
    /// Connections of clients.
    active: Gauge,
    meter: Meter,
    /// Rule evaluations of a request that are charged.
    rules_each: u32,
    target_502: u64,
}

impl Component for Alb {
    type Spec = AlbSpec;

    fn build(spec: &AlbSpec, wiring: &mut Wiring) -> Result<Alb, String> {
        let mut targets = Vec::new();
        for name in &spec.to {
            let node = wiring.node(name)?;
            let all = 0..wiring.addresses(node);
            let function = wiring.timeout(node).is_some();
            let keepalive = wiring.keepalive(node);
            targets.extend(all.map(|address| Target {
                node,
                address,
                outstanding: 0,
                keepalive,
                idle: vec![],
                function,
            }));
        }
        let me = wiring.me;
        let functions = targets.iter().any(|target: &Target| target.function);
        let body = functions
            .then(|| wiring.ledger.limit(me, "payload", "bodies of 1 MB to a function".into()));
        let key = wiring.key().named("targets");
        let group = spec.target_group.as_ref();
        let group = group.map(|spec| TargetGroup::new(spec, wiring.data, key)).transpose()?;
        let all = targets.len() as u64;
        let healthy =
            group.is_some().then(|| wiring.ledger.gauge(me, "healthy targets", Some(all)));
        let overhead = spec.overhead.clone().unwrap_or_else(overhead_default);
        let idle = format!("idle timeout {}", spec.idle_timeout);
        Ok(Alb {
            name: wiring.name.to_owned(),
            targets,
            group,
            healthy,
            algorithm: spec.algorithm,
            next: 0,
            hop: wiring.way(spec.target_rtt),
            overhead: overhead.sampler(wiring.data)?,
            connect: wiring.queue.lane(CONNECT_TIMEOUT.min(spec.idle_timeout), Rank::Timeout),
            idle: wiring.queue.lane(spec.idle_timeout, Rank::Timeout),
            idle_span: spec.idle_timeout,
            connect_limit: wiring.ledger.limit(
                me,
                "connect_timeout",
                format!("connect timeout {CONNECT_TIMEOUT}"),
            ),
            idle_limit: wiring.ledger.limit(me, "idle_timeout", idle),
            targets_limit: wiring.ledger.limit(me, "targets", "targets that fail".into()),
            body_limit: body,
            bytes_each: spec.bytes_per_request.0 as f64,
            requests: 0,
            new_connections: 0,
            active: Gauge::default(),
            meter: Meter::new(if functions { PerUnit::ALB_TO_FUNCTIONS } else { PerUnit::ALB }),
            rules_each: spec.rules.saturating_sub(FREE_RULES),
            target_502: 0,
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        ctx.wake_at(next_hour(ctx.now()), Rank::Completion, HOUR_OVER, 0, 0);
        if self.group.is_some() {
            self.targets.iter().for_each(|target| ctx.endpoints.watch(target.node, ctx.me));
            // When every node has started, all have said who is there.
            ctx.wake(Span::ZERO, ENDPOINTS, 0, 0);
        }
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        self.begin(ctx);
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(ENDPOINTS, _, _) => self.follow(ctx),
            Message::Wake(CHECK, at, life) => self.check(at as usize, life as u16, ctx),
            Message::Wake(CHECK_TIMEOUT, slot, turn) => {
                self.check_timed_out(CallId { slot, turn }, ctx);
            }
            Message::Wake(FLOW_ENDED, ..) => self.active.sub(ctx.now(), 1),
            Message::Wake(HOUR_OVER, ..) => {
                self.meter.roll(self.handled(ctx.now()));
                ctx.wake_at(next_hour(ctx.now()), Rank::Completion, HOUR_OVER, 0, 0);
            }
            Message::Wake(CHANGED, at, change) => self.changed(at as usize, change, ctx),
            Message::Wake(DEREGISTERED, at, life) => {
                self.deregistered(at as usize, life as u16, ctx);
            }
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                if ctx.calls.live(call).is_some_and(|row| row.child != CallId::NONE) {
                    self.timed_out(call, timer, ctx);
                }
            }
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let hours = hours(ctx.now());
        let lcu_hours = self.meter.roll(self.handled(ctx.now()));
        NodeReport {
            counters: vec![("requests", self.requests), ("target_errors", self.target_502)],
            usage: vec![
                UsageLine::held(&self.name, "alb.hour", hours, "hour"),
                UsageLine::used(&self.name, "alb.lcu_hour", lcu_hours, "LCU-hour"),
            ],
        }
    }
}

impl Alb {
    /// What it has handled since the start of the run.
    fn handled(&self, now: Time) -> Handled {
        Handled {
            connections: self.new_connections,
            area: self.active.area(now),
            bytes: self.requests as f64 * self.bytes_each,
            rules: self.requests * u64::from(self.rules_each),
        }
    }

    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.requests += 1;
        let row = ctx.calls.get(call);
        row.established = now;
        let new = row.via == Via::New;
        row.via = Via::Open(0);
        if new {
            self.new_connections += 1;
            self.active.add(now, 1);
            ctx.follow(call, 0, None);
            ctx.opened(call);
        }
        let Some(at) = self.choose(&ctx.endpoints, now) else {
            ctx.ledger.refused_by(self.targets_limit, now);
            return ctx.fail(call, Cause::NoTargets, 503);
        };
        let overhead = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        let target = &mut self.targets[at];
        if target.function && ctx.calls.get(call).bytes > FUNCTION_BODY_MAX {
            return self.too_large(call, ctx);
        }
        target.outstanding += 1;
        if target.function {
            return self.invoke(call, at, overhead, ctx);
        }
        let cached = target.idle.pop().filter(|kept| !kept.gone(now, self.hop));
        if cached.is_none() {
            // Those that waited longer are closed as well.
            target.idle.clear();
        }
        let parent = *ctx.calls.get(call);
        let child = Call {
            address: target.address,
            via: cached.map_or(Via::New, |kept| Via::Open(kept.connection)),
            mark: cached.map_or(Time::ZERO, Kept::closes),
            established: if cached.is_some() { now } else { Time::MAX },
            keep_alive: true,
            amount: self.hop * 2,
            hop: self.hop,
            ..parent.child(ctx.me, target.node, call)
        };
        let child = ctx.call(child, overhead + self.hop);
        let (lane, which) =
            if cached.is_some() { (self.idle, IDLE) } else { (self.connect, CONNECT) };
        let timer = ctx.arm(lane, which, call.slot, call.turn);
        let row = ctx.calls.get(call);
        row.child = child;
        row.timer = timer;
        row.a = at as u32;
    }

    /// A body that a function behind a balancer may not have.
    fn too_large(&self, call: CallId, ctx: &mut Ctx) {
        if let Some(limit) = self.body_limit {
            ctx.ledger.refused_by(limit, ctx.now());
        }
        ctx.fail(call, Cause::PayloadTooLarge, 413);
    }

    /// Hands a request to a function.
    fn invoke(&mut self, call: CallId, at: usize, overhead: Span, ctx: &mut Ctx) {
        let node = self.targets[at].node;
        let child = ctx.calls.get(call).child(ctx.me, node, call);
        let child = ctx.call(child, overhead);
        let row = ctx.calls.get(call);
        row.child = child;
        row.timer = TimerId::NONE;
        row.a = at as u32;
    }

    /// The next of the targets that are registered.
    fn choose(&mut self, endpoints: &Endpoints, now: Time) -> Option<usize> {
        let n = self.targets.len();
        let start = self.next;
        let turns = (0..n).map(|i| (start + i) % n);
        let some_healthy = self.group.as_ref().is_some_and(|group| group.count_healthy() > 0);
        let mut live = turns.filter(|&at| match &self.group {
            Some(group) => group.routes_to(at, some_healthy),
            None => endpoints.takes(self.targets[at].node, self.targets[at].address),
        });
        let ramps = self.group.as_ref().is_some_and(|group| group.spec.slow_start.is_some());
        let at = match self.algorithm {
            Algorithm::RoundRobin if ramps => {
                let live: Vec<usize> = live.collect();
                self.group.as_mut().and_then(|group| group.turn(&live, now))
            }
            Algorithm::RoundRobin => live.next(),
            Algorithm::LeastOutstandingRequests => {
                live.min_by_key(|&at| self.targets[at].outstanding)
            }
        }?;
        self.next = (at + 1) % n;
        Some(at)
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        if ctx.calls.get(child).work == PROBE {
            let answer = ctx.take_reply(child);
            return self.checked(answer.tag as usize, answer.weight, answer.outcome.is_ok(), ctx);
        }
        let answer = ctx.take_reply(child);
        let (call, now) = (answer.parent, ctx.now());
        let row = ctx.calls.get(call);
        let (at, timer) = (row.a as usize, row.timer);
        row.child = CallId::NONE;
        ctx.queue.cancel(timer);
        let target = &mut self.targets[at];
        target.outstanding -= 1;
        if let (Via::Open(connection), true) = (answer.via, answer.keep_alive) {
            target.idle.push(Kept::new(connection, now, self.hop, target.keepalive));
        }
        let outcome = match answer.outcome.cause {
            // Throttled, failed or timed out: the ALB guide lists 502 for all of them.
            Some(_) if target.function => answer.outcome.shown_as(502),
            Some(Cause::ConnectTimeout) => answer.outcome.shown_as(504),
            Some(_) if answer.outcome.status == 0 => answer.outcome.shown_as(502),
            _ => answer.outcome,
        };
        if answer.outcome.status == 0 {
            self.target_502 += 1;
            ctx.ledger.refused_by(self.targets_limit, ctx.now());
        }
        ctx.reply(call, outcome);
    }

    fn timed_out(&mut self, call: CallId, timer: u8, ctx: &mut Ctx) {
        let now = ctx.now();
        let (child, at) = {
            let row = ctx.calls.get(call);
            (row.child, row.a as usize)
        };
        let established = ctx.calls.get(child).established;
        let (cause, limit) = if timer == CONNECT {
            if established < Time::MAX {
                let due = (established + self.idle_span).max(now);
                ctx.calls.get(call).timer = TimerId::NONE;
                return ctx.wake_at(due, Rank::Timeout, IDLE, call.slot, call.turn);
            }
            // Looked at once each idle timeout, if that is the shorter: it begins when the connection stands.
            let most = ctx.calls.get(call).established + CONNECT_TIMEOUT;
            if now < most {
                let due = most.min(now + self.idle_span);
                return ctx.wake_at(due, Rank::Timeout, CONNECT, call.slot, call.turn);
            }
            (Cause::UpstreamConnectTimeout, self.connect_limit)
        } else {
            (Cause::UpstreamTimeout, self.idle_limit)
        };
        ctx.calls.get(call).child = CallId::NONE;
        ctx.abandon(child);
        self.targets[at].outstanding -= 1;
        // Who left before cannot be refused any more.
        if !ctx.calls.get(call).abandoned {
            ctx.ledger.refused_by(limit, now);
        }
        ctx.fail(call, cause, 504);
    }
}

/// The target group at work.
impl Alb {
    /// With the first message every node has started: who is there is registered and healthy.
    fn begin(&mut self, ctx: &mut Ctx) {
        let Some(group) = self.group.as_mut().filter(|group| !group.begun()) else { return };
        let there = self.targets.iter().map(|t| ctx.endpoints.is_target(t.node, t.address));
        group.begin(there);
        for at in 0..self.targets.len() {
            if group.registered(at) {
                ctx.wake(group.first_check(at), CHECK, at as u32, u32::from(group.life(at)));
            }
        }
        self.show(ctx);
    }

    /// The controller compares what is registered with what the nodes say.
    fn follow(&mut self, ctx: &mut Ctx) {
        let Some(group) = &mut self.group else { return };
        for (at, target) in self.targets.iter().enumerate() {
            let wanted = ctx.endpoints.is_target(target.node, target.address);
            if let Some((lag, change)) = group.follow(at, wanted) {
                ctx.wake(lag, CHANGED, at as u32, change);
            }
        }
    }

    /// A target goes in or out.
    fn changed(&mut self, at: usize, change: u32, ctx: &mut Ctx) {
        let Some(group) = &mut self.group else { return };
        if !group.apply(at, change) {
            return;
        }
        let life = u32::from(group.life(at));
        if group.registered(at) {
            ctx.wake(group.first_check(at), CHECK, at as u32, life);
        } else {
            self.targets[at].idle.clear();
            ctx.wake(group.spec.deregistration_delay, DEREGISTERED, at as u32, life);
        }
        self.show(ctx);
    }

    fn check(&mut self, at: usize, life: u16, ctx: &mut Ctx) {
        let Some(group) = &self.group else { return };
        if group.life(at) != life || !group.registered(at) {
            return;
        }
        let (interval, timeout) = (group.spec.interval, group.spec.timeout);
        ctx.wake(interval, CHECK, at as u32, u32::from(life));
        let target = &self.targets[at];
        let call = Call {
            work: PROBE,
            address: target.address,
            tag: at as u32,
            weight: life,
            amount: self.hop * 2,
            hop: self.hop,
            ..Call::request(ctx.me, target.node, CallId::NONE)
        };
        let call = ctx.call(call, self.hop);
        ctx.wake(timeout, CHECK_TIMEOUT, call.slot, call.turn);
    }

    fn check_timed_out(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.live(call).is_some_and(|row| !row.abandoned) {
            let row = *ctx.calls.get(call);
            ctx.abandon(call);
            self.checked(row.tag as usize, row.weight, false, ctx);
        }
    }

    fn checked(&mut self, at: usize, life: u16, passed: bool, ctx: &mut Ctx) {
        let Some(group) = &mut self.group else { return };
        if let Some(healthy) = group.checked(at, life, passed, ctx.now()) {
            let target = &self.targets[at];
            let word = u32::from(target.address);
            let message = Message::Wake(HEALTHY, word, u32::from(healthy));
            ctx.queue.immediately(Event::new(target.node, message));
            self.show(ctx);
        }
    }

    /// The deregistration delay is over: what is still in progress at the target is cut.
    fn deregistered(&mut self, at: usize, life: u16, ctx: &mut Ctx) {
        let Some(group) = &self.group else { return };
        if group.life(at) != life || group.registered(at) {
            return;
        }
        let (node, address) = (self.targets[at].node, self.targets[at].address);
        for child in ctx.calls.at(node, address) {
            let row = *ctx.calls.get(child);
            if row.from != ctx.me || row.abandoned || row.work == PROBE {
                continue;
            }
            let timer = ctx.calls.get(row.parent).timer;
            ctx.queue.cancel(timer);
            ctx.calls.get(row.parent).child = CallId::NONE;
            ctx.abandon(child);
            self.targets[at].outstanding -= 1;
            self.target_502 += 1;
            ctx.ledger.refused_by(self.targets_limit, ctx.queue.now());
            ctx.fail(row.parent, Cause::UpstreamClosed, 502);
        }
    }

    fn show(&self, ctx: &mut Ctx) {
        if let (Some(group), Some(gauge)) = (&self.group, self.healthy) {
            ctx.ledger.set(gauge, ctx.queue.now(), group.count_healthy());
        }
    }
}
