//! The place of a value inside a scenario: `designs.lambda.nodes.fn.memory`, `stages[3].for`.

use serde_json::Value;
use std::fmt;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A key of a map, or the kind of an enum.
    Key(String),
    /// A place in a list, counted from 0.
    Index(usize),
}

/// Steps from the root of a scenario to a value; the empty path is the whole scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// Reads the text form. Keys that hold a dot, a bracket or a quote stand in `["…"]`.
    /// Anything is read in some way: a path that leads nowhere is for its user to report.
    pub fn parse(text: &str) -> Path {
        let mut segments = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some((segment, tail)) = bracketed(rest) {
                segments.push(segment);
                rest = tail;
                continue;
            }
            // A first character is always taken, so the loop ends even for a stray bracket.
            let end = rest
                .char_indices()
                .skip(1)
                .find(|&(_, c)| c == '.' || c == '[')
                .map_or(rest.len(), |(at, _)| at);
            if end > 0 {
                segments.push(Segment::Key(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
        Path(segments)
    }

    /// One step further, by key.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        self.with(Segment::Key(key.to_owned()))
    }

    /// One step further, by place in a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Path {
        self.with(Segment::Index(index))
    }

    /// What the path leads to; where `*` stands for several places, the first.
    pub fn find<'a>(&self, scenario: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(scenario, |place, segment| match (segment, place) {
            (Segment::Key(key), Value::Object(map)) if key == "*" => map.values().next(),
            (Segment::Key(key), Value::Array(list)) if key == "*" => list.first(),
            (Segment::Key(key), _) => place.get(key),
            (Segment::Index(index), _) => place.get(*index),
        })
    }

    fn with(&self, segment: Segment) -> Path {
        let mut longer = self.clone();
        longer.0.push(segment);
        longer
    }
}

/// Reads `[3]`, `[*]`, `[]` or `["a.b"]` at the start of a text.
fn bracketed(text: &str) -> Option<(Segment, &str)> {
    let inner = text.strip_prefix('[')?;
    if inner.starts_with('"') {
        let mut stream = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let key = stream.next()?.ok()?;
        let tail = inner[stream.byte_offset()..].strip_prefix(']')?;
        return Some((Segment::Key(key), tail));
    }
    let (number, tail) = inner.split_once(']')?;
    match number {
        "" | "*" => Some((Segment::Key("*".to_owned()), tail)),
        _ => Some((Segment::Index(number.parse().ok()?), tail)),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if needs_quotes(key) => {
                    write!(f, "[{}]", Value::from(key.as_str()))?;
                }
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn needs_quotes(key: &str) -> bool {
    key.is_empty()
        || key.trim() != key
        || key.contains(|c: char| matches!(c, '.' | '[' | ']' | '"') || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in [
            "",
            "name",
            "designs.nginx + pods.nodes.fn",
            "stages[3].for",
            "[2][0]",
            "a[\"b.c\"].d",
            "[\"\"]",
            "x[\"q\\\"]\"]",
        ] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
        let odd = Path(vec![Segment::Key("a.b[1]".into()), Segment::Index(7)]);
        assert_eq!(Path::parse(&odd.to_string()), odd);
    }

    #[test]
    fn stray_signs_are_read_somehow() {
        for text in [
            ".",
            "..",
            "[",
            "]",
            "[x",
            "[\"",
            "a..b",
            "[-1]",
            "é[",
            "a.[",
            "[99999999999999999999]",
        ] {
            let _ = Path::parse(text);
        }
        assert_eq!(Path::parse("nodes.*.memory").0.len(), 3);
        assert_eq!(Path::parse("stages[*]"), Path::parse("stages.*"));
    }
}
