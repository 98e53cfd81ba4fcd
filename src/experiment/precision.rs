//! Sequential stopping: replications are added until the intervals of a run are as narrow as wanted.
//!
//! An interval that is looked at until it is narrow is right a little less often than it says, because a run stops where
//! the spread happens to look small. The first look is therefore not taken before 20 replications, and the next is
//! where the spread seen so far says that it will do, at most twice as far (A. M. Law, "Simulation Modeling and Analysis",
//! section 9.4, on why a late first look matters). A test measures the coverage that is left.

use super::fold::fold;
use super::plan::Plan;
use super::replicate::{Observer, RunError, more, replicate};
use super::result::{DesignResult, Estimate, Interrupted, Reached, RunResult};
use serde::{Deserialize, Serialize};

/// Replications before the first look.
const FIRST: u32 = 20;
/// What is added to the replications that the spread asks for, so that the next look is mostly the last.
const RESERVE: f64 = 1.05;

/// How narrow intervals have to be, and what that may take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Half-width of an interval as a share of its figure.
    pub relative: f64,
    /// Replications of every design at most.
    pub most: u32,
}

impl Precision {
    /// Whether nothing more is to be done for a result: it is precise, or has all replications that it may have. False
    /// if it was interrupted.
    pub fn is_done(&self, result: &RunResult) -> bool {
        let reached = result.precision.as_ref().is_some_and(|own| own.reached);
        reached || result.replications >= self.most
    }
}

/// Runs a plan until success rate, 95th percentile of latency and cost per user of every design are precise. The result is
/// that of a plan with so many replications from the start. An interrupted run rests on the last look that was whole.
///
/// # Errors
/// See [`RunError`].
pub fn run_until(
    plan: &Plan,
    precision: &Precision,
    observer: &dyn Observer,
) -> Result<RunResult, RunError> {
    let most = precision.most.max(2);
    let mut plan = plan.clone();
    plan.scenario.run.replications = plan.scenario.run.replications.max(FIRST).min(most);
    let mut rows = replicate(&plan, observer)?;
    loop {
        let mut result = fold(&plan, &rows)?;
        let widest = widest(&result.designs);
        let reached = widest.as_ref().is_none_or(|own| own.width <= precision.relative);
        let width = widest.as_ref().map_or(0.0, |own| own.width);
        let (design, metric) = widest.map(|own| (own.design, own.metric)).unwrap_or_default();
        let told =
            Reached { wanted: precision.relative, reached, width, design, metric: metric.into() };
        result.precision = Some(told);
        let n = result.replications;
        if reached || n >= most || n < plan.scenario.run.replications {
            return Ok(result);
        }
        let next = next(n, width / precision.relative, most);
        let added = more(&plan, n..next, observer)?;
        if added.first().is_none_or(|design| design.len() < (next - n) as usize) {
            result.interrupted = Some(Interrupted { done: n, planned: next });
            return Ok(result);
        }
        for (design, added) in rows.iter_mut().zip(added) {
            design.extend(added);
        }
        plan.scenario.run.replications = next;
    }
}

/// How many replications the next look should have, after `n` whose widest interval is `ratio` times too wide.
fn next(n: u32, ratio: f64, most: u32) -> u32 {
    let wanted = (f64::from(n) * ratio * ratio * RESERVE).ceil();
    let (least, far) = (n + (n / 10).max(1), n.saturating_mul(2));
    let next = if wanted < f64::from(far) { wanted as u32 } else { far };
    next.max(least).min(most)
}

struct Widest {
    design: String,
    metric: &'static str,
    width: f64,
}

/// The figure with the widest interval; none if no design has any figure.
fn widest(designs: &[DesignResult]) -> Option<Widest> {
    let mut all = designs.iter().flat_map(|design| {
        widths(design).into_iter().flatten().map(|(metric, width)| Widest {
            design: design.name.clone(),
            metric,
            width,
        })
    });
    let first = all.next()?;
    Some(all.fold(first, |widest, own| if own.width > widest.width { own } else { widest }))
}

/// Half-widths as shares of their figures; a figure that does not exist (a latency without success) has none.
fn widths(design: &DesignResult) -> [Option<(&'static str, f64)>; 3] {
    let half = |e: Estimate| (e.high - e.value).max(e.value - e.low);
    let relative = |e: Estimate, of: f64| if half(e) == 0.0 { 0.0 } else { half(e) / of.abs() };
    let success = design.success_rate;
    // A share and its complement are known equally well: the larger of both is the measure.
    let of_share = relative(success, success.value.max(1.0 - success.value));
    let latency = &design.latency;
    let p95 = (latency.count > 0).then(|| {
        // So few values have none above their 95th percentile with confidence.
        let bounded = libm::pow(0.95, latency.count as f64) <= 0.025;
        let width = relative(latency.p95, latency.p95.value);
        ("latency_p95", if bounded { width } else { f64::INFINITY })
    });
    let cost = design.cost.per_user;
    let per_user =
        (design.users_served.value > 0.0).then(|| ("cost_per_user", relative(cost, cost.value)));
    let ended = design.latency_all.count > 0;
    [ended.then_some(("success_rate", of_share)), p95, per_user]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_where_the_spread_asks_for_it() {
        // 1.2² × 1.05 × 20 = 30.24.
        assert_eq!(next(20, 1.2, 1_000), 31);
        assert_eq!(next(20, 10.0, 1_000), 40, "at most twice as far");
        assert_eq!(next(20, 1.000_1, 1_000), 22, "some at least");
        assert_eq!(next(20, f64::INFINITY, 1_000), 40);
        assert_eq!(next(900, 2.0, 1_000), 1_000);
    }
}
