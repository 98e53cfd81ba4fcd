//! What a scenario means: names that lead somewhere, laws that exist, limits that leave room, prices that are known.
//!
//! All problems are reported at once, each with the path of the value that is wrong. Building a checked scenario cannot fail.

use super::family;
use super::graph;
use super::priced;
use super::sense;
use super::spec::Scenario;
use super::threshold::{Subject, Threshold};
use super::words::{article, is_unsafe, plain};
use crate::kernel::{Key, Span};
use crate::model::client::{Arrivals, ClassSpec, Load, Shape};
use crate::model::component::{Check, Problem};
use crate::model::data::Data;
use crate::model::era::Era;
use crate::model::operation::Action;
use crate::model::wiring::Slots;
use crate::model::work::StepSpec;
use crate::model::world::{self, DesignSpec};
use crate::price::Table;
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Most users and requests of one replication: beyond them memory and time are better planned than found out.
pub const USERS_MAX: u64 = 10_000_000;
/// See [`USERS_MAX`].
pub const REQUESTS_MAX: f64 = 2e9;

/// Collects problems with their absolute paths.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, code: &'static str, path: &str, message: String, remedy: &str) {
        self.0.push(Problem { code, path: path.into(), message, remedy: remedy.into() });
    }
}

/// "did you mean" for a name among `known`; without a near one, all of them.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&String> = known.collect();
    let best = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(candidate, name), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.7);
    match best {
        Some((_, candidate)) => format!("did you mean \"{candidate}\"?"),
        None if known.is_empty() => "there are none".into(),
        None => {
            format!("there are {}", known.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "))
        }
    }
}

/// All problems of a scenario; `data` holds the files that it names, `prices` the table in force.
pub fn check(scenario: &Scenario, data: &Data, prices: Option<&Table>) -> Vec<Problem> {
    let mut problems = Problems::default();
    if let Some((path, n)) = too_large(scenario) {
        problems.add(
            "E0327",
            &path,
            format!("{n} entries; the limit is {NAMES_MAX}"),
            "split the scenario",
        );
        return problems.0;
    }
    names(scenario, &mut problems);
    for (name, steps) in &scenario.work {
        for (i, step) in steps.iter().enumerate() {
            work_step(scenario, &format!("work.{name}[{i}]"), step, &mut problems);
        }
    }
    for (name, class) in &scenario.workload {
        workload(scenario, name, class, data, &mut problems);
    }
    if scenario.designs.is_empty() {
        problems.add("E0308", "designs", "there is no design".into(), "describe at least one");
    }
    for (name, spec) in &scenario.designs {
        design(scenario, name, spec, &mut problems);
    }
    for (subject, expressions) in &scenario.thresholds {
        thresholds(scenario, subject, expressions, &mut problems);
    }
    sense::month(scenario, &mut problems);
    match prices {
        None => {
            let known = crate::price::builtin_regions().join(", ");
            problems.add(
                "E0320",
                "region",
                format!("there is no price table for region \"{}\"", scenario.region),
                &format!("regions with a table: {known}; or give one with --prices FILE"),
            );
        }
        Some(table) => {
            priced::check(scenario, table, &mut problems);
            family::check(scenario, table, &mut problems);
        }
    }
    problems.0
}

/// The thresholds on one metric, of all users or of a class.
fn thresholds(scenario: &Scenario, key: &str, expressions: &[String], problems: &mut Problems) {
    let path = format!("thresholds.{key}");
    let remedy = "see `headroom explain thresholds` for metrics and statistics";
    let subject = match Subject::parse(key) {
        Ok(subject) => subject,
        Err(why) => {
            problems.add("E0309", &path, why, remedy);
            return;
        }
    };
    if let Some(class) = subject.class {
        if !scenario.workload.contains_key(class) {
            let what = format!("there is no class \"{class}\" in the workload");
            problems.add("E0300", &path, what, &nearest(class, scenario.workload.keys()));
        } else if scenario.designs.values().all(|design| !design.enter.contains_key(class)) {
            let what = format!("class \"{class}\" enters no design, so nothing is judged");
            problems.add("W0415", &path, what, "name it under `enter` of a design");
        }
    }
    for (i, text) in expressions.iter().enumerate() {
        let path = format!("{path}[{i}]");
        match Threshold::parse(subject.metric, text) {
            Ok(own) => sense::threshold(&path, subject.metric, text, &own, problems),
            Err(why) => problems.add("E0309", &path, why, remedy),
        }
    }
}

/// Most nodes of a design and kinds of request: chains of names are followed recursively.
const NAMES_MAX: usize = 1000;

