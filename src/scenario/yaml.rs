//! YAML 1.2 (core schema) with places, by the event parser of `saphyr-parser`.

use super::finding::{Finding, Findings};
use super::path::Path;
use super::tree::{DEPTH_MAX, Entry, Kind, Tree, VALUES_MAX};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Reads a text as one YAML document.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Tree> {
    let mut reader = Reader {
        text,
        bytes: Offsets::new(text),
        anchors: BTreeMap::new(),
        stack: Vec::new(),
        root: None,
        values: 0,
    };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => reader.event(event, span),
            Err(why) => Err(reader.syntax(&why)),
        };
        if let Err(finding) = step {
            findings.push(*finding);
            return None;
        }
    }
    if reader.root.is_none() {
        let what = "there is nothing but comments in the file".to_owned();
        let finding = Finding::error("E0106", &Path::default(), 0..0, what);
        findings.push(finding.remedy("start from `headroom init`"));
    }
    reader.root
}

/// Byte offsets of characters: the parser counts characters.
struct Offsets {
    ascii: bool,
    starts: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn new(text: &str) -> Offsets {
        let ascii = text.is_ascii();
        let starts =
            if ascii { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Offsets { ascii, starts, len: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.ascii {
            character.min(self.len)
        } else {
            self.starts.get(character).copied().unwrap_or(self.len)
        }
    }
}

/// A list or map that is open.
struct Open {
    kind: Kind,
    start: usize,
    anchor: usize,
    /// A map's key that waits for its value.
    key: Option<(String, Range<usize>)>,
    /// Which entry of a map is its merge key.
    merge: Option<usize>,
}

struct Reader<'a> {
    text: &'a str,
    bytes: Offsets,
    anchors: BTreeMap<usize, Tree>,
    stack: Vec<Open>,
    root: Option<Tree>,
    values: usize,
}

type Outcome = Result<(), Box<Finding>>;

fn error(code: &'static str, span: Range<usize>, what: &str, remedy: &str) -> Box<Finding> {
    Box::new(Finding::error(code, &Path::default(), span, what.into()).remedy(remedy))
}

impl Reader<'_> {
    fn syntax(&self, why: &ScanError) -> Box<Finding> {
        let at = self.bytes.byte(why.marker().index());
        let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        let remedy = if self.text.trim_start().starts_with('"') {
            "a JSON scenario begins with {"
        } else {
            "check the indentation and that brackets and quotes are closed"
        };
        error("E0102", at..end, why.info(), remedy)
    }

    fn span(&self, span: Span) -> Range<usize> {
        let start = self.bytes.byte(span.start.index());
        start..self.bytes.byte(span.end.index()).max(start)
    }

    fn event(&mut self, event: Event, span: Span) -> Outcome {
        let place = self.span(span);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                let remedy = "keep one document in a file";
                Err(error("E0107", place, "a second YAML document begins here", remedy))
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(no_tags(place));
                }
                let kind = if style == ScalarStyle::Plain {
                    self.merges(&text, &place)?;
                    plain(&text, &place)?
                } else {
                    Kind::Text(text.into_owned())
                };
                self.add(Tree { kind, span: place }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Kind::List(Vec::new()), place, anchor, tag.is_some())
            }
            Event::MappingStart(anchor, tag) => {
                self.open(Kind::Map(Vec::new()), place, anchor, tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.stack.pop() else { return Ok(()) };
                if let (Kind::Map(entries), Some(at)) = (&mut open.kind, open.merge) {
                    merge(entries, at)?;
                }
                let span = open.start..place.end.max(open.start);
                self.add(Tree { kind: open.kind, span }, open.anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(tree) => {
                    let mut copy = tree.clone();
                    self.count(size(&copy), &place)?;
                    copy.span = place;
                    self.add(copy, 0)
                }
                None => Err(error(
                    "E0111",
                    place,
                    "this alias stands inside what it names",
                    "write the value out",
                )),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn count(&mut self, values: usize, place: &Range<usize>) -> Outcome {
        self.values += values;
        if self.values > VALUES_MAX {
            let what = "more than 1,000,000 values, aliases replaced";
            return Err(error("E0105", place.clone(), what, "write less"));
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, place: Range<usize>, anchor: usize, tagged: bool) -> Outcome {
        if tagged {
            return Err(no_tags(place));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err(error("E0104", place, "more than 64 levels inside each other", ""));
        }
        if let Some(Open { kind: Kind::Map(_), key: None, .. }) = self.stack.last() {
            return Err(error("E0108", place, "a key must be a text", "write a plain key"));
        }
        self.stack.push(Open { kind, start: place.start, anchor, key: None, merge: None });
        Ok(())
    }

    /// Notes that a plain scalar is the merge key of the map that waits for a key.
    fn merges(&mut self, text: &str, place: &Range<usize>) -> Outcome {
        if text == MERGE
            && let Some(Open { kind: Kind::Map(entries), key: None, merge, .. }) =
                self.stack.last_mut()
            && merge.replace(entries.len()).is_some()
        {
            let what = "the merge key stands twice in one map";
            return Err(error("E0109", place.clone(), what, "name all in one: `<<: [*a, *b]`"));
        }
        Ok(())
    }

    /// Adds a finished value where it belongs.
    fn add(&mut self, tree: Tree, anchor: usize) -> Outcome {
        self.count(1, &tree.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(tree);
            return Ok(());
        };
        match (&mut open.kind, open.key.take()) {
            (Kind::Map(entries), Some((key, key_span))) => {
                entries.push(Entry { key, key_span, value: tree });
            }
            (Kind::Map(_), None) => match tree.kind {
                Kind::Text(key) | Kind::Number(_, key) => open.key = Some((key, tree.span)),
                Kind::Bool(b) => open.key = Some((b.to_string(), tree.span)),
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    return Err(error(
                        "E0108",
                        tree.span,
                        "a key must be a text",
                        "write a plain key",
                    ));
                }
            },
            (Kind::List(items), _) => items.push(tree),
            _ => {}
        }
        Ok(())
    }
}

/// The key that brings the entries of other maps ("Merge Key Language-Independent Type for YAML", yaml.org/type/merge, 2005-01-18).
const MERGE: &str = "<<";

/// Puts the entries of the maps that the merge key names in its place. What the map says itself goes before them, and of several maps the
/// one named earlier.
fn merge(entries: &mut Vec<Entry>, at: usize) -> Outcome {
    let named = entries.remove(at).value;
    let place = named.span.clone();
    let maps = match named.kind {
        Kind::List(items) => items,
        kind => vec![Tree { kind, span: named.span }],
    };
    let mut known: BTreeSet<String> = entries.iter().map(|own| own.key.clone()).collect();
    let mut brought = Vec::new();
    for map in maps {
        let Kind::Map(own) = map.kind else {
            let what = "a merge key takes a map, or a list of maps";
            return Err(error("E0112", place, what, "name one by its alias: `<<: *name`"));
        };
        brought.extend(own.into_iter().filter(|entry| known.insert(entry.key.clone())));
    }
    entries.splice(at..at, brought);
    Ok(())
}

fn no_tags(place: Range<usize>) -> Box<Finding> {
    error("E0108", place, "YAML tags have no meaning here", "remove the tag")
}

fn size(tree: &Tree) -> usize {
    1 + match &tree.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| 1 + size(&entry.value)).sum(),
        _ => 0,
    }
}

