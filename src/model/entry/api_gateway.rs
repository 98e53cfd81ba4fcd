//! Amazon API Gateway in front of a function or a service: token bucket, overhead, integration timeout, status codes.

use crate::kernel::{LaneId, Rank, Span};
use crate::model::bucket::Bucket;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause, Message, NodeId, Outcome};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "Amazon API Gateway: token bucket, overhead, integration timeout, the status codes of its kind.",
    models: &[
        "the account's token bucket (10,000 a second, 5,000 deep): a throttled request gets 429 and goes no further",
        "the overhead of the gateway as a lognormal",
        "the integration timeout: the client gets its answer, the integration works on and is billed",
        "the status a client sees for every failure behind the gateway, for REST and HTTP APIs",
        "no retry of the integration",
    ],
    leaves_out: &[
        "usage plans, keys, per-method throttles, authorisers and caching",
        "its own scaling: AWS publishes no limit beyond the bucket",
    ],
    example: r#"{"kind": "http", "to": "fn"}"#,
};

/// Amazon API Gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiGatewaySpec {
    /// REST API or HTTP API: decides price, timeout and status codes.
    pub kind: Kind,
    /// Node behind it.
    pub to: String,
    /// Steady rate of the account's bucket.
    #[serde(default = "rate_default")]
    #[schemars(extend("x-source" = "API Gateway guide, throttling: 10,000 a second per account and region (2,500 in newer regions)"))]
    pub rate: Rate,
    /// Depth of the bucket.
    #[serde(default = "burst_default")]
    #[schemars(range(min = 1, max = 10_000_000), extend("x-source" = "API Gateway guide, throttling: 5,000 (1,250 in newer regions)"))]
    pub burst: u32,
    /// Time after which the gateway gives up its integration; none: 29 s for REST, 30 s for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "API Gateway quotas: REST 29 s (raisable from 2024-06), HTTP 30 s"))]
    pub timeout: Option<Span>,
    /// Status for the client when Lambda throttles; none: 500 for REST, 503 for HTTP APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 599), extend("x-source" = "Lambda guide, errors with API Gateway: 500; a report of 2020 saw 504"))]
    pub throttle_status: Option<u16>,
    /// Overhead of the gateway; none: REST median 10 ms, p99 40 ms; HTTP median 6 ms, p99 25 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "no distribution is published: assumed", "x-assumed" = true))]
    pub overhead: Option<Dist>,
}

/// Kind of API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// REST API.
    Rest,
    /// HTTP API.
    Http,
}

fn rate_default() -> Rate {
    Rate(10_000.0)
}
fn burst_default() -> u32 {
    5000
}

impl Kind {
    fn item(self) -> &'static str {
        match self {
            Kind::Rest => "api_gateway.rest",
            Kind::Http => "api_gateway.http",
        }
    }
    fn timeout(self) -> Span {
        match self {
            Kind::Rest => Span::from_secs(29),
            Kind::Http => Span::from_secs(30),
        }
    }
    fn overhead(self) -> Dist {
        let (median, p99) = match self {
            Kind::Rest => (10, 40),
            Kind::Http => (6, 25),
        };
        Dist::Lognormal(Lognormal {
            median: Some(Span::from_millis(median)),
            p99: Some(Span::from_millis(p99)),
            ..Lognormal::default()
        })
    }
    /// Status for the client when its request ran into the integration timeout (API Gateway guide; HTTP: SST
    /// issue 2232).
    fn timeout_status(self) -> u16 {
        match self {
            Kind::Rest => 504,
            Kind::Http => 503,
        }
    }
    /// Status for the client by what went wrong behind the gateway (Lambda guide, "errors with API Gateway").
    fn status(self, cause: Cause, inner: u16) -> u16 {
        let throttled = cause.throttled_by_lambda();
        let handler = matches!(
            cause,
            Cause::FunctionError
                | Cause::FunctionTimeout
                | Cause::PlatformError
                | Cause::ConnectionSlots
        );
        match self {
            Kind::Rest if throttled => 500,
            Kind::Http if throttled => 503,
            Kind::Rest if handler => 502,
            Kind::Http if handler => 500,
            _ if inner != 0 => inner,
            Kind::Rest => 504,
            Kind::Http => 503,
        }
    }
}

