//! `headroom find` on problems whose answers are known: Erlang-C, Erlang-B, arithmetic of descriptors, prices.

use super::common::plan;
use super::theory::{erlang_b, exponential, no_network, poisson, single, threads, wait};
use headroom::experiment::find::{
    Answer, Direction, Effort, Grid, Outcome, Race, Search, Stop, break_even, cheapest, turn,
};
use headroom::experiment::{Observer, Plan, Silent};
use headroom::scenario::Path;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `ask` with a search over `paths` of a scenario.
fn searched<T>(
    text: &str,
    paths: &[&str],
    effort: (u32, u32),
    ask: impl FnOnce(&Search) -> T,
) -> T {
    let plan = plan(text);
    let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path)).collect();
    let make = |values: &[Value]| plan.with(&paths, values);
    let effort = Effort { least: effort.0, most: effort.1 };
    ask(&Search { make: &make, observer: &Silent, effort, precision: 0.01, show: &figure })
}

fn figure(metric: &str, value: f64) -> String {
    headroom::report::find::figure(metric, value, "USD")
}

fn within(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(metric, text)| ((*metric).to_owned(), (*text).to_owned())).collect()
}

/// Erlang's delay formula from his loss formula.
fn erlang_c(a: f64, servers: u32) -> f64 {
    let (b, n) = (erlang_b(a, servers), f64::from(servers));
    b / (1.0 - a / n * (1.0 - b))
}

/// M/M/c with load 10: 13 servers are the fewest that keep the mean wait under 0.15 s.
const SERVERS: &str = "designs.station.nodes.station.pods.runtime.threads.threads";

fn staffing() -> String {
    single(&poisson(10.0, 400.0), &wait(&exponential(1_000.0)), &threads(10), 5, 1)
}

#[test]
fn fewest_servers_are_erlang_c() {
    let mean = |c: u32| 1.0 + erlang_c(10.0, c) / (f64::from(c) - 10.0);
    assert!(mean(12) > 1.15 && mean(13) < 1.15, "{} {}", mean(12), mean(13));
    let grid = Grid::parse(SERVERS, "1..60").unwrap();
    let (answer, runs, stop) = searched(&staffing(), &[SERVERS], (5, 80), |search| {
        turn(search, &grid, Direction::Min, None, "station", &within(&[("latency", "avg<1.15s")]))
    });
    assert_eq!(stop, None);
    assert_eq!(answer.outcome, Outcome::Found);
    assert_eq!(
        (&answer.values, &answer.beyond),
        (&vec![json!(13)], &Some(json!(12))),
        "{}",
        answer.text
    );
    let estimate = answer.estimate.unwrap();
    assert!(
        estimate.low.to_bits() == 12f64.to_bits() && estimate.high.to_bits() == 13f64.to_bits()
    );
    assert!(runs <= 300 && answer.points.len() <= 9, "{runs} in {:?}", answer.points);
}

/// An account of 20 refuses 5 % of the arrivals at a load of 15.25.
#[test]
fn most_traffic_is_erlang_b() {
    let text = json!({"name": "loss", "workload": {"users": poisson(10.0, 400.0)}, "work": {"job": wait(&exponential(1_000.0))},
        "designs": {"lambda": {"enter": {"users": "fn"}, "nodes": {"fn": {"lambda": {"account": "main", "runtime": "go",
            "timeout": "900s", "place": {"constant": "0s"}, "init": {"constant": "0s"}, "idle_life": "48h"}}},
            "accounts": {"main": {"concurrency": 20}}}}, "run": {"seed": 3}});
    let path = "workload.users.load.open.rate.steady.rate";
    let grid = Grid::parse(path, "1/s..40/s").unwrap();
    let (answer, runs, stop) = searched(&text.to_string(), &[path], (5, 40), |search| {
        turn(
            search,
            &grid,
            Direction::Max,
            Some(10.0),
            "lambda",
            &within(&[("success_rate", "rate>0.95")]),
        )
    });
    assert_eq!(stop, None);
    let estimate = answer.estimate.unwrap();
    // B(20, a) = 0.05 by bisection.
    let (mut low, mut high) = (1.0, 40.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if erlang_b(middle, 20) < 0.05 { low = middle } else { high = middle }
    }
    assert!(estimate.holds(low), "{low} is not in {estimate:?}");
    assert!(estimate.high - estimate.low < 0.1 * low, "{estimate:?} after {runs}");
}

