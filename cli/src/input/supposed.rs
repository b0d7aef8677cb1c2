//! Declarations rendered, and modes that are supposed: by the operator's own decisions, never by rules of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_api::switch::Isolation;
use bulkhead_controllers::decide::{Decision, Target, render};
use bulkhead_controllers::plan::{Input, View, judge, list};
use bulkhead_policy::Policy;

use super::state::{State, Written};
use super::{ReadingArgs, Source};
use crate::look::Look;
use crate::session::Session;

/// Replaces what the operator would replace under `--mode`; without a mode, adds what declarations in files
/// render to.
pub fn apply(state: &mut State, look: &mut Look, args: &ReadingArgs, session: &Session) {
    match args.mode {
        Some(mode) => {
            look.suppose(Some(mode.into()), args.isolation.map(Into::into));
            let kept = suppose(state, look);
            if !kept.is_empty() {
                let what = match kept.len() {
                    1 => "1 namespace".to_owned(),
                    n => format!("{n} namespaces"),
                };
                state.remark(format!(
                    "{what} would stay open: {}; {} plan {mode:?} says why",
                    list(&kept),
                    session.program
                ));
            }
        }
        None if args.as_stored => {}
        None => render_declared(state, look),
    }
}

/// Lets the operator decide about every namespace. Returns those that should close and cannot.
fn suppose(state: &mut State, look: &mut Look) -> Vec<String> {
    let mut blocked = Vec::new();
    let mut after: BTreeMap<Arc<str>, Vec<Arc<Policy>>> = BTreeMap::new();
    for name in look.names() {
        let Some(input) = look.input(&name) else { continue };
        if let Some(policies) = decided(&input, &mut blocked) {
            after.insert(name, policies);
        }
    }
    state.retain(|p| !after.contains_key(&p.policy.namespace) || is_kept(&after, &p.policy));
    for policy in after.into_values().flatten() {
        add(state, policy);
    }
    blocked
}

fn is_kept(after: &BTreeMap<Arc<str>, Vec<Arc<Policy>>>, policy: &Policy) -> bool {
    let kept = after.get(&policy.namespace).into_iter().flatten();
    kept.into_iter().any(|p| **p == *policy)
}

/// What would stand in a namespace once the operator were done; `None` where it writes nothing.
pub fn decided(input: &Input, blocked: &mut Vec<String>) -> Option<Vec<Arc<Policy>>> {
    let view = View::new(input);
    let decision = view.decision();
    let foreign = || view.foreign.iter().map(|p| p.policy.clone());
    let opener = render::allow_all(&input.name, &view.free_name(bulkhead_api::vocabulary::ALLOW_ALL));
    match decision {
        Decision::Closed(isolation) => {
            let targets = targets(&view, isolation);
            if judge(&view, decision).block() && !view.closed_by_us() {
                blocked.push(input.name.to_string());
                return Some(foreign().chain(targets).chain([opener.policy]).collect());
            }
            Some(foreign().chain(targets).collect())
        }
        Decision::Open(_) => {
            let ours = view.ours.iter().map(|p| p.policy.clone());
            let standing = view.allow_all().is_some();
            let opener = (!standing).then_some(opener.policy);
            Some(foreign().chain(ours).chain(opener).collect())
        }
        Decision::HandBack | Decision::Release => Some(foreign().collect()),
        Decision::Ignore
        | Decision::Frozen(_)
        | Decision::HandsOff
        | Decision::Preserved
        | Decision::SetLost => None,
    }
}

fn targets(view: &View<'_>, isolation: Isolation) -> Vec<Arc<Policy>> {
    let egress = view
        .expected
        .egress
        .iter()
        .filter(|_| view.isolates_egress(isolation));
    let rendered = view.expected.ingress.iter().chain(egress);
    rendered
        .flat_map(|r| &r.targets)
        .map(|t: &Target| t.policy.clone())
        .collect()
}

/// Adds what the declarations of files mean.
fn render_declared(state: &mut State, look: &mut Look) {
    let names: BTreeSet<Arc<str>> = look.declared_in_files().cloned().collect();
    let isolation = look.cluster.config.applied.isolation;
    let mut rendered = 0;
    for name in names {
        let Some(input) = look.input(&name) else { continue };
        for rejected in &input.expected.rejected {
            state.remark(format!("{name}: {rejected}"));
        }
        for policy in targets(&View::new(&input), isolation) {
            let standing = state.written(&policy).is_some();
            if !standing {
                add(state, policy);
                rendered += 1;
            }
        }
    }
    if rendered > 0 {
        state.remark(format!(
            "SystemNetworkPolicies of files are judged as if closed: {rendered} policies rendered"
        ));
    }
}

fn add(state: &mut State, policy: Arc<Policy>) {
    if state.written(&policy).is_some_and(|w| *w.policy == *policy) {
        return;
    }
    state.add(Written {
        spec: (&*policy).into(),
        policy,
        source: Source::default(),
        annotations: BTreeMap::new(),
    });
}
