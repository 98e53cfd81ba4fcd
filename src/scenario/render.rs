//! Findings to text for people (carets), JSON for programs, and annotations for a code review.

use super::finding::{Finding, Findings, Severity};
use super::words::plain;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// Nobody reads further than this; the rest is counted in the last line.
const SHOWN_MAX: usize = 50;

/// A longer piece of text (a scenario on one line, say) is not drawn; only its place is named.
const DRAWN_MAX: usize = 64 << 10;

/// Carets as rustc draws them, one paragraph per finding, and a count at the end.
pub fn render_text(file: &str, text: &str, findings: &Findings, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let file = plain(file);
    let mut out = String::new();
    for finding in findings.sorted().into_iter().take(SHOWN_MAX) {
        out.push_str(&renderer.render(&[group(&file, text, finding)]));
        out.push_str("\n\n");
    }
    if !findings.is_empty() {
        out.push_str(&count_line(&file, findings));
    }
    out
}

/// `scenario.yaml: 3 errors, 1 warning`.
fn count_line(file: &str, findings: &Findings) -> String {
    let plural =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut line = format!("{file}: {}", plural(findings.errors(), "error"));
    if findings.warnings() > 0 {
        let _ = write!(line, ", {}", plural(findings.warnings(), "warning"));
    }
    let hidden = (findings.errors() + findings.warnings()).saturating_sub(SHOWN_MAX);
    if hidden > 0 {
        let _ = write!(line, " (the first {SHOWN_MAX} are shown, {hidden} more are not)");
    }
    line.push('\n');
    line
}

fn group<'a>(file: &'a str, text: &'a str, finding: &'a Finding) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = if finding.path.is_empty() {
        finding.message.clone()
    } else {
        format!("{}: {}", plain_path(&finding.path), finding.message)
    };
    let mut group = Group::with_title(level.primary_title(title).id(finding.code));
    group = match &finding.span {
        None => group.element(Origin::path(file)),
        Some(span) => placed(group, file, text, (span, finding)),
    };
    if !finding.remedy.is_empty() {
        group = group.element(Level::HELP.message(finding.remedy.as_str()));
    }
    group
}

/// Paths may be long, and their keys are a user's own text.
fn plain_path(path: &str) -> String {
    path.split('.').map(plain).collect::<Vec<_>>().join(".")
}

fn placed<'a>(
    group: Group<'a>,
    file: &'a str,
    text: &'a str,
    (span, finding): (&Range<usize>, &'a Finding),
) -> Group<'a> {
    let primary = one_line(text, span);
    let mut marks = vec![(AnnotationKind::Primary, primary.clone(), finding.label.as_str())];
    for (span, label) in &finding.also {
        marks.push((AnnotationKind::Context, one_line(text, span), label.as_str()));
    }
    let from = marks.iter().map(|mark| mark.1.start).min().unwrap_or(primary.start);
    let to = marks.iter().map(|mark| mark.1.end).max().unwrap_or(primary.end);
    let window = line_start(text, from)..line_end(text, to);
    let (line, column) = line_column(text, primary.start);
    if window.len() > DRAWN_MAX {
        return group.element(Origin::path(file).line(line).char_column(column));
    }
    let first_line = line_column(text, window.start).0;
    let mut snippet = Snippet::source(&text[window.clone()]).line_start(first_line).path(file);
    for (kind, span, label) in marks {
        let mark = kind.span(span.start - window.start..span.end - window.start);
        snippet = snippet.annotation(if label.is_empty() { mark } else { mark.label(label) });
    }
    group.element(snippet)
}

/// A span inside the text, on character boundaries, and cut at the end of its first line: a caret
/// under the head of a map says more than a bracket along all of it.
fn one_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let line_end = line_end(text, start);
    start..end.min(line_end).max(start)
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |found| found + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |found| at + found);
    // A carriage return belongs to the line's end, not to what a caret may point at.
    if end > at && text.as_bytes()[end - 1] == b'\r' { end - 1 } else { end }
}

/// Line and column of a byte, both counted from 1, columns in characters.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let at = floor(text, at);
    let start = line_start(text, at);
    let line = text[..start].matches('\n').count() + 1;
    // A byte-order mark is not a column that an editor shows.
    let shown = text[start..at].trim_start_matches('\u{feff}');
    (line, shown.chars().count() + 1)
}

