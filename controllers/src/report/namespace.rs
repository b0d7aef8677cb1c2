//! Status of one system namespace.

use bulkhead_api::{
    conditions::{Said, stored},
    namespace::{Adoption, EffectiveMode, PolicyRef, SystemNamespaceStatus},
    vocabulary::{self as names, condition},
};
use bulkhead_policy::Direction;

use crate::{
    decide::{Decision, OpenReason},
    plan::{Input, Plan, State, View},
};

/// The most policies that status lists.
const LISTED: usize = 512;

/// The status that should be stored; the one that is stored is part of the input.
pub fn status(input: &Input, plan: &Plan) -> Option<SystemNamespaceStatus> {
    let view = View::new(input);
    let system = input.system.as_ref()?;
    let old = &system.status;
    if is_resting(&view, plan) {
        return Some(old.clone());
    }
    let judged = settled_closed(&view, plan) && plan.decision != Decision::SetLost;
    let wider = if judged {
        wider_than_declared(&view, plan)
    } else {
        Vec::new()
    };
    let effective = effective(&view, plan, &wider);
    let expired =
        view.spec().is_some_and(|s| s.mode_override.is_some()) && view.override_in_force().is_none();
    let mut policies: Vec<PolicyRef> = view
        .ours
        .iter()
        .take(LISTED)
        .map(|p| PolicyRef {
            name: p.name.to_string(),
            uid: p.uid.to_string(),
        })
        .collect();
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    let said = conditions(&view, plan, effective, &wider);
    Some(SystemNamespaceStatus {
        observed_generation: Some(system.generation),
        lineage: Some(view.lineage()),
        source: Some(source(&view).into()),
        desired_mode: desired(plan.decision, old.desired_mode),
        effective_mode: effective,
        epoch: old.epoch,
        intent: if plan.acknowledged {
            None
        } else {
            old.intent.clone()
        },
        expired_generation: if expired { Some(system.generation) } else { None },
        foreign_policies: i32::try_from(view.foreign.len()).unwrap_or(i32::MAX),
        policies,
        labels: old.labels.clone(),
        policies_resource_version: judged.then(|| view.newest_version()).flatten(),
        conditions: stored(
            &keep_wording(said, old),
            &old.conditions,
            system.generation,
            input.wall,
        ),
    })
}

/// A message with a time in it is written once per state, not at every look.
fn keep_wording(mut said: Vec<Said>, old: &SystemNamespaceStatus) -> Vec<Said> {
    for said in said.iter_mut().filter(|s| s.kind == condition::PROGRESSING) {
        let before = old.conditions.iter().find(|c| c.type_ == said.kind);
        let same = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            c.reason == said.reason && (c.status == "True") == said.status
        };
        if let Some(before) = before.filter(same) {
            said.message.clone_from(&before.message);
        }
    }
    said
}

