//! What kube-proxy has programmed into one cluster node: the pods it knows, whose turn it is, who stays with whom, and the kernel's
//! table of connections.

use crate::kernel::{Span, Stream, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How kube-proxy forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// A random pod for each new connection, as iptables and nftables rules give it.
    #[default]
    Iptables,
    /// A scheduler of the kernel's virtual server.
    Ipvs(Ipvs),
}

/// The kernel's virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ipvs {
    /// `--ipvs-scheduler`.
    #[serde(default)]
    #[schemars(extend("x-source" = "kube-proxy: rr"))]
    pub scheduler: Scheduler,
}

/// Schedulers of IPVS; kube-proxy gives every pod weight 1, so the weighted ones are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// In turn.
    #[default]
    Rr,
    /// Fewest connections: 256 times the open ones plus those that ended in the last two minutes; the first of equals.
    Lc,
    /// By a hash of the client's address.
    Sh,
    /// Shortest expected delay: fewest open connections; the first of equals.
    Sed,
    /// Never queue: an idle pod if there is one, else as `sed`.
    Nq,
}

impl Proxy {
    /// Whether it is the default.
    pub fn is_iptables(&self) -> bool {
        *self == Proxy::Iptables
    }

    /// Whether a choice depends on the connections that are open.
    pub(super) fn counts(self) -> bool {
        use Scheduler::{Lc, Nq, Sed};
        matches!(self, Proxy::Ipvs(Ipvs { scheduler: Lc | Sed | Nq }))
    }
}

/// Tables of one cluster node.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// The pods it knows, and how new that is; none: those that are ready this instant.
    pub(super) view: Option<(u32, Vec<u16>)>,
    /// The pod that had the last turn.
    last: Option<u16>,
    /// Open connections by pod.
    active: Vec<u64>,
    /// Connections by pod that ended less than `time_wait` ago.
    inactive: Vec<u64>,
    /// Rows of the connection table.
    entries: u64,
    /// Pod of a client, and its last connection.
    stays: BTreeMap<u64, (u16, Time)>,
}

impl Tables {
    /// Rows of the connection table.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The pod that a client stays with, if it came within `timeout` and the pod is there. This connection counts as its last.
    pub(super) fn stays(
        &mut self,
        client: u64,
        ready: &[u16],
        now: Time,
        timeout: Span,
    ) -> Option<u16> {
        let row = self.stays.get_mut(&client)?;
        if now.since(row.1) > timeout || !ready.contains(&row.0) {
            self.stays.remove(&client);
            return None;
        }
        row.1 = now;
        Some(row.0)
    }

    /// Remembers where a client went.
    pub(super) fn stay(&mut self, client: u64, pod: u16, now: Time) {
        self.stays.insert(client, (pod, now));
    }

    /// A pod for a new connection; `ready` is in ascending order and not empty, `client` a hash of the client's address.
    pub(super) fn choose(
        &mut self,
        proxy: Proxy,
        ready: &[u16],
        client: u64,
        stream: &mut Stream,
    ) -> u16 {
        let Proxy::Ipvs(Ipvs { scheduler }) = proxy else {
            return ready[stream.below(ready.len() as u64) as usize];
        };
        let of = |counts: &[u64], pod: u16| counts.get(usize::from(pod)).copied().unwrap_or(0);
        let active = |pod: u16| of(&self.active, pod);
        let least = |cost: &dyn Fn(u16) -> u64| {
            ready.iter().copied().min_by_key(|pod| cost(*pod)).unwrap_or_default()
        };
        let pod = match scheduler {
            Scheduler::Rr => {
                let after = |last: u16| ready.iter().copied().find(|pod| *pod > last);
                self.last.and_then(after).unwrap_or(ready[0])
            }
            Scheduler::Sh => ready[(client % ready.len() as u64) as usize],
            Scheduler::Lc => least(&|pod| active(pod) * 256 + of(&self.inactive, pod)),
            Scheduler::Sed => least(&|pod| active(pod)),
            Scheduler::Nq => {
                let idle = ready.iter().copied().find(|pod| active(*pod) == 0);
                idle.unwrap_or_else(|| least(&|pod| active(pod)))
            }
        };
        self.last = Some(pod);
        pod
    }

