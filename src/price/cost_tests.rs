//! Worked examples of the price pages and of our fact sheets, to the last digit that they state.

use super::metering::{
    HeldRule, async_event_requests, billed_duration_ms, billed_seconds, lambda_gb_seconds,
    provisioned_break_even, sqs_batch_calls,
};
use super::{Bill, BillOptions, Money, MonthProfile, PriceError, Table, bill};
use crate::model::entry::capacity_units::{Handled, Meter, PerUnit};
use crate::model::usage::UsageLine;

const ONE_HOUR: MonthProfile = MonthProfile { windows_per_month: 1.0, window_hours: 1.0 };
const PAID: BillOptions = BillOptions { free_tier: false, month: ONE_HOUR };
const FREE: BillOptions = BillOptions { free_tier: true, month: ONE_HOUR };

fn table() -> Table {
    Table::builtin("us-east-1").unwrap()
}

fn used(item: &str, quantity: f64, unit: &'static str) -> UsageLine {
    UsageLine::used("n", item, quantity, unit)
}

fn held(item: &str, quantity: f64, unit: &'static str) -> UsageLine {
    UsageLine::held("n", item, quantity, unit)
}

fn billed(usage: &[UsageLine], options: &BillOptions) -> Bill {
    bill(usage, &table(), options).unwrap()
}

fn cost(item: &str, quantity: f64, unit: &'static str) -> Money {
    billed(&[used(item, quantity, unit)], &PAID).total
}

fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}

/// GB-seconds of many equal calls.
fn gb_s(calls: f64, ms: u64, memory_mb: u64) -> f64 {
    calls * lambda_gb_seconds(memory_mb, ms)
}

const MS: u64 = 1_000_000;
const KB: u64 = 1024;

#[test]
fn t_cost_1_free_tier() {
    let duration = gb_s(3e6, 120, 1536);
    assert_eq!(duration.round().to_bits(), 540_000_f64.to_bits());
    let bill_of = |arch: &str| {
        let duration = used(&format!("lambda.duration.{arch}"), duration, "GB-s");
        billed(&[duration, used("lambda.requests", 3e6, "request")], &FREE)
    };
    let x86 = bill_of("x86_64");
    assert_eq!(x86.lines[0].amount, usd("2.333338"));
    assert_eq!(x86.lines[1].amount, usd("0.40"));
    assert_eq!(x86.total.to_string(), "$2.73");
    assert_eq!(x86.monthly, x86.total);
    assert_eq!(bill_of("arm64").lines[0].amount, usd("1.866676"));
}

#[test]
fn t_cost_2_rounding_of_short_calls() {
    let duration = |rounding| {
        let ms = billed_duration_ms(28 * MS, rounding);
        cost("lambda.duration.x86_64", gb_s(60e6, ms, 1024), "GB-s")
    };
    assert_eq!(duration(100), usd("100.0002"));
    assert_eq!(duration(1).to_string(), "$28.00");
    assert_eq!(cost("lambda.requests", 60e6, "request"), usd("12.00"));
}

#[test]
fn t_cost_3_rounding_factor() {
    for (ms, factor) in [(28, "3.571"), (101, "1.980"), (120, "1.667"), (250, "1.200")] {
        let billed = billed_duration_ms(ms * MS, 100) as f64;
        assert_eq!(format!("{:.3}", billed / ms as f64), factor);
        assert_eq!(billed_duration_ms(ms * MS - 1, 1), ms);
    }
}

#[test]
fn t_cost_4_tiers() {
    assert_eq!(cost("lambda.duration.x86_64", 20e9, "GB-s"), usd("301667.20"));
    assert_eq!(cost("lambda.duration.arm64", 20e9, "GB-s"), usd("248335.00"));
    assert_eq!(cost("lambda.duration.x86_64", 6e9, "GB-s"), usd("100000.20"));
    assert_eq!(cost("lambda.duration.x86_64", 15e9, "GB-s"), usd("235000.20"));
    // One GB-second past the end of a tier costs that of the next.
    assert_eq!(cost("lambda.duration.x86_64", 6e9 + 1.0, "GB-s"), usd("100000.200015"));
}

#[test]
fn t_cost_5_init_billing() {
    let init = gb_s(10_000.0, 142, 512);
    assert_eq!(format!("{init:.6}"), "710.000000");
    assert_eq!(cost("lambda.duration.x86_64", init, "GB-s").to_string(), "$0.0118");
    let handler = cost("lambda.duration.x86_64", gb_s(1e6, 100, 1024), "GB-s");
    let init = cost("lambda.duration.x86_64", gb_s(1e5, 5000, 1024), "GB-s");
    assert_eq!((handler, init), (usd("1.66667"), usd("8.33335")));
}

