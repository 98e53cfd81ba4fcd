//! A database server: connection slots, logins that cost processor time, statements that slow one another down.
//!
//! Three limits in a row, each with its own failure: a login waits for one of `vcpu` login servers, then takes a slot
//! or is refused at once, then its statements share the server after the Universal Scalability Law. Nothing waits for a
//! slot on the server; that is the client's business.

use crate::kernel::{Span, Time};
use crate::model::calls::Op;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::cpu::{Processor, Sharing};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Message, Outcome};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// See the module's head.
pub const ABOUT: About = About {
    what: "A database server with connection slots, a login queue and a throughput curve.",
    models: &[
        "connection slots (max_connections minus reserved ones); a login beyond them is refused at once",
        "logins as work of the server: a FIFO queue in front of as many login servers as vCPUs, then the slot check",
        "open connections hold their slot while idle, also those of frozen execution environments",
        "statements share the server by the Universal Scalability Law X(n) = λn / (1 + σ(n−1) + κn(n−1))",
        "statements of clients that went away run to their end",
    ],
    leaves_out: &[
        "locks, transactions and replication; reads and writes cost what the scenario says they hold",
        "the server's own listen backlog",
        "memory pressure from many connections, beyond what σ and κ express",
    ],
    example: r#"{"connections": 500, "vcpu": 2, "class": "mongodb.atlas_m0"}"#,
};

/// A database server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Connection slots (PostgreSQL `max_connections`).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// Slots kept for administrators.
    #[serde(default = "reserved_default")]
    #[schemars(range(min = 0, max = 1000), extend("x-source" = "PostgreSQL: superuser_reserved_connections 3"))]
    pub reserved: u32,
    /// Processors of the server.
    #[serde(default = "vcpu_default")]
    #[schemars(range(min = 0.25, max = 256.0), extend("x-source" = "assumed: a small instance", "x-assumed" = true))]
    pub vcpu: f64,
    /// Server time of one login (process or thread start, TLS, password check).
    #[serde(default = "login_default")]
    #[schemars(extend("x-source" = "PostgreSQL 15, scram-sha-256: 5 ms on a large instance, 23 ms on two small vCPUs (own measurement)"))]
    pub login: Dist,
    /// Network and client side of a login, during which the server does not work.
    #[serde(default = "no_time")]
    #[schemars(extend("x-source" = "zero unless said: same network"))]
    pub login_wait: Dist,
    /// Contention σ of the Universal Scalability Law.
    #[serde(default = "sigma_default")]
    #[schemars(range(min = 0.0, max = 10.0), extend("x-source" = "MySQL on Cisco UCS, Percona (usl-rs tests): 0.0267; 0.03 for others is our choice", "x-assumed" = true))]
    pub sigma: f64,
    /// Coherency κ of the law; none: 1e-4 · 16 / vcpu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10.0), extend("x-source" = "no curve published for this engine: 1e-4 · 16 / vcpu is our choice", "x-assumed" = true))]
    pub kappa: Option<f64>,
    /// Item of the price table, e.g. `rds.postgres.t3.medium`; none: the server is not on this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

fn reserved_default() -> u32 {
    3
}
fn vcpu_default() -> f64 {
    2.0
}
fn sigma_default() -> f64 {
    0.03
}
fn no_time() -> Dist {
    Dist::Constant(Span::ZERO)
}
fn login_default() -> Dist {
    let law = Lognormal { mean: Some(Span::from_millis(5)), cv: Some(0.3), ..Lognormal::default() };
    Dist::Lognormal(law)
}

