//! The engine, from the event queue up to whole designs, beside a plain hand-written loop: figures are read as ratios inside one
//! run. Criterion follows each over time; the line printed before it says requests and events a second and the ratio to the loop.

#![expect(clippy::disallowed_types, reason = "benchmarks measure wall time")]

mod paths;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use headroom::experiment::{Plan, Silent, replicate, run};
use headroom::kernel::{Key, Queue, Rank, Stream, Time};
use headroom::report;
use headroom::scenario::read;
use paths::{once, path, plan};
use rand_distr::{Distribution, Exp1};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds that `work` takes for each of the items it says it did, best of three.
fn cost(mut work: impl FnMut() -> u64) -> f64 {
    let once = |work: &mut dyn FnMut() -> u64| {
        let start = Instant::now();
        let items = work();
        start.elapsed().as_nanos() as f64 / items as f64
    };
    (0..3).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

fn exponential(stream: &mut Stream, mean: f64) -> u64 {
    (-stream.unit_open().ln() * mean) as u64
}

/// The floor: M/M/c by hand, a binary heap of (time, kind), a queue of arrival times and a sum. It counts nothing else.
fn floor(customers: u64, servers: u32) -> u64 {
    let mut stream = Key::root(1, 0).stream();
    let (gap, service) = (1e7 / 0.9 / f64::from(servers), 1e7);
    let mut pending = BinaryHeap::from([Reverse((exponential(&mut stream, gap), 0_u64))]);
    let (mut waiting, mut busy, mut done, mut sum) = (VecDeque::new(), 0, 0, 0_u128);
    while done < customers {
        let Some(Reverse((now, arrived))) = pending.pop() else { break };
        if arrived == 0 {
            pending.push(Reverse((now + exponential(&mut stream, gap), 0)));
            if busy == servers {
                waiting.push_back(now);
                continue;
            }
            busy += 1;
            pending.push(Reverse((now + exponential(&mut stream, service), now.max(1))));
        } else {
            done += 1;
            sum += u128::from(now - arrived);
            match waiting.pop_front() {
                Some(next) => {
                    pending.push(Reverse((now + exponential(&mut stream, service), next)));
                }
                None => busy -= 1,
            }
        }
    }
    black_box(sum);
    done
}

/// As [`exponential`], by tables: what is measured is a queue, not a logarithm.
fn distance(stream: &mut Stream) -> u64 {
    let unit: f64 = Exp1.sample(stream);
    1 + (unit * 1e9) as u64
}

/// Pop one, push one at a random distance, with `pending` events waiting: the classical hold model.
struct Hold {
    queue: Queue<u64>,
    stream: Stream,
}

impl Hold {
    fn new(pending: u64) -> Hold {
        let mut hold = Hold { queue: Queue::default(), stream: Key::root(1, 0).stream() };
        (0..pending).for_each(|event| hold.push(event));
        (0..2 * pending).for_each(|_| hold.turn());
        hold
    }
    fn push(&mut self, event: u64) {
        let at = self.queue.now().nanos() + distance(&mut self.stream);
        self.queue.at(Time::from_nanos(at), Rank::Completion, event);
    }
    fn turn(&mut self) {
        let event = self.queue.pop().copied().unwrap_or(0);
        self.push(event);
    }
}

/// The same by hand: a binary heap of (time, event).
fn hold_floor(pending: u64, turns: u64) -> f64 {
    let mut stream = Key::root(1, 0).stream();
    let mut heap: BinaryHeap<_> =
        (0..pending).map(|event| Reverse((distance(&mut stream), event))).collect();
    cost(|| {
        for _ in 0..turns {
            if let Some(Reverse((now, event))) = heap.pop() {
                heap.push(Reverse((now + distance(&mut stream), event)));
            }
        }
        turns
    })
}

fn hold(c: &mut Criterion) {
    let mut group = c.benchmark_group("hold");
    for pending in [256, 4_096, 65_536, 1_048_576] {
        const TURNS: u64 = 2_000_000;
        let mut hold = Hold::new(pending);
        let ours = cost(|| {
            (0..TURNS).for_each(|_| hold.turn());
            TURNS
        });
        let by_hand = hold_floor(pending, TURNS);
        say(&format!(
            "hold/{pending}: {ours:.1} ns, {:.2} times the loop's {by_hand:.1} ns",
            ours / by_hand
        ));
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(pending), |b| b.iter(|| hold.turn()));
    }
    group.finish();
}

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: &str) {
    println!("{line}");
}

