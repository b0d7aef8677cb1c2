//! What the tiers of the cluster's administrator say to a class, over all ends and ports at once.

use std::collections::HashMap;

use crate::policy::Direction;
use crate::ports::{PortSet, Protocol};
use crate::tiers::{Action, ClusterPeer, ClusterPolicy, ClusterRule, Tier};
use crate::world::{NamedPort, Pod};

use super::area::Area;
use super::ends::{EndId, EndSet};
use super::resolve::Resolve;

/// What may come out of a tier at each end and port. Where several may, nobody can say which.
#[derive(Clone, Debug, Default)]
struct Outcomes {
    accept: Area,
    deny: Area,
    /// The tier is left: by a Pass, or because no rule matches.
    leave: Area,
}

/// One tier for the classes to which the same policies apply.
#[derive(Debug)]
pub(super) struct Stage {
    /// Surely accepted by the tier, whatever comes after it.
    pub accepted: Area,
    /// Perhaps accepted by the tier.
    pub perhaps_accepted: Area,
    /// Surely decided by what comes after the tier, or not at all.
    pub left: Area,
    /// Decided by what comes after the tier unless the tier denies it, which it may.
    pub perhaps_left: Area,
    /// True when something may be denied here.
    pub denies: bool,
}

impl Stage {
    fn new(outcomes: &Outcomes) -> Self {
        let Outcomes { accept, deny, leave } = outcomes;
        let otherwise = deny.union(leave);
        Self {
            accepted: accept.subtract(&otherwise),
            perhaps_accepted: accept.intersect(&otherwise),
            left: leave.subtract(deny),
            perhaps_left: leave.intersect(deny),
            denies: !deny.is_empty(),
        }
    }
}

/// Which policies apply to a class, and the names of its ports where rules ask for them.
type Key = (Vec<usize>, Vec<NamedPort>);

/// The stages of one tier and direction, computed as classes ask for them.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    direction: Direction,
    /// In the order in which they are looked at, with their subjects.
    policies: Vec<(&'a ClusterPolicy, EndSet)>,
    by_key: HashMap<Key, usize>,
    computed: Vec<Stage>,
}

impl<'a> Stages<'a> {
    pub fn new(
        resolver: &mut impl Resolve,
        policies: &'a [ClusterPolicy],
        tier: Tier,
        direction: Direction,
    ) -> Self {
        let mut policies: Vec<_> = policies
            .iter()
            .filter(|policy| policy.tier == tier && !policy.rules(direction).is_empty())
            .map(|policy| {
                let subject = ClusterPeer::Pods {
                    namespaces: policy.namespaces.clone(),
                    pods: policy.pods.clone(),
                };
                (policy, resolver.cluster_peer(&subject, direction).surely)
            })
            .collect();
        policies.sort_by_key(|(policy, _)| policy.priority);
        Self {
            direction,
            policies,
            by_key: HashMap::new(),
            computed: Vec::new(),
        }
    }

    /// The stage of a class; `None` when no policy applies to it.
    pub fn of_class(&mut self, resolver: &mut impl Resolve, class: EndId) -> Option<usize> {
        let applies = |(_, subject): &(_, EndSet)| subject.contains(class);
        let applying: Vec<usize> = (0..self.policies.len())
            .filter(|at| applies(&self.policies[*at]))
            .collect();
        if applying.is_empty() {
            return None;
        }
        let pod = resolver.pod(class)?.clone();
        let asks = |at: &usize| self.asks_for_names(*at);
        let names = if applying.iter().any(asks) {
            pod.ports.clone()
        } else {
            Vec::new()
        };
        let key = (applying, names);
        if let Some(known) = self.by_key.get(&key) {
            return Some(*known);
        }
        let outcomes = self.outcomes(resolver, &key.0, &pod);
        self.computed.push(Stage::new(&outcomes));
        self.by_key.insert(key, self.computed.len() - 1);
        Some(self.computed.len() - 1)
    }

    pub fn stage(&self, at: usize) -> &Stage {
        &self.computed[at]
    }

    /// Names of ingress rules are those of the class itself.
    fn asks_for_names(&self, policy: usize) -> bool {
        let rules = self.policies[policy].0.rules(self.direction);
        self.direction == Direction::Ingress
            && rules
                .iter()
                .any(|rule| rule.ports.as_ref().is_some_and(|ports| !ports.names.is_empty()))
    }

    fn outcomes(&self, resolver: &mut impl Resolve, applying: &[usize], pod: &Pod) -> Outcomes {
        let mut all = Outcomes::default();
        let mut reached = Area::of(resolver.everyone(), PortSet::all());
        let priority = |at: &usize| self.policies[*at].0.priority;
        for equals in applying.chunk_by(|a, b| priority(a) == priority(b)) {
            let mut falls = reached.clone();
            for at in equals {
                let (found, nothing) = self.policy(resolver, self.policies[*at].0, pod);
                all.accept = all.accept.union(&found.accept.intersect(&reached));
                all.deny = all.deny.union(&found.deny.intersect(&reached));
                all.leave = all.leave.union(&found.leave.intersect(&reached));
                falls = falls.intersect(&nothing);
            }
            reached = falls;
        }
        all.leave = all.leave.union(&reached);
        all
    }

    /// What may come out of one policy, and where none of its rules may match.
    fn policy(&self, resolver: &mut impl Resolve, policy: &ClusterPolicy, pod: &Pod) -> (Outcomes, Area) {
        let mut found = Outcomes::default();
        let mut reached = Area::of(resolver.everyone(), PortSet::all());
        for rule in policy.rules(self.direction) {
            let (surely, perhaps) = self.matched(resolver, rule, pod);
            let matched = reached.intersect(&surely.union(&perhaps));
            let outcome = match rule.action {
                Action::Accept => &mut found.accept,
                Action::Deny => &mut found.deny,
                Action::Pass => &mut found.leave,
            };
            *outcome = outcome.union(&matched);
            reached = reached.subtract(&surely);
        }
        (found, reached)
    }

    /// Where a rule surely and where it perhaps matches.
    fn matched(&self, resolver: &mut impl Resolve, rule: &ClusterRule, pod: &Pod) -> (Area, Area) {
        let (mut surely, mut perhaps) = (Area::default(), Area::default());
        for peer in &rule.peers {
            let covered = resolver.cluster_peer(peer, self.direction);
            let on_ports = |ends: EndSet, ports: &PortSet| Area::of(ends, ports.clone());
            let Some(ports) = &rule.ports else {
                surely = surely.union(&on_ports(covered.surely, &PortSet::all()));
                perhaps = perhaps.union(&on_ports(covered.perhaps, &PortSet::all()));
                continue;
            };
            let mut numbers = ports.numbers.clone();
            for (name, protocol) in ports.names.iter().flat_map(|n| Protocol::ALL.map(|p| (n, p))) {
                if self.direction == Direction::Ingress {
                    let own = pod.port_numbers(protocol, name);
                    numbers = own.fold(numbers, |all, port| all.union(&PortSet::single(protocol, port)));
                } else if matches!(peer, ClusterPeer::Pods { .. }) {
                    for (number, holders) in resolver.holders(protocol, name) {
                        let port = PortSet::single(protocol, number);
                        surely = surely.union(&on_ports(covered.surely.intersect(&holders), &port));
                    }
                }
            }
            surely = surely.union(&on_ports(covered.surely, &numbers));
            perhaps = perhaps.union(&on_ports(covered.perhaps, &numbers));
        }
        (surely, perhaps)
    }
}