/// The tuned nginx on one worker: floor((4096 − listeners − 1) / 2) requests at once, see docs/facts/cluster.md 5.2.
#[test]
fn the_cliff_of_the_tuned_nginx_is_its_connection_slots() {
    let text = include_str!("../../scenarios/lambda-to-kubernetes.json");
    let mut scenario: Value = serde_json::from_str(text).unwrap();
    scenario["designs"]["nginx-2000"]["nodes"]["edge"]["nginx"]["workers"] = json!(1);
    let path = "workload.users-2000.load.closed.users";
    let grid = Grid::parse(path, "100..4000").unwrap();
    let (answer, runs, stop) = searched(&scenario.to_string(), &[path], (2, 8), |search| {
        let exact = Search { precision: 0.0, ..*search };
        let thresholds = within(&[("success_rate", "rate>0.999")]);
        turn(&exact, &grid, Direction::Max, Some(2_000.0), "nginx-2000", &thresholds)
    });
    assert_eq!(stop, None);
    let estimate = answer.estimate.unwrap();
    // Who comes after the 2,046th fails once; of some 6,000 requests six may fail at 99.9 %.
    assert!((2_046.0..=2_052.0).contains(&estimate.value), "{} after {runs}", answer.text);
    assert!(estimate.high - estimate.low <= 8.0, "{}", answer.text);
    let cliff = answer.points.iter().find(|p| p.decision == "no").unwrap();
    assert!(cliff.because.contains("worker_connections"), "{cliff:?}");
}

/// A function costs by the request, a host by the hour: they are level where the host's hour buys as many requests.
fn rent(rate: &str) -> String {
    json!({"name": "rent", "workload": {"users": {"load": {"open": {"arrivals": "even", "rate": {"steady": {"rate": rate, "for": "100s"}}}},
            "request": "job", "connection": no_network()}},
        "work": {"job": [{"wait": {"lognormal": {"mean": "100ms", "cv": 1.0}}}]},
        "designs": {
            "function": {"enter": {"users": "fn"}, "accounts": {"x": {}}, "nodes": {"fn": {"lambda": {"account": "x", "runtime": "go", "memory": "1024MB",
                "timeout": "60s", "place": {"constant": "0s"}, "init": {"constant": "0s"}}}}},
            "host": {"enter": {"users": "s"}, "nodes": {"s": {"pods": {"replicas": 1, "hosts": {"count": 1, "instance": "t3.medium"},
                "runtime": {"threads": {"threads": 1000}}}}}}},
        "run": {"month": {"windows": 26_280}}})
    .to_string()
}

/// The interval of an answer reaches from what surely is to what surely is not: it errs in at most 5 % of the searches, so it
/// covers the truth more often than an interval of a figure would. Over 500 seeds, windows of 10 s, steps of one request.
#[test]
fn intervals_of_answers_hold_the_truth() {
    let path = "workload.users.load.open.rate.steady.rate";
    let grid = Grid::parse(path, "5/s..8/s:0.1/s").unwrap();
    let mut scenario: Value = serde_json::from_str(&rent("1/s")).unwrap();
    scenario["workload"]["users"]["load"]["open"]["rate"]["steady"]["for"] = json!("10s");
    scenario["run"]["month"]["windows"] = json!(262_800);
    let request = 0.1005 * 0.000_016_666_7 + 0.2e-6;
    let truth = 0.0416 / 3_600.0 / request;
    // Found and right, found and wrong, not told.
    let mut counts = [0, 0, 0];
    for seed in 0..500 {
        scenario["run"]["seed"] = json!(seed);
        let (answer, _, _) = searched(&scenario.to_string(), &[path], (5, 20), |search| {
            break_even(search, &grid, ["function", "host"], "cost_monthly", &[])
        });
        let holds = answer.estimate.map(|estimate| estimate.holds(truth));
        counts[holds.map_or(2, |holds| usize::from(!holds))] += 1;
    }
    assert!(counts[0] >= 465 && counts[1] <= 25, "{counts:?}");
}

#[test]
fn break_even_of_rent_and_piecework() {
    let path = "workload.users.load.open.rate.steady.rate";
    let grid = Grid::parse(path, "0.5/s..40/s").unwrap();
    // 26,280 windows of 100 s are 730 h: all month long. t3.medium is $0.0416 an hour.
    let request = 0.1005 * 0.000_016_666_7 + 0.2e-6;
    let truth = 0.0416 / 3_600.0 / request;
    for designs in [["function", "host"], ["host", "function"]] {
        let (answer, runs, stop) = searched(&rent("1/s"), &[path], (5, 40), |search| {
            break_even(search, &grid, designs, "cost_monthly", &[])
        });
        assert_eq!(stop, None);
        assert_eq!(answer.outcome, Outcome::Found, "{}", answer.text);
        let estimate = answer.estimate.unwrap();
        assert!(estimate.holds(truth), "{truth} is not in {estimate:?}");
        assert!(estimate.high - estimate.low < 0.06 * truth, "{estimate:?} after {runs}");
        assert!(answer.text.starts_with("function"), "{}", answer.text);
    }
    // What is compared with itself is level everywhere; a narrow range has no turn.
    let alone = |text: &str, designs| {
        let grid = Grid::parse(path, text).unwrap();
        searched(&rent("1/s"), &[path], (5, 10), |s| {
            break_even(s, &grid, designs, "cost_monthly", &[])
        })
        .0
    };
    let level = alone("1/s..40/s", ["host", "host"]);
    assert_eq!(level.outcome, Outcome::Undecided);
    assert!(level.text.contains("from 1/s to 40/s the two cost the same"), "{}", level.text);
    assert_eq!(level.estimate, None);
    assert_eq!(alone("0.5/s..1/s", ["host", "function"]).outcome, Outcome::None);
}