/// A JSON list of `{code, severity, path, line, column, message, remedy}`.
pub fn render_json(text: &str, findings: &Findings) -> String {
    let rows: Vec<Value> = findings
        .sorted()
        .into_iter()
        .map(|finding| {
            let place = finding.span.as_ref().map(|span| line_column(text, span.start));
            json!({
                "code": finding.code,
                "severity": finding.severity.name(),
                "path": finding.path,
                "line": place.map(|place| place.0),
                "column": place.map(|place| place.1),
                "message": finding.message,
                "remedy": finding.remedy,
            })
        })
        .collect();
    format!("{:#}\n", Value::from(rows))
}

/// One workflow command per finding: `::error file=…,line=…,col=…,title=…::…`.
pub fn render_github(file: &str, text: &str, findings: &Findings) -> String {
    let mut out = String::new();
    for finding in findings.sorted() {
        let _ = write!(out, "::{} file={}", finding.severity.name(), property(file));
        if let Some(span) = &finding.span {
            let (line, column) = line_column(text, span.start);
            let _ = write!(out, ",line={line},col={column}");
        }
        let mut message = finding.message.clone();
        if !finding.path.is_empty() {
            message = format!("{}: {message}", finding.path);
        }
        if !finding.remedy.is_empty() {
            let _ = write!(message, "; {}", finding.remedy);
        }
        let _ = writeln!(out, ",title={}::{}", finding.code, data(&message));
    }
    out
}

/// Escapes of a workflow command's message, as GitHub's own toolkit writes them.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes of a workflow command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::path::Path;
    use super::*;

    fn finding(span: Range<usize>) -> Finding {
        let path = Path::parse("designs.lambda.memory");
        Finding::error("E0206", &path, span, "expected a number".into())
            .label("found a text")
            .remedy("write 12")
    }

    #[test]
    fn looks_like_rustc() {
        let text = "name: x\nmemory: lots\nother: 1\n";
        let found = finding(16..20).also(8..14, "for this key");
        let drawn = render_text("s.yaml", text, &found.into(), false);
        let expected = "\
error[E0206]: designs.lambda.memory: expected a number
 --> s.yaml:2:9
  |
2 | memory: lots
  | ------  ^^^^ found a text
  | |
  | for this key
  |
  = help: write 12

s.yaml: 1 error
";
        assert_eq!(drawn, expected);
        let coloured = render_text("s.yaml", text, &finding(16..20).into(), true);
        assert!(coloured.contains("\u{1b}["));
    }

    #[test]
    fn places_for_programs() {
        let text = "é: 1\r\nmemory: lots\r\n";
        let findings = Findings::from(finding(15..19));
        let rows: Value = serde_json::from_str(&render_json(text, &findings)).unwrap();
        assert_eq!((&rows[0]["line"], &rows[0]["column"]), (&json!(2), &json!(9)));
        assert_eq!(
            render_github("a,b.yaml", text, &findings),
            "::error file=a%2Cb.yaml,line=2,col=9,title=E0206::\
             designs.lambda.memory: expected a number; write 12\n"
        );
        let unplaced = Findings::from(finding(0..0).unplaced());
        assert!(render_github("s", text, &unplaced).starts_with("::error file=s,title="));
    }

    #[test]
    fn no_span_is_a_panic() {
        let texts =
            ["", "\n", "x", "é", "日本\r\n語\n", "\u{feff}a: b", "\t\u{301}\n\n\n", "\r", "a\0b"];
        for text in texts {
            for start in 0..text.len() + 3 {
                for end in 0..text.len() + 3 {
                    #[expect(
                        clippy::reversed_empty_ranges,
                        reason = "even such a span must not panic"
                    )]
                    let reversed = 5..2;
                    let found = finding(start..end).also(end..start, "b").also(reversed, "");
                    let findings = Findings::from(found);
                    for colour in [false, true] {
                        render_text("f", text, &findings, colour);
                    }
                    render_json(text, &findings);
                    render_github("f", text, &findings);
                }
            }
        }
    }

    #[test]
    fn a_megabyte_on_one_line_is_named_not_drawn() {
        let text = "x".repeat(1 << 20);
        let mut findings = Findings::new();
        for at in 0..500 {
            findings.push(finding(at..at + 1));
        }
        let drawn = render_text("f", &text, &findings, false);
        assert!(drawn.len() < 50_000 && drawn.contains("f:1:50"), "{}", drawn.len());
        assert!(drawn.contains("450 more"));
    }
}
