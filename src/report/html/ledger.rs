//! The ledger of truth: predictions beside known answers and measurements, as a section of a report and as a page of its own.

use super::framed;
use super::script::STYLE;
use crate::experiment::verification::{Case, Metric, Verification};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Nothing may be loaded and no script may run: there is none.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Kinds of truth in the order of the page: key, title, what it is.
const KINDS: &[(&str, &str, &str)] = &[
    (
        "oracle",
        "Known answers of theory",
        "Stations whose figures follow from a theorem, run as scenarios. The tolerance is half a 99.9 % interval over the replications: the true value must lie inside, and the tolerance says what the comparison could have seen.",
    ),
    (
        "measured",
        "Measured clusters",
        "Real nginx, HAProxy, Node.js, gunicorn, PostgreSQL and PgBouncer under load. Their configuration is the prediction's only source; what was observed is used for the judgement alone. The tolerance is a fixed share or three deviations of the repetitions, whichever is more.",
    ),
    (
        "lambda-log",
        "Real Lambda logs",
        "Arrivals of real requests are replayed; the platform's part is predicted. The tolerance is two standard errors of the log, for environments 5 %.",
    ),
];

/// The page.
pub fn page(ledger: &Verification) -> String {
    let summary = ledger.summary;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "Headroom " (env!("CARGO_PKG_VERSION")) };
                title { "Ledger of truth – Headroom" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the sums" }
                header {
                    p.brand { "Headroom verification" }
                    h1 { "Predictions beside the truth" }
                    p.about {
                        (summary.metrics_within) " of " (summary.metrics) " figures and " (summary.cases_within) " of "
                        (summary.cases) " cases lie within their tolerance."
                    }
                }
                (contents(ledger))
                main id="main" tabindex="-1" {
                    (sums(ledger))
                    (missed(ledger))
                    @for (at, (kind, title, about)) in kinds(ledger).iter().enumerate() {
                        section id={ "kind-" (at) } aria-labelledby={ "kind-" (at) "-title" } {
                            h2 id={ "kind-" (at) "-title" } { (title) }
                            @if !about.is_empty() { p.note { (about) } }
                            (framed(title, &table(title, of_kind(ledger, kind))))
                        }
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// Kinds that occur: the known ones in their order, then others under their own name.
fn kinds(ledger: &Verification) -> Vec<(&str, &str, &str)> {
    let occurs = |kind: &str| ledger.cases.iter().any(|case| case.kind == kind);
    let mut found: Vec<(&str, &str, &str)> =
        KINDS.iter().copied().filter(|(kind, ..)| occurs(kind)).collect();
    for case in &ledger.cases {
        if !found.iter().any(|(kind, ..)| *kind == case.kind) {
            found.push((&case.kind, &case.kind, ""));
        }
    }
    found
}

fn of_kind<'a>(ledger: &'a Verification, kind: &'a str) -> impl Iterator<Item = &'a Case> + Clone {
    ledger.cases.iter().filter(move |case| case.kind == kind)
}

fn contents(ledger: &Verification) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                li { a href="#sums" { "Sums" } }
                li { a href="#missed" { "What is missed" } }
                @for (at, (_, title, _)) in kinds(ledger).iter().enumerate() {
                    li { a href={ "#kind-" (at) } { (title) } }
                }
            }
        }
    }
}

fn sums(ledger: &Verification) -> Markup {
    html! {
        section id="sums" aria-labelledby="sums-title" {
            h2 id="sums-title" { "Sums" }
            div.cards {
                @for (kind, title, _) in kinds(ledger) {
                    @let cases = of_kind(ledger, kind);
                    @let metrics = cases.clone().flat_map(|case| &case.metrics);
                    @let holds = metrics.clone().filter(|metric| metric.within).count();
                    @let whole = cases.clone().filter(|case| case.within).count();
                    article.card data-verdict=(if whole == cases.clone().count() { "pass" } else { "undecided" }) {
                        h3 { (title) }
                        p { (holds) " of " (metrics.count()) " figures (" (percent(holds, cases.clone().map(|c| c.metrics.len()).sum())) ")" }
                        p { (whole) " of " (cases.clone().count()) " cases with all of them (" (percent(whole, cases.count())) ")" }
                    }
                }
            }
            p.note {
                "The bars show how far a prediction lies from the truth: the band is the tolerance, its middle the truth, the mark the prediction. "
                "A mark at the very end lies two tolerances away or farther."
            }
        }
    }
}

fn percent(part: usize, of: usize) -> String {
    if of == 0 { "none".into() } else { format!("{:.1} %", part as f64 / of as f64 * 100.0) }
}

fn missed(ledger: &Verification) -> Markup {
    let cases = || ledger.cases.iter().filter(|case| !case.within);
    html! {
        section id="missed" aria-labelledby="missed-title" {
            h2 id="missed-title" { "What is missed" }
            @if cases().next().is_none() { p { "Nothing: every figure lies within its tolerance." } }
            @else {
                (framed("What is missed", &table_of("Cases with a figure outside its tolerance, and these figures only", cases(), |metric| !metric.within)))
            }
        }
    }
}

/// A section of a run's report.
pub(super) fn section(ledger: &Verification) -> Markup {
    let summary = ledger.summary;
    html! {
        section id="validation" aria-labelledby="validation-title" {
            h2 id="validation-title" { "Validation" }
            p {
                (summary.metrics_within) " of " (summary.metrics) " figures and " (summary.cases_within) " of "
                (summary.cases) " cases lie within their tolerance."
            }
            (framed("Validation", &table("Predictions beside truth: known answers of theory, and systems that were measured", ledger.cases.iter())))
        }
    }
}

