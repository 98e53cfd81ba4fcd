//! Charts of made-up results: well-formed, repeatable, and never a panic.

use super::*;
use crate::experiment::result::{
    Cost, CostLine, DesignResult, Estimate, FailedBy, GaugeSeries, Latency, PriceRef, ScenarioRef,
    Series,
};

fn about(value: f64) -> Estimate {
    Estimate { value, low: value * 0.95, high: value * 1.05 }
}

fn latency(seconds: f64, count: u64) -> Latency {
    Latency { p50: about(seconds / 2.0), p95: about(seconds), count, ..Latency::default() }
}

fn series(buckets: u32) -> Series {
    let t: Vec<f64> = (0..buckets).map(|i| f64::from(i) * 0.5).collect();
    let wave = |scale: f64| t.iter().map(|t| scale * (1.5 + libm::sin(*t))).collect::<Vec<f64>>();
    let some = |v: Vec<f64>| v.into_iter().map(Some).collect::<Vec<Option<f64>>>();
    let failed_by = FailedBy { cause: "timeout_read".into(), node: "api".into(), count: wave(5.0) };
    let gauge = GaugeSeries {
        node: "api".into(),
        gauge: "queue".into(),
        limit: Some(128.0),
        mean: wave(30.0),
        max: wave(50.0),
    };
    Series {
        bucket: 0.5,
        started: wave(45.0),
        attempts: wave(46.0),
        ok: wave(40.0),
        failed: wave(5.0),
        failed_by: vec![failed_by],
        latency_mean: some(wave(0.2)),
        latency_p50: some(wave(0.2)),
        latency_p95: some(wave(0.9)),
        gauges: vec![gauge],
        t,
    }
}

fn design(name: &str, per_user: f64, series: Series) -> DesignResult {
    let line = |amount: f64, reserved: bool, idle: f64| CostLine {
        node: "api".into(),
        item: "x".into(),
        quantity: 1.0,
        unit: "hour".into(),
        price_share: None,
        amount,
        reserved,
        idle,
        monthly: amount,
    };
    let lines = vec![line(3.0, false, 0.0), line(5.0, true, 2.0)];
    let cost = Cost { total: about(8.0), per_user: about(per_user), lines, ..Cost::default() };
    DesignResult {
        name: name.into(),
        users: about(100.0),
        users_served: about(90.0),
        requests: about(1000.0),
        attempts_per_request: about(1.0),
        unfinished: about(0.0),
        duration: about(30.0),
        throughput: about(30.0),
        success_rate: Estimate { value: 0.9, low: 0.88, high: 0.92 },
        latency: latency(0.8, 900),
        latency_all: latency(0.9, 1000),
        latency_from_schedule: None,
        failures: Vec::new(),
        bottleneck: None,
        limits: Vec::new(),
        story: Vec::new(),
        incidents: Vec::new(),
        counterfactual: None,
        backlog: None,
        steady: None,
        cost,
        nodes: Vec::new(),
        classes: Vec::new(),
        series,
        replications: Vec::new(),
    }
}

fn result(designs: Vec<DesignResult>) -> RunResult {
    RunResult {
        schema_version: 1,
        headroom: "0.0.0".into(),
        scenario: ScenarioRef {
            name: "made-up".into(),
            about: String::new(),
            digest: String::new(),
            era: "y2025".into(),
            region: "us-east-1".into(),
        },
        seed: 1,
        replications: 3,
        precision: None,
        interrupted: None,
        prices: PriceRef { currency: "USD".into(), ..PriceRef::default() },
        designs,
        differences: Vec::new(),
        thresholds: Vec::new(),
        assumptions: Vec::new(),
        sensitivity: Vec::new(),
        resolved: serde_json::Value::Null,
    }
}

/// A result of two designs for tests of other reports.
pub(in crate::report) fn sample() -> RunResult {
    result(vec![design("first", 0.002, series(60)), design("second", 0.003, series(60))])
}

