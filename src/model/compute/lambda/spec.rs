//! A function as the scenario writes it.

use super::events_spec::EventsSpec;
use super::initial::{InitialSpec, PickIdle};
use super::provisioned::ProvisionedSpec;
use super::runtime::{Package, Runtime, Table};
use super::shared::{ManagedSpec, OnFull, ScaleOn};
use super::warm_up::WarmUpSpec;
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::dist::{Dist, Lognormal};
use crate::model::era::Era;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kind is.
pub const ABOUT: About = About {
    what: "An AWS Lambda function: execution environments, created on demand or held ready, and the limits of its account.",
    models: &[
        "environments that exist from the beginning; dispatch to the most recently used idle environment (or, for comparison, the one idle longest or any of them), else a new one; a request waits for the environment it started or takes the first that becomes free (era y2020, seen in logs)",
        "expiry by a timer for each idle environment; in era y2020 the reaper seen in logs, recycling at about two hours and replacements started ahead of demand",
        "concurrency counted from the start of Init; the account's pool and its raises, reserved concurrency, the request-rate limit of ten times the concurrency (the account's for all functions without a reservation, a reservation's for its own), the scaling budget of the era",
        "provisioned concurrency: preparation, ramp by era, nothing usable before all of it is there, spill-over to on demand above it and above ten requests a second each; schedules and target tracking",
        "hypothetical: a maximum concurrency without a reservation, for a function (`max_concurrency`) and for a group (`group`)",
        "cold starts: placement and code download, Init from measured quantiles by runtime, package, processor and year, package size, the network interface of VPC functions by era with its quota until August 2019",
        "of a cold start only Init is billed, repeated after a reset, and held against its limit: code download and network interface come before it, and a snapshot needs no download",
        "SnapStart: restore from measured quantiles instead of Init, status 408 after 10 s",
        "warm-up policies: scheduled pings, pings predicted from earlier days; their cost is a line of its own in the bill",
        "several requests per environment: room, shared processor, requests that wait for an environment that is starting, a line instead of throttling, scaling by processor load",
        "the Init limit of 10 s: Init is repeated inside the first invocation",
        "the function timeout: the environment is reset and runs Init again inside its next invocation",
        "processor share proportional to memory; Init is not slowed by little memory",
        "one connection per environment and store, kept while the environment is frozen, closed when it expires",
        "a function that ran and failed, whatever made it fail, told from an invocation that Lambda refused: an SDK tries only the latter again, a queue and an event's retries treat them as AWS does",
        "asynchronous invocation: 202 at once, retries 60 s and 120 s after an error of the function, 1 s to 300 s after Lambda's own 429 or 5xx, until the event is too old; then the failure destination",
        "batches of a queue, with reports of single failed messages",
        "platform errors: an invocation hangs until the function's timeout",
        "crashes: the runtime ends, and Init runs again inside the next invocation",
        "billing of requests, GB-seconds by the era's rounding and Init rule (Init and the first invocation rounded together), provisioned concurrency held and running (held up to the next 5 min), /tmp, snapshots, instances",
    ],
    leaves_out: &[
        "with several requests per environment a unit of concurrency is an environment at work, the request-rate limit does not apply, and without instances the time that an environment works on at least one request is billed at the price of a duration: assumed, the rates of Web Functions are not published",
        "what is billed of a restore from a snapshot (loading the runtime, after-restore hooks), which nobody has measured; Init at the publication of a version",
        "recycling of provisioned environments; the packing of environments on instances is a number the scenario gives",
        "a snapshot that is not restored in time (408) counts as an error of the function in an event's retries: assumed, AWS names 429 and 5xx only",
        "an error of the function shows as status 500 to users that invoke it directly; Lambda's own answer is 200 with a header",
        "recycling and initialisation ahead of demand in eras other than y2020",
        "the size of answers: those above 6 MB, or 1 MB behind an ALB, are not refused",
        "the scaling rate in requests (10,000 a second more every 10 s), which some versions of the guide give beside that in environments and others do not",
        "whether requests to functions with a reservation count against the account's request rate is not published: assumed that they have a rate of their own",
        "CloudWatch Logs, which a function's log lines and the platform's would be billed for",
    ],
    example: r#"{"memory": "512MB", "runtime": "nodejs20", "timeout": "30s", "account": "main"}"#,
};

