//! `proxy_next_upstream`: after which failures and answers of a server a request goes to another one.

use super::spec::NginxSpec;
use crate::kernel::Span;
use crate::model::component::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A parameter of `proxy_next_upstream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextOn {
    /// A connection refused, reset or closed, or no port for it.
    Error,
    /// `proxy_connect_timeout` or `proxy_read_timeout`.
    Timeout,
    /// An empty or invalid answer; servers here give none.
    InvalidHeader,
    /// Status 500.
    #[serde(rename = "http_500")]
    Http500,
    /// Status 502.
    #[serde(rename = "http_502")]
    Http502,
    /// Status 503.
    #[serde(rename = "http_503")]
    Http503,
    /// Status 504.
    #[serde(rename = "http_504")]
    Http504,
    /// Status 403, which never counts as a failure of the server.
    #[serde(rename = "http_403")]
    Http403,
    /// Status 404, which never counts as a failure of the server.
    #[serde(rename = "http_404")]
    Http404,
    /// Status 429.
    #[serde(rename = "http_429")]
    Http429,
    /// Also requests that may not be sent twice (POST, LOCK, PATCH), once they were sent.
    NonIdempotent,
    /// Never, whatever stands beside it.
    Off,
}

impl NextOn {
    fn bit(self) -> u16 {
        1 << self as u16
    }

    /// What a status of an answer is called, where it has a name (`ngx_http_upstream_next_errors`).
    fn of_status(status: u16) -> Option<NextOn> {
        Some(match status {
            500 => NextOn::Http500,
            502 => NextOn::Http502,
            503 => NextOn::Http503,
            504 => NextOn::Http504,
            403 => NextOn::Http403,
            404 => NextOn::Http404,
            429 => NextOn::Http429,
            _ => return None,
        })
    }

    /// Whether the server is to blame (`ngx_http_upstream_next`: NGX_PEER_FAILED or NGX_PEER_NEXT).
    pub(super) fn counts_as_failure(self) -> bool {
        !matches!(self, NextOn::Http403 | NextOn::Http404)
    }
}

/// When a request goes to another server.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextUpstream {
    /// The parameters, a bit each; none where it is off.
    on: u16,
    /// Whether any answer is among them.
    pub(super) answers: bool,
    /// Most servers; 0: each once.
    pub(super) tries: usize,
    /// No other server after this; zero: no limit.
    pub(super) timeout: Span,
}

impl NextUpstream {
    pub(super) fn new(spec: &NginxSpec) -> NextUpstream {
        let default = [NextOn::Error, NextOn::Timeout];
        let named = spec.proxy_next_upstream.as_deref().unwrap_or(&default);
        let off = !spec.next_upstream || named.contains(&NextOn::Off);
        let named = if off { &[] } else { named };
        let on = named.iter().fold(0, |bits, on| bits | on.bit());
        let answers = (300..600).filter_map(NextOn::of_status).any(|answer| on & answer.bit() != 0);
        NextUpstream {
            on,
            answers,
            tries: usize::from(spec.next_upstream_tries),
            timeout: spec.next_upstream_timeout,
        }
    }

    /// Whether a failure or an answer passes a request on; `unsafely`: it was sent, and may not be sent twice.
    pub(super) fn takes(&self, on: NextOn, unsafely: bool) -> bool {
        let needed = on.bit() | if unsafely { NextOn::NonIdempotent.bit() } else { 0 };
        self.on & needed == needed
    }

    /// As what an answer of this status passes a request on, if it does.
    pub(super) fn takes_answer(&self, status: u16, idempotent: bool) -> Option<NextOn> {
        NextOn::of_status(status).filter(|on| self.takes(*on, !idempotent))
    }
}

/// Parameters that contradict one another.
pub(super) fn check(spec: &NginxSpec, check: &mut Check) {
    let Some(named) = &spec.proxy_next_upstream else { return };
    let found = if named.is_empty() {
        Some(("no parameter stands here", "name some, or [\"off\"]"))
    } else if !spec.next_upstream {
        Some(("`next_upstream` is false, which is `off`", "leave `next_upstream` out, or this"))
    } else if named.contains(&NextOn::Off) && named.len() > 1 {
        Some(("with `off` nothing beside it counts", "leave `off` out, or the others"))
    } else {
        None
    };
    if let Some((problem, remedy)) = found {
        check.problem("E0400", "proxy_next_upstream", problem.into(), remedy);
    }
}
