//! A client-side pool of connections to one store: idle, opening, waiting line.
//!
//! Checkout: the idle connection used last, else open one if allowed, else wait in line (MongoDB connection pool
//! specification; node-postgres `pg-pool/index.js`). A connection that cannot be opened fails the request it was opened for,
//! and the next in line tries. The owner carries the decisions out. Connections are known by numbers that their owner gives.

use super::component::Check;
use super::driver::{Driver, Settings};
use super::message::CallId;
use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// To who connects: the kernels have connected, and the server waits for the first message. The words are the parent of the connect.
pub const ESTABLISHED: u8 = 247;
/// To the server: the first message of a connect, whose words these are, is there.
pub const GREETED: u8 = 248;

/// How a pod connects to one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// A pool, or a connection for each statement.
    #[serde(default)]
    #[schemars(extend("x-source" = "drivers pool by default"))]
    pub mode: PoolMode,
    /// The driver whose defaults count for what is not said here; none: the one that programs mostly use with the engine of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "assumed: the usual driver of the engine, that of Node.js where it has several (PostgreSQL node_postgres, MySQL mysql2, MongoDB and DocumentDB mongodb; mongodb's numbers for other stores)", "x-assumed" = true))]
    pub driver: Option<Driver>,
    /// Most connections; none: by `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers 100 (connection pool specification: maxPoolSize), node-postgres, mysql2 and HikariCP 10, SQLAlchemy 5 + 10"))]
    pub max: Option<u32>,
    /// Most connections being opened at a time; none: by `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "MongoDB drivers 2 (maxConnecting), HikariCP 1 (one thread adds connections), the others any number"))]
    pub connecting: Option<u32>,
    /// Idle connections that a process opens ahead, from its start on and again when one has been closed, and every 30 s; the idle timeout does
    /// not close them. None: by `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "HikariCP minimumIdle: as many as `max`; the others open none ahead"))]
    pub min_idle: Option<u32>,
    /// Most idle connections: one that is given back beyond them is closed. None: by `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-source" = "SQLAlchemy pool_size: 5; the others as many as `max`"))]
    pub max_idle: Option<u32>,
    /// How long a request waits for a connection, and how long a connection may take to open, before it fails; zero: for ever; none: by
    /// `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "HikariCP connectionTimeout and SQLAlchemy timeout: 30 s; MongoDB waitQueueTimeoutMS, node-postgres connectionTimeoutMillis and mysql2: unlimited unless set"))]
    pub acquire_timeout: Option<Span>,
    /// Processor time that the connecting process spends between the connect of the kernels and its first message: on an event loop
    /// it waits for the one thread, and the database's process for this connection waits for the message. Other stores than
    /// databases do not wait for it.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: a sixth of what a connection with one statement takes"))]
    pub startup_cpu: Span,
    /// Processor time that the connecting process spends on a new connection once the server has accepted it (keys of a
    /// password, TLS, the driver): on an event loop it waits for the one thread, and the server's slot is held meanwhile.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of psycopg 2.9: 0.3 ms without a password, 2 ms with scram-sha-256"))]
    pub connect_cpu: Span,
    /// Processor time for a new connection that is spent before `connect_cpu` in threads beside an event loop, which goes on
    /// meanwhile: keys that libuv's pool derives.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said"))]
    pub connect_offload: Span,
    /// Processor time that the process spends on the answer of a statement, and in mode `direct` on closing the connection, before
    /// the connection is free for others.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: half of what a connection with one statement takes"))]
    pub statement_cpu: Span,
    /// Processor time that the process spends on a connection that the server has refused, before its request knows: the answer is read,
    /// an error is made of it, the connection is closed.
    #[serde(default, skip_serializing_if = "costs_nothing")]
    #[schemars(extend("x-source" = "zero unless said; own measurement of node-postgres 8: half of what a connection with one statement takes"))]
    pub refused_cpu: Span,
    /// An idle connection is closed after this; zero: never; none: by `driver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "node-postgres idleTimeoutMillis: 10 s; HikariCP idleTimeout: 10 min, of those beyond `min_idle`; MongoDB maxIdleTimeMS, mysql2 and SQLAlchemy: never unless set"))]
    pub idle_timeout: Option<Span>,
    /// A connection is replaced after this, at once or when it is given back; zero: never; none: by `driver`. With `hikaricp` it is up to
    /// 2.5 % shorter, drawn for each connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "HikariCP maxLifetime: 30 min, less up to a fortieth (HikariPool.java, createPoolEntry); node-postgres maxLifetimeSeconds and SQLAlchemy pool_recycle: never unless set"))]
    pub max_lifetime: Option<Span>,
}

