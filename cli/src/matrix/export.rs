//! For programs: every pair by itself.

use std::fmt::Write as _;
use std::io::{self, Write};

use bulkhead_policy::{PortSet, Protocol};
use serde_json::{Value, json};

use super::select::Selection;
use super::{Matrix, Node, Reach, text};

/// Comma-separated values with a header (RFC 4180). Written as they are found: there may be millions of pairs.
pub fn csv(matrix: &Matrix, selection: &Selection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "source,destination,ports,somePods,unknown")?;
    let names: Vec<String> = matrix.nodes.iter().map(|node| quoted(&node.name())).collect();
    let cells = |reach: &Reach| {
        [&reach.all, &reach.some, &reach.unknown]
            .map(ports_cell)
            .join(",")
    };
    let values: Vec<String> = matrix.reaches.iter().map(cells).collect();
    for (from, to, value) in selection.pairs(&matrix.nodes, &matrix.rows) {
        writeln!(out, "{},{},{}", names[from], names[to], values[value as usize])?;
    }
    Ok(())
}

/// Ports as a cell of a CSV file, empty for none.
pub fn ports_cell(set: &PortSet) -> String {
    if set.is_empty() {
        String::new()
    } else {
        quoted(&set.to_string())
    }
}

/// A cell of a CSV file.
pub fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

/// Nodes, and pairs of them, a line each. Written as they are found.
pub fn json(matrix: &Matrix, selection: &Selection, out: &mut dyn Write) -> io::Result<()> {
    let nodes: Vec<Value> = matrix.nodes.iter().map(node).collect();
    write!(out, "{{\n\"nodes\": ")?;
    lines(out, nodes.iter().map(Value::to_string))?;
    write!(out, ",\n\"connections\": ")?;
    let names: Vec<String> = matrix
        .nodes
        .iter()
        .map(|node| json!(node.name()).to_string())
        .collect();
    let values: Vec<String> = matrix.reaches.iter().map(reach).collect();
    let pairs = selection.pairs(&matrix.nodes, &matrix.rows);
    let pair = |(from, to, value): (usize, usize, u32)| {
        let (from, to, reach) = (&names[from], &names[to], &values[value as usize]);
        format!("{{\"source\":{from},\"destination\":{to},{reach}}}")
    };
    lines(out, pairs.map(pair))?;
    writeln!(out, "\n}}")
}

/// An array with a line for each item.
pub fn lines(out: &mut dyn Write, items: impl Iterator<Item = String>) -> io::Result<()> {
    let mut between = "[";
    for item in items {
        write!(out, "{between}\n  {item}")?;
        between = ",";
    }
    write!(out, "{}", if between == "[" { "[]" } else { "\n]" })
}

/// The fields of a value.
fn reach(reach: &Reach) -> String {
    let ports = |set: &PortSet| -> Value {
        let range = |(protocol, first, last): (Protocol, u16, u16)| json!({"protocol": protocol.as_str(), "port": first, "endPort": last});
        set.ranges().map(range).collect()
    };
    let mut fields = format!("\"ports\":{}", ports(&reach.all));
    for (name, set) in [("somePods", &reach.some), ("unknown", &reach.unknown)] {
        if !set.is_empty() {
            let _ = write!(fields, ",\"{name}\":{}", ports(set));
        }
    }
    fields
}

fn node(node: &Node) -> Value {
    match node {
        Node::Workload(namespace, workload) => {
            json!({"name": node.name(), "namespace": &**namespace, "workload": &**workload})
        }
        Node::Host => json!({"name": node.name(), "host": true}),
        Node::Outside(addresses) => json!({"name": node.name(), "addresses": addresses.to_string()}),
    }
}

/// A table for documents and comments on changes.
pub fn markdown(matrix: &Matrix, selection: &Selection) -> String {
    let mut out = String::from("| Source | Destination | Ports |\n|---|---|---|\n");
    for line in text::lines(matrix, selection) {
        let _ = writeln!(out, "| {} |", line.map(|cell| markdown_cell(&cell)).join(" | "));
    }
    out
}

/// Text in a cell of a Markdown table.
pub fn markdown_cell(cell: &str) -> String {
    cell.replace('|', "\\|").replace('*', "\\*")
}
