//! PgBouncer: one process, one event loop, one pool for one user and database.

use super::pool::{Cost, Policy, Pooler};
use crate::kernel::Span;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::Ctx;
use crate::model::era::Era;
use crate::model::instance;
use crate::model::message::Event;
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "PgBouncer in front of a PostgreSQL server.",
    models: &[
        "max_client_conn: more are refused after their login was read (08P01)",
        "a FIFO queue in front of default_pool_size server connections; in session mode a client keeps one until it disconnects",
        "server connections opened one at a time when somebody waits; none for server_login_retry after the server refused one, and the pool goes on with those it has",
        "the reserve pool after reserve_pool_timeout",
        "query_wait_timeout, server_idle_timeout and server_lifetime, looked at three times a second, the phase differs from run to run; server_lifetime also whenever a connection is given back, and no closer together than the lifetime divided by the pool's size",
        "a client that leaves in the middle of a statement costs its server connection",
        "one thread: messages wait while it works",
    ],
    leaves_out: &[
        "its listen backlog: the event loop accepts all that wait in one turn",
        "CPU credits of a burstable host",
        "several users or databases, server_check_query, TLS",
        "statement mode differs from transaction mode only for transactions of several statements, which the work does not have",
    ],
    example: r#"{"to": "pg", "pool_mode": "transaction", "default_pool_size": 40, "max_client_conn": 1000}"#,
};

/// PgBouncer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgbouncerSpec {
    /// The PostgreSQL server behind it.
    pub to: String,
    /// How long a client keeps a server connection.
    #[serde(default)]
    #[schemars(extend("x-source" = "PgBouncer config.md: session"))]
    pub pool_mode: PoolMode,
    /// Most client connections; more are refused.
    #[serde(default = "clients_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "PgBouncer config.md: 100"))]
    pub max_client_conn: u32,
    /// Most server connections.
    #[serde(default = "size_default")]
    #[schemars(range(min = 1, max = 100_000), extend("x-source" = "PgBouncer config.md: 20"))]
    pub default_pool_size: u32,
    /// Server connections beyond the pool for clients that have waited for long.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000), extend("x-source" = "PgBouncer config.md: 0, off"))]
    pub reserve_pool_size: u32,
    /// How long a client waits before the reserve is used.
    #[serde(default = "reserve_timeout_default")]
    #[schemars(extend("x-source" = "PgBouncer config.md: 5 s"))]
    pub reserve_pool_timeout: Span,
    /// How long a statement waits for a server connection before its client is disconnected; 0s: for ever.
    #[serde(default = "wait_default")]
    #[schemars(extend("x-source" = "PgBouncer config.md: 120 s"))]
    pub query_wait_timeout: Span,
    /// How long an idle server connection is kept; 0s: for ever.
    #[serde(default = "idle_default")]
    #[schemars(extend("x-source" = "PgBouncer config.md: 600 s"))]
    pub server_idle_timeout: Span,
    /// Age at which a server connection is closed when it is given back or idle; 0: after one use.
    #[serde(default = "lifetime_default")]
    #[schemars(extend("x-source" = "PgBouncer config.md: 3600 s"))]
    pub server_lifetime: Span,
    /// How long no server connection is tried after one was refused.
    #[serde(default = "retry_default")]
    #[schemars(extend("x-source" = "PgBouncer config.md: 15 s"))]
    pub server_login_retry: Span,
    /// Time of the thread for the login of a client.
    #[serde(default = "login_default")]
    #[schemars(extend("x-source" = "PgBouncer 1.18, own measurement: a client connects in 0.21 ms"))]
    pub login: Span,
    /// Time of the thread for a statement and its answer.
    #[serde(default = "statement_default")]
    #[schemars(extend("x-source" = "PgBouncer 1.18, own measurement: a request takes 0.63 ms through it with a connect of 0.21 ms, 0.15 ms without; the split is assumed", "x-assumed" = true))]
    pub statement: Span,
    /// EC2 instance type it runs on, for the bill; none: it shares a host that is on the bill elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// How long a client keeps a server connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// Until it disconnects.
    #[default]
    Session,
    /// Until its transaction ends.
    Transaction,
    /// Until its statement ends.
    Statement,
}

/// PgBouncer looks at its timeouts three times a second (`janitor.c`, `full_maint_period`).
const PERIOD: Span = Span::from_nanos(1_000_000_000 / 3);

fn clients_default() -> u32 {
    100
}
fn size_default() -> u32 {
    20
}
fn reserve_timeout_default() -> Span {
    Span::from_secs(5)
}
fn wait_default() -> Span {
    Span::from_secs(120)
}
fn idle_default() -> Span {
    Span::from_secs(600)
}
fn lifetime_default() -> Span {
    Span::from_secs(3600)
}
fn retry_default() -> Span {
    Span::from_secs(15)
}
fn login_default() -> Span {
    Span::from_micros(200)
}
fn statement_default() -> Span {
    Span::from_micros(100)
}

impl Spec for PgbouncerSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        let instance = self.instance.as_deref();
        instance::check_burst(check, "instance", instance);
        if let Some(slots) = check.slots.get(&self.to).map(|slots| slots.usable)
            && self.default_pool_size + self.reserve_pool_size > slots
        {
            check.problem(
                "W0461",
                "default_pool_size",
                format!(
                    "{} server connections, but \"{}\" has {slots} slots: logins will be refused",
                    self.default_pool_size + self.reserve_pool_size,
                    self.to
                ),
                "lower the pool or raise the server's `connections`",
            );
        }
    }
    fn shares_machine(&self) -> Result<(), &'static str> {
        Ok(())
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.instance.iter().map(|instance| format!("ec2.{instance}")).collect()
    }
}

/// PgBouncer as it runs.
pub struct Pgbouncer {
    pooler: Pooler,
    name: String,
    instance: Option<String>,
}

impl Component for Pgbouncer {
    type Spec = PgbouncerSpec;

    fn build(spec: &PgbouncerSpec, wiring: &mut Wiring) -> Result<Pgbouncer, String> {
        let set = |span: Span| (!span.is_zero()).then_some(span);
        let reserve = spec.reserve_pool_size as usize;
        let policy = Policy {
            to: wiring.node(&spec.to)?,
            clients_max: spec.max_client_conn as usize,
            size: spec.default_pool_size as usize,
            reserve: (reserve > 0).then_some((reserve, spec.reserve_pool_timeout)),
            idle_max: usize::MAX,
            opening_max: 1,
            pinned: if spec.pool_mode == PoolMode::Session { 1.0 } else { 0.0 },
            wait_timeout: set(spec.query_wait_timeout),
            period: Some(PERIOD),
            idle_timeout: set(spec.server_idle_timeout),
            lifetime: Some(spec.server_lifetime),
            login_retry: spec.server_login_retry,
            cost: Cost::Thread { login: spec.login, statement: spec.statement },
        };
        Ok(Pgbouncer {
            pooler: Pooler::new(policy, wiring),
            name: wiring.name.to_owned(),
            instance: spec.instance.clone(),
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        self.pooler.handle(event, ctx);
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let end = ctx.now();
        let host = |instance: &String| UsageLine::hosts(&self.name, instance, 1.0, end);
        NodeReport { usage: self.instance.iter().map(host).collect(), ..self.pooler.close() }
    }
}
