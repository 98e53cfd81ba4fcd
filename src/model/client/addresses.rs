//! Which addresses of a name a client tries, and when it goes on to the next one.

use crate::kernel::{Span, TimerId};
use crate::model::message::{CallId, Cause, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client does with the further addresses of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addresses {
    /// The first only, with the kernel's patience: Node.js up to 18 and most simple clients.
    #[default]
    First,
    /// One after the other: a connect that is not there in time is given up, except that to the last address. Node.js 20 and later (`autoSelectFamily`).
    OneByOne(OneByOne),
    /// The next address beside those that are still being tried; the first connection that stands is taken. Browsers (RFC 8305, happy
    /// eyeballs).
    HappyEyeballs(HappyEyeballs),
}

/// One address after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneByOne {
    /// How long each address but the last is tried.
    #[serde(default = "attempt_default")]
    #[schemars(extend("x-source" = "Node.js autoSelectFamilyAttemptTimeout: 250 ms (500 ms with PR 60334, October 2025)"))]
    pub attempt: Span,
}

/// One address beside the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HappyEyeballs {
    /// After how long the next address is tried as well.
    #[serde(default = "attempt_default")]
    #[schemars(extend("x-source" = "RFC 8305, section 5: Connection Attempt Delay, 250 ms recommended"))]
    pub delay: Span,
}

fn attempt_default() -> Span {
    Span::from_millis(250)
}

impl Addresses {
    /// Whether further addresses are never tried.
    pub fn is_first(&self) -> bool {
        *self == Addresses::First
    }

    /// After how long the client turns to the next address.
    pub fn patience(self) -> Option<Span> {
        match self {
            Addresses::First => None,
            Addresses::OneByOne(own) => Some(own.attempt),
            Addresses::HappyEyeballs(own) => Some(own.delay),
        }
    }

    /// Whether earlier addresses are tried on meanwhile.
    pub fn side_by_side(self) -> bool {
        matches!(self, Addresses::HappyEyeballs(_))
    }
}

/// The addresses that one user is trying for one connection.
#[derive(Debug, Clone)]
pub(super) struct Race {
    /// Which address of the answer is tried now: the first is 0.
    pub(super) rank: u16,
    /// When the next one has its turn.
    pub(super) timer: TimerId,
    /// Calls to earlier addresses that are still being tried.
    pub(super) others: Vec<CallId>,
}

impl Default for Race {
    fn default() -> Race {
        Race { rank: 0, timer: TimerId::NONE, others: Vec::new() }
    }
}

/// Whether an outcome says that no connection came about, so that another address may be tried.
pub(super) fn not_connected(outcome: Outcome, established: bool) -> bool {
    let cause = outcome.cause;
    !established && matches!(cause, Some(Cause::Refused | Cause::ConnectTimeout))
}
