//! Which pod goes first when there are too many: the order in which a ReplicaSet's controller deletes them (`pkg/controller/controller_utils.go`,
//! `ActivePodsWithRanks`). Left out: the annotation of a pod's deletion cost, which nothing here sets, and the termination policies of EC2
//! Auto Scaling, in whose place the newest goes.

use super::autoscaler::AutoscalerSpec;
use super::replica::{Row, Stage};
use crate::kernel::{Key, Span, Time};
use crate::model::era::Era;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// Who deletes pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleter {
    /// Another than a ReplicaSet: of those that stand alike, the one that does so for the shortest time goes.
    Other,
    /// A ReplicaSet that compares ages as they are.
    ReplicaSet,
    /// A ReplicaSet that compares the powers of two in which ages lie (feature gate `LogarithmicScaleDown`).
    ReplicaSetByPowers,
}

impl Deleter {
    /// A ReplicaSet deletes pods that a Horizontal Pod Autoscaler or KEDA scales, and those that nobody scales.
    pub(super) fn of(scaler: Option<&AutoscalerSpec>, era: Era) -> Deleter {
        if scaler.is_some_and(|own| own.hpa.is_none() && own.keda.is_none()) {
            Deleter::Other
        } else if era.scales_down_by_powers() {
            Deleter::ReplicaSetByPowers
        } else {
            Deleter::ReplicaSet
        }
    }
}

/// Pods of one service at one moment.
pub(super) struct Ranked<'a> {
    pub(super) rows: &'a [Row],
    pub(super) now: Time,
    pub(super) deleter: Deleter,
    /// Of the pods' names, which decide between two that are equal.
    pub(super) key: Key,
}

/// Points in time are written in whole seconds (`metav1.Time`).
fn written(at: Time) -> Time {
    Time::from_nanos(at.nanos() / 1_000_000_000 * 1_000_000_000)
}

/// The power of two in which an age lies; below all of them one of nothing.
fn power(age: Span) -> Option<u32> {
    age.nanos().checked_ilog2()
}

/// Where a pod is; those that no host has yet are together.
fn place(row: &Row) -> Option<u16> {
    (row.stage != Stage::Waiting).then_some(row.host)
}

