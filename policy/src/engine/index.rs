//! Evaluates each distinct set of peers once, by inverted indexes over labels.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::AddressSet;
use crate::interval::IntervalSet;
use crate::labels::Labels;
use crate::lower::{Covers, covers};
use crate::policy::Direction;
use crate::ports::Protocol;
use crate::region::Region;
use crate::selector::Selector;
use crate::world::{Endpoint, Pod, PodState, World};

use super::ends::{EndId, EndSet, Ends};
use super::resolve::{Covered, Holders, Resolve};

/// A list of label sets that can be asked which of them match a selector.
struct LabelIndex {
    labels: Vec<Labels>,
    /// Key → value → positions, filled when a key is first asked for.
    by_key: HashMap<Box<str>, HashMap<Box<str>, Vec<u32>>>,
    known: HashMap<Selector, Rc<IntervalSet<u32>>>,
}

impl LabelIndex {
    fn new(labels: Vec<Labels>) -> Self {
        Self {
            labels,
            by_key: HashMap::new(),
            known: HashMap::new(),
        }
    }

    fn select(&mut self, selector: &Selector) -> Rc<IntervalSet<u32>> {
        if let Some(known) = self.known.get(selector) {
            return known.clone();
        }
        let matching = |labels: &[Labels], at: &u32| selector.matches(&labels[*at as usize]);
        let selected = match self.candidates(selector) {
            _ if selector.is_everything() => self.range(),
            Some(candidates) => {
                EndSet::from_sorted(candidates.into_iter().filter(|at| matching(&self.labels, at)))
            }
            None => EndSet::from_sorted(
                (0u32..)
                    .take(self.labels.len())
                    .filter(|at| matching(&self.labels, at)),
            ),
        };
        let selected = Rc::new(selected);
        self.known.insert(selector.clone(), selected.clone());
        selected
    }

    fn range(&self) -> IntervalSet<u32> {
        match u32::try_from(self.labels.len())
            .unwrap_or(u32::MAX)
            .checked_sub(1)
        {
            Some(last) => IntervalSet::range(0, last),
            None => IntervalSet::default(),
        }
    }

    /// Sorted positions that hold all matches, when a term of the selector names values.
    fn candidates(&mut self, selector: &Selector) -> Option<Vec<u32>> {
        let keys: Vec<Box<str>> = selector.keys().map(Into::into).collect();
        let mut best: Option<Vec<u32>> = None;
        for key in keys {
            let Some(values) = selector.required_values(&key) else {
                continue;
            };
            let postings = self.postings(&key);
            let mut found: Vec<u32> = values
                .iter()
                .filter_map(|v| postings.get(&**v))
                .flatten()
                .copied()
                .collect();
            found.sort_unstable();
            if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                best = Some(found);
            }
        }
        best
    }

    fn postings(&mut self, key: &str) -> &HashMap<Box<str>, Vec<u32>> {
        let labels = &self.labels;
        self.by_key.entry(key.into()).or_insert_with(|| {
            let mut postings: HashMap<Box<str>, Vec<u32>> = HashMap::new();
            for (at, labels) in (0u32..).zip(labels) {
                if let Some(value) = labels.get(key) {
                    match postings.get_mut(value) {
                        Some(list) => list.push(at),
                        None => drop(postings.insert(value.into(), vec![at])),
                    }
                }
            }
            postings
        })
    }
}

/// Classes that address blocks cannot tell apart, with one pod of them.
type SameAddress<'p> = (&'p Pod, EndSet);

/// Regions and port names, resolved against the ends of one cluster.
pub(super) struct Resolver<'w, 'e, 'p> {
    world: &'w World,
    pub ends: &'e Ends<'p>,
    namespaces: LabelIndex,
    classes: LabelIndex,
    /// Classes on the pod network.
    networked: EndSet,
    by_address: Vec<SameAddress<'e>>,
    holders: HashMap<(Protocol, Box<str>), Vec<Holders>>,
    /// What pods of each network reach, filled when asked for.
    reach: HashMap<Option<Arc<str>>, EndSet>,
}

impl<'w, 'e, 'p> Resolver<'w, 'e, 'p> {
    pub fn new(world: &'w World, ends: &'e Ends<'p>) -> Self {
        let pods: Vec<&Pod> = (0..ends.classes())
            .filter_map(|class| ends.representative(class))
            .collect();
        let on_network = (0u32..)
            .zip(&pods)
            .filter(|(_, pod)| pod.state == PodState::Networked);
        let labels = |name: &std::sync::Arc<str>| world.namespace_labels(name);
        Self {
            world,
            ends,
            namespaces: LabelIndex::new(ends.namespaces().iter().map(labels).collect()),
            networked: EndSet::from_sorted(on_network.map(|(class, _)| class)),
            classes: LabelIndex::new(pods.iter().map(|pod| pod.labels.clone()).collect()),
            by_address: same_address(ends, &pods),
            holders: HashMap::new(),
            reach: HashMap::new(),
        }
    }

    fn all_classes(&self) -> EndSet {
        self.classes.range()
    }

