//! Ends whose numbers stay the same while pods come and go.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::AddressSet;
use crate::engine::ends::{EndId, EndSet};
use crate::engine::resolve::{Covered, Holders, Resolve, on_host};
use crate::engine::rules::{Meaning, Reach};
use crate::family::Family;
use crate::labels::Labels;
use crate::lower::{Covers, covers};
use crate::policy::{Direction, Policy};
use crate::ports::Protocol;
use crate::region::Region;
use crate::world::{Endpoint, NamedPort, Pod, PodState, World};

/// What an end stands for.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// Nothing; the number may be given again.
    Free,
    Host,
    /// The addresses from here to the next piece.
    Piece(IpAddr),
    /// Pods that policies cannot tell apart, by one of them.
    Class(Box<Pod>),
}

/// One namespace with everything in it.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Pods with their classes: finished ones have none, those with addresses of both families one in each.
    pub pods: BTreeMap<Arc<str>, (Pod, Vec<EndId>)>,
    pub policies: BTreeMap<Arc<str>, Policy>,
    pub classes: Vec<EndId>,
}

/// What policies can see of a pod.
type Key = (Labels, Vec<NamedPort>, PodState, Vec<EndId>);

/// A pod as each address family sees it, where it has addresses of both.
fn seen_apart(pod: &Pod) -> Vec<Cow<'_, Pod>> {
    let both = Family::ALL.iter().all(|family| family.is_among(&pod.addresses));
    if both {
        Family::ALL.map(|family| Cow::Owned(family.of_pod(pod))).into()
    } else {
        vec![Cow::Borrowed(pod)]
    }
}

/// Numbered ends and the objects behind them.
#[derive(Debug)]
pub(super) struct Ground {
    pub world: World,
    pub shards: BTreeMap<Arc<str>, Shard>,
    pub slots: Vec<Slot>,
    free: Vec<EndId>,
    pub everyone: EndSet,
    /// Starts of the pieces of the address space: IPv4 before IPv6.
    pieces: BTreeMap<IpAddr, EndId>,
}

/// The number of the host network.
pub(super) const HOST: EndId = 0;

