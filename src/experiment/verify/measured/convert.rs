//! From the configuration of a measured case to a scenario: what was configured and the machine's constants, never what was
//! observed.

use super::case::{
    Baseline, Config, DbConfig, HaproxyConfig, LambdaConfig, Law, LoadConfig, MeasuredCase,
    PodConfig,
};
use super::machine::{
    AT_END, BEFORE, EXIT, FIRST, FORK, LOGIN, MANY, NICE, PROCESSORS, REFUSED, STARTUP, WARM,
    WARMED, driver_cpu, factor, node_cpu, trust,
};
use super::nginx::nginx_node;
use super::settings::{ms, s, somaxconn, syn_retry, syncookies, sysctl};
use super::unsupported::refuse;
use serde_json::{Map, Value, json};

/// The scenario of a case.
///
/// # Errors
/// Says what of the configuration has no counterpart.
pub fn scenario(case: &MeasuredCase) -> Result<Value, String> {
    let config = &case.config;
    let base = &case.baseline;
    refuse(config)?;
    let mut nodes = Map::new();
    let servers = servers(config, base, &mut nodes)?;
    let entry = entry(config, base, &servers, &mut nodes)?;
    let load = &config.load;
    let mut class = json!({
        "load": arrivals(load)?,
        "request": "request",
        "idempotent": !matches!(load.method.as_str(), "POST" | "PATCH" | "LOCK"),
        // One asynchronous process whose timers have milliseconds.
        "generator": {"connect": ms(base.tcp_connect_loopback_ms), "timer": "1ms"},
        "connection": {
            "keepalive": load.keepalive,
            "tls": false,
            "rtt": ms(base.tcp_connect_loopback_ms),
            "send_delay": s(load.send_delay_s.unwrap_or(0.0)),
            "syn_retry": syn_retry(config),
        },
    });
    if let Some(timeout) = load.timeout_s {
        class["patience"] = json!({"timeout": s(timeout)});
    }
    if let Some(retry) = &load.retry {
        class["retry"] = json!({"exponential": {
            "attempts": retry.max + 1,
            "base": ms(retry.base_ms),
            "factor": retry.factor.max(1.0),
            "cap": ms(retry.cap_ms.max(retry.base_ms)),
            "on": retry_on(&retry.on),
            "jitter": if retry.jitter.is_empty() { "none" } else { retry.jitter.as_str() },
        }});
    }
    // All ran on the measuring machine.
    let kinds = ["pods", "nginx", "haproxy", "postgres", "pgbouncer"];
    let shares = |node: &Value| kinds.iter().any(|kind| node[kind].is_object());
    let there: Vec<&String> =
        nodes.iter().filter(|(_, node)| shares(node)).map(|(name, _)| name).collect();
    let machine = json!({"machine": {"vcpu": PROCESSORS, "autogroup_nice": NICE, "nodes": there}});
    let mut design = json!({"enter": {"users": entry}, "nodes": nodes, "machines": machine});
    design["events"] = events(config, &servers)?.into();
    if let Some(lambda) = &config.lambda {
        design["accounts"] = json!({"local": {"concurrency": lambda.cap}});
    }
    Ok(json!({
        "name": case.id,
        "about": case.title,
        "workload": {"users": class},
        "work": {"request": work(config, base)?},
        "designs": {"measured": design},
        "run": {"horizon": s(load.duration_s + load.drain_s)},
    }))
}

/// The failures after which the load generator tries again, from prefixes of its error kinds.
fn retry_on(prefixes: &[String]) -> Vec<&'static str> {
    let kinds = [
        ("timeout", "timeout"),
        ("http_429", "429"),
        ("http_500", "5xx"),
        ("connect_refused", "connection"),
    ];
    let covered = |kind: &str| prefixes.iter().any(|prefix| kind.starts_with(prefix.as_str()));
    kinds.iter().filter(|(kind, _)| covered(kind)).map(|(_, on)| *on).collect()
}

fn law(law: &Law) -> Result<Value, String> {
    let mean = || law.mean_s.ok_or_else(|| format!("law {} without mean_s", law.kind));
    Ok(match law.kind.as_str() {
        "const" => json!({"constant": s(mean()?)}),
        "exp" | "exponential" => json!({"exponential": {"mean": s(mean()?)}}),
        "uniform" => {
            let (Some(low), Some(high)) = (law.lo_s, law.hi_s) else {
                return Err("law uniform without lo_s and hi_s".into());
            };
            json!({"uniform": {"low": s(low), "high": s(high)}})
        }
        "lognormal" => {
            let sigma = law.sigma.ok_or("lognormal without sigma")?;
            json!({"lognormal": {"mean": s(mean()?), "cv": ((sigma * sigma).exp() - 1.0).sqrt()}})
        }
        other => return Err(format!("law \"{other}\" is not known")),
    })
}

