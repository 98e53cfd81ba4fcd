//! How many replicas one metric wants: ratios, tolerance, and the pods that cannot be asked.

use super::observe::{Observed, Phase, PodState};
use super::reason::Reason;
use super::spec::{Controller, HpaSpec, MetricSpec, MetricType, Target, Tolerances};

/// Why a metric gave no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// As the condition names it.
    pub(super) reason: Reason,
    /// In a sentence.
    pub(super) message: String,
}

/// How many replicas a metric wants, or why it cannot say.
pub(super) fn propose(
    spec: &HpaSpec,
    metric: &MetricSpec,
    seen: &Observed,
    controller: &Controller,
) -> Result<u32, Failure> {
    let tolerances = spec.tolerances(controller);
    let ask = Asker { seen, controller, tolerances };
    let (reason, outcome) = match metric.sort {
        MetricType::Resource => (
            Reason::FailedGetResourceMetric,
            metric.resource.as_ref().map(|m| ask.resource(&m.name, None, &m.target)),
        ),
        MetricType::ContainerResource => (
            Reason::FailedGetContainerResourceMetric,
            metric
                .container_resource
                .as_ref()
                .map(|m| ask.resource(&m.name, Some(&m.container), &m.target)),
        ),
        MetricType::Pods => (
            Reason::FailedGetPodsMetric,
            metric.pods.as_ref().map(|m| {
                let value = |pod: &PodState| pod.metrics.get(&m.metric.name).copied();
                match m.target.average_value {
                    Some(target) => ask.average_value(&value, false, target.milli()),
                    None => Err("the target has no averageValue".into()),
                }
            }),
        ),
        MetricType::Object => (
            Reason::FailedGetObjectMetric,
            metric.object.as_ref().map(|m| {
                ask.whole(seen.object_values.get(&m.metric.name), &m.metric.name, &m.target)
            }),
        ),
        MetricType::External => (
            Reason::FailedGetExternalMetric,
            metric.external.as_ref().map(|m| {
                ask.whole(seen.external_values.get(&m.metric.name), &m.metric.name, &m.target)
            }),
        ),
    };
    outcome
        .unwrap_or_else(|| Err("the details of the metric are missing".into()))
        .map_err(|message| Failure { reason, message })
}

/// Pods by what is known of their metric.
#[derive(Default)]
struct Groups {
    /// Measured and counted: usage and request.
    counted: Vec<(i64, i64)>,
    /// Pending, or CPU that is not trusted yet: their requests.
    unready: Vec<i64>,
    /// Running without a measurement: their requests.
    missing: Vec<i64>,
}

struct Asker<'a> {
    seen: &'a Observed,
    controller: &'a Controller,
    tolerances: Tolerances,
}

type Proposal = Result<u32, String>;

/// Usage over target, of pods by usage and request.
type Ratio<'a> = dyn Fn(&[(i64, i64)]) -> Result<f64, String> + 'a;

/// `ceil`, as far as 31 bits reach.
fn replicas(exact: f64) -> u32 {
    exact.ceil().clamp(0.0, f64::from(i32::MAX)) as u32
}

