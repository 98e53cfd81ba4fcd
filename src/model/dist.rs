//! Distributions of times, as a scenario writes them and as they are drawn.
//!
//! Every draw takes what it needs from the stream of one purpose of one request, so how many random bits a law
//! uses concerns nobody else. `ln`, `exp` and `pow` come from the `libm` crate: the same bits on every platform.

use super::data::Data;
use super::exp::exp;
use crate::kernel::{Span, Stream};
use rand_distr::{Distribution, Exp1, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A random length of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dist {
    /// Always the same.
    Constant(Span),
    /// Every value between two bounds is equally likely.
    Uniform(Uniform),
    /// Exponential: memoryless, cv 1.
    Exponential(Exponential),
    /// Lognormal, by mean and cv or by two of its quantiles.
    Lognormal(Lognormal),
    /// Gamma, by mean and cv.
    Gamma(MeanCv),
    /// Weibull, by scale and shape.
    Weibull(Weibull),
    /// Pareto, bounded at both ends.
    Pareto(Pareto),
    /// Drawn from measured values: a quantile table or a column of a CSV file.
    Empirical(Empirical),
    /// One of several laws, chosen by weight.
    Mixture(Vec<Part>),
}

/// Bounds of a uniform law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// Smallest value.
    pub low: Span,
    /// Largest value.
    pub high: Span,
}

/// Parameter of an exponential law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// Mean; also the standard deviation.
    pub mean: Span,
}

/// Parameters of a lognormal law: `mean` and `cv`, or `median` and one of `p90`, `p95`, `p99`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// Mean (with `cv`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Span>,
    /// Standard deviation / mean (with `mean`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub cv: Option<f64>,
    /// Median (with one upper quantile).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<Span>,
    /// 90th percentile (with `median`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<Span>,
    /// 95th percentile (with `median`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<Span>,
    /// 99th percentile (with `median`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<Span>,
}

/// Mean and coefficient of variation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeanCv {
    /// Mean.
    pub mean: Span,
    /// Standard deviation / mean.
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub cv: f64,
}

/// Parameters of a Weibull law: F(x) = 1 − exp(−(x/scale)^shape).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weibull {
    /// Scale: the 63rd percentile.
    pub scale: Span,
    /// Shape: below 1 the tail is heavier than exponential.
    #[schemars(range(min = 0.05, max = 100.0))]
    pub shape: f64,
}

/// Parameters of a Pareto law cut off at both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    /// Smallest value.
    pub low: Span,
    /// Largest value.
    pub high: Span,
    /// Tail index: the smaller, the heavier the tail.
    #[schemars(range(min = 0.05, max = 100.0))]
    pub alpha: f64,
}

/// Measured values: exactly one of `quantiles` and `csv`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empirical {
    /// Points of the quantile function, linear in between; from `q` 0 to 1, ascending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<Quantile>>,
    /// A column of a CSV file with a header; each value is equally likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvColumn>,
}

/// One point of a quantile function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// Share of values not above `value`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub q: f64,
    /// The value.
    pub value: Span,
}

/// Names a column of a CSV file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvColumn {
    /// File, relative to the scenario.
    pub file: String,
    /// Column by its name in the header.
    pub column: String,
    /// What 1 in the file means, e.g. `1ms`.
    pub unit: Span,
}

/// A part of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Weight relative to the other parts.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub weight: f64,
    /// The law of this part.
    pub of: Dist,
}

/// A distribution made ready to draw from; nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampler {
    /// A constant.
    Constant(f64),
    /// low + width · U.
    Uniform(f64, f64),
    /// mean · Exp(1).
    Exponential(f64),
    /// exp(mu + sigma · N(0,1)).
    Lognormal(f64, f64),
    /// Shape, scale.
    Gamma(f64, f64),
    /// Scale, 1 / shape.
    Weibull(f64, f64),
    /// low, high, alpha.
    Pareto(f64, f64, f64),
    /// Knots (q, value), ascending.
    Table(Vec<(f64, f64)>),
    /// (cumulated share, law).
    Mixture(Vec<(f64, Sampler)>),
}

fn nanos(span: Span) -> f64 {
    span.nanos() as f64
}

