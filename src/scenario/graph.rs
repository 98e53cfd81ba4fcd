//! How the nodes of a design hang together: who may lead to whom, and no circles.

use super::check::{Problems, nearest};
use super::spec::Scenario;
use super::words::{article, either};
use crate::model::entry::guard::Per;
use crate::model::registry::{KINDS, NodeSpec};
use crate::model::work::StepSpec;
use crate::model::world::DesignSpec;
use std::collections::{BTreeMap, BTreeSet};

fn is_service(kind: &str) -> bool {
    matches!(
        kind,
        "api_gateway"
            | "function_url"
            | "alb"
            | "nlb"
            | "guard"
            | "haproxy"
            | "nginx"
            | "lambda"
            | "pods"
    )
}

/// Kinds that take requests from users, proxies and services.
fn takes_requests(kind: &str) -> bool {
    !is_store(kind)
}

const DATABASES: [&str; 4] = ["postgres", "mysql", "mongodb", "documentdb"];

fn is_store(kind: &str) -> bool {
    DATABASES.contains(&kind) || matches!(kind, "pgbouncer" | "rds_proxy" | "dynamodb" | "cache")
}

/// Kinds that each kind may lead to.
fn may_lead_to(kind: &str, target: &str) -> bool {
    match kind {
        "function_url" => target == "lambda",
        "api_gateway" => matches!(target, "lambda" | "alb" | "sqs"),
        "alb" => {
            matches!(target, "pods" | "node_port" | "haproxy" | "nginx" | "lambda" | "guard")
        }
        "nlb" => matches!(target, "pods" | "node_port" | "haproxy" | "nginx" | "alb"),
        "haproxy" | "nginx" => {
            matches!(target, "pods" | "node_port" | "haproxy" | "nginx" | "guard")
        }
        "guard" => !is_store(target) && !matches!(target, "dns" | "sqs"),
        "dns" => matches!(target, "pods" | "node_port" | "nlb" | "haproxy" | "nginx"),
        "node_port" => target == "pods",
        "sqs" => matches!(target, "lambda" | "sqs"),
        "pgbouncer" => target == "postgres",
        "cache" => is_store(target) && target != "cache",
        "rds_proxy" => matches!(target, "postgres" | "mysql"),
        _ => true,
    }
}

/// Kinds that may stand behind a kind by its own fields; none: it leads nowhere, by the steps of the work, or anywhere (a router).
pub(super) fn leads_to(kind: &str) -> Vec<&'static str> {
    let ends =
        matches!(kind, "pods" | "lambda" | "router" | "dynamodb") || DATABASES.contains(&kind);
    let all = KINDS.iter().map(|(target, _)| *target).filter(|_| !ends);
    all.filter(|target| may_lead_to(kind, target)).collect()
}

/// Finds targets of the wrong kind, missing stores and circles.
pub(super) fn check(scenario: &Scenario, name: &str, spec: &DesignSpec, problems: &mut Problems) {
    let path = format!("designs.{name}");
    let kind = |node: &str| spec.nodes.get(node).map(NodeSpec::kind);
    for (class, node) in &spec.enter {
        let at = format!("{path}.enter.{class}");
        match (kind(node), spec.nodes.get(node)) {
            (Some(kind), _) if !takes_requests(kind) => problems.add(
                "E0303",
                &at,
                format!("\"{node}\" is {}: users do not connect to a store", article(kind)),
                "let them enter by a front door, a proxy or a service",
            ),
            (Some("pods"), Some(pods)) if pods.spec().addresses(&|_| 1) > 1 => problems.add(
                "E0306",
                &at,
                format!("\"{node}\" has several pods and nothing that chooses among them"),
                "put a node_port, dns, alb, haproxy or nginx in front",
            ),
            _ => {}
        }
    }
    for (node, node_spec) in &spec.nodes {
        for (inside, target) in node_spec.spec().targets() {
            if let Some(found) = kind(target)
                && !may_lead_to(node_spec.kind(), found)
            {
                problems.add(
                    "E0303",
                    &format!("{path}.nodes.{node}.{}.{inside}", node_spec.kind()),
                    format!(
                        "{} cannot lead to \"{target}\", which is {}",
                        article(node_spec.kind()),
                        article(found)
                    ),
                    &format!("it leads to {}", either(leads_to(node_spec.kind()))),
                );
            }
        }
    }
    chosen(&path, spec, problems);
    steps(scenario, &path, spec, problems);
    circles(scenario, &path, spec, problems);
}

/// A guard has one way on, unless it keeps a state for each address: it does not choose among pods.
fn chosen(path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (name, node) in &spec.nodes {
        let NodeSpec::Guard(guard) = node else { continue };
        if guard.per == Per::Node
            && let Some(pods @ NodeSpec::Pods(_)) = spec.nodes.get(&guard.to)
            && pods.spec().addresses(&|_| 1) > 1
        {
            problems.add(
                "E0306",
                &format!("{path}.nodes.{name}.guard.to"),
                format!("\"{}\" has several pods and a guard does not choose among them", guard.to),
                "put a node_port, alb, haproxy or nginx between them, the guard in front of it, or `per: address`",
            );
        }
    }
}

