//! `status`: the state of system namespaces.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use bulkhead_api::isolation::SystemIsolation;
use bulkhead_api::namespace::{EffectiveMode, SystemNamespace};
use bulkhead_api::switch::Mode;
use bulkhead_api::vocabulary::{CLUSTER, condition};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};

use crate::args::{NamespacesArgs, ObjectFormat};
use crate::errors::{self, Absent};
use crate::output::table::{Cell, Style, Table, age};
use crate::session::Session;
use crate::{Outcome, inventory, output};

const NARROW: &[&str] = &[
    "NAME",
    "DESIRED",
    "EFFECTIVE",
    "STATE",
    "REASON",
    "OVERRIDE",
    "AGE",
];
const WIDE: &[&str] = &[
    "NAME",
    "DESIRED",
    "EFFECTIVE",
    "STATE",
    "REASON",
    "OVERRIDE",
    "FOREIGN",
    "LABELED",
    "COVERED",
    "AGE",
    "MESSAGE",
];

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub only: NamespacesArgs,
    /// Another format; json and yaml also hold the SystemIsolation
    #[arg(short, long, value_name = "wide|json|yaml|name|jsonpath=TEMPLATE")]
    pub output: Option<Format>,
    /// Keep watching and print what changes
    #[arg(short, long)]
    pub watch: bool,
}

/// Formats of `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// More columns.
    Wide,
    /// The objects themselves.
    Objects(ObjectFormat),
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "wide" {
            return Ok(Self::Wide);
        }
        text.parse()
            .map(Self::Objects)
            .map_err(|_| format!("'{text}' is none of wide, json, yaml, name, jsonpath=TEMPLATE"))
    }
}

/// Shows the state.
pub async fn run(args: &StatusArgs, session: &Session) -> Result<Outcome> {
    let client = session.client().await?;
    let mut asked = args.only.asked(&session.globals);
    asked.dedup();
    let wide = args.output == Some(Format::Wide);
    if let Some(Format::Objects(format)) = &args.output {
        if args.watch {
            bail!("-w prints a table: combine it with no format or with -o wide");
        }
        return show_objects(&client, &asked, format, session).await;
    }
    let (cluster, namespaces) = read(&client).await?;
    let shown = chosen(&asked, namespaces)?;
    let mut table = Table::new(if wide { WIDE } else { NARROW }, session.colored());
    for namespace in &shown {
        table.row(cells(namespace, wide, Timestamp::now()));
    }
    if !shown.is_empty() {
        session.print(&table.render())?;
    }
    if args.watch {
        return watch(&client, &asked, &table, &shown, wide, session).await;
    }
    session.note(&closing_words(cluster.as_ref(), &shown, &session.program));
    Ok(Outcome::Success)
}

async fn read(client: &Client) -> Result<(Option<SystemIsolation>, Vec<SystemNamespace>)> {
    let namespaces = inventory::served::<SystemNamespace, _>(inventory::system_namespaces(client).await)?;
    let cluster = match inventory::system_isolation(client).await {
        Err(error) if errors::absent(&error) == Some(Absent::Kind) => None,
        result => inventory::served::<SystemIsolation, _>(result)?,
    };
    Ok((cluster, namespaces))
}

fn chosen(asked: &[String], mut namespaces: Vec<SystemNamespace>) -> Result<Vec<SystemNamespace>> {
    let unknown = inventory::unknown(asked, namespaces.iter().map(ResourceExt::name_any));
    if !unknown.is_empty() {
        bail!("no system namespace is named {}", unknown.join(", "));
    }
    if !asked.is_empty() {
        namespaces.retain(|n| asked.contains(&n.name_any()));
    }
    namespaces.sort_by_key(ResourceExt::name_any);
    Ok(namespaces)
}

