//! Settings that can be read but hardly meant: a spike after the end, a threshold that can never hold, a node that nothing
//! leads to, more connections than slots.
//!
//! What no run could follow is an error; what a run follows otherwise than its author may think is a warning.

use super::check::Problems;
use super::graph::{led_to, named_by_step, queried, used_work};
use super::spec::Scenario;
use super::threshold::{Comparison, Threshold};
use crate::kernel::Span;
use crate::model::client::{ClassSpec, Load, Shape, Spike};
use crate::model::driver::Settings;
use crate::model::operation::{Action, Operation};
use crate::model::pool::{PoolMode, PoolSpec};
use crate::model::registry::NodeSpec;
use crate::model::retry::Retry;
use crate::model::wiring::Slots;
use crate::model::world::DesignSpec;
use crate::price::MONTH_HOURS;
use std::collections::{BTreeMap, BTreeSet};

/// A load that lasts no time or longer than the run, a spike that never comes or is cut off.
pub(super) fn load(path: &str, load: &Load, horizon: Span, problems: &mut Problems) {
    let at = match load {
        Load::Closed(_) => "closed.for",
        Load::Open(open) => match open.rate {
            Shape::Steady(_) => "open.rate.steady.for",
            Shape::Stages(_) => "open.rate.stages.stages",
            Shape::Spike(_) => "open.rate.spike.for",
            Shape::Diurnal(_) => "open.rate.diurnal.for",
        },
        Load::Burst(_) => "burst.at",
        Load::Trace(_) => return,
    };
    if let Some(ends) = load.ends()
        && ends > horizon
    {
        problems.add(
            "W0409",
            &format!("{path}.load.{at}"),
            format!("users come until {ends}, and a replication is stopped at {horizon}"),
            "raise run.horizon above the end of the load, or shorten the load",
        );
    }
    if let Load::Burst(_) = load {
        return;
    }
    if load.ends().is_some_and(Span::is_zero) {
        problems.add(
            "E0392",
            &format!("{path}.load.{at}"),
            "the load lasts no time at all: nobody comes".into(),
            "say for how long users come, e.g. \"60s\"",
        );
    } else if let Load::Open(open) = load
        && let Shape::Spike(own) = &open.rate
    {
        spike(&format!("{path}.load.open.rate.spike"), own, problems);
    }
}

fn spike(path: &str, own: &Spike, problems: &mut Problems) {
    let over = own.at + own.lasts;
    if own.at >= own.duration {
        problems.add(
            "E0392",
            &format!("{path}.at"),
            format!(
                "the spike begins at {}, when the load of {} is over: it never comes",
                own.at, own.duration
            ),
            "begin the spike before the end, or raise `for`",
        );
    } else if over > own.duration {
        problems.add(
            "W0405",
            &format!("{path}.lasts"),
            format!(
                "the spike would last until {over}, and the load ends at {}: the rest of the spike never comes",
                own.duration
            ),
            "shorten the spike, or raise `for`, so that what follows it is seen as well",
        );
    }
}

/// A cap that leaves nothing of the growth.
pub(super) fn retry(path: &str, retry: &Retry, problems: &mut Problems) {
    if let Retry::Exponential(own) = retry
        && own.cap < own.base
    {
        problems.add(
            "W0406",
            &format!("{path}.retry.exponential.cap"),
            format!(
                "no pause is longer than the cap of {}, and the first should be {}: `base` and `factor` have no effect",
                own.cap, own.base
            ),
            "raise `cap` above `base`, or lower `base`",
        );
    }
}

/// A threshold that decides nothing, or whose unit has to be guessed.
pub(super) fn threshold(
    path: &str,
    metric: &str,
    text: &str,
    own: &Threshold,
    problems: &mut Problems,
) {
    let limit = own.limit;
    let share = metric == "success_rate";
    let never = match own.comparison {
        Comparison::Less => limit <= 0.0,
        Comparison::LessOrEqual => limit < 0.0,
        Comparison::Greater => share && limit >= 1.0,
        Comparison::GreaterOrEqual => share && limit > 1.0,
    };
    let verdict = if never { "it can never hold" } else { "it always holds" };
    if share && !(0.0..=1.0).contains(&limit) {
        let remedy = if (1.0..=100.0).contains(&limit) {
            format!("write {} for {limit} %", (limit * 1e7).round() / 1e9)
        } else {
            "compare with a number from 0 to 1".into()
        };
        let what = format!("\"{text}\": a share lies between 0 and 1, so {verdict}");
        problems.add("E0393", path, what, &remedy);
    } else if never {
        let (what, remedy) = if share {
            ("a share lies between 0 and 1", "write rate>=1 if no request may fail")
        } else {
            ("no time, cost or throughput is below 0", "compare with a number above 0")
        };
        problems.add("E0393", path, format!("\"{text}\": {what}, so {verdict}"), remedy);
    } else if own.bare {
        let ms = text.rsplit(['<', '>', '=']).next().unwrap_or_default().trim();
        problems.add(
            "W0407",
            path,
            format!("\"{text}\": a time without a unit is read as k6 does, as {ms} ms"),
            &format!("write {ms}ms, or {ms}s if seconds are meant"),
        );
    }
}

