//! From what stands of a bundle and what should stand to its next step. Pure: time is part of the input.
//!
//! As for system namespaces, one step is planned at a time from what is stored, and nothing else is remembered.
//! What takes nothing away is done at once; anything else waits until everybody has seen what stands, is announced
//! in the status and planned again from live reads.

mod input;
mod mixes;
mod namespace;
mod outcome;

use std::sync::Arc;

use bulkhead_policy::{Pod, effect};

pub use input::{Input, Place, Sources};
pub use outcome::{Occupied, Plan, State, Step};

use self::namespace::Planner;
use super::{Warning, foreign, order, uncovered};
use crate::decide::render;

/// Plans the next step.
pub fn plan(input: &Input) -> Plan {
    let mut plan = Plan {
        state: State::AsExpected,
        step: None,
        wake: None,
        occupied: occupied(input),
        warnings: warnings(input),
    };
    if input.frozen.is_some() {
        plan.state = State::Frozen;
        return plan;
    }
    let Some(wanted) = input.wanted() else { return plan };
    if input.hold {
        hold(input, &mut plan);
        return plan;
    }
    if let Some(step) = fence(input) {
        plan.state = State::Writing;
        plan.step = Some(step);
        return plan;
    }
    for (name, place) in &input.places {
        // Where the hold could not be stored centrally, each policy that opens carries it.
        if place.policies.iter().any(|p| p.hold && input.is_own(p)) {
            plan.state = State::HoldOpen;
            plan.step = plan.step.take().or_else(|| opening(input, name, place));
            continue;
        }
        let next = Planner::new(input, &plan.occupied, &plan.warnings, name, place, &wanted).next();
        plan.state = plan.state.max(next.state);
        plan.step = plan.step.or(next.step);
        plan.wake = [plan.wake, next.wake].into_iter().flatten().min();
    }
    if plan.step.is_some() {
        plan.state = State::Writing;
    }
    plan
}

/// In an emergency the temporary allow-all stands wherever something of the bundle stands, and stays.
fn hold(input: &Input, plan: &mut Plan) {
    plan.state = State::HoldOpen;
    for (name, place) in &input.places {
        plan.step = plan.step.take().or_else(|| opening(input, name, place));
    }
}

fn opening(input: &Input, name: &Arc<str>, place: &Place) -> Option<Step> {
    let shield = order::shield_name(input.operand);
    let mut own = place.policies.iter().filter(|p| input.is_own(p)).peekable();
    own.peek()?;
    let planner = Planner::new(input, &[], &[], name, place, &[]);
    let open = render::allow_all(name, &shield).policy;
    let stands = own.any(|p| p.policy == open);
    if stands || !place.writable || planner.is_squatted() {
        return None;
    }
    let stage = |namespace, writes| Step::Stage { namespace, writes };
    planner.write(&[effect::Step::put(open)], stage).step
}

/// The step of one namespace, whatever there is to do in others.
pub fn step_in(input: &Input, namespace: &Arc<str>) -> Option<Step> {
    let (wanted, place) = (input.wanted()?, input.places.get(namespace)?);
    if input.hold || place.policies.iter().any(|p| p.hold && input.is_own(p)) {
        return opening(input, namespace, place);
    }
    let (occupied, warnings) = (occupied(input), warnings(input));
    Planner::new(input, &occupied, &warnings, namespace, place, &wanted)
        .next()
        .step
}

/// What needs attention: what the bundle noticed, pods that a deny would cut off, names that two bundles want.
fn warnings(input: &Input) -> Vec<Warning> {
    let pods: Vec<Pod> = input
        .places
        .values()
        .flat_map(|p| p.pods.iter().cloned())
        .collect();
    let mut all = input.bundle.warnings.clone();
    all.extend(uncovered::warning(&input.bundle, &pods));
    all.extend(input.taken.iter().map(|policy| {
        Warning::new(
            "SharedName",
            format!(
                "another bundle keeps {}/{} already; give one of them another namespace",
                policy.namespace, policy.name
            ),
        )
    }));
    all
}

/// Names that somebody else has, in namespaces that are known.
fn occupied(input: &Input) -> Vec<Occupied> {
    let mut all = Vec::new();
    for (name, place) in &input.places {
        for policy in input.bundle.policies().filter(|p| p.namespace == *name) {
            let standing = place.policies.iter().find(|p| p.name == policy.name);
            let Some(standing) = standing.filter(|p| !p.managed_by_us) else {
                continue;
            };
            let owner = standing.owner.as_deref().unwrap_or("unknown").to_owned();
            let by = foreign::judge(&input.world, &input.bundle, &standing.policy, owner, &place.pods);
            all.push(Occupied {
                policy: policy.clone(),
                by,
            });
        }
    }
    all
}

/// An older contract may still be on its way: of another leader or term, or one that got no answer.
fn fence(input: &Input) -> Option<Step> {
    let status = &input.object.as_ref()?.status;
    let intent = status.intent.as_ref()?;
    if input.is_own_intent(intent) && !input.uncertain {
        return None;
    }
    let namespace: Arc<str> = intent.namespace.as_str().into();
    let place = input.places.get(&namespace);
    let ours = place
        .into_iter()
        .flat_map(|p| &p.policies)
        .filter(|p| input.is_own(p));
    Some(Step::Fence {
        objects: ours.map(|p| (p.name.clone(), p.uid.clone())).collect(),
        namespace,
    })
}
