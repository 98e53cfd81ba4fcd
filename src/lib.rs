//! Headroom tells, before any load test, whether a backend design survives a burst, how slow it gets, what
//! breaks first and what one served user costs.
//!
//! # Layout (each floor imports only lower ones)
//! * `cli` – flags, files, standard output, wall clock: the only floor that has them.
//! * `report` – results to text, CSV, Markdown, charts: data in, bytes out.
//! * `experiment` – replications, paired comparison, estimates with intervals; threads live here alone.
//! * `scenario`, `price` – text to a checked plan; usage to a bill.
//! * `model` – users and nodes as state machines, the ledger.
//! * `kernel`, `units` – time, event queue, random streams, statistics.
pub mod cli;
pub mod experiment;
pub mod kernel;
pub mod model;
pub mod price;
pub mod report;
pub mod scenario;
pub mod units;
