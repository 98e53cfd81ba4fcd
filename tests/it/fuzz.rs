//! Random mutations of the shipped scenarios through the reader and the checks: no panic, no hang, no error without a
//! place. `HEADROOM_FUZZ=1000000 cargo test --release fuzz` runs a longer one.

use super::scenario::findings;
use headroom::kernel::{Key, Stream};

/// Pieces that turn a scenario into a wrong one.
const PIECES: &[&str] = &[
    "1e308",
    "-1",
    "0",
    "NaN",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "null",
    "true",
    "[]",
    "{}",
    "\"1s\"",
    "\"-5ms\"",
    "\"1e300s\"",
    "\"∞\"",
    "\\u0000",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "&a",
    "*a",
    "!t",
    "\u{feff}",
    "\n---\n",
    "\"nodes\"",
    "\"cpu\"",
    "\"nginx\"",
    "\"lambda\"",
    "é",
];

fn mutate(text: &mut Vec<u8>, stream: &mut Stream) {
    let at = stream.below(text.len() as u64 + 1) as usize;
    let end = (at + 1 + stream.below(24) as usize).min(text.len());
    match stream.below(7) {
        0 if at < text.len() => text[at] = stream.bits() as u8,
        1 => {
            text.drain(at.min(end)..end);
        }
        2 => {
            let copy = text[at.min(end)..end].to_vec();
            text.splice(at..at, copy);
        }
        3 => text.truncate(at),
        4 => {
            let piece = PIECES[stream.below(PIECES.len() as u64) as usize];
            text.splice(at..at, piece.bytes());
        }
        _ => {
            // Replaces a whole token: the interesting mistakes keep the syntax.
            let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
            let start = text[..at].iter().rposition(|b| !is_token(b)).map_or(0, |i| i + 1);
            let stop = text[at..].iter().position(|b| !is_token(b)).map_or(text.len(), |i| at + i);
            let piece = PIECES[stream.below(PIECES.len() as u64) as usize];
            text.splice(start..stop, piece.bytes());
        }
    }
}

#[test]
fn mutated_scenarios_are_refused_politely() {
    let rounds =
        std::env::var("HEADROOM_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(6_000_u64);
    let mut texts: Vec<String> = super::golden::scenarios()
        .into_iter()
        .map(|(_, text)| text)
        .filter(|t| t.len() < 12_000)
        .collect();
    texts.push(include_str!("../../src/cli/templates/compare.json").to_owned());
    texts.push(include_str!("../../src/cli/templates/lambda.json").to_owned());
    for round in 0..rounds {
        let mut stream = Key::root(round, 99).stream();
        let mut text = texts[stream.below(texts.len() as u64) as usize].clone().into_bytes();
        for _ in 0..=stream.below(3) {
            mutate(&mut text, &mut stream);
        }
        for finding in &findings(&text) {
            assert!(finding.span.is_some(), "round {round}: {finding:?}");
        }
    }
}
