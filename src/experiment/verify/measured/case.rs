//! A measured case as its file says it: what was configured, what was observed.
//!
//! Only what a prediction needs is read; ports, texts and counters of the harness are left alone. Times are in seconds in the
//! configuration and in milliseconds in the results, as in the files.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One file.
#[derive(Debug, Clone, Deserialize)]
pub struct MeasuredCase {
    /// Its name.
    pub id: String,
    /// What it is about.
    #[serde(default)]
    pub title: String,
    /// Everything that was configured.
    pub config: Config,
    /// Constants of the machine, measured apart.
    #[serde(default)]
    pub baseline: Baseline,
    /// What came out.
    pub observed: Observed,
}

/// Everything that was configured.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The load generator.
    pub load: LoadConfig,
    /// nginx in front.
    pub nginx: Option<NginxConfig>,
    /// HAProxy in front.
    pub haproxy: Option<HaproxyConfig>,
    /// A NodePort in front.
    pub nodeport: Option<Value>,
    /// The servers.
    pub pods: Option<Vec<PodConfig>>,
    /// PostgreSQL behind.
    pub postgres: Option<PostgresConfig>,
    /// PgBouncer between.
    pub pgbouncer: Option<PgbouncerConfig>,
    /// A re-creation of Lambda.
    pub lambda: Option<LambdaConfig>,
    /// What happened meanwhile.
    pub events: Option<Vec<EventConfig>>,
    /// Kernel settings that were changed.
    pub sysctl: Option<BTreeMap<String, Value>>,
}

/// The load generator.
#[derive(Debug, Clone, Deserialize)]
pub struct LoadConfig {
    /// `closed` or `open`.
    pub mode: String,
    /// What clients connect to.
    pub entry: String,
    #[serde(default)]
    pub(super) users: u32,
    pub(super) requests_per_user: Option<u32>,
    pub(super) duration_s: f64,
    #[serde(default)]
    pub(super) drain_s: f64,
    #[serde(default)]
    pub(super) ramp_s: f64,
    pub(super) think: Option<Law>,
    pub(super) timeout_s: Option<f64>,
    #[serde(default)]
    pub(super) keepalive: bool,
    #[serde(default)]
    pub(super) pick: String,
    #[serde(default)]
    pub(super) method: String,
    pub(super) retry: Option<RetryConfig>,
    #[serde(default)]
    pub(super) rate: f64,
    #[serde(default)]
    pub(super) stages: Vec<StageConfig>,
    pub(super) send_delay_s: Option<f64>,
    pub(super) arrivals: Option<String>,
}

/// Retries of the load generator.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RetryConfig {
    pub(super) max: u16,
    #[serde(default)]
    pub(super) base_ms: f64,
    #[serde(default)]
    pub(super) factor: f64,
    pub(super) cap_ms: Option<f64>,
    #[serde(default)]
    pub(super) jitter: String,
    pub(super) on: Option<Vec<String>>,
}

/// A piece of constant rate.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StageConfig {
    pub(super) until_s: f64,
    pub(super) rate: f64,
}

/// A law of a random time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Law {
    pub(super) kind: String,
    pub(super) mean_s: Option<f64>,
    pub(super) sigma: Option<f64>,
    pub(super) lo_s: Option<f64>,
    pub(super) hi_s: Option<f64>,
}

/// nginx.
#[derive(Debug, Clone, Deserialize)]
pub struct NginxConfig {
    pub(super) version: Option<String>,
    pub(super) worker_processes: u16,
    pub(super) worker_connections: u32,
    pub(super) worker_rlimit_nofile: Option<u32>,
    pub(super) backlog: Option<u32>,
    #[serde(default)]
    pub(super) multi_accept: bool,
    #[serde(default)]
    pub(super) accept_mutex: bool,
    pub(super) accept_mutex_delay_s: Option<f64>,
    #[serde(default)]
    pub(super) reuseport: bool,
    pub(super) keepalive_timeout_s: Option<f64>,
    pub(super) keepalive_requests: Option<u32>,
    pub(super) keepalive_time_s: Option<f64>,
    pub(super) proxy_connect_timeout_s: Option<f64>,
    pub(super) proxy_read_timeout_s: Option<f64>,
    pub(super) proxy_next_upstream: Option<String>,
    #[serde(default)]
    pub(super) proxy_next_upstream_tries: u16,
    #[serde(default)]
    pub(super) proxy_next_upstream_timeout_s: f64,
    pub(super) upstream: UpstreamConfig,
}

/// nginx's upstream block.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct UpstreamConfig {
    pub(super) lb: Option<String>,
    pub(super) keepalive: Option<u32>,
    pub(super) keepalive_requests: Option<u32>,
    pub(super) keepalive_time_s: Option<f64>,
    pub(super) keepalive_timeout_s: Option<f64>,
    pub(super) max_fails: Option<u32>,
    pub(super) fail_timeout_s: Option<f64>,
    pub(super) max_conns: Option<u32>,
    #[serde(default)]
    pub(super) zone: bool,
}