/// z such that Φ(z) is 0.90, 0.95 and 0.99.
const Z90: f64 = 1.281_551_565_544_600_4;
const Z95: f64 = 1.644_853_626_951_472_2;
const Z99: f64 = 2.326_347_874_040_841;

impl Lognormal {
    /// (mu, sigma) of ln(nanoseconds), or what is wrong.
    fn parameters(&self) -> Result<(f64, f64), String> {
        let quantile = match (self.p90, self.p95, self.p99) {
            (Some(p), None, None) => Some((p, Z90)),
            (None, Some(p), None) => Some((p, Z95)),
            (None, None, Some(p)) => Some((p, Z99)),
            _ => None,
        };
        match (self.mean, self.cv, self.median, quantile) {
            (Some(mean), Some(cv), None, None) if !mean.is_zero() => {
                let var = libm::log1p(cv * cv);
                Ok((libm::log(nanos(mean)) - var / 2.0, var.sqrt()))
            }
            (None, None, Some(median), Some((p, z))) if !median.is_zero() && median <= p => {
                let mu = libm::log(nanos(median));
                Ok((mu, (libm::log(nanos(p)) - mu) / z))
            }
            _ => Err("a lognormal needs `mean` (above 0) and `cv`, or `median` (above 0) and one \
                      larger quantile of `p90`, `p95`, `p99`"
                .into()),
        }
    }
}

impl Dist {
    /// Makes the law ready to draw from. `data` holds the CSV columns it may name.
    ///
    /// # Errors
    /// Says which parameters contradict one another, or which column is missing.
    pub fn sampler(&self, data: &Data) -> Result<Sampler, String> {
        Ok(match self {
            Dist::Constant(span) => Sampler::Constant(nanos(*span)),
            Dist::Uniform(law) if law.low <= law.high => {
                Sampler::Uniform(nanos(law.low), nanos(law.high.minus(law.low)))
            }
            Dist::Uniform(_) => return Err("`low` is above `high`".into()),
            Dist::Exponential(law) => Sampler::Exponential(nanos(law.mean)),
            Dist::Lognormal(law) => {
                let (mu, sigma) = law.parameters()?;
                Sampler::Lognormal(mu, sigma)
            }
            Dist::Gamma(law) => {
                let shape = 1.0 / (law.cv * law.cv);
                Sampler::Gamma(shape, nanos(law.mean) / shape)
            }
            Dist::Weibull(law) => Sampler::Weibull(nanos(law.scale), 1.0 / law.shape),
            Dist::Pareto(law) if !law.low.is_zero() && law.low < law.high => {
                Sampler::Pareto(nanos(law.low), nanos(law.high), law.alpha)
            }
            Dist::Pareto(_) => return Err("`low` must be above 0 and below `high`".into()),
            Dist::Empirical(law) => law.sampler(data)?,
            Dist::Mixture(parts) => mixture(parts, data)?,
        })
    }

    /// Files that the law names.
    pub fn files(&self, found: &mut Vec<String>) {
        match self {
            Dist::Empirical(Empirical { csv: Some(csv), .. }) => found.push(csv.file.clone()),
            Dist::Mixture(parts) => parts.iter().for_each(|part| part.of.files(found)),
            _ => {}
        }
    }
}

fn mixture(parts: &[Part], data: &Data) -> Result<Sampler, String> {
    let total: f64 = parts.iter().map(|part| part.weight).sum();
    if total <= 0.0 {
        return Err("a mixture needs at least one part with a weight above 0".into());
    }
    let mut share = 0.0;
    let mut rows = Vec::with_capacity(parts.len());
    for part in parts {
        share += part.weight / total;
        rows.push((share, part.of.sampler(data)?));
    }
    Ok(Sampler::Mixture(rows))
}