async fn show_objects(
    client: &Client,
    asked: &[String],
    format: &ObjectFormat,
    session: &Session,
) -> Result<Outcome> {
    let resource = ApiResource::erase::<SystemNamespace>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = inventory::list(&api, ListParams::default()).await;
    let mut objects = inventory::served::<SystemNamespace, _>(listed)?;
    for object in &mut objects {
        object.types = Some(kube::core::TypeMeta::resource::<SystemNamespace>());
    }
    let unknown = inventory::unknown(asked, objects.iter().map(ResourceExt::name_any));
    if !unknown.is_empty() {
        bail!("no system namespace is named {}", unknown.join(", "));
    }
    if asked.is_empty() {
        let singleton: Api<DynamicObject> =
            Api::all_with(client.clone(), &ApiResource::erase::<SystemIsolation>(&()));
        if let Ok(Some(cluster)) = singleton.get_opt(CLUSTER).await {
            objects.insert(0, cluster);
        }
    } else {
        objects.retain(|o| asked.contains(&o.name_any()));
    }
    session.print(&output::objects(&objects, format, asked.len() != 1)?)?;
    Ok(Outcome::Success)
}

/// One row.
fn cells(object: &SystemNamespace, wide: bool, now: Timestamp) -> Vec<Cell> {
    let status = object.status.as_ref();
    let conditions = status.map(|s| s.conditions.as_slice()).unwrap_or_default();
    let find = |kind: &str| inventory::condition(conditions, kind);
    let state = |kind: &str| find(kind).map(|c| c.status.clone()).unwrap_or_default();
    let mode = |mode: Option<EffectiveMode>| mode.map(|m| format!("{m:?}")).unwrap_or_default();
    let progressing = find(condition::PROGRESSING);
    let restrictable = find(condition::RESTRICTABLE);
    let effective = status.and_then(|s| s.effective_mode);
    let desired = status.and_then(|s| s.desired_mode);
    let over = object.spec.mode_override.as_ref();
    let created = object.metadata.creation_timestamp.as_ref();
    let mut row = vec![
        object.name_any().into(),
        mode(desired).into(),
        Cell::styled(mode(effective), style_of(desired, effective)),
        Cell::styled(
            progressing.map_or_else(|| "<unknown>".to_owned(), |c| state_of(c, now)),
            if progressing.is_some_and(|c| c.status == "True") {
                Style::Attention
            } else {
                Style::Plain
            },
        ),
        Cell::styled(
            restrictable.map(|c| c.reason.clone()).unwrap_or_default(),
            if restrictable.is_some_and(|c| c.status == "False") {
                Style::Bad
            } else {
                Style::Plain
            },
        ),
        over.map(|o| format!("{:?}", o.mode)).unwrap_or_default().into(),
    ];
    if wide {
        row.push(
            status
                .map(|s| s.foreign_policies.to_string())
                .unwrap_or_default()
                .into(),
        );
        row.push(state(condition::LABELED).into());
        row.push(state(condition::COVERED).into());
    }
    row.push(
        created
            .map_or_else(
                || "<unknown>".to_owned(),
                |t| age(now.duration_since(t.0).as_secs()),
            )
            .into(),
    );
    if wide {
        row.push(message(object).into());
    }
    row
}

/// The state, with the seconds that it will still last where the operator said until when.
fn state_of(progressing: &Condition, now: Timestamp) -> String {
    let until = progressing
        .message
        .split_whitespace()
        .find_map(|word| word.parse::<Timestamp>().ok());
    match until.map(|until| until.duration_since(now).as_secs()) {
        Some(left) if progressing.status == "True" && left > 0 => format!("{}({left}s)", progressing.reason),
        _ => progressing.reason.clone(),
    }
}

fn style_of(desired: Option<EffectiveMode>, effective: Option<EffectiveMode>) -> Style {
    match (desired, effective) {
        (Some(desired), Some(effective)) if desired == effective => Style::Good,
        (Some(_), Some(_)) => Style::Attention,
        _ => Style::Plain,
    }
}

/// The one message that matters most: what is under way, else what blocks, else nothing.
fn message(object: &SystemNamespace) -> String {
    let conditions = object
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let of = |kind: &str, status: &str| {
        inventory::condition(conditions, kind)
            .filter(|c| c.status == status)
            .map(|c| c.message.clone())
    };
    of(condition::PROGRESSING, "True")
        .or_else(|| of(condition::CONFLICT, "True"))
        .or_else(|| of(condition::COVERED, "False"))
        .or_else(|| of(condition::RESTRICTABLE, "False"))
        .unwrap_or_default()
}

