//! What pods may reach where egress is isolated: all that the facts say they need, from both ends.

use bulkhead_api::{
    catalog::CatalogEntry,
    server::{Destination, DestinationType, EgressRule, Protocol},
};

use crate::{
    facts::{FACTS, NamespaceFact, PortFact, TargetFact, Workload, fits},
    ingress::product,
    labels::{Labels, matches},
    model::{CATALOG, Peer, admits, covers},
    peers::required,
};

/// What a pod dials.
#[derive(Debug)]
enum Target {
    Dns,
    ApiServer,
    Host(i32),
    /// Something outside the cluster, on this port or on any.
    Outside(Option<i32>),
    Pod {
        namespace: String,
        labels: Labels,
        port: i32,
    },
}

/// Egress rules of an entry that select a pod.
pub fn rules_of<'a>(entry: &'a CatalogEntry, pod: &'a Labels) -> impl Iterator<Item = &'a EgressRule> {
    entry.egress.iter().filter(|e| matches(&e.pod_selector, pod))
}

fn may_reach(entry: &CatalogEntry, pod: &Labels, target: &Target) -> bool {
    rules_of(entry, pod).flat_map(|e| &e.rules).any(|rule| {
        let number = match target {
            Target::Host(port) | Target::Pod { port, .. } | Target::Outside(Some(port)) => Some(*port),
            Target::Dns | Target::ApiServer | Target::Outside(None) => None,
        };
        let port = number.map_or(rule.ports.is_empty(), |p| covers(&rule.ports, Protocol::TCP, p));
        port && rule
            .destinations
            .iter()
            .any(|d| leads_to(&entry.namespace, d, target))
    })
}

fn leads_to(own: &str, destination: &Destination, target: &Target) -> bool {
    match (destination.r#type, target) {
        (DestinationType::Anywhere, _)
        | (DestinationType::DNS, Target::Dns)
        | (DestinationType::APIServer, Target::ApiServer)
        | (DestinationType::HostNetwork, Target::Host(_))
        | (DestinationType::AnyNamespace, Target::Pod { .. }) => true,
        (DestinationType::SameNamespace, Target::Pod { namespace, .. }) => namespace == own,
        (
            DestinationType::Namespace,
            Target::Pod {
                namespace, labels, ..
            },
        ) => destination.namespace.as_ref().is_some_and(|n| {
            n.name == *namespace && n.pod_selector.as_ref().is_none_or(|s| matches(s, labels))
        }),
        _ => false,
    }
}

/// What a word of the facts means for the pods of a namespace. Never empty.
fn targets(own: &NamespaceFact, word: &str) -> Vec<Target> {
    let fact = &FACTS.egress_targets[word];
    match word {
        "dns" => return vec![Target::Dns],
        "kube-apiserver" => return vec![Target::ApiServer],
        "same-namespace" => return pods_of(fact, &own.name),
        "console-plugins" => return plugins(),
        _ => {}
    }
    let targets: Vec<_> = match fact.network.as_deref() {
        Some("host") => numbers(fact)
            .expect("host targets have numbers")
            .into_iter()
            .map(Target::Host)
            .collect(),
        // Bounded only if every port has a number; even then any wider rule will do.
        Some(_) => numbers(fact).map_or(vec![Target::Outside(None)], |all| {
            all.into_iter().map(|p| Target::Outside(Some(p))).collect()
        }),
        None => {
            let homes = fact
                .namespace
                .as_deref()
                .expect("a target on the pod network names its namespace");
            let all = FACTS.namespaces.iter().map(|n| n.name.as_str());
            let homes: Vec<_> = match homes.strip_prefix("any") {
                Some(_) => all.collect(),
                None => homes.split(" + ").collect(),
            };
            homes.into_iter().flat_map(|home| pods_of(fact, home)).collect()
        }
    };
    assert!(!targets.is_empty(), "nothing in the facts is {word}");
    targets
}

/// Ports of a target, if all are numbers. Words such as `any` or `provider specific` bound nothing.
fn numbers(fact: &TargetFact) -> Option<Vec<i32>> {
    fact.ports
        .iter()
        .map(|p| p.split_once('/').and_then(|(_, n)| n.parse().ok()))
        .collect()
}

