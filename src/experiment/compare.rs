//! Two results side by side: what changed, by how much, and whether to believe it.
//!
//! Results of one seed share their users, so they are compared replication by replication; others by the means of two
//! independent samples (B. Welch, Biometrika 34, 1947). A change counts if it stands up among all comparisons made: the
//! probabilities are adjusted by Holm's method (Scand. J. Stat. 6, 1979), so that the chance of any false alarm in the
//! whole table is 5 %.

use super::differences::possible;
use super::estimate::{mean, spanned};
use super::result::{DesignResult, Estimate, Interrupted, RunResult};
use super::student::{t_critical, two_sided};
use serde::Serialize;

/// Chance of any false alarm among all comparisons of two results.
const ALPHA: f64 = 0.05;
/// Relative size of what is only the rounding of floating-point numbers.
const ROUNDING: f64 = 1e-9;

/// Which way a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Good {
    Up,
    Down,
}

/// Metrics that are compared, which way they are good, and where the estimate stands.
type Compared = (&'static str, Good, fn(&DesignResult) -> Estimate);

const COMPARED: &[Compared] = &[
    ("success_rate", Good::Up, |d| d.success_rate),
    ("throughput", Good::Up, |d| d.throughput),
    ("latency_mean", Good::Down, |d| d.latency.mean),
    ("latency_p50", Good::Down, |d| d.latency.p50),
    ("latency_p95", Good::Down, |d| d.latency.p95),
    ("latency_p99", Good::Down, |d| d.latency.p99),
    ("cost_per_user", Good::Down, |d| d.cost.per_user),
    ("cost_total", Good::Down, |d| d.cost.total),
];

/// What became of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It changed for the better.
    Better,
    /// It changed for the worse.
    Worse,
    /// It changed, by less than the tolerance.
    Negligible,
    /// No change is shown: there is none, or more replications are needed to see it.
    NotShown,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Name of the scenario.
    pub scenario: String,
    /// Digest of the scenario.
    pub digest: String,
    /// Seed.
    pub seed: u64,
    /// Replications of every design.
    pub replications: u32,
    /// Where the run was stopped before its end; only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Interrupted>,
    /// Version of the program.
    pub headroom: String,
    /// Date of the price table.
    pub prices: String,
}

/// One metric of one design on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delta {
    /// Design.
    pub design: String,
    /// Metric.
    pub metric: String,
    /// The base's figure.
    pub base: Estimate,
    /// The new figure.
    pub new: Estimate,
    /// new − base with its own 95 % interval.
    pub delta: Estimate,
    /// The same as a share of the base's figure; null where that is 0.
    pub relative: Option<Estimate>,
    /// Probability of a difference at least so large if there were none.
    pub p: f64,
    /// The same, adjusted for the number of comparisons.
    pub p_adjusted: f64,
    /// Verdict.
    pub change: Change,
}

/// Answer of `headroom diff`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this layout.
    pub schema_version: u32,
    /// What is compared with.
    pub base: Side,
    /// What is compared.
    pub new: Side,
    /// Number of replications that were paired; 0 where the seeds differ.
    pub pairs: u32,
    /// Currency of costs.
    pub currency: String,
    /// Relative change below which a change is negligible.
    pub tolerance: f64,
    /// Every metric of every common design.
    pub rows: Vec<Delta>,
    /// Designs of the base alone.
    pub only_base: Vec<String>,
    /// New designs.
    pub only_new: Vec<String>,
    /// Classes of users of the base alone, as `design: class`.
    pub classes_only_base: Vec<String>,
    /// New classes of users.
    pub classes_only_new: Vec<String>,
}

impl Comparison {
    /// Whether anything changed for the worse.
    pub fn regressed(&self) -> bool {
        self.rows.iter().any(|row| row.change == Change::Worse)
    }

    /// Whether anything changed at all.
    pub fn changed(&self) -> bool {
        let lists =
            [&self.only_base, &self.only_new, &self.classes_only_base, &self.classes_only_new];
        self.rows.iter().any(|row| matches!(row.change, Change::Worse | Change::Better))
            || lists.iter().any(|list| !list.is_empty())
    }
}

