//! Plain DNS as a load balancer: a name with several addresses and no idea of their health.

use crate::kernel::{Key, Span};
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::Ctx;
use crate::model::message::{Cause, Message, NodeId};
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
        "dead addresses are handed out like live ones",
    ],
    leaves_out: &[
        "falling back to the next address (happy eyeballs), caching beyond the time to live",
        "the time a lookup takes",
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
    }
}

/// DNS as it runs.
pub struct Dns {
    addresses: Vec<(NodeId, u16)>,
    ttl: Span,
    resolvers: u32,
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
            rotation: spec.rotation,
            answers: BTreeMap::new(),
            asked: 0,
            key: wiring.key(),
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        let Message::Arrive(call) = message else { return };
        let row = *ctx.calls.get(call);
        // Who asks: the user's own cache, or the shared one it sits behind.
        let user = u64::from(row.parent.slot);
        let resolver = match self.resolvers {
            0 => user,
            n => self.key.named("resolver").with(user).stream().below(u64::from(n)),
        };
        let period = ctx.now().nanos() / self.ttl.nanos().max(1);
        let present: Vec<(NodeId, u16)> = self
            .addresses
            .iter()
            .copied()
            .filter(|(node, address)| ctx.endpoints.takes(*node, *address))
            .collect();
        if present.is_empty() {
            return ctx.fail(call, Cause::Refused, 0);
        }
        let (node, address) = present[self.first(resolver, period, present.len())];
        ctx.pass_on(call, node, address);
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        NodeReport::default()
    }
}

impl Dns {
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
