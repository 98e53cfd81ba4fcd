//! Hosts that are lost, drained or taken away, with the pods on them.

use super::fleet::{Fleet, KUBELET};
use super::replica::Stage;
use super::service::Pods;
use super::spec::PodsSpec;
use crate::kernel::{Span, Time};
use crate::model::context::Ctx;
use crate::model::cpu::Sharing;
use crate::model::host::HostId;
use crate::model::operation::Action;
use crate::model::wiring::Wiring;

/// The lease of a lost host has run out: word is the pod.
pub(super) const LEASE_OVER: u8 = KUBELET + 16;
/// The pods of a lost host are evicted.
pub(super) const EVICTED: u8 = KUBELET + 17;
/// A notice is over: word is the host.
pub(super) const TAKEN: u8 = KUBELET + 18;

/// kube-controller-manager: `--node-monitor-grace-period` of recent releases.
const LEASE: Span = Span::from_secs(50);
/// Default toleration of an unreachable node.
const TOLERATION: Span = Span::from_secs(300);

impl Fleet {
    /// Hosts take no new pods, and those on them are to be replaced.
    fn cordon(&mut self, host: usize) {
        self.close(host, true);
        for row in self.rows_mut().iter_mut().filter(|row| usize::from(row.host) == host) {
            row.leave();
        }
    }

    /// The pods that exist on a host, those that are being deleted included.
    fn on(&self, host: usize) -> Vec<usize> {
        let here = |at: &usize| {
            let row = self.row(*at);
            usize::from(row.host) == host && row.stage != Stage::Absent
        };
        (0..self.len()).filter(here).collect()
    }
}

impl Pods {
    /// Something happens to hosts.
    pub(super) fn operate_hosts(&mut self, action: &Action, ctx: &mut Ctx) {
        for &host in action.hosts() {
            match action {
                Action::LoseHosts(_) => self.lose_host(usize::from(host), ctx),
                Action::Interrupt(interruption) => {
                    self.leave(usize::from(host));
                    let end = interruption.rebalance + interruption.notice;
                    ctx.wake(end, TAKEN, u32::from(host), 0);
                }
                _ => self.leave(usize::from(host)),
            }
        }
        self.carry_out(ctx);
    }

    fn leave(&mut self, host: usize) {
        if let Some(fleet) = &mut self.fleet {
            fleet.cordon(host);
        }
    }

    /// A host is gone without a word: its pods answer nobody, and only its lease tells.
    fn lose_host(&mut self, host: usize, ctx: &mut Ctx) {
        let Some(fleet) = &mut self.fleet else { return };
        fleet.close(host, true);
        fleet.lose_machine(host, ctx.queue.now());
        for at in fleet.on(host) {
            self.pods[at].frozen = true;
            let again = fleet.row(at).again;
            let life = fleet.stops(at, again);
            ctx.wake(LEASE, LEASE_OVER, at as u32, life);
        }
    }

    /// A timer of a host or of a pod on a lost one.
    pub(super) fn host_woken(&mut self, timer: u8, at: usize, turn: u32, ctx: &mut Ctx) {
        let now: Time = ctx.now();
        let Some(fleet) = &mut self.fleet else { return };
        match timer {
            TAKEN => {
                for pod in fleet.on(at) {
                    self.lost(pod, ctx);
                }
                if let Some(fleet) = &mut self.fleet {
                    fleet.lose_machine(at, now);
                }
            }
            _ if fleet.row(at).life != turn => {}
            LEASE_OVER => {
                fleet.contained(at, false, now);
                ctx.wake(TOLERATION, EVICTED, at as u32, turn);
            }
            _ => self.lost(at, ctx),
        }
    }

    /// A pod is no more, and nobody could tell it to go.
    fn lost(&mut self, pod: usize, ctx: &mut Ctx) {
        if let Some(fleet) = &mut self.fleet {
            fleet.stops(pod, false);
            self.ended(pod, ctx);
        }
    }
}

/// A host of pods that are on no machine of the design.
pub(super) fn own_host(spec: &PodsSpec, sharing: Sharing, wiring: &mut Wiring) -> HostId {
    let (limit, most) = (spec.cpu.unwrap_or(f64::INFINITY), spec.cores());
    if limit.is_finite() || most.is_finite() {
        wiring.limited_host((spec.hosts.vcpu(), spec.hosts.speed), limit, most)
    } else {
        wiring.host(sharing)
    }
}