impl Ground {
    pub fn new(world: World) -> Self {
        let mut ground = Self {
            world,
            shards: BTreeMap::new(),
            slots: vec![Slot::Host],
            free: Vec::new(),
            everyone: EndSet::range(HOST, HOST),
            pieces: BTreeMap::new(),
        };
        for start in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            let id = ground.give(Slot::Piece(start));
            ground.pieces.insert(start, id);
        }
        ground
    }

    fn give(&mut self, slot: Slot) -> EndId {
        let next = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let id = self.free.pop().unwrap_or(next);
        if id == next {
            self.slots.push(slot);
        } else {
            self.slots[id as usize] = slot;
        }
        self.everyone.insert(id);
        id
    }

    fn take_back(&mut self, id: EndId) {
        self.slots[id as usize] = Slot::Free;
        self.everyone.remove(id);
        self.free.push(id);
    }

    /// The piece that holds an address.
    pub fn piece(&self, address: IpAddr) -> EndId {
        self.pieces
            .range(..=address)
            .next_back()
            .map_or(HOST, |(_, id)| *id)
    }

    /// Cuts the address space where it has no cut yet; tells each new piece with the one that it was part of.
    pub fn cut(&mut self, set: &AddressSet) -> Vec<(EndId, EndId)> {
        let v4 = set.v4().ranges().iter();
        let v4 = v4.flat_map(|&(first, last)| [Some(first), last.checked_add(1)]);
        let v6 = set.v6().ranges().iter();
        let v6 = v6.flat_map(|&(first, last)| [Some(first), last.checked_add(1)]);
        let starts: Vec<IpAddr> = v4
            .flatten()
            .map(|bits| IpAddr::V4(bits.into()))
            .chain(v6.flatten().map(|bits| IpAddr::V6(bits.into())))
            .collect();
        let mut cuts = Vec::new();
        for start in starts {
            if !self.pieces.contains_key(&start) {
                let whole = self.piece(start);
                let part = self.give(Slot::Piece(start));
                self.pieces.insert(start, part);
                cuts.push((whole, part));
            }
        }
        cuts
    }

    /// The namespaces with a pod whose address is in one of these pieces.
    pub fn namespaces_in(&self, pieces: &EndSet) -> Vec<Arc<str>> {
        let inside = |pod: &Pod| pod.addresses.iter().any(|a| pieces.contains(self.piece(*a)));
        let shards = self.shards.iter();
        shards
            .filter(|(_, shard)| shard.pods.values().any(|(pod, _)| inside(pod)))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn key(&self, pod: &Pod) -> Key {
        let mut pieces: Vec<EndId> = pod.addresses.iter().map(|a| self.piece(*a)).collect();
        pieces.sort_unstable();
        (pod.labels.clone(), pod.ports.clone(), pod.state, pieces)
    }

    /// Sorts the pods of a namespace into classes again. Classes that live on keep their numbers; the answer
    /// names those that came or went.
    pub fn classify(&mut self, namespace: &str) -> Vec<EndId> {
        let Some(mut shard) = self.shards.remove(namespace) else {
            return Vec::new();
        };
        // The address pieces of old classes are told by their pods, which may just have been cut apart.
        let mut old: HashMap<Key, EndId> = HashMap::new();
        for id in &shard.classes {
            if let Slot::Class(pod) = &self.slots[*id as usize] {
                old.insert(self.key(pod), *id);
            }
        }
        let mut now: HashMap<Key, EndId> = HashMap::new();
        let mut changed = Vec::new();
        let mut classes = Vec::with_capacity(shard.classes.len());
        for (pod, own) in shard.pods.values_mut() {
            own.clear();
            if pod.state == PodState::Finished {
                continue;
            }
            for seen in seen_apart(pod) {
                let key = self.key(&seen);
                let id = now.get(&key).copied().unwrap_or_else(|| {
                    let id = old.remove(&key).unwrap_or_else(|| {
                        let id = self.give(Slot::Class(Box::new(seen.into_owned())));
                        changed.push(id);
                        id
                    });
                    classes.push(id);
                    now.insert(key, id);
                    id
                });
                own.push(id);
            }
        }
        for id in old.into_values() {
            self.take_back(id);
            changed.push(id);
        }
        classes.sort_unstable();
        shard.classes = classes;
        self.shards.insert(namespace.into(), shard);
        changed
    }

    /// A pod of a class.
    pub fn representative(&self, class: EndId) -> Option<&Pod> {
        match self.slots.get(class as usize)? {
            Slot::Class(pod) => Some(pod),
            _ => None,
        }
    }

    /// The ends of an endpoint: one in each address family for a pod with both, none where there is none.
    pub fn ends(&self, endpoint: &Endpoint<'_>) -> Vec<EndId> {
        match endpoint {
            Endpoint::Pod(pod) => {
                let shard = self.shards.get(&pod.namespace);
                let found = shard.and_then(|shard| shard.pods.get(&pod.name));
                found.map(|(_, ends)| ends.clone()).unwrap_or_default()
            }
            Endpoint::Host { address: None } => vec![HOST],
            Endpoint::External(address) => vec![self.piece(*address)],
            _ => Vec::new(),
        }
    }

    /// The family that connections of an end run in, where there is only one.
    pub fn family(&self, end: EndId) -> Option<Family> {
        match self.slots.get(end as usize)? {
            Slot::Piece(start) => Some(Family::of(*start)),
            Slot::Class(pod) => Family::only_one(&pod.addresses),
            Slot::Free | Slot::Host => None,
        }
    }

    /// Some endpoint of an end.
    fn endpoint(&self, end: EndId) -> Option<Endpoint<'_>> {
        match self.slots.get(end as usize)? {
            Slot::Free => None,
            Slot::Host => Some(Endpoint::Host { address: None }),
            Slot::Piece(start) => Some(Endpoint::External(*start)),
            Slot::Class(pod) => Some(Endpoint::Pod(pod)),
        }
    }

    /// Whether an end belongs to the sure and to the unsure part of what a set of peers means.
    pub fn means(&self, meaning: &Meaning, direction: Direction, end: EndId) -> Covers {
        let Some(endpoint) = self.endpoint(end) else {
            return Covers::No;
        };
        let in_reach = match (&meaning.reach, &endpoint) {
            (Reach::Network(network), Endpoint::Pod(pod)) if !on_host(pod) => {
                self.world.network(&pod.namespace) == network.as_ref()
            }
            _ => true,
        };
        let covered = match &meaning.region {
            None => Covers::Yes,
            Some(region) => covers(&self.world, region, direction, &endpoint),
        };
        let holds = match (&meaning.holding, &endpoint) {
            (None, _) => true,
            (Some((protocol, name, number)), Endpoint::Pod(pod)) => {
                pod.port_numbers(*protocol, name).any(|port| port == *number)
            }
            (Some(_), _) => false,
        };
        match covered {
            Covers::Yes if in_reach && holds => Covers::Yes,
            Covers::Maybe(why) if in_reach && meaning.holding.is_none() => Covers::Maybe(why),
            _ => Covers::No,
        }
    }

    fn classes(&self) -> impl Iterator<Item = (EndId, &Pod)> {
        (0u32..).zip(&self.slots).filter_map(|(id, slot)| match slot {
            Slot::Class(pod) => Some((id, &**pod)),
            _ => None,
        })
    }

    fn matching(&self, test: impl Fn(&Slot) -> bool) -> EndSet {
        EndSet::from_sorted(
            (0u32..)
                .zip(&self.slots)
                .filter(|(_, slot)| test(slot))
                .map(|(id, _)| id),
        )
    }
}

