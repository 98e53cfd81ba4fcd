//! What can be wrong with a price table, or with pricing usage by it.

use std::fmt;

/// One problem, with a code, a place, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceError {
    /// The text of a table is not what a table looks like: no JSON, an unknown or a missing key.
    Syntax {
        /// Line and column in the text.
        place: String,
        /// What the reader said.
        problem: String,
    },
    /// A table is well-formed but says something that cannot be.
    Invalid {
        /// Stable code, e.g. `price-negative`.
        code: &'static str,
        /// Path in the table, e.g. `items.lambda.requests.tiers[0].price`.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to change.
        remedy: String,
    },
    /// No price for an item: never taken for free of charge.
    Missing {
        /// The item asked for.
        item: String,
        /// Name of the table that lacks it.
        table: String,
        /// What to change, with the nearest name if there is one.
        remedy: String,
    },
    /// Usage was metered in another unit than it is priced in.
    Unit {
        /// Node that used it.
        node: String,
        /// The item.
        item: String,
        /// Unit of the usage.
        used: String,
        /// Unit of the table.
        priced: String,
    },
    /// A quantity that cannot be priced: negative, not a number, or absurdly large.
    Quantity {
        /// Node that used it.
        node: String,
        /// The item.
        item: String,
        /// What is wrong.
        problem: String,
    },
    /// The profile of a month makes no sense.
    Month {
        /// What is wrong.
        problem: String,
    },
}

impl PriceError {
    /// Stable code, for scripts and for the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            PriceError::Syntax { .. } => "price-syntax",
            PriceError::Invalid { code, .. } => code,
            PriceError::Missing { .. } => "price-missing",
            PriceError::Unit { .. } => "price-unit",
            PriceError::Quantity { .. } => "price-quantity",
            PriceError::Month { .. } => "price-month",
        }
    }

    /// Where it is: a path or line of the table, or the node and the item.
    pub fn place(&self) -> String {
        match self {
            PriceError::Syntax { place, .. } | PriceError::Invalid { place, .. } => place.clone(),
            PriceError::Missing { item, .. } => format!("items.{item}"),
            PriceError::Unit { node, item, .. } | PriceError::Quantity { node, item, .. } => {
                format!("{node}: {item}")
            }
            PriceError::Month { .. } => "month".into(),
        }
    }

    /// What is wrong, in one sentence without a full stop.
    pub fn problem(&self) -> String {
        match self {
            PriceError::Syntax { problem, .. }
            | PriceError::Invalid { problem, .. }
            | PriceError::Quantity { problem, .. }
            | PriceError::Month { problem } => problem.clone(),
            PriceError::Missing { item, table, .. } => {
                format!("the price table `{table}` has no price for `{item}`")
            }
            PriceError::Unit { item, used, priced, .. } => {
                format!("`{item}` was metered in `{used}` but is priced by `{priced}`")
            }
        }
    }

    /// What to change.
    pub fn remedy(&self) -> String {
        match self {
            PriceError::Syntax { .. } => {
                "correct the table; prices/README.md shows its form, prices are texts such as \"0.20\""
                    .into()
            }
            PriceError::Invalid { remedy, .. } | PriceError::Missing { remedy, .. } => remedy.clone(),
            PriceError::Unit { item, used, .. } => {
                format!("give `{item}` a price by `{used}`, or meter it in the table's unit")
            }
            PriceError::Quantity { .. } => {
                "this is a fault of the metering, not of the price table; please report it".into()
            }
            PriceError::Month { .. } => {
                "give a window longer than zero hours and zero or more windows a month".into()
            }
        }
    }
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}; {}", self.code(), self.place(), self.problem(), self.remedy())
    }
}

impl std::error::Error for PriceError {}
