//! The servers of a measured case, the databases behind them, what a request does there and what happens to them.

use super::case::{Baseline, Config, DbConfig, PodConfig};
use super::kernel::{somaxconn, syncookies, sysctl};
use super::load::{law, mean, ms, s};
use super::machine::{
    AT_END, BEFORE, EXIT, FIRST, FORK, LOGIN, MANY, PROCESSORS, REFUSED, STARTUP, WARM, WARMED,
    driver_cpu, factor, node_cpu, trust,
};
use serde_json::{Map, Value, json};

/// The steps of a request at the first server, or in the re-creation of Lambda.
pub(super) fn work(config: &Config, base: &Baseline) -> Result<Vec<Value>, String> {
    if let Some(lambda) = &config.lambda {
        let mut steps = vec![json!({"wait": law(&lambda.work)?})];
        if config.postgres.is_some() {
            // Last, so that a connection of its own is open for the statement only, as it is in the re-creation.
            let db = lambda.db_work.as_ref().map_or(Ok(json!({"constant": "0s"})), law)?;
            steps.push(json!({"query": {"to": "db", "hold": db}}));
        }
        return Ok(steps);
    }
    let pod = config.pods.iter().flatten().next().ok_or("no servers")?;
    work_at(pod, config, base)
}

/// The steps of a request at a server.
fn work_at(pod: &PodConfig, config: &Config, base: &Baseline) -> Result<Vec<Value>, String> {
    let mut steps = Vec::new();
    let cpu = if pod.kind == "node" {
        node_cpu(config, base)
    } else {
        base.http_gunicorn_direct_ms - base.tcp_connect_loopback_ms
    };
    let driver = pod.db.as_ref().map_or(0.0, |db| match db.mode.as_str() {
        "pool" => driver_cpu("pool", base) * (1.0 - AT_END),
        mode => driver_cpu(mode, base) * BEFORE,
    });
    // Half of what a request takes goes to its answer.
    let waits = mean(&pod.service) > 0.0 || pod.db.is_some();
    let before = if waits { cpu * 0.5 } else { cpu };
    steps.push(json!({"cpu": {"constant": ms(before + driver)}}));
    if mean(&pod.service) > 0.0 {
        steps.push(json!({"wait": law(&pod.service)?}));
    }
    if let Some(db) = &pod.db {
        let to =
            if config.pgbouncer.is_some() && db.port != Some(5433) { "pgbouncer" } else { "db" };
        steps.push(json!({"query": {"to": to, "hold": law(&db.work)?}}));
    }
    if waits {
        steps.push(json!({"cpu": {"constant": ms(cpu - before)}}));
    }
    Ok(steps)
}

/// Adds the servers, alike ones in one node, and the databases; returns the servers' nodes, where each server is, and the kinds of work of
/// those that do not do the first one's.
pub(super) fn servers(
    config: &Config,
    base: &Baseline,
    nodes: &mut Map<String, Value>,
) -> Result<Servers, String> {
    databases(config, base, nodes);
    let pods = config.pods.as_deref().unwrap_or_default();
    let mut servers = Servers::default();
    let mut first = 0;
    while first < pods.len() {
        let one = &pods[first];
        // Whether it is up at first is said by an event.
        let alike = |pod: &&PodConfig| {
            *one == PodConfig { initially_down: one.initially_down, ..(*pod).clone() }
        };
        let count = pods[first..].iter().take_while(alike).count();
        let name = format!("pods{}", servers.nodes.len());
        let mut node = pod_node(one, count, config, base)?;
        let steps = work_at(one, config, base)?;
        if first > 0 && steps != work_at(&pods[0], config, base)? {
            let kind = format!("request at {name}");
            node["pods"]["work"] = json!({REQUEST: kind});
            servers.work.insert(kind, steps.into());
        }
        nodes.insert(name.clone(), node);
        servers.places.extend((0..count).map(|i| (name.clone(), i)));
        servers.nodes.push(name);
        first += count;
    }
    Ok(servers)
}

/// The kind of all requests.
pub(super) const REQUEST: &str = "request";

/// The servers' nodes, for each server its node and number there, and their own kinds of work.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) work: Map<String, Value>,
    pub(super) nodes: Vec<String>,
    pub(super) places: Vec<(String, usize)>,
}