/// Hosts cost, threads do not: one host, and every number of threads from 13 on is as good.
fn hosts(monotone: bool) -> Answer {
    let mut scenario: Value = serde_json::from_str(&staffing()).unwrap();
    scenario["designs"]["station"]["nodes"]["station"]["pods"]["hosts"] =
        json!({"count": 1, "instance": "t3.medium"});
    let count = "designs.station.nodes.station.pods.hosts.count";
    let grids = [Grid::parse(count, "1,2,3").unwrap(), Grid::parse(SERVERS, "11..15").unwrap()];
    searched(&scenario.to_string(), &[count, SERVERS], (5, 40), |search| {
        let thresholds = within(&[("latency", "avg<1.15s")]);
        let race = Race {
            grids: &grids,
            design: "station",
            thresholds: &thresholds,
            metric: "cost_monthly",
            indifference: 0.01,
            monotone,
        };
        cheapest(search, &race).0
    })
}

#[test]
fn the_cheapest_configuration_and_its_equals() {
    let all = hosts(false);
    assert_eq!((all.outcome, &all.values[0]), (Outcome::Found, &json!(1)), "{}", all.text);
    let mut equals: Vec<&Value> =
        all.indistinguishable.iter().chain([&all.values]).map(|v| &v[1]).collect();
    equals.sort_by_key(|v| v.as_u64());
    assert_eq!(equals, [&json!(13), &json!(14), &json!(15)], "{}", all.text);
    let few = all.points.iter().find(|p| p.values == [json!(1), json!(11)]);
    assert_eq!(few.unwrap().decision, "no");
    // Where more is never worse the smallest that holds is enough, and few configurations are run at all.
    let pruned = hosts(true);
    assert_eq!(pruned.values, [json!(1), json!(13)], "{}", pruned.text);
    assert!(
        pruned.points.iter().filter(|p| p.replications > 0).count() <= 8,
        "{:?}",
        pruned.points
    );
}

