//! A tree against the schema: every wrong key, kind, type, unit and number, all in one pass, each with its place.

use super::finding::{Finding, Findings};
use super::path::Path;
use super::schema::{branches, resolve, tagged, unwrap_optional};
use super::tree::{Entry, Kind, Tree};
use super::words::{did_you_mean, either, is_name, plain, quoted};
use crate::units;
use serde_json::Value;

/// All errors of shape. Without any, the tree's JSON reads into the type that the schema was made from.
pub fn check_shape(tree: &Tree, schema: &Value) -> Findings {
    let mut walk = Walk { root: schema, findings: Findings::new() };
    walk.value(tree, schema, &Path::default());
    walk.findings
}

struct Walk<'a> {
    root: &'a Value,
    findings: Findings,
}

impl Walk<'_> {
    fn push(&mut self, code: &'static str, path: &Path, tree: &Tree, what: String, remedy: String) {
        let span = tree_place(tree);
        self.findings.push(Finding::error(code, path, span, what).remedy(remedy));
    }

    fn value(&mut self, tree: &Tree, schema: &Value, path: &Path) {
        if tree.kind == Kind::Null && allows_null(schema) {
            return self.unfinished(tree, path);
        }
        let root = self.root;
        let schema = unwrap_optional(root, schema);
        if let Some(unit) = schema.get("x-unit").and_then(Value::as_str) {
            return match unit {
                "moment" | "kubernetes-quantity" => self.lenient(tree, unit, path),
                _ => self.quantity(tree, unit, path),
            };
        }
        if let Some(all) = branches(schema) {
            return self.choice(tree, all, path);
        }
        if let Some(names) = schema.get("enum").and_then(Value::as_array) {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            return self.word(tree, &names, path);
        }
        match main_type(schema) {
            Some("object") => self.object(tree, schema, path),
            Some("array") => self.list(tree, schema, path),
            Some("string") if !matches!(tree.kind, Kind::Text(_)) => {
                self.wrong_sort(tree, "a text", path);
            }
            Some("boolean") if !matches!(tree.kind, Kind::Bool(_)) => {
                self.wrong_sort(tree, "true or false", path);
            }
            Some(number @ ("integer" | "number")) => self.number(tree, schema, number, path),
            _ => {}
        }
    }

    /// A null that is written counts as a key that is not; a key of YAML with nothing after it is one that was not finished.
    fn unfinished(&mut self, tree: &Tree, path: &Path) {
        if tree.span.is_empty() {
            let what = "there is nothing after this key".to_owned();
            let remedy = format!(
                "write the value; leave the key out, or write null, for what `headroom explain {path}` says of none"
            );
            self.push("E0206", path, tree, what, remedy);
        }
    }

    fn wrong_sort(&mut self, tree: &Tree, wanted: &str, path: &Path) {
        let what = format!("{wanted} is wanted here, not {}", found(tree));
        self.push("E0206", path, tree, what, see(path));
    }

    /// A quantity in its field's own form, where a bare number has a meaning.
    fn lenient(&mut self, tree: &Tree, unit: &str, path: &Path) {
        let (Kind::Text(text) | Kind::Number(_, text)) = &tree.kind else {
            return self.wrong_sort(tree, "a number, or a quantity in quotes,", path);
        };
        let outcome = match unit {
            "moment" => units::parse_moment(text).map(|_| ()),
            _ => units::parse_quantity(text).map(|_| ()),
        };
        if let Err(why) = outcome {
            let remedy = format!("write it like {}", why.accepted);
            self.push("E0210", path, tree, plain_sentence(&why.problem), remedy);
        }
    }

    fn quantity(&mut self, tree: &Tree, unit: &str, path: &Path) {
        let example = match unit {
            "duration" => "s",
            "bytes" => "MB",
            "price" => "/month",
            _ => "/s",
        };
        match &tree.kind {
            Kind::Text(text) => {
                let outcome = match unit {
                    "duration" => units::parse_span(text).map(|_| ()),
                    "bytes" => units::parse_bytes(text).map(|_| ()),
                    "price" => units::parse_price(text).map(|_| ()),
                    _ => units::parse_rate(text).map(|_| ()),
                };
                if let Err(why) = outcome {
                    let missing = ["no unit", "per what", "for what"]
                        .iter()
                        .any(|words| why.problem.contains(words));
                    let code = if missing { "E0211" } else { "E0210" };
                    self.push(
                        code,
                        path,
                        tree,
                        plain_sentence(&why.problem),
                        format!("write it like {}", why.accepted),
                    );
                }
            }
            Kind::Number(_, text) => {
                let remedy = format!(
                    "write \"{text}{example}\" instead of {text}, or the unit that is meant"
                );
                self.push("E0211", path, tree, "this number has no unit".into(), remedy);
            }
            _ => self.wrong_sort(tree, "a quantity with its unit, in quotes,", path),
        }
    }

    /// One of several forms: words, or maps with one key that names the kind.
    fn choice(&mut self, tree: &Tree, all: &[Value], path: &Path) {
        let root = self.root;
        let kinds: Vec<(&str, &Value)> =
            all.iter().filter_map(|branch| tagged(resolve(root, branch))).collect();
        let mut words: Vec<&str> = Vec::new();
        for branch in all {
            let branch = resolve(root, branch);
            words.extend(branch.get("const").and_then(Value::as_str));
            let more = branch.get("enum").and_then(Value::as_array);
            words.extend(more.into_iter().flatten().filter_map(Value::as_str));
        }
        match &tree.kind {
            Kind::Map(entries) if !kinds.is_empty() => self.kind(tree, entries, &kinds, path),
            Kind::Text(text) if !words.is_empty() && kinds.iter().all(|(kind, _)| kind != text) => {
                self.word(tree, &words, path);
            }
            Kind::Text(text) if kinds.iter().any(|(kind, _)| kind == text) => {
                let what = format!("the kind {} takes parameters", quoted(text));
                self.push(
                    "E0215",
                    path,
                    tree,
                    what,
                    format!("write {{\"{}\": {{…}}}}", plain(text)),
                );
            }
            _ if !kinds.is_empty() => {
                let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
                let what =
                    format!("a map with one key, its kind, is wanted here, not {}", found(tree));
                self.push("E0206", path, tree, what, kinds_remedy(&names));
            }
            _ if !words.is_empty() => self.word(tree, &words, path),
            _ => self.push(
                "E0214",
                path,
                tree,
                format!("{} fits none of the forms", found(tree)),
                String::new(),
            ),
        }
    }

    fn kind(&mut self, tree: &Tree, entries: &[Entry], kinds: &[(&str, &Value)], path: &Path) {
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        if entries.is_empty() {
            self.push("E0204", path, tree, "no kind is given".into(), kinds_remedy(&names));
        }
        if entries.len() > 1 {
            let given = entries.iter().map(|entry| entry.key.as_str());
            let what = format!(
                "one kind is wanted, and here are {}: {}",
                entries.len(),
                either(given.take(6))
            );
            self.push("E0203", path, tree, what, "keep one of them".into());
        }
        for entry in entries {
            match kinds.iter().find(|(kind, _)| *kind == entry.key) {
                Some((kind, inner)) => self.value(&entry.value, inner, &path.key(kind)),
                None => {
                    let what = format!("there is no kind {}", quoted(&entry.key));
                    let finding = Finding::error(
                        "E0202",
                        &path.key(&entry.key),
                        entry.key_span.clone(),
                        what,
                    )
                    .remedy(did_you_mean(&entry.key, &names));
                    self.findings.push(finding);
                }
            }
        }
    }

    fn word(&mut self, tree: &Tree, words: &[&str], path: &Path) {
        match &tree.kind {
            Kind::Text(text) if words.contains(&text.as_str()) => {}
            Kind::Text(text) => {
                let what = format!("{} is not one of the choices", quoted(text));
                self.push("E0209", path, tree, what, did_you_mean(text, words));
            }
            // YAML reads 1.18 as a number.
            Kind::Number(_, text) if words.contains(&text.as_str()) => {
                let what = "this is a text that looks like a number".to_owned();
                self.push("E0206", path, tree, what, format!("write \"{text}\" in quotes"));
            }
            _ => {
                let what = format!("one of the choices is wanted here, not {}", found(tree));
                self.push(
                    "E0206",
                    path,
                    tree,
                    what,
                    format!("choices: {}", either(words.iter().copied())),
                );
            }
        }
    }

    fn object(&mut self, tree: &Tree, schema: &Value, path: &Path) {
        let Kind::Map(entries) = &tree.kind else {
            return self.wrong_sort(tree, "a map", path);
        };
        let none = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties");
        for entry in entries {
            let inside = path.key(&entry.key);
            if let Some(property) = properties.get(&entry.key) {
                self.value(&entry.value, property, &inside);
            } else if let Some(other) = others.filter(|other| other.is_object()) {
                self.value(&entry.value, other, &inside);
            } else if others != Some(&Value::Bool(true)) {
                let what = format!("there is no {} here", quoted(&entry.key));
                let finding = Finding::error("E0201", &inside, entry.key_span.clone(), what)
                    .label("unknown key")
                    .remedy(meant_key(&entry.key, properties));
                self.findings.push(finding);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !entries.iter().any(|entry| entry.key == name) {
                let about =
                    properties.get(name).and_then(|p| p.get("description")).and_then(Value::as_str);
                let remedy = match about {
                    Some(about) => {
                        format!("add \"{name}\": {}", super::words::first_sentence(about))
                    }
                    None => format!("add \"{name}\""),
                };
                self.push("E0205", &path.key(name), tree, format!("`{name}` is missing"), remedy);
            }
        }
    }

    fn list(&mut self, tree: &Tree, schema: &Value, path: &Path) {
        let Kind::List(items) = &tree.kind else {
            return self.wrong_sort(tree, "a list", path);
        };
        if let Some(item_schema) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.value(item, item_schema, &path.index(i));
            }
        }
    }

    fn number(&mut self, tree: &Tree, schema: &Value, wanted: &str, path: &Path) {
        let Kind::Number(value, text) = &tree.kind else {
            let wanted = if wanted == "integer" { "a whole number" } else { "a number" };
            return self.wrong_sort(tree, wanted, path);
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (low, high) = (bound("minimum"), bound("maximum"));
        // A 64-bit number has no bound in the schema.
        let high = high.or(if wanted == "integer" { Some(u64::MAX as f64) } else { None });
        if low.is_some_and(|low| *value < low) || high.is_some_and(|high| *value > high) {
            let range = match (low, high) {
                (Some(low), Some(high)) => format!("{low} to {high}"),
                (Some(low), None) => format!("at least {low}"),
                (None, Some(high)) => format!("at most {high}"),
                (None, None) => String::new(),
            };
            self.push(
                "E0207",
                path,
                tree,
                format!("{} is out of range", plain(text)),
                format!("allowed: {range}"),
            );
        } else if wanted == "integer" && value.fract() != 0.0 {
            self.push(
                "E0208",
                path,
                tree,
                format!("{} is not a whole number", plain(text)),
                "write a whole number".into(),
            );
        } else if wanted == "integer" && *value >= 9e15 && text.parse::<u64>().is_err() {
            self.push(
                "E0208",
                path,
                tree,
                format!("{} is not written as a whole number", plain(text)),
                "write all its digits".into(),
            );
        }
    }
}

