//! What a change of the mode would do to each namespace: from what the operator reported, and where it has not
//! reported, from what it would decide.

use bulkhead_api::SystemNamespace;
use bulkhead_api::namespace::{EffectiveMode, Lineage, SystemNamespaceStatus};
use bulkhead_api::switch::{ManagementState, Mode};
use bulkhead_api::vocabulary::condition;
use bulkhead_controllers::decide::{Decision, OpenReason};
use bulkhead_controllers::plan::{self, Input, View};
use kube::ResourceExt as _;
use serde::Serialize;

use crate::inventory;
use crate::output::table::{Cell, Style, Table};

/// What happens to one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// It is closed.
    Closes,
    /// It should close and cannot.
    Blocked,
    /// It is opened.
    Opens,
    /// It stays open.
    StaysOpen,
    /// It stays closed.
    StaysClosed,
    /// It follows something else than the mode of the cluster.
    Unaffected,
    /// What happens depends on what the platform ships there.
    PlatformDecides,
    /// The operator has not judged it.
    Unknown,
}

/// The preview of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The namespace.
    pub namespace: String,
    /// Its effective mode now, if known.
    pub now: Option<EffectiveMode>,
    /// What happens to it.
    pub effect: Effect,
    /// Why.
    pub reason: String,
}

/// Previews every namespace. `target` is the mode that would be set, `None` for no mode; `hold` is the reason
/// of an emergency hold.
pub fn rows(target: Option<Mode>, hold: Option<&str>, namespaces: &[SystemNamespace]) -> Vec<Row> {
    let mut rows: Vec<Row> = namespaces.iter().map(|n| row(target, hold, n)).collect();
    rows.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    rows
}

fn row(target: Option<Mode>, hold: Option<&str>, object: &SystemNamespace) -> Row {
    let status = object.status.as_ref();
    let (effect, reason) = judge(target, hold, object, status);
    Row {
        namespace: object.name_any(),
        now: status.and_then(|s| s.effective_mode),
        effect,
        reason,
    }
}

fn judge(
    target: Option<Mode>,
    hold: Option<&str>,
    object: &SystemNamespace,
    status: Option<&SystemNamespaceStatus>,
) -> (Effect, String) {
    if let Some(reason) = hold {
        return (Effect::StaysOpen, format!("emergency hold: {reason}"));
    }
    if object.spec.management_state == Some(ManagementState::Unmanaged) {
        return (Effect::Unaffected, "managementState is Unmanaged".to_owned());
    }
    let Some(status) = status.filter(|s| s.effective_mode.is_some()) else {
        return (Effect::Unknown, "the operator has not reported on it".to_owned());
    };
    if let Some(over) = in_force(object, status) {
        return (
            Effect::Unaffected,
            format!("its own override says {:?}: {}", over.mode, over.reason),
        );
    }
    match target {
        Some(Mode::Restricted) => closing(status),
        Some(Mode::Unrestricted) if status.lineage == Some(Lineage::New) => (
            Effect::StaysClosed,
            "lineage New: never open, unless newNamespaces says so".to_owned(),
        ),
        Some(Mode::Unrestricted) => match status.effective_mode {
            Some(EffectiveMode::Unrestricted) => (Effect::StaysOpen, "open already".to_owned()),
            _ => (Effect::Opens, "an allow-all is created first".to_owned()),
        },
        None => without_mode(status),
    }
}

fn in_force<'a>(
    object: &'a SystemNamespace,
    status: &SystemNamespaceStatus,
) -> Option<&'a bulkhead_api::namespace::Override> {
    let expired =
        status.expired_generation.is_some() && status.expired_generation == object.metadata.generation;
    object.spec.mode_override.as_ref().filter(|_| !expired)
}

fn closing(status: &SystemNamespaceStatus) -> (Effect, String) {
    let says = |kind: &str, wanted: &str| {
        inventory::condition(&status.conditions, kind)
            .filter(|c| c.status == wanted)
            .map(|c| (c.reason.clone(), c.message.clone()))
    };
    if matches!(
        status.effective_mode,
        Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
    ) {
        return (Effect::StaysClosed, "restricted already".to_owned());
    }
    if let Some((reason, message)) = says(condition::COVERED, "False") {
        return (Effect::StaysOpen, format!("{reason}: {message}"));
    }
    if let Some((reason, message)) = says(condition::RESTRICTABLE, "False") {
        return (Effect::Blocked, format!("{reason}: {message}"));
    }
    if says(condition::RESTRICTABLE, "True").is_some() {
        return (Effect::Closes, "pre-flight passes".to_owned());
    }
    (
        Effect::Unknown,
        "the operator has not finished its pre-flight".to_owned(),
    )
}

