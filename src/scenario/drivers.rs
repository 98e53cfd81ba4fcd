//! Which driver a pool of pods has when nobody says so: the one that programs mostly use with the engine of the store. Said for every store
//! that the requests of a design may query, so that it stands among the assumptions.

use super::graph::queried;
use super::spec::Scenario;
use crate::model::driver::Driver;
use crate::model::registry::NodeSpec;
use crate::model::world::DesignSpec;

/// Names the driver of every pool that does not name one, and gives every queried database a pool.
pub(super) fn fill(scenario: &mut Scenario) {
    let mut designs = std::mem::take(&mut scenario.designs);
    for spec in designs.values_mut() {
        let unnamed: Vec<(String, String)> = queried(scenario, spec)
            .into_iter()
            .map(|(name, store)| (name.to_owned(), store.to_owned()))
            .chain(named(spec))
            .collect();
        for (name, store) in unnamed {
            let Some(driver) = usual(spec, &store) else { continue };
            if let Some(NodeSpec::Pods(pods)) = spec.nodes.get_mut(&name) {
                pods.pool.entry(store).or_default().driver.get_or_insert(driver);
            }
        }
    }
    scenario.designs = designs;
}

/// Pools that are written, by node and store.
fn named(spec: &DesignSpec) -> impl Iterator<Item = (String, String)> {
    spec.nodes.iter().flat_map(|(name, node)| {
        let pools = if let NodeSpec::Pods(pods) = node { Some(&pods.pool) } else { None };
        pools.into_iter().flatten().map(|(store, _)| (name.clone(), store.clone()))
    })
}

/// The usual driver of a store; none of what is no database.
fn usual(spec: &DesignSpec, store: &str) -> Option<Driver> {
    match spec.nodes.get(store)? {
        NodeSpec::Postgres(_) | NodeSpec::Pgbouncer(_) => Some(Driver::NodePostgres),
        NodeSpec::Mysql(_) => Some(Driver::Mysql2),
        NodeSpec::Mongodb(_) | NodeSpec::Documentdb(_) => Some(Driver::Mongodb),
        NodeSpec::RdsProxy(proxy) => match spec.nodes.get(&proxy.to)? {
            NodeSpec::Mysql(_) => Some(Driver::Mysql2),
            _ => Some(Driver::NodePostgres),
        },
        _ => None,
    }
}
