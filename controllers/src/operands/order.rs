//! In which order the policies of a bundle are written and removed.
//!
//! Every allow isolates the pods that it selects, so the first of several for one pod would cut off what the
//! others open. Where the engine finds such a point, a temporary allow-all stands while the others are written.

use std::{collections::BTreeSet, sync::Arc};

use bulkhead_api::{
    operand::{Enforcement, Operand, OperandNetworkPolicySpec},
    switch::ManagementState,
    vocabulary::ALLOW_ALL,
};
use bulkhead_policy::effect::{Step, analyse};
use bulkhead_policy::{Labels, Pod, Policy, Selector, World};

use super::{Bundle, Role, foreign::examples};
use crate::decide::render;

/// Writes that may be made at once. The next phase begins when these have settled.
pub type Phase = Vec<Step>;

/// A policy that stands and is ours, with its role.
pub type Standing = (Role, Arc<Policy>);

/// What should stand; `None` when nothing may be written: in an audit, and while the object is unmanaged. An
/// inactive bundle has nothing to stand.
pub fn wanted(bundle: &Bundle, spec: &OperandNetworkPolicySpec) -> Option<Vec<Standing>> {
    let audit = spec.enforcement.unwrap_or_default() == Enforcement::Audit;
    let unmanaged = spec.management_state.unwrap_or_default() == ManagementState::Unmanaged;
    let all = || {
        bundle
            .policies
            .iter()
            .map(|p| (p.role, p.policy.clone()))
            .collect()
    };
    (!audit && !unmanaged).then(all)
}

/// Where writes are ordered.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// How policies are read.
    pub world: &'a World,
    /// The namespace.
    pub namespace: &'a str,
    /// Whose bundle it is.
    pub operand: Operand,
    /// Policies of others, which stay as they are.
    pub others: &'a [Arc<Policy>],
    /// Pods of the namespace.
    pub running: &'a [Pod],
}

/// The name of the temporary allow-all of a bundle. Bundles that share a namespace have one each.
pub fn shield_name(operand: Operand) -> String {
    format!("{ALLOW_ALL}-{}", operand.object_name())
}

/// The phases from what stands in one namespace to what should stand. Allows before denies on the way in, denies
/// first on the way out; what is allowed both before and after is allowed at every point between.
pub fn phases(place: &Place<'_>, have: &[Standing], want: &[Standing]) -> Vec<Phase> {
    let shield = render::allow_all(place.namespace, &shield_name(place.operand)).policy;
    let here = |all: &[Standing]| -> Vec<Standing> {
        all.iter()
            .filter(|(_, p)| &*p.namespace == place.namespace)
            .cloned()
            .collect()
    };
    let (have, want) = (here(have), here(want));
    let shielding = have.iter().find(|(_, p)| p.name == shield.name);
    let shielded = shielding.is_some_and(|(_, p)| *p == shield);
    let plain = plain(&have, &want, &shield.name);
    if plain.is_empty() && shielding.is_none() {
        return Vec::new();
    }
    if shielding.is_none() && keeps(place, &have, &want, &plain) {
        return plain;
    }
    // A shield that somebody damaged protects nothing; where nothing is left to do it just goes.
    let mut phases = if shielded || plain.is_empty() {
        Vec::new()
    } else {
        vec![vec![Step::put(shield.clone())]]
    };
    phases.extend(plain);
    phases.push(vec![remove(&shield)]);
    phases
}

/// Denies out, allows in, denies in, allows out.
fn plain(have: &[Standing], want: &[Standing], shield: &str) -> Vec<Phase> {
    let puts = |role: Role| -> Phase {
        let new = want.iter().filter(|w| w.0 == role && !have.contains(w));
        new.map(|(_, policy)| Step::put(policy.clone())).collect()
    };
    let removals = |role: Role| -> Phase {
        let named = |p: &Policy| want.iter().any(|(_, w)| w.name == p.name);
        let old = have
            .iter()
            .filter(|(r, p)| *r == role && !named(p) && &*p.name != shield);
        old.map(|(_, policy)| remove(policy)).collect()
    };
    let phases = [
        removals(Role::Deny),
        puts(Role::Allow),
        puts(Role::Deny),
        removals(Role::Allow),
    ];
    phases.into_iter().filter(|phase| !phase.is_empty()).collect()
}

fn remove(policy: &Policy) -> Step {
    Step {
        namespace: policy.namespace.clone(),
        name: policy.name.clone(),
        version: None,
    }
}

/// Whether nothing is broken at any point, however the writes of one phase overtake each other.
fn keeps(place: &Place<'_>, have: &[Standing], want: &[Standing], phases: &[Phase]) -> bool {
    let world = place.world;
    let pods = &pods(place, have, want);
    let start: Vec<Arc<Policy>> = have
        .iter()
        .map(|(_, p)| p.clone())
        .chain(place.others.iter().cloned())
        .collect();
    // One after the other, from the first to the last: cheap, and what both ends allow is the whole measure.
    let all: Vec<Step> = phases.iter().flatten().cloned().collect();
    if !analyse(world, pods, &start, &[all]).breaks.is_empty() {
        return false;
    }
    let mut stands = start;
    phases.iter().all(|phase| {
        let writers: Vec<Vec<Step>> = phase.iter().map(|step| vec![step.clone()]).collect();
        let analysis = analyse(world, pods, &stands, &writers);
        for step in phase {
            stands.retain(|p| p.name != step.name);
            stands.extend(step.version.clone());
        }
        analysis.exhaustive && analysis.breaks.is_empty()
    })
}

/// Running pods, and one for each label set that a policy may select, or two of them at once.
pub fn pods(place: &Place<'_>, have: &[Standing], want: &[Standing]) -> Vec<Pod> {
    let selectors = have.iter().chain(want).map(|(_, p)| &p.pods);
    let selected = Selector::overlaps(selectors);
    let labels: BTreeSet<Labels> = selected
        .iter()
        .flat_map(examples)
        .chain([Labels::default()])
        .collect();
    let imagined = labels
        .into_iter()
        .map(|l| Pod::new(place.namespace, "any pod to come", l));
    let here = place
        .running
        .iter()
        .filter(|p| &*p.namespace == place.namespace)
        .cloned();
    here.chain(imagined).collect()
}
