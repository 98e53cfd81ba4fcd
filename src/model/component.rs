//! What every kind of node provides: a specification that can be checked, and a state machine.

use super::account::AccountSpec;
use super::calls::Call;
use super::context::Ctx;
use super::era::Era;
use super::message::Event;
use super::operation::Action;
use super::usage::UsageLine;
use super::wiring::{Slots, Wiring};
use crate::kernel::Span;
use std::collections::BTreeMap;

/// What a kind of node is, for `docs/models.md` and `headroom explain`.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// One sentence.
    pub what: &'static str,
    /// What is modelled.
    pub models: &'static [&'static str],
    /// What is left out.
    pub leaves_out: &'static [&'static str],
    /// A specification that a test parses.
    pub example: &'static str,
}

/// Something wrong with the meaning of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, `E03xx` for errors and `W04xx` for warnings.
    pub code: &'static str,
    /// Path relative to what was checked, e.g. `upstream[0]`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Finds problems and what a specification needs of others.
pub struct Check<'a> {
    /// Platform era.
    pub era: Era,
    /// Name of the kind of node that is checked.
    pub kind: &'static str,
    /// Names of the nodes of the design, with their kinds.
    pub nodes: &'a BTreeMap<String, &'static str>,
    /// Timeouts of the functions of the design.
    pub timeouts: &'a BTreeMap<String, Span>,
    /// Connection slots of the nodes that have them.
    pub slots: &'a BTreeMap<String, Slots>,
    /// Accounts of the design.
    pub accounts: &'a BTreeMap<String, AccountSpec>,
    /// What was found.
    pub problems: Vec<Problem>,
}

impl Check<'_> {
    /// Reports a problem.
    pub fn problem(&mut self, code: &'static str, path: &str, message: String, remedy: &str) {
        self.problems.push(Problem { code, path: path.into(), message, remedy: remedy.into() });
    }

    /// Reports a name that is no node of the design.
    pub fn target(&mut self, path: &str, name: &str) {
        if !self.nodes.contains_key(name) {
            let close = self
                .nodes
                .keys()
                .map(|known| (strsim::jaro_winkler(known, name), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(score, _)| *score > 0.7);
            let remedy = match close {
                Some((_, known)) => format!("did you mean \"{known}\"?"),
                None => {
                    let names: Vec<_> = self.nodes.keys().map(String::as_str).collect();
                    format!("the design's nodes are {}", names.join(", "))
                }
            };
            self.problem(
                "E0301",
                path,
                format!("there is no node \"{name}\" in this design"),
                &remedy,
            );
        }
    }
}

/// A kind of node as a scenario writes it.
pub trait Spec {
    /// Names of nodes that this one sends to, with the path of each in the specification.
    fn targets(&self) -> Vec<(String, &str)> {
        Vec::new()
    }
    /// Addresses a client may choose from; `of` gives those of other nodes.
    fn addresses(&self, _of: &dyn Fn(&str) -> u16) -> u16 {
        1
    }
    /// Whether it accepts connections itself; `of` says so of other nodes.
    fn listens(&self, _of: &dyn Fn(&str) -> bool) -> bool {
        false
    }
    /// Streams that a client may have at a time on one HTTP/2 connection to it, none: it speaks HTTP/1.1 only; `of` says so of
    /// other nodes.
    fn http2(&self, _of: &dyn Fn(&str) -> Option<u32>) -> Option<u32> {
        None
    }
    /// Kinds of request that it names, with the place inside the spec.
    fn work(&self) -> Vec<(String, &str)> {
        Vec::new()
    }
    /// Kinds of request for which it does the steps of another kind, by kind.
    fn own_work(&self) -> Option<&BTreeMap<String, String>> {
        None
    }
    /// The function's timeout, of a function.
    fn timeout(&self) -> Option<Span> {
        None
    }
    /// How long it keeps an idle connection of a client open; none: for ever.
    fn keepalive(&self) -> Option<Span> {
        None
    }
    /// Connection slots for clients, for a kind that has them; by the name of the kind.
    fn slots(&self, _kind: &str) -> Option<Slots> {
        None
    }
    /// The host that one of its addresses is on.
    fn host_of(&self, _address: u16) -> u16 {
        0
    }
    /// Finds problems of meaning.
    fn check(&self, _check: &mut Check) {}
    /// Finds problems of an event that is to happen to it; most kinds know none.
    fn check_event(&self, action: &Action, check: &mut Check) {
        let _ = action;
        check.problem(
            "E0376",
            "do",
            "nothing of the kind can happen to this kind of node".into(),
            "other events than `slow`, `down` and `black_hole` happen to pods and hosts of a `pods` node",
        );
    }
    /// Whether its threads can run on a machine that it shares with other nodes; if not, why.
    ///
    /// # Errors
    /// What stands against it, for the reader.
    fn shares_machine(&self) -> Result<(), &'static str> {
        Err("its processors are not modelled, or they are the provider's")
    }
    /// Items of the price table that a run may need.
    fn items(&self, _era: Era) -> Vec<String> {
        Vec::new()
    }
    /// The item of the price table that the scenario names as its class.
    fn class(&self) -> Option<&str> {
        None
    }
    /// Families of items that its class may be of (`rds.postgres` has `rds.postgres.m5.large`), the likeliest first; by the name of
    /// the kind.
    fn families(&self, _kind: &str) -> &'static [&'static str] {
        &[]
    }
    /// The account whose concurrency it uses, of a function.
    fn account(&self) -> Option<&str> {
        None
    }
    /// Concurrency that it takes out of an account's pool for itself.
    fn reservation(&self) -> Option<(&str, u32)> {
        None
    }
    /// The most concurrency of an account that it may ever take away from others, reserved or provisioned.
    fn claim(&self) -> Option<(&str, u32)> {
        self.reservation()
    }
}

/// What a node says at the end of a replication.
#[derive(Debug, Clone, Default)]
pub struct NodeReport {
    /// Kind-specific counters.
    pub counters: Vec<(&'static str, u64)>,
    /// Physical usage.
    pub usage: Vec<UsageLine>,
}

impl NodeReport {
    /// The counter of that name; 0 where it was not counted.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
    }
}

/// A node as it runs.
pub trait Component: Sized {
    /// Its specification.
    type Spec: Spec;
    /// Builds it.
    ///
    /// # Errors
    /// Says what is wrong with the specification; a checked scenario has no such errors.
    fn build(spec: &Self::Spec, wiring: &mut Wiring) -> Result<Self, String>;
    /// Begins what it does by itself.
    fn start(&mut self, _ctx: &mut Ctx) {}
    /// Handles a message.
    fn handle(&mut self, event: Event, ctx: &mut Ctx);
    /// The row of the call that a timer of it is about, for [`Component::foresee`]: mostly the timer's word.
    fn call_of(&self, _timer: u8, word: u32) -> Option<u32> {
        Some(word)
    }
    /// Has rows of its own loaded that the next event about a call will need.
    fn foresee(&self, _call: &Call) {}
    /// Whether it still has work of its own that must be waited for at the end of the load.
    fn busy(&self) -> bool {
        false
    }
    /// Says at the end what was counted and used.
    fn close(&mut self, ctx: &mut Ctx) -> NodeReport;
}
