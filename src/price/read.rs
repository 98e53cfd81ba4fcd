//! A price table from its text: first what is written, then what it means, with a place for every fault.

use super::amounts::{PRICE_MAX, QUANTITY_MAX};
use super::error::PriceError;
use super::money::Money;
use super::table::{Free, Item, Past, Source, Table, Tier};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    #[serde(rename = "$schema", default)]
    _schema: Option<String>,
    name: String,
    date: String,
    region: String,
    currency: String,
    #[serde(default)]
    note: String,
    sources: Named<SourceText>,
    items: Named<ItemText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceText {
    about: String,
    licence: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemText {
    unit: String,
    tiers: Vec<TierText>,
    #[serde(default)]
    free: Option<FreeText>,
    #[serde(default)]
    minimum: f64,
    #[serde(default)]
    minimum_seconds: u64,
    #[serde(default)]
    step_seconds: u64,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    history: Vec<PastText>,
    source: String,
    grade: Grade,
    as_of: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierText {
    #[serde(default)]
    up_to: Option<f64>,
    price: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreeText {
    quantity: f64,
    #[serde(rename = "per")]
    _per: Period,
    #[serde(default)]
    shared: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PastText {
    until: String,
    tiers: Vec<TierText>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Period {
    Month,
}

#[derive(Deserialize, Debug)]
enum Grade {
    P,
    M,
    O,
    S,
    U,
}

/// Entries by name, in which no name may stand twice: of two prices one would be lost unseen.
struct Named<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(std::marker::PhantomData))
    }
}

struct NamedVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` stands twice")));
            }
            entries.insert(name, value);
        }
        Ok(Named(entries))
    }
}

/// Reads and checks a table; the first fault ends it.
pub(super) fn read(text: &str) -> Result<Table, PriceError> {
    let raw: TableText = serde_json::from_str(text).map_err(|e| syntax(&e))?;
    if month_of(&raw.date).is_none() || raw.date.len() != 10 {
        let problem = format!("\"{}\" is not a date", raw.date);
        return Err(invalid("price-date", "date", problem, "write it like 2026-07-20"));
    }
    if raw.currency.len() != 3 || !raw.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        let problem = format!("\"{}\" is not a currency", raw.currency);
        return Err(invalid("price-currency", "currency", problem, "write its ISO 4217 code: USD"));
    }
    let sources: BTreeMap<String, Source> = (raw.sources.0.into_iter())
        .map(|(key, s)| (key, Source { about: s.about, licence: s.licence }))
        .collect();
    let mut items = BTreeMap::new();
    for (name, raw_item) in raw.items.0 {
        let item = item(&name, raw_item)?;
        if !sources.contains_key(&item.source) {
            let place = format!("items.{name}.source");
            let problem = format!("no source has the key `{}`", item.source);
            return Err(invalid("price-source", place, problem, "describe it under `sources`"));
        }
        items.insert(name, item);
    }
    check_pools(&items)?;
    Ok(Table {
        name: raw.name,
        date: raw.date,
        region: raw.region,
        currency: raw.currency,
        note: raw.note,
        sources,
        items,
        withheld: BTreeMap::new(),
    })
}

/// One item, checked.
fn item(name: &str, raw: ItemText) -> Result<Item, PriceError> {
    let place = format!("items.{name}");
    if raw.unit.trim().is_empty() {
        let remedy = "name the unit of one price, e.g. request";
        return Err(invalid("price-unit", format!("{place}.unit"), "the unit is empty", remedy));
    }
    let mut history: Vec<Past> = Vec::new();
    for (i, past) in raw.history.into_iter().enumerate() {
        let place = format!("{place}.history[{i}]");
        let until = month(&format!("{place}.until"), &past.until)?;
        if history.last().is_some_and(|last| last.until >= until) {
            let remedy = "list past prices in the order of their last months";
            return Err(invalid("price-history", place, "the months do not ascend", remedy));
        }
        history.push(Past { until, tiers: tiers(&place, past.tiers)?, note: past.note });
    }
    let optional = |key: &str, text: Option<String>| {
        text.map(|text| month(&format!("{place}.{key}"), &text)).transpose()
    };
    Ok(Item {
        tiers: tiers(&place, raw.tiers)?,
        free: raw.free.map(|free| free_of(name, &place, free)).transpose()?,
        minimum: quantity(&format!("{place}.minimum"), raw.minimum)?,
        minimum_seconds: raw.minimum_seconds,
        step_seconds: raw.step_seconds,
        from: optional("from", raw.from)?,
        until: optional("until", raw.until)?,
        as_of: month(&format!("{place}.as_of"), &raw.as_of)?,
        unit: raw.unit,
        history,
        source: raw.source,
        grade: format!("{:?}", raw.grade),
        note: raw.note,
    })
}

/// Tiers with ascending ends, the last one open.
fn tiers(place: &str, raw: Vec<TierText>) -> Result<Vec<Tier>, PriceError> {
    let count = raw.len();
    if count == 0 {
        let place = format!("{place}.tiers");
        return Err(invalid("price-tiers", place, "there is no tier", "give at least one price"));
    }
    let mut below = 0.0;
    let mut tiers = Vec::with_capacity(count);
    for (i, tier) in raw.into_iter().enumerate() {
        let place = format!("{place}.tiers[{i}]");
        match tier.up_to {
            Some(up_to) if i + 1 < count && up_to > below && up_to <= QUANTITY_MAX => below = up_to,
            None if i + 1 == count => {}
            _ => {
                let problem = "the tiers do not ascend to one without an end";
                let remedy = "order them by `up_to`; the last alone has none";
                return Err(invalid("price-tiers", place, problem, remedy));
            }
        }
        tiers.push(Tier {
            up_to: tier.up_to,
            price: price(&format!("{place}.price"), &tier.price)?,
        });
    }
    Ok(tiers)
}

/// A price of one unit.
fn price(place: &str, text: &str) -> Result<Money, PriceError> {
    let remedy = "write a decimal text such as \"0.20\"";
    let price =
        Money::parse(text).map_err(|e| invalid("price-number", place, e.problem, remedy))?;
    if price < Money::ZERO {
        let problem = format!("the price {text} is negative");
        return Err(invalid("price-negative", place, problem, "give zero or more"));
    }
    if price > PRICE_MAX {
        let problem = format!("the price {text} is above {PRICE_MAX} a unit");
        return Err(invalid("price-number", place, problem, "check the unit"));
    }
    Ok(price)
}

/// A free quantity and the pool it belongs to.
fn free_of(name: &str, place: &str, free: FreeText) -> Result<Free, PriceError> {
    let quantity = quantity(&format!("{place}.free.quantity"), free.quantity)?;
    Ok(Free { quantity, pool: free.shared.unwrap_or_else(|| name.into()) })
}

/// A quantity of zero or more.
fn quantity(place: &str, value: f64) -> Result<f64, PriceError> {
    if (0.0..=QUANTITY_MAX).contains(&value) {
        return Ok(value);
    }
    let problem = format!("the quantity {value} is negative or absurdly large");
    Err(invalid("price-quantity", place, problem, "give zero or more"))
}

/// Items that share a free quantity must agree on it and on its unit.
pub(super) fn check_pools(items: &BTreeMap<String, Item>) -> Result<(), PriceError> {
    let mut pools: BTreeMap<&str, (&str, f64, &str)> = BTreeMap::new();
    for (name, item) in items {
        let Some(free) = &item.free else { continue };
        let (first, quantity, unit) =
            *pools.entry(&free.pool).or_insert((name, free.quantity, &item.unit));
        if quantity.total_cmp(&free.quantity).is_ne() || unit != item.unit {
            let place = format!("items.{name}.free");
            let problem = format!("it shares `{}` with `{first}` but differs from it", free.pool);
            let remedy = "give both the same free quantity and unit";
            return Err(invalid("price-free", place, problem, remedy));
        }
    }
    Ok(())
}

/// A month, or an error at its place.
fn month(place: &str, text: &str) -> Result<String, PriceError> {
    match month_of(text) {
        Some(month) if month == text => Ok(month.into()),
        _ => {
            let problem = format!("\"{text}\" is not a month");
            Err(invalid("price-date", place, problem, "write it like 2024-10"))
        }
    }
}

/// The month of `YYYY-MM` or `YYYY-MM-DD`.
pub(super) fn month_of(text: &str) -> Option<&str> {
    let number = |s: &str, len: usize| {
        (s.len() == len && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u32>().ok())?
    };
    let mut parts = text.split('-');
    number(parts.next()?, 4)?;
    let month_ok = (1..=12).contains(&number(parts.next()?, 2)?);
    let day_ok = match parts.next() {
        Some(day) => (1..=31).contains(&number(day, 2)?),
        None => true,
    };
    (month_ok && day_ok && parts.next().is_none()).then(|| &text[..7])
}

/// What serde found, with its place taken out of the sentence.
fn syntax(error: &serde_json::Error) -> PriceError {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    let tail = format!(" at line {} column {}", error.line(), error.column());
    PriceError::Syntax { place, problem: text.strip_suffix(&tail).unwrap_or(&text).into() }
}

fn invalid(
    code: &'static str,
    place: impl Into<String>,
    problem: impl Into<String>,
    remedy: &str,
) -> PriceError {
    PriceError::Invalid {
        code,
        place: place.into(),
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"name": "t", "date": "2026-07-20", "region": "r", "currency": "USD",
  "sources": {"S": {"about": "a", "licence": "b"}},
  "items": {"a.b": {"unit": "request", "tiers": [{"up_to": 10, "price": "2"}, {"price": "1"}],
    "free": {"quantity": 5, "per": "month"}, "history": [{"until": "2020-01", "tiers": [{"price": "9"}]}],
    "source": "S", "grade": "P", "as_of": "2024-07"}}}"#;

    #[test]
    fn every_fault_has_its_code_and_place() {
        assert!(read(GOOD).is_ok());
        for (from, to, code, place) in [
            ("\"date\": \"2026-07-20\", ", "", "price-syntax", "line 5, column "),
            ("2026-07-20", "2026-7-20", "price-date", "date"),
            ("2026-07-20", "2026-07", "price-date", "date"),
            ("USD", "dollars", "price-currency", "currency"),
            ("\"price\": \"2\"", "\"price\": \"-2\"", "price-negative", "items.a.b.tiers[0].price"),
            ("\"price\": \"2\"", "\"price\": \"2e-7\"", "price-number", "items.a.b.tiers[0].price"),
            (
                "\"price\": \"2\"",
                "\"price\": \"10001\"",
                "price-number",
                "items.a.b.tiers[0].price",
            ),
            ("\"price\": \"2\"", "\"price\": 2", "price-syntax", "line 3, column "),
            ("\"up_to\": 10", "\"up_to\": 0", "price-tiers", "items.a.b.tiers[0]"),
            (
                "{\"price\": \"1\"}",
                "{\"up_to\": 9, \"price\": \"1\"}",
                "price-tiers",
                "items.a.b.tiers[1]",
            ),
            (", {\"price\": \"1\"}", "", "price-tiers", "items.a.b.tiers[0]"),
            ("[{\"price\": \"9\"}]", "[]", "price-tiers", "items.a.b.history[0].tiers"),
            ("\"until\"", "\"untill\"", "price-syntax", "line 4, column "),
            ("2020-01", "2020-00", "price-date", "items.a.b.history[0].until"),
            ("\"source\": \"S\"", "\"source\": \"T\"", "price-source", "items.a.b.source"),
            ("\"request\"", "\" \"", "price-unit", "items.a.b.unit"),
            ("\"quantity\": 5", "\"quantity\": -5", "price-quantity", "items.a.b.free.quantity"),
            ("\"grade\": \"P\"", "\"grade\": \"X\"", "price-syntax", "line 5, column "),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = read(&text).unwrap_err();
            assert_eq!(error.code(), code, "{from} -> {to}: {error}");
            // The column is the JSON reader's business, the line is ours.
            let found = error.place();
            let at = if code == "price-syntax" { found.starts_with(place) } else { found == place };
            assert!(at, "{from} -> {to}: {error}");
            assert!(!error.remedy().is_empty());
        }
    }

    #[test]
    fn a_name_may_not_stand_twice() {
        let text = GOOD.replace(
            "\"sources\": {",
            "\"sources\": {\"S\": {\"about\": \"\", \"licence\": \"\"},",
        );
        let text = read(&text).unwrap_err().to_string();
        assert!(text.contains("`S` stands twice"), "{text}");
    }

    #[test]
    fn a_shared_free_quantity_is_one_quantity() {
        let other = r#""items": {"c": {"unit": "request", "tiers": [{"price": "1"}], "source": "S", "grade": "P",
            "as_of": "2024-07", "free": {"quantity": 6, "per": "month", "shared": "a.b"}}, "#;
        let text = GOOD.replace("\"items\": {", other);
        assert_eq!(read(&text).unwrap_err().code(), "price-free");
        assert!(read(&text.replace("\"quantity\": 6", "\"quantity\": 5")).is_ok());
    }
}
