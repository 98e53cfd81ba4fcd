//! Which fields of a scenario raise a limit out of the way, by kind of node and name of the limit.
//!
//! The table stands here and not at the nodes, since to lift a limit is a question to a scenario: it may take a field of the
//! account, or several. A test holds it against the limits that the scenarios meet.

use super::result::{Bottleneck, Change};
use serde_json::{Map, Value, json};

/// Where a raised value goes.
enum Field {
    /// Below the node's own settings.
    Own(&'static [&'static str], Value),
    /// In the node's account.
    Account(&'static str, Value),
    /// In the node that this one leads to.
    Behind(&'static str, Value),
    /// In every pool of the node.
    Pools(&'static str, Value),
}
use Field::{Account, Behind, Own, Pools};

const BEHIND: &str = "it is the servers behind it that fail; see their limits";
const UNKNOWN: &str = "no field of the scenario is known to raise it";

fn own(path: &'static [&'static str], value: impl Into<Value>) -> Field {
    Own(path, value.into())
}

/// The fields that lift a limit, or why no field does.
fn fields(kind: &str, limit: &str, spec: &Value) -> Result<Vec<Field>, &'static str> {
    let at_once = || json!({"constant": "0s"});
    Ok(match (kind, limit) {
        ("lambda", "account_concurrency") => vec![Account("concurrency", 1_000_000.into())],
        ("lambda", "reserved_concurrency") => vec![own(&["reserved"], Value::Null)],
        ("lambda", "request_rate") => {
            vec![own(&["reserved"], Value::Null), Account("concurrency", 1_000_000.into())]
        }
        ("lambda", "cold_start") => vec![own(&["init"], at_once()), own(&["place"], at_once())],
        ("lambda", "function_timeout") => vec![own(&["timeout"], "15m")],
        ("api_gateway", "integration_timeout") => vec![own(&["timeout"], "5m")],
        ("lambda", "maximum_concurrency") => vec![own(&["max_concurrency"], Value::Null)],
        ("lambda", "group_concurrency") => vec![own(&["group"], Value::Null)],
        ("lambda", "network_interfaces") => vec![Account("vpc_interfaces", 100_000.into())],
        ("lambda", "event_age") => return Err("Lambda keeps an event for 6 h at most"),
        ("lambda", "scaling_rate") => return Err("AWS sets this rate, no field raises it"),
        (_, "http2_max_concurrent_streams") => return streams(kind),
        ("pods", "accept_queue")
        | ("nginx" | "haproxy", "listen_queue")
        | (_, "listen_backlog") => {
            vec![own(&["backlog"], 65_535), own(&["somaxconn"], 65_535)]
        }
        ("pods", _) => return pods(limit, spec),
        ("nginx", _) => return nginx(limit),
        ("node_port", "conntrack") => vec![own(&["conntrack", "max"], 1_000_000_000)],
        ("node_port", "local_endpoints") => vec![own(&["external_traffic_policy"], "cluster")],
        ("haproxy", "maxconn") => vec![own(&["maxconn"], 1_000_000)],
        ("haproxy", "server_maxconn") => vec![own(&["server_maxconn"], Value::Null)],
        ("haproxy", "cpu") => vec![own(&["cpu_request"], "0s"), own(&["cpu_handshake"], "0s")],
        ("api_gateway", "gateway_rate") => {
            vec![
                Account("gateway_rate", "1000000/s".into()),
                Account("gateway_burst", 10_000_000.into()),
            ]
        }
        ("api_gateway", "key_rate" | "key_method_rate" | "quota") => {
            vec![own(&["usage_plan"], Value::Null)]
        }
        ("api_gateway", "method_rate") => vec![own(&["methods"], Value::Null)],
        ("api_gateway", "stage_rate") => vec![own(&["stage"], Value::Null)],
        (_, "payload") => return Err("AWS sets the largest body, no field raises it"),
        ("nlb", "idle_timeout") => vec![own(&["idle_timeout"], "6000s")],
        ("alb", "idle_timeout") => vec![own(&["idle_timeout"], "4000s")],
        ("guard", _) => guard(limit)?,
        ("sqs", _) => return queue(limit, spec),
        ("pgbouncer", "client_connections") => vec![own(&["max_client_conn"], 100_000)],
        ("pgbouncer", "pool_size") => {
            vec![own(&["default_pool_size"], 100_000), Behind("connections", 1_000_000.into())]
        }
        ("pgbouncer", "pooler_thread") => vec![own(&["login"], "0s"), own(&["statement"], "0s")],
        ("rds_proxy", "pool_size") => {
            vec![own(&["max_connections_percent"], 100), Behind("connections", 1_000_000.into())]
        }
        ("rds_proxy", "pooler_thread") => vec![own(&["vcpu"], 256.0)],
        ("rds_proxy", "client_connections") | ("alb", "connect_timeout") => {
            return Err("AWS sets it, no field raises it");
        }
        ("cache", "client_connections") => vec![own(&["max_clients"], 1_000_000)],
        ("cache", "cache_thread") => vec![own(&["service"], "0s")],
        ("dynamodb", "table_capacity") => capacity(spec),
        ("dynamodb", "partition") => return Err("AWS sets a partition's rate, no field raises it"),
        (_, "active_connections") => vec![own(&["active"], Value::Null)],
        (_, "session_map") => vec![own(&["session_map_lock"], "0s")],
        (_, "connection_slots") => vec![own(&["connections"], 1_000_000)],
        (_, "login_rate") => vec![own(&["login"], at_once())],
        (_, "active_work") => {
            vec![own(&["sigma"], 0.0), own(&["kappa"], 0.0), own(&["cpu_share"], 0.0)]
        }
        (_, "upstream" | "targets") => return Err(BEHIND),
        _ => return Err(UNKNOWN),
    })
}

