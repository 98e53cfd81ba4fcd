//! Dated price tables, and usage to an itemised bill. Money first appears here.
//!
//! Pure: text in, figures out; the tables that ship are part of the program. What is metered, and how it
//! is rounded at run time, is the model's business; this floor knows prices, tiers and free quantities.

mod amounts;
mod bill;
mod error;
pub mod metering;
mod money;
mod read;
mod table;

pub use bill::{Bill, BillLine, BillOptions, Fee, MONTH_HOURS, MonthProfile, bill};
pub use error::PriceError;
pub use money::{Money, MoneyError};
pub use table::{Free, Item, Past, Source, Table, Tier, builtin_regions, check_items};

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod property_tests;
