//! For people: sources and destinations that are alike in one line.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::select::Selection;
use super::{Matrix, Node, Row};

/// One line: a group of sources, a group of destinations, what holds between them.
pub type Line<V> = (String, String, V);

/// Every connection, grouped.
pub fn lines(matrix: &Matrix, selection: &Selection) -> Vec<[String; 3]> {
    let reach = |value: u32| Some(&matrix.reaches[value as usize]);
    let lines = grouped(&matrix.nodes, &matrix.rows, selection, reach);
    lines
        .into_iter()
        .map(|(from, to, reach)| [from, to, reach.text()])
        .collect()
}

/// Ranges of destinations.
type Ranges = Vec<(u32, u32)>;

/// Rows of nodes with what their values mean, grouped; what means nothing is left out. Exact: `NAMESPACE/*` stands
/// for all workloads of a namespace, `*` for all workloads there are.
pub fn grouped<V: Ord + Clone>(
    nodes: &[Node],
    rows: &[Arc<Row>],
    selection: &Selection,
    meaning: impl Fn(u32) -> Option<V>,
) -> Vec<Line<V>> {
    // Sources with one row are alike, but for those that are no pods, which are not asked about each other.
    let mut sources: HashMap<(*const Row, bool), Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(at, _)| selection.sources[*at]) {
        let key = (Arc::as_ptr(row), nodes[at].is_workload());
        sources.entry(key).or_default().push(at);
    }
    let mut alike: BTreeMap<(V, Ranges), Vec<usize>> = BTreeMap::new();
    for from in sources.into_values() {
        let mut by_value: BTreeMap<V, Ranges> = BTreeMap::new();
        for (first, last, value) in selection.runs(nodes, from[0], &rows[from[0]]) {
            let Some(value) = meaning(value) else { continue };
            let ranges = by_value.entry(value).or_default();
            match ranges.last_mut() {
                Some(open) if open.1 + 1 == first => open.1 = last,
                _ => ranges.push((first, last)),
            }
        }
        for answer in by_value {
            alike.entry(answer).or_default().extend(&from);
        }
    }
    let names = Names::new(nodes);
    let line = |((value, to), mut from): ((V, Ranges), Vec<usize>)| {
        from.sort_unstable();
        let to: Vec<usize> = to
            .iter()
            .flat_map(|(first, last)| *first as usize..=*last as usize)
            .collect();
        (names.of(&from), names.of(&to), value)
    };
    let mut lines: Vec<Line<V>> = alike.into_iter().map(line).collect();
    lines.sort();
    lines
}

/// Names of sets of nodes.
struct Names<'n> {
    nodes: &'n [Node],
    /// How many nodes each namespace has.
    sizes: HashMap<&'n str, usize>,
    workloads: usize,
}

impl<'n> Names<'n> {
    fn new(nodes: &'n [Node]) -> Self {
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        for node in nodes {
            *sizes.entry(node.namespace()).or_default() += 1;
        }
        let workloads = nodes.iter().filter(|n| matches!(n, Node::Workload(..))).count();
        Self {
            nodes,
            sizes,
            workloads,
        }
    }

    /// `set` is ascending.
    fn of(&self, set: &[usize]) -> String {
        let is_pod = |at: &&usize| matches!(self.nodes[**at], Node::Workload(..));
        let (workloads, others) = set.split_at(set.iter().take_while(is_pod).count());
        let mut names = if workloads.len() == self.workloads && self.workloads > 1 {
            vec!["*".to_owned()]
        } else {
            self.workloads(workloads)
        };
        let outside = others
            .iter()
            .filter(|at| self.nodes[**at].namespace() == "outside")
            .count();
        let all_outside = outside > 1 && self.sizes.get("outside") == Some(&outside);
        let single = others
            .iter()
            .filter(|at| !(all_outside && self.nodes[**at].namespace() == "outside"));
        names.extend(single.map(|at| self.nodes[*at].name()));
        names.extend(all_outside.then(|| "outside".to_owned()));
        names.join(", ")
    }

    fn workloads(&self, set: &[usize]) -> Vec<String> {
        let namespace = |at: usize| self.nodes[at].namespace();
        let mut names = Vec::new();
        for group in set.chunk_by(|a, b| namespace(*a) == namespace(*b)) {
            let own = namespace(group[0]);
            if group.len() > 1 && self.sizes.get(own) == Some(&group.len()) {
                names.push(format!("{own}/*"));
            } else {
                names.extend(group.iter().map(|at| self.nodes[*at].name()));
            }
        }
        names
    }
}
