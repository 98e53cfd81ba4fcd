//! What the simulator says about a measured case, in the figures of the measurement.

use super::case::MeasuredCase;
use super::convert;
use super::judge::{group_of, judge};
use crate::experiment::plan::Plan;
use crate::experiment::replicate::{Observer, RunError, replicate};
use crate::experiment::verification::Case;
use crate::experiment::verify::plan;
use crate::kernel::Histogram;
use crate::model::data::Data;
use crate::model::message::Cause;
use crate::model::world::Outturn;
use std::collections::BTreeMap;

/// Figures of a case: means over replications, as those of the measurement are means over repetitions.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Successes over requests that ended.
    pub(super) success: f64,
    /// Successes over requests that began.
    pub(super) success_of_all: f64,
    /// p50, p90, p95 of the latency of successes, seconds.
    pub(super) quantiles: [Option<f64>; 3],
    /// Successes that ended before the load did, per second.
    pub(super) throughput: f64,
    /// Attempts per request.
    pub(super) attempts: f64,
    /// Share of the requests that ended in each group of errors.
    pub(super) errors: BTreeMap<&'static str, f64>,
}

/// Runs a case and judges it. An interrupted run is an error; anything else that is wrong is a case that is missed.
pub fn predict(
    case: &MeasuredCase,
    replications: u32,
    observer: &dyn Observer,
) -> Result<Case, RunError> {
    let missed = |why: String| Ok(Case::failed(&case.id, "measured", &case.title, why));
    let plan = match plan_of(case, replications) {
        Ok(plan) => plan,
        Err(why) => return missed(why),
    };
    match replicate(&plan, observer) {
        Ok(rows) => Ok(judge(case, &figures(&rows[0], case.config.load.duration_s))),
        Err(interrupted @ RunError::Interrupted { .. }) => Err(interrupted),
        Err(why) => missed(why.to_string()),
    }
}

fn plan_of(case: &MeasuredCase, replications: u32) -> Result<Plan, String> {
    let mut text = convert::scenario(case)?;
    text["run"]["replications"] = replications.into();
    plan(&text, Data::default())
}

fn figures(outturns: &[Outturn], seconds: f64) -> Figures {
    let n = outturns.len() as f64;
    let mean = |f: &dyn Fn(&Outturn) -> f64| outturns.iter().map(f).sum::<f64>() / n;
    let share = |part: u64, of: u64| if of > 0 { part as f64 / of as f64 } else { 0.0 };
    // Between two ranks, as the measurements' own quantiles are.
    let between = |latency: &Histogram, q: f64| {
        let n = latency.count() as f64;
        let rank = q * (n - 1.0);
        let at = |rank: f64| latency.quantile((rank + 0.5) / n);
        let (low, high) = (at(rank.floor())?, at(rank.ceil())?);
        Some(low + (high - low) * (rank - rank.floor()))
    };
    let quantile = |q: f64| {
        let each: Vec<f64> = outturns
            .iter()
            .filter_map(|outturn| between(&outturn.ledger.classes[0].latency, q))
            .collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    };
    let mut errors: BTreeMap<&'static str, f64> = BTreeMap::new();
    for outturn in outturns {
        let row = &outturn.ledger.classes[0];
        for failure in &outturn.ledger.failures {
            let kind = kind_of(failure.cause, failure.status);
            *errors.entry(group_of(&kind)).or_default() +=
                share(failure.count, row.ok + row.failed) / n;
        }
    }
    Figures {
        success: mean(&|o| {
            share(o.ledger.classes[0].ok, o.ledger.classes[0].ok + o.ledger.classes[0].failed)
        }),
        success_of_all: mean(&|o| share(o.ledger.classes[0].ok, o.ledger.classes[0].issued)),
        quantiles: [quantile(0.5), quantile(0.9), quantile(0.95)],
        throughput: mean(&|o| o.ledger.classes[0].ok_in_load as f64 / seconds),
        attempts: mean(&|o| share(o.ledger.classes[0].attempts, o.ledger.classes[0].issued)),
        errors,
    }
}

/// The measurement's name for a failure.
fn kind_of(cause: Cause, status: u16) -> String {
    match (status, cause) {
        (1.., _) => format!("http_{status}"),
        (0, Cause::ClientTimeout) => "timeout".into(),
        (0, Cause::ConnectTimeout) => "timeout_connect".into(),
        (0, Cause::Refused) => "connect_refused".into(),
        (0, _) => "eof".into(),
    }
}
