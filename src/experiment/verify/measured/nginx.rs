//! nginx of a case as a node.

use super::case::{Baseline, Config, NginxConfig};
use super::kernel::{local_ports, somaxconn, syn_retry, syncookies, sysctl};
use super::load::{ms, s};
use super::machine::accept_cpu;
use serde_json::{Value, json};

/// nginx as a case configured it.
///
/// # Errors
/// Says what of the configuration has no counterpart.
pub(super) fn nginx_node(
    nginx: &NginxConfig,
    servers: &[String],
    config: &Config,
    base: &Baseline,
) -> Result<Value, String> {
    let upstream = &nginx.upstream;
    let before = |than| nginx.version.as_deref().is_some_and(|v| version(v) < than);
    let old = before((1, 19, 2));
    let kept = upstream.keepalive.unwrap_or(0);
    let mut node = json!({
        "upstream": servers,
        "workers": nginx.worker_processes,
        "worker_connections": nginx.worker_connections,
        "multi_accept": nginx.multi_accept,
        "reuseport": nginx.reuseport,
        "accept_mutex": nginx.accept_mutex,
        "syncookies": syncookies(config),
        "abort_on_overflow": sysctl(config, "tcp_abort_on_overflow") == Some(1.0),
        "version": if old { "1.18" } else { "1.22" },
        "somaxconn": somaxconn(config),
        "listeners": 1,
        "upstream_keepalive": kept,
        "upstream_rtt": ms(base.tcp_connect_loopback_ms),
        "upstream_syn_retry": syn_retry(config),
        "next_upstream": !next_upstream(nginx).contains(&"off"),
        "balance": balance(upstream.lb.as_deref())?,
    });
    node["base_descriptors"] = idle_descriptors(nginx, base).into();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            node[key] = value;
        }
    };
    set("nofile", nginx.worker_rlimit_nofile.map(Into::into));
    set("backlog", nginx.backlog.map(Into::into));
    set("accept_mutex_delay", nginx.accept_mutex_delay_s.map(|t| s(t).into()));
    set("local_ports", local_ports(config).map(Into::into));
    set("keepalive_timeout", nginx.keepalive_timeout_s.map(|t| s(t).into()));
    // The rules of 1.19.2 and the default of 1.19.10 did not come together.
    let requests = |said: Option<u32>| said.or(before((1, 19, 10)).then_some(100)).map(Into::into);
    set("keepalive_requests", requests(nginx.keepalive_requests));
    set("keepalive_time", nginx.keepalive_time_s.map(|t| s(t).into()));
    if kept > 0 {
        set("upstream_keepalive_requests", requests(upstream.keepalive_requests));
        set("upstream_keepalive_time", upstream.keepalive_time_s.map(|t| s(t).into()));
        set("upstream_keepalive_timeout", upstream.keepalive_timeout_s.map(|t| s(t).into()));
    }
    if !matches!(next_upstream(nginx)[..], ["off"] | ["error", "timeout"]) {
        set("proxy_next_upstream", Some(next_upstream(nginx).into()));
    }
    set("proxy_connect_timeout", nginx.proxy_connect_timeout_s.map(|t| s(t).into()));
    set("proxy_read_timeout", nginx.proxy_read_timeout_s.map(|t| s(t).into()));
    set("max_conns", upstream.max_conns.map(Into::into));
    set("zone", Some(upstream.zone.into()));
    set("next_upstream_tries", Some(nginx.proxy_next_upstream_tries.into()));
    set("next_upstream_timeout", Some(s(nginx.proxy_next_upstream_timeout_s).into()));
    set("max_fails", upstream.max_fails.map(Into::into));
    set("fail_timeout", upstream.fail_timeout_s.map(|t| s(t).into()));
    set("cpu_request", Some(ms(cpu_request(kept > 0, base)).into()));
    let accept = base.http_nginx_no_keepalive_ms
        - base.http_nginx_no_upstream_keepalive_ms
        - base.tcp_connect_loopback_ms;
    set("cpu_accept", Some(ms(accept.max(0.0)).into()));
    Ok(node)
}

/// The balancing method: nginx's words are the scenario's.
fn balance(method: Option<&str>) -> Result<&str, String> {
    match method.unwrap_or("round_robin") {
        known @ ("least_conn" | "random" | "ip_hash" | "round_robin") => Ok(known),
        other => Err(format!("balancing \"{other}\" is not known")),
    }
}

/// Descriptors of an idle worker. One is for the channel to each worker: known counts are carried on to other numbers of workers. With
/// reuseport there is a listening socket for each worker, and every worker has them all open.
fn idle_descriptors(nginx: &NginxConfig, base: &Baseline) -> u32 {
    let workers = u32::from(nginx.worker_processes);
    let sockets = if nginx.reuseport { workers } else { 1 };
    let known = base.nginx_idle_fds_per_worker.iter().find_map(|(key, counts)| {
        let there: u32 = key.strip_prefix("worker_processes=")?.parse().ok()?;
        Some(counts.first()?.saturating_sub(there) + workers)
    });
    known.unwrap_or(8 + workers) + sockets - 1
}

/// Processor time of a request, milliseconds.
fn cpu_request(kept: bool, base: &Baseline) -> f64 {
    // What a request on kept connections takes beyond one without nginx is lost in the noise of the constants.
    let request = if kept {
        0.011
    } else {
        base.http_nginx_no_upstream_keepalive_ms
            - base.http_node_direct_keepalive_ms
            - accept_cpu(base)
    };
    request.max(0.011)
}

/// The parameters of `proxy_next_upstream`; where `off` is among them nothing else counts.
pub(super) fn next_upstream(nginx: &NginxConfig) -> Vec<&str> {
    let text = nginx.proxy_next_upstream.as_deref().unwrap_or("error timeout");
    let words: Vec<_> = text.split_whitespace().collect();
    if words.contains(&"off") { vec!["off"] } else { words }
}

/// A version's numbers.
fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}