/// A window of 20 s is billed a minute of a host; a month of it is 730 hours all the same.
#[test]
fn a_short_window_does_not_make_a_month_dearer() {
    let month = MonthProfile { windows_per_month: 1.0, window_hours: 20.0 / 3600.0 };
    let billed_hours = held("ec2.t3.medium", 2.0 * 60.0 / 3600.0, "hour");
    let usage = [UsageLine { held: 2.0 * 20.0 / 3600.0, ..billed_hours }];
    let bill = billed(&usage, &BillOptions { free_tier: false, month });
    assert_eq!(bill.monthly.to_string(), "$60.74");
    assert!((bill.total.as_f64() - 2.0 * 0.0416 / 60.0).abs() < 1e-9);
}

#[test]
fn t_cost_6_provisioned() {
    let month =
        |gb: f64| cost("lambda.provisioned.x86_64", gb * 730.0 * 3600.0, "GB-s").to_string();
    assert_eq!((month(1.0).as_str(), month(2.0).as_str()), ("$10.95", "$21.90"));
    // Held for one hour of simulation, it is held all month.
    let bill = billed(&[held("lambda.provisioned.x86_64", 3600.0, "GB-s")], &PAID);
    assert_eq!((bill.total, bill.monthly.to_string()), (usd("0.01500012"), "$10.95".into()));
    assert_eq!(billed_seconds(301_000 * MS, HeldRule::PROVISIONED), 600);
    for architecture in ["x86_64", "arm64"] {
        let share = provisioned_break_even(&table(), architecture).unwrap();
        assert!((share - 0.60).abs() < 1e-4, "{architecture}: {share}");
    }
    assert_eq!(provisioned_break_even(&table(), "x86").unwrap_err().code(), "price-missing");
}

#[test]
fn t_cost_6_provisioned_breaks_even_at_60_percent() {
    let cost_at = |share: f64| {
        let running = used("lambda.provisioned_duration.x86_64", share * 3600.0, "GB-s");
        let provisioned =
            billed(&[held("lambda.provisioned.x86_64", 3600.0, "GB-s"), running], &PAID);
        (provisioned.total, cost("lambda.duration.x86_64", share * 3600.0, "GB-s"))
    };
    let (provisioned, on_demand) = cost_at(0.59);
    assert!(provisioned > on_demand);
    let (provisioned, on_demand) = cost_at(0.61);
    assert!(provisioned < on_demand);
}

#[test]
fn t_cost_7_snapstart() {
    assert_eq!(cost("lambda.snapstart_cache", 2.68e6, "GB-s").to_string(), "$4.03");
    assert_eq!(cost("lambda.snapstart_restore", 74_400.0, "GB").to_string(), "$10.40");
}

#[test]
fn t_cost_8_api_gateway() {
    assert_eq!(cost("api_gateway.rest", 500e6, "request"), usd("1633.10"));
    assert_eq!(cost("api_gateway.rest", 500e6, "request").to_string(), "$1,633.10");
    assert_eq!(cost("api_gateway.http", 500e6, "request"), usd("480"));
}

#[test]
fn t_cost_9_dynamodb_on_demand_now_and_before() {
    assert_eq!(cost("dynamodb.write_request", 3.6e6, "request"), usd("2.25"));
    assert_eq!(cost("dynamodb.read_request", 3.6e6, "request"), usd("0.45"));
    let before = table().at("2024-10").unwrap();
    let total = |item| bill(&[used(item, 3.6e6, "request")], &before, &PAID).unwrap().total;
    assert_eq!(total("dynamodb.write_request"), usd("4.50"));
    assert_eq!(total("dynamodb.read_request"), usd("0.90"));
}

#[test]
fn t_cost_10_alb() {
    // An hour of 100 new connections a second, 6,000 active, 1.5 GB and 500 rules a second: 4 LCU.
    let hour = Handled {
        connections: 360_000,
        area: 6_000 * 3_600_000_000_000,
        bytes: 1.5 * 1_073_741_824.0,
        rules: 1_800_000,
    };
    let lcus = Meter::new(PerUnit::ALB).roll(hour);
    assert!((lcus - 4.0).abs() < 1e-12);
    let lines = [used("alb.lcu_hour", 4.0, "LCU-hour"), held("alb.hour", 1.0, "hour")];
    let bill = billed(&lines, &PAID);
    assert_eq!((bill.lines[0].amount, bill.lines[1].amount), (usd("0.032"), usd("0.0225")));
    // The same through a network balancer: 1.5 GB are its largest dimension, 1.5 · 0.006 + 0.0225.
    assert!((Meter::new(PerUnit::NLB).roll(hour) - 1.5).abs() < 1e-12);
    let lines = [used("nlb.lcu_hour", 1.5, "LCU-hour"), held("nlb.hour", 1.0, "hour")];
    assert_eq!(billed(&lines, &PAID).total, usd("0.0315"));
}

