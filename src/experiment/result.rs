//! What a run says: the machine-readable contract of `result.json`, and all that any report may read.
//!
//! Fields may be added, never renamed. Times are in seconds, money in the price table's currency, shares
//! from 0 to 1. Every estimate carries its 95 % confidence interval over replications.

use serde::{Deserialize, Serialize};

/// Version of the layout below; raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// A figure with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// Point estimate.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// The whole answer of `headroom run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the program that made it.
    pub headroom: String,
    /// Which scenario was run.
    pub scenario: ScenarioRef,
    /// Seed of the run.
    pub seed: u64,
    /// Number of replications of every design.
    pub replications: u32,
    /// What `--precision` came to; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<Reached>,
    /// Where the run was stopped before its end; only then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interrupted: Option<Interrupted>,
    /// Which price table priced it.
    pub prices: PriceRef,
    /// One entry a design, in the order of the scenario.
    pub designs: Vec<DesignResult>,
    /// Paired differences, every design against the first.
    pub differences: Vec<Difference>,
    /// Verdict of every threshold on every design.
    pub thresholds: Vec<ThresholdResult>,
    /// Every assumed (unsourced or defaulted) value that the run used.
    pub assumptions: Vec<Assumption>,
    /// How much each assumed value matters; only where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sensitivity: Vec<Sensitivity>,
    /// The scenario after defaults were filled in: with `seed` and `headroom`, enough to redo the run.
    pub resolved: serde_json::Value,
}

/// Names the scenario and fixes its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRef {
    /// Name as written in the scenario.
    pub name: String,
    /// What it is about, as written in the scenario.
    pub about: String,
    /// 64-bit hash of the resolved scenario, in hexadecimal.
    pub digest: String,
    /// Platform era.
    pub era: String,
    /// Region whose prices apply.
    pub region: String,
}

/// The steady state of a design: what was after the warm-up and before the end of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Seconds from the start that were cut; none if no steady state was found.
    pub warm_up: Option<f64>,
    /// Where the last whole batch under load ends, in seconds from the start.
    pub until: f64,
    /// Share of successes among requests that ended in between.
    pub success_rate: Option<Estimate>,
    /// Mean latency of successes that ended in between, in seconds; none without success.
    pub latency_mean: Option<Estimate>,
    /// Successes per second.
    pub throughput: Option<Estimate>,
}

/// How the number of requests in flight grew until the load ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Backlog {
    /// Where the second half of the time with a steady rate begins, in seconds from the start.
    pub from: f64,
    /// Where it ends.
    pub until: f64,
    /// Requests that came in between, per replication.
    pub arrived: f64,
    /// Of these, how many more came than left, per replication; about 0 once a design has settled.
    pub growth: Estimate,
    /// The same as a share of what came: beyond capacity the part of the load that is too much.
    pub share: Estimate,
    /// Whether they surely grew: then a longer load has other figures, worse ones.
    pub grows: bool,
}

/// How precise a run became that added replications until it was precise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Half-width of an interval, as a share of its figure, that was wanted of every figure.
    pub wanted: f64,
    /// Whether every figure became so precise.
    pub reached: bool,
    /// Half-width of the widest interval, as a share of its figure.
    pub width: f64,
    /// Design with the widest interval.
    pub design: String,
    /// Figure with the widest interval.
    pub metric: String,
}

/// A run that was stopped before its end: every figure rests on fewer replications than were planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// Replications of every design that were done.
    pub done: u32,
    /// Replications of every design that were planned; with `--precision`, those before the next look.
    pub planned: u32,
}

/// Names the price table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PriceRef {
    /// Name of the table, e.g. `aws-us-east-1`.
    pub name: String,
    /// Date of the table, `YYYY-MM-DD`.
    pub date: String,
    /// ISO 4217 code.
    pub currency: String,
}

