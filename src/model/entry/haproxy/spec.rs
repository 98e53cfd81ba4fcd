//! HAProxy as the scenario writes it.

use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::era::Era;
use crate::model::instance;
use crate::model::listener::SynRetry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "HAProxy in HTTP mode: a queue in front of the servers instead of in them.",
    models: &[
        "maxconn of the front end: connections beyond it wait in the kernel's queue",
        "maxconn per server: requests beyond it wait in one queue for all servers, first come first served, and go to whichever has a place first",
        "timeout queue (503), timeout connect (503) and timeout server (504); retries at once after timeout connect, after a refused connection when the shorter of a second and timeout connect is over",
        "requests whose clients have left: served all the same, from the queue too, unless abortonclose is set or the client speaks HTTP/2",
        "http-reuse: idle connections to servers, how many are kept, half of those not needed closed every 5 s; a request on a kept connection that the server closes meanwhile ends with its client's connection closed, on HTTP/2 with 502, the first one of a client with 502",
        "timeout client and timeout http-keep-alive of a client's idle connection",
        "roundrobin and leastconn among servers that have a place; random on HAProxy's own hash ring: uneven shares, and the same sequence after every start",
        "processor time of its one thread, for requests and for TLS handshakes",
        "HTTP/2 from clients: one connection of maxconn for many requests, a connection to a server for each",
    ],
    leaves_out: &[
        "health checks, redispatch to another server, cookies and stick tables",
        "weights of servers",
        "CPU credits of a burstable host",
        "pool-max-conn, pool-low-conn and another pool-purge-delay than 5 s; TLS to servers; timeout client while a request is read",
    ],
    example: r#"{"upstream": ["api"], "server_maxconn": 50}"#,
};

/// HAProxy as a reverse proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HaproxySpec {
    /// Nodes behind it; each address of a node is one server.
    pub upstream: Vec<String>,
    /// `maxconn` of the front end.
    #[serde(default = "maxconn_default")]
    #[schemars(range(min = 1, max = 10_000_000), extend("x-source" = "HAProxy configuration manual: derived from the descriptor limit; 2,000 in distributions' files"))]
    pub maxconn: u32,
    /// `maxconn` of every server; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "HAProxy configuration manual: no limit"))]
    pub server_maxconn: Option<u32>,
    /// `tune.h2.fe.max-concurrent-streams`: requests at a time on one HTTP/2 connection. Whether HTTP/2 is spoken is the client's
    /// choice (`connection.http2`).
    #[serde(default = "streams_default", skip_serializing_if = "is_streams_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "HAProxy configuration manual, tune.h2.max-concurrent-streams: 100"))]
    pub h2_max_concurrent_streams: u32,
    /// Balancing method.
    #[serde(default)]
    #[schemars(extend("x-source" = "HAProxy configuration manual: roundrobin"))]
    pub balance: HaproxyBalance,
    /// Servers that `random` draws for a request: `random(2)` is 2.
    #[serde(default = "draws_default", skip_serializing_if = "is_draws_default")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "HAProxy configuration manual: random is random(2)"))]
    pub random_draws: u8,
    /// Listen backlog; none: `maxconn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "HAProxy configuration manual: maxconn"))]
    pub backlog: Option<u32>,
    /// `net.core.somaxconn`.
    #[serde(default = "somaxconn_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "Linux ip-sysctl: 4096 from 5.4, 128 before"))]
    pub somaxconn: u32,
    /// `timeout queue`.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "assumed: a minute; HAProxy takes timeout connect where it is not set", "x-assumed" = true))]
    pub timeout_queue: Span,
    /// `timeout connect`.
    #[serde(default = "five")]
    #[schemars(extend("x-source" = "HAProxy configuration manual's example: 5 s"))]
    pub timeout_connect: Span,
    /// `timeout server`.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "HAProxy configuration manual's example: 50 s to a minute"))]
    pub timeout_server: Span,
    /// `timeout client`: how long a client's idle connection stays open; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "HAProxy configuration manual: none, and a warning at the start"))]
    pub timeout_client: Option<Span>,
    /// `timeout http-keep-alive`: the same between two requests; none: `timeout client`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "HAProxy configuration manual: timeout http-request, else timeout client"))]
    pub timeout_http_keep_alive: Option<Span>,
    /// `option abortonclose`, in front end and back end: whether a request is given up when its client leaves, in the queue or at
    /// a server. Without it, it is served all the same; on HTTP/2 it is always given up.
    #[serde(default)]
    #[schemars(extend("x-source" = "HAProxy configuration manual, option abortonclose: off; own measurement of 2.6.12"))]
    pub abortonclose: bool,
    /// `http-reuse`: which requests may go over an idle connection to their server.
    #[serde(default)]
    #[schemars(extend("x-source" = "HAProxy configuration manual: safe"))]
    pub http_reuse: HttpReuse,
    /// `retries` after a connection that failed.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 100), extend("x-source" = "HAProxy configuration manual: 3"))]
    pub retries: u16,
    /// Round-trip time between HAProxy and its servers.
    #[serde(default = "upstream_rtt_default")]
    #[schemars(extend("x-source" = "assumed: one availability zone", "x-assumed" = true))]
    pub upstream_rtt: Span,
    /// When the kernel of its host sends a lost SYN to a server again.
    #[serde(default)]
    #[schemars(extend("x-source" = "Linux ip-sysctl: tcp_syn_retries 6; linear first from 6.5"))]
    pub upstream_syn_retry: SynRetry,
    /// Processor time per proxied request.
    #[serde(default = "cpu_request_default")]
    #[schemars(extend("x-source" = "measured: 58 µs for a request through HAProxy 2.6 against 38 µs without (own VM, ±30 %)"))]
    pub cpu_request: Span,
    /// Processor time per full TLS handshake.
    #[serde(default = "cpu_handshake_default")]
    #[schemars(extend("x-source" = "measured on nginx with the same library: 440 µs RSA-2048, 190 µs ECDSA P-256, TLS 1.3 (own VM, ±30 %)"))]
    pub cpu_handshake: Span,
    /// EC2 instance type it runs on, for the bill; none: not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// How HAProxy chooses among servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HaproxyBalance {
    /// In turn.
    #[default]
    Roundrobin,
    /// Fewest connections, then in turn.
    Leastconn,
    /// `random_draws` servers drawn on the hash ring, the one with the fewest requests of them; a request whose server is full waits.
    Random,
}

