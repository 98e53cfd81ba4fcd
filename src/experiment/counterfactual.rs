//! "If this limit were lifted": every design again, with its bottleneck out of the way, under the same users.

use super::fold::run;
use super::lift::lift;
use super::plan::Plan;
use super::replicate::{Observer, RunError};
use super::result::{Bottleneck, Counterfactual, RunResult};
use serde_json::Value;

/// Adds the counterfactual of each design that has a bottleneck.
///
/// # Errors
/// See [`RunError`].
pub fn counterfactuals(
    plan: &Plan,
    result: &mut RunResult,
    observer: &dyn Observer,
) -> Result<(), RunError> {
    for design in &mut result.designs {
        if let Some(limit) = &design.bottleneck {
            let own = counterfactual(plan, &design.name, limit, result.replications, observer)?;
            design.counterfactual = Some(own);
        }
    }
    Ok(())
}

fn counterfactual(
    plan: &Plan,
    design: &str,
    limit: &Bottleneck,
    replications: u32,
    observer: &dyn Observer,
) -> Result<Counterfactual, RunError> {
    let mut told = Counterfactual {
        node: limit.node.clone(),
        limit: limit.limit.clone(),
        about: limit.about.clone(),
        ..Counterfactual::default()
    };
    let (changed, changes) = match lift(&plan.resolved["designs"][design], limit) {
        Ok(both) => both,
        Err(why) => {
            told.refused = Some(why.into());
            return Ok(told);
        }
    };
    told.changes = changes;
    let lifted_name = format!("{design}, lifted");
    let mut pair = plan.resolved.clone();
    let original = pair["designs"][design].take();
    pair["designs"] = Value::Object(
        [(design.to_owned(), original), (lifted_name, changed)].into_iter().collect(),
    );
    let both = match plan.instead(pair) {
        Ok(mut both) => {
            both.scenario.run.replications = replications;
            run(&both, observer)?
        }
        Err(why) => {
            told.refused = Some(why);
            return Ok(told);
        }
    };
    if let [_, lifted] = &both.designs[..] {
        told.success_rate = lifted.success_rate;
        told.latency = lifted.latency;
        told.cost_per_user = lifted.cost.per_user;
        told.next.clone_from(&lifted.bottleneck);
    }
    told.differences = both.differences;
    Ok(told)
}
