//! `SystemIsolation`: the singleton that carries the switch on clusters whose Network kind has no field for
//! it, the emergency hold, and the status summary on every cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::switch::{Isolation, ManagementState, Mode, NewNamespaces, SystemNetworkPolicyConfig};

/// What the administrator wants of the switch on this cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "network.operator.openshift.io",
    version = "v1alpha1",
    kind = "SystemIsolation",
    plural = "systemisolations",
    shortname = "sysiso",
    category = "bulkhead",
    status = "SystemIsolationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "SystemIsolation is the switch for system namespaces, the emergency hold and the summary of its state. The only object is named cluster. Dev Preview: not for production.",
    validation = Rule::new("self.metadata.name == 'cluster'").message("the only SystemIsolation is named cluster"),
    printcolumn(name = "MODE", type_ = "string", json_path = ".status.applied.mode"),
    printcolumn(name = "CARRIER", type_ = "string", json_path = ".status.carrier.kind"),
    printcolumn(name = "RESTRICTED", type_ = "integer", json_path = ".status.counts.restricted"),
    printcolumn(name = "OPEN", type_ = "integer", json_path = ".status.counts.open"),
    printcolumn(name = "BLOCKED", type_ = "integer", json_path = ".status.counts.blocked"),
    printcolumn(name = "AVAILABLE", type_ = "string", json_path = ".status.conditions[?(@.type=='Available')].status"),
    printcolumn(name = "PROGRESSING", type_ = "string", json_path = ".status.conditions[?(@.type=='Progressing')].status"),
    printcolumn(name = "DEGRADED", type_ = "string", json_path = ".status.conditions[?(@.type=='Degraded')].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SystemIsolationSpec {
    /// systemNetworkPolicy is the switch. It is read only where the Network operator config does not set a
    /// mode; two carriers that disagree are a conflict, and the last applied configuration stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SystemNetworkPolicyConfig")]
    pub system_network_policy: Option<SystemNetworkPolicyConfig>,
    /// hold, while present, opens every system namespace at once and forbids every closing and staging
    /// write until it is removed. It beats every other setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Hold")]
    pub hold: Option<Hold>,
    /// managementState says whether the operator acts. Allowed values are "Managed" and "Unmanaged". When
    /// omitted, it is Managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementState")]
    pub management_state: Option<ManagementState>,
    /// modeRemoval says what it means when no carrier sets a mode any more. Allowed values are "KeepLast",
    /// where the last applied configuration stays and the operator is Degraded, and "PlatformDecides", where
    /// the removal is meant. When omitted, it is KeepLast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ModeRemoval")]
    pub mode_removal: Option<ModeRemoval>,
    /// acceptedCatalogSequence accepts a rollback: an operator whose catalog has this sequence may narrow
    /// policies that a newer one wrote. Minimum 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1))]
    pub accepted_catalog_sequence: Option<i64>,
    /// labelGrants lets declarations of a namespace set further label keys on it. At most 256 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), with = "Vec<LabelGrant>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into()]))]
    pub label_grants: Vec<LabelGrant>,
}

/// What it means when a mode that was set is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModeRemoval {
    /// An accident: the last applied configuration stays.
    #[default]
    KeepLast,
    /// Meant: the platform decides from now on.
    PlatformDecides,
}

/// What a hold does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HoldState {
    /// Every system namespace is opened and stays open.
    Open,
}

/// The emergency hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// state is required. The only value is "Open": every system namespace is opened and stays open.
    pub state: HoldState,
    /// reason is required and tells the next administrator why. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// Label keys that the declarations of one namespace may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelGrant {
    /// namespace is the name of the namespace that the grant is for.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// keys are the label keys that may be set on it. 1 to 16 keys.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 317)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub keys: Vec<String>,
}

/// Where the configuration in force was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarrierStatus {
    /// kind of the carrier: Network, SystemIsolation or NetworkOverrides.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// observedGeneration of the carrier that the applied configuration was read at.
    pub observed_generation: i64,
}

/// The configuration that the operator last applied. It stays in force while a carrier is invalid, in
/// conflict, unreadable or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedConfig {
    /// mode in force; omitted means that the platform decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Mode")]
    pub mode: Option<Mode>,
    /// isolation in force in Restricted mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Isolation")]
    pub isolation: Option<Isolation>,
    /// newNamespaces in force in Unrestricted mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NewNamespaces")]
    pub new_namespaces: Option<NewNamespaces>,
}

/// How many system namespaces are in which state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// desired is the number of system namespaces that follow the switch.
    pub desired: i32,
    /// restricted is how many are Restricted and settled.
    pub restricted: i32,
    /// partly is how many are Restricted but admit more than their set.
    pub partly: i32,
    /// open is how many carry an allow-all.
    pub open: i32,
    /// preserved is how many are left as the platform ships them.
    pub preserved: i32,
    /// blocked is how many should close and cannot.
    pub blocked: i32,
}

/// What the operator observed and did, over all system namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemIsolationStatus {
    /// observedGeneration is the generation of this object that the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// carrier is where the configuration in force was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CarrierStatus")]
    pub carrier: Option<CarrierStatus>,
    /// applied is the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AppliedConfig")]
    pub applied: Option<AppliedConfig>,
    /// counts of system namespaces by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Counts")]
    pub counts: Option<Counts>,
    /// catalogSequence of the operator that wrote this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub catalog_sequence: Option<i64>,
    /// conditions are Available, Progressing, Degraded and Upgradeable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
