//! A router between two worlds: sends each request to functions or to containers by its profile, by weights that change over time, and over to
//! the other side when one is full.

use super::onward::Onward;
use crate::kernel::{Span, Time};
use crate::model::calls::Via;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::message::{CallId, Event, Message};
use crate::model::wiring::Wiring;
use crate::model::work::Work;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module's head.
pub const ABOUT: About = About {
    what: "A router that sends each request to functions or containers by its profile, by weights over time, and over when one side is full.",
    models: &[
        "routes in order: the first that fits a request's kind and its expected duration decides",
        "weights, and weights that change at given times: canary, blue and green, traffic shift",
        "overflow: above so many requests in progress at the chosen side the next one goes to the other",
        "connections to what it sends to, kept and reused",
    ],
    leaves_out: &[
        "its own machines, limits and bill: a rule of a balancer, or a library in a gateway",
        "a second try at the other side after a failure",
    ],
    example: r#"{"routes": [{"longer_than": "1s", "to": {"functions": 1}}, {"to": {"lb": 1}, "overflow": {"above": 200, "to": "functions"}}]}"#,
};

/// A router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterSpec {
    /// Routes in order: the first that fits decides, and the last one fits all.
    pub routes: Vec<Route>,
    /// Round-trip time to what it sends to.
    #[serde(default = "rtt_default")]
    #[schemars(extend("x-source" = "assumed: one region", "x-assumed" = true))]
    pub rtt: Span,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Kinds of request that it fits; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<String>,
    /// It fits requests that are expected to take longer than this when nothing competes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longer_than: Option<Span>,
    /// Nodes with their weights.
    pub to: BTreeMap<String, f64>,
    /// Other weights from given times on, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<Shift>,
    /// Where requests go when the chosen node is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
}

/// Weights from a given time on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// From when on.
    pub at: Span,
    /// Nodes with their weights.
    pub to: BTreeMap<String, f64>,
}

/// Where requests go when a node is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overflow {
    /// Requests in progress at the chosen node from which on it counts as full.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub above: u32,
    /// The node that takes the rest.
    pub to: String,
}

fn rtt_default() -> Span {
    Span::from_micros(500)
}

impl RouterSpec {
    fn weights(&self) -> impl Iterator<Item = (String, &BTreeMap<String, f64>)> {
        self.routes.iter().enumerate().flat_map(|(i, route)| {
            let shifts = route.shift.iter().enumerate();
            let shifts = shifts.map(move |(j, s)| (format!("routes[{i}].shift[{j}].to"), &s.to));
            std::iter::once((format!("routes[{i}].to"), &route.to)).chain(shifts)
        })
    }
}

impl Spec for RouterSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        let weighted = self.weights().flat_map(|(path, to)| {
            to.keys().map(move |name| (format!("{path}.{name}"), name.as_str()))
        });
        let over = self.routes.iter().enumerate().filter_map(|(i, route)| {
            let over = route.overflow.as_ref()?;
            Some((format!("routes[{i}].overflow.to"), over.to.as_str()))
        });
        weighted.chain(over).collect()
    }
    fn check(&self, check: &mut Check) {
        for (path, name) in self.targets() {
            check.target(&path, name);
            if check.nodes.get(name).is_some_and(|kind| *kind == "pods") {
                check.problem(
                    "E0385",
                    &path,
                    format!("\"{name}\" is a `pods` node, and a router knows no single pods"),
                    "put an `alb`, an `nginx` or a `node_port` in front of the pods",
                );
            }
        }
        let mut problem = |path: &str, message: &str, remedy: &str| {
            check.problem("E0385", path, message.into(), remedy);
        };
        for (path, weights) in self.weights() {
            let sum: f64 = weights.values().sum();
            if weights.values().any(|w| !w.is_finite() || *w < 0.0) || sum <= 0.0 {
                problem(
                    &path,
                    "weights that add up to nothing, or one below zero",
                    "give at least one node a weight above 0",
                );
            }
        }
        for (i, route) in self.routes.iter().enumerate() {
            if route.shift.windows(2).any(|pair| pair[0].at >= pair[1].at) {
                problem(
                    &format!("routes[{i}].shift"),
                    "shifts out of order",
                    "write them in the order of their times",
                );
            }
        }
        let all = |route: &Route| route.work.is_empty() && route.longer_than.is_none();
        if !self.routes.last().is_some_and(all) {
            problem(
                "routes",
                "a request that no route fits has nowhere to go",
                "end with a route that has neither `work` nor `longer_than`",
            );
        }
    }
}

