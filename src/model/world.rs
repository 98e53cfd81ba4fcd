//! One replication of one design: its nodes and users, the event loop, the closing audit.

use super::account::{Account, AccountSpec};
use super::black_hole;
use super::calls::Calls;
use super::client::{Class, ClassSpec};
use super::component::NodeReport;
use super::context::Ctx;
use super::data::Data;
use super::endpoints::Endpoints;
use super::era::Era;
use super::faults::Faults;
use super::fixed::FixedSpec;
use super::flows::Flows;
use super::host::{Host, HostId, MachineSpec};
use super::ledger::Ledger;
use super::message::{Cause, Event, Message, NodeId, OPERATION};
use super::operation::{Action, Operation};
use super::registry::{Node, NodeSpec};
use super::wiring::{Facts, Wiring};
use super::work::{StepSpec, Work};
use crate::kernel::{Key, Queue, Rank, Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A design: named nodes, and where each class of users comes in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignSpec {
    /// Node at which each class of users enters. Classes that are not named do not use this design.
    pub enter: BTreeMap<String, String>,
    /// The nodes by name, each with one key for its kind.
    pub nodes: BTreeMap<String, NodeSpec>,
    /// What happens to nodes at given times, beside the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Operation>,
    /// AWS accounts by name.
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountSpec>,
    /// Machines that several nodes share, by name. A node that is on none has processors of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, MachineSpec>,
    /// What the design costs whatever its load, by name: a control plane, gateways, monitoring, licences. Lines of the bill have that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, FixedSpec>,
}

/// All that one replication is made of.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The design.
    pub design: &'a DesignSpec,
    /// Classes of users by name.
    pub workload: &'a BTreeMap<String, ClassSpec>,
    /// Kinds of request by name.
    pub work: &'a BTreeMap<String, Vec<StepSpec>>,
    /// Files that the scenario names.
    pub data: &'a Data,
    /// Platform era.
    pub era: Era,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the replication.
    pub replication: u64,
    /// The run is stopped here at the latest.
    pub horizon: Span,
}

