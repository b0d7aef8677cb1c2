//! `SystemNetworkPolicy`: what the owner of a server declares beside it, and the rule vocabulary that the
//! catalog shares with it.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::namespace::Lineage;

/// The servers of one namespace, who may reach them, and what its pods may reach.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "network.operator.openshift.io",
    version = "v1alpha1",
    kind = "SystemNetworkPolicy",
    plural = "systemnetworkpolicies",
    shortname = "sysnetpol",
    category = "bulkhead",
    namespaced,
    status = "SystemNetworkPolicyStatus",
    derive = "PartialEq",
    doc = "SystemNetworkPolicy declares the servers of a system namespace and their clients. It has no effect outside system namespaces. Dev Preview: not for production.",
    printcolumn(name = "ENTRY", type_ = "string", json_path = ".spec.catalogEntry"),
    printcolumn(
        name = "ACCEPTED",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].reason"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SystemNetworkPolicySpec {
    /// catalogEntry is required. Allowed values are "Extend", which adds to the catalog entry of the
    /// namespace and overrides its servers by name, and "Replace", which sets it aside. Two Replace objects
    /// in one namespace are a conflict.
    pub catalog_entry: CatalogEntryUse,
    /// servers lists the pods that accept connections, and pods declared to have no clients. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<Server>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub servers: Vec<Server>,
    /// egress lists what pods may reach where egress is isolated. Servers elsewhere that declare this
    /// namespace as a client need not be repeated. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<EgressRule>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub egress: Vec<EgressRule>,
    /// additionalPolicies are NetworkPolicy specs for what servers and egress cannot say. Their ports must
    /// be numbers. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), with = "Vec<AdditionalPolicy>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub additional_policies: Vec<AdditionalPolicy>,
    /// namespaceLabels are put on the namespace. Only keys that the catalog or an administrator granted to
    /// it are accepted. At most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16), transform = crate::schema::label_values)]
    pub namespace_labels: BTreeMap<String, String>,
    /// lineage says whether anybody may depend on the namespace being open. Allowed values are "Legacy" and
    /// "New". When omitted, the catalog decides; a namespace that nobody declares is Legacy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Lineage")]
    pub lineage: Option<Lineage>,
    /// exposure says who the servers are for. Allowed values are "Internal" and "UserFacing". When omitted,
    /// it is Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Exposure")]
    pub exposure: Option<Exposure>,
}

/// What happens to the catalog entry of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CatalogEntryUse {
    /// Servers of the same name are overridden, all others stay.
    Extend,
    /// The entry is set aside.
    Replace,
}

/// Who servers are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Exposure {
    /// Other components of the platform.
    #[default]
    Internal,
    /// Users of the cluster.
    UserFacing,
}

/// The pods of one server and its rules. All rules of a server become one policy, so that its pods are
/// isolated and served by one write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// name of the server, a DNS label of at most 63 characters, unique in the object.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// podSelector selects the pods of the server. An empty selector selects every pod of the namespace.
    pub pod_selector: PodSelector,
    /// rules say who may reach which ports. A server without rules is declared to have no clients. At most
    /// 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<ServerRule>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<ServerRule>,
}

/// Clients that may reach ports of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerRule {
    /// ports of the pods, as packets carry them after Service translation. When omitted, every port. 1 to
    /// 32 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), with = "Vec<Port>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ports: Vec<Port>,
    /// clients that may connect, required. 1 to 32 entries.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub clients: Vec<Client>,
}

/// Transport protocol of a port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Protocol {
    /// Transmission Control Protocol.
    #[default]
    TCP,
    /// User Datagram Protocol.
    UDP,
    /// Stream Control Transmission Protocol.
    SCTP,
}

/// One numeric pod port or a range of them. Named ports are not offered: network plugins disagree about
/// them (facts: openshift.md P3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.endPort) || self.endPort >= self.port")
        .message("endPort must not be below port")
)]
pub struct Port {
    /// protocol of the port. Allowed values are "TCP", "UDP" and "SCTP". When omitted, it is TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Protocol")]
    pub protocol: Option<Protocol>,
    /// port number on the pod, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// endPort makes this a range from port to endPort, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
}

/// Kinds of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ClientType {
    /// Pods of one namespace.
    Namespace,
    /// Pods of every namespace of a policy group.
    NamespaceGroup,
    /// Pods of the server's own namespace.
    SameNamespace,
    /// Processes on nodes, host-network pods included.
    HostNetwork,
    /// The API server as a caller of webhooks and aggregated APIs: host network and the
    /// kube-apiserver-operator pod. Any source where the control plane is external.
    APIServer,
    /// Pods of every namespace.
    AnyNamespace,
    /// Everybody, sources outside the cluster included.
    Anywhere,
    /// An address range.
    CIDR,
}

