//! Verdicts by brute force, written straight from the text of the NetworkPolicy API, with host traffic as
//! OVN-Kubernetes selects it. Shares no code with the engine of the product: that is its purpose.

use std::net::IpAddr;

use super::labels::Labels;
use super::objects::{ContainerPort, Peer, Policy, PortRef, PortRule, Protocol, Rule};

/// Direction, seen from the pod that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Direction {
    Ingress,
    Egress,
}

/// The pod that is judged, in one of its versions.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    pub labels: &'a Labels,
    pub ports: &'a [ContainerPort],
}

/// The other side, in one of its versions.
#[derive(Clone, Copy, Debug)]
pub enum Other<'a> {
    /// A pod on the pod network.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// Labels of that namespace.
        namespace_labels: &'a Labels,
        /// Its labels.
        labels: &'a Labels,
        /// Its declared ports.
        ports: &'a [ContainerPort],
        /// Its address.
        ip: Option<IpAddr>,
    },
    /// A process on a node, host-network pods included. Policies select it as a source by the labels of
    /// the namespace openshift-host-network, here given where that namespace exists.
    Host {
        /// Labels of openshift-host-network.
        namespace_labels: Option<&'a Labels>,
    },
    /// An address outside the cluster.
    External(IpAddr),
}

/// Whether the policy takes part in deciding about the pod in that direction.
pub fn isolates(policy: &Policy, direction: Direction, subject: Subject<'_>) -> bool {
    rules(policy, direction).is_some() && policy.pods.matches(subject.labels)
}

/// Whether the policy admits the connection.
pub fn allows(
    policy: &Policy,
    direction: Direction,
    subject: Subject<'_>,
    other: Other<'_>,
    (protocol, port): (Protocol, u16),
) -> bool {
    let destination = match (direction, other) {
        (Direction::Ingress, _) => subject.ports,
        (Direction::Egress, Other::Pod { ports, .. }) => ports,
        (Direction::Egress, _) => &[],
    };
    policy.pods.matches(subject.labels)
        && rules(policy, direction).into_iter().flatten().any(|rule| {
            port_matches(rule, protocol, port, destination) && peer_matches(rule, direction, subject, other)
        })
}

/// Whether the policy admits every connection of the pods that it selects.
pub fn opens_all(policy: &Policy, direction: Direction) -> bool {
    rules(policy, direction)
        .into_iter()
        .flatten()
        .any(|rule| *rule == Rule::default())
}

fn rules(policy: &Policy, direction: Direction) -> Option<&Vec<Rule>> {
    match direction {
        Direction::Ingress => policy.ingress.as_ref(),
        Direction::Egress => policy.egress.as_ref(),
    }
}

fn port_matches(rule: &Rule, protocol: Protocol, port: u16, destination: &[ContainerPort]) -> bool {
    rule.ports
        .as_ref()
        .is_none_or(|ports| ports.iter().any(|p| one_port(p, protocol, port, destination)))
}

fn one_port(rule: &PortRule, protocol: Protocol, port: u16, destination: &[ContainerPort]) -> bool {
    if rule.protocol.unwrap_or_default() != protocol {
        return false;
    }
    match &rule.port {
        None => true,
        Some(PortRef::Number(first)) => (*first..=rule.end_port.unwrap_or(*first)).contains(&port),
        Some(PortRef::Name(name)) => destination.iter().any(|p| {
            p.name == *name && p.container_port == port && p.protocol.unwrap_or_default() == protocol
        }),
    }
}

fn peer_matches(rule: &Rule, direction: Direction, subject: Subject<'_>, other: Other<'_>) -> bool {
    rule.peers
        .as_ref()
        .is_none_or(|peers| peers.iter().any(|peer| one_peer(peer, direction, subject, other)))
}

fn one_peer(peer: &Peer, direction: Direction, subject: Subject<'_>, other: Other<'_>) -> bool {
    if let Some(block) = &peer.ip_block {
        return match other {
            Other::External(ip) => {
                block.cidr.contains(&ip) && !block.except.iter().any(|hole| hole.contains(&ip))
            }
            // The address of a node is unknown here: only a range without limits covers it for certain.
            Other::Host { .. } => block.cidr.prefix_len() == 0 && block.except.is_empty(),
            // The API text leaves to the plugin whether ranges cover pods; in OVN-Kubernetes they do.
            Other::Pod { ip, .. } => match ip {
                Some(ip) => block.cidr.contains(&ip) && !block.except.iter().any(|hole| hole.contains(&ip)),
                None => block.cidr.prefix_len() == 0 && block.except.is_empty(),
            },
        };
    }
    match other {
        Other::External(_) => false,
        Other::Pod {
            namespace,
            namespace_labels,
            labels,
            ..
        } => {
            let namespace_matches = match &peer.namespace_selector {
                Some(selector) => selector.matches(namespace_labels),
                None => namespace == subject.namespace,
            };
            namespace_matches && peer.pod_selector.as_ref().is_none_or(|pods| pods.matches(labels))
        }
        Other::Host { namespace_labels } => {
            direction == Direction::Ingress
                && peer.pod_selector.is_none()
                && peer
                    .namespace_selector
                    .as_ref()
                    .zip(namespace_labels)
                    .is_some_and(|(selector, labels)| selector.matches(labels))
        }
    }
}
