//! `upgrade-check`: whether a change of what servers declare breaks anything while only some have it.

mod mix;
mod release;
mod sample;
mod skew;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bulkhead_api::Catalog;
use clap::Args;
use serde_json::json;

use self::release::Release;
use self::skew::Broken;
use crate::args::{RecursiveArgs, ReportArgs, ReportFormat};
use crate::input::{documents, files, object};
use crate::look::{Look, LookArgs};
use crate::output::table::{Cell, Style, Table};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `upgrade-check`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A release is a catalog (a directory with catalog.yaml), manifests with SystemNetworkPolicies, which extend \
    the built-in catalog, or \"builtin\".\n\
    Judged are all four states of an upgrade for each server and client, server old or new and client old or new, in any \
    order and on both sides: the policies that let in, the egress policies that let out (as if egress were isolated), the \
    pods whose labels they select, and the labels of namespaces. A flow is named when a state that needs it denies it.\n\
    A safe change takes three releases: admit the new beside the old; change the client; drop the old (--gone tells that \
    nobody uses it any more).\n\
    Exit codes: 0 every order works, 1 some order breaks a flow, 2 failure."
)]
pub struct UpgradeCheckArgs {
    /// The release before
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The release after
    #[arg(value_name = "NEW")]
    pub new: String,
    /// A client of the old release that is known to be gone, named as in the CLIENT column; may be repeated
    #[arg(long, value_name = "CLIENT")]
    pub gone: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub depth: RecursiveArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub report: ReportArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Checks.
pub fn run(args: &UpgradeCheckArgs, session: &Session) -> Result<Outcome> {
    let old = release(&args.old, args)?;
    let new = release(&args.new, args)?;
    let mut found = skew::broken(&old, &new);
    found.retain(|b| !args.gone.contains(&b.client));
    let breaking = found.iter().filter(|b| !b.new).count();
    session.print(&match args.report.output {
        ReportFormat::Text => text(&found, session.colored()),
        ReportFormat::Json => output::json(&json!({"broken": found}))?,
    })?;
    session.note(&format!(
        "{} namespaces before, {} after: {breaking} flows break in some order, {} are new",
        old.sets.len(),
        new.sets.len(),
        found.len() - breaking
    ));
    Ok(if breaking == 0 {
        Outcome::Success
    } else {
        Outcome::Findings
    })
}

fn release(word: &str, args: &UpgradeCheckArgs) -> Result<Release> {
    let path = Path::new(word);
    let mut look_args = LookArgs {
        catalog_dir: None,
        ..args.look.clone()
    };
    let mut objects = Vec::new();
    if path.join("catalog.yaml").is_file() {
        look_args.catalog_dir = Some(path.to_owned());
    } else if word != "builtin" {
        look_args.catalog_dir.clone_from(&args.look.catalog_dir);
        for file in files::expand(&[path.to_owned()], args.depth.recursive)? {
            let read = files::read(&file)?;
            if let Some(fault) = read.faults.first() {
                anyhow::bail!("{fault}");
            }
            objects.extend(read.objects);
        }
        let declares = |o: &object::Object| o.kind == object::Kind::SystemNetworkPolicy;
        if !objects.iter().any(declares) {
            anyhow::bail!("{word} is no catalog and holds no SystemNetworkPolicy");
        }
        declare_namespaces(&mut objects);
    }
    let mut look = Look::of(&objects, &look_args).with_context(|| word.to_owned())?;
    // What policies can select is a matter of the plugin, not of the release.
    let platform = look.cluster.platform.clone();
    let sets: BTreeMap<Arc<str>, _> = look.sets().into_iter().collect();
    let labels = look.labels();
    let catalog: Catalog = look.catalog().clone();
    Ok(Release::new(sets, labels, catalog, platform))
}

/// Declarations count only where there is a namespace.
fn declare_namespaces(objects: &mut Vec<object::Object>) {
    let mut names: Vec<Arc<str>> = objects
        .iter()
        .map(|o| o.namespace.clone())
        .filter(|n| !n.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let known = objects
            .iter()
            .any(|o| o.kind == object::Kind::Namespace && o.name == name);
        if !known {
            let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
            let read = documents::parse("<assumed>", &text);
            objects.extend(read.objects);
        }
    }
}

fn text(found: &[Broken], colored: bool) -> String {
    let (new, breaking): (Vec<&Broken>, Vec<&Broken>) = found.iter().partition(|b| b.new);
    let mut out = String::new();
    if breaking.is_empty() {
        out.push_str("Every order of upgrading servers and clients keeps every flow that works before.\n");
    } else {
        out.push_str(&table(&breaking, colored));
        out.push_str("\nOne step at a time instead:\n");
        out.push_str(&remedies(&breaking));
    }
    if !new.is_empty() {
        out.push_str("\nNew flows, which work once the policies have arrived:\n");
        out.push_str(&table(&new, colored));
        out.push_str(&remedies(&new));
    }
    out
}

fn table(found: &[&Broken], colored: bool) -> String {
    let headers = ["SERVER", "CLIENT", "PORTS", "SIDE", "DENIED-WHILE", "CHANGE"];
    let mut table = Table::new(&headers, colored);
    for broken in found {
        let style = if broken.new { Style::Attention } else { Style::Bad };
        table.row(vec![
            broken.server.as_str().into(),
            broken.client.as_str().into(),
            broken.ports.as_str().into(),
            broken.side.into(),
            Cell::styled(broken.state.as_str(), style),
            broken.change.as_str().into(),
        ]);
    }
    table.render()
}

fn remedies(found: &[&Broken]) -> String {
    let mut remedies: Vec<String> = found.iter().map(|b| format!("- {}\n", b.remedy)).collect();
    remedies.sort_unstable();
    remedies.dedup();
    remedies.concat()
}
