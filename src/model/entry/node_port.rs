//! A Kubernetes Service of type NodePort: kube-proxy sends every new connection to a ready pod.

use super::kube_proxy::{Proxy, Tables};
use crate::kernel::{Key, LaneId, Rank, Span};
use crate::model::calls::Via;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Sampler};
use crate::model::endpoints::ENDPOINTS;
use crate::model::flows::FLOW_ENDED;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module's head.
pub const ABOUT: About = About {
    what: "A NodePort: each cluster node forwards every new connection to a pod, by iptables or IPVS.",
    models: &[
        "one address per cluster node; whichever is used, any ready pod of the service may be chosen (external traffic policy Cluster), or only those on the node (Local), and packets are dropped where there is none",
        "a random pod for each new connection (iptables), or the IPVS schedulers rr, lc, sh, sed and nq, each node for itself",
        "session affinity by client address, with its timeout",
        "the choice is made per connection and kept: resent SYNs and later requests of the connection reach the same pod",
        "no retry on another pod",
        "each node's own lag behind the endpoints (`view_lag`)",
        "the connection tracking table: rows stay for a while after the end of a connection; a full table drops SYNs, which are sent again and given up at last",
    ],
    leaves_out: &[
        "the extra hop to a pod on another node",
        "idle connections that a proxy in front keeps: they are followed as long as a request is on them",
        "the kernel's early drop of closing rows of a table that is nearly full",
    ],
    example: r#"{"to": "api", "nodes": 2}"#,
};

/// A Service of type NodePort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePortSpec {
    /// The pods.
    pub to: String,
    /// Cluster nodes, each with the port open.
    #[serde(default = "nodes_default")]
    #[schemars(range(min = 1, max = 5000), extend("x-source" = "assumed: two worker nodes", "x-assumed" = true))]
    pub nodes: u16,
    /// How kube-proxy forwards: its mode, and with IPVS the scheduler.
    #[serde(default, skip_serializing_if = "Proxy::is_iptables")]
    #[schemars(extend("x-source" = "kube-proxy on Linux: iptables"))]
    pub proxy: Proxy,
    /// Which pods a node forwards to.
    #[serde(default, skip_serializing_if = "TrafficPolicy::is_cluster")]
    #[schemars(extend("x-source" = "Kubernetes: Cluster"))]
    pub external_traffic_policy: TrafficPolicy,
    /// `sessionAffinity: ClientIP`: a client stays with its pod; none: every connection is for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<Affinity>,
    /// How many addresses the users come from, for affinity and hashes; 0: each from its own. Users behind one proxy, or played by one load
    /// generator, have 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "each from its own unless said"))]
    pub clients: u32,
    /// How long each node goes on with the pods it knows after the endpoints have changed, each for itself; none: it knows at once what
    /// the pods' `endpoint_lag` publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "none unless said; kube-proxy syncs once a second at most (minSyncPeriod), the watch and the programming come on top"))]
    pub view_lag: Option<Dist>,
    /// The kernel's table of connections on every node; none: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<Conntrack>,
}

/// Which pods a node forwards to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrafficPolicy {
    /// Any ready pod of the service.
    #[default]
    Cluster,
    /// Those on the node itself, host 0 of the pods behind the first address and so on; without one packets are dropped.
    Local,
}

impl TrafficPolicy {
    /// Whether it is the default.
    pub fn is_cluster(&self) -> bool {
        *self == TrafficPolicy::Cluster
    }
}

/// `sessionAffinityConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// How long after its last connection a client is remembered.
    #[serde(default = "affinity_default")]
    #[schemars(extend("x-source" = "Kubernetes: timeoutSeconds 10,800"))]
    pub timeout: Span,
}

