//! How clients try again: pure decisions from the failure and the policy's own state.
//!
//! Backoff kinds are those of AWS's backoff simulator (`aws-samples/aws-arch-backoff-simulator`); the SDK modes are
//! botocore's (`retries/standard.py`, `quota.py`, `adaptive.py`, `throttling.py`, version 1.44).

use crate::kernel::{Span, Stream, Time};
use crate::model::bucket::Bucket;
use crate::model::message::{Cause, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a client tries again after a failed attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never.
    None(Never),
    /// After a fixed pause.
    Fixed(Tries),
    /// After growing pauses.
    Exponential(Backoff),
    /// As an AWS SDK does. It does not try again when a function that it invoked ended with an error: Lambda answers that with
    /// status 200 and a header.
    Sdk(Sdk),
}

impl Default for Retry {
    fn default() -> Self {
        Retry::None(Never {})
    }
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Never {}

/// Fixed pauses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: u16,
    /// Pause before every retry.
    pub delay: Span,
    /// Failures after which there is a retry; none: connection errors, timeouts and HTTP 429, 500, 502, 503, 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<RetryOn>>,
    /// Limit of retries relative to requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Growing pauses: min(cap, base · factor^n) before retry n = 0, 1, …, then jitter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: u16,
    /// Pause before the first retry.
    pub base: Span,
    /// Growth from retry to retry.
    #[serde(default = "two")]
    #[schemars(range(min = 1.0, max = 100.0), extend("x-source" = "binary exponential backoff"))]
    pub factor: f64,
    /// Longest pause.
    #[serde(default = "cap_default")]
    #[schemars(extend("x-source" = "botocore standard mode: 20 s", "x-also" = ["max", "max_delay", "max_backoff", "max_interval", "limit"]))]
    pub cap: Span,
    /// Random part.
    #[serde(default)]
    #[schemars(extend("x-source" = "AWS Architecture Blog, Exponential Backoff And Jitter"))]
    pub jitter: Jitter,
    /// Failures after which there is a retry; none: connection errors, timeouts and HTTP 429, 500, 502, 503, 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<RetryOn>>,
    /// Limit of retries relative to requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

fn two() -> f64 {
    2.0
}
fn cap_default() -> Span {
    Span::from_secs(20)
}

/// The random part of a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// U(0, pause).
    #[default]
    Full,
    /// pause/2 + U(0, pause/2).
    Equal,
    /// min(cap, U(base, 3 · previous pause)).
    Decorrelated,
    /// None at all.
    None,
}

/// Failures after which a client tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The client's own timeout.
    Timeout,
    /// No connection, refused, reset, closed without an answer.
    Connection,
    /// Connection refused.
    Refused,
    /// Reset, closed without an answer, or no connection for another reason than a refusal.
    Closed,
    /// HTTP 429.
    #[serde(rename = "429")]
    TooManyRequests,
    /// HTTP 500 to 599.
    #[serde(rename = "5xx")]
    ServerError,
    /// HTTP 500.
    #[serde(rename = "500")]
    InternalServerError,
    /// HTTP 502.
    #[serde(rename = "502")]
    BadGateway,
    /// HTTP 503.
    #[serde(rename = "503")]
    ServiceUnavailable,
    /// HTTP 504.
    #[serde(rename = "504")]
    GatewayTimeout,
}

impl RetryOn {
    fn covers(self, failure: Outcome) -> bool {
        let timeout = failure.cause == Some(Cause::ClientTimeout);
        let refused = failure.cause == Some(Cause::Refused);
        match self {
            RetryOn::Timeout => failure.status == 0 && timeout,
            RetryOn::Connection => failure.status == 0 && !timeout,
            RetryOn::Refused => failure.status == 0 && refused,
            RetryOn::Closed => failure.status == 0 && !timeout && !refused,
            RetryOn::TooManyRequests => failure.status == 429,
            RetryOn::InternalServerError => failure.status == 500,
            RetryOn::BadGateway => failure.status == 502,
            RetryOn::ServiceUnavailable => failure.status == 503,
            RetryOn::GatewayTimeout => failure.status == 504,
            RetryOn::ServerError => (500..600).contains(&failure.status),
        }
    }
}

