//! The life of a pod as a scenario writes it: start, probes, termination, rolling updates.

use crate::kernel::Span;
use crate::model::component::Check;
use crate::model::dist::{Dist, Uniform};
use crate::model::probe::ProbeSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pods come, are watched and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// From a pod's creation to a container that runs: scheduling, network, image.
    #[serde(default = "start_default")]
    #[schemars(extend("x-source" = "assumed: 2 s on an idle cluster, 1.7 to 4 s for an image from ECR", "x-assumed" = true))]
    pub start: Dist,
    /// From a container that runs to a process that listens.
    #[serde(default = "boot_default")]
    #[schemars(extend("x-source" = "assumed: Node.js 0.3 to 2 s; a JVM takes 5 to 60 s", "x-assumed" = true))]
    pub boot: Dist,
    /// Holds back the other probes until it has passed; fails: the container is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<ProbeSpec>,
    /// Fails: the container is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<ProbeSpec>,
    /// Fails: the pod gets no new connections. None: a pod counts as ready as soon as its container runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ProbeSpec>,
    /// Sleep of the `preStop` hook, before SIGTERM.
    #[serde(default)]
    #[schemars(extend("x-source" = "Kubernetes API: no hook"))]
    pub pre_stop: Span,
    /// What the process does at SIGTERM.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: a server with a shutdown handler; Node.js without one exits", "x-assumed" = true))]
    pub sigterm: Sigterm,
    /// How long the process goes on accepting connections after SIGTERM, before it does what `sigterm` says.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: not at all", "x-assumed" = true))]
    pub linger: Span,
    /// Whether the process answers probes with 503 from SIGTERM on.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: it does not tell", "x-assumed" = true))]
    pub fails_probes: bool,
    /// `terminationGracePeriodSeconds`: from the deletion of a pod to SIGKILL.
    #[serde(default = "grace_default")]
    #[schemars(extend("x-source" = "Kubernetes API: 30 s"))]
    pub grace: Span,
    /// From a change of a pod to the last proxy that knows of it.
    #[serde(default = "lag_default")]
    #[schemars(extend("x-source" = "assumed: EndpointSlice and kube-proxy, below a second", "x-assumed" = true))]
    pub endpoint_lag: Dist,
    /// Readiness gate of the AWS Load Balancer Controller: a pod is ready when the balancer, too, finds it healthy.
    #[serde(default)]
    #[schemars(extend("x-source" = "AWS Load Balancer Controller: off unless the namespace is labelled"))]
    pub readiness_gate: bool,
    /// Pod disruption budget: pods that may be missing while hosts are drained; none: all pods of a host are evicted at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "Kubernetes: no budget unless there is one"))]
    pub disruption_budget: Option<u32>,
    /// How a rolling update replaces the pods.
    #[serde(default)]
    pub rolling_update: RollingUpdate,
}

/// What a process does at SIGTERM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sigterm {
    /// Takes no new connection, ends what it has begun, exits.
    #[default]
    Drain,
    /// Exits at once: what it has begun is reset.
    Exit,
    /// Nothing: it serves until SIGKILL.
    Ignore,
}

/// A rolling update of a Deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollingUpdate {
    /// Pods above the wanted number, percent of it, rounded up.
    #[serde(default = "quarter")]
    #[schemars(range(min = 0.0, max = 100.0), extend("x-source" = "Kubernetes API: maxSurge 25 %"))]
    pub max_surge: f64,
    /// Pods that may be missing, percent of the wanted number, rounded down.
    #[serde(default = "quarter")]
    #[schemars(range(min = 0.0, max = 100.0), extend("x-source" = "Kubernetes API: maxUnavailable 25 %"))]
    pub max_unavailable: f64,
}

impl Default for RollingUpdate {
    fn default() -> Self {
        RollingUpdate { max_surge: quarter(), max_unavailable: quarter() }
    }
}

impl RollingUpdate {
    /// Pods above and below the wanted number; both zero would never end, and one may then be missing.
    pub fn of(&self, wanted: u32) -> (u32, u32) {
        let share = |percent: f64| f64::from(wanted) * percent / 100.0;
        let surge = share(self.max_surge).ceil() as u32;
        let missing = share(self.max_unavailable).floor() as u32;
        (surge, if surge == 0 { missing.max(1) } else { missing })
    }
}

fn quarter() -> f64 {
    25.0
}
fn grace_default() -> Span {
    Span::from_secs(30)
}
pub(super) fn start_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_secs(3), high: Span::from_secs(8) })
}
fn boot_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_millis(300), high: Span::from_secs(2) })
}
fn lag_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_millis(100), high: Span::from_secs(1) })
}

impl Lifecycle {
    /// Finds what contradicts itself.
    pub(super) fn check(&self, check: &mut Check) {
        let probes = [
            ("startup", &self.startup),
            ("liveness", &self.liveness),
            ("readiness", &self.readiness),
        ];
        let given = probes.iter().filter_map(|(name, probe)| probe.as_ref().map(|p| (*name, p)));
        for (name, probe) in given {
            if probe.period < Span::from_secs(1) || probe.timeout < Span::from_millis(1) {
                check.problem(
                    "E0382",
                    &format!("lifecycle.{name}"),
                    format!("a period of {} with a timeout of {}", probe.period, probe.timeout),
                    "a period has at least a second, a timeout a millisecond",
                );
            }
            if name != "readiness" && probe.success_threshold != 1 {
                check.problem(
                    "E0382",
                    &format!("lifecycle.{name}.success_threshold"),
                    format!("{} passes for a {name} probe", probe.success_threshold),
                    "Kubernetes takes 1 there; only readiness may ask for more",
                );
            }
        }
        if self.pre_stop + self.linger > self.grace && self.sigterm != Sigterm::Ignore {
            check.problem(
                "W0403",
                "lifecycle.grace",
                format!(
                    "the pod is killed after {}, before `pre_stop` {} and `linger` {} are over",
                    self.grace, self.pre_stop, self.linger
                ),
                "raise `grace` above the sum, and by the longest request",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surge_is_rounded_up_and_unavailable_down() {
        let update = RollingUpdate::default();
        assert_eq!([1, 3, 4, 10].map(|n| update.of(n)), [(1, 0), (1, 0), (1, 1), (3, 2)]);
        let stuck = RollingUpdate { max_surge: 0.0, max_unavailable: 0.0 };
        assert_eq!(stuck.of(4), (0, 1));
    }
}
