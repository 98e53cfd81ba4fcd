//! The limits that a service of pods announces.

use super::spec::PodsSpec;
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::wiring::Wiring;

pub(super) struct Limits {
    pub(super) accept: LimitId,
    pub(super) places: LimitId,
    pub(super) queue: LimitId,
    /// Connections that the threads of each pod take.
    pub(super) connections: LimitId,
    /// The processors of the hosts.
    pub(super) cpu: LimitId,
    /// The processor limit of each pod.
    pub(super) cpu_limit: LimitId,
    /// The one thread of each event loop, on a processor of its own.
    pub(super) event_loop: LimitId,
    pub(super) pool: LimitId,
    /// Proxies still send to pods that are on their way out; and those are killed in the midst of work.
    pub(super) removal: LimitId,
    pub(super) grace: LimitId,
    /// Pods close idle connections on which a request is under way.
    pub(super) keepalive: LimitId,
    /// Proxies send to pods whose process does not listen yet.
    pub(super) unready: LimitId,
}

/// What is drawn over time.
pub(super) struct Gauges {
    pub(super) in_progress: GaugeId,
    pub(super) accept_queue: GaugeId,
}

impl Gauges {
    /// Announces them: `places` and `accepted` are those of one pod.
    pub(super) fn announce(places: u32, accepted: usize, pods: u64, wiring: &mut Wiring) -> Gauges {
        let all = u64::from(places).checked_mul(pods);
        let limited = all.filter(|_| places < u32::MAX);
        let (me, ledger) = (wiring.me, &mut *wiring.ledger);
        Gauges {
            in_progress: ledger.gauge(me, "requests in progress", limited),
            accept_queue: ledger.gauge(me, "accept queue", Some(accepted as u64 * pods)),
        }
    }
}

impl Limits {
    pub(super) fn announce(spec: &PodsSpec, accept_max: usize, wiring: &mut Wiring) -> Limits {
        let (me, places) = (wiring.me, spec.places());
        let ledger = &mut *wiring.ledger;
        let per_pod =
            |n: u32| if n == u32::MAX { "no limit".into() } else { format!("{n} per pod") };
        Limits {
            accept: ledger.limit(
                me,
                "accept_queue",
                format!("accept queue of {accept_max} per pod"),
            ),
            places: ledger.limit(me, "concurrency", format!("concurrency {}", per_pod(places))),
            queue: ledger.limit(
                me,
                "queue",
                format!("waiting line {}", per_pod(spec.queue.unwrap_or(u32::MAX))),
            ),
            connections: ledger.limit(
                me,
                "connections",
                format!("connections {}", per_pod(spec.connections())),
            ),
            cpu: ledger.limit(me, "cpu", processors(spec)),
            cpu_limit: ledger.limit(
                me,
                "cpu_limit",
                if spec.cores() < spec.cpu.unwrap_or(f64::INFINITY) {
                    format!("{} interpreters per pod", spec.cores())
                } else {
                    format!("processor limit of {} vCPU per pod", spec.cpu.unwrap_or(0.0))
                },
            ),
            event_loop: ledger.limit(me, "event_loop", "one thread per event loop".into()),
            pool: ledger.limit(me, "connection_pool", "connection pools of the pods".into()),
            removal: ledger.limit(
                me,
                "endpoint_removal",
                "lag of those who send to pods that end".into(),
            ),
            grace: ledger.limit(me, "termination_grace", "time that ending pods have left".into()),
            keepalive: ledger.limit(
                me,
                "keepalive_timeout",
                "time for which idle connections are kept".into(),
            ),
            unready: ledger.limit(
                me,
                "readiness",
                "pods that do not listen, not yet or no longer".into(),
            ),
        }
    }
}

/// What pods compute on, in words.
fn processors(spec: &PodsSpec) -> String {
    let (count, vcpu, speed) = (spec.hosts.count, spec.hosts.vcpu(), spec.hosts.speed);
    if spec.hosts.fargate.is_some() {
        return format!("Fargate's {vcpu} vCPU per pod, speed {speed}");
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} host{plural} of {vcpu} vCPU, speed {speed}")
}
