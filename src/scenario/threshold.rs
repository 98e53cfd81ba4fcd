//! Thresholds in k6's syntax on our metrics: `p(95)<500ms`, `rate>0.999`, `value<0.002`. A metric may be narrowed to one class of users
//! by a tag in braces, `latency{class:web}`, as k6 narrows one to a scenario: `http_req_duration{scenario:web}`.

use crate::units;

/// The statistic that a threshold judges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Mean.
    Mean,
    /// Median.
    Median,
    /// Largest.
    Max,
    /// Quantile, in percent.
    Percentile(f64),
    /// A share or a plain value.
    Value,
}

/// Which side of the limit passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Below.
    Less,
    /// At most.
    LessOrEqual,
    /// Above.
    Greater,
    /// At least.
    GreaterOrEqual,
}

/// One threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// What is judged.
    pub statistic: Statistic,
    /// How.
    pub comparison: Comparison,
    /// Against what: seconds, share or money.
    pub limit: f64,
    /// Whether a time is written without a unit: milliseconds then, as in k6.
    pub bare: bool,
}

/// Metrics that thresholds may name, and what each takes.
pub const METRICS: &[(&str, &str)] = &[
    ("success_rate", "rate>0.999"),
    ("latency", "p(95)<500ms, avg<1s, med<200ms or max<5s"),
    ("latency_all", "p(95)<500ms, avg<1s, med<200ms or max<5s"),
    ("cost_per_user", "value<0.002"),
    ("cost_per_user_monthly", "value<0.002"),
    ("cost_per_request", "value<0.00001"),
    ("cost_total", "value<10"),
    ("throughput", "value>100"),
];

/// Metrics that are known of each class of users. Bills are not: what a node costs serves all classes.
pub const BY_CLASS: [&str; 4] = ["success_rate", "latency", "latency_all", "throughput"];

/// What a threshold is on: a metric of all users, or of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// One of [`METRICS`].
    pub metric: &'a str,
    /// The class of users; none: all together.
    pub class: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// Reads `latency` or `latency{class:web}`.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &'a str) -> Result<Subject<'a>, String> {
        let Some((metric, rest)) = text.split_once('{') else {
            return Ok(Subject { metric: text.trim(), class: None });
        };
        let metric = metric.trim();
        let tag = rest.trim_end().strip_suffix('}').and_then(|tag| tag.split_once(':'));
        let Some((key, class)) = tag.map(|(key, class)| (key.trim(), class.trim())) else {
            return Err(format!("the braces hold no tag; write {metric}{{class:NAME}}"));
        };
        if key != "class" {
            return Err(format!(
                "there is no tag \"{key}\"; users are told apart by class: {metric}{{class:{class}}}"
            ));
        }
        if METRICS.iter().any(|(name, _)| *name == metric) && !BY_CLASS.contains(&metric) {
            return Err(format!(
                "{metric} is not known of a class: nodes are paid for by all their users; by class there are {}",
                BY_CLASS.join(", ")
            ));
        }
        Ok(Subject { metric, class: Some(class) })
    }
}

/// Quantiles that a run reports.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

