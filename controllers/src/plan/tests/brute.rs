//! An evaluator for a small explicit universe, written from the text of the API: pod by pod, peer by peer, port
//! by port. It reads the objects as they are stored and uses nothing of the policy engine.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

/// Labels of a pod.
pub type LabelMap = BTreeMap<String, String>;

/// The namespace under test.
pub const SUBJECT: &str = "openshift-subject";
/// A system namespace whose pods are clients.
pub const CLIENTS: &str = "openshift-clients";

/// Labels from pairs.
pub fn labels(pairs: &[(&str, &str)]) -> LabelMap {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub enum End {
    Pod {
        namespace: &'static str,
        labels: LabelMap,
    },
    Host,
    Outside([u8; 4]),
}

/// The ports of the universe.
pub const PORTS: [(&str, i32); 6] = [
    ("TCP", 80),
    ("TCP", 443),
    ("TCP", 8443),
    ("TCP", 6443),
    ("UDP", 53),
    ("TCP", 53),
];

/// A set of (end, port) pairs: bit `end * PORTS.len() + port`.
pub type Mask = u64;

/// The ends of the universe, and whether the network plugin selects host traffic by namespace.
#[derive(Clone, Debug)]
pub struct Universe {
    pub ends: Vec<End>,
    pub host_selectable: bool,
}

/// What one version of one object says about one pod in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Say {
    pub isolates: bool,
    pub allows: Mask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Ingress,
    Egress,
}

impl Side {
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl Universe {
    pub fn new(host_selectable: bool) -> Self {
        let pod = |namespace, pairs: &[(&str, &str)]| End::Pod {
            namespace,
            labels: labels(pairs),
        };
        let ends = vec![
            pod(SUBJECT, &[("app", "a")]),
            pod(SUBJECT, &[("app", "b"), ("tier", "x")]),
            pod(CLIENTS, &[("app", "c")]),
            pod(CLIENTS, &[("app", "d")]),
            pod("tenant", &[("app", "a")]),
            pod(
                "openshift-kube-apiserver-operator",
                &[("app", "kube-apiserver-operator")],
            ),
            pod("kube-system", &[("k8s-app", "kube-dns")]),
            End::Host,
            End::Outside([203, 0, 113, 7]),
            End::Outside([198, 51, 100, 9]),
        ];
        assert!(ends.len() * PORTS.len() <= 64);
        Self {
            ends,
            host_selectable,
        }
    }

    /// Every connection of the universe.
    pub fn everything(&self) -> Mask {
        (0..self.ends.len() * PORTS.len()).fold(0, |mask, bit| mask | 1 << bit)
    }

    /// The connections whose end and port pass.
    pub fn mask(&self, passes: impl Fn(&End, (&str, i32)) -> bool) -> Mask {
        let mut mask = 0;
        for (at, end) in self.ends.iter().enumerate() {
            for (number, port) in PORTS.iter().enumerate() {
                if passes(end, *port) {
                    mask |= 1 << (at * PORTS.len() + number);
                }
            }
        }
        mask
    }

    /// A few connections of a mask in words.
    pub fn names(&self, mask: Mask) -> String {
        let mut named = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            for (number, (protocol, port)) in PORTS.iter().enumerate() {
                if mask & (1 << (at * PORTS.len() + number)) != 0 {
                    named.push(format!("{end:?} {protocol}/{port}"));
                }
            }
        }
        let more = named.len().saturating_sub(3);
        named.truncate(3);
        format!("{} (+{more})", named.join(", "))
    }

