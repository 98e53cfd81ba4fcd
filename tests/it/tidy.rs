//! The walls of the house: which floor may import which, and a few habits, read off the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Floors from the ground up: a module may import those of lower floors, and its own.
const FLOORS: &[&[&str]] = &[
    &["kernel"],
    &["units"],
    &["model"],
    &["price"],
    &["scenario"],
    &["experiment"],
    &["report"],
    &["cli"],
    &["main"],
];

/// A floor that looks past its neighbours: reports read results and nothing else.
const ONLY: &[(&str, &[&str])] = &[("report", &["experiment"]), ("price", &["model", "units"])];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Code without its tests and comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module}?"))
}

/// Names after `crate::` in a file.
fn imports(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    text.split("crate::").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn each_floor_imports_only_lower_ones() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        for import in imports(&code(&path)) {
            if import == module || !FLOORS.iter().any(|floor| floor.contains(&import.as_str())) {
                continue;
            }
            let only = ONLY.iter().find(|(name, _)| *name == module);
            let allowed = floor_of(&import) < floor_of(module)
                && only.is_none_or(|(_, allowed)| allowed.contains(&import.as_str()));
            if !allowed {
                wrong.push(format!("{}: {module} may not import {import}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files of one floor that import one another in a circle.
#[test]
fn no_import_circles_inside_the_model() {
    let model = root().join("src/model");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let name_of = |path: &Path| {
        let inside = path.strip_prefix(&model).unwrap().with_extension("");
        inside.to_str().unwrap().trim_end_matches("/mod").replace('/', "::")
    };
    let names: BTreeSet<String> = sources(&model).iter().map(|path| name_of(path)).collect();
    for path in sources(&model) {
        let text = code(&path);
        let own = name_of(&path);
        let mut targets = BTreeSet::new();
        for piece in text.split("crate::model::").skip(1).chain(if own.contains("::") {
            "".split("super::").skip(1)
        } else {
            text.split("use super::").skip(1)
        }) {
            let full: String = piece
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            let mut candidate = full.trim_end_matches(':').to_owned();
            while !candidate.is_empty() && !names.contains(&candidate) {
                candidate =
                    candidate.rsplit_once("::").map_or(String::new(), |(head, _)| head.to_owned());
            }
            if !candidate.is_empty() && candidate != own && !own.starts_with(&candidate) {
                targets.insert(candidate);
            }
        }
        graph.insert(own, targets);
    }
    // Repeatedly remove files that import nothing that is left.
    loop {
        let free: Vec<String> = graph
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !graph.contains_key(target)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for name in &free {
            graph.remove(name);
        }
    }
    assert!(graph.is_empty(), "these import one another: {graph:?}");
}

#[test]
fn habits() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: begin with a //! line"));
        }
        if text.lines().count() > 700 {
            wrong.push(format!(
                "{name}: {} lines; is there a second idea in it?",
                text.lines().count()
            ));
        }
        for (i, line) in text.lines().enumerate() {
            if line.contains("FIXME") || line.contains("XXX") || line.ends_with(' ') {
                wrong.push(format!("{name}:{}: {line}", i + 1));
            }
        }
        let code = code(&path);
        let below_cli = !name.starts_with("src/cli") && !name.starts_with("src/main");
        for banned in
            ["std::fs", "std::env", "std::time", "std::process", "HashMap", "HashSet", "println!"]
        {
            if below_cli && code.contains(banned) {
                wrong.push(format!("{name}: {banned} belongs to the command line or nowhere"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
