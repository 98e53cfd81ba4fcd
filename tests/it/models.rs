//! docs/models.md is written from the code: per kind what is modelled, what is not, and every default with its source.

use headroom::model::registry::KINDS;
use headroom::scenario::{explain, schema_of, spec::Scenario};
use std::fmt::Write as _;

fn text() -> String {
    let schema = schema_of::<Scenario>();
    let mut out = String::from(
        "# Models\n\nWhat each kind of node models, what it leaves out, and where its defaults come from. Written from the code by\n\
         `UPDATE_GOLDEN=1 cargo test models`; do not edit by hand.\n",
    );
    for (name, about) in KINDS {
        write!(out, "\n## {name}\n\n{}\n\nModelled:\n\n", about.what).unwrap();
        about.models.iter().for_each(|line| writeln!(out, "- {line}").unwrap());
        out.push_str("\nLeft out:\n\n");
        about.leaves_out.iter().for_each(|line| writeln!(out, "- {line}").unwrap());
        write!(
            out,
            "\nExample:\n\n```json\n{{\"{name}\": {}}}\n```\n\nFields:\n\n```text\n",
            about.example
        )
        .unwrap();
        let path = format!("designs.*.nodes.*.{name}");
        let fields = explain(&schema, &path, false).unwrap();
        out.push_str(fields.trim_start_matches(&path).trim());
        out.push_str("\n```\n\nSources of defaults:\n\n");
        out.push_str(&sources(&schema, &path));
    }
    out
}

/// Every default of a kind with its source, one line each.
fn sources(schema: &serde_json::Value, path: &str) -> String {
    let listing = explain(schema, path, false).unwrap();
    let mut out = String::new();
    for line in listing.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap_or_default();
        if name.ends_with(':') {
            continue;
        }
        let Ok(field) = explain(schema, &format!("{path}.{name}"), false) else { continue };
        let value = |key: &str| {
            field.lines().find_map(|l| l.trim().strip_prefix(key)).map(|v| v.trim().to_owned())
        };
        if let Some(source) = value("source:") {
            let default = value("default:").unwrap_or_else(|| "by rule".into());
            writeln!(out, "- `{name}` = {default}: {source}").unwrap();
        }
    }
    out
}

#[test]
fn the_document_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md");
    let text = text();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == text, "run UPDATE_GOLDEN=1 cargo test models and commit docs/models.md");
}

#[test]
fn every_kind_is_shown_by_a_scenario() {
    let texts: Vec<String> = super::golden::scenarios().into_iter().map(|(_, text)| text).collect();
    let missing: Vec<_> = KINDS
        .iter()
        .filter(|(name, _)| !texts.iter().any(|text| text.contains(&format!("\"{name}\": {{"))))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}
