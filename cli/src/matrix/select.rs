//! Which pairs are shown.

use std::sync::Arc;

use clap::Args;

use super::{Matrix, Node, Row};

/// Narrows what is shown.
#[derive(Clone, Debug, Default, Args)]
pub struct SelectArgs {
    /// Only connections from here: a namespace, NAMESPACE/KIND/NAME, host or outside; may be repeated
    #[arg(long, value_name = "NAME")]
    pub from: Vec<String>,
    /// Only connections to here; as --from
    #[arg(long, value_name = "NAME")]
    pub to: Vec<String>,
}

/// Sources and destinations that are shown.
pub struct Selection {
    /// By node index.
    pub sources: Vec<bool>,
    /// By node index.
    pub destinations: Vec<bool>,
}

impl SelectArgs {
    /// Finds the nodes, or says which name fits none.
    pub fn select(&self, matrix: &Matrix) -> anyhow::Result<Selection> {
        Ok(Selection {
            sources: chosen(&self.from, matrix)?,
            destinations: chosen(&self.to, matrix)?,
        })
    }
}

fn chosen(names: &[String], matrix: &Matrix) -> anyhow::Result<Vec<bool>> {
    let fits = |name: &String, node: &Node| node.namespace() == name || node.name() == *name;
    for name in names {
        if !matrix.nodes.iter().any(|node| fits(name, node)) {
            anyhow::bail!("no namespace and no workload is called '{name}'");
        }
    }
    let all = names.is_empty();
    Ok(matrix
        .nodes
        .iter()
        .map(|node| all || names.iter().any(|name| fits(name, node)))
        .collect())
}

impl Selection {
    /// Everything.
    pub fn all(nodes: &[Node]) -> Self {
        Self {
            sources: vec![true; nodes.len()],
            destinations: vec![true; nodes.len()],
        }
    }

    /// The runs of a row that are shown. What neither begins nor ends at a pod is nobody's question.
    pub fn runs<'r>(
        &'r self,
        nodes: &'r [Node],
        source: usize,
        row: &'r Row,
    ) -> impl Iterator<Item = (u32, u32, u32)> + 'r {
        let from_pod = nodes[source].is_workload();
        let shown = move |to: u32| {
            let to = to as usize;
            self.destinations[to] && (from_pod || nodes[to].is_workload())
        };
        row.iter().flat_map(move |&(first, last, value)| {
            let mut next = first;
            std::iter::from_fn(move || {
                let begin = (next..=last).find(|to| shown(*to))?;
                let end = (begin..=last).take_while(|to| shown(*to)).last()?;
                next = end + 1;
                Some((begin, end, value))
            })
        })
    }

    /// Every connection that is shown, with its value.
    pub fn pairs<'m>(
        &'m self,
        nodes: &'m [Node],
        rows: &'m [Arc<Row>],
    ) -> impl Iterator<Item = (usize, usize, u32)> + 'm {
        let sources = (0..nodes.len()).filter(|from| self.sources[*from]);
        sources.flat_map(move |from| {
            let runs = self.runs(nodes, from, &rows[from]);
            runs.flat_map(move |(first, last, value)| {
                (first..=last).map(move |to| (from, to as usize, value))
            })
        })
    }
}
