//! What is to be paid for has a price: items that nodes may use, and what a design costs whatever its load.

use super::check::Problems;
use super::family;
use super::spec::Scenario;
use crate::model::fixed::{FixedSpec, ItemSpec};
use crate::model::world::DesignSpec;
use crate::price::metering::held_unit;
use crate::price::{Table, check_items};

/// Everything that needs a price, against the table in force.
pub(super) fn check(scenario: &Scenario, table: &Table, problems: &mut Problems) {
    for (name, spec) in &scenario.designs {
        for (node, node_spec) in &spec.nodes {
            for error in check_items(table, &node_spec.items(scenario.era)) {
                let at = format!("designs.{name}.nodes.{node}.{}", node_spec.kind());
                let remedy = family::remedy(table, node_spec, &error);
                problems.add("E0320", &at, error.problem(), &remedy);
            }
        }
        fixed(name, spec, table, problems);
    }
}

/// What a design costs whatever its load: items by the hour, and names that no other line of the bill has.
fn fixed(design: &str, spec: &DesignSpec, table: &Table, problems: &mut Problems) {
    for (name, fixed) in &spec.fixed {
        let path = format!("designs.{design}.fixed.{name}");
        if spec.nodes.contains_key(name) {
            let what = format!("\"{name}\" is a node already");
            let remedy = "choose another name: a line of the bill belongs to one of the two";
            problems.add("E0395", &path, what, remedy);
        }
        if let FixedSpec::Item(item) = fixed {
            by_the_hour(&path, item, table, problems);
        }
    }
}

fn by_the_hour(path: &str, own: &ItemSpec, table: &Table, problems: &mut Problems) {
    let at = format!("{path}.item.name");
    match table.item(&own.name) {
        Err(error) => problems.add("E0320", &at, error.problem(), &error.remedy()),
        Ok(item) if held_unit(&item.unit).is_none() => {
            let what = format!("`{}` is paid by the {}, not by the hour", own.name, item.unit);
            let remedy = "name an item that is paid by the hour, or say what it comes to as a `fee`, such as \"120/month\"";
            problems.add("E0394", &at, what, remedy);
        }
        Ok(_) => {}
    }
}
