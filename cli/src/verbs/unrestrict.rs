//! `unrestrict`: the emergency opening, and its end.

use anyhow::{Result, bail};
use bulkhead_api::SystemIsolation;
use bulkhead_api::vocabulary::CLUSTER;
use clap::Args;
use serde_json::json;

use crate::args::{DryRun, ObjectFormat, WriteArgs};
use crate::open::{self, Hold, How, Opened};
use crate::session::Session;
use crate::{Outcome, errors, inventory, write};

/// Arguments of `unrestrict`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Works with a dead operator: it stores the hold first, which keeps a living operator from \
    closing anything, and then writes an allow-all into every system namespace, and every namespace of an operand bundle, by itself."
)]
pub struct UnrestrictArgs {
    /// Why: shown to the next administrator
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "kubectl bulkhead unrestrict",
        conflicts_with = "release"
    )]
    pub reason: String,
    /// End the emergency: remove the hold, so that the operator follows the mode again
    #[arg(long)]
    pub release: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
}

/// Opens everything, or ends that.
pub async fn run(args: &UnrestrictArgs, session: &Session) -> Result<Outcome> {
    if args
        .write
        .output
        .as_ref()
        .is_some_and(|format| *format != ObjectFormat::Name)
    {
        bail!("only -o name is offered here: nothing may delay an emergency");
    }
    let client = session.client().await?;
    if args.release {
        return release(&client, args, session).await;
    }
    let opened = open_everything(&client, &args.reason, args.write.dry_run, session).await?;
    if args.write.dry_run == DryRun::None {
        session.note(&format!(
            "Everything stays open, whatever the mode says, until {} unrestrict --release",
            session.program
        ));
    }
    check(&opened)?;
    Ok(Outcome::Success)
}

/// Hold first, then every namespace at once; prints each write as it happens.
pub async fn open_everything(
    client: &kube::Client,
    reason: &str,
    dry_run: DryRun,
    session: &Session,
) -> Result<Vec<Opened>> {
    let hold = open::set_hold(client, reason, dry_run).await;
    let on_policy = match &hold {
        Hold::Stored(written) => {
            session.print(&write::line(written, dry_run))?;
            false
        }
        Hold::OnEachPolicy(why) => {
            session.warn(&format!(
                "the hold cannot be stored on systemisolation/{CLUSTER} ({why}): each policy carries it instead"
            ));
            true
        }
    };
    let (targets, gap) = inventory::targets(client).await?;
    if let Some(gap) = gap {
        session.warn(&format!(
            "adopted namespaces are unknown ({gap}): only openshift-* ones are opened"
        ));
    }
    if targets.is_empty() {
        session.note("There are no system namespaces.");
    }
    let mut all = open::open_all(client, targets, on_policy, dry_run, |opened| {
        tell(opened, dry_run, session)
    })
    .await?;
    match open::open_bundles(client, on_policy, dry_run).await {
        Ok(bundles) => {
            for opened in bundles {
                tell(&opened, dry_run, session)?;
                all.push(opened);
            }
        }
        Err(gap) => session.warn(&format!(
            "namespaces of operand bundles are unknown ({gap:#}): none of them is opened"
        )),
    }
    Ok(all)
}

fn tell(opened: &Opened, dry_run: DryRun, session: &Session) -> Result<()> {
    let note = write::dry_run_note(dry_run);
    match &opened.result {
        Ok(allow) if allow.how == How::Terminating => session.print(&format!(
            "namespace/{} {}{note}",
            opened.namespace,
            allow.how.text()
        )),
        Ok(allow) => session.print(&format!(
            "networkpolicy.networking.k8s.io/{} {} in namespace {}{note}",
            allow.name,
            allow.how.text(),
            opened.namespace
        )),
        Err(why) => {
            session.warn(&format!("namespace {} is NOT opened: {why}", opened.namespace));
            Ok(())
        }
    }
}

/// Fails, naming them, if namespaces were not opened.
pub fn check(opened: &[Opened]) -> Result<()> {
    let failed: Vec<&str> = opened
        .iter()
        .filter(|o| o.result.is_err())
        .map(|o| o.namespace.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} namespaces were not opened: {}",
        failed.len(),
        opened.len(),
        failed.join(", ")
    )
}

async fn release(client: &kube::Client, args: &UnrestrictArgs, session: &Session) -> Result<Outcome> {
    let dry_run = args.write.dry_run;
    let note = write::dry_run_note(dry_run);
    // Each allow-all's own hold goes first: as long as the central one stands, nothing closes half-way.
    let mut failed = Vec::new();
    for (policy, result) in open::drop_annotations(client, dry_run).await? {
        match result {
            Ok(()) => session.print(&format!("networkpolicy {policy}: hold removed{note}"))?,
            Err(why) => failed.push(format!("{policy} ({why})")),
        }
    }
    if !failed.is_empty() {
        bail!(
            "the hold stays: it could not be removed from {}",
            failed.join(", ")
        );
    }
    match inventory::system_isolation(client).await {
        Ok(Some(object)) if object.spec.hold.is_some() => {
            let patch = json!({"spec": {"hold": null}});
            let written = write::upsert::<SystemIsolation>(client, CLUSTER, &patch, dry_run).await;
            let written = inventory::served::<SystemIsolation, _>(written)?;
            write::tell(session, &[written], &args.write)?;
        }
        Ok(_) => session.note("No hold is set."),
        Err(error) if errors::absent(&error).is_some() => session.note("No hold is set."),
        Err(error) => return inventory::served::<SystemIsolation, _>(Err(error)),
    }
    if dry_run == DryRun::None {
        session.note(&format!(
            "The operator follows the mode again; what that closes shows {} mode and {0} status -w",
            session.program
        ));
    }
    Ok(Outcome::Success)
}
