//! Worked examples of asynchronous invocation and of queues in front of functions: deterministic, no network.

use super::facts_lambda::{counter, failures, first, function, ok, peak};
use super::theory::{burst, no_network};
use headroom::model::world::Outturn;
use serde_json::{Value, json};

/// A queue in front of `fn`; users put messages of kind `job` into it.
fn queued(users: &Value, job: &Value, queue: &Value, function: &Value, pool: u32) -> Value {
    let mut queue = queue.clone();
    queue["to"] = json!("fn");
    queue["overhead"] = json!({"constant": "0s"});
    json!({"name": "queue", "workload": {"users": users}, "work": {"job": job},
        "designs": {"d": {"enter": {"users": "q"}, "accounts": {"main": {"concurrency": pool}},
            "nodes": {"q": {"sqs": queue}, "fn": {"lambda": function}}}},
        "run": {"replications": 2, "horizon": "6h"}})
}

fn of_era(mut scenario: Value, era: &str) -> Value {
    scenario["era"] = json!(era);
    scenario
}

fn end(row: &Outturn) -> f64 {
    row.end.as_secs_f64()
}

fn sleep(span: &str) -> Value {
    json!([{"wait": {"constant": span}}])
}

/// A front function that sends `job` asynchronously to `fn`.
fn asynchronous(requests: u32, job: &Value, function: &Value, pool: u32) -> Value {
    json!({"name": "events", "workload": {"users": burst(requests, "500ms", "send")},
        "work": {"send": [{"event": {"to": "fn", "request": "job"}}], "job": job},
        "designs": {"d": {"enter": {"users": "front"},
            "accounts": {"main": {"concurrency": pool}, "other": {"concurrency": 10_000}},
            "nodes": {"front": {"pods": {"replicas": 1, "runtime": {"threads": {"threads": 10_000}}}},
                "fn": {"lambda": function},
                "dead": {"sqs": {"overhead": {"constant": "0s"}}}}}},
        "run": {"replications": 2, "horizon": "7h"}})
}

#[test]
fn t_asy_1_always_failing_function() {
    let mut failing = function(0);
    failing["events"] = json!({"on_failure": "dead"});
    let job = json!([{"wait": {"constant": "1s"}}, {"fail": {"share": 1.0}}]);
    let row = first(&asynchronous(1, &job, &failing, 1000));
    // The sender has its 202 at once, and counts as served.
    assert_eq!((ok(&row), failures(&row)), (1, vec![]));
    assert!(row.ledger.classes[0].latency.sum_nanos() < 10_000_000);
    // Attempts at 0, 61 and 182 s of 1 s each: done at 183 s.
    assert_eq!(counter(&row, "fn", "invocations"), 3);
    assert!((end(&row) - 183.5).abs() < 0.05, "{}", end(&row));
    assert_eq!((counter(&row, "fn", "events_failed"), counter(&row, "dead", "sent")), (1, 1));
}

#[test]
fn fewer_retries_where_the_era_has_the_setting() {
    let job = json!([{"fail": {"share": 1.0}}]);
    for (retries, invocations) in [(0, 1), (1, 2), (2, 3)] {
        let mut failing = function(0);
        failing["events"] = json!({"retries": retries});
        let row = first(&asynchronous(5, &job, &failing, 1000));
        assert_eq!(counter(&row, "fn", "invocations"), 5 * invocations);
    }
}

/// A function that takes a second and then calls `inner`, which Lambda always refuses.
fn nested(mut text: Value) -> Value {
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    text["designs"]["d"]["nodes"]["inner"] = json!({"lambda": blocked});
    text["work"]["job"] =
        json!([{"wait": {"constant": "1s"}}, {"call": {"to": "inner", "request": "rest"}}]);
    text["work"]["rest"] = sleep("10ms");
    text
}

#[test]
fn t_asy_4_a_function_that_fails_because_another_was_throttled_has_failed() {
    // As T-ASY-1: attempts at 0, 61 and 182 s, three invocations of each event, and none is tried for hours.
    let row = first(&nested(asynchronous(10, &sleep("1s"), &function(0), 1000)));
    assert_eq!((counter(&row, "fn", "invocations"), counter(&row, "inner", "throttled")), (30, 30));
    assert_eq!(
        (counter(&row, "fn", "events_failed"), counter(&row, "fn", "event_throttles")),
        (10, 0)
    );
    assert!((end(&row) - 183.5).abs() < 0.05, "{}", end(&row));
}

