//! Serde types of `networking.k8s.io/v1` `NetworkPolicySpec`. Reading accepts what the API server accepts:
//! every field may be absent or null. Writing leaves out empty inner lists, which the server would drop and
//! then report as a change at every apply; the two direction lists are always written, as null when empty, so
//! that whoever applies them owns them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `spec` of a NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Absent or null is read as `{}`, all pods of the namespace; older API servers refuse it.
    pub pod_selector: Option<LabelSelector>,
    /// Absent: Ingress, and Egress too if there is an egress rule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy_types: Option<Vec<String>>,
    /// Rules for incoming connections.
    pub ingress: Option<Vec<NetworkPolicyIngressRule>>,
    /// Rules for outgoing connections.
    pub egress: Option<Vec<NetworkPolicyEgressRule>>,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements that must all hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub match_expressions: Option<Vec<LabelSelectorRequirement>>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSelectorRequirement {
    /// The label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Required for `In` and `NotIn`, forbidden otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub values: Option<Vec<String>>,
}

/// One entry of `ingress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicyIngressRule {
    /// Absent or empty: anyone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Vec<NetworkPolicyPeer>>,
    /// Absent or empty: all traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ports: Option<Vec<NetworkPolicyPort>>,
}

/// One entry of `egress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicyEgressRule {
    /// Absent or empty: anyone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Vec<NetworkPolicyPeer>>,
    /// Absent or empty: all traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ports: Option<Vec<NetworkPolicyPort>>,
}

/// One entry of `from` or `to`: an address block, or selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicyPeer {
    /// Pods by their labels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces by their labels; absent: the policy's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses; excludes the selectors.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip_block: Option<IpBlock>,
}

/// An address block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpBlock {
    /// The network.
    pub cidr: String,
    /// Networks inside it to leave out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub except: Option<Vec<String>>,
}

/// One entry of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicyPort {
    /// Absent: TCP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protocol: Option<String>,
    /// Absent: all ports of the protocol.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<IntOrString>,
    /// The last port of a range that starts at `port`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_port: Option<i64>,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A container port's name.
    String(String),
}