/// All figures of one design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignResult {
    /// Name as written in the scenario.
    pub name: String,
    /// Users that sent at least one request, per replication.
    pub users: Estimate,
    /// Users with at least one successful request, per replication.
    pub users_served: Estimate,
    /// Logical requests issued, per replication (retries are not counted again).
    pub requests: Estimate,
    /// Attempts per logical request (1 without retries).
    pub attempts_per_request: Estimate,
    /// Requests still unanswered when the run was stopped, per replication.
    pub unfinished: Estimate,
    /// Seconds from the start to the last answer.
    pub duration: Estimate,
    /// Successes per second up to the last answer.
    pub throughput: Estimate,
    /// Successes / (successes + failures), count based; the interval reaches from all unfinished requests lost to all of them
    /// served.
    pub success_rate: Estimate,
    /// Latency of successful requests: first attempt's start to last attempt's end.
    pub latency: Latency,
    /// Latency of all requests, failures included.
    pub latency_all: Latency,
    /// Latency of successful requests from the scheduled start; open load only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_from_schedule: Option<Latency>,
    /// How requests failed, largest first; the counts sum to all failures.
    pub failures: Vec<FailureRow>,
    /// The first limit that bound and mattered.
    pub bottleneck: Option<Bottleneck>,
    /// Every limit that bound at all, by first time.
    pub limits: Vec<Bottleneck>,
    /// What happened in order of time.
    #[serde(default)]
    pub story: Vec<Moment>,
    /// What each event of the design cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// The design without its bottleneck; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counterfactual: Option<Counterfactual>,
    /// How requests in flight grew in the second half of the time with a steady rate; none where the load has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backlog: Option<Backlog>,
    /// Its steady state under load; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steady: Option<Steady>,
    /// What it cost.
    pub cost: Cost,
    /// One row a node.
    pub nodes: Vec<NodeRow>,
    /// One row a class of users that enters the design.
    pub classes: Vec<ClassRow>,
    /// Figures over time.
    pub series: Series,
    /// Figures replication by replication, so that two results can be compared in pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replications: Vec<Replicated>,
}

impl DesignResult {
    /// Its classes of users where there are several; the figures of a single one are those of the design.
    pub fn by_class(&self) -> &[ClassRow] {
        if self.classes.len() > 1 { &self.classes } else { &[] }
    }

    /// A figure replication by replication; none if the design has no such figure.
    pub fn replicated(&self, metric: &str) -> Option<&[f64]> {
        self.replications.iter().find(|row| row.metric == metric).map(|row| row.values.as_slice())
    }
}

/// One figure in every replication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replicated {
    /// Which figure, e.g. `latency_p95`.
    pub metric: String,
    /// One value a replication, in their order. A total is the replication's own. A ratio or a quantile is that of all
    /// replications plus what this one pulls it up or down by, so that the mean of these values is the figure, their
    /// spread gives its interval, and differences may be taken pair by pair.
    pub values: Vec<f64>,
}

/// Mean and quantiles of a latency, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: Estimate,
    /// Median.
    pub p50: Estimate,
    /// 90th percentile.
    pub p90: Estimate,
    /// 95th percentile.
    pub p95: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p99_9: Estimate,
    /// Largest seen in any replication.
    pub max: f64,
    /// How many values it rests on, all replications together.
    pub count: u64,
}

/// One way of failing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRow {
    /// Cause, e.g. `throttled_account`.
    pub cause: String,
    /// Node at which it happened.
    pub node: String,
    /// What the client saw: an HTTP status, or 0 where the connection itself failed.
    pub status: u16,
    /// Requests per replication.
    pub count: Estimate,
    /// Share of all finished requests.
    pub share: Estimate,
    /// Earliest time in any replication, seconds.
    pub first_at: f64,
    /// When it began, seconds: median over the replications in which it happened, as for limits. None in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<f64>,
    /// Requests of all replications together; these sum to all failures exactly.
    #[serde(default)]
    pub total: u64,
    /// The limit behind it; null where the cause itself is the reason (a function's own error).
    #[serde(default)]
    pub blame: Option<Blame>,
}

