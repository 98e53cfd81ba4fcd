//! What the measuring machine and the programs on it cost: constants of a case's baseline, and shares and ratios of our own
//! measurements where the baseline has only a sum.

use super::case::{Baseline, Config};

/// Processors of the measuring machine, and nice value that it gave to a repetition's session (its README, "how a case runs").
pub(super) const PROCESSORS: f64 = 2.0;
pub(super) const NICE: i8 = -10;

/// Shares of what a connection with one statement costs its driver: up to the SYN, from there to the first message, for the rest
/// of the login; what is left comes with the statement's answer, before the connection is free. Own measurement of node-postgres
/// 8.23 on Node.js 20, as the other shares here.
pub(super) const BEFORE: f64 = 0.13;
pub(super) const STARTUP: f64 = 0.16;
pub(super) const LOGIN: f64 = 0.18;
pub(super) const AT_END: f64 = 1.0 - BEFORE - STARTUP - LOGIN;

/// What a refused connection costs its driver from the server's answer on, as a share of what one with a statement costs. Own
/// measurement of node-postgres 8 on Node.js 20: all in all 0.81 times as much (0.62 to 0.85 in seven rounds of 3,000).
pub(super) const REFUSED: f64 = 0.81 - BEFORE - STARTUP;

/// How many times the processor time of a request on a kept connection one on a new connection takes: own measurement of
/// Node.js 20, which also has to make and to close its sockets.
pub(super) const NEW_CONNECTION: f64 = 2.6;

/// Own measurement of Node.js 20: the first request of a process takes three times the processor time of later ones, falling to
/// once at the 3,000th.
pub(super) const WARM: u32 = 3000;
pub(super) const COLD: f64 = 3.0;
/// Requests that the servers had answered before the load began (its README, "how a case runs").
pub(super) const WARMED: u32 = 400;
/// The processes were not warm from which the baseline's times of connects were taken. Half of the requests that they answered
/// then: 528 in the run of one user, 1,731 and 1,132 in those of the highest rates.
pub(super) const SINGLE: u32 = WARMED + 260;
pub(super) const MANY: u32 = WARMED + 700;
/// How many times that of a warm process the first connection of node-postgres takes: own measurement, 14.7 ms beside 0.95 ms.
pub(super) const FIRST: f64 = 15.0;

/// Shares of the processor time that PostgreSQL spends on a connection: the postmaster's (accept and fork), and that of the end. Own
/// measurement of PostgreSQL 15 (schedstat of the postmaster, times of its children).
pub(super) const FORK: f64 = 0.12;
pub(super) const EXIT: f64 = 0.49;

/// How many times the processor time of a warm process the `n`-th request of a new one takes.
pub(super) fn factor(n: u32) -> f64 {
    1.0 + (COLD - 1.0) * (1.0 - f64::from(n) / f64::from(WARM))
}

/// Processor time of a request in a Node.js server, milliseconds.
pub(super) fn node_cpu(config: &Config, base: &Baseline) -> f64 {
    // Whether requests come on connections that are there already.
    let kept = match (&config.nginx, &config.haproxy) {
        (Some(nginx), _) => nginx.upstream.keepalive.is_some(),
        (None, Some(_)) => true,
        (None, None) => config.load.keepalive,
    };
    1e3 / base.node_max_rps_zero_service * if kept { 1.0 } else { NEW_CONNECTION }
}

/// Processor time of the driver in a warm server for a request with one statement.
pub(super) fn driver_cpu(mode: &str, base: &Baseline) -> f64 {
    let http = base.http_node_direct_keepalive_ms;
    if mode == "pool" {
        (base.pg_request_pooled_ms_p50 - http).max(0.0)
    } else {
        // What a request takes beyond its connect is the driver's work at the end.
        let end = base.pg_request_connect_per_request_trust_ms_p50 - base.pg_connect_trust_ms_mean;
        (end - http).max(0.0) / AT_END / factor(SINGLE)
    }
}

/// Processor time in which a server accepts a connection: what a new one costs beyond the client's connect.
pub(super) fn accept_cpu(base: &Baseline) -> f64 {
    let new = base.http_node_direct_new_connection_ms - base.http_node_direct_keepalive_ms;
    (new - base.tcp_connect_loopback_ms).max(0.0)
}

/// Processor time of a connect without a password, of everybody who takes part.
pub(super) fn trust(base: &Baseline) -> f64 {
    PROCESSORS * 1e3 / base.pg_max_connects_per_s_trust_16_clients
}
