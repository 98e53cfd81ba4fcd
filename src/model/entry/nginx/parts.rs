//! What the proxy notes: a request under way, the limits it announces, what it counts.

use super::spec::NginxSpec;
use super::worker::Connection;
use crate::kernel::{LaneId, Span, Time, TimerId};
use crate::model::ledger::{Ledger, LimitId};
use crate::model::listener::Listener;
use crate::model::message::{CallId, NodeId};
use std::collections::VecDeque;

/// A listening socket: connections that no worker has accepted yet, and since when they wait.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: Listener,
    pub(super) waiting: VecDeque<(CallId, Time)>,
}

/// One proxied request: which worker, connection and peer, what was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) connection: u32,
    pub(super) worker: u16,
    pub(super) peer: u16,
    /// The servers it has tried of the first 64, a bit each.
    pub(super) tried: u64,
    pub(super) tries: u16,
    /// Whether an upstream connection is held.
    pub(super) holds: bool,
    /// Whether that connection was a kept one.
    pub(super) cached: bool,
    /// Whether it counts for `limit_conn`.
    pub(super) counted: bool,
    /// Requests on the upstream connection, this one included, and since when that stands.
    pub(super) requests: u32,
    pub(super) opened: Time,
    /// When it was to be sent on for the first time.
    pub(super) since: Time,
    /// Connect timeout, then nothing.
    pub(super) connect_timer: TimerId,
    /// Read timeout.
    pub(super) timer: TimerId,
}

pub(super) struct Limits {
    pub(super) listen: LimitId,
    pub(super) descriptors: LimitId,
    pub(super) slots: LimitId,
    pub(super) cpu: LimitId,
    pub(super) upstream: LimitId,
    pub(super) ports: LimitId,
    pub(super) requests: LimitId,
}

impl Limits {
    pub(super) fn announce(
        spec: &NginxSpec,
        listen_max: usize,
        me: NodeId,
        ledger: &mut Ledger,
    ) -> Limits {
        let workers = u64::from(spec.workers);
        let (nofile, wc) = (spec.nofile, spec.worker_connections);
        Limits {
            listen: ledger.limit(me, "listen_queue", format!("listen queue of {listen_max}")),
            descriptors: ledger.limit(me, "nofile", format!("{nofile} descriptors per worker")),
            slots: ledger.limit(me, "worker_connections", format!("worker_connections {wc}")),
            cpu: ledger.limit(
                me,
                "cpu",
                format!("{workers} worker process{}", if workers == 1 { "" } else { "es" }),
            ),
            upstream: ledger.limit(
                me,
                "upstream",
                "upstream servers that fail or do not answer".into(),
            ),
            ports: ledger.limit(
                me,
                "ephemeral_ports",
                format!("{} ports per upstream server", spec.local_ports),
            ),
            requests: ledger.limit(me, "request_limit", "limit_req and limit_conn".into()),
        }
    }
}

/// Connections to servers that are kept idle, and for how long one is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpstreamKeepalive {
    /// How many a worker keeps.
    pub(super) idle: u32,
    /// After so many requests one is closed.
    pub(super) requests: u32,
    /// After a request that ends later than this one is closed.
    pub(super) time: Span,
    /// So long one may be idle.
    pub(super) timeout: Span,
}

impl UpstreamKeepalive {
    pub(super) fn new(spec: &NginxSpec) -> UpstreamKeepalive {
        let (requests, time) = spec.version.keepalive();
        UpstreamKeepalive {
            idle: spec.upstream_keepalive,
            requests: spec.upstream_keepalive_requests.unwrap_or(requests),
            time: spec.upstream_keepalive_time.unwrap_or(time),
            timeout: spec.upstream_keepalive_timeout,
        }
    }

    /// Whether a connection is at its end with the request that has just ended (`ngx_http_upstream_free_keepalive_peer`).
    pub(super) fn worn(&self, requests: u32, opened: Time, now: Time) -> bool {
        requests >= self.requests || now - opened > self.time
    }
}

/// How long connections of clients are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientKeepalive {
    /// The lane in which idle ones wait for their end.
    pub(super) lane: LaneId,
    /// With the request of this number one ends.
    requests: u32,
    /// The same of HTTP/2.
    http2_requests: u32,
    /// With the first request after this one ends.
    time: Span,
}

impl ClientKeepalive {
    pub(super) fn new(spec: &NginxSpec, lane: LaneId) -> ClientKeepalive {
        let (requests, time) = spec.version.keepalive();
        let said = spec.keepalive_requests;
        ClientKeepalive {
            lane,
            requests: said.unwrap_or(requests),
            http2_requests: said.unwrap_or(HTTP2_REQUESTS),
            time: spec.keepalive_time.unwrap_or(time),
        }
    }

    /// Whether the request that has come is the last of its connection (`ngx_http_update_location_config`,
    /// `ngx_http_v2_state_headers`).
    #[inline]
    pub(super) fn ends(&self, row: &Connection, now: Time) -> bool {
        let most = if row.http2 { self.http2_requests } else { self.requests };
        row.requests >= most || now - row.accepted > self.time
    }
}

/// `http2_max_requests`, and `keepalive_requests` from 1.19.10.
const HTTP2_REQUESTS: u32 = 1000;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) syn_dropped: u64,
    pub(super) accept_pauses: u64,
    pub(super) next_upstream: u64,
    pub(super) closed_for_reuse: u64,
    pub(super) client_closed: u64,
}
