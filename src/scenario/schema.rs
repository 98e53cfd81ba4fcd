//! JSON Schema (draft-07) from the types: for editors, for the shape check, for `explain`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of a type.
pub fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<T>().to_value()
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