/// Pods of a namespace that are such a target, on those of its ports that they listen on.
fn pods_of(fact: &TargetFact, home: &str) -> Vec<Target> {
    let home = FACTS
        .namespace(home)
        .expect("targets live in namespaces of the facts");
    let wanted = numbers(fact);
    let listens = |p: &&PortFact| {
        p.protocol == Protocol::TCP
            && wanted
                .as_ref()
                .map_or(p.clients().next().is_some(), |w| w.contains(&p.port))
    };
    let pods = home.workloads.iter().filter(|w| !w.host_network).flat_map(|w| {
        let ports: Vec<_> = w.ports.iter().filter(listens).map(|p| p.port).collect();
        let pods = w.pods().into_iter().filter(|pod| fits(pod, &fact.pod_labels));
        pods.flat_map(move |pod| ports.clone().into_iter().map(move |port| (pod.clone(), port)))
    });
    pods.map(|(labels, port)| Target::Pod {
        namespace: home.name.clone(),
        labels,
        port,
    })
    .collect()
}

fn plugins() -> Vec<Target> {
    let ports = FACTS
        .pod_workloads()
        .flat_map(|(n, w)| w.ports.iter().map(move |p| (n, w, p)));
    let of = |(n, w, p): (&NamespaceFact, &Workload, &PortFact)| -> Vec<Target> {
        let pod = |labels| Target::Pod {
            namespace: n.name.clone(),
            labels,
            port: p.port,
        };
        w.pods().into_iter().map(pod).collect()
    };
    ports
        .filter(|(_, _, p)| p.role == "console-plugin")
        .flat_map(of)
        .collect()
}

#[test]
fn egress_covers_all_that_the_facts_say_a_workload_needs() {
    let mut needs = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for word in &workload.egress {
            for (pod, target) in product(&workload.pods(), &targets(fact, word)) {
                assert!(
                    may_reach(entry, pod, target),
                    "{} {} cannot reach {word}",
                    fact.name,
                    workload.name
                );
                needs += 1;
            }
        }
    }
    println!("{needs} needs for egress are covered");
    assert!(needs > 400);
}

#[test]
fn dns_and_the_api_server_are_declared_by_name_wherever_the_facts_name_them() {
    let named = [
        ("dns", DestinationType::DNS),
        ("kube-apiserver", DestinationType::APIServer),
    ];
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for (word, kind) in named {
            let needed = workload.egress.iter().any(|e| e == word);
            for pod in workload.pods() {
                let mut all = rules_of(entry, &pod)
                    .flat_map(|e| &e.rules)
                    .flat_map(|r| &r.destinations);
                assert_eq!(
                    all.any(|d| d.r#type == kind),
                    needed,
                    "{} {} {word}",
                    fact.name,
                    workload.name
                );
            }
        }
    }
}

/// Whether a word names something that may lie outside the cluster, which no selector can bound.
fn is_unbounded(word: &str) -> bool {
    let network = FACTS.egress_targets[word].network.as_deref();
    matches!(network, Some("external" | "all" | "pod+host" | "pod-or-external"))
}

#[test]
fn egress_beyond_the_cluster_is_open_only_where_the_facts_name_a_destination_there() {
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for pod in workload.pods() {
            // Some destinations are bounded to the port of API load balancers.
            let outside = [443, 6443]
                .into_iter()
                .any(|p| may_reach(entry, &pod, &Target::Outside(Some(p))));
            let named = workload.egress.iter().any(|word| is_unbounded(word));
            assert_eq!(outside, named, "{} {}", fact.name, workload.name);
        }
    }
}

#[test]
fn egress_within_the_cluster_reaches_only_what_the_facts_name() {
    let everything = everything();
    let mut refused = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for (pod, target) in product(&workload.pods(), &everything) {
            let reached = may_reach(entry, pod, target);
            let named = workload
                .egress
                .iter()
                .any(|word| is_unbounded(word) || names(fact, word, target));
            assert!(
                !reached || named,
                "{} {} reaches {target:?}",
                fact.name,
                workload.name
            );
            refused += usize::from(!reached);
        }
    }
    println!("{refused} connections out of pods are refused");
    assert!(refused > 10_000);
}

