//! What is wrong with a scenario: a code, a place, what was expected and a remedy.

use super::catalogue::find_code;
use super::path::Path;
use std::ops::Range;

/// Whether a run may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario does not run.
    Error,
    /// The scenario runs, and the report repeats the warning.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One problem of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// An entry of [`mod@super::catalogue`], e.g. `E0102`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Where in the scenario, e.g. `designs.lambda.nodes.fn.memory`; empty for the whole.
    pub path: String,
    /// Where in the text, bytes; none if the value was never written.
    pub span: Option<Range<usize>>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// A few words that stand at the caret; may be empty.
    pub label: String,
    /// What to write instead; may be empty.
    pub remedy: String,
    /// Other places that belong to it, each with a few words.
    pub also: Vec<(Range<usize>, String)>,
}

impl Finding {
    /// An error at a place of the text. Label, remedy and other places are added by the builders.
    pub fn error(code: &'static str, path: &Path, span: Range<usize>, message: String) -> Finding {
        debug_assert!(find_code(code).is_some(), "{code} has no entry in the catalogue");
        Finding {
            code,
            severity: Severity::Error,
            path: path.to_string(),
            span: Some(span),
            message,
            label: String::new(),
            remedy: String::new(),
            also: Vec::new(),
        }
    }

    /// A warning at a place of the text.
    pub fn warning(
        code: &'static str,
        path: &Path,
        span: Range<usize>,
        message: String,
    ) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(code, path, span, message) }
    }

    /// Without a place in the text: about something that was not written in it.
    #[must_use]
    pub fn unplaced(self) -> Finding {
        Finding { span: None, ..self }
    }

    /// The few words at the caret.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Finding {
        Finding { label: label.into(), ..self }
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: remedy.into(), ..self }
    }

    /// Another place that belongs to it.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Finding {
        self.also.push((span, label.into()));
        self
    }
}

/// More findings than this help nobody; the rest is only counted.
const KEPT_MAX: usize = 1000;

/// All findings of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    errors: usize,
    warnings: usize,
}

impl Findings {
    /// None yet.
    pub fn new() -> Findings {
        Findings::default()
    }

    /// Adds one. Past a thousand they are counted but not kept.
    pub fn push(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push(finding);
        }
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Findings) {
        self.errors += other.errors;
        self.warnings += other.warnings;
        let room = KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// Whether a run must not start.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.errors + self.warnings == 0
    }

    /// The first error as one line, with its place and remedy.
    pub fn first_error(&self) -> Option<String> {
        let error = self.kept.iter().find(|finding| finding.severity == Severity::Error)?;
        let remedy = error.remedy.as_str();
        Some(format!("{} at {}: {} ({remedy})", error.code, error.path, error.message))
    }

    /// How many errors were found, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings were found, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many were counted but not kept.
    pub fn dropped(&self) -> usize {
        self.errors + self.warnings - self.kept.len()
    }

    /// The kept ones by place in the text, those without a place last, equal places in order of code.
    pub fn sorted(&self) -> Vec<&Finding> {
        let mut all: Vec<&Finding> = self.kept.iter().collect();
        all.sort_by_key(|finding| {
            let start = finding.span.as_ref().map_or(usize::MAX, |span| span.start);
            (start, finding.code, finding.path.as_str())
        });
        all
    }

    /// The kept ones in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.kept.iter()
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Findings {
        let mut findings = Findings::new();
        findings.push(finding);
        findings
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize) -> Finding {
        Finding::error("E0102", &Path::default(), start..start + 1, "m".into())
    }

    #[test]
    fn sorted_by_place_and_unplaced_last() {
        let mut findings = Findings::new();
        findings.push(at(9).unplaced());
        findings.push(at(7));
        findings.push(at(3));
        let starts: Vec<_> =
            findings.sorted().iter().map(|f| f.span.as_ref().map(|s| s.start)).collect();
        assert_eq!(starts, [Some(3), Some(7), None]);
    }

    #[test]
    fn a_flood_is_counted_not_kept() {
        let mut findings = Findings::new();
        for start in 0..5000 {
            findings.push(at(start));
        }
        findings.push(Finding::warning("E0102", &Path::default(), 0..0, "w".into()));
        assert_eq!((findings.errors(), findings.warnings()), (5000, 1));
        assert_eq!((findings.iter().count(), findings.dropped()), (1000, 4001));
        let mut twice = findings.clone();
        twice.extend(findings);
        assert_eq!((twice.errors(), twice.dropped()), (10_000, 9002));
        assert!(twice.has_errors() && !twice.is_empty());
    }
}
