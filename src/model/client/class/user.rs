//! The row of a user. There are as many as users in flight, so what only some of them need stands in tables of the class.

use crate::kernel::{Time, TimerId};
use crate::model::calls::{Call, Via};
use crate::model::message::{CallId, Cause, NodeId};
use std::num::NonZeroU32;

/// One user.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) turn: u32,
    /// Its number: who draws what. Begins anew after 2^32, when the first are long gone. Of a free row the next free one.
    pub(super) index: u32,
    /// Requests done, all sessions together.
    pub(super) request: u32,
    /// Place in the session.
    pub(super) step: u16,
    pub(super) attempt: u16,
    pub(super) served: bool,
    /// Waits for the load generator to open its connection.
    pub(super) opening: bool,
    pub(super) last_cause: Option<Cause>,
    pub(super) connection: Option<Kept>,
    pub(super) call: CallId,
    pub(super) timer: TimerId,
    /// When its present request began; between two, since when its connection is idle.
    pub(super) sent: Time,
    pub(super) scheduled: Time,
}
// A cache line; a large vector begins 16 bytes into one, so both ends have to be asked for.
const _: () = assert!(size_of::<User>() <= 64 && std::mem::offset_of!(User, served) >= 48);

impl User {
    /// A user who comes in.
    #[inline(always)]
    pub(super) fn new(index: u32, scheduled: Time, sent: Time) -> User {
        User {
            turn: 0,
            index,
            request: 0,
            step: 0,
            attempt: 0,
            served: false,
            opening: false,
            last_cause: None,
            connection: None,
            call: CallId::NONE,
            timer: TimerId::NONE,
            sent,
            scheduled,
        }
    }
}

/// A connection that a user keeps: where it leads, its number there, and the users' own name for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) node: NodeId,
    pub(super) number: u32,
    pub(super) tag: NonZeroU32,
}

impl Kept {
    /// The connection that stays open after an answer, if one does.
    #[inline(always)]
    pub(super) fn after(call: &Call) -> Option<Kept> {
        match call.via {
            Via::Open(number) if call.keep_alive => {
                NonZeroU32::new(call.tag).map(|tag| Kept { node: call.to, number, tag })
            }
            _ => None,
        }
    }
}
