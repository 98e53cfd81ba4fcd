//! The slab of calls in flight. One row is one edge of the call tree: who called whom, for which request.
//!
//! A caller that gives up *abandons* its call: the callee may go on working, and the row lives until it answers.
//! That is how work outlives its client.

use super::batch::{Batches, NO_BATCH};
use super::listener::SynRetry;
use super::message::{CallId, NodeId, Outcome};
use crate::kernel::{Key, Span, Time, TimerId};

/// What is asked of the callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Serve a request of kind `work`.
    Request,
    /// Open a connection (stores).
    Connect,
    /// Run a statement that holds the connection for `amount` when nothing competes (stores).
    Query,
    /// Queue an event, to be worked on later (functions).
    Event,
    /// Work on an event that the function's own queue holds (functions).
    Deliver,
}

/// The connection a call travels on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// A connection that is to be opened for it.
    New,
    /// A connection that is open already; the callee knows it by this number.
    Open(u32),
}

/// One call in flight.
///
/// In the order in which they stand in memory: what the answer touches comes first, so that it lies in one or two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Call {
    pub(in crate::model) turn: u32,
    /// Who calls.
    pub from: NodeId,
    /// Who is called.
    pub to: NodeId,
    /// The caller's own call, or the slot of its user.
    pub parent: CallId,
    /// When the caller sent it.
    pub sent: Time,
    /// A timer of the callee.
    pub timer: TimerId,
    /// A call that the callee made on behalf of this one.
    pub child: CallId,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the caller has gone away.
    pub abandoned: bool,
    /// Whether the callee has answered; the answer is on its way.
    pub answered: bool,
    /// Two words of the callee.
    pub a: u32,
    /// Second word of the callee.
    pub b: u32,
    /// A point in time of the callee.
    pub mark: Time,
    /// One-way delay of the path.
    pub hop: Span,
    /// Random key of the user's request; the same in every design.
    pub key: Key,
    /// How many times this request was tried before: draws differ from try to try.
    pub visit: u16,
    /// Kind of request: index into the world's works.
    pub work: u16,
    /// Next step of the work.
    pub step: u16,
    /// What is asked.
    pub op: Op,
    /// Whether the caller wants to keep the connection.
    pub keep_alive: bool,
    /// The caller's own name for the connection.
    pub tag: u32,
    /// Connection it travels on.
    pub via: Via,
    /// Messages to work on, of a call from a queue: number of the batch, or [`NO_BATCH`].
    pub batch: u32,
    /// When the connection was established; [`Time::MAX`] before that.
    pub established: Time,
    /// Size of the statement ([`Op::Query`]).
    pub amount: Span,
    /// Address within the callee (a pod, a node of the cluster), where it has several.
    pub address: u16,
    /// Connection slots that a login takes ([`Op::Connect`]).
    pub weight: u16,
    /// Size of what is sent, bytes; zero where nobody says so.
    pub bytes: u32,
    /// From the SYN's arrival to the request's first byte: round trips of TCP and TLS.
    pub handshake: Span,
    /// Whether the handshake of this connection costs the server a TLS signature.
    pub tls: bool,
    /// When the caller's kernel sends a lost SYN again.
    pub syn_retry: SynRetry,
    /// Whether it may be sent twice (GET, HEAD, PUT, DELETE).
    pub idempotent: bool,
    /// Retries of the call that the callee is making for its present step.
    pub retries: u8,
    /// Retry tokens that the last of them cost.
    pub retry_price: u8,
}
// Every message in flight has a row.
const _: () = assert!(size_of::<Call>() <= 144);

