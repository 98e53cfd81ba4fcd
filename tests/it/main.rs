//! One integration binary, a module per topic.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    reason = "tests read files, and panic when they fail"
)]

mod analytic;
mod analytic_loss;
mod autoscaling;
mod causes;
mod claims;
mod classes;
mod cli;
mod common;
mod conservation;
mod coverage;
mod determinism;
mod diff;
mod drivers;
mod event_loop;
mod fact_ids;
mod facts_balancer;
mod facts_cluster;
mod facts_events;
mod facts_haproxy;
mod facts_lambda;
mod facts_nginx;
mod facts_proxy;
mod facts_services;
mod failures;
mod find;
mod fixed_costs;
mod fuzz;
mod golden;
mod guard;
mod hpa;
mod http2;
mod impossible;
mod ladder;
mod lambda_accounts;
mod lambda_articles;
mod lambda_doors;
mod lambda_limits;
mod lambda_log;
mod lambda_starts;
mod machines;
mod measured;
mod models;
mod own_work;
mod pod_life;
mod pools;
mod precision;
mod real_limits;
mod reference_runs;
mod report;
mod retry_storm;
mod scenario;
mod sense;
mod steady;
mod stores;
mod sweep;
mod theory;
mod tidy;
mod vary;
mod verify;
