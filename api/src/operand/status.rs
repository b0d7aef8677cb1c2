//! What the operator says about a bundle.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands, what was found, and what needs somebody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperandNetworkPolicyStatus {
    /// observedGeneration is the generation of this object that the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// epoch counts transitions that took something away. A write of an older epoch never lands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0))]
    pub epoch: Option<i64>,
    /// intent is stored before anything is taken away and goes when the outcome is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OperandIntent")]
    pub intent: Option<OperandIntent>,
    /// namespaces are all that this bundle has policies in, earlier ones included until they are clean. At most
    /// 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// policies are those of the bundle and of user entries. At most 160.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 160), with = "Vec<OperandPolicy>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "name".into()]))]
    pub policies: Vec<OperandPolicy>,
    /// components are the parts of the operand. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), with = "Vec<OperandComponent>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub components: Vec<OperandComponent>,
    /// warnings need somebody's attention but stop nothing. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<OperandWarning>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub warnings: Vec<OperandWarning>,
    /// conditions are Active, Progressing, Conflict and Degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What a leader is about to take away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperandIntent {
    /// epoch of the intent.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// namespace in which something is taken away.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// holder is the identity of the leader.
    #[schemars(length(min = 1, max = 253))]
    pub holder: String,
    /// term of the leader.
    #[schemars(range(min = 0))]
    pub term: i64,
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyState {
    /// It would be written.
    Audited,
    /// It is about to be written.
    Pending,
    /// It is stored and is ours.
    Stored,
    /// Somebody else keeps an object of this name that does what the bundle needs.
    ProvidedBy,
    /// Somebody else keeps an object of this name that does not.
    Conflict,
}

/// One policy of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperandPolicy {
    /// namespace of the policy.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// name of the policy.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// state of the policy.
    pub state: PolicyState,
    /// component that the policy is about, by its canonical name; omitted for the deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub component: Option<String>,
    /// owner is who keeps the object if it is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub owner: Option<String>,
    /// message says more, for a conflict what differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    pub message: Option<String>,
}

/// Whether a component is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ComponentState {
    /// It is there, or is about to be.
    Present,
    /// It is not there.
    Absent,
    /// It is switched off, but its pods are still there.
    LeftOver,
}

/// One component of the operand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperandComponent {
    /// name of the component.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// state of the component.
    pub state: ComponentState,
    /// namespace that it runs in.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperandWarning {
    /// reason in one CamelCase word.
    #[schemars(length(min = 1, max = 63))]
    pub reason: String,
    /// message says what was found and what to do.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
}