impl FailureRow {
    /// When it began, seconds.
    pub fn since(&self) -> f64 {
        self.began_at.unwrap_or(self.first_at)
    }
}

/// The limit that a way of failing is put down to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// Node that has the limit.
    pub node: String,
    /// Which limit.
    pub limit: String,
    /// The limit in words.
    pub about: String,
    /// `refused`: it turned the call away. `waited`: whoever gave up waited, most of all for this limit.
    pub how: String,
}

/// One moment of the story of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds from the start.
    pub at: f64,
    /// `limit`, `failure`, `retries`, `full`, `queue`, `latency`, `recovery`, `load` or `end`.
    pub kind: String,
    /// Node at which it happened; empty for what concerns the whole design.
    pub node: String,
    /// In words.
    pub text: String,
    /// The figures of the text by name.
    pub figures: std::collections::BTreeMap<String, f64>,
}

/// An event of a design, and what it cost users until the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// When it happened first, seconds.
    pub at: f64,
    /// To which node.
    pub node: String,
    /// What, as the scenario names it.
    pub what: String,
    /// How often, per replication.
    pub times: f64,
    /// Requests that failed between it and the next event, per replication.
    pub lost: Estimate,
    /// The same by cause and node, the most first.
    pub causes: Vec<Lost>,
    /// From it to the last failed request, seconds; zero if none failed.
    pub failing: Estimate,
    /// From it to the last time that median latency was more than twice what it was before, seconds.
    pub slow: Estimate,
    /// Share of the occurrences after which users felt nothing any more before the next event.
    pub recovered: f64,
}

/// Requests lost for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Cause.
    pub cause: String,
    /// Node where they failed.
    pub node: String,
    /// How many, per replication.
    pub count: f64,
}

/// A design with one limit lifted, under the same users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// Node that has the limit.
    pub node: String,
    /// Which limit.
    pub limit: String,
    /// The limit in words.
    pub about: String,
    /// Fields of the design that were changed to lift it.
    pub changes: Vec<Change>,
    /// Why it could not be lifted; the figures below then say nothing.
    pub refused: Option<String>,
    /// Success rate without the limit.
    pub success_rate: Estimate,
    /// Latency of successes without it.
    pub latency: Latency,
    /// Cost per user served without it.
    pub cost_per_user: Estimate,
    /// Without it minus with it, paired by replication.
    pub differences: Vec<Difference>,
    /// The bottleneck then.
    pub next: Option<Bottleneck>,
}

/// A field that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Path below the design, e.g. `nodes.edge.nginx.nofile`.
    pub path: String,
    /// Value before.
    pub from: serde_json::Value,
    /// Value after.
    pub to: serde_json::Value,
}

/// How much one assumed value matters to one design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Design.
    pub design: String,
    /// Path of the value.
    pub path: String,
    /// The value that was assumed.
    pub value: String,
    /// Why it was assumed.
    pub why: String,
    /// The value halved and doubled.
    pub sides: Vec<Varied>,
}

/// A design with one assumed value changed, against itself as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Varied {
    /// What the value was multiplied by.
    pub factor: f64,
    /// The value then.
    pub value: String,
    /// Why the scenario does not allow it; the figures are then null.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// Change of the success rate (0.1 is ten points).
    pub success_rate: Option<Estimate>,
    /// Change of the 95th percentile as a share of what it was.
    pub latency_p95: Option<Estimate>,
    /// Change of the cost per user served as a share of what it was.
    pub cost_per_user: Option<Estimate>,
    /// Thresholds whose verdict changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub verdicts: Vec<ThresholdResult>,
}

