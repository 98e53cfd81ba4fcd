//! What nodes say to one another: the vocabulary, on the ground.

use serde::{Deserialize, Serialize};

/// A node of the design, or a class of users. Index into the world's nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct NodeId(pub(crate) u16);

impl NodeId {
    /// The processors of hosts: the world tells whose work on them is done.
    pub(crate) const HOSTS: NodeId = NodeId(u16::MAX);

    /// The index of the node.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A timer that the world looks at before anybody else: of the processors of hosts, or of an operation, whose index its word is.
pub const OPERATION: u8 = u8::MAX;

/// One call from one node to another; stale ids are recognised by their turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CallId {
    pub(crate) slot: u32,
    pub(crate) turn: u32,
}

impl CallId {
    /// No call.
    pub const NONE: CallId = CallId { slot: u32::MAX, turn: 0 };
}

/// What a node can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A call reaches the node. On a new connection to a node that listens this is the SYN.
    Arrive(CallId),
    /// A call that the node made is answered; the outcome stands in its row.
    Reply(CallId),
    /// The caller of a call that the node is serving has gone away.
    Cancel(CallId),
    /// A timer of the node: which one, and a word and a turn that only the node reads.
    Wake(u8, u32, u32),
    /// A connection to the node was closed by its owner: who that is, the connection's number here (for a store: how many
    /// slots), and the owner's own name for it, since the number may have been given to another connection meanwhile.
    HangUp(NodeId, u32, u32),
}

/// A message on its way, in two words. A processor hands a word that was just written on to whoever reads it, but not a
/// larger piece made of several writes, as an enum's fields are: reading those waits until they have reached the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The two numbers of the message, the first in the lower half.
    numbers: u64,
    /// Which message: bits 0 to 2; which timer: 8 to 15; to whom: 16 to 31; whose connection was closed: 32 to 47; and [`SPECIAL`].
    what: u64,
}

/// Set in what the world has to look at.
const SPECIAL: u64 = 1 << 7;

impl Event {
    /// A message to a node.
    #[inline]
    pub(crate) fn new(to: NodeId, message: Message) -> Event {
        let (kind, timer, owner, first, second) = match message {
            Message::Arrive(call) => (0, 0, 0, call.slot, call.turn),
            Message::Cancel(call) => (1, 0, 0, call.slot, call.turn),
            Message::HangUp(owner, connection, tag) => (2, 0, owner.0, connection, tag),
            Message::Wake(OPERATION, word, turn) => (3 | SPECIAL, OPERATION, 0, word, turn),
            Message::Wake(timer, word, turn) => (3, timer, 0, word, turn),
            Message::Reply(call) => (4 | SPECIAL, 0, 0, call.slot, call.turn),
        };
        let what = kind | u64::from(timer) << 8 | u64::from(to.0) << 16 | u64::from(owner) << 32;
        Event { numbers: u64::from(first) | u64::from(second) << 32, what }
    }

    /// Whether the world has to look at it before it is handed over: answers, which may come too late, and its own timers.
    #[inline]
    pub(crate) fn is_special(self) -> bool {
        self.what & SPECIAL != 0
    }

    /// The node that is told.
    #[inline]
    pub(crate) fn to(self) -> NodeId {
        NodeId((self.what >> 16) as u16)
    }

    /// What it is told.
    #[inline]
    pub(crate) fn message(self) -> Message {
        let (first, second) = (self.numbers as u32, (self.numbers >> 32) as u32);
        let call = CallId { slot: first, turn: second };
        match self.what & 7 {
            0 => Message::Arrive(call),
            1 => Message::Cancel(call),
            2 => Message::HangUp(NodeId((self.what >> 32) as u16), first, second),
            3 => Message::Wake((self.what >> 8) as u8, first, second),
            _ => Message::Reply(call),
        }
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} to {:?}", self.message(), self.to())
    }
}

// Events are copied on every heap step: they must stay small.
const _: () = assert!(size_of::<Event>() == 16);

