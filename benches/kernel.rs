//! The event queue under the hold model, and a whole design: figures are read as ratios inside one run.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use headroom::experiment::{Plan, Silent, replicate};
use headroom::kernel::{Key, Queue, Rank, Time};
use headroom::model::data::Data;
use headroom::price::Table;
use headroom::scenario::read;

/// Pop one, push one at a random distance, with `pending` events waiting: the classical hold model.
fn hold(c: &mut Criterion) {
    let mut group = c.benchmark_group("hold");
    for pending in [256_u64, 4_096, 65_536, 1_048_576] {
        let mut stream = Key::root(1, 0).stream();
        let mut queue = Queue::default();
        for event in 0..pending {
            queue.at(Time::from_nanos(stream.below(1_000_000)), Rank::Completion, event);
        }
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(pending), |b| {
            b.iter(|| {
                let event = queue.pop().unwrap_or(0);
                let at = Time::from_nanos(queue.now().nanos() + 1 + stream.below(1_000_000));
                queue.at(at, Rank::Completion, event);
            });
        });
    }
    group.finish();
}

/// Requests per second of real time through API Gateway, Lambda and a database.
fn lambda_path(c: &mut Criterion) {
    let text = include_str!("../src/cli/templates/lambda.json");
    let (Some(read), Some(prices)) = (read(text.as_bytes()).0, Table::builtin("us-east-1")) else {
        return;
    };
    let mut scenario = read.scenario;
    scenario.run.replications = 2;
    let plan = Plan {
        resolved: read.resolved,
        scenario,
        data: Data::default(),
        prices,
        assumptions: Vec::new(),
    };
    let requests = |plan: &Plan| -> u64 {
        let rows = replicate(plan, &Silent).unwrap_or_default();
        rows.iter().flatten().flat_map(|row| &row.ledger.classes).map(|class| class.issued).sum()
    };
    let mut group = c.benchmark_group("requests");
    group.throughput(Throughput::Elements(requests(&plan)));
    group.bench_function("lambda path", |b| {
        b.iter_batched(|| (), |()| requests(&plan), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, hold, lambda_path);
criterion_main!(benches);
