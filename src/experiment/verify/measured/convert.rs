//! From the configuration of a measured case to a scenario: what was configured and the machine's constants, never what was
//! observed.

use super::case::{Baseline, Config, HaproxyConfig, LambdaConfig, MeasuredCase};
use super::kernel::{somaxconn, syn_retry, sysctl};
use super::load::{arrivals, law, ms, retry, s};
use super::machine::{NICE, PROCESSORS};
use super::nginx::nginx_node;
use super::servers::{REQUEST, Servers, events, servers, work};
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
        "request": REQUEST,
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
    if let Some(policy) = &load.retry {
        class["retry"] = retry(policy);
    }
    if let Some(retries) = sysctl(config, "tcp_syn_retries") {
        class["connection"]["syn_retries"] = (retries as u32).into();
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
    let mut works = servers.work;
    works.insert(REQUEST.into(), work(config, base)?.into());
    Ok(json!({
        "name": case.id,
        "about": case.title,
        "workload": {"users": class},
        "work": works,
        "designs": {"measured": design},
        "run": {"horizon": s(load.duration_s + load.drain_s)},
    }))
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
        // A rule draws one of all servers for every connection, as a name without a time to live does.
        "nodeport" if servers.nodes.len() > 1 => {
            nodes.insert("names".into(), json!({"dns": names("request_random", &servers.nodes)?}));
            Ok("names".into())
        }
        "nodeport" => {
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
    let mut function = json!({
        "account": "local",
        "runtime": "nodejs20",
        "memory": "1769MB",
        "timeout": "15m",
        "place": {"constant": ms(spawn.max(0.0))},
        "init": law(&lambda.cold)?,
        "idle_life": s(lambda.idle_expiry_s.unwrap_or(600.0)),
        "connections": if hold { "in_init" } else { "per_invocation" },
    });
    if let Some(order) = &lambda.pick_idle {
        function["pick_idle"] = order.replace(' ', "_").into();
    }
    if lambda.prewarm > 0 {
        let initial = json!({"environments": lambda.prewarm, "served": "request"});
        function["initial"] = initial;
    }
    Ok(function)
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
    set("timeout_client", haproxy.timeout_client_s.map(|t| s(t).into()));
    set("timeout_http_keep_alive", haproxy.timeout_http_keep_alive_s.map(|t| s(t).into()));
    set("retries", haproxy.retries.map(Into::into));
    Ok(node)
}
