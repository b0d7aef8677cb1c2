//! `diff`: which connections two states differ in.

use std::fmt::Write as _;
use std::io;

use anyhow::{Result, bail};
use bulkhead_policy::PortSet;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::Outcome;
use crate::input::{self, InputArgs, ReadingArgs, State, states};
use crate::matrix::compare::{Change, Comparison, compare};
use crate::matrix::export::{lines, markdown_cell, ports_cell, quoted};
use crate::matrix::select::Selection;
use crate::matrix::{Matrix, Node, text};
use crate::output::table::{Cell, Style, Table};
use crate::session::Session;

/// Arguments of `diff`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A state is a file or directory, \"cluster\", context:NAME, or git:REVISION[:PATH].\n\
    diff old/ new/                     two directories\n\
    diff git:main:deploy deploy/       a revision and the working tree\n\
    diff context:blue context:green    two clusters\n\
    diff --mode Restricted             what the switch would change, before anybody flips it\n\
    Exit codes: 0 nothing differs, 1 something does, 2 failure."
)]
pub struct DiffArgs {
    /// The state before
    #[arg(requires = "after", conflicts_with_all = ["files", "mode"])]
    pub before: Option<String>,
    /// The state after
    pub after: Option<String>,
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

/// Formats of `diff`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Workloads that change alike share a line.
    #[default]
    Text,
    /// Every pair as JSON.
    Json,
    /// Every pair as comma-separated values.
    Csv,
    /// A table for comments on changes.
    Markdown,
}

/// Compares.
pub async fn run(args: &DiffArgs, session: &Session) -> Result<Outcome> {
    let (before, after) = both(args, session).await?;
    let found = compare(&Matrix::new(&before, session), &Matrix::new(&after, session));
    match args.output {
        Format::Text => session.print(&in_text(&found, session.colored())),
        Format::Json => session.write(|out| in_json(&found, out)),
        Format::Csv => session.write(|out| in_csv(&found, out)),
        Format::Markdown => session.print(&in_markdown(&found)),
    }?;
    for (what, names) in [("only before", &found.removed), ("only after", &found.added)] {
        if !names.is_empty() {
            session.note(&format!(
                "{} workloads {what}: {}",
                names.len(),
                bulkhead_controllers::plan::list(names)
            ));
        }
    }
    let count = |of: fn(&Change) -> bool| found.changes().filter(|(_, _, change)| of(change)).count();
    let (lost, gained) = (count(|c| !c.lost.is_empty()), count(|c| !c.gained.is_empty()));
    session.note(&format!(
        "{lost} pairs of workloads lose connections, {gained} gain some"
    ));
    let same = found.is_empty() && found.added.is_empty() && found.removed.is_empty();
    Ok(if same { Outcome::Success } else { Outcome::Findings })
}

async fn both(args: &DiffArgs, session: &Session) -> Result<(State, State)> {
    let input = &args.input;
    let understand =
        |read, reading: &ReadingArgs| input::understand(read, reading, input.from.strict, session);
    if let (Some(before), Some(after)) = (&args.before, &args.after) {
        let before = understand(states::read(before, &input.from, session).await?, &input.reading)?;
        let after = understand(states::read(after, &input.from, session).await?, &input.reading)?;
        return Ok((before, after));
    }
    if input.reading.mode.is_none() {
        bail!("name two states, or a --mode to suppose");
    }
    let read = input::read(&input.from, session).await?;
    let stored = ReadingArgs {
        mode: None,
        isolation: None,
        as_stored: true,
        ..input.reading.clone()
    };
    let before = input::quietly(read.clone(), &stored, session)?;
    Ok((before, understand(read, &input.reading)?))
}

type Row = (&'static str, String, String, String);

/// Lost and gained connections, grouped.
fn rows(found: &Comparison) -> Vec<Row> {
    let selection = Selection::all(&found.nodes);
    let of = |word: &'static str, ports: fn(&Change) -> &PortSet| {
        let meaning =
            |value: u32| Some(ports(&found.values[value as usize])).filter(|ports| !ports.is_empty());
        let lines = text::grouped(&found.nodes, &found.rows, &selection, meaning);
        lines
            .into_iter()
            .map(move |(from, to, ports)| (word, from, to, ports.to_string()))
    };
    of("Lost", |c| &c.lost)
        .chain(of("Gained", |c| &c.gained))
        .collect()
}

fn in_text(found: &Comparison, colored: bool) -> String {
    let rows = rows(found);
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["CHANGE", "SOURCE", "DESTINATION", "PORTS"], colored);
    for (word, from, to, ports) in rows {
        let style = if word == "Lost" { Style::Bad } else { Style::Good };
        table.row(vec![
            Cell::styled(word, style),
            from.into(),
            to.into(),
            ports.into(),
        ]);
    }
    table.render()
}

fn in_markdown(found: &Comparison) -> String {
    let mut out = String::from("| Change | Source | Destination | Ports |\n|---|---|---|---|\n");
    for (word, from, to, ports) in rows(found) {
        let _ = writeln!(
            out,
            "| {word} | {} | {} | {ports} |",
            markdown_cell(&from),
            markdown_cell(&to)
        );
    }
    out
}

fn in_csv(found: &Comparison, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "source,destination,lost,gained")?;
    let names: Vec<String> = found.nodes.iter().map(|node| quoted(&node.name())).collect();
    for (from, to, change) in found.changes() {
        let ports = [&change.lost, &change.gained].map(ports_cell).join(",");
        writeln!(out, "{},{},{ports}", names[from], names[to])?;
    }
    Ok(())
}

fn in_json(found: &Comparison, out: &mut dyn io::Write) -> io::Result<()> {
    let names: Vec<String> = found.nodes.iter().map(Node::name).collect();
    let ports = |set: &PortSet| (!set.is_empty()).then(|| set.to_string());
    let change = |(from, to, change): (usize, usize, &Change)| {
        json!({"source": names[from], "destination": names[to], "lost": ports(&change.lost), "gained": ports(&change.gained)})
            .to_string()
    };
    write!(out, "{{\n\"changes\": ")?;
    lines(out, found.changes().map(change))?;
    let (added, removed) = (json!(found.added), json!(found.removed));
    writeln!(out, ",\n\"added\": {added},\n\"removed\": {removed}\n}}")
}