/// Compares two results. Changes of less than `tolerance` (relative) are negligible.
///
/// # Errors
/// Says why the two have nothing that could be compared.
pub fn compare(base: &RunResult, new: &RunResult, tolerance: f64) -> Result<Comparison, String> {
    let of = |result: &RunResult, other: &RunResult| -> Vec<String> {
        let names = result.designs.iter().map(|design| &design.name);
        names.filter(|name| design_of(other, name).is_none()).cloned().collect()
    };
    let pairs = if base.seed == new.seed { base.replications.min(new.replications) } else { 0 };
    let mut comparison = Comparison {
        schema_version: super::result::SCHEMA_VERSION,
        base: side(base),
        new: side(new),
        pairs,
        currency: new.prices.currency.clone(),
        tolerance,
        rows: Vec::new(),
        only_base: of(base, new),
        only_new: of(new, base),
        classes_only_base: Vec::new(),
        classes_only_new: Vec::new(),
    };
    for old in &base.designs {
        let Some(design) = design_of(new, &old.name) else { continue };
        comparison.classes_only_base.extend(missing_classes(old, design));
        comparison.classes_only_new.extend(missing_classes(design, old));
        for compared in COMPARED {
            comparison.rows.extend(row(old, design, compared, pairs > 0));
        }
    }
    if comparison.rows.is_empty() {
        let names = |result: &RunResult| {
            result.designs.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        return Err(format!(
            "no design of the one has figures in the other: {} against {}",
            names(base),
            names(new)
        ));
    }
    judge(&mut comparison.rows, tolerance);
    Ok(comparison)
}

fn design_of<'a>(result: &'a RunResult, name: &str) -> Option<&'a DesignResult> {
    result.designs.iter().find(|design| design.name == name)
}

fn side(result: &RunResult) -> Side {
    Side {
        scenario: result.scenario.name.clone(),
        digest: result.scenario.digest.clone(),
        seed: result.seed,
        replications: result.replications,
        interrupted: result.interrupted,
        headroom: result.headroom.clone(),
        prices: result.prices.date.clone(),
    }
}

fn missing_classes(of: &DesignResult, from: &DesignResult) -> Vec<String> {
    let known = |name: &str| from.classes.iter().any(|class| class.name == name);
    let names = of.classes.iter().map(|class| class.name.as_str());
    names.filter(|name| !known(name)).map(|name| format!("{}: {name}", of.name)).collect()
}

/// One metric of two designs, not yet judged; none if either lacks it.
fn row(
    old: &DesignResult,
    design: &DesignResult,
    (metric, _, shown): &Compared,
    paired: bool,
) -> Option<Delta> {
    let (a, b) = old.replicated(metric).zip(design.replicated(metric))?;
    let share = *metric == "success_rate";
    let spread = |b: &[f64], a: &[f64]| {
        let mut own = if paired { Spread::paired(b, a) } else { Spread::independent(b, a) }?;
        if share && own.value != 0.0 && own.error == 0.0 {
            // A count that happens to be the same in all of a few replications is not known exactly.
            own.error = binomial_error(old, design);
        }
        Some(own)
    };
    let own = spread(b, a)?;
    let (mut delta, mut p) = (own.estimate(), own.p());
    let (one, other) = (possible(old, metric)?, possible(design, metric)?);
    if [one, other].iter().any(|own| own.most != Some(own.least)) {
        // Of all that requests without an answer may come to, what says least for a difference.
        let least = one.most.and_then(|most| spread(other.least, most));
        let most = other.most.and_then(|most| spread(most, one.least));
        let zero = Estimate::exact(0.0);
        let end = |spread: &Option<Spread>| spread.as_ref().map_or(zero, Spread::estimate);
        delta = spanned(delta, end(&least), end(&most));
        p = match (&least, &most) {
            (Some(least), _) if least.value > 0.0 => least.p(),
            (_, Some(most)) if most.value < 0.0 => most.p(),
            _ => 1.0,
        };
    }
    let base = mean(a).value;
    Some(Delta {
        design: design.name.clone(),
        metric: (*metric).into(),
        base: shown(old),
        new: shown(design),
        relative: (base != 0.0).then(|| Estimate {
            value: delta.value / base,
            low: delta.low / base,
            high: delta.high / base,
        }),
        delta,
        p,
        p_adjusted: 1.0,
        change: Change::NotShown,
    })
}

/// Standard error of the difference of two shares of independent trials.
fn binomial_error(old: &DesignResult, new: &DesignResult) -> f64 {
    let trials = |design: &DesignResult| design.latency_all.count as f64;
    let (n, m) = (trials(old), trials(new));
    let p = (old.success_rate.value * n + new.success_rate.value * m) / (n + m);
    (p * (1.0 - p) * (1.0 / n + 1.0 / m)).sqrt()
}

/// A difference of means with its standard error.
struct Spread {
    value: f64,
    error: f64,
    df: f64,
}

fn variance(values: &[f64]) -> f64 {
    let m = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (values.len() - 1) as f64
}

impl Spread {
    /// Of a − b, of which the n-th values belong together.
    fn paired(a: &[f64], b: &[f64]) -> Option<Spread> {
        let n = a.len().min(b.len());
        if n < 2 {
            return None;
        }
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let value = differences.iter().sum::<f64>() / n as f64;
        let error = (variance(&differences) / n as f64).sqrt();
        Some(Spread { value, error, df: (n - 1) as f64 }.rounded(a, b))
    }