/// A remedy for an unknown key: the one that goes by this name elsewhere (`x-also`), or those that are like it.
fn meant_key(key: &str, properties: &serde_json::Map<String, Value>) -> String {
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let also = |property: &Value| {
        let also = property.get("x-also").and_then(Value::as_array);
        also.is_some_and(|also| {
            also.iter().any(|name| name.as_str().is_some_and(|n| is_name(key, n)))
        })
    };
    match properties.iter().find(|(_, property)| also(property)) {
        Some((name, _)) => format!("here it is {}", quoted(name)),
        None => did_you_mean(key, &names),
    }
}

/// Where to point for a value: scalars as a whole, containers at their first byte.
fn tree_place(tree: &Tree) -> std::ops::Range<usize> {
    match tree.kind {
        Kind::Map(_) | Kind::List(_) => {
            tree.span.start..(tree.span.start + 1).min(tree.span.end.max(tree.span.start))
        }
        _ => tree.span.clone(),
    }
}

fn plain_sentence(text: &str) -> String {
    plain(text)
}

fn kinds_remedy(names: &[&str]) -> String {
    let first = names.first().copied().unwrap_or("kind");
    format!("write {{\"{first}\": {{…}}}}; kinds: {}", either(names.iter().copied()))
}

/// A value as a message names it.
fn found(tree: &Tree) -> String {
    match &tree.kind {
        Kind::Text(text) => format!("the text {}", quoted(text)),
        Kind::Number(_, text) => format!("the number {}", plain(text)),
        Kind::Bool(b) => b.to_string(),
        _ => tree.sort().to_owned(),
    }
}

fn main_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn allows_null(schema: &Value) -> bool {
    let null = Value::from("null");
    let by_type = schema
        .get("type")
        .is_some_and(|t| *t == null || t.as_array().is_some_and(|a| a.contains(&null)));
    let by_branch = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|branch| branch.get("type") == Some(&null)));
    by_type || by_branch
}

/// Where a field is explained.
fn see(path: &Path) -> String {
    format!("see `{}`", format!("headroom explain {path}").trim_end())
}
