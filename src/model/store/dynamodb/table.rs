//! A DynamoDB table: capacity instead of connections. What it cannot serve it throttles at once, and the caller's SDK tries again.
//!
//! The work says that a request queries the table; the table says which share of the queries are writes, and how large items are,
//! so that the same work can run against a database with connections.

use super::capacity::{Capacity, Mode, PARTITION_READS, PARTITION_WRITES, Short};
use crate::kernel::Span;
use crate::model::bucket::Bucket;
use crate::model::calls::Op;
use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::dist::{Dist, Lognormal, Sampler};
use crate::model::era::Era;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::message::{CallId, Cause, Event, Message, Outcome};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "An Amazon DynamoDB table: no connections, capacity in units per second, throttles at once.",
    models: &[
        "units of a request by item size and consistency: 4 KB a read unit, 1 KB a write unit; eventually consistent reads half, transactions double",
        "provisioned capacity with a burst of 300 s of unused units, not spent faster than its partitions take: one for each 3,000 read or 1,000 write units of the capacity",
        "auto scaling: two consecutive minutes of consumption above the target, then the delay of alarm and update; what was throttled consumes nothing",
        "on demand: a new table takes 4,000 writes and 12,000 reads a second, then twice the highest rate served more than 30 minutes ago, up to the quota",
        "the ceiling of a partition for the share of requests that hit one hot key; adaptive capacity gives it as much of the table as it needs below that",
        "retries of the caller's SDK: 10, 3 or 4 attempts with its random delays",
        "the `hold` of a query is ignored: reads and writes have latencies of their own",
        "bill: units used on demand, or units held by the hour",
    ],
    leaves_out: &[
        "partitions by the size of the table; scaling in, indexes, streams, global tables, DAX, storage",
        "retry tokens of the SDK; slow partition splits",
    ],
    example: r#"{"mode": {"provisioned": {"read": 500, "write": 100}}, "write_share": 0.2, "item_size": "1KB"}"#,
};

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DynamodbSpec {
    /// How capacity is bought.
    #[serde(default)]
    #[schemars(extend("x-source" = "DynamoDB guide: on demand is the default of a new table"))]
    pub mode: Mode,
    /// Share of queries that write.
    #[serde(default = "write_default")]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "assumed", "x-assumed" = true))]
    pub write_share: f64,
    /// Size of an item.
    #[serde(default = "size_default")]
    #[schemars(extend("x-source" = "assumed: a small record", "x-assumed" = true))]
    pub item_size: Bytes,
    /// What a read promises.
    #[serde(default)]
    #[schemars(extend("x-source" = "DynamoDB guide: eventually consistent unless asked otherwise"))]
    pub consistency: Consistency,
    /// Share of queries that hit one and the same key.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said: keys are spread evenly"))]
    pub hot_key_share: f64,
    /// Retries of the caller's SDK.
    #[serde(default)]
    #[schemars(extend("x-source" = "botocore: legacy is the default until the rules of 2026"))]
    pub retries: SdkRetries,
    /// Latency of a read.
    #[serde(default = "read_latency")]
    #[schemars(extend("x-source" = "\"single-digit milliseconds\"; median 4 ms, p99 12 ms is our choice", "x-assumed" = true))]
    pub read_latency: Dist,
    /// Latency of a write.
    #[serde(default = "write_latency")]
    #[schemars(extend("x-source" = "\"single-digit milliseconds\"; median 6 ms, p99 18 ms is our choice", "x-assumed" = true))]
    pub write_latency: Dist,
}

/// What a read promises, and so what it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Half a unit for each 4 KB.
    #[default]
    Eventual,
    /// One unit.
    Strong,
    /// Two units; writes cost double, too.
    Transactional,
}

/// Attempts and delays of the caller's AWS SDK (botocore's source).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SdkRetries {
    /// 10 attempts, U(0, 1) · 50 ms · 2^i.
    #[default]
    Legacy,
    /// 3 attempts, min(U(0, 1) · 2^i, 20) s.
    Standard,
    /// 4 attempts, U(0, 1) · min(25 ms · 2^i, 20 s).
    Rules2026,
    /// One attempt.
    None,
}

impl SdkRetries {
    fn attempts(self) -> u32 {
        match self {
            SdkRetries::Legacy => 10,
            SdkRetries::Standard => 3,
            SdkRetries::Rules2026 => 4,
            SdkRetries::None => 1,
        }
    }