impl Resolve for &Ground {
    fn world(&self) -> &World {
        &self.world
    }

    fn everyone(&self) -> EndSet {
        self.everyone.clone()
    }

    fn pod(&self, end: EndId) -> Option<&Pod> {
        self.representative(end)
    }

    fn host(&self) -> EndId {
        HOST
    }

    fn outside(&self) -> EndSet {
        self.matching(|slot| matches!(slot, Slot::Piece(_)))
    }

    fn pieces(&self, set: &AddressSet) -> EndSet {
        self.matching(|slot| matches!(slot, Slot::Piece(start) if set.contains(*start)))
    }

    fn by_address(&self, judge: &dyn Fn(&Pod) -> Covers) -> Covered {
        let mut covered = Covered::default();
        for (id, pod) in self.classes() {
            match judge(pod) {
                Covers::Yes => covered.surely.insert(id),
                Covers::Maybe(_) => covered.perhaps.insert(id),
                Covers::No => {}
            }
        }
        covered
    }

    fn host_classes(&self) -> EndSet {
        self.matching(|slot| matches!(slot, Slot::Class(pod) if on_host(pod)))
    }

    fn covered(&mut self, region: &Region, direction: Direction) -> Covered {
        let mut covered = Covered::default();
        if let Region::Pods { namespaces, pods } | Region::HostPods { namespaces, pods } = region {
            let on_host = matches!(region, Region::HostPods { .. });
            let state = if on_host {
                PodState::HostNetwork
            } else {
                PodState::Networked
            };
            let selects = |pod: &Pod| pod.state == state && pods.matches(&pod.labels);
            for (name, shard) in &self.shards {
                if namespaces.matches(&self.world.namespace_labels(name)) {
                    let classes = shard.classes.iter();
                    classes
                        .filter(|id| self.representative(**id).is_some_and(selects))
                        .for_each(|id| covered.surely.insert(*id));
                }
            }
            return covered;
        }
        for id in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            match self
                .endpoint(id)
                .map(|end| covers(&self.world, region, direction, &end))
            {
                Some(Covers::Yes) => covered.surely.insert(id),
                Some(Covers::Maybe(_)) => covered.perhaps.insert(id),
                Some(Covers::No) | None => {}
            }
        }
        covered
    }

    fn holders(&mut self, protocol: Protocol, name: &str) -> Vec<Holders> {
        let mut by_number: BTreeMap<u16, EndSet> = BTreeMap::new();
        for (id, pod) in self.classes() {
            for number in pod.port_numbers(protocol, name) {
                by_number.entry(number).or_default().insert(id);
            }
        }
        by_number.into_iter().collect()
    }

    fn reach(&mut self, namespace: &str) -> Option<EndSet> {
        let network = self.world.network(namespace);
        let reached = |slot: &Slot| match slot {
            Slot::Free => false,
            Slot::Class(pod) if !on_host(pod) => self.world.network(&pod.namespace) == network,
            _ => true,
        };
        self.world.has_networks().then(|| self.matching(reached))
    }
}