#[test]
fn t_asy_5_events_that_the_service_refuses_are_not_errors_of_the_function() {
    // 250 interfaces carry 500 environments of 1.5 GB, each at work for 250 s: the other 500 events get a 502 again and
    // again, until the first are done.
    let mut vpc = function(0);
    (vpc["vpc"], vpc["memory"], vpc["timeout"]) = (json!(true), json!("1536MB"), json!("300s"));
    let text = of_era(asynchronous(1_000, &sleep("250s"), &vpc, 3000), "y2018");
    let row = first(&text);
    assert_eq!(
        (counter(&row, "fn", "invocations"), counter(&row, "fn", "events_failed")),
        (1000, 0)
    );
    assert_eq!((peak(&row, "environments"), counter(&row, "fn", "events_expired")), (500, 0));
}

#[test]
fn t_asy_2_no_capacity_at_all() {
    // Another function holds the one unit of the account for longer than the event may live.
    let mut text = asynchronous(1, &sleep("1s"), &function(0), 1);
    text["workload"]["hog"] = json!({"load": {"closed": {"users": 1, "requests_per_user": 30}},
        "request": "hold", "connection": no_network()});
    text["work"]["hold"] = sleep("899700ms");
    let mut hog = function(0);
    hog["timeout"] = json!("900s");
    text["designs"]["d"]["nodes"]["hog"] = json!({"lambda": hog});
    text["designs"]["d"]["enter"]["hog"] = json!("hog");
    let row = first(&text);
    // Waits of 1, 2, 4, …, 256, 300, 300, … s: 80 attempts within 6 h, and the end of the event's age.
    assert_eq!(counter(&row, "fn", "event_throttles"), 80);
    assert_eq!(counter(&row, "fn", "event_retries"), 79);
    assert_eq!((counter(&row, "fn", "events_expired"), counter(&row, "fn", "invocations")), (1, 0));
}

#[test]
fn t_asy_3_a_burst_of_events_is_worked_off() {
    let row = first(&asynchronous(5_000, &sleep("10s"), &function(0), 1000));
    assert_eq!((ok(&row), counter(&row, "fn", "invocations")), (5_000, 5_000));
    assert_eq!((peak(&row, "events"), counter(&row, "fn", "events_left")), (5_000, 0));
    let levels =
        row.ledger.gauges.iter().find(|g| g.name == "concurrency" && g.limit == Some(1000));
    assert_eq!(levels.unwrap().levels.highs().iter().max(), Some(&1000));
    assert!(end(&row) < 6.0 * 3600.0);
}

#[test]
fn t_cost_11_a_large_event_is_thirteen_requests() {
    let mut text = asynchronous(1, &sleep("1s"), &function(0), 1000);
    text["work"]["send"] = json!([{"event": {"to": "fn", "request": "job", "size": "1000KB"}}]);
    let row = first(&text);
    let lines = row.reports.iter().flat_map(|r| &r.usage);
    let requests: f64 = lines.filter(|u| u.item == "lambda.requests").map(|u| u.quantity).sum();
    assert!((requests - 13.0).abs() < 1e-9, "{requests}");
}

#[test]
fn a_function_without_concurrency_sends_events_straight_to_the_dead_letters() {
    let mut blocked = function(0);
    blocked["reserved"] = json!(0);
    blocked["events"] = json!({"on_failure": "dead"});
    let row = first(&asynchronous(7, &sleep("1s"), &blocked, 1000));
    assert_eq!((counter(&row, "dead", "sent"), counter(&row, "fn", "throttled")), (7, 0));
}

/// 100,000 messages of half a second, one each: when all are done, and how many ran at most.
fn pollers_grow(era: &str, done: f64, concurrent: u64) {
    let queue = json!({"batch": 1});
    let mut text =
        queued(&burst(100_000, "0s", "job"), &sleep("500ms"), &queue, &function(0), 2000);
    text["designs"]["d"]["nodes"]["fn"]["lambda"]["timeout"] = json!("30s");
    let row = first(&of_era(text, era));
    assert!((end(&row) - done).abs() < 2.0, "{era}: done at {}", end(&row));
    let seen = peak(&row, "batches");
    assert!(seen.abs_diff(concurrent) <= 4, "{era}: {seen} concurrent");
    assert_eq!(counter(&row, "q", "deleted"), 100_000);
}

