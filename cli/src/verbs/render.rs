//! `render`: plain manifests for kubectl alone.

use std::sync::Arc;

use anyhow::{Result, bail};
use bulkhead_api::switch::Isolation;
use bulkhead_api::vocabulary::{ALLOW_ALL, is_forbidden_name};
use bulkhead_controllers::apply::policies::body;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::mode::IsolationName;
use crate::look::{Look, LookArgs};
use crate::policies::allow_all;
use crate::session::Session;
use crate::{Outcome, inventory, output};

/// Arguments of `render`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "render allow-all: the policy that opens a namespace, with the emergency hold, for every \
    system namespace or for those named (then no cluster is needed).\n\
    render NAMESPACE: the restrictive set of a namespace, as the operator would write it.\n\
    render operand NAME: the policies of an operand bundle (ztwim, cert-manager, external-secrets), on the cluster or, \
    with -f, for the objects in files alone: the bundle's own, the operand's, workloads, pods."
)]
pub struct RenderArgs {
    /// "allow-all", "operand", or the namespace whose restrictive set is wanted
    #[arg(value_name = "allow-all|operand|NAMESPACE")]
    pub what: String,
    /// Namespaces for allow-all, names of bundles for operand
    pub namespaces: Vec<String>,
    /// Files or directories with the objects that an operand's bundle is made from; no cluster is asked
    #[arg(short, long, value_name = "FILE")]
    pub filename: Vec<std::path::PathBuf>,
    /// Directions that the set isolates [default: as the cluster is configured]
    #[arg(long, value_enum, ignore_case = true)]
    pub isolation: Option<IsolationName>,
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Formats of `render`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A YAML stream.
    #[default]
    Yaml,
    /// A List as JSON.
    Json,
}

/// How to apply what is rendered so that a living operator takes it for its own.
const APPLY: &str = "# kubectl apply --server-side --force-conflicts --field-manager=bulkhead -f FILE\n";

/// Renders.
pub async fn run(args: &RenderArgs, session: &Session) -> Result<Outcome> {
    let (comment, objects) = if args.what == "allow-all" {
        (
            "# Opens namespaces in both directions; the hold keeps a living operator from closing them.\n",
            opening(args, session).await?,
        )
    } else if args.what == "operand" {
        (
            "# Policies of operand bundles, in the order of writing. Several isolate the same pods, so an allow-all has \
             to stand while they are written.\n",
            super::operands::rendered(args, session).await?,
        )
    } else if !args.filename.is_empty() {
        bail!("-f belongs to render operand");
    } else if args.namespaces.is_empty() {
        (
            "# A restrictive set. Unless an allow-all stands since everybody saw it, this cuts connections while it \
             is written.\n",
            restrictive(args, session).await?,
        )
    } else {
        bail!("one namespace at a time: its restrictive set is long enough");
    };
    session.print(&match args.output {
        Format::Yaml => format!("{comment}{APPLY}{}", stream(&objects)?),
        Format::Json => output::json(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))?,
    })?;
    Ok(Outcome::Success)
}

async fn opening(args: &RenderArgs, session: &Session) -> Result<Vec<Value>> {
    let mut names = args.namespaces.clone();
    names.extend(session.globals.in_namespace.clone());
    if let Some(name) = names.iter().find(|name| is_forbidden_name(name)) {
        bail!("{name} can never be a system namespace: default and kube-* are left alone");
    }
    if names.is_empty() {
        let (targets, gap) = inventory::targets(&session.client().await?).await?;
        if let Some(gap) = gap {
            session.warn(&format!(
                "adopted namespaces are unknown ({gap}): only openshift-* ones are rendered"
            ));
        }
        names = targets
            .into_iter()
            .filter(|t| !t.terminating)
            .map(|t| t.name)
            .collect();
    }
    Ok(names
        .iter()
        .map(|name| allow_all(name, ALLOW_ALL, true, None))
        .collect())
}

async fn restrictive(args: &RenderArgs, session: &Session) -> Result<Vec<Value>> {
    let mut look = Look::take(&session.client().await?, &args.look, session).await?;
    let name: Arc<str> = args.what.as_str().into();
    let Some(expected) = look.expected(&name) else {
        bail!("namespace {name} does not exist")
    };
    let Some(ingress) = &expected.ingress else {
        bail!("nobody declared which servers {name} has: create a SystemNetworkPolicy in it");
    };
    for rejected in &expected.rejected {
        session.warn(rejected);
    }
    if ingress.port_only {
        session.warn("rules for host traffic admit every source: the network plugin cannot select nodes");
    }
    let isolation = args
        .isolation
        .map_or(look.cluster.config.applied.isolation, Into::into);
    let egress = expected
        .egress
        .iter()
        .filter(|_| isolation == Isolation::IngressAndEgress);
    let targets = std::iter::once(ingress)
        .chain(egress)
        .flat_map(|rendered| &rendered.targets);
    let sequence = look.catalog().header.sequence;
    Ok(targets
        .map(|target| body(&name, target, None, None, sequence))
        .collect())
}

fn stream(objects: &[Value]) -> Result<String> {
    let texts = objects.iter().map(output::yaml).collect::<Result<Vec<_>>>()?;
    Ok(texts.join("---\n"))
}
