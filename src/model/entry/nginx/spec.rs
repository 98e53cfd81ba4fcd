//! nginx as the scenario writes it: its directives, under their own names where they fit one word.

use super::clients::asks_for_clients;
use super::limits::{LimitConn, LimitReq};
use super::next::{self, NextOn};
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::era::Era;
use crate::model::instance;
use crate::model::listener::SynRetry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the kind is.
pub const ABOUT: About = About {
    what: "nginx as a reverse proxy: worker processes with descriptor and connection limits, keep-alive, upstream peers.",
    models: &[
        "the listen queue of min(backlog, somaxconn) + 1 places shared by the workers; SYNs beyond it are dropped and resent",
        "the order in which workers wake and accept: exclusive wake-ups, multi_accept, reuseport, the turn-taking of 1.21.6 and later; accept_mutex",
        "half-open connections when a handshake ends at a full listen queue",
        "descriptors per worker: one for the client, one for the upstream; accept without one pauses the worker for accept_mutex_delay and leaves the connection in the kernel, an upstream connection without one is a 500 at once and closes the client's connection",
        "worker_connections counts both sides; since 1.19.2 a sixteenth is kept free by closing idle and not yet used connections",
        "smooth weighted round robin, least_conn, random and ip_hash over upstream peers and their weights, max_fails, fail_timeout and max_conns per worker or, with a zone, for all",
        "servers that are down; backup servers, for requests that find no other: all failed, full or tried",
        "limit_req (leaky bucket with burst, delay and nodelay) and limit_conn, per client address or for the server",
        "ephemeral ports toward each upstream server, in TIME_WAIT for 60 s where nginx closes first",
        "next upstream on refused, reset and timeout, and on the statuses that are named; such an answer counts as a failure of its server (403 and 404 do not) and closes the connection to it, that of the last try goes to the client; a POST that was sent is not repeated unless non_idempotent is named; connect and read timeouts",
        "client keep-alive with timeout, request limit and keepalive_time, cleared by nginx's own 500, not by the application's",
        "upstream keep-alive: so many idle connections per worker to all servers together, the one idle longest closed first; keepalive_timeout, keepalive_requests and keepalive_time of them",
        "HTTP/2 from clients: one descriptor and one connection slot for many requests, an upstream connection for each; http2_max_concurrent_streams, GOAWAY after keepalive_requests, keepalive_time or keepalive_timeout; a 500 or a client that gives up a request leaves the connection open",
        "processor time of a worker for TLS handshakes and for proxying",
        "a client that leaves closes its upstream connection",
    ],
    leaves_out: &[
        "request and response bodies, buffering to disk, caching",
        "HTTP/2 to upstream servers, server push, priorities of streams; what a client assumes before the first SETTINGS frame (mostly 100 streams)",
        "clients of a proxy in front have its one address, as without the realip module; a user's address does not change",
        "CPU credits of a burstable host",
    ],
    example: r#"{"workers": 2, "worker_connections": 4096, "nofile": 65536, "upstream": ["api"]}"#,
};

