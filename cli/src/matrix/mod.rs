//! Who reaches whom, workload by workload: the engine's answer for classes of pods, brought together for what
//! people know.

pub mod compare;
pub mod export;
pub mod graph;
pub mod html;
mod rows;
pub mod select;
pub mod text;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bulkhead_policy::engine::{EndId, What};
use bulkhead_policy::{AddressSet, Cluster, PodState, PortSet};

use crate::input::State;
use crate::session::Session;

/// A workload, the host network, or a part of the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Node {
    /// `NAMESPACE` and `KIND/NAME`.
    Workload(Arc<str>, Arc<str>),
    /// Processes on nodes.
    Host,
    /// Addresses outside that no policy tells apart.
    Outside(AddressSet),
}

impl Node {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Workload(namespace, workload) => format!("{namespace}/{workload}"),
            Self::Host => "host".to_owned(),
            Self::Outside(addresses) if addresses.is_all() => "outside".to_owned(),
            Self::Outside(addresses) => format!("outside {addresses}"),
        }
    }

    /// It stands for pods.
    pub fn is_workload(&self) -> bool {
        matches!(self, Self::Workload(..))
    }

    /// Its namespace, or what stands for one.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Workload(namespace, _) => namespace,
            Self::Host => "host",
            Self::Outside(_) => "outside",
        }
    }
}

/// On which ports one node reaches another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reach {
    /// Every pod of the one reaches every pod of the other.
    pub all: PortSet,
    /// Only some pods do.
    pub some: PortSet,
    /// It cannot be decided.
    pub unknown: PortSet,
}

impl Reach {
    /// Nothing is, or may be, allowed.
    pub fn is_none(&self) -> bool {
        self.all.is_empty() && self.some.is_empty() && self.unknown.is_empty()
    }

    /// Everything that may be allowed for somebody.
    pub fn any(&self) -> PortSet {
        self.all.union(&self.some)
    }

    /// As it is shown.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if !self.all.is_empty() {
            parts.push(self.all.to_string());
        }
        if !self.some.is_empty() {
            parts.push(format!("{} (some pods)", self.some));
        }
        if !self.unknown.is_empty() {
            parts.push(format!("{} (unknown)", self.unknown));
        }
        if parts.is_empty() {
            "no port".to_owned()
        } else {
            parts.join("; ")
        }
    }
}

/// The answer for one source: runs of destinations with the same reach, ascending, none of them empty.
pub type Row = Vec<(u32, u32, u32)>;

/// Everything.
#[derive(Debug)]
pub struct Matrix {
    /// The nodes, ordered: workloads by name, then the host network, then the outside.
    pub nodes: Vec<Node>,
    /// The distinct values.
    pub reaches: Vec<Reach>,
    rows: Vec<Arc<Row>>,
}

impl Matrix {
    /// Asks the engine about everything.
    pub fn new(state: &State, session: &Session) -> Self {
        let policies = state.engine_policies();
        let cluster = Cluster::of(&state.pods, state.engine(&policies));
        let members = members(state, &cluster);
        rows::build(&cluster, members, session)
    }

    /// The runs of a source; equal ones are shared, so that sources alike are cheap to tell.
    pub fn runs(&self, source: usize) -> &Arc<Row> {
        &self.rows[source]
    }

    /// Where each node is.
    pub fn index(&self) -> HashMap<&Node, usize> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node, at))
            .collect()
    }
}

/// What the engine numbers as one end, or as one for each address family.
type Member = (EndId, Option<EndId>);

/// The nodes with the members that make them up.
fn members(state: &State, cluster: &Cluster<'_>) -> Vec<(Node, Vec<Member>)> {
    let ends = cluster.ends();
    let mut workloads: BTreeMap<Node, Vec<Member>> = BTreeMap::new();
    for (at, placed) in state.placed.iter().enumerate() {
        let Some(end) = ends.of_pod(at).filter(|_| placed.pod.state != PodState::Finished) else {
            continue;
        };
        let node = Node::Workload(placed.pod.namespace.clone(), placed.workload.clone());
        let members = workloads.entry(node).or_default();
        let member = (end, ends.second_of_pod(at));
        if !members.contains(&member) {
            members.push(member);
        }
    }
    let mut all: Vec<(Node, Vec<Member>)> = workloads.into_iter().collect();
    all.push((Node::Host, vec![(ends.host(), None)]));
    for end in ends.host() + 1..ends.len() {
        if let What::Outside(addresses) = ends.what(end) {
            all.push((Node::Outside(addresses), vec![(end, None)]));
        }
    }
    all
}
