//! Everything that can be an end of a connection, numbered so that sets of ends are ranges.
//!
//! A pod with addresses of both families is two ends where a policy may tell those apart: a connection runs in one
//! family, and a pod surely reaches another when it does in every family that they share.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::AddressSet;
use crate::family::Family;
use crate::interval::IntervalSet;
use crate::policy::Policy;
use crate::ports::PortSet;
use crate::tiers::ClusterPolicy;
use crate::world::{Pod, PodState};

use super::address::Pieces;

/// The number of an end: pod classes by namespace, then the host network, then pieces of the address space.
pub type EndId = u32;

/// A set of ends.
pub type EndSet = IntervalSet<EndId>;

/// Pods of one namespace that no policy can tell apart.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// Index of the first member.
    first: u32,
    namespace: u32,
    /// The only family that its members have or are seen in; `None` for both and for no address.
    family: Option<Family>,
    /// Where its pod is in `seen`, when that has more addresses than the class.
    seen: Option<u32>,
}

/// What an end stands for.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// The pods of a class.
    Pods(Vec<&'a Pod>),
    /// The host network of nodes whose pods and addresses are not known.
    Host,
    /// Everything outside the cluster with one of these addresses.
    Outside(AddressSet),
}

/// The ends of a cluster. Finished pods are none.
#[derive(Debug)]
pub struct Ends<'a> {
    pods: &'a [Pod],
    namespaces: Vec<Arc<str>>,
    classes: Vec<Class>,
    /// The class of each pod; of one that is two ends the first.
    class_of: Vec<Option<EndId>>,
    /// The other end of pods that are two.
    second: HashMap<u32, EndId>,
    /// Pods with the addresses of one family.
    seen: Vec<Pod>,
    /// First class of each namespace, and the number of classes at the end.
    starts: Vec<EndId>,
    pub(super) pieces: Pieces,
}

/// [`Ends::pairs`], however ends are numbered.
pub(super) fn pairs(
    sources: &[EndId],
    destinations: &[EndId],
    family: impl Fn(EndId) -> Option<Family>,
) -> Vec<(EndId, EndId)> {
    let all = || {
        sources
            .iter()
            .flat_map(|from| destinations.iter().map(|to| (*from, *to)))
    };
    let run = |(from, to): &(EndId, EndId)| match (family(*from), family(*to)) {
        (Some(from), Some(to)) => from == to,
        _ => true,
    };
    let shared: Vec<_> = all().filter(run).collect();
    if shared.is_empty() {
        all().collect()
    } else {
        shared
    }
}

/// What is surely, and perhaps, open when each address family says its own: surely what all say.
pub(super) fn in_every_family(each: impl Iterator<Item = (PortSet, PortSet)>) -> (PortSet, PortSet) {
    let all = each.reduce(|(sure, perhaps), (surely, may)| {
        let either = sure.union(&surely);
        (sure.intersect(&surely), perhaps.union(&may).union(&either))
    });
    all.unwrap_or_default()
}

/// What policies can see of a pod, besides its namespace.
type Key<'a> = (&'a crate::Labels, &'a [crate::NamedPort], PodState, Vec<u32>);

