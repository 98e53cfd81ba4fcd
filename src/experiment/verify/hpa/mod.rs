//! Conformance of the Horizontal Pod Autoscaler: cases in, what our controller decides beside what is expected out.
mod case;
mod judge;
mod read;
pub use case::{HpaCase, HpaFile};
pub use judge::{HpaFigure, HpaJudged, HpaVerification, judge};
pub use read::read;
