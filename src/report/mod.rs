//! Results to bytes: table, JSON, CSV, Markdown, charts. Pure: data in, bytes out.
pub mod chart;
mod conformance;
pub mod csv;
pub mod diff;
pub mod find;
mod format;
mod json;
mod markdown;
mod table;
mod verification;
pub use chart::{Chart, charts};
pub use conformance::{conformance, conformance_json};
pub use json::json;
pub use markdown::markdown;
pub use table::table;
pub use verification::{verification, verification_json};
