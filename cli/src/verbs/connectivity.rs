//! `connectivity`: who reaches whom, all pairs of workloads.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::Outcome;
use crate::input::{self, InputArgs};
use crate::matrix::graph::{Granularity, Graph};
use crate::matrix::select::SelectArgs;
use crate::matrix::{Matrix, export, html, text};
use crate::output::table::Table;
use crate::session::Session;

/// Arguments of `connectivity`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "\"some pods\" means that pods of one workload differ; \"unknown\" that it cannot be decided, for \
    example because an address is not known.\n\
    In text, NAMESPACE/* stands for all workloads of a namespace and * for all workloads."
)]
pub struct ConnectivityArgs {
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// With dot and mermaid: what a node is
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub by: Granularity,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub select: SelectArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

/// Formats of `connectivity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table in which sources and destinations that are alike share a line.
    #[default]
    Text,
    /// Every pair as JSON.
    Json,
    /// Every pair as comma-separated values.
    Csv,
    /// A table for documents.
    Markdown,
    /// A graph for graphviz.
    Dot,
    /// A graph for mermaid.
    Mermaid,
    /// One page with a matrix to search in and a graph of namespaces.
    Html,
}

/// Shows.
pub async fn run(args: &ConnectivityArgs, session: &Session) -> Result<Outcome> {
    let state = input::state(&args.input, session).await?;
    let matrix = Matrix::new(&state, session);
    let selection = args.select.select(&matrix)?;
    let graph = || Graph::new(&matrix, &selection, args.by);
    let text = match args.output {
        Format::Text => {
            let mut table = Table::new(&["SOURCE", "DESTINATION", "PORTS"], session.colored());
            for line in text::lines(&matrix, &selection) {
                table.row(line.map(Into::into).to_vec());
            }
            table.render()
        }
        Format::Json => {
            session.write(|out| export::json(&matrix, &selection, out))?;
            return Ok(Outcome::Success);
        }
        Format::Csv => {
            session.write(|out| export::csv(&matrix, &selection, out))?;
            return Ok(Outcome::Success);
        }
        Format::Markdown => export::markdown(&matrix, &selection),
        Format::Dot => graph().dot(),
        Format::Mermaid => graph().mermaid(),
        Format::Html => html::page(&matrix, &selection, "Who reaches whom"),
    };
    session.print(&text)?;
    Ok(Outcome::Success)
}
