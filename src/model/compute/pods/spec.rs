//! A service of pods as the scenario writes it.

use super::autoscaler::AutoscalerSpec;
use super::fargate::{Fargate, ITEMS};
use super::lifecycle::Lifecycle;
use super::runtime::{Runtime, Threads, WarmUp};
use super::waiting::QueueDiscipline;
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::credits::{Burstable, CreditsSpec, mode_of};
use crate::model::era::Era;
use crate::model::instance;
use crate::model::operation::Action;
use crate::model::pool::PoolSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the kind is.
pub const ABOUT: About = About {
    what: "Replicas of one service on shared hosts: accept queue, admission, workers, processor sharing, connection pools.",
    models: &[
        "the kernel's accept queue of min(backlog, somaxconn) + 1 places; a SYN beyond them is dropped and resent",
        "runtimes: an event loop (one thread for processor time, turns in which it does what is ready and accepts one connection or all that wait), sync workers (accept one connection when idle, no keep-alive, killed when they are silent for too long), threads, where told with interpreters that let one of them compute at a time",
        "a limit of concurrent requests with a waiting line of its own, its order and rejection beyond it",
        "timers of an event loop that count whole milliseconds, and the warm-up of a process whose code is compiled while it runs",
        "processor time shared by the threads of a host; with a limit, which is a quota for all threads of a pod in every 100 ms, shared by its pods",
        "processor time of TLS handshakes, where clients come straight to the pods",
        "a connection pool per pod and store with the rules of its driver: how many at most, how many opened at a time or ahead, closed when idle or too old",
        "work that goes on after its client has gone, unless `cancel` is set",
        "with a lifecycle: startup, liveness and readiness probes that share the request queue or not, restarts with back-off, preStop, SIGTERM and SIGKILL beside the lag of the endpoints, rolling updates with surge and unavailable pods, a readiness gate",
        "CPU credits of burstable hosts: earned, launch credits, standard mode down to the baseline, unlimited mode with its charges",
        "loss, drain and spot interruption of hosts, within a disruption budget",
        "pods on AWS Fargate, billed each from the pull of its image to its end",
        "an autoscaler (Horizontal Pod Autoscaler, KEDA, target tracking, step scaling, Elastic Beanstalk, schedule, forecast) with every lag: sampling, decision, machine, start, readiness, draining; without machines of its own, pods beyond the hosts' processors stay pending, by what each asks for",
    ],
    leaves_out: &[
        "memory, garbage collection and out-of-memory kills",
        "keepalive_timeout toward users who come over DNS, a NodePort or an NLB",
        "connections without a request, in the limit of those that threads take (`connections`)",
        "what a host had on its processor when it was lost: it ends all the same",
        "the processor time of a pod for connections that are opened ahead (`min_idle`)",
        "the termination policies of EC2 Auto Scaling: the newest instance goes",
        "the progress deadline of a rollout, and rollbacks",
    ],
    example: r#"{"replicas": 3, "hosts": {"count": 2, "instance": "t3.medium", "vcpu": 2},
        "runtime": {"event_loop": {}}, "concurrency": 100, "pool": {"db": {"max": 100}}}"#,
};

