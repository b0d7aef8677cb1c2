//! The catalog under test and what its entries admit.

use std::{path::PathBuf, sync::LazyLock};

use bulkhead_api::{
    catalog::{Catalog, CatalogEntry},
    server::{Client, ClientType, NamespacePeer, Port, Protocol, Server},
    vocabulary::{KAS_OPERATOR_APP, KAS_OPERATOR_NAMESPACE},
};

use crate::labels::{Labels, matches};

/// The catalog of the repository, read once.
pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let files = files();
    let texts = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Catalog::parse(texts).expect("the catalog is what the schema says")
});

/// Name and text of every file of the catalog.
pub fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/catalog"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the catalog folder is readable")
        .map(|file| {
            let file = file.expect("the catalog folder can be listed");
            let text = std::fs::read_to_string(file.path()).expect("a catalog file is readable");
            (
                file.file_name().into_string().expect("file names are plain"),
                text,
            )
        })
        .collect();
    files.sort();
    files
}

/// Who opens a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Pod { namespace: String, labels: Labels },
    Host,
    External,
}

impl Peer {
    pub fn pod(namespace: &str, labels: Labels) -> Self {
        let namespace = namespace.to_owned();
        Self::Pod { namespace, labels }
    }

    fn is_in(&self, peer: &NamespacePeer) -> bool {
        match self {
            Self::Pod { namespace, labels } => {
                *namespace == peer.name && peer.pod_selector.as_ref().is_none_or(|s| matches(s, labels))
            }
            Self::Host | Self::External => false,
        }
    }

    fn is_kas_operator(&self) -> bool {
        match self {
            Self::Pod { namespace, labels } => {
                namespace == KAS_OPERATOR_NAMESPACE
                    && labels.get("app").is_some_and(|app| app == KAS_OPERATOR_APP)
            }
            Self::Host | Self::External => false,
        }
    }
}

/// Whether one of the ports is this one; no ports mean every port.
pub fn covers(ports: &[Port], protocol: Protocol, number: i32) -> bool {
    ports.is_empty()
        || ports.iter().any(|p| {
            p.protocol.unwrap_or_default() == protocol
                && (p.port..=p.end_port.unwrap_or(p.port)).contains(&number)
        })
}

/// Servers of an entry that select a pod.
pub fn servers_of<'a>(entry: &'a CatalogEntry, pod: &Labels) -> Vec<&'a Server> {
    entry
        .servers
        .iter()
        .filter(|s| matches(&s.pod_selector, pod))
        .collect()
}

/// Whether an entry lets a peer reach a port of one of its pods.
pub fn admits(entry: &CatalogEntry, pod: &Labels, protocol: Protocol, port: i32, peer: &Peer) -> bool {
    servers_of(entry, pod).iter().flat_map(|s| &s.rules).any(|rule| {
        covers(&rule.ports, protocol, port)
            && rule.clients.iter().any(|c| is_client(&entry.namespace, c, peer))
    })
}

fn is_client(own: &str, client: &Client, peer: &Peer) -> bool {
    match client.r#type {
        ClientType::Anywhere => true,
        ClientType::AnyNamespace => matches!(peer, Peer::Pod { .. }),
        ClientType::HostNetwork => *peer == Peer::Host,
        ClientType::APIServer => *peer == Peer::Host || peer.is_kas_operator(),
        ClientType::Namespace => client.namespace.as_ref().is_some_and(|n| peer.is_in(n)),
        ClientType::SameNamespace => {
            let selector = client.same_namespace.as_ref().map(|s| s.pod_selector.clone());
            peer.is_in(&NamespacePeer {
                name: own.to_owned(),
                pod_selector: selector,
            })
        }
        ClientType::NamespaceGroup => client.namespace_group.as_ref().is_some_and(|g| {
            let members = CATALOG.group(&g.name).unwrap_or_default();
            matches!(peer, Peer::Pod { namespace, .. } if members.contains(namespace))
        }),
        // No entry uses address ranges; `shape` says so.
        ClientType::CIDR => false,
    }
}

/// Everybody that a question can be asked for: every pod of the facts, a tenant, nodes and the outside.
pub fn universe() -> Vec<Peer> {
    let mut all = vec![Peer::Host, Peer::External, tenant()];
    for (namespace, workload) in crate::facts::FACTS.pod_workloads() {
        all.extend(
            workload
                .pods()
                .into_iter()
                .map(|pod| Peer::pod(&namespace.name, pod)),
        );
        all.push(Peer::pod(
            &namespace.name,
            crate::labels::labels(&[("app", "stranger")]),
        ));
    }
    all.sort();
    all.dedup();
    all
}

/// A pod of a user.
pub fn tenant() -> Peer {
    Peer::pod("team-a", crate::labels::labels(&[("app", "web")]))
}
