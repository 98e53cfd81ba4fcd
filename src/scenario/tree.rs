//! A text as a tree of values, each with its place: what JSON and YAML have in common.

use super::finding::{Finding, Findings};
use super::path::{Path, Segment};
use super::{json, yaml};
use std::ops::Range;

/// A value and its place in the text, bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The value.
    pub kind: Kind,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Sorts of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number and how it was written.
    Number(f64, String),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Values by key, in the order of the text.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Tree,
}

/// Longest text, bytes.
pub(super) const TEXT_MAX: usize = 8 << 20;
/// Deepest nesting.
pub(super) const DEPTH_MAX: usize = 64;
/// Most values, aliases counted as often as they are used.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// Reads bytes as JSON (if the text begins with `{` or `[`) or YAML. Duplicate keys are found all at once; an error of
/// syntax ends the reading.
pub fn parse(bytes: &[u8]) -> (Option<Tree>, Findings) {
    let mut findings = Findings::new();
    let tree = parse_into(bytes, &mut findings);
    (tree, findings)
}

fn parse_into(bytes: &[u8], findings: &mut Findings) -> Option<Tree> {
    let root = Path::default();
    if bytes.len() > TEXT_MAX {
        let size = format!("{} bytes of text; the limit is 8 MiB", bytes.len());
        findings
            .push(Finding::error("E0103", &root, 0..0, size).remedy("check that it is a scenario"));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        Ok(text) => {
            let at = text.find('\0').unwrap_or(0);
            let what = "the file holds a zero byte: it is no text".to_owned();
            findings
                .push(Finding::error("E0101", &root, at..at + 1, what).remedy("save it as UTF-8"));
            return None;
        }
        Err(why) => {
            let at = why.valid_up_to();
            let what = format!("byte {at} is not UTF-8");
            // The text cannot be shown, so there is no place in it either: the first byte stands for all.
            findings.push(Finding::error("E0101", &root, 0..0, what).remedy("save it as UTF-8"));
            return None;
        }
    };
    let start = text.len() - text.trim_start_matches('\u{feff}').len();
    let body = &text[start..];
    let mut tree = match body.trim_start().chars().next() {
        None => {
            let what = "there is nothing in the file".to_owned();
            let remedy = "start from `headroom init`";
            findings.push(Finding::error("E0106", &root, 0..0, what).remedy(remedy));
            None
        }
        Some('{' | '[') => json::read(body, findings),
        Some(_) => yaml::read(body, findings),
    }?;
    if start > 0 {
        shift(&mut tree, start);
    }
    duplicates(&tree, &root, findings);
    Some(tree)
}

/// Moves all places by the length of the byte-order mark.
fn shift(tree: &mut Tree, by: usize) {
    let moved = |span: &mut Range<usize>| *span = span.start + by..span.end + by;
    moved(&mut tree.span);
    match &mut tree.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Kind::Map(entries) => {
            for entry in entries {
                entry.key_span = entry.key_span.start + by..entry.key_span.end + by;
                shift(&mut entry.value, by);
            }
        }
        _ => {}
    }
}

fn duplicates(tree: &Tree, path: &Path, findings: &mut Findings) {
    match &tree.kind {
        Kind::List(items) => {
            for (i, item) in items.iter().enumerate() {
                duplicates(item, &path.index(i), findings);
            }
        }
        Kind::Map(entries) => {
            let mut first = std::collections::BTreeMap::new();
            for entry in entries {
                if let Some(before) = first.insert(entry.key.as_str(), &entry.key_span) {
                    let what =
                        format!("the key `{}` is written twice", super::words::plain(&entry.key));
                    let finding = Finding::error(
                        "E0109",
                        &path.key(&entry.key),
                        entry.key_span.clone(),
                        what,
                    )
                    .label("again here")
                    .also(before.clone(), "first here")
                    .remedy("keep one of them, or give it another name");
                    findings.push(finding);
                }
                duplicates(&entry.value, &path.key(&entry.key), findings);
            }
        }
        _ => {}
    }
}

impl Tree {
    /// The same value without places. Of a key written twice the last one counts.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(value, text) => number(*value, text),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Tree::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }

    /// The value at a path, or the nearest one above it.
    pub fn nearest(&self, path: &Path) -> (&Tree, usize) {
        let mut at = self;
        for (steps, segment) in path.0.iter().enumerate() {
            let next = match (&at.kind, segment) {
                (Kind::Map(entries), Segment::Key(key)) => {
                    entries.iter().rev().find(|entry| entry.key == *key).map(|entry| &entry.value)
                }
                (Kind::List(items), Segment::Index(i)) => items.get(*i),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => return (at, steps),
            }
        }
        (at, path.0.len())
    }