/// A service of pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodsSpec {
    /// How many pods.
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: u16,
    /// The machines they run on; pods are placed on them in turn.
    #[serde(default)]
    pub hosts: Hosts,
    /// Processor limit of a pod, vCPUs, for all its threads and workers together (a container's `resources.limits.cpu`), so much of every
    /// 100 ms, then they stand still; none: as much as they can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 256.0))]
    pub cpu: Option<f64>,
    /// Processor time of a full TLS handshake, where clients come straight to the pods.
    #[serde(default = "cpu_handshake_default")]
    #[schemars(extend("x-source" = "measured with nginx: 440 µs RSA-2048, 190 µs ECDSA P-256, TLS 1.3 (own VM, ±30 %): it is OpenSSL's whoever calls it"))]
    pub cpu_handshake: Span,
    /// How the process takes and works on requests.
    #[serde(default)]
    #[schemars(extend("x-source" = "assumed: Node.js, the seeds' runtime", "x-assumed" = true))]
    pub runtime: Runtime,
    /// The first requests of a process take longer; none: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "not modelled unless said"))]
    pub warm_up: Option<WarmUp>,
    /// Most requests in progress in a pod; none: no limit (threads and workers have theirs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// Most requests waiting in a pod for a place; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub queue: Option<u32>,
    /// Who of those that wait in a pod is served next. A request that finds the line full is rejected whatever the order.
    #[serde(default, skip_serializing_if = "QueueDiscipline::is_fifo")]
    #[schemars(extend("x-source" = "first in, first out; B. Maurer, Fail at Scale, ACM Queue 13(8), 2015, puts the newest first under overload"))]
    pub queue_discipline: QueueDiscipline,
    /// Status with which a request is rejected that finds the waiting line full.
    #[serde(default = "reject_default")]
    #[schemars(range(min = 400, max = 599), extend("x-source" = "503 Service Unavailable (RFC 9110, section 15.6.4)"))]
    pub reject_status: u16,
    /// Listen backlog; none: 511 for an event loop, 2,048 otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "Node 511, gunicorn 2048, werkzeug and tornado 128"))]
    pub backlog: Option<u32>,
    /// `net.core.somaxconn` of the pod's network namespace.
    #[serde(default = "somaxconn_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "Linux ip-sysctl: 4096 from 5.4, 128 before"))]
    pub somaxconn: u32,
    /// `net.ipv4.tcp_syncookies`: whether there may be any number of half-open connections, or as many as the backlog.
    #[serde(default = "yes")]
    #[schemars(extend("x-source" = "Linux ip-sysctl: 1"))]
    pub syncookies: bool,
    /// `net.ipv4.tcp_max_syn_backlog`: most half-open connections where `syncookies` is off.
    #[serde(default = "syn_backlog_default")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "Linux ip-sysctl: at least 128, more with more memory; 2,048 measured on 23 GB"))]
    pub max_syn_backlog: u32,
    /// `net.ipv4.tcp_abort_on_overflow`: whether a handshake that ends at a full accept queue is reset.
    #[serde(default)]
    #[schemars(extend("x-source" = "Linux ip-sysctl: 0"))]
    pub abort_on_overflow: bool,
    /// Connection pools by name of the store; a store that is not named gets a pool with the defaults of its engine's usual driver.
    #[serde(default)]
    pub pool: BTreeMap<String, PoolSpec>,
    /// Pods that take longer for the same work: on a noisy host, with a cold cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<SlowPod>,
    /// Kinds of request for which this node does other work than the kind's own: the kind, and the kind whose steps it does. An old
    /// version beside a new one, another language, pods that measured otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub work: BTreeMap<String, String>,
    /// Whether work is dropped when its client goes away.
    #[serde(default)]
    #[schemars(extend("x-source" = "measured on Node and gunicorn: handlers run to their end"))]
    pub cancel: bool,
    /// How long an idle connection is kept; none: as long as the other side keeps it. A proxy that keeps it longer now and then
    /// sends a request on a connection that is being closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "not modelled unless said; Node.js server.keepAliveTimeout 5 s, gunicorn gthread 2 s, tornado 3,600 s"))]
    pub keepalive_timeout: Option<Span>,
    /// Changes the number of pods while the run goes on; none: `replicas` stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler: Option<Box<AutoscalerSpec>>,
    /// How pods come, are watched and go: probes, termination, rolling updates; none: they are there from the beginning to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Box<Lifecycle>>,
}

/// A pod that takes longer for the same work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowPod {
    /// Its number, from 0.
    #[schemars(range(min = 0, max = 9_999))]
    pub pod: u16,
    /// How many times as long its `cpu` and `wait` steps take.
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub factor: f64,
}

