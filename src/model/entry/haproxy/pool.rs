//! Idle connections to servers: which requests may go over them, how many are kept, when the others are closed.
//!
//! After `connect_server`, `srv_add_to_idle_list` and `srv_cleanup_idle_conns` of HAProxy 2.6 and own measurements of 2.6.12
//! (docs/facts/cluster.md, section 5.9). Left out: `pool-max-conn`, `pool-low-conn`, another `pool-purge-delay`, several threads.

use super::spec::HttpReuse;
use crate::kernel::{Span, Time};
use crate::model::kept::Kept;
use std::collections::VecDeque;

/// Idle connections that a client's connection keeps to itself (`max-session-srv-conns`).
const PRIVATE_MAX: usize = 5;

/// The connections to one server that clients share.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Idle ones that have served one request, those that wait longest first.
    idle: VecDeque<Kept>,
    /// Idle ones that have served more.
    safe: VecDeque<Kept>,
    /// In use now.
    used: usize,
    /// The most that were in use since the last purge.
    most_used: usize,
    /// Estimate of how many are needed.
    needed: usize,
}

impl Pool {
    /// A request goes to the server: over an idle connection, or over a new one if it returns none. `first`: no request came before it
    /// on its client's connection.
    pub(super) fn take(
        &mut self,
        first: bool,
        reuse: HttpReuse,
        now: Time,
        hop: Span,
    ) -> Option<Kept> {
        self.let_closed_go(now, hop);
        self.used += 1;
        self.most_used = self.most_used.max(self.used);
        self.needed = self.needed.max(self.used);
        match (reuse, first) {
            (HttpReuse::Never, _) | (HttpReuse::Safe, true) => None,
            (HttpReuse::Aggressive, true) => self.safe.pop_front(),
            (HttpReuse::Always, true) => self.safe.pop_front().or_else(|| self.idle.pop_front()),
            (_, false) => self.idle.pop_front().or_else(|| self.safe.pop_front()),
        }
    }

    /// A connection is not in use any more, and was closed.
    pub(super) fn close(&mut self) {
        self.used -= 1;
    }

    /// A request has ended and its connection may be kept; `proven`: it was not the connection's first. Whether it is kept.
    pub(super) fn keep(&mut self, kept: Kept, proven: bool) -> bool {
        let enough = self.used + self.len() <= self.used.max(self.needed);
        let only = self.safe.is_empty() && (proven || self.idle.is_empty());
        self.used -= 1;
        if only || enough {
            let list = if proven { &mut self.safe } else { &mut self.idle };
            list.push_back(kept);
        }
        only || enough
    }

    /// Idle connections.
    pub(super) fn len(&self) -> usize {
        self.idle.len() + self.safe.len()
    }

    /// Forgets those that the server has closed: HAProxy watches them.
    fn let_closed_go(&mut self, now: Time, hop: Span) {
        for list in [&mut self.idle, &mut self.safe] {
            while list.front().is_some_and(|kept| kept.gone(now, hop)) {
                list.pop_front();
            }
        }
    }

    /// The server is gone, and with it all connections to it.
    pub(super) fn clear(&mut self) {
        self.idle.clear();
        self.safe.clear();
    }

    /// Of those beyond what was needed lately half are closed, and one (`max_conn` of a thread): these.
    pub(super) fn purge(&mut self, now: Time, hop: Span) -> impl Iterator<Item = Kept> + use<> {
        self.let_closed_go(now, hop);
        let beyond = (self.used + self.len()).saturating_sub(self.most_used.max(self.needed));
        self.needed = self.most_used.max((self.needed + self.most_used) / 2);
        self.most_used = self.used;
        let closed = if beyond > 0 { beyond.div_ceil(2) + 1 } else { 0 };
        let from_idle = closed.min(self.idle.len());
        let from_safe = (closed - from_idle).min(self.safe.len());
        let mut gone: Vec<Kept> = self.idle.drain(..from_idle).collect();
        gone.extend(self.safe.drain(..from_safe));
        gone.into_iter()
    }
}

