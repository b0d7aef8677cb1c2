//! Bounds and unions. The API server checks them on declarations; nobody but these tests does on the catalog.

use std::collections::BTreeSet;

use bulkhead_api::{
    server::{Client, ClientType, Destination, DestinationType, Operator, PodSelector, Port},
    vocabulary::{HOST_NETWORK_NAMESPACE, is_forbidden_name, is_system_name},
};

use crate::{
    facts::{FACTS, SHARED, Workload},
    labels::matches,
    model::CATALOG,
};

fn clients() -> impl Iterator<Item = (&'static str, &'static Client)> {
    CATALOG.entries.values().flat_map(|e| {
        let clients = e.servers.iter().flat_map(|s| &s.rules).flat_map(|r| &r.clients);
        clients.map(|c| (e.namespace.as_str(), c))
    })
}

fn destinations() -> impl Iterator<Item = (&'static str, &'static Destination)> {
    CATALOG.entries.values().flat_map(|e| {
        let destinations = e
            .egress
            .iter()
            .flat_map(|s| &s.rules)
            .flat_map(|r| &r.destinations);
        destinations.map(|d| (e.namespace.as_str(), d))
    })
}

#[test]
fn members_of_unions_appear_exactly_where_their_type_says() {
    for (namespace, c) in clients() {
        assert_eq!(
            c.namespace.is_some(),
            c.r#type == ClientType::Namespace,
            "{namespace}: {c:?}"
        );
        assert_eq!(
            c.namespace_group.is_some(),
            c.r#type == ClientType::NamespaceGroup,
            "{namespace}: {c:?}"
        );
        assert!(
            c.same_namespace.is_none() || c.r#type == ClientType::SameNamespace,
            "{namespace}: {c:?}"
        );
        assert_eq!(
            c.cidr.is_some(),
            c.r#type == ClientType::CIDR,
            "{namespace}: {c:?}"
        );
    }
    for (namespace, d) in destinations() {
        assert_eq!(
            d.namespace.is_some(),
            d.r#type == DestinationType::Namespace,
            "{namespace}: {d:?}"
        );
        assert!(
            d.namespace_group.is_none() && d.cidr.is_none(),
            "{namespace}: {d:?}"
        );
    }
}

