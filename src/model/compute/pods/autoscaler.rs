//! The autoscaler of a service as a scenario writes it: the policy, and every lag between a load and a pod that serves it.

use crate::kernel::Span;
use crate::model::component::Check;
use crate::model::dist::{Dist, Uniform};
use crate::model::scale::hpa::{HpaSpec, MetricType};
use crate::model::scale::keda::Keda;
use crate::model::scale::nodes::{Provisioner, ec2_default, join_default};
use crate::model::scale::schedule::{Predictive, Scheduled};
use crate::model::scale::step::Beanstalk;
use crate::model::scale::stepping::StepScaling;
use crate::model::scale::tracking::TargetTracking;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes the number of pods while the run goes on. Exactly one of `hpa`, `keda`, `target_tracking`, `step_scaling`,
/// `beanstalk`, `scheduled` and `predictive`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoscalerSpec {
    /// A Horizontal Pod Autoscaler in Kubernetes' own field names. Metrics it can see: `cpu` of the pods, and as Pods, Object or
    /// External metrics `requests_per_second` and `requests_in_progress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hpa: Option<HpaSpec>,
    /// KEDA on the number of requests in progress and waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
    /// Target tracking of the processor's utilisation, percent of `cpu_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tracking: Option<TargetTracking>,
    /// Step scaling on alarms, as EC2 Auto Scaling and ECS do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_scaling: Option<StepScaling>,
    /// Elastic Beanstalk's triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beanstalk: Option<Beanstalk>,
    /// Numbers of pods by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Vec<Scheduled>>,
    /// Numbers of pods by a forecast from past days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictive: Option<Predictive>,
    /// Fewest pods; a Horizontal Pod Autoscaler has its own.
    #[serde(default = "min_default")]
    #[schemars(extend("x-source" = "Kubernetes and Elastic Beanstalk: 1"))]
    pub min_replicas: u32,
    /// Most pods; a Horizontal Pod Autoscaler has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: Option<u32>,
    /// Processor that a pod asks for, vCPUs: utilisation is percent of it; none: its limit `cpu`, or else the vCPUs of a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 448.0), extend("x-source" = "Kubernetes, SetDefaults_Pod (core/v1/defaults.go): a container with a limit and without a request asks for its limit"))]
    pub cpu_request: Option<f64>,
    /// How often usage is scraped.
    #[serde(default = "fifteen_seconds")]
    #[schemars(extend("x-source" = "metrics-server manifest: --metric-resolution=15s"))]
    pub scrape_interval: Span,
    /// How often a kubelet reads a container's processor time for `hpa`: this, and up to as much again, drawn for each reading. What is
    /// scraped is the last reading, and usage is the difference of the last two that were scraped: a decision rests on 10 to 35 s that ended up to
    /// 35 s ago. Zero: it is read when it is scraped.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-source" = "kubelet (pkg/kubelet/cadvisor/cadvisor_linux.go): housekeeping_interval 10 s; cAdvisor (manager/container.go, nextHousekeepingInterval): jitter of factor 1"))]
    pub housekeeping_interval: Span,
    /// How often the autoscaler decides.
    #[serde(default = "fifteen_seconds")]
    #[schemars(extend("x-source" = "kube-controller-manager: --horizontal-pod-autoscaler-sync-period=15s"))]
    pub sync_period: Span,
    /// From the decision to a running process: scheduling, image, start.
    #[serde(default = "start_default")]
    #[schemars(extend("x-source" = "assumed: 2 s on an idle cluster, 1.7 to 4 s for an image from ECR, 0.3 to 2 s for the process", "x-assumed" = true))]
    pub start: Dist,
    /// From a running process to the first probe that passes and the endpoint that carries traffic.
    #[serde(default = "ready_default")]
    #[schemars(extend("x-source" = "readiness probe every 10 s at a random phase, endpoint lag below a second: assumed", "x-assumed" = true))]
    pub ready: Dist,
    /// From the end of a pod's endpoint to its end: it serves what it has, and goes when nothing is left, but not before this.
    #[serde(default = "drain_default")]
    #[schemars(extend("x-source" = "assumed: a preStop sleep of a few seconds", "x-assumed" = true))]
    pub drain: Span,
    /// Machines that come and go with the pods; none: pods stay pending that by `cpu_request`, or by their limit `cpu`, find no room
    /// on the hosts, and where neither is given there is room for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesSpec>,
    /// Bytes of an answer, for triggers on `network_out`.
    #[serde(default = "bytes_default")]
    #[schemars(extend("x-source" = "assumed: a small JSON answer", "x-assumed" = true))]
    pub answer_bytes: Bytes,
}