    /// A connection to a pod is open.
    pub(super) fn opened(&mut self, pod: u16) {
        let places = usize::from(pod) + 1;
        if self.active.len() < places {
            self.active.resize(places, 0);
            self.inactive.resize(places, 0);
        }
        self.active[usize::from(pod)] += 1;
        self.entries += 1;
    }

    /// It has ended; its row stays for a while.
    pub(super) fn ended(&mut self, pod: u16) {
        self.active[usize::from(pod)] -= 1;
        self.inactive[usize::from(pod)] += 1;
    }

    /// Its row is gone.
    pub(super) fn forgotten(&mut self, pod: u16) {
        self.inactive[usize::from(pod)] -= 1;
        self.entries -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    fn ipvs(scheduler: Scheduler) -> Proxy {
        Proxy::Ipvs(Ipvs { scheduler })
    }

    #[test]
    fn t_kp_1_every_endpoint_gets_its_share() {
        let mut tables = Tables::default();
        let mut counts = [0_u32; 5];
        for user in 0..30_000 {
            let mut stream = Key::root(1, 0).with(user).stream();
            let pod = tables.choose(Proxy::Iptables, &[0, 1, 2, 3, 4], 0, &mut stream);
            counts[usize::from(pod)] += 1;
        }
        for n in counts {
            assert!((f64::from(n) / 30_000.0 - 0.2).abs() < 0.01, "{counts:?}");
        }
    }

    /// Pods that a scheduler takes for connections that stay open.
    fn turns(scheduler: Scheduler, tables: &mut Tables, ready: &[u16], n: usize) -> Vec<u16> {
        let mut stream = Key::root(1, 0).stream();
        let turn = |_| {
            let pod = tables.choose(ipvs(scheduler), ready, 41, &mut stream);
            tables.opened(pod);
            pod
        };
        (0..n).map(turn).collect()
    }

    #[test]
    fn in_turn_goes_on_where_a_pod_is_missing() {
        let mut tables = Tables::default();
        assert_eq!(turns(Scheduler::Rr, &mut tables, &[0, 1, 2, 3], 6), [0, 1, 2, 3, 0, 1]);
        assert_eq!(turns(Scheduler::Rr, &mut tables, &[0, 1, 3], 3), [3, 0, 1]);
    }

    #[test]
    fn fewest_connections_count_those_that_ended_a_little() {
        let mut tables = Tables::default();
        assert_eq!(turns(Scheduler::Lc, &mut tables, &[0, 1, 2], 4), [0, 1, 2, 0]);
        // Pod 0 has two, the others one; those of 1 ends: 0 counts 512, 1 counts 1, 2 counts 256.
        tables.ended(1);
        assert_eq!(turns(Scheduler::Lc, &mut tables, &[0, 1, 2], 1), [1]);
        assert_eq!(turns(Scheduler::Lc, &mut tables, &[0, 1, 2], 1), [2]);
        assert_eq!(tables.entries(), 6);
        tables.forgotten(1);
        assert_eq!(tables.entries(), 5);
    }

    #[test]
    fn idle_pods_come_before_the_shortest_line_and_hashes_stay() {
        let mut tables = Tables::default();
        assert_eq!(turns(Scheduler::Sed, &mut tables, &[0, 1, 2], 5), [0, 1, 2, 0, 1]);
        tables.ended(2);
        assert_eq!(turns(Scheduler::Nq, &mut tables, &[0, 1, 2], 3), [2, 2, 0]);
        let hashed = turns(Scheduler::Sh, &mut tables, &[0, 1, 2], 9);
        assert!(hashed.iter().all(|pod| *pod == hashed[0]), "{hashed:?}");
    }

    #[test]
    fn a_client_stays_until_its_time_is_over_or_its_pod_is_gone() {
        let mut tables = Tables::default();
        let (start, hour) = (Time::ZERO, Span::from_secs(3600));
        assert_eq!(tables.stays(7, &[0, 1, 2], start, hour), None);
        tables.stay(7, 2, start);
        let later = start + Span::from_secs(3000);
        assert_eq!(tables.stays(7, &[0, 1, 2], later, hour), Some(2));
        // Every connection begins the time anew.
        assert_eq!(tables.stays(7, &[0, 2], later + hour, hour), Some(2));
        assert_eq!(tables.stays(7, &[0, 1], later + hour, hour), None);
        tables.stay(7, 1, later);
        assert_eq!(tables.stays(7, &[1], later + hour + Span::from_nanos(1), hour), None);
    }
}
