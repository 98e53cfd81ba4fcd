//! A function as the scenario writes it.

use super::runtime::Runtime;
use crate::kernel::Span;
use crate::model::component::{About, Check, Spec};
use crate::model::dist::{Dist, Lognormal};
use crate::model::era::Era;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kind is.
pub const ABOUT: About = About {
    what: "An AWS Lambda function: one request per execution environment, environments created on demand.",
    models: &[
        "dispatch to the most recently used idle environment, else a new one; a request waits for the environment it started or takes the first that becomes free (era y2020, seen in logs)",
        "expiry by a timer for each idle environment; in era y2020 the reaper seen in logs, recycling at about two hours and replacements started ahead of demand",
        "concurrency counted from the start of Init; the account's pool, reserved concurrency, the request-rate limit of ten times the concurrency, the scaling budget of the era",
        "cold starts: placement and code download, Init by runtime from measured quantiles, package size, the network interface of VPC functions by era",
        "the Init limit of 10 s: Init is repeated inside the first invocation",
        "the function timeout: the environment is reset and runs Init again inside its next invocation",
        "processor share proportional to memory; Init is not slowed by little memory",
        "one connection per environment and store, kept while the environment is frozen, closed when it expires",
        "platform errors: an invocation hangs until the function's timeout",
        "billing of requests and GB-seconds by the era's rounding and Init rule",
    ],
    leaves_out: &[
        "provisioned concurrency, SnapStart, event sources and asynchronous invocation",
        "recycling and initialisation ahead of demand in eras other than y2020",
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
    /// Whether the function is attached to a VPC.
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda default: no VPC"))]
    pub vpc: bool,
    /// Zipped dependencies beyond a hello-world function.
    #[serde(default)]
    #[schemars(extend("x-source" = "none unless said; 0.1 s of cold start per zipped MB (mikhail.io, 2021)"))]
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
    #[schemars(extend("x-source" = "mikhail.io: 10 min until 2020, 5 to 7 min in 2021; later assumed 6 min; y2020: docs/lambda-log.md", "x-assumed" = true))]
    pub idle_life: Option<Span>,
    /// Which environment a request gets that found none idle and started one. None: by era.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "y2020: first_free, seen in real logs (docs/lambda-log.md); other eras: not documented, own assumed", "x-assumed" = true))]
    pub bind: Option<Bind>,
    /// Share of invocations that the platform loses: they hang until the function's timeout.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), extend("x-source" = "none unless said; 2 % in spikes of 2019, 6.25e-7 in 2021 (Knock's report)"))]
    pub platform_errors: f64,
    /// How environments connect to stores.
    #[serde(default)]
    #[schemars(extend("x-source" = "the usual pattern: one client per environment, kept between invocations"))]
    pub connections: StoreConnection,
    /// Connections that each environment holds to every store it uses (pool and monitoring).
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000), extend("x-source" = "a pool of one; MongoDB drivers add two monitoring connections per member"))]
    pub connections_per_environment: u32,
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
    /// Opened and closed by every invocation.
    PerInvocation,
}

fn memory_default() -> Bytes {
    Bytes::from_mb(128)
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
    /// Share of a vCPU that a single thread of the handler gets.
    pub fn cpu_share(&self, era: Era) -> f64 {
        (self.memory.mb() / era.mb_per_vcpu()).min(1.0)
    }
}

impl Spec for LambdaSpec {
    fn check(&self, check: &mut Check) {
        if !check.accounts.contains_key(&self.account) {
            check.problem(
                "E0302",
                "account",
                format!("there is no account \"{}\" in this design", self.account),
                "add it under the design's `accounts`",
            );
        }
        let max = check.era.memory_max_mb();
        if self.memory < Bytes::from_mb(128) || self.memory > Bytes::from_mb(max) {
            check.problem(
                "E0312",
                "memory",
                format!("{} is outside 128MB to {max}MB of era {}", self.memory, check.era.name()),
                "choose a memory size that the era offers",
            );
        }
        if self.timeout.is_zero() || self.timeout > Span::from_secs(900) {
            check.problem(
                "E0313",
                "timeout",
                format!("a function timeout of {} is outside 1s to 900s", self.timeout),
                "choose a timeout of at most 15 minutes",
            );
        }
        if let (Some(reserved), Some(account)) = (self.reserved, check.accounts.get(&self.account))
        {
            let most = account.concurrency.saturating_sub(100);
            if reserved > most {
                check.problem(
                    "E0314",
                    "reserved",
                    format!(
                        "{reserved} reserved of {}: 100 must stay unreserved",
                        account.concurrency
                    ),
                    &format!("reserve at most {most}, or raise the account's `concurrency`"),
                );
            }
        }
    }
    fn items(&self, _era: Era) -> Vec<String> {
        vec!["lambda.requests".into(), format!("lambda.duration.{}", self.architecture.name())]
    }
    fn reservation(&self) -> Option<(&str, u32)> {
        self.reserved.map(|n| (self.account.as_str(), n))
    }
}
