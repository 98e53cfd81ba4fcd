//! A cache in front of a store: hits are served by its one thread, misses go on to the store behind.
//!
//! Look-aside: who misses asks the store itself, on a connection of its own that it opens at its first miss, and then fills the
//! cache. So an empty cache lets all of the load, and all of the connections, through.

use crate::kernel::{Span, Time};
use crate::model::calls::Op;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Sampler};
use crate::model::era::Era;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, NodeId, Outcome};
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module's head.
pub const ABOUT: About = About {
    what: "A cache such as ElastiCache in front of a store.",
    models: &[
        "a given share of hits, or keys of a Zipf law that are kept for a time to live",
        "one thread that serves commands in order, and the latency of the network",
        "a miss goes to the store on a connection of its client's own, opened at the first miss and closed with the client",
        "stampede: every request that misses a key goes to the store until one has filled it; a flush empties the cache at once",
        "a limit of client connections",
    ],
    leaves_out: &[
        "eviction for lack of memory, replicas, cluster mode, locks against stampedes",
        "writes: every query is a read that may be cached",
    ],
    example: r#"{"to": "db", "contents": {"keys": {"count": 10000, "zipf": 0.9, "ttl": "60s"}}}"#,
};

/// A cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// The store behind it.
    pub to: String,
    /// What it holds.
    pub contents: Contents,
    /// Time of its thread for one command.
    #[serde(default = "service_default")]
    #[schemars(extend("x-source" = "Redis: about 100,000 commands a second on one thread, usually quoted", "x-assumed" = true))]
    pub service: Span,
    /// Network latency of one command.
    #[serde(default = "latency_default")]
    #[schemars(extend("x-source" = "half a millisecond inside a zone, assumed", "x-assumed" = true))]
    pub latency: Dist,
    /// Most client connections.
    #[serde(default = "clients_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "Redis and ElastiCache: maxclients 65,000"))]
    pub max_clients: u32,
    /// Item of the price table; none: not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Hits at random: the share of queries that find their item.
    HitRatio(f64),
    /// Items by key.
    Keys(Keys),
}

/// Items by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// How many there are.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Exponent of Zipf's law: the k-th key is asked for in proportion to k^-s.
    #[serde(default = "zipf_default")]
    #[schemars(range(min = 0.0, max = 5.0), extend("x-source" = "Breslau et al., INFOCOM 1999: 0.64 to 0.83 for web requests; 0.8 is our choice", "x-assumed" = true))]
    pub zipf: f64,
    /// How long an item is kept; none: until the next flush.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Whether it is full at the start.
    #[serde(default)]
    #[schemars(extend("x-source" = "empty unless said"))]
    pub warm: bool,
    /// Times at which it is emptied.
    #[serde(default)]
    #[schemars(extend("x-source" = "never unless said"))]
    pub flush: Vec<Span>,
}

fn service_default() -> Span {
    Span::from_micros(10)
}
fn latency_default() -> Dist {
    Dist::Constant(Span::from_micros(500))
}
fn clients_default() -> u32 {
    65_000
}
fn zipf_default() -> f64 {
    0.8
}

impl Spec for CacheSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        if let Contents::HitRatio(ratio) = self.contents
            && !(0.0..=1.0).contains(&ratio)
        {
            check.problem(
                "E0365",
                "contents.hit_ratio",
                format!("a share of {ratio} is not between 0 and 1"),
                "write 0.9 for 90 %",
            );
        }
        if self.class.is_none() {
            check.problem(
                "W0401",
                "class",
                "the cache has no `class`, so it is not on the bill".into(),
                "give its price in a table of your own (prices/README.md) and name the item here",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.class.iter().cloned().collect()
    }
    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }
    fn families(&self, _kind: &str) -> &'static [&'static str] {
        &["elasticache"]
    }
}

const SERVED: u8 = 0;

/// A client of the cache and its connection to the store behind, by number.
type Clients = BTreeMap<(NodeId, u32), Option<u32>>;

/// A cache as it runs.
pub struct Cache {
    name: String,
    class: Option<String>,
    to: NodeId,
    items: Items,
    service: Span,
    latency: Sampler,
    busy_until: Time,
    clients: Clients,
    clients_max: usize,
    connections: u32,
    limits: Limits,
    client_gauge: GaugeId,
    misses_gauge: GaugeId,
    misses_open: u64,
    hits: u64,
    misses: u64,
}

struct Limits {
    thread: LimitId,
    clients: LimitId,
}

/// What it holds as it runs.
enum Items {
    Ratio(f64),
    Keys { cumulative: Vec<f64>, until: Vec<Time>, ttl: Option<Span>, flush: Vec<Time> },
}

impl Items {
    fn new(contents: &Contents) -> Items {
        let keys = match contents {
            Contents::HitRatio(ratio) => return Items::Ratio(*ratio),
            Contents::Keys(keys) => keys,
        };
        let mut sum = 0.0;
        let cumulative = (1..=keys.count).map(|k| {
            sum += libm::pow(f64::from(k), -keys.zipf);
            sum
        });
        let full = keys.ttl.map_or(Time::MAX, |ttl| Time::ZERO + ttl);
        let mut flush: Vec<Time> = keys.flush.iter().map(|at| Time::ZERO + *at).collect();
        flush.sort_unstable();
        flush.reverse();
        Items::Keys {
            cumulative: cumulative.collect(),
            until: vec![if keys.warm { full } else { Time::ZERO }; keys.count as usize],
            ttl: keys.ttl,
            flush,
        }
    }

