//! A Lambda function URL: HTTP straight to a function, without a gateway.

use crate::kernel::Span;
use crate::model::calls::Via;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::http2::STREAMS_AWS;
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kind is.
pub const ABOUT: About = About {
    what: "A Lambda function URL: HTTP straight to a function.",
    models: &[
        "no throttle and no timeout of its own: the function's limits and timeout hold",
        "429 when Lambda throttles, 502 when the function fails, times out or crashes, or Lambda refuses for another reason",
        "bodies above 6 MB get 413",
        "HTTP/2 from clients; how many requests at a time a connection takes is not published, assumed 128 as of an ALB",
        "no price of its own: requests and durations of the function",
    ],
    leaves_out: &["streamed answers, IAM authorisation, CORS"],
    example: r#"{"to": "fn"}"#,
};

/// A function URL (from April 2022).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionUrlSpec {
    /// Function behind it.
    pub to: String,
    /// Time the front adds; none: median 5 ms, p99 20 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "no distribution is published: assumed", "x-assumed" = true))]
    pub overhead: Option<Dist>,
}

fn overhead_default() -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(5)),
        p99: Some(Span::from_millis(20)),
        ..Lognormal::default()
    })
}

impl Spec for FunctionUrlSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        Some(STREAMS_AWS)
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        if check.era < Era::Y2021 {
            check.problem(
                "E0330",
                "",
                format!("era {} has no function URLs (April 2022)", check.era.name()),
                "put an api_gateway or an alb in front, or choose an era from y2021 on",
            );
        }
    }
}

/// Largest body (Lambda quotas: 6 MB).
const BODY_MAX: u32 = 6 << 20;

/// A function URL as it runs.
pub struct FunctionUrl {
    to: NodeId,
    overhead: Sampler,
    requests: u64,
    body_limit: LimitId,
}

impl Component for FunctionUrl {
    type Spec = FunctionUrlSpec;

    fn build(spec: &FunctionUrlSpec, wiring: &mut Wiring) -> Result<FunctionUrl, String> {
        let overhead = spec.overhead.clone().unwrap_or_else(overhead_default);
        Ok(FunctionUrl {
            to: wiring.node(&spec.to)?,
            overhead: overhead.sampler(wiring.data)?,
            requests: 0,
            body_limit: wiring.ledger.limit(wiring.me, "payload", "bodies of 6 MB".into()),
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => answered(child, ctx),
            // A caller that leaves does not stop the function.
            Message::Wake(..) | Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        NodeReport { counters: vec![("requests", self.requests)], usage: Vec::new() }
    }
}

impl FunctionUrl {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.requests += 1;
        let row = ctx.calls.get(call);
        row.established = now;
        let new = row.via == Via::New;
        if row.keep_alive {
            row.via = Via::Open(0);
        }
        if new {
            ctx.opened(call);
        }
        if ctx.calls.get(call).bytes > BODY_MAX {
            ctx.ledger.refused_by(self.body_limit, now);
            return ctx.fail(call, Cause::PayloadTooLarge, 413);
        }
        let overhead = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        let child = ctx.calls.get(call).child(ctx.me, self.to, call);
        let child = ctx.call(child, overhead);
        ctx.calls.get(call).child = child;
    }
}

fn answered(child: CallId, ctx: &mut Ctx) {
    let answer = ctx.take_reply(child);
    let outcome = answer.outcome;
    ctx.reply(
        answer.parent,
        match outcome.cause {
            Some(_) if outcome.throttled_by_lambda() => outcome.shown_as(429),
            Some(_) => outcome.shown_as(502),
            None => Outcome::OK,
        },
    );
}