/// Who may connect, a union discriminated by `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.type == 'Namespace' ? has(self.__namespace__) : !has(self.__namespace__)")
        .message("namespace is required when type is Namespace, and forbidden otherwise"),
    validation = Rule::new("self.type == 'NamespaceGroup' ? has(self.namespaceGroup) : !has(self.namespaceGroup)")
        .message("namespaceGroup is required when type is NamespaceGroup, and forbidden otherwise"),
    validation = Rule::new("self.type == 'SameNamespace' || !has(self.sameNamespace)")
        .message("sameNamespace is forbidden unless type is SameNamespace"),
    validation = Rule::new("self.type == 'CIDR' ? has(self.cidr) : !has(self.cidr)")
        .message("cidr is required when type is CIDR, and forbidden otherwise")
)]
pub struct Client {
    /// type is required and discriminates the union.
    pub r#type: ClientType,
    /// namespace names a namespace and, where it is shared, single pods of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NamespacePeer")]
    pub namespace: Option<NamespacePeer>,
    /// namespaceGroup names a policy group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GroupPeer")]
    pub namespace_group: Option<GroupPeer>,
    /// sameNamespace narrows to single pods of the own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SameNamespacePeer")]
    pub same_namespace: Option<SameNamespacePeer>,
    /// cidr is an address range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CidrPeer")]
    pub cidr: Option<CidrPeer>,
}

/// One namespace, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespacePeer {
    /// name of the namespace. It is selected by its immutable kubernetes.io/metadata.name label.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// podSelector narrows to single pods. When omitted, every pod of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PodSelector")]
    pub pod_selector: Option<PodSelector>,
}

/// A policy group of namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupPeer {
    /// name of the group, as the catalog lists it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// Pods of the own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SameNamespacePeer {
    /// podSelector narrows to single pods.
    pub pod_selector: PodSelector,
}

/// An address range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CidrPeer {
    /// cidr in the form 10.0.0.0/8 or fd00::/8.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("isCIDR(self)").message("cidr must be an address range such as 10.0.0.0/8 or fd00::/8"))]
    pub cidr: String,
    /// except lists ranges inside cidr that are left out. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub except: Vec<String>,
}

/// Kinds of egress destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DestinationType {
    /// The cluster's DNS servers, on the ports of the platform.
    DNS,
    /// The API server, on the ports that the `default/kubernetes` EndpointSlice names.
    APIServer,
    /// Pods of one namespace.
    Namespace,
    /// Pods of every namespace of a policy group.
    NamespaceGroup,
    /// Pods of the own namespace.
    SameNamespace,
    /// Processes on nodes. Selected by port only: node addresses cannot be named portably.
    HostNetwork,
    /// Pods of every namespace.
    AnyNamespace,
    /// Everything, destinations outside the cluster included.
    Anywhere,
    /// An address range.
    CIDR,
}

/// What pods may reach, a union discriminated by `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.type == 'Namespace' ? has(self.__namespace__) : !has(self.__namespace__)")
        .message("namespace is required when type is Namespace, and forbidden otherwise"),
    validation = Rule::new("self.type == 'NamespaceGroup' ? has(self.namespaceGroup) : !has(self.namespaceGroup)")
        .message("namespaceGroup is required when type is NamespaceGroup, and forbidden otherwise"),
    validation = Rule::new("self.type == 'CIDR' ? has(self.cidr) : !has(self.cidr)")
        .message("cidr is required when type is CIDR, and forbidden otherwise")
)]
pub struct Destination {
    /// type is required and discriminates the union.
    pub r#type: DestinationType,
    /// namespace names a namespace and, if wanted, single pods of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NamespacePeer")]
    pub namespace: Option<NamespacePeer>,
    /// namespaceGroup names a policy group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GroupPeer")]
    pub namespace_group: Option<GroupPeer>,
    /// cidr is an address range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CidrPeer")]
    pub cidr: Option<CidrPeer>,
}

/// What the pods of one workload may reach where egress is isolated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// name of the workload, a DNS label of at most 63 characters, unique in the object.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// podSelector selects the pods. An empty selector selects every pod of the namespace.
    pub pod_selector: PodSelector,
    /// rules say what they may reach. Without rules they reach nothing. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<DestinationRule>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<DestinationRule>,
}

/// Destinations and ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationRule {
    /// ports at the destination. When omitted, the platform's ports for DNS and APIServer, every port for
    /// the others. 1 to 32 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), with = "Vec<Port>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ports: Vec<Port>,
    /// destinations that may be reached, required. 1 to 32 entries.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub destinations: Vec<Destination>,
}

/// A raw NetworkPolicy spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdditionalPolicy {
    /// name of the policy, a DNS label of at most 63 characters, unique in the object.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// spec of the policy, as in networking.k8s.io/v1. policyTypes is required here.
    pub spec: NetworkPolicySpec,
}

/// Operators of a label requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The value is one of those listed.
    In,
    /// The value is none of those listed, or the label is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// A label selector of Kubernetes with bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSelector {
    /// matchLabels are labels that must be present with these values. At most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16), transform = crate::schema::label_values)]
    pub match_labels: BTreeMap<String, String>,
    /// matchExpressions are requirements that must all hold. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), with = "Vec<Requirement>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement on a label. Whether values fit the operator is judged by the operator, not at admission: a
/// rule here would stand under so many lists that the API server refuses its cost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// operator that relates key and values.
    pub operator: Operator,
    /// values to compare with. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<String>,
}

/// What the operator made of a declaration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemNetworkPolicyStatus {
    /// observedGeneration is the generation of this object that the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// conditions: Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