/// Which requests may go over an idle connection to a server that another client has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HttpReuse {
    /// None: every client's connection has its own.
    Never,
    /// All but the first of a client's connection; HTTP/2 has no first.
    #[default]
    Safe,
    /// The first too, if the connection has served more than one request.
    Aggressive,
    /// All.
    Always,
}

fn maxconn_default() -> u32 {
    2000
}
fn streams_default() -> u32 {
    100
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_streams_default(n: &u32) -> bool {
    *n == streams_default()
}
fn draws_default() -> u8 {
    2
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_draws_default(n: &u8) -> bool {
    *n == draws_default()
}
fn somaxconn_default() -> u32 {
    4096
}
fn minute() -> Span {
    Span::from_secs(60)
}
fn five() -> Span {
    Span::from_secs(5)
}
fn three() -> u16 {
    3
}
fn upstream_rtt_default() -> Span {
    Span::from_micros(300)
}
fn cpu_request_default() -> Span {
    Span::from_micros(20)
}
fn cpu_handshake_default() -> Span {
    Span::from_micros(440)
}

impl HaproxySpec {
    /// How long a client's connection may be idle.
    pub(super) fn idle(&self) -> Option<Span> {
        self.timeout_http_keep_alive.or(self.timeout_client)
    }
}

impl Spec for HaproxySpec {
    fn targets(&self) -> Vec<(String, &str)> {
        let targets = self.upstream.iter().enumerate();
        targets.map(|(i, name)| (format!("upstream[{i}]"), name.as_str())).collect()
    }
    fn listens(&self, _of: &dyn Fn(&str) -> bool) -> bool {
        true
    }
    fn keepalive(&self) -> Option<Span> {
        self.idle()
    }
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        Some(self.h2_max_concurrent_streams)
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
        }
        if self.upstream.is_empty() {
            check.problem(
                "E0315",
                "upstream",
                "a proxy without a server answers nobody".into(),
                "name at least one node, e.g. [\"api\"]",
            );
        }
        let instance = self.instance.as_deref();
        instance::check_burst(check, "instance", instance);
        if instance.is_none() {
            check.problem(
                "W0401",
                "instance",
                "the host has no `instance`, so it is not on the bill".into(),
                "name an EC2 instance type, e.g. \"c6i.large\"",
            );
        }
    }
    fn shares_machine(&self) -> Result<(), &'static str> {
        Ok(())
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.instance.iter().map(|instance| format!("ec2.{instance}")).collect()
    }
}