/// An AWS Lambda function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LambdaSpec {
    /// Account whose concurrency it uses: a name under `accounts`.
    pub account: String,
    /// Configured memory; the processor share follows it.
    #[serde(default = "memory_default")]
    #[schemars(extend("x-source" = "Lambda console and SAM default"))]
    pub memory: Bytes,
    /// Runtime: decides the Init time.
    pub runtime: Runtime,
    /// Processor architecture: decides the price.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda default"))]
    pub architecture: Architecture,
    /// Function timeout.
    #[serde(default = "timeout_default")]
    #[schemars(extend("x-source" = "Lambda quotas: default 3 s, at most 900 s"))]
    pub timeout: Span,
    /// Concurrency set aside for this function: guarantee and ceiling at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub reserved: Option<u32>,
    /// Hypothetical, AWS has no such control: the most concurrency the function may use, without reserving it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_concurrency: Option<u32>,
    /// Hypothetical, AWS has no such control: group of functions that share a maximum; a name under the account's `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Environments held ready (from December 2019).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<ProvisionedSpec>,
    /// Calls that keep environments warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<WarmUpSpec>,
    /// Environments that exist when the run begins, warm and idle: ordinary ones, which expire; none: the first requests start them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "none unless said: a run begins cold"))]
    pub initial: Option<InitialSpec>,
    /// Which of the idle environments a request gets.
    #[serde(default, skip_serializing_if = "PickIdle::is_default")]
    #[schemars(extend("x-source" = "not documented; the most recently used in 99.7 % of 23,230 choices in logs of 2020 (docs/lambda-log.md)"))]
    pub pick_idle: PickIdle,
    /// Starts from a snapshot instead of running Init (Java from November 2022, Python and .NET from November 2024).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snap_start: Option<SnapStartSpec>,
    /// Requests that one environment takes at a time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1600), extend("x-source" = "Lambda guide: 1; several with Managed Instances, up to 128 (64 unless said) with Web Functions"))]
    pub per_environment: u32,
    /// What becomes of a request without room, where environments take several.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda guide: throttled; Web Functions queue"))]
    pub on_full: OnFull,
    /// When new environments come, where they take several requests.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda guide: on arrival; Managed Instances by load"))]
    pub scale_on: ScaleOn,
    /// Most environments, where they take several requests; none: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15_000))]
    pub max_environments: Option<u32>,
    /// Instances that are paid instead of durations (Managed Instances).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedSpec>,
    /// Whether the function is attached to a VPC.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda default: no VPC"))]
    pub vpc: bool,
    /// Form in which the code is deployed: decides the Init time.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda default"))]
    pub package_type: Package,
    /// Size of `/tmp`; what is above 512 MB is paid (from March 2022).
    #[serde(default = "tmp_default")]
    #[schemars(extend("x-source" = "Lambda quotas: 512 MB unless said, at most 10,240 MB"))]
    pub tmp: Bytes,
    /// Zipped dependencies beyond a hello-world function.
    #[serde(default)]
    #[schemars(extend("x-source" = "none unless said; 0.1 s of cold start per zipped MB (mikhail.io, 2021), of which assumed 10 ms download and 90 ms loading inside Init"))]
    pub package: Bytes,
    /// Placement and code download of a new environment, neither logged nor billed.
    #[serde(default = "place_default")]
    #[schemars(extend("x-source" = "difference of client-side cold starts and Init Duration: assumed", "x-assumed" = true))]
    pub place: Dist,
    /// Init time of a new environment; none: measured quantiles of the runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Dist>,
    /// How long an idle environment is kept: a sharp timer for each. None: by era; in `y2020` the reaper, the recycling and
    /// the replacements started ahead of demand that were fitted to real logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "mikhail.io: y2018 37 min, the median of June 2019; 10 min from July 2019 to 2020, 5 to 7 min in January 2021; later assumed 6 min; y2020: docs/lambda-log.md", "x-assumed" = true))]
    pub idle_life: Option<Span>,
    /// Which environment a request gets that found none idle and started one. None: by era.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "y2020: first_free, seen in real logs (docs/lambda-log.md); other eras: not documented, own assumed", "x-assumed" = true))]
    pub bind: Option<Bind>,
    /// Share of invocations that the platform loses: they hang until the function's timeout.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said; 2 % in spikes of 2019, 6.25e-7 in 2021 (Knock's report)"))]
    pub platform_errors: f64,
    /// Whether the share is the one reported of the era: 2 % in spikes until 2020, 6.25e-7 from 2021.
    #[serde(default)]
    #[schemars(extend("x-source" = "off unless said: a report of one customer"))]
    pub platform_errors_of_era: bool,
    /// Share of invocations that end with a crash of the runtime: the answer is lost, and Init runs again inside the next
    /// invocation of that environment.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said"))]
    pub crashes: f64,
    /// How environments connect to stores.
    #[serde(default)]
    #[schemars(extend("x-source" = "the usual pattern: one client per environment, kept between invocations"))]
    pub connections: StoreConnection,
    /// Connections that each environment holds to every store it uses (pool and monitoring).
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "a pool of one; MongoDB drivers add two monitoring connections per member"))]
    pub connections_per_environment: u32,
    /// Asynchronous invocation.
    #[serde(default)]
    pub events: EventsSpec,
}

