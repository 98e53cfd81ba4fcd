//! JSON (RFC 8259) with places. Strict: what a JSON tool would refuse is refused here, with a caret.

use super::finding::{Finding, Findings};
use super::path::Path;
use super::tree::{DEPTH_MAX, Entry, Kind, Tree, VALUES_MAX};
use std::ops::Range;

/// Reads a text that begins with `{` or `[`.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Tree> {
    let mut reader = Reader { text, at: 0, depth: 0, values: 0 };
    let outcome = reader.value().and_then(|tree| {
        reader.space();
        if reader.at < text.len() {
            return Err(reader.wrong("there is more text after the end of the scenario", ""));
        }
        Ok(tree)
    });
    match outcome {
        Ok(tree) => Some(tree),
        Err(finding) => {
            findings.push(*finding);
            None
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
}

type Outcome<T> = Result<T, Box<Finding>>;

impl Reader<'_> {
    fn here(&self) -> Range<usize> {
        let len = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.at..self.at + len
    }

    fn finding(
        &self,
        code: &'static str,
        span: Range<usize>,
        what: &str,
        remedy: &str,
    ) -> Box<Finding> {
        Box::new(Finding::error(code, &Path::default(), span, what.into()).remedy(remedy))
    }

    fn wrong(&self, what: &str, remedy: &str) -> Box<Finding> {
        if self.at >= self.text.len() {
            let end = self.text.len();
            let remedy = "the file may have been cut off; close what is open";
            return self.finding("E0102", end..end, "the text ends too early", remedy);
        }
        self.finding("E0102", self.here(), what, remedy)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Outcome<Tree> {
        self.space();
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(self.finding("E0105", self.here(), "more than 1,000,000 values", ""));
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Tree { kind, span: start..self.at })
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Outcome<Kind>) -> Outcome<Kind> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.finding(
                "E0104",
                self.here(),
                "more than 64 levels inside each other",
                "",
            ));
        }
        self.at += 1;
        let kind = inside(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn map(&mut self) -> Outcome<Kind> {
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Map(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(
                    self.wrong("a key in double quotes is wanted here", "write \"key\": value")
                );
            }
            let start = self.at;
            let key = self.string()?;
            let key_span = start..self.at;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("a `:` is wanted after the key", "write \"key\": value"));
            }
            self.at += 1;
            let value = self.value()?;
            entries.push(Entry { key, key_span, value });
            if self.end_or_comma(b'}', "`,` or `}`")? {
                return Ok(Kind::Map(entries));
            }
        }
    }

    fn list(&mut self) -> Outcome<Kind> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.end_or_comma(b']', "`,` or `]`")? {
                return Ok(Kind::List(items));
            }
        }
    }

    /// Takes a comma (false) or the closing bracket (true).
    fn end_or_comma(&mut self, end: u8, wanted: &str) -> Outcome<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                let comma = self.at..self.at + 1;
                self.at += 1;
                self.space();
                if self.peek() == Some(end) {
                    let what = "there is nothing after this comma";
                    return Err(self.finding("E0102", comma, what, "remove the comma"));
                }
                Ok(false)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.wrong(
                &format!("{wanted} is wanted here"),
                "a comma or a bracket is missing before it",
            )),
        }
    }

    fn word(&mut self) -> Outcome<Kind> {
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let kind = match &rest[..end] {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            "NaN" | "Infinity" | "nan" | "inf" => {
                let span = self.at..self.at + end;
                return Err(self.finding(
                    "E0110",
                    span,
                    "a number must be finite",
                    "give a number",
                ));
            }
            "" => return Err(self.wrong("a value is wanted here", "")),
            word => {
                let what = format!("`{}` is not a value", super::words::plain(word));
                let span = self.at..self.at + end;
                return Err(self.finding("E0102", span, &what, "put texts in double quotes"));
            }
        };
        self.at += end;
        Ok(kind)
    }

    fn number(&mut self) -> Outcome<Kind> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            reader.at > from
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.at;
        let mut fine = digits(self) && !(zero && self.at - whole > 1);
        if self.peek() == Some(b'.') {
            self.at += 1;
            fine &= digits(self);
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            fine &= digits(self);
        }
        let text = &self.text[start..self.at];
        let span = start..self.at;
        match text.parse::<f64>() {
            Ok(value) if fine && value.is_finite() => Ok(Kind::Number(value, text.to_owned())),
            Ok(_) if fine => {
                Err(self.finding("E0110", span, "this number is too large", "give a finite number"))
            }
            _ => {
                Err(self.finding("E0102", span, "this is not a number", "write it like 12 or 0.5"))
            }
        }
    }

    fn string(&mut self) -> Outcome<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(['"', '\\', '\n']) else {
                self.at = self.text.len();
                let what = "this text is not closed";
                return Err(self.finding(
                    "E0102",
                    start..start + 1,
                    what,
                    "close it with a double quote",
                ));
            };
            out.push_str(&rest[..stop]);
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => {
                    let what = "this text is not closed on its line";
                    let remedy = "close it with a double quote; a line break is written \\n";
                    return Err(self.finding("E0102", start..start + 1, what, remedy));
                }
            }
        }
    }

    fn escape(&mut self) -> Outcome<char> {
        let start = self.at;
        self.at += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex();
                let code = match high {
                    Some(high @ 0xd800..=0xdbff) if self.text[self.at..].starts_with("\\u") => {
                        self.at += 2;
                        let low = self.hex().filter(|low| (0xdc00..=0xdfff).contains(low));
                        low.map(|low| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    other => other,
                };
                match code.and_then(char::from_u32) {
                    Some(c) => c,
                    None => return Err(self.bad_escape(start)),
                }
            }
            _ => return Err(self.bad_escape(start)),
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        self.at += 4;
        plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    }

    fn bad_escape(&self, start: usize) -> Box<Finding> {
        let rest = &self.text[start..];
        let len = rest.chars().take(2).map(char::len_utf8).sum::<usize>();
        let what = "this is no escape of JSON";
        self.finding("E0102", start..start + len, what, "write \\\\ for a backslash")
    }
}
