//! Amazon RDS Proxy: a managed pooler in front of an RDS database.

use super::pool::{Cost, Policy, Pooler};
use crate::kernel::Span;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::Ctx;
use crate::model::dist::{Dist, Uniform};
use crate::model::era::Era;
use crate::model::message::Event;
use crate::model::usage::{UsageLine, hours};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "Amazon RDS Proxy in front of a PostgreSQL or MySQL server.",
    models: &[
        "any number of client connections share at most MaxConnectionsPercent of the server's connections, a transaction at a time",
        "a client that waits longer than ConnectionBorrowTimeout for a server connection gets an error",
        "pinned clients keep their server connection until they disconnect; `pinned` is their share",
        "idle server connections beyond MaxIdleConnectionsPercent are closed",
        "added latency of every message",
        "price: per vCPU of the database and hour, at least two",
    ],
    leaves_out: &[
        "its own limits under extreme load (AWS publishes none) and the shedding beyond its queue",
        "IdleClientTimeout and the life of 24 h of a client connection",
        "failover",
    ],
    example: r#"{"to": "pg", "max_connections_percent": 90, "pinned": 0.05}"#,
};

/// Amazon RDS Proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RdsProxySpec {
    /// The database behind it.
    pub to: String,
    /// Share of the server's connections that it may use, per cent (`MaxConnectionsPercent`).
    #[serde(default = "percent_default")]
    #[schemars(range(min = 1, max = 100), extend("x-source" = "RDS Proxy guide: 100; AWS advises 30 % of headroom"))]
    pub max_connections_percent: u32,
    /// Share of the server's connections that it keeps idle, per cent (`MaxIdleConnectionsPercent`); none: half of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), extend("x-source" = "RDS Proxy guide: half of MaxConnectionsPercent"))]
    pub max_idle_connections_percent: Option<u32>,
    /// How long a client waits for a server connection (`ConnectionBorrowTimeout`).
    #[serde(default = "borrow_default")]
    #[schemars(extend("x-source" = "RDS Proxy guide: 120 s, 0 to 300"))]
    pub connection_borrow_timeout: Span,
    /// Share of clients whose session state pins them to one server connection (SET, temporary tables, some prepared statements).
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "assumed: none, it depends on the driver", "x-assumed" = true))]
    pub pinned: f64,
    /// Latency that it adds to a login and to each statement.
    #[serde(default = "latency_default")]
    #[schemars(extend("x-source" = "1 to 2 ms, secondary sources; the law is assumed", "x-assumed" = true))]
    pub latency: Dist,
    /// vCPUs of the database, which are what is billed.
    #[serde(default = "vcpu_default")]
    #[schemars(range(min = 1.0, max = 256.0), extend("x-source" = "assumed: a small instance", "x-assumed" = true))]
    pub vcpu: f64,
}

/// How long no server connection is tried after one was refused. AWS says nothing of it: assumed.
const LOGIN_RETRY: Span = Span::from_secs(1);

fn percent_default() -> u32 {
    100
}
fn borrow_default() -> Span {
    Span::from_secs(120)
}
fn latency_default() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_millis(1), high: Span::from_millis(2) })
}
fn vcpu_default() -> f64 {
    2.0
}

impl Spec for RdsProxySpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        if check.era < Era::Y2020 {
            check.problem(
                "E0362",
                "",
                format!("there was no RDS Proxy in era {}", check.era.name()),
                "choose era y2020 or later, or leave the proxy out",
            );
        }
        if self.connection_borrow_timeout > Span::from_secs(300) {
            check.problem(
                "E0363",
                "connection_borrow_timeout",
                format!("{} is longer than 300s", self.connection_borrow_timeout),
                "choose 0s to 300s",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec!["rds_proxy.vcpu_hour".into()]
    }
}

/// RDS Proxy as it runs.
pub struct RdsProxy {
    pooler: Pooler,
    name: String,
    vcpu: f64,
}

impl Component for RdsProxy {
    type Spec = RdsProxySpec;

    fn build(spec: &RdsProxySpec, wiring: &mut Wiring) -> Result<RdsProxy, String> {
        let to = wiring.node(&spec.to)?;
        let slots = wiring.slots(to).ok_or("the slots of the database are not known")?;
        let share = |percent: u32| (slots.all as usize * percent as usize / 100).max(1);
        let idle = spec.max_idle_connections_percent.unwrap_or(spec.max_connections_percent / 2);
        let policy = Policy {
            to,
            clients_max: usize::MAX,
            size: share(spec.max_connections_percent),
            reserve: None,
            idle_max: share(idle),
            opening_max: usize::MAX,
            pinned: spec.pinned,
            wait_timeout: Some(spec.connection_borrow_timeout),
            period: None,
            idle_timeout: None,
            lifetime: None,
            login_retry: LOGIN_RETRY,
            cost: Cost::Latency(spec.latency.sampler(wiring.data)?),
        };
        Ok(RdsProxy {
            pooler: Pooler::new(policy, wiring),
            name: wiring.name.to_owned(),
            vcpu: spec.vcpu,
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        self.pooler.handle(event, ctx);
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        // Two vCPUs are billed at least (price list of RDS Proxy).
        let held = hours(ctx.now()) * self.vcpu.max(2.0);
        let usage = UsageLine::held(&self.name, "rds_proxy.vcpu_hour", held, "vCPU-hour");
        NodeReport { usage: vec![usage], ..self.pooler.close() }
    }
}
