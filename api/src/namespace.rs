//! `SystemNamespace`: one per system namespace, of the same name; per-namespace choices and state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::switch::{ManagementState, Mode};

/// What an administrator or the owning team wants of one system namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "network.operator.openshift.io",
    version = "v1alpha1",
    kind = "SystemNamespace",
    plural = "systemnamespaces",
    shortname = "sysns",
    category = "bulkhead",
    status = "SystemNamespaceStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "SystemNamespace holds the choices for, and the state of, the system namespace of the same name. The operator creates it and never writes its spec. Dev Preview: not for production.",
    validation = Rule::new("self.metadata.name != 'default' && !self.metadata.name.startsWith('kube-')")
        .message("default and kube-* are never system namespaces"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("a namespace name has at most 63 characters"),
    printcolumn(name = "DESIRED", type_ = "string", json_path = ".status.desiredMode"),
    printcolumn(name = "EFFECTIVE", type_ = "string", json_path = ".status.effectiveMode"),
    printcolumn(name = "STATE", type_ = "string", json_path = ".status.conditions[?(@.type=='Progressing')].reason"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Restrictable')].reason"),
    printcolumn(name = "OVERRIDE", type_ = "string", json_path = ".spec.override.mode"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "FOREIGN", type_ = "integer", json_path = ".status.foreignPolicies", priority = 1),
    printcolumn(name = "LABELED", type_ = "string", json_path = ".status.conditions[?(@.type=='Labeled')].status", priority = 1),
    printcolumn(name = "COVERED", type_ = "string", json_path = ".status.conditions[?(@.type=='Covered')].status", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct SystemNamespaceSpec {
    /// adoption says whether the namespace is a system namespace. Allowed values are "Adopted" and
    /// "NotAdopted". When omitted, catalogued namespaces are Adopted, other openshift-* ones are handled
    /// without trusted labels, and all others are NotAdopted. A namespace that stops being a system
    /// namespace is released: opened, then cleaned of policies and labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// override replaces the mode of the cluster for this namespace, for a test or an emergency.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Override")]
    pub mode_override: Option<Override>,
    /// undeclaredPods says what happens when pods exist that no declared server selects. Allowed values are
    /// "Block", where closing waits and names them, and "Isolate", where they are cut off knowingly. When
    /// omitted, it is Block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UndeclaredPods")]
    pub undeclared_pods: Option<UndeclaredPods>,
    /// managementState says whether the operator acts on this namespace. Allowed values are "Managed" and
    /// "Unmanaged". When omitted, it is Managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementState")]
    pub management_state: Option<ManagementState>,
}

/// Whether a namespace is a system namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// It is one, whatever its name.
    Adopted,
    /// It is not, whatever its name.
    NotAdopted,
}

/// What happens with pods that no declared server selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UndeclaredPods {
    /// Closing waits and names them.
    #[default]
    Block,
    /// They are isolated knowingly.
    Isolate,
}

/// A mode for one namespace that replaces the cluster's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// mode is required. Allowed values are "Unrestricted" and "Restricted".
    pub mode: Mode,
    /// reason is required and is shown in status and events. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// expirationTime ends the override. When omitted, the override has no end. An expiry that was once
    /// seen stays in force for this generation, whatever the clock says later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub expiration_time: Option<Time>,
}

/// Since when a namespace exists, as declared; never observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lineage {
    /// Users may depend on it being open.
    #[default]
    Legacy,
    /// Nobody ever depended on it being open.
    New,
}

/// What a namespace is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum EffectiveMode {
    /// An allow-all of ours is in force.
    Unrestricted,
    /// Exactly what is declared is allowed.
    Restricted,
    /// Restricted, but somebody else's policy or a port-only fall-back admits more.
    PartlyRestricted,
    /// Left as the platform ships it.
    Preserved,
}

/// Which contract is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// The allow-all is being removed.
    Close,
    /// Policies are being narrowed or removed after a change of the set.
    Narrow,
    /// The policy that opens egress is being removed.
    IsolateEgress,
    /// The namespace is handed back and its allow-all removed.
    Release,
}

/// A contract that was announced before its first write. It is removed when the outcome is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// epoch in which the contract was announced.
    pub epoch: i64,
    /// action that the contract carries out.
    pub action: Action,
    /// holder is the identity of the leader that announced it.
    #[schemars(length(max = 253))]
    pub holder: String,
    /// term of that leader: how often it had acquired leadership.
    pub term: i64,
}

/// A policy of ours in this namespace, as last written or confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// name of the policy.
    #[schemars(length(max = 253))]
    pub name: String,
    /// uid of the policy: what makes it ours.
    #[schemars(length(max = 63))]
    pub uid: String,
}

/// State of one system namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemNamespaceStatus {
    /// observedGeneration is the generation of this object that the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// lineage as declared by catalog or SystemNetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Lineage")]
    pub lineage: Option<Lineage>,
    /// source says why this is a system namespace: Catalog, Adopted or Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub source: Option<String>,
    /// desiredMode is what configuration, override and lineage ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EffectiveMode")]
    pub desired_mode: Option<EffectiveMode>,
    /// effectiveMode is what the namespace is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EffectiveMode")]
    pub effective_mode: Option<EffectiveMode>,
    /// epoch counts transitions and never goes back.
    #[serde(default)]
    pub epoch: i64,
    /// intent is the contract under way, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Intent")]
    pub intent: Option<Intent>,
    /// expiredGeneration records that the override of this generation was seen to expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub expired_generation: Option<i64>,
    /// foreignPolicies counts policies in the namespace that are not ours.
    #[serde(default)]
    pub foreign_policies: i32,
    /// policies of ours in the namespace. At most 512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), with = "Vec<PolicyRef>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub policies: Vec<PolicyRef>,
    /// labels are the label keys that the operator set on the namespace. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 317)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub labels: Vec<String>,
    /// policiesResourceVersion is the newest resourceVersion of a policy that the status was judged from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub policies_resource_version: Option<String>,
    /// conditions: Labeled, Staged, Covered, Isolated, Restrictable, UndeclaredPods,
    /// ShippedPolicyOverridden, Conflict, Progressing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
