//! The whole way from bytes to a scenario that means something, with all findings on the way.

use super::check::check;
use super::finding::{Finding, Findings};
use super::laws;
use super::path::Path;
use super::resolve::unknown_assumed_paths;
use super::schema::schema_of_scenario;
use super::shape::check_shape;
use super::spec::Scenario;
use super::tree::{Tree, parse};
use crate::model::client::Load;
use crate::model::data::Data;
use crate::model::work::StepSpec;
use crate::price::Table;
use serde_json::Value;

/// A text that has the shape of a scenario.
#[derive(Debug, Clone)]
pub struct Read {
    /// With defaults filled in.
    pub scenario: Scenario,
    /// As it was written.
    pub said: Value,
    /// With defaults filled in, as JSON.
    pub resolved: Value,
    /// The schema it was held against.
    pub schema: &'static Value,
    tree: Tree,
}

/// Reads bytes up to the shape of a scenario. Without errors in the findings there is one.
pub fn read(bytes: &[u8]) -> (Option<Read>, Findings) {
    let (tree, findings) = parse(bytes);
    match tree {
        Some(tree) => read_tree(tree, findings),
        None => (None, findings),
    }
}

/// Holds a tree against the schema and reads it; `findings` are those of the text.
pub(super) fn read_tree(tree: Tree, mut findings: Findings) -> (Option<Read>, Findings) {
    let schema = schema_of_scenario();
    findings.extend(check_shape(&tree, schema));
    if findings.has_errors() {
        return (None, findings);
    }
    let said = tree.to_json();
    match serde_json::from_value::<Scenario>(said.clone()) {
        Ok(mut scenario) => {
            super::drivers::fill(&mut scenario);
            let resolved = serde_json::to_value(&scenario).unwrap_or_default();
            (Some(Read { scenario, said, resolved, schema, tree }), findings)
        }
        Err(why) => {
            // The shape check should have found this: say it all the same, at the beginning.
            let root = Path::default();
            findings.push(Finding::error("E0299", &root, tree.place(&root), why.to_string()));
            (None, findings)
        }
    }
}

/// What helps against a distribution that cannot be drawn from.
const LAWS: &str = "see `headroom explain work.*.cpu` for the forms of a distribution";

impl Read {
    /// Findings of meaning, placed in the text.
    pub fn check(&self, data: &Data, prices: Option<&Table>) -> Findings {
        let mut findings =
            unknown_assumed_paths(&self.tree, &self.resolved, &self.scenario.assumed);
        for problem in check(&self.scenario, data, prices) {
            let path = Path::parse(&problem.path);
            let place = self.tree.place(&path);
            let finding = if problem.code.starts_with('W') {
                Finding::warning(problem.code, &path, place, problem.message)
            } else {
                Finding::error(problem.code, &path, place, problem.message)
            };
            findings.push(finding.remedy(problem.remedy));
        }
        laws::check(&self.resolved, self.schema, data, &mut |path, why| {
            let finding = Finding::error("E0307", &path, self.tree.place(&path), why);
            findings.push(finding.remedy(LAWS));
        });
        findings
    }

    /// Files that the scenario names, each with the path of the place that names it.
    pub fn files(&self) -> Vec<(String, Path)> {
        let mut files = Vec::new();
        for (name, class) in &self.scenario.workload {
            if let Load::Trace(trace) = &class.load {
                let path =
                    Path::default().key("workload").key(name).key("load").key("trace").key("file");
                files.push((trace.file.clone(), path));
            }
        }
        for (name, steps) in &self.scenario.work {
            for (i, step) in steps.iter().enumerate() {
                let mut found = Vec::new();
                match step {
                    StepSpec::Cpu(law) | StepSpec::Wait(law) => law.files(&mut found),
                    StepSpec::Query(query) => query.hold.files(&mut found),
                    StepSpec::Call(_)
                    | StepSpec::Publish(_)
                    | StepSpec::Event(_)
                    | StepSpec::Fail(_) => {}
                }
                let path = Path::default().key("work").key(name).index(i);
                files.extend(found.into_iter().map(|file| (file, path.clone())));
            }
        }
        files
    }

    /// A finding at a place of the text.
    pub fn finding(&self, code: &'static str, path: &Path, what: String) -> Finding {
        Finding::error(code, path, self.tree.place(path), what)
    }
}
