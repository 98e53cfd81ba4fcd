//! A database server as the scenario writes it.

use super::engine::{self, Auth, Engine};
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::cpu::Sharing;
use crate::model::dist::Dist;
use crate::model::era::Era;
use crate::model::instance::{self, InstanceType};
use crate::model::wiring::Slots;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What all engines have in common.
const ABOUT: About = About {
    what: "A database server with connection slots, logins that cost processor time and a throughput curve.",
    models: &[
        "connection slots: given, or by the engine's formula from memory or class (DocumentDB: its table)",
        "PostgreSQL: one postmaster that accepts and forks, a listen backlog of twice MaxBackends whose overflow the client's kernel resends after 1, 3, 7 … s; a backend takes its slot when it becomes a process of the server, after two fifths of its login's processor time, and frees it when it begins to end; \"too many clients\" when none is left, \"remaining slots are reserved\" after the login when only the administrators' are",
        "MySQL: a connection beyond the slots is refused before its login; MongoDB, DocumentDB: after it (assumed); DocumentDB may keep it waiting, locks logins after a rush of new connections, and lets statements beyond the active limit wait",
        "logins, forks and ends of connections share the server's vCPUs; a refused login costs what it did until then, and two thirds of an end",
        "open connections hold their slot while idle, also those of frozen execution environments; the slot of a client that went away is free when its statement has ended",
        "statements share the server by the Universal Scalability Law X(n) = λn / (1 + σ(n−1) + κn(n−1)), and its processors, of which `cpu_share` says how much they take",
    ],
    leaves_out: &[
        "locks, transactions and replication; reads and writes cost what the scenario says they hold",
        "CPU credits of burstable classes: a T2 is never held to its baseline, and what a T3 or T4g borrows is not on the bill",
        "logins do not slow statements, nor statements logins: each has its own share of the server",
        "swapping: a warning says when the connections need more memory than the server has",
        "cursors; storage and its I/O, also on the bill",
    ],
    example: "",
};

