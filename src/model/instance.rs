//! Sizes of AWS instance types: vCPUs and memory by family and size, for hosts and databases that name their type.

use super::component::Check;
use super::credits::{CreditMode, mode_of};
use crate::units::Bytes;

/// vCPUs of a machine whose type is neither named nor known.
const ASSUMED_VCPU: f64 = 2.0;

/// What an instance type has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceType {
    /// vCPUs.
    pub vcpu: f64,
    /// Nominal memory.
    pub memory: Bytes,
}

/// Families with so many MiB of memory for each vCPU, whose sizes follow one rule: medium has 1 vCPU, large 2, xlarge 4, Nxlarge 4N.
/// EC2, instance type specifications (general purpose, compute and memory optimised), as Kubernetes' cluster autoscaler keeps them
/// (`ec2_instance_types.go`, 2023) and as the RDS user guide lists them ("Hardware specifications for DB instance classes", 2022).
/// Bare metal is not in it: its sizes follow no rule.
const FAMILIES: &[(u64, &[&str])] = &[
    (
        2_048,
        &[
            "c5", "c5a", "c5ad", "c5d", "c6a", "c6g", "c6gd", "c6gn", "c6i", "c7a", "c7g", "c7i",
            "c8g",
        ],
    ),
    (4_096, &["m4", "m5", "m5d", "m6a", "m6g", "m6gd", "m6i", "m7a", "m7g", "m7i", "m8g"]),
    (7_808, &["r4"]),
    (8_192, &["r5", "r5b", "r5d", "r6a", "r6g", "r6gd", "r6i", "r7a", "r7g", "r7i", "r8g"]),
];

impl InstanceType {
    /// The type of this name; none: it is not known here. Takes an EC2 type (`m5.4xlarge`) or an item of a price table that ends
    /// with one (`rds.postgres.m6g.large`, `documentdb.r5.large`).
    pub fn of(name: &str) -> Option<InstanceType> {
        let mut parts = name.rsplit('.');
        let (size, family) = (parts.next()?, parts.next()?);
        let (vcpu, mib) = match family {
            "t2" | "t3" | "t3a" | "t4g" => burstable(family, size)?,
            _ => {
                let (each, _) = FAMILIES.iter().find(|(_, names)| names.contains(&family))?;
                let vcpu = vcpu(size)?;
                (vcpu, each * vcpu)
            }
        };
        Some(InstanceType { vcpu: vcpu as f64, memory: Bytes(mib << 20) })
    }
}

/// vCPUs and MiB of the T family, whose small sizes differ in memory only (EC2 user guide, burstable performance instances).
fn burstable(family: &str, size: &str) -> Option<(u64, u64)> {
    let small = if family == "t2" { 1 } else { 2 };
    Some(match size {
        "nano" => (small, 512),
        "micro" => (small, 1_024),
        "small" => (small, 2_048),
        "medium" => (2, 4_096),
        "large" => (2, 8_192),
        "xlarge" => (4, 16_384),
        "2xlarge" => (8, 32_768),
        _ => return None,
    })
}

/// vCPUs of a size by the rule.
fn vcpu(size: &str) -> Option<u64> {
    Some(match size {
        "medium" => 1,
        "large" => 2,
        "xlarge" => 4,
        _ => {
            let times: u64 = size.strip_suffix("xlarge")?.parse().ok()?;
            (2..=48).contains(&times).then_some(4 * times)?
        }
    })
}

/// vCPUs of a machine: as said, or those of its type, or two.
pub fn vcpus(said: Option<f64>, name: Option<&str>) -> f64 {
    let of_type = || InstanceType::of(name?).map(|own| own.vcpu);
    said.or_else(of_type).unwrap_or(ASSUMED_VCPU)
}

/// Tells vCPUs that are not those of the type, and that have to be assumed because the type is not known; `path` is that of the
/// vCPUs, `naming` that of the type.
pub fn check_vcpus(
    check: &mut Check,
    path: &str,
    said: Option<f64>,
    naming: &str,
    name: Option<&str>,
) {
    let Some(name) = name else { return };
    match (InstanceType::of(name), said) {
        (Some(own), Some(said)) if own.vcpu.total_cmp(&said).is_ne() => check.problem(
            "W0411",
            path,
            format!("{name} has {} vCPUs, and {said} are said", own.vcpu),
            "leave it out, or name the type that has so many",
        ),
        (None, None) => check.problem(
            "W0410",
            naming,
            format!("how many vCPUs {name} has is not known: {ASSUMED_VCPU} are assumed"),
            &format!("say how many by `{path}`"),
        ),
        _ => {}
    }
}

/// Tells a type that is held to its baseline once its CPU credits are used up, for a node whose credits cannot be counted. What types
/// in unlimited mode do is right but for what they borrow.
pub fn check_burst(check: &mut Check, naming: &str, name: Option<&str>) {
    if let Some(name) = name
        && mode_of(name) == Some(CreditMode::Standard)
    {
        check.problem(
            "W0412",
            naming,
            format!("{name} is held to its baseline when its CPU credits are used up, and here it never is"),
            "name a type that does not burst, or read the results as those of a machine that never runs out",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(name: &str) -> Option<(f64, u64)> {
        InstanceType::of(name).map(|own| (own.vcpu, own.memory.0 >> 20))
    }

    #[test]
    fn sizes_are_those_that_aws_publishes() {
        for (name, vcpu, mib) in [
            ("m5.4xlarge", 16.0, 65_536),
            ("m5.24xlarge", 96.0, 393_216),
            ("m6g.medium", 1.0, 4_096),
            ("c5.large", 2.0, 4_096),
            ("c5.9xlarge", 36.0, 73_728),
            ("c6a.48xlarge", 192.0, 393_216),
            ("r4.large", 2.0, 15_616),
            ("r4.16xlarge", 64.0, 499_712),
            ("t2.small", 1.0, 2_048),
            ("t3.nano", 2.0, 512),
            ("t4g.2xlarge", 8.0, 32_768),
            ("rds.postgres.r5.xlarge", 4.0, 32_768),
            ("documentdb.r5.4xlarge", 16.0, 131_072),
        ] {
            assert_eq!(has(name), Some((vcpu, mib)), "{name}");
        }
        for name in ["m5.metal", "x9.large", "m5", "m5.1xlarge", "mongodb.atlas_m0", ""] {
            assert_eq!(has(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_said_goes_before_the_type() {
        let known = Some("m5.4xlarge");
        let all = [(Some(3.0), known), (None, known), (None, Some("x9.large")), (None, None)];
        assert_eq!(all.map(|(said, name)| vcpus(said, name) as u32), [3, 16, 2, 2]);
    }
}
