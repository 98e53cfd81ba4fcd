//! Which items of a price table a field may name: a database's class is that of a database of its engine, never a bare host's.

use super::check::Problems;
use super::spec::Scenario;
use crate::model::registry::NodeSpec;
use crate::price::{PriceError, Table};

/// Classes that the table prices, but as something else than the node that names them.
pub(super) fn check(scenario: &Scenario, table: &Table, problems: &mut Problems) {
    for (design, spec) in &scenario.designs {
        for (name, node) in &spec.nodes {
            let families = node.spec().families(node.kind());
            let Some(class) = node.spec().class().filter(|_| !families.is_empty()) else {
                continue;
            };
            if table.items.contains_key(class) && !may_name(table, families, class) {
                let kind = node.kind();
                let named = families.iter().map(|family| format!("`{family}.…`"));
                let named = named.collect::<Vec<_>>().join(" or ");
                let own = format!("name an item of {named}, or one of your own (prices/README.md)");
                let remedy = match table.nearest(class, families) {
                    Some(known) => format!("did you mean `{known}`? Otherwise {own}"),
                    None => own,
                };
                problems.add(
                    "E0399",
                    &format!("designs.{design}.nodes.{name}.{kind}.class"),
                    format!("`{class}` is not the price of a {kind} node"),
                    &remedy,
                );
            }
        }
    }
}

/// What to do about an item of a node that has no price.
pub(super) fn remedy(table: &Table, node: &NodeSpec, error: &PriceError) -> String {
    match error {
        PriceError::Missing { item, .. } if node.spec().class() == Some(item.as_str()) => {
            table.remedy(item, node.spec().families(node.kind()))
        }
        _ => error.remedy(),
    }
}

/// Whether an item is of one of the families, or of no family that the shipped table has: then it is the user's own.
fn may_name(table: &Table, families: &[&str], item: &str) -> bool {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let shipped = Table::builtin(&table.region).unwrap_or_else(|| table.clone());
    families.iter().any(|family| Table::is_of(item, family))
        || !shipped.items.keys().any(|known| first(known) == first(item))
}
