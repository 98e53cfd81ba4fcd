//! Every worked example of the fact sheets is a test that carries its id.

use std::collections::BTreeSet;
use std::path::Path;

/// Families of examples that this program models, by sheet.
const LAMBDA: [&str; 13] =
    ["ENV", "CON", "ASY", "SQS", "GW", "ERR", "SDK", "DB", "USL", "DDB", "COST", "NEW", "SEED"];
const CLUSTER: [&str; 13] =
    ["X", "DNS", "TCP", "TLS", "NGX", "HAP", "H2", "KP", "POD", "POOL", "ALB", "CRED", "LG"];

/// Ids of a sheet, such as `T-CON-11`.
fn ids(sheet: &str, families: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in sheet.match_indices("**T-") {
        let rest = &sheet[at + 2..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap();
        let id = &rest[..end];
        if families.iter().any(|family| id.starts_with(&format!("T-{family}-"))) {
            found.insert(id.to_owned());
        }
    }
    found
}

fn tests_of(folder: &Path, names: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            for (at, _) in text.match_indices("fn ") {
                let name = text[at + 3..].split('(').next().unwrap();
                names.push_str(name);
                names.push('\n');
            }
        }
    }
}

#[test]
fn every_example_of_the_sheets_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = String::new();
    tests_of(&root.join("tests/it"), &mut names);
    tests_of(&root.join("src"), &mut names);
    for (sheet, families, least) in
        [("lambda.md", LAMBDA.as_slice(), 60), ("cluster.md", CLUSTER.as_slice(), 38)]
    {
        let text = std::fs::read_to_string(root.join("docs/facts").join(sheet)).unwrap();
        let ids = ids(&text, families);
        assert!(ids.len() >= least, "{ids:?}");
        let covered = |id: &&String| {
            let prefix = format!("{}_", id.to_lowercase().replace('-', "_"));
            names.lines().any(|name| name.contains(&prefix))
        };
        let without: Vec<&String> = ids.iter().filter(|id| !covered(id)).collect();
        assert!(without.is_empty(), "no test is named after {without:?}");
    }
}
