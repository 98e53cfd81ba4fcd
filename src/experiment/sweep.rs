//! Every design at every point of a grid, paired: points run in any order and are folded by their number.
//!
//! A point is a unit of work: it is done as a whole or not at all, by one process or by many, and its figures do not
//! depend on which. So shards, an interrupted sweep that goes on, and one process come to the same bytes.

use super::crossing::{Crossing, crossings};
use super::fold::run;
use super::plan::Plan;
use super::precision::{Precision, run_until};
use super::replicate::{Observer, RunError};
use super::result::{
    Bottleneck, ClassRow, DesignResult, Difference, Estimate, PER_USER, PER_USER_MONTHLY, PriceRef,
    Reached, Replicated, RunResult, SCHEMA_VERSION, ScenarioRef, ThresholdResult, of_class,
};
use crate::kernel::Key;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a sweep is about: all that its shards have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepHead {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the program.
    pub headroom: String,
    /// The scenario as written; its digest stands for all points with their files, seeds and prices.
    pub scenario: ScenarioRef,
    /// Which price table priced it.
    pub prices: PriceRef,
    /// What is varied; the last changes fastest from point to point.
    pub axes: Vec<SweepAxis>,
    /// Number of points.
    pub count: usize,
    /// How precise every point has to be; none: replications as the scenario says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<Precision>,
}

/// A path and its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepAxis {
    /// Path in the scenario, e.g. `workload.*.load.closed.users`.
    pub path: String,
    /// Its last name, e.g. `users`.
    pub name: String,
    /// In the order given.
    pub values: Vec<Value>,
}

/// The whole answer of `headroom sweep`: the machine-readable contract of `sweep.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepResult {
    /// What it is about.
    #[serde(flatten)]
    pub head: SweepHead,
    /// By number.
    pub points: Vec<SweepPoint>,
    /// Where one design overtakes another in cost per user, in the window and over a month.
    pub crossings: Vec<Crossing>,
}

/// One point of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// Its number, from 0.
    pub point: usize,
    /// One value an axis.
    pub values: Vec<Value>,
    /// Digest of its scenario.
    pub digest: String,
    /// Seed.
    pub seed: u64,
    /// Replications of every design.
    pub replications: u32,
    /// What the wanted precision came to; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<Reached>,
    /// One entry a design.
    pub designs: Vec<PointDesign>,
    /// Paired differences, every design against the first.
    pub differences: Vec<Difference>,
    /// Verdict of every threshold on every design.
    pub thresholds: Vec<ThresholdResult>,
}

/// One design at one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointDesign {
    /// Name.
    pub name: String,
    /// Its figures; one that does not exist (a latency without any success) is left out.
    pub figures: Vec<Figure>,
    /// The first limit that bound and mattered.
    pub bottleneck: Option<Bottleneck>,
    /// Figures replication by replication, for differences in pairs.
    pub replications: Vec<Replicated>,
}

/// A figure by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name, as in the summary of a run, e.g. `latency_p95`.
    pub metric: String,
    /// Unit: `users`, `requests`, `s`, `1/s`, `share` or a currency.
    pub unit: String,
    /// Value and its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
}

impl PointDesign {
    /// A figure by name.
    pub fn figure(&self, metric: &str) -> Option<Estimate> {
        self.figures.iter().find(|figure| figure.metric == metric).map(|figure| figure.estimate)
    }

    /// A figure replication by replication.
    pub fn replicated(&self, metric: &str) -> Option<&[f64]> {
        self.replications.iter().find(|row| row.metric == metric).map(|row| row.values.as_slice())
    }
}

impl SweepHead {
    /// The head of a sweep over `digests`, one a point, with the base scenario for its names.
    pub fn new(base: &Plan, axes: Vec<SweepAxis>, digests: &[String]) -> SweepHead {
        let priced = Key::root(0, 0).named(&format!("{:?}", base.prices));
        let key = digests.iter().fold(priced, |key, digest| key.named(digest));
        SweepHead {
            schema_version: SCHEMA_VERSION,
            headroom: env!("CARGO_PKG_VERSION").into(),
            scenario: ScenarioRef {
                name: base.scenario.name.clone(),
                about: base.scenario.about.clone(),
                digest: format!("{:016x}", key.bits()),
                era: base.scenario.era.name().into(),
                region: base.scenario.region.clone(),
            },
            prices: PriceRef {
                name: base.prices.name.clone(),
                date: base.prices.date.clone(),
                currency: base.prices.currency.clone(),
            },
            axes,
            count: digests.len(),
            precision: None,
        }
    }
}

impl SweepResult {
    /// A head and all its points; `points` are those of 0, 1, … in order.
    pub fn new(head: SweepHead, points: Vec<SweepPoint>) -> SweepResult {
        let crossings = crossings(&head.axes, &points);
        SweepResult { head, points, crossings }
    }
}

/// Makes the plan of a point, by its number, together with its values.
pub type PlanOf<'a> = dyn Fn(usize) -> Result<(Plan, Vec<Value>), String> + Sync + 'a;