    fn selected(&mut self, namespaces: &Selector, pods: &Selector) -> EndSet {
        let places = self.namespaces.select(namespaces);
        let ends = self.ends;
        let span = |&(first, last): &(u32, u32)| {
            let (first, last) = (ends.classes_of(first as usize), ends.classes_of(last as usize));
            first.start..last.end
        };
        if pods.is_everything() {
            return EndSet::from_ranges(places.ranges().iter().map(span).map(|r| (r.start, r.end - 1)));
        }
        let few = places
            .ranges()
            .iter()
            .map(|range| span(range).len())
            .sum::<usize>()
            <= 64;
        if few {
            let classes = places.ranges().iter().flat_map(span);
            let matching = classes.filter(|class| pods.matches(&self.classes.labels[*class as usize]));
            return EndSet::from_sorted(matching);
        }
        let chosen = self.classes.select(pods);
        let spans = EndSet::from_ranges(places.ranges().iter().map(span).map(|r| (r.start, r.end - 1)));
        chosen.intersect(&spans)
    }
}

impl Resolve for Resolver<'_, '_, '_> {
    fn world(&self) -> &World {
        self.world
    }

    fn everyone(&self) -> EndSet {
        self.ends.all()
    }

    fn pod(&self, end: EndId) -> Option<&Pod> {
        self.ends.representative(end)
    }

    fn host(&self) -> EndId {
        self.ends.host()
    }

    fn outside(&self) -> EndSet {
        EndSet::range(self.ends.first_piece(), self.ends.len() - 1)
    }

    fn pieces(&self, set: &AddressSet) -> EndSet {
        shifted(&self.ends.pieces.of_set(set), self.ends.first_piece())
    }

    fn by_address(&self, judge: &dyn Fn(&Pod) -> Covers) -> Covered {
        let mut covered = Covered::default();
        for (pod, ends) in &self.by_address {
            covered.add(judge(pod), ends);
        }
        covered
    }

    fn host_classes(&self) -> EndSet {
        self.all_classes().subtract(&self.networked)
    }

    fn reach(&mut self, namespace: &str) -> Option<EndSet> {
        if !self.world.has_networks() {
            return None;
        }
        let network = self.world.network(namespace).cloned();
        if let Some(known) = self.reach.get(&network) {
            return Some(known.clone());
        }
        let elsewhere = |(_, name): &(usize, &Arc<str>)| self.world.network(name) != network.as_ref();
        let strangers = self.ends.namespaces().iter().enumerate().filter(elsewhere);
        let strangers = strangers
            .map(|(at, _)| self.ends.classes_of(at))
            .map(|classes| (classes.start, classes.end - 1));
        let strangers = EndSet::from_ranges(strangers).intersect(&self.networked);
        let reach = self.ends.all().subtract(&strangers);
        self.reach.insert(network, reach.clone());
        Some(reach)
    }

    fn covered(&mut self, region: &Region, direction: Direction) -> Covered {
        match region {
            Region::Pods { namespaces, pods } => {
                let surely = self.selected(namespaces, pods).intersect(&self.networked);
                Covered {
                    surely,
                    perhaps: EndSet::default(),
                }
            }
            Region::HostPods { namespaces, pods } => {
                let surely = self.selected(namespaces, pods).subtract(&self.networked);
                Covered {
                    surely,
                    perhaps: EndSet::default(),
                }
            }
            Region::Host => {
                let pods = self.all_classes().subtract(&self.networked);
                let surely = pods.union(&EndSet::range(self.ends.host(), self.ends.host()));
                Covered {
                    surely,
                    perhaps: EndSet::default(),
                }
            }
            Region::Addresses(set) => {
                let judge = |end: &Endpoint<'_>| covers(self.world, region, direction, end);
                let mut covered = self.by_address(&|pod| judge(&Endpoint::Pod(pod)));
                let host = EndSet::range(self.ends.host(), self.ends.host());
                covered.add(judge(&Endpoint::Host { address: None }), &host);
                covered.surely = covered.surely.union(&self.pieces(set));
                covered
            }
        }
    }

    /// The classes with a port of this name, by its number.
    fn holders(&mut self, protocol: Protocol, name: &str) -> Vec<Holders> {
        let ends = self.ends;
        let known = self.holders.entry((protocol, name.into())).or_insert_with(|| {
            let mut by_number: HashMap<u16, Vec<u32>> = HashMap::new();
            for class in 0..ends.classes() {
                let numbers = ends
                    .representative(class)
                    .into_iter()
                    .flat_map(|p| p.port_numbers(protocol, name));
                for number in numbers {
                    by_number.entry(number).or_default().push(class);
                }
            }
            by_number
                .into_iter()
                .map(|(number, classes)| (number, EndSet::from_sorted(classes)))
                .collect()
        });
        known.clone()
    }
}

fn same_address<'e>(ends: &Ends<'_>, pods: &[&'e Pod]) -> Vec<SameAddress<'e>> {
    let mut groups: HashMap<_, Vec<u32>> = HashMap::new();
    for (class, pod) in (0u32..).zip(pods) {
        let mut pieces: Vec<u32> = pod.addresses.iter().map(|a| ends.pieces.of_address(*a)).collect();
        pieces.sort_unstable();
        groups.entry((pod.state, pieces)).or_default().push(class);
    }
    let group = |classes: Vec<u32>| (pods[classes[0] as usize], EndSet::from_sorted(classes));
    groups.into_values().map(group).collect()
}

fn shifted(set: &IntervalSet<u32>, by: u32) -> EndSet {
    EndSet::from_ranges(set.ranges().iter().map(|&(first, last)| (first + by, last + by)))
}