/// Machines that come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesSpec {
    /// Who adds them.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: Karpenter, the present default choice on EKS", "x-assumed" = true))]
    pub provisioner: Provisioner,
    /// Pods that fit on one.
    #[schemars(range(min = 1, max = 1000))]
    pub pods_per_node: u16,
    /// Time from the request for an instance to one that runs, at least 21.2 s.
    #[serde(default = "ec2_default")]
    #[schemars(extend("x-source" = "brevdev/ec2-coldboot-research: 22.6 to 25.8 s to SSH"))]
    pub ec2: Dist,
    /// Time from a running instance to a node that takes pods.
    #[serde(default = "join_default")]
    #[schemars(extend("x-source" = "karpenter issues 3102 and 6165: nodes ready after 30 to 50 s in all"))]
    pub join: Dist,
    /// How long a node stays that has no pod.
    #[serde(default = "unneeded_default")]
    #[schemars(extend("x-source" = "Cluster Autoscaler FAQ: scale-down-unneeded-time 10 minutes"))]
    pub unneeded: Span,
}

fn min_default() -> u32 {
    1
}
fn ten_seconds() -> Span {
    Span::from_secs(10)
}
fn fifteen_seconds() -> Span {
    Span::from_secs(15)
}
fn start_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_secs(3), high: Span::from_secs(8) })
}
fn ready_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::ZERO, high: Span::from_secs(10) })
}
fn drain_default() -> Span {
    Span::from_secs(5)
}
fn unneeded_default() -> Span {
    Span::from_secs(600)
}
fn bytes_default() -> Bytes {
    Bytes(5 * 1024)
}

/// Metrics that a Horizontal Pod Autoscaler may name.
pub(super) const METRICS: [&str; 2] = ["requests_per_second", "requests_in_progress"];

impl AutoscalerSpec {
    /// Fewest and most pods.
    pub fn bounds(&self) -> (u32, u32) {
        match &self.hpa {
            Some(hpa) => (hpa.min_replicas, hpa.max_replicas),
            None => (self.min_replicas, self.max_replicas.unwrap_or(self.min_replicas.max(1))),
        }
    }

