//! Amazon API Gateway in front of a function or a service: token bucket, overhead, integration timeout, status codes.

use crate::kernel::{LaneId, Rank, Span, Time};
use crate::model::account::AccountSpec;
use crate::model::bucket::Bucket;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::http2::STREAMS_AWS;
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module's head.
pub const ABOUT: About = About {
    what: "Amazon API Gateway: token bucket, overhead, integration timeout, the status codes of its kind.",
    models: &[
        "the token bucket that all gateways of an account share (10,000 a second, 5,000 deep): a throttled request gets 429 and goes no further",
        "the overhead of the gateway as a lognormal",
        "the integration timeout: the client gets its answer, the integration works on and is billed",
        "the status a client sees for every failure behind the gateway, for REST and HTTP APIs: of a function that failed, of an invocation that Lambda refused, of another backend its own",
        "throttles in AWS's order: method of the usage plan, usage plan with its quota, method, stage, account (REST; one API key for all callers)",
        "an authoriser: its latency, and the share of requests whose answer is cached",
        "bodies above 10 MB get 413",
        "HTTP/2 from clients; how many requests at a time a connection takes is not published, assumed 128 as of an ALB",
        "no retry of the integration",
        "billing: what the gateway itself throttles is not billed, what fails behind it is; an HTTP API counts each started 512 KB of a request's body",
    ],
    leaves_out: &[
        "several API keys, what an authoriser refuses and its own limits, caching of answers, the AWS-wide throttle of a region",
        "its own scaling: AWS publishes no limit beyond the bucket",
        "the size of answers: a large answer is not refused, and not metered by an HTTP API",
        "WebSocket APIs, which share the account's bucket",
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
    /// Account whose bucket it shares with the account's other gateways: a name under `accounts`; none: that of the function
    /// behind it, else the design's only account, or one with AWS's defaults where the design has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Usage plan of the callers' API key (REST).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_plan: Option<UsagePlan>,
    /// Throttles of single methods, by kind of request: a name under `work` (REST).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, Throttle>,
    /// Throttle of the stage (REST).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Throttle>,
    /// Who is asked before the integration whether the caller may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<Authorizer>,
    /// Time after which the gateway gives up its integration; none: 29 s for REST, 30 s for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "API Gateway quotas: REST 29 s (up to 300 s from 2024-06), HTTP 30 s; at least 50 ms"))]
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

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Steady rate.
    pub rate: Rate,
    /// Depth of the bucket.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub burst: u32,
}

/// What an API key may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsagePlan {
    /// Throttle of the key; none: only the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Throttles of the key for single methods, by kind of request: a name under `work`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, Throttle>,
    /// Requests that the key may make in a period; none: no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// A quota of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests in each period.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u64,
    /// The period; the first begins with the run.
    pub per: Span,
}

/// An authoriser in front of the integration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorizer {
    /// How long it takes when it is asked.
    pub latency: Dist,
    /// Share of requests whose answer the gateway has kept (it does so for 300 s unless said).
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said: how often callers come back is not known"))]
    pub cached: f64,
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

impl Kind {
    fn item(self) -> &'static str {
        match self {
            Kind::Rest => "api_gateway.rest",
            Kind::Http => "api_gateway.http",
        }
    }
    /// Requests on the bill for one with so large a body (API Gateway price page: an HTTP API counts each started 512 KB).
    fn metered(self, bytes: u32) -> u64 {
        match self {
            Kind::Rest => 1,
            Kind::Http => u64::from(bytes.div_ceil(METERED_BYTES).max(1)),
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
    /// Status for the client by what went wrong behind the gateway (Lambda guide, "errors with API Gateway"). A function that
    /// ran and failed is one thing, whatever made it fail; an invocation that Lambda refused is another.
    fn status(self, failure: Outcome) -> u16 {
        let throttled = failure.throttled_by_lambda();
        let refused =
            matches!(failure.cause, Some(Cause::InterfaceQuota | Cause::SnapStartTimeout));
        match self {
            Kind::Rest if failure.function_error => 502,
            Kind::Http if failure.function_error => 500,
            Kind::Http if throttled => 503,
            _ if throttled || refused => 500,
            _ if failure.status != 0 => failure.status,
            Kind::Rest => 504,
            Kind::Http => 503,
        }
    }
}

impl Spec for ApiGatewaySpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        Some(STREAMS_AWS)
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        self.check_timeout(check);
        if self.kind == Kind::Http && check.era < Era::Y2020 {
            check.problem(
                "E0330",
                "kind",
                format!("era {} has no HTTP APIs", check.era.name()),
                "take a REST API, or choose era y2020 or later",
            );
        }
        self.check_account(check);
        self.check_throttles(check);
    }
    fn work(&self) -> Vec<(String, &str)> {
        let own = self.methods.keys().map(|name| (format!("methods.{name}"), name.as_str()));
        let plan = self.usage_plan.iter().flat_map(|plan| plan.methods.keys());
        own.chain(plan.map(|name| (format!("usage_plan.methods.{name}"), name.as_str()))).collect()
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec![self.kind.item().into()]
    }
}

