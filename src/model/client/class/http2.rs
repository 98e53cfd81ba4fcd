//! HTTP/2 of a class: connections that carry many requests at a time, of one user or of several.
//!
//! A request takes a stream of a connection that has one free, waits for a connection that is being opened, or stands in line for a
//! stream. What waits for a connection is sent right behind its first request. A connection that is lost takes all of its streams
//! with it; one that takes no more of them (GOAWAY) carries those that it has to their end.

use super::super::spec::Http2Spec;
use super::Class;
use super::user::Kept;
use crate::kernel::{Span, Time};
use crate::model::calls::{Call, Via};
use crate::model::context::Ctx;
use crate::model::ledger::LimitId;
use crate::model::message::{CallId, Cause, NodeId, Outcome};
use crate::model::wiring::Wiring;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// No connection, or nobody.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Opening,
    Open(Kept),
    /// It takes no further requests.
    Leaving(Kept),
}

/// A connection.
#[derive(Debug, Clone)]
struct Session {
    state: State,
    /// Whose request opened it; of a connection that is not shared, whose it is.
    holder: u32,
    /// The users' own name for it.
    tag: u32,
    /// Users with a request on it, or waiting for it to stand.
    users: BTreeSet<u32>,
    /// Those who wait, in order.
    waiting: Vec<u32>,
}

/// What a user has of connections.
#[derive(Debug, Clone, Copy)]
struct Place {
    session: u32,
    /// Ticket of its turn in the line; zero: it stands in none.
    ticket: u64,
    /// Whether its request travels with the first one of its connection.
    behind: bool,
    /// Whether it was sent before and not processed.
    again: bool,
}

const NOWHERE: Place = Place { session: NONE, ticket: 0, behind: false, again: false };

/// HTTP/2 of a class as it runs.
#[derive(Debug)]
pub(super) struct Http2 {
    /// Connections that all users share; none: each user has its own.
    shared: Option<u32>,
    /// Requests that a connection carries at a time.
    streams_max: usize,
    limit: Option<LimitId>,
    sessions: Vec<Session>,
    free: Vec<u32>,
    /// Connections that take requests, or will.
    taking: u32,
    by_tag: BTreeMap<u32, u32>,
    /// By user.
    places: Vec<Place>,
    /// Connections of users who are gone (open load).
    spare: Vec<u32>,
    /// Requests that wait for a stream: user, ticket, since when.
    line: VecDeque<(u32, u64, Time)>,
    tickets: u64,
}

impl Http2 {
    /// HTTP/2 to `entry`, if the class speaks it.
    ///
    /// # Errors
    /// The entry does not speak it.
    pub(super) fn new(
        spec: Option<Http2Spec>,
        entry: NodeId,
        wiring: &mut Wiring,
    ) -> Result<Option<Box<Http2>>, String> {
        let Some(spec) = spec else { return Ok(None) };
        let streams = wiring.http2(entry).ok_or("the node it enters by does not speak HTTP/2")?;
        let words = |n| format!("{n} HTTP/2 connections of {streams} streams");
        let limit = spec
            .connections
            .map(|n| wiring.ledger.limit(entry, "http2_max_concurrent_streams", words(n)));
        Ok(Some(Box::new(Http2 {
            shared: spec.connections,
            streams_max: streams as usize,
            limit,
            sessions: Vec::new(),
            free: Vec::new(),
            taking: 0,
            by_tag: BTreeMap::new(),
            places: Vec::new(),
            spare: Vec::new(),
            line: VecDeque::new(),
            tickets: 0,
        })))
    }

    /// A row of users has been added.
    pub(super) fn add_user(&mut self) {
        self.places.push(NOWHERE);
    }

    /// The connection that a user's request is sent on; none: it opens one.
    pub(super) fn kept(&self, slot: u32) -> Option<Kept> {
        let at = self.places[slot as usize].session;
        match self.sessions[at as usize].state {
            State::Open(kept) | State::Leaving(kept) => Some(kept),
            State::Opening | State::Closed => None,
        }
    }