fn too_large(scenario: &Scenario) -> Option<(String, usize)> {
    let tables = [
        ("work".to_owned(), scenario.work.len()),
        ("workload".to_owned(), scenario.workload.len()),
        ("designs".to_owned(), scenario.designs.len()),
    ];
    let nodes = scenario.designs.iter();
    let nodes = nodes.map(|(name, spec)| (format!("designs.{name}.nodes"), spec.nodes.len()));
    tables.into_iter().chain(nodes).find(|(_, n)| *n > NAMES_MAX)
}

/// Names become path segments and column values: they must be usable as such.
fn names(scenario: &Scenario, problems: &mut Problems) {
    let mut paths: Vec<(String, &str)> = Vec::new();
    paths.extend(scenario.workload.keys().map(|n| ("workload".to_owned(), n.as_str())));
    paths.extend(scenario.work.keys().map(|n| ("work".to_owned(), n.as_str())));
    for (design, spec) in &scenario.designs {
        paths.push(("designs".into(), design));
        paths.extend(spec.nodes.keys().map(|n| (format!("designs.{design}.nodes"), n.as_str())));
        paths.extend(
            spec.accounts.keys().map(|n| (format!("designs.{design}.accounts"), n.as_str())),
        );
        paths.extend(spec.fixed.keys().map(|n| (format!("designs.{design}.fixed"), n.as_str())));
    }
    for (path, name) in paths {
        let cannot = |c: char| matches!(c, '.' | '[' | ']' | '*') || is_unsafe(c);
        if name.trim().is_empty() || name.contains(cannot) || name.len() > 60 {
            problems.add(
                "E0304",
                &path,
                format!("\"{}\" is not a usable name", plain(name)),
                "use 1 to 60 characters without . [ ] *, line breaks, control characters and marks of the direction of writing",
            );
        }
    }
}

fn work_step(scenario: &Scenario, path: &str, step: &StepSpec, problems: &mut Problems) {
    match step {
        StepSpec::Call(call) => {
            known_work(scenario, &format!("{path}.call.request"), &call.request, problems);
        }
        StepSpec::Publish(publish) => {
            known_work(scenario, &format!("{path}.publish.request"), &publish.request, problems);
            message_size(scenario, &format!("{path}.publish.size"), publish.size, problems);
        }
        StepSpec::Event(event) => {
            known_work(scenario, &format!("{path}.event.request"), &event.request, problems);
            message_size(scenario, &format!("{path}.event.size"), event.size, problems);
        }
        StepSpec::Cpu(_) | StepSpec::Wait(_) | StepSpec::Query(_) | StepSpec::Fail(_) => {}
    }
}

/// What a queue or an asynchronous invocation takes: 256 KB, and 1 MB since August 2025 (queues) and October 2025.
fn message_size(scenario: &Scenario, path: &str, size: Bytes, problems: &mut Problems) {
    let most = Bytes(if scenario.era < Era::Y2025 { 256 << 10 } else { 1 << 20 });
    if size > most {
        problems.add(
            "E0345",
            path,
            format!("a message of {size} is refused: era {} takes {most}", scenario.era.name()),
            "keep the message in a store and send its name",
        );
    }
}

fn known_work(scenario: &Scenario, path: &str, name: &str, problems: &mut Problems) {
    if !scenario.work.contains_key(name) {
        let remedy = nearest(name, scenario.work.keys());
        problems.add("E0300", path, format!("there is no work \"{name}\""), &remedy);
    }
}

fn workload(
    scenario: &Scenario,
    name: &str,
    class: &ClassSpec,
    data: &Data,
    problems: &mut Problems,
) {
    let path = format!("workload.{name}");
    match (&class.request, &class.session) {
        (Some(request), None) => {
            known_work(scenario, &format!("{path}.request"), request, problems);
        }
        (None, Some(session)) => {
            for (i, step) in session.iter().enumerate() {
                let at = format!("{path}.session[{i}]");
                known_work(scenario, &format!("{at}.request"), &step.request, problems);
            }
            if session.is_empty() {
                problems.add(
                    "E0321",
                    &format!("{path}.session"),
                    "a session without a request".into(),
                    "name at least one",
                );
            }
        }
        _ => problems.add(
            "E0321",
            &path,
            "a class sends either one kind of `request` or a `session` of several".into(),
            "give exactly one of the two",
        ),
    }
    let connection = &class.connection;
    if connection.http2.is_some() && !(connection.tls && connection.keepalive) {
        problems.add(
            "E0391",
            &format!("{path}.connection.http2"),
            "HTTP/2 without TLS or on connections that are not kept".into(),
            "leave `tls` and `keepalive` on: the two sides agree on HTTP/2 in the TLS handshake, and its connections stay",
        );
    }
    if class.patience.timeout.is_some_and(Span::is_zero) {
        let at = format!("{path}.patience.timeout");
        problems.add(
            "E0322",
            &at,
            "a timeout of zero lets no request through".into(),
            "leave it out for no timeout",
        );
    }
    load(&path, &class.load, data, problems);
    sense::load(&path, &class.load, scenario.run.horizon, problems);
    sense::retry(&path, &class.retry, problems);
}