/// What one replication came to.
#[derive(Debug, Clone)]
pub struct Outturn {
    /// What was counted.
    pub ledger: Ledger,
    /// Names and kinds of the nodes, then of the classes, by [`NodeId`].
    pub names: Vec<(String, &'static str)>,
    /// By node.
    pub reports: Vec<NodeReport>,
    /// When the run ended.
    pub end: Time,
    /// Logical requests without an end.
    pub unfinished: u64,
    /// Events delivered.
    pub events: u64,
    /// Largest number of calls in flight.
    pub calls_peak: usize,
}

/// Whether to stop is asked after so many events.
const LOOK_EVERY: u64 = 65_536;

/// A design and its users, running.
pub struct World {
    nodes: Vec<Node>,
    classes: Vec<Class>,
    queue: Queue<Event>,
    ledger: Ledger,
    accounts: Vec<Account>,
    hosts: Vec<Host>,
    operations: Vec<Operation>,
    works: Vec<Work>,
    names: Vec<(String, &'static str)>,
    /// Keys of the nodes' draws, by name.
    salts: Vec<u64>,
    horizon: Time,
}

impl World {
    /// Builds the world of one replication.
    ///
    /// # Errors
    /// Says which node or class is wrong and why; a checked scenario has no such errors.
    pub fn build(setup: &Setup) -> Result<World, String> {
        let design = setup.design;
        let mut names: BTreeMap<String, NodeId> = BTreeMap::new();
        let mut listed: Vec<(String, &'static str)> = Vec::new();
        for (name, spec) in &design.nodes {
            names.insert(name.clone(), NodeId(listed.len() as u16));
            listed.push((name.clone(), spec.kind()));
        }
        listed.extend(design.enter.keys().map(|class| (class.clone(), "users")));
        let facts = facts(design);
        let node = |name: &str| names.get(name).copied();
        let works = Work::compile_all(setup.work, &node, setup.data)?;
        let work_names: Vec<String> = works.iter().map(|work| work.name.clone()).collect();
        let mut queue = Queue::default();
        let mut ledger = Ledger::new(design.enter.len(), listed.len());
        let root = Key::root(setup.seed, setup.replication);
        let (mut hosts, machines) = machines(design);
        let mut wiring = Wiring {
            names: &names,
            facts: &facts,
            works: &work_names,
            accounts: &design.accounts,
            data: setup.data,
            queue: &mut queue,
            ledger: &mut ledger,
            hosts: &mut hosts,
            machines: &machines,
            root,
            era: setup.era,
            name: "",
            kind: "",
            me: NodeId(0),
        };
        let mut nodes = Vec::new();
        for (index, (name, spec)) in design.nodes.iter().enumerate() {
            wiring.name = name;
            wiring.kind = spec.kind();
            wiring.me = NodeId(index as u16);
            nodes.push(spec.build(&mut wiring).map_err(|why| format!("node \"{name}\": {why}"))?);
        }
        let classes = classes(setup, nodes.len(), &mut wiring)?;
        schedule(setup, root, &names, &mut queue)?;
        Ok(World {
            accounts: accounts(setup),
            hosts,
            operations: design.events.clone(),
            nodes,
            classes,
            queue,
            ledger,
            works,
            salts: salts(&listed),
            names: listed,
            horizon: Time::ZERO + setup.horizon,
        })
    }

    /// Runs to the end of the load and of all work in progress, or to the horizon; none if `stopped` said so meanwhile.
    ///
    /// # Errors
    /// Says which law of conservation was broken: that is a bug of ours, and no figure may be read.
    pub fn run(self, stopped: &dyn Fn() -> bool) -> Result<Option<Outturn>, String> {
        let ctx = Ctx {
            queue: self.queue,
            calls: Calls::default(),
            ledger: self.ledger,
            endpoints: Endpoints::default(),
            faults: Faults::default(),
            flows: Flows::default(),
            http2: speakers(&self.classes, self.nodes.len()),
            accounts: self.accounts,
            hosts: self.hosts,
            operations: &self.operations,
            works: &self.works,
            salts: &self.salts,
            nodes: self.nodes.len(),
            me: NodeId(0),
        };
        let (nodes, classes, names) = (self.nodes, self.classes, self.names);
        let running = Running { nodes, classes, ctx, names };
        running.run(self.horizon, stopped)
    }
}

/// From so many calls in flight on, rows are asked for ahead of time: a megabyte of calls no longer fits the second cache of
/// a core. With fewer, looking ahead takes longer than it saves (docs/performance.md).
const FAR: usize = 8_192;

/// The event loop and what it works on.
struct Running<'a> {
    nodes: Vec<Node>,
    classes: Vec<Class>,
    ctx: Ctx<'a>,
    names: Vec<(String, &'static str)>,
}

impl Running<'_> {
    fn run(mut self, horizon: Time, stopped: &dyn Fn() -> bool) -> Result<Option<Outturn>, String> {
        self.start();
        let mut look_at = LOOK_EVERY;
        while let Some(event) = self.next(horizon) {
            if self.ctx.queue.delivered() >= look_at {
                look_at += LOOK_EVERY;
                if stopped() {
                    return Ok(None);
                }
            }
            self.deliver(event);
            if self.ctx.calls.is_empty() && self.over() {
                break;
            }
        }
        let end = self.ctx.queue.now().min(horizon);
        self.finish(end).map(Some)
    }

    /// The next event up to the horizon.
    #[inline]
    fn next(&mut self, horizon: Time) -> Option<Event> {
        if let Some(&event) = self.ctx.queue.pop_immediate() {
            return Some(event);
        }
        let &event = self.ctx.queue.pop_scheduled()?;
        if self.ctx.queue.now() > horizon {
            return None;
        }
        if self.ctx.calls.len() > FAR {
            self.foresee();
        }
        Some(event)
    }

    /// Whether nothing is left to come.
    fn over(&self) -> bool {
        self.classes.iter().all(Class::done) && !self.nodes.iter().any(Node::busy)
    }

    fn start(&mut self) {
        let Running { nodes, classes, ctx, .. } = self;
        for (index, node) in nodes.iter_mut().enumerate() {
            ctx.me = NodeId(index as u16);
            node.start(ctx);
        }
        for (index, class) in classes.iter_mut().enumerate() {
            ctx.me = NodeId((ctx.nodes + index) as u16);
            class.start(ctx);
        }
    }

