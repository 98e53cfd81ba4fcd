//! How much each assumed value matters: every one halved and doubled in turn, under the same users, against the run as it is.

use super::differences::differs;
use super::fold::run;
use super::plan::Plan;
use super::replicate::{Observer, RunError};
use super::result::{Assumption, RunResult, Sensitivity, ThresholdResult, Varied};
use crate::scenario::{Path, Segment};
use serde_json::Value;

/// What an assumed value is multiplied by.
const FACTORS: [f64; 2] = [0.5, 2.0];

/// Adds the sensitivity of every design to every assumed value that is a figure, the largest first.
///
/// # Errors
/// See [`RunError`].
pub fn sensitivities(
    plan: &Plan,
    result: &mut RunResult,
    observer: &dyn Observer,
) -> Result<(), RunError> {
    let mut rows = Vec::new();
    for assumption in &plan.assumptions {
        let path = Path::parse(&assumption.path);
        // A field that stays empty has its value in the assumption, if it is one.
        let found = path.find(&plan.resolved).cloned();
        let Some(value) = found.or_else(|| assumption.value.parse().ok()) else { continue };
        let sides: Vec<_> =
            FACTORS.iter().filter_map(|factor| Some((*factor, scaled(&value, *factor)?))).collect();
        if sides.is_empty() {
            continue;
        }
        let designs = concerned(plan, &path);
        let mut own: Vec<Sensitivity> =
            designs.iter().map(|design| row(design, assumption)).collect();
        for (factor, value) in sides {
            let sides = vary(plan, result, &designs, &path, (factor, &value), observer)?;
            for (row, side) in own.iter_mut().zip(sides) {
                row.sides.push(side);
            }
        }
        rows.extend(own);
    }
    rows.sort_by(|a, b| swing(b).total_cmp(&swing(a)));
    result.sensitivity = rows;
    Ok(())
}

fn row(design: &str, assumption: &Assumption) -> Sensitivity {
    Sensitivity {
        design: design.into(),
        path: assumption.path.clone(),
        value: assumption.value.clone(),
        why: assumption.why.clone(),
        sides: Vec::new(),
    }
}

/// How far a value moves its design: success first, then latency and cost as shares of what they are.
fn swing(row: &Sensitivity) -> f64 {
    let size = |side: &Varied| {
        let of = |e: Option<super::result::Estimate>| e.map_or(0.0, |e| e.value.abs());
        1e3 * of(side.success_rate) + of(side.latency_p95) + of(side.cost_per_user)
    };
    row.sides.iter().map(size).fold(0.0, f64::max)
}

/// Designs that a path speaks of: its own, or all for what they share.
fn concerned(plan: &Plan, path: &Path) -> Vec<String> {
    match &path.0[..] {
        [Segment::Key(first), Segment::Key(design), ..] if first == "designs" => {
            vec![design.clone()]
        }
        _ => plan.scenario.designs.keys().cloned().collect(),
    }
}

/// The designs with one value changed, each against itself as it was; relative differences for latency and cost.
fn vary(
    plan: &Plan,
    result: &RunResult,
    designs: &[String],
    path: &Path,
    (factor, value): (f64, &Value),
    observer: &dyn Observer,
) -> Result<Vec<Varied>, RunError> {
    let told = Varied { factor, value: text(value), ..Varied::default() };
    let mut varied = match plan.with(std::slice::from_ref(path), std::slice::from_ref(value)) {
        Ok(varied) => varied,
        Err(why) => {
            return Ok(vec![Varied { refused: Some(why), ..told.clone() }; designs.len()]);
        }
    };
    let mut base = plan.clone();
    for plan in [&mut base, &mut varied] {
        plan.scenario.designs.retain(|name, _| designs.contains(name));
        plan.scenario.run.replications = result.replications;
    }
    let before = run(&base, observer)?;
    let after = run(&varied, observer)?;
    let rows = after.designs.iter().zip(&before.designs);
    let sides = rows.map(|(design, before)| {
        let relative = |metric: &str| {
            let (delta, values) = (differs(design, before, metric)?, before.replicated(metric)?);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (mean > 0.0).then(|| delta.times(1.0 / mean))
        };
        Varied {
            success_rate: differs(design, before, "success_rate"),
            latency_p95: relative("latency_p95"),
            cost_per_user: relative("cost_per_user"),
            verdicts: turned(&result.thresholds, &after.thresholds, &design.name),
            ..told.clone()
        }
    });
    Ok(sides.collect())
}

/// Thresholds whose verdict is another than before.
fn turned(
    before: &[ThresholdResult],
    after: &[ThresholdResult],
    design: &str,
) -> Vec<ThresholdResult> {
    let same = |a: &ThresholdResult, b: &ThresholdResult| {
        a.design == b.design && a.subject() == b.subject() && a.expression == b.expression
    };
    let other = |row: &&ThresholdResult| {
        row.design == design && !before.iter().any(|b| same(row, b) && row.verdict == b.verdict)
    };
    after.iter().filter(other).cloned().collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value times a factor: a number, a text with a unit, or a law whose quantities have units (its shape stays).
/// None for what is no figure.
fn scaled(value: &Value, factor: f64) -> Option<Value> {
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(0) => None,
            Some(n) => {
                let times = libm::round(n as f64 * factor).max(1.0) as u64;
                (times != n).then(|| times.into())
            }
            None => number.as_f64().filter(|v| *v != 0.0).map(|v| (v * factor).into()),
        },
        Value::String(text) => with_unit(text, factor).map(Value::String),
        Value::Object(map) => {
            let mut any = false;
            let scale = |(key, inside): (&String, &Value)| {
                let other = match inside {
                    Value::String(_) | Value::Object(_) => scaled(inside, factor),
                    _ => None,
                };
                any |= other.is_some();
                (key.clone(), other.unwrap_or_else(|| inside.clone()))
            };
            let map = map.iter().map(scale).collect();
            any.then_some(Value::Object(map))
        }
        _ => None,
    }
}

/// `150ms` times 2 is `300ms`; a text without a number before its unit is none.
fn with_unit(text: &str, factor: f64) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let plain = !unit.contains(|c: char| c.is_ascii_digit());
    (plain && number != 0.0).then(|| format!("{}{unit}", number * factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_scaled_and_words_are_left() {
        for (value, doubled) in [
            (json!(3), Some(json!(6))),
            (json!(0.25), Some(json!(0.5))),
            (json!("150ms"), Some(json!("300ms"))),
            (json!("20/s"), Some(json!("40/s"))),
            (
                json!({"lognormal": {"mean": "5ms", "cv": 0.3}}),
                Some(json!({"lognormal": {"mean": "10ms", "cv": 0.3}})),
            ),
            (json!("t3.medium"), None),
            (json!("nodejs20"), None),
            (json!("1.21"), None),
            (json!("1h30m"), None),
            (json!(true), None),
            (json!(0), None),
            (json!({"none": {}}), None),
        ] {
            assert_eq!(scaled(&value, 2.0), doubled, "{value}");
        }
        assert_eq!(scaled(&json!(1), 0.5), None, "half of one place is no place");
    }
}
