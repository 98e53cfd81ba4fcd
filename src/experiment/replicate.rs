//! Runs the replications of all designs, on several threads, and hands them on in a fixed order.

use super::plan::Plan;
use crate::model::world::{Outturn, World};
use rayon::prelude::*;
use std::ops::Range;

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
    let total = designs.len() * numbers.len();
    let planned = designs.len() * numbers.end as usize;
    let one = |task: usize| -> Option<Result<Outturn, String>> {
        // Replication by replication, so that a stopped run has whole replications of all designs.
        let (replication, design) = (task / designs.len(), task % designs.len());
        if observer.stopped() {
            return None;
        }
        let number = u64::from(numbers.start) + replication as u64;
        let setup = plan.setup(designs[design], number);
        let outcome = World::build(&setup).and_then(|world| world.run(&|| observer.stopped()));
        observer.finished(planned);
        match outcome {
            Ok(None) => None,
            Ok(Some(outturn)) => Some(Ok(outturn)),
            Err(why) => Some(Err(why)),
        }
    };
    let outcomes: Vec<_> = (0..total).into_par_iter().with_max_len(1).map(one).collect();
    let done =
        outcomes.iter().take_while(|outcome| outcome.is_some()).count() / designs.len().max(1);
    let mut rows: Vec<Vec<Outturn>> = designs.iter().map(|_| Vec::with_capacity(done)).collect();
    for (task, outcome) in outcomes.into_iter().enumerate() {
        // An error is told even if the run was stopped.
        if let Some(outturn) = outcome.transpose().map_err(RunError::Broken)?
            && task < done * designs.len()
        {
            rows[task % designs.len()].push(outturn);
        }
    }
    Ok(rows)
}
