//! Runs the replications of all designs, on several threads, and hands them on in a fixed order.

use super::plan::Plan;
use crate::model::world::{Outturn, World};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a caller of a long run sees and may stop.
pub trait Observer: Sync {
    /// One replication of one design is done, out of `of`.
    fn finished(&self, _of: usize) {}
    /// Whether to stop as soon as possible.
    fn stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
pub struct Silent;
impl Observer for Silent {}

/// Why a run gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunError {
    /// A bug of ours: a checked scenario could not be built, or a law of conservation was broken.
    Broken(String),
    /// Items without a price.
    Price(Vec<String>),
    /// Stopped before two replications of every design were done.
    Interrupted {
        /// How many were done.
        done: usize,
        /// Of how many.
        of: usize,
    },
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RunError::Broken(why) => write!(f, "internal error: {why}"),
            RunError::Price(items) => write!(f, "{}", items.join("\n")),
            RunError::Interrupted { done, of } => {
                write!(f, "interrupted after {done} of {of} replications: too few for a result")
            }
        }
    }
}

/// All replications, `[design][replication]`; fewer replications than planned if the observer stopped the run, but the
/// same ones of every design.
///
/// # Errors
/// See [`RunError`].
pub fn replicate(plan: &Plan, observer: &dyn Observer) -> Result<Vec<Vec<Outturn>>, RunError> {
    let rows = more(plan, 0..plan.scenario.run.replications, observer)?;
    let done = rows.first().map_or(0, Vec::len);
    if done < 2 {
        let of = rows.len() * plan.scenario.run.replications as usize;
        return Err(RunError::Interrupted { done: done * rows.len(), of });
    }
    Ok(rows)
}

/// Some replications by their numbers, `[design][replication]`; see [`replicate`].
///
/// # Errors
/// See [`RunError`].
pub(super) fn more(
    plan: &Plan,
    numbers: Range<u32>,
    observer: &dyn Observer,
) -> Result<Vec<Vec<Outturn>>, RunError> {
    let designs: Vec<_> = plan.scenario.designs.values().collect();
    let (count, replications) = (designs.len(), numbers.len());
    let planned = count * numbers.end as usize;
    let one = |replication: usize, design: usize| -> Option<Result<Outturn, String>> {
        if observer.stopped() {
            return None;
        }
        let number = u64::from(numbers.start) + replication as u64;
        let setup = plan.setup(designs[design], number);
        let outcome = World::build(&setup).and_then(|world| world.run(&|| observer.stopped()));
        observer.finished(planned);
        outcome.transpose()
    };
    // Replication by replication, so that a stopped run has whole replications of all designs. The last begins with the designs that
    // have most events: no thread is left alone with one of them at the end.
    let events: Vec<_> = designs.iter().map(|_| AtomicU64::new(0)).collect();
    let heaviest = OnceLock::new();
    let task = |task: usize| {
        let (replication, mut design) = (task / count, task % count);
        if replication > 0 && replication + 1 == replications {
            design = heaviest.get_or_init(|| by_weight(&events))[design];
        }
        let outcome = one(replication, design);
        if let Some(Ok(outturn)) = &outcome {
            events[design].store(outturn.events, Ordering::Relaxed);
        }
        (replication * count + design, outcome)
    };
    let mut outcomes: Vec<_> = (0..count * replications).par_bridge().map(task).collect();
    outcomes.sort_unstable_by_key(|outcome| outcome.0);
    let finished = outcomes.iter().take_while(|(_, outcome)| outcome.is_some()).count();
    let done = finished / count.max(1);
    let mut rows: Vec<Vec<Outturn>> = designs.iter().map(|_| Vec::with_capacity(done)).collect();
    for (place, outcome) in outcomes {
        // An error is told even if the run was stopped.
        if let Some(outturn) = outcome.transpose().map_err(RunError::Broken)?
            && place < done * count
        {
            rows[place % count].push(outturn);
        }
    }
    Ok(rows)
}

/// The designs' numbers, those first that had most events.
fn by_weight(events: &[AtomicU64]) -> Vec<usize> {
    let mut order: Vec<_> = (0..events.len()).collect();
    order.sort_by_key(|design| Reverse(events[*design].load(Ordering::Relaxed)));
    order
}