fn load(path: &str, load: &Load, data: &Data, problems: &mut Problems) {
    let mut too_many = |at: &str, n: f64| {
        if n > REQUESTS_MAX {
            problems.add(
                "E0323",
                &format!("{path}.load.{at}"),
                format!(
                    "about {n:.3e} requests in one replication; the limit is {REQUESTS_MAX:.0e}"
                ),
                "lower the rate or shorten the run",
            );
        }
    };
    match load {
        Load::Closed(closed) => {
            if let (None, None) = (closed.duration, closed.requests_per_user) {
                problems.add(
                    "E0324",
                    &format!("{path}.load.closed"),
                    "closed users who never stop".into(),
                    "give `for`, `requests_per_user` or both",
                );
            }
        }
        Load::Open(open) => {
            let (at, n) = match &open.rate {
                Shape::Steady(s) => {
                    ("open.rate.steady", s.rate.per_second() * s.duration.as_secs_f64())
                }
                Shape::Stages(s) => {
                    let peak = s.stages.iter().map(|stage| stage.target.per_second());
                    let peak = peak.fold(s.start.per_second(), f64::max);
                    let long: f64 = s.stages.iter().map(|stage| stage.duration.as_secs_f64()).sum();
                    ("open.rate.stages", peak * long)
                }
                Shape::Spike(s) => (
                    "open.rate.spike",
                    s.base.per_second() * s.duration.as_secs_f64()
                        + s.peak.per_second() * s.lasts.as_secs_f64(),
                ),
                Shape::Diurnal(s) => {
                    ("open.rate.diurnal", s.mean.per_second() * s.duration.as_secs_f64())
                }
            };
            too_many(at, n);
        }
        Load::Burst(_) => {}
        Load::Trace(trace) => {
            if let Err(why) = Arrivals::new(load, Key::default(), data) {
                let at = format!("{path}.load.trace");
                problems.add("E0325", &at, why, &format!("check the file \"{}\"", trace.file));
            }
        }
    }
}

/// What the nodes of a design may know of one another.
struct Known {
    kinds: BTreeMap<String, &'static str>,
    timeouts: BTreeMap<String, Span>,
    slots: BTreeMap<String, Slots>,
}

impl Known {
    fn of(spec: &DesignSpec) -> Known {
        let nodes = || spec.nodes.iter().map(|(name, node)| (name.clone(), node));
        Known {
            kinds: nodes().map(|(name, node)| (name, node.kind())).collect(),
            timeouts: nodes()
                .filter_map(|(name, node)| Some((name, node.spec().timeout()?)))
                .collect(),
            slots: nodes()
                .filter_map(|(name, node)| Some((name, node.spec().slots(node.kind())?)))
                .collect(),
        }
    }
}

/// What is to happen to the nodes of a design.
fn events(
    scenario: &Scenario,
    path: &str,
    spec: &DesignSpec,
    known: &Known,
    problems: &mut Problems,
) {
    for (i, event) in spec.events.iter().enumerate() {
        let at = format!("{path}.events[{i}]");
        let Some(node) = spec.nodes.get(&event.node) else {
            let remedy = nearest(&event.node, spec.nodes.keys());
            let what = format!("there is no node \"{}\" in this design", event.node);
            problems.add("E0301", &format!("{at}.node"), what, &remedy);
            continue;
        };
        let mut check = Check {
            era: scenario.era,
            kind: node.kind(),
            nodes: &known.kinds,
            timeouts: &known.timeouts,
            slots: &known.slots,
            accounts: &spec.accounts,
            problems: Vec::new(),
        };
        match &event.action {
            Action::BlackHole(hole) => {
                let of =
                    |name: &str| spec.nodes.get(name).map_or(1, |n| n.spec().addresses(&|_| 1));
                let addresses = of(&event.node);
                if let Some(address) = hole.addresses.iter().find(|at| **at >= addresses) {
                    let what = format!(
                        "\"{}\" has {addresses} addresses, numbered from 0: there is no {address}",
                        event.node
                    );
                    check.problem(
                        "E0367",
                        "do.black_hole.addresses",
                        what,
                        "name addresses below that, or none for all",
                    );
                }
            }
            action if action.around().is_none() => node.spec().check_event(action, &mut check),
            _ => {}
        }
        for problem in check.problems {
            problems.0.push(Problem { path: format!("{at}.{}", problem.path), ..problem });
        }
    }
}