impl Spec for ApiGatewaySpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        let timeout = self.timeout.unwrap_or(self.kind.timeout());
        if self.kind == Kind::Http && timeout > Span::from_secs(30) {
            check.problem(
                "E0311",
                "timeout",
                "an HTTP API gives up after 30 s at the latest".into(),
                "lower `timeout`, or use a REST API of 2024-06 or later",
            );
        }
        if self.kind == Kind::Rest && timeout > Span::from_secs(29) && check.era < Era::Y2023 {
            check.problem(
                "E0311",
                "timeout",
                format!("a REST API gives up after 29 s in era {}", check.era.name()),
                "lower `timeout`, or choose era y2023 or later",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec![self.kind.item().into()]
    }
}

const GIVE_UP: u8 = 0;

/// API Gateway as it runs.
pub struct ApiGateway {
    throttle_status: Option<u16>,
    kind: Kind,
    to: NodeId,
    bucket: Bucket,
    timeout: LaneId,
    overhead: Sampler,
    name: String,
    requests: u64,
    bucket_limit: LimitId,
    timeout_limit: LimitId,
}

impl Component for ApiGateway {
    type Spec = ApiGatewaySpec;

    fn build(spec: &ApiGatewaySpec, wiring: &mut Wiring) -> Result<ApiGateway, String> {
        let timeout = spec.timeout.unwrap_or(spec.kind.timeout());
        let overhead = spec.overhead.clone().unwrap_or_else(|| spec.kind.overhead());
        let me = wiring.me;
        Ok(ApiGateway {
            kind: spec.kind,
            throttle_status: spec.throttle_status,
            to: wiring.node(&spec.to)?,
            bucket: Bucket::new(spec.rate.per_second(), f64::from(spec.burst)),
            timeout: wiring.queue.lane(timeout, Rank::Timeout),
            overhead: overhead.sampler(wiring.data)?,
            name: wiring.name.to_owned(),
            requests: 0,
            bucket_limit: wiring.ledger.limit(
                me,
                "gateway_rate",
                format!("gateway bucket {} deep, {}", spec.burst, spec.rate),
            ),
            timeout_limit: wiring.ledger.limit(
                me,
                "integration_timeout",
                format!("integration timeout {timeout}"),
            ),
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(_, slot, turn) => self.give_up(CallId { slot, turn }, ctx),
            // A client that leaves does not stop the integration.
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let usage = UsageLine {
            node: self.name.clone(),
            item: self.kind.item().into(),
            quantity: self.requests as f64,
            unit: "request",
            reserved: false,
            idle: 0.0,
            wasted: 0.0,
        };
        NodeReport { counters: vec![("requests", self.requests)], usage: vec![usage] }
    }
}

impl ApiGateway {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.established = now;
        if row.keep_alive {
            // The gateway holds idle connections for 310 s and sets no limit to them.
            row.via = crate::model::calls::Via::Open(0);
        }
        self.requests += 1;
        if !self.bucket.take(now) {
            ctx.ledger.refused_by(self.bucket_limit, now);
            ctx.fail(call, Cause::ThrottledGateway, 429);
            return;
        }
        let overhead = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        let child = ctx.calls.get(call).child(ctx.me, self.to, call);
        let child = ctx.call(child, overhead);
        let timer = ctx.arm(self.timeout, GIVE_UP, call.slot, call.turn);
        let row = ctx.calls.get(call);
        row.child = child;
        row.timer = timer;
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let timer = ctx.calls.get(call).timer;
        ctx.queue.cancel(timer);
        let outcome = match answer.outcome.cause {
            Some(cause) => {
                let status = match self.throttle_status {
                    Some(status) if cause.throttled_by_lambda() => status,
                    _ => self.kind.status(cause, answer.outcome.status),
                };
                answer.outcome.shown_as(status)
            }
            None => Outcome::OK,
        };
        ctx.reply(call, outcome);
    }

    fn give_up(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let child = ctx.calls.get(call).child;
        ctx.abandon(child);
        ctx.ledger.refused_by(self.timeout_limit, ctx.now());
        ctx.fail(call, Cause::IntegrationTimeout, self.kind.timeout_status());
    }
}
