//! The slab of calls in flight. One row is one edge of the call tree: who called whom, for which request.
//!
//! A caller that gives up *abandons* its call: the callee may go on working, and the row lives until it answers.
//! That is how work outlives its client.

use super::batch::Batches;
use super::listener::{SYN_RETRIES, SYN_RETRIES_MAX, SynRetry};
use super::message::{CallId, NodeId, Outcome};
use crate::kernel::{Key, Span, Stream, Time, TimerId, prefetch};

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
    /// Work on the messages of a batch, whose number is the call's `tag` (functions).
    Batch,
}

/// The connection a call travels on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// A connection that is to be opened for it.
    New,
    /// A connection that is open already; the callee knows it by this number.
    Open(u32),
}

/// How a connection is opened, in one byte: how the caller's kernel sends a lost SYN again and how often, and whether the handshake
/// costs the server a TLS signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Opening(u8);

impl Opening {
    const LINEAR: u8 = 1;
    const TLS: u8 = 2;
    /// From this bit on `tcp_syn_retries`, of which the usual number is written as zero.
    const RETRIES: u8 = 2;

    /// Without TLS.
    #[inline]
    pub fn plain(syn_retry: SynRetry) -> Opening {
        Opening(if syn_retry == SynRetry::Linear { Opening::LINEAR } else { 0 })
    }

    /// The same, with a signature to be made if `signed`.
    #[inline]
    #[must_use]
    pub fn signed(self, signed: bool) -> Opening {
        Opening(self.0 | if signed { Opening::TLS } else { 0 })
    }

    /// The same with other `tcp_syn_retries` than the usual.
    #[must_use]
    pub fn syn_retries(self, retries: u8) -> Opening {
        let written = retries.min(SYN_RETRIES_MAX) ^ SYN_RETRIES;
        Opening(self.0 & (Opening::LINEAR | Opening::TLS) | written << Opening::RETRIES)
    }

    /// How long the caller's kernel waits after the `tries`-th SYN, and whether it gives up then.
    pub fn wait_after(self, tries: u32) -> (Span, bool) {
        let retries = (self.0 >> Opening::RETRIES) ^ SYN_RETRIES;
        self.syn_retry().wait_after(tries, retries)
    }

    /// Whether the handshake costs the server a TLS signature.
    #[inline]
    pub fn tls(self) -> bool {
        self.0 & Opening::TLS != 0
    }

    /// When the caller's kernel sends a lost SYN again.
    #[inline]
    fn syn_retry(self) -> SynRetry {
        if self.0 & Opening::LINEAR != 0 { SynRetry::Linear } else { SynRetry::Exponential }
    }
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
    /// One-way delay of the path.
    pub hop: Span,
    /// A point in time of the callee.
    pub mark: Time,
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
    /// The caller's own name for the connection; of a batch its number.
    pub tag: u32,
    /// Connection it travels on.
    pub via: Via,
    /// Size of what is sent, bytes; zero where nobody says so.
    pub bytes: u32,
    /// When the connection was established; [`Time::MAX`] before that.
    pub established: Time,
    /// How long it takes: of a statement ([`Op::Query`]) to run; of a request on a new connection the handshake, the round trips of
    /// TCP and TLS from the SYN's arrival to the request's first byte. A word of the callee once it has read that.
    pub amount: Span,
    /// Address within the callee (a pod, a node of the cluster), where it has several.
    pub address: u16,
    /// Connection slots that a login takes ([`Op::Connect`]); of a statement [`SHARED`], if its owner may hang up for another's sake; of
    /// a request from users the last digits of its user's number, which tells apart who has a slot one after the other.
    pub weight: u16,
    /// How its connection is opened.
    pub opening: Opening,
    /// Whether it may be sent twice (GET, HEAD, PUT, DELETE).
    pub idempotent: bool,
    /// Retries of the call that the callee is making for its present step.
    pub retries: u8,
    /// Retry tokens that the last of them cost.
    pub retry_price: u8,
}
// Every message in flight has a row: the size of two cache lines.
const _: () = assert!(size_of::<Call>() == 128);

impl Call {
    /// Key of the draws of the present step of one try of a request.
    #[inline]
    pub fn step_key(&self) -> Key {
        let place = u64::from(self.visit) << 32 | u64::from(self.work) << 48;
        self.key.with(place | u64::from(self.step))
    }

    /// The random stream of that step.
    #[inline]
    pub fn step_stream(&self) -> Stream {
        self.step_key().stream()
    }

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
            via: Via::New,
            tag: 0,
            keep_alive: false,
            retries: 0,
            retry_price: 0,
            idempotent: true,
            established: Time::MAX,
            opening: Opening::default(),
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

/// Weight of a statement whose connection others of its owner use at the same time.
pub const SHARED: u16 = 0;

/// Callee of a row that is free.
const NOBODY: NodeId = NodeId(u16::MAX);
const NIL: u32 = u32::MAX;

/// All calls in flight.
#[derive(Debug)]
pub struct Calls {
    rows: Vec<Call>,
    /// The first of the rows that are free; each names the next as its parent.
    free: u32,
    alive: usize,
    /// Whether any caller has gone so far before it had its answer.
    pub some_abandoned: bool,
    /// Batches of messages in flight.
    pub batches: Batches,
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            rows: Vec::new(),
            free: NIL,
            alive: 0,
            some_abandoned: false,
            batches: Batches::default(),
        }
    }
}

