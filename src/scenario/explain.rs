//! What a field of a scenario means: description, type, default, range, source, out of the schema.

use super::catalogue::find_code;
use super::finding::Finding;
use super::graph::leads_to;
use super::path::{Path, Segment};
use super::schema::{branches, names_below, resolve, step, tagged, unwrap_optional};
use super::words::{did_you_mean, first_sentence};
use serde_json::Value;
use std::fmt::Write as _;

#[expect(clippy::result_large_err, reason = "one finding, on the way to the user")]
/// Explains the field at `path`; the whole scenario for an empty one. `recursive` prints all that is below it.
///
/// # Errors
/// A finding without a place if the path leads nowhere.
pub fn explain(schema: &Value, path: &str, recursive: bool) -> Result<String, Finding> {
    let (parsed, mut at, mut outer, mut required) = (Path::parse(path), schema, schema, false);
    for (depth, segment) in parsed.0.iter().enumerate() {
        let name = match segment {
            Segment::Key(key) => key.clone(),
            Segment::Index(_) => "*".into(),
        };
        required = is_required(at, &name);
        outer = step(schema, at, &name).ok_or_else(|| {
            if is_code(&name) {
                let what = format!("there is no code `{name}`");
                let remedy = "give one as it stands in brackets before a message: `E0102`";
                return Finding::error("E0216", &parsed, 0..0, what).unplaced().remedy(remedy);
            }
            let names = names_below(schema, at);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let so_far = Path(parsed.0[..depth].to_vec());
            let place =
                if depth == 0 { "at the top".to_owned() } else { format!("below `{so_far}`") };
            let what = format!("there is no `{}` {place}", super::words::plain(&name));
            Finding::error("E0216", &parsed, 0..0, what)
                .unplaced()
                .remedy(did_you_mean(&name, &names))
        })?;
        at = unwrap_optional(schema, outer);
    }
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = head(&mut text, schema, &parsed, (outer, at, required));
    let _ = if recursive { tree(&mut text, schema, at, 0) } else { below(&mut text, schema, at) };
    Ok(text)
}

/// Whether somebody asks for a code: a letter and four digits.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix(['E', 'e', 'W', 'w']);
    digits.is_some_and(|rest| rest.len() == 4 && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// A text of the schema at a field, from the field itself or from its type.
fn get<'a>(outer: &'a Value, inner: &'a Value, name: &str) -> Option<&'a Value> {
    outer.get(name).or_else(|| inner.get(name))
}

/// Whether a map must have a key of this name.
fn is_required(map: &Value, name: &str) -> bool {
    let names = map.get("required").and_then(Value::as_array);
    branches(map).is_none() && names.is_some_and(|names| names.iter().any(|own| own == name))
}

/// What a kind of node may lead to, if the path is that of one.
fn behind(path: &Path) -> Vec<&'static str> {
    match &path.0[..] {
        [.., Segment::Key(nodes), _, Segment::Key(kind)] if nodes == "nodes" => leads_to(kind),
        _ => Vec::new(),
    }
}

fn head(
    out: &mut String,
    root: &Value,
    path: &Path,
    (outer, at, required): (&Value, &Value, bool),
) -> std::fmt::Result {
    if path.0.is_empty() {
        writeln!(out, "a scenario")?;
    } else {
        writeln!(out, "{path}")?;
    }
    if let Some(about) = get(outer, at, "description").and_then(Value::as_str) {
        writeln!(out, "\n  {}", about.replace('\n', "\n  "))?;
    }
    writeln!(out, "\n  type:    {}", type_name(root, at))?;
    if required {
        writeln!(out, "  default: none, it is required")?;
    }
    let behind = behind(path);
    if !behind.is_empty() {
        writeln!(out, "  behind:  {}", behind.join(", "))?;
    }
    if let Some(default) = outer.get("default") {
        let assumed =
            if outer.get("x-assumed") == Some(&Value::Bool(true)) { " (assumed)" } else { "" };
        writeln!(out, "  default: {}{assumed}", short(default))?;
    }
    let bounds = (at.get("minimum"), at.get("maximum"));
    let bounds = (outer.get("minimum").or(bounds.0), outer.get("maximum").or(bounds.1));
    match bounds {
        (Some(low), Some(high)) => writeln!(out, "  range:   {low} to {high}")?,
        (Some(low), None) => writeln!(out, "  range:   at least {low}")?,
        (None, Some(high)) => writeln!(out, "  range:   at most {high}")?,
        (None, None) => {}
    }
    if let Some(source) = get(outer, at, "x-source").and_then(Value::as_str) {
        writeln!(out, "  source:  {source}")?;
    }
    Ok(())
}