/// The fields of nginx.
fn nginx(limit: &str) -> Result<Vec<Field>, &'static str> {
    Ok(match limit {
        "nofile" => vec![own(&["nofile"], 10_000_000)],
        "worker_connections" => vec![own(&["worker_connections"], 10_000_000)],
        "cpu" => vec![own(&["cpu_request"], "0s"), own(&["cpu_handshake"], "0s")],
        "ephemeral_ports" => {
            vec![own(&["upstream_closed_by"], "upstream"), own(&["local_ports"], 64_512)]
        }
        "request_limit" => {
            vec![own(&["limit_req"], Value::Null), own(&["limit_conn"], Value::Null)]
        }
        "upstream" => return Err(BEHIND),
        _ => return Err(UNKNOWN),
    })
}

/// More streams on a connection of HTTP/2.
fn streams(kind: &str) -> Result<Vec<Field>, &'static str> {
    match kind {
        "nginx" => Ok(vec![own(&["http2_max_concurrent_streams"], 1_000_000)]),
        "haproxy" => Ok(vec![own(&["h2_max_concurrent_streams"], 1_000_000)]),
        "dns" | "nlb" => {
            Err("the servers behind it set it; or let the users share more connections")
        }
        _ => Err("AWS sets it, no field raises it; let the users share more connections"),
    }
}

/// The fields of pods.
fn pods(limit: &str, spec: &Value) -> Result<Vec<Field>, &'static str> {
    Ok(match limit {
        "concurrency" => places(spec),
        "queue" => vec![own(&["queue"], Value::Null)],
        "cpu" => vec![own(&["hosts", "vcpu"], 448)],
        "cpu_limit" => {
            let limit = own(&["cpu"], Value::Null);
            let locks = &spec["runtime"]["threads"]["interpreters"];
            let lock = own(&["runtime", "threads", "interpreters"], Value::Null);
            if locks.is_null() { vec![limit] } else { vec![limit, lock] }
        }
        "event_loop" => vec![own(&["hosts", "speed"], 100.0)],
        "connections" => vec![own(&["runtime", "threads", "connections"], Value::Null)],
        "cpu_credits" => vec![own(&["hosts", "credits"], Value::Null)],
        "connection_pool" => vec![Pools("max", 100_000.into())],
        "readiness" => {
            let probe = json!({"shares_queue": false});
            let gate = own(&["lifecycle", "readiness_gate"], true);
            let has_probe = spec["lifecycle"]["readiness"].is_object();
            if has_probe { vec![gate] } else { vec![gate, own(&["lifecycle", "readiness"], probe)] }
        }
        "keepalive_timeout" => vec![own(&["keepalive_timeout"], Value::Null)],
        "worker_timeout" => vec![own(&["runtime", "sync_workers", "timeout"], "0s")],
        "endpoint_removal" => {
            vec![own(&["lifecycle", "pre_stop"], "5m"), own(&["lifecycle", "grace"], "15m")]
        }
        "termination_grace" => {
            vec![own(&["lifecycle", "grace"], "1h"), own(&["lifecycle", "sigterm"], "drain")]
        }
        _ => return Err(UNKNOWN),
    })
}

/// The fields of overload protection: without the part there is no limit.
fn guard(limit: &str) -> Result<Vec<Field>, &'static str> {
    let gone = |path| own(path, Value::Null);
    Ok(match limit {
        "circuit_breaker" => vec![gone(&["circuit_breaker"])],
        "rate_limit" => vec![gone(&["rate_limit"])],
        // Nobody waits for what has no limit.
        "concurrency_limit" => vec![gone(&["limit"]), gone(&["queue"])],
        "queue" => vec![gone(&["queue", "length"])],
        "max_wait" => vec![gone(&["queue", "max_wait"]), gone(&["queue", "codel"])],
        "timeout" => vec![gone(&["timeout"])],
        _ => return Err(UNKNOWN),
    })
}