/// Stores and services that the work names must be there, and of a fitting kind.
fn steps(scenario: &Scenario, path: &str, spec: &DesignSpec, problems: &mut Problems) {
    let mut told = BTreeSet::new();
    for work in used_work(scenario, spec) {
        for step in scenario.work.get(work).into_iter().flatten() {
            let (target, wanted, fits): (_, _, fn(&str) -> bool) = match step {
                StepSpec::Query(query) => (&query.to, "a store", is_store),
                StepSpec::Call(call) => (&call.to, "a service", is_service),
                StepSpec::Publish(publish) => (&publish.to, "a queue", |kind| kind == "sqs"),
                StepSpec::Event(event) => (&event.to, "a function", |kind| kind == "lambda"),
                StepSpec::Cpu(_) | StepSpec::Wait(_) | StepSpec::Fail(_) => continue,
            };
            if !told.insert(target) {
                continue;
            }
            let at = format!("{path}.nodes");
            match spec.nodes.get(target) {
                None => problems.add(
                    "E0301",
                    &at,
                    format!("work \"{work}\" needs a node \"{target}\", and this design has none"),
                    &nearest(target, spec.nodes.keys()),
                ),
                Some(node) if !fits(node.kind()) => {
                    problems.add(
                        "E0303",
                        &format!("{at}.{target}"),
                        format!(
                            "work \"{work}\" needs {wanted} \"{target}\", but it is {}",
                            article(node.kind())
                        ),
                        "use `query` for stores, `call` for services, `event` for functions and `publish` for queues",
                    );
                }
                Some(_) => {}
            }
        }
    }
}

/// Kinds of request that reach this design, in the order of the scenario.
pub(super) fn used_work<'a>(scenario: &'a Scenario, spec: &'a DesignSpec) -> Vec<&'a String> {
    let mut open: Vec<&String> = Vec::new();
    for class in spec.enter.keys().filter_map(|class| scenario.workload.get(class)) {
        open.extend(class.kinds());
    }
    let mut used = Vec::new();
    while let Some(work) = open.pop() {
        if used.contains(&work) {
            continue;
        }
        used.push(work);
        open.extend(own_work(spec, work).map(|(_, own)| own));
        for step in scenario.work.get(work).into_iter().flatten() {
            match step {
                StepSpec::Call(call) => open.push(&call.request),
                StepSpec::Publish(publish) => open.push(&publish.request),
                StepSpec::Event(event) => open.push(&event.request),
                _ => {}
            }
        }
    }
    used.sort();
    used
}

/// Nodes that do other work for a kind of request than its own, and whose.
fn own_work<'a>(
    spec: &'a DesignSpec,
    kind: &'a str,
) -> impl Iterator<Item = (&'a str, &'a String)> + 'a {
    let own = move |(name, node): (&'a String, &'a NodeSpec)| {
        node.spec().own_work()?.get(kind).map(|own| (name.as_str(), own))
    };
    spec.nodes.iter().filter_map(own)
}

/// The node that a step leads to.
pub(super) fn named_by_step(step: &StepSpec) -> Option<&str> {
    match step {
        StepSpec::Query(query) => Some(&query.to),
        StepSpec::Call(call) => Some(&call.to),
        StepSpec::Publish(publish) => Some(&publish.to),
        StepSpec::Event(event) => Some(&event.to),
        StepSpec::Cpu(_) | StepSpec::Wait(_) | StepSpec::Fail(_) => None,
    }
}

/// Nodes that a node sends to, connects to or hands its failures to.
pub(super) fn led_to(node: &NodeSpec) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.spec().targets().into_iter().map(|(_, target)| target).collect();
    match node {
        NodeSpec::Pods(pods) => names.extend(pods.pool.keys().map(String::as_str)),
        NodeSpec::Lambda(lambda) => names.extend(lambda.events.on_failure.as_deref()),
        _ => {}
    }
    names
}

/// The nodes behind each node of a design, at any distance. What does work may do any of the design's.
pub fn behind<'a>(
    scenario: &'a Scenario,
    spec: &'a DesignSpec,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let works = used_work(scenario, spec);
    let steps = works.iter().filter_map(|work| scenario.work.get(*work)).flatten();
    let by_work: Vec<&str> = steps.filter_map(named_by_step).collect();
    let reach = |start: &'a str| {
        let mut open = vec![start];
        let mut reached = BTreeSet::new();
        while let Some(at) = open.pop() {
            let Some(node) = spec.nodes.get(at) else { continue };
            let own = matches!(node, NodeSpec::Pods(_) | NodeSpec::Lambda(_));
            let next = led_to(node).into_iter().chain(by_work.iter().copied().filter(|_| own));
            open.extend(next.filter(|name| *name != start && reached.insert(*name)));
        }
        reached
    };
    spec.nodes.keys().map(|name| (name.as_str(), reach(name))).collect()
}