/// nginx as a reverse proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "nginx's own switches")]
pub struct NginxSpec {
    /// Nodes behind it; each address of a node (a pod, a cluster node's port) is one upstream server.
    pub upstream: Vec<String>,
    /// What the `server` lines of some of these nodes say beyond the address: `weight`, `backup`, `down`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-source" = "nginx default: weight 1, neither backup nor down"))]
    pub servers: BTreeMap<String, ServerLine>,
    /// `worker_processes`.
    #[serde(default = "workers_default")]
    #[schemars(range(min = 1, max = 512), extend("x-source" = "worker_processes auto on two cores: assumed", "x-assumed" = true))]
    pub workers: u16,
    /// `worker_connections`, per worker, both sides.
    #[serde(default = "worker_connections_default")]
    #[schemars(range(min = 1, max = 10_000_000), extend("x-source" = "Debian and Ubuntu's nginx.conf: 768 (nginx itself: 512)"))]
    pub worker_connections: u32,
    /// `worker_rlimit_nofile`, or the soft limit of descriptors that a worker inherits.
    #[serde(default = "nofile_default")]
    #[schemars(range(min = 1, max = 10_000_000), extend("x-source" = "systemd services: soft limit 1,024"))]
    pub nofile: u32,
    /// Descriptors that an idle worker holds; none: 9 + workers, and one for each listening socket beyond the first: of `listeners`, and with
    /// `reuseport` as many of each as there are workers, which every worker has open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("x-source" = "measured on nginx 1.22.1: 10, 11, 13, 17 with 1, 2, 4, 8 workers; with reuseport 1 more with 2 and 3 more with 4"))]
    pub base_descriptors: Option<u32>,
    /// Whether one wake-up accepts all waiting connections.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: off"))]
    pub multi_accept: bool,
    /// `reuseport`: a listening socket for every worker, among which the kernel spreads connections.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: off"))]
    pub reuseport: bool,
    /// `accept_mutex`: one worker at a time waits for new connections. Nothing changes with one worker, nor for `reuseport`'s sockets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-source" = "nginx default: off (on before 1.11.3)"))]
    pub accept_mutex: bool,
    /// `accept_mutex_delay`: when a worker that did not get the mutex tries again; without the mutex, how long one does not
    /// listen after EMFILE.
    #[serde(default = "mutex_delay_default", skip_serializing_if = "is_mutex_delay_default")]
    #[schemars(extend("x-source" = "nginx default: 500 ms"))]
    pub accept_mutex_delay: Span,
    /// How long after it is woken a worker runs that was asleep. Until then it is awake already, so that the next connection wakes
    /// another one. Looked at where several workers of one socket keep their
    /// places in line: with `multi_accept`, and in 1.18; those of 1.22 change places after 16 accepts.
    #[serde(default = "wakeup_latency_default")]
    #[schemars(extend("x-source" = "own measurement (perf sched, an idle vCPU of a virtual machine, 127 wake-ups): median 39 us, quartiles 27 and 59; fs/eventpoll.c: who was woken has left the wait queue"))]
    pub wakeup_latency: Span,
    /// Share of new connections that the first worker accepts, the others alike; none: what the workers' event loops and the
    /// kernel's wake-ups make of it. On cores that are shared with other work it may be well above even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "own measurement, 1,100 connections at once on 2 busy cores, 2 workers: 0.52 to 0.59 without multi_accept, 0.73 to 0.80 with it; 1.18: 0.52 to 0.85"))]
    pub accept_share: Option<f64>,
    /// Which rules and defaults of connection reuse apply.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx changes: 1.19.2 frees a sixteenth in advance; 1.19.10 has keepalive_requests of 1,000 and keepalive_time"))]
    pub version: Version,
    /// Listen backlog.
    #[serde(default = "backlog_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "nginx on Linux: 511"))]
    pub backlog: u32,
    /// `net.core.somaxconn`.
    #[serde(default = "somaxconn_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "Linux ip-sysctl: 4096 from 5.4, 128 before"))]
    pub somaxconn: u32,
    /// `net.ipv4.tcp_syncookies`: whether there may be any number of half-open connections, or as many as the backlog.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "Linux ip-sysctl: 1"))]
    pub syncookies: bool,
    /// `net.ipv4.tcp_abort_on_overflow`: whether a handshake that ends at a full accept queue is reset.
    #[serde(default)]
    #[schemars(extend("x-source" = "Linux ip-sysctl: 0"))]
    pub abort_on_overflow: bool,
    /// Listening sockets.
    #[serde(default = "listeners_default")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "ports 80 and 443"))]
    pub listeners: u32,
    /// `keepalive_timeout` toward clients; of HTTP/2 before 1.19.7 `http2_idle_timeout`, whose default was 3 min.
    #[serde(default = "keepalive_timeout_default")]
    #[schemars(extend("x-source" = "nginx default: 75 s"))]
    pub keepalive_timeout: Span,
    /// `keepalive_requests` toward clients, of HTTP/2 before 1.19.7 `http2_max_requests`; none: 1,000, but 100 of HTTP/1.1 where `version`
    /// is "1.18".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000), extend("x-source" = "nginx default: 1,000 (100 before 1.19.10; http2_max_requests 1,000)"))]
    pub keepalive_requests: Option<u32>,
    /// `keepalive_time` toward clients: the first request later than this is the last of its connection; none: 1 h, but no limit where
    /// `version` is "1.18".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "nginx default: 1 h (from 1.19.10)"))]
    pub keepalive_time: Option<Span>,
    /// `http2_max_concurrent_streams`: requests at a time on one HTTP/2 connection. Whether HTTP/2 is spoken is the client's choice
    /// (`connection.http2`).
    #[serde(default = "streams_default", skip_serializing_if = "is_streams_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "nginx default: 128"))]
    pub http2_max_concurrent_streams: u32,
    /// `keepalive` of the upstream: idle connections that a worker keeps, to all servers together; 0: a new one for every request.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "nginx default: off (32 from 1.29.7)"))]
    pub upstream_keepalive: u32,
    /// `keepalive_requests` of the upstream: after so many requests nginx closes a connection to a server; none: 1,000, but 100 where
    /// `version` is "1.18".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000), extend("x-source" = "nginx default: 1,000 (100 before 1.19.10)"))]
    pub upstream_keepalive_requests: Option<u32>,
    /// `keepalive_time` of the upstream: after a request that ends later than this nginx closes a connection to a server; none: 1 h, but
    /// no limit where `version` is "1.18".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "nginx default: 1 h (from 1.19.10)"))]
    pub upstream_keepalive_time: Option<Span>,
    /// `keepalive_timeout` of the upstream: so long a connection to a server may be idle.
    #[serde(default = "minute", skip_serializing_if = "is_minute")]
    #[schemars(extend("x-source" = "nginx default: 60 s (from 1.15.3)"))]
    pub upstream_keepalive_timeout: Span,
    /// Balancing method.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default"))]
    pub balance: Balance,
    /// `proxy_connect_timeout`.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "nginx default: 60 s"))]
    pub proxy_connect_timeout: Span,
    /// `proxy_read_timeout`.
    #[serde(default = "minute")]
    #[schemars(extend("x-source" = "nginx default: 60 s"))]
    pub proxy_read_timeout: Span,
    /// `proxy_next_upstream error timeout` (true) or off; other parameters stand in `proxy_next_upstream`.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "nginx default: error timeout"))]
    pub next_upstream: bool,
    /// Parameters of `proxy_next_upstream`, as `["error", "timeout", "http_503"]`; none: as `next_upstream` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_next_upstream: Option<Vec<NextOn>>,
    /// `proxy_next_upstream_tries`: most servers for one request; 0: each once.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_535), extend("x-source" = "nginx default: 0"))]
    pub next_upstream_tries: u16,
    /// `proxy_next_upstream_timeout`: no other server after this; 0s: no limit.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: 0"))]
    pub next_upstream_timeout: Span,
    /// `limit_req`: most requests per second; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_req: Option<LimitReq>,
    /// `limit_conn`: most requests in progress; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_conn: Option<LimitConn>,
    /// How many addresses the users come from, for `limit_req`, `limit_conn` and ip_hash; 0: each from its own. Users behind one proxy,
    /// or played by one load generator, have 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "each from its own unless said"))]
    pub clients: u32,
    /// How many networks these addresses lie in, for ip_hash, which looks at the first three bytes of an IPv4 address (a /24); 0: each
    /// in its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "each in its own unless said"))]
    pub networks: u32,
    /// Who closes an upstream connection that is not kept: the upstream server (HTTP/1.0 or `Connection: close`), or nginx
    /// (HTTP/1.1 with another `Connection` header and no upstream keepalive), whose port is in TIME_WAIT then.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: proxy_http_version 1.0, which means Connection: close"))]
    pub upstream_closed_by: Closer,
    /// Ports for outgoing connections to one upstream server (`net.ipv4.ip_local_port_range`).
    #[serde(default = "local_ports_default")]
    #[schemars(range(min = 1, max = 64_512), extend("x-source" = "Linux default 32768 to 60999"))]
    pub local_ports: u32,
    /// `max_fails` of every upstream server; 0: never marked as failed.
    #[serde(default = "max_fails_default")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "nginx default: 1"))]
    pub max_fails: u32,
    /// `max_conns` of every upstream server, per worker unless `zone` is set; 0: no limit. There is no queue: a request that
    /// finds no server below it is answered with 502.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "nginx default: 0"))]
    pub max_conns: u32,
    /// `zone` of the upstream: workers share turns, failures and numbers of connections.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: none"))]
    pub zone: bool,
    /// `fail_timeout` of every upstream server.
    #[serde(default = "fail_timeout_default")]
    #[schemars(extend("x-source" = "nginx default: 10 s"))]
    pub fail_timeout: Span,
    /// Round-trip time between nginx and its upstream servers.
    #[serde(default = "upstream_rtt_default")]
    #[schemars(extend("x-source" = "assumed: one availability zone", "x-assumed" = true))]
    pub upstream_rtt: Span,
    /// When the kernel of nginx's host sends a lost SYN to an upstream server again.
    #[serde(default)]
    #[schemars(extend("x-source" = "Linux ip-sysctl: tcp_syn_retries 6; linear first from 6.5"))]
    pub upstream_syn_retry: SynRetry,
    /// Processor time of a worker per accepted connection.
    #[serde(default = "cpu_accept_default")]
    #[schemars(extend("x-source" = "measured: 16 µs for a new connection with one answer, 7 µs on a kept one (own VM, ±30 %)"))]
    pub cpu_accept: Span,
    /// Processor time of a worker per proxied request.
    #[serde(default = "cpu_request_default")]
    #[schemars(extend("x-source" = "measured: 33 µs with a new upstream connection each, 11 µs with upstream keep-alive (own VM, ±30 %)"))]
    pub cpu_request: Span,
    /// Processor time of a worker per full TLS handshake.
    #[serde(default = "cpu_handshake_default")]
    #[schemars(extend("x-source" = "measured: 440 µs RSA-2048, 190 µs ECDSA P-256, TLS 1.3 (own VM, ±30 %)"))]
    pub cpu_handshake: Span,
    /// The machine it runs on, for the bill.
    #[serde(default)]
    pub host: Host,
}