fn table<'a>(caption: &str, cases: impl Iterator<Item = &'a Case>) -> Markup {
    table_of(caption, cases, |_| true)
}

fn table_of<'a>(
    caption: &str,
    cases: impl Iterator<Item = &'a Case>,
    shown: impl Fn(&Metric) -> bool,
) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for head in ["Case", "Figure", "Predicted", "Truth", "Tolerance", "Deviation", "Verdict"] { th scope="col" { (head) } } } }
            @for case in cases {
                tbody {
                    tr.node {
                        th scope="rowgroup" colspan="6" {
                            (case.id) " (" (case.kind) ") " (case.title)
                            @if let Some(note) = &case.note { " – " (note) }
                        }
                        td { (within(case.within)) }
                    }
                    @for metric in case.metrics.iter().filter(|metric| shown(metric)) { (compared(metric)) }
                }
            }
        }
    }
}

fn compared(metric: &Metric) -> Markup {
    let number = |value: Option<f64>| value.map_or("none".into(), short);
    html! {
        tr {
            td {}
            th.item scope="row" { (metric.name) }
            td.figure { (number(metric.predicted)) }
            td.figure {
                (number(metric.observed))
                @if let Some([low, high]) = metric.range { " (" (short(low)) " to " (short(high)) ")" }
            }
            td.figure { (short(metric.tolerance)) }
            td { (deviation(metric)) }
            td { (within(metric.within)) }
        }
    }
}

/// Deviation in tolerances on a line from −2 to 2; from the nearer end of the range where there is one.
fn deviation(metric: &Metric) -> Markup {
    let Some((predicted, truth)) = metric.predicted.zip(metric.observed) else { return html! {} };
    let [low, high] = metric.range.unwrap_or([truth, truth]);
    let off = predicted - predicted.clamp(low.min(high), high.max(low));
    let relative = match (metric.tolerance > 0.0, off) {
        (true, off) => off / metric.tolerance,
        (false, 0.0) => 0.0,
        (false, off) => 2.0 * off.signum(),
    };
    // 2 wide at 0 to 98.
    let x = (relative.clamp(-2.0, 2.0) + 2.0) * 24.5;
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.band x="25" y="1" width="50" height="6" {}
            rect.middle x="49.75" y="1" width="0.5" height="6" {}
            rect.mark data-verdict=(if metric.within { "pass" } else { "fail" }) x=(format!("{x:.1}")) y="0" width="2" height="8" {}
        }
    }
}

fn within(yes: bool) -> Markup {
    let (verdict, sign, word) =
        if yes { ("pass", "✓", "within") } else { ("fail", "✗", "outside") };
    html! { span.badge data-verdict=(verdict) { span aria-hidden="true" { (sign) } " " (word) } }
}

/// Four significant digits, whole numbers whole.
fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        // Adding zero takes the sign from a negative one.
        return format!("{}", value + 0.0);
    }
    let digits = (3.0 - libm::floor(libm::log10(value.abs()))).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Verification {
        let good = Metric::near("latency.mean", 0.0201, 0.02, 0.001);
        let bad = Metric::near("success", 0.7, 0.9, 0.02);
        let none = Metric { predicted: None, ..Metric::near("p95", 0.0, 1.0, 0.1) };
        Verification::new(vec![
            Case::new("mm1", "oracle", "a queue", vec![good.clone()]),
            Case::new("E1-01", "measured", "<b>", vec![good, bad]),
            Case::failed("E9", "other", "unknown", "no counterpart".into()),
            Case::new("run", "lambda-log", "log", vec![Metric { within: false, ..none }]),
        ])
    }

    #[test]
    fn the_page_needs_nothing_and_runs_nothing() {
        let page = page(&ledger());
        for word in ["<script", "src=", "@import", "url(", "<link", "href=\"http", "<b>"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
        assert!(page.contains("2 of 4 figures and 1 of 4 cases"), "{page}");
        assert!(page.contains("1 of 2 figures (50.0 %)"));
        // A kind without a title stands under its own name, a case without a prediction with its reason.
        assert!(page.contains("id=\"kind-3\"") && page.contains("no counterpart"));
    }

    #[test]
    fn a_mark_lies_where_the_deviation_says() {
        let x = |metric: &Metric| {
            let text = deviation(metric).into_string();
            text.split("rect class=\"mark\"")
                .nth(1)
                .unwrap()
                .split("x=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        assert!((x(&Metric::near("a", 1.0, 1.0, 0.1)) - 49.0).abs() < 1e-9);
        assert!((x(&Metric::near("a", 1.1, 1.0, 0.1)) - 73.5).abs() < 0.1);
        assert!((x(&Metric::near("a", 9.0, 1.0, 0.1)) - 98.0).abs() < 1e-9);
        assert!((x(&Metric::near("a", 0.5, 1.0, 0.0)) - 0.0).abs() < 1e-9);
        // Inside the range of repetitions that differ by a race there is no deviation.
        let race = Metric { range: Some([1.0, 3.0]), ..Metric::near("a", 2.5, 2.0, 0.1) };
        assert!((x(&race) - 49.0).abs() < 1e-9);
    }
}
