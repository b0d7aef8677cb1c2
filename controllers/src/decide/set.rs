//! The restrictive set of one namespace: its catalog entry and the declarations beside its servers, composed.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{
    Catalog, CatalogEntry,
    catalog::Applicability,
    namespace::Lineage,
    server::{AdditionalPolicy, CatalogEntryUse, EgressRule, Server, SystemNetworkPolicySpec},
};

use super::validate::{self, Rejection};

/// One `SystemNetworkPolicy` as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: Arc<str>,
    /// Its generation.
    pub generation: i64,
    /// Its spec; an error text if it is not what the schema says.
    pub spec: Result<Arc<SystemNetworkPolicySpec>, String>,
    /// The spec that was accepted last, if this one is not.
    pub last_good: Option<Arc<SystemNetworkPolicySpec>>,
}

/// What is known about the servers of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestrictiveSet {
    /// Servers, and pods declared to have no clients.
    pub servers: Vec<Server>,
    /// What pods may reach where egress is isolated.
    pub egress: Vec<EgressRule>,
    /// What servers and egress cannot say.
    pub additional: Vec<AdditionalPolicy>,
}

/// Everything that was declared for one namespace, composed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Composition {
    /// The set; `None` where nobody declared one.
    pub set: Option<RestrictiveSet>,
    /// Since when the namespace exists, as declared.
    pub lineage: Lineage,
    /// Labels that declarations demand.
    pub labels: BTreeMap<String, String>,
    /// What became of each declaration.
    pub verdicts: Vec<(Arc<str>, i64, Result<(), Rejection>)>,
    /// Part of the set is unknown: nothing may be narrowed on the strength of it.
    pub incomplete: bool,
}

/// Composes the set of one system namespace.
pub fn compose(
    entry: Option<&CatalogEntry>,
    declared: &[Declared],
    catalog: &Catalog,
    granted: impl Fn(&str) -> bool,
) -> Composition {
    let mut composition = Composition::default();
    let mut accepted: Vec<Arc<SystemNetworkPolicySpec>> = Vec::new();
    for declaration in declared {
        let checked = match &declaration.spec {
            Ok(spec) => validate::declaration(spec, catalog, &granted).map(|()| spec.clone()),
            Err(error) => Err(Rejection {
                reason: "Invalid",
                message: error.clone(),
            }),
        };
        match checked.as_ref().ok().or(declaration.last_good.as_ref()) {
            Some(spec) => accepted.push(spec.clone()),
            None => composition.incomplete = true,
        }
        let verdict = checked.map(|_| ());
        composition
            .verdicts
            .push((declaration.name.clone(), declaration.generation, verdict));
    }
    let replacing = accepted
        .iter()
        .filter(|s| s.catalog_entry == CatalogEntryUse::Replace)
        .count();
    if replacing > 1 {
        reject_replacing(declared, &mut composition);
        return composition;
    }
    let base = if replacing == 0 { entry } else { None };
    composition.lineage = lineage(entry, &accepted);
    composition.labels = accepted.iter().flat_map(|s| s.namespace_labels.clone()).collect();
    composition.set = merge(base, &accepted);
    composition
}

/// Two Replace objects contradict each other: neither is accepted, and nothing may be narrowed.
fn reject_replacing(declared: &[Declared], composition: &mut Composition) {
    composition.incomplete = true;
    for (declaration, verdict) in declared.iter().zip(&mut composition.verdicts) {
        let replaces = declaration
            .spec
            .as_ref()
            .is_ok_and(|s| s.catalog_entry == CatalogEntryUse::Replace);
        if replaces && verdict.2.is_ok() {
            verdict.2 = Err(Rejection {
                reason: "Conflict",
                message: "spec.catalogEntry: another object in this namespace says Replace too; keep one of \
                          them and let the others say Extend"
                    .into(),
            });
        }
    }
}

fn lineage(entry: Option<&CatalogEntry>, accepted: &[Arc<SystemNetworkPolicySpec>]) -> Lineage {
    let declared = accepted.iter().find_map(|s| s.lineage);
    declared.or(entry.map(|e| e.lineage)).unwrap_or_default()
}

fn merge(base: Option<&CatalogEntry>, accepted: &[Arc<SystemNetworkPolicySpec>]) -> Option<RestrictiveSet> {
    let mut set = RestrictiveSet::default();
    for spec in accepted {
        set.servers.extend(spec.servers.iter().cloned());
        set.egress.extend(spec.egress.iter().cloned());
        set.additional.extend(spec.additional_policies.iter().cloned());
    }
    if let Some(entry) = base {
        let overridden = |name: &str| accepted.iter().any(|s| s.servers.iter().any(|o| o.name == name));
        set.servers
            .extend(entry.servers.iter().filter(|s| !overridden(&s.name)).cloned());
        let replaced = |name: &str| accepted.iter().any(|s| s.egress.iter().any(|o| o.name == name));
        set.egress
            .extend(entry.egress.iter().filter(|e| !replaced(&e.name)).cloned());
        set.additional.extend(entry.additional_policies.iter().cloned());
    }
    // Without pods on the pod network the empty set is a known one: a policy changes nothing there.
    let nothing_to_protect = base.is_some_and(|e| e.applicability != Applicability::PodNetwork);
    let known = !set.servers.is_empty() || !set.additional.is_empty() || nothing_to_protect;
    known.then_some(set)
}
