//! What a function used, rounded the way it is billed.

use super::spec::LambdaSpec;
use crate::kernel::Span;
use crate::model::component::NodeReport;
use crate::model::era::Era;
use crate::model::usage::UsageLine;

/// Counters and billed quantities of one function.
pub(super) struct Meter {
    name: String,
    duration_item: String,
    memory_mb: u64,
    billing_step: Span,
    init_billed: bool,
    pub(super) requests: u64,
    pub(super) requests_wasted: u64,
    /// Billed milliseconds × MB.
    mb_ms: u128,
    mb_ms_wasted: u128,
    pub(super) cold_starts: u64,
    pub(super) throttled: u64,
    pub(super) timeouts: u64,
    pub(super) expired: u64,
}

impl Meter {
    pub(super) fn new(name: &str, spec: &LambdaSpec, era: Era) -> Meter {
        Meter {
            name: name.to_owned(),
            duration_item: format!("lambda.duration.{}", spec.architecture.name()),
            memory_mb: spec.memory.0 >> 20,
            billing_step: era.billing_step(),
            init_billed: era.init_billed(),
            requests: 0,
            requests_wasted: 0,
            mb_ms: 0,
            mb_ms_wasted: 0,
            cold_starts: 0,
            throttled: 0,
            timeouts: 0,
            expired: 0,
        }
    }

    /// An Init ran ahead of its first invocation.
    pub(super) fn init(&mut self, duration: Span) {
        if self.init_billed {
            self.duration(duration, false);
        }
    }

    /// Adds a billed duration, rounded up to the era's step.
    pub(super) fn duration(&mut self, duration: Span, wasted: bool) {
        let step = self.billing_step.nanos();
        let ms = duration.nanos().div_ceil(step) * (step / 1_000_000);
        let mb_ms = u128::from(ms) * u128::from(self.memory_mb);
        self.mb_ms += mb_ms;
        if wasted {
            self.mb_ms_wasted += mb_ms;
        }
    }

    /// The report at the end of a replication; `extra_requests` are billed for the size of events.
    pub(super) fn report(&self, extra_requests: u64) -> NodeReport {
        let gb_s = |mb_ms: u128| mb_ms as f64 / (1024.0 * 1000.0);
        let line = |item: &str, quantity: f64, unit, wasted: f64| UsageLine {
            node: self.name.clone(),
            item: item.into(),
            quantity,
            unit,
            reserved: false,
            idle: 0.0,
            wasted,
        };
        let wasted = self.requests_wasted as f64;
        NodeReport {
            counters: vec![
                ("invocations", self.requests),
                ("cold_starts", self.cold_starts),
                ("throttled", self.throttled),
                ("timeouts", self.timeouts),
                ("environments_expired", self.expired),
            ],
            usage: vec![
                line("lambda.requests", (self.requests + extra_requests) as f64, "request", wasted),
                line(&self.duration_item, gb_s(self.mb_ms), "GB-s", gb_s(self.mb_ms_wasted)),
            ],
        }
    }
}