#[test]
fn t_cost_11_async_event() {
    assert_eq!(async_event_requests(1000 * KB), 13);
}

#[test]
fn t_cost_12_sqs() {
    let calls = sqs_batch_calls(100_000, 1) + 2 * sqs_batch_calls(100_000, 10);
    assert_eq!(calls, 120_000);
    assert_eq!(cost("sqs.standard", calls as f64, "request"), usd("0.048"));
}

#[test]
fn t_seed_1_lambda_against_t2_micro() {
    let lambda = [
        used("lambda.duration.x86_64", gb_s(900.0, 3_600_000, 512), "GB-s"),
        used("lambda.requests", 3.6e6, "request"),
        used("api_gateway.rest", 3.6e6, "request"),
    ];
    let lambda = billed(&lambda, &PAID);
    let shown: Vec<String> = lambda.lines.iter().map(|line| line.amount.to_string()).collect();
    assert_eq!(shown, ["$27.00", "$0.72", "$12.60"]);
    assert_eq!(lambda.total.to_string(), "$40.32");
    assert_eq!(format!("{:.2}", lambda.total.as_f64() / 3.6), "11.20");
    let hosts = billed(&[held("ec2.t2.micro", 12.0, "hour")], &PAID);
    assert_eq!(hosts.total, usd("0.1392"));
    assert_eq!(hosts.monthly.to_string(), "$101.62");
    assert!((lambda.total.as_f64() / hosts.total.as_f64()).round().to_bits() == 290_f64.to_bits());
}

#[test]
fn cost_per_user_of_three_t3_medium() {
    let hosts = billed(&[held("ec2.t3.medium", 3.0, "hour")], &PAID);
    assert_eq!(hosts.total, usd("0.1248"));
    assert_eq!(hosts.monthly.to_string(), "$91.10");
    let per_million = hosts.total.as_f64() / (131.0 * 3600.0) * 1e6;
    assert_eq!(format!("{per_million:.3}"), "0.265");
    assert_eq!(format!("{:.6}", hosts.total.as_f64() / 1100.0), "0.000113");
}

#[test]
fn surplus_credits_of_ec2() {
    assert_eq!(cost("ec2.surplus_credit_vcpu_hour", 0.42, "vCPU-hour"), usd("0.021"));
}

#[test]
fn a_free_cluster_costs_nothing_and_says_so() {
    let bill = billed(&[held("mongodb.atlas_m0", 1.0, "hour")], &PAID);
    assert_eq!((bill.lines.len(), bill.total), (1, Money::ZERO));
}

#[test]
fn every_fault_of_the_usage_at_once() {
    let mut bad = used("nat.gb", -1.0, "GB");
    bad.node = "nat".into();
    let usage = [
        used("lambda.requestz", 1.0, "request"),
        used("lambda.requestz", 2.0, "request"),
        used("ec2.t2.micro", 60.0, "second"),
        bad,
        used("ec2.t9.huge", 1.0, "hour"),
    ];
    let errors = bill(&usage, &table(), &PAID).unwrap_err();
    let codes: Vec<&str> = errors.iter().map(PriceError::code).collect();
    assert_eq!(codes, ["price-missing", "price-unit", "price-missing", "price-quantity"]);
    let unit = errors[1].to_string();
    assert!(
        unit.contains("`second`") && unit.contains("`hour`") && unit.contains("`ec2.t2.micro`")
    );
}

#[test]
fn a_month_that_is_none_is_refused() {
    for (windows_per_month, window_hours) in
        [(1.0, 0.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)]
    {
        let month = MonthProfile { windows_per_month, window_hours };
        let errors = bill(&[], &table(), &BillOptions { free_tier: false, month }).unwrap_err();
        assert_eq!(errors[0].code(), "price-month");
    }
    let month = MonthProfile { windows_per_month: 1e9, window_hours: 1.0 };
    let lines = [used("lambda.requests", 1e6, "request")];
    let errors = bill(&lines, &table(), &BillOptions { free_tier: false, month }).unwrap_err();
    assert_eq!(errors[0].code(), "price-quantity");
}

