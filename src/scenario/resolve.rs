//! What a scenario uses beyond what its author said: defaults, assumed values, declared assumptions.

use super::finding::{Finding, Findings};
use super::path::{Path, Segment};
use super::schema::{inside, unwrap_optional};
use super::tree::Tree;
use super::words::plain;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A value that nobody measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumed {
    /// Where.
    pub path: String,
    /// The value.
    pub value: String,
    /// Why it was chosen.
    pub why: String,
    /// Whether the author of the scenario declared it, or it is a default of ours.
    pub declared: bool,
}

/// A value that the author did not write.
struct Default<'a> {
    path: Path,
    value: &'a Value,
    source: Option<&'a str>,
    assumed: bool,
}

/// Walks what was resolved beside what was said and the schema; calls `found` for every default.
fn walk<'a>(
    said: Option<&Value>,
    resolved: &'a Value,
    root: &'a Value,
    schema: &'a Value,
    path: &Path,
    found: &mut dyn FnMut(Default<'a>),
) {
    if said.is_none() && !path.0.is_empty() {
        let inner = unwrap_optional(root, schema);
        let text = |name: &str| schema.get(name).or_else(|| inner.get(name));
        let assumed = text("x-assumed") == Some(&Value::Bool(true));
        let source = text("x-source").and_then(Value::as_str);
        if source.is_some() || !resolved.is_object() {
            found(Default { path: path.clone(), value: resolved, source, assumed });
            return;
        }
    }
    let at = unwrap_optional(root, schema);
    match resolved {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(schema) = inside(root, at, key) {
                    let said = said.and_then(|said| said.get(key));
                    walk(said, value, root, schema, &path.key(key), found);
                }
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                if let Some(schema) = at.get("items") {
                    let said = said.and_then(|said| said.get(i));
                    walk(said, value, root, schema, &path.index(i), found);
                }
            }
        }
        _ => {}
    }
}

/// A field that stays empty when its author says nothing, but whose schema marks what happens then as assumed: its value, if it is
/// one (`x-default`), and why. What follows from another field that is there (`x-follows`) is not assumed.
fn empty_assumed<'a>(
    resolved: &Value,
    root: &'a Value,
    schema: &'a Value,
    path: &Path,
    found: &mut dyn FnMut(Path, String, &'a str),
) {
    let at = unwrap_optional(root, schema);
    match resolved {
        Value::Object(map) => {
            for (key, property) in
                at.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                let text = |name: &str| property.get(name).and_then(Value::as_str);
                let assumed = property.get("x-assumed") == Some(&Value::Bool(true));
                let follows = text("x-follows")
                    .is_some_and(|others| others.split(' ').any(|other| map.contains_key(other)));
                if assumed && !follows && !map.contains_key(key) {
                    let value = property.get("x-default").map_or("by rule".into(), compact);
                    found(path.key(key), value, text("x-source").unwrap_or("assumed"));
                }
            }
            for (key, value) in map {
                if let Some(schema) = inside(root, at, key) {
                    empty_assumed(value, root, schema, &path.key(key), found);
                }
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                if let Some(schema) = at.get("items") {
                    empty_assumed(value, root, schema, &path.index(i), found);
                }
            }
        }
        _ => {}
    }
}

/// Every assumed value that a run uses: declared ones first.
pub fn assumptions(
    said: &Value,
    resolved: &Value,
    schema: &Value,
    declared: &BTreeMap<String, String>,
) -> Vec<Assumed> {
    let mut rows: Vec<Assumed> = declared
        .iter()
        .map(|(path, why)| Assumed {
            path: path.clone(),
            value: at(resolved, &Path::parse(path)).map(compact).unwrap_or_default(),
            why: why.clone(),
            declared: true,
        })
        .collect();
    let root = Path::default();
    let mut defaults = Vec::new();
    walk(Some(said), resolved, schema, schema, &root, &mut |default| {
        if default.assumed {
            defaults.push(Assumed {
                path: default.path.to_string(),
                value: compact(default.value),
                why: default.source.unwrap_or("assumed").to_owned(),
                declared: false,
            });
        }
    });
    empty_assumed(resolved, schema, schema, &root, &mut |path, value, source| {
        defaults.push(Assumed {
            path: path.to_string(),
            value,
            why: source.to_owned(),
            declared: false,
        });
    });
    rows.extend(defaults.into_iter().filter(|row| !declared.contains_key(&row.path)));
    rows
}