fn arrivals(load: &LoadConfig) -> Result<Value, String> {
    if load.mode == "closed" {
        let mut closed =
            json!({"users": load.users, "for": s(load.duration_s), "ramp": s(load.ramp_s)});
        if let Some(n) = load.requests_per_user {
            closed["requests_per_user"] = n.into();
        }
        if let Some(think) = &load.think {
            closed["think"] = law(think)?;
        }
        return Ok(json!({"closed": closed}));
    }
    let arrivals = load.arrivals.as_deref().unwrap_or("poisson");
    if load.stages.is_empty() {
        let steady = json!({"rate": format!("{}/s", load.rate), "for": s(load.duration_s)});
        return Ok(json!({"open": {"rate": {"steady": steady}, "arrivals": arrivals}}));
    }
    // Constant pieces: a jump, then a level stage.
    let mut stages = Vec::new();
    let mut at = 0.0;
    for stage in &load.stages {
        let until = stage.until_s.min(load.duration_s);
        stages.push(json!({"duration": "0s", "target": format!("{}/s", stage.rate)}));
        stages.push(json!({"duration": s(until - at), "target": format!("{}/s", stage.rate)}));
        at = until;
    }
    Ok(json!({"open": {"rate": {"stages": {"stages": stages}}, "arrivals": arrivals}}))
}