impl Threshold {
    /// Reads an expression for `metric`.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(metric: &str, text: &str) -> Result<Threshold, String> {
        let known = METRICS.iter().find(|(name, _)| *name == metric);
        let Some((_, example)) = known else {
            let names: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no metric \"{metric}\"; there are {}", names.join(", ")));
        };
        let fail = |why: &str| Err(format!("{why}; write it like {example}"));
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let Some(at) = compact.find(['<', '>']) else {
            return fail("there is no `<` or `>`");
        };
        let (left, right) = compact.split_at(at);
        let (comparison, right) = match (right.strip_prefix("<="), right.strip_prefix(">=")) {
            (Some(rest), _) => (Comparison::LessOrEqual, rest),
            (_, Some(rest)) => (Comparison::GreaterOrEqual, rest),
            _ if right.starts_with('<') => (Comparison::Less, &right[1..]),
            _ => (Comparison::Greater, &right[1..]),
        };
        let timed = metric.starts_with("latency");
        let statistic = match (left, timed) {
            ("avg" | "mean", true) => Statistic::Mean,
            ("med" | "p(50)", true) => Statistic::Median,
            ("max", true) => Statistic::Max,
            ("rate", false) if metric == "success_rate" => Statistic::Value,
            ("value" | "rate", false) => Statistic::Value,
            (other, true) => {
                let inner = other.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
                match inner.and_then(|n| n.parse::<f64>().ok()) {
                    Some(p) if PERCENTILES.contains(&p) => Statistic::Percentile(p),
                    Some(p) => {
                        return fail(&format!("p({p}) is not reported (50, 90, 95, 99, 99.9 are)"));
                    }
                    None => return fail(&format!("\"{other}\" is no statistic of a latency")),
                }
            }
            (other, false) => return fail(&format!("\"{other}\" is no statistic of {metric}")),
        };
        let bare = timed && right.parse::<f64>().is_ok();
        let limit = if timed {
            // k6 writes bare numbers in milliseconds.
            match right.parse::<f64>() {
                Ok(ms) => ms / 1e3,
                Err(_) => match units::parse_span(right) {
                    Ok(span) => span.as_secs_f64(),
                    Err(why) => return fail(&why.problem),
                },
            }
        } else {
            match right.trim_start_matches('$').parse::<f64>() {
                Ok(number) => number,
                Err(_) => return fail(&format!("\"{right}\" is not a number")),
            }
        };
        if !limit.is_finite() {
            return fail("the limit is not finite");
        }
        Ok(Threshold { statistic, comparison, limit, bare })
    }

    /// Whether it is a share of all, `rate>=1`: that no request of the run fails. No number of requests could prove that none ever does.
    pub fn wants_all(&self) -> bool {
        self.statistic == Statistic::Value
            && self.comparison == Comparison::GreaterOrEqual
            && self.limit.to_bits() == 1.0_f64.to_bits()
    }

    /// Whether a value meets it.
    pub fn met_by(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::LessOrEqual => value <= self.limit,
            Comparison::Greater => value > self.limit,
            Comparison::GreaterOrEqual => value >= self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_in_k6s_syntax() {
        let parse = |m, t| Threshold::parse(m, t).unwrap();
        let p95 = parse("latency", "p(95) < 500");
        assert_eq!((p95.statistic, p95.limit), (Statistic::Percentile(95.0), 0.5));
        assert!(
            p95.bare && !parse("latency", "avg<1s").bare && !parse("throughput", "value>1").bare
        );
        assert!((parse("latency", "p(99.9)<1s").limit - 1.0).abs() < 1e-12);
        assert_eq!(parse("latency", "avg<=1.5s").comparison, Comparison::LessOrEqual);
        assert!(parse("success_rate", "rate>0.999").met_by(1.0));
        assert!(!parse("cost_per_user", "value<$0.002").met_by(0.002));
    }

    #[test]
    fn a_tag_in_braces_selects_a_class() {
        let of = |text| Subject::parse(text).map(|own| (own.metric, own.class));
        assert_eq!(of("latency"), Ok(("latency", None)));
        assert_eq!(of("latency{class:web}"), Ok(("latency", Some("web"))));
        assert_eq!(
            of("success_rate { class: web users }"),
            Ok(("success_rate", Some("web users")))
        );
        for (text, why) in [
            ("latency{scenario:web}", "latency{class:web}"),
            ("latency{web}", "latency{class:NAME}"),
            ("latency{class:web", "latency{class:NAME}"),
            ("cost_per_user{class:web}", "all their users"),
        ] {
            let told = of(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (metric, text) in [
            ("latency", "p(42)<1s"),
            ("latency", "p95<1s"),
            ("latency", "500ms"),
            ("latency", "avg<soon"),
            ("success_rate", "avg>1"),
            ("speed", "value>1"),
            ("cost_total", "value<1e999"),
        ] {
            assert!(Threshold::parse(metric, text).is_err(), "{metric}: {text}");
        }
    }
}