    /// Has rows loaded that the next events are likely to need: the call of the second next, and the caller of the next, whose own
    /// row was asked for an event ago. Without it a handler waits for the one before it can name the other.
    #[inline(never)]
    fn foresee(&self) {
        let [next, later] = self.ctx.queue.soon();
        if let Some(slot) = later.and_then(|event| self.call_of(event)) {
            self.ctx.calls.prefetch(slot);
        }
        let Some(next) = next else { return };
        let Some(row) = self.call_of(next).and_then(|slot| self.ctx.calls.row(slot)) else {
            return;
        };
        if let Some(node) = self.nodes.get(next.to().index()) {
            node.foresee(row);
        }
        match row.from.index().checked_sub(self.nodes.len()).and_then(|at| self.classes.get(at)) {
            Some(class) => class.prefetch(row.parent.slot),
            None => self.ctx.calls.prefetch(row.parent.slot),
        }
    }

    /// The row of the call that an event is about, most likely.
    #[inline]
    fn call_of(&self, event: &Event) -> Option<u32> {
        match event.message() {
            Message::Arrive(call) | Message::Reply(call) => Some(call.slot),
            Message::Wake(timer, word, _) => {
                self.nodes.get(event.to().index())?.call_of(timer, word)
            }
            _ => None,
        }
    }

    #[inline]
    fn deliver(&mut self, event: Event) {
        if event.is_special() && self.attends(event) {
            return;
        }
        if self.ctx.faults.any() {
            return self.around_faults(event);
        }
        self.dispatch(event);
    }

    /// Does what the world itself has to do with an event; whether that was all.
    #[inline]
    fn attends(&mut self, event: Event) -> bool {
        match event.message() {
            Message::Reply(call) => {
                let late = self.ctx.calls.get(call).abandoned;
                if late {
                    // The caller gave up while the answer was on its way.
                    self.ctx.calls.close(call);
                }
                late
            }
            Message::Wake(OPERATION, word, turn) if event.to() == NodeId::HOSTS => {
                self.computed(HostId((word >> 16) as u16), word & 0xffff, turn);
                true
            }
            Message::Wake(OPERATION, index, ends) => {
                self.happens(event, index, ends == 0);
                true
            }
            _ => false,
        }
    }

    /// Hands a message to its node, unless a fault of the network keeps it back.
    #[inline(never)]
    fn hand(&mut self, event: Event) {
        if self.ctx.faults.any() {
            return self.around_faults(event);
        }
        self.pass(event);
    }

    #[inline(never)]
    fn pass(&mut self, event: Event) {
        self.dispatch(event);
    }

    /// Once there was a fault of the network.
    #[cold]
    fn around_faults(&mut self, event: Event) {
        let to = event.to();
        self.ctx.me = to;
        match event.message() {
            Message::Arrive(call) if self.ctx.faults.down(to) => {
                self.ctx.fail(call, Cause::Refused, 0);
            }
            message
                if self.ctx.faults.any_hole() && black_hole::swallow(&mut self.ctx, message) => {}
            _ => self.pass(event),
        }
    }

    /// An event of the design begins or ends; classes of users have a timer of that number too.
    #[cold]
    fn happens(&mut self, event: Event, index: u32, begins: bool) {
        let to = event.to();
        if to.index() < self.nodes.len() {
            if begins {
                let now = self.ctx.queue.now();
                self.ctx.ledger.happened.push((now, index as u16));
            }
            if self.around(to, index, begins) {
                return;
            }
        }
        self.hand(event);
    }

    /// Begins or ends a fault of the network, if that is what happens.
    fn around(&mut self, node: NodeId, index: u32, begins: bool) -> bool {
        match &self.ctx.operations[index as usize].action {
            Action::Slow(slowness) => self.ctx.faults.lengthen(node, slowness.by, begins),
            Action::Down(_) => self.ctx.faults.take_down(node, begins),
            Action::BlackHole(hole) => self.ctx.faults.swallow(node, &hole.addresses, begins),
            _ => return false,
        }
        true
    }

    /// Work on a host is done: tells the node whose it was.
    #[inline(never)]
    fn computed(&mut self, host: HostId, core: u32, turn: u32) {
        let now = self.ctx.queue.now();
        let (ended, due) = self.ctx.hosts[usize::from(host.0)].complete(now, core, turn);
        self.ctx.come_back(host, due);
        let Some(event) = ended else { return };
        self.hand(event);
        let due = self.ctx.hosts[usize::from(host.0)].leave(now);
        self.ctx.come_back(host, due);
    }