/// The steps of a request.
fn work(config: &Config, base: &Baseline) -> Result<Vec<Value>, String> {
    if let Some(lambda) = &config.lambda {
        let mut steps = vec![json!({"wait": law(&lambda.work)?})];
        if config.postgres.is_some() {
            // Last, so that a connection of its own is open for the statement only, as it is in the re-creation.
            let db = lambda.db_work.as_ref().map_or(Ok(json!({"constant": "0s"})), law)?;
            steps.push(json!({"query": {"to": "db", "hold": db}}));
        }
        return Ok(steps);
    }
    let pods = config.pods.as_deref().unwrap_or_default();
    let Some(pod) = pods.iter().min_by(|a, b| mean(&a.service).total_cmp(&mean(&b.service))) else {
        return Err("no servers".into());
    };
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

fn mean(law: &Law) -> f64 {
    law.mean_s.unwrap_or_else(|| (law.lo_s.unwrap_or(0.0) + law.hi_s.unwrap_or(0.0)) / 2.0)
}

/// Whether two servers differ at most in how long they take and whether they are up.
fn alike(a: &PodConfig, b: &PodConfig) -> bool {
    let same =
        PodConfig { service: a.service.clone(), initially_down: a.initially_down, ..b.clone() };
    a.service.kind == b.service.kind && a.service.sigma == b.service.sigma && *a == same
}

/// Adds the servers, alike ones in one node, and the databases; returns the servers' nodes and where each server is.
fn servers(
    config: &Config,
    base: &Baseline,
    nodes: &mut Map<String, Value>,
) -> Result<Servers, String> {
    databases(config, base, nodes);
    let pods = config.pods.as_deref().unwrap_or_default();
    let fastest = pods.iter().map(|pod| mean(&pod.service)).fold(f64::INFINITY, f64::min);
    let mut servers = Servers::default();
    let mut first = 0;
    while first < pods.len() {
        let group: Vec<_> =
            pods[first..].iter().take_while(|pod| alike(&pods[first], pod)).collect();
        let name = format!("pods{}", servers.nodes.len());
        let mut node = pod_node(group[0], group.len(), config, base)?;
        let slow: Vec<Value> = (0..group.len())
            .filter(|&i| mean(&group[i].service) > fastest)
            .map(|i| json!({"pod": i, "factor": mean(&group[i].service) / fastest}))
            .collect();
        if !slow.is_empty() {
            node["pods"]["slow"] = slow.into();
        }
        nodes.insert(name.clone(), node);
        servers.places.extend((0..group.len()).map(|i| (name.clone(), i)));
        servers.nodes.push(name);
        first += group.len();
    }
    Ok(servers)
}

/// The servers' nodes, and for each server its node and number there.
#[derive(Default)]
struct Servers {
    nodes: Vec<String>,
    places: Vec<(String, usize)>,
}

/// What happens to servers. A block before the load lasts into it: it is counted from the load's start.
fn events(config: &Config, servers: &Servers) -> Result<Vec<Value>, String> {
    let mut events = Vec::new();
    let pods = config.pods.as_deref().unwrap_or_default();
    for (at, pod) in pods.iter().enumerate().filter(|(_, pod)| pod.initially_down) {
        let _ = pod;
        let (node, number) = &servers.places[at];
        events.push(json!({"at": "0s", "node": node, "do": {"kill": {"pod": number}}}));
    }
    for event in config.events.as_deref().unwrap_or_default() {
        let Some((node, number)) = servers.places.get(event.pod) else {
            return Err(format!("an event names server {}, which is not there", event.pod));
        };
        let drains = pods[event.pod].on_sigterm.as_deref() != Some("exit");
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
            "reserved": postgres.superuser_reserved.unwrap_or(3),
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
            if let Some(status) = pod.reject_status {
                node["reject_status"] = status.into();
            }
        }
        "gunicorn" => {
            let workers = pod.workers.ok_or("gunicorn without workers")?;
            node["runtime"] = json!({"sync_workers": {"workers": workers}});
            if let Some(timeout) = pod.worker_timeout_s {
                node["runtime"]["sync_workers"]["timeout"] = format!("{timeout}s").into();
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
    if let Some(timeout) = db.acquire_timeout_ms.filter(|t| *t > 0.0) {
        pool["acquire_timeout"] = ms(timeout).into();
    }
    json!({store: pool})
}

/// Adds what clients connect to; returns its name.
fn entry(
    config: &Config,
    base: &Baseline,
    servers: &Servers,
    nodes: &mut Map<String, Value>,
) -> Result<String, String> {
    match config.load.entry.as_str() {
        "nginx" => {
            let nginx = config.nginx.as_ref().ok_or("entry nginx without its configuration")?;
            nodes.insert(
                "nginx".into(),
                json!({"nginx": nginx_node(nginx, &servers.nodes, config, base)?}),
            );
            Ok("nginx".into())
        }
        "haproxy" => {
            let haproxy =
                config.haproxy.as_ref().ok_or("entry haproxy without its configuration")?;
            let node = haproxy_node(haproxy, &servers.nodes, config, base)?;
            nodes.insert("haproxy".into(), json!({"haproxy": node}));
            Ok("haproxy".into())
        }
        "pods" if servers.places.len() == 1 => Ok(servers.nodes[0].clone()),
        "pods" => {
            nodes.insert("names".into(), json!({"dns": names(&config.load.pick, &servers.nodes)?}));
            Ok("names".into())
        }
        "nodeport" if servers.nodes.len() == 1 => {
            let node_port = json!({"node_port": {"to": servers.nodes[0], "nodes": 1}});
            nodes.insert("node_port".into(), node_port);
            Ok("node_port".into())
        }
        "lambda" => {
            let lambda = config.lambda.as_ref().ok_or("entry lambda without its configuration")?;
            nodes.insert("fn".into(), json!({"lambda": function(lambda, base)?}));
            Ok("fn".into())
        }
        other => Err(format!("entry \"{other}\" is not supported here")),
    }
}

/// Clients that choose among servers themselves: each keeps to one, or chooses for every connection.
fn names(pick: &str, servers: &[String]) -> Result<Value, String> {
    let (rotation, ttl) = match pick {
        "user_rr" => ("cyclic", "1000d"),
        "user_random" => ("random", "1000d"),
        "request_rr" => ("cyclic", "0s"),
        "request_random" => ("random", "0s"),
        "first" => ("fixed", "1000d"),
        other => return Err(format!("choice \"{other}\" among servers is not known")),
    };
    Ok(json!({"to": servers, "ttl": ttl, "rotation": rotation}))
}

fn function(lambda: &LambdaConfig, base: &Baseline) -> Result<Value, String> {
    // The process is spawned in a fixed time, then sleeps for the configured cold start.
    let spawn = base.lambda_instance_spawn_plus_connect_ms_p50 - base.pg_connect_trust_ms_mean;
    let hold = lambda.conn_mode.as_deref() != Some("perinv");
    Ok(json!({
        "account": "local",
        "runtime": "nodejs20",
        "memory": "1769MB",
        "timeout": "15m",
        "place": {"constant": ms(spawn.max(0.0))},
        "init": law(&lambda.cold)?,
        "idle_life": s(lambda.idle_expiry_s.unwrap_or(600.0)),
        "connections": if hold { "in_init" } else { "per_invocation" },
    }))
}

fn haproxy_node(
    haproxy: &HaproxyConfig,
    servers: &[String],
    config: &Config,
    base: &Baseline,
) -> Result<Value, String> {
    let cpu = base.http_haproxy_keepalive_ms - base.http_node_direct_keepalive_ms;
    let balance = haproxy.balance.as_deref().unwrap_or("roundrobin");
    let (method, draws) = balance.split_once('(').unwrap_or((balance, "2"));
    let unknown = || format!("balancing \"{balance}\" is not known");
    let draws: u8 = draws.trim_end_matches(')').parse().map_err(|_| unknown())?;
    let mut node = json!({
        "upstream": servers,
        "somaxconn": somaxconn(config),
        "upstream_rtt": ms(base.tcp_connect_loopback_ms),
        "upstream_syn_retry": syn_retry(config),
        "cpu_request": ms(cpu.max(0.0)),
        "random_draws": draws,
        "balance": match method {
            known @ ("roundrobin" | "leastconn" | "random") => known,
            _ => return Err(unknown()),
        },
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            node[key] = value;
        }
    };
    set("maxconn", haproxy.maxconn.map(Into::into));
    set("server_maxconn", haproxy.server_maxconn.map(Into::into));
    set("backlog", haproxy.backlog.map(Into::into));
    set("timeout_queue", haproxy.timeout_queue_s.map(|t| s(t).into()));
    set("timeout_connect", haproxy.timeout_connect_s.map(|t| s(t).into()));
    set("timeout_server", haproxy.timeout_server_s.map(|t| s(t).into()));
    set("retries", haproxy.retries.map(Into::into));
    Ok(node)
}
