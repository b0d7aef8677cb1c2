//! The Network operator config as the plain-Kubernetes overlay serves it.
//!
//! On OpenShift the kind belongs to the platform and this schema is never installed; the operator reads
//! the object tolerantly there and here (facts: openshift.md section 2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::switch::{ManagementState, SystemNetworkPolicyConfig};

/// The part of the Network operator config that matters here.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "operator.openshift.io",
    version = "v1",
    kind = "Network",
    plural = "networks",
    status = "NetworkStatus",
    derive = "Default",
    doc = "Network is the operator configuration of the cluster network, here reduced to the switch for system namespaces for clusters that are not OpenShift.",
    validation = Rule::new("self.metadata.name == 'cluster'").message("the only Network is named cluster")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// managementState says whether the operator acts. Allowed values are "Managed" and "Unmanaged".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementState")]
    pub management_state: Option<ManagementState>,
    /// defaultNetwork says which network plugin the cluster runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DefaultNetwork")]
    pub default_network: Option<DefaultNetwork>,
    /// systemNetworkPolicy is the switch for system namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SystemNetworkPolicyConfig")]
    pub system_network_policy: Option<SystemNetworkPolicyConfig>,
    /// unsupportedConfigOverrides is read only when the operator is told to, and never supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub unsupported_config_overrides: Option<serde_json::Value>,
}

/// Which network plugin the cluster runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultNetwork {
    /// type of the plugin, for example OVNKubernetes or OpenShiftSDN.
    #[schemars(length(min = 1, max = 63))]
    pub r#type: String,
}

/// Conditions that the operator reports on the Network operator config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// conditions of the types SystemNetworkPolicyAvailable, …Progressing, …Degraded, …Upgradeable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<OperatorCondition>,
}

/// A condition as OpenShift's operator API has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorCondition {
    /// type of the condition, CamelCase.
    #[schemars(length(min = 1, max = 316))]
    pub r#type: String,
    /// status of the condition: True, False or Unknown.
    #[schemars(length(max = 16))]
    pub status: String,
    /// lastTransitionTime is when the status last changed.
    pub last_transition_time: Time,
    /// reason for the status, CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    pub reason: Option<String>,
    /// message for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 32768))]
    pub message: Option<String>,
}