/// A limit that bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Node that has the limit.
    pub node: String,
    /// Which limit, e.g. `account_concurrency`.
    pub limit: String,
    /// The limit in words with its value, e.g. `account concurrency 1000`.
    pub about: String,
    /// Seconds at which it first bound (median over the replications in which it did).
    pub at: f64,
    /// Seconds from which on it was felt (median likewise): its first refusal, when a twentieth of its waiting at most was past, or when
    /// requests began to fail that waited for it, whichever came first. None in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub felt_at: Option<f64>,
    /// Share of the replications in which it bound.
    pub bound_in: f64,
    /// Calls (attempts of requests, and calls between nodes) that it made fail, per replication.
    pub failures: Estimate,
    /// Seconds of waiting it caused, summed over requests, per replication.
    pub waiting: Estimate,
}

impl Bottleneck {
    /// From when on it was felt, seconds.
    pub fn since(&self) -> f64 {
        self.felt_at.unwrap_or(self.at)
    }
}

/// Cost of one served user while the window lasts.
pub const PER_USER: &str = "cost_per_user";
/// Cost of one served user over a month: what is held all month is paid by those whom the windows of the month bring.
pub const PER_USER_MONTHLY: &str = "cost_per_user_monthly";

/// The bill of a design.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Cost of the simulated window.
    pub total: Estimate,
    /// Total / successful requests.
    pub per_request: Estimate,
    /// Total / users with at least one success, however many requests each of them made; a user that nothing succeeded for is not counted,
    /// what it cost is.
    pub per_user: Estimate,
    /// Cost of a month with the workload's own profile.
    pub monthly: Estimate,
    /// Monthly cost / users with at least one success in the windows of a month; none if the window never happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user_monthly: Option<Estimate>,
    /// The part paid for reserved things while idle.
    pub idle: Estimate,
    /// The part paid for work that ended in a failure or had to be repeated.
    pub wasted: Estimate,
    /// The itemised bill of an average replication; amounts sum to `total.value`.
    pub lines: Vec<CostLine>,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostLine {
    /// Node that used it, or name of a fixed cost of the design.
    pub node: String,
    /// Item of the price table, e.g. `lambda.requests`; `fee` for an own price.
    pub item: String,
    /// Quantity used, mean over replications.
    pub quantity: f64,
    /// Unit of the quantity.
    pub unit: String,
    /// Share of the table's price that a unit costs (spot instances, fees); none: the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_share: Option<f64>,
    /// Amount in the currency, mean over replications.
    pub amount: f64,
    /// Whether it is paid by the hour however little is used.
    pub reserved: bool,
    /// The idle part of a reserved amount.
    pub idle: f64,
    /// Amount of a month.
    pub monthly: f64,
}

/// One node's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Name as written in the design.
    pub name: String,
    /// Kind, e.g. `nginx`.
    pub kind: String,
    /// Calls that arrived, per replication: at a store its statements, and the connections that were opened to it.
    pub arrived: Estimate,
    /// Of these, the connections to a store; the others are its statements.
    #[serde(default)]
    pub connects: Estimate,
    /// Calls answered with success.
    pub ok: Estimate,
    /// Calls answered with a failure.
    pub failed: Estimate,
    /// Time-weighted mean of what is in progress.
    pub busy_mean: Estimate,
    /// Largest number in progress in any replication.
    pub busy_max: f64,
    /// Seconds from a call's arrival to its answer, mean.
    pub time_mean: Estimate,
    /// Kind-specific counters, e.g. `cold_starts`, per replication.
    pub counters: Vec<Counter>,
}

/// A kind-specific counter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// Name, e.g. `cold_starts`.
    pub name: String,
    /// Per replication.
    pub value: Estimate,
}

/// One class of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Name as written in the workload.
    pub name: String,
    /// Users that sent at least one request, per replication.
    #[serde(default)]
    pub users: Estimate,
    /// Users with at least one successful request, per replication.
    #[serde(default)]
    pub users_served: Estimate,
    /// Logical requests issued, per replication.
    pub requests: Estimate,
    /// Requests still unanswered when the run was stopped, per replication.
    #[serde(default)]
    pub unfinished: Estimate,
    /// Successes per second up to the last answer.
    #[serde(default)]
    pub throughput: Estimate,
    /// Successes / finished; the interval reaches from all unfinished requests lost to all of them served.
    pub success_rate: Estimate,
    /// Latency of its successful requests.
    pub latency: Latency,
    /// Latency of all its requests, failures included.
    #[serde(default)]
    pub latency_all: Latency,
}