/// What happens to servers. A block before the load lasts into it: it is counted from the load's start.
pub(super) fn events(config: &Config, servers: &Servers) -> Result<Vec<Value>, String> {
    let mut events = Vec::new();
    let pods = config.pods.as_deref().unwrap_or_default();
    for (at, pod) in pods.iter().enumerate().filter(|(_, pod)| pod.initially_down) {
        let _ = pod;
        let (node, number) = &servers.places[at];
        events.push(json!({"at": "0s", "node": node, "do": {"kill": {"pod": number}}}));
    }
    for event in config.events.as_deref().unwrap_or_default() {
        let named = event.pod.as_u64().and_then(|pod| usize::try_from(pod).ok());
        let Some((pod, (node, number))) =
            named.and_then(|pod| Some((pod, servers.places.get(pod)?)))
        else {
            return Err(format!("an event names {}, which is no server", event.pod));
        };
        let drains = pods[pod].on_sigterm.as_deref() != Some("exit");
        let action = match event.action.as_str() {
            "sigterm" if drains => json!({"terminate": {"pod": number}}),
            "sigterm" | "sigkill" => json!({"kill": {"pod": number}}),
            "sigstop" => json!({"freeze": {"pod": number}}),
            "sigcont" => json!({"thaw": {"pod": number}}),
            "start" => json!({"start": {"pod": number}}),
            "block" => json!({"block": {"pod": number, "for": ms(event.ms.unwrap_or(0.0))}}),
            other => return Err(format!("event \"{other}\" is not known")),
        };
        events.push(json!({"at": s(event.t_s.max(0.0)), "node": node, "do": action}));
    }
    Ok(events)
}

fn databases(config: &Config, base: &Baseline, nodes: &mut Map<String, Value>) {
    if let Some(postgres) = &config.postgres {
        let mut node = json!({
            "connections": postgres.max_connections,
            "reserved": if postgres.role_is_superuser { 0 } else { postgres.superuser_reserved.unwrap_or(3) },
            "vcpu": 2,
            "somaxconn": somaxconn(config),
            "auth": postgres.auth.as_deref().unwrap_or("trust"),
        });
        // What both processors can connect at most, without the driver's part and the server's accept and exit.
        let server = (trust(base) - driver_cpu("direct", base) * factor(MANY)).max(0.0);
        let (fork, exit) = (server * FORK, server * EXIT);
        node["fork"] = ms(fork).into();
        node["exit"] = ms(exit).into();
        node["login"] = json!({"lognormal": {"mean": ms(server - fork - exit), "cv": 0.3}});
        // PostgreSQL 15 listens for twice MaxBackends: the connections, 4 of autovacuum, 8 of other workers.
        node["backlog"] = (2 * (postgres.max_connections + 12)).into();
        // pg_sleep needs no processor: statements do not slow one another down.
        node["sigma"] = 0.0.into();
        node["kappa"] = 0.0.into();
        nodes.insert("db".into(), json!({"postgres": node}));
    }
    if let Some(pgbouncer) = &config.pgbouncer {
        let mut node = json!({"to": "db"});
        if let Some(mode) = &pgbouncer.pool_mode {
            node["pool_mode"] = mode.as_str().into();
        }
        if let Some(size) = pgbouncer.default_pool_size {
            node["default_pool_size"] = size.into();
        }
        if let Some(clients) = pgbouncer.max_client_conn {
            node["max_client_conn"] = clients.into();
        }
        if let Some(wait) = pgbouncer.query_wait_timeout_s {
            node["query_wait_timeout"] = s(wait).into();
        }
        node["login"] = ms(base.pgbouncer_connect_ms_mean).into();
        nodes.insert("pgbouncer".into(), json!({"pgbouncer": node}));
    }
}

