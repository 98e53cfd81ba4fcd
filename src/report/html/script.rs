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
pub(super) const SCRIPT_HASH: &str = "nAvC8mWut4V5CUfrbEMUxJaBrMtxBWitMZZ8+BwiwaE=";

#[cfg(test)]
mod tests {
    use super::super::base64;
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_names_the_script_that_is_there() {
        assert_eq!(base64(&Sha256::digest(SCRIPT)), SCRIPT_HASH, "left is the new SCRIPT_HASH");
    }

    #[test]
    fn nothing_in_it_ends_its_element() {
        assert!(!SCRIPT.to_lowercase().contains("</script"));
        assert!(!SCRIPT.contains("<!--"));
        assert!(!STYLE.to_lowercase().contains("</style"));
    }
}