/// The idle connections that belong to one client's connection (`http-reuse never`), and their servers.
#[derive(Debug, Default)]
pub(super) struct Private(Vec<(u16, Kept)>);

impl Private {
    /// An idle one to a server.
    pub(super) fn take(&mut self, server: u16, now: Time, hop: Span) -> Option<Kept> {
        self.0.retain(|(_, kept)| !kept.gone(now, hop));
        let at = self.0.iter().position(|(to, _)| *to == server)?;
        Some(self.0.remove(at).1)
    }

    /// Keeps one. Whether there was room.
    pub(super) fn keep(&mut self, server: u16, kept: Kept) -> bool {
        let room = self.0.len() < PRIVATE_MAX;
        if room {
            self.0.push((server, kept));
        }
        room
    }

    /// The client's connection is closed, and so are these.
    pub(super) fn close(&mut self) -> impl Iterator<Item = (u16, Kept)> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: Span = Span::ZERO;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn kept(number: u32) -> Kept {
        Kept::new(number, at(0), HOP, None)
    }

    /// Measured: 20 requests at once, then none. Connections that are open after each purge, 5 s apart.
    #[test]
    fn t_hap_8_idle_connections_are_purged_as_measured() {
        let mut pool = Pool::default();
        for _ in 0..20 {
            assert!(pool.take(true, HttpReuse::Safe, at(0), HOP).is_none());
        }
        assert!((0..20).all(|number| pool.keep(kept(number), false)));
        let open: Vec<usize> = (1..=7)
            .map(|n| {
                let closed = pool.purge(at(5 * n), HOP).count();
                assert!(closed <= 20);
                pool.len()
            })
            .collect();
        assert_eq!(open, [20, 20, 14, 8, 4, 1, 0]);
    }

    /// Measured: five idle connections and one that a first request has opened; the requests after it go over 1, 2, 3, 4, 5, 1, 2 …
    #[test]
    fn idle_connections_take_turns() {
        let mut pool = Pool::default();
        for _ in 0..5 {
            pool.take(true, HttpReuse::Safe, at(0), HOP);
        }
        assert!((1..=5).all(|number| pool.keep(kept(number), false)));
        assert!(pool.take(true, HttpReuse::Safe, at(0), HOP).is_none());
        assert!(!pool.keep(kept(6), false), "five were enough");
        for number in [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3] {
            let next = pool.take(false, HttpReuse::Safe, at(0), HOP).unwrap();
            assert_eq!(next.connection, number);
            assert!(pool.keep(next, true));
        }
    }

    #[test]
    fn who_may_go_over_an_idle_connection() {
        // The manual's modes: with a connection that served one request, and with one that served two.
        for (reuse, once, twice) in [
            (HttpReuse::Never, false, false),
            (HttpReuse::Safe, false, false),
            (HttpReuse::Aggressive, false, true),
            (HttpReuse::Always, true, true),
        ] {
            for (proven, expected) in [(false, once), (true, twice)] {
                let mut pool = Pool::default();
                pool.take(true, reuse, at(0), HOP);
                assert!(pool.keep(kept(1), proven));
                assert_eq!(pool.take(true, reuse, at(0), HOP).is_some(), expected, "{reuse:?}");
                let later = pool.take(false, reuse, at(0), HOP).is_some();
                assert_eq!(later, !expected && reuse != HttpReuse::Never, "{reuse:?}");
            }
        }
    }

    #[test]
    fn a_connection_that_its_server_has_closed_is_not_used() {
        let mut pool = Pool::default();
        pool.take(true, HttpReuse::Safe, at(0), HOP);
        assert!(pool.keep(Kept::new(1, at(0), HOP, Some(Span::from_secs(1))), false));
        assert!(pool.take(false, HttpReuse::Safe, at(1), HOP).is_none());
    }
}
