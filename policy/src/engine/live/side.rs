//! What both directions say, and which of their entries meet.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::engine::ends::{EndId, EndSet};
use crate::engine::join::Block;
use crate::engine::rules::{Compiler, Saying};
use crate::lower::Covers;
use crate::policy::Direction;
use crate::ports::PortSet;
use crate::tiers::ClusterPolicy;

use super::ground::{Ground, Slot};

/// Entries and sets that ends were added to or taken from, by direction.
#[derive(Debug, Default)]
pub(super) struct Changed {
    classes: [HashMap<u32, Vec<EndId>>; 2],
    peers: [HashMap<u32, Vec<EndId>>; 2],
}

/// One direction.
#[derive(Debug)]
struct Side<'a> {
    direction: Direction,
    compiler: Compiler<'a>,
    ids: HashMap<Saying, u32>,
    entries: Vec<Entry>,
    /// Which entries are about which classes, by namespace.
    said: HashMap<Arc<str>, Vec<Use>>,
    /// The entry of ends that nobody polices.
    open: u32,
}

/// A class and an entry that is about it.
type Use = (EndId, u32);

#[derive(Debug)]
struct Entry {
    saying: Saying,
    classes: EndSet,
}

/// Both directions, egress first, and the pairs of their entries that meet.
#[derive(Debug)]
pub(super) struct Sides<'a> {
    both: [Side<'a>; 2],
    /// For each egress entry the ingress entries that it meets.
    partners: Vec<BTreeSet<u32>>,
    /// Which namespace a class is of.
    homes: HashMap<EndId, Arc<str>>,
}

const EGRESS: usize = 0;
const INGRESS: usize = 1;

impl<'a> Side<'a> {
    fn new(ground: &Ground, direction: Direction, tiers: &'a [ClusterPolicy]) -> Self {
        let mut side = Self {
            direction,
            compiler: Compiler::new(&mut &*ground, direction, tiers).remembering(),
            ids: HashMap::new(),
            entries: Vec::new(),
            said: HashMap::new(),
            open: 0,
        };
        let open = side.compiler.open(&ground.everyone);
        side.open = side.id(open);
        let unpoliced = |(_, slot): &(u32, &Slot)| matches!(slot, Slot::Host | Slot::Piece(_));
        let unpoliced = (0u32..).zip(&ground.slots).filter(unpoliced).map(|(id, _)| id);
        side.entries[side.open as usize].classes = EndSet::from_sorted(unpoliced);
        side
    }

    fn id(&mut self, saying: Saying) -> u32 {
        *self.ids.entry(saying).or_insert_with(|| {
            self.entries.push(Entry {
                saying,
                classes: EndSet::default(),
            });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn peers(&self, entry: u32) -> &EndSet {
        self.compiler.peers(self.entries[entry as usize].saying.0)
    }

    fn ports(&self, entry: u32) -> &PortSet {
        self.compiler.ports(self.entries[entry as usize].saying.1)
    }

    /// Says anew what is said about the classes of a namespace; the answer is what was said before and is not
    /// any more, and what is said for the first time.
    fn say(&mut self, ground: &Ground, namespace: &Arc<str>) -> [Vec<Use>; 2] {
        let mut now: Vec<Use> = Vec::new();
        if let Some(shard) = ground.shards.get(namespace) {
            let policies: Vec<_> = shard.policies.values().collect();
            let said = self
                .compiler
                .namespace(&mut &*ground, namespace, &shard.classes, &policies);
            let sayings = said.sayings.into_iter();
            now.extend(sayings.map(|(saying, class)| (class, self.id(saying))));
        }
        now.sort_unstable();
        now.dedup();
        let before = self.said.insert(namespace.clone(), now).unwrap_or_default();
        let now = &self.said[namespace];
        let only = |some: &[Use], others: &[Use]| -> Vec<Use> {
            let missing = |one: &&Use| others.binary_search(one).is_err();
            some.iter().filter(missing).copied().collect()
        };
        [only(&before, now), only(now, &before)]
    }

    /// Entries that name an end as a peer, or did before these sets changed.
    fn naming(&self, end: EndId, changed: &HashMap<u32, Vec<EndId>>) -> Vec<u32> {
        let names = |(_, entry): &(u32, &Entry)| {
            let peers = entry.saying.0;
            let did = || changed.get(&peers).is_some_and(|ends| ends.contains(&end));
            self.compiler.peers(peers).contains(end) || did()
        };
        let entries = (0u32..).zip(&self.entries);
        entries.filter(names).map(|(at, _)| at).collect()
    }

    /// Entries about an end.
    fn about<'s>(&'s self, homes: &HashMap<EndId, Arc<str>>, end: EndId) -> impl Iterator<Item = u32> + 's {
        let said = homes.get(&end).and_then(|home| self.said.get(home));
        let uses: &[(EndId, u32)] = said.map_or(&[], |said| {
            let first = said.partition_point(|(class, _)| *class < end);
            let last = said.partition_point(|(class, _)| *class <= end);
            &said[first..last]
        });
        let open = Some(self.open).filter(|_| uses.is_empty() && !homes.contains_key(&end));
        uses.iter().map(|(_, entry)| *entry).chain(open)
    }
}

impl<'a> Sides<'a> {
    pub fn new(ground: &Ground, tiers: &'a [ClusterPolicy]) -> Self {
        Self {
            both: [Direction::Egress, Direction::Ingress]
                .map(|direction| Side::new(ground, direction, tiers)),
            partners: Vec::new(),
            homes: HashMap::new(),
        }
    }

