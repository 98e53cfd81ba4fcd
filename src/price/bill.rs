//! Usage and a price table to an itemised bill whose lines sum exactly to its total.

use super::amounts::{QUANTITY_MAX, fixed, prorated, rounded, share, split, tiered};
use super::error::PriceError;
use super::money::Money;
use super::table::{Item, Table};
use crate::model::usage::UsageLine;
use std::collections::BTreeMap;

/// Hours of a month, as AWS's own examples count them (365 × 24 / 12).
pub const MONTH_HOURS: f64 = 730.0;

/// How to price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BillOptions {
    /// Whether quantities that are free each month are taken off.
    pub free_tier: bool,
    /// What a month is made of.
    pub month: MonthProfile,
}

/// How the simulated window becomes a month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonthProfile {
    /// How often a month sees the window's traffic; usage that is paid per use is repeated so often.
    pub windows_per_month: f64,
    /// Length of the window, hours; what is paid by the hour is extended from it to 730 hours.
    pub window_hours: f64,
}

/// What a design cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bill {
    /// One line for each line of usage, in the same order, then one for each fee.
    pub lines: Vec<BillLine>,
    /// Cost of the window: the sum of the lines' `amount`.
    pub total: Money,
    /// The part paid for reserved things while idle.
    pub idle: Money,
    /// The part paid for work that failed or had to be repeated.
    pub wasted: Money,
    /// Cost of a month: the sum of the lines' `monthly`.
    pub monthly: Money,
    /// How often that month sees the window's traffic.
    pub windows_per_month: f64,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub struct BillLine {
    /// Node that used it, or name of a fixed cost.
    pub node: String,
    /// Item of the price table; `fee` for an own price.
    pub item: String,
    /// Quantity used in the window.
    pub quantity: f64,
    /// Unit of the quantity.
    pub unit: String,
    /// Share of the table's price that a unit costs (spot instances, fees); none: the price.
    pub price_share: Option<f64>,
    /// Cost of the window.
    pub amount: Money,
    /// Whether it is paid by the hour however little is used.
    pub reserved: bool,
    /// The idle part of `amount`.
    pub idle: Money,
    /// The part of `amount` for failed or repeated work.
    pub wasted: Money,
    /// Cost of a month.
    pub monthly: Money,
}

/// An own price, beside those of the table, that is paid by the hour whatever is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Fee {
    /// Name of its line.
    pub name: String,
    /// Amount for `per_hours`.
    pub price: Money,
    /// Hours that the price is for: 1, those of a month, those of a year.
    pub per_hours: u32,
    /// How many.
    pub count: f64,
}

/// What stands as item of a [`Fee`].
const FEE: &str = "fee";

impl Fee {
    /// Its line of a bill: held for the window, and for all hours of a month.
    fn line(&self, window_hours: f64) -> Result<BillLine, PriceError> {
        let amount = |hours: f64| {
            let problem = |problem| PriceError::Quantity {
                node: self.name.clone(),
                item: FEE.into(),
                problem,
            };
            let hours = fixed(hours * self.count).map_err(problem)?;
            prorated(self.price, self.per_hours, hours)
                .ok_or_else(|| problem("its cost is absurdly large".into()))
        };
        Ok(BillLine {
            node: self.name.clone(),
            item: FEE.into(),
            quantity: window_hours * self.count,
            unit: "hour".into(),
            price_share: None,
            amount: amount(window_hours)?,
            reserved: true,
            idle: Money::ZERO,
            wasted: Money::ZERO,
            monthly: amount(MONTH_HOURS)?,
        })
    }
}

impl Bill {
    /// The same bill with a line for each fee.
    pub fn with_fees(mut self, fees: &[Fee], window_hours: f64) -> Result<Bill, Vec<PriceError>> {
        let (mut lines, mut errors) = (std::mem::take(&mut self.lines), Vec::new());
        for fee in fees {
            match fee.line(window_hours) {
                Ok(line) => lines.push(line),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Bill { windows_per_month: self.windows_per_month, ..summed(lines) })
    }
}

/// All lines that use one item.
struct Group<'a> {
    item: &'a Item,
    lines: Vec<usize>,
}

