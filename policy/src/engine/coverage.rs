//! How much of a cluster policies cover: by NetworkPolicies, by each tier of cluster policies, by all together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::Direction;
use crate::ports::PortSet;
use crate::tiers::Tier;
use crate::world::PodState;

use super::area::Area;
use super::cluster::{Cluster, Side};
use super::ends::{EndId, EndSet, Ends};

/// What covers one pod in one direction.
// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// Some NetworkPolicy isolates it.
    pub isolated: bool,
    /// The Admin tier denies, or may deny, it something.
    pub admin: bool,
    /// The Baseline tier denies, or may deny, it something; a pod that a NetworkPolicy isolates never gets there.
    pub baseline: bool,
    /// All tiers together shut somebody out on every port.
    pub closed: bool,
    /// All tiers together surely let everybody in on every port.
    pub open: bool,
}

impl Cover {
    /// A NetworkPolicy isolates the pod, or cluster policies shut somebody out on every port. A cluster policy that
    /// denies single ports leaves a pod uncovered.
    pub fn is_covered(&self) -> bool {
        self.isolated || (self.closed && (self.admin || self.baseline))
    }
}

/// The pods of a namespace by what covers them in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`Cover::isolated`].
    pub isolated: usize,
    /// [`Cover::admin`].
    pub admin: usize,
    /// [`Cover::baseline`].
    pub baseline: usize,
    /// [`Cover::closed`].
    pub closed: usize,
    /// [`Cover::open`].
    pub open: usize,
}

impl Counts {
    /// Counts one more pod.
    pub fn add(&mut self, cover: Cover) {
        self.isolated += usize::from(cover.isolated);
        self.admin += usize::from(cover.admin);
        self.baseline += usize::from(cover.baseline);
        self.closed += usize::from(cover.closed);
        self.open += usize::from(cover.open);
    }
}

/// How much of a namespace is covered; pods on the host network do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Pods on the pod network.
    pub pods: usize,
    /// For incoming connections.
    pub ingress: Counts,
    /// For outgoing connections.
    pub egress: Counts,
}

impl Coverage {
    /// The counts of one direction.
    pub fn of(&self, direction: Direction) -> &Counts {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl Cluster<'_> {
    /// What covers each pod, by its index, for incoming and for outgoing connections; `None` for a pod that is not
    /// on the pod network.
    pub fn covers(&self) -> Vec<Option<[Cover; 2]>> {
        let (egress, ingress) = self.sides();
        let sides = [of_classes(self.ends(), ingress), of_classes(self.ends(), egress)];
        let pods = self.ends().pods().iter().enumerate();
        let cover = |at: usize| {
            let ends = [self.ends().of_pod(at), self.ends().second_of_pod(at)];
            let ends: Vec<EndId> = ends.into_iter().flatten().collect();
            sides
                .each_ref()
                .map(|side| both(ends.iter().map(|end| side[*end as usize])))
        };
        pods.map(|(at, pod)| (pod.state == PodState::Networked).then(|| cover(at)))
            .collect()
    }

    /// How much of each namespace is covered.
    pub fn coverage(&self) -> Vec<Coverage> {
        let none = |namespace: &Arc<str>| Coverage {
            namespace: namespace.clone(),
            pods: 0,
            ingress: Counts::default(),
            egress: Counts::default(),
        };
        let mut all: Vec<Coverage> = self.ends().namespaces().iter().map(none).collect();
        for (at, cover) in self.covers().into_iter().enumerate() {
            let (Some([ingress, egress]), Some(class)) = (cover, self.ends().of_pod(at)) else {
                continue;
            };
            let coverage = &mut all[self.ends().place(class)];
            coverage.pods += 1;
            coverage.ingress.add(ingress);
            coverage.egress.add(egress);
        }
        all
    }
}

/// What covers a pod that may be two ends.
fn both(covers: impl Iterator<Item = Cover>) -> Cover {
    let either = |a: Cover, b: Cover| Cover {
        isolated: a.isolated || b.isolated,
        admin: a.admin || b.admin,
        baseline: a.baseline || b.baseline,
        closed: a.closed || b.closed,
        open: a.open && b.open,
    };
    covers.reduce(either).unwrap_or_default()
}

/// What covers each class. Classes about which the same is said are looked at once.
fn of_classes(ends: &Ends<'_>, side: &Side) -> Vec<Cover> {
    let mut said: Vec<Vec<u32>> = vec![Vec::new(); ends.classes() as usize];
    for (at, entry) in (0u32..).zip(side.entries()) {
        let ranges = entry.classes.ranges().iter();
        for class in ranges.flat_map(|&(first, last)| first..=last) {
            if let Some(said) = said.get_mut(class as usize) {
                said.push(at);
            }
        }
    }
    let mut known: HashMap<Vec<u32>, (bool, bool)> = HashMap::new();
    let cover = |(class, said): (EndId, Vec<u32>)| {
        let (closed, open) = *known
            .entry(said)
            .or_insert_with_key(|said| reached(ends, side, said));
        Cover {
            isolated: side.isolated().contains(class),
            admin: side.denied(Tier::Admin).contains(class),
            baseline: side.denied(Tier::Baseline).contains(class),
            closed,
            open,
        }
    };
    (0..).zip(said).map(cover).collect()
}

/// Whether somebody is shut out, and whether everybody is let in, by these entries.
fn reached(ends: &Ends<'_>, side: &Side, entries: &[u32]) -> (bool, bool) {
    let entries = || entries.iter().filter_map(|at| side.entry(*at));
    let everybody = ends.all();
    let anybody = entries().fold(EndSet::default(), |all, entry| all.union(entry.peers));
    let sure = entries().filter(|entry| entry.sure);
    let surely = sure.fold(Area::default(), |all, entry| {
        all.union(&Area::of(entry.peers.clone(), entry.ports.clone()))
    });
    let closed = !anybody.is_superset(&everybody);
    (closed, surely == Area::of(everybody, PortSet::all()))
}
