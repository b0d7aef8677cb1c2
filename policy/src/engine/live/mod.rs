//! All pairs of a cluster that changes: one event touches what it is about, and the rest of the answer stays.
//!
//! Ends and statements keep their numbers. An event in a namespace says anew what is said about the classes of
//! that namespace, follows classes that came or went through the sets of peers, and looks again at those pairs of
//! entries that an end was added to or taken from.

mod ground;
mod side;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::AddressSet;
use crate::labels::Labels;
use crate::policy::{Direction, Peer, Policy, Port};
use crate::ports::PortSet;
use crate::tiers::ClusterPolicy;
use crate::world::{Endpoint, NamedPort, Pod, World};

use self::ground::{Ground, Shard};
use self::side::{Changed, Sides};
use super::ends::{EndId, EndSet, in_every_family, pairs};
use super::join::Block;

/// Something that happened to one object.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pod is new or different.
    Pod(Pod),
    /// The pod of this namespace and name is gone.
    PodGone(Arc<str>, Arc<str>),
    /// A policy is new or different.
    Policy(Policy),
    /// The policy of this namespace and name is gone.
    PolicyGone(Arc<str>, Arc<str>),
    /// A namespace is new or has other labels.
    Namespace(Arc<str>, Labels),
    /// The namespace object is gone; what is left in it is judged by its name.
    NamespaceGone(Arc<str>),
}

/// Who can reach whom in a cluster, kept up to date. Objects are told apart by namespace and name.
#[derive(Debug)]
pub struct Live<'a> {
    ground: Ground,
    tiers: &'a [ClusterPolicy],
    sides: Sides<'a>,
}

impl<'a> Live<'a> {
    /// Computes all pairs. Changes of the tiers and of networks need a new computation.
    pub fn new(
        world: World,
        pods: impl IntoIterator<Item = Pod>,
        policies: impl IntoIterator<Item = Policy>,
        tiers: &'a [ClusterPolicy],
    ) -> Self {
        let mut shards: BTreeMap<Arc<str>, Shard> = BTreeMap::new();
        for pod in pods {
            let shard = shards.entry(pod.namespace.clone()).or_default();
            shard.pods.insert(pod.name.clone(), (pod, Vec::new()));
        }
        for policy in policies {
            let shard = shards.entry(policy.namespace.clone()).or_default();
            shard.policies.insert(policy.name.clone(), policy);
        }
        Self::over(world, shards, tiers)
    }

    fn over(world: World, shards: BTreeMap<Arc<str>, Shard>, tiers: &'a [ClusterPolicy]) -> Self {
        let mut ground = Ground::new(world);
        let cuts = shards
            .values()
            .flat_map(|shard| shard.policies.values())
            .flat_map(blocks);
        for set in cuts.chain(tiers.iter().flat_map(networks)) {
            ground.cut(&set);
        }
        ground.shards = shards;
        let names: Vec<Arc<str>> = ground.shards.keys().cloned().collect();
        for name in &names {
            if let Some(shard) = ground.shards.get_mut(name) {
                shard.classes.clear();
            }
            ground.classify(name);
        }
        let mut sides = Sides::new(&ground, tiers);
        let mut changed = Changed::default();
        sides.say(&ground, &names, &mut changed);
        sides.join_all();
        Self { ground, tiers, sides }
    }