/// PostgreSQL.
pub const ABOUT_POSTGRES: About =
    About { example: r#"{"connections": 100, "auth": "trust", "vcpu": 2}"#, ..ABOUT };
/// MySQL.
pub const ABOUT_MYSQL: About = About { example: r#"{"class": "rds.mysql.t3.medium"}"#, ..ABOUT };
/// MongoDB.
pub const ABOUT_MONGODB: About =
    About { example: r#"{"connections": 500, "vcpu": 2, "class": "mongodb.atlas_m0"}"#, ..ABOUT };
/// DocumentDB.
pub const ABOUT_DOCUMENTDB: About =
    About { example: r#"{"class": "documentdb.r5.large", "when_full": "queue"}"#, ..ABOUT };

/// Share of a statement's time that is processor time, where nobody says it: twice as many statements as processors go on at
/// full speed.
const CPU_SHARE: f64 = 0.5;

/// A database server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Connection slots, those for administrators included (PostgreSQL and MySQL `max_connections`); none: by the engine's
    /// formula from `memory` or `class`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "RDS: PostgreSQL LEAST(memory / 9531392, 5000), MySQL memory / 12582880; DocumentDB: table by class"))]
    pub connections: Option<u32>,
    /// Slots kept for administrators (PostgreSQL `superuser_reserved_connections`); none: by engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000), extend("x-source" = "PostgreSQL 3; MongoDB Atlas 10; MySQL and DocumentDB none of these"))]
    pub reserved: Option<u32>,
    /// Memory of the server; none: that of `class`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Memory that a connection takes on the server; none: 8MB for PostgreSQL, 1MB for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "PostgreSQL 5 to 10 MB, MongoDB 1 MB are usually quoted, no primary source", "x-assumed" = true))]
    pub memory_per_connection: Option<Bytes>,
    /// Processors of the server; none: those of `class`, 2 without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.25, max = 256.0), extend("x-source" = "assumed: a small instance", "x-assumed" = true, "x-default" = 2.0, "x-follows" = "class"))]
    pub vcpu: Option<f64>,
    /// How PostgreSQL checks who logs in: decides the cost of a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "PostgreSQL 14 and later: password_encryption scram-sha-256"))]
    pub auth: Option<Auth>,
    /// Processor time of one login after the fork (TLS, password check, start of the session); none: by engine and `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "PostgreSQL 15, own measurement, connect alone: 2.3 ms trust, 4.7 ms scram-sha-256, fork included; others 5 ms assumed", "x-assumed" = true))]
    pub login: Option<Dist>,
    /// Processor time that the one accepting process spends on a new connection before it takes the next; none: 0.4 ms for
    /// PostgreSQL, which forks, nothing for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "share of the 2.3 ms of a connect to PostgreSQL 15 that its postmaster takes: assumed", "x-assumed" = true))]
    pub fork: Option<Span>,
    /// Processor time of the end of a connection, whose slot is free by then; none: 0.6 ms for PostgreSQL, nothing for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "PostgreSQL 15, own measurement: 572 connects/s on 2 vCPUs are 3.5 ms each, 2.3 ms of them before the first statement, the rest client and end", "x-assumed" = true))]
    pub exit: Option<Span>,
    /// Network and client side of a login, during which the server does not work. A backend of PostgreSQL holds its slot meanwhile.
    #[serde(default = "no_time")]
    #[schemars(extend("x-source" = "zero unless said: same network"))]
    pub login_wait: Dist,
    /// Listen backlog; none: by engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "PostgreSQL pqcomm.c: 2 × MaxBackends, at most 10,000, with 22 backends of its own under default settings; MySQL 50 + max_connections / 5, at most 900"))]
    pub backlog: Option<u32>,
    /// `net.core.somaxconn` of the server.
    #[serde(default = "somaxconn_default")]
    #[schemars(range(min = 1, max = 65_535), extend("x-source" = "Linux ip-sysctl: 4096 from 5.4, 128 before"))]
    pub somaxconn: u32,
    /// Most statements at work at a time, the others wait in line; none: no limit (DocumentDB: its class's table, which takes a
    /// serverless cluster's `MinCapacity` to be at most 1; above that 16 DCU have 2,709 and 32 DCU 4,500).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "DocumentDB developer guide: active connections by class"))]
    pub active: Option<u32>,
    /// What DocumentDB does with a connection beyond its slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "DocumentDB developer guide: \"queued or rejected\"; rejected is assumed", "x-assumed" = true))]
    pub when_full: Option<WhenFull>,
    /// How long DocumentDB locks its session map after a rush of more than 1,000 new connections within a second: logins wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "DocumentDB developer guide names the lock and \"about 1,000\", not its length nor the time span: off unless said", "x-assumed" = true))]
    pub session_map_lock: Option<Span>,
    /// Contention σ of the Universal Scalability Law.
    #[serde(default = "sigma_default")]
    #[schemars(range(min = 0.0, max = 10.0), extend("x-source" = "MySQL on Cisco UCS, Percona (usl-rs tests): 0.0267; 0.03 for others is our choice", "x-assumed" = true))]
    pub sigma: f64,
    /// Coherency κ of the law; none: 1e-4 · 16 / vcpu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10.0), extend("x-source" = "no curve published for this engine: 1e-4 · 16 / vcpu is our choice", "x-assumed" = true))]
    pub kappa: Option<f64>,
    /// Share of what a statement takes on an idle server that is processor time, of which all statements at work together have `vcpu`;
    /// none: 0.5, or no limit besides the curve where `kappa` is given: a curve that was measured has the processors in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "PostgreSQL wiki, Number Of Database Connections (read 2026-11): throughput is best at some 2 × cores active connections; PostgreSQL 15, own pgbench on 2 vCPU: reads 4.8 times one client's, writes 1.4 times", "x-assumed" = true, "x-default" = 0.5, "x-follows" = "kappa"))]
    pub cpu_share: Option<f64>,
    /// Item of the price table, e.g. `rds.postgres.t3.medium`; none: the server is not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// What happens to a connection when all slots are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is refused at once.
    #[default]
    Reject,
    /// It waits for a slot.
    Queue,
}

fn sigma_default() -> f64 {
    0.03
}
fn somaxconn_default() -> u32 {
    4096
}
fn no_time() -> Dist {
    Dist::Constant(Span::ZERO)
}

impl DatabaseSpec {
    /// The instance that its class runs on, if it is known.
    fn instance(&self) -> Option<InstanceType> {
        InstanceType::of(self.class.as_deref()?)
    }

    /// Memory of the server, if it is known.
    fn memory(&self) -> Option<Bytes> {
        self.memory.or_else(|| Some(self.instance()?.memory))
    }

    /// Processors of the server.
    pub fn vcpu(&self) -> f64 {
        instance::vcpus(self.vcpu, self.class.as_deref())
    }

    /// Slots of all kinds, if they can be known.
    pub(super) fn connections(&self, engine: Engine) -> Option<u32> {
        self.connections.or_else(|| match engine {
            Engine::Documentdb => Some(engine::documentdb_limits(self.class.as_deref()?)?.0),
            _ => engine.slots_by_memory(self.memory()?),
        })
    }

    /// Slots for administrators only.
    pub(super) fn reserved(&self, engine: Engine) -> u32 {
        self.reserved.unwrap_or_else(|| engine.reserved())
    }

    /// Coherency κ.
    pub(super) fn kappa(&self) -> f64 {
        self.kappa.unwrap_or(1e-4 * 16.0 / self.vcpu())
    }

    /// Most statements' worth of throughput that the processors leave, if they limit it.
    pub(super) fn most_at_work(&self) -> Option<f64> {
        let assumed = if self.kappa.is_some() { 0.0 } else { CPU_SHARE };
        let share = self.cpu_share.unwrap_or(assumed);
        (share > 0.0).then(|| self.vcpu() / share)
    }

    /// How statements at work share the server.
    pub(super) fn sharing(&self) -> Sharing {
        let most = self.most_at_work().unwrap_or(f64::INFINITY);
        Sharing::Usl { sigma: self.sigma, kappa: self.kappa(), most }
    }

    /// Most statements at work.
    pub(super) fn active(&self, engine: Engine) -> u32 {
        let table = || match engine {
            Engine::Documentdb => Some(engine::documentdb_limits(self.class.as_deref()?)?.1),
            _ => None,
        };
        self.active.or_else(table).unwrap_or(u32::MAX)
    }

    fn check_class(&self, check: &mut Check) {
        let class = self.class.as_deref();
        if class.is_none() {
            check.problem(
                "W0401",
                "class",
                "the server has no `class`, so it is not on the bill".into(),
                "name an item of the price table, e.g. \"rds.postgres.m5.large\"",
            );
        }
        instance::check_vcpus(check, "vcpu", self.vcpu, "class", class);
        instance::check_burst(check, "class", class);
        if let Some(own) = self.instance()
            && let Some(said) = self.memory.filter(|said| *said > own.memory)
        {
            check.problem(
                "W0411",
                "memory",
                format!("{} has {}, and {said} are said", class.unwrap_or_default(), own.memory),
                "leave it out, or name the class that has so much",
            );
        }
    }

    fn check_slots(&self, engine: Engine, check: &mut Check) {
        let Some(connections) = self.connections(engine) else {
            return check.problem(
                "E0360",
                "connections",
                "the number of connection slots is neither given nor known".into(),
                "give `connections`, or a `memory` or `class` whose formula is known",
            );
        };
        let reserved = self.reserved(engine);
        if reserved >= connections {
            check.problem(
                "E0310",
                "reserved",
                format!("{reserved} of {connections} connections are reserved: none is left"),
                "raise `connections` or lower `reserved`",
            );
        }
        let each = self
            .memory_per_connection
            .unwrap_or(Bytes::from_mb(if engine == Engine::Postgres { 8 } else { 1 }));
        if let Some(memory) = self.memory()
            && each.0.saturating_mul(u64::from(connections)) > memory.0
        {
            check.problem(
                "W0460",
                "connections",
                format!("{connections} connections of {each} need more than the server's {memory}"),
                "lower `connections`: a server that swaps is slower than this model says",
            );
        }
    }
}

impl Spec for DatabaseSpec {
    fn slots(&self, kind: &str) -> Option<Slots> {
        let engine = Engine::of(kind);
        let all = self.connections(engine)?;
        Some(Slots { all, usable: all.saturating_sub(self.reserved(engine)) })
    }
    fn check(&self, check: &mut Check) {
        let engine = Engine::of(check.kind);
        self.check_slots(engine, check);
        self.check_class(check);
        let said = [
            ("auth", self.auth.is_some(), Engine::Postgres),
            ("when_full", self.when_full.is_some(), Engine::Documentdb),
            ("session_map_lock", self.session_map_lock.is_some(), Engine::Documentdb),
        ];
        for (field, _, of) in said.iter().filter(|(_, said, of)| *said && *of != engine) {
            check.problem(
                "E0361",
                field,
                format!("`{field}` belongs to {of:?}, this is a {}", check.kind),
                "leave it out",
            );
        }
    }
    fn shares_machine(&self) -> Result<(), &'static str> {
        Ok(())
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.class.iter().cloned().collect()
    }
    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }
    fn families(&self, kind: &str) -> &'static [&'static str] {
        Engine::of(kind).families()
    }
}