impl Empirical {
    fn sampler(&self, data: &Data) -> Result<Sampler, String> {
        match (&self.quantiles, &self.csv) {
            (Some(points), None) => {
                let knots: Vec<_> = points.iter().map(|p| (p.q, nanos(p.value))).collect();
                let ascending = knots.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
                let whole = knots.first().is_some_and(|k| k.0 <= 0.0)
                    && knots.last().is_some_and(|k| k.0 >= 1.0);
                if !(ascending && whole && knots.len() >= 2) {
                    return Err("`quantiles` must ascend from q 0 to q 1".into());
                }
                Ok(Sampler::Table(knots))
            }
            (None, Some(csv)) => {
                let mut values = data.column(&csv.file, &csv.column)?;
                if values.is_empty() || values.iter().any(|v| *v < 0.0) {
                    return Err(format!(
                        "column \"{}\" of \"{}\" is empty or holds a negative value",
                        csv.column, csv.file
                    ));
                }
                values.sort_by(f64::total_cmp);
                let n = values.len() as f64;
                let unit = nanos(csv.unit);
                // Each value gets an equal share: a step function, as two knots a value.
                let step = |(i, v): (usize, &f64)| {
                    [(i as f64 / n, v * unit), ((i + 1) as f64 / n, v * unit)]
                };
                Ok(Sampler::Table(values.iter().enumerate().flat_map(step).collect()))
            }
            _ => Err("an empirical law needs exactly one of `quantiles` and `csv`".into()),
        }
    }
}

impl Sampler {
    /// Draws a time.
    pub fn sample(&self, stream: &mut Stream) -> Span {
        // Those that need few registers apart: to save those that the others need costs as much as a draw.
        let nanos = match self {
            Sampler::Constant(value) => *value,
            Sampler::Exponential(mean) => {
                let one: f64 = Exp1.sample(stream);
                mean * one
            }
            Sampler::Lognormal(mu, sigma) => lognormal(*mu, *sigma, stream),
            _ => self.draw(stream),
        };
        Span::from_nanos_f64(nanos)
    }

    /// Draws nanoseconds.
    #[inline(never)]
    fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            Sampler::Constant(value) => *value,
            Sampler::Uniform(low, width) => low + width * stream.unit(),
            Sampler::Exponential(mean) => {
                let one: f64 = Exp1.sample(stream);
                mean * one
            }
            Sampler::Lognormal(mu, sigma) => lognormal(*mu, *sigma, stream),
            Sampler::Gamma(shape, scale) => gamma(*shape, stream) * scale,
            Sampler::Weibull(scale, power) => {
                let one: f64 = Exp1.sample(stream);
                scale * libm::pow(one, *power)
            }
            Sampler::Pareto(low, high, alpha) => {
                // Inverse of F(x) = (1 − (low/x)^α) / (1 − (low/high)^α).
                let cut = 1.0 - libm::pow(low / high, *alpha);
                low / libm::pow(1.0 - stream.unit() * cut, 1.0 / alpha)
            }
            Sampler::Table(knots) => inverse(knots, stream.unit()),
            Sampler::Mixture(parts) => {
                let u = stream.unit();
                let at = parts.partition_point(|part| part.0 <= u).min(parts.len() - 1);
                parts[at].1.draw(stream)
            }
        }
    }

    /// Mean, seconds; for estimates before a run.
    pub fn mean(&self) -> f64 {
        let ns = match self {
            Sampler::Constant(value) | Sampler::Exponential(value) => *value,
            Sampler::Uniform(low, width) => low + width / 2.0,
            Sampler::Lognormal(mu, sigma) => libm::exp(mu + sigma * sigma / 2.0),
            Sampler::Gamma(shape, scale) => shape * scale,
            Sampler::Weibull(scale, power) => scale * libm::tgamma(1.0 + power),
            Sampler::Pareto(low, high, alpha) => {
                let cut = 1.0 - libm::pow(low / high, *alpha);
                if (alpha - 1.0).abs() < 1e-9 {
                    low / cut * libm::log(high / low)
                } else {
                    let grow = 1.0 - libm::pow(low / high, alpha - 1.0);
                    low * alpha / (alpha - 1.0) * grow / cut
                }
            }
            Sampler::Table(knots) => {
                knots.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum()
            }
            Sampler::Mixture(parts) => {
                let mut before = 0.0;
                let mut sum = 0.0;
                for (share, part) in parts {
                    sum += (share - before) * part.mean() * 1e9;
                    before = *share;
                }
                sum
            }
        };
        ns * 1e-9
    }
}

/// The piecewise linear quantile function.
fn inverse(knots: &[(f64, f64)], u: f64) -> f64 {
    let at = knots.partition_point(|knot| knot.0 <= u).clamp(1, knots.len() - 1);
    let ((q0, v0), (q1, v1)) = (knots[at - 1], knots[at]);
    if q1 > q0 { v0 + (v1 - v0) * ((u - q0) / (q1 - q0)) } else { v1 }
}

