//! From blocks of ends to rows of nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bulkhead_policy::engine::{Block, EndId, Ends};
use bulkhead_policy::{AddressSet, Cluster, PortSet};

use super::{Matrix, Member, Node, Reach, Row};
use crate::session::Session;

/// Ranges of ends with what is surely and perhaps open, ascending and apart.
type Segments = Vec<(EndId, EndId, PortSet, PortSet)>;

/// Computes every row; rows of sources that are in the same blocks are computed once.
pub fn build(cluster: &Cluster<'_>, members: Vec<(Node, Vec<Member>)>, session: &Session) -> Matrix {
    let progress = session.progress("workloads", members.len());
    let mut rows = Rows::new(cluster, &members);
    let mut all = Vec::with_capacity(members.len());
    let mut shared: HashSet<Arc<Row>> = HashSet::new();
    for (_, sources) in &members {
        let row = rows.of(sources);
        let row = shared.get(&row).cloned().unwrap_or(row);
        shared.insert(row.clone());
        all.push(row);
        progress.step();
    }
    let reaches = rows.values.all;
    merged_outside(members.into_iter().map(|(node, _)| node).collect(), all, reaches)
}

/// Values by number.
#[derive(Default)]
struct Values {
    all: Vec<Reach>,
    ids: HashMap<Reach, u32>,
}

impl Values {
    fn id(&mut self, value: Reach) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(value.clone());
        self.ids.insert(value, id);
        id
    }
}

/// No value in a row that is being filled.
pub(super) const NONE: u32 = u32::MAX;

struct Rows<'r> {
    ends: &'r Ends<'r>,
    members: &'r [(Node, Vec<Member>)],
    blocks: Vec<Block>,
    /// The blocks that each end is a source of.
    holding: Vec<Vec<u32>>,
    /// Nodes of one plain end, by that end.
    plain: Vec<(EndId, u32)>,
    /// The other nodes.
    others: Vec<u32>,
    /// Segments by the blocks that a source is in.
    segments: HashMap<Vec<u32>, Arc<Segments>>,
    /// Rows of plain sources by their segments.
    shared: HashMap<*const Segments, Arc<Row>>,
    values: Values,
}

impl<'r> Rows<'r> {
    fn new(cluster: &'r Cluster<'_>, members: &'r [(Node, Vec<Member>)]) -> Self {
        let blocks: Vec<Block> = cluster.blocks().collect();
        let mut holding: Vec<Vec<u32>> = vec![Vec::new(); cluster.ends().len() as usize];
        for (at, block) in (0u32..).zip(&blocks) {
            let ranges = block.sources.ranges().iter();
            for end in ranges.flat_map(|&(first, last)| first..=last) {
                holding[end as usize].push(at);
            }
        }
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for (at, (_, members)) in (0u32..).zip(members) {
            match members.as_slice() {
                [(end, None)] => plain.push((*end, at)),
                _ => others.push(at),
            }
        }
        plain.sort_unstable();
        Self {
            ends: cluster.ends(),
            members,
            blocks,
            holding,
            plain,
            others,
            segments: HashMap::new(),
            shared: HashMap::new(),
            values: Values::default(),
        }
    }

    fn of(&mut self, sources: &[Member]) -> Arc<Row> {
        if let [(source, None)] = sources {
            return self.of_plain(*source);
        }
        let ends = |(one, other): &Member| [Some(*one), *other].into_iter().flatten();
        let known: HashMap<EndId, Arc<Segments>> = sources
            .iter()
            .flat_map(ends)
            .map(|end| (end, self.segments(end)))
            .collect();
        let members = self.members;
        let values = members.iter().map(|(_, destinations)| {
            let reach = combined(self.ends, &known, sources, destinations);
            if reach.is_none() {
                NONE
            } else {
                self.values.id(reach)
            }
        });
        Arc::new(runs(values))
    }

    /// The row of a source that is one end; most are.
    fn of_plain(&mut self, source: EndId) -> Arc<Row> {
        let segments = self.segments(source);
        if let Some(row) = self.shared.get(&Arc::as_ptr(&segments)) {
            // Which families a source shares with pods of two ends is no matter of its segments.
            if self.others.is_empty() {
                return row.clone();
            }
        }
        let mut filled = vec![NONE; self.members.len()];
        for segment in segments.iter() {
            let (first, last, ..) = segment;
            let from = self.plain.partition_point(|(end, _)| end < first);
            let meant = self.plain[from..].iter().take_while(|(end, _)| end <= last);
            let value = self.values.id(of_segment(segment));
            meant.for_each(|(_, node)| filled[*node as usize] = value);
        }
        let known = HashMap::from([(source, segments.clone())]);
        for node in &self.others {
            let (_, destinations) = &self.members[*node as usize];
            let reach = combined(self.ends, &known, &[(source, None)], destinations);
            if !reach.is_none() {
                filled[*node as usize] = self.values.id(reach);
            }
        }
        let row = Arc::new(runs(filled.into_iter()));
        self.shared.insert(Arc::as_ptr(&segments), row.clone());
        row
    }

