//! Runtimes, packages and how long their Init takes: measured quantiles of hello-world functions, by year.
//!
//! Source: `maxday/lambda-perf` (Apache-2.0), daily runs in us-east-1 of 2022 to 2026, aggregated by year (400 to 4,000
//! samples a row, `init_durations.csv` beside this file, microseconds, 512 MB). Init does not depend on memory. A lognormal is
//! too thin in the tail, so draws invert the quantile table.

use super::spec::Architecture;
use crate::kernel::Span;
use crate::model::dist::{Dist, Empirical, Quantile};
use crate::model::era::Era;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The table: runtime, package, arch, year, n, min, p50, p90, p95, p99, max.
const TABLE: &str = include_str!("init_durations.csv");
/// Quantiles of its columns from `min` to `max`.
const QUANTILES: [f64; 6] = [0.0, 0.5, 0.9, 0.95, 0.99, 1.0];

macro_rules! runtimes {
    ($($variant:ident $name:literal $about:literal,)+) => {
        /// Runtime of a function: decides the Init time, unless `init` says it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Runtime { $(#[doc = $about] #[serde(rename = $name)] $variant,)+ }

        impl Runtime {
            /// Every runtime.
            pub const ALL: &'static [Runtime] = &[$(Runtime::$variant,)+];
            /// Name in a scenario and in the table.
            pub fn name(self) -> &'static str {
                match self { $(Runtime::$variant => $name,)+ }
            }
        }
    };
}
runtimes! {
    Nodejs12 "nodejs12" "Node.js 12.",
    Nodejs14 "nodejs14" "Node.js 14.",
    Nodejs16 "nodejs16" "Node.js 16.",
    Nodejs18 "nodejs18" "Node.js 18.",
    Nodejs20 "nodejs20" "Node.js 20.",
    Nodejs22 "nodejs22" "Node.js 22.",
    Nodejs24 "nodejs24" "Node.js 24.",
    Python37 "python3.7" "Python 3.7.",
    Python38 "python3.8" "Python 3.8.",
    Python39 "python3.9" "Python 3.9.",
    Python310 "python3.10" "Python 3.10.",
    Python311 "python3.11" "Python 3.11.",
    Python312 "python3.12" "Python 3.12.",
    Python313 "python3.13" "Python 3.13.",
    Python314 "python3.14" "Python 3.14.",
    Java8 "java8" "Java 8 on Amazon Linux 1.",
    Java8Al2 "java8.al2" "Java 8 on Amazon Linux 2.",
    Java11 "java11" "Java 11.",
    Java17 "java17" "Java 17.",
    Java21 "java21" "Java 21.",
    Java25 "java25" "Java 25.",
    Go1x "go1.x" "Go, the managed runtime that ended in 2023.",
    Go "go" "Go on the OS-only runtime.",
    Rust "rust" "Rust on the OS-only runtime.",
    Llrt "llrt" "LLRT (JavaScript) on the OS-only runtime.",
    Dotnetcore31 "dotnetcore3.1" ".NET Core 3.1.",
    Dotnet6 "dotnet6" ".NET 6.",
    Dotnet8 "dotnet8" ".NET 8.",
    Dotnet8Aot "dotnet8_aot" ".NET 8 compiled ahead of time, on the OS-only runtime.",
    Dotnet9Aot "dotnet9_aot" ".NET 9 compiled ahead of time, on the OS-only runtime.",
    Dotnet10 "dotnet10" ".NET 10.",
    Dotnet10Aot "dotnet10_aot" ".NET 10 compiled ahead of time, on the OS-only runtime.",
    Ruby27 "ruby2.7" "Ruby 2.7.",
    Ruby32 "ruby3.2" "Ruby 3.2.",
    Ruby33 "ruby3.3" "Ruby 3.3.",
    Ruby34 "ruby3.4" "Ruby 3.4.",
}

impl Runtime {
    /// Whether it brings its own runtime: its Init was always billed (Lambda price page).
    pub fn os_only(self) -> bool {
        matches!(
            self,
            Runtime::Go
                | Runtime::Rust
                | Runtime::Llrt
                | Runtime::Dotnet8Aot
                | Runtime::Dotnet9Aot
                | Runtime::Dotnet10Aot
        )
    }