/// Prices usage. All faults at once: every missing item, every unit that differs, every bad quantity.
///
/// Tiers count the month's quantity of an item over all nodes; in the window they count the window's own, so
/// that a window stays in the first tier unless it passes it alone. Free quantities are taken off before the
/// tiers, from the month's quantity and, for the window, from the window's. What several nodes share is
/// divided over their lines in proportion to quantity. A line that costs a share of the price ([`UsageLine::price_share`]) is priced
/// as the others, and costs that share of it.
pub fn bill(
    usage: &[UsageLine],
    table: &Table,
    options: &BillOptions,
) -> Result<Bill, Vec<PriceError>> {
    let (groups, mut errors) = grouped(usage, table);
    let window = |line: &UsageLine| line.quantity;
    let month = |line: &UsageLine| in_a_month(line, &options.month);
    errors.extend(profile_error(&options.month));
    let window = quantities(usage, window, &mut errors);
    // A month can only be judged once its profile and the window are sound.
    let month = if errors.is_empty() { quantities(usage, month, &mut errors) } else { Vec::new() };
    if errors.is_empty() {
        for (name, group) in &groups {
            errors.extend(sum_error(name, group, &window));
            errors.extend(sum_error(name, group, &month));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let at_share = |mut amounts: Vec<Money>| {
        for (amount, line) in amounts.iter_mut().zip(usage) {
            if let Some(part) = line.price_share {
                *amount = share(*amount, rounded(part), rounded(1.0));
            }
        }
        amounts
    };
    let amounts = at_share(priced(&groups, &window, options.free_tier));
    let monthly = at_share(priced(&groups, &month, options.free_tier));
    let lines = usage.iter().enumerate().map(|(i, line)| BillLine {
        node: line.node.clone(),
        item: line.item.clone(),
        quantity: line.quantity,
        unit: line.unit.into(),
        price_share: line.price_share,
        amount: amounts[i],
        reserved: line.reserved,
        idle: share(amounts[i], rounded(line.idle), window[i]),
        wasted: share(amounts[i], rounded(line.wasted), window[i]),
        monthly: monthly[i],
    });
    Ok(Bill { windows_per_month: options.month.windows_per_month, ..summed(lines.collect()) })
}

/// A bill of these lines.
fn summed(lines: Vec<BillLine>) -> Bill {
    Bill {
        total: lines.iter().map(|line| line.amount).sum(),
        idle: lines.iter().map(|line| line.idle).sum(),
        wasted: lines.iter().map(|line| line.wasted).sum(),
        monthly: lines.iter().map(|line| line.monthly).sum(),
        lines,
        windows_per_month: 0.0,
    }
}

/// Quantity of a line in a month. What is held all the time is extended from the window; what comes and goes with the load is held
/// in each window, and what is left of it in the hours between.
fn in_a_month(line: &UsageLine, month: &MonthProfile) -> f64 {
    if !line.reserved {
        return line.quantity * month.windows_per_month;
    }
    let most = MONTH_HOURS / month.window_hours;
    let Some(between) = line.between else { return line.held * most };
    let windows = month.windows_per_month.min(most);
    line.held * windows + between * (MONTH_HOURS - windows * month.window_hours).max(0.0)
}

/// The lines by item, and what is wrong with items and units. A missing item is reported once.
fn grouped<'a>(
    usage: &'a [UsageLine],
    table: &'a Table,
) -> (BTreeMap<&'a str, Group<'a>>, Vec<PriceError>) {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    let mut errors: Vec<PriceError> = Vec::new();
    for (i, line) in usage.iter().enumerate() {
        let item = match table.item(&line.item) {
            Ok(item) => item,
            Err(error) => {
                if !errors.contains(&error) {
                    errors.push(error);
                }
                continue;
            }
        };
        if item.unit != line.unit {
            errors.push(PriceError::Unit {
                node: line.node.clone(),
                item: line.item.clone(),
                used: line.unit.into(),
                priced: item.unit.clone(),
            });
        }
        groups.entry(&line.item).or_insert(Group { item, lines: Vec::new() }).lines.push(i);
    }
    (groups, errors)
}

/// Quantities of all lines as integers; a bad one counts as zero beside its error.
fn quantities(
    usage: &[UsageLine],
    quantity: impl Fn(&UsageLine) -> f64,
    errors: &mut Vec<PriceError>,
) -> Vec<i128> {
    let mut list = Vec::with_capacity(usage.len());
    for line in usage {
        let share = fixed(line.price_share.unwrap_or(1.0));
        let parts = fixed(line.idle).and(fixed(line.wasted)).and(share);
        list.push(parts.and(fixed(quantity(line))).unwrap_or_else(|problem| {
            let (node, item) = (line.node.clone(), line.item.clone());
            errors.push(PriceError::Quantity { node, item, problem });
            0
        }));
    }
    list
}

/// Whether all lines of an item together can still be priced.
fn sum_error(name: &str, group: &Group<'_>, quantities: &[i128]) -> Option<PriceError> {
    let total: i128 = group.lines.iter().map(|&i| quantities[i]).sum();
    (total > rounded(QUANTITY_MAX)).then(|| PriceError::Quantity {
        node: "all nodes".into(),
        item: name.into(),
        problem: format!("the quantities sum to more than {QUANTITY_MAX:e}"),
    })
}

/// What is wrong with the profile of the month.
fn profile_error(month: &MonthProfile) -> Option<PriceError> {
    let MonthProfile { windows_per_month, window_hours } = *month;
    let sound = windows_per_month.is_finite()
        && windows_per_month >= 0.0
        && window_hours.is_finite()
        && window_hours > 0.0;
    let problem = format!("{windows_per_month} windows of {window_hours} h do not make a month");
    (!sound).then_some(PriceError::Month { problem })
}

/// Cost of every line when the lines have these quantities.
fn priced(groups: &BTreeMap<&str, Group<'_>>, quantities: &[i128], free_tier: bool) -> Vec<Money> {
    let mut amounts = vec![Money::ZERO; quantities.len()];
    let free = if free_tier { free_quantities(groups, quantities) } else { BTreeMap::new() };
    for (name, group) in groups {
        let weights: Vec<i128> = group.lines.iter().map(|&i| quantities[i]).collect();
        let free = free.get(name).copied().unwrap_or(0);
        let amount = tiered(&group.item.tiers, weights.iter().sum::<i128>() - free);
        for (&i, part) in group.lines.iter().zip(split(amount.pico(), &weights)) {
            amounts[i] = Money::from_pico(part);
        }
    }
    amounts
}

/// How much of each item is free: a pool is divided over its items in proportion to their quantities.
fn free_quantities<'a>(
    groups: &BTreeMap<&'a str, Group<'_>>,
    quantities: &[i128],
) -> BTreeMap<&'a str, i128> {
    let mut pools: BTreeMap<&str, (i128, Vec<&'a str>, Vec<i128>)> = BTreeMap::new();
    for (name, group) in groups {
        let Some(free) = &group.item.free else { continue };
        let (_, names, totals) =
            pools.entry(&free.pool).or_insert((rounded(free.quantity), Vec::new(), Vec::new()));
        names.push(name);
        totals.push(group.lines.iter().map(|&i| quantities[i]).sum());
    }
    let mut free = BTreeMap::new();
    for (pool, names, totals) in pools.into_values() {
        let used = pool.min(totals.iter().sum());
        // Scaled weights may round a part a billionth above what its item used.
        let parts = split(used, &totals).into_iter().zip(totals);
        free.extend(names.into_iter().zip(parts.map(|(part, total)| part.min(total))));
    }
    free
}
