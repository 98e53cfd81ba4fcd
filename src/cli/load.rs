//! From a path to a plan: read, check, price, resolve; findings go to standard error.

use super::args::{ScenarioArgs, Shared};
use super::{Exit, files, say};
use crate::experiment::Plan;
use crate::experiment::result::Assumption;
use crate::model::data::{Data, Table as Csv};
use crate::price::Table;
use crate::scenario::{self, Findings, Read};
use std::path::Path;

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

/// Reads a scenario and everything it names.
pub(super) fn load(args: &ScenarioArgs) -> Result<Loaded, Exit> {
    let (name, bytes, base) = match &args.file {
        None => ("built-in scenario".to_owned(), BUILT_IN.as_bytes().to_vec(), None),
        Some(path) => {
            let bytes = files::read(path).map_err(|why| {
                say::error(&why.to_string());
                Exit::Usage
            })?;
            (path.display().to_string(), bytes, path.parent())
        }
    };
    let (mut read, mut findings) = scenario::read(&bytes);
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
            let at = base.unwrap_or(Path::new("")).join(&file);
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
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Loaded { name, text, read, findings, data, prices })
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
    let loaded = load(args)?;
    loaded.tell(shared);
    if loaded.findings.has_errors() {
        return Err(Exit::Usage);
    }
    let assumptions = loaded.assumptions();
    match (loaded.read, loaded.prices) {
        (Some(read), Some(prices)) => Ok(Plan {
            scenario: read.scenario,
            resolved: read.resolved,
            data: loaded.data,
            prices,
            assumptions,
        }),
        _ => Err(Exit::Usage),
    }
}