impl ApiGatewaySpec {
    /// What the kind of API offers (API Gateway quotas; REST: 29 s until June 2024, then up to 300 s for regional and private
    /// APIs on request).
    fn check_timeout(&self, check: &mut Check) {
        let raised = self.kind == Kind::Rest && check.era >= Era::Y2023;
        let most = if raised { Span::from_secs(300) } else { self.kind.timeout() };
        let timeout = self.timeout.unwrap_or(self.kind.timeout());
        if timeout < Span::from_millis(50) || timeout > most {
            let kind = if self.kind == Kind::Rest { "a REST API" } else { "an HTTP API" };
            check.problem(
                "E0311",
                "timeout",
                format!("{kind} of era {} gives up after 50ms to {most}", check.era.name()),
                "choose a timeout that it offers; a REST API from era y2023 on has the longest",
            );
        }
    }

    fn check_account(&self, check: &mut Check) {
        let message = match &self.account {
            Some(name) if !check.accounts.contains_key(name) => {
                format!("there is no account \"{name}\" in this design")
            }
            None if check.accounts.len() > 1 && check.nodes.get(&self.to) != Some(&"lambda") => {
                format!(
                    "the design has {} accounts, and no function is behind it",
                    check.accounts.len()
                )
            }
            _ => return,
        };
        let remedy = "name one of the design's `accounts`: its gateways share a bucket";
        check.problem("E0302", "account", message, remedy);
    }

    /// The account's place among those of the design, and its limits.
    fn account(&self, wiring: &Wiring) -> Result<(u16, AccountSpec), String> {
        let at = match &self.account {
            Some(name) => wiring.account(name)?,
            None => wiring.account_of(wiring.node(&self.to)?).unwrap_or_default(),
        };
        Ok((at, wiring.accounts.values().nth(usize::from(at)).cloned().unwrap_or_default()))
    }

    fn check_throttles(&self, check: &mut Check) {
        for (field, used) in [
            ("usage_plan", self.usage_plan.is_some()),
            ("methods", !self.methods.is_empty()),
            ("stage", self.stage.is_some()),
        ] {
            if used && self.kind == Kind::Http {
                check.problem(
                    "E0346",
                    field,
                    "an HTTP API has no usage plans and no such throttles".into(),
                    "leave it out, or take a REST API",
                );
            }
        }
        if self.usage_plan.as_ref().and_then(|plan| plan.quota).is_some_and(|q| q.per.is_zero()) {
            check.problem(
                "E0346",
                "usage_plan.quota.per",
                "a quota needs a period".into(),
                "give a day, a week or a month",
            );
        }
    }
}

const GIVE_UP: u8 = 0;
const AUTHORIZED: u8 = 1;

/// Body that an HTTP API meters as one request (API Gateway price page).
const METERED_BYTES: u32 = 512 << 10;
/// Largest body (API Gateway quotas: 10 MB).
const BODY_MAX: u32 = 10 << 20;

/// A throttle as it runs.
struct Level {
    /// Kind of request that it is for; none: every kind.
    work: Option<u16>,
    bucket: Bucket,
    limit: LimitId,
}

/// A quota as it runs.
struct Used {
    quota: Quota,
    period: u64,
    requests: u64,
    limit: LimitId,
}

