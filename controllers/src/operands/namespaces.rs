//! What may be done in a namespace that a bundle names.

use bulkhead_api::{
    operand::{DenyScope, Operand},
    vocabulary,
};

use super::Facts;

/// Whose namespace it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// The operand's: every pod in it may be isolated.
    Own,
    /// Others live there too: only known components may be isolated.
    Shared,
    /// Never written to.
    Forbidden,
}

/// Whose namespace it is, by its name alone: `openshift-*` is the platform's, and so is ours.
pub fn tenancy(namespace: &str, facts: &Facts) -> Tenancy {
    if vocabulary::is_forbidden_name(namespace) {
        Tenancy::Forbidden
    } else if vocabulary::is_system_name(namespace) || facts.own_namespace.as_deref() == Some(namespace) {
        Tenancy::Shared
    } else {
        Tenancy::Own
    }
}

/// Which pods a deny may select there.
pub fn deny_scope(namespace: &str, wanted: Option<DenyScope>, facts: &Facts) -> DenyScope {
    match tenancy(namespace, facts) {
        Tenancy::Own => wanted.unwrap_or_default(),
        Tenancy::Shared | Tenancy::Forbidden => DenyScope::Component,
    }
}

/// Names that more than one bundle gives to its policies.
const COMMON: [&str; 4] = [
    "deny-all-traffic",
    "deny-all-traffic-operator",
    "allow-operator-traffic",
    "allow-proxy-egress",
];

/// The object name of a policy of a bundle. Two operators may be installed in one shared namespace, so there a
/// name that several bundles use carries the bundle's name too.
pub fn policy_name(namespace: &str, name: &str, operand: Operand, facts: &Facts) -> String {
    if tenancy(namespace, facts) == Tenancy::Shared && COMMON.contains(&name) {
        format!("{name}-{}", operand.object_name())
    } else {
        name.to_owned()
    }
}
