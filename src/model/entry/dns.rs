//! Plain DNS as a load balancer: a name with several addresses and no idea of their health.

use crate::kernel::{Key, Span, Time};
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::Ctx;
use crate::model::message::{Cause, Event, Message, NodeId};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module's head.
pub const ABOUT: About = About {
    what: "DNS round robin: a name with several addresses, chosen by the resolver's cache, blind to health.",
    models: &[
        "resolver caches (groups of users): each holds one order of the addresses for the time to live",
        "users of a cache all take its first address for new connections; open connections stay where they are",
        "answers in random, cyclic or fixed order (BIND's rrset-order)",
        "caches of unequal size (`weights`): even answers give an even split of caches, not of users",
        "programs that resolve once and keep the answer for life (`resolve_once`)",
        "dead addresses are handed out like live ones",
        "falling back to the next address of the answer, by kind of client (`connection.addresses` of the workload)",
    ],
    leaves_out: &[
        "resolvers that keep answers beyond the time to live",
        "the time a lookup takes",
        "in front of pods with a lifecycle or an autoscaler (a headless service): resolvers that still have the address of a pod that is not ready any more; it leaves all answers at once",
    ],
    example: r#"{"to": ["api"], "ttl": "60s"}"#,
};

/// A name with several addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsSpec {
    /// Nodes whose addresses the name has.
    pub to: Vec<String>,
    /// Time to live of an answer.
    #[serde(default = "ttl_default")]
    #[schemars(extend("x-source" = "assumed: a common choice for load balancing by DNS", "x-assumed" = true))]
    pub ttl: Span,
    /// How many resolver caches the users sit behind; 0: as many as users, each asking for itself.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "assumed: many independent resolvers", "x-assumed" = true))]
    pub resolvers: u32,
    /// How many users sit behind each resolver cache, relative to one another; in place of `resolvers`, whose caches are alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-source" = "none unless said: caches of equal size"))]
    pub weights: Vec<f64>,
    /// Share of users whose program resolves the name once and keeps the answer for life, whatever the time to live.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said; Kubernetes' documentation of virtual IPs names such programs"))]
    pub resolve_once: f64,
    /// In which order answers list the addresses.
    #[serde(default)]
    #[schemars(extend("x-source" = "BIND 9 rrset-order: random"))]
    pub rotation: Rotation,
}

/// BIND's `rrset-order`: which address an answer lists first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Any, at random.
    #[default]
    Random,
    /// The next one for each answer in turn.
    Cyclic,
    /// Always the first.
    Fixed,
}

fn ttl_default() -> Span {
    Span::from_secs(60)
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Spec for DnsSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        self.to.iter().enumerate().map(|(i, name)| (format!("to[{i}]"), name.as_str())).collect()
    }
    fn addresses(&self, of: &dyn Fn(&str) -> u16) -> u16 {
        self.to.iter().map(|name| of(name)).sum()
    }
    fn listens(&self, of: &dyn Fn(&str) -> bool) -> bool {
        self.to.iter().all(|name| of(name))
    }
    // The fewest of those it leads to; none where one speaks HTTP/1.1 only.
    fn http2(&self, of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        self.to.iter().map(|name| of(name)).min()?
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
        }
        if self.to.is_empty() {
            check.problem(
                "E0318",
                "to",
                "a name without an address leads nowhere".into(),
                "name at least one node",
            );
        }
        let weight = |w: &f64| w.is_finite() && *w >= 0.0;
        if !self.weights.is_empty() && self.resolvers > 0 {
            check.problem(
                "E0366",
                "resolvers",
                format!(
                    "{} resolver caches, and weights of {}",
                    self.resolvers,
                    self.weights.len()
                ),
                "give `weights`, one for each cache, or `resolvers`",
            );
        } else if !self.weights.iter().all(weight)
            || (!self.weights.is_empty() && self.weights.iter().sum::<f64>() <= 0.0)
        {
            check.problem(
                "E0366",
                "weights",
                "no user can be behind caches of these weights".into(),
                "give numbers from 0 on, one of them above 0",
            );
        }
    }
}