    /// Says anew what is said about the classes of some namespaces.
    pub fn say(&mut self, ground: &Ground, namespaces: &[Arc<str>], changed: &mut Changed) {
        for (side, changed) in self.both.iter_mut().zip(&mut changed.classes) {
            let said: Vec<[Vec<Use>; 2]> = namespaces.iter().map(|name| side.say(ground, name)).collect();
            // A number may leave one namespace and come back in another: first everything that goes.
            for (class, entry) in said.iter().flat_map(|[gone, _]| gone) {
                side.entries[*entry as usize].classes.remove(*class);
                changed.entry(*entry).or_default().push(*class);
            }
            for (class, entry) in said.iter().flat_map(|[_, new]| new) {
                side.entries[*entry as usize].classes.insert(*class);
                changed.entry(*entry).or_default().push(*class);
            }
        }
        for namespace in namespaces {
            let shard = ground.shards.get(namespace);
            let classes = shard.into_iter().flat_map(|shard| &shard.classes);
            self.homes
                .extend(classes.map(|class| (*class, namespace.clone())));
        }
        let entries = self.both[EGRESS].entries.len();
        self.partners.resize_with(entries, BTreeSet::new);
    }

    pub fn restart_tiers(&mut self, ground: &Ground, tiers: &'a [ClusterPolicy]) {
        for side in &mut self.both {
            side.compiler.restart_tiers(&mut &*ground, tiers);
        }
    }

    /// Puts ends into the sets of peers that they belong to now, and takes them out of the others.
    pub fn follow(&mut self, ground: &Ground, ends: &[EndId], changed: &mut Changed) {
        for (side, changed) in self.both.iter_mut().zip(&mut changed.peers) {
            let direction = side.direction;
            for (at, (meaning, set)) in (0u32..).zip(side.compiler.sets_mut()) {
                let Some(meaning) = meaning else { continue };
                for end in ends {
                    let belongs = match ground.means(meaning, direction, *end) {
                        Covers::Yes => meaning.sure,
                        Covers::Maybe(_) => !meaning.sure,
                        Covers::No => false,
                    };
                    // A number that was given again may be in for another reason than before.
                    if belongs {
                        set.insert(*end);
                    } else if set.contains(*end) {
                        set.remove(*end);
                    } else {
                        continue;
                    }
                    changed.entry(at).or_default().push(*end);
                }
            }
        }
        for end in ends {
            self.homes.remove(end);
        }
    }

    /// Makes two pieces of one. No set that is known tells them apart, so nothing else changes.
    pub fn split(&mut self, whole: EndId, part: EndId) {
        for side in &mut self.both {
            for (_, set) in side.compiler.sets_mut() {
                if set.contains(whole) {
                    set.insert(part);
                }
            }
            side.entries[side.open as usize].classes.insert(part);
        }
    }

    /// Looks at every pair of entries that an end may bring together.
    pub fn join_all(&mut self) {
        let (from, to) = (&self.both[EGRESS], &self.both[INGRESS]);
        let mut about: HashMap<EndId, Vec<u32>> = HashMap::new();
        for (at, entry) in (0u32..).zip(&to.entries) {
            for (first, last) in entry.classes.ranges() {
                (*first..=*last).for_each(|end| about.entry(end).or_default().push(at));
            }
        }
        let mut last = vec![u32::MAX; to.entries.len()];
        for egress in 0..self.len(EGRESS) {
            for (first, end) in from.peers(egress).ranges() {
                for ingress in (*first..=*end).filter_map(|end| about.get(&end)).flatten() {
                    let seen = std::mem::replace(&mut last[*ingress as usize], egress) == egress;
                    if !seen && self.meets(egress, *ingress) {
                        self.partners[egress as usize].insert(*ingress);
                    }
                }
            }
        }
    }

