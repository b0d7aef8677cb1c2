//! What the NetworkPolicy API leaves open, and how network plugins fill it.

use std::sync::Arc;

/// The namespace by which OVN-Kubernetes and openshift-sdn make traffic of the host network selectable.
pub const HOST_NETWORK_NAMESPACE: &str = "openshift-host-network";

/// How a rule with a named port is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedPorts {
    /// By the numbers that the destination pod declares under that name and protocol.
    Resolved,
    /// As every port of the protocol.
    WholeProtocol,
}

/// With which address traffic of the host network arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostSource {
    /// With the node's address.
    NodeAddress,
    /// With an address that nobody can predict, so that only full or empty blocks decide about it.
    Unpredictable,
}

/// What becomes of `endPort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndPort {
    /// The whole range is open.
    Enforced,
    /// Only the first port is open.
    Ignored,
}

/// What a change of policies does to connections that are open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Established {
    /// Nobody has said.
    Undefined,
    /// They live on until they end or fall silent.
    Kept,
    /// Every packet is judged anew.
    Judged,
}

/// What becomes of connections from a pod to the node that it runs on. The other way is always open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnNode {
    /// They are allowed whatever the policies say, as the API's documentation has it.
    Free,
    /// Policies decide about them as about other nodes.
    Judged,
}

/// How a network plugin decides where the API's text does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// When set, an ingress peer with a namespace selector that matches this namespace and **no** pod selector
    /// covers traffic from the host network. `podSelector: {}` does not, `namespaceSelector: {}` alone does.
    /// `None`: host traffic is never matched by selectors.
    pub host_namespace: Option<Arc<str>>,
    /// With which address traffic of the host network arrives at pods.
    pub host_source: HostSource,
    /// Egress peers with a pod selector also cover host-network pods, by the labels of those pods.
    pub egress_selects_host_pods: bool,
    /// What becomes of connections from a pod to its own node.
    pub own_node: OwnNode,
    /// `ipBlock` covers pods by their address.
    pub ip_block_matches_pods: bool,
    /// `ipBlock` covers nodes by their address.
    pub ip_block_matches_hosts: bool,
    /// How named ports are enforced.
    pub named_ports: NamedPorts,
    /// What becomes of `endPort`.
    pub end_port: EndPort,
    /// What becomes of connections that are open already when policies change. Replies to an open connection
    /// are part of it and never judged on their own.
    pub established: Established,
}

impl Dialect {
    /// The plain reading of the API and of its conformance tests: host traffic counts as the node's address,
    /// address blocks match by address whoever has it.
    pub fn spec() -> Self {
        Self {
            host_namespace: None,
            host_source: HostSource::NodeAddress,
            egress_selects_host_pods: false,
            own_node: OwnNode::Free,
            ip_block_matches_pods: true,
            ip_block_matches_hosts: true,
            named_ports: NamedPorts::Resolved,
            end_port: EndPort::Enforced,
            established: Established::Undefined,
        }
    }

    /// OVN-Kubernetes: host traffic is selectable through a namespace and leaves from management-port or join
    /// addresses, labels of host-network pods count in egress, every packet is judged, a named port opens its
    /// whole protocol
    /// (OCPBUGS-99492, OCPBUGS-99493, OCPBUGS-99494).
    pub fn ovn_kubernetes() -> Self {
        Self {
            host_namespace: Some(HOST_NETWORK_NAMESPACE.into()),
            host_source: HostSource::Unpredictable,
            egress_selects_host_pods: true,
            named_ports: NamedPorts::WholeProtocol,
            established: Established::Judged,
            ..Self::spec()
        }
    }
}

impl Dialect {
    /// Calico: address blocks match by address whoever has it, host traffic counts as the node's address, and
    /// connection tracking carries what is open already (projectcalico/calico#2759, #6399).
    pub fn calico() -> Self {
        Self {
            established: Established::Kept,
            ..Self::spec()
        }
    }

    /// Cilium: address blocks hold neither pods nor nodes of the cluster, which have identities instead; a pod's own
    /// node is such an identity too (seen with 1.15.19: docs/packets.md).
    pub fn cilium() -> Self {
        Self {
            own_node: OwnNode::Judged,
            ip_block_matches_pods: false,
            ip_block_matches_hosts: false,
            ..Self::spec()
        }
    }

    /// The dialect of this name: `spec`, `ovn-kubernetes`, `calico` or `cilium`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "spec" => Some(Self::spec()),
            "ovn-kubernetes" => Some(Self::ovn_kubernetes()),
            "calico" => Some(Self::calico()),
            "cilium" => Some(Self::cilium()),
            _ => None,
        }
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Self::spec()
    }
}
