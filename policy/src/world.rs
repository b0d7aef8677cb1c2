//! Namespaces, pods and the other ends of connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::dialect::Dialect;
use crate::labels::{Labels, NAMESPACE_NAME_LABEL};
use crate::ports::Protocol;

/// The namespaces with their labels, and how the network plugin reads policies.
#[derive(Clone, Debug, Default)]
pub struct World {
    namespaces: BTreeMap<Arc<str>, Labels>,
    /// The primary network of the namespaces that have one of their own.
    networks: BTreeMap<Arc<str>, Arc<str>>,
    /// The network plugin's reading.
    pub dialect: Dialect,
}

impl World {
    /// A world without namespaces.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

    /// Adds or replaces a namespace. The name label is set to the name, as the API server does.
    pub fn set_namespace(&mut self, name: impl Into<Arc<str>>, labels: &Labels) {
        let name = name.into();
        let labels = labels.with(NAMESPACE_NAME_LABEL, &name);
        self.namespaces.insert(name, labels);
    }

    /// Removes a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.networks.remove(name);
    }

    /// Puts the pods of a namespace on a primary network of their own, or back on the default one. Pods of
    /// different networks never reach each other, whatever policies say.
    pub fn set_network(&mut self, namespace: impl Into<Arc<str>>, network: Option<Arc<str>>) {
        let namespace = namespace.into();
        match network {
            Some(network) => drop(self.networks.insert(namespace, network)),
            None => drop(self.networks.remove(&namespace)),
        }
    }

    /// The primary network of the pods of a namespace; `None` is the cluster's default network.
    pub fn network(&self, namespace: &str) -> Option<&Arc<str>> {
        self.networks.get(namespace)
    }

    /// True when some namespace has a primary network of its own.
    pub fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// True when the namespace is known. Otherwise its labels are an assumption.
    pub fn knows(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// The labels of a namespace; of an unknown one the name label alone, which every namespace carries.
    pub fn namespace_labels(&self, name: &str) -> Labels {
        self.namespaces
            .get(name)
            .cloned()
            .unwrap_or_else(|| Labels::from([(NAMESPACE_NAME_LABEL, name)]))
    }

    /// Known namespaces and their labels, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&Arc<str>, &Labels)> {
        self.namespaces.iter()
    }
}

/// A named container port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    /// The name.
    pub name: Arc<str>,
    /// The protocol; a policy's named port must agree with it.
    pub protocol: Protocol,
    /// The number.
    pub port: u16,
}

/// Where a pod's traffic comes from, and whether it has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PodState {
    /// On the pod network. Terminating pods stay here until they are gone.
    #[default]
    Networked,
    /// On the node's network: policies do not select it and its traffic counts as the node's.
    HostNetwork,
    /// Succeeded or failed: no endpoint any more, its address may be reused.
    Finished,
}

/// A pod, as far as policies can see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses, at most one of a family; the node's with [`PodState::HostNetwork`].
    pub addresses: Vec<IpAddr>,
    /// The named ports of all its containers.
    pub ports: Vec<NamedPort>,
    /// Networked, on the host network, or finished.
    pub state: PodState,
    /// The node that it runs on, if known.
    pub node: Option<Arc<str>>,
}

impl Pod {
    /// A running pod on the pod network, without address and named ports.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>, labels: Labels) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            labels,
            ..Self::default()
        }
    }

    /// True for the same pod, by namespace and name.
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.namespace == other.namespace
    }

    /// The same pod as a peer sees it that uses this address, for questions about one address family.
    #[must_use]
    pub fn seen_at(&self, address: IpAddr) -> Self {
        Self {
            addresses: vec![address],
            ..self.clone()
        }
    }

    /// The numbers declared under a port name for a protocol; several containers may share a name.
    pub fn port_numbers<'a>(&'a self, protocol: Protocol, name: &'a str) -> impl Iterator<Item = u16> + 'a {
        let same = move |port: &&NamedPort| port.protocol == protocol && *port.name == *name;
        self.ports.iter().filter(same).map(|port| port.port)
    }
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, to which [`Pod::node`] refers.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// One end of a connection.
///
/// Traffic between a node and its own pods is always allowed. Which node that is shows in [`Pod::node`] and in
/// `Node` and `OwnNode`; `Host` is another node.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint<'a> {
    /// A pod; one on the host network counts as its node.
    Pod(&'a Pod),
    /// A process on another node: kubelet, API server.
    Host {
        /// The node's address, if known.
        address: Option<IpAddr>,
    },
    /// A process on this node.
    Node(&'a Node),
    /// A process on the node that the other end runs on, as the kubelet that probes a pod.
    OwnNode,
    /// Something outside the cluster, by the address that the pod sees.
    External(IpAddr),
    /// Something outside whose address at the pod is unknown, for example behind a load balancer or a node
    /// port, which may translate it.
    ExternalUnknown,
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(pod) => write!(f, "{}/{}", pod.namespace, pod.name),
            Self::Host {
                address: Some(address),
            } => write!(f, "host {address}"),
            Self::Host { address: None } => f.write_str("host"),
            Self::Node(node) => write!(f, "node {}", node.name),
            Self::OwnNode => f.write_str("own node"),
            Self::External(address) => write!(f, "{address}"),
            Self::ExternalUnknown => f.write_str("outside"),
        }
    }
}