/// The machines that pods run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// How many.
    #[serde(default = "count_default")]
    #[schemars(range(min = 1, max = 10_000), extend("x-source" = "one unless said; on Fargate there are none to count"))]
    pub count: u16,
    /// EC2 instance type, for the bill and the vCPUs; none: not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Pods run on AWS Fargate: each alone on what is given here, and on the bill from the pull of its image to its end, a minute at least;
    /// there are no hosts to count then. None: on hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "on hosts unless said"))]
    pub fargate: Option<Fargate>,
    /// Share of the on-demand price that the hosts cost as spot instances; none: on demand. Their market changes all the time, so
    /// no price table holds it; `interrupt` events take such hosts away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 1.0), extend("x-source" = "on demand unless said"))]
    pub spot_price: Option<f64>,
    /// CPU credits of burstable hosts; none: they are not counted, and the processor is as fast as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<CreditsSpec>,
    /// vCPUs of each; none: those of `instance`, 2 without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.05, max = 448.0), extend("x-source" = "assumed: a small instance", "x-assumed" = true, "x-default" = 2.0, "x-follows" = "instance fargate"))]
    pub vcpu: Option<f64>,
    /// Speed of a vCPU relative to the machine on which the work's `cpu` times were taken.
    #[serde(default = "speed_default")]
    #[schemars(range(min = 0.001, max = 100.0), extend("x-source" = "assumed: the same machine", "x-assumed" = true))]
    pub speed: f64,
}

/// Processor time of a full TLS handshake with RSA-2048.
fn cpu_handshake_default() -> Span {
    Span::from_micros(440)
}
fn count_default() -> u16 {
    1
}
fn speed_default() -> f64 {
    1.0
}
fn yes() -> bool {
    true
}
fn syn_backlog_default() -> u32 {
    2048
}
fn somaxconn_default() -> u32 {
    4096
}
fn reject_default() -> u16 {
    503
}

impl Default for Hosts {
    fn default() -> Self {
        Hosts {
            count: count_default(),
            instance: None,
            fargate: None,
            spot_price: None,
            credits: None,
            vcpu: None,
            speed: speed_default(),
        }
    }
}

impl Hosts {
    /// vCPUs of each.
    pub fn vcpu(&self) -> f64 {
        let own = || instance::vcpus(self.vcpu, self.instance.as_deref());
        self.fargate.map_or_else(own, |own| own.vcpu)
    }

    /// Tells what Fargate has not.
    fn check_fargate(&self, nodes: bool, check: &mut Check) {
        let Some(own) = self.fargate else { return };
        own.check(check);
        let beside = [
            (self.count != 1, "hosts.count"),
            (self.instance.is_some(), "hosts.instance"),
            (self.spot_price.is_some(), "hosts.spot_price"),
            (self.credits.is_some(), "hosts.credits"),
            (self.vcpu.is_some(), "hosts.vcpu"),
            (nodes, "autoscaler.nodes"),
        ];
        for (_, field) in beside.iter().filter(|(given, _)| *given) {
            check.problem(
                "E0411",
                field,
                "pods on Fargate, each on what it was given, and hosts at the same time".into(),
                "leave it out, or leave out `hosts.fargate`",
            );
        }
    }

    fn check(&self, check: &mut Check) {
        if self.fargate.is_some() {
            return;
        }
        let instance = self.instance.as_deref();
        instance::check_vcpus(check, "hosts.vcpu", self.vcpu, "hosts.instance", instance);
        if instance.is_none() {
            check.problem(
                "W0401",
                "hosts.instance",
                "the hosts have no `instance`, so they are not on the bill".into(),
                "name an EC2 instance type, e.g. \"m5.large\"",
            );
        }
        if self.credits.is_none() {
            if let Some(name) = instance.filter(|name| mode_of(name).is_some()) {
                check.problem(
                    "W0412",
                    "hosts.instance",
                    format!("{name} lives on CPU credits, and they are not counted: it is always at full speed, and charged for none"),
                    "give `hosts.credits` (`{}` has EC2's defaults), or name a type that does not burst",
                );
            }
        } else if instance.and_then(Burstable::of).is_none() {
            check.problem(
                "E0386",
                "hosts.credits",
                "CPU credits for an instance type that has none".into(),
                "name a burstable `instance`, e.g. \"t3.medium\", or leave `credits` out",
            );
        }
    }
}