    /// A user's request leaves on a connection of this name. Whether it travels with the first one of its connection, and whether it
    /// was sent before and not processed.
    pub(super) fn leaves(&mut self, slot: u32, tag: u32) -> (bool, bool) {
        let place = &mut self.places[slot as usize];
        let (at, behind) = (place.session, std::mem::take(&mut place.behind));
        let again = std::mem::take(&mut place.again);
        let session = &mut self.sessions[at as usize];
        if session.tag != tag {
            self.by_tag.remove(&session.tag);
            session.tag = tag;
            self.by_tag.insert(tag, at);
        }
        (behind, again)
    }

    fn session(&mut self, at: u32) -> &mut Session {
        &mut self.sessions[at as usize]
    }

    fn new_session(&mut self, holder: u32) -> u32 {
        self.taking += 1;
        let session = Session {
            state: State::Opening,
            holder,
            tag: 0,
            users: BTreeSet::new(),
            waiting: Vec::new(),
        };
        if let Some(at) = self.free.pop() {
            self.sessions[at as usize] = session;
            return at;
        }
        self.sessions.push(session);
        u32::try_from(self.sessions.len() - 1).unwrap_or(NONE)
    }

    /// The connection for a user's next request; none: all are full.
    fn choose(&mut self, slot: u32) -> Option<u32> {
        let Some(most) = self.shared else { return Some(self.own(slot)) };
        let taking = |session: &Session| matches!(session.state, State::Opening | State::Open(_));
        let fewest = self.sessions.iter().enumerate().filter(|(_, session)| taking(session));
        let fewest = fewest.min_by_key(|(_, session)| session.users.len());
        let fewest = fewest.map(|(at, session)| (at as u32, session.users.len()));
        match fewest {
            Some((at, 0)) => Some(at),
            _ if self.taking < most => Some(self.new_session(slot)),
            Some((at, n)) if n < self.streams_max => Some(at),
            _ => None,
        }
    }

    /// A user's own connection, one that somebody left, or a new one.
    fn own(&mut self, slot: u32) -> u32 {
        let at = self.places[slot as usize].session;
        let open = |at: u32, holder: u32, sessions: &[Session]| {
            let session = sessions.get(at as usize);
            session.is_some_and(|own| own.holder == holder && matches!(own.state, State::Open(_)))
        };
        if open(at, slot, &self.sessions) {
            return at;
        }
        while let Some(at) = self.spare.pop() {
            if open(at, NONE, &self.sessions) {
                self.session(at).holder = slot;
                return at;
            }
        }
        self.new_session(slot)
    }

    /// Whether the next in line would get a stream.
    fn has_room(&self) -> bool {
        let free = |session: &Session| {
            matches!(session.state, State::Opening | State::Open(_))
                && session.users.len() < self.streams_max
        };
        self.shared.is_none_or(|most| self.taking < most) || self.sessions.iter().any(free)
    }

    /// A user's request is no longer on its connection; one that takes no more and carries none is gone.
    fn leave(&mut self, slot: u32) {
        let at = self.places[slot as usize].session;
        let session = self.session(at);
        session.users.remove(&slot);
        session.waiting.retain(|other| *other != slot);
        if session.users.is_empty() && matches!(session.state, State::Leaving(_)) {
            self.close(at);
        }
    }

    /// A connection takes no more requests.
    fn goes_away(&mut self, at: u32) {
        let session = self.session(at);
        let State::Open(kept) = session.state else { return };
        session.state = State::Leaving(kept);
        let empty = session.users.is_empty();
        self.taking -= 1;
        if empty {
            self.close(at);
        }
    }

    /// A connection is gone.
    fn close(&mut self, at: u32) -> Session {
        let gone = Session {
            state: State::Closed,
            holder: NONE,
            tag: 0,
            users: BTreeSet::new(),
            waiting: Vec::new(),
        };
        let session = std::mem::replace(self.session(at), gone);
        if matches!(session.state, State::Opening | State::Open(_)) {
            self.taking -= 1;
        }
        self.by_tag.remove(&session.tag);
        self.free.push(at);
        session
    }