    /// Delay before retry `i`, counted from 0, for a uniform draw `u`.
    fn delay(self, i: u32, u: f64) -> Span {
        let doubled = f64::from(1_u32 << i.min(20));
        Span::from_secs_f64(match self {
            SdkRetries::Legacy => u * 0.050 * doubled,
            SdkRetries::Standard => (u * doubled).min(20.0),
            SdkRetries::Rules2026 => u * (0.025 * doubled).min(20.0),
            SdkRetries::None => 0.0,
        })
    }
}

fn write_default() -> f64 {
    0.2
}
fn size_default() -> Bytes {
    Bytes(1024)
}
fn lognormal(median: u64, p99: u64) -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(median)),
        p99: Some(Span::from_millis(p99)),
        ..Lognormal::default()
    })
}
fn read_latency() -> Dist {
    lognormal(4, 12)
}
fn write_latency() -> Dist {
    lognormal(6, 18)
}

impl DynamodbSpec {
    /// Units of one read and of one write.
    fn units(&self) -> (f64, f64) {
        let (read, write) = match self.consistency {
            Consistency::Eventual => (0.5, 1.0),
            Consistency::Strong => (1.0, 1.0),
            Consistency::Transactional => (2.0, 2.0),
        };
        let blocks = |size: u64| self.item_size.0.max(1).div_ceil(size) as f64;
        (read * blocks(4096), write * blocks(1024))
    }
}

impl Spec for DynamodbSpec {
    fn check(&self, check: &mut Check) {
        self.mode.check(check);
        if self.item_size.0 > 400 << 10 {
            check.problem(
                "E0364",
                "item_size",
                format!("an item of {} is larger than 400 KB", self.item_size),
                "DynamoDB stores items of at most 400 KB: split it, or keep it elsewhere",
            );
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        let items = match self.mode {
            Mode::OnDemand(_) => ["dynamodb.read_request", "dynamodb.write_request"],
            Mode::Provisioned(_) => ["dynamodb.rcu_hour", "dynamodb.wcu_hour"],
        };
        items.map(String::from).to_vec()
    }
}

const TRY: u8 = 0;
const DONE: u8 = 1;

/// A DynamoDB table as it runs.
pub struct Dynamodb {
    name: String,
    spec: DynamodbSpec,
    read: Side,
    write: Side,
    read_latency: Sampler,
    write_latency: Sampler,
    throttle_limit: LimitId,
    partition_limit: LimitId,
    throttled: GaugeId,
    backing_off: u64,
    throttles: u64,
    given_up: u64,
}

/// Reads or writes: their capacity, and that of the partition with the hot key.
struct Side {
    capacity: Capacity,
    hot: Bucket,
    units: f64,
    wasted: f64,
}

impl Component for Dynamodb {
    type Spec = DynamodbSpec;

    fn build(spec: &DynamodbSpec, wiring: &mut Wiring) -> Result<Dynamodb, String> {
        let me = wiring.me;
        let (read, write) = spec.units();
        let about = spec.mode.about();
        let side = |capacity, ceiling, units| Side {
            capacity,
            hot: Bucket::new(ceiling, ceiling),
            units,
            wasted: 0.0,
        };
        let [reads, writes] = Capacity::of(&spec.mode, wiring.key(), wiring.data)?;
        let ledger = &mut *wiring.ledger;
        Ok(Dynamodb {
            name: wiring.name.to_owned(),
            read: side(reads, PARTITION_READS, read),
            write: side(writes, PARTITION_WRITES, write),
            throttle_limit: ledger.limit(me, "table_capacity", about),
            partition_limit: ledger.limit(
                me,
                "partition",
                "a partition's 3,000 read and 1,000 write units/s".into(),
            ),
            throttled: ledger.gauge(me, "requests backing off", None),
            read_latency: spec.read_latency.sampler(wiring.data)?,
            write_latency: spec.write_latency.sampler(wiring.data)?,
            spec: spec.clone(),
            backing_off: 0,
            throttles: 0,
            given_up: 0,
        })
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) if ctx.calls.get(call).op == Op::Connect => {
                // HTTP: nothing is held.
                ctx.reply(call, Outcome::OK);
            }
            Message::Arrive(call) => {
                ctx.calls.get(call).mark = ctx.queue.now();
                self.attempt(call, ctx);
            }
            Message::Wake(TRY, slot, turn) => {
                self.backing_off -= 1;
                ctx.ledger.set(self.throttled, ctx.queue.now(), self.backing_off);
                self.attempt(CallId { slot, turn }, ctx);
            }
            Message::Wake(_, slot, turn) => ctx.reply(CallId { slot, turn }, Outcome::OK),
            Message::Cancel(_) | Message::HangUp(..) | Message::Reply(_) => {}
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let now = ctx.now();
        let on_demand = matches!(self.spec.mode, Mode::OnDemand(_));
        let line = |side: &mut Side, item: &str, unit| {
            if on_demand {
                let line = UsageLine::used(&self.name, item, side.capacity.used(), unit);
                UsageLine { wasted: side.wasted, ..line }
            } else {
                let line = UsageLine::held(&self.name, item, side.capacity.held_hours(now), unit);
                UsageLine { idle: side.capacity.idle_hours(now), ..line }
            }
        };
        let usage = if on_demand {
            vec![
                line(&mut self.read, "dynamodb.read_request", "request"),
                line(&mut self.write, "dynamodb.write_request", "request"),
            ]
        } else {
            vec![
                line(&mut self.read, "dynamodb.rcu_hour", "RCU-hour"),
                line(&mut self.write, "dynamodb.wcu_hour", "WCU-hour"),
            ]
        };
        NodeReport {
            counters: vec![("throttled_attempts", self.throttles), ("given_up", self.given_up)],
            usage,
        }
    }
}