impl Calls {
    /// Adds a row.
    #[inline(always)]
    pub fn open(&mut self, call: Call) -> CallId {
        let (id, row) = self.take();
        *row = Call { turn: id.turn, ..call };
        id
    }

    /// Adds a row like `model`, whose caller writes what is different about it: whoever sends many calls that are mostly alike.
    #[inline]
    pub fn open_like(&mut self, model: &Call) -> (CallId, &mut Call) {
        let (id, row) = self.take();
        *row = *model;
        row.turn = id.turn;
        (id, row)
    }

    /// Takes the first row that is free; what stands in it is left to be written over.
    #[inline(always)]
    fn take(&mut self) -> (CallId, &mut Call) {
        if self.free == NIL {
            self.extend();
        }
        let slot = self.free;
        let row = &mut self.rows[slot as usize];
        self.free = row.parent.slot;
        self.alive += 1;
        (CallId { slot, turn: row.turn }, row)
    }

    /// A row that was never used.
    #[cold]
    fn extend(&mut self) {
        self.free = u32::try_from(self.rows.len()).unwrap_or(NIL);
        self.rows.push(Call::request(NOBODY, NOBODY, CallId { slot: NIL, turn: 0 }));
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

    /// The number of the batch whose messages a call is to work on, if there is one.
    #[inline]
    pub fn batch_of(&self, id: CallId) -> Option<u32> {
        let row = self.peek(id);
        (row.op == Op::Batch).then_some(row.tag)
    }

    /// Has the row of a call loaded that will be needed soon.
    #[inline]
    pub(super) fn prefetch(&self, slot: u32) {
        if let Some(row) = self.row(slot) {
            // A large vector begins 16 bytes into a cache line.
            prefetch(row);
            prefetch(&row.key);
            prefetch(&row.retry_price);
        }
    }

    /// A row, whether it is free or not.
    #[inline]
    pub(super) fn row(&self, slot: u32) -> Option<&Call> {
        self.rows.get(slot as usize)
    }

    /// The row of a call, if it has not ended.
    #[inline]
    pub fn live(&mut self, id: CallId) -> Option<&mut Call> {
        self.rows.get_mut(id.slot as usize).filter(|row| row.turn == id.turn)
    }

    /// Whether the call has not ended.
    #[inline]
    pub fn alive(&self, id: CallId) -> bool {
        self.rows.get(id.slot as usize).is_some_and(|row| row.turn == id.turn)
    }

    /// Removes a row.
    #[inline]
    pub fn close(&mut self, id: CallId) {
        let free = self.free;
        let row = self.get(id);
        row.turn = row.turn.wrapping_add(1);
        (row.to, row.parent.slot) = (NOBODY, free);
        self.free = id.slot;
        self.alive -= 1;
    }

    /// How many calls are in flight.
    #[inline]
    pub fn len(&self) -> usize {
        self.alive
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
        let here = |row: &Call| row.to == node && row.address == address && !row.answered;
        let rows = self.rows.iter().enumerate().filter(|(_, row)| here(row));
        rows.map(|(slot, row)| CallId { slot: slot as u32, turn: row.turn }).collect()
    }

    /// The calls in flight, for the closing audit.
    pub fn iter_alive(&self) -> impl Iterator<Item = &Call> {
        self.rows.iter().filter(|row| row.to != NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_used_again_and_stale_ids_recognised() {
        let mut calls = Calls::default();
        let row = |to: u16| Call::request(NodeId(9), NodeId(to), CallId::NONE);
        let ids: Vec<_> = (0..4).map(|to| calls.open(row(to))).collect();
        calls.close(ids[1]);
        calls.close(ids[3]);
        assert_eq!((calls.len(), calls.peak()), (2, 4));
        let left: Vec<_> = calls.iter_alive().map(|call| call.to.0).collect();
        assert_eq!(left, [0, 2]);
        // The row that was freed last is taken first, under another turn.
        let again = calls.open(row(7));
        assert_eq!((again.slot, calls.alive(ids[3]), calls.alive(again)), (3, false, true));
        assert_eq!(calls.open(row(8)).slot, 1);
        assert_eq!((calls.open(row(8)).slot, calls.len()), (4, 5));
        assert_eq!(calls.at(NodeId(8), 0).len(), 2);
    }

    #[test]
    fn how_a_connection_is_opened_fits_a_byte() {
        for syn_retry in [SynRetry::Exponential, SynRetry::Linear] {
            for signed in [false, true] {
                let opening = Opening::plain(syn_retry).signed(signed);
                assert_eq!((opening.syn_retry(), opening.tls()), (syn_retry, signed));
            }
        }
    }
}
