//! What a function used, rounded the way it is billed.

use super::provisioned::Held;
use super::runtime::Package;
use super::spec::LambdaSpec;
use crate::kernel::{Span, Time};
use crate::model::component::NodeReport;
use crate::model::era::Era;
use crate::model::usage::UsageLine;

/// `/tmp` up to here is free (Lambda price page).
const TMP_FREE_MB: u64 = 512;

/// Whose invocation it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Payer {
    /// A caller, on an environment created on demand.
    OnDemand,
    /// A caller, on a provisioned environment.
    Provisioned,
    /// The function's own warm-up policy.
    WarmUp,
}

/// Requests and billed milliseconds of one payer.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    requests_wasted: u64,
    ms: u128,
    ms_wasted: u128,
}

/// Counters and billed quantities of one function.
pub(super) struct Meter {
    name: String,
    duration_item: String,
    running_item: String,
    held_item: String,
    memory_mb: u64,
    tmp_mb: u64,
    billing_step: Span,
    init_billed: bool,
    snapshots: Snapshots,
    tallies: [Tally; 3],
    event_requests: u64,
    restores: u64,
    pub(super) cold_starts: u64,
    pub(super) cold_starts_warm_up: u64,
    pub(super) throttled: u64,
    pub(super) timeouts: u64,
    pub(super) expired: u64,
    pub(super) crashes: u64,
    /// Managed Instances: instance type and environments on one.
    managed: Option<(String, u32)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Snapshots {
    None,
    Free,
    Billed,
}

impl Meter {
    pub(super) fn new(name: &str, spec: &LambdaSpec, era: Era) -> Meter {
        let architecture = spec.architecture.name();
        let snapshots = match &spec.snap_start {
            None => Snapshots::None,
            Some(_) if spec.runtime.snapshots_free() => Snapshots::Free,
            Some(_) => Snapshots::Billed,
        };
        let own_runtime = spec.package_type == Package::Image || spec.runtime.os_only();
        Meter {
            name: name.to_owned(),
            duration_item: format!("lambda.duration.{architecture}"),
            running_item: format!("lambda.provisioned_duration.{architecture}"),
            held_item: format!("lambda.provisioned.{architecture}"),
            memory_mb: spec.memory.0 >> 20,
            tmp_mb: (spec.tmp.0 >> 20).saturating_sub(TMP_FREE_MB),
            billing_step: era.billing_step(),
            // What AWS bills of a restore, loading the runtime and after-restore hooks, nobody has measured.
            init_billed: (era.init_billed() || own_runtime) && snapshots == Snapshots::None,
            snapshots,
            tallies: [Tally::default(); 3],
            event_requests: 0,
            restores: 0,
            cold_starts: 0,
            cold_starts_warm_up: 0,
            throttled: 0,
            timeouts: 0,
            expired: 0,
            crashes: 0,
            managed: spec.managed.as_ref().map(|m| (m.instance.clone(), m.per_instance)),
        }
    }

    fn tally(&mut self, payer: Payer) -> &mut Tally {
        &mut self.tallies[payer as usize]
    }

    /// An environment is started on demand: what its first invocation will be billed of its Init.
    pub(super) fn start(&mut self, init: Span) -> Span {
        self.restores += u64::from(self.snapshots == Snapshots::Billed);
        if self.init_billed { init } else { Span::ZERO }
    }

    /// An invocation began.
    pub(super) fn request(&mut self, payer: Payer) {
        self.tally(payer).requests += 1;
    }

    /// An invocation ended: adds its duration and that of the Init before it, together rounded up to the era's step. What was
    /// of no use is the invocation; the environment stays.
    pub(super) fn duration(&mut self, init: Span, duration: Span, payer: Payer, wasted: bool) {
        let step = self.billing_step.nanos();
        let billed = |span: Span| u128::from(span.nanos().div_ceil(step) * (step / 1_000_000));
        let tally = self.tally(payer);
        tally.ms += billed(init + duration);
        if wasted {
            tally.ms_wasted += billed(duration);
        }
    }

    /// An Init that no invocation on demand follows: of a provisioned environment, or of one that nobody has used.
    pub(super) fn init(&mut self, init: Span, payer: Payer) {
        self.duration(init, Span::ZERO, payer, false);
    }

    /// Requests that are billed for the size of events.
    pub(super) fn event_requests(&mut self, requests: u64) {
        self.event_requests = requests;
    }

    /// An invocation was of no use to anybody.
    pub(super) fn wasted(&mut self, payer: Payer) {
        self.tally(payer).requests_wasted += 1;
    }

