//! Distributions: wherever a scenario has one, it must be possible to draw from it.

use super::path::Path;
use super::schema::{inside, resolve, unwrap_optional};
use crate::model::data::Data;
use crate::model::dist::Dist;
use serde_json::Value;

/// Calls `found` with every distribution of a resolved scenario that cannot be drawn from, and why; `data` holds the files that it
/// names.
pub(super) fn check(
    resolved: &Value,
    root: &Value,
    data: &Data,
    found: &mut dyn FnMut(Path, String),
) {
    visit(resolved, root, root, &Path::default(), data, found);
}

fn visit(
    at: &Value,
    root: &Value,
    schema: &Value,
    path: &Path,
    data: &Data,
    found: &mut dyn FnMut(Path, String),
) {
    let schema = unwrap_optional(root, schema);
    let law = root.pointer("/definitions/Dist");
    if law.is_some_and(|law| std::ptr::eq(law, resolve(root, schema))) {
        let law = serde_json::from_value::<Dist>(at.clone());
        if let Some(why) = law.ok().and_then(|law| law.sampler(data).err()) {
            found(path.clone(), why);
        }
        return;
    }
    match at {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(schema) = inside(root, schema, key) {
                    visit(value, root, schema, &path.key(key), data, found);
                }
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                if let Some(schema) = schema.get("items") {
                    visit(value, root, schema, &path.index(i), data, found);
                }
            }
        }
        _ => {}
    }
}
