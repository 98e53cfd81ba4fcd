//! A checked scenario with all it needs: ready to run, any number of times, with the same outcome.

use super::result::{Assumption, ScenarioRef};
use crate::kernel::Key;
use crate::model::data::Data;
use crate::model::world::{DesignSpec, Setup};
use crate::price::Table;
use crate::scenario::spec::Scenario;
use crate::scenario::{self, Assignment, Path, Severity};
use serde_json::Value;

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario with defaults filled in.
    pub scenario: Scenario,
    /// The same as JSON, for the result.
    pub resolved: Value,
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
    pub fn instead(&self, resolved: Value) -> Result<Plan, String> {
        let read: Scenario =
            serde_json::from_value(resolved.clone()).map_err(|why| why.to_string())?;
        let problems = scenario::check(&read, &self.data, Some(&self.prices));
        if let Some(problem) = problems.iter().find(|problem| !problem.code.starts_with('W')) {
            return Err(format!("{}: {}", problem.code, problem.message));
        }
        Ok(Plan { scenario: read, resolved, ..self.clone() })
    }

    /// The same plan with some values in place of others, checked as if it had been written so.
    ///
    /// # Errors
    /// Says everything that is wrong with the scenario that comes out.
    pub fn with(&self, paths: &[Path], values: &[Value]) -> Result<Plan, String> {
        let assignments: Vec<Assignment> =
            paths.iter().cloned().zip(values.iter().cloned()).collect();
        let text = self.resolved.to_string();
        let (read, mut findings) = scenario::read_varied(text.as_bytes(), &assignments);
        if let Some(read) = &read {
            findings.extend(read.check(&self.data, Some(&self.prices)));
        }
        let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error);
        match read {
            Some(read) if errors().next().is_none() => Ok(Plan {
                scenario: read.scenario,
                resolved: read.resolved,
                data: self.data.clone(),
                prices: self.prices.clone(),
                assumptions: self.assumptions.clone(),
            }),
            _ => {
                let what: Vec<String> = values.iter().map(ToString::to_string).collect();
                let why: Vec<String> = errors()
                    .map(|f| [f.path.as_str(), &f.message, &f.remedy].join(": "))
                    .map(|text| text.trim_end_matches(": ").to_owned())
                    .collect();
                Err(format!("with {}: {}", what.join(", "), why.join("; ")))
            }
        }
    }

    /// The value at a path of the resolved scenario; the first where `*` stands for several.
    pub fn value(&self, path: &str) -> Option<&Value> {
        Path::parse(path).find(&self.resolved)
    }

    /// Names the scenario and fixes its content.
    pub fn reference(&self) -> ScenarioRef {
        let scenario = &self.scenario;
        ScenarioRef {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            digest: self.digest(),
            era: scenario.era.name().into(),
            region: scenario.region.clone(),
        }
    }

    /// 64-bit digest of the resolved scenario and its files, in hexadecimal.
    pub fn digest(&self) -> String {
        let key = Key::root(0, 0).named(&self.resolved.to_string()).named(&self.data.fingerprint());
        format!("{:016x}", key.bits())
    }
}