    fn gb_s(&self, ms: u128) -> f64 {
        (ms * u128::from(self.memory_mb)) as f64 / (1024.0 * 1000.0)
    }

    fn line(&self, item: &str, quantity: f64, unit: &'static str) -> UsageLine {
        UsageLine::used(&self.name, item, quantity, unit)
    }

    /// Usage: requests and duration of callers, of the warm-up policy under a name of its own, and what stood ready.
    pub(super) fn usage(
        &self,
        held: Option<Held>,
        environment_ms: u128,
        end: Time,
    ) -> Vec<UsageLine> {
        let [own, provisioned, warm_up] = self.tallies;
        let mut lines = Vec::new();
        let requests = own.requests + provisioned.requests + self.event_requests;
        let wasted = (own.requests_wasted + provisioned.requests_wasted) as f64;
        lines
            .push(UsageLine { wasted, ..self.line("lambda.requests", requests as f64, "request") });
        if let Some((instance, each)) = &self.managed {
            self.managed_lines(instance, *each, environment_ms, &mut lines);
            return lines;
        }
        let duration = |tally: Tally, item: &str| UsageLine {
            wasted: self.gb_s(tally.ms_wasted),
            ..self.line(item, self.gb_s(tally.ms), "GB-s")
        };
        lines.push(duration(own, &self.duration_item));
        if let Some(held) = held {
            lines.push(duration(provisioned, &self.running_item));
            let idle = self.gb_s(held.billed_ms.saturating_sub(provisioned.ms));
            let line = self.line(&self.held_item, self.gb_s(held.billed_ms), "GB-s");
            let held = self.gb_s(held.ms);
            lines.push(UsageLine { reserved: true, held, idle, ..line });
        }
        if warm_up.requests > 0 {
            let named = |line| UsageLine { node: format!("{} (warm-up)", self.name), ..line };
            lines.push(named(self.line("lambda.requests", warm_up.requests as f64, "request")));
            lines.push(named(duration(warm_up, &self.duration_item)));
        }
        if self.tmp_mb > 0 {
            let tmp = |of: fn(&Tally) -> u128| {
                let ms: u128 = self.tallies.iter().map(of).sum();
                (ms * u128::from(self.tmp_mb)) as f64 / (1024.0 * 1000.0)
            };
            let line = self.line("lambda.tmp_storage", tmp(|tally| tally.ms), "GB-s");
            lines.push(UsageLine { wasted: tmp(|tally| tally.ms_wasted), ..line });
        }
        if self.snapshots == Snapshots::Billed {
            let gb = self.memory_mb as f64 / 1024.0;
            // The version stays published beyond the run, so the minimum of three hours does not bind.
            let cache = self.line("lambda.snapstart_cache", gb * end.as_secs_f64(), "GB-s");
            lines.push(UsageLine { reserved: true, ..cache });
            let restored = self.restores as f64 * gb;
            lines.push(self.line("lambda.snapstart_restore", restored, "GB"));
        }
        lines
    }

    /// Instances by the hour, and the management fee of 15 % of their price (AWS: Lambda pricing, Managed Instances).
    fn managed_lines(&self, instance: &str, each: u32, ms: u128, lines: &mut Vec<UsageLine>) {
        let hours = ms as f64 / 3_600_000.0 / f64::from(each.max(1));
        let item = format!("ec2.{instance}");
        let line = UsageLine { reserved: true, ..self.line(&item, hours, "hour") };
        let fee = format!("{} (management fee)", self.name);
        lines.push(UsageLine { node: fee, price_share: Some(0.15), ..line.clone() });
        lines.push(line);
    }

    /// The report at the end of a replication.
    pub(super) fn report(&self, more: Vec<(&'static str, u64)>) -> NodeReport {
        let [own, provisioned, warm_up] = self.tallies;
        let mut counters = vec![
            ("invocations", own.requests + provisioned.requests),
            ("cold_starts", self.cold_starts),
            ("throttled", self.throttled),
            ("timeouts", self.timeouts),
            ("environments_expired", self.expired),
        ];
        let seldom = [
            ("crashes", self.crashes),
            ("invocations_provisioned", provisioned.requests),
            ("warm_up_pings", warm_up.requests),
            ("warm_up_cold_starts", self.cold_starts_warm_up),
        ];
        counters.extend(seldom.into_iter().filter(|(_, n)| *n > 0));
        counters.extend(more);
        NodeReport { counters, usage: Vec::new() }
    }
}
