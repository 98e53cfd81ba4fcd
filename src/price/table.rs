//! A dated price table: what one unit of each item costs, from which source, since when.

use super::error::PriceError;
use super::money::Money;
use super::read;
use std::collections::BTreeMap;

/// Tables that ship with the program, by region.
const BUILTIN: [(&str, &str); 1] = [("us-east-1", include_str!("../../prices/aws-us-east-1.json"))];
/// From this likeness on (Jaro-Winkler, 1 is equal) a name is offered as the one that was meant.
const LIKENESS_MIN: f64 = 0.85;

/// Prices of one region at one date.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name, e.g. `aws-us-east-1`; `aws-us-east-1@2023-06` where history was asked for.
    pub name: String,
    /// Date of the table, `YYYY-MM-DD`.
    pub date: String,
    /// Region, e.g. `us-east-1`.
    pub region: String,
    /// ISO 4217 code of the currency.
    pub currency: String,
    /// What the prices are and are not.
    pub note: String,
    /// Where prices come from, by key.
    pub sources: BTreeMap<String, Source>,
    /// Prices by item name.
    pub items: BTreeMap<String, Item>,
    /// Items without a price at the date asked for, and why.
    pub(super) withheld: BTreeMap<String, String>,
}

/// Where prices come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Publication and its date.
    pub about: String,
    /// Licence under which it is published.
    pub licence: String,
}

/// Price of one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Unit of the quantity, e.g. `GB-s`.
    pub unit: String,
    /// Prices of one unit by monthly quantity, ascending; the last has no upper end.
    pub tiers: Vec<Tier>,
    /// Quantity free of charge each month, taken off before the tiers.
    pub free: Option<Free>,
    /// Least quantity held at once that is charged for, in the unit without its hour (2 vCPU of a proxy).
    pub minimum: f64,
    /// Least time that is charged for, seconds.
    pub minimum_seconds: u64,
    /// Time is charged in whole steps of so many seconds; 0 says no steps.
    pub step_seconds: u64,
    /// First month in which it was offered, `YYYY-MM`.
    pub from: Option<String>,
    /// Last month in which it was offered.
    pub until: Option<String>,
    /// Earlier prices, ascending by their last month.
    pub history: Vec<Past>,
    /// Key of the source.
    pub source: String,
    /// P primary, M measured or stated by the vendor, O own, S secondary, U unsourced.
    pub grade: String,
    /// Month in which the source was seen to hold the price.
    pub as_of: String,
    /// What is counted, where that is not plain.
    pub note: String,
}

/// One price up to a monthly quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tier {
    /// Upper end in the item's unit, counted from zero; none for the last.
    pub up_to: Option<f64>,
    /// Price of one unit.
    pub price: Money,
}

/// A quantity free of charge each month.
#[derive(Debug, Clone, PartialEq)]
pub struct Free {
    /// In the item's unit.
    pub quantity: f64,
    /// Items that name the same pool share one free quantity; the item's own name if it shares with none.
    pub pool: String,
}

/// Prices that were in force earlier.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Last month in which they were.
    pub until: String,
    /// Prices of one unit, as in [`Item::tiers`].
    pub tiers: Vec<Tier>,
    /// Remarks, e.g. that it is not sourced.
    pub note: String,
}

impl Item {
    /// Price of one unit at the bottom of the tiers.
    pub fn first_price(&self) -> Money {
        self.tiers.first().map_or(Money::ZERO, |tier| tier.price)
    }
}

impl Table {
    /// Reads a table. Refuses what is not whole: unknown keys, no date, a negative price, tiers out of order.
    pub fn parse(text: &str) -> Result<Table, PriceError> {
        read::read(text)
    }

    /// The table of a region that ships with the program; see [`builtin_regions`].
    pub fn builtin(region: &str) -> Option<Table> {
        let (_, text) = BUILTIN.iter().find(|(name, _)| *name == region)?;
        Table::parse(text).ok()
    }

    /// The price of an item; an error that names it if there is none.
    pub fn item(&self, name: &str) -> Result<&Item, PriceError> {
        self.items.get(name).ok_or_else(|| PriceError::Missing {
            item: name.into(),
            table: self.name.clone(),
            remedy: self.remedy(name, &[name.split('.').next().unwrap_or_default()]),
        })
    }

