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

/// What the page's program unpacks: base 64, then RFC 1951.
fn inside(page: &str) -> String {
    let element = page.split("id=\"result\" data-size=\"").nth(1).unwrap();
    let (size, rest) = element.split_once("\">").unwrap();
    let letters = rest.split("</script>").next().unwrap();
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no letter of base 64"),
    };
    let mut bytes = Vec::new();
    for four in letters.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |sum, &c| sum << 6 | u32::from(value(c)))
            << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    let text = String::from_utf8(miniz_oxide::inflate::decompress_to_vec(&bytes).unwrap()).unwrap();
    assert_eq!(text.len(), size.parse::<usize>().unwrap());
    text
}

#[test]
fn base_64_is_that_of_the_rfc() {
    for (bytes, text) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
    {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}

#[test]
fn the_result_inside_is_the_result() {
    let result = result();
    let page = html(&result, None);
    let text = inside(&page);
    let read: RunResult = serde_json::from_str(&text).unwrap();
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