    /// Whether the request finds its item; if it is known by key, its key.
    fn find(&mut self, call: CallId, ctx: &mut Ctx) -> (bool, u32) {
        let now = ctx.now();
        let mut stream = ctx.stream(call, Purpose::Item);
        match self {
            Items::Ratio(ratio) => (stream.chance(*ratio), 0),
            Items::Keys { cumulative, until, flush, .. } => {
                while flush.last().is_some_and(|at| *at <= now) {
                    flush.pop();
                    until.fill(Time::ZERO);
                }
                let all = cumulative.last().copied().unwrap_or(1.0);
                let u = stream.unit() * all;
                let at = cumulative.partition_point(|sum| *sum <= u).min(until.len() - 1);
                (until[at] > now, at as u32)
            }
        }
    }

    /// A miss was answered by the store: the item is kept.
    fn fill(&mut self, item: u32, now: Time) {
        if let Items::Keys { until, ttl, .. } = self {
            until[item as usize] = ttl.map_or(Time::MAX, |ttl| now + ttl);
        }
    }
}

impl Component for Cache {
    type Spec = CacheSpec;

    fn build(spec: &CacheSpec, wiring: &mut Wiring) -> Result<Cache, String> {
        let me = wiring.me;
        let to = wiring.node(&spec.to)?;
        let latency = spec.latency.sampler(wiring.data)?;
        let ledger = &mut *wiring.ledger;
        let limits = Limits {
            thread: ledger.limit(me, "cache_thread", "the cache's one thread".into()),
            clients: ledger.limit(
                me,
                "client_connections",
                format!("{} client connections", spec.max_clients),
            ),
        };
        Ok(Cache {
            name: wiring.name.to_owned(),
            class: spec.class.clone(),
            to,
            items: Items::new(&spec.contents),
            service: spec.service,
            latency,
            busy_until: Time::ZERO,
            clients: Clients::new(),
            clients_max: spec.max_clients as usize,
            connections: 0,
            limits,
            client_gauge: ledger.gauge(me, "client connections", Some(u64::from(spec.max_clients))),
            misses_gauge: ledger.gauge(me, "misses at the store", None),
            misses_open: 0,
            hits: 0,
            misses: 0,
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) if ctx.calls.get(call).op == Op::Connect => {
                self.connect(call, ctx);
            }
            Message::Arrive(call) => {
                let now = ctx.now();
                let begin = self.busy_until.max(now);
                ctx.ledger.waited_for(self.limits.thread, now, begin);
                self.busy_until = begin + self.service;
                let path = self.latency.sample(&mut ctx.stream(call, Purpose::FrontDoor));
                let at = self.busy_until.since(now) + path;
                ctx.wake(at, SERVED, call.slot, call.turn);
            }
            Message::Wake(_, slot, turn) => self.served(CallId { slot, turn }, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::HangUp(owner, _, tag) => {
                if let Some(Some(connection)) = self.clients.remove(&(owner, tag)) {
                    ctx.hang_up(self.to, 1, connection);
                }
                ctx.ledger.set(self.client_gauge, ctx.queue.now(), self.clients.len() as u64);
            }
            // The store works on for clients that have gone.
            Message::Cancel(_) => {}
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let held = hours(ctx.now());
        let class = |class: &String| UsageLine::held(&self.name, class, held, "hour");
        NodeReport {
            counters: vec![("hits", self.hits), ("misses", self.misses)],
            usage: self.class.iter().map(class).collect(),
        }
    }
}

impl Cache {
    fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        let row = *ctx.calls.get(call);
        if self.clients.len() >= self.clients_max {
            ctx.ledger.refused_by(self.limits.clients, ctx.queue.now());
            return ctx.fail(call, Cause::ClientConnections, 0);
        }
        self.clients.insert((row.from, row.tag), None);
        ctx.ledger.set(self.client_gauge, ctx.queue.now(), self.clients.len() as u64);
        ctx.reply(call, Outcome::OK);
    }

    fn served(&mut self, call: CallId, ctx: &mut Ctx) {
        let (hit, item) = self.items.find(call, ctx);
        if hit {
            self.hits += 1;
            return ctx.reply(call, Outcome::OK);
        }
        self.misses += 1;
        self.count_misses(1, ctx);
        let row = ctx.calls.get(call);
        row.a = item;
        let client = (row.from, row.tag);
        match self.clients.get(&client).copied().flatten() {
            Some(connection) => self.ask(call, connection, ctx),
            None => {
                self.connections = self.connections.wrapping_add(1);
                let connection = self.connections;
                ctx.connect_store(self.to, call, Span::ZERO, connection);
            }
        }
    }

    fn ask(&mut self, call: CallId, connection: u32, ctx: &mut Ctx) {
        let amount = ctx.calls.get(call).amount;
        ctx.call_store(self.to, call, amount, connection);
    }

    fn count_misses(&mut self, by: i8, ctx: &mut Ctx) {
        self.misses_open = self.misses_open.saturating_add_signed(i64::from(by));
        ctx.ledger.set(self.misses_gauge, ctx.queue.now(), self.misses_open);
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let (call, outcome, connection) = (answer.parent, answer.outcome, answer.tag);
        let row = *ctx.calls.get(call);
        let client = self.clients.get_mut(&(row.from, row.tag));
        if answer.op == Op::Connect && outcome.is_ok() {
            // A client that has left meanwhile needs the connection for this one statement only.
            if let Some(client) = client {
                client.get_or_insert(connection);
            }
            return self.ask(call, connection, ctx);
        }
        match client {
            Some(kept) if *kept == Some(connection) && outcome.is_ok() => {}
            Some(kept) if *kept == Some(connection) => {
                *kept = None;
                ctx.hang_up(self.to, 1, connection);
            }
            _ => ctx.hang_up(self.to, 1, connection),
        }
        if outcome.is_ok() {
            self.items.fill(row.a, ctx.now());
        }
        self.count_misses(-1, ctx);
        ctx.reply(call, outcome);
    }
}