/// Start from a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapStartSpec {
    /// Time to restore; none: measured quantiles of a hello-world function (Java only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Dist>,
}

/// Processor architecture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Intel or AMD.
    #[default]
    #[serde(rename = "x86_64")]
    X86,
    /// Graviton.
    Arm64,
}

impl Architecture {
    /// Name in the price table.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86 => "x86_64",
            Architecture::Arm64 => "arm64",
        }
    }
}

/// Which environment a request gets that found none idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bind {
    /// The one that it started, even if another becomes idle first.
    Own,
    /// The first that becomes free; the one that it started is idle when it is ready, and is taken last.
    FirstFree,
}

impl Bind {
    /// What holds in an era unless the scenario says otherwise.
    pub fn of(era: Era) -> Bind {
        if era == Era::Y2020 { Bind::FirstFree } else { Bind::Own }
    }
}

/// How environments connect to stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreConnection {
    /// Opened by the first request of an environment and kept as long as it lives.
    #[default]
    PerEnvironment,
    /// Opened by Init, in code outside the handler, to every store that the work names, and kept as long as the environment
    /// lives. If one is refused, Init has failed: so has the request that it was for, and the environment is given up. An
    /// environment that is started ahead of demand connects when its first request comes.
    InInit,
    /// Opened and closed by every invocation.
    PerInvocation,
}

fn memory_default() -> Bytes {
    Bytes::from_mb(128)
}
fn tmp_default() -> Bytes {
    Bytes::from_mb(512)
}
fn timeout_default() -> Span {
    Span::from_secs(3)
}
fn one() -> u32 {
    1
}
fn place_default() -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_millis(150)),
        p95: Some(Span::from_millis(290)),
        ..Lognormal::default()
    })
}

impl LambdaSpec {
    /// How long an idle environment is kept, if the scenario says so or environments follow the load.
    pub(super) fn idle_life(&self) -> Option<Span> {
        let by_load = self.scale_on != ScaleOn::Arrival;
        if by_load { Some(Span::from_secs(u64::from(u32::MAX))) } else { self.idle_life }
    }

    /// Share of a vCPU that a single thread of the handler gets.
    pub fn cpu_share(&self, era: Era) -> f64 {
        (self.memory.mb() / era.mb_per_vcpu()).min(1.0)
    }
}

impl Spec for LambdaSpec {
    fn timeout(&self) -> Option<Span> {
        Some(self.timeout)
    }
    fn work(&self) -> Vec<(String, &str)> {
        let served = self.initial.as_ref().and_then(|initial| initial.served.as_deref());
        served.map(|work| ("initial.served".to_owned(), work)).into_iter().collect()
    }
    fn check(&self, check: &mut Check) {
        self.events.check(check);
        self.check_account(check);
        self.check_size(check);
        self.check_era(check);
        self.check_provisioned(check);
        self.check_snap_start(check);
        self.check_shared(check);
        self.check_platform_errors(check);
    }
    fn items(&self, _era: Era) -> Vec<String> {
        let mut items = vec!["lambda.requests".to_owned()];
        let by_architecture =
            |family: &str| format!("lambda.{family}.{}", self.architecture.name());
        match &self.managed {
            Some(managed) => items.push(format!("ec2.{}", managed.instance)),
            None => items.push(by_architecture("duration")),
        }
        if self.provisioned.is_some() {
            items.extend(["provisioned", "provisioned_duration"].map(by_architecture));
        }
        if self.tmp > tmp_default() {
            items.push("lambda.tmp_storage".into());
        }
        if self.snap_start.is_some() && !self.runtime.snapshots_free() {
            items.extend(["lambda.snapstart_cache", "lambda.snapstart_restore"].map(String::from));
        }
        items
    }
    fn account(&self) -> Option<&str> {
        Some(&self.account)
    }
    fn reservation(&self) -> Option<(&str, u32)> {
        self.reserved.map(|n| (self.account.as_str(), n))
    }
    fn claim(&self) -> Option<(&str, u32)> {
        let provisioned = self.provisioned.as_ref().map(ProvisionedSpec::most);
        self.reserved.or(provisioned).map(|n| (self.account.as_str(), n))
    }
}

