//! Where one design overtakes another: the place where the paired difference changes its sign, with its interval.
//!
//! Between two points of the grid a figure is taken as a power of the place, replication by replication: a fixed cost
//! shared by ever more users and a cost by use are both met exactly. Where a figure or the place is not above zero, a straight
//! line takes its place. The interval is the
//! stretch on which the 95 % interval of the difference holds zero (E. Fieller, "Some problems in interval estimation",
//! J. R. Stat. Soc. B 16, 1954, in the form that inverts a test). A side on which the difference never leaves zero has no
//! end, and the crossing is then undecided.

use super::estimate::mean;
use super::result::{Estimate, PER_USER, PER_USER_MONTHLY};
use super::sweep::{SweepAxis, SweepPoint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The figures whose crossings are looked for.
const METRICS: [&str; 2] = [PER_USER, PER_USER_MONTHLY];
/// Steps of a bisection, for the crossing and the ends of its interval: to 2⁻⁴⁰ of a step of the grid.
const BISECTIONS: usize = 40;

/// One design overtakes another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// The figure, `cost_per_user` or `cost_per_user_monthly`.
    pub metric: String,
    /// Path of the axis along which they cross.
    pub axis: String,
    /// Values of the other axes, in their order.
    pub others: Vec<Value>,
    /// The design with the smaller figure before the crossing.
    pub before: String,
    /// The design with the smaller figure after it.
    pub after: String,
    /// Where the differences are zero, in the unit of the axis.
    pub at: f64,
    /// Lower end of the 95 % interval; null if the grid ends before the difference is sure.
    pub low: Option<f64>,
    /// Upper end; null if the grid ends before the difference is sure.
    pub high: Option<f64>,
    /// Whether both ends are known.
    pub decided: bool,
}

/// Points along one axis, the other axes held.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Number of the axis along which it goes.
    pub axis: usize,
    /// Values of the other axes.
    pub others: Vec<Value>,
    /// Place on the axis and point, ascending.
    pub points: Vec<(f64, &'a SweepPoint)>,
}