/// The kernel's connection tracking on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conntrack {
    /// Rows that it may have (`nf_conntrack_max`).
    #[serde(default = "conntrack_default")]
    #[schemars(range(min = 1, max = 1_000_000_000), extend("x-source" = "kube-proxy: 32,768 a core, at least 131,072"))]
    pub max: u64,
    /// How long a row stays after the end of its connection.
    #[serde(default = "time_wait_default")]
    #[schemars(extend("x-source" = "Linux: nf_conntrack_tcp_timeout_time_wait 120 s"))]
    pub time_wait: Span,
}

fn nodes_default() -> u16 {
    2
}
fn affinity_default() -> Span {
    Span::from_secs(10_800)
}
fn conntrack_default() -> u64 {
    131_072
}
fn time_wait_default() -> Span {
    Span::from_secs(120)
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Spec for NodePortSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn addresses(&self, _of: &dyn Fn(&str) -> u16) -> u16 {
        self.nodes
    }
    fn listens(&self, of: &dyn Fn(&str) -> bool) -> bool {
        of(&self.to)
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        if check.nodes.get(&self.to).is_some_and(|kind| *kind != "pods") {
            check.problem(
                "E0303",
                "to",
                format!("\"{}\" is no `pods` node: a NodePort leads to pods", self.to),
                "point it at a `pods` node",
            );
        }
    }
}

/// The pods that a node knows are those of a word's version from now on.
const VIEW: u8 = 0;
/// The row of a connection that ended is gone.
const FORGET: u8 = 1;
/// The sender's kernel gives up.
const GIVE_UP: u8 = 2;

/// All nodes have started.
const BEGIN: u8 = 3;

/// A NodePort as it runs.
pub struct NodePort {
    to: NodeId,
    /// Host of every pod.
    hosts: Vec<u16>,
    /// Whether the choice is no more than a draw among the ready pods.
    random: bool,
    policy: TrafficPolicy,
    proxy: Proxy,
    affinity: Option<Span>,
    clients: u32,
    key: Key,
    view_lag: Option<Sampler>,
    /// What the endpoints were, by version.
    versions: BTreeMap<u32, Vec<u16>>,
    version: u32,
    conntrack: Option<u64>,
    /// Time that rows stay, where connections are followed.
    time_wait: Option<LaneId>,
    /// By cluster node.
    tables: Vec<Tables>,
    /// The pods that the node in question forwards to: room that is used again.
    known: Vec<u16>,
    full: Option<LimitId>,
    no_local: Option<LimitId>,
    entries: Option<GaugeId>,
    dropped: u64,
    entries_most: u64,
}

impl Component for NodePort {
    type Spec = NodePortSpec;

