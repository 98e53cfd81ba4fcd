//! The known answers that the ledger holds the simulator against. Horizons are long enough that the start from an empty
//! station costs less than a tenth of the tolerance at 20 replications.

use super::forms::{
    closed_burst, erlang_b, infinite_servers, mmc_mean, mmc_tail, mmck, pollaczek_khinchine,
    processor_sharing, repairman,
};
use super::stations::{
    closed, constant, cpu, exponential, function, lognormal, nodes, open, poisson, servers,
    servers_with_room, shared_processor, station, wait,
};
use serde_json::{Value, json};

/// A known answer: a scenario, and what theory says of its figures.
pub struct Oracle {
    /// Its name.
    pub id: &'static str,
    /// What it is about.
    pub title: String,
    /// The scenario.
    pub scenario: Value,
    /// Replications for each one asked for: more where one holds few requests.
    pub(super) times: u32,
    pub(super) truths: Vec<Truth>,
}

/// What theory says of one figure.
pub(super) struct Truth {
    pub(super) name: String,
    pub(super) figure: Figure,
    pub(super) value: Known,
}

/// A true value.
pub(super) enum Known {
    /// Known to the last digit: it must lie in the interval of the prediction.
    Exact(f64),
    /// The mean of a curve over a bucket of time; else as above.
    Curve(Box<dyn Fn(f64) -> f64>),
    /// The tail of a law at the limit of the figure; else as above.
    Tail(Box<dyn Fn(f64) -> f64>),
    /// An approximation with its own error, relative.
    About(f64, f64),
}

/// Which figure of a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Figure {
    /// Mean latency of successes.
    Latency,
    /// Share of successes that took longer than so many milliseconds.
    Slower(u64),
    /// Share of requests that failed, of those that came after so many seconds.
    Lost(f64),
    /// Successes per second of load; the seconds of load.
    Throughput(f64),
    /// Requests in progress at a time.
    InProgress(f64),
    /// Requests.
    Requests,
    /// Time to the last answer.
    End,
}

fn exact(name: &str, figure: Figure, value: f64) -> Truth {
    Truth { name: name.into(), figure, value: Known::Exact(value) }
}

fn about(name: &str, figure: Figure, value: f64, error: f64) -> Truth {
    Truth { name: name.into(), figure, value: Known::About(value, error) }
}

/// Share of requests that take longer than so many milliseconds.
fn slower(ms: u64, tail: impl Fn(f64) -> f64 + 'static) -> Truth {
    let name = format!("P(latency > {ms} ms)");
    Truth { name, figure: Figure::Slower(ms), value: Known::Tail(Box::new(tail)) }
}

fn oracle(id: &'static str, title: &str, scenario: Value, truths: Vec<Truth>) -> Oracle {
    Oracle { id, title: title.into(), scenario, times: 1, truths }
}

/// All of them, in the order of the ledger.
pub fn oracles() -> Vec<Oracle> {
    let mut all = vec![mm1(), mmc(), random_split(), loss_with_room()];
    all.extend(general());
    all.extend(sharing());
    all.extend(pools());
    all.push(workshop());
    all.push(spike());
    all.extend(bursts());
    // Users of one number draw alike under one seed: each has its own, so that the verdicts do not hang together.
    for (seed, oracle) in (1_u64..).zip(&mut all) {
        oracle.scenario["run"] = json!({"seed": seed});
    }
    all
}

fn mm1() -> Oracle {
    let scenario = station("mm1", &poisson(50.0, 1_500), &wait(&exponential(10.0)), &servers(1));
    let tail = |t: f64| mmc_tail(0.5, 1, 0.010, t);
    oracle(
        "mm1",
        "M/M/1, load 0.5: mean and tail of the time in system",
        scenario,
        vec![
            exact("latency.mean", Figure::Latency, mmc_mean(0.5, 1, 0.010)),
            slower(20, tail),
            slower(60, tail),
        ],
    )
}