/// Nodes of machines exist, stand on one machine only, and have threads that can run there.
fn machines(path: &str, spec: &DesignSpec, problems: &mut Problems) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (machine, row) in &spec.machines {
        for (i, name) in row.nodes.iter().enumerate() {
            let at = format!("{path}.machines.{machine}.nodes[{i}]");
            let Some(node) = spec.nodes.get(name) else {
                let remedy = nearest(name, spec.nodes.keys());
                let what = format!("there is no node \"{name}\" in this design");
                problems.add("E0301", &at, what, &remedy);
                continue;
            };
            if let Some(other) = taken.insert(name, machine) {
                let what = format!("\"{name}\" is on machine \"{other}\" already");
                problems.add("E0377", &at, what, "name a node on one machine only");
            }
            if let Err(why) = node.spec().shares_machine() {
                let what = format!("\"{name}\" cannot share a machine: {why}");
                let remedy = "leave it out: it has processors of its own then";
                problems.add("E0377", &at, what, remedy);
            }
        }
    }
}

fn design(scenario: &Scenario, name: &str, spec: &DesignSpec, problems: &mut Problems) {
    let path = format!("designs.{name}");
    let known = Known::of(spec);
    for (class, node) in &spec.enter {
        let at = format!("{path}.enter.{class}");
        if !scenario.workload.contains_key(class) {
            let remedy = nearest(class, scenario.workload.keys());
            problems.add(
                "E0300",
                &at,
                format!("there is no class \"{class}\" in the workload"),
                &remedy,
            );
        }
        if !known.kinds.contains_key(node) {
            let remedy = nearest(node, spec.nodes.keys());
            problems.add(
                "E0301",
                &at,
                format!("there is no node \"{node}\" in this design"),
                &remedy,
            );
        }
    }
    speaks_http2(scenario, &path, spec, problems);
    if spec.enter.is_empty() {
        let at = format!("{path}.enter");
        problems.add(
            "E0326",
            &at,
            "nobody enters this design".into(),
            "name a class and the node it enters by",
        );
    }
    for (node, node_spec) in &spec.nodes {
        let mut check = Check {
            era: scenario.era,
            kind: node_spec.kind(),
            nodes: &known.kinds,
            timeouts: &known.timeouts,
            slots: &known.slots,
            accounts: &spec.accounts,
            problems: Vec::new(),
        };
        node_spec.check(&mut check);
        for (inside, work) in node_spec.spec().work() {
            let at = format!("{path}.nodes.{node}.{}.{inside}", node_spec.kind());
            known_work(scenario, &at, work, problems);
        }
        for problem in check.problems {
            let inside =
                if problem.path.is_empty() { String::new() } else { format!(".{}", problem.path) };
            let at = format!("{path}.nodes.{node}.{}{inside}", node_spec.kind());
            problems.0.push(Problem { path: at, ..problem });
        }
    }
    events(scenario, &path, spec, &known, problems);
    machines(&path, spec, problems);
    reservations(&path, spec, problems);
    graph::check(scenario, name, spec, problems);
    sense::pools(&path, spec, &known.slots, problems);
    sense::proxied(&path, spec, problems);
    sense::unsized_pools(scenario, &path, spec, problems);
    sense::frozen(&path, spec, problems);
    sense::unreached(scenario, &path, spec, problems);
    sense::mixed(scenario, &path, spec, problems);
}

/// Functions reserve what an account can give.
fn reservations(path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (account, limits) in &spec.accounts {
        let own = spec.nodes.values().filter_map(|node| node.spec().claim());
        let reserved: u32 = own.filter(|(name, _)| name == account).map(|(_, n)| n).sum();
        if reserved > limits.concurrency.saturating_sub(100) && reserved > 0 {
            problems.add(
                "E0314",
                &format!("{path}.accounts.{account}"),
                format!("{reserved} of {} reserved: 100 must stay unreserved", limits.concurrency),
                "lower the reservations or raise `concurrency`",
            );
        }
    }
}

/// Classes that speak HTTP/2 enter where it is spoken.
fn speaks_http2(scenario: &Scenario, path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (class, entry) in &spec.enter {
        let http2 = scenario.workload.get(class).and_then(|users| users.connection.http2);
        let Some(node) = spec.nodes.get(entry).filter(|_| http2.is_some()) else { continue };
        if world::http2(spec, entry).is_none() {
            problems.add(
                "E0391",
                &format!("{path}.enter.{class}"),
                format!("\"{entry}\", {}, does not speak HTTP/2", article(node.kind())),
                "put nginx, haproxy or an alb in front, or leave `connection.http2` out",
            );
        }
    }
}
