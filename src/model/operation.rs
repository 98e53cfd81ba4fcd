//! What happens to a node at a given time of a run: an operator, a kernel or a failure does something to it.

use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Timer kind of an operation in [`super::message::Message::Wake`]: its word is the index of the operation.
pub const OPERATION: u8 = u8::MAX;

/// Something that happens to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When, from the start of the run.
    pub at: Span,
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
    /// A pod's process dies at once (SIGKILL, out of memory, a crash): its connections are reset.
    Kill(PodNumber),
    /// A pod's process is started; it serves at once.
    Start(PodNumber),
    /// A pod's process stands still (SIGSTOP, a frozen cgroup); its kernel still accepts connections.
    Freeze(PodNumber),
    /// A frozen process runs on (SIGCONT).
    Thaw(PodNumber),
    /// Every pod is replaced by a rolling update.
    RollOut(RollOut),
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
    /// The pod it happens to, if it is one.
    pub fn pod(&self) -> Option<u16> {
        match self {
            Action::Terminate(at)
            | Action::Kill(at)
            | Action::Start(at)
            | Action::Freeze(at)
            | Action::Thaw(at) => Some(at.pod),
            Action::Block(block) => Some(block.pod),
            Action::RollOut(_) => None,
        }
    }
}
