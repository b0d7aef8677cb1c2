//! `prepare-downgrade`: opens everything, and proves it, before an older version or none takes over.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use bulkhead_controllers::plan::{Input, View, list};
use bulkhead_policy::{Direction, Rule};
use clap::Args;

use super::unrestrict;
use crate::args::DryRun;
use crate::bundles;
use crate::inventory;
use crate::look::{Look, LookArgs};
use crate::session::Session;
use crate::{Outcome, args::WriteArgs};

/// Arguments of `prepare-downgrade`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Sets the emergency hold, opens every system namespace (new and overridden ones included) and every namespace of an operand bundle, then \
    evaluates the stored policies: it fails, naming them, if pods stay closed."
)]
pub struct PrepareDowngradeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Opens and proves.
pub async fn run(args: &PrepareDowngradeArgs, session: &Session) -> Result<Outcome> {
    if args.write.output.is_some() {
        bail!("-o is not offered here: each write is told as it happens");
    }
    let client = session.client().await?;
    let reason = format!("{} prepare-downgrade", session.program);
    let opened = unrestrict::open_everything(&client, &reason, args.write.dry_run, session).await?;
    unrestrict::check(&opened)?;
    if args.write.dry_run != DryRun::None {
        session.note("Nothing was written, so nothing was verified.");
        return Ok(Outcome::Success);
    }
    let mut look = Look::take(&client, &args.look, session).await?;
    let (targets, _) = inventory::targets(&client).await?;
    let mut closed = Vec::new();
    let mut pods = 0;
    let system = targets.iter().filter(|t| !t.terminating).map(|t| t.name.clone());
    let bundled = bundles::standing(&client)
        .await?
        .into_iter()
        .map(|(_, name)| name);
    let names: BTreeSet<String> = system.chain(bundled).collect();
    for name in &names {
        let Some(input) = look.input(&name.as_str().into()) else {
            continue;
        };
        pods += input.pods.iter().filter(|m| m.counts()).count();
        closed.extend(still_closed(&input));
    }
    if !closed.is_empty() {
        for line in &closed {
            session.print(line)?;
        }
        bail!("{} namespaces are not open: do not downgrade", closed.len());
    }
    session.note(&format!(
        "Verified: {} namespaces are open in both directions for every pod ({pods} kinds of pods). The hold keeps them \
         open; nothing that is removed now closes anything.",
        names.len()
    ));
    Ok(Outcome::Success)
}

/// What keeps pods of a namespace from being open in both directions, in one line.
pub fn still_closed(input: &Input) -> Option<String> {
    let view = View::new(input);
    let everything = [Rule::default()];
    let mut closed = Vec::new();
    for direction in Direction::ALL {
        for member in input.pods.iter().filter(|m| m.counts()) {
            let missing = view
                .window
                .missing(&input.cluster.world, &member.pod, direction, &everything);
            if !missing.is_empty() {
                closed.push(format!("{} ({direction})", member.pod.name));
            }
        }
    }
    (!closed.is_empty()).then(|| format!("namespace {} is closed for {}", input.name, list(&closed)))
}