/// Whether connections are shared by requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// Kept and used again.
    #[default]
    Pool,
    /// Opened for each statement and closed after it; the other fields but `acquire_timeout` mean nothing.
    Direct,
}

/// Whether a cost need not be written.
pub fn costs_nothing(span: &Span) -> bool {
    span.is_zero()
}

impl Default for PoolSpec {
    fn default() -> Self {
        PoolSpec {
            mode: PoolMode::Pool,
            driver: None,
            max: None,
            connecting: None,
            min_idle: None,
            max_idle: None,
            acquire_timeout: None,
            startup_cpu: Span::ZERO,
            connect_cpu: Span::ZERO,
            connect_offload: Span::ZERO,
            statement_cpu: Span::ZERO,
            refused_cpu: Span::ZERO,
            idle_timeout: None,
            max_lifetime: None,
        }
    }
}

impl PoolSpec {
    /// What the pool goes by.
    pub fn settings(&self) -> Settings {
        let usual = self.driver.unwrap_or_default().settings(self.max);
        if self.mode == PoolMode::Direct {
            let acquire_timeout = self.acquire_timeout.or(usual.acquire_timeout);
            let acquire_timeout = acquire_timeout.filter(|span| !span.is_zero());
            return Settings { acquire_timeout, ..Driver::default().settings(self.max) };
        }
        let span = |said: Option<Span>, usual| said.or(usual).filter(|span| !span.is_zero());
        let min_idle = self.min_idle.unwrap_or(usual.min_idle);
        let idle_timeout = span(self.idle_timeout, usual.idle_timeout);
        Settings {
            connecting: self.connecting.unwrap_or(usual.connecting),
            min_idle,
            max_idle: self.max_idle.unwrap_or(usual.max_idle.max(min_idle)),
            acquire_timeout: span(self.acquire_timeout, usual.acquire_timeout),
            idle_timeout: idle_timeout.filter(|_| min_idle < usual.max),
            max_lifetime: span(self.max_lifetime, usual.max_lifetime),
            ..usual
        }
    }

    /// Settings that exclude one another.
    pub(super) fn check(&self, path: &str, check: &mut Check) {
        let Settings { max, min_idle, max_idle, .. } = self.settings();
        if self.mode == PoolMode::Direct {
            let kept = [
                ("min_idle", self.min_idle.is_some_and(|n| n > 0)),
                ("max_idle", self.max_idle.is_some()),
                ("max_lifetime", self.max_lifetime.is_some()),
            ];
            for (field, _) in kept.iter().filter(|(_, said)| *said) {
                check.problem(
                    "E0396",
                    &format!("{path}.{field}"),
                    "mode `direct` opens a connection for each statement and keeps none".into(),
                    "leave it out, or let the pool keep its connections (`mode` pool)",
                );
            }
        } else if min_idle > max {
            check.problem(
                "E0396",
                &format!("{path}.min_idle"),
                format!("{min_idle} idle connections in a pool of {max}"),
                "lower `min_idle` or raise `max`",
            );
        } else if max_idle < min_idle {
            check.problem(
                "E0396",
                &format!("{path}.max_idle"),
                format!("{max_idle} idle connections at most, and {min_idle} are opened ahead"),
                "raise `max_idle` or lower `min_idle`",
            );
        }
    }
}

/// What the owner of a pool must do for a request that wants a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkout {
    /// The idle connection of this number was taken: use it.
    Ready(u32),
    /// A new connection is to be opened for this request.
    Open,
    /// The request waits in line.
    Wait,
}

