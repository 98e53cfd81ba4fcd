//! Results to bytes: table, JSON, CSV, Markdown, charts, one HTML file. Pure: data in, bytes out.
pub mod chart;
mod conformance;
pub mod csv;
mod format;
mod html;
mod json;
mod markdown;
mod table;
mod verification;
mod words;
pub use chart::{Chart, chart_names, charts};
pub use conformance::{conformance, conformance_json};
pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use table::table;
pub use verification::{verification, verification_json};