/// The state in one line, and what to do next.
fn closing_words(cluster: Option<&SystemIsolation>, namespaces: &[SystemNamespace], program: &str) -> String {
    if namespaces.is_empty() {
        return format!(
            "No system namespaces. Namespaces named openshift-* become system namespaces by themselves once the \
             operator runs; make another one a system namespace with: {program} adopt NAMESPACE"
        );
    }
    let mut lines: Vec<String> = namespaces.iter().filter_map(under_way).take(5).collect();
    lines.push(next_step(cluster, namespaces, program));
    lines.join("\n")
}

fn under_way(object: &SystemNamespace) -> Option<String> {
    let conditions = &object.status.as_ref()?.conditions;
    let progressing = inventory::condition(conditions, condition::PROGRESSING)?;
    let told = progressing.status == "True" && !progressing.message.is_empty();
    told.then(|| format!("{}: {}", object.name_any(), progressing.message))
}

fn next_step(cluster: Option<&SystemIsolation>, namespaces: &[SystemNamespace], program: &str) -> String {
    if let Some(hold) = cluster.and_then(|c| c.spec.hold.as_ref()) {
        return format!(
            "The emergency hold is set ({}). End it with: {program} unrestrict --release",
            hold.reason
        );
    }
    let silent = |n: &SystemNamespace| n.status.as_ref().is_none_or(|s| s.effective_mode.is_none());
    if namespaces.iter().any(silent) {
        return "The operator has not reported on all of them. See whether it runs: kubectl -n openshift-bulkhead get pods"
            .to_owned();
    }
    let has = |n: &SystemNamespace, kind: &str, status: &str| {
        n.status
            .as_ref()
            .is_some_and(|s| inventory::is(&s.conditions, kind, status))
    };
    let wants_closed = |n: &&SystemNamespace| {
        n.status
            .as_ref()
            .is_some_and(|s| s.desired_mode == Some(EffectiveMode::Restricted))
    };
    let blocked = namespaces
        .iter()
        .filter(wants_closed)
        .find(|n| has(n, condition::RESTRICTABLE, "False"));
    if namespaces.iter().any(|n| has(n, condition::PROGRESSING, "True")) && blocked.is_none() {
        return format!("A transition is under way. Follow it with: {program} status -w");
    }
    if let Some(blocked) = blocked {
        let name = blocked.name_any();
        return format!("{name} is blocked. See what blocks it with: {program} status {name} -o wide");
    }
    let applied = cluster
        .and_then(|c| c.status.as_ref())
        .and_then(|s| s.applied.as_ref());
    match applied.and_then(|a| a.mode) {
        Some(Mode::Restricted) => format!("Check that reality agrees with: {program} verify"),
        _ => format!("See what closing would do with: {program} mode Restricted --dry-run"),
    }
}

