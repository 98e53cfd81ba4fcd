//! What holds for every bill, tried on a thousand drawn ones.

use super::{Bill, BillOptions, Money, MonthProfile, Table, bill};
use crate::model::usage::UsageLine;

/// Splitmix64 (Steele, Lea and Flood 2014): enough for drawing tests.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Zero now and then, otherwise spread over decades, up to where a month of twelve lines still can be priced.
    fn quantity(&mut self) -> f64 {
        if self.below(10) == 0 { 0.0 } else { 10_f64.powf(self.unit() * 13.5 - 4.5) }
    }
}

/// Units of the shipped table, as usage has them.
const UNITS: [&str; 10] = [
    "request",
    "GB-s",
    "GB",
    "hour",
    "LCU-hour",
    "vCPU-hour",
    "GB-hour",
    "WCU-hour",
    "RCU-hour",
    "million I/O",
];

fn lines(draw: &mut Draw, table: &Table) -> Vec<UsageLine> {
    let names: Vec<(&String, &str)> = (table.items.iter())
        .map(|(name, item)| (name, *UNITS.iter().find(|&&unit| unit == item.unit).unwrap()))
        .collect();
    // Few different items in one bill, so that nodes share them.
    let first = draw.below(names.len() as u64);
    let count = 1 + draw.below(12);
    let mut lines = Vec::new();
    for i in 0..count {
        let at = (first + draw.below(4)) % names.len() as u64;
        let (name, unit) = names[usize::try_from(at).unwrap()];
        let quantity = draw.quantity();
        lines.push(UsageLine {
            node: format!("node{i}"),
            item: name.clone(),
            quantity,
            unit,
            reserved: draw.below(2) == 0,
            held: quantity,
            between: None,
            idle: quantity * draw.unit(),
            wasted: quantity * draw.unit(),
            price_share: None,
        });
    }
    lines
}

fn options(draw: &mut Draw) -> BillOptions {
    let month = MonthProfile {
        windows_per_month: draw.unit() * 40.0,
        window_hours: 1.0 + draw.unit() * 100.0,
    };
    BillOptions { free_tier: draw.below(2) == 0, month }
}

fn assert_sound(bill: &Bill, seed: u64) {
    let sum = |part: fn(&super::BillLine) -> Money| bill.lines.iter().map(part).sum::<Money>();
    assert_eq!(sum(|line| line.amount), bill.total, "seed {seed}");
    assert_eq!(sum(|line| line.monthly), bill.monthly, "seed {seed}");
    assert_eq!(sum(|line| line.idle), bill.idle, "seed {seed}");
    assert_eq!(sum(|line| line.wasted), bill.wasted, "seed {seed}");
    for line in &bill.lines {
        assert!(line.amount >= Money::ZERO && line.monthly >= Money::ZERO, "seed {seed}: {line:?}");
        assert!(line.idle >= Money::ZERO && line.idle <= line.amount, "seed {seed}: {line:?}");
        assert!(line.wasted >= Money::ZERO && line.wasted <= line.amount, "seed {seed}: {line:?}");
        if line.quantity.to_bits() == 0 {
            assert_eq!((line.amount, line.monthly), (Money::ZERO, Money::ZERO), "seed {seed}");
        }
    }
}

/// The price of an item without integers: an obvious slow twin, good to fifteen digits.
fn slow(table: &Table, lines: &[UsageLine], item: &str, factor: impl Fn(&UsageLine) -> f64) -> f64 {
    let total: f64 = lines.iter().filter(|l| l.item == item).map(|l| l.quantity * factor(l)).sum();
    let (mut below, mut cost) = (0.0, 0.0);
    for tier in &table.items[item].tiers {
        let top = tier.up_to.unwrap_or(f64::INFINITY).min(total);
        if top > below {
            cost += (top - below) * tier.price.as_f64();
            below = top;
        }
    }
    cost
}

#[test]
fn lines_sum_to_the_total_and_more_use_never_costs_less() {
    let table = Table::builtin("us-east-1").unwrap();
    for seed in 0..1000 {
        let mut draw = Draw(seed);
        let mut lines = lines(&mut draw, &table);
        let options = options(&mut draw);
        let before = bill(&lines, &table, &options).unwrap();
        assert_sound(&before, seed);
        let more = usize::try_from(draw.below(lines.len() as u64)).unwrap();
        lines[more].quantity = lines[more].quantity * (1.0 + draw.unit()) + draw.unit();
        let after = bill(&lines, &table, &options).unwrap();
        // A shared free quantity is divided in whole billionths: at most the last digit of an item moves.
        let slack = Money::from_pico(if options.free_tier { 4 } else { 0 });
        assert!(after.total + slack >= before.total, "seed {seed}");
        assert!(after.monthly + slack >= before.monthly, "seed {seed}");
    }
}

#[test]
fn integers_agree_with_the_slow_twin() {
    let table = Table::builtin("us-east-1").unwrap();
    for seed in 5000..5500 {
        let mut draw = Draw(seed);
        let lines = lines(&mut draw, &table);
        let options = BillOptions { free_tier: false, ..options(&mut draw) };
        let bill = bill(&lines, &table, &options).unwrap();
        let mut items: Vec<&str> = lines.iter().map(|line| line.item.as_str()).collect();
        items.sort_unstable();
        items.dedup();
        let month = |line: &UsageLine| {
            let MonthProfile { windows_per_month, window_hours } = options.month;
            if line.reserved { 730.0 / window_hours } else { windows_per_month }
        };
        let window: f64 = items.iter().map(|item| slow(&table, &lines, item, |_| 1.0)).sum();
        let monthly: f64 = items.iter().map(|item| slow(&table, &lines, item, month)).sum();
        for (exact, float) in [(bill.total, window), (bill.monthly, monthly)] {
            let error = (exact.as_f64() - float).abs();
            assert!(error <= 1e-8 + float * 1e-12, "seed {seed}: {exact} against {float}");
        }
    }
}

#[test]
fn free_quantities_never_cost_more_and_save_at_most_their_price() {
    let table = Table::builtin("us-east-1").unwrap();
    for seed in 9000..9300 {
        let mut draw = Draw(seed);
        let lines = lines(&mut draw, &table);
        let month = options(&mut draw).month;
        let paid = bill(&lines, &table, &BillOptions { free_tier: false, month }).unwrap();
        let free = bill(&lines, &table, &BillOptions { free_tier: true, month }).unwrap();
        assert!(free.total <= paid.total && free.monthly <= paid.monthly, "seed {seed}");
        let worth: f64 = (table.items.values())
            .filter_map(|item| item.free.as_ref().map(|f| f.quantity * item.first_price().as_f64()))
            .sum();
        assert!((paid.monthly - free.monthly).as_f64() <= worth + 1e-9, "seed {seed}");
    }
}