macro_rules! causes {
    ($($variant:ident $name:literal $about:literal,)+) => {
        /// Why a request failed: exactly one cause each.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $(#[doc = $about] $variant,)+ }
        impl Cause {
            /// Every cause, in order.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant,)+];
            /// Name in results.
            pub fn name(self) -> &'static str {
                match self { $(Cause::$variant => $name,)+ }
            }
            /// One sentence.
            pub fn about(self) -> &'static str {
                match self { $(Cause::$variant => $about,)+ }
            }
        }
    };
}
causes! {
    ThrottledAccount "throttled_account" "The account's concurrency was used up.",
    ThrottledReserved "throttled_reserved" "The function's reserved concurrency was used up.",
    ThrottledScaling "throttled_scaling_rate" "The budget for new execution environments was used up.",
    ThrottledMaximum "throttled_maximum" "The maximum concurrency of the function or of its group was used up (hypothetical controls).",
    ThrottledEnvironments "throttled_environments" "All environments that the function may have, or has by load, were full.",
    InterfaceQuota "interface_quota" "The VPC had no network interface left for a new environment.",
    SnapStartTimeout "snap_start_timeout" "The snapshot of a new environment was not restored within its limit.",
    ThrottledRequestRate "throttled_request_rate" "More requests per second than ten times the concurrency.",
    ThrottledGateway "throttled_gateway" "The gateway's token bucket was empty.",
    QuotaExceeded "quota_exceeded" "The quota of the usage plan was used up.",
    PayloadTooLarge "payload_too_large" "The request was larger than the front door or the function takes.",
    IntegrationTimeout "integration_timeout" "The gateway gave up waiting for its integration.",
    FunctionTimeout "function_timeout" "The function ran into its timeout.",
    FunctionError "function_error" "The handler ended with an error.",
    PlatformError "platform_error" "The platform lost the invocation: it hung until the function's timeout.",
    Descriptors "descriptors" "The proxy had no file descriptor left for the upstream connection.",
    WorkerConnections "worker_connections" "The proxy had no connection slot left.",
    PortsExhausted "ports_exhausted" "No ephemeral port was left toward the upstream.",
    NoLiveUpstreams "no_live_upstreams" "Every upstream peer was marked as failed.",
    UpstreamTimeout "upstream_timeout" "The upstream did not answer within the proxy's read timeout.",
    UpstreamConnectTimeout "upstream_connect_timeout" "No connection to the upstream within the proxy's connect timeout.",
    UpstreamClosed "upstream_closed" "The upstream closed the connection before it answered.",
    NoTargets "no_targets" "The load balancer had no registered target.",
    QueueFull "queue_full" "The server's queue was full and it rejected the request.",
    WorkerKilled "worker_killed" "The worker serving the request was killed by its supervisor.",
    PoolTimeout "pool_timeout" "No pooled connection became free within the acquire timeout.",
    ConnectionSlots "connection_slots" "The database had no connection slot left.",
    ClientConnections "client_connections" "The pooler allowed no more client connections.",
    ThrottledStore "throttled_store" "The table's capacity was used up, also after the retries of the SDK.",
    Refused "refused" "The connection was refused.",
    Reset "reset" "The connection was closed without an answer.",
    ConnectTimeout "connect_timeout" "The connection was not established in time.",
    RateLimited "rate_limited" "A rate limiter refused the request.",
    ConcurrencyLimited "concurrency_limited" "A limit of requests in progress refused the request.",
    CircuitOpen "circuit_open" "A circuit breaker was open, or half-open with all its trial calls under way.",
    MaxWaitExceeded "max_wait_exceeded" "The request had waited in a queue for as long as it may, and was shed.",
    ClientTimeout "client_timeout" "The client gave up waiting.",
}

impl Cause {
    /// Whether Lambda refused an invocation because a limit of concurrency or rate was reached.
    fn throttled_by_lambda(self) -> bool {
        matches!(
            self,
            Cause::ThrottledAccount
                | Cause::ThrottledReserved
                | Cause::ThrottledScaling
                | Cause::ThrottledRequestRate
                | Cause::ThrottledMaximum
                | Cause::ThrottledEnvironments
        )
    }

    /// Whether somebody said "too many".
    pub fn throttled(self) -> bool {
        self.throttled_by_lambda() || matches!(self, Cause::ThrottledGateway | Cause::QuotaExceeded)
    }
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// None for success.
    pub cause: Option<Cause>,
    /// Node at which a failure began.
    pub node: NodeId,
    /// HTTP status the caller sees; 0 where there was no answer.
    pub status: u16,
    /// Whether it is the error of a function, as whoever invoked it is told: Lambda did its part, answers with status 200 and
    /// says so in the header `X-Amz-Function-Error`. What stands behind a door sees the door's own status instead.
    pub function_error: bool,
}

impl Outcome {
    /// Success.
    pub const OK: Outcome =
        Outcome { cause: None, node: NodeId(0), status: 200, function_error: false };
    /// A failure of `node`.
    pub fn failed(cause: Cause, node: NodeId, status: u16) -> Outcome {
        Outcome { cause: Some(cause), node, status, function_error: false }
    }
    /// Whether it is a success.
    pub fn is_ok(self) -> bool {
        self.cause.is_none()
    }
    /// The same failure, seen under another HTTP status.
    pub fn shown_as(self, status: u16) -> Outcome {
        Outcome { status, function_error: false, ..self }
    }
    /// The same failure, whatever began it, as the error of the function that it has reached.
    pub fn as_function_error(self) -> Outcome {
        Outcome { status: 500, function_error: true, ..self }
    }
    /// Whether Lambda refused this call because a limit of concurrency or rate was reached. Where the function ran and called
    /// another one that was refused, the cause is the same, but it is the function that failed.
    pub fn throttled_by_lambda(self) -> bool {
        self.status == 429 && self.cause.is_some_and(Cause::throttled_by_lambda)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gives_back_what_it_was_made_of() {
        let call = CallId { slot: u32::MAX - 1, turn: 7 };
        let messages = [
            (Message::Arrive(call), false),
            (Message::Cancel(call), false),
            (Message::HangUp(NodeId(0xfedc), u32::MAX, 3), false),
            (Message::Wake(0, 0, u32::MAX), false),
            (Message::Wake(OPERATION - 1, u32::MAX, 0), false),
            (Message::Wake(OPERATION, 1, 2), true),
            (Message::Reply(call), true),
            (Message::Reply(CallId::NONE), true),
        ];
        for (message, special) in messages {
            for to in [NodeId(0), NodeId(0x8001), NodeId::HOSTS] {
                let event = Event::new(to, message);
                assert_eq!(
                    (event.to(), event.message(), event.is_special()),
                    (to, message, special)
                );
            }
        }
    }
}
