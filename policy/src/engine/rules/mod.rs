//! What the policies of a cluster say in one direction, as entries: these classes, towards these ends, on these
//! ports. A namespace at a time, so that one can be said anew without the others.

mod compiling;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::policy::{Direction, Policy};
use crate::ports::{PortSet, Protocol};
use crate::region::Region;
use crate::selector::Selector;
use crate::tiers::{ClusterPolicy, Tier};

use super::area::Area;
use super::ends::{EndId, EndSet};
use super::resolve::{Covered, Resolve};
use super::stages::Stages;
use compiling::Compiling;

/// Numbers values in the order in which they are first seen.
#[derive(Debug)]
struct Interner<T>(HashMap<T, u32>);

impl<T: Clone + Eq + Hash> Interner<T> {
    fn id(&mut self, value: &T) -> u32 {
        if let Some(id) = self.0.get(value) {
            return *id;
        }
        let id = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(value.clone(), id);
        id
    }
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// The pods that give a port name one number.
pub(super) type Holding = (Protocol, Arc<str>, u16);

/// Whom a network lets meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is one network, or none matters.
    Everybody,
    /// This network, `None` being the default one, and everything that is no pod of another network.
    Network(Option<Arc<str>>),
}

/// What a set of peers stands for, so that it can follow its ends when they change.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// `None`: everybody.
    pub region: Option<Region>,
    /// Only ends that give a port name this number.
    pub holding: Option<Holding>,
    /// Only ends in this reach.
    pub reach: Reach,
    /// The part that is surely covered, or the part that perhaps is.
    pub sure: bool,
}

/// A region in a form that is cheap to compare: selectors and address sets by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RegionKey {
    Pods(u32, u32),
    HostPods(u32, u32),
    Host,
    Addresses(u32),
}

/// A peer set of a rule in a form that is cheap to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PeersKey {
    region: Option<RegionKey>,
    holding: Option<(Protocol, u32, u16)>,
    network: u32,
}

/// One statement: peers and ports by number, and whether it is sure.
pub(super) type Saying = (u32, u32, bool);

/// What is said about the classes of one namespace.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub sayings: Vec<(Saying, EndId)>,
    /// The classes that some NetworkPolicy isolates.
    pub isolated: Vec<EndId>,
    /// The classes to which the Admin tier denies something, in no order.
    pub admin: Vec<EndId>,
    /// The classes to which the Baseline tier denies something.
    pub baseline: Vec<EndId>,
}

/// Both tiers of one direction.
#[derive(Debug)]
struct Tiers<'a> {
    admin: Stages<'a>,
    baseline: Stages<'a>,
}

impl<'a> Tiers<'a> {
    fn new(resolver: &mut impl Resolve, direction: Direction, policies: &'a [ClusterPolicy]) -> Self {
        Self {
            admin: Stages::new(resolver, policies, Tier::Admin, direction),
            baseline: Stages::new(resolver, policies, Tier::Baseline, direction),
        }
    }
}

/// Turns policies into statements about numbered sets. The numbers stay valid from call to call.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    direction: Direction,
    tiers: Tiers<'a>,
    selectors: Interner<Selector>,
    addresses: Interner<crate::AddressSet>,
    names: Interner<Arc<str>>,
    networks: Interner<Option<Arc<str>>>,
    port_ids: Interner<PortSet>,
    derived: HashMap<EndSet, u32>,
    /// Positions of the sure and the unsure part in `peers`, where they are not empty.
    peer_ids: HashMap<PeersKey, (Option<u32>, Option<u32>)>,
    peers: Vec<EndSet>,
    ports: Vec<PortSet>,
    /// What each of `peers` means, where somebody wants to know; empty sets are numbered then too. `None`
    /// stands for what the tiers left of other sets.
    meanings: Option<Vec<Option<Meaning>>>,
}

impl<'a> Compiler<'a> {
    pub fn new(resolver: &mut impl Resolve, direction: Direction, tiers: &'a [ClusterPolicy]) -> Self {
        Self {
            direction,
            tiers: Tiers::new(resolver, direction, tiers),
            selectors: Interner::default(),
            addresses: Interner::default(),
            names: Interner::default(),
            networks: Interner::default(),
            port_ids: Interner::default(),
            derived: HashMap::new(),
            peer_ids: HashMap::new(),
            peers: Vec::new(),
            ports: Vec::new(),
            meanings: None,
        }
    }

    /// The same, which also remembers what peer sets mean.
    pub fn remembering(mut self) -> Self {
        self.meanings = Some(Vec::new());
        self
    }

    pub fn peers(&self, id: u32) -> &EndSet {
        &self.peers[id as usize]
    }

    pub fn ports(&self, id: u32) -> &PortSet {
        &self.ports[id as usize]
    }

    /// All peer sets with what they mean, to be brought up to date.
    pub fn sets_mut(&mut self) -> impl Iterator<Item = (Option<&Meaning>, &mut EndSet)> {
        let meanings = self.meanings.iter().flatten().map(Option::as_ref);
        meanings.zip(&mut self.peers)
    }

    /// Forgets what was worked out about the tiers, whose subjects and peers may have changed.
    pub fn restart_tiers(&mut self, resolver: &mut impl Resolve, tiers: &'a [ClusterPolicy]) {
        self.tiers = Tiers::new(resolver, self.direction, tiers);
    }