impl LambdaSpec {
    fn check_account(&self, check: &mut Check) {
        let Some(account) = check.accounts.get(&self.account) else {
            return check.problem(
                "E0302",
                "account",
                format!("there is no account \"{}\" in this design", self.account),
                "add it under the design's `accounts`",
            );
        };
        if let Some(group) = &self.group
            && !account.groups.contains_key(group)
        {
            check.problem(
                "E0302",
                "group",
                format!("the account \"{}\" has no group \"{group}\"", self.account),
                "add it under the account's `groups`, with the concurrency it may use",
            );
        }
        let most = account.concurrency.saturating_sub(100);
        for (field, wanted) in [
            ("reserved", self.reserved),
            ("provisioned", self.provisioned.as_ref().map(ProvisionedSpec::most)),
        ] {
            if let Some(wanted) = wanted.filter(|&n| n > most) {
                check.problem(
                    "E0314",
                    field,
                    format!(
                        "{wanted} {field} of {}: 100 must stay unreserved",
                        account.concurrency
                    ),
                    &format!("take at most {most}, or raise the account's `concurrency`"),
                );
            }
        }
    }

    fn check_size(&self, check: &mut Check) {
        let max = if self.managed.is_some() { 32_768 } else { check.era.memory_max_mb() };
        if self.memory < Bytes::from_mb(128) || self.memory > Bytes::from_mb(max) {
            check.problem(
                "E0312",
                "memory",
                format!("{} is outside 128MB to {max}MB of era {}", self.memory, check.era.name()),
                "choose a memory size that the era offers",
            );
        }
        if !self.memory.0.is_multiple_of(check.era.memory_step_mb() << 20) {
            check.problem(
                "E0312",
                "memory",
                format!(
                    "{} is no multiple of 64 MB, the step of era {}",
                    self.memory,
                    check.era.name()
                ),
                "choose a memory size that the era offers",
            );
        }
        if self.timeout < Span::from_secs(1) || self.timeout > Span::from_secs(900) {
            check.problem(
                "E0313",
                "timeout",
                format!("a function timeout of {} is outside 1s to 900s", self.timeout),
                "choose a timeout of at most 15 minutes",
            );
        }
        self.check_storage(check);
    }

    /// Sizes of `/tmp` and of the package (Lambda quotas). A zip file above 50 MB goes through S3, and unpacked it is no smaller.
    fn check_storage(&self, check: &mut Check) {
        let package_max = if self.package_type == Package::Image { 10_240 } else { 250 };
        for (field, size, low, high) in
            [("tmp", self.tmp, 512, 10_240), ("package", self.package, 0, package_max)]
        {
            if size < Bytes::from_mb(low) || size > Bytes::from_mb(high) {
                check.problem(
                    "E0333",
                    field,
                    format!("{size} is outside {low}MB to {high}MB"),
                    "choose a size that Lambda offers",
                );
            }
        }
    }