    /// Of a − b, two independent samples.
    fn independent(a: &[f64], b: &[f64]) -> Option<Spread> {
        if a.len() < 2 || b.len() < 2 {
            return None;
        }
        let (n, m) = (a.len() as f64, b.len() as f64);
        let (va, vb) = (variance(a) / n, variance(b) / m);
        let value = a.iter().sum::<f64>() / n - b.iter().sum::<f64>() / m;
        let df = if va + vb > 0.0 {
            (va + vb) * (va + vb) / (va * va / (n - 1.0) + vb * vb / (m - 1.0))
        } else {
            n + m - 2.0
        };
        Some(Spread { value, error: (va + vb).sqrt(), df }.rounded(a, b))
    }

    /// Without what is only the rounding of sums.
    fn rounded(mut self, a: &[f64], b: &[f64]) -> Spread {
        let scale = a.iter().chain(b).fold(0.0_f64, |most, v| most.max(v.abs())) * ROUNDING;
        if self.value.abs() <= scale {
            self.value = 0.0;
        }
        if self.error <= scale {
            self.error = 0.0;
        }
        self
    }

    fn estimate(&self) -> Estimate {
        let half = if self.error > 0.0 { t_critical(ALPHA, self.df) * self.error } else { 0.0 };
        Estimate { value: self.value, low: self.value - half, high: self.value + half }
    }

    fn p(&self) -> f64 {
        if self.value == 0.0 {
            return 1.0;
        }
        two_sided(self.value.abs() / self.error, self.df)
    }
}

/// Adjusts the probabilities for their number, and says what changed.
fn judge(rows: &mut [Delta], tolerance: f64) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&i, &j| rows[i].p.total_cmp(&rows[j].p));
    let mut adjusted = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        let left = (rows.len() - rank) as f64;
        adjusted = adjusted.max((rows[i].p * left).min(1.0));
        rows[i].p_adjusted = adjusted;
    }
    for row in rows {
        let up = COMPARED.iter().any(|(name, good, _)| *name == row.metric && *good == Good::Up);
        row.change = if row.p_adjusted > ALPHA {
            Change::NotShown
        } else if row.relative.is_some_and(|relative| relative.value.abs() < tolerance) {
            Change::Negligible
        } else if (row.delta.value > 0.0) == up {
            Change::Better
        } else {
            Change::Worse
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welch_by_hand() {
        // Means 2 and 5, variances 1 and 4 of 3 values each: error √(5/3), df = (5/3)² / ((1/9 + 16/9) / 2).
        let spread = Spread::independent(&[1.0, 2.0, 3.0], &[3.0, 5.0, 7.0]).unwrap();
        assert!((spread.value + 3.0).abs() < 1e-12);
        assert!((spread.error - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((spread.df - (25.0 / 9.0) / (17.0 / 18.0)).abs() < 1e-12);
    }

    #[test]
    fn pairs_see_what_two_samples_do_not() {
        let base: Vec<f64> = (0..20).map(|i| f64::from(i * i)).collect();
        let new: Vec<f64> =
            base.iter().enumerate().map(|(i, v)| v + 3.0 + (i % 2) as f64).collect();
        assert!(Spread::paired(&new, &base).unwrap().p() < 1e-9);
        assert!(Spread::independent(&new, &base).unwrap().p() > 0.5);
    }

    #[test]
    fn rounding_is_no_change() {
        let a = [0.1 + 0.2, 0.3, 0.3];
        let spread = Spread::paired(&a, &[0.3, 0.3, 0.3]).unwrap();
        assert!((spread.p() - 1.0).abs() < 1e-12 && spread.error == 0.0);
    }

    #[test]
    fn holm_by_hand() {
        let delta = |p: f64| Delta {
            design: "d".into(),
            metric: "latency_mean".into(),
            base: Estimate::exact(1.0),
            new: Estimate::exact(1.1),
            delta: Estimate::exact(0.1),
            relative: Some(Estimate::exact(0.1)),
            p,
            p_adjusted: 1.0,
            change: Change::NotShown,
        };
        let mut rows: Vec<Delta> = [0.01, 0.04, 0.03, 0.005].into_iter().map(delta).collect();
        judge(&mut rows, 0.0);
        let adjusted: Vec<f64> = rows.iter().map(|row| row.p_adjusted).collect();
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        let changes: Vec<Change> = rows.iter().map(|row| row.change).collect();
        assert_eq!(changes, [Change::Worse, Change::NotShown, Change::NotShown, Change::Worse]);
        judge(&mut rows, 0.2);
        assert_eq!(rows[0].change, Change::Negligible);
    }
}
