//! Brings both directions together.

use crate::ports::PortSet;

use super::cluster::{EntryRef, Side};
use super::ends::{EndId, EndSet, Ends};

/// Connections that are allowed, or that cannot be excluded: every source to every destination on every port.
/// Blocks may overlap. A pod's connections with itself are always allowed and in no block of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where the connections come from.
    pub sources: EndSet,
    /// Where they go.
    pub destinations: EndSet,
    /// The destination ports.
    pub ports: PortSet,
    /// False when it cannot be decided.
    pub sure: bool,
}

/// How many (set, place) pairs an index may hold: four bytes each.
const MOST_LISTED: usize = 1_000_000;

/// Positions of sets by the places that they touch; sets in very many places are listed once, as wide.
pub(super) struct ByPlace {
    /// Where the list of each place starts in `listed`, and the end.
    starts: Vec<u32>,
    listed: Vec<u32>,
    wide: Vec<u32>,
}

impl ByPlace {
    pub fn new(ends: &Ends<'_>, sets: &[&EndSet]) -> Self {
        let widths: Vec<usize> = sets.iter().map(|set| places(ends, set).count()).collect();
        let limit = widest(&widths);
        let mut index = Self {
            starts: vec![0; ends.places() + 1],
            listed: Vec::new(),
            wide: Vec::new(),
        };
        let narrow = || {
            (0u32..)
                .zip(sets)
                .zip(&widths)
                .filter(|(_, width)| **width <= limit)
        };
        for ((_, set), _) in narrow() {
            places(ends, set).for_each(|place| index.starts[place + 1] += 1);
        }
        for place in 0..ends.places() {
            index.starts[place + 1] += index.starts[place];
        }
        let mut next = index.starts.clone();
        index.listed = vec![0; next.last().map_or(0, |end| *end as usize)];
        for ((at, set), _) in narrow() {
            for place in places(ends, set) {
                index.listed[next[place] as usize] = at;
                next[place] += 1;
            }
        }
        index.wide = (0u32..)
            .zip(&widths)
            .filter(|(_, width)| **width > limit)
            .map(|(at, _)| at)
            .collect();
        index
    }

    fn at(&self, place: usize) -> &[u32] {
        &self.listed[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    /// Positions, each once, that hold all sets with this end.
    pub fn at_end(&self, ends: &Ends<'_>, end: EndId) -> impl Iterator<Item = u32> {
        self.at(ends.place(end)).iter().chain(&self.wide).copied()
    }

    /// How many positions [`Self::candidates`] would give, at most `limit`.
    fn cost(&self, ends: &Ends<'_>, set: &EndSet, limit: usize) -> usize {
        let mut cost = self.wide.len();
        for place in places(ends, set) {
            // Looking at a place is work too, even where nothing is listed.
            cost += self.at(place).len() + 1;
            if cost >= limit {
                return limit;
            }
        }
        cost
    }

    /// Positions, some of them repeated, that hold all sets that meet `set`.
    fn candidates<'s>(&'s self, ends: &'s Ends<'_>, set: &'s EndSet) -> impl Iterator<Item = u32> + 's {
        places(ends, set)
            .flat_map(|place| self.at(place))
            .chain(&self.wide)
            .copied()
    }
}

/// The largest width up to which all sets fit into an index.
fn widest(widths: &[usize]) -> usize {
    let fits = |limit: usize| widths.iter().filter(|width| **width <= limit).sum::<usize>() <= MOST_LISTED;
    (4..32)
        .map(|power| 1usize << power)
        .take_while(|limit| fits(*limit))
        .last()
        .unwrap_or(0)
}

/// The places of a set, ascending.
fn places<'s>(ends: &'s Ends<'_>, set: &'s EndSet) -> impl Iterator<Item = usize> + 's {
    let mut next = 0;
    set.ranges().iter().flat_map(move |&(first, last)| {
        let start = ends.place(first).max(next);
        let end = ends.place(last) + 1;
        next = next.max(end);
        start..end
    })
}

/// Pairs of entries, by position, whose blocks are not empty.
pub(super) fn join(ends: &Ends<'_>, egress: &Side, ingress: &Side) -> Vec<(u32, u32)> {
    let inbound: Vec<_> = ingress.entries().collect();
    let by_source = ByPlace::new(ends, &inbound.iter().map(|entry| entry.peers).collect::<Vec<_>>());
    let by_destination = ByPlace::new(
        ends,
        &inbound.iter().map(|entry| entry.classes).collect::<Vec<_>>(),
    );
    let index = Index {
        ends,
        inbound,
        by_source,
        by_destination,
    };
    let outbound: Vec<_> = (0u32..).zip(egress.entries()).collect();
    let (first, second) = outbound.split_at(outbound.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| index.join(second));
        let mut pairs = index.join(first);
        // A half that panicked is computed again, so that the panic surfaces here.
        pairs.extend(other.join().unwrap_or_else(|_| index.join(second)));
        pairs.shrink_to_fit();
        pairs
    })
}

/// Inbound entries, to be found by either end.
struct Index<'i> {
    ends: &'i Ends<'i>,
    inbound: Vec<EntryRef<'i>>,
    by_source: ByPlace,
    by_destination: ByPlace,
}

impl Index<'_> {
    fn join(&self, outbound: &[(u32, EntryRef<'_>)]) -> Vec<(u32, u32)> {
        let mut last_met = vec![u32::MAX; self.inbound.len()];
        let mut pairs = Vec::new();
        for (at, outbound) in outbound {
            let meet = |partner: u32| {
                let inbound = &self.inbound[partner as usize];
                if std::mem::replace(&mut last_met[partner as usize], *at) != *at
                    && overlap(outbound, inbound)
                {
                    pairs.push((*at, partner));
                }
            };
            let from = self
                .by_source
                .cost(self.ends, outbound.classes, self.inbound.len());
            let to = self.by_destination.cost(self.ends, outbound.peers, from);
            if to < from {
                self.by_destination
                    .candidates(self.ends, outbound.peers)
                    .for_each(meet);
            } else if from < self.inbound.len() {
                self.by_source
                    .candidates(self.ends, outbound.classes)
                    .for_each(meet);
            } else {
                (0u32..).take(self.inbound.len()).for_each(meet);
            }
        }
        pairs
    }
}

fn overlap(outbound: &EntryRef<'_>, inbound: &EntryRef<'_>) -> bool {
    outbound.ports.intersects(inbound.ports)
        && outbound.classes.intersects(inbound.peers)
        && outbound.peers.intersects(inbound.classes)
}
