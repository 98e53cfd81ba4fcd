//! From the configuration of a measured case to a scenario: what was configured and the machine's constants, never what was
//! observed.

use super::case::{Baseline, Config, Law, LoadConfig, MeasuredCase, NginxConfig, PodConfig};
use serde_json::{Map, Value, json};

/// The scenario of a case.
///
/// # Errors
/// Says what of the configuration has no counterpart.
pub fn scenario(case: &MeasuredCase) -> Result<Value, String> {
    let config = &case.config;
    let base = &case.baseline;
    let mut nodes = Map::new();
    let servers = servers(config, base, &mut nodes)?;
    let entry = entry(config, base, &servers, &mut nodes)?;
    let load = &config.load;
    let mut class = json!({
        "load": arrivals(load)?,
        "request": "request",
        "idempotent": !matches!(load.method.as_str(), "POST" | "PATCH" | "LOCK"),
        "connection": {
            "keepalive": load.keepalive,
            "tls": false,
            "rtt": ms(base.tcp_connect_loopback_ms),
            "send_delay": s(load.send_delay_s.unwrap_or(0.0)),
            "syn_retry": if sysctl(config, "tcp_syn_linear_timeouts") == Some(0.0) { "exponential" } else { "linear" },
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
            "jitter": if retry.jitter.is_empty() { "none" } else { retry.jitter.as_str() },
        }});
    }
    Ok(json!({
        "name": case.id,
        "about": case.title,
        "workload": {"users": class},
        "work": {"request": work(config, base)?},
        "designs": {"measured": {"enter": {"users": entry}, "nodes": nodes}},
        "run": {"horizon": s(load.duration_s + load.drain_s)},
    }))
}

/// A time in seconds as a text that keeps microseconds.
fn s(seconds: f64) -> String {
    format!("{}us", (seconds * 1e6).round())
}

fn ms(milliseconds: f64) -> String {
    s(milliseconds / 1e3)
}

