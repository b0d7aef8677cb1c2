//! A policy that should stand, and those that are the same in every namespace.

use std::sync::Arc;

use bulkhead_api::vocabulary as names;
use bulkhead_policy::{Direction, Policy, Rule, Selector};

use super::Role;

/// A policy that should stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is for.
    pub role: Role,
    /// Name of the server or workload; empty for the others.
    pub server: Arc<str>,
    /// Name, selector and rules.
    pub policy: Arc<Policy>,
}

/// The allow-all of a namespace.
pub fn allow_all(namespace: &str, name: &str) -> Target {
    let open = Some(vec![Rule::default()]);
    plain(
        Role::AllowAll,
        namespace,
        name,
        Selector::everything(),
        open.clone(),
        open,
    )
}

/// The policy that opens egress alone.
pub fn allow_egress(namespace: &str, name: &str) -> Target {
    let open = Some(vec![Rule::default()]);
    plain(
        Role::AllowEgress,
        namespace,
        name,
        Selector::everything(),
        None,
        open,
    )
}

pub(super) fn deny(namespace: &str, direction: Direction) -> Target {
    let nothing = Some(Vec::new());
    match direction {
        Direction::Ingress => plain(
            Role::DefaultDeny,
            namespace,
            names::DEFAULT_DENY,
            Selector::everything(),
            nothing,
            None,
        ),
        Direction::Egress => plain(
            Role::DefaultDenyEgress,
            namespace,
            names::DEFAULT_DENY_EGRESS,
            Selector::everything(),
            None,
            nothing,
        ),
    }
}

fn plain(
    role: Role,
    namespace: &str,
    name: &str,
    pods: Selector,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
) -> Target {
    let policy = Policy {
        namespace: namespace.into(),
        name: name.into(),
        pods,
        ingress,
        egress,
    };
    Target {
        role,
        server: "".into(),
        policy: Arc::new(policy),
    }
}
