//! From raw objects to facts. Absent, null and odd fields are what a cluster has, so none of them is an error;
//! what matters becomes a warning.

mod cert_manager;
mod cluster;
mod datastore;
mod external_secrets;
mod json;
mod proxy;
mod spire;
mod url;
mod workloads;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bulkhead_api::operand::Operand;
use bulkhead_policy::Pod;
use serde_json::Value;

use super::facts::Facts;
use crate::{decide::Platform, observe::world::Kind};

pub use datastore::ports as datastore_ports;
pub use url::port as url_port;

/// Kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// EndpointSlices of `default/kubernetes`.
    EndpointSlice,
    /// `proxies.config.openshift.io`.
    Proxy,
    /// Deployments, StatefulSets and DaemonSets.
    Workload,
    /// Names of Secrets in operand namespaces; contents are neither needed nor wanted.
    SecretName,
    /// `zerotrustworkloadidentitymanagers.operator.openshift.io`.
    Ztwim,
    /// `spireservers.operator.openshift.io`.
    SpireServer,
    /// `clusterfederatedtrustdomains.spire.spiffe.io`.
    FederatedTrustDomain,
    /// `certmanagers.operator.openshift.io`.
    CertManager,
    /// `istiocsrs.operator.openshift.io`.
    IstioCsr,
    /// `externalsecretsconfigs.operator.openshift.io`.
    ExternalSecretsConfig,
    /// `externalsecretsmanagers.operator.openshift.io`.
    ExternalSecretsManager,
    /// `externalsecrets.operator.openshift.io`, the kind of release 0.1 and of the proposal.
    ExternalSecrets,
}

/// Objects by kind. A kind that is not served has none.
#[derive(Clone, Default)]
pub struct Objects {
    by_source: BTreeMap<Source, Vec<Value>>,
    /// Pods of operand namespaces.
    pub pods: Vec<Pod>,
    /// The namespace that this operator runs in.
    pub own_namespace: Option<Arc<str>>,
}

/// Objects of others may hold passwords, so only their number is ever printed.
impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.by_source.iter().map(|(source, all)| (source, all.len()));
        f.debug_map().entries(counts).finish()
    }
}

impl Objects {
    /// Adds an object.
    pub fn add(&mut self, source: Source, object: Value) {
        self.by_source.entry(source).or_default().push(object);
    }

    /// The objects of a kind.
    pub fn of(&self, source: Source) -> &[Value] {
        self.by_source.get(&source).map_or(&[], Vec::as_slice)
    }

    /// Exchanges the objects of a kind.
    pub fn replace(&mut self, source: Source, objects: Vec<Value>) {
        self.by_source.insert(source, objects);
    }

    /// The singleton of a kind: the object named `cluster`, else the first.
    pub fn singleton(&self, source: Source) -> Option<&Value> {
        let all = self.of(source);
        all.iter().find(|o| json::name(o) == "cluster").or(all.first())
    }
}

/// Kinds that tell how each operand runs, with what they are called here.
pub const fn kinds_of(operand: Operand) -> &'static [(Kind, Source)] {
    match operand {
        Operand::ZeroTrustWorkloadIdentityManager => &[
            (Kind::ZeroTrustWorkloadIdentityManagers, Source::Ztwim),
            (Kind::SpireServers, Source::SpireServer),
            (Kind::ClusterFederatedTrustDomains, Source::FederatedTrustDomain),
            (Kind::Proxies, Source::Proxy),
        ],
        Operand::CertManager => &[
            (Kind::CertManagers, Source::CertManager),
            (Kind::IstioCsrs, Source::IstioCsr),
            (Kind::Proxies, Source::Proxy),
        ],
        Operand::ExternalSecrets => &[
            (Kind::ExternalSecretsConfigs, Source::ExternalSecretsConfig),
            (Kind::ExternalSecretsManagers, Source::ExternalSecretsManager),
            (Kind::ExternalSecrets, Source::ExternalSecrets),
            (Kind::Proxies, Source::Proxy),
        ],
    }
}

/// What the objects of a kind are called here; `None` if they tell nothing of operands.
pub fn source_of(kind: Kind) -> Option<Source> {
    match kind {
        Kind::Deployments | Kind::StatefulSets | Kind::DaemonSets => Some(Source::Workload),
        _ => {
            let mut all = Operand::ALL.into_iter().flat_map(kinds_of);
            all.find(|(known, _)| *known == kind).map(|(_, source)| *source)
        }
    }
}

/// Everything that bundles depend on.
pub fn discover(objects: &Objects, platform: &Platform) -> Facts {
    Facts {
        platform: cluster::platform(objects, platform),
        own_namespace: objects.own_namespace.clone(),
        pods: objects.pods.clone(),
        spire: spire::facts(objects),
        cert_manager: cert_manager::facts(objects),
        external_secrets: external_secrets::facts(objects),
    }
}