#[test]
fn use_repeats_and_hours_extend() {
    let month = MonthProfile { windows_per_month: 100.0, window_hours: 0.5 };
    let lines = [used("lambda.requests", 1e6, "request"), held("nat.hour", 0.5, "hour")];
    let bill = billed(&lines, &BillOptions { free_tier: false, month });
    assert_eq!((bill.lines[0].amount, bill.lines[0].monthly), (usd("0.20"), usd("20")));
    assert_eq!((bill.lines[1].amount, bill.lines[1].monthly), (usd("0.0225"), usd("32.85")));
    // Free quantities are a month's: one million of the hundred.
    let bill = billed(&lines, &BillOptions { free_tier: true, month });
    assert_eq!((bill.lines[0].amount, bill.lines[0].monthly), (Money::ZERO, usd("19.80")));
}

#[test]
fn what_comes_and_goes_is_held_in_every_window_and_at_its_least_between() {
    // Ten windows of half an hour with 6 host-hours each, and two hosts in the other 725 hours.
    let month = MonthProfile { windows_per_month: 10.0, window_hours: 0.5 };
    let scaled = UsageLine { between: Some(2.0), ..held("nat.hour", 6.0, "hour") };
    let of = |month| {
        billed(std::slice::from_ref(&scaled), &BillOptions { free_tier: false, month }).monthly
    };
    assert_eq!(of(month), usd("67.95")); // (60 + 1,450) · 0.045
    // Back to back there is no time between, however many windows are asked for.
    assert_eq!(of(MonthProfile { windows_per_month: 5_000.0, ..month }), usd("394.2"));
}

#[test]
fn tiers_count_the_month_and_all_nodes() {
    let month = MonthProfile { windows_per_month: 100.0, window_hours: 1.0 };
    let lines =
        [used("api_gateway.http", 3e6, "request"), used("api_gateway.http", 1e6, "request")];
    let bill = billed(&lines, &BillOptions { free_tier: false, month });
    assert_eq!(bill.total, usd("4"));
    assert_eq!(bill.monthly, usd("390"));
    assert_eq!((bill.lines[0].monthly, bill.lines[1].monthly), (usd("292.5"), usd("97.5")));
}

#[test]
fn a_free_quantity_is_shared_by_architectures_but_not_by_provisioned() {
    let lines = [
        used("lambda.duration.x86_64", 600_000.0, "GB-s"),
        used("lambda.duration.arm64", 200_000.0, "GB-s"),
        used("lambda.provisioned_duration.x86_64", 1000.0, "GB-s"),
    ];
    let bill = billed(&lines, &FREE);
    assert_eq!(bill.lines[0].amount, usd("5.00001"));
    assert_eq!(bill.lines[1].amount, usd("1.33334"));
    assert_eq!(bill.lines[2].amount, usd("0.0097222"));
    assert_eq!(billed(&[used("sqs.fifo", 9e5, "request")], &FREE).total, Money::ZERO);
}

#[test]
fn idle_and_wasted_are_parts_of_the_amount() {
    let mut hosts = held("ec2.t3.medium", 3.0, "hour");
    hosts.idle = 2.25;
    let mut requests = used("lambda.requests", 1e6, "request");
    requests.wasted = 250_000.0;
    let bill = billed(&[hosts, requests], &PAID);
    assert_eq!((bill.idle, bill.wasted), (usd("0.0936"), usd("0.05")));
    assert_eq!(bill.lines[0].wasted, Money::ZERO);
}

#[test]
fn a_share_of_the_price_lowers_the_amount_and_not_the_hours() {
    let spot = UsageLine { idle: 0.5, ..held("ec2.m5.large", 2.0, "hour") }.as_spot(0.35);
    let bill = billed(&[held("ec2.m5.large", 1.0, "hour"), spot], &PAID);
    // Three hours at 9.6 cents, two of them at 35 % of that.
    assert_eq!(bill.lines[0].amount, usd("0.096"));
    assert_eq!((bill.lines[1].amount, bill.lines[1].idle), (usd("0.0672"), usd("0.0168")));
    assert_eq!((bill.lines[1].quantity, bill.lines[1].price_share), (2.0, Some(0.35)));
    assert_eq!(bill.total, usd("0.1632"));
    // In a month of 730 windows of an hour.
    assert_eq!(bill.lines[1].monthly, usd("49.056"));
}
