//! Credits of burstable hosts: counted every second, and in standard mode the brake when there are none.

use super::service::Pods;
use super::spec::Hosts;
use crate::kernel::{Span, Time};
use crate::model::context::Ctx;
use crate::model::cpu::Sharing;
use crate::model::credits::{Burstable, Credits, CreditsSpec};
use crate::model::ledger::{GaugeId, LimitId};
use crate::model::wiring::Wiring;

/// Credits are counted.
pub(super) const CREDITS: u8 = 8;
/// How often: AWS counts by the millisecond; a second of the largest burst is a sixtieth of a credit a vCPU.
const GRAIN: Span = Span::from_secs(1);

struct Row {
    credits: Credits,
    /// Work of the host that is counted already.
    seen: f64,
    throttled: bool,
}

/// Hosts that live on credits.
pub(super) struct Burst {
    size: Burstable,
    spec: CreditsSpec,
    rows: Vec<Row>,
    full: Sharing,
    slow: Sharing,
    speed: f64,
    counted: Time,
    gauge: GaugeId,
    limit: LimitId,
    pub(super) throttled_seconds: f64,
}

impl Burst {
    pub(super) fn build(
        hosts: &Hosts,
        all: u16,
        full: Sharing,
        wiring: &mut Wiring,
    ) -> Option<Box<Burst>> {
        let spec = hosts.credits.clone()?;
        let size = Burstable::of(hosts.instance.as_deref()?)?;
        let Sharing::Cores { cores, speed, per_job } = full else { return None };
        let row = || Row { credits: Credits::of(size, &spec), seen: 0.0, throttled: false };
        let (me, ledger) = (wiring.me, &mut *wiring.ledger);
        Some(Box::new(Burst {
            size,
            rows: (0..all).map(|_| row()).collect(),
            spec,
            full,
            slow: Sharing::Cores { cores: cores * size.baseline, speed, per_job },
            speed,
            counted: Time::ZERO,
            gauge: ledger.gauge(me, "cpu credits", None),
            limit: ledger.limit(
                me,
                "cpu_credits",
                format!(
                    "CPU credits of {}, without them {:.0} % of each vCPU",
                    size.instance,
                    size.baseline * 100.0
                ),
            ),
            throttled_seconds: 0.0,
        }))
    }

    /// A new machine takes the place of a host.
    pub(super) fn fresh(&mut self, host: usize) {
        let mode = self.spec.mode.unwrap_or_else(|| self.size.default_mode());
        self.rows[host].credits = Credits::fresh(self.size, mode);
    }

    /// What calls wait for that are on this host's processor: credits, where it has none left.
    pub(super) fn binds(&self, host: usize) -> Option<LimitId> {
        self.rows[host].throttled.then_some(self.limit)
    }

    /// vCPU-hours on the bill beside the instances.
    pub(super) fn surplus(&self) -> f64 {
        self.rows.iter().map(|row| row.credits.surplus_vcpu_hours()).sum()
    }
}

impl Pods {
    /// Begins to count credits.
    pub(super) fn begin_credits(&self, ctx: &mut Ctx) {
        if self.burst.is_some() {
            ctx.wake(GRAIN, CREDITS, 0, 0);
        }
    }

    /// Counts what every host has used since the last time.
    pub(super) fn count_credits(&mut self, ctx: &mut Ctx) {
        let now = ctx.now();
        let Some(mut burst) = self.burst.take() else { return };
        let new = self.fleet.as_mut().map(|fleet| fleet.new_hosts()).unwrap_or_default();
        for host in new {
            burst.fresh(host);
        }
        let before = std::mem::replace(&mut burst.counted, now);
        let seconds = now.since(before).as_secs_f64();
        let mut total = 0.0;
        for (host, row) in burst.rows.iter_mut().enumerate() {
            let done = ctx.work_done(self.hosts[host]);
            let used = (done - row.seen) * 1e-9 / burst.speed;
            row.seen = done;
            row.credits.advance(seconds, used);
            total += row.credits.balance();
            if row.throttled {
                burst.throttled_seconds += seconds;
            }
            if row.throttled != row.credits.throttled() {
                row.throttled = !row.throttled;
                let sharing = if row.throttled { burst.slow } else { burst.full };
                ctx.reshare(self.hosts[host], sharing);
            }
        }
        ctx.ledger.set(burst.gauge, now, total.round() as u64);
        self.burst = Some(burst);
        ctx.wake(GRAIN, CREDITS, 0, 0);
    }
}
