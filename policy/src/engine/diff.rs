//! The difference between two states of a cluster.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::Policy;
use crate::ports::PortSet;
use crate::world::{Pod, World};

use super::cluster::{Cluster, EntryRef, Side, State};
use super::ends::{EndId, EndSet, Ends};
use super::join::ByPlace;

/// Connections whose answer differs: every source with every destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Changed {
    /// Where the connections come from.
    pub sources: EndSet,
    /// Where they go.
    pub destinations: EndSet,
    /// The destination ports that are surely allowed after and were not before.
    pub gained: PortSet,
    /// The destination ports that were surely allowed before and are not after.
    pub lost: PortSet,
}

/// Two states of one cluster over the same ends, and what differs.
#[derive(Debug)]
pub struct Diff<'a> {
    /// The state before.
    pub before: Cluster<'a>,
    /// The state after.
    pub after: Cluster<'a>,
    changes: Vec<Changed>,
}

/// Allowed ports by ranges of ends, ascending, without empty ones.
type Row = Vec<(EndId, EndId, PortSet)>;

impl<'a> Diff<'a> {
    /// Compares policies and namespace labels before and after, for the same pods and without tiers.
    pub fn new(
        pods: &'a [Pod],
        (world_before, before): (&'a World, &[&'a Policy]),
        (world_after, after): (&'a World, &[&'a Policy]),
    ) -> Self {
        let state = |world, policies| State {
            world,
            policies,
            tiers: &[],
        };
        Self::between(pods, state(world_before, before), state(world_after, after))
    }

    /// Compares two states of the same pods.
    pub fn between(pods: &'a [Pod], before: State<'a, '_>, after: State<'a, '_>) -> Self {
        let policies = before.policies.iter().chain(after.policies).copied();
        let tiers = before.tiers.iter().chain(after.tiers);
        let ends = Arc::new(Ends::with_tiers(pods, policies, tiers));
        let before = Cluster::over(ends.clone(), before);
        let after = Cluster::over(ends, after);
        let changes = changes(&before, &after);
        Self {
            before,
            after,
            changes,
        }
    }

    /// What differs; no pair of ends is in two of them.
    pub fn changes(&self) -> &[Changed] {
        &self.changes
    }

    /// The ends that blocks and changes speak about.
    pub fn ends(&self) -> &Ends<'a> {
        self.after.ends()
    }
}

fn changes(before: &Cluster<'_>, after: &Cluster<'_>) -> Vec<Changed> {
    let (old, new) = (Views::new(before), Views::new(after));
    let ends = before.ends();
    let differs = |old: &View<'_>, new: &View<'_>| {
        let changed = |end: &EndId| old.says(ends, *end) != new.says(ends, *end);
        EndSet::from_sorted((0..ends.len()).filter(changed))
    };
    let senders = differs(&old.egress, &new.egress);
    let receivers = differs(&old.ingress, &new.ingress);
    let nobody = EndSet::default();
    let forward = |sources, destinations, gained, lost| Changed {
        sources,
        destinations,
        gained,
        lost,
    };
    let backward = |destinations, sources, gained, lost| Changed {
        sources,
        destinations,
        gained,
        lost,
    };
    let rows = grouped(&senders, &nobody, |end| {
        (old.reached_from(ends, end), new.reached_from(ends, end))
    });
    let columns = grouped(&receivers, &senders, |end| {
        (old.reaching(ends, end), new.reaching(ends, end))
    });
    let rows = rows
        .into_iter()
        .map(|(s, d, gained, lost)| forward(s, d, gained, lost));
    let columns = columns
        .into_iter()
        .map(|(d, s, gained, lost)| backward(d, s, gained, lost));
    let mut all: Vec<Changed> = rows.chain(columns).collect();
    all.sort_unstable();
    all
}

/// Differences of the rows of `changed` ends, without what concerns `done`; ends with equal ones share them.
fn grouped(
    changed: &EndSet,
    done: &EndSet,
    rows: impl Fn(EndId) -> (Row, Row),
) -> Vec<(EndSet, EndSet, PortSet, PortSet)> {
    let mut groups: HashMap<(PortSet, PortSet, EndSet), Vec<EndId>> = HashMap::new();
    for end in changed.ranges().iter().flat_map(|&(first, last)| first..=last) {
        let (old, new) = rows(end);
        for (gained, lost, partners) in differences(&old, &new) {
            let partners = partners.subtract(done);
            if !partners.is_empty() {
                groups.entry((gained, lost, partners)).or_default().push(end);
            }
        }
    }
    let group = |((gained, lost, partners), ends): (_, Vec<EndId>)| {
        (EndSet::from_sorted(ends), partners, gained, lost)
    };
    groups.into_iter().map(group).collect()
}