impl PodsSpec {
    /// Listen backlog of the runtime.
    pub fn backlog(&self) -> u32 {
        self.backlog.unwrap_or(match self.runtime {
            Runtime::EventLoop(_) => 511,
            Runtime::SyncWorkers(_) | Runtime::Threads(_) => 2048,
        })
    }

    /// vCPUs of all its hosts, or on Fargate of all its pods, at first.
    pub fn vcpus(&self) -> f64 {
        let count = if self.hosts.fargate.is_some() { self.replicas } else { self.hosts.count };
        f64::from(count) * self.hosts.vcpu()
    }

    /// Cores that a pod can use at a time, whatever it may.
    pub fn cores(&self) -> f64 {
        match &self.runtime {
            Runtime::Threads(Threads { interpreters: Some(n), .. }) => f64::from(*n),
            _ => f64::INFINITY,
        }
    }

    /// Most connections with a request that a pod takes.
    pub(super) fn connections(&self) -> u32 {
        match &self.runtime {
            Runtime::Threads(threads) => threads.connections.unwrap_or(u32::MAX),
            _ => u32::MAX,
        }
    }

    /// Pods that the hosts have processors for, by what each asks for; none: the scheduler does not count (pods ask for nothing, or
    /// machines come with them). What a cluster keeps for its own processes is not taken off: it is an upper bound.
    ///
    /// Source: Kubernetes documentation, Resource Management for Pods and Containers, "How Pods with resource requests are scheduled":
    /// the requests of a node's containers together stay within its capacity. OpenShift 4.15, overcommitted nodes (read 2026-11) says
    /// the same, and that a container with a limit and no request asks for its limit.
    pub fn fitting(&self) -> Option<u32> {
        if self.hosts.fargate.is_some() {
            return None;
        }
        let scaler = self.autoscaler.as_ref().filter(|own| own.nodes.is_none())?;
        let each = scaler.cpu_request.or(self.cpu)?;
        // Requests are whole thousandths of a vCPU.
        let milli = |vcpu: f64| (vcpu * 1000.0).round();
        let on_a_host = (milli(self.hosts.vcpu()) / milli(each).max(1.0)).floor();
        Some(on_a_host as u32 * u32::from(self.hosts.count))
    }

    /// Tells pods that the hosts have no room for.
    fn check_room(&self, check: &mut Check) {
        let (Some(fitting), Some(scaler)) = (self.fitting(), &self.autoscaler) else { return };
        let (most, hosts) = (scaler.bounds().1, self.hosts.count);
        if fitting < u32::from(self.replicas) {
            check.problem(
                "E0381",
                "hosts.count",
                format!(
                    "{} pods by what they ask for do not fit on {hosts} hosts, which have room for {fitting}",
                    self.replicas
                ),
                "raise it, or lower autoscaler.cpu_request",
            );
        } else if fitting < most {
            check.problem(
                "W0430",
                "autoscaler",
                format!("there may be {most} pods, and by what they ask for the hosts have room for {fitting}: the others stay pending"),
                "raise hosts.count, lower cpu_request, or give `nodes`, machines that come with the pods",
            );
        }
    }

    /// Most requests in progress in a pod.
    pub fn places(&self) -> u32 {
        let own = match &self.runtime {
            Runtime::EventLoop(_) => u32::MAX,
            Runtime::SyncWorkers(runtime) => runtime.workers,
            Runtime::Threads(runtime) => runtime.threads,
        };
        self.concurrency.unwrap_or(u32::MAX).min(own)
    }
}

/// Item of the price table for credits beyond those that hosts earn.
pub(super) const SURPLUS: &str = "ec2.surplus_credit_vcpu_hour";