/// A plain scalar by the core schema of YAML 1.2.
fn plain(text: &str, place: &Range<usize>) -> Result<Kind, Box<Finding>> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            return Err(error("E0110", place.clone(), "a number must be finite", "give a number"));
        }
        _ => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && digits
                    .bytes()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
            match text.parse::<f64>() {
                Ok(value) if numeric && value.is_finite() => {
                    Kind::Number(value, text.trim_start_matches('+').to_owned())
                }
                Ok(_) if numeric => {
                    return Err(error(
                        "E0110",
                        place.clone(),
                        "this number is too large",
                        "give a finite number",
                    ));
                }
                _ => Kind::Text(text.to_owned()),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Kind, Tree, parse};

    /// Keys and texts of a tree, in order.
    fn shown(tree: &Tree) -> String {
        match &tree.kind {
            Kind::Map(entries) => {
                let own = |e: &super::Entry| format!("{}:{}", e.key, shown(&e.value));
                format!("{{{}}}", entries.iter().map(own).collect::<Vec<_>>().join(" "))
            }
            Kind::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
            Kind::Number(_, text) | Kind::Text(text) => text.clone(),
            other => format!("{other:?}"),
        }
    }

    fn of(text: &str) -> String {
        let (tree, findings) = parse(text.as_bytes());
        let codes = || findings.sorted().iter().map(|f| f.code).collect::<Vec<_>>().join(" ");
        tree.filter(|_| !findings.has_errors()).map_or_else(codes, |tree| shown(&tree))
    }

    #[test]
    fn anchors_and_aliases_repeat_a_value() {
        assert_eq!(of("a: &x {n: 1}\nb: *x\nc: [*x, 2]"), "{a:{n:1} b:{n:1} c:{n:1},2}");
    }

    #[test]
    fn a_merge_key_brings_what_the_map_does_not_say_itself() {
        let base = "base: &x {n: 1, m: 2}\n";
        let with = |rest: &str| of(&format!("{base}{rest}")).replace("base:{n:1 m:2} ", "");
        assert_eq!(with("b:\n  <<: *x\n  m: 3"), "{b:{n:1 m:3}}");
        assert_eq!(with("b: {m: 3, <<: *x}"), "{b:{m:3 n:1}}");
        // Of several, the one named earlier; one that was merged is merged whole.
        assert_eq!(with("b: {<<: [{n: 7, k: 0}, *x]}"), "{b:{n:7 k:0 m:2}}");
        assert_eq!(
            with("b: &y {<<: *x, k: 0}\nc: {<<: *y, n: 5}"),
            "{b:{n:1 m:2 k:0} c:{m:2 k:0 n:5}}"
        );
        // In quotes it is a key, and as a value a text.
        assert_eq!(with("b: {\"<<\": 1, c: <<}"), "{b:{<<:1 c:<<}}");
    }

    #[test]
    fn a_merge_key_takes_maps_and_stands_once() {
        assert_eq!(of("a: {<<: 3}"), "E0112");
        assert_eq!(of("a: {<<: [{n: 1}, 3]}"), "E0112");
        assert_eq!(of("x: &x {n: 1}\na: {<<: *x, <<: *x}"), "E0109");
    }
}