    pub fn into_parts(self) -> (Vec<EndSet>, Vec<PortSet>) {
        (self.peers, self.ports)
    }

    /// What ends that no policy is about say: everything to everybody.
    pub fn open(&mut self, everyone: &EndSet) -> Saying {
        self.open_within(u32::MAX, everyone, Reach::Everybody)
    }

    fn open_within(&mut self, network: u32, reach: &EndSet, within: Reach) -> Saying {
        let key = PeersKey {
            region: None,
            holding: None,
            network,
        };
        let meaning = || (None, None, within);
        let covered = || Covered {
            surely: reach.clone(),
            perhaps: EndSet::default(),
        };
        let (peers, _) = self.store(key, meaning, covered);
        let ports = self.ports_id(&PortSet::all());
        (peers.unwrap_or_default(), ports, true)
    }

    /// What `policies`, all of one namespace, and the tiers say about the classes of that namespace.
    pub fn namespace(
        &mut self,
        resolver: &mut impl Resolve,
        namespace: &str,
        classes: &[EndId],
        policies: &[&Policy],
    ) -> Said {
        let mut said = Said::default();
        let network = resolver.world().network(namespace).cloned();
        let mut compiling = Compiling {
            network: (self.networks.id(&network), network),
            reach: resolver.reach(namespace),
            own: Selector::namespace_name(namespace),
            compiler: self,
            resolver,
            said: &mut said,
        };
        let isolated = compiling.policies(classes, policies);
        compiling.unisolated(classes, &isolated);
        compiling.through_admin(classes);
        let isolated = classes.iter().zip(isolated).filter(|(_, isolated)| *isolated);
        said.isolated = isolated.map(|(class, _)| *class).collect();
        said
    }

    /// What of a statement is left after a stage of the Admin tier.
    fn left(&mut self, (peers, ports, sure): Saying, stage: usize) -> Vec<Saying> {
        let said = Area::of(
            self.peers[peers as usize].clone(),
            self.ports[ports as usize].clone(),
        );
        let stage = self.tiers.admin.stage(stage);
        let surely = said.intersect(&stage.left);
        if surely == said {
            return vec![(peers, ports, sure)];
        }
        let perhaps = said.intersect(&stage.perhaps_left);
        let mut all = self.of_area(&surely, sure);
        all.extend(self.of_area(&perhaps, false));
        all
    }

    fn of_area(&mut self, area: &Area, sure: bool) -> Vec<Saying> {
        let pieces = area.pieces();
        pieces
            .map(|(ends, ports)| {
                let next = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
                let peers = *self.derived.entry(ends.clone()).or_insert_with(|| {
                    self.peers.push(ends.clone());
                    self.meanings.iter_mut().for_each(|all| all.push(None));
                    next
                });
                (peers, ports_id(&mut self.port_ids, &mut self.ports, ports), sure)
            })
            .collect()
    }

    fn ports_id(&mut self, ports: &PortSet) -> u32 {
        ports_id(&mut self.port_ids, &mut self.ports, ports)
    }

    fn region_key(&mut self, region: &Region) -> RegionKey {
        let mut ids = |a, b| (self.selectors.id(a), self.selectors.id(b));
        match region {
            Region::Pods { namespaces, pods } => {
                let (namespaces, pods) = ids(namespaces, pods);
                RegionKey::Pods(namespaces, pods)
            }
            Region::HostPods { namespaces, pods } => {
                let (namespaces, pods) = ids(namespaces, pods);
                RegionKey::HostPods(namespaces, pods)
            }
            Region::Host => RegionKey::Host,
            Region::Addresses(set) => RegionKey::Addresses(self.addresses.id(set)),
        }
    }

    /// The numbers of both parts of a peer set, which is worked out when it is met for the first time.
    fn store(
        &mut self,
        key: PeersKey,
        meaning: impl FnOnce() -> (Option<Region>, Option<Holding>, Reach),
        covered: impl FnOnce() -> Covered,
    ) -> (Option<u32>, Option<u32>) {
        if let Some(ids) = self.peer_ids.get(&key) {
            return *ids;
        }
        let Covered { surely, perhaps } = covered();
        let next = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        let ids = if let Some(meanings) = &mut self.meanings {
            let (region, holding, reach) = meaning();
            let surely_meant = Meaning {
                region,
                holding,
                reach,
                sure: true,
            };
            let perhaps_meant = Meaning {
                sure: false,
                ..surely_meant.clone()
            };
            meanings.extend([Some(surely_meant), Some(perhaps_meant)]);
            self.peers.extend([surely, perhaps]);
            (Some(next), Some(next + 1))
        } else {
            let first = (!surely.is_empty()).then_some(next);
            let second = (!perhaps.is_empty()).then_some(next + u32::from(first.is_some()));
            self.peers
                .extend([surely, perhaps].into_iter().filter(|set| !set.is_empty()));
            (first, second)
        };
        self.peer_ids.insert(key, ids);
        ids
    }
}

fn ports_id(ids: &mut Interner<PortSet>, all: &mut Vec<PortSet>, ports: &PortSet) -> u32 {
    let id = ids.id(ports);
    if id as usize == all.len() {
        all.push(ports.clone());
    }
    id
}
