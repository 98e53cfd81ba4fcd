//! Capacity of a DynamoDB table in units per second: provisioned with burst and auto scaling, or on demand.

use crate::kernel::{Key, Span, Stream, Time};
use crate::model::bucket::Bucket;
use crate::model::component::Check;
use crate::model::data::Data;
use crate::model::dist::{Dist, Sampler, Uniform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How capacity is bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the unit used.
    OnDemand(OnDemand),
    /// By the unit held.
    Provisioned(Provisioned),
}

impl Default for Mode {
    fn default() -> Self {
        Mode::OnDemand(OnDemand::default())
    }
}

/// On demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnDemand {
    /// Highest rate of reads that the table has seen, units a second; it takes twice that. A new table: 6,000.
    #[serde(default = "peak_reads")]
    #[schemars(range(min = 0.0, max = 100_000_000.0), extend("x-source" = "DynamoDB guide: a new table takes 12,000 reads a second"))]
    pub peak_reads: f64,
    /// Highest rate of writes that the table has seen, units a second; it takes twice that. A new table: 2,000.
    #[serde(default = "peak_writes")]
    #[schemars(range(min = 0.0, max = 100_000_000.0), extend("x-source" = "DynamoDB guide: a new table takes 4,000 writes a second"))]
    pub peak_writes: f64,
    /// Quota of the table, units a second, for reads and for writes.
    #[serde(default = "quota")]
    #[schemars(range(min = 1.0, max = 100_000_000.0), extend("x-source" = "DynamoDB quotas: 40,000 units a table"))]
    pub quota: f64,
}

impl Default for OnDemand {
    fn default() -> Self {
        OnDemand { peak_reads: peak_reads(), peak_writes: peak_writes(), quota: quota() }
    }
}

/// Provisioned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// Read units a second.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub read: f64,
    /// Write units a second.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub write: f64,
    /// Auto scaling; none: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Quota of the table, units a second, for reads and for writes: no more can be provisioned.
    #[serde(default = "quota")]
    #[schemars(range(min = 1.0, max = 100_000_000.0), extend("x-source" = "DynamoDB quotas: 40,000 units a table"))]
    pub quota: f64,
}

/// Auto scaling of provisioned capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Share of the capacity that it aims at.
    #[serde(default = "target")]
    #[schemars(range(min = 0.2, max = 0.9), extend("x-source" = "DynamoDB console: 70 %"))]
    pub target: f64,
    /// Time from the end of the second minute above the target until the new capacity holds: the alarm's delay and the update
    /// of the table.
    #[serde(default = "delay")]
    #[schemars(extend("x-source" = "DynamoDB guide, metrics: the alarm may be up to a few minutes late, the update takes several minutes; 2 to 6 min is our choice", "x-assumed" = true))]
    pub delay: Dist,
    /// Most read units.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub max_read: f64,
    /// Most write units.
    #[schemars(range(min = 1.0, max = 100_000_000.0))]
    pub max_write: f64,
}

fn peak_reads() -> f64 {
    6_000.0
}
fn peak_writes() -> f64 {
    2_000.0
}
fn quota() -> f64 {
    40_000.0
}
fn target() -> f64 {
    0.7
}
fn delay() -> Dist {
    Dist::Uniform(Uniform { low: Span::from_secs(120), high: Span::from_secs(360) })
}

impl Mode {
    /// The limit in words.
    pub(super) fn about(&self) -> String {
        match self {
            Mode::OnDemand(table) => format!(
                "on demand: twice the peak of {} reads/s and {} writes/s, at most {}/s",
                table.peak_reads, table.peak_writes, table.quota
            ),
            Mode::Provisioned(table) => {
                format!("provisioned {} read and {} write units/s", table.read, table.write)
            }
        }
    }
}

impl Provisioned {
    /// Partitions of a new table by its throughput.
    fn partitions(&self) -> f64 {
        (self.read / PARTITION_READS + self.write / PARTITION_WRITES).ceil().max(1.0)
    }
}

impl Mode {
    /// Nobody provisions more than the quota.
    pub(super) fn check(&self, check: &mut Check) {
        let Mode::Provisioned(table) = self else { return };
        let mut wanted = vec![("read", table.read), ("write", table.write)];
        if let Some(scaling) = &table.scaling {
            wanted.extend([
                ("scaling.max_read", scaling.max_read),
                ("scaling.max_write", scaling.max_write),
            ]);
        }
        for (path, units) in wanted.into_iter().filter(|&(_, units)| units > table.quota) {
            check.problem(
                "E0369",
                &format!("mode.provisioned.{path}"),
                format!("{units} units are more than the table's quota of {}", table.quota),
                "lower it, or raise `quota` if AWS has raised yours",
            );
        }
    }
}