/// Runs points; `done` is told each as it is finished, in any order, by any thread. A stopped sweep has told what was
/// finished, and a point is never told before all its replications are done.
///
/// # Errors
/// The first error of the point with the smallest number; [`RunError::Interrupted`] if the observer stopped it.
pub fn sweep(
    points: &[usize],
    plan_of: &PlanOf<'_>,
    precision: Option<&Precision>,
    observer: &dyn Observer,
    done: &(dyn Fn(SweepPoint) + Sync),
) -> Result<(), RunError> {
    let watch = Counted { inner: observer, points: points.len() };
    let one = |number: &usize| -> Result<bool, RunError> {
        if observer.stopped() {
            return Ok(false);
        }
        let (plan, values) = plan_of(*number).map_err(RunError::Broken)?;
        let outcome = match precision {
            Some(precision) => run_until(&plan, precision, &watch),
            None => run(&plan, &watch),
        };
        let result = match outcome {
            Err(RunError::Interrupted { .. }) => return Ok(false),
            other => other?,
        };
        let whole = match precision {
            Some(precision) => precision.is_done(&result),
            None => result.replications >= plan.scenario.run.replications,
        };
        if !whole {
            return Ok(false);
        }
        done(point(*number, values, result));
        Ok(true)
    };
    let outcomes: Vec<_> = points.par_iter().with_max_len(1).map(one).collect();
    let mut finished = 0;
    for outcome in outcomes {
        finished += usize::from(outcome?);
    }
    if finished < points.len() {
        return Err(RunError::Interrupted { done: finished, of: points.len() });
    }
    Ok(())
}

/// Passes progress on, as parts of the whole sweep.
struct Counted<'a> {
    inner: &'a dyn Observer,
    points: usize,
}

impl Observer for Counted<'_> {
    fn finished(&self, of: usize) {
        self.inner.finished(of * self.points);
    }

    fn stopped(&self) -> bool {
        self.inner.stopped()
    }
}

/// What a sweep keeps of a run.
fn point(number: usize, values: Vec<Value>, result: RunResult) -> SweepPoint {
    let currency = result.prices.currency.as_str();
    let designs = result.designs.into_iter().map(|design| PointDesign {
        figures: figures(&design, currency),
        name: design.name,
        bottleneck: design.bottleneck,
        replications: design.replications,
    });
    SweepPoint {
        point: number,
        values,
        digest: result.scenario.digest,
        seed: result.seed,
        replications: result.replications,
        precision: result.precision,
        designs: designs.collect(),
        differences: result.differences,
        thresholds: result.thresholds,
    }
}

fn figures(design: &DesignResult, currency: &str) -> Vec<Figure> {
    let latency = Some(&design.latency).filter(|latency| latency.count > 0);
    let served = design.users_served.value > 0.0;
    let rows = [
        ("users", "users", Some(design.users)),
        ("users_served", "users", Some(design.users_served)),
        ("requests", "requests", Some(design.requests)),
        ("success_rate", "share", Some(design.success_rate)),
        ("throughput", "1/s", Some(design.throughput)),
        ("attempts_per_request", "attempts", Some(design.attempts_per_request)),
        ("latency_mean", "s", latency.map(|latency| latency.mean)),
        ("latency_p50", "s", latency.map(|latency| latency.p50)),
        ("latency_p95", "s", latency.map(|latency| latency.p95)),
        ("latency_p99", "s", latency.map(|latency| latency.p99)),
        ("cost_total", currency, Some(design.cost.total)),
        ("cost_per_request", currency, latency.map(|_| design.cost.per_request)),
        (PER_USER, currency, served.then_some(design.cost.per_user)),
        ("cost_monthly", currency, Some(design.cost.monthly)),
        (PER_USER_MONTHLY, currency, design.cost.per_user_monthly.filter(|_| served)),
    ];
    let known = |(metric, unit, estimate): (&str, &str, Option<Estimate>)| {
        let estimate = estimate?;
        let finite = [estimate.value, estimate.low, estimate.high].iter().all(|v| v.is_finite());
        finite.then(|| Figure { metric: metric.into(), unit: unit.into(), estimate })
    };
    rows.into_iter().filter_map(known).chain(by_class(design.by_class())).collect()
}

/// Figures of each class of users.
fn by_class(classes: &[ClassRow]) -> Vec<Figure> {
    let of = |row: &ClassRow| {
        let latency = Some(&row.latency).filter(|latency| latency.count > 0);
        let rows = [
            ("requests", "requests", Some(row.requests)),
            ("success_rate", "share", Some(row.success_rate)),
            ("throughput", "1/s", Some(row.throughput)),
            ("latency_mean", "s", latency.map(|latency| latency.mean)),
            ("latency_p50", "s", latency.map(|latency| latency.p50)),
            ("latency_p95", "s", latency.map(|latency| latency.p95)),
            ("latency_p99", "s", latency.map(|latency| latency.p99)),
        ];
        rows.map(|(metric, unit, estimate)| {
            let metric = of_class(metric, &row.name);
            Some(Figure { metric, unit: unit.into(), estimate: estimate? })
        })
    };
    classes.iter().flat_map(of).flatten().collect()
}