    fn build(spec: &NodePortSpec, wiring: &mut Wiring) -> Result<NodePort, String> {
        let to = wiring.node(&spec.to)?;
        let (me, pods) = (wiring.me, wiring.addresses(to));
        let max = spec.conntrack.as_ref().map(|table| table.max);
        let local = spec.external_traffic_policy == TrafficPolicy::Local;
        let follows = spec.proxy.counts() || max.is_some();
        let stays = spec.conntrack.as_ref().map_or_else(time_wait_default, |table| table.time_wait);
        let full = max.map(|max| {
            wiring.ledger.limit(
                me,
                "conntrack",
                format!("connection tracking table of {max} rows a node"),
            )
        });
        let no_local = local.then(|| {
            let about = "pods on the node itself (external traffic policy Local)".into();
            wiring.ledger.limit(me, "local_endpoints", about)
        });
        Ok(NodePort {
            to,
            hosts: (0..pods).map(|pod| wiring.host_of(to, pod)).collect(),
            random: spec.proxy.is_iptables() && !local && spec.session_affinity.is_none(),
            policy: spec.external_traffic_policy,
            proxy: spec.proxy,
            affinity: spec.session_affinity.as_ref().map(|affinity| affinity.timeout),
            clients: spec.clients,
            key: wiring.key(),
            view_lag: spec.view_lag.as_ref().map(|law| law.sampler(wiring.data)).transpose()?,
            versions: BTreeMap::new(),
            version: 0,
            conntrack: max,
            time_wait: follows.then(|| wiring.queue.lane(stays, Rank::Completion)),
            tables: vec![Tables::default(); usize::from(spec.nodes)],
            known: Vec::new(),
            full,
            no_local,
            entries: max.map(|max| {
                wiring.ledger.gauge(me, "conntrack rows of the fullest node", Some(max))
            }),
            dropped: 0,
            entries_most: 0,
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        if self.view_lag.is_some() {
            ctx.endpoints.watch(self.to, ctx.me);
            // When every node has started, all have said who is there.
            ctx.wake(Span::ZERO, BEGIN, 0, 0);
        }
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Wake(BEGIN, ..) => self.begin(ctx),
            Message::Wake(ENDPOINTS, ..) => self.endpoints_changed(ctx),
            Message::Wake(VIEW, table, version) => self.see(table as usize, version),
            Message::Wake(FLOW_ENDED, word, _) => {
                self.tables[(word >> 16) as usize].ended(word as u16);
                if let Some(lane) = self.time_wait {
                    ctx.arm(lane, FORGET, word, 0);
                }
            }
            Message::Wake(FORGET, word, _) => {
                self.tables[(word >> 16) as usize].forgotten(word as u16);
                self.show(ctx);
            }
            Message::Wake(GIVE_UP, slot, turn) => {
                let call = CallId { slot, turn };
                if ctx.calls.alive(call) {
                    ctx.fail(call, Cause::ConnectTimeout, 0);
                }
            }
            // A caller whose SYN was dropped has gone. Nobody else knows of the call, unless it got through on the way here.
            Message::Cancel(call) if ctx.calls.alive(call) => match ctx.calls.get(call).to {
                to if to == ctx.me => ctx.fail(call, Cause::ConnectTimeout, 0),
                to => ctx.queue.immediately(Event::new(to, Message::Cancel(call))),
            },
            _ => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let mut counters = Vec::new();
        if self.conntrack.is_some() || self.no_local.is_some() {
            counters.push(("syns_dropped", self.dropped));
        }
        if self.conntrack.is_some() {
            counters.push(("conntrack_rows_most", self.entries_most));
        }
        NodeReport { counters, usage: Vec::new() }
    }
}

impl NodePort {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(call) {
            // The SYN of a caller that has closed its socket meanwhile.
            return;
        }
        let row = *ctx.calls.get(call);
        if let Via::Open(pod) = row.via {
            // A proxy's connection that is open already leads where it led.
            return ctx.pass_on(call, self.to, pod as u16);
        }
        let at = usize::from(row.address) % self.tables.len();
        if let (Some(max), Some(limit)) = (self.conntrack, self.full)
            && self.tables[at].entries() >= max
        {
            self.dropped += 1;
            return ctx.syn_lost(call, limit, GIVE_UP);
        }
        let pod = if self.random && self.tables[at].view.is_none() {
            self.any(call, ctx)
        } else {
            self.pod_for(call, at, ctx)
        };
        let Some(pod) = pod else {
            let Some(limit) = self.no_local else {
                // Rules without an endpoint reject.
                return ctx.fail(call, Cause::Refused, 0);
            };
            self.dropped += 1;
            return ctx.syn_lost(call, limit, GIVE_UP);
        };
        if self.time_wait.is_some() {
            self.follow(call, at, pod, ctx);
        }
        ctx.pass_on(call, self.to, pod);
    }

    /// Any ready pod at random.
    fn any(&self, call: CallId, ctx: &mut Ctx) -> Option<u16> {
        let mut stream = ctx.stream(call, Purpose::Routing);
        match ctx.endpoints.ready(self.to) {
            None => Some(stream.below(self.hosts.len() as u64) as u16),
            Some([]) => None,
            Some(ready) => Some(ready[stream.below(ready.len() as u64) as usize]),
        }
    }

    /// A pod by all the rules.
    fn pod_for(&mut self, call: CallId, at: usize, ctx: &mut Ctx) -> Option<u16> {
        let here = |pod: &u16| {
            self.policy == TrafficPolicy::Cluster
                || usize::from(self.hosts[usize::from(*pod)]) == at
        };
        self.known.clear();
        let view = self.tables[at].view.as_ref().map(|(_, view)| &view[..]);
        match view.or_else(|| ctx.endpoints.ready(self.to)) {
            Some(ready) => self.known.extend(ready.iter().copied().filter(here)),
            None => self.known.extend((0..self.hosts.len() as u16).filter(here)),
        }
        if self.known.is_empty() {
            return None;
        }
        let row = *ctx.calls.get(call);
        let (now, client) = (ctx.now(), self.client(row.from, row.parent.slot, ctx));
        let tables = &mut self.tables[at];
        if let Some(timeout) = self.affinity
            && let Some(pod) = tables.stays(client, &self.known, now, timeout)
        {
            return Some(pod);
        }
        let mut stream = ctx.stream(call, Purpose::Routing);
        let pod = tables.choose(self.proxy, &self.known, client, &mut stream);
        if self.affinity.is_some() {
            tables.stay(client, pod, now);
        }
        Some(pod)
    }

    /// A hash of the address that a caller comes from.
    fn client(&self, from: NodeId, user: u32, ctx: &Ctx) -> u64 {
        let key = self.key.named("client").with(from.index() as u64);
        if from.index() < ctx.nodes {
            return key.bits();
        }
        match self.clients {
            0 => key.with(u64::from(user)).bits(),
            n => {
                let behind = key.with(u64::from(user)).stream().below(u64::from(n));
                self.key.named("address").with(behind).bits()
            }
        }
    }

    /// The connection of a call counts until it ends.
    fn follow(&mut self, call: CallId, at: usize, pod: u16, ctx: &mut Ctx) {
        let word = (at as u32) << 16 | u32::from(pod);
        ctx.follow(call, word, None);
        self.tables[at].opened(pod);
        self.show(ctx);
    }

    fn show(&mut self, ctx: &mut Ctx) {
        let Some(gauge) = self.entries else { return };
        let most = self.tables.iter().map(Tables::entries).max().unwrap_or_default();
        self.entries_most = self.entries_most.max(most);
        ctx.ledger.set(gauge, ctx.queue.now(), most);
    }

    /// Every node knows who is there at the start.
    fn begin(&mut self, ctx: &Ctx) {
        let Some(ready) = ctx.endpoints.ready(self.to) else { return };
        self.tables.iter_mut().for_each(|tables| tables.view = Some((0, ready.to_vec())));
    }

    /// Every node learns of a change after a lag of its own, and goes on with what it knows until then.
    fn endpoints_changed(&mut self, ctx: &mut Ctx) {
        let Some(law) = &self.view_lag else { return };
        let Some(ready) = ctx.endpoints.ready(self.to) else { return };
        if self.tables.iter().any(|tables| tables.view.is_none()) {
            // The start: see `begin`.
            return;
        }
        self.version += 1;
        self.versions.insert(self.version, ready.to_vec());
        for at in 0..self.tables.len() as u32 {
            let key = self.key.named("view").with(u64::from(at)).with(u64::from(self.version));
            ctx.wake(law.sample(&mut key.stream()), VIEW, at, self.version);
        }
    }

    /// A node has programmed a list; an older one that comes later is not applied.
    fn see(&mut self, at: usize, version: u32) {
        let Some(list) = self.versions.get(&version) else { return };
        if self.tables[at].view.as_ref().is_none_or(|(own, _)| *own < version) {
            self.tables[at].view = Some((version, list.clone()));
        }
        // What every node is beyond is needed no more.
        let own = |tables: &Tables| tables.view.as_ref().map_or(0, |(own, _)| *own);
        let oldest = self.tables.iter().map(own).min().unwrap_or_default();
        self.versions.retain(|version, _| *version > oldest);
    }
}