/// Ceiling of a partition, units per second (DynamoDB guide).
pub(super) const PARTITION_READS: f64 = 3_000.0;
/// The same for writes.
pub(super) const PARTITION_WRITES: f64 = 1_000.0;
/// Unused provisioned capacity is kept for so long (DynamoDB guide: 5 minutes, best effort).
const BURST_SECONDS: f64 = 300.0;
/// A new peak counts after this (DynamoDB guide).
const PEAK_AFTER: Span = Span::from_secs(30 * 60);
/// Consecutive minutes above the target before auto scaling acts (DynamoDB guide).
const MINUTES_ABOVE: u32 = 2;
/// Consumption is counted by the minute (DynamoDB guide, metrics).
const MINUTE: Span = Span::from_secs(60);

/// What a table is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    /// Its capacity.
    Table,
    /// What its partitions take in a second, whatever it has saved up.
    Partitions,
}

/// Capacity of one kind of unit as it runs.
#[derive(Debug)]
pub(super) struct Capacity {
    bucket: Bucket,
    /// What the partitions of a provisioned table take together. (On demand the capacity follows what they can take.)
    partitions: Option<Bucket>,
    rule: Rule,
    rate: f64,
    used: f64,
    /// Units held, summed over time up to `since`.
    held: f64,
    since: Time,
    /// The second or minute that is being counted, and the units consumed in it: what was throttled consumes nothing.
    window: u64,
    consumed: f64,
}

#[derive(Debug)]
enum Rule {
    Fixed,
    Scaled(Box<AutoScaling>),
    OnDemand { quota: f64, fresh: f64, since: Time },
}

/// Auto scaling of one kind of unit.
#[derive(Debug)]
struct AutoScaling {
    target: f64,
    most: f64,
    /// Consecutive minutes above the target.
    above: u32,
    delay: Sampler,
    stream: Stream,
    /// The update that is on its way: until then nothing else is decided.
    update: Option<(Time, f64)>,
}

impl AutoScaling {
    /// A minute that ended at `end` is over.
    fn minute(&mut self, end: Time, consumed: f64, rate: f64) {
        let used = consumed / MINUTE.as_secs_f64();
        let busy = self.update.is_none() && used > self.target * rate;
        self.above = if busy { self.above + 1 } else { 0 };
        if self.above >= MINUTES_ABOVE {
            let wanted = (used / self.target).clamp(rate, self.most.max(rate));
            self.update = Some((end + self.delay.sample(&mut self.stream), wanted));
            self.above = 0;
        }
    }
}

impl Capacity {
    /// Read and write capacity of a table; `key` is the node's.
    ///
    /// # Errors
    /// The law of the delay cannot be drawn from.
    pub(super) fn of(mode: &Mode, key: Key, data: &Data) -> Result<[Capacity; 2], String> {
        let table = match mode {
            Mode::OnDemand(table) => {
                let side = |peak| Capacity::on_demand(peak, table.quota);
                return Ok([side(table.peak_reads), side(table.peak_writes)]);
            }
            Mode::Provisioned(table) => table,
        };
        let rule = |name: &str, most: fn(&Scaling) -> f64| match &table.scaling {
            None => Ok(Rule::Fixed),
            Some(scaling) => Ok::<Rule, String>(Rule::Scaled(Box::new(AutoScaling {
                target: scaling.target,
                most: most(scaling),
                above: 0,
                delay: scaling.delay.sampler(data)?,
                stream: key.named(name).stream(),
                update: None,
            }))),
        };
        let partitions = table.partitions();
        Ok([
            Capacity::provisioned(
                table.read,
                partitions * PARTITION_READS,
                rule("scaling of reads", |own| own.max_read)?,
            ),
            Capacity::provisioned(
                table.write,
                partitions * PARTITION_WRITES,
                rule("scaling of writes", |own| own.max_write)?,
            ),
        ])
    }

    fn new(rate: f64, size: f64, partitions: Option<f64>, rule: Rule) -> Capacity {
        Capacity {
            bucket: Bucket::new(rate, size),
            partitions: partitions.map(|ceiling| Bucket::new(ceiling, ceiling)),
            rule,
            rate,
            used: 0.0,
            held: 0.0,
            since: Time::ZERO,
            window: 0,
            consumed: 0.0,
        }
    }