/// Retries are allowed while a bucket that every first attempt fills by `ratio` holds a whole token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Retries per request in the long run, e.g. 0.1.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub ratio: f64,
    /// Retries that are always possible, per second.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1e9), extend("x-source" = "zero unless said; Finagle and linkerd use 10"))]
    pub min_per_second: f64,
}

/// An AWS SDK.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sdk {
    /// Retry mode.
    pub mode: SdkMode,
    /// Whether all users share one SDK client (a server) or have one each (devices).
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: users are devices of their own", "x-assumed" = true))]
    pub shared: bool,
}

/// Retry mode of an AWS SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SdkMode {
    /// 5 attempts, U(0,1) · 2^n s, no quota.
    Legacy,
    /// 3 attempts, min(U(0,1) · 2^n, 20) s, quota of 500 tokens: 5 a retry, 10 after a timeout.
    Standard,
    /// As standard, and a client-side rate limiter after CUBIC.
    Adaptive,
    /// Rules of 2026: 3 attempts, U(0,1) · min(base · 2^n, 20) s, base 1 s after throttling and 50 ms otherwise; 500 tokens: 5 after throttling, 14 otherwise.
    #[serde(rename = "y2026")]
    Y2026,
}

/// State of a policy: one for a class, or one for each user.
#[derive(Debug, Clone)]
pub struct RetryState {
    tokens: Bucket,
}

const SDK_TOKENS: f64 = 500.0;

impl Retry {
    /// Fresh state of this policy.
    pub fn state(&self) -> RetryState {
        let tokens = match self.budget() {
            // Room for ten seconds of the guaranteed rate and at least ten retries.
            Some(budget) => {
                let mut bucket =
                    Bucket::new(budget.min_per_second, (10.0 * budget.min_per_second).max(10.0));
                bucket.take_many(Time::ZERO, (10.0 * budget.min_per_second).max(10.0));
                bucket
            }
            None => Bucket::new(0.0, SDK_TOKENS),
        };
        RetryState { tokens }
    }

    fn on(&self) -> Option<&[RetryOn]> {
        match self {
            Retry::Fixed(policy) => policy.on.as_deref(),
            Retry::Exponential(policy) => policy.on.as_deref(),
            Retry::None(_) | Retry::Sdk(_) => None,
        }
    }

    fn budget(&self) -> Option<&Budget> {
        match self {
            Retry::Fixed(policy) => policy.budget.as_ref(),
            Retry::Exponential(policy) => policy.budget.as_ref(),
            Retry::None(_) | Retry::Sdk(_) => None,
        }
    }

    /// Whether all users share one state.
    pub fn shared(&self) -> bool {
        match self {
            Retry::Sdk(sdk) => sdk.shared || sdk.mode == SdkMode::Adaptive,
            _ => true,
        }
    }

    /// Whether first attempts or successes change what retries are allowed: a budget, or an SDK's quota.
    pub fn counts(&self) -> bool {
        self.budget().is_some() || matches!(self, Retry::Sdk(_))
    }

    /// Retry tokens that one retry after `cause` costs.
    pub fn price(&self, cause: Cause) -> u8 {
        if let Retry::Sdk(sdk) = self { cost(sdk.mode, cause) as u8 } else { 0 }
    }

    /// Gives retry tokens back.
    pub fn refund(&self, state: &mut RetryState, tokens: u8) {
        state.tokens.put(f64::from(tokens));
    }

    /// Attempts in all.
    fn attempts(&self) -> u16 {
        match self {
            Retry::None(_) => 1,
            Retry::Fixed(policy) => policy.attempts,
            Retry::Exponential(policy) => policy.attempts,
            Retry::Sdk(sdk) => {
                if sdk.mode == SdkMode::Legacy {
                    5
                } else {
                    3
                }
            }
        }
    }

