//! Measured cases of real clusters: from a measurement's configuration to a scenario, and its figures held against those
//! observed.
mod case;
mod convert;
mod figures;
mod judge;
mod kernel;
mod load;
mod machine;
mod nginx;
mod servers;
mod unsupported;
pub use case::MeasuredCase;
pub use convert::scenario;
pub use figures::predict;