/// Gained and lost ports with the ends that they concern.
fn differences(old: &Row, new: &Row) -> Vec<(PortSet, PortSet, EndSet)> {
    let mut found: HashMap<(PortSet, PortSet), Vec<(EndId, EndId)>> = HashMap::new();
    for (first, last) in segments(old.iter().chain(new).map(|(first, last, _)| (*first, *last))) {
        let ports = |row: &Row| {
            let at = row.partition_point(|(_, end, _)| *end < first);
            row.get(at)
                .filter(|(start, ..)| *start <= first)
                .map(|(.., ports)| ports.clone())
                .unwrap_or_default()
        };
        let (old, new) = (ports(old), ports(new));
        if old != new {
            found
                .entry((new.subtract(&old), old.subtract(&new)))
                .or_default()
                .push((first, last));
        }
    }
    let entry = |((gained, lost), ranges)| (gained, lost, EndSet::from_ranges(ranges));
    found.into_iter().map(entry).collect()
}

/// The finest ranges that the given ones cut each other into.
fn segments(ranges: impl Iterator<Item = (EndId, EndId)>) -> Vec<(EndId, EndId)> {
    let mut cuts: Vec<EndId> = ranges.flat_map(|(first, last)| [first, last + 1]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| (pair[0], pair[1] - 1)).collect()
}

/// Overlapping sets with their ports as one row.
fn row(pieces: &[(EndSet, PortSet)]) -> Row {
    let cuts = segments(pieces.iter().flat_map(|(set, _)| set.ranges().iter().copied()));
    let piece = |(first, last): (EndId, EndId)| {
        let covering = pieces.iter().filter(|(set, _)| set.contains(first));
        let allowed = covering.fold(PortSet::none(), |all, (_, ports)| all.union(ports));
        (!allowed.is_empty()).then_some((first, last, allowed))
    };
    let mut row: Row = Vec::with_capacity(cuts.len());
    for (first, last, ports) in cuts.into_iter().filter_map(piece) {
        match row.last_mut() {
            Some(open) if open.1 + 1 == first && open.2 == ports => open.1 = last,
            _ => row.push((first, last, ports)),
        }
    }
    row
}

/// One direction of one state, to be asked by end.
struct View<'c> {
    entries: Vec<EntryRef<'c>>,
    by_class: ByPlace,
    by_peer: ByPlace,
}

impl<'c> View<'c> {
    fn new(ends: &Ends<'_>, side: &'c Side) -> Self {
        let entries: Vec<_> = side.entries().filter(|entry| entry.sure).collect();
        let classes: Vec<_> = entries.iter().map(|entry| entry.classes).collect();
        let peers: Vec<_> = entries.iter().map(|entry| entry.peers).collect();
        Self {
            by_class: ByPlace::new(ends, &classes),
            by_peer: ByPlace::new(ends, &peers),
            entries,
        }
    }

    /// The entries that apply to an end.
    fn of(&self, ends: &Ends<'_>, end: EndId) -> impl Iterator<Item = &EntryRef<'c>> {
        let entries = self
            .by_class
            .at_end(ends, end)
            .map(|at| &self.entries[at as usize]);
        entries.filter(move |entry| entry.classes.contains(end))
    }

    /// The entries that name an end as a peer.
    fn naming(&self, ends: &Ends<'_>, end: EndId) -> impl Iterator<Item = &EntryRef<'c>> {
        let entries = self
            .by_peer
            .at_end(ends, end)
            .map(|at| &self.entries[at as usize]);
        entries.filter(move |entry| entry.peers.contains(end))
    }

    /// What this direction alone allows to an end.
    fn says(&self, ends: &Ends<'_>, end: EndId) -> Row {
        row(&self
            .of(ends, end)
            .map(|entry| (entry.peers.clone(), entry.ports.clone()))
            .collect::<Vec<_>>())
    }

    /// What both directions allow to an end, this one being its own.
    fn with(&self, ends: &Ends<'_>, other: &Self, end: EndId) -> Row {
        let mut parts = Vec::new();
        let partners: Vec<_> = other.naming(ends, end).collect();
        for mine in self.of(ends, end) {
            for theirs in partners
                .iter()
                .filter(|theirs| mine.ports.intersects(theirs.ports))
            {
                let common = mine.peers.intersect(theirs.classes);
                if !common.is_empty() {
                    parts.push((common, mine.ports.intersect(theirs.ports)));
                }
            }
        }
        row(&parts)
    }
}

/// Both directions of one state.
struct Views<'c> {
    egress: View<'c>,
    ingress: View<'c>,
}

impl<'c> Views<'c> {
    fn new(cluster: &'c Cluster<'_>) -> Self {
        let (egress, ingress) = cluster.sides();
        Self {
            egress: View::new(cluster.ends(), egress),
            ingress: View::new(cluster.ends(), ingress),
        }
    }

    fn reached_from(&self, ends: &Ends<'_>, source: EndId) -> Row {
        self.egress.with(ends, &self.ingress, source)
    }

    fn reaching(&self, ends: &Ends<'_>, destination: EndId) -> Row {
        self.ingress.with(ends, &self.egress, destination)
    }
}