/// A request that leads back to a node or kind of work it came from would never end.
fn circles(scenario: &Scenario, path: &str, spec: &DesignSpec, problems: &mut Problems) {
    let nodes: BTreeMap<&str, Vec<&str>> = spec
        .nodes
        .iter()
        .map(|(name, node)| {
            (name.as_str(), node.spec().targets().into_iter().map(|(_, target)| target).collect())
        })
        .collect();
    if let Some(circle) = circle(&nodes) {
        problems.add(
            "E0305",
            &format!("{path}.nodes.{}", circle[0]),
            format!("nodes lead back to themselves: {}", circle.join(" → ")),
            "break the circle",
        );
    }
    let calls = |steps: &'_ Vec<StepSpec>| -> Vec<String> {
        let request = |step: &StepSpec| match step {
            StepSpec::Call(call) => Some(call.request.clone()),
            // Whoever takes the message does this work, which sends the next.
            StepSpec::Publish(publish) => Some(publish.request.clone()),
            StepSpec::Event(event) => Some(event.request.clone()),
            StepSpec::Cpu(_) | StepSpec::Wait(_) | StepSpec::Query(_) | StepSpec::Fail(_) => None,
        };
        steps.iter().filter_map(request).collect()
    };
    let owned: BTreeMap<&String, Vec<String>> =
        scenario.work.iter().map(|(name, steps)| (name, calls(steps))).collect();
    let work: BTreeMap<&str, Vec<&str>> = owned
        .iter()
        .map(|(name, calls)| {
            let own = own_work(spec, name).filter_map(|(_, own)| owned.get(own)).flatten();
            (name.as_str(), calls.iter().chain(own).map(String::as_str).collect())
        })
        .collect();
    if let Some(circle) = circle(&work) {
        problems.add(
            "E0305",
            &format!("work.{}", circle[0]),
            format!("work leads to itself: {}", circle.join(" → ")),
            "break the circle of calls, messages or events",
        );
    }
}

/// A circle in a graph of names, if there is one, closed by its first name.
fn circle(graph: &BTreeMap<&str, Vec<&str>>) -> Option<Vec<String>> {
    fn visit<'a>(
        at: &'a str,
        graph: &BTreeMap<&'a str, Vec<&'a str>>,
        trail: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|seen| *seen == at) {
            let names = trail[start..].iter().chain([&at]);
            return Some(names.map(|name| (*name).to_owned()).collect());
        }
        if done.contains(at) {
            return None;
        }
        trail.push(at);
        for next in graph.get(at).into_iter().flatten() {
            if let Some(circle) = visit(next, graph, trail, done) {
                return Some(circle);
            }
        }
        trail.pop();
        done.insert(at);
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| visit(start, graph, &mut Vec::new(), &mut done))
}

/// Who queries which store: requests from their entry on, with the kind of work that they are.
pub(super) fn queried<'a>(
    scenario: &'a Scenario,
    spec: &'a DesignSpec,
) -> BTreeSet<(&'a str, &'a str)> {
    let mut open: Vec<(&str, &str)> = Vec::new();
    for (class, node) in &spec.enter {
        let Some(users) = scenario.workload.get(class) else { continue };
        let session = users.session.iter().flatten().map(|step| &step.request);
        open.extend(users.request.iter().chain(session).map(|work| (node.as_str(), work.as_str())));
    }
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some((name, work)) = open.pop() {
        let Some(node) = spec.nodes.get(name).filter(|_| seen.insert((name, work))) else {
            continue;
        };
        if !matches!(node, NodeSpec::Pods(_) | NodeSpec::Lambda(_)) {
            open.extend(node.spec().targets().into_iter().map(|(_, target)| (target, work)));
            continue;
        }
        let own = own_work(spec, work).find(|(node, _)| *node == name);
        let work = own.map_or(work, |(_, own)| own.as_str());
        for step in scenario.work.get(work).into_iter().flatten() {
            match step {
                StepSpec::Query(query) => _ = found.insert((name, query.to.as_str())),
                StepSpec::Call(call) => open.push((&call.to, &call.request)),
                StepSpec::Publish(publish) => open.push((&publish.to, &publish.request)),
                StepSpec::Event(event) => open.push((&event.to, &event.request)),
                StepSpec::Cpu(_) | StepSpec::Wait(_) | StepSpec::Fail(_) => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_named() {
        let graph = BTreeMap::from([("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"])]);
        assert_eq!(circle(&graph), Some(vec!["b".into(), "c".into(), "b".into()]));
        let tree = BTreeMap::from([("a", vec!["b", "c"]), ("b", vec!["c"]), ("c", vec![])]);
        assert_eq!(circle(&tree), None);
    }
}