    #[inline(always)]
    fn dispatch(&mut self, event: Event) {
        let Running { nodes, classes, ctx, .. } = self;
        let to = event.to();
        ctx.me = to;
        let first_class = nodes.len();
        match nodes.get_mut(to.index()) {
            Some(node) => node.handle(event, ctx),
            None => classes[to.index() - first_class].handle(event, ctx),
        }
    }

    fn finish(mut self, end: Time) -> Result<Outturn, String> {
        let mut reports = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            self.ctx.me = NodeId(index as u16);
            reports.push(node.close(&mut self.ctx));
        }
        for class in &self.classes {
            reports
                .push(NodeReport { counters: vec![("dropped", class.dropped())], usage: vec![] });
        }
        let unfinished = self.audit()?;
        self.ctx.ledger.finish(end);
        Ok(Outturn {
            names: self.names,
            reports,
            end,
            unfinished,
            events: self.ctx.queue.delivered(),
            calls_peak: self.ctx.calls.peak(),
            ledger: self.ctx.ledger,
        })
    }

    /// Nothing is lost: issued = ok + failed + in flight, for every class and every node.
    fn audit(&self) -> Result<u64, String> {
        let mut unfinished = 0;
        let first_class = self.nodes.len();
        for (index, (class, row)) in self.classes.iter().zip(&self.ctx.ledger.classes).enumerate() {
            let open = class.in_progress();
            if row.issued != row.ok + row.failed + open {
                return Err(format!(
                    "class \"{}\": {} requests issued, but {} ok + {} failed + {open} in progress",
                    self.names[first_class + index].0,
                    row.issued,
                    row.ok,
                    row.failed
                ));
            }
            unfinished += open;
        }
        let by_cause: u64 = self.ctx.ledger.failures.iter().map(|failure| failure.count).sum();
        let failed: u64 = self.ctx.ledger.classes.iter().map(|row| row.failed).sum();
        if by_cause != failed {
            return Err(format!("{failed} requests failed, but the causes sum to {by_cause}"));
        }
        let mut open = vec![0_u64; self.nodes.len()];
        // An answer on its way back is counted by its node already.
        let working = self.ctx.calls.iter_alive().filter(|call| !call.answered);
        working.for_each(|call| open[call.to.index()] += 1);
        for (index, open) in open.into_iter().enumerate() {
            let row = &self.ctx.ledger.nodes[index];
            if row.arrived != row.ok + row.failed + open {
                return Err(format!(
                    "node \"{}\": {} calls arrived, but {} ok + {} failed + {open} in progress",
                    self.names[index].0, row.arrived, row.ok, row.failed
                ));
            }
        }
        Ok(unfinished)
    }
}

/// The classes of users that enter a design of `nodes` nodes.
fn classes<'a>(
    setup: &Setup<'a>,
    nodes: usize,
    wiring: &mut Wiring<'a>,
) -> Result<Vec<Class>, String> {
    let mut classes = Vec::new();
    for (index, (name, entry)) in setup.design.enter.iter().enumerate() {
        wiring.name = name;
        wiring.me = NodeId((nodes + index) as u16);
        let fail = |why: String| format!("class \"{name}\": {why}");
        let spec = setup.workload.get(name).ok_or_else(|| fail("not in the workload".into()))?;
        let entry = wiring.node(entry).map_err(fail)?;
        classes.push(Class::new(spec, index, entry, wiring).map_err(fail)?);
    }
    Ok(classes)
}

/// The classes that speak HTTP/2.
fn speakers(classes: &[Class], nodes: usize) -> Vec<NodeId> {
    let speaks = classes.iter().enumerate().filter(|(_, class)| class.speaks_http2());
    speaks.map(|(index, _)| NodeId((nodes + index) as u16)).collect()
}

/// The accounts of a design, with what its functions reserve.
fn accounts(setup: &Setup) -> Vec<Account> {
    let design = setup.design;
    let account = |(name, spec): (&String, &AccountSpec)| {
        let reserved = design.nodes.values().filter_map(|node| node.spec().reservation());
        let sum = reserved.filter(|(account, _)| account == name).map(|(_, n)| n).sum();
        Account::new(spec, setup.era, sum)
    };
    let mut all: Vec<Account> = design.accounts.iter().map(account).collect();
    if all.is_empty() {
        // A gateway in front of other things than functions has an account as well.
        all.push(Account::new(&AccountSpec::default(), setup.era, 0));
    }
    all
}

