//! The page as text; how it looks and works is tried in a browser by `tests/browser`.

use super::*;

/// Two designs, one of them with names that try to be markup.
fn result() -> RunResult {
    let mut result = crate::report::chart::tests::sample();
    result.designs[0].name = "<script>alert(1)</script>".into();
    result.scenario.name = "a & b </script><!-- \"quoted\"".into();
    result
}

#[test]
fn names_stay_text() {
    let page = html(&result(), None);
    assert!(!page.contains("<script>alert"), "a name became markup");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    // Two script elements, as many ends, and no comment opened by a name.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--"));
}

#[test]
fn the_result_inside_is_the_result() {
    let result = result();
    let page = html(&result, None);
    let begin = page.find("id=\"result\">").unwrap() + "id=\"result\">".len();
    let text = &page[begin..begin + page[begin..].find("</script>").unwrap()];
    let read: RunResult = serde_json::from_str(text).unwrap();
    assert_eq!(read, result);
}

#[test]
fn nothing_points_outside() {
    let page = html(&result(), None);
    for word in ["src=", "@import", "url(", "<link", "<iframe", "href=\"http"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_validation_ledger_is_shown_as_text() {
    use crate::experiment::verification::{Case, Metric};
    let metrics =
        vec![Metric::near("wait", 1.23456, 1.2, 0.05), Metric::near("rate", 3.0, 5.0, 0.1)];
    let ledger = Verification::new(vec![Case::new("mm1 <b>", "oracle", "a queue", metrics)]);
    let page = html(&result(), Some(&ledger));
    assert!(page.contains("1 of 2 figures and 0 of 1 cases"));
    assert!(page.contains("mm1 &lt;b&gt;") && page.contains("1.235"), "{page}");
}

#[test]
fn a_file_name_is_harmless() {
    assert_eq!(file_name("../../a b<c>"), "a-b-c.result.json");
}