    fn segments(&mut self, source: EndId) -> Arc<Segments> {
        let holding = &self.holding[source as usize];
        if let Some(known) = self.segments.get(holding) {
            return known.clone();
        }
        let found = Arc::new(segments(holding.iter().map(|at| &self.blocks[*at as usize])));
        self.segments.insert(holding.clone(), found.clone());
        found
    }
}

/// Values of destinations in order, as runs.
pub(super) fn runs(values: impl Iterator<Item = u32>) -> Row {
    let mut row: Row = Vec::new();
    for (at, value) in (0u32..).zip(values).filter(|(_, value)| *value != NONE) {
        match row.last_mut() {
            Some(open) if open.1 + 1 == at && open.2 == value => open.1 = at,
            _ => row.push((at, at, value)),
        }
    }
    row
}

/// Overlapping blocks of one source, cut into ranges.
fn segments<'b>(blocks: impl Iterator<Item = &'b Block>) -> Segments {
    // Where a range of a block begins or ends, and which one.
    let mut cuts: Vec<(EndId, bool, &Block)> = Vec::new();
    for block in blocks {
        for &(first, last) in block.destinations.ranges() {
            cuts.push((first, true, block));
            cuts.push((last + 1, false, block));
        }
    }
    cuts.sort_by_key(|(at, ..)| *at);
    let mut open: Vec<&Block> = Vec::new();
    let mut segments: Segments = Vec::new();
    let mut from = 0;
    for group in cuts.chunk_by(|a, b| a.0 == b.0) {
        let at = group[0].0;
        if !open.is_empty() && from < at {
            let union = |sure: bool| {
                let of = open.iter().filter(|block| block.sure == sure);
                of.fold(PortSet::none(), |all, block| all.union(&block.ports))
            };
            let (surely, perhaps) = (union(true), union(false));
            segments.push((from, at - 1, surely, perhaps));
        }
        for (_, begins, block) in group {
            if *begins {
                open.push(block);
            } else if let Some(place) = open.iter().position(|b| std::ptr::eq(*b, *block)) {
                open.swap_remove(place);
            }
        }
        from = at;
    }
    segments
}

/// The segment that holds an end.
fn position(segments: &Segments, end: EndId) -> Option<usize> {
    let at = segments.partition_point(|(_, last, ..)| *last < end);
    segments.get(at).filter(|(first, ..)| *first <= end).map(|_| at)
}

/// What a segment says about one pair of ends.
fn of_segment((_, _, surely, perhaps): &(EndId, EndId, PortSet, PortSet)) -> Reach {
    Reach {
        all: surely.clone(),
        some: PortSet::none(),
        unknown: perhaps.subtract(surely),
    }
}

/// What holds for all, and for some, pairs of members; of members that are two ends what both families say.
fn combined(
    ends: &Ends<'_>,
    known: &HashMap<EndId, Arc<Segments>>,
    sources: &[Member],
    destinations: &[Member],
) -> Reach {
    let ports = |source: EndId, destination: EndId| {
        let segments = known.get(&source);
        let found = segments.and_then(|s| position(s, destination).map(|at| &s[at]));
        found.map_or_else(Default::default, |(.., surely, perhaps)| {
            (surely.clone(), perhaps.clone())
        })
    };
    let mut all: Option<PortSet> = None;
    let (mut any, mut unknown) = (PortSet::none(), PortSet::none());
    for source in sources {
        for destination in destinations {
            let (surely, perhaps) = in_families(ends, *source, *destination, ports);
            unknown = unknown.union(&perhaps.subtract(&surely));
            any = any.union(&surely);
            all = Some(all.map_or_else(|| surely.clone(), |all| all.intersect(&surely)));
        }
    }
    let all = all.unwrap_or_default();
    Reach {
        some: any.subtract(&all),
        unknown: unknown.subtract(&any),
        all,
    }
}

fn in_families(
    ends: &Ends<'_>,
    source: Member,
    destination: Member,
    ports: impl Fn(EndId, EndId) -> (PortSet, PortSet),
) -> (PortSet, PortSet) {
    if let ((from, None), (to, None)) = (source, destination) {
        return ports(from, to);
    }
    let each = |(one, other): Member| [Some(one), other].into_iter().flatten().collect::<Vec<_>>();
    ends.in_every_family(&each(source), &each(destination), ports)
}