fn without_mode(status: &SystemNamespaceStatus) -> (Effect, String) {
    match status.effective_mode {
        Some(EffectiveMode::Unrestricted) => (
            Effect::StaysOpen,
            "a standing allow-all is never removed by itself".to_owned(),
        ),
        Some(EffectiveMode::Preserved) => (Effect::Unaffected, "left as the platform ships it".to_owned()),
        _ if status.lineage == Some(Lineage::New) => (Effect::StaysClosed, "lineage New".to_owned()),
        _ if status.foreign_policies > 0 => (
            Effect::PlatformDecides,
            format!(
                "{} policies of others remain: Preserved if they isolate a pod, otherwise open",
                status.foreign_policies
            ),
        ),
        _ => (Effect::Opens, "nothing else isolates its pods".to_owned()),
    }
}

/// The preview of a namespace by what an operator would decide; `None` if it is no system namespace.
pub fn planned(input: &Input) -> Option<Row> {
    let view = View::new(input);
    let (effect, reason) = match view.decision() {
        Decision::Ignore => return None,
        decision => meaning(decision, &view),
    };
    Some(Row {
        namespace: input.name.to_string(),
        now: view.status().and_then(|status| status.effective_mode),
        effect,
        reason,
    })
}

fn meaning(decision: Decision, view: &View<'_>) -> (Effect, String) {
    let opened = |reason: &str| {
        let effect = if view.closed_by_us() || view.foreign_isolation() && view.allow_all().is_none() {
            Effect::Opens
        } else {
            Effect::StaysOpen
        };
        (effect, reason.to_owned())
    };
    match decision {
        Decision::Open(OpenReason::Hold) => opened("emergency hold"),
        Decision::Open(OpenReason::NoPolicySet) => opened("NoPolicySet: nobody declared its servers"),
        Decision::Open(_) => opened("an allow-all is created first"),
        Decision::Closed(_) if view.closed_by_us() => (Effect::StaysClosed, "restricted already".to_owned()),
        Decision::Closed(_) => {
            let blockers = plan::judge(view, decision);
            let (reason, message) = blockers.verdict();
            if blockers.block() {
                return (Effect::Blocked, format!("{reason}: {message}"));
            }
            (
                Effect::Closes,
                "pre-flight passes on what is stored now".to_owned(),
            )
        }
        Decision::SetLost => (
            Effect::StaysClosed,
            "its declaration is gone; the last set stays".to_owned(),
        ),
        Decision::Preserved => (Effect::Unaffected, "left as the platform ships it".to_owned()),
        Decision::HandBack => (
            Effect::PlatformDecides,
            "policies of others apply again".to_owned(),
        ),
        Decision::HandsOff => (Effect::Unaffected, "managementState is Unmanaged".to_owned()),
        Decision::Release => (Effect::Opens, "it is handed back".to_owned()),
        Decision::Frozen(reason) => (Effect::Unknown, format!("nothing is decided: {reason}")),
        Decision::Ignore => (Effect::Unaffected, "no system namespace".to_owned()),
    }
}

/// The preview as a table.
pub fn table(rows: &[Row], colored: bool) -> String {
    let mut table = Table::new(&["NAMESPACE", "NOW", "EFFECT", "REASON"], colored);
    for row in rows {
        let now = row
            .now
            .map_or_else(|| "<unknown>".to_owned(), |mode| format!("{mode:?}"));
        table.row(vec![
            row.namespace.as_str().into(),
            now.into(),
            Cell::styled(format!("{:?}", row.effect), style(row.effect)),
            row.reason.as_str().into(),
        ]);
    }
    table.render()
}

fn style(effect: Effect) -> Style {
    match effect {
        Effect::Closes | Effect::Opens => Style::Good,
        Effect::Blocked => Style::Bad,
        Effect::Unknown | Effect::PlatformDecides => Style::Attention,
        Effect::StaysOpen | Effect::StaysClosed | Effect::Unaffected => Style::Plain,
    }
}

