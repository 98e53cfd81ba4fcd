//! A class of users as the scenario writes it.

use super::addresses::Addresses;
use super::load::Load;
use crate::kernel::Span;
use crate::model::dist::Dist;
use crate::model::listener::{SYN_RETRIES, SynRetry};
use crate::model::retry::Retry;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassSpec {
    /// When they come.
    pub load: Load,
    /// Kind of request they send: a name under `work`. Either this or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Requests of one session in order. Either this or `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Vec<SessionStep>>,
    /// How long they wait.
    #[serde(default)]
    pub patience: Patience,
    /// How they try again after a failure.
    #[serde(default)]
    pub retry: Retry,
    /// How they connect.
    #[serde(default)]
    pub connection: Connection,
    /// The program that plays the users, where it is one program.
    #[serde(default)]
    pub generator: Generator,
    /// Size of a request's body; zero: too small to matter.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said"))]
    pub body: Bytes,
    /// Whether a request may be sent twice (GET, PUT, DELETE) or not (POST, PATCH).
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "assumed: reads", "x-assumed" = true))]
    pub idempotent: bool,
}

impl ClassSpec {
    /// The kinds of request that its users send.
    pub fn kinds(&self) -> impl Iterator<Item = &String> {
        let session = self.session.iter().flatten().map(|step| &step.request);
        self.request.iter().chain(session)
    }
}

fn yes() -> bool {
    true
}

/// One request of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionStep {
    /// Kind of request: a name under `work`.
    pub request: String,
    /// Pause after its answer, before the next request of the session.
    #[serde(default = "no_time")]
    #[schemars(extend("x-source" = "no pause unless said"))]
    pub think: Dist,
}

fn no_time() -> Dist {
    Dist::Constant(Span::ZERO)
}

/// How long a user waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Time from sending an attempt, connection included, after which it is given up; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "load_test_util and Node's http client: none; k6: 60 s"))]
    pub timeout: Option<Span>,
}

/// A load generator: one process with a clock of its own that plays all users of the class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Time that it takes to open one connection. It opens those of one instant one after another and sends their requests
    /// after that; zero: users on machines of their own.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said; measured on loopback: 15 µs"))]
    pub connect: Span,
    /// Processor time of its one thread for each attempt, from making the request to reading the answer; zero: users on machines
    /// of their own.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said"))]
    pub request: Span,
    /// Resolution of its timers: starts, pauses and retries are rounded up to a multiple; zero: exact.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said; tokio and Node.js: 1 ms"))]
    pub timer: Span,
}

/// Whose kept connections are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptBy {
    /// The load generator's: who comes next goes on with the connection of somebody who has gone, and pays for no handshake.
    #[default]
    Generator,
    /// The user's own, as a browser's: everybody opens one, and it stays open until the server closes it for being idle.
    User,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_generator(kept_by: &KeptBy) -> bool {
    *kept_by == KeptBy::Generator
}

/// How users connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Whether a connection is kept for the user's next request.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "HTTP/1.1 default; Node 20 and later"))]
    pub keepalive: bool,
    /// Whose a kept connection is where users come and go (open loads, bursts, traces).
    #[serde(default, skip_serializing_if = "is_generator")]
    #[schemars(extend("x-source" = "k6 and other load generators: a connection is its virtual user's, who is many users one after the other"))]
    pub kept_by: KeptBy,
    /// Whether connections are encrypted.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "assumed: HTTPS", "x-assumed" = true))]
    pub tls: bool,
    /// Round trips of a TLS handshake before the request: 1 with TLS 1.3, 2 with TLS 1.2.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 4), extend("x-source" = "RFC 8446: one round trip"))]
    pub tls_round_trips: u32,
    /// Whether users resume TLS sessions: a further connection then costs the server no signature and one round trip; none: every
    /// handshake is a full one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_resumption: Option<Resumption>,
    /// HTTP/2 instead of HTTP/1.1: a connection carries many requests at a time, as many as the entry allows; none: HTTP/1.1. It takes
    /// `tls` (browsers and balancers agree on it in the TLS handshake) and an entry that speaks it: nginx, HAProxy, ALB, API Gateway,
    /// a function URL, or a name or NLB before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http2: Option<Http2Spec>,
    /// Round-trip time between users and the entry.
    #[serde(default = "rtt_default")]
    #[schemars(extend("x-source" = "assumed: users in the same country", "x-assumed" = true))]
    pub rtt: Span,
    /// Pause between the end of the handshake and the request's first byte.
    #[serde(default)]
    #[schemars(extend("x-source" = "zero unless said"))]
    pub send_delay: Span,
    /// When the users' kernel sends a lost SYN again.
    #[serde(default)]
    #[schemars(extend("x-source" = "Linux ip-sysctl: tcp_syn_retries 6"))]
    pub syn_retry: SynRetry,
    /// `net.ipv4.tcp_syn_retries` of the users' kernel: how often it sends a lost SYN again after doubling pauses before the connect
    /// fails; the first four of `linear` come within that time.
    #[serde(default = "syn_retries_default", skip_serializing_if = "is_syn_retries_default")]
    #[schemars(range(min = 1, max = 20), extend("x-source" = "Linux ip-sysctl: tcp_syn_retries 6"))]
    pub syn_retries: u8,
    /// What they do with the further addresses of a name (entry by a `dns` node).
    #[serde(default, skip_serializing_if = "Addresses::is_first")]
    #[schemars(extend("x-source" = "the first only, as Node.js up to 18 and most simple clients"))]
    pub addresses: Addresses,
}

/// HTTP/2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http2Spec {
    /// Connections that all users of the class share, as a load generator, an SDK or a proxy does: opened when they are needed; the one
    /// with the fewest requests takes the next, and when all are full a request waits. None: every user has one of its own, as a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000), extend("x-source" = "browsers: one connection to a host"))]
    pub connections: Option<u32>,
}

/// Resumption of TLS sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// How long after a handshake its session can be resumed.
    #[serde(default = "lifetime_default")]
    #[schemars(extend("x-source" = "nginx ssl_session_timeout: 5 min"))]
    pub lifetime: Span,
    /// Share of users who have a session from an earlier visit: their first connection resumes it.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "nobody unless said"))]
    pub returning: f64,
}

fn lifetime_default() -> Span {
    Span::from_secs(300)
}
fn one() -> u32 {
    1
}
fn syn_retries_default() -> u8 {
    SYN_RETRIES
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_syn_retries_default(retries: &u8) -> bool {
    *retries == syn_retries_default()
}
fn rtt_default() -> Span {
    Span::from_millis(30)
}

impl Default for Connection {
    fn default() -> Self {
        Connection {
            keepalive: true,
            kept_by: KeptBy::default(),
            tls: true,
            tls_round_trips: one(),
            tls_resumption: None,
            http2: None,
            rtt: rtt_default(),
            send_delay: Span::ZERO,
            syn_retry: SynRetry::default(),
            syn_retries: syn_retries_default(),
            addresses: Addresses::default(),
        }
    }
}
