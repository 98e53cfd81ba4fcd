//! The result as one HTML file that needs nothing else: verdicts, figures, charts, bill, assumptions, the result itself.
//!
//! Names in a scenario are untrusted text. Every text goes through the template's escaping; the only unescaped parts are
//! our own constants and the packed result, which is base 64. The page's policy forbids the network altogether and
//! every script but ours.

mod appendix;
mod bill;
mod causes;
mod design;
mod ledger;
mod script;
mod summary;

use crate::experiment::result::RunResult;
use crate::experiment::verification::Verification;
use crate::report::words::{capital, interrupted, plural};
pub use ledger::page as verification_html;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use script::{SCRIPT, SCRIPT_HASH, STYLE};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// The page. `validation` is what `headroom verify --format json` printed, if it is to stand in the report.
pub fn html(result: &RunResult, validation: Option<&Verification>) -> String {
    page(result, validation).into_string()
}

fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{SCRIPT_HASH}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
}

/// The result's JSON, deflated and in letters: a quarter of the room. The page's program unpacks it as its first act.
struct Packed {
    /// Bytes of the JSON.
    size: usize,
    text: String,
}

/// JSON without `<`, so that it may also stand between script tags once the page has unpacked it and is saved.
fn packed(result: &RunResult) -> Packed {
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Brief);
    // Plain data into memory: neither can fail.
    let _ = result.serialize(&mut writer);
    let json = String::from_utf8_lossy(&bytes).replace('<', "\\u003c");
    let text = base64(&miniz_oxide::deflate::compress_to_vec(json.as_bytes(), DEFLATE_LEVEL));
    Packed { size: json.len(), text }
}

/// The most thorough of zlib's own levels; those above gain one per cent and cost three times the work.
const DEFLATE_LEVEL: u8 = 9;

/// Base 64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_u32, |sum, i| sum << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

/// Compact JSON in which a whole number has no `.0`: the same values in two thirds of the text.
struct Brief;

impl Formatter for Brief {
    fn write_f64<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        value: f64,
    ) -> std::io::Result<()> {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return write!(writer, "{}", value as i64);
        }
        CompactFormatter.write_f64(writer, value)
    }
}

fn page(result: &RunResult, validation: Option<&Verification>) -> Markup {
    let name = &result.scenario.name;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "Headroom " (result.headroom) };
                title { (name) " – Headroom" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the verdicts" }
                (head(result))
                (contents(result, validation.is_some()))
                main id="main" tabindex="-1" {
                    (summary::verdicts(result))
                    (summary::designs(result))
                    (summary::charts(result))
                    (summary::differences(result))
                    @for (at, design) in result.designs.iter().enumerate() {
                        (design::section(at, design, &result.prices.currency))
                    }
                    (causes::sensitivity(result))
                    (appendix::assumptions(result))
                    @if let Some(validation) = validation { (ledger::section(validation)) }
                    (appendix::method(result))
                }
                @let packed = packed(result);
                script type="application/json" id="result" data-size=(packed.size) { (PreEscaped(packed.text)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(result: &RunResult) -> Markup {
    let scenario = &result.scenario;
    html! {
        header {
            p.brand { "Headroom report" }
            h1 { (scenario.name) }
            @if !scenario.about.is_empty() { p.about { (scenario.about) } }
            p.facts {
                (plural(result.designs.len(), "design")) " · " (result.replications) " replications each · seed " (result.seed)
                " · era " (scenario.era) " · prices " (result.prices.name) " of " (result.prices.date)
                ". Figures in brackets are 95 % confidence intervals."
            }
            @if let Some(own) = &result.interrupted { p role="note" { strong { (capital(&interrupted(own))) "." } } }
            div.tools hidden {
                button type="button" id="download" data-name=(file_name(&scenario.name)) { "Download the result (JSON)" }
                button type="button" id="theme" { "Theme: as the system" }
                button type="button" id="print" { "Print" }
            }
            noscript { p.note { "Charts and buttons need JavaScript. Every figure of this page stands in its tables." } }
        }
    }
}

/// A name for the file that is saved: letters, digits and dashes only.
fn file_name(name: &str) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("{}.result.json", kept.trim_matches('-'))
}

fn contents(result: &RunResult, validated: bool) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                li { a href="#verdicts" { "Verdicts" } }
                li { a href="#designs" { "Designs side by side" } }
                @for (at, design) in result.designs.iter().enumerate() {
                    li { a href={ "#design-" (at) } { (design.name) } }
                }
                @if !result.sensitivity.is_empty() { li { a href="#sensitivity" { "Which assumptions matter" } } }
                li { a href="#assumptions" { "Assumptions" } }
                @if validated { li { a href="#validation" { "Validation" } } }
                li { a href="#method" { "How to read this" } }
            }
        }
    }
}

/// A table that scrolls inside its own frame where it is too wide, also by keyboard.
fn framed(label: &str, table: &Markup) -> Markup {
    html! { div.frame role="region" aria-label=(label) tabindex="0" { (table) } }
}

#[cfg(test)]
mod tests;
