//! What a node is given when it is built: names of others, streams, lanes, the era.

use super::account::AccountSpec;
use super::cpu::Sharing;
use super::data::Data;
use super::era::Era;
use super::host::{Host, HostId};
use super::ledger::Ledger;
use super::message::{Event, NodeId};
use crate::kernel::{Key, Queue, Rank, Span};
use std::collections::BTreeMap;

/// Connection slots of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// All, those for administrators included.
    pub all: u32,
    /// Those for everybody.
    pub usable: u32,
}

/// What others need to know of a node before anything is built.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Addresses a client may choose from (pods, nodes of a cluster).
    pub addresses: u16,
    /// The host that each of them is on, where it has hosts.
    pub hosts: Vec<u16>,
    /// Whether the node accepts connections itself, with a backlog.
    pub listens: bool,
    /// Streams of one HTTP/2 connection to it, where it speaks that.
    pub http2: Option<u32>,
    /// Whether it is a name that clients resolve, choosing an address themselves.
    pub resolves: bool,
    /// Its timeout, if it is a function.
    pub timeout: Option<Span>,
    /// Index of its account, if it is a function.
    pub account: Option<u16>,
    /// How long it keeps an idle connection open.
    pub keepalive: Option<Span>,
    /// Connection slots of a database.
    pub slots: Option<Slots>,
}

/// Names and tools for building a node.
pub struct Wiring<'a> {
    /// Nodes of the design by name.
    pub names: &'a BTreeMap<String, NodeId>,
    /// By node.
    pub facts: &'a [Facts],
    /// Kinds of request, in order.
    pub works: &'a [String],
    /// Accounts of the design by name.
    pub accounts: &'a BTreeMap<String, AccountSpec>,
    /// Files.
    pub data: &'a Data,
    /// Event queue, for opening lanes.
    pub queue: &'a mut Queue<Event>,
    /// Ledger, for announcing limits and gauges.
    pub ledger: &'a mut Ledger,
    /// Processors.
    pub hosts: &'a mut Vec<Host>,
    /// The machine that a node shares with others, by the node's name.
    pub machines: &'a BTreeMap<&'a str, HostId>,
    /// Key of the replication.
    pub root: Key,
    /// Platform era.
    pub era: Era,
    /// Name of the node being built.
    pub name: &'a str,
    /// Name of its kind.
    pub kind: &'static str,
    /// Its id.
    pub me: NodeId,
}

impl Wiring<'_> {
    /// A node by name.
    ///
    /// # Errors
    /// No node of that name.
    pub fn node(&self, name: &str) -> Result<NodeId, String> {
        self.names.get(name).copied().ok_or_else(|| format!("no node \"{name}\""))
    }

    /// A kind of request by name.
    ///
    /// # Errors
    /// No work of that name.
    pub fn work(&self, name: &str) -> Result<u16, String> {
        let at = self.works.iter().position(|work| work == name);
        at.map(|i| i as u16).ok_or_else(|| format!("no work \"{name}\""))
    }

    /// The kind of request whose steps are done, by kind; empty where that is each kind's own.
    ///
    /// # Errors
    /// No work of a name.
    pub fn own_work(&self, said: &BTreeMap<String, String>) -> Result<Vec<u16>, String> {
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let mut works: Vec<u16> = (0..self.works.len() as u16).collect();
        for (kind, own) in said {
            works[usize::from(self.work(kind)?)] = self.work(own)?;
        }
        Ok(works)
    }

    /// Index of an account by name.
    ///
    /// # Errors
    /// No account of that name.
    pub fn account(&self, name: &str) -> Result<u16, String> {
        let at = self.accounts.keys().position(|account| account == name);
        at.map(|i| i as u16).ok_or_else(|| format!("no account \"{name}\""))
    }

    /// Index of the account of a function; none of other nodes.
    pub fn account_of(&self, node: NodeId) -> Option<u16> {
        self.facts[node.index()].account
    }

    /// Half a round trip: what is sent one way takes so long, and has a lane of its own.
    pub fn way(&mut self, rtt: Span) -> Span {
        let hop = rtt.scaled(0.5);
        self.queue.lane(hop, Rank::Arrival);
        self.queue.lane(hop, Rank::Completion);
        hop
    }

    /// The machine that this node shares with others, if it does.
    pub fn machine(&self) -> Option<HostId> {
        self.machines.get(self.name).copied()
    }

    /// A host of this node alone.
    pub fn host(&mut self, sharing: Sharing) -> HostId {
        self.hosts.push(Host::new(sharing));
        HostId((self.hosts.len() - 1) as u16)
    }

    /// A host of this node alone, of so many cores of a speed, on which every pod may use `limit` cores and can use `most` at a time.
    pub fn limited_host(&mut self, (cores, speed): (f64, f64), limit: f64, most: f64) -> HostId {
        let key = self.key();
        self.hosts.push(Host::limited((cores, speed), limit, most, key));
        HostId((self.hosts.len() - 1) as u16)
    }

    /// Key of the node's own streams: by name, so that other nodes do not matter.
    pub fn key(&self) -> Key {
        self.root.named(self.name)
    }

    /// Whether a node accepts connections itself.
    pub fn listens(&self, node: NodeId) -> bool {
        self.facts[node.index()].listens
    }

    /// Streams of one HTTP/2 connection to a node; none: it speaks HTTP/1.1 only.
    pub fn http2(&self, node: NodeId) -> Option<u32> {
        self.facts[node.index()].http2
    }

    /// The host that an address of a node is on.
    pub fn host_of(&self, node: NodeId, address: u16) -> u16 {
        self.facts[node.index()].hosts.get(usize::from(address)).copied().unwrap_or_default()
    }

    /// How many addresses a client of a node may try one after the other: those of a name, else one.
    pub fn choices(&self, node: NodeId) -> u16 {
        let facts = &self.facts[node.index()];
        if facts.resolves { facts.addresses } else { 1 }
    }

    /// The timeout of a function; none of other nodes.
    pub fn timeout(&self, node: NodeId) -> Option<Span> {
        self.facts[node.index()].timeout
    }

    /// How long a node keeps an idle connection open; none: for ever.
    pub fn keepalive(&self, node: NodeId) -> Option<Span> {
        self.facts[node.index()].keepalive
    }

    /// Connection slots of a database.
    pub fn slots(&self, node: NodeId) -> Option<Slots> {
        self.facts[node.index()].slots
    }

    /// Addresses of a node.
    pub fn addresses(&self, node: NodeId) -> u16 {
        self.facts[node.index()].addresses
    }
}