/// A node to send to.
struct Target {
    way: Onward,
    in_progress: u32,
    sent: u64,
}

struct Way {
    /// Fits these kinds of request; none: all.
    work: Vec<u16>,
    longer_than: Option<f64>,
    /// From when on which targets have which weights.
    weights: Vec<(Time, Vec<(usize, f64)>)>,
    overflow: Option<(u32, usize)>,
}

/// A router as it runs.
pub struct Router {
    ways: Vec<Way>,
    targets: Vec<Target>,
    overflowed: u64,
}

impl Component for Router {
    type Spec = RouterSpec;

    fn build(spec: &RouterSpec, wiring: &mut Wiring) -> Result<Router, String> {
        let hop = wiring.way(spec.rtt);
        let mut targets: Vec<Target> = Vec::new();
        let mut target = |name: &str, wiring: &Wiring| -> Result<usize, String> {
            let node = wiring.node(name)?;
            Ok(targets.iter().position(|target| target.way.node() == node).unwrap_or_else(|| {
                targets.push(Target { way: Onward::new(node, hop), in_progress: 0, sent: 0 });
                targets.len() - 1
            }))
        };
        let mut ways = Vec::new();
        for route in &spec.routes {
            let mut weights = Vec::new();
            let shifts = route.shift.iter().map(|shift| (Time::ZERO + shift.at, &shift.to));
            for (at, to) in std::iter::once((Time::ZERO, &route.to)).chain(shifts) {
                let row = to.iter().map(|(name, weight)| Ok((target(name, wiring)?, *weight)));
                weights.push((at, row.collect::<Result<Vec<_>, String>>()?));
            }
            let over = route.overflow.as_ref();
            let over = over.map(|over| Ok::<_, String>((over.above, target(&over.to, wiring)?)));
            ways.push(Way {
                work: route.work.iter().map(|name| wiring.work(name)).collect::<Result<_, _>>()?,
                longer_than: route.longer_than.map(Span::as_secs_f64),
                weights,
                overflow: over.transpose()?,
            });
        }
        Ok(Router { ways, targets, overflowed: 0 })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) => self.answered(child, ctx),
            Message::Wake(..) | Message::Cancel(_) | Message::HangUp(..) => {}
        }
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        let sent = self.targets.iter().map(|target| target.sent).sum();
        NodeReport {
            counters: vec![("requests", sent), ("overflowed", self.overflowed)],
            usage: Vec::new(),
        }
    }
}

impl Router {
    fn arrive(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let at = self.choose(call, ctx);
        let row = ctx.calls.get(call);
        row.established = now;
        row.via = Via::Open(0);
        row.a = at as u32;
        let target = &mut self.targets[at];
        target.in_progress += 1;
        target.sent += 1;
        target.way.send(call, ctx);
    }

    /// The target of a request.
    fn choose(&mut self, call: CallId, ctx: &mut Ctx) -> usize {
        let now = ctx.now();
        let works = ctx.works;
        let kind = ctx.calls.get(call).work;
        let expected = works.get(usize::from(kind)).map_or(0.0, Work::duration_mean);
        let fits = |way: &&Way| {
            (way.work.is_empty() || way.work.contains(&kind))
                && way.longer_than.is_none_or(|least| expected > least)
        };
        let Some(way) = self.ways.iter().find(fits) else { return 0 };
        let passed = way.weights.iter().rev().find(|(from, _)| *from <= now);
        let weights = passed.map_or(&[][..], |(_, weights)| weights);
        let mut left = match weights {
            [_] | [] => 0.0,
            _ => {
                let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
                ctx.stream(call, Purpose::Routing).unit() * sum
            }
        };
        let mut chosen = weights.iter().find(|(_, weight)| *weight > 0.0).map_or(0, |w| w.0);
        for (target, weight) in weights.iter().filter(|(_, weight)| *weight > 0.0) {
            chosen = *target;
            if left < *weight {
                break;
            }
            left -= weight;
        }
        match way.overflow {
            Some((above, other)) if self.targets[chosen].in_progress >= above => {
                self.overflowed += 1;
                other
            }
            _ => chosen,
        }
    }

    fn answered(&mut self, child: CallId, ctx: &mut Ctx) {
        let answer = ctx.take_reply(child);
        let call = answer.parent;
        let row = ctx.calls.get(call);
        row.child = CallId::NONE;
        let target = &mut self.targets[row.a as usize];
        target.in_progress -= 1;
        let outcome = target.way.returned(&answer);
        ctx.reply(call, outcome);
    }
}