/// Draws, checks every chart, answers the charts.
fn checked(result: &RunResult) -> Vec<Chart> {
    let charts = charts(result);
    assert_eq!(charts.len(), 5);
    for chart in &charts {
        assert!(chart.svg.starts_with("<svg "), "{}", chart.name);
        assert!(chart.svg.trim_end().ends_with("</svg>"), "{}", chart.name);
        assert_eq!(chart.svg.matches("<text").count(), chart.svg.matches("</text>").count());
        assert!(!chart.svg.contains("NaN") && !chart.svg.contains("inf"), "{}", chart.name);
        let decoder = png::Decoder::new(std::io::Cursor::new(&chart.png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.width, 1920);
        let half = format!("width=\"960\" height=\"{}\"", info.height / 2);
        assert!(chart.svg.contains(&half), "{}", chart.name);
        let inked = pixels.chunks(3).filter(|p| *p != [255, 255, 255]).count();
        assert!(inked > 2000, "{} is blank", chart.name);
    }
    charts
}

#[test]
fn names_are_text_and_bytes_repeat() {
    let made = result(vec![
        design("first <&> one", 0.002, series(60)),
        design("second", 0.003, series(60)),
    ]);
    let once = checked(&made);
    for chart in &once {
        assert!(chart.svg.contains("second"), "{}", chart.name);
        assert!(!chart.svg.contains("<&>"), "{}", chart.name);
    }
    assert_eq!(once, charts(&made));
}

#[test]
fn degenerate_results_are_drawn() {
    checked(&result(Vec::new()));
    checked(&result(vec![design("empty", 0.0, Series::default())]));
    checked(&result(vec![design("one bucket", 0.1, series(1))]));
    let mut none = design("no success", f64::NAN, series(20));
    none.series.latency_p50.fill(None);
    none.series.latency_p95.fill(None);
    none.series.ok.fill(0.0);
    none.latency = Latency::default();
    none.success_rate = Estimate::default();
    none.cost = Cost::default();
    checked(&result(vec![none]));
}

#[test]
fn figures_that_are_none_are_not_drawn() {
    let mut wild = design("wild", f64::INFINITY, series(20));
    wild.series.latency_p95[3] = Some(f64::NAN);
    wild.series.ok[4] = f64::INFINITY;
    wild.series.failed_by[0].count[5] = f64::NAN;
    wild.series.gauges[0].max[6] = f64::NAN;
    wild.series.gauges[0].mean.truncate(3);
    wild.success_rate = Estimate { value: f64::NAN, low: f64::NEG_INFINITY, high: f64::INFINITY };
    wild.latency.p95 = Estimate { value: 1.0, low: f64::NAN, high: f64::INFINITY };
    wild.cost.lines[0].amount = f64::NAN;
    checked(&result(vec![wild.clone()]));
    wild.series.bucket = f64::NAN;
    checked(&result(vec![wild.clone()]));
    wild.series.bucket = 0.0;
    checked(&result(vec![wild]));
}

#[test]
fn twelve_designs_with_long_names_fit() {
    let long = "a design whose name goes on and on until nobody reads it, no";
    let name = |i: u32| format!("{i} {long}");
    let each = (0..12).map(|i| design(&name(i), libm::pow(10.0, -f64::from(i)), series(60)));
    let charts = checked(&result(each.collect()));
    for chart in &charts {
        assert!(chart.svg.contains('…') && !chart.svg.contains(long), "{}", chart.name);
    }
}

#[test]
fn odd_costs_and_causes_fit() {
    let mut odd = design("dear", 1e9, series(30));
    odd.series.failed_by = (0..9)
        .map(|i| FailedBy {
            cause: format!("a_rather_long_cause_of_failure_{i}"),
            node: "api".into(),
            count: vec![f64::from(i + 1); 30],
        })
        .collect();
    let charts = checked(&result(vec![odd, design("free", 0.0, series(30))]));
    assert!(charts.iter().any(|c| c.svg.contains("other causes")));
}