    /// Brings the answer up to date.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => {
                let namespace = pod.namespace.clone();
                let shard = self.ground.shards.entry(namespace.clone()).or_default();
                shard.pods.insert(pod.name.clone(), (pod, Vec::new()));
                self.pods_changed(&[namespace]);
            }
            Event::PodGone(namespace, name) => {
                if let Some(shard) = self.ground.shards.get_mut(&namespace) {
                    shard.pods.remove(&name);
                }
                self.pods_changed(&[namespace]);
            }
            Event::Policy(policy) => self.policy_changed(policy),
            Event::PolicyGone(namespace, name) => {
                if let Some(shard) = self.ground.shards.get_mut(&namespace) {
                    shard.policies.remove(&name);
                }
                self.say_again(&[namespace], &[]);
            }
            Event::Namespace(name, labels) => {
                self.ground.world.set_namespace(name.clone(), &labels);
                self.labels_changed(&name);
            }
            Event::NamespaceGone(name) => {
                self.ground.world.remove_namespace(&name);
                self.labels_changed(&name);
            }
        }
        if self.sides.mostly_unused() {
            self.start_again();
        }
    }

    fn policy_changed(&mut self, policy: Policy) {
        let namespace = policy.namespace.clone();
        let mut parts = EndSet::default();
        // What the tiers leave of other sets is not known by its meaning, so pieces cannot follow.
        let mut again = false;
        for set in blocks(&policy) {
            let cuts = self.ground.cut(&set);
            again |= !cuts.is_empty() && !self.tiers.is_empty();
            for (whole, part) in cuts {
                self.sides.split(whole, part);
                parts.insert(whole);
                parts.insert(part);
            }
        }
        let shard = self.ground.shards.entry(namespace.clone()).or_default();
        shard.policies.insert(policy.name.clone(), policy);
        if again {
            return self.start_again();
        }
        let split = if parts.is_empty() {
            Vec::new()
        } else {
            self.ground.namespaces_in(&parts)
        };
        self.pods_changed(&split);
        self.say_again(&[namespace], &[]);
    }

    fn pods_changed(&mut self, namespaces: &[Arc<str>]) {
        let before = self.port_names(namespaces);
        let changed: Vec<EndId> = namespaces
            .iter()
            .flat_map(|name| self.ground.classify(name))
            .collect();
        if changed.is_empty() {
            return;
        }
        let new_names = self
            .port_names(namespaces)
            .iter()
            .any(|port| !before.contains(port));
        if new_names {
            let mut all: Vec<Arc<str>> = self.naming_ports();
            all.extend_from_slice(namespaces);
            all.sort();
            all.dedup();
            self.say_again(&all, &changed);
        } else {
            self.say_again(namespaces, &changed);
        }
    }

    fn labels_changed(&mut self, namespace: &Arc<str>) {
        if self.ground.world.dialect.host_namespace.as_ref() == Some(namespace) {
            return self.start_again();
        }
        let classes = self
            .ground
            .shards
            .get(namespace)
            .map(|shard| shard.classes.clone());
        self.say_again(std::slice::from_ref(namespace), &classes.unwrap_or_default());
    }

    /// Says anew what is said in some namespaces, after these ends came, went, or changed in what selects them.
    fn say_again(&mut self, namespaces: &[Arc<str>], ends: &[EndId]) {
        let mut changed = Changed::default();
        if !ends.is_empty() {
            self.sides.follow(&self.ground, ends, &mut changed);
        }
        if !ends.is_empty() && !self.tiers.is_empty() {
            self.sides.restart_tiers(&self.ground, self.tiers);
            let all: Vec<Arc<str>> = self.ground.shards.keys().cloned().collect();
            self.sides.say(&self.ground, &all, &mut changed);
        } else {
            self.sides.say(&self.ground, namespaces, &mut changed);
        }
        self.sides.join(&changed);
    }

    fn start_again(&mut self) {
        let world = std::mem::take(&mut self.ground.world);
        let shards = std::mem::take(&mut self.ground.shards);
        *self = Self::over(world, shards, self.tiers);
    }

    fn port_names(&self, namespaces: &[Arc<str>]) -> Vec<NamedPort> {
        let shards = namespaces.iter().filter_map(|name| self.ground.shards.get(name));
        let ends = shards.flat_map(|shard| &shard.classes);
        let pods = ends.filter_map(|end| self.ground.representative(*end));
        pods.flat_map(|pod| pod.ports.iter().cloned()).collect()
    }

    /// The namespaces with a policy that names ports of others.
    fn naming_ports(&self) -> Vec<Arc<str>> {
        let names = |policy: &Policy| {
            let rules = policy.egress.iter().flatten();
            rules
                .flat_map(|rule| &rule.ports)
                .any(|port| matches!(port.port, Port::Named(_)))
        };
        let shards = self.ground.shards.iter();
        shards
            .filter(|(_, shard)| shard.policies.values().any(names))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The ports on which one end surely, and perhaps, reaches another; `None` for an end that there is not: a
    /// pod that is gone or finished, or a host with a known address.
    pub fn ports(&self, source: &Endpoint<'_>, destination: &Endpoint<'_>) -> Option<(PortSet, PortSet)> {
        let (from, to) = (self.ground.ends(source), self.ground.ends(destination));
        if from.is_empty() || to.is_empty() {
            return None;
        }
        let pairs = pairs(&from, &to, |end| self.ground.family(end)).into_iter();
        Some(in_every_family(
            pairs.map(|(from, to)| self.sides.ports(from, to)),
        ))
    }

    /// The number of blocks.
    pub fn len(&self) -> usize {
        self.sides.pairs()
    }

    /// True when nothing reaches anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that is allowed or cannot be excluded, over the numbers that [`Self::ends`] tells.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.sides.blocks()
    }

    /// The numbers of an end: two, IPv4 before IPv6, for a pod with addresses of both families. They stay the same
    /// until the pods behind it change.
    pub fn ends(&self, endpoint: &Endpoint<'_>) -> Vec<EndId> {
        self.ground.ends(endpoint)
    }

    /// Namespaces and dialect.
    pub fn world(&self) -> &World {
        &self.ground.world
    }
}

/// Where a policy cuts the address space.
fn blocks(policy: &Policy) -> Vec<AddressSet> {
    let rules = Direction::ALL
        .into_iter()
        .filter_map(|direction| policy.rules(direction));
    let peers = rules.flatten().flat_map(|rule| &rule.peers);
    let mut all = Vec::new();
    for peer in peers {
        if let Peer::IpBlock { cidr, except } = peer {
            all.push(AddressSet::network(cidr));
            all.extend(except.iter().map(AddressSet::network));
        }
    }
    all
}

fn networks(policy: &ClusterPolicy) -> Vec<AddressSet> {
    let rules = Direction::ALL
        .into_iter()
        .flat_map(|direction| policy.rules(direction));
    let peers = rules.flat_map(|rule| &rule.peers);
    peers
        .filter_map(|peer| match peer {
            crate::tiers::ClusterPeer::Networks(set) => Some(set.clone()),
            _ => None,
        })
        .collect()
}