fn pod_node(
    pod: &PodConfig,
    replicas: usize,
    config: &Config,
    base: &Baseline,
) -> Result<Value, String> {
    let mut node = json!({
        "replicas": replicas,
        "somaxconn": somaxconn(config),
        "syncookies": syncookies(config),
        "abort_on_overflow": sysctl(config, "tcp_abort_on_overflow") == Some(1.0),
        "cancel": pod.cancel_on_disconnect,
    });
    if let Some(most) = sysctl(config, "tcp_max_syn_backlog") {
        node["max_syn_backlog"] = (most as u32).into();
    }
    match pod.kind.as_str() {
        "node" => {
            node["runtime"] = json!({"event_loop": {"timer": "1ms"}});
            node["warm_up"] = json!({"requests": WARM - WARMED, "factor": factor(WARMED)});
            if pod.db.is_some() {
                // What answered until then needed no database.
                node["warm_up"]["first"] = FIRST.into();
            }
            if let Some(idle) = pod.keepalive_ms.filter(|idle| *idle > 0.0) {
                node["keepalive_timeout"] = ms(idle).into();
            }
            if let Some(slots) = pod.concurrency {
                node["concurrency"] = slots.into();
            }
            if let Some(queue) = pod.queue_limit {
                node["queue"] = queue.into();
            }
            if let Some(order) = &pod.queue_discipline {
                node["queue_discipline"] = order.as_str().into();
            }
            if let Some(status) = pod.reject_status {
                node["reject_status"] = status.into();
            }
        }
        "gunicorn" => {
            let workers = pod.workers.ok_or("gunicorn without workers")?;
            if let Some(threads) = pod.threads.filter(|threads| *threads > 1) {
                threaded(&mut node, pod, (workers, threads));
            } else {
                node["runtime"] = json!({"sync_workers": {"workers": workers}});
                if let Some(timeout) = pod.worker_timeout_s {
                    node["runtime"]["sync_workers"]["timeout"] = format!("{timeout}s").into();
                }
            }
        }
        other => return Err(format!("server kind \"{other}\" is not known")),
    }
    if let Some(backlog) = pod.backlog {
        node["backlog"] = backlog.into();
    }
    if let Some(db) = &pod.db {
        node["pool"] = pool(db, config, base);
    }
    Ok(json!({"pods": node}))
}

/// gunicorn with `threads`: the gthread worker. It accepts whatever its threads are at, so that requests wait in the pool of the
/// process that has accepted their connection; its main thread tells the arbiter that it lives, so that no request is too long.
fn threaded(node: &mut Value, pod: &PodConfig, (workers, threads): (u32, u32)) {
    // Defaults of gunicorn's settings: worker_connections 1000, keepalive 2 s.
    let connections = workers * pod.worker_connections.unwrap_or(1000);
    let keepalive = pod.keepalive_ms.unwrap_or(2000.0);
    node["runtime"] =
        json!({"threads": {"threads": workers * threads, "connections": connections}});
    node["keepalive_timeout"] = ms(keepalive).into();
}

/// How a server connects to its database.
fn pool(db: &DbConfig, config: &Config, base: &Baseline) -> Value {
    let store =
        if config.pgbouncer.is_some() && db.port != Some(5433) { "pgbouncer" } else { "db" };
    let driver = driver_cpu("direct", base);
    // PgBouncer is ready for a client in one turn.
    let startup = if store == "db" { driver * STARTUP } else { 0.0 };
    let connect = driver * (STARTUP + LOGIN) - startup;
    // What a password costs more is nearly all the client's: the server has stored keys (RFC 5802, section 3). node-postgres
    // derives its key in the threads of libuv's pool.
    let scram =
        config.postgres.as_ref().is_some_and(|db| db.auth.as_deref() == Some("scram-sha-256"));
    let keys = if scram {
        (PROCESSORS * 1e3 / base.pg_max_connects_per_s_scram_16_clients - trust(base)).max(0.0)
    } else {
        0.0
    };
    let mode = if db.mode == "pool" { "pool" } else { "direct" };
    let statement = driver_cpu(mode, base) * AT_END;
    // An answer without a row is an answer too.
    let refused = driver * REFUSED + node_cpu(config, base) * 0.5;
    let mut pool = json!({"startup_cpu": ms(startup), "connect_cpu": ms(connect), "connect_offload": ms(keys), "statement_cpu": ms(statement), "refused_cpu": ms(refused), "mode": mode, "connecting": 1_000_000});
    if let Some(max) = db.pool_max {
        pool["max"] = max.into();
    }
    // A wait for a connection and the opening of one have one limit (node-postgres, connectionTimeoutMillis); 0 is none.
    let limits = [db.acquire_timeout_ms, db.connect_timeout_ms];
    if let Some(timeout) = limits.into_iter().flatten().find(|t| *t > 0.0) {
        pool["acquire_timeout"] = ms(timeout).into();
    }
    if let Some(idle) = db.idle_ms {
        pool["idle_timeout"] = ms(idle).into();
    }
    json!({store: pool})
}