/// Nodes that no user, no other node and no step of the work leads to. Not told where there are errors: a name that is written
/// wrong leaves the node that was meant without a way to it.
pub(super) fn unreached(
    scenario: &Scenario,
    path: &str,
    spec: &DesignSpec,
    problems: &mut Problems,
) {
    if problems.0.iter().any(|problem| problem.code.starts_with('E')) {
        return;
    }
    let mut open: Vec<&str> = spec.enter.values().map(String::as_str).collect();
    open.extend(spec.events.iter().map(|event| event.node.as_str()));
    open.extend(spec.machines.values().flat_map(|row| &row.nodes).map(String::as_str));
    for work in used_work(scenario, spec) {
        open.extend(scenario.work.get(work).into_iter().flatten().filter_map(named_by_step));
    }
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(node) = spec.nodes.get(name)
            && reached.insert(name)
        {
            open.extend(led_to(node));
        }
    }
    for (name, node) in &spec.nodes {
        if !reached.contains(name.as_str()) {
            let paid = if node.items(scenario.era).is_empty() { "" } else { ", and is paid for" };
            problems.add(
                "W0404",
                &format!("{path}.nodes.{name}"),
                format!("nothing leads to \"{name}\": it serves no request{paid}"),
                "lead to it (by `enter`, another node or a step of the work), or take it out",
            );
        }
    }
}

/// Processes that are stopped and never run on: no thaw of the pod comes, and no liveness probe has it started again.
pub(super) fn frozen(path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (i, event) in spec.events.iter().enumerate() {
        let Action::Freeze(frozen) = &event.action else { continue };
        let thaws = |other: &Operation| {
            let later = other.at >= event.at || other.every.is_some();
            let as_often = event.every.is_none() || other.every.is_some();
            let same = matches!(&other.action, Action::Thaw(own) if own.pod == frozen.pod);
            same && other.node == event.node && later && as_often
        };
        let watched = match spec.nodes.get(&event.node) {
            Some(NodeSpec::Pods(pods)) => {
                pods.lifecycle.as_ref().is_some_and(|own| own.liveness.is_some())
            }
            _ => true,
        };
        if !watched && !spec.events.iter().any(thaws) {
            let (pod, node) = (frozen.pod, &event.node);
            problems.add(
                "W0413",
                &format!("{path}.events[{i}].do"),
                format!(
                    "nothing thaws pod {pod} of \"{node}\": it stands still to the end of the run"
                ),
                "add a `thaw` of the pod, or take `block`, which ends by itself",
            );
        }
    }
}

/// RDS proxies that are billed for other vCPUs than those of their database.
pub(super) fn proxied(path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (name, node) in &spec.nodes {
        let NodeSpec::RdsProxy(proxy) = node else { continue };
        if let Some(NodeSpec::Postgres(own) | NodeSpec::Mysql(own)) = spec.nodes.get(&proxy.to)
            && own.vcpu().total_cmp(&proxy.vcpu).is_ne()
        {
            let has = own.vcpu();
            problems.add(
                "W0411",
                &format!("{path}.nodes.{name}.rds_proxy.vcpu"),
                format!(
                    "\"{}\" has {has} vCPUs, and its proxy is billed for {}",
                    proxy.to, proxy.vcpu
                ),
                &format!("say {has}: AWS bills an RDS proxy by the vCPUs of its database"),
            );
        }
    }
}

/// Pools that nobody sized, to stores that are no databases.
pub(super) fn unsized_pools(
    scenario: &Scenario,
    path: &str,
    spec: &DesignSpec,
    problems: &mut Problems,
) {
    for (name, store) in queried(scenario, spec) {
        let Some(NodeSpec::Pods(pods)) = spec.nodes.get(name) else { continue };
        if pods.pool.contains_key(store) || !spec.nodes.contains_key(store) {
            continue;
        }
        let Settings { max, connecting, .. } = PoolSpec::default().settings();
        problems.add(
            "W0414",
            &format!("{path}.nodes.{name}.pods"),
            format!(
                "nothing says how \"{name}\" connects to \"{store}\": {max} connections a pod are assumed, {connecting} of them being opened at a time, as MongoDB's drivers have them"
            ),
            &format!("give `pool.{store}` with what your client has"),
        );
    }
}