/// A default in one line.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Children, one line each.
fn below(out: &mut String, root: &Value, at: &Value) -> std::fmt::Result {
    let rows = children(root, at);
    if rows.is_empty() {
        return Ok(());
    }
    let wide = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    writeln!(out)?;
    for (name, inner, about) in rows {
        let kind = type_name(root, unwrap_optional(root, inner));
        let default = inner.get("default").map(|d| format!(" = {}", short(d))).unwrap_or_default();
        let default = match default {
            _ if is_required(at, &name) => ", required".into(),
            long if long.len() > 40 => String::new(),
            default => default,
        };
        writeln!(out, "  {name:wide$}  {kind}{default}")?;
        if !about.is_empty() {
            writeln!(out, "  {:wide$}    {}", "", first_sentence(about))?;
        }
    }
    Ok(())
}

/// Name, schema and description of what stands below.
fn children<'a>(root: &'a Value, at: &'a Value) -> Vec<(String, &'a Value, &'a str)> {
    let about = |schema: &'a Value| {
        let inner = unwrap_optional(root, schema);
        get(schema, inner, "description").and_then(Value::as_str).unwrap_or_default()
    };
    if let Some(properties) = at.get("properties").and_then(Value::as_object) {
        return properties
            .iter()
            .map(|(name, inner)| (name.clone(), inner, about(inner)))
            .collect();
    }
    if let Some(all) = branches(at) {
        let row = |branch: &'a Value| {
            let real = resolve(root, branch);
            let text = get(branch, real, "description").and_then(Value::as_str).unwrap_or_default();
            if let Some((kind, inner)) = tagged(real) {
                return Some((kind.to_owned(), inner, text));
            }
            let word = real.get("const").and_then(Value::as_str)?;
            Some((word.to_owned(), real, text))
        };
        return all.iter().filter_map(row).collect();
    }
    if let Some(other) = at.get("additionalProperties").filter(|other| other.is_object()) {
        return vec![("*".into(), other, about(other))];
    }
    match at.get("items") {
        Some(items) => vec![("[*]".into(), items, about(items))],
        None => Vec::new(),
    }
}

fn tree(out: &mut String, root: &Value, at: &Value, depth: usize) -> std::fmt::Result {
    // Laws may hold laws (mixtures): a few levels tell all.
    if depth > 7 {
        return Ok(());
    }
    for (name, inner, _) in children(root, at) {
        let real = unwrap_optional(root, inner);
        writeln!(out, "{:indent$}{name}  <{}>", "", type_name(root, real), indent = 2 * depth + 2)?;
        if !is_law(&name, depth) {
            tree(out, root, real, depth + 1)?;
        }
    }
    Ok(())
}

/// Distributions are explained once, not below every field that takes one.
fn is_law(name: &str, depth: usize) -> bool {
    depth > 3
        && matches!(
            name,
            "think"
                | "cpu"
                | "wait"
                | "hold"
                | "login"
                | "login_wait"
                | "place"
                | "init"
                | "overhead"
                | "of"
        )
}

/// The type of a value, in words.
fn type_name(root: &Value, at: &Value) -> String {
    if let Some(unit) = at.get("x-unit").and_then(Value::as_str) {
        return format!("{unit}, a text with its unit");
    }
    if let Some(all) = branches(at) {
        let kinds = all.iter().filter(|branch| tagged(resolve(root, branch)).is_some()).count();
        return if kinds > 0 {
            "one kind: {\"kind\": {…}}".into()
        } else {
            "one of the words".into()
        };
    }
    if at.get("enum").is_some() || at.get("const").is_some() {
        return "one of the words".into();
    }
    let name = match at.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("any")
        }
        _ => "any",
    };
    match name {
        "object" if at.get("properties").is_none() => "map by name".into(),
        "object" => "map".into(),
        "array" => "list".into(),
        "integer" => "whole number".into(),
        "string" => "text".into(),
        "boolean" => "true or false".into(),
        other => other.to_owned(),
    }
}

/// What `headroom explain CODE` prints.
pub fn explain_code(code: &str) -> Option<String> {
    find_code(code)
        .map(|entry| format!("{}: {}\n\n{}\n", entry.code, entry.title, wrapped(entry.explanation)))
}

/// Breaks a paragraph into lines of at most 90 characters.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 90 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out
}
