//! Two matrices, workload by workload.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bulkhead_policy::PortSet;

use super::rows::NONE;
use super::{Matrix, Node, Reach, Row};

/// What changed between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// Ports on which some pod loses a connection.
    pub lost: PortSet,
    /// Ports on which some pod gains one.
    pub gained: PortSet,
}

/// The differences of two states.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Nodes of both states; parts of the outside cut as finely as either needs.
    pub nodes: Vec<Node>,
    /// The distinct changes.
    pub values: Vec<Change>,
    /// For each node as a source the runs of destinations with a change; equal ones are shared.
    pub rows: Vec<Arc<Row>>,
    /// Workloads that only the second state has.
    pub added: Vec<String>,
    /// Workloads that only the first state has.
    pub removed: Vec<String>,
}

impl Comparison {
    /// Source, destination and change of every pair that changes.
    pub fn changes(&self) -> impl Iterator<Item = (usize, usize, &Change)> {
        // What neither begins nor ends at a pod is nobody's question.
        let pods = self.nodes.iter().take_while(|node| node.is_workload()).count();
        let pairs = self.rows.iter().enumerate().flat_map(move |(from, row)| {
            let limit = if from < pods { self.nodes.len() } else { pods };
            let runs = row
                .iter()
                .flat_map(|(first, last, value)| (*first..=*last).map(|to| (to, *value)));
            let shown = runs.take_while(move |(to, _)| (*to as usize) < limit);
            shown.map(move |(to, value)| (from, to as usize, value))
        });
        pairs.map(|(from, to, value)| (from, to, &self.values[value as usize]))
    }

    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }
}

/// Compares what both states know. Connections of workloads that only one of them has are no changes; the
/// workloads are listed instead.
pub fn compare(before: &Matrix, after: &Matrix) -> Comparison {
    let places = common(before, after);
    let mut values = Values {
        before,
        after,
        known: HashMap::new(),
        all: Vec::new(),
    };
    let (mut old, mut new) = (Filled::new(before), Filled::new(after));
    // Sources whose rows are alike in both states change alike.
    let mut known: HashMap<(*const Row, *const Row), Arc<Row>> = HashMap::new();
    let mut rows = Vec::with_capacity(places.len());
    for source in &places {
        let pair = (before.runs(source.before), after.runs(source.after));
        let row = known
            .entry((Arc::as_ptr(pair.0), Arc::as_ptr(pair.1)))
            .or_insert_with(|| {
                old.fill(pair.0);
                new.fill(pair.1);
                let change = |place: &Place| values.of(old.value(place.before), new.value(place.after));
                Arc::new(super::rows::runs(places.iter().map(change)))
            });
        rows.push(row.clone());
    }
    Comparison {
        nodes: places.into_iter().map(|p| p.node).collect(),
        values: values.all,
        rows,
        added: only(after, before),
        removed: only(before, after),
    }
}

/// One row at a time, value by value.
struct Filled {
    values: Vec<u32>,
}

impl Filled {
    fn new(matrix: &Matrix) -> Self {
        Self {
            values: vec![NONE; matrix.nodes.len()],
        }
    }

    fn fill(&mut self, row: &Row) {
        self.values.fill(NONE);
        for (first, last, value) in row {
            self.values[*first as usize..=*last as usize].fill(*value);
        }
    }

    fn value(&self, at: usize) -> u32 {
        self.values[at]
    }
}

/// Changes by number.
struct Values<'m> {
    before: &'m Matrix,
    after: &'m Matrix,
    known: HashMap<(u32, u32), u32>,
    all: Vec<Change>,
}

