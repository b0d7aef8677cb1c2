//! What the words of the facts for clients stand for.

use crate::{
    facts::{FACTS, NamespaceFact, SHARED, Workload, fits},
    labels::Labels,
    model::{Peer, tenant},
};

/// Peers that a client of a port stands for. Each of them must be admitted.
pub fn required(own: &NamespaceFact, client: &str) -> Vec<Peer> {
    if let Some(name) = client.strip_prefix("same-namespace:") {
        return some(
            own.workloads.iter().filter(|w| is_named(w, name)),
            &own.name,
            client,
        );
    }
    match client {
        "router" => {
            let routers = namespace("openshift-ingress").workloads.iter();
            let mut peers = some(
                routers.filter(|w| w.name.starts_with("router-")),
                "openshift-ingress",
                client,
            );
            peers.push(Peer::Host);
            peers
        }
        "any-pod" => vec![tenant(), Peer::pod("openshift-console", Labels::new())],
        _ => match FACTS.clients[client].network.as_str() {
            "host" => vec![Peer::Host],
            "external" => vec![Peer::External],
            _ => named(client),
        },
    }
}

/// Whether a client of a port explains that a peer is admitted. Wider than [`required`] in one respect: a
/// client is its whole namespace where that has one owner.
pub fn explains(own: &NamespaceFact, client: &str, peer: &Peer) -> bool {
    if required(own, client).contains(peer) {
        return true;
    }
    match client {
        "any-pod" => matches!(peer, Peer::Pod { .. }),
        // The aggregation layer and the webhook prober are one kind of client.
        "kube-apiserver" => required(own, "kas-operator").contains(peer),
        "external" | "baremetal-hosts" => true,
        _ if client.starts_with("same-namespace:") => false,
        _ => {
            let home = FACTS.clients[client].namespace.as_deref();
            let whole = home.is_some_and(|h| !SHARED.contains(&h)) && FACTS.clients[client].network == "pod";
            whole && matches!(peer, Peer::Pod { namespace, .. } if Some(namespace.as_str()) == home)
        }
    }
}

/// The pods of the facts that a named client stands for.
fn named(client: &str) -> Vec<Peer> {
    let fact = &FACTS.clients[client];
    let home = fact
        .namespace
        .as_deref()
        .expect("a client on the pod network names its namespace");
    let pods = |w: &Workload| -> Vec<Peer> {
        let here = w.pods().into_iter().filter(|pod| fits(pod, &fact.pod_labels));
        here.map(|pod| {
            if w.host_network {
                Peer::Host
            } else {
                Peer::pod(home, pod)
            }
        })
        .collect()
    };
    let peers: Vec<_> = namespace(home).workloads.iter().flat_map(pods).collect();
    assert!(
        !peers.is_empty(),
        "no workload of {home} has the labels of client {client}"
    );
    peers
}

fn some<'a>(workloads: impl Iterator<Item = &'a Workload>, home: &str, client: &str) -> Vec<Peer> {
    let peers: Vec<_> = workloads
        .flat_map(Workload::pods)
        .map(|pod| Peer::pod(home, pod))
        .collect();
    assert!(!peers.is_empty(), "no workload of {home} is client {client}");
    peers
}

/// The facts write `gathering job` here and `gathering-job` there, and `alertmanager` for any of them.
fn is_named(workload: &Workload, name: &str) -> bool {
    workload.name.replace(' ', "-").starts_with(name)
}

fn namespace(name: &str) -> &'static NamespaceFact {
    FACTS
        .namespace(name)
        .expect("clients live in namespaces of the facts")
}
