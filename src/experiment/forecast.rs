//! What a run would take, and which limit binds first by arithmetic alone: no simulation.

use crate::model::client::{Load, Shape};
use crate::model::data::Data;
use crate::model::message::NodeId;
use crate::model::registry::NodeSpec;
use crate::model::work::Work;
use crate::model::world::DesignSpec;
use crate::scenario::spec::Scenario;
use std::fmt::Write as _;

/// Events that one request of an ordinary design takes.
const EVENTS_PER_REQUEST: f64 = 12.0;
/// Bytes of one user with a request in flight.
const BYTES_PER_USER: f64 = 500.0;

/// Peak rate (per second), concurrent users and expected requests of one class in one replication.
struct Demand {
    peak_rate: f64,
    users: f64,
    requests: f64,
}

/// The forecast as text.
pub fn forecast(scenario: &Scenario, data: &Data) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, scenario, data);
    out
}

fn write(out: &mut String, scenario: &Scenario, data: &Data) -> std::fmt::Result {
    let works =
        Work::compile_all(&scenario.work, &|_| Some(NodeId::default()), data).unwrap_or_default();
    let replications = f64::from(scenario.run.replications);
    for (name, design) in &scenario.designs {
        let mut requests = 0.0;
        let mut users = 0.0;
        writeln!(out, "{name}:")?;
        for class in design.enter.keys() {
            let Some(spec) = scenario.workload.get(class) else { continue };
            let first = spec
                .request
                .as_ref()
                .or_else(|| spec.session.as_ref()?.first().map(|s| &s.request));
            let work = works.iter().find(|work| Some(&work.name) == first);
            let (alone, cpu) = work.map_or((0.0, 0.0), |w| (w.duration_mean(), w.cpu_mean()));
            let most = capacity(design, alone, cpu);
            let demand = demand(&spec.load, alone + spec.connection.rtt.as_secs_f64(), most, data);
            requests += demand.requests;
            users += demand.users;
            writeln!(
                out,
                "  {class}: up to {:.0} requests/s, about {:.0} in progress if nothing queues ({:.0} ms each, \
                 of which {:.0} ms processor time)",
                demand.peak_rate,
                demand.peak_rate * alone,
                alone * 1e3,
                cpu * 1e3
            )?;
            for (node, spec) in &design.nodes {
                for line in limits(spec, &demand, alone, cpu) {
                    writeln!(out, "    {node}: {line}")?;
                }
            }
        }
        let events = requests * EVENTS_PER_REQUEST * replications;
        writeln!(
            out,
            "  a run: about {:.1} million requests, {:.0} million events, {:.0} MB at most",
            requests * replications / 1e6,
            events / 1e6,
            (users * BYTES_PER_USER / 1e6).ceil() + 20.0
        )?;
    }
    Ok(())
}

/// Requests per second that the pods of a design can serve at most; infinite for functions.
fn capacity(design: &DesignSpec, alone: f64, cpu: f64) -> f64 {
    let pods = design.nodes.values().filter_map(|node| match node {
        NodeSpec::Pods(pods) => Some(pods),
        _ => None,
    });
    let one = |pods: &crate::model::compute::pods::PodsSpec| {
        let replicas = f64::from(pods.replicas);
        let cores = (pods.vcpus()).min(replicas * f64::from(pods.places()));
        let by_cpu = cores * pods.hosts.speed / cpu.max(1e-9);
        by_cpu.min(replicas * f64::from(pods.places()) / alone.max(1e-9))
    };
    pods.map(one).fold(f64::INFINITY, f64::min)
}

/// Little's law at the limits that a specification names.
fn limits(spec: &NodeSpec, demand: &Demand, alone: f64, cpu: f64) -> Vec<String> {
    let verdict = |need: f64, have: f64| {
        if need <= 0.8 * have {
            "has room"
        } else if need <= have {
            "is tight"
        } else {
            "binds"
        }
    };
    match spec {
        NodeSpec::Pods(pods) => {
            let cores = pods.vcpus() * pods.hosts.speed;
            let need = demand.peak_rate * cpu;
            let mut lines = vec![format!(
                "{need:.2} of {cores:.2} cores busy at the peak: {}",
                verdict(need, cores)
            )];
            if pods.places() < u32::MAX {
                let places = f64::from(pods.places()) * f64::from(pods.replicas);
                let need = demand.peak_rate * alone;
                lines.push(format!("{need:.0} of {places:.0} places: {}", verdict(need, places)));
            }
            lines
        }
        NodeSpec::Nginx(nginx) => {
            let per_worker = f64::from(nginx.nofile.saturating_sub(nginx.base())) / 2.0;
            let by_slots = f64::from(nginx.worker_connections) / 2.0;
            let have = per_worker.min(by_slots) * f64::from(nginx.workers);
            vec![format!(
                "{:.0} users of {have:.0} proxied requests at once: {}",
                demand.users,
                verdict(demand.users, have)
            )]
        }
        _ => Vec::new(),
    }
}

fn demand(load: &Load, alone: f64, most: f64, data: &Data) -> Demand {
    let alone = alone.max(1e-4);
    match load {
        Load::Closed(closed) => {
            let users = f64::from(closed.users);
            let think = closed.think.sampler(data).map_or(0.0, |law| law.mean());
            let rate = users / (alone + think);
            let served = rate.min(most);
            let by_time =
                closed.duration.map_or(f64::INFINITY, |d| served * d.as_secs_f64() + users);
            let by_count = closed.requests_per_user.map_or(f64::INFINITY, |n| users * f64::from(n));
            Demand { peak_rate: rate, users, requests: by_time.min(by_count) }
        }
        Load::Open(open) => {
            let (peak, requests) = match &open.rate {
                Shape::Steady(s) => {
                    (s.rate.per_second(), s.rate.per_second() * s.duration.as_secs_f64())
                }
                Shape::Stages(s) => {
                    let (mut from, mut sum, mut peak) = (s.start.per_second(), 0.0, 0.0_f64);
                    for stage in &s.stages {
                        let to = stage.target.per_second();
                        sum += (from + to) / 2.0 * stage.duration.as_secs_f64();
                        peak = peak.max(from).max(to);
                        from = to;
                    }
                    (peak, sum)
                }
                Shape::Spike(s) => (
                    s.peak.per_second(),
                    s.base.per_second() * s.duration.minus(s.lasts).as_secs_f64()
                        + s.peak.per_second() * s.lasts.as_secs_f64(),
                ),
                Shape::Diurnal(s) => (
                    s.mean.per_second() * (1.0 + s.swing),
                    s.mean.per_second() * s.duration.as_secs_f64(),
                ),
            };
            Demand { peak_rate: peak, users: peak * alone, requests }
        }
        Load::Burst(burst) => {
            let n = f64::from(burst.requests);
            Demand { peak_rate: n / burst.spread.as_secs_f64().max(alone), users: n, requests: n }
        }
        Load::Trace(trace) => {
            let rows = data.table(&trace.file).map_or(0, |table| table.rows.len()) as f64;
            Demand { peak_rate: 0.0, users: 0.0, requests: rows }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_has_its_area() {
        let load: Load = serde_json::from_str(
            r#"{"open": {"rate": {"spike": {"base": "10/s", "peak": "100/s", "at": "5s", "lasts": "10s", "for": "60s"}}}}"#,
        )
        .unwrap();
        let demand = demand(&load, 0.1, f64::INFINITY, &Data::default());
        assert!((demand.requests - (10.0 * 50.0 + 100.0 * 10.0)).abs() < 1e-9);
        assert!((demand.peak_rate - 100.0).abs() < 1e-9);
    }
}