    fn provisioned(rate: f64, ceiling: f64, rule: Rule) -> Capacity {
        Capacity::new(rate, rate * BURST_SECONDS, Some(ceiling), rule)
    }

    fn on_demand(peak: f64, quota: f64) -> Capacity {
        let rate = (2.0 * peak).min(quota);
        Capacity::new(rate, rate, None, Rule::OnDemand { quota, fresh: peak, since: Time::ZERO })
    }

    /// Takes units if there are as many.
    pub(super) fn take(&mut self, now: Time, units: f64) -> Result<(), Short> {
        self.roll(now);
        if let Some(all) = &mut self.partitions
            && all.level(now) + 1e-9 < units
        {
            return Err(Short::Partitions);
        }
        if !self.bucket.take_many(now, units) {
            return Err(Short::Table);
        }
        if let Some(all) = &mut self.partitions {
            all.take_many(now, units);
        }
        self.used += units;
        self.consumed += units;
        Ok(())
    }

    /// Units served.
    pub(super) fn used(&self) -> f64 {
        self.used
    }

    /// Unit-hours held until now.
    pub(super) fn held_hours(&mut self, now: Time) -> f64 {
        self.roll(now);
        self.hold(now);
        self.held / 3600.0
    }

    /// Unit-hours held and not used.
    pub(super) fn idle_hours(&mut self, now: Time) -> f64 {
        (self.held_hours(now) - self.used / 3600.0).max(0.0)
    }

    fn hold(&mut self, now: Time) {
        self.held += now.since(self.since).as_secs_f64() * self.rate;
        self.since = now;
    }

    /// Closes the windows that are over: minutes for auto scaling, seconds for the peak on demand.
    fn roll(&mut self, now: Time) {
        let length = match &self.rule {
            Rule::Fixed => return,
            Rule::Scaled(_) => MINUTE,
            Rule::OnDemand { .. } => Span::from_secs(1),
        };
        self.update(now);
        let window = now.nanos() / length.nanos();
        if window == self.window {
            return;
        }
        let consumed = std::mem::take(&mut self.consumed);
        let end = Time::ZERO + Span::from_nanos((self.window + 1) * length.nanos());
        let passed = window - self.window;
        self.window = window;
        match &mut self.rule {
            Rule::Fixed => {}
            Rule::Scaled(own) => {
                own.minute(end, consumed, self.rate);
                if passed > 1 {
                    // A minute without a request lies in between: not consecutive.
                    own.above = 0;
                }
                self.update(now);
            }
            Rule::OnDemand { quota, fresh, since } => {
                // The second that the bucket holds is no peak of its own.
                let peak = consumed.min(self.rate);
                if peak > *fresh {
                    *fresh = peak;
                    *since = now;
                }
                let raised = (2.0 * *fresh).min(*quota);
                if now.since(*since) >= PEAK_AFTER && raised > self.rate {
                    self.bucket.resize(now, raised, raised);
                    self.hold(now);
                    self.rate = raised;
                }
            }
        }
    }

