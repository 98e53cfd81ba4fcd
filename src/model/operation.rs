//! What happens to a node at a given time of a run: an operator, a kernel or a failure does something to it.

use super::dist::Dist;
use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happens to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When, from the start of the run.
    pub at: Span,
    /// Time until it happens again, and again, to the end of the run; none: it happens once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Dist>,
    /// To which node.
    pub node: String,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A pod's process gets SIGTERM and drains: it takes no new connection and ends what it has begun.
    Terminate(PodNumber),
    /// A pod's process dies at once (SIGKILL, out of memory, a crash): its connections are reset. With a `lifecycle` or an autoscaler it is
    /// started again and balancers are told; without one nobody notices: it stays in every list until `start`.
    Kill(PodNumber),
    /// A pod's process is started; it serves at once.
    Start(PodNumber),
    /// A pod's process stands still (SIGSTOP, a frozen cgroup); its kernel still accepts connections.
    Freeze(PodNumber),
    /// A frozen process runs on (SIGCONT).
    Thaw(PodNumber),
    /// Every pod is replaced by a rolling update.
    RollOut(RollOut),
    /// Hosts of pods are lost at once, as those of a zone are: their pods fall silent, count as not ready 50 s later and are replaced after
    /// 5 minutes more.
    LoseHosts(HostNumbers),
    /// Hosts of pods are told that they will be taken away, as spot instances are: replacements are started, the pods leave within their
    /// disruption budget, and what is left at the end of the notice dies.
    Interrupt(Interruption),
    /// Hosts of pods are drained: as `interrupt`, without an end.
    DrainHosts(HostNumbers),
    /// The way to a node takes longer for a while: a slow dependency, a slow network. For every kind of node.
    Slow(Slowness),
    /// A node cannot be reached for a while: every call is refused. For every kind of node.
    Down(Outage),
    /// Packets to a node, or to some of its addresses, vanish for a while: SYNs are sent again and given up at last, requests on open
    /// connections are sent again until they get through. For every kind of node.
    BlackHole(BlackHole),
    /// A pod's event loop is blocked for a while: garbage collection, a long computation.
    Block(Block),
}

/// Which pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodNumber {
    /// Its number, from 0.
    #[schemars(range(min = 0, max = 9_999))]
    pub pod: u16,
}

/// No parameters: the pods' `lifecycle` says how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollOut {}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostNumbers {
    /// Their numbers, from 0; all hosts of a zone for the loss of a zone.
    pub hosts: Vec<u16>,
}

/// Which hosts, and how long before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interruption {
    /// Their numbers, from 0: those of one pool go together.
    pub hosts: Vec<u16>,
    /// From the notice to the end.
    #[serde(default = "notice_default")]
    #[schemars(extend("x-source" = "EC2 user guide: an interruption notice two minutes before"))]
    pub notice: Span,
    /// How much earlier a rebalance recommendation comes, on which the pods begin to leave.
    #[serde(default)]
    #[schemars(extend("x-source" = "EC2 user guide: a recommendation may come earlier, or together with the notice"))]
    pub rebalance: Span,
}

fn notice_default() -> Span {
    Span::from_secs(120)
}

/// How much longer, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slowness {
    /// What every call to the node takes longer.
    pub by: Span,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// For how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// Which addresses, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackHole {
    /// Addresses within the node, from 0: cluster nodes of a NodePort, pods of a service; none: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-source" = "all unless said"))]
    pub addresses: Vec<u16>,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// Which pod, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Its number, from 0.
    #[schemars(range(min = 0, max = 9_999))]
    pub pod: u16,
    /// How long it is blocked.
    #[serde(rename = "for")]
    pub duration: Span,
}

impl Action {
    /// How long it lasts, if it happens to the network around a node and not to the node itself.
    pub fn around(&self) -> Option<Span> {
        match self {
            Action::Slow(slowness) => Some(slowness.duration),
            Action::Down(outage) => Some(outage.duration),
            Action::BlackHole(hole) => Some(hole.duration),
            _ => None,
        }
    }

    /// The hosts it happens to.
    pub fn hosts(&self) -> &[u16] {
        match self {
            Action::LoseHosts(lost) | Action::DrainHosts(lost) => &lost.hosts,
            Action::Interrupt(interruption) => &interruption.hosts,
            _ => &[],
        }
    }

    /// In words, as a scenario names it.
    pub fn name(&self) -> String {
        let text = match self {
            Action::Terminate(_) => "terminate",
            Action::Kill(_) => "kill",
            Action::Start(_) => "start",
            Action::Freeze(_) => "freeze",
            Action::Thaw(_) => "thaw",
            Action::RollOut(_) => "roll_out",
            Action::LoseHosts(_) => "lose_hosts",
            Action::Interrupt(_) => "interrupt",
            Action::DrainHosts(_) => "drain_hosts",
            Action::Slow(_) => "slow",
            Action::Down(_) => "down",
            Action::BlackHole(_) => "black_hole",
            Action::Block(_) => "block",
        };
        text.into()
    }

    /// The pod it happens to, if it is one.
    pub fn pod(&self) -> Option<u16> {
        match self {
            Action::Terminate(at)
            | Action::Kill(at)
            | Action::Start(at)
            | Action::Freeze(at)
            | Action::Thaw(at) => Some(at.pod),
            Action::Block(block) => Some(block.pod),
            _ => None,
        }
    }
}
