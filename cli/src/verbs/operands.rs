//! `operands`: the bundles of operators that are not part of the platform.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use bulkhead_api::operand::{
    Enforcement, Operand, OperandNetworkPolicy, OperandNetworkPolicySpec, OperandNetworkPolicyStatus,
    PolicyState,
};
use bulkhead_api::vocabulary::condition;
use bulkhead_controllers::apply::policies::{body, labelled};
use bulkhead_controllers::operands::Bundle;
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::render::RenderArgs;
use super::status::Format;
use crate::input::files;
use crate::look::Look;
use crate::output::table::{Cell, Style, Table, age};
use crate::session::Session;
use crate::{Outcome, inventory, output};

const NARROW: &[&str] = &[
    "NAME",
    "ENFORCEMENT",
    "ACTIVE",
    "REASON",
    "POLICIES",
    "WARNINGS",
    "AGE",
];
const WIDE: &[&str] = &[
    "NAME",
    "ENFORCEMENT",
    "ACTIVE",
    "REASON",
    "POLICIES",
    "WARNINGS",
    "CONFLICT",
    "PROGRESSING",
    "NAMESPACES",
    "AGE",
];

/// Arguments of `operands`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Without a name: one line for each bundle. With names: also every policy and component of these \
    bundles. Warnings and conflicts are told in full, with what to do."
)]
pub struct OperandsArgs {
    /// Only these bundles: ztwim, cert-manager, external-secrets
    pub names: Vec<String>,
    /// Another format
    #[arg(short, long, value_name = "wide|json|yaml|name|jsonpath=TEMPLATE")]
    pub output: Option<Format>,
}

/// Shows bundles.
pub async fn run(args: &OperandsArgs, session: &Session) -> Result<Outcome> {
    let client = session.client().await?;
    for name in &args.names {
        named(name)?;
    }
    if let Some(Format::Objects(format)) = &args.output {
        return objects(&client, args, format, session).await;
    }
    let all: Vec<OperandNetworkPolicy> = inventory::served::<OperandNetworkPolicy, _>(
        inventory::list(&Api::all(client.clone()), ListParams::default()).await,
    )?;
    for name in &args.names {
        if !all.iter().any(|b| b.name_any() == *name) {
            bail!("there is no operandnetworkpolicy {name}: kubectl apply -f manifests/operands/{name}.yaml");
        }
    }
    let chosen = |b: &&OperandNetworkPolicy| args.names.is_empty() || args.names.contains(&b.name_any());
    let shown: Vec<&OperandNetworkPolicy> = all.iter().filter(chosen).collect();
    let wide = args.output == Some(Format::Wide);
    let mut table = Table::new(if wide { WIDE } else { NARROW }, session.colored());
    for bundle in &shown {
        table.row(cells(bundle, wide));
    }
    if shown.is_empty() {
        session.note("There are no bundles: kubectl apply -k manifests/operands");
    } else {
        session.print(&table.render())?;
    }
    if !args.names.is_empty() {
        session.print(&details(&shown, session.colored()))?;
    }
    for bundle in shown {
        tell(bundle, session);
    }
    leftovers(&client, &all, session).await?;
    Ok(Outcome::Success)
}

fn named(name: &str) -> Result<Operand> {
    let names = Operand::ALL.map(Operand::object_name).join(", ");
    Operand::named(name).with_context(|| format!("there is no bundle {name}: use one of {names}"))
}

async fn objects(
    client: &Client,
    args: &OperandsArgs,
    format: &crate::args::ObjectFormat,
    session: &Session,
) -> Result<Outcome> {
    let kind = ApiResource::erase::<OperandNetworkPolicy>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let listed = inventory::list(&api, ListParams::default()).await;
    let mut all = inventory::served::<OperandNetworkPolicy, _>(listed)?;
    all.retain(|b| args.names.is_empty() || args.names.contains(&b.name_any()));
    session.print(&output::objects(&all, format, args.names.len() != 1)?)?;
    Ok(Outcome::Success)
}

fn status_of(bundle: &OperandNetworkPolicy) -> OperandNetworkPolicyStatus {
    bundle.status.clone().unwrap_or_default()
}

fn find<'a>(status: &'a OperandNetworkPolicyStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
}

fn cells(bundle: &OperandNetworkPolicy, wide: bool) -> Vec<Cell> {
    let status = status_of(bundle);
    let of = |kind: &str| find(&status, kind).map_or_else(|| "Unknown".into(), |c| c.status.clone());
    let active = find(&status, condition::ACTIVE);
    let current = status.observed_generation == bundle.metadata.generation;
    let reason = match active {
        Some(c) if current => c.reason.clone(),
        Some(_) => "StatusBehind".into(),
        None => "NoStatus".into(),
    };
    let standing = |p: &&bulkhead_api::operand::OperandPolicy| {
        matches!(p.state, PolicyState::Stored | PolicyState::ProvidedBy)
    };
    let count = status.policies.iter().filter(standing).count();
    let style = match active.map(|c| c.status.as_str()) {
        Some("True") if current => Style::Good,
        _ if matches!(reason.as_str(), "OperandNotFound" | "Audit" | "Applying") => Style::Attention,
        _ => Style::Bad,
    };
    let warnings = status.warnings.len();
    let mut cells: Vec<Cell> = vec![
        bundle.name_any().into(),
        format!("{:?}", bundle.spec.enforcement.unwrap_or(Enforcement::Enforce)).into(),
        Cell::styled(of(condition::ACTIVE), style),
        Cell::styled(reason, style),
        format!("{count}/{}", status.policies.len()).into(),
        Cell::styled(
            warnings.to_string(),
            if warnings > 0 {
                Style::Attention
            } else {
                Style::Plain
            },
        ),
    ];
    if wide {
        let conflict = of(condition::CONFLICT);
        let bad = conflict == "True";
        cells.push(Cell::styled(
            conflict,
            if bad { Style::Bad } else { Style::Plain },
        ));
        cells.push(of(condition::PROGRESSING).into());
        cells.push(status.namespaces.join(",").into());
    }
    let born = bundle.metadata.creation_timestamp.as_ref();
    let seconds = born.map_or(0, |t| Timestamp::now().as_second() - t.0.as_second());
    cells.push(age(seconds).into());
    cells
}