/// Whole paths, one replication each. The floor is the hand-written M/M/1 for one server and M/M/100 for all else.
fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    group.sample_size(10);
    let loops = [cost(|| floor(2_000_000, 1)), cost(|| floor(2_000_000, 100))];
    for (name, seconds) in [
        ("mm1", 5_000.0),
        ("mm100", 40.0),
        ("lambda", 200.0),
        ("lambda_100k", 2.0),
        ("lambda_100", 1_000.0),
        ("lambda_1000", 100.0),
        ("lambda_10000", 20.0),
        ("nginx", 250.0),
    ] {
        let Some(scenario) = path(name, seconds) else { continue };
        let plan = plan(&scenario);
        let (requests, events) = once(&plan, 0);
        let each = cost(|| once(&plan, 0).0);
        let by_hand = loops[usize::from(name != "mm1")];
        say(&format!(
            "path/{name}: {:.0} requests/s, {:.0} events/s, {each:.0} ns a request: {:.1} times the loop's {by_hand:.1} ns",
            1e9 / each,
            1e9 / each * events as f64 / requests as f64,
            each / by_hand
        ));
        group.throughput(Throughput::Elements(requests));
        group.bench_function(name, |b| {
            b.iter_batched(|| (), |()| once(&plan, 0), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// The same replications on one thread and on two.
fn threads(c: &mut Criterion) {
    let Some(mut scenario) = path("lambda", 20.0) else { return };
    scenario["run"]["replications"] = 16.into();
    let plan = plan(&scenario);
    let mut group = c.benchmark_group("threads");
    group.sample_size(10);
    let mut alone = 0.0;
    for threads in [1, 2] {
        let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else { return };
        let all =
            || pool.install(|| replicate(&plan, &Silent).map_or(0, |rows| rows[0].len() as u64));
        let each = cost(all);
        alone = if threads == 1 { each } else { alone };
        say(&format!(
            "threads/{threads}: {:.1} replications/s, {:.2} times those of one",
            1e9 / each,
            alone / each
        ));
        group.throughput(Throughput::Elements(16));
        group.bench_function(BenchmarkId::from_parameter(threads), |b| b.iter(all));
    }
    group.finish();
}

/// What stands around a run: reading the built-in scenario, writing its reports.
fn around(c: &mut Criterion) {
    let text = include_bytes!("../scenarios/lambda-to-kubernetes.json");
    let loops = cost(|| floor(2_000_000, 100));
    let tell = |what: &str, ns: f64| {
        say(&format!(
            "around/{what}: {:.2} ms, {:.0} times the loop's customer",
            ns / 1e6,
            ns / loops
        ));
    };
    tell("read", cost(|| black_box(read(text)).0.map_or(1, |_| 1)));
    c.bench_function("around/read", |b| b.iter(|| read(black_box(text))));
    let Some(scenario) = path("lambda", 10.0) else { return };
    let plan: Plan = plan(&scenario);
    let Ok(result) = run(&plan, &Silent) else { return };
    tell("json", cost(|| (!black_box(report::json(&result)).is_empty()).into()));
    tell("html", cost(|| (!black_box(report::html(&result, None)).is_empty()).into()));
    c.bench_function("around/json", |b| b.iter(|| report::json(&result)));
    c.bench_function("around/html", |b| b.iter(|| report::html(&result, None)));
}

criterion_group!(benches, hold, whole, threads, around);
criterion_main!(benches);
