//! The page's program and its place: one constant text, known to the page's policy by its hash.
//!
//! The browser runs this text and nothing else, so even a hole in the escaping of names could not run a script.

/// uPlot and our own code, as they stand between the script tags.
pub(super) const SCRIPT: &str = concat!(
    "/*\n",
    include_str!("../../../assets/uplot/LICENSE"),
    "\n*/\n",
    include_str!("../../../assets/uplot/uPlot.iife.min.js"),
    "\n",
    include_str!("../../../assets/report/report.js"),
);

/// Styles of uPlot and of the page.
pub(super) const STYLE: &str = concat!(
    include_str!("../../../assets/uplot/uPlot.min.css"),
    "\n",
    include_str!("../../../assets/report/report.css"),
);

/// SHA-256 of [`SCRIPT`] in base 64; a test below tells the right one when the script changes.
pub(super) const SCRIPT_HASH: &str = "OujfGEzicjmx617UUqYU1OE/HikJ5MzAmkuZ6jB+pYk=";

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = (0..3)
                .fold(0_u32, |sum, i| sum << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
            for i in 0..4 {
                let letter = LETTERS[(bits >> (18 - 6 * i)) as usize & 63];
                text.push(if i <= chunk.len() { letter as char } else { '=' });
            }
        }
        text
    }

    #[test]
    fn the_policy_names_the_script_that_is_there() {
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(&Sha256::digest(SCRIPT)), SCRIPT_HASH, "left is the new SCRIPT_HASH");
    }

    #[test]
    fn nothing_in_it_ends_its_element() {
        assert!(!SCRIPT.to_lowercase().contains("</script"));
        assert!(!SCRIPT.contains("<!--"));
        assert!(!STYLE.to_lowercase().contains("</style"));
    }
}
