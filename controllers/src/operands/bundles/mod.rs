//! From facts and a spec to the policies of an operand.

mod cert_manager;
mod components;
mod external_secrets;
mod parts;
mod ztwim;

use std::sync::Arc;

use bulkhead_api::{
    Catalog,
    operand::{ComponentState, Operand, OperandNetworkPolicySpec},
};
use bulkhead_policy::Policy;

use super::{
    Facts, Warning, entries,
    namespaces::{self, Tenancy},
};
use crate::decide::{Role as Purpose, Target};
pub use components::Component;
use parts::Parts;

/// Everything that a bundle is made of.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What was found out.
    pub facts: &'a Facts,
    /// What the administrator wants.
    pub spec: &'a OperandNetworkPolicySpec,
    /// Policy groups that clients may name.
    pub catalog: &'a Catalog,
}

/// What a policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It opens something.
    Allow,
    /// It isolates and opens nothing.
    Deny,
}

/// A policy that should stand.
#[derive(Clone, Debug, PartialEq)]
pub struct BundlePolicy {
    /// What it does.
    pub role: Role,
    /// The component that it is about; `None` for a deny.
    pub component: Option<&'static str>,
    /// Its namespace, name and rules.
    pub policy: Arc<Policy>,
}

impl BundlePolicy {
    /// The policy as it is written.
    pub fn target(&self) -> Target {
        Target {
            role: match self.role {
                Role::Allow => Purpose::OperandAllow,
                Role::Deny => Purpose::OperandDeny,
            },
            server: self.component.unwrap_or_default().into(),
            policy: self.policy.clone(),
        }
    }
}

/// The policies of an operand, and what was noticed.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The operand.
    pub operand: Operand,
    /// The operand was found. Otherwise there are no policies.
    pub active: bool,
    /// Allows, then denies.
    pub policies: Vec<BundlePolicy>,
    /// The operand's components.
    pub components: Vec<Component>,
    /// Things that need attention.
    pub warnings: Vec<Warning>,
}

/// The bundle of the spec's operand.
pub fn build(context: Context<'_>) -> Bundle {
    let operand = context.spec.operand;
    let mut parts = Parts::new(context);
    let active = match operand {
        Operand::ZeroTrustWorkloadIdentityManager => context.facts.spire.present,
        Operand::CertManager => context.facts.cert_manager.present,
        Operand::ExternalSecrets => context.facts.external_secrets.present,
    };
    if active {
        match operand {
            Operand::ZeroTrustWorkloadIdentityManager => ztwim::add(&mut parts),
            Operand::CertManager => cert_manager::add(&mut parts),
            Operand::ExternalSecrets => external_secrets::add(&mut parts),
        }
    }
    let (policies, components, warnings) = parts.finish();
    Bundle {
        operand,
        active,
        policies,
        components,
        warnings,
    }
}

impl Bundle {
    /// Policies as the engine takes them.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter().map(|p| &p.policy)
    }

    /// Every namespace that the bundle writes to.
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = self.policies().map(|p| p.namespace.clone()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Objects that two bundles would write, with the operand that comes second: its policy must not be written.
pub fn collisions(bundles: &[Bundle]) -> Vec<(Operand, Arc<Policy>)> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut twice = Vec::new();
    for bundle in bundles {
        let before = seen.len();
        for policy in bundle.policies() {
            let id = (&*policy.namespace, &*policy.name);
            if seen[..before].contains(&id) {
                twice.push((bundle.operand, policy.clone()));
            }
            seen.push(id);
        }
    }
    twice
}

/// Whether a component's pods should be served.
const fn is_on(state: ComponentState) -> bool {
    matches!(state, ComponentState::Present)
}
