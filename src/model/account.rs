//! An AWS account in one region: the concurrency and the rates that all its functions, and all its API gateways, share.

use super::bucket::{Bucket, Budget, Steps};
use super::era::Era;
use crate::kernel::{Span, Time};
use crate::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An AWS account in one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// Concurrent executions that all functions of the account share.
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "AWS Lambda quotas: 1,000 per region; new accounts start with less"))]
    pub concurrency: u32,
    /// Later raises of that quota, in order of time; a raise that was asked for takes hours to days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
    /// Region; decides the burst. Two regions, or two accounts, are two entries under `accounts`.
    #[serde(default = "region_default")]
    #[schemars(extend("x-source" = "the region of the price table"))]
    pub region: String,
    /// Environments that may be created at once before the account-wide rate of 500 a minute applies (until November 2023);
    /// none: by region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "AWS Lambda guide 2018 to 2023, scaling: 3,000 in us-east-1, us-west-2, eu-west-1; 500 to 1,000 elsewhere"))]
    pub burst: Option<u32>,
    /// How a function's scaling budget of 1,000 environments in 10 s is refilled (from November 2023).
    #[serde(default)]
    #[schemars(extend("x-source" = "Lambda guide, scaling: continuous, best effort"))]
    pub scaling_grain: Grain,
    /// Network interfaces that a VPC may have; functions in a VPC used them up until August 2019. All functions of the
    /// account share one VPC.
    #[serde(default = "interfaces_default")]
    #[schemars(range(min = 0, max = 100_000), extend("x-source" = "AWS Lambda quotas: 250 per VPC"))]
    pub vpc_interfaces: u32,
    /// Steady rate of the bucket that all API gateways of the account share.
    #[serde(default = "gateway_rate_default")]
    #[schemars(extend("x-source" = "API Gateway guide, throttling: 10,000 a second per account and region, for REST, HTTP and WebSocket APIs together (2,500 in newer regions)"))]
    pub gateway_rate: Rate,
    /// Depth of that bucket.
    #[serde(default = "gateway_burst_default")]
    #[schemars(range(min = 1, max = 10_000_000), extend("x-source" = "API Gateway guide, throttling: 5,000 (1,250 in newer regions)"))]
    pub gateway_burst: u32,
    /// Hypothetical, AWS has no such control: groups of functions by name, with the most concurrency that each may use
    /// together. A function joins by `group`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, u32>,
}

/// A raise of the quota.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// When it takes effect, from the start of the run.
    pub at: Span,
    /// The quota from then on.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: u32,
}

/// How a budget is refilled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// All the time: 100 a second.
    #[default]
    Continuous,
    /// 1,000 after every 10 s of a burst.
    Stepwise,
}

fn concurrency_default() -> u32 {
    1000
}
fn region_default() -> String {
    "us-east-1".into()
}
fn interfaces_default() -> u32 {
    250
}
fn gateway_rate_default() -> Rate {
    Rate(10_000.0)
}
fn gateway_burst_default() -> u32 {
    5000
}

impl Default for AccountSpec {
    fn default() -> Self {
        AccountSpec {
            concurrency: concurrency_default(),
            raises: Vec::new(),
            region: region_default(),
            burst: None,
            scaling_grain: Grain::default(),
            vpc_interfaces: interfaces_default(),
            gateway_rate: gateway_rate_default(),
            gateway_burst: gateway_burst_default(),
            groups: BTreeMap::new(),
        }
    }
}

/// New environments of the account after the burst (Lambda guide 2018 to 2023, scaling).
const BURST_STEP: (u32, Span) = (500, Span::from_secs(60));

impl AccountSpec {
    /// Environments that may be created at once in the eras until November 2023 (Lambda guide, scaling).
    pub fn burst(&self, era: Era) -> u32 {
        self.burst.unwrap_or(match self.region.as_str() {
            "us-east-1" | "us-west-2" | "eu-west-1" => 3000,
            "ap-northeast-1" | "eu-central-1" => 1000,
            // 500 in the guide of 2018, 1,000 in that of 2023.
            "us-east-2" if era >= Era::Y2021 => 1000,
            _ => 500,
        })
    }

    /// The budget that each function has for itself, from November 2023.
    pub fn function_budget(&self, era: Era) -> Option<Budget> {
        (!era.account_scaling()).then(|| match self.scaling_grain {
            Grain::Continuous => Budget::Continuous(Bucket::new(100.0, 1000.0)),
            Grain::Stepwise => Budget::Stepwise(Steps::new(1000, 1000, Span::from_secs(10))),
        })
    }

    /// The scaling budget in words.
    pub fn scaling_words(&self, era: Era) -> String {
        if era.account_scaling() {
            format!("{} new environments at once, then 500/min, in the account", self.burst(era))
        } else {
            "1,000 new environments per 10 s".into()
        }
    }
}

