//! Network policies as they were observed, and which of them are ours.

use std::sync::Arc;

use bulkhead_api::{operand::Operand, vocabulary as names};
use bulkhead_policy::{Policy, Selector, v1};

use super::kinds::NetworkPolicy;
use crate::{decide::Role, operands::foreign::OWNER_LABELS};

/// One stored version of a network policy.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedPolicy {
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
    /// Its resourceVersion.
    pub resource_version: Arc<str>,
    /// Our field manager is on its spec. A uid that we recorded makes it ours too.
    pub managed_by_us: bool,
    /// The bundle whose label it carries.
    pub bundle: Option<Operand>,
    /// Who seems to keep it, if that is not us: an operator's label, else who last wrote its spec.
    pub owner: Option<Arc<str>>,
    /// What its label says that it is for.
    pub role: Option<Role>,
    /// Format that its writer used.
    pub format: u32,
    /// Catalog sequence that its writer used.
    pub sequence: u32,
    /// It carries the emergency hold.
    pub hold: bool,
    /// Its meaning. One that cannot be read counts as isolating everything and allowing nothing.
    pub policy: Arc<Policy>,
    /// Why its meaning cannot be read.
    pub unreadable: bool,
}

impl ObservedPolicy {
    /// It is ours and was made for a bundle, so the switch has nothing to do with it.
    pub fn is_of_bundle(&self) -> bool {
        self.managed_by_us && self.bundle.is_some()
    }

    /// Reads a stored version.
    pub fn new(object: NetworkPolicy) -> Option<Self> {
        let meta = object.metadata;
        let (name, namespace) = (meta.name?, meta.namespace?);
        let labels = meta.labels.unwrap_or_default();
        let annotations = meta.annotations.unwrap_or_default();
        let number = |key: &str| {
            annotations
                .get(key)
                .and_then(|v| v.parse().ok())
                .unwrap_or_default()
        };
        let managers = meta.managed_fields.unwrap_or_default();
        let name: Arc<str> = name.into();
        let managed_by_us = managers
            .iter()
            .any(|m| m.manager.as_deref() == Some(names::FIELD_MANAGER));
        let labelled = OWNER_LABELS.iter().find_map(|key| labels.get(*key));
        let owner = labelled.or_else(|| managers.last()?.manager.as_ref());
        let parsed = v1::parse(namespace.as_str(), name.clone(), &object.spec.unwrap_or_default());
        let unreadable = parsed.is_err();
        Some(Self {
            uid: meta.uid?.into(),
            resource_version: meta.resource_version?.into(),
            managed_by_us,
            bundle: labels
                .get(names::LABEL_BUNDLE)
                .and_then(|name| Operand::named(name)),
            owner: owner.filter(|_| !managed_by_us).map(|name| name.as_str().into()),
            role: labels.get(names::LABEL_ROLE).and_then(|role| Role::parse(role)),
            format: number(names::ANNOTATION_FORMAT),
            sequence: number(names::ANNOTATION_SEQUENCE),
            hold: annotations.contains_key(names::ANNOTATION_HOLD),
            policy: Arc::new(parsed.unwrap_or_else(|_| closed(&namespace, name.clone()))),
            unreadable,
            name,
        })
    }
}

fn closed(namespace: &str, name: Arc<str>) -> Policy {
    Policy {
        namespace: namespace.into(),
        name,
        pods: Selector::everything(),
        ingress: Some(Vec::new()),
        egress: Some(Vec::new()),
    }
}
