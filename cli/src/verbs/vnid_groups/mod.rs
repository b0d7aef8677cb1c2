//! `vnid-groups`: which namespaces have to share a virtual network where namespaces are isolated as a whole
//! (openshift-sdn in Multitenant mode), derived from what servers declare about their clients.

mod absence;
mod derive;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::derive::Declared;
use crate::input::{self, FromArgs};
use crate::inventory;
use crate::look::{Look, LookArgs};
use crate::output::table::{Cell, Style, Table};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `vnid-groups`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "In Multitenant mode nothing finer than whole namespaces can be said, so a namespace joins\n  \
    default        when any namespace may reach one of its servers, or it may reach arbitrary namespaces;\n  \
    control-plane  when it and other such namespaces are each other's servers and clients.\n\
    Host traffic reaches every namespace there, so clients on the host network join nobody, nor do clients outside: a server \
    that admits everybody counts for the default group where its namespace is declared UserFacing.\n\
    --expect compares with a file (default: [NAMES], controlPlane: [NAMES]) or with the NetNamespaces of the cluster \
    (ids 0 and 1).\n\
    Exit codes: 0, 1 when the lists differ from what is expected, 2 failure."
)]
pub struct VnidGroupsArgs {
    /// Lists to compare with: a file, or "cluster"
    #[arg(long, value_name = "FILE|cluster")]
    pub expect: Option<String>,
    /// A client of servers in this many other namespaces counts as reaching arbitrary ones
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub arbitrary: usize,
    /// Derive from the catalog alone, without a cluster and without files
    #[arg(long, conflicts_with = "files")]
    pub catalog_only: bool,
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: FromArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Formats of `vnid-groups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Text,
    /// JSON.
    Json,
    /// YAML, in the form that --expect reads.
    Yaml,
}

/// Both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lists {
    /// Group 0.
    #[serde(default)]
    pub default: BTreeSet<String>,
    /// Group 1.
    #[serde(default)]
    pub control_plane: BTreeSet<String>,
}

/// A namespace in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// `default` or `control-plane`.
    pub group: &'static str,
    /// The namespace.
    pub namespace: String,
    /// Why.
    pub because: Vec<String>,
}

/// Derives and compares.
pub async fn run(args: &VnidGroupsArgs, session: &Session) -> Result<Outcome> {
    let objects = if args.catalog_only {
        Vec::new()
    } else {
        input::read(&args.from, session).await?.objects
    };
    let mut look = Look::of(&objects, &args.look)?;
    let declared = Declared::new(&mut look);
    let members = derive::members(&declared, args.arbitrary);
    let differences = match &args.expect {
        Some(word) => {
            let why =
                |name: &str, group: &str| absence::why(name, group, &members, &declared, look.catalog());
            differences(&members, &expected(word, session).await?, why)
        }
        None => Vec::new(),
    };
    session.print(&match args.output {
        Format::Text => table(&members, session.colored()),
        Format::Json => output::json(&json!({"members": members, "differences": differences}))?,
        Format::Yaml => output::yaml(&lists(&members))?,
    })?;
    for difference in &differences {
        session.note(difference);
    }
    Ok(if differences.is_empty() {
        Outcome::Success
    } else {
        Outcome::Findings
    })
}

fn lists(members: &[Member]) -> Lists {
    let of = |group| {
        members
            .iter()
            .filter(|m| m.group == group)
            .map(|m| m.namespace.clone())
            .collect()
    };
    Lists {
        default: of(derive::DEFAULT),
        control_plane: of(derive::CONTROL_PLANE),
    }
}

async fn expected(word: &str, session: &Session) -> Result<Lists> {
    if word != "cluster" {
        let path = PathBuf::from(word);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {word}"))?;
        return bulkhead_api::yaml::from_str(&text).with_context(|| word.to_owned());
    }
    let kind = GroupVersionKind::gvk("network.openshift.io", "v1", "NetNamespace");
    let resource = ApiResource::from_gvk_with_plural(&kind, "netnamespaces");
    let api: Api<DynamicObject> = Api::all_with(session.client().await?, &resource);
    let found = match inventory::list(&api, ListParams::default()).await {
        Ok(found) => found,
        Err(error) if crate::errors::absent(&error).is_some() => {
            bail!("the cluster has no NetNamespaces: only openshift-sdn has")
        }
        Err(error) => return Err(anyhow::Error::from(error).context("cannot list NetNamespaces")),
    };
    let of = |id: u64| {
        let holders = found.iter().filter(move |n| n.data["netid"].as_u64() == Some(id));
        holders
            .filter_map(|n| n.data["netname"].as_str().map(str::to_owned))
            .collect()
    };
    Ok(Lists {
        default: of(0),
        control_plane: of(1),
    })
}

/// What is derived and not expected, and the other way round.
fn differences(members: &[Member], expected: &Lists, absent: impl Fn(&str, &str) -> String) -> Vec<String> {
    let derived = lists(members);
    let mut all = Vec::new();
    let groups = [
        (derive::DEFAULT, &derived.default, &expected.default),
        (
            derive::CONTROL_PLANE,
            &derived.control_plane,
            &expected.control_plane,
        ),
    ];
    for (group, derived, expected) in groups {
        for name in derived.difference(expected) {
            let why = members.iter().find(|m| m.namespace == *name && m.group == group);
            let why = why.map(|m| m.because.join("; ")).unwrap_or_default();
            all.push(format!("{name} is missing in {group}: {why}"));
        }
        for name in expected.difference(derived) {
            let why = absent(name, group);
            all.push(format!("{name} is superfluous in {group}: {why}"));
        }
    }
    all
}

fn table(members: &[Member], colored: bool) -> String {
    let mut table = Table::new(&["NAMESPACE", "GROUP", "BECAUSE"], colored);
    for member in members {
        let style = if member.group == derive::DEFAULT {
            Style::Attention
        } else {
            Style::Plain
        };
        table.row(vec![
            member.namespace.as_str().into(),
            Cell::styled(member.group, style),
            bulkhead_controllers::plan::list(&member.because).into(),
        ]);
    }
    table.render()
}
