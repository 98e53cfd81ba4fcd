//! The one list of node kinds. A new kind is one file and one line here (and one scenario that shows it).

use super::calls::Call;
use super::component::{About, Check, Component, NodeReport, Spec};
use super::compute::{lambda, pods};
use super::context::Ctx;
use super::entry::{
    alb, api_gateway, dns, function_url, guard, haproxy, nginx, nlb, node_port, router,
};
use super::era::Era;
use super::message::Event;
use super::queue::sqs;
use super::store::pooler::{pgbouncer, rds_proxy};
use super::store::{cache, database, dynamodb};
use super::wiring::Wiring;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! nodes {
    ($($variant:ident($spec:ty, $node:ty, $about:path) $name:literal $what:literal;)+) => {
        /// A node as the scenario writes it: `{"lambda": {…}}`, one key a kind.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[expect(clippy::large_enum_variant, reason = "a scenario has few nodes, and they are not moved")]
        pub enum NodeSpec { $(#[doc = $what] #[serde(rename = $name)] $variant($spec),)+ }

        /// A node as it runs.
        pub enum Node { $(#[doc = $what] $variant($node),)+ }

        /// Every kind: its name and what it is.
        pub const KINDS: &[(&str, About)] = &[$(($name, $about),)+];

        impl NodeSpec {
            /// Name of the kind.
            pub fn kind(&self) -> &'static str {
                match self { $(NodeSpec::$variant(_) => $name,)+ }
            }
            /// What the kind provides.
            pub fn spec(&self) -> &dyn Spec {
                match self { $(NodeSpec::$variant(spec) => spec,)+ }
            }
            /// Builds the node.
            ///
            /// # Errors
            /// Says what is wrong; a checked scenario has no such errors.
            pub fn build(&self, wiring: &mut Wiring) -> Result<Node, String> {
                Ok(match self {
                    $(NodeSpec::$variant(spec) => {
                        Node::$variant(<$node as Component>::build(spec, wiring)?)
                    })+
                })
            }
        }
        impl Node {
            /// Begins what the node does by itself.
            pub fn start(&mut self, ctx: &mut Ctx) {
                match self { $(Node::$variant(node) => node.start(ctx),)+ }
            }
            /// Handles a message.
            #[inline(always)]
            pub fn handle(&mut self, event: Event, ctx: &mut Ctx) {
                match self { $(Node::$variant(node) => node.handle(event, ctx),)+ }
            }
            /// The row of the call that a timer is about.
            pub fn call_of(&self, timer: u8, word: u32) -> Option<u32> {
                match self { $(Node::$variant(node) => node.call_of(timer, word),)+ }
            }
            /// Has rows of the node loaded that the next event about a call will need.
            pub fn foresee(&self, call: &Call) {
                match self { $(Node::$variant(node) => node.foresee(call),)+ }
            }
            /// Whether the node has work of its own left.
            pub fn busy(&self) -> bool {
                match self { $(Node::$variant(node) => node.busy(),)+ }
            }
            /// Says what was counted and used.
            pub fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
                match self { $(Node::$variant(node) => Component::close(node, ctx),)+ }
            }
        }
    };
}

nodes! {
    Dns(dns::DnsSpec, dns::Dns, dns::ABOUT) "dns" "DNS round robin: a name with several addresses.";
    NodePort(node_port::NodePortSpec, node_port::NodePort, node_port::ABOUT) "node_port" "A Kubernetes Service of type NodePort.";
    Haproxy(haproxy::HaproxySpec, haproxy::Haproxy, haproxy::ABOUT) "haproxy" "HAProxy as a reverse proxy.";
    Nginx(nginx::NginxSpec, nginx::Nginx, nginx::ABOUT) "nginx" "nginx as a reverse proxy.";
    Alb(alb::AlbSpec, alb::Alb, alb::ABOUT) "alb" "An Application Load Balancer.";
    Nlb(nlb::NlbSpec, nlb::Nlb, nlb::ABOUT) "nlb" "A Network Load Balancer.";
    Router(router::RouterSpec, router::Router, router::ABOUT) "router" "A router between functions and containers.";
    Guard(guard::GuardSpec, guard::Guard, guard::ABOUT) "guard" "Overload protection in front of a service.";
    ApiGateway(api_gateway::ApiGatewaySpec, api_gateway::ApiGateway, api_gateway::ABOUT) "api_gateway" "Amazon API Gateway.";
    FunctionUrl(function_url::FunctionUrlSpec, function_url::FunctionUrl, function_url::ABOUT) "function_url" "A Lambda function URL.";
    Lambda(lambda::LambdaSpec, lambda::Lambda, lambda::ABOUT) "lambda" "An AWS Lambda function.";
    Pods(pods::PodsSpec, pods::Pods, pods::ABOUT) "pods" "Replicas of one service on shared hosts.";
    Sqs(sqs::SqsSpec, sqs::Sqs, sqs::ABOUT) "sqs" "A standard SQS queue with a consumer.";
    Postgres(database::DatabaseSpec, database::Database, database::ABOUT_POSTGRES) "postgres" "A PostgreSQL server.";
    Mysql(database::DatabaseSpec, database::Database, database::ABOUT_MYSQL) "mysql" "A MySQL server.";
    Mongodb(database::DatabaseSpec, database::Database, database::ABOUT_MONGODB) "mongodb" "A MongoDB server.";
    Documentdb(database::DatabaseSpec, database::Database, database::ABOUT_DOCUMENTDB) "documentdb" "An Amazon DocumentDB instance.";
    Pgbouncer(pgbouncer::PgbouncerSpec, pgbouncer::Pgbouncer, pgbouncer::ABOUT) "pgbouncer" "PgBouncer in front of a PostgreSQL server.";
    RdsProxy(rds_proxy::RdsProxySpec, rds_proxy::RdsProxy, rds_proxy::ABOUT) "rds_proxy" "Amazon RDS Proxy.";
    Dynamodb(dynamodb::DynamodbSpec, dynamodb::Dynamodb, dynamodb::ABOUT) "dynamodb" "An Amazon DynamoDB table.";
    Cache(cache::CacheSpec, cache::Cache, cache::ABOUT) "cache" "A cache in front of a store.";
}

impl NodeSpec {
    /// Finds problems of meaning.
    pub fn check(&self, check: &mut Check) {
        self.spec().check(check);
    }
    /// Items of the price table that a run may need.
    pub fn items(&self, era: Era) -> Vec<String> {
        self.spec().items(era)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_example_that_parses() {
        for (name, about) in KINDS {
            let text = format!("{{\"{name}\": {}}}", about.example);
            let spec: NodeSpec =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(spec.kind(), *name);
            let again: NodeSpec =
                serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
            assert_eq!(spec, again, "{name}: what is written reads back");
            assert!(about.what.ends_with('.') && !about.models.is_empty());
        }
    }
}
