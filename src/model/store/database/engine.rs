//! What the engines differ in: formulas of slots, cost of a login, listen backlog, what happens when slots are gone.

use crate::kernel::Span;
use crate::model::dist::{Dist, Lognormal};
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of database server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Engine {
    Postgres,
    Mysql,
    Mongodb,
    Documentdb,
}

/// How a PostgreSQL server checks who logs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// No password.
    Trust,
    /// Salted challenge and response. Most of what it costs is the client's, who derives the keys (RFC 5802, section 3): `login` has
    /// it all, unless the pool's `connect_cpu` has the client's part.
    #[default]
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
}

impl Engine {
    /// The engine of a node by the name of its kind.
    pub(super) fn of(kind: &str) -> Engine {
        match kind {
            "mysql" => Engine::Mysql,
            "mongodb" => Engine::Mongodb,
            "documentdb" => Engine::Documentdb,
            _ => Engine::Postgres,
        }
    }

    /// Families of the price table that have servers of this engine.
    pub(super) fn families(self) -> &'static [&'static str] {
        match self {
            Engine::Postgres => &["rds.postgres", "rds.aurora_postgres"],
            Engine::Mysql => &["rds.mysql", "rds.aurora_mysql"],
            Engine::Mongodb => &["mongodb"],
            Engine::Documentdb => &["documentdb"],
        }
    }

    /// Slots kept for administrators: PostgreSQL `superuser_reserved_connections` 3; MongoDB Atlas keeps 10 for itself;
    /// MySQL has one beyond `max_connections`, and DocumentDB's figures are net.
    pub(super) fn reserved(self) -> u32 {
        match self {
            Engine::Postgres => 3,
            Engine::Mongodb => 10,
            Engine::Mysql | Engine::Documentdb => 0,
        }
    }

    /// Connections that a server of this memory allows, by the formula of its default parameter group (RDS user
    /// guide, quotas): PostgreSQL LEAST(bytes / 9531392, 5000), MySQL bytes / 12582880. The formula's memory is a
    /// little less than the nominal one, so this is an upper bound.
    pub(super) fn slots_by_memory(self, memory: Bytes) -> Option<u32> {
        let slots = match self {
            Engine::Postgres => (memory.0 / 9_531_392).min(5000),
            Engine::Mysql => memory.0 / 12_582_880,
            Engine::Mongodb | Engine::Documentdb => return None,
        };
        u32::try_from(slots).ok()
    }

    /// Whether a connection takes its slots before its login: PostgreSQL's backends and MySQL's threads do. MongoDB and
    /// DocumentDB stand behind the provider's own front, which reports the limit to who has logged in.
    pub(super) fn slots_before_login(self) -> bool {
        matches!(self, Engine::Mysql)
    }

    /// What the postmaster spends on a new connection before it takes the next; threads cost next to nothing.
    pub(super) fn fork(self) -> Span {
        match self {
            Engine::Postgres => Span::from_micros(400),
            _ => Span::ZERO,
        }
    }

    /// What a connection costs when it ends.
    pub(super) fn exit(self) -> Span {
        match self {
            Engine::Postgres => Span::from_micros(600),
            _ => Span::ZERO,
        }
    }

    /// Processor time of a login after the fork.
    pub(super) fn login(self, auth: Auth) -> Dist {
        let mean = match (self, auth) {
            (Engine::Postgres, Auth::Trust) => Span::from_micros(1_900),
            (Engine::Postgres, Auth::ScramSha256) => Span::from_micros(4_300),
            _ => Span::from_millis(5),
        };
        Dist::Lognormal(Lognormal { mean: Some(mean), cv: Some(0.3), ..Lognormal::default() })
    }

    /// Listen backlog. PostgreSQL asks for twice MaxBackends, at most 10,000 (`pqcomm.c`, `PG_SOMAXCONN`), and
    /// MaxBackends is `max_connections` and 3 autovacuum workers, their launcher, 8 worker processes and 10
    /// replication senders. MySQL: 50 + `max_connections` / 5, at most 900. MongoDB: the kernel's limit.
    pub(super) fn backlog(self, connections: u32) -> u32 {
        match self {
            Engine::Postgres => connections.saturating_add(22).saturating_mul(2).min(10_000),
            Engine::Mysql => (50 + connections / 5).min(900),
            Engine::Mongodb | Engine::Documentdb => 65_535,
        }
    }
}

/// Connections, and how many of them may be active, of a DocumentDB instance class (DocumentDB developer guide, quotas).
/// Takes the item of a price table, such as `documentdb.r5.large`, or `documentdb.serverless.2` for 2 DCU.
pub(super) fn documentdb_limits(item: &str) -> Option<(u32, u32)> {
    let class = item.strip_prefix("documentdb.")?;
    let (family, size) = class.split_once('.')?;
    Some(match (family, size) {
        ("t3" | "t4g", "medium") => (1_000, 102),
        ("r5" | "r6g", "large") => (3_400, 1_100),
        ("r5" | "r6g", "xlarge") => (7_000, 2_700),
        ("r5" | "r6g", "2xlarge") => (14_200, 4_500),
        ("r5" | "r6g", "4xlarge") => (28_400, 4_500),
        ("r5" | "r6g", "8xlarge" | "12xlarge" | "16xlarge" | "24xlarge") => (60_000, 4_500),
        ("r4", "large") => (1_700, 1_100),
        ("r4", "xlarge") => (3_400, 2_700),
        ("r4", "2xlarge") => (6_800, 4_500),
        ("r4", "4xlarge") => (13_600, 4_500),
        ("r4", "8xlarge") => (27_200, 4_500),
        ("r4", "16xlarge") => (30_000, 4_500),
        ("serverless", "0.5") => (250, 39),
        ("serverless", "1") => (500, 79),
        ("serverless", "2") => (1_000, 173),
        ("serverless", "4") => (2_000, 416),
        ("serverless", "8") => (4_000, 1_071),
        ("serverless", "16") => (8_000, 1_550),
        ("serverless", "32") => (16_000, 1_550),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_formula_of_the_engine() {
        let slots = |engine: Engine, gib: u64| engine.slots_by_memory(Bytes(gib << 30)).unwrap();
        let postgres = [1, 2, 4, 8, 16, 32, 64].map(|gib| slots(Engine::Postgres, gib));
        assert_eq!(postgres, [112, 225, 450, 901, 1802, 3604, 5000]);
        let mysql = [1, 2, 4, 8, 16, 32].map(|gib| slots(Engine::Mysql, gib));
        assert_eq!(mysql, [85, 170, 341, 682, 1365, 2730]);
    }

    #[test]
    fn documentdb_has_a_table() {
        assert_eq!(documentdb_limits("documentdb.r5.large"), Some((3_400, 1_100)));
        assert_eq!(documentdb_limits("documentdb.serverless.0.5"), Some((250, 39)));
        assert_eq!(documentdb_limits("mongodb.atlas_m0"), None);
    }

    #[test]
    fn postgres_listens_with_twice_its_backends() {
        assert_eq!(Engine::Postgres.backlog(100), 244);
        assert_eq!(Engine::Postgres.backlog(9_000), 10_000);
    }
}
