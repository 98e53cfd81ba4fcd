//! Machines that come and go with the pods of a service.

use super::autoscaler::NodesSpec;
use crate::kernel::{Key, Span, Time};
use crate::model::data::Data;
use crate::model::dist::Dist;
use crate::model::scale::nodes::Provisioning;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Absent,
    Coming,
    Up,
}

/// Machines that come and go.
pub(super) struct Machines {
    rows: Vec<(Machine, u32)>,
    /// How many were up when the run began.
    at_first: u16,
    per_node: usize,
    law: Provisioning,
    pub(super) unneeded: Span,
    /// Node time on the bill so far, and until when it is counted.
    billed: f64,
    since: Time,
    key: Key,
}

impl Machines {
    /// # Errors
    /// Says which law has no meaning; a checked scenario has no such errors.
    pub(super) fn build(
        spec: &NodesSpec,
        (up, all): (u16, u16),
        data: &Data,
        key: Key,
    ) -> Result<Machines, String> {
        let sampler = |law: &Dist| law.sampler(data);
        let state = |node: u16| if node < up { Machine::Up } else { Machine::Absent };
        Ok(Machines {
            rows: (0..all).map(|node| (state(node), 0)).collect(),
            at_first: up.min(all),
            per_node: usize::from(spec.pods_per_node.max(1)),
            law: Provisioning::new(spec.provisioner, (&spec.ec2, &spec.join), sampler)?,
            unneeded: spec.unneeded,
            billed: 0.0,
            since: Time::ZERO,
            key,
        })
    }

    /// The machine of a pod and where it stands.
    pub(super) fn of(&self, pod: usize) -> (usize, Machine) {
        let node = pod / self.per_node;
        (node, self.rows[node].0)
    }

    /// The pods that a machine has room for.
    pub(super) fn pods(&self, node: usize, all: usize) -> std::ops::Range<usize> {
        let first = node * self.per_node;
        first..(first + self.per_node).min(all)
    }

    /// Asks for a machine; says when it is up, and its turn.
    pub(super) fn order(&mut self, node: usize, now: Time) -> (Span, u32) {
        self.bill(now);
        let (state, life) = &mut self.rows[node];
        (*state, *life) = (Machine::Coming, *life + 1);
        let key = self.key.named("machine").with(node as u64).with(u64::from(*life));
        (self.law.draw(&mut key.stream()), *life)
    }

    /// A machine is up, unless its turn has passed.
    pub(super) fn up(&mut self, node: usize, life: u32) -> bool {
        let row = &mut self.rows[node];
        let current = row.1 == life && row.0 == Machine::Coming;
        if current {
            row.0 = Machine::Up;
        }
        current
    }

    /// A machine has no pod any more: the turn under which it goes unless it is needed meanwhile.
    pub(super) fn empty(&mut self, node: usize) -> Option<u32> {
        let (state, life) = &mut self.rows[node];
        (*state == Machine::Up).then(|| {
            *life += 1;
            *life
        })
    }

    /// A machine that has been empty for long enough goes, unless its turn has passed.
    pub(super) fn go(&mut self, node: usize, life: u32, now: Time) {
        self.bill(now);
        if self.rows[node] == (Machine::Up, life) {
            self.rows[node].0 = Machine::Absent;
        }
    }

    /// A machine is lost.
    pub(super) fn lose(&mut self, node: usize, now: Time) {
        self.bill(now);
        if let Some((state, life)) = self.rows.get_mut(node) {
            (*state, *life) = (Machine::Absent, *life + 1);
        }
    }

    fn bill(&mut self, now: Time) {
        let up = self.rows.iter().filter(|(state, _)| *state != Machine::Absent).count();
        self.billed += up as f64 * now.since(self.since).as_secs_f64();
        self.since = now;
    }

    /// Machine time on the bill, seconds, and how many machines there were at first: so many stay when the load is over.
    pub(super) fn held(&mut self, now: Time) -> (f64, f64) {
        self.bill(now);
        (self.billed, f64::from(self.at_first))
    }
}
