//! The answer for a whole cluster.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::{Direction, Policy};
use crate::ports::{PortSet, Protocol};
use crate::tiers::{self, ClusterPolicy, Tier, Tiered};
use crate::verdict::{Connection, Traffic, Verdict, connection};
use crate::world::{Endpoint, Pod, World};

use super::ends::{EndId, EndSet, Ends};
use super::index::Resolver;
use super::join::{Block, join};
use super::rules::{Compiler, Saying};

/// One entry: `classes` may talk with `peers` on `ports`, as far as this direction is concerned.
#[derive(Clone, Debug)]
struct Entry {
    classes: EndSet,
    peers: u32,
    ports: u32,
    /// False when it cannot be decided.
    sure: bool,
}

/// One direction: all entries with the sets that they refer to.
#[derive(Debug)]
pub(super) struct Side {
    entries: Vec<Entry>,
    peers: Vec<EndSet>,
    ports: Vec<PortSet>,
    /// The classes that some NetworkPolicy isolates.
    isolated: EndSet,
    /// The classes to which the Admin tier denies something.
    admin: EndSet,
    /// The classes to which the Baseline tier denies something.
    baseline: EndSet,
}

/// An entry with its parts looked up.
pub(super) struct EntryRef<'s> {
    pub classes: &'s EndSet,
    pub peers: &'s EndSet,
    pub ports: &'s PortSet,
    pub sure: bool,
}

impl Side {
    /// Policies are given by namespace, in the order of the ends' namespaces.
    fn new(
        world: &World,
        ends: &Ends<'_>,
        direction: Direction,
        policies: &[Vec<&Policy>],
        tiers: &[ClusterPolicy],
    ) -> Self {
        let mut resolver = Resolver::new(world, ends);
        let mut compiler = Compiler::new(&mut resolver, direction, tiers);
        let mut entries = Entries::default();
        let mut isolated = EndSet::default();
        let (mut admin, mut baseline) = (EndSet::default(), EndSet::default());
        let open = compiler.open(&ends.all());
        entries.id(open);
        for (at, policies) in policies.iter().enumerate() {
            let classes: Vec<EndId> = ends.classes_of(at).collect();
            let mut said = compiler.namespace(&mut resolver, &ends.namespaces()[at], &classes, policies);
            said.isolated.into_iter().for_each(|class| isolated.append(class));
            said.admin.sort_unstable();
            said.admin.into_iter().for_each(|class| admin.append(class));
            said.baseline.into_iter().for_each(|class| baseline.append(class));
            entries.add(&said.sayings);
        }
        let unpoliced = (ends.host()..ends.len()).map(|end| (open, end));
        entries.add(&unpoliced.collect::<Vec<_>>());
        let (peers, ports) = compiler.into_parts();
        Self {
            entries: entries.finish(),
            peers,
            ports,
            isolated,
            admin,
            baseline,
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        (0u32..).map_while(|at| self.entry(at))
    }

    /// The classes that some NetworkPolicy isolates.
    pub fn isolated(&self) -> &EndSet {
        &self.isolated
    }

    /// The classes to which a tier denies, or may deny, something.
    pub fn denied(&self, tier: Tier) -> &EndSet {
        match tier {
            Tier::Admin => &self.admin,
            Tier::Baseline => &self.baseline,
        }
    }

    pub fn entry(&self, at: u32) -> Option<EntryRef<'_>> {
        let entry = self.entries.get(at as usize)?;
        Some(EntryRef {
            classes: &entry.classes,
            peers: &self.peers[entry.peers as usize],
            ports: &self.ports[entry.ports as usize],
            sure: entry.sure,
        })
    }
}

/// Each statement once, with all classes that it is made about.
#[derive(Default)]
struct Entries {
    ids: HashMap<Saying, u32>,
    all: Vec<Entry>,
}

impl Entries {
    fn id(&mut self, saying: Saying) -> u32 {
        *self.ids.entry(saying).or_insert_with(|| {
            let (peers, ports, sure) = saying;
            self.all.push(Entry {
                classes: EndSet::default(),
                peers,
                ports,
                sure,
            });
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Adds what is said about classes none of which is below any of an earlier call.
    fn add(&mut self, sayings: &[(Saying, EndId)]) {
        let uses = sayings.iter().map(|(saying, class)| (self.id(*saying), *class));
        let mut uses: Vec<(u32, EndId)> = uses.collect();
        uses.sort_unstable();
        for (entry, class) in uses {
            self.all[entry as usize].classes.append(class);
        }
    }

    fn finish(mut self) -> Vec<Entry> {
        for entry in &mut self.all {
            entry.classes.shrink_to_fit();
        }
        self.all.shrink_to_fit();
        self.all
    }
}

/// Everything that decides who reaches whom, besides the pods.
#[derive(Clone, Copy, Debug)]
pub struct State<'a, 'p> {
    /// Namespaces and dialect.
    pub world: &'a World,
    /// NetworkPolicies of all namespaces.
    pub policies: &'p [&'a Policy],
    /// The policies of the Admin and the Baseline tier.
    pub tiers: &'a [ClusterPolicy],
}

/// Who can reach whom in a cluster.
#[derive(Debug)]
pub struct Cluster<'a> {
    world: &'a World,
    ends: Arc<Ends<'a>>,
    policies: Vec<Vec<&'a Policy>>,
    tiers: &'a [ClusterPolicy],
    egress: Side,
    ingress: Side,
    blocks: Vec<(u32, u32)>,
}

impl<'a> Cluster<'a> {
    /// Computes all pairs, without tiers.
    pub fn new(world: &'a World, pods: &'a [Pod], policies: &[&'a Policy]) -> Self {
        let state = State {
            world,
            policies,
            tiers: &[],
        };
        Self::of(pods, state)
    }

    /// Computes all pairs through all tiers.
    pub fn of(pods: &'a [Pod], state: State<'a, '_>) -> Self {
        let ends = Ends::with_tiers(pods, state.policies.iter().copied(), state.tiers);
        Self::over(Arc::new(ends), state)
    }

    /// Computes all pairs over ends that were numbered with these policies among others.
    pub(super) fn over(ends: Arc<Ends<'a>>, state: State<'a, '_>) -> Self {
        let State { world, tiers, .. } = state;
        let policies = by_namespace(&ends, state.policies);
        let side = |direction| Side::new(world, &ends, direction, &policies, tiers);
        // One after the other: what the first needs on its way is free for the second.
        let (egress, ingress) = (side(Direction::Egress), side(Direction::Ingress));
        let blocks = join(&ends, &egress, &ingress);
        Self {
            world,
            ends,
            policies,
            tiers,
            egress,
            ingress,
            blocks,
        }
    }

    /// The ends that blocks speak about.
    pub fn ends(&self) -> &Ends<'a> {
        &self.ends
    }

