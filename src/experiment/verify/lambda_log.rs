//! Logs of real requests to a Lambda function: their arrivals are replayed in era `y2020`, and what the simulator says of
//! execution environments stands beside what the log shows. docs/lambda-log.md has the form of a log, the fit and its
//! residuals.

use crate::experiment::replicate::{Observer, RunError, replicate};
use crate::experiment::verification::{Case, Metric};
use crate::experiment::verify::plan;
use crate::model::compute::lambda::SEEN_AFTER;
use crate::model::data::{Data, Table};
use crate::model::world::Outturn;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Columns that a log must have; others are passed over.
const COLUMNS: [&str; 5] = ["start_s", "instance", "cold", "duration_ms", "client_elapsed_ms"];
/// A start is slow if the time outside the handler is longer than usual by this, seconds. The logs have nothing near it:
/// a first request is either as quick as any other or later by 0.2 s and more.
const SLOW: f64 = 0.15;
/// Blocks for the standard error, seconds: the longest memory of the platform is the life of an environment.
const BLOCK: f64 = 7200.0;
/// How far off the mean number of environments may be, relative.
const ENVIRONMENTS: f64 = 0.05;
/// How many standard errors a share may be off.
const ERRORS: f64 = 2.0;

/// A log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Its name.
    pub id: String,
    rows: Vec<Row>,
}

/// One request, times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    start: f64,
    instance: u64,
    /// First request on its environment.
    new: bool,
    duration: f64,
    elapsed: f64,
}

/// A log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a log: comma-separated, a header, one row a request in order of start.
///
/// # Errors
/// The first line that is wrong.
pub fn read(id: &str, text: &str) -> Result<Log, LogError> {
    let wrong = |line: usize, what: String| LogError { line, what };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, header) = lines.next().ok_or_else(|| wrong(1, "the file is empty".into()))?;
    let header: Vec<&str> =
        header.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = header.iter().position(|name| *name == column).ok_or_else(|| {
            wrong(1, format!("no column {column}; a log has {}", COLUMNS.join(", ")))
        })?;
    }
    let mut rows: Vec<Row> = Vec::new();
    for (at, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if fields.len() != header.len() {
            let what = format!("{} fields under a header of {}", fields.len(), header.len());
            return Err(wrong(at + 1, what));
        }
        let mut values = [0.0; COLUMNS.len()];
        for ((value, place), column) in values.iter_mut().zip(places).zip(COLUMNS) {
            let number = fields[place].parse::<f64>().ok().filter(|v| (0.0..1e9).contains(v));
            *value = number.ok_or_else(|| {
                wrong(at + 1, format!("{column} is \"{}\", not a number from 0 on", fields[place]))
            })?;
        }
        let [start, instance, cold, duration, elapsed] = values;
        if instance.fract() > 0.0 || cold.fract() > 0.0 || cold > 1.0 {
            let what = "instance must be a whole number, cold 0 or 1".into();
            return Err(wrong(at + 1, what));
        }
        if rows.last().is_some_and(|last| last.start > start) {
            return Err(wrong(at + 1, "starts before the row above it".into()));
        }
        rows.push(Row {
            start,
            instance: instance as u64,
            new: cold > 0.0,
            duration: duration / 1e3,
            elapsed: elapsed / 1e3,
        });
    }
    let log = Log { id: id.to_owned(), rows };
    if log.rows.len() < 2 || log.end() <= 0.0 || log.warm().next().is_none() {
        return Err(wrong(2, "too few requests to compare anything".into()));
    }
    Ok(log)
}