    /// What a stored policy of the subject namespace says about a pod there.
    pub fn says(&self, spec: &NetworkPolicySpec, pod: &LabelMap, side: Side) -> Say {
        let types = spec.policy_types.clone().unwrap_or_default();
        let listed = |name: &str| types.iter().any(|t| t == name);
        let applies = match side {
            Side::Ingress => types.is_empty() || listed("Ingress"),
            Side::Egress => {
                listed("Egress") || (types.is_empty() && spec.egress.as_ref().is_some_and(|r| !r.is_empty()))
            }
        };
        if !applies || spec.pod_selector.as_ref().is_some_and(|s| !selects(s, pod)) {
            return Say::default();
        }
        let rules: Vec<(Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)> = match side {
            Side::Ingress => spec
                .ingress
                .iter()
                .flatten()
                .map(|r| {
                    (
                        r.from.clone().unwrap_or_default(),
                        r.ports.clone().unwrap_or_default(),
                    )
                })
                .collect(),
            Side::Egress => spec
                .egress
                .iter()
                .flatten()
                .map(|r| {
                    (
                        r.to.clone().unwrap_or_default(),
                        r.ports.clone().unwrap_or_default(),
                    )
                })
                .collect(),
        };
        let allows = self.mask(|end, port| {
            rules.iter().any(|(peers, ports)| {
                (peers.is_empty() || peers.iter().any(|p| self.covers(p, end, side)))
                    && (ports.is_empty() || ports.iter().any(|p| on_port(p, port)))
            })
        });
        Say {
            isolates: true,
            allows,
        }
    }

    fn covers(&self, peer: &NetworkPolicyPeer, end: &End, side: Side) -> bool {
        if let Some(block) = &peer.ip_block {
            let End::Outside(address) = end else { return false };
            let within = |cidr: &str| in_network(cidr, *address);
            return within(&block.cidr) && !block.except.iter().flatten().any(|hole| within(hole));
        }
        let name_label = |name: &str| labels(&[("kubernetes.io/metadata.name", name)]);
        match end {
            End::Pod {
                namespace,
                labels: own,
            } => {
                let there = match &peer.namespace_selector {
                    Some(selector) => selects(selector, &name_label(namespace)),
                    None => *namespace == SUBJECT,
                };
                there && peer.pod_selector.as_ref().is_none_or(|s| selects(s, own))
            }
            End::Host => {
                let by_namespace = peer
                    .namespace_selector
                    .as_ref()
                    .is_some_and(|s| selects(s, &name_label("openshift-host-network")));
                self.host_selectable && side == Side::Ingress && by_namespace && peer.pod_selector.is_none()
            }
            End::Outside(_) => false,
        }
    }
}

/// Whether a label selector matches.
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

fn on_port(rule: &NetworkPolicyPort, (protocol, port): (&str, i32)) -> bool {
    let number = match (&rule.port, rule.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&port),
        (Some(IntOrString::Int(only)), None) => *only == port,
        (Some(IntOrString::String(_)), _) => false,
    };
    rule.protocol.as_deref().unwrap_or("TCP") == protocol && number
}

/// Whether an address is in a network.
pub fn in_network(cidr: &str, address: [u8; 4]) -> bool {
    let (base, length) = cidr.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let Ok(base) = base.parse::<std::net::Ipv4Addr>() else {
        return false;
    };
    let bits = |a: std::net::Ipv4Addr| u64::from(u32::from(a)) >> (32 - length);
    bits(base) == bits(address.into())
}

/// The versions that one object may be seen at; `None` is absence.
pub struct Seen {
    pub ours: bool,
    pub versions: Vec<Option<Say>>,
}

/// The connections that some mix denies, found by walking through all mixes object by object. With
/// `only_ours`, mixes in which somebody else's object isolates the pod are left out.
pub fn denied(objects: &[Seen], only_ours: bool, everything: Mask) -> Mask {
    // Reachable states per connection: (isolated so far, allowed so far).
    let mut reach = [[0, 0], [0, 0]];
    reach[0][0] = everything;
    for object in objects {
        let mut next = [[0, 0], [0, 0]];
        for version in &object.versions {
            let say = version.unwrap_or_default();
            if only_ours && !object.ours && say.isolates {
                continue;
            }
            for (isolated, row) in reach.iter().enumerate() {
                let to = usize::from(say.isolates || isolated == 1);
                next[to][1] |= row[1] | (row[0] & say.allows);
                next[to][0] |= row[0] & !say.allows;
            }
        }
        reach = next;
    }
    reach[1][0]
}
