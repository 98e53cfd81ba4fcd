//! How quantities are rounded before they are billed. Pure; each rule with its source.
//!
//! Sources are those of the shipped price table. KB and GB are powers of 1,024, as AWS counts them.

use super::error::PriceError;
use super::table::Table;

/// Bytes of one KB as AWS meters payloads.
const KB: u64 = 1024;
/// An asynchronous event up to this size is one request (Lambda price page).
const ASYNC_FREE_BYTES: u64 = 256 * KB;
/// Size of a billed chunk of an asynchronous event, and of a queue call (Lambda, SQS price pages).
const CHUNK_BYTES: u64 = 64 * KB;
/// Size of one metered request of an HTTP API (API Gateway price page).
const HTTP_API_CHUNK_BYTES: u64 = 512 * KB;

/// Duration that is billed for a call, ms: up to the next step of 1 ms (from 2020-12) or 100 ms (before).
pub fn billed_duration_ms(duration_ns: u64, rounding_ms: u64) -> u64 {
    let step_ns = rounding_ms.max(1) * 1_000_000;
    duration_ns.div_ceil(step_ns) * rounding_ms.max(1)
}

/// GB-seconds of a call: *configured* memory in GB of 1,024 MB, times its billed duration.
pub fn lambda_gb_seconds(memory_mb: u64, billed_ms: u64) -> f64 {
    memory_mb as f64 / 1024.0 * (billed_ms as f64 / 1000.0)
}

/// Requests billed for one asynchronous event: one, and one more for each started 64 KB above 256 KB.
pub fn async_event_requests(payload_bytes: u64) -> u64 {
    1 + payload_bytes.saturating_sub(ASYNC_FREE_BYTES).div_ceil(CHUNK_BYTES)
}

/// Calls billed for one call to a queue: one for each started 64 KB of its payload, at least one.
pub fn sqs_billed_calls(payload_bytes: u64) -> u64 {
    payload_bytes.div_ceil(CHUNK_BYTES).max(1)
}

/// Calls to a queue that move so many messages in batches; a batch is one call.
pub fn sqs_batch_calls(messages: u64, batch: u64) -> u64 {
    messages.div_ceil(batch.max(1))
}

/// Requests metered by an HTTP API: one for each started 512 KB, at least one.
pub fn http_api_requests(payload_bytes: u64) -> u64 {
    payload_bytes.div_ceil(HTTP_API_CHUNK_BYTES).max(1)
}

/// Seconds that are billed for a thing held so long: whole steps (five minutes for provisioned concurrency,
/// one second for instances), and no less than the minimum (60 s for EC2, 3 h for a `SnapStart` cache).
pub fn billed_seconds(held_ns: u64, rule: HeldRule) -> u64 {
    let step = rule.step_seconds.max(1);
    let steps = held_ns.div_ceil(1_000_000_000).div_ceil(step);
    (steps * step).max(rule.minimum_seconds)
}

/// Units of what is paid for as long as it is held, however little it is used: a thing, and a size of it (vCPUs and memory of Fargate).
const HELD_UNITS: [&str; 3] = ["hour", "vCPU-hour", "GB-hour"];

/// The unit, if what is counted in it is paid for as long as it is held.
pub fn held_unit(unit: &str) -> Option<&'static str> {
    HELD_UNITS.into_iter().find(|known| *known == unit)
}

/// How held time is rounded; a price table gives both figures by item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldRule {
    /// Least time that is billed, seconds.
    pub minimum_seconds: u64,
    /// Billed in whole steps of so many seconds; 0 says of one second.
    pub step_seconds: u64,
}

impl HeldRule {
    /// EC2, Linux: by the second, at least one minute.
    pub const EC2: HeldRule = HeldRule { minimum_seconds: 60, step_seconds: 1 };
    /// Provisioned concurrency: from enabling to disabling, up to the next five minutes.
    pub const PROVISIONED: HeldRule = HeldRule { minimum_seconds: 0, step_seconds: 300 };
    /// Cache of a `SnapStart` version: at least three hours.
    pub const SNAPSTART_CACHE: HeldRule = HeldRule { minimum_seconds: 10_800, step_seconds: 1 };
}

/// Share of the time above which provisioned concurrency is cheaper than on demand, for `x86_64` or `arm64`:
/// held / (on demand − running).
pub fn provisioned_break_even(table: &Table, architecture: &str) -> Result<f64, PriceError> {
    let price = |family: &str| {
        let item = table.item(&format!("lambda.{family}.{architecture}"))?;
        Ok::<f64, PriceError>(item.first_price().as_f64())
    };
    let saved = price("duration")? - price("provisioned_duration")?;
    Ok(price("provisioned")? / saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_start_full() {
        assert_eq!([0, 1, 64 * KB, 64 * KB + 1].map(sqs_billed_calls), [1, 1, 1, 2]);
        assert_eq!([0, 256 * KB, 256 * KB + 1, 320 * KB].map(async_event_requests), [1, 1, 2, 2]);
        assert_eq!([0, 512 * KB, 513 * KB].map(http_api_requests), [1, 1, 2]);
        assert_eq!(
            (sqs_batch_calls(21, 10), sqs_batch_calls(0, 10), sqs_batch_calls(3, 0)),
            (3, 0, 3)
        );
    }

    #[test]
    fn held_time_has_a_minimum_and_steps() {
        let s = 1_000_000_000;
        assert_eq!(
            [1, 60 * s, 60 * s + 1].map(|ns| billed_seconds(ns, HeldRule::EC2)),
            [60, 60, 61]
        );
        let provisioned = |ns| billed_seconds(ns, HeldRule::PROVISIONED);
        assert_eq!([1, 300 * s, 301 * s].map(provisioned), [300, 300, 600]);
        assert_eq!(billed_seconds(s, HeldRule::SNAPSTART_CACHE), 3 * 3600);
        assert_eq!(billed_seconds(1, HeldRule::default()), 1);
    }

    #[test]
    fn the_rules_are_those_of_the_table() {
        let table = Table::builtin("us-east-1").unwrap();
        for (item, rule) in [
            ("ec2.t2.micro", HeldRule::EC2),
            ("lambda.provisioned.arm64", HeldRule::PROVISIONED),
            ("lambda.snapstart_cache", HeldRule::SNAPSTART_CACHE),
        ] {
            let item = table.item(item).unwrap();
            assert_eq!(item.minimum_seconds, rule.minimum_seconds);
            assert_eq!(item.step_seconds.max(1), rule.step_seconds.max(1));
        }
    }
}