/// The fields of a queue and its event source mapping.
fn queue(limit: &str, spec: &Value) -> Result<Vec<Field>, &'static str> {
    Ok(match limit {
        "event_source_concurrency" if spec["maximum_concurrency"].is_number() => {
            vec![own(&["maximum_concurrency"], Value::Null)]
        }
        "event_source_concurrency" if spec["provisioned"].is_object() => {
            vec![own(&["provisioned", "max"], 10_000)]
        }
        "event_source_concurrency" => {
            return Err("AWS sets how many batches a mapping works on, no field raises it");
        }
        "poller_throughput" => {
            vec![own(&["provisioned", "min"], 200), own(&["provisioned", "max"], 10_000)]
        }
        "event_source_growth" => {
            return Err("AWS sets how an event source mapping grows, no field raises it");
        }
        "max_receives" => vec![own(&["max_receives"], Value::Null)],
        "in_flight" => return Err("SQS sets it, no field raises it"),
        "retention" => vec![own(&["retention"], "336h")],
        _ => return Err(UNKNOWN),
    })
}

/// More places in every pod, in the way of its runtime.
fn places(spec: &Value) -> Vec<Field> {
    let runtime = &spec["runtime"];
    let own_field = spec["concurrency"].is_number();
    if !own_field && runtime["sync_workers"].is_object() {
        vec![own(&["runtime", "sync_workers", "workers"], 10_000)]
    } else if !own_field && runtime["threads"].is_object() {
        vec![own(&["runtime", "threads", "threads"], 10_000)]
    } else {
        vec![own(&["concurrency"], 10_000)]
    }
}

/// More capacity of a table, in the way of its mode.
fn capacity(spec: &Value) -> Vec<Field> {
    if spec["mode"]["provisioned"].is_object() {
        vec![
            own(&["mode", "provisioned", "quota"], 1e6),
            own(&["mode", "provisioned", "read"], 1e6),
            own(&["mode", "provisioned", "write"], 1e6),
        ]
    } else {
        vec![
            own(&["mode", "on_demand", "quota"], 1e8),
            own(&["mode", "on_demand", "peak_reads"], 1e8),
            own(&["mode", "on_demand", "peak_writes"], 1e8),
        ]
    }
}

/// Whether a limit of a kind of node is one that this table speaks of.
pub fn known(kind: &str, limit: &str) -> bool {
    !matches!(fields(kind, limit, &Value::Null), Err(why) if why.starts_with("no field of the"))
}

/// A design (as JSON) with one limit lifted, and what was changed for that.
///
/// # Errors
/// Why it cannot be lifted.
pub(super) fn lift(
    design: &Value,
    limit: &Bottleneck,
) -> Result<(Value, Vec<Change>), &'static str> {
    let mut lifted = design.clone();
    let node = &design["nodes"][&limit.node];
    let (kind, spec) =
        node.as_object().and_then(|node| node.iter().next()).ok_or("the node is not there")?;
    let mut changes = Vec::new();
    for field in fields(kind, &limit.limit, spec)? {
        let settings = ["nodes", limit.node.as_str(), kind.as_str()];
        match field {
            Own(path, value) => {
                set(&mut lifted, &[&settings[..], path].concat(), value, &mut changes);
            }
            Account(name, value) => {
                // A gateway need not name that of the function behind it, or the only one; where there is none, it has one with
                // AWS's defaults.
                let to = spec["to"].as_str().unwrap_or_default();
                let behind = design["nodes"][to]["lambda"]["account"].as_str();
                let only = design["accounts"].as_object().and_then(|all| all.keys().next());
                let account = spec["account"].as_str().or(behind).or(only.map(String::as_str));
                let account = account.unwrap_or("main");
                set(&mut lifted, &["accounts", account, name], value, &mut changes);
            }
            Behind(name, value) => {
                let to = spec["to"].as_str().unwrap_or_default();
                let kind = design["nodes"][to].as_object().and_then(|node| node.keys().next());
                let kind = kind.ok_or("the node behind it is not there")?;
                set(&mut lifted, &["nodes", to, kind, name], value, &mut changes);
            }
            Pools(name, value) => {
                let pools = spec["pool"].as_object().into_iter().flat_map(Map::keys);
                for pool in pools {
                    let path = [&settings[..], &["pool", pool, name]].concat();
                    set(&mut lifted, &path, value.clone(), &mut changes);
                }
            }
        }
    }
    changes.retain(|change| change.from != change.to);
    if changes.is_empty() {
        Err("its field is not part of this design")
    } else {
        Ok((lifted, changes))
    }
}

fn set(root: &mut Value, path: &[&str], value: Value, changes: &mut Vec<Change>) {
    let mut place = &mut *root;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[*key];
    }
    let from = std::mem::replace(place, value);
    changes.push(Change { path: path.join("."), from, to: place.clone() });
}
