//! Users: when they come, what they ask, how long they wait, how they try again.
mod addresses;
mod arrivals;
mod class;
mod load;
mod spec;
pub use addresses::{Addresses, HappyEyeballs, OneByOne};
pub use arrivals::{Arrivals, Segment};
pub use class::Class;
pub use load::{
    Azure2019, Azure2021, Burst, Closed, Counts, Diurnal, Load, Open, Shape, Spacing, Spike,
    Spread, Stage, Stages, Starts, Steady, Trace, TraceFormat, Vus, WhenBusy,
};
pub use spec::{ClassSpec, Connection, Http2Spec, Patience, Resumption, SessionStep};
