//! Whom the clients of a declaration stand for.

use bulkhead_api::{
    Catalog,
    server::{Client, ClientType, GroupPeer, PodSelector},
    vocabulary as names,
};
use bulkhead_policy::{Peer, Selector};

use crate::decide::{Platform, selector};

/// Whom the clients of one rule stand for together.
pub(crate) struct Admission {
    /// Empty: everybody.
    pub(crate) peers: Vec<Peer>,
    /// Everybody only because a client cannot be selected here.
    pub(crate) port_only: bool,
}

/// Whom clients stand for; `None` when that is nobody.
pub(crate) fn admission(clients: &[Client], platform: &Platform, catalog: &Catalog) -> Option<Admission> {
    let mut peers = Vec::new();
    let (mut anyone, mut port_only) = (false, false);
    for client in clients {
        match client_peers(client, platform, catalog) {
            Admitted::Peers(found) => peers.extend(found),
            Admitted::Anyone => anyone = true,
            Admitted::AnyoneByFallback => (anyone, port_only) = (true, true),
        }
    }
    if anyone {
        peers.clear();
    } else if peers.is_empty() {
        return None;
    }
    peers.sort();
    peers.dedup();
    Some(Admission { peers, port_only })
}

/// Whom a client of a declaration stands for.
enum Admitted {
    Peers(Vec<Peer>),
    Anyone,
    /// The plugin cannot select the client, so its ports are open to everybody.
    AnyoneByFallback,
}

fn client_peers(client: &Client, platform: &Platform, catalog: &Catalog) -> Admitted {
    let host = Peer::Pods {
        namespaces: Some(Selector::namespace_name(names::HOST_NETWORK_NAMESPACE)),
        pods: None,
    };
    match client.r#type {
        ClientType::Namespace => Admitted::Peers(
            client
                .namespace
                .iter()
                .map(|n| namespace_peer(&n.name, n.pod_selector.as_ref()))
                .collect(),
        ),
        ClientType::NamespaceGroup => {
            let group = members(client.namespace_group.as_ref(), catalog).iter();
            Admitted::Peers(group.map(|n| namespace_peer(n, None)).collect())
        }
        ClientType::SameNamespace => {
            let pods = client
                .same_namespace
                .as_ref()
                .map(|n| selector::pods(&n.pod_selector));
            Admitted::Peers(vec![Peer::Pods {
                namespaces: None,
                pods: Some(pods.unwrap_or_default()),
            }])
        }
        ClientType::HostNetwork if platform.host_selectable => Admitted::Peers(vec![host]),
        ClientType::APIServer if platform.host_selectable && !platform.external_control_plane => {
            let kas = Peer::Pods {
                namespaces: Some(Selector::namespace_name(names::KAS_OPERATOR_NAMESPACE)),
                pods: Some(Selector::from([("app", names::KAS_OPERATOR_APP)])),
            };
            Admitted::Peers(vec![host, kas])
        }
        ClientType::HostNetwork | ClientType::APIServer => Admitted::AnyoneByFallback,
        // The empty pod selector keeps host traffic out, which is no pod of any namespace (openshift.md H2, H4).
        ClientType::AnyNamespace => Admitted::Peers(vec![Peer::Pods {
            namespaces: Some(Selector::everything()),
            pods: Some(Selector::everything()),
        }]),
        ClientType::Anywhere => Admitted::Anyone,
        ClientType::CIDR => Admitted::Peers(
            client
                .cidr
                .iter()
                .filter_map(|c| block(&c.cidr, &c.except))
                .collect(),
        ),
    }
}

pub(super) fn namespace_peer(name: &str, pods: Option<&PodSelector>) -> Peer {
    Peer::Pods {
        namespaces: Some(Selector::namespace_name(name)),
        pods: pods.map(selector::pods),
    }
}

pub(super) fn block(cidr: &str, except: &[String]) -> Option<Peer> {
    let except = except.iter().filter_map(|e| e.parse().ok()).collect();
    Some(Peer::IpBlock {
        cidr: cidr.parse().ok()?,
        except,
    })
}

/// The namespaces of a policy group; a group that nobody knows has none.
pub(super) fn members<'a>(group: Option<&GroupPeer>, catalog: &'a Catalog) -> &'a [String] {
    group.and_then(|g| catalog.group(&g.name)).unwrap_or_default()
}
