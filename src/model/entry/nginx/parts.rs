//! What the proxy notes: a request under way, the limits it announces, what it counts.

use super::spec::NginxSpec;
use crate::kernel::{Span, Time, TimerId};
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
    pub(super) tried: u64,
    pub(super) tries: u16,
    /// Whether an upstream connection is held.
    pub(super) holds: bool,
    /// Whether that connection was a kept one.
    pub(super) cached: bool,
    /// Whether it counts for `limit_conn`.
    pub(super) counted: bool,
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

/// When a request goes to another server (`proxy_next_upstream`).
#[derive(Clone, Copy, Debug)]
pub(super) struct NextUpstream {
    pub(super) on: bool,
    /// Most servers; 0: each once.
    pub(super) tries: usize,
    /// No other server after this; zero: no limit.
    pub(super) timeout: Span,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) syn_dropped: u64,
    pub(super) accept_pauses: u64,
    pub(super) next_upstream: u64,
    pub(super) closed_for_reuse: u64,
    pub(super) client_closed: u64,
}
