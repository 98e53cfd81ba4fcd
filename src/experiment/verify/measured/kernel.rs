//! Kernel settings of a measured case (`config.sysctl`; the others are those of the measuring machine's Linux 6.18).

use super::case::Config;
use serde_json::Value;

/// Settings that change the outcome and are converted.
pub(super) const CONVERTED: [&str; 7] = [
    "somaxconn",
    "tcp_syn_linear_timeouts",
    "tcp_syncookies",
    "tcp_abort_on_overflow",
    "tcp_syn_retries",
    "tcp_max_syn_backlog",
    "ip_local_port_range",
];

/// Settings that no client can notice.
pub(super) const WITHOUT_INFLUENCE: [&str; 6] = [
    // How long an orphan waits in FIN_WAIT_2 for the other end's FIN, which comes at once here. TIME_WAIT lasts for 60 s whatever
    // it says (`TCP_TIMEWAIT_LEN`, include/net/tcp.h).
    "tcp_fin_timeout",
    // Of who connects. Whoever closes first has the TIME_WAIT, and that is the server's end everywhere: it answers HTTP/1.0, or
    // `Connection: close`, or ends an idle connection.
    "tcp_tw_reuse",
    "tcp_max_tw_buckets",
    // Probes of idle connections, which both ends answer.
    "tcp_keepalive_time",
    "tcp_keepalive_intvl",
    "tcp_keepalive_probes",
];

pub(super) fn sysctl(config: &Config, name: &str) -> Option<f64> {
    let settings = config.sysctl.as_ref()?;
    let (_, value) = settings.iter().find(|(key, _)| key.ends_with(name))?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `net.core.somaxconn`; the measuring machine's kernel has 4,096.
pub(super) fn somaxconn(config: &Config) -> u32 {
    sysctl(config, "somaxconn").map_or(4096, |value| value as u32)
}

/// When a lost SYN is sent again: as on Linux 6.5 and later, unless the case says otherwise.
pub(super) fn syn_retry(config: &Config) -> &'static str {
    let classic = sysctl(config, "tcp_syn_linear_timeouts") == Some(0.0);
    if classic { "exponential" } else { "linear" }
}

pub(super) fn syncookies(config: &Config) -> bool {
    sysctl(config, "tcp_syncookies") != Some(0.0)
}

/// `net.ipv4.ip_local_port_range`, first and last port: how many that is.
pub(super) fn local_ports(config: &Config) -> Option<u32> {
    let settings = config.sysctl.as_ref()?;
    let (_, value) = settings.iter().find(|(key, _)| key.ends_with("ip_local_port_range"))?;
    let numbers: Vec<u32> = match value {
        Value::String(text) => text.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
        Value::Array(numbers) => {
            numbers.iter().filter_map(|n| u32::try_from(n.as_u64()?).ok()).collect()
        }
        _ => Vec::new(),
    };
    match numbers[..] {
        [first, last] => (last + 1).checked_sub(first),
        _ => None,
    }
}

/// What of the settings goes beyond their counterpart.
pub(super) fn beyond(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let set = |name| sysctl(config, name);
    let proxy = config.nginx.is_some() || config.haproxy.is_some();
    if set("tcp_syn_linear_timeouts").is_some_and(|n| ![0.0, 4.0].contains(&n)) {
        found.push("sysctl tcp_syn_linear_timeouts other than 0 and 4".into());
    }
    // With six of them a proxy gives up before its kernel does (proxy_connect_timeout 60 s, timeout connect 5 s).
    if proxy && set("tcp_syn_retries").is_some_and(|n| n < 6.0) {
        found.push("sysctl tcp_syn_retries below 6 with a proxy".into());
    }
    // With SYN cookies it decides nothing.
    if proxy && !syncookies(config) && set("tcp_max_syn_backlog").is_some() {
        found.push("sysctl tcp_max_syn_backlog with a proxy and without tcp_syncookies".into());
    }
    let load = &config.load;
    let users = if load.mode == "closed" {
        f64::from(load.users)
    } else {
        let most = load.stages.iter().map(|stage| stage.rate).fold(load.rate, f64::max);
        most * load.duration_s
    };
    if sysctl_is_set(config, "ip_local_port_range")
        && local_ports(config).is_none_or(|ports| f64::from(ports) < users)
    {
        found.push(
            "sysctl ip_local_port_range smaller than the load generator's connections".into(),
        );
    }
    if config.haproxy.is_some() && sysctl_is_set(config, "ip_local_port_range") {
        found.push("sysctl ip_local_port_range with HAProxy".into());
    }
    found
}

fn sysctl_is_set(config: &Config, name: &str) -> bool {
    config.sysctl.iter().flat_map(|settings| settings.keys()).any(|key| key.ends_with(name))
}
