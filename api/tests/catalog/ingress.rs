//! Who may reach what: all that the facts name, and nothing else.

use std::collections::BTreeSet;

use bulkhead_api::server::{Port, Protocol};

use crate::{
    facts::{FACTS, NamespaceFact, PortFact, Workload},
    labels::labels,
    model::{CATALOG, Peer, admits, servers_of, tenant, universe},
    peers::{explains, required},
};

/// A client that the facts imply without listing it at the port. Client and server share the namespace.
struct Implied {
    namespace: &'static str,
    workload: &'static str,
    port: i32,
    client: (&'static str, &'static str),
}

/// collect-profiles needs egress in its own namespace: it reads profiles from the metrics ports of these two.
const IMPLIED: [Implied; 2] = [profiled("olm-operator"), profiled("catalog-operator")];

const fn profiled(workload: &'static str) -> Implied {
    Implied {
        namespace: "openshift-operator-lifecycle-manager",
        workload,
        port: 8443,
        client: ("app", "olm-collect-profiles"),
    }
}

#[test]
fn every_client_of_the_facts_reaches_every_port_that_it_needs() {
    let mut pairs = 0;
    for (fact, workload) in FACTS.pod_workloads() {
        let entry = &CATALOG.entries[&fact.name];
        for port in &workload.ports {
            for client in port.clients() {
                for (peer, pod) in product(&required(fact, client), &workload.pods()) {
                    assert!(
                        admits(entry, pod, port.protocol, port.port, peer),
                        "{} {} {:?}/{}: {client} as {peer:?} is not admitted",
                        fact.name,
                        workload.name,
                        port.protocol,
                        port.port
                    );
                    pairs += 1;
                }
            }
        }
    }
    println!("{pairs} required pairs are admitted");
    assert!(pairs > 300);
}

#[test]
fn nobody_reaches_anything_that_the_facts_do_not_name() {
    let universe = universe();
    let mut refused = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for pod in workload.pods() {
            for (protocol, number) in probes(&fact.name, workload) {
                for peer in &universe {
                    let admitted = admits(entry, &pod, protocol, number, peer);
                    assert!(
                        !admitted || is_explained(fact, workload, protocol, number, peer),
                        "{} {} {protocol:?}/{number} admits {peer:?}",
                        fact.name,
                        workload.name
                    );
                    refused += usize::from(!admitted);
                }
            }
        }
    }
    println!("{refused} pairs are refused");
    assert!(refused > 100_000);
}

fn is_explained(
    fact: &NamespaceFact,
    workload: &Workload,
    protocol: Protocol,
    number: i32,
    peer: &Peer,
) -> bool {
    let named = |p: &&PortFact| p.protocol == protocol && p.port == number;
    match workload.ports.iter().find(named) {
        Some(port) if port.clients().any(|c| explains(fact, c, peer)) => true,
        None if workload.has_user_defined_ports() => true,
        _ => IMPLIED.iter().any(|i| {
            (i.namespace, i.workload, i.port) == (&fact.name, &workload.name, number)
                && *peer == Peer::pod(i.namespace, labels(&[i.client]))
        }),
    }
}

/// Ports worth asking for: those of the facts, the Service ports before them, the bounds of every rule that
/// selects the pods, and some that nobody uses.
fn probes(namespace: &str, workload: &Workload) -> BTreeSet<(Protocol, i32)> {
    let mut probes = BTreeSet::from([
        (Protocol::TCP, 22),
        (Protocol::TCP, 53),
        (Protocol::UDP, 53),
        (Protocol::TCP, 443),
        (Protocol::UDP, 8443),
        (Protocol::SCTP, 8443),
        (Protocol::TCP, 65535),
    ]);
    for port in &workload.ports {
        probes.insert((port.protocol, port.port));
        probes.extend(port.service_port.map(|p| (port.protocol, p)));
    }
    let entry = &CATALOG.entries[namespace];
    let rules = workload
        .pods()
        .into_iter()
        .flat_map(|pod| servers_of(entry, &pod))
        .flat_map(|s| &s.rules);
    for Port {
        protocol,
        port,
        end_port,
    } in rules.flat_map(|r| &r.ports)
    {
        let protocol = protocol.unwrap_or_default();
        let (first, last) = (*port, end_port.unwrap_or(*port));
        let around = [first - 1, first, last, last + 1]
            .into_iter()
            .filter(|p| (1..=65535).contains(p));
        probes.extend(around.map(|p| (protocol, p)));
    }
    probes
}

#[test]
fn a_port_is_open_to_everybody_only_where_the_facts_say_so() {
    let (mut open, mut limited) = (vec![], 0);
    for (fact, workload) in FACTS.pod_workloads() {
        let entry = &CATALOG.entries[&fact.name];
        for port in workload.ports.iter().filter(|p| p.clients().next().is_some()) {
            let everybody = [Peer::External, tenant()];
            let is_open = product(&everybody, &workload.pods())
                .any(|(peer, pod)| admits(entry, pod, port.protocol, port.port, peer));
            let network = |c: &str| FACTS.clients.get(c).map(|f| f.network.as_str());
            let may_be = port
                .clients()
                .any(|c| c == "any-pod" || network(c) == Some("external"));
            let name = format!(
                "{} {} {:?}/{}",
                fact.name, workload.name, port.protocol, port.port
            );
            assert!(
                !is_open || may_be,
                "{name} is open to everybody, which the facts do not name"
            );
            if is_open { open.push(name) } else { limited += 1 }
        }
    }
    let listeners = FACTS
        .pod_workloads()
        .filter(|(_, w)| w.has_user_defined_ports())
        .count();
    println!(
        "open to everybody: {} ports, limited: {limited} ports",
        open.len()
    );
    println!("open besides, because users choose the ports: listeners of {listeners} workload");
    for name in &open {
        println!("  open: {name}");
    }
    assert!(!open.is_empty() && listeners == 1);
    assert!(
        limited > 5 * open.len(),
        "restriction is the purpose of the catalog"
    );
}

#[test]
fn ports_that_only_the_kubelet_or_nobody_uses_stay_closed() {
    let mut closed = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.has_user_defined_ports()) {
        let entry = &CATALOG.entries[&fact.name];
        for port in workload.ports.iter().filter(|p| p.clients().next().is_none()) {
            for (peer, pod) in product(&universe(), &workload.pods()) {
                assert!(
                    !admits(entry, pod, port.protocol, port.port, peer),
                    "{} {}",
                    fact.name,
                    port.port
                );
            }
            closed += 1;
        }
    }
    assert!(closed > 20);
}

pub fn product<'a, A, B>(one: &'a [A], other: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    one.iter().flat_map(move |a| other.iter().map(move |b| (a, b)))
}
