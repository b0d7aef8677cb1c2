//! `mode`: shows or sets the mode of all system namespaces.

use std::time::Duration;

use anyhow::Result;
use bulkhead_api::SystemNamespace;
use bulkhead_api::isolation::AppliedConfig;
use bulkhead_api::namespace::SystemNamespaceSpec;
use bulkhead_api::switch::{Isolation, Mode};
use clap::{Args, ValueEnum};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::wait;
use crate::args::{DryRun, ObjectFormat, UnchangedArgs, WriteArgs, parse_duration};
use crate::carrier::{self, Carriers, Target};
use crate::look::{Look, LookArgs};
use crate::output::{self, table::Table};
use crate::preview::{Effect, Row};
use crate::session::Session;
use crate::{Outcome, inventory, preview, write};

/// Arguments of `mode`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Without a mode: shows it, and the object that carries it.\n\
    With --dry-run: lists what each namespace would do: closes, stays open and why, or blocked by which pod.")]
pub struct ModeArgs {
    /// The mode to set
    #[arg(value_enum, ignore_case = true, conflicts_with = "unset")]
    pub mode: Option<ModeName>,
    /// Remove the mode: the platform decides
    #[arg(long)]
    pub unset: bool,
    /// Directions that Restricted isolates [default: as set before, else the platform's choice]
    #[arg(long, value_enum, ignore_case = true, requires = "mode")]
    pub isolation: Option<IsolationName>,
    /// Wait until the operator has applied the mode everywhere it can
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most; 0 waits for ever
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration, requires = "wait")]
    pub timeout: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub unchanged: UnchangedArgs,
    #[command(
        flatten,
        next_help_heading = "For the preview of namespaces that the operator has not reported on"
    )]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Modes on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum ModeName {
    /// Every system namespace carries a policy that allows everything
    Unrestricted,
    /// Only what the owners of the servers declared is allowed
    Restricted,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Unrestricted => Self::Unrestricted,
            ModeName::Restricted => Self::Restricted,
        }
    }
}

/// Isolations on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum IsolationName {
    /// Incoming connections only
    Ingress,
    /// Incoming and outgoing connections
    IngressAndEgress,
}

impl From<IsolationName> for Isolation {
    fn from(name: IsolationName) -> Self {
        match name {
            IsolationName::Ingress => Self::Ingress,
            IsolationName::IngressAndEgress => Self::IngressAndEgress,
        }
    }
}

/// Shows or sets the mode.
pub async fn run(args: &ModeArgs, session: &Session) -> Result<Outcome> {
    let client = session.client().await?;
    let carriers = carrier::read(&client).await?;
    let target = match (args.mode, args.unset) {
        (Some(ModeName::Unrestricted), _) if args.isolation.is_some() => {
            anyhow::bail!("--isolation belongs to Restricted: Unrestricted isolates nothing")
        }
        (Some(mode), _) => Target::Mode(mode.into(), args.isolation.map(Into::into)),
        (None, true) => Target::Unset,
        (None, false) if args.write.dry_run != DryRun::None => {
            anyhow::bail!("--dry-run previews a change: name a mode or --unset")
        }
        (None, false) if args.wait => {
            wait::until_applied(&client, session, &Goal::standing(&carriers), args.timeout).await?;
            return Ok(Outcome::Success);
        }
        (None, false) => return show(&carriers, args, session),
    };
    let written = carrier::write(&client, &carriers, target, args.write.dry_run).await?;
    write::tell(session, &written, &args.write)?;
    if let Some(hold) = carriers.hold() {
        session.warn(&format!(
            "the emergency hold is set ({hold}): every system namespace stays open until {} unrestrict --release",
            session.program
        ));
    }
    if args.write.dry_run != DryRun::None {
        return show_preview(&client, &carriers, target, args, session).await;
    }
    if args.wait {
        let goal = Goal::of(&written, target, &carriers);
        wait::until_applied(&client, session, &goal, args.timeout).await?;
    }
    Ok(write::outcome(&written, args.unchanged))
}

async fn show_preview(
    client: &kube::Client,
    carriers: &Carriers,
    target: Target,
    args: &ModeArgs,
    session: &Session,
) -> Result<Outcome> {
    // With -o the object is the result; a table behind it would spoil it.
    if args.write.output.is_some() {
        return Ok(Outcome::Success);
    }
    let mode = match target {
        Target::Mode(mode, _) => Some(mode),
        Target::Unset => None,
    };
    let namespaces = inventory::served::<SystemNamespace, _>(inventory::system_namespaces(client).await)?;
    let existing = inventory::system_targets(&inventory::namespaces(client).await?, &namespaces);
    let namespaces = with_unreported(namespaces, existing);
    let mut rows = preview::rows(mode, carriers.hold(), &namespaces);
    if rows.iter().any(|row| row.effect == Effect::Unknown) {
        judge_unreported(&mut rows, client, target, args, session).await?;
    }
    if !rows.is_empty() {
        session.print(&preview::table(&rows, session.colored()))?;
    }
    session.note(&preview::summary(&rows));
    Ok(Outcome::Success)
}