impl Dynamodb {
    fn attempt(&mut self, call: CallId, ctx: &mut Ctx) {
        let now = ctx.now();
        if ctx.calls.get(call).abandoned {
            return ctx.fail(call, Cause::ClientTimeout, 0);
        }
        let mut kind = ctx.stream(call, Purpose::Item);
        let is_write = kind.chance(self.spec.write_share);
        let is_hot = kind.chance(self.spec.hot_key_share);
        let side = if is_write { &mut self.write } else { &mut self.read };
        // The partition is asked first: what it throttles uses nothing of the table.
        let limit = if is_hot && side.hot.level(now) + 1e-9 < side.units {
            Some(self.partition_limit)
        } else {
            side.capacity.take(now, side.units).err().map(|short| match short {
                Short::Table => self.throttle_limit,
                Short::Partitions => self.partition_limit,
            })
        };
        if let Some(limit) = limit {
            return self.throttle(call, limit, ctx);
        }
        if is_hot {
            side.hot.take_many(now, side.units);
        }
        let law = if is_write { &self.write_latency } else { &self.read_latency };
        let latency = law.sample(&mut ctx.stream(call, Purpose::FrontDoor));
        ctx.wake(latency, DONE, call.slot, call.turn);
    }

    /// Refused at once; the SDK tries again after its delay, or gives up.
    fn throttle(&mut self, call: CallId, limit: LimitId, ctx: &mut Ctx) {
        let now = ctx.now();
        self.throttles += 1;
        let row = ctx.calls.get(call);
        row.a += 1;
        let tries = row.a;
        if tries >= self.spec.retries.attempts() {
            self.given_up += 1;
            ctx.ledger.refused_by(limit, now);
            return ctx.fail(call, Cause::ThrottledStore, 400);
        }
        let mut stream = ctx.stream(call, Purpose::StoreRetry);
        // One draw for each retry, whatever happened in between.
        let u = (1..tries).fold(stream.unit(), |_, _| stream.unit());
        let delay = self.spec.retries.delay(tries - 1, u);
        ctx.ledger.waited_for(limit, now, now + delay);
        self.backing_off += 1;
        ctx.ledger.set(self.throttled, now, self.backing_off);
        ctx.wake(delay, TRY, call.slot, call.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_size_and_consistency() {
        let spec = |size: u64, consistency| DynamodbSpec {
            item_size: Bytes(size),
            consistency,
            ..serde_json::from_str("{}").unwrap_or_else(|e| panic!("{e}"))
        };
        assert_eq!(spec(1024, Consistency::Eventual).units(), (0.5, 1.0));
        assert_eq!(spec(1025, Consistency::Strong).units(), (1.0, 2.0));
        assert_eq!(spec(9 << 10, Consistency::Transactional).units(), (6.0, 18.0));
    }

    #[test]
    fn delays_are_those_of_the_sdk() {
        assert_eq!(SdkRetries::Legacy.delay(3, 0.5), Span::from_millis(200));
        assert_eq!(SdkRetries::Standard.delay(9, 1.0), Span::from_secs(20));
        assert_eq!(SdkRetries::Rules2026.delay(1, 0.5), Span::from_millis(25));
        assert_eq!(SdkRetries::Legacy.attempts(), 10);
    }
}
