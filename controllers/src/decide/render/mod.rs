//! From a restrictive set to the policies that should stand in its namespace.

mod additional;
mod clients;
mod destinations;
mod egress;
mod identity;
mod ingress;
mod role;
mod served;
mod target;

use bulkhead_policy::Rule;

pub(crate) use clients::admission;
pub(crate) use destinations::dns;
pub use egress::egress;
pub use ingress::ingress;
pub use role::Role;
pub use served::{ServedBy, served_by};
pub use target::{Target, allow_all, allow_egress};

/// The policies of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Servers, additional policies, then the deny: the order in which they are written.
    pub targets: Vec<Target>,
    /// A rule for host traffic fell back to its ports alone, so it admits everybody.
    pub port_only: bool,
}

fn without_repeats(rules: Vec<Rule>) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        if !kept.contains(&rule) {
            kept.push(rule);
        }
    }
    kept
}
