//! What the usual pools of connections do unless they are told otherwise. Settings that a driver does not have are left out: how
//! often it tests a connection, and on which connection a thread prefers to land.

use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A driver or pool library. It gives a pool what the pool's other fields do not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// MongoDB's drivers: 100 connections, 2 of them being opened at a time, kept for ever (specification of connection monitoring and
    /// pooling: maxPoolSize, maxConnecting, maxIdleTimeMS).
    #[default]
    Mongodb,
    /// node-postgres: 10 connections, any number being opened at a time, closed when they are idle for 10 s (pg-pool `index.js`: max,
    /// idleTimeoutMillis; `maxLifetimeSeconds` and `connectionTimeoutMillis` 0).
    NodePostgres,
    /// mysql2 of Node.js: 10 connections, any number being opened at a time, kept for ever: its `idleTimeout` of 60 s counts only where
    /// `maxIdle` is below `connectionLimit` (`lib/pool_config.js`, `lib/base/pool.js`).
    Mysql2,
    /// `HikariCP`, the pool of Spring Boot: 10 connections, all of them opened ahead, one at a time; replaced after 30 min, less up to
    /// 2.5 %; a request waits 30 s at most (README: maximumPoolSize, minimumIdle, maxLifetime, connectionTimeout; `HikariPool.java`).
    Hikaricp,
    /// `SQLAlchemy`'s `QueuePool`: 5 connections that are kept and 10 more that are closed when they are given back; a request waits 30 s at
    /// most (`pool/impl.py`: `pool_size`, `max_overflow`, `timeout`; `recycle` −1).
    Sqlalchemy,
}

/// What a pool goes by: what was said, and for the rest its driver's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most connections.
    pub max: u32,
    /// Most connections being opened at a time.
    pub connecting: u32,
    /// Idle connections that are opened ahead, and kept however long they are idle.
    pub min_idle: u32,
    /// Most idle connections.
    pub max_idle: u32,
    /// How long a request waits; none: for ever.
    pub acquire_timeout: Option<Span>,
    /// After which an idle connection is closed; none: never.
    pub idle_timeout: Option<Span>,
    /// After which a connection is replaced; none: never.
    pub max_lifetime: Option<Span>,
    /// Share of `max_lifetime` by which it is at most shorter, drawn evenly for each connection.
    pub lifetime_spread: f64,
}

impl Driver {
    /// Its defaults in a pool of `max` connections, if that was said.
    pub(super) fn settings(self, max: Option<u32>) -> Settings {
        let max = max.unwrap_or(match self {
            Driver::Mongodb => 100,
            Driver::NodePostgres | Driver::Mysql2 | Driver::Hikaricp => 10,
            Driver::Sqlalchemy => 15,
        });
        let plain = Settings {
            max,
            connecting: max,
            min_idle: 0,
            max_idle: max,
            acquire_timeout: None,
            idle_timeout: None,
            max_lifetime: None,
            lifetime_spread: 0.0,
        };
        match self {
            Driver::Mongodb => Settings { connecting: 2, ..plain },
            Driver::NodePostgres => Settings { idle_timeout: Some(Span::from_secs(10)), ..plain },
            Driver::Mysql2 => plain,
            Driver::Hikaricp => Settings {
                connecting: 1,
                min_idle: max,
                acquire_timeout: Some(Span::from_secs(30)),
                idle_timeout: Some(Span::from_secs(600)),
                max_lifetime: Some(Span::from_secs(1_800)),
                lifetime_spread: 0.025,
                ..plain
            },
            Driver::Sqlalchemy => Settings {
                max_idle: max.min(5),
                acquire_timeout: Some(Span::from_secs(30)),
                ..plain
            },
        }
    }
}
