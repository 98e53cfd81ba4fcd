//! What one kind of request needs: an ordered list of steps. Belongs to the workload, not to a design.

use super::data::Data;
use super::dist::{Dist, Sampler};
use super::message::NodeId;
use super::retry::{Retry, Sdk, SdkMode};
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step of a request's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepSpec {
    /// Processor time on one vCPU of the reference machine. Shared, and slowed where cores are scarce.
    Cpu(Dist),
    /// Waiting that costs nobody anything: a call to a service outside the design, a sleep.
    Wait(Dist),
    /// A statement to a store of the design.
    Query(QuerySpec),
    /// A call to another service of the design, waited for.
    Call(CallSpec),
    /// A message to a queue of the design; done when the queue has taken it.
    Publish(PublishSpec),
    /// An asynchronous invocation of a function (invocation type `Event`); done when Lambda has queued the event.
    Event(EventSpec),
    /// The handler ends here with an error, in a share of the cases.
    Fail(FailSpec),
}

/// A statement to a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuerySpec {
    /// Name of the store; every design must have a node of that name.
    pub to: String,
    /// How long the statement holds its connection when nothing competes; slowed by active work.
    pub hold: Dist,
}

/// A call to another service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// Name of the node; every design must have a node of that name.
    pub to: String,
    /// Kind of request it serves: a name under `work`.
    pub request: String,
    /// How the caller's AWS SDK tries again; each environment or pod has a client of its own.
    #[serde(default)]
    #[schemars(extend("x-source" = "none unless said: plain HTTP"))]
    pub retry: CallRetry,
}

/// How a call is tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallRetry {
    /// Never.
    #[default]
    None,
    /// SDK, legacy mode: 5 attempts, U(0,1) · 2^n s, no quota.
    Legacy,
    /// SDK, standard mode: 3 attempts, min(U(0,1) · 2^n, 20) s, quota of 500 tokens.
    Standard,
    /// SDK, rules of 2026.
    #[serde(rename = "y2026")]
    Y2026,
}

impl CallRetry {
    /// The policy.
    pub fn policy(self) -> Retry {
        let sdk = |mode| Retry::Sdk(Sdk { mode, shared: false });
        match self {
            CallRetry::None => Retry::default(),
            CallRetry::Legacy => sdk(SdkMode::Legacy),
            CallRetry::Standard => sdk(SdkMode::Standard),
            CallRetry::Y2026 => sdk(SdkMode::Y2026),
        }
    }
}

/// A message to a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSpec {
    /// Name of the queue; every design must have a node of that name.
    pub to: String,
    /// Kind of request that its consumer serves: a name under `work`.
    pub request: String,
    /// Size of the message.
    #[serde(default = "message_size")]
    #[schemars(extend("x-source" = "assumed: a small JSON message", "x-assumed" = true))]
    pub size: Bytes,
}

/// An asynchronous invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// Name of the function; every design must have a node of that name.
    pub to: String,
    /// Kind of request that it serves: a name under `work`.
    pub request: String,
    /// Size of the event.
    #[serde(default = "message_size")]
    #[schemars(extend("x-source" = "assumed: a small JSON message", "x-assumed" = true))]
    pub size: Bytes,
}

/// An error of the handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailSpec {
    /// Share of the cases that fail, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// Whether a request that failed fails again at every further try (a poison message), instead of drawing anew.
    #[serde(default)]
    #[schemars(extend("x-source" = "off unless said: transient errors"))]
    pub every_time: bool,
}

fn message_size() -> Bytes {
    Bytes(4096)
}

/// One step, ready to run in one design.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Processor time.
    Cpu(Sampler),
    /// Plain delay.
    Wait(Sampler),
    /// Statement to a store.
    Query(NodeId, Sampler),
    /// Call to a node that serves the given kind of request, tried again in a given way.
    Call(NodeId, u16, CallRetry),
    /// Message to a queue, of the given kind and size.
    Publish(NodeId, u16, Bytes),
    /// Asynchronous invocation, of the given kind and size.
    Event(NodeId, u16, Bytes),
    /// An error in a share of the cases; at every try of a request, or drawn anew.
    Fail(f64, bool),
}

/// One kind of request, ready to run in one design.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Name in the scenario.
    pub name: String,
    /// Steps in order.
    pub steps: Vec<Step>,
}

impl Work {
    /// Makes all kinds of request ready. `node` finds a node of the design by name; kinds are numbered in order
    /// of their names.
    ///
    /// # Errors
    /// Says which law, store or kind is wrong.
    pub fn compile_all(
        specs: &BTreeMap<String, Vec<StepSpec>>,
        node: &dyn Fn(&str) -> Option<NodeId>,
        data: &Data,
    ) -> Result<Vec<Work>, String> {
        let kind = |name: &str| {
            let at = specs.keys().position(|other| other == name);
            at.map(|i| i as u16).ok_or_else(|| format!("no work \"{name}\""))
        };
        let target = |name: &str| node(name).ok_or_else(|| format!("no node \"{name}\""));
        let step = |spec: &StepSpec| -> Result<Step, String> {
            Ok(match spec {
                StepSpec::Cpu(law) => Step::Cpu(law.sampler(data)?),
                StepSpec::Wait(law) => Step::Wait(law.sampler(data)?),
                StepSpec::Query(q) => Step::Query(target(&q.to)?, q.hold.sampler(data)?),
                StepSpec::Call(c) => Step::Call(target(&c.to)?, kind(&c.request)?, c.retry),
                StepSpec::Publish(p) => Step::Publish(target(&p.to)?, kind(&p.request)?, p.size),
                StepSpec::Event(e) => Step::Event(target(&e.to)?, kind(&e.request)?, e.size),
                StepSpec::Fail(f) => Step::Fail(f.share, f.every_time),
            })
        };
        let compile = |(name, steps): (&String, &Vec<StepSpec>)| {
            let steps = steps.iter().map(step).collect::<Result<_, _>>()?;
            Ok(Work { name: name.clone(), steps })
        };
        specs.iter().map(compile).collect()
    }

    /// Mean processor time, seconds.
    pub fn cpu_mean(&self) -> f64 {
        let cpu = |step: &Step| if let Step::Cpu(law) = step { law.mean() } else { 0.0 };
        self.steps.iter().map(cpu).sum()
    }

    /// Mean duration when nothing competes, seconds, calls to other services not counted.
    pub fn duration_mean(&self) -> f64 {
        let one = |step: &Step| match step {
            Step::Cpu(law) | Step::Wait(law) | Step::Query(_, law) => law.mean(),
            Step::Call(..) | Step::Publish(..) | Step::Event(..) | Step::Fail(..) => 0.0,
        };
        self.steps.iter().map(one).sum()
    }
}
