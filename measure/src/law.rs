//! Laws of random times as measured cases write them.

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::Deserialize;
use std::time::Duration;

/// A law; seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Law {
    /// Always `mean_s`.
    Const { mean_s: f64 },
    /// Exponential.
    Exp { mean_s: f64 },
    /// Uniform between two bounds.
    Uniform { lo_s: f64, hi_s: f64 },
    /// Lognormal with the mean `mean_s`: mu = ln(mean) - sigma^2 / 2.
    Lognormal { mean_s: f64, sigma: f64 },
}

impl Law {
    /// A draw.
    pub fn draw(&self, random: &mut StdRng) -> Duration {
        let seconds = match *self {
            Law::Const { mean_s } => mean_s,
            Law::Exp { mean_s } => {
                let unit: f64 = Exp1.sample(random);
                mean_s * unit
            }
            Law::Uniform { lo_s, hi_s } => lo_s + (hi_s - lo_s) * random.random::<f64>(),
            Law::Lognormal { mean_s, sigma } => {
                let normal: f64 = StandardNormal.sample(random);
                (mean_s.ln() - sigma * sigma / 2.0 + sigma * normal).exp()
            }
        };
        Duration::from_secs_f64(seconds.max(0.0))
    }
}