/// A pool as it runs.
#[derive(Debug, Clone)]
pub struct Pool {
    mode: PoolMode,
    max: u32,
    connecting: u32,
    min_idle: usize,
    max_idle: usize,
    /// Number and since when; the one used last at the end, so the first is the first to be closed.
    idle: VecDeque<(u32, Time)>,
    busy: u32,
    opening: u32,
    waiting: VecDeque<CallId>,
    /// Where connections are replaced after a time: those that exist, and those of them that are in use although their time is over.
    aging: Option<Vec<u32>>,
    over: Vec<u32>,
}

impl Pool {
    /// An empty pool.
    pub fn new(mode: PoolMode, settings: &Settings) -> Pool {
        let ages = mode == PoolMode::Pool && settings.max_lifetime.is_some();
        Pool {
            mode,
            max: settings.max,
            connecting: settings.connecting,
            min_idle: settings.min_idle as usize,
            max_idle: settings.max_idle as usize,
            idle: VecDeque::new(),
            busy: 0,
            opening: 0,
            waiting: VecDeque::new(),
            aging: ages.then(Vec::new),
            over: Vec::new(),
        }
    }

    /// Connections that exist.
    pub fn open(&self) -> u32 {
        self.idle.len() as u32 + self.busy
    }
    /// Requests in line.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn may_open(&self) -> bool {
        self.mode == PoolMode::Direct
            || (self.open() + self.opening < self.max && self.opening < self.connecting)
    }

    /// A request wants a connection.
    pub fn checkout(&mut self, call: CallId) -> Checkout {
        if let Some((number, _)) = self.idle.pop_back() {
            self.busy += 1;
            Checkout::Ready(number)
        } else if self.may_open() {
            self.opening += 1;
            Checkout::Open
        } else {
            self.waiting.push_back(call);
            Checkout::Wait
        }
    }

    /// A connection that was being opened is open, and its request has it. Returns who may open the next.
    pub fn opened(&mut self, number: u32) -> Option<CallId> {
        self.opening -= 1;
        self.busy += 1;
        self.born(number);
        self.next_to_open()
    }

    /// Opening failed; its request fails with it. Returns who may try next.
    pub fn refused(&mut self) -> Option<CallId> {
        self.opening -= 1;
        self.next_to_open()
    }

    /// Who waits in line and may open a connection now.
    pub fn next_to_open(&mut self) -> Option<CallId> {
        if !self.may_open() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.opening += 1;
        Some(next)
    }

    /// How many connections are to be opened now for no request, so that `min_idle` are idle; they count as being opened from here on.
    pub fn open_ahead(&mut self) -> u32 {
        let missing = self.min_idle.saturating_sub(self.idle.len() + self.opening as usize) as u32;
        let room = self.max.saturating_sub(self.open() + self.opening);
        let n = missing.min(room).min(self.connecting.saturating_sub(self.opening));
        self.opening += n;
        n
    }

    /// A connection that was being opened for no request is open: who waits longest has it, else it is idle.
    pub fn opened_ahead(&mut self, number: u32, now: Time) -> Option<CallId> {
        self.opening -= 1;
        self.born(number);
        let next = self.waiting.pop_front();
        match next {
            Some(_) => self.busy += 1,
            None => self.idle.push_back((number, now)),
        }
        next
    }

    /// Whether a connection that could not be opened ahead is to be tried again; if not, it no longer counts as being opened.
    pub fn still_missing(&mut self) -> bool {
        let missing = !self.waiting.is_empty() || self.idle.len() < self.min_idle;
        self.opening -= u32::from(!missing);
        missing
    }

    fn born(&mut self, number: u32) {
        self.aging.iter_mut().for_each(|aging| aging.push(number));
    }

    fn gone(&mut self, number: u32) {
        self.aging.iter_mut().for_each(|aging| aging.retain(|own| *own != number));
    }

    /// The time of a connection is over. Whether it was idle and is gone; one in use is closed when it is given back.
    pub fn too_old(&mut self, number: u32) -> bool {
        if let Some(at) = self.idle.iter().position(|(idle, _)| *idle == number) {
            self.idle.remove(at);
            self.gone(number);
            return true;
        }
        if self.aging.iter().flatten().any(|own| *own == number) {
            self.over.push(number);
        }
        false
    }

    /// A request is done with its connection. Returns what becomes of the connection.
    #[inline]
    pub fn checkin(&mut self, number: u32, now: Time) -> Checkin {
        if self.mode == PoolMode::Direct {
            self.busy -= 1;
            return Checkin::Close;
        }
        if !self.over.is_empty() && self.is_over(number) {
            self.busy -= 1;
            return Checkin::Retire;
        }
        if let Some(next) = self.waiting.pop_front() {
            return Checkin::Next(next);
        }
        self.busy -= 1;
        if self.idle.len() >= self.max_idle {
            self.gone(number);
            return Checkin::Retire;
        }
        self.idle.push_back((number, now));
        Checkin::Idle
    }

    /// Whether the time of a connection that is given back is over.
    #[cold]
    fn is_over(&mut self, number: u32) -> bool {
        let Some(at) = self.over.iter().position(|over| *over == number) else { return false };
        self.over.swap_remove(at);
        self.gone(number);
        true
    }

    /// A connection in use broke. Returns who may open another.
    pub fn broken(&mut self, number: u32) -> Option<CallId> {
        self.busy -= 1;
        if !self.is_over(number) {
            self.gone(number);
        }
        self.next_to_open()
    }

    /// Takes out a connection that has been idle for `timeout`, if more than `min_idle` are idle.
    pub fn expire(&mut self, now: Time, timeout: Span) -> Option<u32> {
        let &(number, since) = self.idle.front()?;
        if since + timeout > now || self.idle.len() <= self.min_idle {
            return None;
        }
        self.gone(number);
        self.idle.pop_front();
        Some(number)
    }

    /// Takes out an idle connection: the process has died.
    pub fn take_idle(&mut self) -> Option<u32> {
        self.idle.pop_front().map(|(number, _)| number)
    }

    /// Since when the connection that has been idle longest is idle.
    pub fn idle_since(&self) -> Option<Time> {
        self.idle.front().map(|(_, since)| *since)
    }

    /// A request in line has gone. O(n).
    pub fn leave(&mut self, call: CallId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != call);
        self.waiting.len() < before
    }
}

