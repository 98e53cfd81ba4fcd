//! A queue and its consumer as the scenario writes them.

use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::dist::{Dist, Lognormal};
use crate::model::era::Era;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kind is.
pub const ABOUT: About = About {
    what: "A standard SQS queue and the event source mapping that hands its messages to a function in batches.",
    models: &[
        "the sender is answered as soon as the message is stored; retention; the limit of messages in flight",
        "visibility timeout from the receive: a message that is not deleted by then is visible again with its receive count raised, also while its handler still runs",
        "the dead-letter queue for messages that were received too often",
        "batches and the batching window; a failed batch returns as a whole, or by reported messages",
        "concurrent batches by era: 5, growing by 60 a minute to 1,000 until November 2023, by 300 a minute to 1,250 since; maximum concurrency; provisioned pollers, each of 10 concurrent invocations, 10 receive calls and 1 MB a second",
        "a throttled invocation is tried again until the visibility timeout is over, which counts as a receive of a healthy message",
        "slower polling after errors, unless failed messages are reported one by one",
        "calls to SQS on the bill: sends, receives, empty receives of the long poll, deletes, each started 64 KB",
    ],
    leaves_out: &[
        "FIFO order, duplicates of SQS itself, message timers, sampling of servers by a short poll",
        "the payload limit of a batch (6 MB)",
    ],
    example: r#"{"to": "worker", "visibility": "3min", "max_receives": 5}"#,
};

/// A queue with a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqsSpec {
    /// Function that works on the messages; none: nobody does, as with a dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Visibility timeout, from the receive.
    #[serde(default = "visibility_default")]
    #[schemars(extend("x-source" = "SQS guide: 30 s, at most 12 h"))]
    pub visibility: Span,
    /// Receives after which a message goes to the dead-letter queue; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "SQS: no redrive policy unless set; AWS advises 5 or more with Lambda"))]
    pub max_receives: Option<u32>,
    /// Queue that takes dead letters; none: they are counted only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<String>,
    /// Time after which a message is lost, from its sending.
    #[serde(default = "retention_default")]
    #[schemars(extend("x-source" = "SQS guide: 4 days, 60 s to 14 days"))]
    pub retention: Span,
    /// Most messages received and not yet deleted or visible again.
    #[serde(default = "in_flight_default")]
    #[schemars(range(min = 1, max = 120_000), extend("x-source" = "SQS quotas: 120,000 of a standard queue"))]
    pub in_flight_max: u32,
    /// Time to store a message.
    #[serde(default = "overhead_default")]
    #[schemars(extend("x-source" = "no distribution is published: assumed", "x-assumed" = true))]
    pub overhead: Dist,
    /// Size of a message whose sender does not say it.
    #[serde(default = "size_default")]
    #[schemars(extend("x-source" = "assumed: a small JSON message", "x-assumed" = true))]
    pub message_size: Bytes,
    /// Most messages of one invocation.
    #[serde(default = "batch_default")]
    #[schemars(range(min = 1, max = 10_000), extend("x-source" = "Lambda guide, SQS: 10, at most 10,000; above 10 with a window of 1 s or more"))]
    pub batch: u32,
    /// Batching window: how long the first message waits for a batch to fill.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda guide, SQS: none, at most 5 min"))]
    pub window: Span,
    /// Whether the function reports failed messages (`ReportBatchItemFailures`) instead of failing as a whole.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda guide, SQS: off"))]
    pub report_failures: bool,
    /// How the handler works on the messages of a batch.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: a plain loop", "x-assumed" = true))]
    pub items: Items,
    /// Most concurrent invocations of the mapping (since January 2023); none: the era's growth and cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1000), extend("x-source" = "Lambda guide, SQS: unset, 2 to 1,000"))]
    pub maximum_concurrency: Option<u32>,
    /// Pollers that are held ready (since November 2025).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Provisioned>,
    /// Pause before a throttled invocation is tried again, within the visibility timeout.
    #[serde(default = "throttle_default")]
    #[schemars(extend("x-source" = "not documented: assumed", "x-assumed" = true))]
    pub throttle_retry: Span,
}

/// How a handler works on the messages of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// One after another.
    #[default]
    OneByOne,
    /// Plain waits of all messages overlap. Processor time, statements on the environment's connection and calls go one
    /// after another.
    Overlapping,
}

/// Provisioned pollers: 10 concurrent invocations, 10 receive calls and 1 MB a second each; 1,000 more invocations a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// Pollers that are always there.
    #[serde(default = "pollers_min")]
    #[schemars(range(min = 2, max = 200), extend("x-source" = "Lambda API, ProvisionedPollerConfig: 2"))]
    pub min: u32,
    /// Most pollers.
    #[serde(default = "pollers_max")]
    #[schemars(range(min = 2, max = 10_000), extend("x-source" = "Lambda API, ProvisionedPollerConfig: 200"))]
    pub max: u32,
}