    /// A first attempt is sent.
    pub fn first_attempt(&self, state: &mut RetryState) {
        if let Some(budget) = self.budget() {
            state.tokens.put(budget.ratio);
        }
    }

    /// An attempt succeeded after `retries` retries: SDK quotas are refunded.
    #[inline]
    pub fn succeeded(&self, state: &mut RetryState, retries: u16, last: Option<Cause>) {
        if let Retry::Sdk(sdk) = self {
            let refund = if retries == 0 { 1.0 } else { last.map_or(1.0, |c| cost(sdk.mode, c)) };
            state.tokens.put(refund);
        }
    }

    /// The pause before the next attempt, or none: give up. `retries` is how many were made already, `last` the pause
    /// before the attempt that failed.
    pub fn decide(
        &self,
        state: &mut RetryState,
        failure: Outcome,
        retries: u16,
        last: Span,
        now: Time,
        stream: &mut Stream,
    ) -> Option<Span> {
        let cause = failure.cause?;
        let wanted = match self.on() {
            Some(on) => on.iter().any(|on| on.covers(failure)),
            // An SDK sees a function's error in an answer with status 200, and takes it for an answer.
            None => {
                !(failure.function_error && matches!(self, Retry::Sdk(_))) && retryable(failure)
            }
        };
        if retries + 1 >= self.attempts() || !wanted {
            return None;
        }
        if self.budget().is_some() && !state.tokens.take(now) {
            return None;
        }
        match self {
            Retry::None(_) => None,
            Retry::Fixed(policy) => Some(policy.delay),
            Retry::Exponential(policy) => Some(policy.pause(retries, last, stream)),
            Retry::Sdk(sdk) => {
                let price = cost(sdk.mode, cause);
                if sdk.mode != SdkMode::Legacy && !state.tokens.take_many(now, price) {
                    return None;
                }
                let growth = f64::from(1_u32 << retries.min(20));
                let u = stream.unit();
                Some(Span::from_secs_f64(match sdk.mode {
                    SdkMode::Legacy => u * growth,
                    SdkMode::Standard | SdkMode::Adaptive => (u * growth).min(20.0),
                    SdkMode::Y2026 => {
                        let base = if cause.throttled() { 1.0 } else { 0.05 };
                        u * (base * growth).min(20.0)
                    }
                }))
            }
        }
    }
}

impl Backoff {
    fn pause(&self, retries: u16, last: Span, stream: &mut Stream) -> Span {
        let grown = self.base.as_secs_f64() * libm::pow(self.factor, f64::from(retries));
        let full = grown.min(self.cap.as_secs_f64());
        Span::from_secs_f64(match self.jitter {
            Jitter::None => full,
            Jitter::Full => full * stream.unit(),
            Jitter::Equal => full / 2.0 + full / 2.0 * stream.unit(),
            Jitter::Decorrelated => {
                let base = self.base.as_secs_f64();
                let high = (3.0 * if last.is_zero() { base } else { last.as_secs_f64() }).max(base);
                (base + (high - base) * stream.unit()).min(self.cap.as_secs_f64())
            }
        })
    }
}

/// SDKs and sensible clients try again after connection errors, timeouts and HTTP 429, 500, 502, 503, 504.
fn retryable(failure: Outcome) -> bool {
    matches!(failure.status, 0 | 429 | 500 | 502 | 503 | 504)
}

/// Retry tokens for one retry after `cause`.
fn cost(mode: SdkMode, cause: Cause) -> f64 {
    let timeout = matches!(cause, Cause::ClientTimeout | Cause::ConnectTimeout);
    match mode {
        SdkMode::Y2026 => {
            if cause.throttled() {
                5.0
            } else {
                14.0
            }
        }
        _ => {
            if timeout {
                10.0
            } else {
                5.0
            }
        }
    }
}