impl Used {
    fn take(&mut self, now: Time) -> bool {
        let period = now.nanos() / self.quota.per.nanos();
        if period != self.period {
            (self.period, self.requests) = (period, 0);
        }
        self.requests += 1;
        self.requests <= self.quota.requests
    }
}

/// API Gateway as it runs.
pub struct ApiGateway {
    throttle_status: Option<u16>,
    kind: Kind,
    to: NodeId,
    /// In the order in which they are asked; the account's comes after them.
    levels: Vec<Level>,
    account: u16,
    account_limit: LimitId,
    quota: Option<Used>,
    authorizer: Option<(Sampler, f64)>,
    timeout: LaneId,
    overhead: Sampler,
    name: String,
    requests: u64,
    billed: u64,
    /// Those of `billed` whose request failed, or whose client had gone.
    wasted: u64,
    timeout_limit: LimitId,
    body_limit: LimitId,
}

/// The throttles of a gateway's own in the order in which AWS asks them: method of the plan, plan, method, stage.
fn levels(spec: &ApiGatewaySpec, wiring: &mut Wiring) -> Result<Vec<Level>, String> {
    let mut all: Vec<(Option<&String>, &'static str, Throttle)> = Vec::new();
    if let Some(plan) = &spec.usage_plan {
        all.extend(plan.methods.iter().map(|(name, own)| (Some(name), "key_method_rate", *own)));
        all.extend(plan.throttle.map(|own| (None, "key_rate", own)));
    }
    all.extend(spec.methods.iter().map(|(name, own)| (Some(name), "method_rate", *own)));
    all.extend(spec.stage.map(|own| (None, "stage_rate", own)));
    let mut levels = Vec::new();
    for (work, name, own) in all {
        let of = work.map_or(String::new(), |work| format!(" of {work}"));
        let what = match name {
            "stage_rate" => "stage's bucket",
            "method_rate" => "method's bucket",
            _ => "usage plan's bucket",
        };
        let about = format!("{what}{of} {} deep, {}", own.burst, own.rate);
        levels.push(Level {
            work: work.map(|work| wiring.work(work)).transpose()?,
            bucket: Bucket::new(own.rate.per_second(), f64::from(own.burst)),
            limit: wiring.ledger.limit(wiring.me, name, about),
        });
    }
    Ok(levels)
}

fn quota(spec: &ApiGatewaySpec, wiring: &mut Wiring) -> Option<Used> {
    let quota = spec.usage_plan.as_ref()?.quota?;
    let about = format!("quota of {} requests in {}", quota.requests, quota.per);
    let limit = wiring.ledger.limit(wiring.me, "quota", about);
    Some(Used { quota, period: 0, requests: 0, limit })
}

impl Component for ApiGateway {
    type Spec = ApiGatewaySpec;

    fn build(spec: &ApiGatewaySpec, wiring: &mut Wiring) -> Result<ApiGateway, String> {
        let timeout = spec.timeout.unwrap_or(spec.kind.timeout());
        let overhead = spec.overhead.clone().unwrap_or_else(|| spec.kind.overhead());
        let me = wiring.me;
        let (account, limits) = spec.account(wiring)?;
        let bucket =
            format!("gateway bucket {} deep, {}", limits.gateway_burst, limits.gateway_rate);
        Ok(ApiGateway {
            kind: spec.kind,
            throttle_status: spec.throttle_status,
            to: wiring.node(&spec.to)?,
            levels: levels(spec, wiring)?,
            account,
            account_limit: wiring.ledger.limit(me, "gateway_rate", bucket),
            quota: quota(spec, wiring),
            authorizer: match &spec.authorizer {
                Some(own) => Some((own.latency.sampler(wiring.data)?, own.cached)),
                None => None,
            },
            timeout: wiring.queue.lane(timeout, Rank::Timeout),
            overhead: overhead.sampler(wiring.data)?,
            name: wiring.name.to_owned(),
            requests: 0,
            billed: 0,
            wasted: 0,
            timeout_limit: wiring.ledger.limit(
                me,
                "integration_timeout",
                format!("integration timeout {timeout}"),
            ),
            body_limit: wiring.ledger.limit(me, "payload", "bodies of 10 MB".into()),
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(AUTHORIZED, slot, turn) => self.authorized(CallId { slot, turn }, ctx),
            Message::Wake(_, slot, turn) => self.give_up(CallId { slot, turn }, ctx),
            // A client that leaves does not stop the integration.
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let billed = self.billed as f64;
        let usage = UsageLine {
            wasted: self.wasted as f64,
            ..UsageLine::used(&self.name, self.kind.item(), billed, "request")
        };
        NodeReport { counters: vec![("requests", self.requests)], usage: vec![usage] }
    }
}

impl ApiGateway {
    #[inline(never)]
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.established = now;
        let new = row.via == crate::model::calls::Via::New;
        let (work, bytes) = (row.work, row.bytes);
        if row.keep_alive {
            // The gateway holds idle connections for 310 s and sets no limit to them.
            row.via = crate::model::calls::Via::Open(0);
        }
        if new {
            ctx.opened(call);
        }
        self.requests += 1;
        if bytes > BODY_MAX {
            self.billed += 1;
            self.wasted += 1;
            ctx.ledger.refused_by(self.body_limit, now);
            return ctx.fail(call, Cause::PayloadTooLarge, 413);
        }
        if let Err((limit, cause)) = self.admit(work, ctx) {
            ctx.ledger.refused_by(limit, now);
            return ctx.fail(call, cause, 429);
        }
        self.billed += self.kind.metered(bytes);
        if let Some((latency, cached)) = &self.authorizer {
            let mut stream = ctx.stream(call, Purpose::Authorizer);
            if !stream.chance(*cached) {
                let wait = latency.sample(&mut stream);
                return ctx.wake(wait, AUTHORIZED, call.slot, call.turn);
            }
        }
        self.integrate(call, ctx);
    }

    /// Asks every throttle in AWS's order.
    fn admit(&mut self, work: u16, ctx: &mut Ctx) -> Result<(), (LimitId, Cause)> {
        let now = ctx.now();
        let concerns = |level: &&mut Level| level.work.is_none_or(|own| own == work);
        for level in self.levels.iter_mut().filter(concerns) {
            if !level.bucket.take(now) {
                return Err((level.limit, Cause::ThrottledGateway));
            }
        }
        if !ctx.accounts[usize::from(self.account)].take_gateway(now) {
            return Err((self.account_limit, Cause::ThrottledGateway));
        }
        if let Some(used) = &mut self.quota
            && !used.take(now)
        {
            return Err((used.limit, Cause::QuotaExceeded));
        }
        Ok(())
    }

    /// The authoriser has let the request in.
    #[inline(never)]
    fn authorized(&mut self, call: CallId, ctx: &mut Ctx) {
        self.integrate(call, ctx);
    }

    /// Hands the request to the integration.
    #[inline(always)]
    fn integrate(&mut self, call: CallId, ctx: &mut Ctx) {
        let overhead = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        let child = ctx.calls.get(call).child(ctx.me, self.to, call);
        let child = ctx.call(child, overhead);
        let timer = ctx.arm(self.timeout, GIVE_UP, call.slot, call.turn);
        let row = ctx.calls.get(call);
        row.child = child;
        row.timer = timer;
    }

    #[inline(never)]
    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let row = ctx.calls.get(call);
        let (timer, bytes, abandoned) = (row.timer, row.bytes, row.abandoned);
        ctx.queue.cancel(timer);
        let failure = answer.outcome;
        if abandoned || !failure.is_ok() {
            self.wasted += self.kind.metered(bytes);
        }
        let outcome = if failure.is_ok() {
            Outcome::OK
        } else {
            let status = match self.throttle_status {
                Some(status) if failure.throttled_by_lambda() => status,
                _ => self.kind.status(failure),
            };
            failure.shown_as(status)
        };
        ctx.reply(call, outcome);
    }

    #[inline(never)]
    fn give_up(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            return;
        }
        let row = ctx.calls.get(call);
        let (child, bytes, abandoned) = (row.child, row.bytes, row.abandoned);
        self.wasted += self.kind.metered(bytes);
        ctx.abandon(child);
        // Who left before cannot be refused any more.
        if !abandoned {
            ctx.ledger.refused_by(self.timeout_limit, ctx.now());
        }
        ctx.fail(call, Cause::IntegrationTimeout, self.kind.timeout_status());
    }
}
