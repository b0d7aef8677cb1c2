//! How kinds are addressed that are watched without a type.

use kube::core::{ApiResource, GroupVersionKind};

use crate::observe::world::Kind;

/// Group, version and kind of what is watched without a type, because it may be absent or malformed.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, version, name) = match kind {
        Kind::SystemNamespaces => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemNamespace"),
        Kind::SystemNetworkPolicies => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemNetworkPolicy"),
        Kind::SystemIsolations => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemIsolation"),
        Kind::Networks => ("operator.openshift.io", "v1", "Network"),
        Kind::Infrastructures => ("config.openshift.io", "v1", "Infrastructure"),
        Kind::ClusterVersions => ("config.openshift.io", "v1", "ClusterVersion"),
        Kind::ClusterOperators => ("config.openshift.io", "v1", "ClusterOperator"),
        Kind::OperandNetworkPolicies => (bulkhead_api::GROUP, bulkhead_api::VERSION, "OperandNetworkPolicy"),
        Kind::Proxies => ("config.openshift.io", "v1", "Proxy"),
        Kind::ZeroTrustWorkloadIdentityManagers => (
            "operator.openshift.io",
            "v1alpha1",
            "ZeroTrustWorkloadIdentityManager",
        ),
        Kind::SpireServers => ("operator.openshift.io", "v1alpha1", "SpireServer"),
        Kind::ClusterFederatedTrustDomains => ("spire.spiffe.io", "v1alpha1", "ClusterFederatedTrustDomain"),
        Kind::CertManagers => ("operator.openshift.io", "v1alpha1", "CertManager"),
        Kind::IstioCsrs => ("operator.openshift.io", "v1alpha1", "IstioCSR"),
        Kind::ExternalSecretsConfigs => ("operator.openshift.io", "v1alpha1", "ExternalSecretsConfig"),
        Kind::ExternalSecretsManagers => ("operator.openshift.io", "v1alpha1", "ExternalSecretsManager"),
        Kind::ExternalSecrets => ("operator.openshift.io", "v1alpha1", "ExternalSecrets"),
        Kind::AdminNetworkPolicies => ("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy"),
        Kind::ClusterNetworkPolicies => ("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy"),
        Kind::CustomResourceDefinitions => ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        // The typed kinds are not watched this way.
        _ => ("", "v1", ""),
    };
    let gvk = GroupVersionKind::gvk(group, version, name);
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}