#[test]
fn no_entry_depends_on_addresses_of_a_cluster() {
    assert!(clients().all(|(_, c)| c.r#type != ClientType::CIDR));
    assert!(destinations().all(|(_, d)| d.r#type != DestinationType::CIDR));
}

/// A host-network client cannot carry a pod selector at all: the schema has no place for one. What remains is
/// to name the host-network namespace as if it held pods.
#[test]
fn host_network_is_never_selected_as_a_namespace() {
    let named = clients().filter_map(|(_, c)| c.namespace.as_ref());
    let reached = destinations().filter_map(|(_, d)| d.namespace.as_ref());
    assert!(named.chain(reached).all(|n| n.name != HOST_NETWORK_NAMESPACE));
}

#[test]
fn named_namespaces_exist_and_selectors_of_their_pods_select_something() {
    let named = clients().filter_map(|(home, c)| Some((home, c.namespace.as_ref()?)));
    let reached = destinations().filter_map(|(home, d)| Some((home, d.namespace.as_ref()?)));
    let mut selectors = 0;
    for (home, peer) in named.chain(reached) {
        assert_ne!(
            home, peer.name,
            "{home} names itself: SameNamespace says it better"
        );
        let fact = FACTS.namespace(&peer.name);
        let fact = fact.unwrap_or_else(|| panic!("{home} names {}, which nobody knows", peer.name));
        if let Some(selector) = &peer.pod_selector {
            selects_some(&fact.name, selector);
            selectors += 1;
        }
    }
    for (home, client) in clients() {
        if let Some(peer) = &client.same_namespace {
            selects_some(home, &peer.pod_selector);
            selectors += 1;
        }
    }
    assert!(selectors > 100);
}

fn selects_some(namespace: &str, selector: &PodSelector) {
    let workloads = &FACTS.namespace(namespace).expect("known").workloads;
    let mut pods = workloads
        .iter()
        .filter(|w| !w.host_network)
        .flat_map(Workload::pods);
    assert!(
        pods.any(|pod| matches(selector, &pod)),
        "{selector:?} selects nothing in {namespace}"
    );
}

#[test]
fn clients_in_shared_namespaces_are_single_pods() {
    for (home, client) in clients() {
        let shared = |n: &&str| SHARED.contains(n);
        match (&client.namespace, client.r#type) {
            (Some(peer), _) if shared(&peer.name.as_str()) => {
                assert!(peer.pod_selector.is_some(), "{home} trusts all of {}", peer.name);
            }
            (_, ClientType::SameNamespace) if shared(&home) => {
                assert!(client.same_namespace.is_some(), "{home} trusts all of itself");
            }
            _ => {}
        }
    }
}

#[test]
fn groups_that_clients_name_exist() {
    for group in clients().filter_map(|(_, c)| c.namespace_group.as_ref()) {
        assert!(CATALOG.group(&group.name).is_some(), "no group {}", group.name);
    }
}

#[test]
fn nothing_speaks_of_namespaces_that_are_never_written_to() {
    for name in CATALOG.entries.keys() {
        assert!(is_system_name(name) && !is_forbidden_name(name), "{name}");
    }
}

#[test]
fn names_are_dns_labels_and_unique_in_their_entry() {
    for entry in CATALOG.entries.values() {
        let lists: [Vec<&str>; 2] = [
            entry.servers.iter().map(|s| s.name.as_str()).collect(),
            entry.egress.iter().map(|e| e.name.as_str()).collect(),
        ];
        for names in lists {
            let label = |n: &str| {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                (1..=63).contains(&n.len())
                    && n.chars().all(plain)
                    && !n.starts_with('-')
                    && !n.ends_with('-')
            };
            assert!(names.iter().all(|n| label(n)), "{}: {names:?}", entry.namespace);
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "{}",
                entry.namespace
            );
        }
    }
}

#[test]
fn lists_and_ports_keep_the_bounds_of_the_kinds() {
    for entry in CATALOG.entries.values() {
        assert!(
            entry.servers.len() <= 64 && entry.egress.len() <= 64,
            "{}",
            entry.namespace
        );
        for server in &entry.servers {
            assert!(server.rules.len() <= 32, "{} {}", entry.namespace, server.name);
            selector_is_bounded(&server.pod_selector);
            for rule in &server.rules {
                assert!(
                    (1..=32).contains(&rule.clients.len()),
                    "{} {}",
                    entry.namespace,
                    server.name
                );
                // An omitted list would open every port.
                assert!(
                    (1..=32).contains(&rule.ports.len()),
                    "{} {}",
                    entry.namespace,
                    server.name
                );
                rule.ports.iter().for_each(port_is_bounded);
            }
        }
        for rule in entry.egress.iter().flat_map(|e| &e.rules) {
            assert!(
                (1..=32).contains(&rule.destinations.len()) && rule.ports.len() <= 32,
                "{}",
                entry.namespace
            );
            rule.ports.iter().for_each(port_is_bounded);
        }
    }
}

fn port_is_bounded(port: &Port) {
    let last = port.end_port.unwrap_or(port.port);
    assert!(port.port >= 1 && port.port <= last && last <= 65535, "{port:?}");
}

fn selector_is_bounded(selector: &PodSelector) {
    assert!(selector.match_labels.len() <= 16 && selector.match_expressions.len() <= 16);
    for requirement in &selector.match_expressions {
        let listed = matches!(requirement.operator, Operator::In | Operator::NotIn);
        assert_eq!(listed, !requirement.values.is_empty(), "{requirement:?}");
        assert!(requirement.values.len() <= 32, "{requirement:?}");
    }
}