fn mmc() -> Oracle {
    let (a, c, s) = (4.4, 5, 0.1);
    let scenario = station("mmc", &poisson(a / s, 2_000), &wait(&exponential(100.0)), &servers(c));
    oracle(
        "mmc",
        "M/M/5, load 4.4 (Erlang C): mean and tail",
        scenario,
        vec![
            exact("latency.mean", Figure::Latency, mmc_mean(a, c, s)),
            slower(200, move |t| mmc_tail(a, c, s, t)),
            slower(500, move |t| mmc_tail(a, c, s, t)),
        ],
    )
}

fn random_split() -> Oracle {
    // A Poisson stream that is split at random is Poisson: every pod is an M/M/1 of a third of the rate.
    let pods = json!({"pods": {"replicas": 3, "runtime": {"threads": {"threads": 1}},
        "backlog": 65_535, "somaxconn": 65_535}});
    let chain = json!({"port": {"node_port": {"to": "station"}}, "station": pods});
    let users = poisson(180.0, 1_000);
    let scenario = nodes("random-split", &users, &wait(&exponential(10.0)), "port", &chain);
    oracle(
        "random-split",
        "three M/M/1 behind a random choice, load 0.6 each",
        scenario,
        vec![
            exact("latency.mean", Figure::Latency, mmc_mean(0.6, 1, 0.010)),
            slower(50, |t| mmc_tail(0.6, 1, 0.010, t)),
        ],
    )
}

fn loss_with_room() -> Oracle {
    let (lost, mean) = mmck(5.0, 4, 10, 0.1);
    let scenario = station(
        "mmck",
        &poisson(50.0, 1_000),
        &wait(&exponential(100.0)),
        &servers_with_room(4, 6),
    );
    oracle(
        "mmck",
        "M/M/4 with room for 10, load 5: loss, and time of those let in",
        scenario,
        vec![exact("loss", Figure::Lost(0.0), lost), exact("latency.mean", Figure::Latency, mean)],
    )
}

fn general() -> Vec<Oracle> {
    let (rate, s) = (60.0, 0.010);
    let row = |(id, title, law, cv): (&'static str, &str, Value, f64)| {
        let scenario = station(id, &poisson(rate, 1_500), &wait(&law), &servers(1));
        let truth = pollaczek_khinchine(rate, s, cv);
        oracle(id, title, scenario, vec![exact("latency.mean", Figure::Latency, truth)])
    };
    [
        ("md1", "M/D/1, load 0.6 (Pollaczek-Khinchine)", constant(10.0), 0.0),
        (
            "mg1",
            "M/G/1, lognormal with cv 1.5, load 0.6 (Pollaczek-Khinchine)",
            lognormal(10.0, 1.5),
            1.5,
        ),
    ]
    .map(row)
    .into()
}

fn sharing() -> Vec<Oracle> {
    let (rate, s) = (70.0, 0.010);
    let row = |(id, title, law): (&'static str, &str, Value)| {
        let scenario = station(id, &poisson(rate, 1_500), &cpu(&law), &shared_processor());
        let truth = processor_sharing(rate, s);
        oracle(id, title, scenario, vec![exact("latency.mean", Figure::Latency, truth)])
    };
    [
        ("ps-constant", "processor sharing, constant work, load 0.7", constant(10.0)),
        ("ps-exponential", "processor sharing, exponential work: the same mean", exponential(10.0)),
        (
            "ps-lognormal",
            "processor sharing, lognormal work with cv 2: the same mean",
            lognormal(10.0, 2.0),
        ),
    ]
    .map(row)
    .into()
}

