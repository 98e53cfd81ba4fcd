//! Values put in place of others: the axes of a sweep or of a search, and the points between them.
//!
//! An axis is a path and the values it takes, `workload.*.load.closed.users=100..2000:100`. A `*` stands for every name or
//! index at its place; where a branch has no such place (a design without that node, a node of another kind) it is passed
//! over, but one place at least must be found. Keys that are not written but that the schema knows are added.

use super::finding::{Finding, Findings};
use super::path::{Path, Segment};
use super::read::{Read, read_tree};
use super::schema::{branches, names_below, schema_of_scenario, step, unwrap_optional};
use super::tree::{Entry, Kind, Tree, parse};
use super::vary_values::values;
use super::words::{did_you_mean, plain, quoted};
use serde_json::Value;
use std::ops::Range;

/// Most points of a cross product.
pub const POINTS_MAX: usize = 100_000;

/// A path and the values that it takes one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Where the values go; may hold `*`.
    pub path: Path,
    /// The values, at least one, in the order given.
    pub values: Vec<Value>,
}

/// A value for a path.
pub type Assignment = (Path, Value);

impl Axis {
    /// Reads `PATH=VALUES`.
    ///
    /// # Errors
    /// A finding without a place: E0230 without `=`, E0231 for values that cannot be read.
    #[expect(clippy::result_large_err, reason = "one finding, on the way to the user")]
    pub fn parse(text: &str) -> Result<Axis, Finding> {
        let Some((path, list)) = split(text).filter(|(path, _)| !path.trim().is_empty()) else {
            let what = format!("{} is not of the form PATH=VALUES", quoted(text));
            let remedy = "write it like workload.*.load.closed.users=100..2000:100";
            return Err(unplaced("E0230", &Path::default(), what).remedy(remedy));
        };
        let path = Path::parse(path);
        let values = values(list).map_err(|(what, remedy)| {
            unplaced("E0231", &path, format!("the values for `{path}`: {what}")).remedy(remedy)
        })?;
        Ok(Axis { path, values })
    }

    /// The last name of the path, for columns and charts, e.g. `users`.
    pub fn name(&self) -> String {
        let mut names = self.path.0.iter().rev().filter_map(|segment| match segment {
            Segment::Key(key) if key != "*" => Some(key.clone()),
            _ => None,
        });
        names.next().unwrap_or_else(|| self.path.to_string())
    }
}

/// A value as text: texts without their quotes.
pub fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// All combinations of the axes' values; the last axis changes fastest.
///
/// # Errors
/// E0232 if an axis is given twice, or if there are more than [`POINTS_MAX`] points.
#[expect(clippy::result_large_err, reason = "one finding, on the way to the user")]
pub fn points(axes: &[Axis]) -> Result<Vec<Vec<Assignment>>, Finding> {
    for (i, axis) in axes.iter().enumerate() {
        if axes[..i].iter().any(|other| other.path == axis.path) {
            let what = format!("`{}` is varied twice", axis.path);
            let remedy = "give all its values in one list";
            return Err(unplaced("E0232", &axis.path, what).remedy(remedy));
        }
    }
    let count = axes.iter().try_fold(1_usize, |n, axis| n.checked_mul(axis.values.len()));
    if count.is_none_or(|n| n > POINTS_MAX) {
        let what = format!("more than {POINTS_MAX} points");
        let remedy = "take fewer values, larger steps or fewer axes";
        return Err(unplaced("E0232", &Path::default(), what).remedy(remedy));
    }
    let mut all: Vec<Vec<Assignment>> = vec![Vec::new()];
    for axis in axes {
        let longer = |point: &Vec<Assignment>, value: &Value| {
            let mut point = point.clone();
            point.push((axis.path.clone(), value.clone()));
            point
        };
        all = all
            .iter()
            .flat_map(|point| axis.values.iter().map(move |value| longer(point, value)))
            .collect();
    }
    Ok(all)
}