    /// First era in which `SnapStart` takes it: Java 11 from 2022-11, Python 3.12 and .NET 8 from 2024-11 (Lambda guide).
    pub fn snap_start_since(self) -> Option<Era> {
        match self {
            Runtime::Java11 | Runtime::Java17 => Some(Era::Y2021),
            Runtime::Java21 => Some(Era::Y2023),
            Runtime::Java25
            | Runtime::Python312
            | Runtime::Python313
            | Runtime::Python314
            | Runtime::Dotnet8
            | Runtime::Dotnet10 => Some(Era::Y2025),
            _ => None,
        }
    }

    /// Whether its snapshots cost nothing (Lambda price page: Java).
    pub fn snapshots_free(self) -> bool {
        self.name().starts_with("java")
    }
}

/// Form in which the code is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Package {
    /// A zip archive.
    #[default]
    Zip,
    /// A container image (from December 2020).
    Image,
    /// A snapshot; said by `snap_start`, not here.
    #[serde(skip)]
    Snapshot,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Package::Zip => "zip",
            Package::Image => "image",
            Package::Snapshot => "snapstart",
        }
    }
}

/// The measured Init durations.
pub(super) struct Table;

impl Table {
    /// Init time of a runtime in the measured year nearest to the era; none if it was never measured in this form.
    pub(super) fn init(
        runtime: Runtime,
        package: Package,
        architecture: Architecture,
        era: Era,
    ) -> Option<Dist> {
        let (wanted, exact) = (era.measured_year(), [runtime.name(), package.name()]);
        let rows = TABLE.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let rows = rows
            .filter(|row| row.len() == 11 && row[..2] == exact && row[2] == architecture.name());
        let year = |row: &Vec<&str>| row[3].parse::<i32>().unwrap_or(0);
        // Of two years equally near the later one.
        let row = rows.min_by_key(|row| ((year(row) - wanted).abs(), -year(row)))?;
        let micros = row[5..].iter().map(|text| text.parse().unwrap_or(0));
        let quantile = |(q, us)| Quantile { q, value: Span::from_micros(us) };
        let quantiles = QUANTILES.into_iter().zip(micros).map(quantile).collect();
        Some(Dist::Empirical(Empirical { quantiles: Some(quantiles), csv: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(law: Option<Dist>) -> Vec<u64> {
        let Some(Dist::Empirical(Empirical { quantiles: Some(points), .. })) = law else {
            return Vec::new();
        };
        points.iter().map(|point| point.value.nanos() / 1000).collect()
    }

    #[test]
    fn every_runtime_was_measured_as_zip_and_the_rows_ascend() {
        let zip = |runtime, era| micros(Table::init(runtime, Package::Zip, Architecture::X86, era));
        for &runtime in Runtime::ALL {
            for era in [Era::Y2018, Era::Y2026] {
                let row = zip(runtime, era);
                assert!(row.len() == 6 && row.is_sorted() && row[0] > 0, "{runtime:?} {row:?}");
            }
        }
        assert_eq!(zip(Runtime::Nodejs22, Era::Y2026)[1], 142_400);
    }

    #[test]
    fn rows_are_chosen_by_form_and_nearest_year() {
        let row = |runtime, package, architecture, era| {
            micros(Table::init(runtime, package, architecture, era))
        };
        // Measured from 2023 on: 2018 takes the first, 2026 its own.
        let first = row(Runtime::Nodejs20, Package::Zip, Architecture::X86, Era::Y2018);
        assert_eq!((first[1], first[4]), (145_360, 647_000));
        let last = row(Runtime::Nodejs20, Package::Zip, Architecture::X86, Era::Y2026);
        assert_eq!(last[1], 144_200);
        let image = row(Runtime::Nodejs20, Package::Image, Architecture::X86, Era::Y2026);
        assert!(image[1] > last[1]);
        let arm = row(Runtime::Go, Package::Zip, Architecture::Arm64, Era::Y2026);
        assert!(arm[1] < 50_850);
        let snapshot = row(Runtime::Java17, Package::Snapshot, Architecture::X86, Era::Y2025);
        assert_eq!(snapshot[1..5], [634_820, 750_250, 787_820, 899_180]);
        assert!(row(Runtime::Rust, Package::Snapshot, Architecture::X86, Era::Y2026).is_empty());
    }
}
