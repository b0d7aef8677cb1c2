//! A second evaluator, for tests only: pod by pod and port by port, written from the text of the
//! `networking.k8s.io/v1` API and sharing nothing with the crate but the serde types.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bulkhead_policy::v1::{
    IntOrString, IpBlock, LabelSelector, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};

pub type LabelMap = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct BrutePod {
    pub namespace: String,
    pub namespace_labels: LabelMap,
    pub name: String,
    pub labels: LabelMap,
    pub address: IpAddr,
    pub ports: Vec<(String, &'static str, u16)>,
    pub host_network: bool,
}

#[derive(Clone, Debug)]
pub enum End {
    Pod(BrutePod),
    /// A node or something outside: only the address counts.
    Address(IpAddr),
}

pub struct BrutePolicy<'a> {
    pub namespace: &'a str,
    pub spec: &'a NetworkPolicySpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ingress,
    Egress,
}

/// Whether `pod` may have a connection with `peer` on `port` of the destination, on `side` of the pod.
pub fn allowed(
    policies: &[BrutePolicy<'_>],
    side: Side,
    pod: &BrutePod,
    peer: &End,
    port: (&str, u16),
) -> bool {
    let same = matches!(peer, End::Pod(other) if other.namespace == pod.namespace && other.name == pod.name);
    if pod.host_network || same {
        return true;
    }
    let mut isolated = false;
    for policy in policies {
        if !isolates(policy, side, pod) {
            continue;
        }
        isolated = true;
        let rules = match side {
            Side::Ingress => policy
                .spec
                .ingress
                .iter()
                .flatten()
                .map(|r| (&r.from, &r.ports))
                .collect::<Vec<_>>(),
            Side::Egress => policy
                .spec
                .egress
                .iter()
                .flatten()
                .map(|r| (&r.to, &r.ports))
                .collect::<Vec<_>>(),
        };
        for (peers, ports) in rules {
            let peers = peers.iter().flatten().collect::<Vec<_>>();
            let ports = ports.iter().flatten().collect::<Vec<_>>();
            let mut ends: Vec<Option<&BrutePod>> = Vec::new();
            if peers.is_empty() {
                ends.push(name_holder(side, pod, Some(peer)));
            }
            for candidate in peers {
                if peer_matches(policy.namespace, candidate, peer) {
                    let by_address = candidate.ip_block.is_some();
                    ends.push(name_holder(side, pod, (!by_address).then_some(peer)));
                }
            }
            let hit = |holder: Option<&BrutePod>| ports.iter().any(|p| port_matches(p, holder, port));
            if !ends.is_empty() && (ports.is_empty() || ends.into_iter().any(hit)) {
                return true;
            }
        }
    }
    !isolated
}

pub fn isolates(policy: &BrutePolicy<'_>, side: Side, pod: &BrutePod) -> bool {
    let types = policy.spec.policy_types.clone().unwrap_or_default();
    let listed = |name: &str| types.iter().any(|t| t == name);
    let has_egress = policy.spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
    let applies = match side {
        Side::Ingress => types.is_empty() || listed("Ingress"),
        Side::Egress => listed("Egress") || (types.is_empty() && has_egress),
    };
    let selected = policy
        .spec
        .pod_selector
        .as_ref()
        .is_none_or(|s| selects(s, &pod.labels));
    applies && selected && !pod.host_network && policy.namespace == pod.namespace
}

/// On which pod a named port is looked up: the destination, if it is known as a pod.
fn name_holder<'a>(side: Side, pod: &'a BrutePod, peer: Option<&'a End>) -> Option<&'a BrutePod> {
    match (side, peer) {
        (Side::Ingress, _) => Some(pod),
        (Side::Egress, Some(End::Pod(peer))) if !peer.host_network => Some(peer),
        (Side::Egress, _) => None,
    }
}

fn peer_matches(own_namespace: &str, candidate: &NetworkPolicyPeer, peer: &End) -> bool {
    if let Some(block) = &candidate.ip_block {
        let address = match peer {
            End::Pod(pod) => pod.address,
            End::Address(address) => *address,
        };
        return in_block(block, address);
    }
    let End::Pod(pod) = peer else { return false };
    if pod.host_network {
        return false;
    }
    let namespace = match &candidate.namespace_selector {
        Some(selector) => selects(selector, &pod.namespace_labels),
        None => pod.namespace == own_namespace,
    };
    namespace
        && candidate
            .pod_selector
            .as_ref()
            .is_none_or(|s| selects(s, &pod.labels))
}

pub fn selects(selector: &LabelSelector, labels: &LabelMap) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|e| {
        let listed = |value: &String| e.values.iter().flatten().any(|v| v == value);
        match e.operator.as_str() {
            "In" => labels.get(&e.key).is_some_and(listed),
            "NotIn" => !labels.get(&e.key).is_some_and(listed),
            "Exists" => labels.contains_key(&e.key),
            _ => !labels.contains_key(&e.key),
        }
    });
    equal && expressions
}

fn port_matches(rule: &NetworkPolicyPort, holder: Option<&BrutePod>, (protocol, port): (&str, u16)) -> bool {
    let wanted = rule.protocol.as_deref().unwrap_or("TCP");
    let number = i64::from(port);
    let on_port = match (&rule.port, rule.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&number),
        (Some(IntOrString::Int(only)), None) => *only == number,
        (Some(IntOrString::String(name)), _) => holder.is_some_and(|pod| {
            pod.ports
                .iter()
                .any(|(n, proto, p)| n == name && *proto == protocol && *p == port)
        }),
    };
    wanted == protocol && on_port
}

fn in_block(block: &IpBlock, address: IpAddr) -> bool {
    let inside = |cidr: &str| in_network(cidr, address);
    inside(&block.cidr) && !block.except.iter().flatten().any(|hole| inside(hole))
}

pub fn in_network(cidr: &str, address: IpAddr) -> bool {
    let (base, length) = cidr.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((base, width), (address, other)) = (bits(base.parse().unwrap()), bits(address));
    width == other && (length == 0 || base >> (128 - length) == address >> (128 - length))
}