/// The client-side rate limiter of the adaptive mode: a token bucket whose rate follows CUBIC (RFC 8312): scale 0.4,
/// β 0.7, measured in half-second steps smoothed by 0.8, at least 0.5/s, at most twice what was measured.
#[derive(Debug, Clone)]
pub struct Adaptive {
    enabled: bool,
    rate: f64,
    bucket: Bucket,
    owed_until: Time,
    measured: f64,
    step: u64,
    count: u32,
    last_max: f64,
    last_throttle: Time,
}

const CUBIC_SCALE: f64 = 0.4;
const CUBIC_BETA: f64 = 0.7;
const SMOOTHING: f64 = 0.8;
const RATE_MIN: f64 = 0.5;

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive {
            enabled: false,
            rate: 0.0,
            bucket: Bucket::new(0.0, 1.0),
            owed_until: Time::ZERO,
            measured: 0.0,
            step: 0,
            count: 0,
            last_max: 0.0,
            last_throttle: Time::ZERO,
        }
    }
}

impl Adaptive {
    /// How long an attempt must wait before it may be sent.
    pub fn delay(&mut self, now: Time) -> Span {
        if !self.enabled {
            return Span::ZERO;
        }
        // Every attempt books the next free place at the present rate.
        let start = self.owed_until.max(now);
        if self.bucket.take(now) && start == now {
            return Span::ZERO;
        }
        self.owed_until = start + Span::from_secs_f64(1.0 / self.rate);
        self.owed_until.since(now)
    }

    /// An answer came: learn from it.
    pub fn learn(&mut self, now: Time, was_throttled: bool) {
        self.measure(now);
        let window = |max: f64| libm::cbrt(max * (1.0 - CUBIC_BETA) / CUBIC_SCALE);
        let wanted = if was_throttled {
            let rate = if self.enabled { self.measured.min(self.rate) } else { self.measured };
            self.last_max = rate;
            self.last_throttle = now;
            self.enabled = true;
            rate * CUBIC_BETA
        } else {
            let dt = now.since(self.last_throttle).as_secs_f64() - window(self.last_max);
            CUBIC_SCALE * dt * dt * dt + self.last_max
        };
        self.rate = wanted.min(2.0 * self.measured).max(RATE_MIN);
        let level = self.bucket.level(now).min(self.rate.max(1.0));
        self.bucket = Bucket::new(self.rate, self.rate.max(1.0));
        self.bucket.take_many(now, self.rate.max(1.0) - level);
    }