impl Ranked<'_> {
    /// The pod that goes first, of those that exist and are of a kind.
    pub(super) fn first(&self, which: impl Fn(&Row) -> bool) -> Option<usize> {
        let mut near = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.here()) {
            *near.entry(place(row)).or_insert(0_u32) += 1;
        }
        let of_kind = |at: &usize| self.rows[*at].here() && which(&self.rows[*at]);
        let near = |at: usize| near.get(&place(&self.rows[at])).copied();
        (0..self.rows.len()).filter(of_kind).min_by(|a, b| self.order(*a, *b, &near))
    }

    /// Less: it goes before the other. `near` has how many pods are on the host of a pod, itself among them.
    fn order(&self, a: usize, b: usize, near: &dyn Fn(usize) -> Option<u32>) -> Ordering {
        let [one, other] = [a, b].map(|at| &self.rows[at]);
        // Unassigned, pending, not ready, ready.
        let stage = |row: &Row| match row.stage {
            Stage::Ready => 3,
            Stage::Running => 2,
            Stage::Starting => 1,
            _ => 0,
        };
        if self.deleter == Deleter::Other {
            let rank = |at, row: &Row| (stage(row), Reverse(row.changed), Reverse(at));
            return rank(a, one).cmp(&rank(b, other));
        }
        stage(one)
            .cmp(&stage(other))
            .then_with(|| near(b).cmp(&near(a)))
            .then_with(|| match one.stage {
                Stage::Ready => self.younger((a, one.changed), (b, other.changed)),
                _ => Ordering::Equal,
            })
            .then_with(|| other.restarted.cmp(&one.restarted))
            .then_with(|| self.younger((a, one.created), (b, other.created)))
            .then_with(|| b.cmp(&a))
    }

    fn younger(&self, (a, since_a): (usize, Time), (b, since_b): (usize, Time)) -> Ordering {
        let (one, other) = (written(since_a), written(since_b));
        if one == other || self.deleter == Deleter::ReplicaSet {
            return other.cmp(&one);
        }
        let age = |since: Time| power(self.now.since(since));
        age(one).cmp(&age(other)).then_with(|| self.name(a).cmp(&self.name(b)))
    }

    /// A pod's name, as random as its UID.
    fn name(&self, at: usize) -> u64 {
        let key = self.key.with(at as u64).with(u64::from(self.rows[at].life));
        key.named("uid").stream().below(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(host: u16, stage: Stage, ready_at: u64) -> Row {
        let changed = Time::ZERO + Span::from_secs(ready_at);
        Row { host, stage, changed, created: changed, ..Row::new(true) }
    }

    fn ranked(rows: &[Row], now: u64, by_powers: bool) -> Ranked<'_> {
        let era = if by_powers { Era::Y2021 } else { Era::Y2020 };
        let deleter = Deleter::of(None, era);
        Ranked { rows, now: Time::ZERO + Span::from_secs(now), deleter, key: Key::root(1, 0) }
    }

    #[test]
    fn who_does_not_serve_goes_first_then_who_shares_a_host_then_the_youngest() {
        let (ready, running) = (Stage::Ready, Stage::Running);
        let mut rows = vec![row(0, ready, 100), row(0, ready, 10), row(1, ready, 500)];
        let first = |rows: &[Row]| ranked(rows, 600, true).first(|_| true);
        // Two on host 0: 500 s lie below 2^39 ns, which are 549.8 s, and 590 s above.
        assert_eq!(first(&rows), Some(0));
        rows.push(row(1, running, 20));
        assert_eq!(first(&rows), Some(3), "not ready");
        rows.push(row(0, Stage::Starting, 20));
        assert_eq!(first(&rows), Some(4), "pending");
        rows.push(row(0, Stage::Waiting, 20));
        assert_eq!(first(&rows), Some(5), "on no host");
    }

    #[test]
    fn ages_in_one_power_of_two_are_alike() {
        // 590 s and 1,090 s lie between 2^39 and 2^40 ns, 549 s below.
        let rows = |ages: [u64; 2]| ages.map(|age| row(age as u16, Stage::Ready, 2_000 - age));
        let first = |ages: [u64; 2], by_powers| {
            ranked(&rows(ages), 2_000, by_powers).first(|_| true).unwrap()
        };
        assert_eq!(first([549, 590], true), 0);
        assert_eq!(first([590, 549], true), 1);
        let alike = rows([590, 1_090]);
        let own = ranked(&alike, 2_000, true);
        let by_name = usize::from(own.name(1) < own.name(0));
        assert_eq!(first([590, 1_090], true), by_name);
        // Before Kubernetes 1.22 always the younger.
        assert_eq!((first([590, 1_090], false), first([1_090, 590], false)), (0, 1));
    }

    #[test]
    fn of_pods_ready_since_the_same_second_the_one_restarted_more_often_goes() {
        let mut rows = [0, 1, 2].map(|host| row(host, Stage::Ready, 50));
        rows[1].restarted = 2;
        rows[2].changed = Time::ZERO + Span::from_millis(50_300);
        assert_eq!(ranked(&rows, 100, true).first(|_| true), Some(1));
    }

    #[test]
    fn others_delete_the_newest_wherever_it_is() {
        let rows = [(0, 10), (0, 40), (1, 50)].map(|(host, at)| row(host, Stage::Ready, at));
        let other = Ranked { deleter: Deleter::Other, ..ranked(&rows, 100, true) };
        assert_eq!(
            (other.first(|_| true), ranked(&rows, 100, true).first(|_| true)),
            (Some(2), Some(1))
        );
    }
}
