//! Results to bytes: table, JSON, CSV, Markdown, charts. Pure: data in, bytes out.
pub mod csv;
mod format;
mod json;
mod markdown;
mod table;
pub use json::json;
pub use markdown::markdown;
pub use table::table;
/// x
pub struct Chart {
    /// x
    pub name: &'static str,
    /// x
    pub svg: String,
    /// x
    pub png: Vec<u8>,
}
/// x
pub fn charts(_r: &crate::experiment::result::RunResult) -> Vec<Chart> {
    vec![]
}
