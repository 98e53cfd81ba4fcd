//! Runtimes and how long their Init takes: measured quantiles of hello-world functions.
//!
//! Source: `maxday/lambda-perf` (Apache-2.0), daily runs of one year in us-east-1, zip packages, x86_64, 512 MB; our
//! aggregation (1,200 to 2,600 samples a row). Init does not depend on memory. A lognormal is too thin in the tail, so
//! draws invert the quantile table.

use crate::kernel::Span;
use crate::model::dist::{Dist, Empirical, Quantile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runtime of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// nodejs18, measured 2023.
    #[serde(rename = "nodejs18")]
    Nodejs18,
    /// nodejs20, measured 2026.
    #[serde(rename = "nodejs20")]
    Nodejs20,
    /// nodejs22, measured 2026.
    #[serde(rename = "nodejs22")]
    Nodejs22,
    /// nodejs24, measured 2026.
    #[serde(rename = "nodejs24")]
    Nodejs24,
    /// python3.9, measured 2023.
    #[serde(rename = "python3.9")]
    Python39,
    /// python3.11, measured 2026.
    #[serde(rename = "python3.11")]
    Python311,
    /// python3.12, measured 2026.
    #[serde(rename = "python3.12")]
    Python312,
    /// python3.13, measured 2026.
    #[serde(rename = "python3.13")]
    Python313,
    /// python3.14, measured 2026.
    #[serde(rename = "python3.14")]
    Python314,
    /// java11, measured 2026.
    #[serde(rename = "java11")]
    Java11,
    /// java17, measured 2026.
    #[serde(rename = "java17")]
    Java17,
    /// java21, measured 2026.
    #[serde(rename = "java21")]
    Java21,
    /// java25, measured 2026.
    #[serde(rename = "java25")]
    Java25,
    /// go, measured 2026.
    #[serde(rename = "go")]
    Go,
    /// rust, measured 2026.
    #[serde(rename = "rust")]
    Rust,
    /// dotnet8, measured 2026.
    #[serde(rename = "dotnet8")]
    Dotnet8,
    /// dotnet8_aot, measured 2026.
    #[serde(rename = "dotnet8_aot")]
    Dotnet8Aot,
    /// dotnet10, measured 2026.
    #[serde(rename = "dotnet10")]
    Dotnet10,
    /// ruby3.3, measured 2026.
    #[serde(rename = "ruby3.3")]
    Ruby33,
    /// ruby3.4, measured 2026.
    #[serde(rename = "ruby3.4")]
    Ruby34,
}

/// Microseconds at the quantiles 0, 0.5, 0.9, 0.95, 0.99 and 1.
const QUANTILES: [f64; 6] = [0.0, 0.5, 0.9, 0.95, 0.99, 1.0];

impl Runtime {
    fn microseconds(self) -> [u64; 6] {
        match self {
            Runtime::Nodejs18 => [119_940, 173_610, 199_800, 214_120, 255_700, 374_220],
            Runtime::Nodejs20 => [102_600, 144_200, 170_080, 183_660, 212_740, 274_600],
            Runtime::Nodejs22 => [100_670, 142_400, 167_160, 179_820, 215_910, 308_500],
            Runtime::Nodejs24 => [92_390, 142_440, 168_710, 181_550, 218_300, 320_370],
            Runtime::Python39 => [77_940, 111_630, 131_340, 143_280, 179_430, 370_280],
            Runtime::Python311 => [58_390, 82_340, 99_970, 110_050, 127_310, 281_250],
            Runtime::Python312 => [63_320, 88_820, 107_430, 116_890, 141_350, 282_750],
            Runtime::Python313 => [59_740, 99_880, 121_680, 132_520, 177_070, 310_080],
            Runtime::Python314 => [79_650, 120_620, 158_760, 179_950, 277_700, 424_360],
            Runtime::Java11 => [202_360, 281_610, 320_620, 363_260, 557_670, 772_750],
            Runtime::Java17 => [149_850, 210_200, 243_510, 260_590, 340_670, 624_200],
            Runtime::Java21 => [175_330, 251_830, 292_140, 317_750, 568_230, 740_100],
            Runtime::Java25 => [125_290, 213_000, 424_390, 461_480, 524_920, 700_580],
            Runtime::Go => [38_720, 50_850, 56_370, 60_950, 71_610, 92_750],
            Runtime::Rust => [11_620, 16_410, 21_170, 26_120, 47_690, 71_360],
            Runtime::Dotnet8 => [173_230, 254_390, 311_510, 338_990, 616_270, 872_000],
            Runtime::Dotnet8Aot => [67_090, 88_190, 99_310, 107_220, 124_860, 201_010],
            Runtime::Dotnet10 => [175_580, 276_210, 578_620, 640_310, 717_040, 892_440],
            Runtime::Ruby33 => [152_340, 237_200, 374_750, 403_480, 473_250, 602_830],
            Runtime::Ruby34 => [147_570, 228_560, 382_990, 411_250, 480_200, 651_680],
        }
    }

    /// Init time of a new environment.
    pub fn init(self) -> Dist {
        let points = QUANTILES.into_iter().zip(self.microseconds());
        let quantiles =
            points.map(|(q, us)| Quantile { q, value: Span::from_micros(us) }).collect();
        Dist::Empirical(Empirical { quantiles: Some(quantiles), csv: None })
    }
}
