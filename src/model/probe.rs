//! Probes: somebody asks a server at fixed times whether it is well, and so many answers in a row change what is believed of it. The
//! kubelet asks containers, a load balancer asks its targets.

use crate::kernel::{Span, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of request of a probe; no user sends it.
pub const PROBE: u16 = u16::MAX;

/// A probe of the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// From the start of the container to the first probe, at the least.
    #[serde(default)]
    #[schemars(extend("x-source" = "Kubernetes API: initialDelaySeconds 0"))]
    pub initial_delay: Span,
    /// From probe to probe.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-source" = "Kubernetes API: periodSeconds 10"))]
    pub period: Span,
    /// How long an answer may take.
    #[serde(default = "one_second")]
    #[schemars(extend("x-source" = "Kubernetes API: timeoutSeconds 1"))]
    pub timeout: Span,
    /// Probes in a row that must pass.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "Kubernetes API: successThreshold 1"))]
    pub success_threshold: u32,
    /// Probes in a row that must fail.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "Kubernetes API: failureThreshold 3"))]
    pub failure_threshold: u32,
    /// Whether a probe waits in line with the requests of users, or is answered beside them.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "assumed: the probe is a route of the same server", "x-assumed" = true))]
    pub shares_queue: bool,
    /// When in its period the first probe of a pod that runs from the beginning comes; none: at random, another for every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Span>,
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}
fn one_second() -> Span {
    Span::from_secs(1)
}
fn one() -> u32 {
    1
}
fn three() -> u32 {
    3
}
fn yes() -> bool {
    true
}

impl Default for ProbeSpec {
    fn default() -> Self {
        ProbeSpec {
            initial_delay: Span::ZERO,
            period: ten_seconds(),
            timeout: one_second(),
            success_threshold: one(),
            failure_threshold: three(),
            shares_queue: true,
            phase: None,
        }
    }
}

impl ProbeSpec {
    /// From now, when a container has been running for so long and nothing holds this probe back any more, to its first run: at once, or at
    /// the first tick that is not before the initial delay, which counts from the start of the container (kubelet, `prober/worker.go`:
    /// `StartedAt`; `prober_manager.go` triggers a readiness probe as soon as its container has started).
    pub fn first_after(&self, running: Span) -> Span {
        if running >= self.initial_delay {
            return Span::ZERO;
        }
        let period = self.period.nanos().max(1);
        Span::from_nanos(self.initial_delay.nanos().div_ceil(period) * period).minus(running)
    }

    /// From the beginning of the run to the first probe of a container that runs already.
    pub fn first_of_running(&self, stream: &mut Stream) -> Span {
        let phase = || Span::from_nanos(stream.below(self.period.nanos().max(1)));
        self.phase.unwrap_or_else(phase)
    }

    /// Probes that must pass, probes that must fail.
    pub fn thresholds(&self) -> (u32, u32) {
        (self.success_threshold, self.failure_threshold)
    }
}

/// What is believed of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    healthy: bool,
    /// Answers in a row that say the opposite.
    against: u32,
}

impl Belief {
    /// Before the first probe.
    pub fn new(healthy: bool) -> Belief {
        Belief { healthy, against: 0 }
    }

    /// Whether it is believed to be well.
    pub fn healthy(&self) -> bool {
        self.healthy
    }

    /// A probe passed or failed; says what is believed from now on, if that is new. `thresholds` are the passes and the failures
    /// in a row that it takes.
    pub fn seen(&mut self, passed: bool, thresholds: (u32, u32)) -> Option<bool> {
        if passed == self.healthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if passed { thresholds.0 } else { thresholds.1 };
        if self.against < needed {
            return None;
        }
        *self = Belief::new(passed);
        Some(passed)
    }
}

/// From the end of a container to its next start, when it has been started again `restarts` times since it last ran for ten minutes: at once,
/// then 10, 20, 40, 80, 160 and 300 s (kubelet, `CrashLoopBackOff`).
pub fn back_off(restarts: u32) -> Span {
    match restarts {
        0 => Span::ZERO,
        n => Span::from_secs((10_u64 << (n - 1).min(5)).min(300)),
    }
}

/// A container that has run so long starts its back-off anew (kubelet: twice the largest back-off).
pub const BACK_OFF_RESET: Span = Span::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_belief_changes_after_so_many_in_a_row() {
        let mut belief = Belief::new(true);
        let answers = [false, false, true, false, false, false, true];
        let changes: Vec<_> = answers.iter().map(|passed| belief.seen(*passed, (1, 3))).collect();
        assert_eq!(changes, [None, None, None, None, None, Some(false), Some(true)]);
        assert!(belief.healthy());
    }

    #[test]
    fn the_first_probe_comes_at_the_first_tick_that_is_late_enough() {
        let first = |delay, running| {
            let initial_delay = Span::from_secs(delay);
            ProbeSpec { initial_delay, ..ProbeSpec::default() }
                .first_after(Span::from_secs(running))
        };
        assert_eq!(
            [0, 5, 10, 11].map(|delay| first(delay, 0)),
            [0, 10, 10, 20].map(Span::from_secs)
        );
        // A startup probe has held it back: the initial delay has run meanwhile.
        assert_eq!(
            [0, 29, 30, 31, 45].map(|delay| first(delay, 30)),
            [0, 0, 0, 10, 20].map(Span::from_secs)
        );
    }
}
