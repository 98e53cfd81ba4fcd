//! `limit_req` and `limit_conn`: requests that are delayed or refused before a server is chosen. Handlers of the phase run in the reverse
//! order of their modules (`ngx_http_init_phase_handlers`), so `limit_req` comes first: a request that it holds back does not count for
//! `limit_conn` yet, and one that `limit_conn` refuses has counted for the rate.

use super::spec::NginxSpec;
use crate::kernel::{Span, Time};
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the key of a limit's zone is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKey {
    /// `$binary_remote_addr`: every address for itself (`clients`).
    #[default]
    Client,
    /// `$server_name`: all together. The server has to have a name: what has an empty key is not limited.
    Server,
}

impl LimitKey {
    fn of(self, client: u64) -> u64 {
        match self {
            LimitKey::Client => client,
            LimitKey::Server => 0,
        }
    }
}

/// `limit_req_zone` and `limit_req`: a leaky bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitReq {
    /// `rate`.
    pub rate: Rate,
    /// `burst`: how many requests may be ahead of the rate.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "nginx default: 0"))]
    pub burst: u32,
    /// `nodelay`: requests within the burst pass at once instead of at the rate.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx default: delayed"))]
    pub nodelay: bool,
    /// `delay`: how many requests ahead of the rate pass at once, before those within the burst are held back to the rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "nginx default: 0"))]
    pub delay: u32,
    /// `limit_req_status`.
    #[serde(default = "status_default")]
    #[schemars(range(min = 400, max = 599), extend("x-source" = "nginx default: 503"))]
    pub status: u16,
    /// What the rate holds for.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx documentation's example: $binary_remote_addr"))]
    pub key: LimitKey,
}

/// `limit_conn_zone` and `limit_conn`: most requests in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConn {
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// `limit_conn_status`.
    #[serde(default = "status_default")]
    #[schemars(range(min = 400, max = 599), extend("x-source" = "nginx default: 503"))]
    pub status: u16,
    /// What the number holds for.
    #[serde(default)]
    #[schemars(extend("x-source" = "nginx documentation's example: $binary_remote_addr"))]
    pub key: LimitKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn status_default() -> u16 {
    503
}

/// Both limits of one server.
#[derive(Debug)]
pub(super) struct RequestLimits {
    rate: Option<(Buckets, LimitKey, u16)>,
    in_progress: Option<(InProgress, LimitKey, u16)>,
}

impl RequestLimits {
    pub(super) fn new(spec: &NginxSpec) -> RequestLimits {
        let rate = |limit: &LimitReq| (Buckets::new(limit), limit.key, limit.status);
        let number = |limit: &LimitConn| (InProgress::new(limit), limit.key, limit.status);
        RequestLimits {
            rate: spec.limit_req.as_ref().map(rate),
            in_progress: spec.limit_conn.as_ref().map(number),
        }
    }

    /// A request of `client` at `limit_req`: how long it is held back, or the status with which it is refused.
    #[inline]
    pub(super) fn hold_back(&mut self, client: u64, now: Time) -> Result<Span, u16> {
        let Some((buckets, key, status)) = &mut self.rate else { return Ok(Span::ZERO) };
        buckets.admit(key.of(client), now).ok_or(*status)
    }

    /// A request of `client` at `limit_conn`, behind `limit_req`: it counts as in progress until it leaves, or is refused with a status.
    #[inline]
    pub(super) fn enter(&mut self, client: u64) -> Result<(), u16> {
        let Some((limit, key, status)) = &mut self.in_progress else { return Ok(()) };
        if limit.enter(key.of(client)) { Ok(()) } else { Err(*status) }
    }

    /// A request that counted has ended.
    pub(super) fn leave(&mut self, client: u64) {
        if let Some((limit, key, _)) = &mut self.in_progress {
            limit.leave(key.of(client));
        }
    }
}

/// A leaky bucket per key, as in `ngx_http_limit_req_lookup`: the excess over the rate in thousandths of a request, at
/// milliseconds.
#[derive(Debug)]
struct Buckets {
    /// Thousandths of a request per second.
    rate: u64,
    burst: u64,
    /// Up to this excess requests pass at once.
    at_once: u64,
    rows: BTreeMap<u64, (u64, u64)>,
}

