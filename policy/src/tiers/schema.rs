//! Serde types of the `policy.networking.k8s.io` specs, for reading.

use serde::Deserialize;

use crate::v1::LabelSelector;

/// `spec` of a ClusterNetworkPolicy, v1alpha2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ClusterSpec {
    /// `Admin` or `Baseline`.
    pub tier: String,
    /// From 0 to 1000.
    pub priority: i64,
    pub(super) subject: Selection,
    #[serde(default)]
    pub(super) ingress: Option<Vec<RawRule>>,
    #[serde(default)]
    pub(super) egress: Option<Vec<RawRule>>,
}

/// `spec` of an AdminNetworkPolicy or BaselineAdminNetworkPolicy, v1alpha1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AdminSpec {
    /// From 0 to 1000; a baseline has none.
    #[serde(default)]
    pub priority: Option<i64>,
    pub(super) subject: Selection,
    #[serde(default)]
    pub(super) ingress: Option<Vec<RawRule>>,
    #[serde(default)]
    pub(super) egress: Option<Vec<RawRule>>,
}

/// A subject or a peer: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selection {
    pub namespaces: Option<LabelSelector>,
    pub pods: Option<NamespacedPod>,
    pub nodes: Option<LabelSelector>,
    pub networks: Option<Vec<String>>,
    pub domain_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamespacedPod {
    #[serde(default)]
    pub namespace_selector: LabelSelector,
    #[serde(default)]
    pub pod_selector: LabelSelector,
}

/// A rule of either version and direction; the versions differ in how they spell ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct RawRule {
    pub action: String,
    pub from: Option<Vec<Selection>>,
    pub to: Option<Vec<Selection>>,
    /// v1alpha1.
    pub ports: Option<Vec<AdminPort>>,
    /// v1alpha2.
    pub protocols: Option<Vec<ClusterProtocol>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminPort {
    pub port_number: Option<NumberedPort>,
    pub named_port: Option<String>,
    pub port_range: Option<NumberedRange>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct NumberedPort {
    pub protocol: Option<String>,
    pub port: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct NumberedRange {
    pub protocol: Option<String>,
    pub start: i64,
    pub end: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterProtocol {
    pub tcp: Option<Destination>,
    pub udp: Option<Destination>,
    pub sctp: Option<Destination>,
    pub destination_named_port: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Destination {
    pub destination_port: Option<NumberOrRange>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct NumberOrRange {
    pub number: Option<i64>,
    pub range: Option<StartEnd>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct StartEnd {
    pub start: i64,
    pub end: i64,
}