fn sysctl(config: &Config, name: &str) -> Option<f64> {
    let settings = config.sysctl.as_ref()?;
    let (_, value) = settings.iter().find(|(key, _)| key.ends_with(name))?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `net.core.somaxconn`; the measuring machine's kernel has 4,096.
fn somaxconn(config: &Config) -> u32 {
    sysctl(config, "somaxconn").map_or(4096, |value| value as u32)
}

fn law(law: &Law) -> Result<Value, String> {
    let mean = || law.mean_s.ok_or_else(|| format!("law {} without mean_s", law.kind));
    Ok(match law.kind.as_str() {
        "const" => json!({"constant": s(mean()?)}),
        "exp" | "exponential" => json!({"exponential": {"mean": s(mean()?)}}),
        "uniform" => {
            let (low, high) = (law.lo_s.unwrap_or(0.0), law.hi_s.unwrap_or(0.0));
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
    if load.stages.is_empty() {
        let steady = json!({"rate": format!("{}/s", load.rate), "for": s(load.duration_s)});
        return Ok(json!({"open": {"rate": {"steady": steady}}}));
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
    Ok(json!({"open": {"rate": {"stages": {"stages": stages}}}}))
}

/// The steps of a request.
fn work(config: &Config, base: &Baseline) -> Result<Vec<Value>, String> {
    let pods = config.pods.as_deref().unwrap_or_default();
    let Some(pod) = pods.iter().min_by(|a, b| mean(&a.service).total_cmp(&mean(&b.service))) else {
        return Err("no servers".into());
    };
    let mut steps = Vec::new();
    let node = pod.kind == "node";
    let cpu = if node {
        1e3 / base.node_max_rps_zero_service
    } else {
        base.http_gunicorn_direct_ms - base.tcp_connect_loopback_ms
    };
    steps.push(json!({"cpu": {"constant": ms(cpu)}}));
    if mean(&pod.service) > 0.0 {
        steps.push(json!({"wait": law(&pod.service)?}));
        if node {
            steps.push(json!({"wait": {"constant": ms(base.node_timer_lateness_ms_mean)}}));
        }
    }
    Ok(steps)
}

fn mean(law: &Law) -> f64 {
    law.mean_s.unwrap_or_else(|| (law.lo_s.unwrap_or(0.0) + law.hi_s.unwrap_or(0.0)) / 2.0)
}

/// Adds the servers, alike ones in one node; returns the nodes' names in order.
fn servers(
    config: &Config,
    _base: &Baseline,
    nodes: &mut Map<String, Value>,
) -> Result<Vec<String>, String> {
    let pods = config.pods.as_deref().unwrap_or_default();
    let mut names = Vec::new();
    let mut first = 0;
    while first < pods.len() {
        let alike = pods[first..].iter().take_while(|pod| **pod == pods[first]).count();
        let name = format!("pods{}", names.len());
        nodes.insert(name.clone(), pod_node(&pods[first], alike, config)?);
        names.push(name);
        first += alike;
    }
    Ok(names)
}

fn pod_node(pod: &PodConfig, replicas: usize, config: &Config) -> Result<Value, String> {
    let mut node = json!({
        "replicas": replicas,
        "hosts": {"count": 1, "vcpu": 2},
        "somaxconn": somaxconn(config),
        "cancel": pod.cancel_on_disconnect,
    });
    match pod.kind.as_str() {
        "node" => {
            node["runtime"] = json!({"event_loop": {}});
            if let Some(slots) = pod.concurrency {
                node["concurrency"] = slots.into();
            }
            if let Some(queue) = pod.queue_limit {
                node["queue"] = queue.into();
            }
        }
        "gunicorn" => {
            let workers = pod.workers.ok_or("gunicorn without workers")?;
            node["runtime"] = json!({"sync_workers": {"workers": workers}});
        }
        other => return Err(format!("server kind \"{other}\" is not known")),
    }
    if let Some(backlog) = pod.backlog {
        node["backlog"] = backlog.into();
    }
    Ok(json!({"pods": node}))
}

/// Adds what clients connect to; returns its name.
fn entry(
    config: &Config,
    base: &Baseline,
    servers: &[String],
    nodes: &mut Map<String, Value>,
) -> Result<String, String> {
    match config.load.entry.as_str() {
        "nginx" => {
            let nginx = config.nginx.as_ref().ok_or("entry nginx without its configuration")?;
            nodes.insert(
                "nginx".into(),
                json!({"nginx": nginx_node(nginx, servers, config, base)?}),
            );
            Ok("nginx".into())
        }
        "pods"
            if servers.len() == 1 && config.pods.as_ref().is_some_and(|pods| pods.len() == 1) =>
        {
            Ok(servers[0].clone())
        }
        "nodeport" if servers.len() == 1 => {
            nodes.insert("node_port".into(), json!({"node_port": {"to": servers[0], "nodes": 1}}));
            Ok("node_port".into())
        }
        other => Err(format!("entry \"{other}\" is not supported here")),
    }
}

fn nginx_node(
    nginx: &NginxConfig,
    servers: &[String],
    config: &Config,
    base: &Baseline,
) -> Result<Value, String> {
    let upstream = &nginx.upstream;
    let old = nginx.version.as_deref().is_some_and(|v| version(v) < (1, 19, 2));
    let kept = upstream.keepalive.unwrap_or(0);
    let mut node = json!({
        "upstream": servers,
        "workers": nginx.worker_processes,
        "worker_connections": nginx.worker_connections,
        "multi_accept": nginx.multi_accept,
        "version": if old { "1.18" } else { "1.22" },
        "somaxconn": somaxconn(config),
        "listeners": 1,
        "upstream_keepalive": kept,
        "upstream_rtt": ms(base.tcp_connect_loopback_ms),
        "upstream_syn_retry": if sysctl(config, "tcp_syn_linear_timeouts") == Some(0.0) { "exponential" } else { "linear" },
        "next_upstream": nginx.proxy_next_upstream.as_deref() != Some("off"),
        "balance": match upstream.lb.as_deref().unwrap_or("round_robin") {
            "least_conn" => "least_conn",
            "random" => "random",
            "round_robin" => "round_robin",
            other => return Err(format!("balancing \"{other}\" is not known")),
        },
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            node[key] = value;
        }
    };
    set("nofile", nginx.worker_rlimit_nofile.map(Into::into));
    set("backlog", nginx.backlog.map(Into::into));
    set("keepalive_timeout", nginx.keepalive_timeout_s.map(|t| s(t).into()));
    set("keepalive_requests", nginx.keepalive_requests.map(Into::into));
    set("proxy_connect_timeout", nginx.proxy_connect_timeout_s.map(|t| s(t).into()));
    set("proxy_read_timeout", nginx.proxy_read_timeout_s.map(|t| s(t).into()));
    set("max_fails", upstream.max_fails.map(Into::into));
    set("fail_timeout", upstream.fail_timeout_s.map(|t| s(t).into()));
    if kept > 0 {
        set("cpu_request", Some("11us".into()));
    }
    Ok(node)
}

/// A version's numbers.
fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}