/// Reads a text with some values in place of its own: the same checks of shape as [`super::read()`] makes.
pub fn read_varied(bytes: &[u8], assignments: &[Assignment]) -> (Option<Read>, Findings) {
    let (tree, mut findings) = parse(bytes);
    let Some(mut tree) = tree else { return (None, findings) };
    if findings.has_errors() {
        return (None, findings);
    }
    findings.extend(assign(&mut tree, assignments));
    if findings.has_errors() {
        return (None, findings);
    }
    read_tree(tree, findings)
}

/// Puts values into a tree; a value keeps the place of the one that it replaces, or of the map that it is added to.
/// E0233 for each path that leads nowhere.
fn assign(tree: &mut Tree, assignments: &[Assignment]) -> Findings {
    let schema = schema_of_scenario();
    let mut findings = Findings::new();
    for (path, value) in assignments {
        let mut walk = Walk { root: schema, path, found: Vec::new(), nowhere: None };
        walk.from(Some(tree), schema, Path::default());
        let (found, nowhere) = (walk.found, walk.nowhere);
        if found.is_empty() {
            let (_, so_far, what, remedy) =
                nowhere.unwrap_or((0, Path::default(), "it is empty".into(), String::new()));
            let place = tree.place(&so_far);
            let what = format!("`{path}` leads nowhere: {what}");
            findings.push(Finding::error("E0233", path, place, what).remedy(remedy));
        }
        for (place, text_wanted) in found {
            put(tree, &place.0, value, text_wanted);
        }
    }
    findings
}

/// From a pattern to the places it names.
struct Walk<'a> {
    root: &'a Value,
    path: &'a Path,
    /// Each place, and whether a text stands there even if it looks like a number.
    found: Vec<(Path, bool)>,
    /// The deepest dead end: how deep, where, why, and what would go on.
    nowhere: Option<(usize, Path, String, String)>,
}

impl<'a> Walk<'a> {
    fn from(&mut self, tree: Option<&Tree>, schema: &'a Value, so_far: Path) {
        let depth = so_far.0.len();
        let schema = unwrap_optional(self.root, schema);
        let Some(segment) = self.path.0.get(depth) else {
            if depth > 0 {
                let text = schema.get("x-unit").is_none()
                    && branches(schema).is_none()
                    && (schema.get("type").and_then(Value::as_str) == Some("string"));
                self.found.push((so_far, text));
            }
            return;
        };
        let tree = tree.filter(|tree| tree.kind != Kind::Null);
        match (segment, tree.map(|tree| &tree.kind)) {
            (Segment::Key(key), Some(Kind::Map(entries))) if key == "*" => {
                for entry in entries {
                    let next = step(self.root, schema, &entry.key);
                    self.further(Some(&entry.value), next, so_far.key(&entry.key));
                }
                if entries.is_empty() {
                    self.dead_end(so_far, "there is nothing in it".into(), String::new());
                }
            }
            (Segment::Key(key), Some(Kind::List(items))) if key == "*" => {
                for (i, item) in items.iter().enumerate() {
                    self.further(Some(item), schema.get("items"), so_far.index(i));
                }
                if items.is_empty() {
                    self.dead_end(so_far, "there is nothing in it".into(), String::new());
                }
            }
            (Segment::Index(i), Some(Kind::List(items))) => match items.get(*i) {
                Some(item) => self.further(Some(item), schema.get("items"), so_far.index(*i)),
                None => {
                    let what = format!("the list has {} items, counted from 0", items.len());
                    self.dead_end(so_far, what, String::new());
                }
            },
            (Segment::Key(key), Some(Kind::Map(entries))) => {
                match entries.iter().rev().find(|entry| entry.key == *key) {
                    Some(entry) => {
                        let next = step(self.root, schema, key);
                        self.further(Some(&entry.value), next, so_far.key(key));
                    }
                    None => self.missing(key, entries, schema, so_far),
                }
            }
            (Segment::Key(key), None) if key != "*" => self.missing(key, &[], schema, so_far),
            (_, None) => self.dead_end(so_far, "nothing is written there".into(), String::new()),
            (_, Some(_)) => {
                let sort = tree.map_or("", Tree::sort);
                let remedy = "end the path there, or give the whole value as JSON";
                self.dead_end(so_far, format!("there is {sort}"), remedy.into());
            }
        }
    }