impl Asker<'_> {
    fn resource(&self, name: &str, container: Option<&str>, target: &Target) -> Proposal {
        if let Some(container) = container
            && self.seen.pods.iter().any(|pod| pod.measured_without(container))
        {
            return Err(format!("a pod has no container {container}"));
        }
        let usage = |pod: &PodState| pod.usage(name, container);
        match (target.average_value, target.average_utilization) {
            (Some(value), _) => self.average_value(&usage, name == "cpu", value.milli()),
            (None, Some(percent)) => self.utilization(name, container, percent),
            (None, None) => {
                Err("the target has neither averageUtilization nor averageValue".into())
            }
        }
    }

    /// Sorts the pods, as the controller does before each computation.
    fn groups(
        &self,
        value: &dyn Fn(&PodState) -> Option<i64>,
        request: &dyn Fn(&PodState) -> i64,
        cpu: bool,
    ) -> Result<Groups, String> {
        if self.seen.pods.is_empty() {
            return Err("the workload has no pods".into());
        }
        let mut groups = Groups::default();
        for pod in self.seen.pods.iter().filter(|pod| !pod.deleting && !pod.terminal()) {
            match value(pod) {
                _ if pod.phase == Phase::Pending => groups.unready.push(request(pod)),
                None => groups.missing.push(request(pod)),
                Some(_) if cpu && self.distrusted(pod) => groups.unready.push(request(pod)),
                Some(value) => groups.counted.push((value, request(pod))),
            }
        }
        if groups.counted.is_empty() {
            return Err("no pod that is ready has this metric".into());
        }
        Ok(groups)
    }

    /// Whether a pod's CPU says more about its start than about its load.
    fn distrusted(&self, pod: &PodState) -> bool {
        let (Some(readiness), Some(started)) = (pod.readiness, pod.started) else { return true };
        if started + self.controller.cpu_initialization_period > self.seen.now {
            // The sample must lie wholly after the pod became ready.
            return !readiness.ready || pod.sampled < readiness.since + pod.window;
        }
        // It never was ready: it turned unready at its very start and stayed so.
        !readiness.ready && started + self.controller.initial_readiness_delay > readiness.since
    }

    /// Percent of the request, in whole percent as the controller reckons.
    fn utilization(&self, name: &str, container: Option<&str>, percent: u32) -> Proposal {
        let usage = |pod: &PodState| pod.usage(name, container);
        if self.seen.pods.iter().all(|pod| usage(pod).is_none()) {
            return Err(format!("no pod has a measurement of {name}"));
        }
        if self.seen.pods.iter().any(|pod| pod.request(name, container).is_none()) {
            return Err(format!("a container has no request for {name}"));
        }
        let request = |pod: &PodState| pod.request(name, container).unwrap_or(0);
        let groups = self.groups(&usage, &request, name == "cpu")?;
        let ratio = |pods: &[(i64, i64)]| {
            let used: i128 = pods.iter().map(|(used, _)| i128::from(*used)).sum();
            let asked: i128 = pods.iter().map(|(_, asked)| i128::from(*asked)).sum();
            if asked == 0 {
                return Err(format!("the requests for {name} are zero"));
            }
            Ok((used * 100 / asked) as f64 / f64::from(percent))
        };
        // A pod without a measurement is taken to use all of its request, or the target if that is more.
        let assumed = |asked: i64| {
            (i128::from(asked) * i128::from(percent.max(100)) / 100).min(i128::from(i64::MAX))
                as i64
        };
        self.settle(&groups, &ratio, &assumed)
    }

    /// An amount per pod, in whole thousandths as the controller reckons.
    fn average_value(
        &self,
        value: &dyn Fn(&PodState) -> Option<i64>,
        cpu: bool,
        target: i64,
    ) -> Proposal {
        let groups = self.groups(value, &|_| 0, cpu)?;
        let ratio = |pods: &[(i64, i64)]| {
            let used: i128 = pods.iter().map(|(used, _)| i128::from(*used)).sum();
            Ok((used / pods.len() as i128) as f64 / target as f64)
        };
        self.settle(&groups, &ratio, &|_| target)
    }

    /// From sorted pods to a number: at once if all is known, otherwise again with cautious guesses for the rest.
    fn settle(&self, groups: &Groups, ratio: &Ratio<'_>, assumed: &dyn Fn(i64) -> i64) -> Proposal {
        let current = self.seen.replicas;
        let first = ratio(&groups.counted)?;
        let up_with_unready = !groups.unready.is_empty() && first > 1.0;
        if !up_with_unready && groups.missing.is_empty() {
            if self.tolerances.hold(first) {
                return Ok(current);
            }
            return Ok(replicas(first * groups.counted.len() as f64));
        }
        let mut pods = groups.counted.clone();
        if first < 1.0 {
            pods.extend(groups.missing.iter().map(|asked| (assumed(*asked), *asked)));
        } else if first > 1.0 {
            pods.extend(groups.missing.iter().map(|asked| (0, *asked)));
        }
        if up_with_unready {
            pods.extend(groups.unready.iter().map(|asked| (0, *asked)));
        }
        let second = ratio(&pods)?;
        let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
        if self.tolerances.hold(second) || turned {
            return Ok(current);
        }
        let wanted = replicas(second * pods.len() as f64);
        let backwards = (second < 1.0 && wanted > current) || (second > 1.0 && wanted < current);
        Ok(if backwards { current } else { wanted })
    }

    /// A metric that is no pod's: against a value as a whole, or per replica.
    fn whole(&self, values: Option<&Vec<i64>>, name: &str, target: &Target) -> Proposal {
        let Some(values) = values else {
            return Err(format!("there is no value of {name}"));
        };
        let used = values.iter().map(|value| i128::from(*value)).sum::<i128>() as f64;
        match (target.average_value, target.value) {
            (Some(target), _) => {
                let target = target.milli() as f64;
                let ratio = used / (target * f64::from(self.seen.status_replicas));
                if self.tolerances.hold(ratio) {
                    return Ok(self.seen.status_replicas);
                }
                Ok(replicas(used / target))
            }
            (None, Some(target)) => self.by_ratio(used / target.milli() as f64),
            (None, None) => Err("the target has neither value nor averageValue".into()),
        }
    }

    /// A ratio that multiplies the ready pods; from zero replicas, the ratio itself is the number.
    fn by_ratio(&self, ratio: f64) -> Proposal {
        if self.seen.replicas == 0 {
            return Ok(replicas(ratio));
        }
        if self.tolerances.hold(ratio) {
            return Ok(self.seen.replicas);
        }
        if self.seen.pods.is_empty() {
            return Err("the workload has no pods".into());
        }
        let ready = |pod: &&PodState| {
            pod.phase == Phase::Running && pod.readiness.is_some_and(|readiness| readiness.ready)
        };
        Ok(replicas(ratio * self.seen.pods.iter().filter(ready).count() as f64))
    }
}
