//! A Kubernetes Service of type NodePort: kube-proxy sends every new connection to a random ready pod.

use crate::model::component::{About, Check, Component, NodeReport, Spec};
use crate::model::context::{Ctx, Purpose};
use crate::model::message::{Cause, Message, NodeId};
use crate::model::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module's head.
pub const ABOUT: About = About {
    what: "A NodePort: each cluster node forwards every new connection to a pod chosen at random.",
    models: &[
        "one address per cluster node; whichever is used, any ready pod of the service is chosen uniformly (iptables mode, external traffic policy Cluster)",
        "the choice is made per connection and kept: resent SYNs and later requests of the connection reach the same pod",
        "no retry on another pod",
    ],
    leaves_out: &[
        "session affinity, IPVS, traffic policy Local, the conntrack table's limit",
        "lag between a pod's readiness and the rules",
    ],
    example: r#"{"to": "api", "nodes": 2}"#,
};

/// A Service of type NodePort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePortSpec {
    /// The pods.
    pub to: String,
    /// Cluster nodes, each with the port open.
    #[serde(default = "nodes_default")]
    #[schemars(range(min = 1, max = 5000), extend("x-source" = "assumed: two worker nodes", "x-assumed" = true))]
    pub nodes: u16,
}

fn nodes_default() -> u16 {
    2
}

impl Spec for NodePortSpec {
    fn targets(&self) -> Vec<(String, &str)> {
        vec![("to".into(), &self.to)]
    }
    fn addresses(&self, _of: &dyn Fn(&str) -> u16) -> u16 {
        self.nodes
    }
    fn listens(&self, of: &dyn Fn(&str) -> bool) -> bool {
        of(&self.to)
    }
    fn check(&self, check: &mut Check) {
        check.target("to", &self.to);
        if check.nodes.get(&self.to).is_some_and(|kind| *kind != "pods") {
            check.problem(
                "E0303",
                "to",
                format!("\"{}\" is no `pods` node: a NodePort leads to pods", self.to),
                "point it at a `pods` node",
            );
        }
    }
}

/// A NodePort as it runs.
pub struct NodePort {
    to: NodeId,
    pods: u16,
}

impl Component for NodePort {
    type Spec = NodePortSpec;

    fn build(spec: &NodePortSpec, wiring: &mut Wiring) -> Result<NodePort, String> {
        let to = wiring.node(&spec.to)?;
        Ok(NodePort { to, pods: wiring.addresses(to) })
    }

    fn handle(&mut self, message: Message, ctx: &mut Ctx) {
        let Message::Arrive(call) = message else { return };
        let mut stream = ctx.stream(call, Purpose::Routing);
        let pod = match ctx.endpoints.ready(self.to) {
            None => stream.below(u64::from(self.pods)) as u16,
            // Rules without an endpoint reject.
            Some([]) => return ctx.fail(call, Cause::Refused, 0),
            Some(ready) => ready[stream.below(ready.len() as u64) as usize],
        };
        ctx.pass_on(call, self.to, pod);
    }

    fn close(&mut self, _ctx: &mut Ctx) -> NodeReport {
        NodeReport::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::Key;

    #[test]
    fn t_kp_1_every_endpoint_gets_its_share() {
        // The draw of `handle`, for 30,000 connections to 5 pods.
        let mut counts = [0_u32; 5];
        for user in 0..30_000 {
            let mut stream = Key::root(1, 0).with(user).stream();
            counts[stream.below(5) as usize] += 1;
        }
        for n in counts {
            assert!((f64::from(n) / 30_000.0 - 0.2).abs() < 0.01, "{counts:?}");
        }
    }
}