/// Stops after a number of replications.
struct Until(AtomicUsize);
impl Observer for Until {
    fn finished(&self, _of: usize) {
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    }
    fn stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

#[test]
fn an_interrupted_search_keeps_what_it_knows() {
    let plan: Plan = plan(&staffing());
    let paths = [Path::parse(SERVERS)];
    let make = |values: &[Value]| plan.with(&paths, values);
    let until = Until(AtomicUsize::new(12));
    let search = Search {
        make: &make,
        observer: &until,
        effort: Effort { least: 5, most: 80 },
        precision: 0.0,
        show: &figure,
    };
    let grid = Grid::parse(SERVERS, "1..60").unwrap();
    let thresholds = within(&[("latency", "avg<1.15s")]);
    let (answer, _, stop) =
        turn(&search, &grid, Direction::Min, Some(30.0), "station", &thresholds);
    assert_eq!(stop, Some(Stop::Interrupted));
    // 30 and 15 held; the run of 7 was stopped.
    assert_eq!(answer.values, [json!(15)], "{}", answer.text);
}

#[test]
fn a_value_that_makes_no_scenario_ends_the_search() {
    let grid = Grid::parse(SERVERS, "-5..-1").unwrap();
    let (_, runs, stop) = searched(&staffing(), &[SERVERS], (5, 10), |search| {
        turn(search, &grid, Direction::Min, None, "station", &within(&[("latency", "avg<1s")]))
    });
    assert!(matches!(stop, Some(Stop::Invalid(_))), "{stop:?}");
    assert_eq!(runs, 0);
    let missing = plan(&staffing()).with(&[Path::parse("designs.staton.enter.users")], &[json!(1)]);
    assert!(missing.unwrap_err().contains("station"));
}

/// One function with one environment held ready, and without: all month long, in windows of 300 s.
fn held(rate: &str) -> String {
    let function = |provisioned: Value| {
        let mut lambda = json!({"account": "x", "runtime": "go", "memory": "1024MB", "timeout": "60s", "place": {"constant": "0s"}, "init": {"constant": "0s"}});
        if !provisioned.is_null() {
            lambda["provisioned"] = provisioned;
        }
        json!({"enter": {"users": "fn"}, "accounts": {"x": {}}, "nodes": {"fn": {"lambda": lambda}}})
    };
    json!({"name": "held", "workload": {"users": {"load": {"open": {"arrivals": "even", "rate": {"steady": {"rate": rate, "for": "299s"}}}},
            "request": "job", "connection": no_network()}},
        "work": {"job": [{"wait": {"uniform": {"low": "80ms", "high": "120ms"}}}]},
        "designs": {"on demand": function(Value::Null), "provisioned": function(json!({"concurrency": 1}))},
        "run": {"month": {"windows": 8_760}}})
    .to_string()
}

/// One environment at work for 60 % of the time: 0.0000041667 / (0.0000166667 − 0.0000097222).
#[test]
fn t_cost_6_provisioned_pays_from_sixty_percent_on() {
    let path = "workload.users.load.open.rate.steady.rate";
    let grid = Grid::parse(path, "1/s..9/s").unwrap();
    let (answer, runs, stop) = searched(&held("6/s"), &[path], (10, 160), |search| {
        break_even(search, &grid, ["on demand", "provisioned"], "cost_monthly", &[])
    });
    assert_eq!((stop, &answer.outcome), (None, &Outcome::Found), "{}", answer.text);
    // A request is billed 100.5 ms on average; 299 s of 300 have arrivals, and all 730 h are held.
    let utilisation = answer.estimate.unwrap().times(0.1005 * 299.0 / 300.0);
    let truth = 0.000_004_166_7 / (0.000_016_666_7 - 0.000_009_722_2);
    assert!(utilisation.holds(truth), "{truth} is not in {utilisation:?}");
    assert!(utilisation.high - utilisation.low < 0.02 && runs <= 600, "{utilisation:?}, {runs}");
}

/// Rent and piecework, where the host has one thread and refuses what does not find it free.
#[test]
fn a_break_even_says_that_the_cheaper_design_fails_its_users() {
    let path = "workload.users.load.open.rate.steady.rate";
    let grid = Grid::parse(path, "0.5/s..40/s").unwrap();
    let mut scenario: Value = serde_json::from_str(&rent("1/s")).unwrap();
    scenario["designs"]["host"]["nodes"]["s"]["pods"]["runtime"]["threads"]["threads"] = json!(1);
    scenario["designs"]["host"]["nodes"]["s"]["pods"]["queue"] = json!(0);
    let even = |thresholds: &[(String, String)]| {
        searched(&scenario.to_string(), &[path], (5, 20), |search| {
            break_even(search, &grid, ["function", "host"], "cost_monthly", thresholds).0
        })
    };
    let plain = even(&[]);
    assert_eq!(plain.outcome, Outcome::Found, "{}", plain.text);
    let (cheaper, but) = plain.text.split_once("; but at ").unwrap();
    assert!(cheaper.starts_with("function has the lower cost_monthly up to"), "{cheaper}");
    assert!(
        but.contains("host serves ") && but.ends_with("% of its requests, function 100 %"),
        "{but}"
    );
    // Figures are written as everywhere: money, shares, times.
    let point = plain.points.first().unwrap();
    assert!(point.because.starts_with("cost_monthly: function $"), "{}", point.because);
    let judged = even(&within(&[("success_rate", "rate>0.99"), ("latency", "p(95)<10ms")]));
    let (_, but) = judged.text.split_once("; but at ").unwrap();
    assert!(but.contains("function misses latency p(95)<10ms ("), "{but}");
    assert!(but.contains("host misses success_rate rate>0.99 ("), "{but}");
}

/// M/M/1 that serves 10 a second: a load that ends while its queue grows meets a threshold at rates that no server of 10 can have; the answer
/// says so. Where it goes on for long, the most is where 95 % take at most 2 s: 10 − ln 20 / 2 = 8.5.
#[test]
fn an_answer_beyond_the_capacity_is_told() {
    let path = "workload.users.load.open.rate.steady.rate";
    let most = |seconds: f64, within_s: &str| {
        let text = single(&poisson(5.0, seconds), &wait(&exponential(100.0)), &threads(1), 10, 1);
        let grid = Grid::parse(path, "5/s..20/s:0.1/s").unwrap();
        let thresholds = within(&[("latency", &format!("p(95)<{within_s}"))]);
        searched(&text, &[path], (10, 80), |search| {
            turn(search, &grid, Direction::Max, Some(5.0), "station", &thresholds)
        })
        .0
    };
    let short = most(30.0, "12s");
    assert!(short.estimate.unwrap().value > 10.5, "{}", short.text);
    let told = &short.warnings;
    assert!(told.len() == 1 && told[0].code == "W0445", "{told:?}");
    assert!(told[0].text.contains("requests in flight grow"), "{told:?}");
    let long = most(2_000.0, "2s");
    assert!(long.estimate.unwrap().value < 9.0, "{}", long.text);
    assert!(long.warnings.is_empty(), "{:?}", long.warnings);
}