/// Declared assumptions whose path leads nowhere: one finding for all that are about one design or class that is not there.
pub fn unknown_assumed_paths(
    tree: &Tree,
    resolved: &Value,
    declared: &BTreeMap<String, String>,
) -> Findings {
    let mut findings = Findings::new();
    let mut report = |path: &str, what: String, remedy| {
        let place = Path::default().key("assumed").key(path);
        findings.push(Finding::error("E0217", &place, tree.place(&place), what).remedy(remedy));
    };
    let parsed = declared.keys().map(|path| (path, Path::parse(path)));
    let lost: Vec<_> = parsed.filter(|(_, path)| at(resolved, path).is_none()).collect();
    let owner = |path: &Path| Path(path.0.iter().take(2).cloned().collect());
    for of_one in lost.chunk_by(|(_, a), (_, b)| owner(a) == owner(b)) {
        let (first, path) = &of_one[0];
        let gone = owner(path);
        if of_one.len() > 1 && at(resolved, &gone).is_none() {
            let (n, gone) = (of_one.len(), plain(&gone.to_string()));
            let what = format!("{n} notes are about `{gone}`, which this scenario does not have");
            report(first, what, "take the notes out with it");
            continue;
        }
        for (path, _) in of_one {
            let what = format!("`{}` leads to no value of this scenario", plain(path));
            let remedy = "write the path as `headroom plan` shows it, e.g. designs.lambda.nodes.fn.lambda.memory";
            report(path, what, remedy);
        }
    }
    findings
}

fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(value, |at, segment| match segment {
        Segment::Key(key) => at.get(key),
        Segment::Index(i) => at.get(i),
    })
}

fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The resolved scenario as JSON with comments: what the author did not write says where it comes from.
pub fn mark_resolved(
    said: &Value,
    resolved: &Value,
    schema: &Value,
    declared: &BTreeMap<String, String>,
) -> String {
    let mut notes: BTreeMap<Path, String> = BTreeMap::new();
    walk(Some(said), resolved, schema, schema, &Path::default(), &mut |default| {
        let word = if default.assumed { "assumed" } else { "default" };
        let note = match default.source {
            Some(source) => format!("{word}: {source}"),
            None => word.to_owned(),
        };
        notes.insert(default.path, note);
    });
    for (path, why) in declared {
        notes.insert(Path::parse(path), format!("assumed: {why}"));
    }
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = print(&mut out, resolved, &Path::default(), 0, true, &notes);
    out
}

fn print(
    out: &mut String,
    value: &Value,
    path: &Path,
    depth: usize,
    last: bool,
    notes: &BTreeMap<Path, String>,
) -> std::fmt::Result {
    let comma = if last { "" } else { "," };
    let note = notes.get(path).map(|note| format!("  // {note}")).unwrap_or_default();
    let indent = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() && value.to_string().len() > 60 => {
            writeln!(out, "{{{note}")?;
            for (i, (key, inner)) in map.iter().enumerate() {
                write!(out, "{indent}{}: ", Value::from(key.as_str()))?;
                print(out, inner, &path.key(key), depth + 1, i + 1 == map.len(), notes)?;
            }
            writeln!(out, "{close}}}{comma}")
        }
        Value::Array(items) if !items.is_empty() && value.to_string().len() > 60 => {
            writeln!(out, "[{note}")?;
            for (i, inner) in items.iter().enumerate() {
                out.push_str(&indent);
                print(out, inner, &path.index(i), depth + 1, i + 1 == items.len(), notes)?;
            }
            writeln!(out, "{close}]{comma}")
        }
        other => {
            // Defaults inside a value that fits one line are noted with it.
            let inside = notes
                .iter()
                .find(|(place, _)| place.0.len() > path.0.len() && place.0.starts_with(&path.0));
            let note = match inside {
                Some((place, inner)) if note.is_empty() => {
                    format!("  // {}: {inner}", Path(place.0[path.0.len()..].to_vec()))
                }
                _ => note,
            };
            writeln!(out, "{other}{comma}{note}")
        }
    }
}