/// What becomes of a connection that a request has given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkin {
    /// This request takes it over.
    Next(CallId),
    /// It stays open.
    Idle,
    /// It is to be closed, as in mode `direct` every one.
    Close,
    /// It is to be closed, and another may be opened in its place.
    Retire,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> CallId {
        CallId { slot, turn: 0 }
    }
    fn pool(spec: &PoolSpec) -> Pool {
        Pool::new(spec.mode, &spec.settings())
    }
    const NOW: Time = Time::ZERO;

    #[test]
    fn opens_at_most_two_at_a_time_and_serves_in_order() {
        let mut pool = pool(&PoolSpec { max: Some(3), ..PoolSpec::default() });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Open);
        assert_eq!(pool.checkout(id(2)), Checkout::Wait);
        assert_eq!(pool.checkout(id(3)), Checkout::Wait);
        assert_eq!(pool.opened(7), Some(id(2)), "a place to open is free again");
        assert_eq!(pool.opened(8), None, "three exist or are being opened: the limit");
        assert_eq!(pool.checkin(7, NOW), Checkin::Next(id(3)));
        assert_eq!(pool.opened(9), None);
        assert_eq!((pool.open(), pool.waiting()), (3, 0));
        assert_eq!(pool.checkin(7, NOW), Checkin::Idle);
        assert_eq!(pool.checkin(8, NOW), Checkin::Idle);
        assert_eq!(pool.checkout(id(4)), Checkout::Ready(8), "the one used last");
    }

    #[test]
    fn a_refused_connection_lets_the_next_in_line_try() {
        let mut pool = pool(&PoolSpec { max: Some(1), connecting: Some(1), ..PoolSpec::default() });
        assert_eq!(pool.checkout(id(0)), Checkout::Open);
        assert_eq!(pool.checkout(id(1)), Checkout::Wait);
        assert_eq!(pool.refused(), Some(id(1)));
        assert_eq!(pool.refused(), None);
        assert_eq!(pool.open(), 0);
    }

    #[test]
    fn idle_connections_are_closed_oldest_first() {
        let mut pool = pool(&PoolSpec { max: Some(2), ..PoolSpec::default() });
        for _ in 0..2 {
            assert_eq!(pool.checkout(id(0)), Checkout::Open);
            assert_eq!(pool.opened(10), None);
        }
        let (second, timeout) = (Time::from_nanos(5), Span::from_nanos(10));
        assert_eq!(pool.checkin(1, NOW), Checkin::Idle);
        assert_eq!(pool.checkin(2, second), Checkin::Idle);
        assert_eq!(pool.expire(Time::from_nanos(9), timeout), None);
        assert_eq!(pool.expire(Time::from_nanos(10), timeout), Some(1));
        assert_eq!(pool.expire(Time::from_nanos(10), timeout), None);
        assert_eq!((pool.idle_since(), pool.open()), (Some(second), 1));
    }

    #[test]
    fn direct_mode_opens_and_closes_without_limit() {
        let spec = PoolSpec { mode: PoolMode::Direct, max: Some(1), ..PoolSpec::default() };
        let mut pool = pool(&spec);
        for _ in 0..5 {
            assert_eq!(pool.checkout(id(0)), Checkout::Open);
        }
        assert_eq!(pool.opened(11), None);
        assert_eq!(pool.checkin(1, NOW), Checkin::Close);
        assert_eq!(pool.open(), 0);
    }

    #[test]
    fn a_driver_gives_what_is_not_said() {
        let of = |driver, max| PoolSpec { driver, max, ..PoolSpec::default() }.settings();
        let sizes = |s: Settings| [s.max, s.connecting, s.min_idle, s.max_idle];
        assert_eq!(sizes(of(None, None)), [100, 2, 0, 100]);
        assert_eq!(sizes(of(Some(Driver::NodePostgres), Some(20))), [20, 20, 0, 20]);
        assert_eq!(sizes(of(Some(Driver::Hikaricp), None)), [10, 1, 10, 10]);
        assert_eq!(sizes(of(Some(Driver::Sqlalchemy), None)), [15, 15, 0, 5]);
        let hikari = PoolSpec { driver: Some(Driver::Hikaricp), ..PoolSpec::default() };
        assert_eq!(hikari.settings().idle_timeout, None, "all that there are stay open");
        let fewer = PoolSpec { min_idle: Some(2), max_lifetime: Some(Span::ZERO), ..hikari };
        let fewer = fewer.settings();
        assert_eq!(fewer.idle_timeout, Some(Span::from_secs(600)));
        assert_eq!(fewer.max_lifetime, None, "zero: never");
    }

    #[test]
    fn connections_are_opened_ahead_one_at_a_time_and_go_to_who_waits() {
        let hikari = Some(Driver::Hikaricp);
        let mut pool = pool(&PoolSpec { driver: hikari, max: Some(2), ..PoolSpec::default() });
        assert_eq!((pool.open_ahead(), pool.open_ahead()), (1, 0));
        assert_eq!(pool.checkout(id(0)), Checkout::Wait, "the one thread is at work");
        assert_eq!(pool.opened_ahead(1, NOW), Some(id(0)));
        assert_eq!(pool.open_ahead(), 1);
        assert!(pool.still_missing());
        assert_eq!((pool.opened_ahead(2, NOW), pool.open_ahead()), (None, 0));
        assert_eq!((pool.open(), pool.idle.len()), (2, 1));
        // The time of the idle one is over, then that of the one in use; who waits opens another in its place.
        assert!(pool.too_old(2) && !pool.too_old(1) && !pool.too_old(7));
        assert_eq!(pool.open_ahead(), 1);
        assert_eq!(pool.opened_ahead(3, NOW), None);
        assert_eq!(pool.checkin(1, NOW), Checkin::Retire);
        assert_eq!(pool.open_ahead(), 1);
        assert_eq!((pool.open(), pool.aging), (1, Some(vec![3])));
    }

    #[test]
    fn more_idle_connections_than_are_kept_are_closed() {
        let sqlalchemy = Some(Driver::Sqlalchemy);
        let mut pool = pool(&PoolSpec { driver: sqlalchemy, ..PoolSpec::default() });
        for i in 0..6 {
            assert_eq!((pool.checkout(id(i)), pool.opened(i)), (Checkout::Open, None));
        }
        let left: Vec<_> = (0..6).map(|i| pool.checkin(i, NOW)).collect();
        assert_eq!(left[..5], [Checkin::Idle; 5]);
        assert_eq!((left[5], pool.open()), (Checkin::Retire, 5));
    }
}
