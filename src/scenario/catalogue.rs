//! All codes of findings, errors and warnings.

use super::codes::{Code, ERRORS};
use super::warnings::WARNINGS;

/// The catalogue, in order of code.
pub fn catalogue() -> impl Iterator<Item = &'static Code> {
    ERRORS.iter().chain(WARNINGS)
}

/// The entry of a code, in any case: `e0102` is `E0102`.
pub fn find_code(code: &str) -> Option<&'static Code> {
    catalogue().find(|entry| entry.code.eq_ignore_ascii_case(code.trim()))
}