impl<'a> Ends<'a> {
    /// Numbers the ends. `policies` are those that will be asked about; they decide which addresses differ.
    pub fn new<'p>(pods: &'a [Pod], policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        Self::with_tiers(pods, policies, [])
    }

    /// The same with the policies of the tiers.
    pub fn with_tiers<'p>(
        pods: &'a [Pod],
        policies: impl IntoIterator<Item = &'p Policy>,
        tiers: impl IntoIterator<Item = &'p ClusterPolicy>,
    ) -> Self {
        let pieces = Pieces::of(policies, tiers);
        let mut by_namespace: BTreeMap<&Arc<str>, Vec<u32>> = BTreeMap::new();
        for (at, pod) in (0u32..).zip(pods) {
            if pod.state != PodState::Finished {
                by_namespace.entry(&pod.namespace).or_default().push(at);
            }
        }
        let mut ends = Self {
            pods,
            namespaces: by_namespace.keys().map(|name| Arc::clone(name)).collect(),
            classes: Vec::new(),
            class_of: vec![None; pods.len()],
            second: HashMap::new(),
            seen: Vec::new(),
            starts: Vec::with_capacity(by_namespace.len() + 1),
            pieces,
        };
        for (namespace, members) in (0u32..).zip(by_namespace.values()) {
            ends.starts.push(ends.host());
            ends.add_classes(namespace, members);
        }
        ends.starts.push(ends.host());
        ends
    }

    fn add_classes(&mut self, namespace: u32, members: &[u32]) {
        let mut known: HashMap<Key<'a>, EndId> = HashMap::with_capacity(members.len());
        for &at in members {
            let pod = &self.pods[at as usize];
            let mut families = Family::ALL.into_iter().filter(|f| f.is_among(&pod.addresses));
            match (families.next(), families.next()) {
                (Some(one), Some(other)) if self.pieces.tell_families_apart() => {
                    self.class_of[at as usize] =
                        Some(self.class(&mut known, (at, namespace), Some(one), true));
                    let second = self.class(&mut known, (at, namespace), Some(other), true);
                    self.second.insert(at, second);
                }
                (one, other) => {
                    let only = if other.is_some() { None } else { one };
                    self.class_of[at as usize] = Some(self.class(&mut known, (at, namespace), only, false));
                }
            }
        }
    }

    /// The class of a pod, perhaps as `family` alone sees it.
    fn class(
        &mut self,
        known: &mut HashMap<Key<'a>, EndId>,
        (at, namespace): (u32, u32),
        family: Option<Family>,
        partly: bool,
    ) -> EndId {
        let pod = &self.pods[at as usize];
        let addresses = pod
            .addresses
            .iter()
            .filter(|a| family.is_none_or(|f| Family::of(**a) == f));
        let mut pieces: Vec<u32> = addresses.map(|a| self.pieces.of_address(*a)).collect();
        pieces.sort_unstable();
        let next = self.host();
        let class = *known
            .entry((&pod.labels, &pod.ports[..], pod.state, pieces))
            .or_insert(next);
        if class == next {
            let seen = family.filter(|_| partly).map(|family| {
                self.seen.push(family.of_pod(pod));
                u32::try_from(self.seen.len() - 1).unwrap_or(u32::MAX)
            });
            self.classes.push(Class {
                first: at,
                namespace,
                family,
                seen,
            });
        }
        class
    }

    /// The number of ends.
    pub fn len(&self) -> u32 {
        self.host() + 1 + self.pieces.len()
    }

    /// True without pods; the host network and the outside are always there.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Every end.
    pub fn all(&self) -> EndSet {
        EndSet::range(0, self.len() - 1)
    }

    /// The number of pod classes; they are the first ends.
    pub fn classes(&self) -> u32 {
        self.host()
    }

    /// The end that stands for the host network.
    pub fn host(&self) -> EndId {
        u32::try_from(self.classes.len()).unwrap_or(u32::MAX)
    }

    /// The end of an outside address.
    pub fn outside(&self, address: IpAddr) -> EndId {
        self.first_piece() + self.pieces.of_address(address)
    }

    /// The end of a pod by its index; `None` for a finished one. Of a pod that is two ends the IPv4 one.
    pub fn of_pod(&self, pod: usize) -> Option<EndId> {
        self.class_of.get(pod).copied().flatten()
    }

    /// The IPv6 end of a pod that is two ends.
    pub fn second_of_pod(&self, pod: usize) -> Option<EndId> {
        self.second.get(&u32::try_from(pod).ok()?).copied()
    }

    /// The family that connections of an end run in; `None` when they may run in both, or it is not known.
    pub fn family(&self, end: EndId) -> Option<Family> {
        match end.checked_sub(self.host()) {
            None => self.classes[end as usize].family,
            Some(0) => None,
            Some(piece) => Some(self.pieces.family(piece - 1)),
        }
    }

    /// The pairs in which connections between two pods, or other things, run that may be two ends each: those of
    /// one family, or all where they share none.
    pub fn pairs(&self, sources: &[EndId], destinations: &[EndId]) -> Vec<(EndId, EndId)> {
        pairs(sources, destinations, |end| self.family(end))
    }

    /// What is surely, and perhaps, open between two things that may be two ends each: surely what holds in every
    /// family, and perhaps what may in any. `ports` tells it of two ends.
    pub fn in_every_family(
        &self,
        sources: &[EndId],
        destinations: &[EndId],
        ports: impl Fn(EndId, EndId) -> (PortSet, PortSet),
    ) -> (PortSet, PortSet) {
        let pairs = self.pairs(sources, destinations).into_iter();
        in_every_family(pairs.map(|(from, to)| ports(from, to)))
    }

    /// One pod of a class, with the addresses that the class has; all others look the same to policies.
    pub fn representative(&self, class: EndId) -> Option<&Pod> {
        let class = self.classes.get(class as usize)?;
        Some(match class.seen {
            Some(at) => &self.seen[at as usize],
            None => &self.pods[class.first as usize],
        })
    }

    /// What an end stands for.
    pub fn what(&self, end: EndId) -> What<'a> {
        match end.checked_sub(self.host()) {
            None => What::Pods(self.members(end)),
            Some(0) => What::Host,
            Some(piece) => What::Outside(self.pieces.addresses(piece - 1)),
        }
    }

    fn members(&self, class: EndId) -> Vec<&'a Pod> {
        let first = self.classes[class as usize].first as usize;
        let is = |at| self.class_of[at] == Some(class) || self.second_of_pod(at) == Some(class);
        let of_class = |(at, pod)| is(at).then_some(pod);
        self.pods
            .iter()
            .enumerate()
            .skip(first)
            .filter_map(of_class)
            .collect()
    }

    /// Namespaces with pods, in order.
    pub fn namespaces(&self) -> &[Arc<str>] {
        &self.namespaces
    }

    /// The classes of a namespace by its position in [`Self::namespaces`].
    pub fn classes_of(&self, namespace: usize) -> std::ops::Range<EndId> {
        self.starts[namespace]..self.starts[namespace + 1]
    }

    /// The slot of an end in indexes by place: its namespace, or one of its own.
    pub(super) fn place(&self, end: EndId) -> usize {
        match self.classes.get(end as usize) {
            Some(class) => class.namespace as usize,
            None => self.namespaces.len() + (end - self.host()) as usize,
        }
    }

    pub(super) fn places(&self) -> usize {
        self.namespaces.len() + (self.len() - self.host()) as usize
    }

    pub(super) fn first_piece(&self) -> EndId {
        self.host() + 1
    }

    pub(super) fn pods(&self) -> &'a [Pod] {
        self.pods
    }
}