/// HAProxy.
#[derive(Debug, Clone, Deserialize)]
pub struct HaproxyConfig {
    pub(super) maxconn: Option<u32>,
    pub(super) balance: Option<String>,
    pub(super) backlog: Option<u32>,
    pub(super) timeout_connect_s: Option<f64>,
    pub(super) timeout_server_s: Option<f64>,
    pub(super) timeout_queue_s: Option<f64>,
    pub(super) timeout_client_s: Option<f64>,
    pub(super) timeout_http_keep_alive_s: Option<f64>,
    pub(super) retries: Option<u32>,
    pub(super) server_maxconn: Option<u32>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PodConfig {
    pub(super) kind: String,
    pub(super) concurrency: Option<u32>,
    pub(super) queue_limit: Option<u32>,
    pub(super) queue_discipline: Option<String>,
    pub(super) reject_status: Option<u16>,
    pub(super) service: Law,
    pub(super) backlog: Option<u32>,
    pub(super) keepalive_ms: Option<f64>,
    #[serde(default)]
    pub(super) cancel_on_disconnect: bool,
    pub(super) on_sigterm: Option<String>,
    pub(super) workers: Option<u32>,
    pub(super) threads: Option<u32>,
    pub(super) worker_connections: Option<u32>,
    pub(super) worker_timeout_s: Option<f64>,
    #[serde(default)]
    pub(super) initially_down: bool,
    pub(super) db: Option<DbConfig>,
}

/// A server's way to the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct DbConfig {
    pub(super) mode: String,
    pub(super) pool_max: Option<u32>,
    pub(super) acquire_timeout_ms: Option<f64>,
    pub(super) connect_timeout_ms: Option<f64>,
    pub(super) idle_ms: Option<f64>,
    pub(super) work: Law,
    pub(super) port: Option<u32>,
}

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
pub struct PostgresConfig {
    pub(super) max_connections: u32,
    pub(super) superuser_reserved: Option<u32>,
    pub(super) auth: Option<String>,
    #[serde(default)]
    pub(super) role_is_superuser: bool,
}

/// PgBouncer.
#[derive(Debug, Clone, Deserialize)]
pub struct PgbouncerConfig {
    pub(super) pool_mode: Option<String>,
    pub(super) default_pool_size: Option<u32>,
    pub(super) max_client_conn: Option<u32>,
    pub(super) query_wait_timeout_s: Option<f64>,
}

/// A re-creation of Lambda: one process per environment.
#[derive(Debug, Clone, Deserialize)]
pub struct LambdaConfig {
    pub(super) cap: u32,
    pub(super) cold: Law,
    pub(super) work: Law,
    pub(super) db_work: Option<Law>,
    pub(super) idle_expiry_s: Option<f64>,
    pub(super) conn_mode: Option<String>,
    pub(super) pick_idle: Option<String>,
    #[serde(default)]
    pub(super) prewarm: u32,
}

/// Something that happened to a server.
#[derive(Debug, Clone, Deserialize)]
pub struct EventConfig {
    pub(super) t_s: f64,
    pub(super) action: String,
    #[serde(default)]
    pub(super) pod: Value,
    pub(super) ms: Option<f64>,
}

/// Constants of the machine, milliseconds; defaults are those of the machine on which the first cases were measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Baseline {
    pub(super) tcp_connect_loopback_ms: f64,
    pub(super) http_node_direct_keepalive_ms: f64,
    pub(super) http_node_direct_new_connection_ms: f64,
    pub(super) http_nginx_keepalive_both_sides_ms: f64,
    pub(super) http_nginx_no_upstream_keepalive_ms: f64,
    pub(super) http_nginx_no_keepalive_ms: f64,
    pub(super) http_gunicorn_direct_ms: f64,
    pub(super) http_haproxy_keepalive_ms: f64,
    pub(super) pg_connect_trust_ms_mean: f64,
    pub(super) pg_connect_scram_ms_mean: f64,
    pub(super) pg_request_pooled_ms_p50: f64,
    pub(super) pg_request_connect_per_request_trust_ms_p50: f64,
    pub(super) pg_max_connects_per_s_trust_16_clients: f64,
    pub(super) pg_max_connects_per_s_scram_16_clients: f64,
    pub(super) pg_refused_connect_error_latency_ms_p50: f64,
    pub(super) pgbouncer_connect_ms_mean: f64,
    pub(super) lambda_instance_spawn_plus_connect_ms_p50: f64,
    pub(super) node_timer_lateness_ms_mean: f64,
    pub(super) node_max_rps_zero_service: f64,
    pub(super) nginx_node_max_rps_zero_service: f64,
    /// Descriptors of idle workers, by `worker_processes=N`.
    pub(super) nginx_idle_fds_per_worker: BTreeMap<String, Vec<u32>>,
}

impl Default for Baseline {
    fn default() -> Self {
        Baseline {
            tcp_connect_loopback_ms: 0.015_33,
            http_node_direct_keepalive_ms: 0.037_67,
            http_node_direct_new_connection_ms: 0.072,
            http_nginx_keepalive_both_sides_ms: 0.039_33,
            http_nginx_no_upstream_keepalive_ms: 0.099_33,
            http_nginx_no_keepalive_ms: 0.128_33,
            http_gunicorn_direct_ms: 0.24,
            http_haproxy_keepalive_ms: 0.058,
            pg_connect_trust_ms_mean: 2.321,
            pg_connect_scram_ms_mean: 5.47,
            pg_request_pooled_ms_p50: 0.146,
            pg_request_connect_per_request_trust_ms_p50: 2.84,
            pg_max_connects_per_s_trust_16_clients: 571.56,
            pg_max_connects_per_s_scram_16_clients: 372.0,
            pg_refused_connect_error_latency_ms_p50: 3.079,
            pgbouncer_connect_ms_mean: 0.214,
            lambda_instance_spawn_plus_connect_ms_p50: 9.038,
            node_timer_lateness_ms_mean: 0.792,
            node_max_rps_zero_service: 50_744.8,
            nginx_node_max_rps_zero_service: 47_355.9,
            nginx_idle_fds_per_worker: BTreeMap::new(),
        }
    }
}

/// What came out.
#[derive(Debug, Clone, Deserialize)]
pub struct Observed {
    /// Mean, standard deviation and range over repetitions.
    pub(super) summary: Value,
    /// Every repetition.
    #[serde(default)]
    pub(super) repetitions: Vec<Value>,
}