/// Replaces what the operator has not reported by what it would plan.
async fn judge_unreported(
    rows: &mut [Row],
    client: &kube::Client,
    target: Target,
    args: &ModeArgs,
    session: &Session,
) -> Result<()> {
    let mut look = Look::take(client, &args.look, session).await?;
    match target {
        Target::Mode(mode, isolation) => look.suppose(Some(mode), isolation),
        Target::Unset => look.suppose(None, None),
    }
    for row in rows.iter_mut().filter(|row| row.effect == Effect::Unknown) {
        if let Some(planned) = look
            .input(&row.namespace.as_str().into())
            .as_ref()
            .and_then(preview::planned)
        {
            *row = planned;
        }
    }
    Ok(())
}

/// Adds the system namespaces that the operator has not met yet.
fn with_unreported(
    mut namespaces: Vec<SystemNamespace>,
    existing: Vec<inventory::Target>,
) -> Vec<SystemNamespace> {
    let known: Vec<String> = namespaces.iter().map(ResourceExt::name_any).collect();
    let unmet = existing
        .into_iter()
        .filter(|t| !t.terminating && !known.contains(&t.name));
    namespaces.extend(unmet.map(|t| SystemNamespace::new(&t.name, SystemNamespaceSpec::default())));
    namespaces
}

/// What `--wait` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// The mode that must be applied; `None`: none.
    pub mode: Option<Mode>,
    /// Kind of the carrier and the least generation that must have been observed.
    pub carrier: Option<(&'static str, i64)>,
    /// The least generation of `SystemIsolation` that the status must speak of.
    pub isolation_generation: i64,
}

impl Goal {
    fn standing(carriers: &Carriers) -> Self {
        let in_force = carriers.in_force();
        Self {
            mode: in_force
                .and_then(|(_, reading)| reading.switch.as_ref())
                .map(|s| s.mode),
            carrier: in_force.map(|(carrier, reading)| (carrier.kind(), reading.generation)),
            isolation_generation: carriers.isolation.generation,
        }
    }

    fn of(written: &[write::Written], target: Target, carriers: &Carriers) -> Self {
        let generation = |kind: &str| {
            let of_kind = |w: &&write::Written| w.object.types.as_ref().is_some_and(|t| t.kind == kind);
            written.iter().find(of_kind).map(write::Written::generation)
        };
        let isolation = generation("SystemIsolation").unwrap_or(carriers.isolation.generation);
        match target {
            Target::Unset => Self {
                mode: None,
                carrier: None,
                isolation_generation: isolation,
            },
            Target::Mode(mode, _) => {
                let kind = carriers.chosen.kind();
                let carrier = Some((kind, generation(kind).unwrap_or_default()));
                Self {
                    mode: Some(mode),
                    carrier,
                    isolation_generation: isolation,
                }
            }
        }
    }
}

fn show(carriers: &Carriers, args: &ModeArgs, session: &Session) -> Result<Outcome> {
    let view = View::of(carriers);
    match &args.write.output {
        Some(ObjectFormat::Json) => session.print(&output::json(&view.value())?)?,
        Some(ObjectFormat::Yaml) => session.print(&output::yaml(&view.value())?)?,
        Some(ObjectFormat::Name) => session.print(view.carrier)?,
        Some(ObjectFormat::JsonPath(template)) => session.print(&output::filled(template, &view.value())?)?,
        None => {
            let mut table = Table::new(&["MODE", "ISOLATION", "APPLIED", "CARRIER"], session.colored());
            table.row(vec![
                view.mode.into(),
                view.isolation.into(),
                view.applied.into(),
                view.carrier.into(),
            ]);
            session.print(&table.render())?;
        }
    }
    if let Some(conflict) = carriers.conflict() {
        session.warn(&conflict);
    }
    if let Some(hold) = carriers.hold() {
        session.warn(&format!(
            "the emergency hold is set ({hold}): every system namespace is open"
        ));
    }
    Ok(Outcome::Success)
}

struct View<'a> {
    mode: String,
    isolation: String,
    applied: String,
    carrier: &'static str,
    hold: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(carriers: &'a Carriers) -> Self {
        let in_force = carriers.in_force();
        let switch = in_force.and_then(|(_, reading)| reading.switch.as_ref());
        let invalid = in_force.and_then(|(_, reading)| reading.invalid.as_deref());
        let isolation = switch.filter(|s| s.mode == Mode::Restricted).map(|s| {
            let set = s.restricted.as_ref().and_then(|r| r.isolation);
            format!("{:?}", set.unwrap_or_default())
        });
        let status = carriers.object.as_ref().and_then(|o| o.status.as_ref());
        let applied = match status {
            None => "<unknown>".to_owned(),
            Some(status) => mode_of(status.applied.as_ref()),
        };
        Self {
            mode: match (switch, invalid) {
                (Some(switch), _) => format!("{:?}", switch.mode),
                (None, Some(value)) => format!("<invalid:{value}>"),
                (None, None) => "<unset>".to_owned(),
            },
            isolation: isolation.unwrap_or_default(),
            applied,
            carrier: in_force.map_or(carriers.chosen, |(carrier, _)| carrier).object(),
            hold: carriers.hold(),
        }
    }

    fn value(&self) -> Value {
        let given = |text: &str| match text {
            "" | "<unset>" | "<unknown>" => Value::Null,
            text => Value::String(text.to_owned()),
        };
        json!({
            "mode": given(&self.mode),
            "isolation": given(&self.isolation),
            "applied": given(&self.applied),
            "carrier": self.carrier,
            "hold": self.hold,
        })
    }
}

fn mode_of(applied: Option<&AppliedConfig>) -> String {
    applied
        .and_then(|a| a.mode)
        .map_or_else(|| "<unset>".to_owned(), |mode| format!("{mode:?}"))
}