impl Log {
    fn warm(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.new)
    }

    /// End of the last answer.
    fn end(&self) -> f64 {
        self.rows.iter().map(|row| row.start + row.elapsed).fold(0.0, f64::max)
    }

    /// Environments that were there before the log began: their first request in it is not their first.
    fn there_before(&self) -> u64 {
        let mut known = BTreeMap::new();
        for row in &self.rows {
            known.entry(row.instance).or_insert(row.new);
        }
        known.values().filter(|new| !**new).count() as u64
    }

    /// Usual time outside the handler: the median over warm requests.
    fn overhead(&self) -> f64 {
        let mut times: Vec<f64> = self.warm().map(|row| row.elapsed - row.duration).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    }

    /// Mean and relative deviation of the handler's time on environments that are not new.
    fn duration(&self) -> (f64, f64) {
        let n = self.warm().count() as f64;
        let mean = self.warm().map(|row| row.duration).sum::<f64>() / n;
        let spread = self.warm().map(|row| (row.duration - mean) * (row.duration - mean));
        (mean, (spread.sum::<f64>() / n).sqrt() / mean)
    }

    /// Share of requests that are so, and its standard error from blocks: shares of neighbouring requests depend on each
    /// other, those two hours apart hardly do.
    fn share(&self, is: impl Fn(&Row) -> bool) -> (f64, f64) {
        let n = self.rows.len() as f64;
        let share = self.rows.iter().filter(|row| is(row)).count() as f64 / n;
        let end = self.end();
        let blocks = ((end / BLOCK) as usize).max(2);
        let mut residuals = vec![0.0; blocks];
        for row in &self.rows {
            let at = ((row.start / end * blocks as f64) as usize).min(blocks - 1);
            residuals[at] += f64::from(u8::from(is(row))) - share;
        }
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let b = blocks as f64;
        (share, (squares * b / (b - 1.0)).sqrt() / n)
    }

    /// Mean number of environments to be seen: each from its first request to ten minutes after its last.
    fn environments(&self) -> f64 {
        let mut spans: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for row in &self.rows {
            let end = row.start + row.elapsed;
            let span = spans.entry(row.instance).or_insert((row.start, end));
            span.1 = span.1.max(end);
        }
        let end = self.end();
        let tail = SEEN_AFTER.as_secs_f64();
        let seen = |(first, last): &(f64, f64)| (last + tail).min(end) - first;
        spans.values().map(seen).sum::<f64>() / end
    }
}

/// The scenario that replays a log. Of the log it takes what the platform is given: the arrivals, and the law of the
/// handler's time. All that the platform decides comes from the era.
///
/// Time before a request that starts an environment reaches it: the quantiles of the 183 slow first requests of the five
/// logs in tests/data, less the usual overhead. It has two modes, at 0.27 and 0.55 s.
pub fn scenario(log: &Log, file: &str) -> Value {
    let (mean, cv) = log.duration();
    let quantiles: Vec<Value> =
        STARTS.iter().map(|(q, ms)| json!({"q": q, "value": format!("{ms}ms")})).collect();
    let function = json!({
        "account": "main",
        "runtime": "python3.9",
        "memory": "128MB",
        "timeout": "900s",
        "place": {"empirical": {"quantiles": quantiles}},
        "init": {"constant": "0s"},
    });
    json!({
        "name": log.id,
        "about": "Arrivals of a real log; the handler's time is the law of its warm requests",
        "era": "y2020",
        "workload": {"client": {
            "load": {"trace": {"file": file, "format": {"starts": {"column": "start_s", "unit": "1s"}}}},
            "request": "request",
            "connection": {"tls": false, "rtt": "0s"},
        }},
        "work": {"request": [{"wait": {"lognormal": {"mean": format!("{}us", (mean * 1e6).round()), "cv": cv}}}]},
        "designs": {"log": {
            "enter": {"client": "function"},
            "nodes": {"function": {"lambda": function}},
            "accounts": {"main": {"concurrency": 1000}},
        }},
    })
}

/// Quantiles of the time before a slow first request, milliseconds.
const STARTS: [(f64, u32); 11] = [
    (0.0, 202),
    (0.1, 252),
    (0.25, 265),
    (0.4, 284),
    (0.5, 320),
    (0.52, 490),
    (0.6, 519),
    (0.8, 578),
    (0.95, 622),
    (0.98, 750),
    (1.0, 1445),
];