impl Spec for DatabaseSpec {
    fn check(&self, check: &mut Check) {
        if self.reserved >= self.connections {
            check.problem(
                "E0310",
                "reserved",
                format!(
                    "{} of {} connections are reserved: none is left",
                    self.reserved, self.connections
                ),
                "raise `connections` or lower `reserved`",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        self.class.iter().cloned().collect()
    }
}

const LOGIN: u8 = 0;
const STATEMENT: u8 = 1;
const WAITED: u8 = 2;

/// A database server as it runs.
pub struct Database {
    slots: u32,
    open: u32,
    login_servers: u32,
    logging_in: u32,
    login_queue: VecDeque<(CallId, Time)>,
    login: Sampler,
    login_wait: Sampler,
    processor: Processor,
    sharing: Sharing,
    class: Option<String>,
    name: String,
    slots_limit: LimitId,
    login_limit: LimitId,
    work_limit: LimitId,
    connections: GaugeId,
    active: GaugeId,
    logins: u64,
    refused: u64,
}

impl Component for Database {
    type Spec = DatabaseSpec;

    fn build(spec: &DatabaseSpec, wiring: &mut Wiring) -> Result<Database, String> {
        let kappa = spec.kappa.unwrap_or(1e-4 * 16.0 / spec.vcpu);
        let sharing = Sharing::Usl { sigma: spec.sigma, kappa };
        let slots = spec.connections - spec.reserved;
        let me = wiring.me;
        let ledger = &mut *wiring.ledger;
        Ok(Database {
            slots,
            open: 0,
            login_servers: (spec.vcpu.round() as u32).max(1),
            logging_in: 0,
            login_queue: VecDeque::new(),
            login: spec.login.sampler(wiring.data)?,
            login_wait: spec.login_wait.sampler(wiring.data)?,
            processor: Processor::new(sharing),
            sharing,
            class: spec.class.clone(),
            name: wiring.name.to_owned(),
            slots_limit: ledger.limit(me, "connection_slots", format!("{slots} connection slots")),
            login_limit: ledger.limit(me, "login_rate", format!("{} login servers", spec.vcpu)),
            work_limit: ledger.limit(
                me,
                "active_work",
                format!("throughput curve σ {}, κ {kappa}", spec.sigma),
            ),
            connections: ledger.gauge(me, "connections", Some(u64::from(slots))),
            active: ledger.gauge(me, "active statements", None),
            logins: 0,
            refused: 0,
        })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        match message {
            Message::Arrive(call) => match ctx.calls.get(call).op {
                Op::Connect => self.connect(call, ctx),
                Op::Query | Op::Request | Op::Event | Op::Deliver => self.statement(call, ctx),
            },
            Message::Wake(LOGIN, slot, turn) => self.logged_in(CallId { slot, turn }, ctx),
            Message::Wake(WAITED, slot, turn) => self.enter_login(CallId { slot, turn }, ctx),
            Message::Wake(_, turn, _) => self.complete(turn, ctx),
            Message::HangUp(_, slots, _) => {
                debug_assert!(slots <= self.open, "more connections closed than open");
                self.open = self.open.saturating_sub(slots);
                ctx.ledger.set(self.connections, ctx.now(), u64::from(self.open));
            }
            // Work of a client that went away goes on; its connection is closed when it ends.
            Message::Cancel(_) | Message::Reply(_) => {}
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let hours = ctx.now().as_secs_f64() / 3600.0;
        let usage = self.class.iter().map(|item| UsageLine {
            node: self.name.clone(),
            item: item.clone(),
            quantity: hours,
            unit: "hour",
            reserved: true,
            idle: 0.0,
            wasted: 0.0,
        });
        NodeReport {
            counters: vec![("logins", self.logins), ("logins_refused", self.refused)],
            usage: usage.collect(),
        }
    }
}

impl Database {
    fn connect(&mut self, call: CallId, ctx: &mut Ctx) {
        let wait = self.login_wait.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        if wait.is_zero() {
            self.enter_login(call, ctx);
        } else {
            ctx.wake(wait, WAITED, call.slot, call.turn);
        }
    }

    fn enter_login(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.login_queue.push_back((call, now));
        self.next_login(ctx);
    }

    fn next_login(&mut self, ctx: &mut Ctx) {
        while self.logging_in < self.login_servers {
            let Some((call, since)) = self.login_queue.pop_front() else { return };
            self.logging_in += 1;
            ctx.ledger.waited_for(self.login_limit, since, ctx.now());
            let work = self.login.sample(&mut ctx.stream(call, Purpose::Login));
            // Through the heap even if it costs nothing, so that long queues do not recurse.
            ctx.wake(work, LOGIN, call.slot, call.turn);
        }
    }

    fn logged_in(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.logging_in -= 1;
        self.logins += 1;
        let weight = u32::from(ctx.calls.get(call).weight);
        if self.open + weight > self.slots {
            self.refused += 1;
            ctx.ledger.refused_by(self.slots_limit, now);
            ctx.fail(call, Cause::ConnectionSlots, 0);
        } else {
            if !ctx.calls.get(call).abandoned {
                self.open += weight;
                ctx.ledger.set(self.connections, now, u64::from(self.open));
            }
            ctx.reply(call, Outcome::OK);
        }
        self.next_login(ctx);
    }

    fn statement(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        let row = ctx.calls.get(call);
        row.mark = now;
        let amount = row.amount;
        let (at, turn) = self.processor.start(now, call.slot, call.turn, amount);
        ctx.ledger.set(self.active, now, self.processor.len() as u64);
        self.wake(Some((at, turn)), ctx);
    }

    fn wake(&self, due: Option<(Time, u32)>, ctx: &mut Ctx) {
        if let Some((at, turn)) = due {
            ctx.wake_at(at, crate::kernel::Rank::Completion, STATEMENT, turn, 0);
        }
    }

    fn complete(&mut self, turn: u32, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(((slot, job_turn), next)) = self.processor.complete(now, turn) else { return };
        let call = CallId { slot, turn: job_turn };
        let row = ctx.calls.get(call);
        let (mark, amount) = (row.mark, row.amount);
        // What the statement took beyond its unloaded time is waiting for the server's throughput.
        if self.sharing.rate(1) > 0.0 {
            ctx.ledger.waited_for(self.work_limit, mark + amount, now);
        }
        ctx.ledger.set(self.active, now, self.processor.len() as u64);
        ctx.reply(call, Outcome::OK);
        self.wake(next, ctx);
    }
}
