//! One integration binary, a module per topic.
mod analytic;
mod common;