fn source(view: &View<'_>) -> &'static str {
    match view.spec().and_then(|s| s.adoption) {
        Some(Adoption::Adopted) => "Adopted",
        Some(Adoption::NotAdopted) => "NotAdopted",
        None if view.expected.catalogued => "Catalog",
        None => "Name",
    }
}

fn desired(decision: Decision, before: Option<EffectiveMode>) -> Option<EffectiveMode> {
    match decision {
        Decision::Open(_) => Some(EffectiveMode::Unrestricted),
        Decision::Closed(_) | Decision::SetLost => Some(EffectiveMode::Restricted),
        Decision::Preserved | Decision::HandBack => Some(EffectiveMode::Preserved),
        Decision::Frozen(_) | Decision::HandsOff => before,
        Decision::Ignore | Decision::Release => None,
    }
}

/// A closed namespace under a clock that has just begun: what it was reported to be is not judged anew before
/// everybody can have seen what stands.
fn is_resting(view: &View<'_>, plan: &Plan) -> bool {
    let closed = matches!(plan.decision, Decision::Closed(_) | Decision::SetLost);
    let nothing_to_do = plan.state == State::AsExpected && plan.step.is_none() && !plan.acknowledged;
    closed && nothing_to_do && view.was_closed() && view.all_settled_at().is_some()
}

fn settled_closed(view: &View<'_>, plan: &Plan) -> bool {
    matches!(plan.decision, Decision::Closed(_) | Decision::SetLost)
        && view.allow_all().is_none()
        && (plan.acknowledged
            || (plan.step.is_none() && plan.state == State::AsExpected && view.was_closed()))
}

fn effective(view: &View<'_>, plan: &Plan, wider: &[String]) -> Option<EffectiveMode> {
    let before = view.status().and_then(|s| s.effective_mode);
    match plan.decision {
        _ if view.allow_all().is_some() => Some(EffectiveMode::Unrestricted),
        // Without a set there is nothing to judge by.
        Decision::SetLost if settled_closed(view, plan) => before.or(Some(EffectiveMode::Restricted)),
        Decision::Closed(_) if settled_closed(view, plan) => {
            let partly = !wider.is_empty();
            Some(if partly {
                EffectiveMode::PartlyRestricted
            } else {
                EffectiveMode::Restricted
            })
        }
        Decision::Preserved => Some(EffectiveMode::Preserved),
        Decision::Ignore | Decision::Release if view.ours.is_empty() => None,
        _ => before,
    }
}

/// What policies of others, or a fall-back of ours, admit beyond the declaration, in words.
fn wider_than_declared(view: &View<'_>, plan: &Plan) -> Vec<String> {
    let mut wider = Vec::new();
    let Some(ingress) = &view.expected.ingress else {
        return wider;
    };
    if ingress.port_only {
        wider
            .push("rules for host traffic admit every source: the network plugin cannot select nodes".into());
    }
    let egress = match plan.decision {
        Decision::Closed(isolation) => view.isolates_egress(isolation),
        _ => false,
    };
    let directions = Direction::ALL
        .into_iter()
        .filter(|d| egress || *d == Direction::Ingress);
    for direction in directions {
        for member in view.input.pods.iter().filter(|m| m.counts()) {
            let declared = view.required(&member.pod, direction);
            let world = &view.input.cluster.world;
            for (object, flows) in view.window.excess(world, &member.pod, direction, &declared) {
                let by = object
                    .and_then(|at| view.window_names.get(at))
                    .map_or("no policy isolates it", |n| n);
                wider.push(format!("{by}: {} {direction} {flows}", member.pod.name));
            }
        }
    }
    wider.sort();
    wider.dedup();
    wider
}

fn conditions(view: &View<'_>, plan: &Plan, effective: Option<EffectiveMode>, wider: &[String]) -> Vec<Said> {
    let blockers = plan.blockers.clone().unwrap_or_default();
    let (reason, message) = blockers.verdict();
    let undeclared = !blockers.undeclared.is_empty();
    let restrictable = Said::new(condition::RESTRICTABLE, !blockers.block(), reason, message);
    let undeclared = Said::new(
        condition::UNDECLARED_PODS,
        undeclared,
        if undeclared { "Found" } else { "AsExpected" },
        crate::plan::list(&blockers.undeclared),
    );
    vec![
        labeled(view),
        staged(plan),
        covered(view, plan),
        isolated(effective, wider, plan),
        restrictable,
        undeclared,
        overridden(view, plan),
        conflict(view),
        progressing(view, plan),
    ]
}

fn labeled(view: &View<'_>) -> Said {
    let missing = view.missing_labels();
    match (view.is_trusted(), missing.is_empty()) {
        (false, _) => Said::new(
            condition::LABELED,
            false,
            "NotTrusted",
            "neither catalogued nor adopted, so it gets no labels that others may trust",
        ),
        (true, true) => Said::new(condition::LABELED, true, "AsExpected", ""),
        (true, false) => Said::new(condition::LABELED, false, "Missing", missing.join(", ")),
    }
}

fn staged(plan: &Plan) -> Said {
    let (reason, message) = match (plan.staged, plan.decision) {
        (true, _) => ("AsExpected", "the restrictive set is stored and settled"),
        (_, Decision::Preserved) => (
            "Preserved",
            "the set is known and not stored: policies that ship are left alone",
        ),
        (_, Decision::Open(OpenReason::Hold)) => ("Hold", "nothing is staged during the emergency hold"),
        _ => (
            "NotSettled",
            "the restrictive set is not stored, or not everybody can have seen it yet",
        ),
    };
    Said::new(condition::STAGED, plan.staged, reason, message)
}

fn covered(view: &View<'_>, plan: &Plan) -> Said {
    let remedy = "create a SystemNetworkPolicy that declares its servers";
    match (plan.decision, view.expected.ingress.is_some()) {
        (Decision::SetLost, _) => Said::new(
            condition::COVERED,
            false,
            "SetLost",
            format!("the declaration is gone and the last set stays; {remedy}"),
        ),
        (_, true) => Said::new(condition::COVERED, true, "AsExpected", ""),
        (_, false) => Said::new(
            condition::COVERED,
            false,
            "NoPolicySet",
            format!("nobody declared a restrictive set, so it stays open in every mode; {remedy}"),
        ),
    }
}

/// Something is still to be written in a closed namespace and must not be: what stands is not what should.
fn is_frozen_over_a_change(plan: &Plan) -> bool {
    plan.state == State::Frozen && matches!(plan.decision, Decision::Closed(_))
}

fn isolated(effective: Option<EffectiveMode>, wider: &[String], plan: &Plan) -> Said {
    use EffectiveMode::{PartlyRestricted, Restricted};
    let (status, reason, message) = match effective {
        Some(Restricted | PartlyRestricted) if plan.decision == Decision::SetLost => (
            false,
            "SetLost",
            "the last set stays, and there is no declaration to compare it with".to_owned(),
        ),
        Some(Restricted | PartlyRestricted) if is_frozen_over_a_change(plan) => (
            false,
            "NotSettled",
            "what stands is not what was judged last, and nothing may be taken away now".to_owned(),
        ),
        Some(EffectiveMode::Restricted) => (
            true,
            "AsExpected",
            "exactly what is declared is allowed".to_owned(),
        ),
        Some(EffectiveMode::PartlyRestricted) => (false, "WiderThanDeclared", crate::plan::list(wider)),
        Some(EffectiveMode::Preserved) => (false, "Preserved", "left as the platform ships it".to_owned()),
        _ => (
            false,
            "Unrestricted",
            "open in both directions, or on the way there".to_owned(),
        ),
    };
    Said::new(condition::ISOLATED, status, reason, message)
}

fn overridden(view: &View<'_>, plan: &Plan) -> Said {
    let overridden =
        matches!(plan.decision, Decision::Open(_)) && view.allow_all().is_some() && !view.foreign.is_empty();
    let named: Vec<String> = view.foreign.iter().map(|p| p.name.to_string()).collect();
    let (reason, message) = if overridden {
        (
            "AllowAll",
            format!("our allow-all is in force over {}", crate::plan::list(&named)),
        )
    } else {
        ("AsExpected", String::new())
    };
    Said::new(condition::SHIPPED_POLICY_OVERRIDDEN, overridden, reason, message)
}

fn conflict(view: &View<'_>) -> Said {
    let squatted: Vec<String> = view
        .foreign
        .iter()
        .filter(|p| p.name.starts_with(names::POLICY_PREFIX))
        .map(|p| p.name.to_string())
        .collect();
    if view.newer_writer() {
        let message = "a newer version wrote here; this one only widens. Accept the rollback with \
                       spec.acceptedCatalogSequence on SystemIsolation cluster";
        return Said::new(condition::CONFLICT, true, "NewerWriter", message);
    }
    if let Some(first) = view.expected.rejected.first() {
        return Said::new(condition::CONFLICT, true, "DeclarationRejected", first.clone());
    }
    if let Some(Err(error)) = view.input.system.as_ref().map(|s| &s.spec) {
        return Said::new(condition::CONFLICT, true, "InvalidSystemNamespace", error.clone());
    }
    if !squatted.is_empty() {
        let message = format!(
            "somebody else owns {}; ours took other names",
            crate::plan::list(&squatted)
        );
        return Said::new(condition::CONFLICT, true, "NameTaken", message);
    }
    Said::new(condition::CONFLICT, false, "AsExpected", "")
}

fn progressing(view: &View<'_>, plan: &Plan) -> Said {
    let input = view.input;
    let until = plan.wake.and_then(|wake| {
        let left = jiff::SignedDuration::try_from(wake.checked_sub(input.now)?).ok()?;
        let at = input.wall.checked_add(left).ok()?;
        jiff::Timestamp::from_second(at.as_second() + 1).ok()
    });
    let message = match (plan.state, until) {
        (State::Blocked, _) => plan.blockers.as_ref().map(|b| b.verdict().1).unwrap_or_default(),
        (State::Frozen, _) => match plan.decision {
            Decision::Frozen(reason) => format!("nothing is written: {reason}"),
            _ => format!(
                "nothing is taken away: {}",
                input.cluster.contracts_frozen.unwrap_or_default()
            ),
        },
        (state, Some(at)) if state.is_transition() => {
            format!("waits until {at} for everybody to see the last change")
        }
        (state, _) => state.as_str().to_owned(),
    };
    Said::new(
        condition::PROGRESSING,
        plan.state.is_transition(),
        plan.state.as_str(),
        message,
    )
}