    /// Looks again at the pairs that a change may concern.
    pub fn join(&mut self, changed: &Changed) {
        for side in [EGRESS, INGRESS] {
            let pairs = self.concerned(side, changed);
            for (mine, theirs) in pairs {
                let (egress, ingress) = if side == EGRESS {
                    (mine, theirs)
                } else {
                    (theirs, mine)
                };
                self.meet(egress, ingress);
            }
        }
    }

    /// Entries of one side with those of the other that they may have come to meet, or to meet no more.
    fn concerned(&self, side: usize, changed: &Changed) -> Vec<(u32, u32)> {
        let (mine, theirs) = (&self.both[side], &self.both[1 - side]);
        let mut pairs = Vec::new();
        let mut naming: HashMap<EndId, Vec<u32>> = HashMap::new();
        for (entry, ends) in &changed.classes[side] {
            for end in ends {
                let names = naming
                    .entry(*end)
                    .or_insert_with(|| theirs.naming(*end, &changed.peers[1 - side]));
                pairs.extend(names.iter().map(|other| (*entry, *other)));
            }
        }
        if changed.peers[side].is_empty() {
            return pairs;
        }
        for (entry, Entry { saying, .. }) in (0u32..).zip(&mine.entries) {
            let ends = changed.peers[side].get(&saying.0).into_iter().flatten();
            for end in ends {
                pairs.extend(theirs.about(&self.homes, *end).map(|other| (entry, other)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    fn meets(&self, egress: u32, ingress: u32) -> bool {
        let [from, to] = &self.both;
        from.ports(egress).intersects(to.ports(ingress))
            && from.entries[egress as usize]
                .classes
                .intersects(to.peers(ingress))
            && from
                .peers(egress)
                .intersects(&to.entries[ingress as usize].classes)
    }

    fn meet(&mut self, egress: u32, ingress: u32) {
        let meets = self.meets(egress, ingress);
        let partners = &mut self.partners[egress as usize];
        if meets {
            partners.insert(ingress);
        } else {
            partners.remove(&ingress);
        }
    }

    fn len(&self, side: usize) -> u32 {
        u32::try_from(self.both[side].entries.len()).unwrap_or(u32::MAX)
    }

    pub fn pairs(&self) -> usize {
        self.partners.iter().map(BTreeSet::len).sum()
    }

    /// True when most entries are about nobody any more.
    pub fn mostly_unused(&self) -> bool {
        const FEW: usize = 1_000;
        self.both.iter().any(|side| {
            side.entries.len() > FEW
                && side
                    .entries
                    .iter()
                    .filter(|entry| entry.classes.is_empty())
                    .count()
                    * 2
                    > side.entries.len()
        })
    }

    pub fn ports(&self, source: EndId, destination: EndId) -> (PortSet, PortSet) {
        let [from, to] = &self.both;
        let (mut surely, mut perhaps) = (PortSet::none(), PortSet::none());
        let inbound: Vec<u32> = to
            .about(&self.homes, destination)
            .filter(|entry| to.peers(*entry).contains(source))
            .collect();
        for outbound in from.about(&self.homes, source) {
            if !from.peers(outbound).contains(destination) {
                continue;
            }
            for inbound in &inbound {
                let sure = from.entries[outbound as usize].saying.2 && to.entries[*inbound as usize].saying.2;
                let all = if sure { &mut surely } else { &mut perhaps };
                *all = all.union(&from.ports(outbound).intersect(to.ports(*inbound)));
            }
        }
        (surely, perhaps)
    }

    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let [from, to] = &self.both;
        (0u32..).zip(&self.partners).flat_map(move |(egress, partners)| {
            partners.iter().map(move |ingress| {
                let (outbound, inbound) = (&from.entries[egress as usize], &to.entries[*ingress as usize]);
                Block {
                    sources: outbound.classes.intersect(to.peers(*ingress)),
                    destinations: from.peers(egress).intersect(&inbound.classes),
                    ports: from.ports(egress).intersect(to.ports(*ingress)),
                    sure: outbound.saying.2 && inbound.saying.2,
                }
            })
        })
    }
}
