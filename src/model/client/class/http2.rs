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

const GONE: Session = Session {
    state: State::Closed,
    holder: NONE,
    tag: 0,
    users: BTreeSet::new(),
    waiting: Vec::new(),
};

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
    /// Connections that take requests, or will: how many they have, and which they are.
    taking: BTreeSet<(usize, u32)>,
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
        let words = |n| format!("{n} × {streams} HTTP/2 streams");
        let limit = spec
            .connections
            .map(|n| wiring.ledger.limit(entry, "http2_max_concurrent_streams", words(n)));
        Ok(Some(Box::new(Http2 {
            shared: spec.connections,
            streams_max: streams as usize,
            limit,
            sessions: Vec::new(),
            free: Vec::new(),
            taking: BTreeSet::new(),
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

    /// Changes a connection, and notes where it stands among those that take requests.
    fn change<T>(&mut self, at: u32, how: impl FnOnce(&mut Session) -> T) -> T {
        let session = &mut self.sessions[at as usize];
        let taking = |own: &Session| matches!(own.state, State::Opening | State::Open(_));
        if taking(session) {
            self.taking.remove(&(session.users.len(), at));
        }
        let result = how(session);
        if taking(session) {
            self.taking.insert((session.users.len(), at));
        }
        result
    }

    fn new_session(&mut self, holder: u32) -> u32 {
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.sessions.push(GONE);
                u32::try_from(self.sessions.len() - 1).unwrap_or(NONE)
            }
        };
        self.change(at, |session| *session = Session { state: State::Opening, holder, ..GONE });
        at
    }

    /// The connection for a user's next request; none: all are full.
    fn choose(&mut self, slot: u32) -> Option<u32> {
        let Some(most) = self.shared else { return Some(self.own(slot)) };
        match self.taking.first() {
            Some(&(0, at)) => Some(at),
            _ if self.taking.len() < most as usize => Some(self.new_session(slot)),
            Some(&(n, at)) if n < self.streams_max => Some(at),
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
        self.shared.is_none_or(|most| self.taking.len() < most as usize)
            || self.taking.first().is_some_and(|(n, _)| *n < self.streams_max)
    }

    /// A user's request is no longer on its connection; one that takes no more and carries none is gone.
    fn leave(&mut self, slot: u32) {
        let at = self.places[slot as usize].session;
        self.change(at, |session| {
            session.users.remove(&slot);
            session.waiting.retain(|other| *other != slot);
        });
        let session = self.session(at);
        if session.users.is_empty() && matches!(session.state, State::Leaving(_)) {
            self.close(at);
        }
    }

    /// A connection takes no more requests.
    fn goes_away(&mut self, at: u32) {
        let State::Open(kept) = self.session(at).state else { return };
        self.change(at, |session| session.state = State::Leaving(kept));
        if self.session(at).users.is_empty() {
            self.close(at);
        }
    }

    /// A connection is gone.
    fn close(&mut self, at: u32) -> Session {
        let session = self.change(at, |session| std::mem::replace(session, GONE));
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
        own.change(at, |session| session.users.insert(slot));
        let session = own.session(at);
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
            if self.addresses.is_some() {
                self.end_race(other, CallId::NONE, ctx);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    fn streams(connections: u32, streams_max: usize) -> Http2 {
        let places = vec![NOWHERE; 50];
        Http2 {
            shared: Some(connections),
            streams_max,
            limit: None,
            sessions: Vec::new(),
            free: Vec::new(),
            taking: BTreeSet::new(),
            by_tag: BTreeMap::new(),
            places,
            spare: Vec::new(),
            line: VecDeque::new(),
            tickets: 0,
        }
    }

    /// The connection of the fewest requests, the first of several, found by looking at all.
    fn fewest(own: &Http2) -> Option<(usize, u32)> {
        let taking = |s: &Session| matches!(s.state, State::Opening | State::Open(_));
        let all = own.sessions.iter().enumerate().filter(|(_, session)| taking(session));
        all.map(|(at, session)| (session.users.len(), at as u32)).min()
    }

    #[test]
    fn the_list_of_connections_agrees_with_a_look_at_all() {
        let tag = std::num::NonZeroU32::MIN;
        for seed in 0..100 {
            let mut draw = Key::root(seed, 0).stream();
            let mut own = streams(1 + draw.below(6) as u32, 1 + draw.below(8) as usize);
            for _ in 0..400 {
                let slot = draw.below(50) as u32;
                let at = own.places[slot as usize].session;
                let on_it = own.sessions.get(at as usize).is_some_and(|s| s.users.contains(&slot));
                match draw.below(8) {
                    0 if on_it => own.goes_away(at),
                    1 if on_it => drop(own.close(at)),
                    2..=4 if on_it => own.leave(slot),
                    _ if on_it => {
                        let kept = Kept { node: NodeId(0), number: 0, tag };
                        let session = own.session(at);
                        if matches!(session.state, State::Opening) {
                            session.state = State::Open(kept);
                        }
                    }
                    _ => {
                        let (before, room) = (fewest(&own), own.has_room());
                        let chosen = own.choose(slot);
                        assert_eq!(chosen.is_some(), room, "seed {seed}");
                        let Some(at) = chosen else {
                            assert!(before.unwrap().0 >= own.streams_max, "seed {seed}");
                            continue;
                        };
                        let known =
                            before.is_some_and(|(n, first)| at == first && n < own.streams_max);
                        assert!(known || own.session(at).users.is_empty(), "seed {seed}");
                        own.places[slot as usize].session = at;
                        own.change(at, |session| session.users.insert(slot));
                    }
                }
                assert_eq!(own.taking.first().copied(), fewest(&own), "seed {seed}");
                assert!(own.taking.len() <= own.shared.unwrap() as usize, "seed {seed}");
            }
        }
    }
}
