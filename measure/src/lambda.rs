//! A function platform on one machine: one process for each execution environment, a limit of concurrent environments, and
//! a database connection for each environment or each invocation.
//!
//! A request takes the idle environment that was used last; if there is none, an environment is started for it, and only for
//! it; at the limit it gets 429. An environment whose Init fails answers its request with 500 and is gone.

use crate::law::Law;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::sleep;

/// `config.lambda` of a case.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    port: u16,
    cap: u32,
    cold: Law,
    work: Law,
    db_work: Option<Law>,
    idle_expiry_s: Option<f64>,
    conn_mode: Option<String>,
    dsn: String,
    #[serde(default)]
    prewarm: u32,
    #[serde(default)]
    pick_idle: String,
    seed: u64,
}

/// An execution environment: its process, and when it was used last.
struct Environment {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    used: Instant,
}

struct Platform {
    config: Config,
    random: RefCell<StdRng>,
    idle: RefCell<Vec<Environment>>,
    count: Cell<u32>,
}

/// Serves until it is ended.
pub async fn run(config: Config) {
    let platform = Rc::new(Platform {
        random: RefCell::new(StdRng::seed_from_u64(config.seed)),
        idle: RefCell::default(),
        count: Cell::new(config.prewarm),
        config,
    });
    LocalSet::new()
        .run_until(async {
            // All at once, before anybody can connect.
            let start = |_| {
                let platform = platform.clone();
                tokio::task::spawn_local(async move { platform.start().await })
            };
            let starting: Vec<_> = (0..platform.config.prewarm).map(start).collect();
            for environment in starting {
                let environment = environment.await.ok().flatten();
                platform.idle.borrow_mut().extend(environment);
            }
            let listener = listen(platform.config.port);
            tokio::task::spawn_local(expire(platform.clone()));
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(platform.clone(), stream));
            }
        })
        .await;
}

fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of sockets");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a free port");
    socket.listen(1024).expect("a listening socket")
}

/// Ends environments that were idle for long.
async fn expire(platform: Rc<Platform>) {
    let Some(limit) = platform.config.idle_expiry_s else { return };
    loop {
        sleep(Duration::from_millis(10)).await;
        let gone: Vec<Environment> = platform
            .idle
            .borrow_mut()
            .extract_if(.., |environment| environment.used.elapsed().as_secs_f64() > limit)
            .collect();
        platform.count.set(platform.count.get() - gone.len() as u32);
        for mut environment in gone {
            drop(environment.stdin);
            tokio::task::spawn_local(async move { environment.process.wait().await });
        }
    }
}

async fn serve(platform: Rc<Platform>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    loop {
        while !buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        }
        let keep = !String::from_utf8_lossy(&buffer).to_ascii_lowercase().contains("connection: close");
        buffer.clear();
        let status = platform.invoke().await;
        let connection = if keep { "keep-alive" } else { "close" };
        let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() || !keep {
            return;
        }
    }
}

impl Platform {
    async fn invoke(&self) -> u16 {
        let idle = match self.config.pick_idle.as_str() {
            "least recently used" if !self.idle.borrow().is_empty() => Some(self.idle.borrow_mut().remove(0)),
            _ => self.idle.borrow_mut().pop(),
        };
        let mut environment = match idle {
            Some(environment) => environment,
            None if self.count.get() >= self.config.cap => return 429,
            None => {
                self.count.set(self.count.get() + 1);
                match self.start().await {
                    Some(environment) => environment,
                    None => return 500,
                }
            }
        };
        let (work, statement) = {
            let random = &mut *self.random.borrow_mut();
            let statement = self.config.db_work.as_ref().map_or(Duration::ZERO, |law| law.draw(random));
            (self.config.work.draw(random), statement)
        };
        let order = format!("{} {}\n", work.as_micros(), statement.as_micros());
        match environment.ask(&order).await.as_deref() {
            Some("ok") => {
                environment.used = Instant::now();
                self.idle.borrow_mut().push(environment);
                200
            }
            Some(_) => {
                environment.used = Instant::now();
                self.idle.borrow_mut().push(environment);
                502
            }
            None => {
                self.count.set(self.count.get() - 1);
                502
            }
        }
    }

    /// Starts an environment and waits for its Init.
    async fn start(&self) -> Option<Environment> {
        let cold = self.config.cold.draw(&mut self.random.borrow_mut());
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["environment", &cold.as_micros().to_string(), &self.config.dsn])
            .arg(self.config.conn_mode.as_deref().unwrap_or("hold"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let stdin = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut environment = Environment { process, stdin, stdout, used: Instant::now() };
        if environment.answer().await.as_deref() == Some("ready") {
            environment.used = Instant::now();
            return Some(environment);
        }
        self.count.set(self.count.get() - 1);
        None
    }
}

impl Environment {
    async fn ask(&mut self, order: &str) -> Option<String> {
        self.stdin.write_all(order.as_bytes()).await.ok()?;
        self.answer().await
    }

    async fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim().to_owned())
    }
}

/// The environment's own process: Init, then an answer for each line of its standard input.
pub async fn environment(cold_us: u64, dsn: &str, mode: &str) {
    sleep(Duration::from_micros(cold_us)).await;
    let mut held = None;
    if mode == "hold" {
        held = connect(dsn).await;
        if held.is_none() {
            println!("init error");
            return;
        }
    }
    println!("ready");
    // Reading blocks: between two invocations an environment is frozen, its connection too.
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().unwrap_or(0));
        let (work, statement) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        sleep(Duration::from_micros(work)).await;
        let seconds = statement as f64 / 1e6;
        let done = match &held {
            _ if statement == 0 => true,
            Some((client, _)) => pg_sleep(client, seconds).await,
            None => once(dsn, seconds).await,
        };
        println!("{}", if done { "ok" } else { "error" });
    }
}

/// A statement over a connection of its own, which is closed before the answer.
async fn once(dsn: &str, seconds: f64) -> bool {
    let Some((client, connection)) = connect(dsn).await else { return false };
    let done = pg_sleep(&client, seconds).await;
    drop(client);
    let _ = connection.await;
    done
}

async fn pg_sleep(client: &tokio_postgres::Client, seconds: f64) -> bool {
    client.query_one("select pg_sleep($1)", &[&seconds]).await.is_ok()
}

/// A client, and the task that ends when its connection is closed.
async fn connect(dsn: &str) -> Option<(tokio_postgres::Client, JoinHandle<()>)> {
    let (client, connection) = tokio_postgres::connect(dsn, tokio_postgres::NoTls).await.ok()?;
    Some((client, tokio::spawn(async { _ = connection.await })))
}
