//! The custom resource definitions, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{
    SystemIsolation, SystemNamespace, SystemNetworkPolicy, network::Network, operand::OperandNetworkPolicy,
    yaml,
};

/// A definition and the file, relative to the root of the repository, that holds it.
pub struct CrdFile {
    /// Path of the file.
    pub path: &'static str,
    /// The definition.
    pub crd: CustomResourceDefinition,
}

/// Every definition that the repository ships. Only the first ones are ours on every cluster; Network belongs
/// to OpenShift and is shipped by the plain-Kubernetes overlay alone.
pub fn all() -> Vec<CrdFile> {
    vec![
        CrdFile {
            path: "manifests/crds/systemisolations.yaml",
            crd: SystemIsolation::crd(),
        },
        CrdFile {
            path: "manifests/crds/systemnamespaces.yaml",
            crd: SystemNamespace::crd(),
        },
        CrdFile {
            path: "manifests/crds/systemnetworkpolicies.yaml",
            crd: SystemNetworkPolicy::crd(),
        },
        CrdFile {
            path: "manifests/crds/operandnetworkpolicies.yaml",
            crd: OperandNetworkPolicy::crd(),
        },
        CrdFile {
            path: "manifests/overlays/kubernetes/networks.yaml",
            crd: Network::crd(),
        },
    ]
}

/// The text of a definition's file.
pub fn render(crd: &CustomResourceDefinition) -> Result<String, yaml::YamlError> {
    Ok(format!(
        "# Generated from the Rust types by `cargo run -p bulkhead-api --bin crdgen`.\n{}",
        yaml::to_string(crd)?
    ))
}