/// An account as it runs.
#[derive(Debug, Clone)]
pub struct Account {
    concurrency: u32,
    raises: Vec<Raise>,
    /// Sum of the functions' reservations.
    reserved: u32,
    /// Provisioned concurrency of functions without a reservation.
    pub provisioned: u32,
    /// Unreserved executions in progress.
    pub in_flight: u32,
    /// Executions in progress by group.
    pub group_in_flight: Vec<u32>,
    groups: Vec<u32>,
    /// Account-wide scaling budget of the eras before November 2023.
    scaling: Option<Steps>,
    /// The same for provisioned environments.
    provisioning: Steps,
    /// Requests to functions without a reservation, all of them together.
    requests: Bucket,
    /// Requests to API gateways, all of them together.
    gateway: Bucket,
    /// Memory that environments take of network interfaces, MB, and how much there is.
    interface_mb: u64,
    interface_mb_max: u64,
}

/// Requests a second for each unit of concurrency (Lambda guide, concurrency and requests per second; Lambda quotas: the
/// limit is the account's, for all its functions).
const REQUESTS_PER_UNIT: f64 = 10.0;

/// The bucket that so much concurrency gives.
pub fn request_bucket(concurrency: u32) -> Bucket {
    let rate = f64::from(concurrency) * REQUESTS_PER_UNIT;
    Bucket::new(rate, rate)
}

/// Memory of environments that one network interface carried, MB (Lambda guide 2018: concurrency × memory / 3 GB).
const INTERFACE_MB: u64 = 3 * 1024;

impl Account {
    /// An idle account; `reserved` is the sum of its functions' reservations.
    pub fn new(spec: &AccountSpec, era: Era, reserved: u32) -> Account {
        let burst = Steps::new(spec.burst(era), BURST_STEP.0, BURST_STEP.1);
        Account {
            concurrency: spec.concurrency,
            raises: spec.raises.clone(),
            reserved,
            provisioned: 0,
            in_flight: 0,
            group_in_flight: vec![0; spec.groups.len()],
            groups: spec.groups.values().copied().collect(),
            scaling: era.account_scaling().then(|| burst.clone()),
            provisioning: burst,
            requests: request_bucket(spec.concurrency),
            gateway: Bucket::new(spec.gateway_rate.per_second(), f64::from(spec.gateway_burst)),
            interface_mb: 0,
            interface_mb_max: u64::from(spec.vpc_interfaces) * INTERFACE_MB,
        }
    }

    /// The quota now.
    #[inline]
    pub fn quota(&mut self, now: Time) -> u32 {
        if !self.raises.is_empty() {
            self.raise(now);
        }
        self.concurrency
    }

    /// The raises that have come.
    #[cold]
    fn raise(&mut self, now: Time) {
        while let Some(raise) = self.raises.first().copied()
            && Time::ZERO + raise.at <= now
        {
            self.concurrency = raise.concurrency;
            self.raises.remove(0);
            let rate = f64::from(raise.concurrency) * REQUESTS_PER_UNIT;
            self.requests.set(now, rate, rate);
        }
    }

    /// Takes a request of the rate that functions without a reservation share.
    #[inline]
    pub fn take_request(&mut self, now: Time) -> bool {
        // A raise that has come counts.
        self.quota(now);
        self.requests.take(now)
    }

    /// Takes a request of the rate that API gateways share.
    #[inline]
    pub fn take_gateway(&mut self, now: Time) -> bool {
        self.gateway.take(now)
    }

    /// What functions without a reservation share now: the quota without all that is reserved or provisioned.
    #[inline]
    pub fn unreserved(&mut self, now: Time) -> u32 {
        self.quota(now).saturating_sub(self.reserved + self.provisioned)
    }

    /// Whether a group has no concurrency left.
    pub fn group_full(&self, group: u16) -> bool {
        self.group_in_flight[usize::from(group)] >= self.groups[usize::from(group)]
    }

    /// Whether a new environment may be created now, as far as the account's own budget goes.
    pub fn may_scale(&mut self, now: Time) -> bool {
        self.scaling.as_mut().is_none_or(|scaling| scaling.take(now))
    }

    /// When so many provisioned environments can have been created, until November 2023: the account's burst at once, then
    /// 500 a minute, shared by all functions.
    pub fn provisioned_at(&mut self, environments: u32, now: Time) -> Time {
        self.provisioning.take_ahead(environments, now)
    }

    /// Takes room on the VPC's network interfaces for an environment, if there is any.
    pub fn take_interface(&mut self, mb: u64) -> bool {
        let fits = self.interface_mb + mb <= self.interface_mb_max;
        self.interface_mb += if fits { mb } else { 0 };
        fits
    }

    /// Gives that room back.
    pub fn give_interface(&mut self, mb: u64) {
        self.interface_mb = self.interface_mb.saturating_sub(mb);
    }
}