/// Policies and components of bundles.
fn details(bundles: &[&OperandNetworkPolicy], colored: bool) -> String {
    let mut policies = Table::new(
        &["BUNDLE", "NAMESPACE", "POLICY", "STATE", "COMPONENT", "OWNER"],
        colored,
    );
    let mut components = Table::new(&["BUNDLE", "NAMESPACE", "COMPONENT", "STATE"], colored);
    for bundle in bundles {
        let status = status_of(bundle);
        for p in &status.policies {
            let style = match p.state {
                PolicyState::Stored | PolicyState::ProvidedBy => Style::Good,
                PolicyState::Pending | PolicyState::Audited => Style::Attention,
                PolicyState::Conflict => Style::Bad,
            };
            policies.row(vec![
                bundle.name_any().into(),
                p.namespace.clone().into(),
                p.name.clone().into(),
                Cell::styled(format!("{:?}", p.state), style),
                p.component.clone().unwrap_or_default().into(),
                p.owner.clone().unwrap_or_default().into(),
            ]);
        }
        for c in &status.components {
            components.row(vec![
                bundle.name_any().into(),
                c.namespace.clone().into(),
                c.name.clone().into(),
                format!("{:?}", c.state).into(),
            ]);
        }
    }
    format!("\n{}\n{}", policies.render(), components.render())
}

/// Warnings and conflicts in full.
fn tell(bundle: &OperandNetworkPolicy, session: &Session) {
    let (name, status) = (bundle.name_any(), status_of(bundle));
    for warning in &status.warnings {
        session.warn(&format!("{name}: {}: {}", warning.reason, warning.message));
    }
    for kind in [condition::CONFLICT, condition::DEGRADED] {
        if let Some(found) = find(&status, kind).filter(|c| c.status == "True") {
            session.warn(&format!("{name}: {kind}: {}", found.message));
        }
    }
}

/// Policies of bundles whose object was deleted: the operator removes them when it runs.
async fn leftovers(client: &Client, known: &[OperandNetworkPolicy], session: &Session) -> Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (operand, _) in crate::bundles::standing(client).await? {
        let name = operand.object_name();
        if !known.iter().any(|b| b.name_any() == name) {
            *counts.entry(name).or_default() += 1;
        }
    }
    for (name, namespaces) in counts {
        session.note(&format!(
            "{name} was deleted; its policies still stand in {namespaces} namespaces until the operator has removed them"
        ));
    }
    Ok(())
}

/// The manifests of bundles, from the cluster or from files alone.
pub async fn rendered(args: &RenderArgs, session: &Session) -> Result<Vec<Value>> {
    let Some(first) = args.namespaces.first() else {
        let names = Operand::ALL.map(Operand::object_name).join(", ");
        bail!("name a bundle: {names}");
    };
    named(first)?;
    let look = if args.filename.is_empty() {
        Look::take_with_operands(&session.client().await?, &args.look, session).await?
    } else {
        Look::of_manifests(&manifests(&args.filename)?, &args.look)?
    };
    let mut all = Vec::new();
    for name in &args.namespaces {
        let operand = named(name)?;
        let decided = look.bundles();
        let bundle = match decided.bundles.get(&operand) {
            Some(bundle) => (**bundle).clone(),
            None => decided.sources.bundle(&OperandNetworkPolicySpec::of(operand)),
        };
        if !bundle.active {
            bail!(
                "nothing tells that the operand of {name} is there: it needs an object of its operator, a workload or \
                 a pod"
            );
        }
        for warning in &bundle.warnings {
            session.warn(&format!("{name}: {}: {}", warning.reason, warning.message));
        }
        all.extend(bodies(&bundle, look.catalog().header.sequence));
    }
    Ok(all)
}

fn bodies(bundle: &Bundle, sequence: u32) -> Vec<Value> {
    let one = |policy: &bulkhead_controllers::operands::BundlePolicy| {
        let target = policy.target();
        labelled(
            body(&policy.policy.namespace, &target, None, None, sequence),
            Some(bundle.operand),
        )
    };
    bundle.policies.iter().map(one).collect()
}

/// Every document of the files, lists taken apart.
fn manifests(paths: &[std::path::PathBuf]) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for path in files::expand(paths, false)? {
        let text = files::text(&path)?;
        let documents = bulkhead_api::yaml::documents(&text);
        for document in documents.with_context(|| format!("{} cannot be read", path.display()))? {
            match document["items"].as_array() {
                Some(items) => all.extend(items.iter().cloned()),
                None => all.push(document),
            }
        }
    }
    Ok(all)
}