#[test]
fn t_sqs_1_sixty_more_a_minute() {
    pollers_grow("y2021", 311.0, 316);
}

#[test]
fn t_sqs_2_three_hundred_more_a_minute() {
    pollers_grow("y2023", 140.0, 707);
}

#[test]
fn t_sqs_3_maximum_concurrency_reads_no_more_than_it_can_run() {
    let queue = json!({"batch": 1, "maximum_concurrency": 10, "visibility": "60s"});
    let text = queued(&burst(1_000, "0s", "job"), &sleep("1s"), &queue, &function(0), 1000);
    let row = first(&text);
    assert_eq!((peak(&row, "batches"), peak(&row, "concurrency")), (10, 10));
    assert!((100.0..103.0).contains(&end(&row)), "{}", end(&row));
    assert_eq!((counter(&row, "fn", "throttled"), counter(&row, "q", "dead_letters")), (0, 0));
    assert_eq!(counter(&row, "q", "received"), 1_000);
}

#[test]
fn t_sqs_4_throttles_bury_healthy_messages() {
    let mut single = function(0);
    (single["reserved"], single["timeout"]) = (json!(1), json!("30s"));
    let queue = json!({"batch": 1, "visibility": "30s", "max_receives": 3});
    let row = first(&queued(&burst(50, "0s", "job"), &sleep("25s"), &queue, &single, 1000));
    let dead = counter(&row, "q", "dead_letters");
    assert!(dead > 25, "most messages are dead letters: {dead}");
    assert_eq!((counter(&row, "q", "batches_failed"), counter(&row, "fn", "timeouts")), (0, 0));
    assert_eq!(peak(&row, "concurrency"), 1);
    assert_eq!(counter(&row, "q", "deleted") + dead, 50);
}

#[test]
fn t_asy_6_a_batch_whose_function_was_refused_by_another_has_failed() {
    // Three receives of each message, 30 s apart; nobody keeps on trying within the visibility timeout.
    let queue = json!({"batch": 1, "visibility": "30s", "max_receives": 3});
    let mut short = function(0);
    short["timeout"] = json!("10s");
    let row = first(&nested(queued(&burst(10, "0s", "job"), &sleep("1s"), &queue, &short, 1000)));
    assert_eq!(
        (counter(&row, "fn", "invocations"), counter(&row, "q", "batches_failed")),
        (30, 30)
    );
    assert_eq!(
        (counter(&row, "q", "batches_throttled"), counter(&row, "q", "dead_letters")),
        (0, 10)
    );
}

/// Nine good messages and one that always fails, received together.
fn poisoned(report: bool) -> Outturn {
    let queue = json!({"visibility": "60s", "max_receives": 5, "report_failures": report,
        "window": "1s"});
    let mut text = queued(&burst(9, "0s", "job"), &sleep("1s"), &queue, &function(0), 1000);
    text["workload"]["poison"] = burst(1, "0s", "poison");
    text["work"]["poison"] = json!([{"fail": {"share": 1.0, "every_time": true}}]);
    text["designs"]["d"]["enter"]["poison"] = json!("q");
    first(&text)
}

#[test]
fn t_sqs_5_one_bad_message_takes_its_batch_along_or_not() {
    let whole = poisoned(false);
    assert_eq!(counter(&whole, "q", "batches"), 5);
    assert_eq!((counter(&whole, "q", "received"), counter(&whole, "q", "dead_letters")), (50, 10));
    let reported = poisoned(true);
    assert_eq!(
        (counter(&reported, "q", "deleted"), counter(&reported, "q", "dead_letters")),
        (9, 1)
    );
    // Once with the nine others, four times alone.
    assert_eq!((counter(&reported, "q", "received"), counter(&reported, "q", "batches")), (14, 5));
}

