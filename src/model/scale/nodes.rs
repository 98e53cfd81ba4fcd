//! Nodes of a cluster that come when pods find no room: Cluster Autoscaler and Karpenter. Consolidation and prices of spot pools are left
//! out.

use crate::kernel::{Span, Stream};
use crate::model::dist::{Dist, Lognormal, Sampler, Uniform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who adds nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provisioner {
    /// Karpenter: batches pending pods for one to ten seconds, then launches instances itself.
    #[default]
    Karpenter,
    /// Cluster Autoscaler: scans every ten seconds, decides, and asks an Auto Scaling group.
    ClusterAutoscaler,
}

impl Provisioner {
    /// Time from the first pod without room to the request for an instance.
    fn decides(self) -> Vec<Dist> {
        let between = |low: f64, high: f64| {
            Dist::Uniform(Uniform {
                low: Span::from_secs_f64(low),
                high: Span::from_secs_f64(high),
            })
        };
        match self {
            Provisioner::Karpenter => vec![between(1.0, 10.0)],
            Provisioner::ClusterAutoscaler => {
                vec![between(0.0, 10.0), Dist::Constant(Span::from_secs(5)), between(5.0, 30.0)]
            }
        }
    }
}

/// The fastest start of an instance that was seen (brevdev/ec2-coldboot-research, 2026-01).
const FASTEST: Span = Span::from_millis(21_200);

/// Time from the request to an instance that runs.
pub fn ec2_default() -> Dist {
    quantiles(24, 35)
}

/// Time from a running instance to a node that takes pods.
pub fn join_default() -> Dist {
    quantiles(18, 40)
}

fn quantiles(median: u64, p95: u64) -> Dist {
    Dist::Lognormal(Lognormal {
        median: Some(Span::from_secs(median)),
        p95: Some(Span::from_secs(p95)),
        ..Lognormal::default()
    })
}

/// How long nodes take to come.
#[derive(Debug, Clone)]
pub struct Provisioning {
    decides: Vec<Sampler>,
    ec2: Sampler,
    join: Sampler,
}

impl Provisioning {
    /// From its laws.
    ///
    /// # Errors
    /// Says which law has no meaning.
    pub fn new(
        provisioner: Provisioner,
        (ec2, join): (&Dist, &Dist),
        sampler: impl Fn(&Dist) -> Result<Sampler, String>,
    ) -> Result<Provisioning, String> {
        let decides = provisioner.decides().iter().map(&sampler).collect::<Result<_, _>>()?;
        Ok(Provisioning { decides, ec2: sampler(ec2)?, join: sampler(join)? })
    }

    /// From the first pod without room to a node that takes it.
    pub fn draw(&self, stream: &mut Stream) -> Span {
        let decides = self.decides.iter().fold(Span::ZERO, |sum, law| sum + law.sample(stream));
        decides + self.ec2.sample(stream).max(FASTEST) + self.join.sample(stream)
    }
}

/// Nodes that are missing for `pods` pods, where one node takes `per_node` and there are `nodes`, at most `nodes_max`.
pub fn nodes_missing(pods: u32, per_node: u32, nodes: u32, nodes_max: u32) -> u32 {
    pods.div_ceil(per_node.max(1)).min(nodes_max).saturating_sub(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use crate::model::data::Data;

    /// Mean and smallest time of 20,000 nodes, seconds.
    fn times(provisioner: Provisioner) -> (f64, f64) {
        let laws = (&ec2_default(), &join_default());
        let law = Provisioning::new(provisioner, laws, |law| law.sampler(&Data::default()));
        let law = law.unwrap();
        let mut stream = Key::root(1, 0).stream();
        let draws: Vec<f64> = (0..20_000).map(|_| law.draw(&mut stream).as_secs_f64()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        (mean, draws.iter().copied().fold(f64::INFINITY, f64::min))
    }

    #[test]
    fn t_node_1_means_and_the_floor() {
        let (karpenter, least) = times(Provisioner::Karpenter);
        assert!((45.0..=60.0).contains(&karpenter), "{karpenter}");
        assert!(least >= 22.0, "{least}");
        let (autoscaler, least) = times(Provisioner::ClusterAutoscaler);
        assert!((70.0..=180.0).contains(&autoscaler), "{autoscaler}");
        assert!(least >= 22.0, "{least}");
    }

    #[test]
    fn whole_nodes_up_to_the_most() {
        assert_eq!(nodes_missing(10, 4, 2, 9), 1);
        assert_eq!(nodes_missing(8, 4, 2, 9), 0);
        assert_eq!(nodes_missing(100, 4, 2, 9), 7);
    }
}