/// Parameters of the `server` lines of a node, the same for each of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerLine {
    /// `weight`: its share of the turns, of what is hashed or drawn, and what its connections are held against.
    #[serde(default = "weight_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "nginx default: 1"))]
    pub weight: u16,
    /// `backup`: takes requests only while no other server does, or has failed for this request.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: no"))]
    pub backup: bool,
    /// `down`: takes no requests; with `ip_hash` the clients of the others stay where they are.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: no"))]
    pub down: bool,
}

impl Default for ServerLine {
    fn default() -> ServerLine {
        ServerLine { weight: weight_default(), backup: false, down: false }
    }
}

/// The machine nginx runs on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// EC2 instance type; none: not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Rules of connection reuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// Before 1.19.2: connections are reused only when none is free; the first idle worker accepts.
    #[serde(rename = "1.18")]
    V1_18,
    /// 1.21.6 and later: a sixteenth of the connections is kept free (from 1.19.2), workers take turns at accepting.
    #[default]
    #[serde(rename = "1.22")]
    V1_22,
}

impl Version {
    /// Defaults of `keepalive_requests` and `keepalive_time`, toward clients as toward servers.
    pub(super) fn keepalive(self) -> (u32, Span) {
        match self {
            Version::V1_18 => (100, Span::MAX),
            Version::V1_22 => (1000, Span::from_secs(3600)),
        }
    }
}

