//! JSON Schema (draft-07) from the types: for editors, for the shape check, for `explain`.

use super::spec::Scenario;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::sync::LazyLock;

/// The schema of a type.
pub fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// The schema of scenarios, made once.
pub(super) fn schema_of_scenario() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Scenario>);
    &SCHEMA
}

/// The schema as text, with a trailing newline.
pub fn schema_text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Follows `$ref` to the definition it names.
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    // Definitions refer to definitions; a circle of them would be a schema without any value.
    for _ in 0..32 {
        let reference = at.get("$ref").and_then(Value::as_str).or_else(|| {
            // schemars wraps a reference that carries its own description.
            let all = at.get("allOf")?.as_array()?;
            if all.len() == 1 { all[0].get("$ref")?.as_str() } else { None }
        });
        let name = reference.and_then(|reference| reference.strip_prefix("#/definitions/"));
        match name.and_then(|name| root.get("definitions")?.get(name)) {
            Some(next) => at = next,
            None => return at,
        }
    }
    at
}

/// A schema without its "or nothing" (an optional value).
pub(super) fn unwrap_optional<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(root, schema);
    let Some(any) = schema.get("anyOf").and_then(Value::as_array) else { return schema };
    let mut real = any.iter().filter(|s| s.get("type") != Some(&Value::from("null")));
    match (real.next(), real.next()) {
        (Some(only), None) => resolve(root, only),
        _ => schema,
    }
}

/// The branches of an enum: `oneOf` or `anyOf`.
pub(super) fn branches(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
}

/// The single key of an externally tagged branch, and the schema of its value.
pub(super) fn tagged(branch: &Value) -> Option<(&str, &Value)> {
    let properties = branch.get("properties")?.as_object()?;
    let required = branch.get("required")?.as_array()?;
    match (properties.iter().next(), properties.len(), required.len()) {
        (Some((key, value)), 1, 1) => Some((key, value)),
        _ => None,
    }
}

/// The schema one segment further: a property, a value of a map, an item of a list, a kind of an enum.
pub(super) fn step<'a>(root: &'a Value, at: &'a Value, name: &str) -> Option<&'a Value> {
    let at = unwrap_optional(root, at);
    if let Some(property) = at.get("properties").and_then(|p| p.get(name)) {
        return Some(property);
    }
    if let Some(all) = branches(at) {
        let kinds = all.iter().filter_map(|branch| tagged(resolve(root, branch)));
        return kinds.into_iter().find(|(kind, _)| *kind == name).map(|(_, inner)| inner);
    }
    if let Some(other) = at.get("additionalProperties").filter(|other| other.is_object()) {
        return Some(other);
    }
    // A list's items may be named by `[*]`, `[0]` or be skipped.
    let items = at.get("items")?;
    if name == "*" { Some(items) } else { step(root, items, name) }
}

/// What may stand one segment further, where that is a closed list.
pub(super) fn names_below(root: &Value, at: &Value) -> Vec<String> {
    let at = unwrap_optional(root, at);
    let mut names: Vec<String> = Vec::new();
    if let Some(properties) = at.get("properties").and_then(Value::as_object) {
        names.extend(properties.keys().cloned());
    }
    for branch in branches(at).into_iter().flatten() {
        names.extend(tagged(resolve(root, branch)).map(|(kind, _)| kind.to_owned()));
    }
    if let Some(items) = at.get("items") {
        names.extend(names_below(root, items));
    }
    names
}

/// The schema of what stands under `key` in an object of this schema.
pub(super) fn inside<'a>(root: &'a Value, schema: &'a Value, key: &str) -> Option<&'a Value> {
    let branch = || {
        let kinds = branches(schema)?.iter().filter_map(|branch| tagged(resolve(root, branch)));
        kinds.into_iter().find(|(kind, _)| *kind == key).map(|(_, inner)| inner)
    };
    let property = schema.get("properties").and_then(|properties| properties.get(key));
    property
        .or_else(branch)
        .or_else(|| schema.get("additionalProperties").filter(|other| other.is_object()))
}
