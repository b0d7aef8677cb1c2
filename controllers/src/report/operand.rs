//! What is said about a bundle: status, conditions, events.

use bulkhead_api::{
    conditions::{Said, stored},
    operand::{
        Enforcement, OperandComponent, OperandNetworkPolicyStatus, OperandPolicy, OperandWarning, PolicyState,
    },
    switch::ManagementState,
    vocabulary::condition,
};

use super::events::Note;
use crate::operands::{
    BundlePolicy,
    foreign::Foreign,
    plan::{Input, Plan, State},
};

/// The most policies that a status lists.
const MOST_POLICIES: usize = 160;
/// The most warnings that a status lists.
const MOST_WARNINGS: usize = 64;
/// The longest message of a policy.
const LONGEST: usize = 1000;
/// The most namespaces that a status lists.
const MOST_NAMESPACES: usize = 16;

/// What should be stored about a bundle. `failing` says why writes have been failing for long.
pub fn status(
    input: &Input,
    plan: &Plan,
    failing: Option<&str>,
    wall: jiff::Timestamp,
) -> Option<OperandNetworkPolicyStatus> {
    let object = input.object.as_ref()?;
    let before = &object.status;
    // An intent goes when the outcome is known: there is nothing left to do, or nothing to be done for now.
    let at_rest = plan.step.is_none() && !input.uncertain && plan.state != State::Frozen;
    let policies: Vec<OperandPolicy> = input
        .bundle
        .policies
        .iter()
        .take(MOST_POLICIES)
        .map(|policy| policy_status(input, plan, policy))
        .collect();
    let said = conditions(input, plan, &policies, failing);
    let components = input.bundle.components.iter().map(|c| OperandComponent {
        name: c.name.to_owned(),
        state: c.state,
        namespace: c.namespace.to_string(),
    });
    let warnings = plan.warnings.iter().take(MOST_WARNINGS).map(|w| OperandWarning {
        reason: w.reason.to_owned(),
        message: w.text(),
    });
    let own = |name: &&std::sync::Arc<str>| {
        let place = &input.places[*name];
        place.policies.iter().any(|p| input.is_own(p))
            || input.bundle.policies().any(|p| p.namespace == **name)
    };
    Some(OperandNetworkPolicyStatus {
        observed_generation: Some(object.generation),
        epoch: before.epoch,
        intent: before
            .intent
            .clone()
            .filter(|i| !(at_rest && input.is_own_intent(i))),
        namespaces: input
            .places
            .keys()
            .filter(own)
            .take(MOST_NAMESPACES)
            .map(ToString::to_string)
            .collect(),
        policies,
        components: components.collect(),
        warnings: warnings.collect(),
        conditions: stored(&said, &before.conditions, object.generation, wall),
    })
}

fn policy_status(input: &Input, plan: &Plan, policy: &BundlePolicy) -> OperandPolicy {
    let (namespace, name) = (&policy.policy.namespace, &policy.policy.name);
    let mut said = OperandPolicy {
        namespace: namespace.to_string(),
        name: name.to_string(),
        state: PolicyState::Pending,
        component: policy.component.map(Into::into),
        owner: None,
        message: None,
    };
    let occupied = plan.occupied.iter().find(|o| o.policy == policy.policy);
    match occupied.map(|o| &o.by) {
        Some(Foreign::ProvidedBy { owner }) => {
            said.state = PolicyState::ProvidedBy;
            said.owner = Some(cut(owner, 253));
            return said;
        }
        Some(Foreign::Conflict {
            owner, difference, ..
        }) => {
            said.state = PolicyState::Conflict;
            said.owner = Some(cut(owner, 253));
            said.message = Some(cut(difference, LONGEST));
            return said;
        }
        None => {}
    }
    if input
        .taken
        .iter()
        .any(|t| t.namespace == *namespace && t.name == *name)
    {
        said.state = PolicyState::Conflict;
        said.owner = Some("another bundle".to_owned());
        return said;
    }
    let standing = input
        .places
        .get(namespace)
        .and_then(|p| p.policies.iter().find(|p| p.name == *name));
    let stands = standing.is_some_and(|p| input.is_own(p) && p.policy == policy.policy);
    let audit = input
        .spec()
        .is_some_and(|s| s.enforcement == Some(Enforcement::Audit));
    said.state = match (stands, audit) {
        (true, _) => PolicyState::Stored,
        (false, true) => PolicyState::Audited,
        (false, false) => PolicyState::Pending,
    };
    said
}

fn conditions(input: &Input, plan: &Plan, policies: &[OperandPolicy], failing: Option<&str>) -> Vec<Said> {
    vec![
        active(input, plan, policies),
        progressing(input, plan),
        conflict(policies),
        degraded(input, failing),
    ]
}