    fn further(&mut self, tree: Option<&Tree>, schema: Option<&'a Value>, so_far: Path) {
        // A key without a schema is an error of shape: it is found there.
        match schema {
            Some(schema) => self.from(tree, schema, so_far),
            None => self.dead_end(so_far, "there is no such key".into(), String::new()),
        }
    }

    /// A key that is not written: added where the schema knows it, refused where a name or another kind would be made up.
    fn missing(&mut self, key: &str, entries: &[Entry], schema: &'a Value, so_far: Path) {
        let known = schema.get("properties").and_then(|all| all.get(key));
        let kind = branches(schema).filter(|_| entries.is_empty());
        let next = known.or_else(|| kind.and_then(|_| step(self.root, schema, key)));
        if let Some(next) = next {
            return self.from(None, next, so_far.key(key));
        }
        let closed = names_below(self.root, schema);
        let written: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let names: Vec<&str> = if schema.get("properties").is_some() {
            closed.iter().map(String::as_str).collect()
        } else {
            written
        };
        let remedy = did_you_mean(key, &names);
        self.dead_end(so_far, format!("there is no {}", quoted(key)), remedy);
    }

    fn dead_end(&mut self, at: Path, what: String, remedy: String) {
        let depth = at.0.len();
        if self.nowhere.as_ref().is_none_or(|(before, ..)| depth > *before) {
            let below = if depth == 0 {
                what
            } else {
                format!("{what} below `{}`", plain(&at.to_string()))
            };
            self.nowhere = Some((depth, at, below, remedy));
        }
    }
}

/// Puts a value at a place, making the maps on the way.
fn put(tree: &mut Tree, path: &[Segment], value: &Value, text_wanted: bool) {
    let span = tree.span.clone();
    let Some((first, rest)) = path.split_first() else {
        *tree = leaf(value, span, text_wanted);
        return;
    };
    match (first, &mut tree.kind) {
        (Segment::Index(i), Kind::List(items)) => {
            if let Some(item) = items.get_mut(*i) {
                put(item, rest, value, text_wanted);
            }
        }
        (Segment::Key(key), kind) => {
            if !matches!(kind, Kind::Map(_)) {
                *kind = Kind::Map(Vec::new());
            }
            let Kind::Map(entries) = kind else { return };
            let at = entries.iter().rposition(|entry| entry.key == *key).unwrap_or_else(|| {
                let first = span.start..(span.start + 1).min(span.end);
                entries.push(Entry {
                    key: key.clone(),
                    key_span: first.clone(),
                    value: Tree { kind: Kind::Null, span: first },
                });
                entries.len() - 1
            });
            put(&mut entries[at].value, rest, value, text_wanted);
        }
        (Segment::Index(_), _) => {}
    }
}

/// A JSON value as a tree, all of it at one place.
fn leaf(value: &Value, span: Range<usize>, text_wanted: bool) -> Tree {
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Number(number) if text_wanted => Kind::Text(number.to_string()),
        Value::Bool(b) if text_wanted => Kind::Text(b.to_string()),
        Value::Bool(b) => Kind::Bool(*b),
        Value::Number(number) => {
            Kind::Number(number.as_f64().unwrap_or_default(), number.to_string())
        }
        Value::String(text) => Kind::Text(text.clone()),
        Value::Array(items) => {
            Kind::List(items.iter().map(|item| leaf(item, span.clone(), false)).collect())
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| Entry {
                key: key.clone(),
                key_span: span.clone(),
                value: leaf(value, span.clone(), false),
            };
            Kind::Map(map.iter().map(entry).collect())
        }
    };
    Tree { kind, span }
}

fn unplaced(code: &'static str, path: &Path, what: String) -> Finding {
    Finding::error(code, path, 0..0, what).unplaced()
}

/// Splits at the first `=` that does not stand in quotes.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '=' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}
