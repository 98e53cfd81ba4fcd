//! What a service says at the end: its counters, and the hosts that it held.

use super::fargate::PodTime;
use super::service::Pods;
use super::spec::SURPLUS;
use crate::kernel::Time;
use crate::model::component::NodeReport;
use crate::model::context::Ctx;
use crate::model::usage::UsageLine;

impl Pods {
    /// What was counted and used.
    pub(super) fn report(&mut self, ctx: &mut Ctx) -> NodeReport {
        let (now, count) = (ctx.now(), self.hosts.len() as f64);
        let machines = self.fleet.as_mut().and_then(|fleet| fleet.machines_held(now));
        let work: f64 =
            self.hosts.iter().map(|host| ctx.host(*host).work_done()).sum::<f64>() * 1e-9;
        let pods = self.fargate.map(|size| (size, self.pod_time(now)));
        let whole = pods.map(|own| own.1.held).or(machines.map(|own| own.0));
        let whole = whole.unwrap_or(now.as_secs_f64() * count);
        let capacity = self.host_cores * self.speed * whole;
        let share = |work: f64| if capacity > 0.0 { (work / capacity).min(1.0) } else { 0.0 };
        let busy = share(work);
        let wasted = share(self.wasted.as_secs_f64()).min(busy);
        let used = |line: UsageLine| UsageLine {
            idle: line.quantity * (1.0 - busy),
            wasted: line.quantity * wasted,
            ..line
        };
        let usage = self.instance.iter().map(|instance| {
            let line = match machines {
                Some((seconds, at_first)) => {
                    let hours = seconds / 3600.0;
                    let line =
                        UsageLine::held(&self.name, format!("ec2.{instance}"), hours, "hour");
                    UsageLine { between: Some(at_first), ..line }
                }
                None => UsageLine::hosts(&self.name, instance, count, now),
            };
            let line = used(line);
            self.spot_price.map_or(line.clone(), |share| line.as_spot(share))
        });
        let mut counters = vec![
            ("syn_dropped", self.counts.syn_dropped),
            ("rejected", self.counts.rejected),
            ("cancelled", self.counts.cancelled),
            ("cpu_permille", (busy * 1000.0) as u64),
            ("connections_max", self.counts.connections_max),
        ];
        if let Some(fleet) = &mut self.fleet {
            counters.extend(fleet.lags.counters(now));
            counters.extend([("pods_added", fleet.added), ("pods_removed", fleet.removed)]);
            if fleet.restarted > 0 {
                counters.push(("restarts", fleet.restarted));
            }
        }
        if let Some(supervisor) = self.supervisor.as_ref().filter(|own| own.killed > 0) {
            counters.push(("workers_killed", supervisor.killed));
        }
        let surplus = self.burst.as_ref().map(|burst| {
            counters.push(("throttled_host_seconds", burst.throttled_seconds as u64));
            UsageLine::used(&self.name, SURPLUS, burst.surplus(), "vCPU-hour")
        });
        let of_pods = pods
            .map(|(size, time)| size.usage(&self.name, time, f64::from(self.replicas)).map(used));
        let usage = usage.chain(of_pods.into_iter().flatten()).chain(surplus).collect();
        NodeReport { counters, usage }
    }

    /// For how long pods were there; without a fleet all of them from the beginning to the end.
    fn pod_time(&self, now: Time) -> PodTime {
        self.fleet.as_ref().map_or_else(
            || {
                let mut time = PodTime::default();
                time.add(u64::from(self.replicas), Time::ZERO, now);
                time
            },
            |fleet| fleet.pod_time(now),
        )
    }
}