/// Figures over time, means over replications, one value a bucket.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    /// Width of a bucket, seconds.
    pub bucket: f64,
    /// Start of each bucket, seconds.
    pub t: Vec<f64>,
    /// Logical requests started.
    pub started: Vec<f64>,
    /// Attempts sent, retries included.
    #[serde(default)]
    pub attempts: Vec<f64>,
    /// Requests that ended in success, by the time of their end.
    pub ok: Vec<f64>,
    /// Requests that ended in failure.
    pub failed: Vec<f64>,
    /// `failed` split by cause and node; the columns sum to `failed`.
    pub failed_by: Vec<FailedBy>,
    /// Mean latency of the successes that ended in the bucket; null where none did.
    pub latency_mean: Vec<Option<f64>>,
    /// Median latency, from a histogram with 4.4 % wide cells; their mean where all of a bucket lie in one.
    pub latency_p50: Vec<Option<f64>>,
    /// 95th percentile, in the same way.
    pub latency_p95: Vec<Option<f64>>,
    /// One entry a gauge of a node.
    pub gauges: Vec<GaugeSeries>,
}

/// Failures of one cause at one node over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedBy {
    /// Cause.
    pub cause: String,
    /// Node.
    pub node: String,
    /// Count a bucket.
    pub count: Vec<f64>,
}

/// A gauge (concurrency, queue, connections) over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaugeSeries {
    /// Node.
    pub node: String,
    /// Which gauge, e.g. `environments`.
    pub gauge: String,
    /// The limit it runs against, if any.
    pub limit: Option<f64>,
    /// Time-weighted mean in the bucket.
    pub mean: Vec<f64>,
    /// Largest value in the bucket in any replication.
    pub max: Vec<f64>,
}

/// One figure of one design minus the same figure of another, paired by replication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Design that is compared.
    pub design: String,
    /// Design it is compared with.
    pub baseline: String,
    /// `success_rate`, `latency_mean`, `latency_p95`, `cost_per_user` or `cost_total`.
    pub metric: String,
    /// design − baseline, with the interval of the paired difference.
    pub difference: Estimate,
    /// Whether the interval excludes zero.
    pub significant: bool,
}

/// Answer to a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval meets the threshold.
    Pass,
    /// The whole interval misses it.
    Fail,
    /// The interval holds the threshold: more replications are needed to tell.
    Undecided,
}

/// One threshold on one design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// Design judged.
    pub design: String,
    /// Metric, e.g. `latency`.
    pub metric: String,
    /// The class of users it speaks of; none: all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// Expression in k6's syntax, e.g. `p(95)<1s`.
    pub expression: String,
    /// The figure it was judged by; null where the design has none (no success at all).
    pub observed: Option<Estimate>,
    /// Verdict.
    pub verdict: Verdict,
}

impl ThresholdResult {
    /// What is judged, as the scenario writes it: `latency` or `latency{class:web}`.
    pub fn subject(&self) -> String {
        self.class.as_ref().map_or_else(|| self.metric.clone(), |own| of_class(&self.metric, own))
    }
}

/// Name of a metric of one class of users, e.g. `latency_p95{class:web}`.
pub fn of_class(metric: &str, class: &str) -> String {
    format!("{metric}{{class:{class}}}")
}

/// A value the run used that nobody measured or said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assumption {
    /// Path in the scenario, e.g. `designs.lambda.nodes.fn.place`.
    pub path: String,
    /// The value used.
    pub value: String,
    /// Why it is assumed, or where the default comes from.
    pub why: String,
}
