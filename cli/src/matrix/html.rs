//! One page that needs nothing else: a matrix to search in, and a graph of namespaces.

use serde_json::json;

use super::graph::{Granularity, Graph};
use super::select::Selection;
use super::{Matrix, Node};

/// The page around the data.
const PAGE: &str = include_str!("page.html");

/// The page. `title` says what was looked at.
pub fn page(matrix: &Matrix, selection: &Selection, title: &str) -> String {
    let graph = Graph::new(matrix, selection, Granularity::Namespace);
    let row = |at: usize| {
        let runs = matrix.runs(at).iter();
        runs.map(|(first, last, value)| json!([first, last, value]))
            .collect::<Vec<_>>()
    };
    let kind = |node: &Node| match node {
        Node::Workload(..) => "workload",
        Node::Host => "host",
        Node::Outside(_) => "outside",
    };
    // Rows that are alike are stored once.
    let mut known: std::collections::HashMap<*const super::Row, usize> = std::collections::HashMap::new();
    let mut rows = Vec::new();
    let mut row_of = Vec::with_capacity(matrix.nodes.len());
    for at in 0..matrix.nodes.len() {
        let id = *known
            .entry(std::sync::Arc::as_ptr(matrix.runs(at)))
            .or_insert_with(|| {
                rows.push(row(at));
                rows.len() - 1
            });
        row_of.push(id);
    }
    let data = json!({
        "title": title,
        "nodes": matrix.nodes.iter().map(|n| json!([n.namespace(), n.name(), kind(n)])).collect::<Vec<_>>(),
        "values": matrix.reaches.iter().map(super::Reach::text).collect::<Vec<_>>(),
        "partly": matrix.reaches.iter().map(|r| !(r.some.is_empty() && r.unknown.is_empty())).collect::<Vec<_>>(),
        "rows": rows,
        "rowOf": row_of,
        "sources": selection.sources,
        "destinations": selection.destinations,
        "graph": {"nodes": graph.nodes.iter().map(|(name, _)| name).collect::<Vec<_>>(), "edges": graph.edges},
    });
    // Inside a script element nothing may look like its end, or like a comment.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replacen("/*DATA*/null", &data, 1)
}