/// exp(mu + sigma · N(0,1)).
#[inline(never)]
fn lognormal(mu: f64, sigma: f64, stream: &mut Stream) -> f64 {
    let z: f64 = StandardNormal.sample(stream);
    exp(mu + sigma * z)
}

/// Gamma(shape, 1) after Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, stream) * libm::pow(stream.unit_open(), 1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x: f64 = StandardNormal.sample(stream);
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = stream.unit_open();
        if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    fn check(text: &str, mean: f64, cv: f64) {
        let law: Dist = serde_json::from_str(text).unwrap();
        let sampler = law.sampler(&Data::default()).unwrap();
        assert!((sampler.mean() / mean - 1.0).abs() < 1e-3, "{text}: mean {}", sampler.mean());
        let n = 400_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        let mut stream = Key::root(11, 0).named(text).stream();
        for _ in 0..n {
            let x = sampler.sample(&mut stream).as_secs_f64();
            sum += x;
            squares += x * x;
        }
        let m = sum / f64::from(n);
        let sd = (squares / f64::from(n) - m * m).max(0.0).sqrt();
        // Five standard errors of the mean.
        assert!((m - mean).abs() <= 5.0 * cv * mean / f64::from(n).sqrt() + 1e-9, "{text}: {m}");
        assert!((sd / m - cv).abs() < 0.05 * cv.max(0.02), "{text}: cv {}", sd / m);
    }

    #[test]
    fn drawn_moments_are_those_of_the_law() {
        check(r#"{"constant": "20ms"}"#, 0.02, 0.0);
        check(r#"{"uniform": {"low": "0s", "high": "1s"}}"#, 0.5, 1.0 / 3.0_f64.sqrt());
        check(r#"{"exponential": {"mean": "40ms"}}"#, 0.04, 1.0);
        check(r#"{"lognormal": {"mean": "40ms", "cv": 0.5}}"#, 0.04, 0.5);
        check(r#"{"gamma": {"mean": "40ms", "cv": 0.7}}"#, 0.04, 0.7);
        check(r#"{"gamma": {"mean": "40ms", "cv": 2.0}}"#, 0.04, 2.0);
        check(r#"{"weibull": {"scale": "1s", "shape": 2.0}}"#, 0.886_227, 0.522_723);
        // Bounded Pareto(1, 10, 2.5): moments by the closed form.
        check(r#"{"pareto": {"low": "1s", "high": "10s", "alpha": 2.5}}"#, 1.619_196, 0.569_0);
        check(
            r#"{"empirical": {"quantiles": [{"q":0,"value":"0s"},{"q":0.5,"value":"1s"},{"q":1,"value":"3s"}]}}"#,
            1.25,
            0.702_4,
        );
        check(
            r#"{"mixture": [{"weight":3,"of":{"constant":"1s"}},{"weight":1,"of":{"constant":"5s"}}]}"#,
            2.0,
            0.866_025,
        );
    }

    #[test]
    fn lognormal_by_quantiles_hits_them() {
        let law: Dist =
            serde_json::from_str(r#"{"lognormal": {"median": "10ms", "p99": "40ms"}}"#).unwrap();
        let sampler = law.sampler(&Data::default()).unwrap();
        let mut stream = Key::root(1, 0).stream();
        let n = 200_000;
        let above = (0..n).filter(|_| sampler.sample(&mut stream) > Span::from_millis(40)).count();
        // Five standard errors around 1 %.
        assert!((above as f64 - 2_000.0).abs() < 5.0 * 44.5, "{above}");
    }

    #[test]
    fn contradictions_are_said() {
        for bad in [
            r#"{"lognormal": {"mean": "1s"}}"#,
            r#"{"lognormal": {"median": "2s", "p99": "1s"}}"#,
            r#"{"uniform": {"low": "2s", "high": "1s"}}"#,
            r#"{"pareto": {"low": "0s", "high": "1s", "alpha": 1}}"#,
            r#"{"empirical": {}}"#,
            r#"{"mixture": []}"#,
        ] {
            let law: Dist = serde_json::from_str(bad).unwrap();
            assert!(law.sampler(&Data::default()).is_err(), "{bad}");
        }
    }
}