impl Values<'_> {
    /// The number of a change from one value to another; [`NONE`] where nothing changes.
    fn of(&mut self, old: u32, new: u32) -> u32 {
        if (old, new) == (NONE, NONE) {
            return NONE;
        }
        if let Some(known) = self.known.get(&(old, new)) {
            return *known;
        }
        let reach = |matrix: &Matrix, id: u32| matrix.reaches.get(id as usize).cloned();
        let change = changed(reach(self.before, old).as_ref(), reach(self.after, new).as_ref());
        let id = change.map_or(NONE, |change| {
            let known = self.all.iter().position(|other| *other == change);
            let at = known.unwrap_or_else(|| {
                self.all.push(change);
                self.all.len() - 1
            });
            u32::try_from(at).unwrap_or(NONE)
        });
        self.known.insert((old, new), id);
        id
    }
}

/// A node with its index in both matrices.
struct Place {
    node: Node,
    before: usize,
    after: usize,
}

/// Workloads first, in order, as in each matrix.
fn common(before: &Matrix, after: &Matrix) -> Vec<Place> {
    let index = after.index();
    let mut places = Vec::new();
    let outside = |matrix: &Matrix| -> Vec<usize> {
        let nodes = matrix.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| matches!(node, Node::Outside(_)))
            .map(|(at, _)| at)
            .collect()
    };
    let theirs = outside(after);
    for (at, node) in before.nodes.iter().enumerate() {
        let Node::Outside(addresses) = node else {
            places.extend(index.get(node).map(|other| Place {
                node: node.clone(),
                before: at,
                after: *other,
            }));
            continue;
        };
        // Mostly both states cut the outside alike.
        let same = index.get(node).copied();
        let others = same.map_or_else(|| theirs.clone(), |only| vec![only]);
        for other in others {
            let Node::Outside(theirs) = &after.nodes[other] else {
                continue;
            };
            let shared = addresses.intersect(theirs);
            if !shared.is_empty() {
                places.push(Place {
                    node: Node::Outside(shared),
                    before: at,
                    after: other,
                });
            }
        }
    }
    places
}

fn only(here: &Matrix, there: &Matrix) -> Vec<String> {
    let theirs: BTreeSet<&Node> = there.nodes.iter().collect();
    let workloads = here.nodes.iter().filter(|n| n.is_workload());
    workloads
        .filter(|n| !theirs.contains(n))
        .map(Node::name)
        .collect()
}

fn changed(old: Option<&Reach>, new: Option<&Reach>) -> Option<Change> {
    if old == new {
        return None;
    }
    let nothing = Reach::default();
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    let grown = |from: &Reach, to: &Reach| to.all.subtract(&from.all).union(&to.some.subtract(&from.any()));
    let change = Change {
        lost: grown(new, old),
        gained: grown(old, new),
    };
    (!change.lost.is_empty() || !change.gained.is_empty()).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_policy::Protocol;

    fn reach(all: &[u16], some: &[u16]) -> Reach {
        let set = |ports: &[u16]| {
            ports.iter().fold(PortSet::none(), |set, port| {
                set.union(&PortSet::single(Protocol::Tcp, *port))
            })
        };
        Reach {
            all: set(all),
            some: set(some),
            unknown: PortSet::none(),
        }
    }

    fn texts(old: &Reach, new: &Reach) -> Option<(String, String)> {
        changed(Some(old), Some(new)).map(|c| (c.lost.to_string(), c.gained.to_string()))
    }

    #[test]
    fn what_some_pods_lose_is_lost_and_what_more_pods_get_is_gained() {
        let expected = |lost: &str, gained: &str| Some((lost.to_owned(), gained.to_owned()));
        assert_eq!(
            texts(&reach(&[80], &[]), &reach(&[], &[80])),
            expected("TCP/80", "no port")
        );
        assert_eq!(
            texts(&reach(&[], &[80]), &reach(&[80], &[])),
            expected("no port", "TCP/80")
        );
        assert_eq!(
            texts(&reach(&[80], &[]), &reach(&[81], &[])),
            expected("TCP/80", "TCP/81")
        );
        assert_eq!(texts(&reach(&[], &[80]), &reach(&[], &[80])), None);
    }
}