fn active(input: &Input, plan: &Plan, policies: &[OperandPolicy]) -> Said {
    let no = |reason: &str, message: String| Said::new(condition::ACTIVE, false, reason, message);
    let spec = match input.object.as_ref().map(|o| &o.spec) {
        Some(Ok(spec)) => spec,
        Some(Err(problem)) => return no("InvalidConfiguration", problem.clone()),
        None => return no("Deleted", String::new()),
    };
    if spec.management_state == Some(ManagementState::Unmanaged) {
        return no(
            "Unmanaged",
            "managementState is Unmanaged: nothing is written".into(),
        );
    }
    if let Some(frozen) = &input.frozen {
        return no("Frozen", frozen.clone());
    }
    if input.hold {
        return no(
            "Hold",
            "the emergency hold is set: everything that the bundle isolates is open".into(),
        );
    }
    if !input.bundle.active {
        let message =
            "the operand was not found: neither an object of its operator, nor a workload, nor a pod";
        return no("OperandNotFound", message.into());
    }
    if spec.enforcement == Some(Enforcement::Audit) {
        return no("Audit", "enforcement is Audit: nothing is written".into());
    }
    let of = |state: PolicyState| policies.iter().filter(|p| p.state == state).count();
    let missing = of(PolicyState::Pending);
    let message = match of(PolicyState::Conflict) {
        0 => format!(
            "{} policies stand, {missing} do not yet",
            policies.len() - missing
        ),
        _ => "a policy of somebody else stands in the way".to_owned(),
    };
    match plan.state {
        State::AsExpected if missing == 0 && of(PolicyState::Conflict) == 0 => Said::new(
            condition::ACTIVE,
            true,
            "Enforced",
            format!("{} policies stand", policies.len()),
        ),
        State::Held => no("Held", message),
        State::NamespaceMissing => no("NamespaceMissing", message),
        State::AsExpected if missing == 0 => no("Conflict", message),
        _ => no("Applying", message),
    }
}

fn progressing(input: &Input, plan: &Plan) -> Said {
    let (under_way, reason, message) = match plan.state {
        State::Writing => (
            true,
            "Writing",
            "policies are being written or removed".to_owned(),
        ),
        State::Settling => (
            true,
            "Settling",
            "waiting until everybody has seen the last change".to_owned(),
        ),
        State::Held => (
            false,
            "Held",
            "a policy of somebody else takes away what the bundle needs, so nothing more is isolated"
                .to_owned(),
        ),
        State::NamespaceMissing => {
            let missing = input
                .places
                .iter()
                .filter(|(_, p)| !p.writable)
                .map(|(name, _)| name.to_string());
            let names = missing.collect::<Vec<_>>().join(", ");
            (
                false,
                "NamespaceMissing",
                format!("not there, or being deleted: {names}"),
            )
        }
        State::Frozen => (false, "Frozen", input.frozen.clone().unwrap_or_default()),
        State::HoldOpen => (
            false,
            "Hold",
            "the emergency hold is set: nothing is taken away".to_owned(),
        ),
        State::AsExpected => (false, "AsExpected", String::new()),
    };
    Said::new(condition::PROGRESSING, under_way, reason, message)
}

fn conflict(policies: &[OperandPolicy]) -> Said {
    let all: Vec<String> = policies
        .iter()
        .filter(|p| p.state == PolicyState::Conflict)
        .map(|p| {
            let owner = p.owner.as_deref().unwrap_or("unknown");
            let difference = p.message.as_deref().unwrap_or("the same name");
            format!("{}/{} is kept by {owner}: {difference}", p.namespace, p.name)
        })
        .collect();
    if all.is_empty() {
        return Said::new(condition::CONFLICT, false, "AsExpected", "");
    }
    let remedy = "remove the object, or let its owner allow what the bundle needs";
    Said::new(
        condition::CONFLICT,
        true,
        "ForeignPolicy",
        format!("{}. To resolve: {remedy}", all.join(". ")),
    )
}

fn degraded(input: &Input, failing: Option<&str>) -> Said {
    let yes = |reason: &str, message: &str| Said::new(condition::DEGRADED, true, reason, message);
    match (input.object.as_ref().map(|o| &o.spec), failing, &input.frozen) {
        (Some(Err(problem)), ..) => yes("InvalidConfiguration", problem),
        (_, Some(error), _) => yes("ApplyFailing", error),
        (_, None, Some(frozen)) => yes("Frozen", frozen),
        _ => Said::new(condition::DEGRADED, false, "AsExpected", ""),
    }
}

/// What a change of status is worth telling: activity, conflicts, each warning once when it comes and goes.
pub fn notes(old: &OperandNetworkPolicyStatus, new: &OperandNetworkPolicyStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let find = |status: &OperandNetworkPolicyStatus, kind: &str| {
        status.conditions.iter().find(|c| c.type_ == kind).cloned()
    };
    let told = |reason: &str| -> Option<&'static str> {
        [
            "Enforced",
            "OperandNotFound",
            "Audit",
            "Unmanaged",
            "NamespaceMissing",
            "Held",
            "Frozen",
            "Hold",
        ]
        .into_iter()
        .find(|known| *known == reason)
    };
    let (before, after) = (find(old, condition::ACTIVE), find(new, condition::ACTIVE));
    if let Some(after) = after
        && before.is_none_or(|b| b.reason != after.reason)
        && let Some(reason) = told(&after.reason)
    {
        notes.push(Note {
            warning: matches!(reason, "NamespaceMissing" | "Held" | "Frozen" | "Hold"),
            reason,
            message: after.message,
        });
    }
    let in_conflict = |status| find(status, condition::CONFLICT).filter(|c| c.status == "True");
    if let (None, Some(conflict)) = (in_conflict(old), in_conflict(new)) {
        notes.push(Note {
            warning: true,
            reason: "Conflict",
            message: conflict.message,
        });
    }
    for warning in new.warnings.iter().filter(|w| !old.warnings.contains(w)) {
        notes.push(Note {
            warning: true,
            reason: "OperandWarning",
            message: format!("{}: {}", warning.reason, warning.message),
        });
    }
    for warning in &old.warnings {
        if !new.warnings.iter().any(|w| w.reason == warning.reason) {
            notes.push(Note {
                warning: false,
                reason: "OperandWarningCleared",
                message: format!("{} does not apply any more", warning.reason),
            });
        }
    }
    notes
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
