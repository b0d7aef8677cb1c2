//! What the destinations of a declaration stand for.

use bulkhead_api::{
    Catalog,
    server::{Destination, DestinationType},
};
use bulkhead_policy::{Peer, PortRule, Protocol, Rule, Selector};

use super::clients::{block, members, namespace_peer};
use crate::decide::{Dns, Platform, selector};

pub(super) fn destination(
    destination: &Destination,
    ports: &[PortRule],
    platform: &Platform,
    catalog: &Catalog,
) -> Vec<Rule> {
    let or = |default: Vec<PortRule>| if ports.is_empty() { default } else { ports.to_vec() };
    let rule = |peers: Vec<Peer>| Rule {
        peers,
        ports: ports.to_vec(),
    };
    match destination.r#type {
        DestinationType::DNS => {
            let (peer, number) = dns(platform.dns);
            let default = [Protocol::Tcp, Protocol::Udp]
                .map(|p| selector::number(p, number))
                .to_vec();
            vec![Rule {
                peers: vec![peer],
                ports: or(default),
            }]
        }
        DestinationType::APIServer => {
            let default = platform
                .api_ports
                .iter()
                .map(|p| selector::number(Protocol::Tcp, *p))
                .collect();
            vec![Rule {
                peers: Vec::new(),
                ports: or(default),
            }]
        }
        DestinationType::Namespace => destination
            .namespace
            .iter()
            .map(|n| rule(vec![namespace_peer(&n.name, n.pod_selector.as_ref())]))
            .collect(),
        DestinationType::NamespaceGroup => {
            let group = members(destination.namespace_group.as_ref(), catalog);
            let peers: Vec<Peer> = group.iter().map(|n| namespace_peer(n, None)).collect();
            if peers.is_empty() {
                Vec::new()
            } else {
                vec![rule(peers)]
            }
        }
        DestinationType::SameNamespace => {
            vec![rule(vec![Peer::Pods {
                namespaces: None,
                pods: Some(Selector::everything()),
            }])]
        }
        DestinationType::AnyNamespace => {
            vec![rule(vec![Peer::Pods {
                namespaces: Some(Selector::everything()),
                pods: None,
            }])]
        }
        // Node addresses cannot be named portably, so host destinations are selected by port alone.
        DestinationType::HostNetwork | DestinationType::Anywhere => vec![rule(Vec::new())],
        DestinationType::CIDR => destination
            .cidr
            .iter()
            .filter_map(|c| block(&c.cidr, &c.except))
            .map(|b| rule(vec![b]))
            .collect(),
    }
}

/// The pods that answer DNS, and their port.
pub(crate) fn dns(dns: Dns) -> (Peer, u16) {
    let (namespace, pods, port) = match dns {
        Dns::OpenShift => (
            "openshift-dns",
            [("dns.operator.openshift.io/daemonset-dns", "default")],
            5353,
        ),
        Dns::Kubernetes => ("kube-system", [("k8s-app", "kube-dns")], 53),
    };
    let peer = Peer::Pods {
        namespaces: Some(Selector::namespace_name(namespace)),
        pods: Some(Selector::from(pods)),
    };
    (peer, port)
}
