//! `plan`: the ordered steps of a mode switch, with the effect of each.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::mode::{IsolationName, ModeName};
use crate::args::{NamespacesArgs, SettleArgs};
use crate::input::{self, FromArgs};
use crate::look::{Look, LookArgs};
use crate::output::table::{Cell, Style, Table};
use crate::rehearsal::{self, Done, Transition};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `plan`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The steps are those of the operator's own planner, played to the end on what is read; nothing is written.\n\
    What pods will look like later is not known, so the operator looks again before every step that takes something \
    away."
)]
pub struct PlanArgs {
    /// The mode that would be set
    #[arg(value_enum, ignore_case = true, required_unless_present = "unset")]
    pub mode: Option<ModeName>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub only: NamespacesArgs,
    /// Plan for the mode being removed: the platform decides
    #[arg(long, conflicts_with = "mode")]
    pub unset: bool,
    /// Directions that Restricted isolates [default: as configured, else Ingress]
    #[arg(long, value_enum, ignore_case = true)]
    pub isolation: Option<IsolationName>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settle: SettleArgs,
    /// Format; wide names every connection that a step takes away or adds
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: FromArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Formats of `plan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Text,
    /// A table with every connection.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Plans.
pub async fn run(args: &PlanArgs, session: &Session) -> Result<Outcome> {
    let read = input::read(&args.from, session).await?;
    for fault in &read.faults {
        session.warn(&fault.to_string());
    }
    let mut look = Look::of(&read.objects, &args.look)?;
    look.suppose(args.mode.map(Into::into), args.isolation.map(Into::into));
    look.settle(args.settle.settle_time);
    let asked = args.only.asked(&session.globals);
    let transitions = transitions(&mut look, &asked, session);
    if let Some(missing) = asked
        .iter()
        .find(|a| !transitions.iter().any(|t| *t.namespace == ***a))
    {
        bail!("{missing} is no system namespace");
    }
    session.print(&match args.output {
        Format::Text => table(&transitions, false, session.colored()),
        Format::Wide => table(&transitions, true, session.colored()),
        Format::Json => output::json(&transitions)?,
        Format::Yaml => output::yaml(&transitions)?,
    })?;
    session.note(&summary(&transitions));
    Ok(Outcome::Success)
}

fn transitions(look: &mut Look, asked: &[String], session: &Session) -> Vec<Transition> {
    let names: Vec<Arc<str>> = look.names();
    let progress = session.progress("planning", names.len());
    let mut all = Vec::new();
    for name in names {
        progress.step();
        let wanted = asked.is_empty() || asked.iter().any(|a| **a == *name);
        let Some(input) = look.input(&name).filter(|_| wanted) else {
            continue;
        };
        if crate::preview::planned(&input).is_some() {
            all.push(rehearsal::play(input));
        }
    }
    all
}

fn table(transitions: &[Transition], wide: bool, colored: bool) -> String {
    let mut table = Table::new(&["NAMESPACE", "STEP", "AFTER", "EFFECT", "WHAT"], colored);
    for transition in transitions {
        for (at, done) in transition.steps.iter().enumerate() {
            table.row(vec![
                transition.namespace.to_string().into(),
                (at + 1).to_string().into(),
                format!("{}s", done.after).into(),
                effect(done),
                what(done).into(),
            ]);
            for (word, changes) in [("loses", &done.lost), ("gains", &done.gained)] {
                for change in changes.iter().filter(|_| wide) {
                    let detail = format!("{word} {change}");
                    table.row(vec![
                        transition.namespace.to_string().into(),
                        "".into(),
                        "".into(),
                        "".into(),
                        detail.into(),
                    ]);
                }
            }
        }
        let rest = transition
            .blocked
            .as_ref()
            .map(|why| format!("{}, {why}", transition.state));
        if let Some(rest) = rest {
            let cell = Cell::styled(rest, Style::Bad);
            table.row(vec![
                transition.namespace.to_string().into(),
                "".into(),
                "".into(),
                "".into(),
                cell,
            ]);
        }
    }
    if transitions
        .iter()
        .all(|t| t.steps.is_empty() && t.blocked.is_none())
    {
        String::new()
    } else {
        table.render()
    }
}

fn effect(done: &Done) -> Cell {
    match done.effect {
        Some(word @ "Contract") => Cell::styled(word, Style::Attention),
        Some(word) => word.into(),
        None => "".into(),
    }
}

fn what(done: &Done) -> String {
    let mut text = done.what.clone();
    for (word, changes) in [("loses", &done.lost), ("gains", &done.gained)] {
        text = match changes.as_slice() {
            [] => text,
            [only] => format!("{text}; {word} {only}"),
            [first, rest @ ..] => format!("{text}; {word} {first} and {} more", rest.len()),
        };
    }
    text
}

fn summary(transitions: &[Transition]) -> String {
    let steps: usize = transitions.iter().map(|t| t.steps.len()).sum();
    let blocked = transitions.iter().filter(|t| t.blocked.is_some()).count();
    let longest = transitions
        .iter()
        .filter_map(|t| t.steps.last())
        .map(|d| d.after)
        .max()
        .unwrap_or_default();
    format!(
        "{} system namespaces, {steps} steps, {blocked} blocked, {longest}s of waiting at the longest",
        transitions.len()
    )
}