impl Call {
    /// A new request to `to`.
    #[inline]
    pub fn request(from: NodeId, to: NodeId, parent: CallId) -> Call {
        Call {
            turn: 0,
            from,
            to,
            address: 0,
            work: 0,
            parent,
            key: Key::default(),
            visit: 0,
            step: 0,
            op: Op::Request,
            amount: Span::ZERO,
            weight: 1,
            bytes: 0,
            batch: NO_BATCH,
            via: Via::New,
            tag: 0,
            keep_alive: false,
            retries: 0,
            retry_price: 0,
            idempotent: true,
            established: Time::MAX,
            handshake: Span::ZERO,
            tls: false,
            syn_retry: SynRetry::Exponential,
            hop: Span::ZERO,
            sent: Time::ZERO,
            abandoned: false,
            answered: false,
            outcome: Outcome::OK,
            a: 0,
            b: 0,
            child: CallId::NONE,
            timer: TimerId::NONE,
            mark: Time::ZERO,
        }
    }

    /// A call on behalf of `self`: same request, same try, same kind of work.
    #[inline]
    pub fn child(&self, from: NodeId, to: NodeId, id: CallId) -> Call {
        Call {
            key: self.key,
            visit: self.visit,
            work: self.work,
            idempotent: self.idempotent,
            bytes: self.bytes,
            ..Call::request(from, to, id)
        }
    }
}

/// All calls in flight.
#[derive(Debug, Default)]
pub struct Calls {
    rows: Vec<Call>,
    free: Vec<u32>,
    /// Batches of messages in flight.
    pub batches: Batches,
}

impl Calls {
    /// Adds a row.
    #[expect(
        clippy::inline_always,
        reason = "so that callers write their fields into the row, and build no copy of it"
    )]
    #[inline(always)]
    pub fn open(&mut self, call: Call) -> CallId {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.extend(),
        };
        let row = &mut self.rows[slot as usize];
        let turn = row.turn;
        *row = Call { turn, ..call };
        CallId { slot, turn }
    }

    /// A row that was never used.
    #[cold]
    fn extend(&mut self) -> u32 {
        self.rows.push(Call::request(NodeId(0), NodeId(0), CallId::NONE));
        u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
    }

    /// The row of a call that must be alive.
    #[inline]
    pub fn get(&mut self, id: CallId) -> &mut Call {
        let row = &mut self.rows[id.slot as usize];
        debug_assert_eq!(row.turn, id.turn, "a call that has ended");
        row
    }

    /// The row of a call that must be alive, to read it.
    #[inline]
    pub fn peek(&self, id: CallId) -> &Call {
        let row = &self.rows[id.slot as usize];
        debug_assert_eq!(row.turn, id.turn, "a call that has ended");
        row
    }

    /// Whether the call has not ended.
    #[inline]
    pub fn alive(&self, id: CallId) -> bool {
        self.rows.get(id.slot as usize).is_some_and(|row| row.turn == id.turn)
    }

    /// Removes a row.
    #[inline]
    pub fn close(&mut self, id: CallId) {
        let row = self.get(id);
        // Even turns are alive, and a freed row must not look alive under its next turn.
        row.turn = row.turn.wrapping_add(1);
        self.free.push(id.slot);
    }

    /// How many calls are in flight.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// The most that were in flight at once.
    pub fn peak(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The calls that a node has been sent at one of its addresses and has not answered. Walks all rows: for rare events.
    pub fn at(&self, node: NodeId, address: u16) -> Vec<CallId> {
        let mut dead = vec![false; self.rows.len()];
        for &slot in &self.free {
            dead[slot as usize] = true;
        }
        let here = |row: &Call| row.to == node && row.address == address && !row.answered;
        let rows = self.rows.iter().zip(dead).enumerate();
        rows.filter(|(_, (row, dead))| !dead && here(row))
            .map(|(slot, (row, _))| CallId { slot: slot as u32, turn: row.turn })
            .collect()
    }

    /// The calls in flight, for the closing audit.
    pub fn iter_alive(&self) -> impl Iterator<Item = &Call> {
        let mut dead = vec![false; self.rows.len()];
        for &slot in &self.free {
            dead[slot as usize] = true;
        }
        self.rows.iter().zip(dead).filter(|(_, dead)| !dead).map(|(row, _)| row)
    }
}