async fn watch(
    client: &Client,
    asked: &[String],
    table: &Table,
    shown: &[SystemNamespace],
    wide: bool,
    session: &Session,
) -> Result<Outcome> {
    let version = |n: &SystemNamespace| n.resource_version().unwrap_or_default();
    let mut seen: BTreeMap<String, String> = shown.iter().map(|n| (n.name_any(), version(n))).collect();
    if shown.is_empty() {
        session.print(&table.render())?;
    }
    let api: Api<SystemNamespace> = Api::all(client.clone());
    let backoff =
        kube::runtime::WatchStreamExt::default_backoff(watcher::watcher(api, watcher::Config::default()));
    let mut events = backoff.boxed();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Outcome::Success),
            // The stream goes on by itself; the user should know why nothing moves.
            Err(error) => {
                session.warn(&format!("watch interrupted: {error}"));
                continue;
            }
        };
        let (Event::Apply(object) | Event::InitApply(object)) = event else {
            continue;
        };
        let name = object.name_any();
        let ours = asked.is_empty() || asked.contains(&name);
        if ours && seen.insert(name, version(&object)).as_deref() != Some(version(&object).as_str()) {
            session
                .print(&table.render_row(cells(&object, wide, Timestamp::now())))
                .context("cannot print")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_api::isolation::{
        AppliedConfig, Hold, HoldState, SystemIsolationSpec, SystemIsolationStatus,
    };
    use bulkhead_api::namespace::{SystemNamespaceSpec, SystemNamespaceStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn object(
        name: &str,
        effective: Option<EffectiveMode>,
        conditions: &[(&str, &str, &str)],
    ) -> SystemNamespace {
        let mut object = SystemNamespace::new(name, SystemNamespaceSpec::default());
        object.metadata.creation_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        let condition = |(kind, status, reason): &(&str, &str, &str)| Condition {
            type_: (*kind).into(),
            status: (*status).into(),
            reason: (*reason).into(),
            message: format!("{reason} told"),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        object.status = Some(SystemNamespaceStatus {
            desired_mode: Some(EffectiveMode::Restricted),
            effective_mode: effective,
            conditions: conditions.iter().map(condition).collect(),
            ..Default::default()
        });
        object
    }

    fn texts(object: &SystemNamespace, wide: bool) -> Vec<String> {
        let now = Timestamp::from_second(3600 * 24 * 3).unwrap();
        cells(object, wide, now).into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn a_row_shows_what_the_operator_reported() {
        let closing = [
            ("Progressing", "True", "Settling"),
            ("Restrictable", "True", "AsExpected"),
            ("Covered", "True", "x"),
        ];
        let object = object("openshift-dns", Some(EffectiveMode::Unrestricted), &closing);
        assert_eq!(
            texts(&object, false),
            [
                "openshift-dns",
                "Restricted",
                "Unrestricted",
                "Settling",
                "AsExpected",
                "",
                "3d"
            ]
        );
        let wide = texts(&object, true);
        assert_eq!(wide.len(), WIDE.len());
        assert_eq!(wide.last().map(String::as_str), Some("Settling told"));
    }

    #[test]
    fn the_state_counts_the_seconds_that_are_left() {
        let mut settling = object("a", None, &[("Progressing", "True", "Settling")]);
        let condition = &mut settling.status.as_mut().unwrap().conditions[0];
        condition.message = "waits until 1970-01-04T00:00:12Z for everybody to see the last change".into();
        assert_eq!(texts(&settling, false)[3], "Settling(12s)");
        settling.status.as_mut().unwrap().conditions[0].message = "waits until 1970-01-03T00:00:00Z".into();
        assert_eq!(
            texts(&settling, false)[3],
            "Settling",
            "over, and the operator has not said more"
        );
    }

    #[test]
    fn a_silent_operator_shows_as_unknown() {
        let mut silent = object("a", None, &[]);
        silent.status = None;
        assert_eq!(texts(&silent, false)[3], "<unknown>");
        assert!(closing_words(None, &[silent], "k").contains("has not reported"));
    }

    #[test]
    fn the_last_line_names_the_next_sensible_command() {
        let words = |cluster: Option<&SystemIsolation>, n: &[SystemNamespace]| {
            closing_words(cluster, n, "kubectl bulkhead")
        };
        assert!(words(None, &[]).ends_with("kubectl bulkhead adopt NAMESPACE"));
        let settled = object(
            "a",
            Some(EffectiveMode::Restricted),
            &[("Progressing", "False", "AsExpected")],
        );
        let moving = object(
            "b",
            Some(EffectiveMode::Unrestricted),
            &[("Progressing", "True", "Settling")],
        );
        let blocked = object(
            "c",
            Some(EffectiveMode::Unrestricted),
            &[("Restrictable", "False", "UndeclaredPods")],
        );
        assert!(words(None, &[settled.clone(), moving.clone()]).ends_with("status -w"));
        assert!(words(None, &[moving, blocked]).ends_with("status c -o wide"));
        let mut cluster = SystemIsolation::new("cluster", SystemIsolationSpec::default());
        cluster.status = Some(SystemIsolationStatus {
            applied: Some(AppliedConfig {
                mode: Some(Mode::Restricted),
                isolation: None,
                new_namespaces: None,
            }),
            ..Default::default()
        });
        assert!(words(Some(&cluster), std::slice::from_ref(&settled)).ends_with("verify"));
        cluster.spec.hold = Some(Hold {
            state: HoldState::Open,
            reason: "outage".into(),
        });
        assert!(words(Some(&cluster), &[settled]).ends_with("unrestrict --release"));
    }

    #[test]
    fn an_unknown_namespace_is_an_error() {
        let error = chosen(&["nope".to_owned()], vec![object("a", None, &[])]).unwrap_err();
        assert!(error.to_string().contains("nope"));
    }
}
