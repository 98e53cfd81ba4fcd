//! What a guard is made of, and what makes no sense of it.

use super::breaker::{BreakerSpec, SlidingWindow};
use super::limit::LimitSpec;
use super::queue::QueueSpec;
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "Overload protection in front of a service: circuit breaker, rate limiter, timeout, limit of calls in progress and a queue before it.",
    models: &[
        "a circuit breaker with the states, windows and defaults of Resilience4j: closed, open, half-open; windows of calls or of seconds; failed and slow calls (503 while open)",
        "a rate limiter as a token bucket (429)",
        "a limit of calls in progress (503): fixed, which is a bulkhead; AIMD, Gradient2 or Vegas of Netflix's concurrency-limits",
        "a queue before the limit: its length (503), the longest wait (503, at the moment it is over), controlled delay and adaptive LIFO",
        "a timeout of the call (504): the call is given up, and whatever serves it learns that its caller has gone",
        "asked in the order breaker, rate, limit, queue, as Resilience4j's Spring aspects do",
        "what the guard itself refuses is no result for its breaker, nor for its limit; nor is a call whose caller left",
        "a call that failed without an answer or with 429, 502, 503 or 504, or ran into the timeout, is a drop for an adaptive limit; other failures are no sample",
        "connections to what it sends to, kept and reused",
        "a state for the node behind it or for each of its addresses, among which it sends in turn then",
    ],
    leaves_out: &[
        "its own processor, memory, connections and backlog: a library or a sidecar, not on the bill",
        "a state for each caller; the most addresses that may be passed over at a time, and ejection times that grow (Envoy)",
        "Resilience4j's growing waits, longest stay in half-open and slow change of the thread pool; a rate limiter that lets callers wait",
        "stores behind it: pools and poolers have limits of their own",
    ],
    example: r#"{"to": "lb", "limit": {"static": {"max": 50}}, "queue": {"max_wait": "500ms"}}"#,
};

/// Overload protection in front of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardSpec {
    /// Node behind it.
    pub to: String,
    /// What has a breaker, a bucket, a limit and a queue of its own: the node behind it, or each of its addresses.
    #[serde(default, skip_serializing_if = "Per::is_node")]
    #[schemars(extend("x-source" = "one instance for a remote service, as in Resilience4j's examples"))]
    pub per: Per,
    /// Opens when too many calls fail or are slow; none: no circuit breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<BreakerSpec>,
    /// Calls per time; none: no rate limiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Calls in progress; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitSpec>,
    /// Where calls wait that the limit holds back; none: they are refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSpec>,
    /// Time after which it gives a call up, from when it was sent on; none: it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Round-trip time to the node behind it.
    #[serde(default = "rtt_default")]
    #[schemars(extend("x-source" = "assumed: one region", "x-assumed" = true))]
    pub rtt: Span,
}

/// What a guard keeps its state for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The node behind it as a whole.
    #[default]
    Node,
    /// Each address of the node behind it (pods, or the nodes of a NodePort). The guard sends to them in turn, passing over those whose
    /// breaker is open (as Envoy's outlier detection ejects hosts) and, while others have a place, those that have none.
    Address,
}

impl Per {
    /// Whether it is the default.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_node(&self) -> bool {
        *self == Per::Node
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Tokens that come in a second.
    pub rate: Rate,
    /// Tokens that it holds.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub burst: u32,
}

fn rtt_default() -> Span {
    Span::from_micros(500)
}

impl Spec for GuardSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    // It waits out the handshakes of its callers, and never refuses one.
    fn listens(&self, _of: &dyn Fn(&str) -> bool) -> bool {
        true
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        let behind = check.nodes.get(&self.to).copied();
        if self.per == Per::Address && behind.is_some_and(|kind| !has_addresses(kind)) {
            check.problem(
                "E0390",
                "per",
                format!("\"{}\" has no addresses to choose from", self.to),
                "only `pods` and `node_port` have; leave `per` out, or send to those",
            );
        }
        for (path, message, remedy) in self.contradictions() {
            check.problem("E0390", path, message.into(), remedy);
        }
    }
}

/// Whether a guard may choose among the addresses of a kind of node.
fn has_addresses(kind: &str) -> bool {
    matches!(kind, "pods" | "node_port")
}

impl GuardSpec {
    /// Place, what is wrong, and what to do.
    fn contradictions(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut found = Vec::new();
        let mut add = |wrong: bool, path, message, remedy| {
            if wrong {
                found.push((path, message, remedy));
            }
        };
        let queue = self.queue.as_ref();
        add(
            queue.is_some() && self.limit.is_none(),
            "queue",
            "a queue without a limit that holds anybody back",
            "give a `limit`, or leave the queue out",
        );
        add(
            queue.and_then(|own| own.max_wait).is_some_and(Span::is_zero),
            "queue.max_wait",
            "a queue in which nobody may wait",
            "give a longer wait, or leave the queue out: then calls are refused at once",
        );
        let codel = queue.and_then(|own| own.codel.as_ref());
        add(
            codel.is_some_and(|own| own.target.is_zero() || own.target > own.interval),
            "queue.codel",
            "the wait of a standing line must be above zero and no longer than the interval",
            "5 ms and 100 ms are what was published",
        );
        let bounds = match &self.limit {
            Some(LimitSpec::Aimd(own)) => Some((own.min, own.initial, own.max)),
            Some(LimitSpec::Gradient2(own)) => Some((own.min, own.initial, own.max)),
            Some(LimitSpec::Vegas(own)) => Some((1, own.initial, own.max)),
            Some(LimitSpec::Static(_)) | None => None,
        };
        add(
            bounds.is_some_and(|(min, initial, max)| min > initial || initial > max),
            "limit",
            "a limit that does not begin between its least and its most",
            "give min ≤ initial ≤ max",
        );
        let window = self.circuit_breaker.as_ref().map(|own| own.sliding_window);
        add(
            match window {
                Some(SlidingWindow::Calls(calls)) => calls == 0,
                Some(SlidingWindow::Time(time)) => time < Span::from_secs(1),
                None => false,
            },
            "circuit_breaker.sliding_window",
            "a window that holds nothing",
            "give at least one call, or one second",
        );
        add(
            self.timeout.is_some_and(Span::is_zero),
            "timeout",
            "a timeout of nothing",
            "give a longer one, or leave it out",
        );
        found
    }
}