    /// What an era did not have yet.
    fn check_era(&self, check: &mut Check) {
        let era = check.era;
        let snap = self.snap_start.as_ref();
        let large_tmp = self.tmp > tmp_default();
        for (used, field, what, since) in [
            (self.provisioned.is_some(), "provisioned", "provisioned concurrency", Era::Y2020),
            (self.package_type == Package::Image, "package_type", "container images", Era::Y2021),
            (self.architecture == Architecture::Arm64, "architecture", "arm64", Era::Y2021),
            (large_tmp, "tmp", "more than 512 MB of /tmp", Era::Y2021),
            (snap.is_some(), "snap_start", "SnapStart", Era::Y2021),
            (
                self.per_environment > 1,
                "per_environment",
                "several requests per environment",
                Era::Y2026,
            ),
        ] {
            if used && era < since {
                check.problem(
                    "E0330",
                    field,
                    format!("era {} has no {what}", era.name()),
                    &format!("leave it out, or choose an era from {} on", since.name()),
                );
            }
        }
        if let Some(snap) = snap {
            let since = self.runtime.snap_start_since();
            let measured =
                |package| Table::init(self.runtime, package, self.architecture, era).is_some();
            if since.is_none_or(|since| era < since) {
                check.problem(
                    "E0330",
                    "snap_start",
                    format!(
                        "SnapStart does not take {} in era {}",
                        self.runtime.name(),
                        era.name()
                    ),
                    "take a runtime that it takes, or leave it out",
                );
            } else if snap.restore.is_none() && !measured(Package::Snapshot) {
                check.problem(
                    "E0331",
                    "snap_start",
                    format!("no restore time of {} was measured", self.runtime.name()),
                    "give `restore`",
                );
            }
        }
        if self.init.is_none()
            && Table::init(self.runtime, self.package_type, self.architecture, era).is_none()
        {
            check.problem(
                "E0331",
                "runtime",
                format!("no Init time of {} in this form was measured", self.runtime.name()),
                "give `init`",
            );
        }
    }

    fn check_platform_errors(&self, check: &mut Check) {
        if self.platform_errors > 0.0 && self.platform_errors_of_era {
            check.problem(
                "E0332",
                "platform_errors_of_era",
                "the share is given, and taken from the era".into(),
                "keep one of the two",
            );
        }
    }

    /// What SnapStart does not take (Lambda guide, SnapStart: supported features and limitations).
    fn check_snap_start(&self, check: &mut Check) {
        for (used, field, what) in [
            (self.package_type == Package::Image, "package_type", "container images"),
            (self.tmp > tmp_default(), "tmp", "more than 512 MB of /tmp"),
        ] {
            if self.snap_start.is_some() && used {
                check.problem(
                    "E0332",
                    field,
                    format!("SnapStart does not take {what}"),
                    "leave one of the two out",
                );
            }
        }
    }

    fn check_provisioned(&self, check: &mut Check) {
        let Some(provisioned) = &self.provisioned else { return };
        if let Some(reserved) = self.reserved.filter(|&n| n < provisioned.most()) {
            check.problem(
                "E0332",
                "provisioned",
                format!("{} provisioned, but only {reserved} reserved", provisioned.most()),
                "provisioned concurrency is part of the reservation: reserve as much, or nothing",
            );
        }
        if self.snap_start.is_some() {
            check.problem(
                "E0332",
                "snap_start",
                "SnapStart and provisioned concurrency exclude one another".into(),
                "choose one of them",
            );
        }
        if let Some(tracking) = provisioned.tracking.as_ref().filter(|t| t.min > t.max) {
            check.problem(
                "E0332",
                "provisioned.tracking",
                format!("`min` {} is above `max` {}", tracking.min, tracking.max),
                "exchange them",
            );
        }
    }

    fn check_shared(&self, check: &mut Check) {
        if self.per_environment > 1 {
            for (used, field) in [
                (self.provisioned.is_some(), "provisioned"),
                (self.snap_start.is_some(), "snap_start"),
                (self.warm_up.is_some(), "warm_up"),
                (self.initial.is_some(), "initial"),
                (self.connections == StoreConnection::InInit, "connections"),
            ] {
                if used {
                    check.problem(
                        "E0332",
                        field,
                        "not for a function with several requests per environment".into(),
                        "leave it out, or set `per_environment` to 1",
                    );
                }
            }
            return;
        }
        for (used, field) in [
            (self.on_full != OnFull::Throttle, "on_full"),
            (self.scale_on != ScaleOn::Arrival, "scale_on"),
            (self.max_environments.is_some(), "max_environments"),
            (self.managed.is_some(), "managed"),
        ] {
            if used {
                check.problem(
                    "E0332",
                    field,
                    "only for a function with several requests per environment".into(),
                    "leave it out, or set `per_environment` above 1",
                );
            }
        }
    }
}