/// DNS as it runs.
pub struct Dns {
    addresses: Vec<(NodeId, u16)>,
    ttl: Span,
    resolvers: u32,
    /// Shares of the caches, summed up; none: caches alike.
    shares: Vec<f64>,
    resolve_once: f64,
    /// Users who keep their answer: what it lists first.
    kept: BTreeMap<(NodeId, u32), usize>,
    rotation: Rotation,
    /// With cyclic order: the answer each cache holds, and of which period it is.
    answers: BTreeMap<u64, (u64, usize)>,
    asked: usize,
    key: Key,
}

impl Component for Dns {
    type Spec = DnsSpec;

    fn build(spec: &DnsSpec, wiring: &mut Wiring) -> Result<Dns, String> {
        let mut addresses = Vec::new();
        for name in &spec.to {
            let node = wiring.node(name)?;
            addresses.extend((0..wiring.addresses(node)).map(|address| (node, address)));
        }
        Ok(Dns {
            addresses,
            ttl: spec.ttl,
            resolvers: spec.resolvers,
            shares: summed(&spec.weights),
            resolve_once: spec.resolve_once,
            kept: BTreeMap::new(),
            rotation: spec.rotation,
            answers: BTreeMap::new(),
            asked: 0,
            key: wiring.key(),
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        let Message::Arrive(call) = event.message() else { return };
        let row = *ctx.calls.get(call);
        let present: Vec<(NodeId, u16)> = self
            .addresses
            .iter()
            .copied()
            .filter(|(node, address)| ctx.endpoints.takes(*node, *address))
            .collect();
        if present.is_empty() {
            return ctx.fail(call, Cause::Refused, 0);
        }
        // Which address of the answer the client tries; those after the last one begin anew.
        let first = self.listed_first(row.from, row.parent.slot, ctx.now(), present.len());
        let (node, address) = present[(first + usize::from(row.address)) % present.len()];
        ctx.pass_on(call, node, address);
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        NodeReport::default()
    }
}

/// Sums of weights, divided by their whole.
fn summed(weights: &[f64]) -> Vec<f64> {
    let whole: f64 = weights.iter().sum();
    let sum = |sum: &mut f64, weight: &f64| {
        *sum += weight / whole;
        Some(*sum)
    };
    weights.iter().scan(0.0, sum).collect()
}

impl Dns {
    /// The cache that a user asks: the user's own, or the shared one it sits behind.
    fn resolver(&self, user: u64) -> u64 {
        let stream = || self.key.named("resolver").with(user).stream();
        match (self.shares.len(), self.resolvers) {
            (0, 0) => user,
            (0, n) => stream().below(u64::from(n)),
            (caches, _) => {
                let at = stream().unit();
                self.shares.partition_point(|share| *share <= at).min(caches - 1) as u64
            }
        }
    }

    /// Which of `n` addresses the answer that a user goes by lists first.
    fn listed_first(&mut self, class: NodeId, user: u32, now: Time, n: usize) -> usize {
        let resolver = self.resolver(u64::from(user));
        let period = now.nanos() / self.ttl.nanos().max(1);
        let once = self.resolve_once;
        let keeps = || self.key.named("once").with(u64::from(user)).stream().chance(once);
        if once <= 0.0 || !keeps() {
            return self.first(resolver, period, n);
        }
        if let Some(kept) = self.kept.get(&(class, user)) {
            return *kept % n;
        }
        let first = self.first(resolver, period, n);
        self.kept.insert((class, user), first);
        first
    }

    /// Which of `n` addresses a cache's answer of this period lists first.
    fn first(&mut self, resolver: u64, period: u64, n: usize) -> usize {
        match self.rotation {
            Rotation::Fixed => 0,
            Rotation::Random => {
                let mut stream = self.key.with(resolver).with(period).stream();
                stream.below(n as u64) as usize
            }
            Rotation::Cyclic => {
                let held = self.answers.get(&resolver).filter(|(of, _)| *of == period);
                if let Some((_, at)) = held.filter(|_| !self.ttl.is_zero()) {
                    return *at % n;
                }
                let at = self.asked % n;
                self.asked += 1;
                self.answers.insert(resolver, (period, at));
                at
            }
        }
    }
}