/// Replays a log and judges what came of it.
///
/// # Errors
/// The run was interrupted; anything else that is wrong is a case that is missed.
pub fn predict(log: &Log, replications: u32, observer: &dyn Observer) -> Result<Case, RunError> {
    let (mean, _) = log.duration();
    let (hours, n) = (log.end() / 3600.0, log.rows.len());
    let title = format!("{n} requests of {mean:.2} s in {hours:.1} h");
    let missed = |why: String| Ok(Case::failed(&log.id, KIND, &title, why));
    let mut text = scenario(log, FILE);
    text["run"] = json!({"replications": replications});
    let rows = log.rows.iter().map(|row| vec![row.start.to_string()]).collect();
    let mut data = Data::default();
    data.insert(FILE, Table { header: vec!["start_s".into()], rows });
    let plan = match plan(&text, data) {
        Ok(plan) => plan,
        Err(why) => return missed(why),
    };
    match replicate(&plan, observer) {
        Ok(rows) => Ok(judge(log, &title, &rows[0])),
        Err(interrupted @ RunError::Interrupted { .. }) => Err(interrupted),
        Err(why) => missed(why.to_string()),
    }
}

const KIND: &str = "lambda-log";
const FILE: &str = "log.csv";

fn judge(log: &Log, title: &str, outturns: &[Outturn]) -> Case {
    let n = log.rows.len() as f64;
    let mean = |name: &str| {
        let one = |outturn: &Outturn| {
            let counters = outturn.reports.iter().flat_map(|report| &report.counters);
            counters
                .filter(|counter| counter.0 == name)
                .map(|counter| counter.1 as f64)
                .sum::<f64>()
        };
        outturns.iter().map(one).sum::<f64>() / outturns.len() as f64
    };
    // A simulation begins without environments, the log with some: starting those is no prediction.
    let before = log.there_before() as f64;
    let share = |name: &str| (mean(name) - before).max(0.0) / n;
    let usual = log.overhead();
    let (new, new_error) = log.share(|row| row.new);
    let (slow, slow_error) = log.share(|row| row.new && row.elapsed - row.duration > usual + SLOW);
    let environments = log.environments();
    let seen = mean("environments_seen_ms") / 1e3 / log.end();
    let metrics = vec![
        Metric::near("new_environment", share("first_uses"), new, ERRORS * new_error),
        Metric::near("slow_start", share("slow_first_uses"), slow, ERRORS * slow_error),
        Metric::near("environments", seen, environments, ENVIRONMENTS * environments),
    ];
    Case::new(&log.id, KIND, title, metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "start_s,instance,cold,duration_ms,client_elapsed_ms\n";

    #[test]
    fn figures_of_a_small_log() {
        // Environment 0 was there before; 1 starts slowly, 2 quickly.
        let text = format!(
            "{HEAD}0,0,0,1000,1100\n100,1,1,1000,1600\n200,1,0,1000,1100\n7000,2,1,1000,1100\n8000,2,0,1000,1100\n"
        );
        let log = read("small", &text).unwrap();
        assert_eq!(log.there_before(), 1);
        assert!((log.overhead() - 0.1).abs() < 1e-9);
        assert!((log.share(|row| row.new).0 - 0.4).abs() < 1e-9);
        // 0: 1.1 + 600 s; 1: 100 to 201.1, + 600; 2: 7,000 to the end of the log at 8,001.1.
        let seen = 601.1 + 701.1 + 1001.1;
        assert!((log.environments() - seen / 8001.1).abs() < 1e-9);
        assert!((log.duration().0 - 1.0).abs() < 1e-9 && log.duration().1 < 1e-9);
    }

    #[test]
    fn every_kind_of_bad_line_is_named() {
        for (text, line, part) in [
            ("", 1, "empty"),
            ("start_s,cold\n", 1, "no column instance"),
            (&format!("{HEAD}0,0,0,1,1\n1,0,0,1\n"), 3, "4 fields"),
            (&format!("{HEAD}0,0,0,1,1\n\n1,0,0,x,1\n"), 4, "duration_ms is \"x\""),
            (&format!("{HEAD}0,0,0,1,1\n1,0,2,1,1\n"), 3, "cold 0 or 1"),
            (&format!("{HEAD}5,0,0,1,1\n1,0,0,1,1\n"), 3, "before the row above"),
            (&format!("{HEAD}0,0,0,NaN,1\n"), 2, "duration_ms"),
            (HEAD, 2, "too few"),
        ] {
            let error = read("bad", text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.what.contains(part), "{error}");
        }
    }
}