    fn measure(&mut self, now: Time) {
        let step = now.nanos() / 500_000_000;
        self.count += 1;
        if step > self.step {
            let rate = f64::from(self.count) / ((step - self.step) as f64 * 0.5);
            self.measured = SMOOTHING * rate + (1.0 - SMOOTHING) * self.measured;
            self.count = 0;
            self.step = step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use crate::model::message::NodeId;

    fn policy(text: &str) -> Retry {
        serde_json::from_str(text).unwrap()
    }
    fn failure(cause: Cause, status: u16) -> Outcome {
        Outcome::failed(cause, NodeId(0), status)
    }

    #[test]
    fn t_sdk_1_standard_makes_three_attempts() {
        let retry = policy(r#"{"sdk": {"mode": "standard"}}"#);
        let lost = failure(Cause::ThrottledAccount, 500);
        let mut stream = Key::root(1, 0).stream();
        let (mut first, mut second) = (0.0, 0.0);
        let n = 20_000;
        for _ in 0..n {
            let mut state = retry.state();
            let mut ask = |retries| {
                retry.decide(&mut state, lost, retries, Span::ZERO, Time::ZERO, &mut stream)
            };
            let (a, b) = (ask(0).unwrap().as_secs_f64(), ask(1).unwrap().as_secs_f64());
            assert!(a <= 1.0 && b <= 2.0);
            assert_eq!(ask(2), None);
            first += a;
            second += b;
        }
        let n = f64::from(n);
        assert!((first / n - 0.5).abs() < 0.012 && (second / n - 1.0).abs() < 0.024);
    }

    #[test]
    fn t_sdk_2_five_hundred_tokens_are_a_hundred_retries() {
        for (mode, cause, retries) in [
            ("standard", Cause::FunctionError, 100),
            ("standard", Cause::ClientTimeout, 50),
            ("y2026", Cause::FunctionError, 35),
        ] {
            let retry = policy(&format!(r#"{{"sdk": {{"mode": "{mode}"}}}}"#));
            let mut state = retry.state();
            let mut stream = Key::root(2, 0).stream();
            let lost = failure(cause, 500);
            let mut made = 0;
            for _call in 0..500 {
                for attempt in 0..3 {
                    let ask = retry.decide(
                        &mut state,
                        lost,
                        attempt,
                        Span::ZERO,
                        Time::ZERO,
                        &mut stream,
                    );
                    if ask.is_none() {
                        break;
                    }
                    made += 1;
                }
            }
            assert_eq!(made, retries, "{mode} {cause:?}");
        }
    }

    #[test]
    fn jitter_stays_in_its_band() {
        let mut stream = Key::root(3, 0).stream();
        for (jitter, low, high) in [
            ("none", 0.4, 0.4),
            ("full", 0.0, 0.4),
            ("equal", 0.2, 0.4),
            ("decorrelated", 0.1, 0.9),
        ] {
            let retry = policy(&format!(
                r#"{{"exponential": {{"attempts": 9, "base": "100ms", "jitter": "{jitter}"}}}}"#
            ));
            let lost = failure(Cause::Reset, 0);
            for _ in 0..1000 {
                let mut state = retry.state();
                let last = Span::from_millis(300);
                let pause = retry.decide(&mut state, lost, 2, last, Time::ZERO, &mut stream);
                let seconds = pause.unwrap().as_secs_f64();
                assert!((low..=high + 1e-9).contains(&seconds), "{jitter}: {seconds}");
            }
        }
    }

    #[test]
    fn a_budget_bounds_retries_to_its_ratio() {
        let retry =
            policy(r#"{"fixed": {"attempts": 4, "delay": "10ms", "budget": {"ratio": 0.1}}}"#);
        let mut state = retry.state();
        let mut stream = Key::root(4, 0).stream();
        let lost = failure(Cause::ClientTimeout, 0);
        let mut made = 0;
        for _ in 0..1000 {
            retry.first_attempt(&mut state);
            for attempt in 0..3 {
                let pause =
                    retry.decide(&mut state, lost, attempt, Span::ZERO, Time::ZERO, &mut stream);
                if pause.is_none() {
                    break;
                }
                made += 1;
            }
        }
        assert!((99..=100).contains(&made), "{made}");
    }

    #[test]
    fn answers_that_will_not_change_are_not_retried() {
        let retry = policy(r#"{"fixed": {"attempts": 4, "delay": "10ms"}}"#);
        let mut state = retry.state();
        let mut stream = Key::root(4, 0).stream();
        let lost = failure(Cause::FunctionError, 404);
        assert_eq!(retry.decide(&mut state, lost, 0, Span::ZERO, Time::ZERO, &mut stream), None);
    }

    #[test]
    fn adaptive_slows_down_after_throttles_and_recovers() {
        let mut limiter = Adaptive::default();
        let mut now = Time::ZERO;
        for _ in 0..1000 {
            now += Span::from_millis(10);
            assert_eq!(limiter.delay(now), Span::ZERO);
            limiter.learn(now, false);
        }
        limiter.learn(now, true);
        let slowed = limiter.rate;
        assert!((slowed / (limiter.last_max * CUBIC_BETA) - 1.0).abs() < 1e-9);
        for _ in 0..2000 {
            now += Span::from_millis(10);
            limiter.learn(now, false);
        }
        assert!(limiter.rate > slowed);
    }
}
