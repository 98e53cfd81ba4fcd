//! From a path to a plan: read, check, price, resolve; findings go to standard error.

use super::args::{ScenarioArgs, Shared};
use super::{Exit, files, say};
use crate::experiment::Plan;
use crate::experiment::result::Assumption;
use crate::model::data::{Data, Table as Csv};
use crate::price::Table;
use crate::scenario::{self, Assignment, Findings, Read};
use std::path::{Path, PathBuf};

/// The scenario that runs when none is named.
pub(super) const BUILT_IN: &str = include_str!("../../scenarios/lambda-to-kubernetes.json");

/// A scenario that was read, with what was found.
pub(super) struct Loaded {
    /// Name of the file, for messages.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// What was read, if its shape is right.
    pub(super) read: Option<Read>,
    /// Everything that is wrong.
    pub(super) findings: Findings,
    /// Files that it names.
    pub(super) data: Data,
    /// Prices in force.
    pub(super) prices: Option<Table>,
}

/// The text of a scenario, read once.
pub(super) struct Source {
    /// Name of the file, for messages.
    pub(super) name: String,
    /// As it stands in the file.
    pub(super) bytes: Vec<u8>,
    /// Where the files that it names are looked for.
    base: PathBuf,
}

/// Reads the text of a scenario.
pub(super) fn source(args: &ScenarioArgs) -> Result<Source, Exit> {
    let Some(path) = &args.file else {
        let (name, bytes) = ("built-in scenario".to_owned(), BUILT_IN.as_bytes().to_vec());
        return Ok(Source { name, bytes, base: PathBuf::new() });
    };
    let bytes = files::read(path).map_err(|why| {
        say::error(&why.to_string());
        Exit::Usage
    })?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Source { name: path.display().to_string(), bytes, base })
}

/// Reads a scenario and everything it names.
pub(super) fn load(args: &ScenarioArgs) -> Result<Loaded, Exit> {
    load_point(&source(args)?, args, &[])
}

/// Reads a scenario with values in place of its own, and everything it names.
pub(super) fn load_point(
    source: &Source,
    args: &ScenarioArgs,
    values: &[Assignment],
) -> Result<Loaded, Exit> {
    let (mut read, mut findings) = scenario::read_varied(&source.bytes, values);
    let mut data = Data::default();
    let mut prices = None;
    if let Some(read) = &mut read {
        if let Some(seed) = args.seed {
            read.scenario.run.seed = seed;
        }
        if let Some(replications) = args.replications {
            read.scenario.run.replications = replications;
        }
        read.resolved = serde_json::to_value(&read.scenario).unwrap_or_default();
        for (file, path) in read.files() {
            let at = source.base.join(&file);
            match files::read(&at).map_err(|why| why.to_string()).and_then(|bytes| table(&bytes)) {
                Ok(csv) => data.insert(&file, csv),
                Err(why) => findings.push(
                    read.finding("E0328", &path, why)
                        .remedy("the path is relative to the scenario"),
                ),
            }
        }
        prices = price_table(args, &read.scenario.region)?;
        findings.extend(read.check(&data, prices.as_ref()));
    }
    let text = String::from_utf8_lossy(&source.bytes).into_owned();
    Ok(Loaded { name: source.name.clone(), text, read, findings, data, prices })
}

/// Splits a CSV file with a header.
fn table(bytes: &[u8]) -> Result<Csv, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let header = reader.headers().map_err(|why| format!("not a CSV file: {why}"))?;
    let header = header.iter().map(str::to_owned).collect();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|why| format!("not a CSV file: {why}"))?;
        Ok(record.iter().map(str::to_owned).collect())
    };
    let rows = reader.records().map(row).collect::<Result<_, String>>()?;
    Ok(Csv { header, rows })
}

/// The region's table, with the user's own on top.
fn price_table(args: &ScenarioArgs, region: &str) -> Result<Option<Table>, Exit> {
    let built_in = Table::builtin(region);
    let Some(path) = &args.prices else { return Ok(built_in) };
    let fail = |why: String| {
        say::error(&format!("error[E0320]: {}: {why}", path.display()));
        Exit::Usage
    };
    let bytes = files::read(path).map_err(|why| fail(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("not UTF-8 text".into()))?;
    let own = Table::parse(&text).map_err(|why| fail(why.to_string()))?;
    match built_in {
        Some(table) => table.overlaid(&own).map(Some).map_err(|why| fail(why.to_string())),
        None => Ok(Some(own)),
    }
}

impl Loaded {
    /// Shows all findings on standard error.
    pub(super) fn tell(&self, shared: &Shared) {
        if self.findings.is_empty() || (shared.quiet && !self.findings.has_errors()) {
            return;
        }
        let colour = files::wants_colour(shared.color);
        say::error(
            scenario::render_text(&self.name, &self.text, &self.findings, colour).trim_end(),
        );
    }

    /// Tells the findings; a plan if none of them is an error.
    pub(super) fn told(self, shared: &Shared) -> Option<Plan> {
        self.tell(shared);
        self.plan()
    }

    /// A plan if there is no error.
    pub(super) fn plan(self) -> Option<Plan> {
        if self.findings.has_errors() {
            return None;
        }
        let assumptions = self.assumptions();
        let (read, prices) = self.read.zip(self.prices)?;
        Some(Plan {
            scenario: read.scenario,
            resolved: read.resolved,
            data: self.data,
            prices,
            assumptions,
        })
    }

    /// Every value that was assumed.
    pub(super) fn assumptions(&self) -> Vec<Assumption> {
        let Some(read) = &self.read else { return Vec::new() };
        scenario::assumptions(&read.said, &read.resolved, read.schema, &read.scenario.assumed)
            .into_iter()
            .map(|row| Assumption { path: row.path, value: row.value, why: row.why })
            .collect()
    }
}

/// A plan, or the reason to stop; findings have been told.
pub(super) fn plan(args: &ScenarioArgs, shared: &Shared) -> Result<Plan, Exit> {
    load(args)?.told(shared).ok_or(Exit::Usage)
}