fn pollers_min() -> u32 {
    2
}
fn pollers_max() -> u32 {
    200
}
fn visibility_default() -> Span {
    Span::from_secs(30)
}
fn retention_default() -> Span {
    Span::from_secs(4 * 86_400)
}
fn in_flight_default() -> u32 {
    120_000
}
fn size_default() -> Bytes {
    Bytes(4096)
}
fn batch_default() -> u32 {
    10
}
fn throttle_default() -> Span {
    Span::from_secs(1)
}
fn overhead_default() -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(5)),
        p99: Some(Span::from_millis(20)),
        ..Lognormal::default()
    })
}

/// Item of the price table for provisioned pollers.
pub(super) const POLLER_HOUR: &str = "lambda.event_poller_hour";

impl SqsSpec {
    /// The visibility timeout in force: with a window that does not fit, Lambda receives with a longer one (Lambda guide,
    /// SQS: window + function timeout + 30 s).
    pub(super) fn visibility(&self, function: Option<Span>) -> Span {
        let needed = self.window + function.unwrap_or_default();
        if !self.window.is_zero() && needed > self.visibility {
            needed + Span::from_secs(30)
        } else {
            self.visibility
        }
    }

    fn bounds(&self, check: &mut Check) {
        let day = 86_400;
        for (path, span, low, high) in [
            ("visibility", self.visibility, Span::ZERO, Span::from_secs(day / 2)),
            ("retention", self.retention, Span::from_secs(60), Span::from_secs(14 * day)),
            ("window", self.window, Span::ZERO, Span::from_secs(300)),
            ("throttle_retry", self.throttle_retry, Span::from_millis(1), Span::from_secs(day / 2)),
        ] {
            if span < low || span > high {
                check.problem(
                    "E0343",
                    path,
                    format!("{span} is outside {low} to {high}"),
                    "choose a time that the service offers",
                );
            }
        }
    }

    fn features(&self, check: &mut Check) {
        for (path, used, since) in [
            ("maximum_concurrency", self.maximum_concurrency.is_some(), Era::Y2021),
            ("window", !self.window.is_zero(), Era::Y2021),
            ("report_failures", self.report_failures, Era::Y2021),
            ("provisioned", self.provisioned.is_some(), Era::Y2026),
        ] {
            if used && check.era < since {
                check.problem(
                    "E0330",
                    path,
                    format!("era {} has no `{path}` of an event source", check.era.name()),
                    &format!("leave it out, or choose era {} or later", since.name()),
                );
            }
        }
    }
}

impl Spec for SqsSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        let named = [("to", &self.to), ("dead_letters", &self.dead_letters)];
        named.into_iter().filter_map(|(path, name)| Some((path.into(), name.as_deref()?))).collect()
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
        }
        self.bounds(check);
        self.features(check);
        let function = self.to.as_ref().and_then(|name| check.timeouts.get(name)).copied();
        if let Some(timeout) = function.filter(|&timeout| timeout > self.visibility) {
            check.problem(
                "E0340",
                "visibility",
                format!(
                    "visibility {} is shorter than the function's timeout of {timeout}",
                    self.visibility
                ),
                "AWS refuses this mapping, and advises six times the timeout plus the window",
            );
        }
        if self.batch > 10 && self.window < Span::from_secs(1) {
            check.problem(
                "E0341",
                "batch",
                format!("a batch of {} needs a `window` of at least 1s", self.batch),
                "set the window, or take at most 10 messages",
            );
        }
        if let Some(own) = &self.provisioned {
            if self.maximum_concurrency.is_some() {
                check.problem(
                    "E0344",
                    "provisioned",
                    "provisioned pollers and `maximum_concurrency` exclude each other".into(),
                    "keep one of the two",
                );
            }
            if own.min > own.max {
                check.problem(
                    "E0344",
                    "provisioned.min",
                    format!("at least {} pollers and at most {}", own.min, own.max),
                    "raise `max` or lower `min`",
                );
            }
        }
        let is_function = |name: &String| check.nodes.get(name).is_none_or(|k| *k == "lambda");
        let wrong = [("to", self.to.as_ref().filter(|name| !is_function(name)))];
        let is_queue = |name: &String| check.nodes.get(name).is_none_or(|k| *k == "sqs");
        let dead = [("dead_letters", self.dead_letters.as_ref().filter(|name| !is_queue(name)))];
        let wrong: Vec<_> = wrong.into_iter().chain(dead).collect();
        for (path, name) in wrong {
            if let Some(name) = name {
                let message = format!("\"{name}\" is of another kind");
                check.problem("E0303", path, message, "`to` is a lambda, `dead_letters` an sqs");
            }
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        let pollers = self.provisioned.as_ref().map(|_| POLLER_HOUR.to_owned());
        std::iter::once("sqs.standard".to_owned()).chain(pollers).collect()
    }
}
