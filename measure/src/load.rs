//! The load generator: closed and open loads of a measured case, one thread.
//!
//! All users of a burst start their connects before any of them sends: tasks are polled in turn, and a connect that waits
//! goes to the end of the line.

use crate::http::{Connection, connect_error};
use crate::law::Law;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout};

/// `config.load` of a case, and where it goes.
#[derive(Debug, Clone, Deserialize)]
pub struct Load {
    mode: String,
    #[serde(default)]
    users: u64,
    requests_per_user: Option<u64>,
    duration_s: f64,
    #[serde(default)]
    drain_s: f64,
    #[serde(default)]
    ramp_s: f64,
    think: Option<Law>,
    timeout_s: Option<f64>,
    #[serde(default)]
    keepalive: bool,
    #[serde(default)]
    pick: String,
    #[serde(default)]
    method: String,
    retry: Option<Retry>,
    #[serde(default)]
    rate: f64,
    arrivals: Option<String>,
    #[serde(default)]
    stages: Vec<Stage>,
    send_delay_s: Option<f64>,
    /// Addresses of the entry.
    targets: Vec<String>,
    seed: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Stage {
    until_s: f64,
    rate: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct Retry {
    max: u32,
    #[serde(default)]
    base_ms: f64,
    #[serde(default)]
    factor: f64,
    #[serde(default)]
    cap_ms: f64,
    #[serde(default)]
    jitter: String,
    /// Prefixes of the errors that are tried again; none: all.
    on: Option<Vec<String>>,
}

/// A request that is over: start and length in seconds, attempts, and `ok` or the error of the last attempt.
#[derive(Serialize)]
struct Record {
    start: f64,
    took: f64,
    attempts: u32,
    outcome: String,
}

/// What all users share.
struct World {
    load: Load,
    start: Instant,
    records: RefCell<Vec<Record>>,
    begun: Cell<u64>,
    next_target: Cell<usize>,
    idle: RefCell<Vec<Connection>>,
}

/// One user: a stream of random numbers, a target and perhaps a connection.
struct User {
    random: StdRng,
    target: usize,
    connection: Option<Connection>,
}

/// Runs a load to the end of its drain. Prints `started`, then its records and `{"unfinished": n}`, a JSON object a line.
pub async fn run(load: Load) {
    println!("started");
    let world = Rc::new(World {
        start: Instant::now(),
        records: RefCell::default(),
        begun: Cell::new(0),
        next_target: Cell::new(0),
        idle: RefCell::default(),
        load,
    });
    let local = LocalSet::new();
    let end = Duration::from_secs_f64(world.load.duration_s + world.load.drain_s);
    let users = local.run_until(async {
        let mut tasks = Vec::new();
        if world.load.mode == "open" {
            arrive(&world, &mut tasks).await;
        } else {
            for number in 0..world.load.users {
                tasks.push(tokio::task::spawn_local(closed(world.clone(), number)));
            }
        }
        for task in tasks {
            let _ = task.await;
        }
    });
    let _ = timeout(end, users).await;
    let records = world.records.borrow();
    let mut text = String::new();
    for record in records.iter() {
        text += &serde_json::to_string(record).expect("plain");
        text.push('\n');
    }
    println!("{text}{{\"unfinished\": {}}}", world.begun.get() - records.len() as u64);
}

/// One user after another, at the rate of its stage.
async fn arrive(world: &Rc<World>, tasks: &mut Vec<tokio::task::JoinHandle<()>>) {
    let load = &world.load;
    let mut random = StdRng::seed_from_u64(load.seed);
    let mut at = 0.0;
    let mut number = 0;
    loop {
        let stage = load.stages.iter().find(|stage| at < stage.until_s);
        let rate = stage.map_or(load.rate, |stage| stage.rate);
        if at >= load.duration_s || (rate <= 0.0 && stage.is_none()) {
            return;
        }
        let gap = match load.arrivals.as_deref() {
            Some("even") => 1.0,
            _ => -(1.0 - random.random::<f64>()).ln(),
        };
        let next = if rate > 0.0 { at + gap / rate } else { f64::INFINITY };
        match stage {
            // The rate changes first: what is left is drawn again at the new one (exponential gaps forget).
            Some(stage) if next >= stage.until_s => at = stage.until_s,
            _ => {
                at = next;
                if at >= load.duration_s {
                    return;
                }
                sleep_until((world.start + Duration::from_secs_f64(at)).into()).await;
                tasks.push(tokio::task::spawn_local(once(world.clone(), number)));
                number += 1;
            }
        }
    }
}

fn user(world: &World, number: u64) -> User {
    let load = &world.load;
    let mut random = StdRng::seed_from_u64(load.seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let count = load.targets.len();
    let target = match load.pick.as_str() {
        "first" => 0,
        "user_rr" => number as usize % count,
        _ => random.random_range(0..count),
    };
    User { random, target, connection: None }
}

async fn once(world: Rc<World>, number: u64) {
    let mut user = user(&world, number);
    user.connection = world.idle.borrow_mut().pop();
    request(&world, &mut user).await;
    world.idle.borrow_mut().extend(user.connection);
}

async fn closed(world: Rc<World>, number: u64) {
    let mut user = user(&world, number);
    let load = &world.load;
    if load.ramp_s > 0.0 {
        let begin = load.ramp_s * number as f64 / load.users as f64;
        sleep_until((world.start + Duration::from_secs_f64(begin)).into()).await;
    }
    let mut requests = 0;
    while world.start.elapsed().as_secs_f64() < load.duration_s
        && load.requests_per_user.is_none_or(|most| requests < most)
    {
        request(&world, &mut user).await;
        requests += 1;
        if let Some(think) = &load.think {
            sleep(think.draw(&mut user.random)).await;
        }
    }
}

/// A request with its retries.
async fn request(world: &World, user: &mut User) {
    world.begun.set(world.begun.get() + 1);
    let start = Instant::now();
    let mut attempts = 0;
    let outcome = loop {
        attempts += 1;
        let outcome = attempt(world, user).await;
        let Some(pause) = outcome.as_ref().err().and_then(|kind| pause(world, user, attempts, kind)) else {
            break outcome;
        };
        sleep(pause).await;
    };
    world.records.borrow_mut().push(Record {
        start: (start - world.start).as_secs_f64(),
        took: start.elapsed().as_secs_f64(),
        attempts,
        outcome: outcome.err().unwrap_or_else(|| "ok".into()),
    });
}

/// How long to wait before the next attempt, if there is one: `min(cap, base * factor^attempt)`.
fn pause(world: &World, user: &mut User, attempts: u32, kind: &str) -> Option<Duration> {
    let retry = world.load.retry.as_ref()?;
    let named = |on: &Vec<String>| on.iter().any(|prefix| kind.starts_with(prefix.as_str()));
    if attempts > retry.max || !retry.on.as_ref().is_none_or(named) {
        return None;
    }
    let power = retry.factor.powi(attempts as i32 - 1);
    let most = (retry.base_ms * power).min(if retry.cap_ms > 0.0 { retry.cap_ms } else { f64::INFINITY });
    let delay = match retry.jitter.as_str() {
        "full" => most * user.random.random::<f64>(),
        "equal" => most / 2.0 * (1.0 + user.random.random::<f64>()),
        _ => most,
    };
    Some(Duration::from_secs_f64(delay / 1000.0))
}

async fn attempt(world: &World, user: &mut User) -> Result<(), String> {
    let connecting = Cell::new(true);
    let work = exchange(world, user, &connecting);
    let outcome = match world.load.timeout_s {
        None => work.await,
        Some(limit) => match timeout(Duration::from_secs_f64(limit), work).await {
            Ok(outcome) => outcome,
            Err(_) if connecting.get() => Err("timeout_connect".into()),
            Err(_) => Err("timeout".into()),
        },
    };
    if outcome.as_ref().is_err_and(|kind| !kind.starts_with("http_")) {
        user.connection = None;
    }
    outcome
}

async fn exchange(world: &World, user: &mut User, connecting: &Cell<bool>) -> Result<(), String> {
    let load = &world.load;
    let mut connection = match user.connection.take().filter(|connection| !connection.is_closed()) {
        Some(connection) => connection,
        None => {
            let stream = TcpStream::connect(&load.targets[target(world, user)]).await;
            let stream = stream.map_err(|error| connect_error(&error))?;
            if let Some(delay) = load.send_delay_s {
                sleep(Duration::from_secs_f64(delay)).await;
            }
            Connection::new(stream)
        }
    };
    connecting.set(false);
    let method = if load.method.is_empty() { "GET" } else { &load.method };
    let answer = connection.exchange(method, load.keepalive).await?;
    if answer.keep {
        user.connection = Some(connection);
    }
    if answer.status == 200 { Ok(()) } else { Err(format!("http_{}", answer.status)) }
}

fn target(world: &World, user: &mut User) -> usize {
    let count = world.load.targets.len();
    match world.load.pick.as_str() {
        "request_rr" => world.next_target.replace((world.next_target.get() + 1) % count),
        "request_random" => user.random.random_range(0..count),
        _ => user.target,
    }
}
