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
        "in front of pods with a lifecycle or an autoscaler (a headless service): a cache goes on with the addresses that were ready when it asked, for the time to live, beside the lag of the endpoints",
    ],
    leaves_out: &[
        "resolvers that keep answers beyond the time to live",
        "the time a lookup takes",
        "the address of a pod that is gone: it refuses connections at once, where a network may be silent",
    ],
    example: r#"{"to": ["api"], "ttl": "60s"}"#,
};

/// A name with several addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsSpec {
    /// Nodes whose addresses the name has.
    pub to: Vec<String>,
    /// Time to live of an answer; none: 60 s, and 30 s in front of pods that come and go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "assumed: 60 s, a common choice for load balancing by DNS; a headless service has the 30 s of the Corefile that Kubernetes installs (kubernetes.io, Customizing DNS Service: ttl 30, cache 30; CoreDNS' kubernetes plugin alone 5 s)", "x-assumed" = true))]
    pub ttl: Option<Span>,
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

/// Time to live of answers about addresses that stay.
const TTL: Span = Span::from_secs(60);
/// Of the records of a headless service.
const TTL_OF_PODS: Span = Span::from_secs(30);

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
    ttl: Option<Span>,
    resolvers: u32,
    /// What caches know of addresses that come and go; none: they stay, or nobody has asked yet.
    known: Option<Known>,
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
            known: None,
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
        let (class, user) = (row.from, row.parent.slot);
        let changing = self.known.is_some() || self.comes_and_goes(ctx);
        let ttl = self.ttl.unwrap_or(if changing { TTL_OF_PODS } else { TTL });
        if changing {
            self.look_up(class, user, ttl, ctx);
        }
        let present = self.known.as_ref().map_or(&self.addresses[..], Known::answer);
        let n = present.len();
        if n == 0 {
            return ctx.fail(call, Cause::Refused, 0);
        }
        // Which address of the answer the client tries; those after the last one begin anew.
        let first = self.listed_first((class, user), ctx.now(), ttl, n);
        let present = self.known.as_ref().map_or(&self.addresses[..], Known::answer);
        let (node, address) = present[(first + usize::from(row.address)) % n];
        ctx.pass_on(call, node, address);
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        NodeReport::default()
    }
}

/// Who holds an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Cache(u64),
    /// A user who keeps the first answer.
    User(NodeId, u32),
}

/// Answers about addresses that come and go, each known by the state of the endpoints that it tells.
#[derive(Debug, Default)]
struct Known {
    /// Until when an answer is held, and which.
    held: BTreeMap<Asker, (Time, u64)>,
    /// Answers, each with when it was last given out by the servers.
    answers: BTreeMap<u64, (Time, Vec<(NodeId, u16)>)>,
    /// The one that was asked for last.
    last: u64,
}

impl Known {
    /// Somebody asks at a time for an answer that is good until another; `ready` has the addresses of this version.
    fn ask(
        &mut self,
        asker: Asker,
        (now, until): (Time, Time),
        version: u64,
        ready: &dyn Fn() -> Vec<(NodeId, u16)>,
    ) {
        let held = self.held.get(&asker).filter(|(until, _)| *until > now);
        if let Some((_, version)) = held {
            self.last = *version;
            return;
        }
        self.held.insert(asker, (until, version));
        self.answers.entry(version).or_insert_with(|| (now, ready())).0 = now;
        self.last = version;
    }

    /// The answer that was asked for last.
    fn answer(&self) -> &[(NodeId, u16)] {
        self.answers.get(&self.last).map_or(&[], |(_, addresses)| &addresses[..])
    }

    /// Answers that nobody can hold any more.
    fn forget_before(&mut self, now: Time, ttl: Span) {
        let last = self.last;
        let old = |version: u64, given: Time| version != last && given + ttl < now;
        if self.answers.first_key_value().is_some_and(|(version, (given, _))| old(*version, *given))
        {
            self.answers.retain(|version, (given, _)| !old(*version, *given));
        }
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

    /// Whether a user keeps the first answer for life.
    fn keeps(&self, user: u32) -> bool {
        let once = self.resolve_once;
        let chance = || self.key.named("once").with(u64::from(user)).stream().chance(once);
        once > 0.0 && chance()
    }

    /// Whether addresses of it come and go.
    fn comes_and_goes(&self, ctx: &Ctx) -> bool {
        let mut last = None;
        let mut nodes = self.addresses.iter().map(|(node, _)| *node);
        nodes.any(|node| last.replace(node) != Some(node) && ctx.endpoints.ready(node).is_some())
    }

    /// The cache that a user asks has an answer, its own of the last time or one of now.
    fn look_up(&mut self, class: NodeId, user: u32, ttl: Span, ctx: &Ctx) {
        let now = ctx.queue.now();
        let (asker, until) = if self.keeps(user) {
            (Asker::User(class, user), Time::MAX)
        } else {
            (Asker::Cache(self.resolver(u64::from(user))), now + ttl)
        };
        let forgets = self.resolve_once <= 0.0;
        let known = self.known.get_or_insert_default();
        let addresses = &self.addresses;
        let ready = || {
            let taken = |(node, address): &&(NodeId, u16)| ctx.endpoints.takes(*node, *address);
            addresses.iter().filter(taken).copied().collect()
        };
        known.ask(asker, (now, until), ctx.endpoints.version(), &ready);
        if forgets {
            known.forget_before(now, ttl);
        }
    }

    /// Which of `n` addresses the answer that a user goes by lists first.
    fn listed_first(
        &mut self,
        (class, user): (NodeId, u32),
        now: Time,
        ttl: Span,
        n: usize,
    ) -> usize {
        let resolver = self.resolver(u64::from(user));
        let period = now.nanos() / ttl.nanos().max(1);
        if !self.keeps(user) {
            return self.first(resolver, (period, ttl), n);
        }
        if let Some(kept) = self.kept.get(&(class, user)) {
            return *kept % n;
        }
        let first = self.first(resolver, (period, ttl), n);
        self.kept.insert((class, user), first);
        first
    }

    /// Which of `n` addresses a cache's answer of this period lists first.
    fn first(&mut self, resolver: u64, (period, ttl): (u64, Span), n: usize) -> usize {
        match self.rotation {
            Rotation::Fixed => 0,
            Rotation::Random => {
                let mut stream = self.key.with(resolver).with(period).stream();
                stream.below(n as u64) as usize
            }
            Rotation::Cyclic => {
                let held = self.answers.get(&resolver).filter(|(of, _)| *of == period);
                if let Some((_, at)) = held.filter(|_| !ttl.is_zero()) {
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