    /// The first in line who still waits.
    fn first_in_line(&mut self) -> Option<(u32, Time)> {
        while let Some(&(slot, ticket, since)) = self.line.front() {
            if self.places[slot as usize].ticket == ticket {
                return Some((slot, since));
            }
            self.line.pop_front();
        }
        None
    }
}

impl Class {
    /// Whether its users speak HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        self.http2.is_some()
    }

    /// Finds a stream for a user's request: none if it has to wait, else whether a connection is opened for it.
    pub(super) fn take_stream(&mut self, slot: u32, ctx: &mut Ctx) -> Option<bool> {
        let own = self.http2.as_mut()?;
        let again = own.places[slot as usize].again;
        let Some(at) = own.choose(slot) else {
            own.tickets += 1;
            own.places[slot as usize] = Place { ticket: own.tickets, again, ..NOWHERE };
            own.line.push_back((slot, own.tickets, ctx.queue.now()));
            return None;
        };
        own.places[slot as usize] = Place { session: at, again, ..NOWHERE };
        let session = own.session(at);
        session.users.insert(slot);
        match session.state {
            State::Opening if session.holder == slot => Some(true),
            State::Opening => {
                session.waiting.push(slot);
                None
            }
            _ => Some(false),
        }
    }

    /// A connection stands, and its first request is at the server: those that wait for it come right behind.
    pub(super) fn connection_stands(&mut self, id: CallId, ctx: &mut Ctx) {
        if !ctx.calls.alive(id) {
            return;
        }
        let row = *ctx.calls.peek(id);
        let Via::Open(number) = row.via else { return };
        let Some(own) = &mut self.http2 else { return };
        let slot = row.parent.slot;
        let wanted = !row.abandoned && self.users[slot as usize].turn == row.parent.turn;
        let at = own.places[slot as usize].session;
        let session = own.sessions.get(at as usize).filter(|_| wanted);
        let opening = |own: &Session| own.holder == slot && matches!(own.state, State::Opening);
        if !session.is_some_and(opening) {
            // Whoever opened it has given up meanwhile.
            return ctx.hang_up(row.to, number, row.tag);
        }
        let Some(tag) = std::num::NonZeroU32::new(row.tag) else { return };
        let session = own.session(at);
        session.state = State::Open(Kept { node: row.to, number, tag });
        let waiting = std::mem::take(&mut session.waiting);
        for other in waiting {
            if let Some(own) = &mut self.http2 {
                own.places[other as usize].behind = true;
            }
            self.sends(other, false, ctx);
        }
    }

    /// A connection takes no more requests.
    pub(super) fn connection_leaves(&mut self, tag: u32, ctx: &mut Ctx) {
        if let Some(own) = &mut self.http2
            && let Some(&at) = own.by_tag.get(&tag)
        {
            own.goes_away(at);
        }
        self.next_in_line(ctx);
    }

    /// Whoever is first in line gets a stream, as long as there are any.
    fn next_in_line(&mut self, ctx: &mut Ctx) {
        while let Some(own) = &mut self.http2 {
            let Some((slot, since)) = own.first_in_line().filter(|_| own.has_room()) else {
                return;
            };
            own.line.pop_front();
            if let Some(limit) = own.limit {
                ctx.ledger.waited_for(limit, since, ctx.queue.now());
            }
            if let Some(opens) = self.take_stream(slot, ctx) {
                self.sends(slot, opens, ctx);
            }
        }
    }

    /// A stream has ended with this answer. Says whether its request was not processed and is under way again.
    pub(super) fn stream_ended(&mut self, slot: u32, call: &Call, ctx: &mut Ctx) -> bool {
        let Some(own) = &mut self.http2 else { return false };
        let at = own.places[slot as usize].session;
        let opening = matches!(own.session(at).state, State::Opening);
        if call.via == Via::New && call.outcome.cause == Some(Cause::Reset) && !opening {
            own.goes_away(at);
            own.leave(slot);
            own.places[slot as usize].again = true;
            self.users[slot as usize].call = CallId::NONE;
            if let Some(opens) = self.take_stream(slot, ctx) {
                self.sends(slot, opens, ctx);
            }
            return true;
        }
        if call.outcome.status == 0 {
            // Nobody answered: it is the connection that has failed.
            self.connection_lost(at, slot, call.outcome, ctx);
            return false;
        }
        if !call.keep_alive {
            own.goes_away(at);
        }
        own.leave(slot);
        self.next_in_line(ctx);
        false
    }

    /// A connection is lost, and with it the requests of all users but the one who knows already.
    fn connection_lost(&mut self, at: u32, knows: u32, outcome: Outcome, ctx: &mut Ctx) {
        let Some(own) = &mut self.http2 else { return };
        let session = own.close(at);
        end_connection(&session, ctx);
        for other in session.users.into_iter().filter(|other| *other != knows) {
            let user = &mut self.users[other as usize];
            ctx.queue.cancel(user.timer);
            let call = std::mem::replace(&mut user.call, CallId::NONE);
            user.opening = false;
            if call != CallId::NONE {
                ctx.abandon(call);
            }
            self.fails(other, outcome, ctx);
        }
        self.next_in_line(ctx);
    }

    /// A user gives up waiting for its answer. Whether its connection stood; `own_stands` says so of the one that it was opening itself.
    pub(super) fn stream_given_up(&mut self, slot: u32, own_stands: bool, ctx: &mut Ctx) -> bool {
        let Some(own) = &mut self.http2 else { return own_stands };
        let place = &mut own.places[slot as usize];
        place.again = false;
        if std::mem::take(&mut place.ticket) > 0 {
            return own.sessions.iter().any(|s| matches!(s.state, State::Open(_)));
        }
        let at = place.session;
        own.leave(slot);
        let session = own.session(at);
        if !matches!(session.state, State::Opening) {
            self.next_in_line(ctx);
            return true;
        }
        if session.holder != slot {
            let first = self.users[session.holder as usize].call;
            return self.connected(first, ctx);
        }
        // The connect ends with the request it was for; the next that waits begins anew.
        end_connection(session, ctx);
        if session.waiting.is_empty() {
            own.close(at);
            self.next_in_line(ctx);
        } else {
            let next = session.waiting.remove(0);
            session.holder = next;
            self.sends(next, true, ctx);
        }
        own_stands
    }

    /// A user is done for good: so is its own connection, unless another user may take it over.
    pub(super) fn leaves_connection(&mut self, slot: u32, ctx: &mut Ctx) {
        let done = self.done();
        let passes_on = self.closed.is_none();
        let Some(own) = &mut self.http2 else { return };
        let at = std::mem::replace(&mut own.places[slot as usize], NOWHERE).session;
        if own.shared.is_some() {
            if done {
                for at in 0..own.sessions.len() {
                    if !matches!(own.sessions[at].state, State::Closed) {
                        end_connection(&own.close(at as u32), ctx);
                    }
                }
            }
            return;
        }
        let Some(session) = own.sessions.get_mut(at as usize) else { return };
        if session.holder != slot || !matches!(session.state, State::Open(_)) {
            return;
        }
        if passes_on {
            session.holder = NONE;
            own.spare.push(at);
        } else {
            end_connection(&own.close(at), ctx);
        }
    }
}

/// Tells whoever is at the other end, and whoever forwards it, that a connection is closed.
fn end_connection(session: &Session, ctx: &mut Ctx) {
    match session.state {
        State::Open(kept) | State::Leaving(kept) => {
            ctx.hang_up(kept.node, kept.number, kept.tag.get());
        }
        State::Opening if ctx.flows.any() => {
            let ended = ctx.flows.closed(ctx.me, session.tag);
            ctx.flow_ended(ended);
        }
        State::Opening | State::Closed => {}
    }
}

/// What is sent behind the first request of its connection needs no way of its own.
pub(super) const WITH_THE_FIRST: Span = Span::ZERO;
