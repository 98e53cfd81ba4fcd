//! Pods on AWS Fargate: each alone on processors and memory of its own, on the bill from the pull of its image to its end.
//!
//! Left out: ephemeral storage beyond the 20 GB that cost nothing, ARM and Spot prices, what a pod asks for (its size is given).

use super::fleet::Fleet;
use super::replica::Stage;
use crate::kernel::Time;
use crate::model::component::Check;
use crate::model::usage::{UsageLine, billed_seconds};
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items of the price table.
pub(super) const ITEMS: [&str; 2] = ["fargate.vcpu_hour", "fargate.gb_hour"];

/// vCPUs with the least, the largest and the step of their memory, MiB: the combinations there are (Amazon EKS user guide, "Understand
/// Fargate Pod configuration details", read 2026-11; Amazon ECS has the same). 0.25 vCPU has 0.5, 1 or 2 GB.
const SIZES: [(f64, u64, u64, u64); 7] = [
    (0.25, 512, 2_048, 512),
    (0.5, 1_024, 4_096, 1_024),
    (1.0, 2_048, 8_192, 1_024),
    (2.0, 4_096, 16_384, 1_024),
    (4.0, 8_192, 30_720, 1_024),
    (8.0, 16_384, 61_440, 4_096),
    (16.0, 32_768, 122_880, 8_192),
];

/// What Fargate provides for each pod, and bills.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fargate {
    /// vCPUs of a pod: 0.25, 0.5, 1, 2, 4, 8 or 16.
    #[schemars(range(min = 0.25, max = 16.0))]
    pub vcpu: f64,
    /// Memory of a pod, one of those that come with its vCPUs. EKS adds 256 MB to what the pod asks for and rounds the whole up: it is the
    /// memory of the pod's annotation `CapacityProvisioned`.
    pub memory: Bytes,
}

impl Fargate {
    /// Tells a size that there is not.
    pub(super) fn check(self, check: &mut Check) {
        let Some(&(_, least, most, step)) =
            SIZES.iter().find(|size| size.0.to_bits() == self.vcpu.to_bits())
        else {
            return check.problem(
                "E0410",
                "hosts.fargate.vcpu",
                format!("Fargate has no pods of {} vCPU", self.vcpu),
                "give 0.25, 0.5, 1, 2, 4, 8 or 16",
            );
        };
        let mib = |mib: u64| Bytes(mib << 20);
        let fits = (least..=most).step_by(step as usize).any(|size| mib(size) == self.memory);
        if !fits || (self.vcpu < 0.5 && self.memory == mib(1_536)) {
            check.problem(
                "E0410",
                "hosts.fargate.memory",
                format!("Fargate has no pods of {} vCPU with {}", self.vcpu, self.memory),
                "0.25 vCPU comes with 512 MB, 1 or 2 GB; 0.5 with 1 to 4 GB, 1 with 2 to 8, 2 with 4 to 16, 4 with 8 to 30 (steps of 1 GB), 8 with 16 to 60 (of 4), 16 with 32 to 120 (of 8)",
            );
        }
    }

    /// The lines of the bill for pods that were there for so long, of which so many were there at first. Without machines under them, what
    /// a pod of a fleet costs between the windows of a month is what those cost that were there at first.
    pub(super) fn usage(self, node: &str, time: PodTime, at_first: f64) -> [UsageLine; 2] {
        let memory = self.memory.0 as f64 / f64::from(1 << 30);
        let line = |item: &str, size: f64, unit| {
            let line = UsageLine::held(node, item, time.billed as f64 / 3600.0 * size, unit);
            UsageLine { held: time.held / 3600.0 * size, between: Some(at_first * size), ..line }
        };
        [line(ITEMS[0], self.vcpu, "vCPU-hour"), line(ITEMS[1], memory, "GB-hour")]
    }
}

/// For how long pods were there, each from the pull of its image to its end, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct PodTime {
    /// In whole seconds of each, a minute at least: AWS Fargate pricing (from the start of the download of the image until the pod
    /// terminates, rounded up to the nearest second, at least one minute for Linux; read 2026-11).
    pub(super) billed: u64,
    /// As it was.
    pub(super) held: f64,
}

impl PodTime {
    /// So many pods that were there from `from` to `to`.
    pub(super) fn add(&mut self, pods: u64, from: Time, to: Time) {
        let time = to.since(from);
        self.billed += pods * billed_seconds(time);
        self.held += pods as f64 * time.as_secs_f64();
    }
}

impl Fleet {
    /// A pod ends.
    pub(super) fn count_life(&mut self, at: usize, now: Time) {
        if let (Some(pulled), false) = (self.row(at).scheduled, self.row(at).stage == Stage::Absent)
        {
            self.lives.add(1, pulled, now);
        }
    }

    /// The time of all pods so far, of those that are there as well.
    pub(super) fn pod_time(&self, now: Time) -> PodTime {
        let mut time = self.lives;
        let there = self.rows().iter().filter(|row| row.stage != Stage::Absent);
        there.filter_map(|row| row.scheduled).for_each(|pulled| time.add(1, pulled, now));
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Span;

    #[test]
    fn a_pod_of_seconds_is_billed_a_minute() {
        let mut time = PodTime::default();
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        time.add(1, at(5_000), at(12_500));
        time.add(2, at(0), at(90_001));
        assert_eq!(time.billed, 60 + 2 * 91);
        assert!((time.held - 7.5 - 180.002).abs() < 1e-9);
        let size = Fargate { vcpu: 0.5, memory: Bytes(1 << 30) };
        let [cpu, memory] = size.usage("n", time, 2.0);
        assert!((cpu.quantity - 0.5 * 242.0 / 3600.0).abs() < 1e-12 && cpu.reserved);
        assert!((memory.quantity - 242.0 / 3600.0).abs() < 1e-12);
        assert_eq!((cpu.between, memory.between), (Some(1.0), Some(2.0)));
    }
}
