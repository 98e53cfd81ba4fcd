//! A queue with a consumer: the publisher is answered when the message is stored, the work is done later.
//!
//! `visible → in flight (receive count + 1, hidden) → deleted | visible again after the visibility timeout → … → dead letter`.

use crate::kernel::{Key, LaneId, Rank, Span};
use crate::model::calls::Call;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Message, NodeId, Outcome};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// See the module's head.
pub const ABOUT: About = About {
    what: "A standard SQS queue whose messages are handed one by one to a function.",
    models: &[
        "the publisher is answered as soon as the message is stored",
        "at most `concurrency` messages are worked on at a time, in order of arrival",
        "a message whose work fails or is throttled becomes visible again after the visibility timeout, with its receive count raised; beyond `max_receives` it goes to the dead-letter queue",
        "calls to SQS on the bill: send, receive and delete",
    ],
    leaves_out: &[
        "batches, the growth of the number of pollers, FIFO order, duplicates, message retention",
    ],
    example: r#"{"to": "worker", "concurrency": 10, "max_receives": 5}"#,
};

/// A queue with a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqsSpec {
    /// Function that works on the messages.
    pub to: String,
    /// Most messages worked on at a time (maximum concurrency of the event source).
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 10_000), extend("x-source" = "Lambda guide, SQS event source: 5 concurrent invocations at the start"))]
    pub concurrency: u32,
    /// Visibility timeout.
    #[serde(default = "visibility_default")]
    #[schemars(extend("x-source" = "SQS guide: 30 s"))]
    pub visibility: Span,
    /// Receives after which a message goes to the dead-letter queue; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "SQS: no redrive policy unless set"))]
    pub max_receives: Option<u32>,
    /// Time to store a message.
    #[serde(default = "overhead_default")]
    #[schemars(extend("x-source" = "no distribution is published: assumed", "x-assumed" = true))]
    pub overhead: Dist,
}

fn concurrency_default() -> u32 {
    5
}
fn visibility_default() -> Span {
    Span::from_secs(30)
}
fn overhead_default() -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(5)),
        p99: Some(Span::from_millis(20)),
        ..Lognormal::default()
    })
}

impl Spec for SqsSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec!["sqs.standard".into()]
    }
}

/// A message: what is to be done, and how often it was received.
#[derive(Clone, Copy, Debug)]
struct Stored {
    key: Key,
    work: u16,
    receives: u32,
}

const STORED: u8 = 0;
const VISIBLE: u8 = 1;

/// A queue as it runs.
pub struct Sqs {
    name: String,
    to: NodeId,
    concurrency: u32,
    visibility: LaneId,
    max_receives: u32,
    overhead: Sampler,
    visible: VecDeque<Stored>,
    /// Messages being worked on or hidden, by slot.
    taken: Vec<Stored>,
    free: Vec<u32>,
    working: u32,
    hidden: u32,
    backlog: GaugeId,
    concurrency_limit: LimitId,
    sent: u64,
    received: u64,
    deleted: u64,
    dead: u64,
}

impl Component for Sqs {
    type Spec = SqsSpec;

    fn build(spec: &SqsSpec, wiring: &mut Wiring) -> Result<Sqs, String> {
        let me = wiring.me;
        let about = format!("{} messages at a time", spec.concurrency);
        Ok(Sqs {
            name: wiring.name.to_owned(),
            to: wiring.node(&spec.to)?,
            concurrency: spec.concurrency,
            visibility: wiring.queue.lane(spec.visibility, Rank::Timeout),
            max_receives: spec.max_receives.unwrap_or(u32::MAX),
            overhead: spec.overhead.sampler(wiring.data)?,
            visible: VecDeque::new(),
            taken: Vec::new(),
            free: Vec::new(),
            working: 0,
            hidden: 0,
            backlog: wiring.ledger.gauge(me, "visible messages", None),
            concurrency_limit: wiring.ledger.limit(me, "consumer_concurrency", about),
            sent: 0,
            received: 0,
            deleted: 0,
            dead: 0,
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => {
                ctx.calls.get(call).established = ctx.queue.now();
                let delay = self.overhead.sample(&mut ctx.stream(call, Purpose::FrontDoor));
                ctx.wake(delay, STORED, call.slot, call.turn);
            }
            Message::Wake(STORED, slot, turn) => self.store(CallId { slot, turn }, ctx),
            Message::Wake(_, slot, _) => self.reappear(slot, ctx),
            Message::Reply(child) => self.worked(child, ctx),
            Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn busy(&self) -> bool {
        !self.visible.is_empty() || self.working + self.hidden > 0
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let calls = self.sent + self.received + self.deleted;
        let usage = UsageLine {
            node: self.name.clone(),
            item: "sqs.standard".into(),
            quantity: calls as f64,
            unit: "request",
            reserved: false,
            idle: 0.0,
            wasted: (self.received - self.deleted.min(self.received)) as f64,
        };
        NodeReport {
            counters: vec![
                ("sent", self.sent),
                ("received", self.received),
                ("deleted", self.deleted),
                ("dead_letters", self.dead),
                ("left", self.visible.len() as u64 + u64::from(self.working + self.hidden)),
            ],
            usage: vec![usage],
        }
    }
}

impl Sqs {
    fn store(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        self.sent += 1;
        // The message's draws are its own, whenever it is worked on.
        let key = row.key.named("message");
        self.visible.push_back(Stored { key, work: row.work, receives: 0 });
        ctx.reply(call, Outcome::OK);
        self.receive(ctx);
    }

    /// Hands visible messages to the consumer while it may take more.
    fn receive(&mut self, ctx: &mut Ctx) {
        while self.working < self.concurrency {
            let Some(mut stored) = self.visible.pop_front() else { break };
            stored.receives += 1;
            self.received += 1;
            self.working += 1;
            let slot = match self.free.pop() {
                Some(slot) => {
                    self.taken[slot as usize] = stored;
                    slot
                }
                None => {
                    self.taken.push(stored);
                    u32::try_from(self.taken.len() - 1).unwrap_or(u32::MAX)
                }
            };
            let call = Call {
                key: stored.key,
                work: stored.work,
                visit: stored.receives as u16,
                ..Call::request(ctx.me, self.to, CallId { slot, turn: 0 })
            };
            ctx.call(call, Span::ZERO);
        }
        ctx.ledger.set(self.backlog, ctx.queue.now(), self.visible.len() as u64);
    }

    /// The consumer answered for a message.
    fn worked(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let slot = answer.parent.slot;
        self.working -= 1;
        if answer.outcome.is_ok() {
            self.deleted += 1;
            self.free.push(slot);
        } else {
            // It stays hidden until its visibility timeout is over. (Counted from the answer; SQS counts from the receive.)
            self.hidden += 1;
            ctx.arm(self.visibility, VISIBLE, slot, 0);
        }
        self.receive(ctx);
    }

    fn reappear(&mut self, slot: u32, ctx: &mut Ctx) {
        self.hidden -= 1;
        self.free.push(slot);
        let stored = self.taken[slot as usize];
        if stored.receives >= self.max_receives {
            self.dead += 1;
            ctx.ledger.refused_by(self.concurrency_limit, ctx.queue.now());
        } else {
            self.visible.push_back(stored);
        }
        self.receive(ctx);
    }
}
