//! Graphs for graphviz and mermaid, by workload or by namespace.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::ValueEnum;

use super::select::Selection;
use super::{Matrix, Reach};

/// How fine a graph is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Granularity {
    /// A node is a workload.
    #[default]
    Workload,
    /// A node is a namespace.
    Namespace,
}

/// Namespace and name of a node.
type Key = (String, String);

/// Nodes and edges of a graph.
pub struct Graph {
    /// Namespace and name of each node.
    pub nodes: Vec<(String, String)>,
    /// Source, destination, ports.
    pub edges: Vec<(usize, usize, String)>,
}

impl Graph {
    /// The graph of what is shown; nothing's connections with itself are left out.
    pub fn new(matrix: &Matrix, selection: &Selection, by: Granularity) -> Self {
        let key = |at: usize| {
            let node = &matrix.nodes[at];
            let namespace = node.namespace().to_owned();
            match by {
                Granularity::Workload => (namespace, node.name()),
                Granularity::Namespace => (namespace.clone(), namespace),
            }
        };
        let shown = |at: &usize| selection.sources[*at] || selection.destinations[*at];
        let keys: BTreeSet<Key> = (0..matrix.nodes.len()).filter(shown).map(key).collect();
        let nodes: Vec<Key> = keys.into_iter().collect();
        let place = |at: usize| nodes.binary_search(&key(at)).unwrap_or_default();
        let places: Vec<usize> = (0..matrix.nodes.len()).map(place).collect();
        // Values by number first: there are millions of pairs, and few values.
        let mut found: BTreeSet<(usize, usize, u32)> = BTreeSet::new();
        let mut last = None;
        for (from, to, value) in selection.pairs(&matrix.nodes, &matrix.rows) {
            let edge = (places[from], places[to], value);
            if edge.0 != edge.1 && last.replace(edge) != Some(edge) {
                found.insert(edge);
            }
        }
        let mut edges: Vec<(usize, usize, String)> = Vec::new();
        let found: Vec<(usize, usize, u32)> = found.into_iter().collect();
        for group in found.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let mut reach = Reach::default();
            for (.., value) in group {
                let of = &matrix.reaches[*value as usize];
                reach.all = reach.all.union(&of.any());
                reach.unknown = reach.unknown.union(&of.unknown);
            }
            reach.unknown = reach.unknown.subtract(&reach.all);
            edges.push((group[0].0, group[0].1, reach.text()));
        }
        Self { nodes, edges }
    }

    /// For graphviz.
    pub fn dot(&self) -> String {
        let mut out = String::from("digraph connectivity {\n  rankdir=LR;\n  node [shape=box];\n");
        self.clusters(|at, namespace, members| {
            let _ = writeln!(
                out,
                "  subgraph cluster_{at} {{\n    label={};",
                quoted(namespace)
            );
            for (id, name) in members {
                let _ = writeln!(out, "    n{id} [label={}];", quoted(name));
            }
            out.push_str("  }\n");
        });
        for (from, to, ports) in &self.edges {
            let _ = writeln!(out, "  n{from} -> n{to} [label={}];", quoted(ports));
        }
        out.push_str("}\n");
        out
    }

    /// For mermaid.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        self.clusters(|at, namespace, members| {
            let _ = writeln!(out, "  subgraph s{at}[{}]", mermaid_text(namespace));
            for (id, name) in members {
                let _ = writeln!(out, "    n{id}[{}]", mermaid_text(name));
            }
            out.push_str("  end\n");
        });
        for (from, to, ports) in &self.edges {
            let _ = writeln!(out, "  n{from} -->|{}| n{to}", mermaid_text(ports));
        }
        out
    }

    fn clusters(&self, mut each: impl FnMut(usize, &str, &[(usize, &str)])) {
        let numbered: Vec<(usize, &(String, String))> = self.nodes.iter().enumerate().collect();
        for (at, group) in numbered.chunk_by(|a, b| a.1.0 == b.1.0).enumerate() {
            let members: Vec<(usize, &str)> =
                group.iter().map(|(id, (_, name))| (*id, name.as_str())).collect();
            each(at, &group[0].1.0, &members);
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn mermaid_text(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "#quot;"))
}
