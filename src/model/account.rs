//! An AWS account in one region: the concurrency that all its functions share.

use super::bucket::Bucket;
use super::era::Era;
use crate::kernel::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An AWS account in one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// Concurrent executions that all functions of the account share.
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "AWS Lambda quotas: 1,000 per region; new accounts start with less"))]
    pub concurrency: u32,
    /// Environments that may be created at once before the account-wide rate applies (until November 2023).
    #[serde(default = "burst_default")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-source" = "AWS Lambda guide 2018 to 2023, scaling: 3,000 in us-east-1, us-west-2, eu-west-1; 500 to 1,000 elsewhere"))]
    pub burst: u32,
}

fn concurrency_default() -> u32 {
    1000
}
fn burst_default() -> u32 {
    3000
}

impl Default for AccountSpec {
    fn default() -> Self {
        AccountSpec { concurrency: concurrency_default(), burst: burst_default() }
    }
}

/// An account as it runs.
#[derive(Debug, Clone)]
pub struct Account {
    /// Quota.
    pub concurrency: u32,
    /// Quota minus all reservations.
    pub unreserved: u32,
    /// Unreserved executions in progress.
    pub in_flight: u32,
    /// Account-wide scaling budget of the eras before November 2023.
    scaling: Option<AccountScaling>,
}

/// Budget of the eras before November 2023: `burst` at once, then 500 more every minute of the burst.
#[derive(Debug, Clone)]
struct AccountScaling {
    bucket: Bucket,
}

impl Account {
    /// An idle account; `reserved` is the sum of its functions' reservations.
    pub fn new(spec: &AccountSpec, era: Era, reserved: u32) -> Account {
        // 500 a minute in one step each full minute is modelled as a bucket that refills continuously.
        let scaling = era
            .account_scaling()
            .then(|| AccountScaling { bucket: Bucket::new(500.0 / 60.0, f64::from(spec.burst)) });
        Account {
            concurrency: spec.concurrency,
            unreserved: spec.concurrency.saturating_sub(reserved),
            in_flight: 0,
            scaling,
        }
    }

    /// Whether a new environment may be created now, as far as the account's own budget goes.
    pub fn may_scale(&mut self, now: Time) -> bool {
        self.scaling.as_mut().is_none_or(|scaling| scaling.bucket.take(now))
    }
}