impl Buckets {
    fn new(limit: &LimitReq) -> Buckets {
        Buckets {
            rate: ((limit.rate.per_second() * 1000.0).round() as u64).max(1),
            burst: u64::from(limit.burst) * 1000,
            at_once: if limit.nodelay { u64::MAX } else { u64::from(limit.delay) * 1000 },
            rows: BTreeMap::new(),
        }
    }

    /// How long the request is held back; none: it is refused.
    fn admit(&mut self, key: u64, now: Time) -> Option<Span> {
        let ms = now.nanos() / 1_000_000;
        let Some((excess, last)) = self.rows.get_mut(&key) else {
            self.rows.insert(key, (0, ms));
            return Some(Span::ZERO);
        };
        let leaked = self.rate * (ms - *last) / 1000;
        let level = (*excess + 1000).saturating_sub(leaked);
        if level > self.burst {
            return None;
        }
        *excess = level;
        *last = ms;
        // ngx_http_limit_req_account
        let late = level.saturating_sub(self.at_once);
        Some(Span::from_millis(late * 1000 / self.rate))
    }
}

/// Requests in progress per key.
#[derive(Debug)]
struct InProgress {
    max: u32,
    rows: BTreeMap<u64, u32>,
}

impl InProgress {
    fn new(limit: &LimitConn) -> InProgress {
        InProgress { max: limit.max, rows: BTreeMap::new() }
    }

    /// Counts a request, unless there are too many already.
    fn enter(&mut self, key: u64) -> bool {
        let n = self.rows.entry(key).or_insert(0);
        let room = *n < self.max;
        *n += u32::from(room);
        room
    }

    /// A counted request has ended.
    fn leave(&mut self, key: u64) {
        if let Some(n) = self.rows.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                self.rows.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(burst: u32, nodelay: bool) -> LimitReq {
        LimitReq { rate: Rate(10.0), burst, nodelay, delay: 0, status: 503, key: LimitKey::Client }
    }

    #[test]
    fn a_burst_is_delayed_to_the_rate_and_the_rest_refused() {
        // ngx_http_limit_req_module's documentation: rate 10/s, burst 3: of 6 at once one passes, three wait 0.1, 0.2 and
        // 0.3 s, two are refused.
        let mut buckets = Buckets::new(&limit(3, false));
        let got: Vec<_> = (0..6).map(|_| buckets.admit(7, Time::ZERO)).collect();
        let ms = |n| Some(Span::from_millis(n));
        assert_eq!(got, [ms(0), ms(100), ms(200), ms(300), None, None]);
        // Another client has a bucket of its own.
        assert_eq!(buckets.admit(8, Time::ZERO), ms(0));
    }

    #[test]
    fn nodelay_passes_the_burst_at_once_and_refills_at_the_rate() {
        let mut buckets = Buckets::new(&limit(3, true));
        let passed = (0..10).filter(|_| buckets.admit(0, Time::ZERO).is_some()).count();
        assert_eq!(passed, 4);
        let later = Time::from_nanos(200_000_000);
        let passed = (0..10).filter(|_| buckets.admit(0, later).is_some()).count();
        assert_eq!(passed, 2);
    }

    #[test]
    fn t_ngx_11_delay_lets_the_first_of_a_burst_pass_at_once_and_holds_the_others_back() {
        // nginx's documentation of `delay` ("excessive requests become delayed"): rate 10/s, burst 4, delay 2: of 7 at once 1 + 2
        // pass, two wait for what they are ahead beyond the 2, 0.1 and 0.2 s, two are refused.
        let limit = LimitReq { delay: 2, ..limit(4, false) };
        let mut buckets = Buckets::new(&limit);
        let got: Vec<_> = (0..7).map(|_| buckets.admit(7, Time::ZERO)).collect();
        let ms = |n| Some(Span::from_millis(n));
        assert_eq!(got, [ms(0), ms(0), ms(0), ms(100), ms(200), None, None]);
    }
}