/// The lines of a sweep: along the first axis with two or more numbers, one for each combination of the others' values.
pub fn lines<'a>(axes: &[SweepAxis], points: &'a [SweepPoint]) -> Vec<Line<'a>> {
    let numbers = |axis: &SweepAxis| {
        let units: Option<Vec<&str>> =
            axis.values.iter().map(|value| measure(value).map(|(_, unit)| unit)).collect();
        units.is_some_and(|units| units.len() > 1 && units.iter().all(|unit| *unit == units[0]))
    };
    let Some(axis) = axes.iter().position(numbers) else { return Vec::new() };
    let mut lines: Vec<Line<'a>> = Vec::new();
    for point in points {
        let mut others = point.values.clone();
        if axis >= others.len() {
            continue;
        }
        let Some((at, _)) = measure(&others.remove(axis)) else { continue };
        match lines.iter_mut().find(|line| line.others == others) {
            Some(line) => line.points.push((at, point)),
            None => lines.push(Line { axis, others, points: vec![(at, point)] }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines
}

/// A value as a place on an axis, with the unit in which places are counted: a number has none, memory is counted in
/// MB (`1GB` is 1,024), a time in seconds, a rate per second, a price per month.
pub fn measure(value: &Value) -> Option<(f64, &'static str)> {
    use crate::units::{parse_bytes, parse_price, parse_rate, parse_span};
    if let Some(number) = value.as_f64() {
        return Some((number, ""));
    }
    let text = value.as_str()?;
    let bytes = parse_bytes(text).ok().map(|bytes| (bytes.mb(), "MB"));
    let rate = || parse_rate(text).ok().map(|rate| (rate.per_second(), "1/s"));
    let span = || parse_span(text).ok().map(|span| (span.as_secs_f64(), "s"));
    let price = || parse_price(text).ok().map(|price| (price.per_month(), "1/month"));
    bytes.or_else(rate).or_else(span).or_else(price)
}

/// All crossings of all pairs of designs, along every line.
pub(super) fn crossings(axes: &[SweepAxis], points: &[SweepPoint]) -> Vec<Crossing> {
    let mut found = Vec::new();
    for line in lines(axes, points) {
        let Some((_, first)) = line.points.first() else { continue };
        let names: Vec<&str> = first.designs.iter().map(|design| design.name.as_str()).collect();
        let pairs =
            names.iter().enumerate().flat_map(|(i, a)| names[i + 1..].iter().map(move |b| (a, b)));
        for ((a, b), metric) in pairs.flat_map(|pair| METRICS.map(|metric| (pair, metric))) {
            for (at, low, high, falling) in between(&line, metric, a, b) {
                let (before, after) = if falling { (b, a) } else { (a, b) };
                found.push(Crossing {
                    metric: metric.into(),
                    axis: axes[line.axis].path.clone(),
                    others: line.others.clone(),
                    before: (*before).to_owned(),
                    after: (*after).to_owned(),
                    at,
                    low,
                    high,
                    decided: low.is_some() && high.is_some(),
                });
            }
        }
    }
    found
}

/// A figure of two designs at a place, a pair a replication.
type Row = (f64, Vec<(f64, f64)>);

/// The figure between two points (place, figure): the power of the place that goes through both, or a straight line where
/// there is none.
pub fn interpolate(left: (f64, f64), right: (f64, f64), at: f64) -> f64 {
    let ((x0, y0), (x1, y1)) = (left, right);
    if [x0, y0, x1, y1, at].iter().all(|v| *v > 0.0) {
        let share = libm::log(at / x0) / libm::log(x1 / x0);
        return y0 * libm::pow(y1 / y0, share);
    }
    y0 + (y1 - y0) * (at - x0) / (x1 - x0)
}

/// Mean difference a − b with its interval.
fn gap(pairs: &[(f64, f64)]) -> Estimate {
    mean(&pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// Crossings of two designs: place, ends of the interval, whether a − b falls there.
fn between(
    line: &Line,
    metric: &str,
    a: &str,
    b: &str,
) -> Vec<(f64, Option<f64>, Option<f64>, bool)> {
    let row = |(at, point): &(f64, &SweepPoint)| -> Option<Row> {
        let values = |name: &str| {
            let design = point.designs.iter().find(|design| design.name == name)?;
            design.replicated(metric)
        };
        let both = values(a)?.iter().zip(values(b)?);
        Some((*at, both.map(|(a, b)| (*a, *b)).collect()))
    };
    let mut found = Vec::new();
    // A point where a design served nobody parts the line: nothing is assumed across it.
    let rows: Vec<Option<Row>> = line.points.iter().map(row).collect();
    for stretch in rows.split(Option::is_none) {
        let rows: Vec<&Row> = stretch.iter().flatten().collect();
        found.extend(roots(&rows));
    }
    found
}

fn estimate(rows: &[&Row], at: f64) -> Estimate {
    let next = rows.iter().position(|row| row.0 >= at).unwrap_or(rows.len() - 1).max(1);
    let (left, right) = (rows[next - 1], rows[next]);
    let between = |l: f64, r: f64| interpolate((left.0, l), (right.0, r), at);
    let both = left.1.iter().zip(&right.1);
    gap(&both.map(|(l, r)| (between(l.0, r.0), between(l.1, r.1))).collect::<Vec<_>>())
}

fn roots(rows: &[&Row]) -> Vec<(f64, Option<f64>, Option<f64>, bool)> {
    let mut found: Vec<(f64, Option<f64>, Option<f64>, bool)> = Vec::new();
    if rows.len() < 2 || rows.iter().any(|row| row.1.len() < 2) {
        return found;
    }
    let means: Vec<f64> = rows.iter().map(|row| gap(&row.1).value).collect();
    // Points at which the two are level are no crossing by themselves: a sign lies on either side of one.
    let signed: Vec<usize> = (0..rows.len()).filter(|i| means[*i] != 0.0).collect();
    for pair in signed.windows(2) {
        let (before, i) = (pair[0], pair[1]);
        let (left, right) = (means[before], means[i]);
        if left.signum() == right.signum() {
            continue;
        }
        let falls = |at: f64| (estimate(rows, at).value > 0.0) == (left > 0.0);
        let at = if i == before + 1 {
            turn(rows[before].0, rows[i].0, falls)
        } else {
            // The middle of the stretch on which they are level.
            f64::midpoint(rows[before + 1].0, rows[i - 1].0)
        };
        // A wavering difference crosses zero several times inside one interval: that is one crossing.
        if found.last().is_some_and(|last| last.2.is_none_or(|high| high >= at)) {
            continue;
        }
        // The first point outward at which the difference is sure ends the interval; there it must have the sign that
        // this side is about, else nothing is known of a crossing here.
        let side = |places: &mut dyn Iterator<Item = usize>, sign: f64| {
            let mut inside = at;
            for place in places {
                let (outside, own) = (rows[place].0, gap(&rows[place].1));
                if own.excludes_zero() {
                    let holds = |at: f64| !estimate(rows, at).excludes_zero();
                    return (own.value * sign > 0.0).then(|| turn(inside, outside, holds));
                }
                inside = outside;
            }
            None
        };
        let low = side(&mut (0..=before).rev(), left.signum());
        let high = side(&mut (i..rows.len()), -left.signum());
        found.push((at, low, high, left > 0.0));
    }
    found
}

/// Where an answer turns, between a place where it is yes and one where it is no.
fn turn(mut yes: f64, mut no: f64, answer: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(yes, no);
        if answer(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    f64::midpoint(yes, no)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use rand_distr::{Distribution, StandardNormal};

    fn noisy(seed: u64, sd: f64, truth: impl Fn(f64) -> f64) -> Vec<Row> {
        let mut stream = Key::root(seed, 9).stream();
        (0..=10)
            .map(|i| {
                let x = f64::from(i) * 10.0;
                let noise = |_| {
                    let z: f64 = StandardNormal.sample(&mut stream);
                    // Below zero there are no powers: straight lines, like the truth.
                    (truth(x) + sd * z - 1e3, -1e3)
                };
                (x, (0..20).map(noise).collect())
            })
            .collect()
    }

    #[test]
    fn a_line_without_noise_crosses_at_its_root() {
        let rows = noisy(1, 0.0, |x| 37.0 - x);
        let found = roots(&rows.iter().collect::<Vec<_>>());
        assert_eq!(found.len(), 1);
        let (at, low, high, falling) = found[0];
        assert!((at - 37.0).abs() < 1e-9 && falling, "{at}");
        assert!((low.unwrap() - 37.0).abs() < 1e-6 && (high.unwrap() - 37.0).abs() < 1e-6);
    }

    /// 0.0017333 for the window, shared, against 0.0001425 a user: level at 12.164 users, however far apart the points.
    #[test]
    fn a_fixed_cost_crosses_a_cost_by_use_where_they_are_level() {
        let rows: Vec<Row> =
            [4.0, 40.0].map(|x| (x, vec![(0.001_733_333 / x, 0.000_142_5); 3])).into();
        let found = roots(&rows.iter().collect::<Vec<_>>());
        assert!((found[0].0 - 12.163_740).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn what_costs_the_same_over_a_range_does_not_cross_there() {
        let of = |gaps: &[f64]| {
            let row = |(i, gap): (usize, &f64)| (i as f64, vec![(1.0 + gap, 1.0); 3]);
            let rows: Vec<Row> = gaps.iter().enumerate().map(row).collect();
            roots(&rows.iter().collect::<Vec<_>>())
        };
        for level in [&[0.0; 4][..], &[0.5, 0.0, 0.0], &[0.0, 0.0, 0.5], &[0.5, 0.0, 0.0, 0.5]] {
            assert_eq!(of(level), [], "{level:?}");
        }
        // It is cheaper after a stretch on which they are level: one crossing, whose interval is that stretch.
        let found = of(&[0.5, 0.0, 0.0, 0.0, -0.5]);
        assert_eq!(found.len(), 1, "{found:?}");
        let (at, low, high, falls) = found[0];
        assert!((at - 2.0).abs() < 1e-9 && falls, "{found:?}");
        assert!(
            (low.unwrap() - 1.0).abs() < 1e-6 && (high.unwrap() - 3.0).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn what_never_leaves_zero_is_undecided() {
        // Noise a hundred times the difference: a crossing that claims both ends is a false alarm, one of 20 at most.
        let decided = (0..1_000).filter(|seed| {
            let rows = noisy(*seed, 50.0, |x| (37.0 - x) * 0.01);
            let found = roots(&rows.iter().collect::<Vec<_>>());
            found.iter().any(|(_, low, high, _)| low.is_some() && high.is_some())
        });
        let decided = decided.count();
        assert!(decided <= 50, "{decided} of 1,000");
    }

    /// The interval of a crossing covers the truth in 95 % of 2,000 experiments, within three standard errors.
    #[test]
    fn the_interval_covers_the_crossing() {
        let covered = (0..2_000_u64).filter(|&seed| {
            let rows = noisy(seed, 4.0, |x| 37.0 - x);
            let found = roots(&rows.iter().collect::<Vec<_>>());
            found.iter().any(|(_, low, high, _)| {
                low.is_none_or(|low| low <= 37.0) && high.is_none_or(|high| 37.0 <= high)
            })
        });
        let share = covered.count() as f64 / 2_000.0;
        assert!((0.93..=0.97).contains(&share), "{share}");
    }
}