/// Every port of every pod of the facts, a tenant, and nodes.
fn everything() -> Vec<Target> {
    let nodes = [22, 2379, 6385, 6388, 6443, 10250].map(Target::Host);
    let tenant = Target::Pod {
        namespace: "team-a".into(),
        labels: Labels::new(),
        port: 8080,
    };
    let pods = FACTS.pod_workloads().flat_map(|(n, w)| {
        product(&w.pods(), &w.ports)
            .map(|(pod, port)| Target::Pod {
                namespace: n.name.clone(),
                labels: pod.clone(),
                port: port.port,
            })
            .collect::<Vec<_>>()
    });
    nodes.into_iter().chain([tenant]).chain(pods).collect()
}

/// Whether a word names a target. A named namespace may be meant as a whole.
fn names(own: &NamespaceFact, word: &str, target: &Target) -> bool {
    let fact = &FACTS.egress_targets[word];
    let on = |port: &i32| numbers(fact).is_none_or(|n| n.contains(port));
    match target {
        Target::Host(port) => fact.network.as_deref() == Some("host") && on(port),
        Target::Pod { namespace, port, .. } if fact.network.is_none() => {
            let homes = fact.namespace.as_deref().unwrap_or_default();
            let home = match homes {
                "same" => own.name == *namespace,
                _ => homes.starts_with("any") || homes.split(" + ").any(|home| home == namespace),
            };
            home && on(port)
        }
        _ => false,
    }
}

#[test]
fn workloads_without_needs_reach_nothing() {
    let mut silent = vec![];
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| w.egress.is_empty()) {
        for pod in workload.pods() {
            assert!(
                rules_of(&CATALOG.entries[&fact.name], &pod).all(|e| e.rules.is_empty()),
                "{}",
                fact.name
            );
        }
        silent.push(&workload.name);
    }
    assert_eq!(silent.len(), 8, "{silent:?}");
}

/// A pair works only if both ends declare it: a server that a workload needs must let it in.
#[test]
fn servers_admit_the_workloads_that_need_them() {
    let mut pairs = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        // `any`, scrape targets and webhooks name no server; the ports of those name their clients.
        for word in &workload.egress {
            let targets = targets(fact, word);
            let pods = targets.iter().filter(|t| matches!(t, Target::Pod { .. })).count();
            let peers: Vec<_> = workload
                .pods()
                .into_iter()
                .map(|p| Peer::pod(&fact.name, p))
                .collect();
            let admitted = product(&peers, &targets)
                .filter(|(peer, t)| is_admitted(peer, t))
                .count();
            if pods > 0 {
                assert!(
                    admitted > 0,
                    "{} {} needs {word}, which refuses it",
                    fact.name,
                    workload.name
                );
                pairs += admitted;
            }
        }
    }
    println!("{pairs} pairs are declared at both ends");
    assert!(pairs > 40);
}

fn is_admitted(peer: &Peer, target: &Target) -> bool {
    match target {
        Target::Pod {
            namespace,
            labels,
            port,
        } => admits(&CATALOG.entries[namespace], labels, Protocol::TCP, *port, peer),
        _ => false,
    }
}

/// The operator lets pods reach every server that declares them. That only helps if the client is a pod that
/// the catalog knows.
#[test]
fn every_client_on_the_pod_network_is_a_pod_of_the_catalog() {
    let mut clients = 0;
    for (fact, workload) in FACTS.pod_workloads() {
        for client in workload.ports.iter().flat_map(PortFact::clients) {
            for peer in required(fact, client) {
                if let Peer::Pod { namespace, labels } = &peer {
                    let generic = client == "any-pod";
                    let known = CATALOG
                        .entries
                        .get(namespace)
                        .is_some_and(|e| rules_of(e, labels).count() == 1);
                    assert!(generic || known, "{client} of {}: {peer:?}", fact.name);
                    clients += usize::from(!generic);
                }
            }
        }
    }
    assert!(clients > 150);
}