/// How many namespaces meet which fate, in one line.
pub fn summary(rows: &[Row]) -> String {
    let count = |effect: Effect| rows.iter().filter(|row| row.effect == effect).count();
    let named = [
        (Effect::Closes, "close"),
        (Effect::Blocked, "blocked"),
        (Effect::Opens, "open"),
        (Effect::StaysOpen, "stay open"),
        (Effect::StaysClosed, "stay closed"),
        (Effect::Unaffected, "unaffected"),
        (Effect::PlatformDecides, "as the platform ships"),
        (Effect::Unknown, "unknown"),
    ];
    let parts: Vec<String> = named
        .into_iter()
        .filter(|(effect, _)| count(*effect) > 0)
        .map(|(effect, word)| format!("{} {word}", count(effect)))
        .collect();
    if parts.is_empty() {
        "no system namespaces".to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_api::namespace::{Override, SystemNamespaceSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    fn object(effective: EffectiveMode, conditions: &[(&str, &str, &str, &str)]) -> SystemNamespace {
        let mut object = SystemNamespace::new("openshift-x", SystemNamespaceSpec::default());
        object.metadata.generation = Some(3);
        let condition = |(kind, status, reason, message): &(&str, &str, &str, &str)| Condition {
            type_: (*kind).into(),
            status: (*status).into(),
            reason: (*reason).into(),
            message: (*message).into(),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        object.status = Some(SystemNamespaceStatus {
            effective_mode: Some(effective),
            conditions: conditions.iter().map(condition).collect(),
            ..Default::default()
        });
        object
    }

    fn closing_effect(object: &SystemNamespace) -> Effect {
        rows(Some(Mode::Restricted), None, std::slice::from_ref(object))[0].effect
    }

    #[test]
    fn closing_is_told_apart_from_staying_open_and_from_being_blocked() {
        let covered = ("Covered", "True", "SetKnown", "");
        let ready = object(
            EffectiveMode::Unrestricted,
            &[covered, ("Restrictable", "True", "AsExpected", "")],
        );
        assert_eq!(closing_effect(&ready), Effect::Closes);
        let uncovered = object(
            EffectiveMode::Unrestricted,
            &[("Covered", "False", "NoPolicySet", "no set")],
        );
        assert_eq!(closing_effect(&uncovered), Effect::StaysOpen);
        let pod = (
            "Restrictable",
            "False",
            "UndeclaredPods",
            "pod a is no declared server",
        );
        let blocked = object(EffectiveMode::Unrestricted, &[covered, pod]);
        let row = &rows(Some(Mode::Restricted), None, &[blocked])[0];
        assert_eq!(
            (row.effect, row.reason.as_str()),
            (Effect::Blocked, "UndeclaredPods: pod a is no declared server")
        );
    }

    #[test]
    fn hold_unmanaged_and_overrides_beat_the_mode() {
        let open = object(
            EffectiveMode::Unrestricted,
            &[("Restrictable", "True", "AsExpected", "")],
        );
        assert_eq!(
            rows(Some(Mode::Restricted), Some("x"), std::slice::from_ref(&open))[0].effect,
            Effect::StaysOpen
        );
        let mut own = open.clone();
        own.spec.mode_override = Some(Override {
            mode: Mode::Unrestricted,
            reason: "test".into(),
            expiration_time: None,
        });
        assert_eq!(closing_effect(&own), Effect::Unaffected);
        own.status.as_mut().unwrap().expired_generation = Some(3);
        assert_eq!(
            closing_effect(&own),
            Effect::Closes,
            "an expired override has no say"
        );
        let mut unmanaged = open;
        unmanaged.spec.management_state = Some(ManagementState::Unmanaged);
        assert_eq!(closing_effect(&unmanaged), Effect::Unaffected);
    }

    #[test]
    fn what_the_operator_did_not_judge_is_unknown_never_guessed() {
        let unjudged = object(
            EffectiveMode::Unrestricted,
            &[("Restrictable", "Unknown", "Checking", "")],
        );
        assert_eq!(closing_effect(&unjudged), Effect::Unknown);
        let silent = SystemNamespace::new("openshift-x", SystemNamespaceSpec::default());
        assert_eq!(closing_effect(&silent), Effect::Unknown);
        assert_eq!(
            summary(&rows(Some(Mode::Restricted), None, &[silent])),
            "1 unknown"
        );
    }

    #[test]
    fn new_namespaces_stay_closed_when_the_cluster_opens() {
        let mut fresh = object(EffectiveMode::Restricted, &[]);
        fresh.status.as_mut().unwrap().lineage = Some(Lineage::New);
        assert_eq!(
            rows(Some(Mode::Unrestricted), None, &[fresh])[0].effect,
            Effect::StaysClosed
        );
        let legacy = object(EffectiveMode::Restricted, &[]);
        assert_eq!(
            rows(Some(Mode::Unrestricted), None, &[legacy])[0].effect,
            Effect::Opens
        );
    }
}
