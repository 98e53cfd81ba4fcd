//! A checked scenario with all it needs: ready to run, any number of times, with the same outcome.

use super::result::Assumption;
use crate::kernel::Key;
use crate::model::data::Data;
use crate::model::world::{DesignSpec, Setup};
use crate::price::Table;
use crate::scenario::check;
use crate::scenario::spec::Scenario;

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario with defaults filled in.
    pub scenario: Scenario,
    /// The same as JSON, for the result.
    pub resolved: serde_json::Value,
    /// Files that it names.
    pub data: Data,
    /// Prices in force.
    pub prices: Table,
    /// Values that it assumes.
    pub assumptions: Vec<Assumption>,
}

impl Plan {
    /// Setup of one replication of a design.
    pub fn setup<'a>(&'a self, design: &'a DesignSpec, replication: u64) -> Setup<'a> {
        Setup {
            design,
            workload: &self.scenario.workload,
            work: &self.scenario.work,
            data: &self.data,
            era: self.scenario.era,
            seed: self.scenario.run.seed,
            replication,
            horizon: self.scenario.run.horizon,
        }
    }

    /// The same plan for another scenario, given with all defaults; files and prices stay.
    ///
    /// # Errors
    /// What the scenario does not allow, in words.
    pub fn with(&self, resolved: serde_json::Value) -> Result<Plan, String> {
        let scenario: Scenario =
            serde_json::from_value(resolved.clone()).map_err(|why| why.to_string())?;
        let problems = check(&scenario, &self.data, Some(&self.prices));
        if let Some(problem) = problems.iter().find(|problem| !problem.code.starts_with('W')) {
            return Err(format!("{}: {}", problem.code, problem.message));
        }
        Ok(Plan { scenario, resolved, ..self.clone() })
    }

    /// 64-bit digest of the resolved scenario and its files, in hexadecimal.
    pub fn digest(&self) -> String {
        let key = Key::root(0, 0).named(&self.resolved.to_string()).named(&self.data.fingerprint());
        format!("{:016x}", key.bits())
    }
}
