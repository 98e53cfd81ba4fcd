//! One integration binary, a module per topic.
mod analytic;
mod cli;
mod common;
mod fuzz;
mod golden;
mod models;
mod scenario;
mod tidy;
