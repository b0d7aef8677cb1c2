//! Checks on how a policy is written.

use crate::policy::Direction;
use crate::v1::{IntOrString, LabelSelector, NetworkPolicyPeer, NetworkPolicyPort};

use super::{Check, Report, Subject};

/// The rules of one direction with the names of their fields.
struct Rules<'a> {
    direction: Direction,
    list: &'static str,
    peers: &'static str,
    items: Vec<(&'a [NetworkPolicyPeer], &'a [NetworkPolicyPort])>,
}

pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) {
    let spec = subject.spec;
    if spec.pod_selector.is_none() {
        let advice = "is missing, which selects every pod; write {} so that older API servers accept it";
        report.add(Check::MissingPodSelector, "spec.podSelector", advice);
    }
    if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
        let types = Direction::ALL
            .iter()
            .filter(|direction| subject.policy.rules(**direction).is_some());
        let types: Vec<&str> = types.map(|direction| direction.as_str()).collect();
        let advice = format!("is missing and is read as [{}]; write it down", types.join(", "));
        report.add(Check::MissingPolicyTypes, "spec.policyTypes", advice);
    }
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|r| (r.from.as_deref(), r.ports.as_deref()));
    let egress = spec
        .egress
        .iter()
        .flatten()
        .map(|r| (r.to.as_deref(), r.ports.as_deref()));
    let list =
        |(peers, ports): (Option<_>, Option<_>)| (peers.unwrap_or_default(), ports.unwrap_or_default());
    for rules in [
        Rules {
            direction: Direction::Ingress,
            list: "ingress",
            peers: "from",
            items: ingress.map(list).collect(),
        },
        Rules {
            direction: Direction::Egress,
            list: "egress",
            peers: "to",
            items: egress.map(list).collect(),
        },
    ] {
        check_rules(subject, &rules, report);
    }
}

fn check_rules(subject: &Subject<'_>, all: &Rules<'_>, report: &mut Report<'_>) {
    let path = format!("spec.{}", all.list);
    if !all.items.is_empty() && subject.policy.rules(all.direction).is_none() {
        let advice = format!(
            "has rules that do nothing: policyTypes does not list {}",
            all.direction
        );
        report.add(Check::UnusedRules, path.clone(), advice);
    }
    let only_peers = all
        .items
        .iter()
        .position(|(peers, ports)| !peers.is_empty() && ports.is_empty());
    let only_ports = all
        .items
        .iter()
        .position(|(peers, ports)| peers.is_empty() && !ports.is_empty());
    if let (Some(peers), Some(ports)) = (only_peers, only_ports) {
        let advice = format!(
            "opens all ports to the peers of item {peers} and the ports of item {ports} to anyone; \
             if both were meant together, remove the dash between them"
        );
        report.add(Check::SeparateItems, path.clone(), advice);
    }
    for (at, (peers, ports)) in all.items.iter().enumerate() {
        check_peers(peers, &format!("{path}[{at}].{}", all.peers), report);
        check_ports(ports, &format!("{path}[{at}].ports"), report);
    }
}

fn check_peers(peers: &[NetworkPolicyPeer], path: &str, report: &mut Report<'_>) {
    let pods_only = peers
        .iter()
        .position(|p| p.pod_selector.is_some() && p.namespace_selector.is_none());
    let namespaces_only = peers
        .iter()
        .position(|p| p.namespace_selector.is_some() && p.pod_selector.is_none());
    if let (Some(pods), Some(namespaces)) = (pods_only, namespaces_only)
        && pods.abs_diff(namespaces) == 1
    {
        let advice = format!(
            "items {} and {} are alternatives: every pod of those namespaces, and those pods of this namespace; \
             if both were meant together, make one item of them",
            pods.min(namespaces),
            pods.max(namespaces)
        );
        report.add(Check::SeparateItems, path, advice);
    }
    for (at, peer) in peers.iter().enumerate() {
        let named = |selector: &LabelSelector| {
            let label = selector
                .match_labels
                .iter()
                .flatten()
                .any(|(key, _)| key == "name");
            label
                || selector
                    .match_expressions
                    .iter()
                    .flatten()
                    .any(|e| e.key == "name")
        };
        if peer.namespace_selector.as_ref().is_some_and(named) {
            let advice = "the label name is not set by the API server and may be changed; \
                          use kubernetes.io/metadata.name";
            report.add(
                Check::MutableNameLabel,
                format!("{path}[{at}].namespaceSelector"),
                advice,
            );
        }
    }
    let open = |cidr: &str| {
        peers
            .iter()
            .flat_map(|p| &p.ip_block)
            .any(|block| block.cidr == cidr)
    };
    if open("0.0.0.0/0") && !open("::/0") {
        let advice = "0.0.0.0/0 opens no IPv6 address; add ::/0, or leave the peers out to mean anyone";
        report.add(Check::Ipv4Only, path, advice);
    }
}

fn check_ports(ports: &[NetworkPolicyPort], path: &str, report: &mut Report<'_>) {
    for (at, port) in ports.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if port.port.is_none() && port.protocol.is_none() {
            let advice = "an empty item means every TCP port; leave ports out to mean all traffic";
            report.add(Check::EmptyPort, path.clone(), advice);
        }
        if let Some(IntOrString::String(name)) = &port.port {
            let advice = format!(
                "some network plugins open the whole protocol for the named port {name:?} or drop the rule; \
                 write the number"
            );
            report.add(Check::NamedPort, format!("{path}.port"), advice);
        }
    }
}