    pub(super) fn sides(&self) -> (&Side, &Side) {
        (&self.egress, &self.ingress)
    }

    /// The number of blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// True when nothing reaches anything, which takes a cluster without ends.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All that is allowed or cannot be excluded.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.blocks.iter().filter_map(|&(egress, ingress)| {
            let (from, to) = (self.egress.entry(egress)?, self.ingress.entry(ingress)?);
            Some(Block {
                sources: from.classes.intersect(to.peers),
                destinations: from.peers.intersect(to.classes),
                ports: from.ports.intersect(to.ports),
                sure: from.sure && to.sure,
            })
        })
    }

    /// The ports on which one end surely, and perhaps, reaches another.
    pub fn ports(&self, source: EndId, destination: EndId) -> (PortSet, PortSet) {
        let (mut surely, mut perhaps) = (PortSet::none(), PortSet::none());
        let from: Vec<_> = self
            .egress
            .entries()
            .filter(|e| meets(e, source, destination))
            .collect();
        let to: Vec<_> = self
            .ingress
            .entries()
            .filter(|e| meets(e, destination, source))
            .collect();
        for outbound in &from {
            for inbound in &to {
                let ports = outbound.ports.intersect(inbound.ports);
                let certain = outbound.sure && inbound.sure;
                let all = if certain { &mut surely } else { &mut perhaps };
                *all = all.union(&ports);
            }
        }
        (surely, perhaps)
    }

    /// The same for two things that may be two ends each, as pods with addresses of both families: surely in every
    /// family, and perhaps in any.
    pub fn ports_of(&self, sources: &[EndId], destinations: &[EndId]) -> (PortSet, PortSet) {
        self.ends
            .in_every_family(sources, destinations, |from, to| self.ports(from, to))
    }

    /// The answer for two ends and one port, without reasons.
    pub fn allows(&self, source: EndId, destination: EndId, protocol: Protocol, port: u16) -> Option<bool> {
        let (surely, perhaps) = self.ports(source, destination);
        match (surely.contains(protocol, port), perhaps.contains(protocol, port)) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }

    /// One connection with the rules of NetworkPolicies that decide; the tiers are left out.
    pub fn explain(
        &self,
        source: &Endpoint<'_>,
        destination: &Endpoint<'_>,
        traffic: Traffic,
    ) -> Connection<'a> {
        let policies = self.policies_about(source, destination);
        connection(self.world, policies, source, destination, traffic)
    }

    /// One connection through all tiers with the rules that decide.
    pub fn decide(&self, source: &Endpoint<'_>, destination: &Endpoint<'_>, traffic: Traffic) -> Tiered<'a> {
        let policies = self.policies_about(source, destination);
        tiers::connection(self.world, self.tiers, policies, source, destination, traffic)
    }

    fn policies_about(&self, source: &Endpoint<'_>, destination: &Endpoint<'_>) -> Vec<&'a Policy> {
        let namespace = |end: &Endpoint<'_>| match end {
            Endpoint::Pod(pod) => self.ends.namespaces().binary_search(&pod.namespace).ok(),
            _ => None,
        };
        let mut places = vec![namespace(source), namespace(destination)];
        places.dedup();
        let places = places.into_iter().flatten();
        places.flat_map(|at| self.policies[at].iter().copied()).collect()
    }

    /// The verdict for two ends and one port through all tiers, without the reasons.
    pub fn verdict(&self, source: &Endpoint<'_>, destination: &Endpoint<'_>, traffic: Traffic) -> Verdict {
        self.decide(source, destination, traffic).verdict
    }
}

fn meets(entry: &EntryRef<'_>, class: EndId, peer: EndId) -> bool {
    entry.classes.contains(class) && entry.peers.contains(peer)
}

/// The policies of each namespace that has pods; others apply to nothing.
fn by_namespace<'a>(ends: &Ends<'_>, policies: &[&'a Policy]) -> Vec<Vec<&'a Policy>> {
    let places: HashMap<&str, usize> = ends
        .namespaces()
        .iter()
        .enumerate()
        .map(|(at, name)| (&**name, at))
        .collect();
    let mut all = vec![Vec::new(); ends.namespaces().len()];
    let mut counts = vec![0; all.len()];
    let place = |policy: &Policy| places.get(&*policy.namespace).copied();
    policies
        .iter()
        .filter_map(|policy| place(policy))
        .for_each(|at| counts[at] += 1);
    for (list, count) in all.iter_mut().zip(counts) {
        list.reserve_exact(count);
    }
    for policy in policies {
        if let Some(at) = place(policy) {
            all[at].push(*policy);
        }
    }
    all
}
