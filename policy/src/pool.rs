//! Sharing what equal objects have in common, so that many of them fit into memory.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::labels::Labels;
use crate::policy::{Peer, Policy, Port, Rule};
use crate::selector::Selector;
use crate::world::{NamedPort, Pod};

/// Names, label sets and selectors that were seen before. Objects that pass through it mean the same and hold on
/// to one copy of each; drop the pool when everything is read.
#[derive(Debug, Default)]
pub struct Pool {
    names: HashSet<Arc<str>>,
    labels: HashSet<Labels>,
    selectors: HashSet<Selector>,
}

impl Pool {
    /// The same pod on shared storage.
    #[must_use]
    pub fn pod(&mut self, pod: Pod) -> Pod {
        let port = |port: NamedPort| NamedPort {
            name: share(&mut self.names, port.name),
            ..port
        };
        let ports = exact(pod.ports.into_iter().map(port));
        Pod {
            namespace: share(&mut self.names, pod.namespace),
            name: share(&mut self.names, pod.name),
            labels: share(&mut self.labels, pod.labels),
            addresses: exact(pod.addresses.into_iter()),
            ports,
            state: pod.state,
            node: pod.node.map(|node| share(&mut self.names, node)),
        }
    }

    /// The same policy on shared storage.
    #[must_use]
    pub fn policy(&mut self, policy: Policy) -> Policy {
        Policy {
            namespace: share(&mut self.names, policy.namespace),
            name: share(&mut self.names, policy.name),
            pods: share(&mut self.selectors, policy.pods),
            ingress: policy.ingress.map(|rules| self.rules(rules)),
            egress: policy.egress.map(|rules| self.rules(rules)),
        }
    }

    fn rules(&mut self, rules: Vec<Rule>) -> Vec<Rule> {
        exact(rules.into_iter().map(|mut rule| {
            rule.peers = exact(rule.peers.into_iter().map(|peer| self.peer(peer)));
            for port in &mut rule.ports {
                if let Port::Named(name) = &mut port.port {
                    *name = share(&mut self.names, name.clone());
                }
            }
            rule.ports.shrink_to_fit();
            rule
        }))
    }

    fn peer(&mut self, peer: Peer) -> Peer {
        let mut selector = |selector: Option<Selector>| selector.map(|s| share(&mut self.selectors, s));
        match peer {
            Peer::Pods { namespaces, pods } => Peer::Pods {
                namespaces: selector(namespaces),
                pods: selector(pods),
            },
            Peer::IpBlock { cidr, except } => Peer::IpBlock {
                cidr,
                except: exact(except.into_iter()),
            },
        }
    }
}

/// The copy that was seen first.
fn share<T: Clone + Eq + Hash>(seen: &mut HashSet<T>, value: T) -> T {
    if let Some(known) = seen.get(&value) {
        return known.clone();
    }
    seen.insert(value.clone());
    value
}

/// A list without room to grow.
fn exact<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = items.collect();
    all.shrink_to_fit();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PortRule;
    use crate::ports::Protocol;

    fn policy() -> Policy {
        let rule = Rule {
            peers: vec![Peer::Pods {
                namespaces: None,
                pods: Some(Selector::from([("app", "web")])),
            }],
            ports: vec![PortRule {
                protocol: Protocol::Tcp,
                port: Port::Named("web".into()),
            }],
        };
        Policy {
            namespace: "home".into(),
            name: "web".into(),
            pods: Selector::from([("app", "web")]),
            ingress: Some(vec![rule]),
            egress: None,
        }
    }

    #[test]
    fn what_passes_through_means_the_same_and_shares_its_parts() {
        let mut pool = Pool::default();
        let (first, second) = (pool.policy(policy()), pool.policy(policy()));
        assert_eq!((&first, &second), (&policy(), &policy()));
        assert!(Arc::ptr_eq(&first.namespace, &second.namespace));
        let name = |policy: &Policy| match &policy.ingress.as_ref().unwrap()[0].ports[0].port {
            Port::Named(name) => name.clone(),
            _ => "none".into(),
        };
        assert!(
            Arc::ptr_eq(&name(&first), &second.name),
            "names of all kinds are one"
        );
        let mut pod = Pod::new("home", "web", Labels::from([("app", "web")]));
        pod.node = Some("n".into());
        let shared = pool.pod(pod.clone());
        assert_eq!(shared, pod);
        assert!(Arc::ptr_eq(&shared.namespace, &first.namespace));
    }
}
