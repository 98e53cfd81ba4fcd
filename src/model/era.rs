//! Eras: dated presets of the platform's rules. What a preset sets is listed at each accessor with its source.

use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which rules of the platform apply.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// October 2018 to August 2019: network interface attached during the cold start, 100 ms billing.
    Y2018,
    /// September to November 2019: shared network interfaces.
    Y2019,
    /// December 2019 to November 2020: provisioned concurrency; 1 vCPU is 1,792 MB.
    Y2020,
    /// December 2020 to November 2023: 1 ms billing; 1 vCPU is 1,769 MB.
    Y2021,
    /// November 2023 to July 2025: environments scale per function, 1,000 every 10 s.
    Y2023,
    /// August to November 2025: the init phase is billed.
    #[default]
    Y2025,
    /// December 2025 on.
    Y2026,
}

/// How the platform takes environments away and replaces them, where that has been measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upkeep {
    /// All environments of a function go once it has been idle for this.
    pub idle: Span,
    /// An environment goes once no peak of concurrency has needed it for this.
    pub surplus: Span,
    /// One that is lost is replaced ahead of demand if a peak of concurrency needed it within this.
    pub recent: Span,
    /// Distance between two rounds of the reaper.
    pub period: Span,
    /// An environment is recycled at an age between this …
    pub shortest_life: Span,
    /// … and this, uniformly.
    pub longest_life: Span,
    /// Mean time until an environment is lost earlier (its host goes), exponential.
    pub mean_loss: Span,
}

impl Era {
    /// Name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Era::Y2018 => "y2018",
            Era::Y2019 => "y2019",
            Era::Y2020 => "y2020",
            Era::Y2021 => "y2021",
            Era::Y2023 => "y2023",
            Era::Y2025 => "y2025",
            Era::Y2026 => "y2026",
        }
    }

    /// Memory that comes with one vCPU, MB (Lambda guide: 1,792 until 2020, 1,769 from December 2020).
    pub fn mb_per_vcpu(self) -> f64 {
        if self <= Era::Y2020 { 1792.0 } else { 1769.0 }
    }

    /// Largest memory of a function, MB (Lambda guide: 3,008 until 2020, 10,240 from December 2020).
    pub fn memory_max_mb(self) -> u64 {
        if self <= Era::Y2020 { 3008 } else { 10_240 }
    }

    /// Step of a function's memory, MB (Lambda guide: 64 until 2020, 1 from December 2020).
    pub fn memory_step_mb(self) -> u64 {
        if self <= Era::Y2020 { 64 } else { 1 }
    }

    /// Share of invocations that the platform lost: 2 % in spikes until 2020, 1 of 1.6 million from 2021 (Knock's report).
    pub fn platform_errors(self) -> f64 {
        if self <= Era::Y2020 { 0.02 } else { 6.25e-7 }
    }

    /// Whether the scaling budget is the account's (until November 2023) or each function's.
    pub fn account_scaling(self) -> bool {
        self <= Era::Y2021
    }

    /// Durations are billed in steps of this (100 ms until November 2020, then 1 ms).
    pub fn billing_step(self) -> Span {
        if self <= Era::Y2020 { Span::from_millis(100) } else { Span::from_millis(1) }
    }

    /// Whether the init phase of a zip function on a managed runtime is billed (from August 2025).
    pub fn init_billed(self) -> bool {
        self >= Era::Y2025
    }

    /// How long an idle environment is kept. 10 min measured 2019-07 to 2020-04, 5 to 7 min in January 2021
    /// (mikhail.io); later values are assumed.
    pub fn idle_life(self) -> Span {
        match self {
            Era::Y2018 => Span::from_secs(37 * 60),
            Era::Y2019 | Era::Y2020 => Span::from_secs(600),
            _ => Span::from_secs(360),
        }
    }

    /// How environments are taken away and replaced: fitted to logs of 2020 (docs/lambda-log.md). In other eras nothing of
    /// the kind has been measured, and a sharp timer of [`Era::idle_life`] stands for it.
    pub fn upkeep(self) -> Option<Upkeep> {
        (self == Era::Y2020).then_some(Upkeep {
            idle: Span::from_secs(619),
            surplus: Span::from_secs(1100),
            recent: Span::from_secs(300),
            period: Span::from_secs(27),
            shortest_life: Span::from_secs(117 * 60),
            longest_life: Span::from_secs(123 * 60),
            mean_loss: Span::from_secs(30_000),
        })
    }

    /// Year whose measured Init durations come nearest; they were measured from 2022 on.
    pub fn measured_year(self) -> i32 {
        match self {
            Era::Y2018 | Era::Y2019 | Era::Y2020 | Era::Y2021 => 2022,
            Era::Y2023 => 2024,
            Era::Y2025 => 2025,
            Era::Y2026 => 2026,
        }
    }

    /// Whether a cold start in a VPC attaches a network interface (until August 2019).
    pub fn attaches_interface(self) -> bool {
        self == Era::Y2018
    }

    /// Whether a ReplicaSet compares the ages of pods by powers of two when it deletes some (KEP-2185, feature gate
    /// `LogarithmicScaleDown`: on since Kubernetes 1.22 of August 2021).
    pub fn scales_down_by_powers(self) -> bool {
        self >= Era::Y2021
    }
}