#[test]
fn batches_fill_within_their_window_and_cost_one_call() {
    let queue = json!({"batch": 10, "window": "5s", "visibility": "60s"});
    let users = json!({"load": {"open": {"arrivals": "even",
        "rate": {"steady": {"rate": "1/s", "for": "20s"}}}}, "request": "job", "connection": no_network()});
    let row = first(&queued(&users, &sleep("10ms"), &queue, &function(0), 1000));
    // Six arrive within five seconds of the first: 20 messages in 4 batches.
    assert_eq!((counter(&row, "q", "batches"), counter(&row, "fn", "invocations")), (4, 4));
    let line =
        row.reports.iter().flat_map(|r| &r.usage).find(|u| u.item == "sqs.standard").unwrap();
    // 20 sends, 4 receives, 4 deletes, and two pollers that ask the empty queue now and then.
    let empty = counter(&row, "q", "empty_receives") as f64;
    assert!((line.quantity - 28.0 - empty).abs() < 1e-9, "{}", line.quantity);
    assert!(empty <= 3.0);
}

#[test]
fn overlapping_waits_make_a_batch_as_long_as_its_longest_message() {
    for (items, seconds) in [("one_by_one", 10.0), ("overlapping", 1.0)] {
        let queue = json!({"items": items, "window": "1s", "visibility": "60s"});
        let row = first(&queued(&burst(10, "0s", "job"), &sleep("1s"), &queue, &function(0), 1000));
        assert_eq!(counter(&row, "q", "batches"), 1);
        assert!((end(&row) - seconds).abs() < 0.01, "{items}: {}", end(&row));
    }
}

#[test]
fn a_message_that_outlives_its_visibility_is_worked_on_twice() {
    // The one unit of concurrency is taken for 20 s; the second message starts at 20 s of its 30 s, is received again at 30 s
    // and worked on again from 40 to 60 s, because the first receipt is void.
    let mut single = function(0);
    (single["reserved"], single["timeout"]) = (json!(1), json!("30s"));
    let queue = json!({"batch": 1, "visibility": "30s"});
    let row = first(&queued(&burst(2, "0s", "job"), &sleep("20s"), &queue, &single, 1000));
    assert_eq!(counter(&row, "q", "deleted"), 2);
    assert_eq!((counter(&row, "fn", "invocations"), counter(&row, "q", "received")), (3, 3));
}

#[test]
fn old_messages_are_lost_and_the_flight_limit_holds() {
    let queue = json!({"batch": 1, "retention": "60s", "maximum_concurrency": 2});
    let row = first(&queued(
        &burst(20, "0s", "job"),
        &sleep("10s"),
        &queue,
        &{
            let mut f = function(0);
            f["timeout"] = json!("30s");
            f
        },
        1000,
    ));
    assert_eq!((counter(&row, "q", "deleted"), counter(&row, "q", "expired")), (12, 8));
    let queue = json!({"batch": 1, "in_flight_max": 3, "visibility": "60s"});
    let row = first(&queued(&burst(9, "0s", "job"), &sleep("10s"), &queue, &function(0), 1000));
    assert_eq!(peak(&row, "batches"), 3);
    assert!((end(&row) - 30.0).abs() < 0.01);
}

#[test]
fn provisioned_pollers_have_a_throughput() {
    // Two pollers: 20 receive calls and 2 MB a second. The function takes 10 ms, so their 20 invocations at a time do not bind.
    // The first receive is at once, and the last message is done 10 ms after the last receive.
    for (messages, batch, size, seconds) in [
        (1_000, 1, "1MB", 999.0 / 2.0),
        (1_000, 1, "1KB", 999.0 / 20.0),
        // One message at once, the others in 100 batches.
        (1_000, 10, "1KB", 100.0 / 20.0),
        // Batches of 2 MB.
        (1_000, 10, "200KB", 1_000.0 * 200.0 / 1024.0 / 2.0),
    ] {
        let queue = json!({"batch": batch, "message_size": size, "visibility": "60s",
            "provisioned": {"min": 2, "max": 2}});
        let users = burst(messages, "0s", "job");
        let job = json!([{"wait": {"constant": "10ms"}}]);
        let row = first(&of_era(queued(&users, &job, &queue, &function(0), 1000), "y2026"));
        assert_eq!(counter(&row, "q", "deleted"), u64::from(messages));
        // The last batch of several messages may be a small one: up to a second less.
        assert!((end(&row) - 0.01 - seconds).abs() < 1.0, "{batch} {size}: {}", end(&row));
        if batch == 1 {
            assert!((end(&row) - 0.01 - seconds).abs() < 0.01, "{size}: {}", end(&row));
        }
    }
}