impl Spec for PodsSpec {
    fn work(&self) -> Vec<(String, &str)> {
        let names = self.work.iter().flat_map(|(kind, own)| [(kind, kind), (kind, own)]);
        names.map(|(kind, named)| (format!("work.{kind}"), named.as_str())).collect()
    }
    fn own_work(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.work)
    }
    fn addresses(&self, _of: &dyn Fn(&str) -> u16) -> u16 {
        super::fleet::places(self)
    }
    fn keepalive(&self) -> Option<Span> {
        self.keepalive_timeout
    }
    fn listens(&self, _of: &dyn Fn(&str) -> bool) -> bool {
        true
    }
    fn host_of(&self, address: u16) -> u16 {
        super::fleet::hosts(self).1(address)
    }
    fn check(&self, check: &mut Check) {
        for (store, pool) in &self.pool {
            check.target(&format!("pool.{store}"), store);
            pool.check(&format!("pool.{store}"), check);
        }
        if let Some(autoscaler) = &self.autoscaler {
            autoscaler.check(self.replicas, self.hosts.count, check);
            self.check_room(check);
        }
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.check(check);
        }
        if matches!(self.runtime, Runtime::SyncWorkers(_)) && !self.queue_discipline.is_fifo() {
            check.problem(
                "E0420",
                "queue_discipline",
                "what waits for sync workers waits in the kernel's accept queue, which is first in, first out".into(),
                "leave it out, or name another `runtime`",
            );
        }
        if self.hosts.count > super::fleet::places(self) {
            check.problem(
                "W0402",
                "hosts.count",
                format!("{} hosts for {} pods: some stay empty", self.hosts.count, self.replicas),
                "lower `hosts.count` or raise `replicas`",
            );
        }
        let vcpu = self.hosts.vcpu();
        if let Some(cpu) = self.cpu.filter(|cpu| *cpu > vcpu) {
            let what = format!(
                "a pod may use {cpu} vCPUs, and its host has {vcpu}: the limit never binds"
            );
            let remedy = "lower `cpu`, or say what the hosts have by `hosts.vcpu`";
            check.problem("W0408", "cpu", what, remedy);
        }
        if let Runtime::Threads(Threads { threads, connections: Some(n), .. }) = self.runtime
            && n < threads
        {
            check.problem(
                "W0417",
                "runtime.threads.connections",
                format!("{n} connections for {threads} threads: some never have a request"),
                "raise it, or lower `threads`",
            );
        }
        for (i, slow) in self.slow.iter().enumerate() {
            if slow.pod >= self.replicas {
                check.problem(
                    "E0373",
                    &format!("slow[{i}].pod"),
                    format!("there is no pod {} among {} replicas", slow.pod, self.replicas),
                    "pods are numbered from 0",
                );
            }
        }
        let nodes = self.autoscaler.as_ref().is_some_and(|own| own.nodes.is_some());
        self.hosts.check_fargate(nodes, check);
        self.hosts.check(check);
    }
    fn check_event(&self, action: &Action, check: &mut Check) {
        if let Some(pod) = action.pod()
            && pod >= self.replicas
        {
            check.problem(
                "E0373",
                "do",
                format!("there is no pod {pod} among {} replicas", self.replicas),
                "pods are numbered from 0",
            );
        }
        if let Some(host) = action.hosts().iter().find(|host| **host >= self.hosts.count) {
            check.problem(
                "E0373",
                "do",
                format!("there is no host {host} among {}", self.hosts.count),
                "hosts are numbered from 0",
            );
        }
        let moves = matches!(action, Action::RollOut(_)) || !action.hosts().is_empty();
        if moves && self.lifecycle.is_none() {
            check.problem(
                "E0383",
                "do",
                "pods without a `lifecycle` cannot be replaced".into(),
                "give the node a `lifecycle`; `{}` has Kubernetes' defaults",
            );
        }
    }
    fn shares_machine(&self) -> Result<(), &'static str> {
        if self.hosts != Hosts::default() || self.cpu.is_some() || self.cores().is_finite() {
            return Err("it has `hosts`, a `cpu` limit or `interpreters` of its own");
        }
        Ok(())
    }
    fn items(&self, _era: Era) -> Vec<String> {
        let surplus = self.hosts.credits.iter().map(|_| SURPLUS.to_owned());
        let fargate = self.hosts.fargate.iter().flat_map(|_| ITEMS.map(str::to_owned));
        let instance = self.hosts.instance.iter().map(|name| format!("ec2.{name}"));
        instance.chain(surplus).chain(fargate).collect()
    }
}
