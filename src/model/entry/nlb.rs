//! A Network Load Balancer: every TCP connection goes to a target by a hash of its flow, and nothing of HTTP is seen.

use super::capacity_units::{Handled, Meter, PerUnit, next_hour};
use crate::kernel::{Gauge, Key, Rank, Span, Time};
use crate::model::calls::Via;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::era::Era;
use crate::model::flows::FLOW_ENDED;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId};
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "A Network Load Balancer: TCP connections to targets by flow hash, an idle timeout, capacity units, nothing of HTTP.",
    models: &[
        "a target by a hash of the flow for every new connection, or of the client's address with `stickiness`; it stays for the life of the connection",
        "the handshake is that of the target: its accept queue, its resets, its TLS",
        "an idle timeout: the row of a silent connection is dropped without a word, and the next request on it is answered with a reset",
        "no retry on another target; targets that are not ready get no new connection",
        "capacity units as the largest of new connections, active connections and bytes of each hour",
    ],
    leaves_out: &[
        "health checks and registration lag of its own: it follows the endpoints of its targets",
        "TLS listeners, zones, the time that it adds (tens of microseconds)",
        "a request that is silent for longer than the idle timeout; connections that a proxy keeps to it between requests",
    ],
    example: r#"{"to": ["edge"]}"#,
};

/// A Network Load Balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NlbSpec {
    /// Nodes whose addresses are its targets.
    pub to: Vec<String>,
    /// How long a connection may be silent.
    #[serde(default = "idle_default")]
    #[schemars(extend("x-source" = "NLB guide: 350 s for TCP; 60 to 6,000 s since September 2024"))]
    pub idle_timeout: Span,
    /// Whether the target follows from the client's address alone (`source_ip`).
    #[serde(default)]
    #[schemars(extend("x-source" = "NLB guide: off"))]
    pub stickiness: bool,
    /// Bytes of one request and its answer, for the capacity units.
    #[serde(default = "bytes_default")]
    #[schemars(extend("x-source" = "assumed: a small JSON answer", "x-assumed" = true))]
    pub bytes_per_request: Bytes,
}

fn idle_default() -> Span {
    Span::from_secs(350)
}
fn bytes_default() -> Bytes {
    Bytes(5 * 1024)
}

impl Spec for NlbSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        self.to.iter().enumerate().map(|(i, name)| (format!("to[{i}]"), name.as_str())).collect()
    }
    fn listens(&self, of: &dyn Fn(&str) -> bool) -> bool {
        self.to.iter().all(|name| of(name))
    }
    // The fewest of those it leads to; none where one speaks HTTP/1.1 only.
    fn http2(&self, of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        self.to.iter().map(|name| of(name)).min()?
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
        }
        if self.to.is_empty() {
            check.problem(
                "E0384",
                "to",
                "a balancer without a target answers nobody".into(),
                "name at least one node",
            );
        }
        if !(Span::from_secs(60)..=Span::from_secs(6_000)).contains(&self.idle_timeout) {
            check.problem(
                "E0384",
                "idle_timeout",
                format!("an idle timeout of {}", self.idle_timeout),
                "AWS takes 60 to 6,000 s",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec!["nlb.hour".into(), "nlb.lcu_hour".into()]
    }
}

/// An hour is over.
const HOUR_OVER: u8 = 0;

/// A Network Load Balancer as it runs.
pub struct Nlb {
    name: String,
    targets: Vec<(NodeId, u16)>,
    idle: Span,
    sticky: bool,
    key: Key,
    bytes_each: f64,
    active: Gauge,
    meter: Meter,
    connections: u64,
    /// Connections that were dropped for being silent.
    dropped: u64,
    idle_limit: LimitId,
    targets_limit: LimitId,
    shown: GaugeId,
}

impl Component for Nlb {
    type Spec = NlbSpec;

    fn build(spec: &NlbSpec, wiring: &mut Wiring) -> Result<Nlb, String> {
        let mut targets = Vec::new();
        for name in &spec.to {
            let node = wiring.node(name)?;
            targets.extend((0..wiring.addresses(node)).map(|address| (node, address)));
        }
        let me = wiring.me;
        let idle = format!("idle timeout {}", spec.idle_timeout);
        Ok(Nlb {
            name: wiring.name.to_owned(),
            targets,
            idle: spec.idle_timeout,
            sticky: spec.stickiness,
            key: wiring.key(),
            bytes_each: spec.bytes_per_request.0 as f64,
            active: Gauge::default(),
            meter: Meter::new(PerUnit::NLB),
            connections: 0,
            dropped: 0,
            idle_limit: wiring.ledger.limit(me, "idle_timeout", idle),
            targets_limit: wiring.ledger.limit(me, "targets", "targets that are ready".into()),
            shown: wiring.ledger.gauge(me, "connections", None),
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        ctx.wake_at(next_hour(ctx.now()), Rank::Completion, HOUR_OVER, 0, 0);
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Wake(FLOW_ENDED, ..) => {
                self.active.sub(ctx.now(), 1);
                ctx.ledger.set(self.shown, ctx.queue.now(), self.active.level());
            }
            Message::Wake(HOUR_OVER, ..) => {
                self.meter.roll(self.handled(ctx));
                ctx.wake_at(next_hour(ctx.now()), Rank::Completion, HOUR_OVER, 0, 0);
            }
            _ => {}
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let hours = hours(ctx.now());
        let units = self.meter.roll(self.handled(ctx));
        NodeReport {
            counters: vec![("connections", self.connections), ("idle_dropped", self.dropped)],
            usage: vec![
                UsageLine::held(&self.name, "nlb.hour", hours, "hour"),
                UsageLine::used(&self.name, "nlb.lcu_hour", units, "LCU-hour"),
            ],
        }
    }
}

impl Nlb {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        if row.via != Via::New {
            // A request on a connection whose row is gone: open ones lead straight to their target.
            row.keep_alive = false;
            self.dropped += 1;
            ctx.ledger.refused_by(self.idle_limit, now);
            return ctx.fail(call, Cause::Reset, 0);
        }
        let Some((node, address)) = self.choose(call, ctx) else {
            ctx.ledger.refused_by(self.targets_limit, now);
            return ctx.fail(call, Cause::Refused, 0);
        };
        self.connections += 1;
        self.active.add(now, 1);
        ctx.ledger.set(self.shown, now, self.active.level());
        ctx.follow(call, 0, Some(self.idle));
        ctx.pass_on(call, node, address);
    }

    /// One of the targets that take connections.
    fn choose(&self, call: CallId, ctx: &mut Ctx) -> Option<(NodeId, u16)> {
        let takes = |target: &&(NodeId, u16)| ctx.endpoints.takes(target.0, target.1);
        let n = self.targets.iter().filter(takes).count() as u64;
        if n == 0 {
            return None;
        }
        let at = if self.sticky {
            let row = ctx.calls.get(call);
            let client = (row.from.index() as u64) << 32 | u64::from(row.parent.slot);
            self.key.named("source").with(client).stream().below(n)
        } else {
            // The ports of a flow are as good as random.
            ctx.stream(call, Purpose::Routing).below(n)
        };
        let takes = |target: &&(NodeId, u16)| ctx.endpoints.takes(target.0, target.1);
        self.targets.iter().filter(takes).nth(at as usize).copied()
    }

    fn handled(&self, ctx: &Ctx) -> Handled {
        let now: Time = ctx.now();
        Handled {
            connections: self.connections,
            area: self.active.area(now),
            bytes: ctx.flows.carried(ctx.me) as f64 * self.bytes_each,
            rules: 0,
        }
    }
}