    /// The update of auto scaling that has come by now.
    fn update(&mut self, now: Time) {
        let Rule::Scaled(own) = &mut self.rule else { return };
        let Some((at, rate)) = own.update.filter(|&(at, _)| at <= now) else { return };
        own.update = None;
        self.hold(at);
        self.bucket.resize(at, rate, rate * BURST_SECONDS);
        if let Some(all) = &mut self.partitions {
            // More capacity than the partitions take needs more of them.
            let ceiling = all.rate().max(rate);
            all.resize(at, ceiling, ceiling);
        }
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Write capacity of a table with one partition; auto scaling at 70 % with such a delay in seconds.
    fn provisioned(write: f64, delay: Option<u64>) -> Capacity {
        let scaling = delay.map(|seconds| Scaling {
            target: 0.7,
            delay: Dist::Constant(Span::from_secs(seconds)),
            max_read: 1.0,
            max_write: 1_000.0,
        });
        let mode = Mode::Provisioned(Provisioned { read: 1.0, write, scaling, quota: 40_000.0 });
        let [_, writes] = Capacity::of(&mode, Key::root(1, 0), &Data::default()).unwrap();
        writes
    }

    /// Units that pass of `rate` a second for `seconds`, evenly spread.
    fn passed(capacity: &mut Capacity, rate: u64, from: u64, seconds: u64) -> u64 {
        let step = 1_000_000_000 / rate;
        let n = rate * seconds;
        (0..n)
            .filter(|i| {
                capacity.take(Time::from_nanos(from * 1_000_000_000 + i * step), 1.0).is_ok()
            })
            .count() as u64
    }

    #[test]
    fn t_ddb_1_the_burst_lasts_33_seconds() {
        let mut table = provisioned(100.0, None);
        assert_eq!(passed(&mut table, 1000, 0, 33), 33_000, "30,000 / 900 = 33.3 s");
        assert!(passed(&mut table, 1000, 33, 1) < 1000);
        let later = passed(&mut table, 1000, 34, 100);
        assert!((later as f64 / 10_000.0 - 1.0).abs() < 0.001, "{later}");
    }

    #[test]
    fn t_ddb_2_on_demand_takes_twice_the_peak() {
        let mut table = Capacity::on_demand(50_000.0, 1e9);
        let now = Time::ZERO;
        assert_eq!((0..120_000).filter(|_| table.take(now, 1.0).is_ok()).count(), 100_000);
        let mut fresh = Capacity::on_demand(peak_writes(), quota());
        assert_eq!((0..5_000).filter(|_| fresh.take(now, 1.0).is_ok()).count(), 4_000);
    }

    #[test]
    fn a_new_peak_counts_after_half_an_hour() {
        let mut table = Capacity::on_demand(100.0, 1e9);
        assert_eq!(passed(&mut table, 200, 0, 10), 2_000);
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        assert!(table.take(at(1_000), 1.0).is_ok());
        assert!((table.rate - 200.0).abs() < 1e-9);
        assert!(table.take(at(1_900), 1.0).is_ok());
        assert!((table.rate - 400.0).abs() < 1e-9, "{}", table.rate);
    }

    #[test]
    fn auto_scaling_follows_what_was_consumed_and_takes_its_time() {
        let mut table = provisioned(100.0, Some(60));
        // 140 a second are consumed out of the burst: two minutes above 70 %, and a minute for the update.
        passed(&mut table, 140, 0, 179);
        assert!((table.rate - 100.0).abs() < 1e-9);
        passed(&mut table, 140, 179, 2);
        assert!((table.rate / 200.0 - 1.0).abs() < 0.02, "140 / 0.7 = 200: {}", table.rate);
        let hours = table.held_hours(Time::from_nanos(3_600_000_000_000));
        assert!((hours - (180.0 * 100.0 + 3420.0 * 200.0) / 3600.0).abs() < 3.0, "{hours}");
    }

    #[test]
    fn what_was_throttled_scales_nothing() {
        // 1,000 a second for 100 units: 36,000 are served in the first minute, 6,000 in the second, so 100 / 0.7 = 142.9 units from
        // 120 s on. In the third and fourth minute as many are consumed: 204.1 from 240 s on.
        let mut table = provisioned(100.0, Some(0));
        let minutes = [0, 60, 120, 180, 240].map(|from| passed(&mut table, 1000, from, 60));
        for (served, by_hand) in minutes.into_iter().zip([36_000, 6_000, 8_571, 8_571, 12_245]) {
            assert!(served.abs_diff(by_hand) <= 3, "{minutes:?}");
        }
    }

    #[test]
    fn an_update_comes_in_time_where_nobody_asks() {
        let mut table = provisioned(100.0, Some(60));
        passed(&mut table, 140, 0, 120);
        let hours = table.held_hours(Time::from_nanos(3_600_000_000_000));
        assert!((hours - (180.0 * 100.0 + 3420.0 * 200.0) / 3600.0).abs() < 3.0, "{hours}");
    }

    #[test]
    fn a_burst_is_no_faster_than_the_partitions() {
        // 30,000 units are saved up, and the one partition takes 1,000 in a second.
        let mut table = provisioned(100.0, None);
        let now = Time::ZERO;
        assert_eq!((0..9_000).filter(|_| table.take(now, 1.0).is_ok()).count(), 1_000);
        assert_eq!(table.take(now, 1.0), Err(Short::Partitions));
        let later = Time::ZERO + Span::from_secs(1);
        assert_eq!((0..9_000).filter(|_| table.take(later, 1.0).is_ok()).count(), 1_000);
        let partitions =
            |read, write| Provisioned { read, write, scaling: None, quota: 1e6 }.partitions();
        for (read, write, by_hand) in [(1.0, 1.0, 1), (3_000.0, 0.0, 1), (6_000.0, 1_500.0, 4)] {
            assert_eq!(partitions(read, write) as u32, by_hand);
        }
    }
}