/// An account's pool of environments is a loss system: Erlang B, whatever the law of the duration.
fn pools() -> Vec<Oracle> {
    let row = |(id, title, n, law, seconds, warm): (&'static str, &str, u32, Value, u32, f64)| {
        let a = f64::from(n);
        let mut scenario = station(id, &poisson(a, seconds), &wait(&law), &function());
        scenario["designs"]["theory"]["accounts"] = json!({"main": {"concurrency": n}});
        let truth = exact("loss", Figure::Lost(warm), erlang_b(a, n));
        oracle(id, title, scenario, vec![truth])
    };
    let second = 1_000.0;
    // The first 12 mean durations are left out: e^(−12) of the start from empty remains; cv 2 relaxes slower.
    [
        (
            "erlang-b-1000",
            "account pool of 1,000 under load 1,000 (Erlang B)",
            1_000,
            exponential(second),
            100,
            12.0,
        ),
        (
            "erlang-b",
            "account pool of 30 under load 30, exponential",
            30,
            exponential(second),
            800,
            12.0,
        ),
        ("erlang-b-constant", "the same with constant durations", 30, constant(second), 800, 12.0),
        (
            "erlang-b-lognormal",
            "the same with lognormal durations, cv 2",
            30,
            lognormal(second, 2.0),
            800,
            40.0,
        ),
    ]
    .map(row)
    .into()
}

fn workshop() -> Oracle {
    let (response, throughput) = repairman(20, 1.0, 0.1);
    let users = closed(20, 2_000, &exponential(1_000.0));
    let scenario = station("repairman", &users, &wait(&exponential(100.0)), &servers(1));
    oracle(
        "repairman",
        "machine repairman: 20 users, think 1 s, one server of 0.1 s",
        scenario,
        vec![
            exact("latency.mean", Figure::Latency, response),
            exact("throughput", Figure::Throughput(2_000.0), throughput),
        ],
    )
}

fn spike() -> Oracle {
    // Base 50/s, from 2 to 3 s 500/s; service uniform on 0.2 to 1.0 s, no limit.
    let rate =
        json!({"spike": {"base": "50/s", "peak": "500/s", "at": "2s", "lasts": "1s", "for": "5s"}});
    let law = json!({"uniform": {"low": "200ms", "high": "1s"}});
    let scenario = station("spike", &open(&rate), &wait(&law), &servers(100_000));
    let curve = |t: f64| {
        let rate = |u: f64| if (2.0..3.0).contains(&u) { 500.0 } else { 50.0 };
        infinite_servers(&rate, (0.2, 1.0), t)
    };
    let truth = |t: f64| Truth {
        name: format!("in progress at {t} s"),
        figure: Figure::InProgress(t),
        value: Known::Curve(Box::new(curve)),
    };
    let truths = [0.7, 2.5, 3.0, 3.4, 4.8].map(truth).into();
    let title = "M_t/G/∞: a spike of ten times the rate, requests in progress";
    Oracle { times: 10, ..oracle("spike", title, scenario, truths) }
}

/// The load tool of article 000 in closed form (docs/facts/cluster.md 1.4): a fluid approximation, hence its own error.
fn bursts() -> Vec<Oracle> {
    let row = |(id, title, users, ms): (&'static str, &str, u32, f64)| {
        let (n, mean, end) = closed_burst(f64::from(users), 3_000.0 / ms, 30.0);
        let load = closed(users, 30, &constant(0.0));
        let scenario = station(id, &load, &wait(&constant(ms)), &servers(3));
        oracle(
            id,
            title,
            scenario,
            vec![
                about("requests", Figure::Requests, n, 0.01),
                about("latency.mean", Figure::Latency, mean, 0.015),
                about("end", Figure::End, end, 0.01),
            ],
        )
    };
    [
        ("closed-200", "200 users ask again at once for 30 s, 90/s", 200, 100.0 / 3.0),
        ("closed-1100", "1,100 users ask again at once for 30 s, 131.2/s", 1_100, 22.87),
        ("closed-2000", "2,000 users ask again at once for 30 s, 131.2/s", 2_000, 22.87),
    ]
    .map(row)
    .into()
}