/// Connections that one node may open to a store.
struct Claim {
    /// Where the scenario says so.
    path: String,
    words: String,
    connections: u64,
}

/// Pools that together may want more connections than their database has slots.
pub(super) fn pools(
    path: &str,
    spec: &DesignSpec,
    slots: &BTreeMap<String, Slots>,
    problems: &mut Problems,
) {
    let mut claims: BTreeMap<&str, Vec<Claim>> = BTreeMap::new();
    for (name, node) in &spec.nodes {
        match node {
            NodeSpec::Pods(pods) => {
                let scaled = pods.autoscaler.as_ref().map_or(0, |own| own.bounds().1);
                let most = u32::from(pods.replicas).max(scaled);
                // Mode `direct` opens a connection for every statement, however many.
                for (store, pool) in
                    pods.pool.iter().filter(|(_, pool)| pool.mode != PoolMode::Direct)
                {
                    let max = pool.settings().max;
                    claims.entry(store).or_default().push(Claim {
                        path: format!("{path}.nodes.{name}.pods.pool.{store}.max"),
                        words: format!("{most} pods of \"{name}\" × {max}"),
                        connections: u64::from(most) * u64::from(max),
                    });
                }
            }
            NodeSpec::Pgbouncer(own) => {
                let size = own.default_pool_size.saturating_add(own.reserve_pool_size);
                claims.entry(&own.to).or_default().push(Claim {
                    path: format!("{path}.nodes.{name}.pgbouncer.default_pool_size"),
                    words: format!("{size} of \"{name}\""),
                    connections: u64::from(size),
                });
            }
            _ => {}
        }
    }
    for (store, claims) in claims {
        let Some(usable) = slots.get(store).map(|own| own.usable) else { continue };
        let sum: u64 = claims.iter().map(|claim| claim.connections).sum();
        // A single pooler that wants too many is told by its own check.
        let alone = claims.len() == 1 && claims[0].path.ends_with("default_pool_size");
        if sum <= u64::from(usable) || alone {
            continue;
        }
        let words: Vec<&str> = claims.iter().map(|claim| claim.words.as_str()).collect();
        problems.add(
            "W0462",
            &claims[0].path,
            format!(
                "{} = {sum} connections at most, and \"{store}\" has {usable} slots: when the pools fill, logins are refused",
                words.join(" + ")
            ),
            "lower `max`, raise the slots of the database, or put a pooler in between",
        );
    }
}

/// Windows of a month that do not fit into it. A window lasts for as long as users come, and until the last of them has an answer.
pub(super) fn month(scenario: &Scenario, problems: &mut Problems) {
    let Some(windows) = scenario.run.month.windows else { return };
    let loads = scenario.workload.values().map(|class| &class.load);
    // Users with so many requests each may be done long before their time is over.
    let timed =
        |load: &&Load| !matches!(load, Load::Closed(own) if own.requests_per_user.is_some());
    let Some(ends) = loads.filter(timed).filter_map(Load::ends).max() else { return };
    let window = ends.min(scenario.run.horizon);
    let nanos = windows * window.nanos() as f64;
    if nanos > MONTH_HOURS * 3.6e12 {
        let hours = nanos / 3.6e12;
        problems.add(
            "W0432",
            "run.month.windows",
            format!(
                "{windows} windows of {window} or more are {hours:.0} h, and a month has {MONTH_HOURS:.0}"
            ),
            "lower it: what a month costs would be more than could happen in one",
        );
    }
}

/// Load balancers that mix several kinds of request over several services.
pub(super) fn mixed(scenario: &Scenario, path: &str, spec: &DesignSpec, problems: &mut Problems) {
    for (name, node) in &spec.nodes {
        let NodeSpec::Alb(alb) = node else { continue };
        let services: BTreeSet<&String> = alb.to.iter().collect();
        let entered = spec.enter.iter().filter(|(_, entry)| *entry == name);
        let classes = entered.filter_map(|(class, _)| scenario.workload.get(class));
        let kinds: BTreeSet<&String> = classes.flat_map(ClassSpec::kinds).collect();
        if services.len() > 1 && kinds.len() > 1 {
            let quoted = |names: &BTreeSet<&String>| {
                names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            };
            problems.add(
                "W0431",
                &format!("{path}.nodes.{name}.alb.to"),
                format!("requests of {} go in turn to each of {}", quoted(&kinds), quoted(&services)),
                "if each service is for one kind, as by listener rules, put an alb before each and a router with routes by `work` in front of them, or let each class enter by an alb of its own",
            );
        }
    }
}
