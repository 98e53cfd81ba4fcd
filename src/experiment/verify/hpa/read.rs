//! From bytes to cases, with every problem and its place.

use super::case::{HpaCase, HpaFile};
use crate::scenario::{Finding, Findings, Kind, Path, Tree, check_shape, parse, schema_of};
use crate::units::{Moment, Quantity};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Reads a file of cases, JSON or YAML: a list, or a map with the key `cases`. Without errors in the findings there are
/// cases.
pub fn read(bytes: &[u8]) -> (Option<Vec<HpaCase>>, Findings) {
    let (tree, mut findings) = parse(bytes);
    let Some(tree) = tree else { return (None, findings) };
    let (cases, root) = match tree.kind {
        Kind::Map(_) => (
            typed::<HpaFile>(&tree, &mut findings).map(|file| file.cases),
            Path::default().key("cases"),
        ),
        _ => (typed::<Vec<HpaCase>>(&tree, &mut findings), Path::default()),
    };
    for (i, case) in cases.iter().flatten().enumerate() {
        check(case, &root.index(i), &tree, &mut findings);
    }
    (cases.filter(|_| !findings.has_errors()), findings)
}

fn typed<T: JsonSchema + DeserializeOwned>(tree: &Tree, findings: &mut Findings) -> Option<T> {
    findings.extend(check_shape(tree, &schema_of::<T>()));
    if findings.has_errors() {
        return None;
    }
    serde_json::from_value(tree.to_json())
        .map_err(|why| {
            // The shape check should have found this: say it all the same, at the beginning.
            let root = Path::default();
            findings.push(Finding::error("E0299", &root, tree.place(&root), why.to_string()));
        })
        .ok()
}

fn check(case: &HpaCase, at: &Path, tree: &Tree, findings: &mut Findings) {
    let mut push = |path: Path, message: String, remedy: &str| {
        let place = tree.place(&path);
        findings.push(Finding::error("E0380", &path, place, message).remedy(remedy));
    };
    for wrong in case.spec.check() {
        let path = wrong.path.split('/').fold(at.key("spec"), |path, step| match step.parse() {
            Ok(index) => path.index(index),
            Err(_) => path.key(step),
        });
        push(path, wrong.message, wrong.remedy);
    }
    let negative = |length: Option<Moment>| length.is_some_and(|length| length.nanos() < 0);
    let flags = &case.controller;
    let lengths = [
        ("cpuInitializationPeriod", flags.cpu_initialization_period),
        ("initialReadinessDelay", flags.initial_readiness_delay),
        ("downscaleStabilization", flags.downscale_stabilization),
    ];
    let times = "a length of time is not negative";
    for (name, _) in lengths.into_iter().filter(|(_, length)| negative(*length)) {
        push(at.key("controller").key(name), "a negative length of time".into(), times);
    }
    if flags.tolerance.is_some_and(|tolerance| tolerance < Quantity::default()) {
        let path = at.key("controller").key("tolerance");
        push(path, "a negative tolerance".into(), "0.1 is Kubernetes' default");
    }
    for (i, pod) in case.pods.iter().enumerate() {
        let at = at.key("pods").index(i);
        if negative(Some(pod.window)) {
            push(at.key("window"), "a negative length of time".into(), times);
        }
        let own = !pod.requests.is_empty() || !pod.usage.is_empty();
        if own && !pod.containers.is_empty() {
            let message = "the pod has both containers and requests or usage of its own".into();
            push(at, message, "write them at the containers");
        }
    }
}