    /// What to do about an item without a price, where items of these families would do.
    pub fn remedy(&self, name: &str, families: &[&str]) -> String {
        let own = "give its price in a table of your own (prices/README.md)";
        if let Some(why) = self.withheld.get(name) {
            return format!("{why}; choose another date, or {own}");
        }
        match self.nearest(name, families) {
            Some(known) => format!("did you mean `{known}`? Otherwise {own}"),
            None => own.into(),
        }
    }

    /// The item of these families that a name without a price is likest to, if one is like it: as a whole, or in its type and size
    /// (`db.m5.large` is RDS's name of what `rds.postgres.m5.large` prices). Of equal ones that of the first family.
    pub fn nearest(&self, name: &str, families: &[&str]) -> Option<&str> {
        let alike = |known: &str| {
            let whole = strsim::jaro_winkler(name, known);
            whole.max(strsim::jaro_winkler(size_of(name), size_of(known)))
        };
        let known = families.iter().rev().flat_map(|family| {
            self.items.keys().rev().filter(move |known| Table::is_of(known, family))
        });
        let best = known.map(|known| (alike(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).map(|(_, known)| known.as_str())
    }

    /// Whether an item is of a family: `rds.postgres.m5.large` is of `rds.postgres` and of `rds`.
    pub fn is_of(item: &str, family: &str) -> bool {
        item.strip_prefix(family).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The prices in force in a month (`YYYY-MM`, or a day in it): history rows take the place of today's
    /// price, and what was not offered then has none. An item without history keeps its price.
    pub fn at(&self, month: &str) -> Result<Table, PriceError> {
        let month = read::month_of(month).ok_or_else(|| PriceError::Invalid {
            code: "price-date",
            place: "at".into(),
            problem: format!("\"{month}\" is not a month"),
            remedy: "write it like 2023-06".into(),
        })?;
        let mut table = self.clone();
        table.name = format!("{}@{month}", self.name);
        for (name, item) in &mut table.items {
            if let Some(from) = item.from.as_deref().filter(|&from| month < from) {
                table.withheld.insert(name.clone(), format!("it was first offered in {from}"));
            } else if let Some(until) = item.until.as_deref().filter(|&until| month > until) {
                table.withheld.insert(name.clone(), format!("it was last offered in {until}"));
            } else if let Some(past) = item.history.iter().find(|past| *month <= *past.until) {
                item.tiers.clone_from(&past.tiers);
            }
        }
        table.items.retain(|name, _| !table.withheld.contains_key(name));
        Ok(table)
    }

    /// This table with another laid over it: its items replace those of the same name, the rest stays.
    /// Refused where the currencies differ.
    pub fn overlaid(&self, over: &Table) -> Result<Table, PriceError> {
        if self.currency != over.currency {
            return Err(PriceError::Invalid {
                code: "price-currency",
                place: "currency".into(),
                problem: format!(
                    "`{}` is in {} but `{}` in {}",
                    over.name, over.currency, self.name, self.currency
                ),
                remedy: "state every price in one currency".into(),
            });
        }
        let mut table = self.clone();
        table.name = format!("{}+{}", self.name, over.name);
        table.date = self.date.clone().max(over.date.clone());
        for (name, item) in &over.items {
            table.withheld.remove(name);
            table.items.insert(name.clone(), item.clone());
        }
        // A source key of both tables may mean two things; the overlay's items carry their own.
        for (key, source) in &over.sources {
            table.sources.insert(key.clone(), source.clone());
        }
        read::check_pools(&table.items)?;
        Ok(table)
    }
}

/// Type and size at the end of an item's name, `m5.large` of `rds.postgres.m5.large`; the whole where it has no more parts.
fn size_of(name: &str) -> &str {
    let second = name.rmatch_indices('.').nth(1);
    second.map_or(name, |(at, _)| &name[at + 1..])
}

/// Regions whose tables ship with the program.
pub fn builtin_regions() -> Vec<&'static str> {
    BUILTIN.iter().map(|(region, _)| *region).collect()
}

/// Every item without a price, each once, so that a scenario can be refused before it runs.
pub fn check_items(table: &Table, items: &[String]) -> Vec<PriceError> {
    let mut names: Vec<&String> = items.iter().collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| table.item(name).err()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Table {
        Table::parse(BUILTIN[0].1).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn every_shipped_table_reads_and_is_named_after_its_region() {
        for region in builtin_regions() {
            let table = Table::builtin(region).unwrap();
            assert_eq!(table.region, region);
            assert_eq!(table.name, format!("aws-{region}"));
        }
        assert_eq!(shipped().items.len(), 84);
        assert_eq!(Table::builtin("mars-1"), None);
    }

    #[test]
    fn a_missing_price_names_the_item_and_the_nearest() {
        let error = shipped().item("lambda.request").unwrap_err();
        assert_eq!(error.code(), "price-missing");
        let text = error.to_string();
        assert!(
            text.contains("`lambda.request`") && text.contains("did you mean `lambda.requests`")
        );
        assert!(text.contains("aws-us-east-1"), "{text}");
        for other in ["zebra", "db.m5.large", "nap.hour"] {
            let text = shipped().item(other).unwrap_err().to_string();
            assert!(!text.contains("did you mean"), "{text}");
        }
    }

    #[test]
    fn the_nearest_is_of_the_families_asked_for() {
        let table = shipped();
        for (name, families, known) in [
            ("db.m5.large", &["rds.postgres"][..], Some("rds.postgres.m5.large")),
            ("t3.medium", &["rds.mysql", "rds.aurora_mysql"], Some("rds.mysql.t3.medium")),
            ("t3.medium", &["rds.aurora_mysql", "rds.mysql"], Some("rds.aurora_mysql.t3.medium")),
            ("rds.postgres.m5.lage", &["rds.postgres"], Some("rds.postgres.m5.large")),
            ("ec2.m5.large", &["documentdb"], Some("documentdb.r5.large")),
            ("db.m5.large", &["elasticache"], None),
        ] {
            assert_eq!(table.nearest(name, families), known, "{name} of {families:?}");
        }
    }

    #[test]
    fn all_missing_items_at_once_each_once() {
        let wanted = ["ec2.t9.huge", "nat.hour", "x", "ec2.t9.huge"].map(String::from);
        let errors = check_items(&shipped(), &wanted);
        let items: Vec<String> = errors.iter().map(PriceError::place).collect();
        assert_eq!(items, ["items.ec2.t9.huge", "items.x"]);
        assert!(check_items(&shipped(), &["nat.gb".to_string()]).is_empty());
    }

    #[test]
    fn the_row_in_force() {
        let write = |month: &str| {
            let table = shipped().at(month).unwrap();
            (
                table.name.clone(),
                table.item("dynamodb.write_request").unwrap().first_price().exact(),
            )
        };
        assert_eq!(write("2023-06").1, "0.00000125");
        assert_eq!(write("2024-10").1, "0.00000125");
        assert_eq!(write("2024-11").1, "0.000000625");
        assert_eq!(write("2026-07-20"), ("aws-us-east-1@2026-07".into(), "0.000000625".into()));
        assert_eq!(
            shipped().at("2021-06").unwrap().item("lambda.duration.arm64").unwrap().tiers.len(),
            1
        );
        for bad in ["June", "2023-13", "2023", "20230-1", "2023-06x"] {
            assert_eq!(shipped().at(bad).unwrap_err().code(), "price-date", "{bad}");
        }
    }

    #[test]
    fn what_was_not_offered_yet_has_no_price() {
        let table = shipped().at("2018-12").unwrap();
        let text = table.item("lambda.provisioned.x86_64").unwrap_err().to_string();
        assert!(text.contains("first offered in 2019-12"), "{text}");
        assert!(table.item("lambda.requests").is_ok());
    }

    #[test]
    fn an_overlay_replaces_what_it_names() {
        let own = r#"{"name": "ours", "date": "2026-08-01", "region": "us-east-1", "currency": "USD",
            "sources": {"us": {"about": "our contract", "licence": "private"}},
            "items": {"nat.hour": {"unit": "hour", "tiers": [{"price": "0.03"}], "source": "us",
                                   "grade": "P", "as_of": "2026-08"}}}"#;
        let table = shipped().overlaid(&Table::parse(own).unwrap()).unwrap();
        assert_eq!(
            (table.name.as_str(), table.date.as_str()),
            ("aws-us-east-1+ours", "2026-08-01")
        );
        assert_eq!(table.item("nat.hour").unwrap().first_price().exact(), "0.03");
        assert_eq!(table.item("nat.gb").unwrap().first_price().exact(), "0.045");
        let euro = Table::parse(&own.replace("USD", "EUR")).unwrap();
        assert_eq!(shipped().overlaid(&euro).unwrap_err().code(), "price-currency");
    }
}