    /// Where to point for a value at `path`: the value itself, or the key of the nearest one above it.
    pub fn place(&self, path: &Path) -> Range<usize> {
        let (_, steps) = self.nearest(path);
        let found = Path(path.0[..steps].to_vec());
        if steps == path.0.len() {
            let (value, _) = self.nearest(&found);
            if !matches!(value.kind, Kind::Map(_) | Kind::List(_)) {
                return value.span.clone();
            }
        }
        self.key_place(&found)
    }

    /// The key under which the value at `path` stands; the value itself in a list; the first byte of the whole.
    fn key_place(&self, path: &Path) -> Range<usize> {
        let Some((last, above)) = path.0.split_last() else {
            return self.span.start..(self.span.start + 1).min(self.span.end.max(self.span.start));
        };
        let (parent, _) = self.nearest(&Path(above.to_vec()));
        match (&parent.kind, last) {
            (Kind::Map(entries), Segment::Key(key)) => entries
                .iter()
                .rev()
                .find(|entry| entry.key == *key)
                .map_or(parent.span.clone(), |entry| entry.key_span.clone()),
            (Kind::List(items), Segment::Index(i)) => {
                items.get(*i).map_or(parent.span.clone(), |item| first_byte(&item.span))
            }
            _ => parent.span.clone(),
        }
    }

    /// What sort of value it is, for messages.
    pub fn sort(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(..) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

fn first_byte(span: &Range<usize>) -> Range<usize> {
    span.start..(span.start + 1).min(span.end.max(span.start))
}

/// Whole numbers stay whole as far as 64 bits reach.
fn number(value: f64, text: &str) -> serde_json::Value {
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return (value as i64).into();
    }
    serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        let (tree, findings) = parse(text.as_bytes());
        assert!(findings.is_empty(), "{text}: {:?}", findings.sorted());
        tree.unwrap()
    }

    #[test]
    fn json_and_yaml_give_one_tree() {
        let json = tree("{\"a\": {\"b\": [1, \"x\", true, null]}, \"c\": 1.5}");
        let yaml = tree("a:\n  b: [1, x, true, ~]\nc: 1.5\n");
        assert_eq!(json.to_json(), yaml.to_json());
        let path = Path::parse("a.b[1]");
        assert_eq!(json.place(&path), 16..19);
        assert_eq!(yaml.place(&path), 12..13);
    }

    #[test]
    fn all_of_json_is_read() {
        let text = "\u{feff}{\n\t\"t\": \"\\u00e9 \\ud83d\\ude00 \\/ \\n\",\r\n\t\"n\": [1e3, -0.5, 0, 12345678901234567890]}\n";
        let json = tree(text).to_json();
        assert_eq!(json["t"], "é 😀 / \n");
        assert_eq!(json["n"][0], 1000);
        assert_eq!(json["n"][3], 12_345_678_901_234_567_890_u64);
    }

    #[test]
    fn what_is_wrong_has_a_code_and_a_place() {
        for (text, code) in [
            ("", "E0106"),
            ("  \n# only a comment\n", "E0106"),
            ("{\"a\": 1", "E0102"),
            ("{\"a\" 1}", "E0102"),
            ("{\"a\": 1,}", "E0102"),
            ("{\"a\": 01}", "E0102"),
            ("{\"a\": \"x}", "E0102"),
            ("{\"a\": 1} x", "E0102"),
            ("{\"a\": 1e999}", "E0110"),
            ("a: .inf", "E0110"),
            ("a: 1\na: 2", "E0109"),
            ("{\"a\": 1, \"a\": 2}", "E0109"),
            ("a: [1, 2", "E0102"),
            ("a: 1\n---\nb: 2", "E0107"),
            ("a: !Ref x", "E0108"),
        ] {
            let (_, findings) = parse(text.as_bytes());
            let found: Vec<_> = findings.iter().map(|f| f.code).collect();
            assert!(found.contains(&code), "{text}: {found:?}");
            assert!(findings.iter().all(|f| f.span.is_some()), "{text}");
        }
        for (bytes, code) in
            [(&b"\x7fELF\x00\x01"[..], "E0101"), (&[0xff, 0xfe, 0x7b][..], "E0101")]
        {
            let (_, findings) = parse(bytes);
            assert_eq!(findings.iter().next().unwrap().code, code);
        }
    }

    #[test]
    fn bombs_are_defused() {
        let deep = "[".repeat(100_000);
        let (_, findings) = parse(deep.as_bytes());
        assert_eq!(findings.iter().next().unwrap().code, "E0104");
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let line = format!("*a{}, ", i - 1).repeat(9);
            let items = line.trim_end_matches(", ");
            bomb = format!("{bomb}a{i}: &a{i} [{items}]\n");
        }
        let (_, findings) = parse(bomb.as_bytes());
        assert_eq!(findings.iter().next().unwrap().code, "E0105");
    }
}