/// Brings parts of the outside together that no source and no destination tells apart.
fn merged_outside(nodes: Vec<Node>, rows: Vec<Arc<Row>>, reaches: Vec<Reach>) -> Matrix {
    let full = Matrix { nodes, reaches, rows };
    let is_outside = |at: &usize| matches!(full.nodes[*at], Node::Outside(_));
    let (outside, mut kept): (Vec<usize>, Vec<usize>) = (0..full.nodes.len()).partition(is_outside);
    // Equal rows are one object, so a column over distinct rows says it all.
    let mut seen: HashSet<*const Row> = HashSet::new();
    let distinct = full.rows.iter().filter(|row| seen.insert(Arc::as_ptr(row)));
    let distinct: Vec<&Row> = distinct.map(|row| &**row).collect();
    // The outside begins where its first part is.
    let begin = outside.first().copied().unwrap_or(full.nodes.len());
    let columns = columns(&distinct, begin, full.nodes.len());
    let mut groups: HashMap<(*const Row, u32), usize> = HashMap::new();
    let mut addresses: HashMap<usize, AddressSet> = HashMap::new();
    for at in outside {
        let Node::Outside(set) = &full.nodes[at] else {
            continue;
        };
        let key = (Arc::as_ptr(full.runs(at)), columns[at - begin]);
        let first = *groups.entry(key).or_insert(at);
        if first == at {
            kept.push(at);
        }
        let all = addresses.entry(first).or_default();
        *all = all.union(set);
    }
    narrowed(&full, &kept, &addresses)
}

/// Numbers for the columns of the nodes from `begin` to `end`: equal ones for equal columns. Each row splits the
/// groups that it tells apart.
fn columns(rows: &[&Row], begin: usize, end: usize) -> Vec<u32> {
    let mut groups = vec![0u32; end - begin];
    let mut split: HashMap<(u32, u32), u32> = HashMap::new();
    for row in rows {
        // Most rows have one run over the whole outside, or none, and split nothing.
        let inside = row.partition_point(|(_, last, _)| (*last as usize) < begin);
        let runs = &row[inside..];
        let whole =
            matches!(runs, [(first, last, _)] if *first as usize <= begin && *last as usize + 1 == end);
        if runs.is_empty() || whole {
            continue;
        }
        split.clear();
        let mut next = begin;
        let mut part = |from: usize, to: usize, value: u32, groups: &mut [u32]| {
            for group in &mut groups[from - begin..to - begin] {
                let fresh = split.len();
                let at = *split
                    .entry((*group, value))
                    .or_insert(u32::try_from(fresh).unwrap_or(NONE));
                *group = at;
            }
        };
        for (first, last, value) in runs {
            let (first, last) = ((*first as usize).max(begin), *last as usize + 1);
            part(next, first, NONE, &mut groups);
            part(first, last, *value, &mut groups);
            next = last;
        }
        part(next, end, NONE, &mut groups);
    }
    groups
}

/// The same matrix with only these nodes.
fn narrowed(full: &Matrix, kept: &[usize], addresses: &HashMap<usize, AddressSet>) -> Matrix {
    let mut known: HashMap<*const Row, Arc<Row>> = HashMap::new();
    let row = |source: usize| {
        let row = full.runs(source);
        let mut narrow: Row = Vec::new();
        let mut run = 0;
        for (to, at) in (0u32..).zip(kept) {
            let at = u32::try_from(*at).unwrap_or(u32::MAX);
            while row.get(run).is_some_and(|(_, last, _)| *last < at) {
                run += 1;
            }
            let Some((_, _, value)) = row.get(run).filter(|(first, ..)| *first <= at) else {
                continue;
            };
            match narrow.last_mut() {
                Some(open) if open.1 + 1 == to && open.2 == *value => open.1 = to,
                _ => narrow.push((to, to, *value)),
            }
        }
        Arc::new(narrow)
    };
    let rows = kept.iter().map(|at| {
        known
            .entry(Arc::as_ptr(full.runs(*at)))
            .or_insert_with(|| row(*at))
            .clone()
    });
    let rows = rows.collect();
    let node = |at: &usize| match addresses.get(at) {
        Some(all) => Node::Outside(all.clone()),
        None => full.nodes[*at].clone(),
    };
    Matrix {
        nodes: kept.iter().map(node).collect(),
        reaches: full.reaches.clone(),
        rows,
    }
}