/// Keys of the draws of nodes and classes, by name.
fn salts(listed: &[(String, &'static str)]) -> Vec<u64> {
    listed.iter().map(|(name, _)| Key::root(0, 0).named(name).bits()).collect()
}

/// The machines that nodes share, and which node is on which.
fn machines(design: &DesignSpec) -> (Vec<Host>, BTreeMap<&str, HostId>) {
    let mut hosts = Vec::new();
    let mut on = BTreeMap::new();
    for machine in design.machines.values() {
        let id = HostId(hosts.len() as u16);
        on.extend(machine.nodes.iter().map(|node| (node.as_str(), id)));
        hosts.push(Host::machine(machine));
    }
    (hosts, on)
}

/// Puts what is to happen at given times into the queue.
fn schedule(
    setup: &Setup,
    root: Key,
    names: &BTreeMap<String, NodeId>,
    queue: &mut Queue<Event>,
) -> Result<(), String> {
    let end = Time::ZERO + setup.horizon;
    for (index, operation) in setup.design.events.iter().enumerate() {
        let to = names.get(&operation.node).copied();
        let to = to.ok_or_else(|| format!("no node \"{}\"", operation.node))?;
        let mut again = operation.every.as_ref().map(|law| law.sampler(setup.data)).transpose()?;
        let mut stream = root.named("events").named(&operation.node).with(index as u64).stream();
        let mut at = Time::ZERO + operation.at;
        loop {
            let message = Message::Wake(OPERATION, index as u32, 0);
            queue.at(at, Rank::Completion, Event::new(to, message));
            if let Some(lasts) = operation.action.around() {
                let message = Message::Wake(OPERATION, index as u32, 1);
                queue.at(at + lasts, Rank::Completion, Event::new(to, message));
            }
            let Some(law) = &mut again else { break };
            at += law.sample(&mut stream).max(LEAST_BETWEEN);
            if at > end {
                break;
            }
        }
    }
    Ok(())
}

/// Least time between two events of a kind: a law may give nothing.
const LEAST_BETWEEN: Span = Span::from_secs(1);

/// A chain of names is never deeper than this in a checked design.
const DEPTH: u8 = 16;

/// Streams that a client may have at a time on one HTTP/2 connection to a node; none: HTTP/1.1 only.
pub fn http2(design: &DesignSpec, name: &str) -> Option<u32> {
    fn below(design: &DesignSpec, name: &str, depth: u8) -> Option<u32> {
        let of = |next: &str| if depth == 0 { None } else { below(design, next, depth - 1) };
        design.nodes.get(name)?.spec().http2(&of)
    }
    below(design, name, DEPTH)
}

/// Addresses and listening of every node and, for its users, of every class.
fn facts(design: &DesignSpec) -> Vec<Facts> {
    fn addresses(design: &DesignSpec, name: &str, depth: u8) -> u16 {
        let of = |next: &str| if depth == 0 { 1 } else { addresses(design, next, depth - 1) };
        design.nodes.get(name).map_or(1, |node| node.spec().addresses(&of))
    }
    fn listens(design: &DesignSpec, name: &str, depth: u8) -> bool {
        let of = |next: &str| depth > 0 && listens(design, next, depth - 1);
        design.nodes.get(name).is_some_and(|node| node.spec().listens(&of))
    }
    let hosts = |name: &String| {
        let spec = design.nodes.get(name).map(NodeSpec::spec);
        let all = 0..addresses(design, name, DEPTH);
        spec.map_or_else(Vec::new, |spec| all.map(|address| spec.host_of(address)).collect())
    };
    let account = |name: &String| {
        let own = design.nodes.get(name)?.spec().account()?;
        design.accounts.keys().position(|account| account == own).map(|at| at as u16)
    };
    let fact = |name: &String| Facts {
        hosts: hosts(name),
        addresses: addresses(design, name, DEPTH),
        listens: listens(design, name, DEPTH),
        http2: http2(design, name),
        resolves: design.nodes.get(name).is_some_and(|node| node.kind() == "dns"),
        timeout: design.nodes.get(name).and_then(|node| node.spec().timeout()),
        account: account(name),
        keepalive: design.nodes.get(name).and_then(|node| node.spec().keepalive()),
        slots: design.nodes.get(name).and_then(|node| node.spec().slots(node.kind())),
    };
    design.nodes.keys().map(fact).collect()
}