    fn policies(&self) -> Vec<&'static str> {
        let all = [
            ("hpa", self.hpa.is_some()),
            ("keda", self.keda.is_some()),
            ("target_tracking", self.target_tracking.is_some()),
            ("step_scaling", self.step_scaling.is_some()),
            ("beanstalk", self.beanstalk.is_some()),
            ("scheduled", self.scheduled.is_some()),
            ("predictive", self.predictive.is_some()),
        ];
        all.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }

    /// Finds what contradicts itself.
    pub(super) fn check(&self, replicas: u16, hosts: u16, check: &mut Check) {
        let mut problem = |path: &str, message: String, remedy: &str| {
            check.problem("E0381", path, message, remedy);
        };
        let policies = self.policies();
        if policies.len() != 1 {
            let message = format!("{} policies, and one is wanted", policies.len());
            let remedy = "give one of hpa, keda, target_tracking, step_scaling, beanstalk, scheduled and predictive";
            problem("autoscaler", message, remedy);
        }
        let times = self.target_tracking.iter().map(|t| t.period);
        let times = times.chain(self.step_scaling.iter().map(|s| s.period));
        let times = times.chain(self.beanstalk.iter().map(|b| b.period));
        let times = times.chain(self.keda.iter().map(|k| k.polling_interval));
        let times = times.chain(self.predictive.iter().map(|p| p.slot));
        let times = times.map(|span| ("autoscaler", span)).chain([
            ("autoscaler.scrape_interval", self.scrape_interval),
            ("autoscaler.sync_period", self.sync_period),
        ]);
        for (path, span) in times.filter(|(_, span)| *span < Span::from_secs(1)) {
            let message = format!("a period of {span} is shorter than a second");
            problem(path, message, "Kubernetes samples every 15 s, AWS every minute");
        }
        self.check_bounds(replicas, hosts, check);
        for (path, message, remedy) in self.step_scaling.iter().flat_map(StepScaling::check) {
            let path = format!("autoscaler.step_scaling.{path}");
            check.problem("E0381", &path, message, remedy);
        }
        self.check_hpa(check);
        if self.beanstalk.is_some() && self.start == start_default() {
            check.problem(
                "W0416",
                "autoscaler.start",
                "Elastic Beanstalk starts machines, and here they start as fast as containers"
                    .into(),
                "give `start`: Beanstalk's platform and the deployment of the application take one to four minutes (not measured) once the machine runs, which `nodes` has",
            );
        }
    }

    fn check_bounds(&self, replicas: u16, hosts: u16, check: &mut Check) {
        let mut problem = |path: &str, message: String, remedy: &str| {
            check.problem("E0381", path, message, remedy);
        };
        if self.hpa.is_none() && self.max_replicas.is_none() {
            let message = "`max_replicas` is missing".to_owned();
            problem("autoscaler.max_replicas", message, "say how many pods there may be");
        }
        let (min, max) = self.bounds();
        let given = self.hpa.is_some() || self.max_replicas.is_some();
        if given && !(min..=max).contains(&u32::from(replicas)) {
            let message = format!("{replicas} replicas are not between {min} and {max}");
            problem("replicas", message, "begin with a number that the autoscaler would keep");
        }
        if min == 0 {
            let path =
                if self.hpa.is_some() { "autoscaler.hpa" } else { "autoscaler.min_replicas" };
            let message = "without a pod every request is refused, and nothing wakes the first";
            problem(path, message.into(), "keep at least one");
        }
        let room =
            self.nodes.as_ref().map(|nodes| u32::from(nodes.pods_per_node) * u32::from(hosts));
        if room.is_some_and(|room| room < u32::from(replicas)) {
            let message = format!("{replicas} pods do not fit on {hosts} hosts");
            problem("hosts.count", message, "raise it, or nodes.pods_per_node");
        }
        if max > 10_000 {
            let message = format!("{max} pods are more than 10,000");
            problem("autoscaler.hpa.maxReplicas", message, "lower it");
        }
    }

    fn check_hpa(&self, check: &mut Check) {
        let Some(hpa) = &self.hpa else { return };
        for wrong in hpa.check() {
            let path = wrong.path.split('/').fold("autoscaler.hpa".to_owned(), |path, step| {
                match step.parse::<usize>() {
                    Ok(index) => format!("{path}[{index}]"),
                    Err(_) => format!("{path}.{step}"),
                }
            });
            check.problem("E0381", &path, wrong.message, wrong.remedy);
        }
        for (i, metric) in hpa.metrics.iter().enumerate() {
            let (name, known) = match metric.sort {
                MetricType::Resource => (metric.resource.as_ref().map(|m| &m.name), &["cpu"][..]),
                MetricType::ContainerResource => {
                    (metric.container_resource.as_ref().map(|m| &m.container), &[][..])
                }
                MetricType::Pods => (metric.pods.as_ref().map(|m| &m.metric.name), &METRICS[..]),
                MetricType::Object => {
                    (metric.object.as_ref().map(|m| &m.metric.name), &METRICS[..])
                }
                MetricType::External => {
                    (metric.external.as_ref().map(|m| &m.metric.name), &METRICS[..])
                }
            };
            if let Some(name) = name.filter(|name| !known.contains(&name.as_str())) {
                let message = format!("the simulation does not measure \"{name}\"");
                let remedy = "use the resource cpu, requests_per_second or requests_in_progress";
                check.problem("E0381", &format!("autoscaler.hpa.metrics[{i}]"), message, remedy);
            }
        }
    }
}