/// How a worker chooses among upstream servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// Fewest connections of this worker, then round robin.
    LeastConn,
    /// Uniformly at random.
    Random,
    /// By the client's address; another server if that one is out.
    IpHash,
}

/// Which side closes a connection first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Closer {
    /// The upstream server.
    #[default]
    Upstream,
    /// nginx.
    Nginx,
}

fn weight_default() -> u16 {
    1
}
fn workers_default() -> u16 {
    2
}
fn worker_connections_default() -> u32 {
    768
}
fn nofile_default() -> u32 {
    1024
}
fn backlog_default() -> u32 {
    511
}
fn somaxconn_default() -> u32 {
    4096
}
fn listeners_default() -> u32 {
    2
}
fn local_ports_default() -> u32 {
    28_232
}
fn keepalive_timeout_default() -> Span {
    Span::from_secs(75)
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn streams_default() -> u32 {
    128
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_streams_default(n: &u32) -> bool {
    *n == streams_default()
}
fn wakeup_latency_default() -> Span {
    Span::from_micros(39)
}
fn mutex_delay_default() -> Span {
    Span::from_millis(500)
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_mutex_delay_default(delay: &Span) -> bool {
    *delay == mutex_delay_default()
}
fn minute() -> Span {
    Span::from_secs(60)
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_minute(span: &Span) -> bool {
    *span == minute()
}
fn yes() -> bool {
    true
}
fn max_fails_default() -> u32 {
    1
}
fn fail_timeout_default() -> Span {
    Span::from_secs(10)
}
fn upstream_rtt_default() -> Span {
    Span::from_micros(300)
}
fn cpu_accept_default() -> Span {
    Span::from_micros(9)
}
fn cpu_request_default() -> Span {
    Span::from_micros(33)
}
fn cpu_handshake_default() -> Span {
    Span::from_micros(440)
}

impl NginxSpec {
    /// The lines of servers that nginx would refuse.
    fn check_servers(&self, check: &mut Check) {
        let unknown = self.servers.keys().find(|name| !self.upstream.contains(name));
        let backup = |name: &String| self.servers.get(name).is_some_and(|line| line.backup);
        let found = if let Some(name) = unknown {
            Some((
                format!("\"{name}\" is not in `upstream`"),
                "name it there, or leave it out here",
            ))
        } else if matches!(self.balance, Balance::IpHash | Balance::Random)
            && self.upstream.iter().any(backup)
        {
            Some((
                "ip_hash and random do not take backup servers".into(),
                "balance by round_robin or least_conn, or leave `backup` out",
            ))
        } else if !self.upstream.is_empty() && self.upstream.iter().all(backup) {
            Some(("all servers are backups, of none".into(), "leave one server without `backup`"))
        } else {
            None
        };
        if let Some((problem, remedy)) = found {
            check.problem("E0397", "servers", problem, remedy);
        }
    }

    /// Whether workers wait for new connections one at a time.
    pub(super) fn excludes(&self) -> bool {
        self.accept_mutex && self.workers > 1 && !self.reuseport
    }

    /// Settings that this version does not have, or that do nothing here.
    fn check_idle_settings(&self, check: &mut Check) {
        for (field, time) in [
            ("keepalive_time", self.keepalive_time),
            ("upstream_keepalive_time", self.upstream_keepalive_time),
        ] {
            if time.is_some() && self.version == Version::V1_18 {
                check.problem(
                    "E0401",
                    field,
                    "nginx has it from 1.19.10, and `version` is \"1.18\"".into(),
                    "leave it out, or set `version` to \"1.22\"",
                );
            }
        }
        for (field, said, does) in [
            ("clients", self.clients > 0, asks_for_clients(self)),
            ("networks", self.networks > 0, self.balance == Balance::IpHash),
        ] {
            if said && !does {
                check.problem(
                    "W0441",
                    field,
                    "nothing here asks where clients come from".into(),
                    "set `balance` to \"ip_hash\", or leave it out; `clients` is also for limits with the key \"client\"",
                );
            }
        }
        for (field, said) in [
            ("upstream_keepalive_requests", self.upstream_keepalive_requests.is_some()),
            ("upstream_keepalive_time", self.upstream_keepalive_time.is_some()),
            ("upstream_keepalive_timeout", !is_minute(&self.upstream_keepalive_timeout)),
        ] {
            if said && self.upstream_keepalive == 0 {
                check.problem(
                    "W0440",
                    field,
                    "no connection to a server is kept, as `upstream_keepalive` is 0".into(),
                    "set `upstream_keepalive`, or leave this out",
                );
            }
        }
    }

    /// Descriptors that an idle worker holds.
    pub fn base(&self) -> u32 {
        let sockets = if self.reuseport { u32::from(self.workers) } else { 1 };
        let more = (self.listeners * sockets).saturating_sub(1);
        self.base_descriptors.unwrap_or(9 + u32::from(self.workers) + more)
    }
}

impl Spec for NginxSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        let path = |(i, name): (usize, &'_ String)| (format!("upstream[{i}]"), name.clone());
        let paths: Vec<_> = self.upstream.iter().enumerate().map(path).collect();
        paths
            .into_iter()
            .zip(&self.upstream)
            .map(|((path, _), name)| (path, name.as_str()))
            .collect()
    }
    fn listens(&self, _of: &dyn Fn(&str) -> bool) -> bool {
        true
    }
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        Some(self.http2_max_concurrent_streams)
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
        }
        if self.upstream.is_empty() {
            check.problem(
                "E0315",
                "upstream",
                "an nginx without an upstream server answers nobody".into(),
                "name at least one node, e.g. [\"api\"]",
            );
        }
        self.check_servers(check);
        self.check_idle_settings(check);
        next::check(self, check);
        if self.limit_req.as_ref().is_some_and(|limit| limit.nodelay && limit.delay > 0) {
            check.problem(
                "E0398",
                "limit_req.delay",
                "with `nodelay` none of the burst is held back".into(),
                "give `delay`, or `nodelay`",
            );
        }
        if self.nofile <= self.base() + 1 {
            check.problem(
                "E0316",
                "nofile",
                format!("{} descriptors: an idle worker alone holds {}", self.nofile, self.base()),
                "raise `nofile`; a proxied request takes two",
            );
        }
        if self.worker_connections <= self.listeners + 2 {
            check.problem(
                "E0317",
                "worker_connections",
                format!("{} connections leave none for a request", self.worker_connections),
                "raise `worker_connections`; a proxied request takes two",
            );
        }
        if let Some(share) = self.accept_share
            && (share * f64::from(self.workers) < 1.0 || self.reuseport)
        {
            check.problem(
                "E0319",
                "accept_share",
                format!("{share} is not what the fullest of {} workers accepts", self.workers),
                "give at least 1 / `workers`, and none with `reuseport`",
            );
        }
        if self.accept_share.is_some() && self.accept_mutex {
            check.problem(
                "E0421",
                "accept_share",
                "with `accept_mutex` connections go to whoever has the mutex".into(),
                "give one of the two",
            );
        }
        let instance = self.host.instance.as_deref();
        instance::check_burst(check, "host.instance", instance);
        if instance.is_none() {
            check.problem(
                "W0401",
                "host.instance",
                "the host has no `instance`, so it is not on the bill".into(),
                "name an EC2 instance type, e.g. \"c6i.large\"",
            );
        }
    }
    fn shares_machine(&self) -> Result<(), &'static str> {
        Ok(())
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.host.instance.iter().map(|instance| format!("ec2.{instance}")).collect()
    }
}
