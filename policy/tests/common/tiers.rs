//! Random cluster policies and, for tests only, a second evaluator of the tiers, written from the text of the
//! `policy.networking.k8s.io` API: every order of equal priorities and every reading of what is not known is
//! tried, and only what all of them agree on is decided.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bulkhead_policy::tiers::{ClusterPolicy, parse_cluster};
use bulkhead_policy::v1::LabelSelector;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::brute::{self, BrutePod, BrutePolicy, End, Side, in_network, selects};
use super::random::{namespace_selector, pod_selector};

#[derive(Clone, Debug)]
pub enum BrutePeer {
    Namespaces(LabelSelector),
    Pods(LabelSelector, LabelSelector),
    /// Nodes by labels, which nobody knows, or all of them.
    Nodes(bool),
    Networks(Vec<&'static str>),
    Domain,
}

#[derive(Clone, Debug)]
pub enum BrutePort {
    Range(&'static str, u16, u16),
    Whole(&'static str),
    Named(&'static str),
}

#[derive(Clone, Debug)]
pub struct BruteRule {
    pub action: &'static str,
    pub peers: Vec<BrutePeer>,
    pub ports: Option<Vec<BrutePort>>,
}

#[derive(Clone, Debug)]
pub struct BruteCluster {
    pub tier: &'static str,
    pub priority: u16,
    pub subject: (LabelSelector, LabelSelector),
    pub ingress: Vec<BruteRule>,
    pub egress: Vec<BruteRule>,
}

impl BruteCluster {
    /// The crate's view of it, read from the API's shape.
    pub fn parsed(&self) -> ClusterPolicy {
        let (namespaces, pods) = &self.subject;
        let spec = json!({
            "tier": self.tier,
            "priority": self.priority,
            "subject": {"pods": {"namespaceSelector": namespaces, "podSelector": pods}},
            "ingress": self.ingress.iter().map(|r| written(r, "from")).collect::<Vec<_>>(),
            "egress": self.egress.iter().map(|r| written(r, "to")).collect::<Vec<_>>(),
        });
        parse_cluster("random", &serde_json::from_value(spec).unwrap()).unwrap()
    }
}

fn written(rule: &BruteRule, field: &str) -> Value {
    let peer = |peer: &BrutePeer| match peer {
        BrutePeer::Namespaces(selector) => json!({"namespaces": selector}),
        BrutePeer::Pods(namespaces, pods) => {
            json!({"pods": {"namespaceSelector": namespaces, "podSelector": pods}})
        }
        BrutePeer::Nodes(true) => json!({"nodes": {}}),
        BrutePeer::Nodes(false) => json!({"nodes": {"matchLabels": {"role": "x"}}}),
        BrutePeer::Networks(networks) => json!({"networks": networks}),
        BrutePeer::Domain => json!({"domainNames": ["example.com"]}),
    };
    let port = |port: &BrutePort| match port {
        BrutePort::Range(protocol, first, last) => json!({
            protocol.to_lowercase(): {"destinationPort": {"range": {"start": first, "end": last}}}
        }),
        BrutePort::Whole(protocol) => json!({protocol.to_lowercase(): {}}),
        BrutePort::Named(name) => json!({"destinationNamedPort": name}),
    };
    let mut written = json!({
        "action": rule.action,
        field: rule.peers.iter().map(peer).collect::<Vec<_>>(),
    });
    if let Some(ports) = &rule.ports {
        written["protocols"] = ports.iter().map(port).collect();
    }
    written
}

fn peer() -> impl Strategy<Value = BrutePeer> {
    let networks = [
        vec!["10.0.0.0/8"],
        vec!["10.1.0.0/16", "fd00::/8"],
        vec!["0.0.0.0/0"],
        vec!["0.0.0.0/0", "::/0"],
    ];
    prop_oneof![
        4 => namespace_selector().prop_map(BrutePeer::Namespaces),
        4 => (namespace_selector(), pod_selector()).prop_map(|(n, p)| BrutePeer::Pods(n, p)),
        2 => prop::sample::select(networks.to_vec()).prop_map(BrutePeer::Networks),
        1 => any::<bool>().prop_map(BrutePeer::Nodes),
        1 => Just(BrutePeer::Domain),
    ]
}

fn port() -> impl Strategy<Value = BrutePort> {
    prop::sample::select(vec![
        BrutePort::Range("TCP", 80, 80),
        BrutePort::Range("TCP", 1, 80),
        BrutePort::Range("UDP", 81, 443),
        BrutePort::Whole("TCP"),
        BrutePort::Whole("SCTP"),
        BrutePort::Named("web"),
    ])
}

fn rule() -> impl Strategy<Value = BruteRule> {
    let actions = prop::sample::select(vec!["Accept", "Deny", "Pass"]);
    let ports = prop::option::of(prop::collection::vec(port(), 1..3));
    (actions, prop::collection::vec(peer(), 1..3), ports).prop_map(|(action, peers, ports)| BruteRule {
        action,
        peers,
        ports,
    })
}

/// A cluster policy as somebody could have written it; priorities collide often.
pub fn cluster_policy() -> impl Strategy<Value = BruteCluster> {
    let rules = || prop::collection::vec(rule(), 0..3);
    (
        prop::sample::select(vec!["Admin", "Admin", "Baseline"]),
        0u16..3,
        (namespace_selector(), pod_selector()),
        rules(),
        rules(),
    )
        .prop_map(|(tier, priority, subject, ingress, egress)| BruteCluster {
            tier,
            priority,
            subject,
            ingress,
            egress,
        })
}

/// What a question is about: a pod, its peer as seen at one address, and the destination port.
pub struct Question<'q> {
    pub side: Side,
    pub pod: &'q BrutePod,
    pub peer: &'q End,
    pub port: (&'static str, u16),
}

/// Every answer that some order and some reading gives.
pub fn answers(
    question: &Question<'_>,
    cluster: &[BruteCluster],
    policies: &[BrutePolicy<'_>],
) -> BTreeSet<bool> {
    let Question {
        side,
        pod,
        peer,
        port,
    } = *question;
    let same = matches!(peer, End::Pod(other) if other.namespace == pod.namespace && other.name == pod.name);
    if pod.host_network || same {
        return BTreeSet::from([true]);
    }
    let mut all = BTreeSet::new();
    for action in outcomes(question, cluster, "Admin") {
        match action {
            Some("Accept") => drop(all.insert(true)),
            Some("Deny") => drop(all.insert(false)),
            _ if policies.iter().any(|policy| brute::isolates(policy, side, pod)) => {
                all.insert(brute::allowed(policies, side, pod, peer, port));
            }
            _ => all.extend(
                outcomes(question, cluster, "Baseline")
                    .iter()
                    .map(|a| *a != Some("Deny")),
            ),
        }
    }
    all
}

/// Every action that may end a tier; `None` when no rule matches.
fn outcomes(question: &Question<'_>, cluster: &[BruteCluster], tier: &str) -> BTreeSet<Option<&'static str>> {
    let pod = question.pod;
    let applies = |policy: &&BruteCluster| {
        policy.tier == tier
            && selects(&policy.subject.0, &pod.namespace_labels)
            && selects(&policy.subject.1, &pod.labels)
    };
    let applying: Vec<&BruteCluster> = cluster.iter().filter(applies).collect();
    let mut all = BTreeSet::new();
    for order in orders(&applying) {
        let rules = order.iter().flat_map(|policy| match question.side {
            Side::Ingress => &policy.ingress,
            Side::Egress => &policy.egress,
        });
        let mut open = true;
        for rule in rules {
            match matches(question, rule) {
                Some(true) => {
                    all.insert(Some(rule.action));
                    open = false;
                    break;
                }
                None => drop(all.insert(Some(rule.action))),
                Some(false) => {}
            }
        }
        if open {
            all.insert(None);
        }
    }
    all
}

/// Every order that priorities leave open.
fn orders<'c>(policies: &[&'c BruteCluster]) -> Vec<Vec<&'c BruteCluster>> {
    let Some(first) = policies.iter().map(|policy| policy.priority).min() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for (at, policy) in policies.iter().enumerate().filter(|(_, p)| p.priority == first) {
        let rest = [&policies[..at], &policies[at + 1..]].concat();
        all.extend(
            orders(&rest)
                .into_iter()
                .map(|tail| [vec![*policy], tail].concat()),
        );
    }
    all
}

/// Whether a rule matches; `None` when nobody can say.
fn matches(question: &Question<'_>, rule: &BruteRule) -> Option<bool> {
    let on_port = |peer: &BrutePeer| {
        let ports = rule.ports.as_ref();
        ports.is_none_or(|ports| ports.iter().any(|port| port_matches(question, peer, port)))
    };
    let all: Vec<Option<bool>> = rule
        .peers
        .iter()
        .filter(|peer| on_port(peer))
        .map(|peer| peer_matches(question.peer, peer))
        .collect();
    if all.contains(&Some(true)) {
        Some(true)
    } else if all.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn peer_matches(end: &End, peer: &BrutePeer) -> Option<bool> {
    let outside = matches!(end, End::Address(_));
    match (peer, end) {
        (BrutePeer::Networks(networks), _) => {
            let address: IpAddr = match end {
                End::Pod(pod) => pod.address,
                End::Address(address) => *address,
            };
            Some(networks.iter().any(|network| in_network(network, address)))
        }
        (BrutePeer::Domain, _) => {
            if outside {
                None
            } else {
                Some(false)
            }
        }
        (BrutePeer::Nodes(_), End::Pod(pod)) if !pod.host_network => Some(false),
        (BrutePeer::Nodes(_), End::Address(_)) => Some(false),
        (BrutePeer::Nodes(every), _) => every.then_some(true),
        (_, End::Address(_)) => Some(false),
        (_, End::Pod(pod)) if pod.host_network => Some(false),
        (BrutePeer::Namespaces(selector), End::Pod(pod)) => Some(selects(selector, &pod.namespace_labels)),
        (BrutePeer::Pods(namespaces, pods), End::Pod(pod)) => {
            Some(selects(namespaces, &pod.namespace_labels) && selects(pods, &pod.labels))
        }
    }
}

fn port_matches(question: &Question<'_>, peer: &BrutePeer, port: &BrutePort) -> bool {
    let (protocol, number) = question.port;
    match port {
        BrutePort::Whole(name) => *name == protocol,
        BrutePort::Range(name, first, last) => *name == protocol && (*first..=*last).contains(&number),
        BrutePort::Named(name) => {
            let by_selector = matches!(peer, BrutePeer::Namespaces(_) | BrutePeer::Pods(..));
            let holder = match (question.side, question.peer) {
                (Side::Ingress, _) => Some(question.pod),
                (Side::Egress, End::Pod(pod)) if by_selector => Some(pod),
                _ => None,
            };
            let declares = |pod: &BrutePod| {
                pod.ports
                    .iter()
                    .any(|(n, proto, p)| n == name && *proto == protocol && *p == number)
            };
            holder.is_some_and(declares)
        }
    }
}
