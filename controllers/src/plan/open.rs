//! Opening, staging under an open namespace, and handing a namespace back.

use std::sync::Arc;

use bulkhead_api::{namespace::Action, vocabulary as names};

use super::{
    Plan, PolicyWrite, State, Step, View,
    engine::{Judge, targets},
    sync::{Difference, apply, delete},
};
use crate::{
    decide::{OpenReason, Role, Target, render},
    observe::Moment,
};

/// A namespace that should be open: the allow-all stands, and under it the set is staged.
pub fn plan(view: &View<'_>, reason: OpenReason, plan: &mut Plan) {
    if let Some(write) = open(view) {
        plan.state = State::Opening;
        plan.step = Some(Step::Open(write));
        return;
    }
    if reason != OpenReason::Hold {
        // What is left of a set whose declaration is gone goes too, unless part of it is merely unreadable.
        let wanted = view.expected.ingress.as_ref().map_or(&[][..], |r| &r.targets);
        stage(view, wanted, State::Staging, plan);
    }
    if plan.step.is_none() && !plan.staged {
        plan.wake = plan.wake.or_else(|| view.all_settled_at());
    }
    plan.acknowledged = plan.step.is_none() && view.status().is_some_and(|s| s.intent.is_some());
}

/// The write that makes an allow-all of ours stand; `None` if one does.
pub fn open(view: &View<'_>) -> Option<PolicyWrite> {
    if view.allow_all().is_some() {
        return None;
    }
    let free = view.free_name(names::ALLOW_ALL);
    let edited = view
        .ours
        .iter()
        .find(|p| p.role == Some(Role::AllowAll) || *p.name == *free);
    let name = edited.map_or(free, |p| p.name.to_string());
    let target = render::allow_all(&view.input.name, &name);
    Some(match edited {
        Some(stands) => apply(stands, target, view.input.cluster.sequence),
        None => PolicyWrite::Create(target),
    })
}

/// Makes exactly `wanted` stand under a settled allow-all, where no write can take anything away.
pub fn stage(view: &View<'_>, wanted: &[Target], state: State, plan: &mut Plan) {
    let difference = Difference::new(view, wanted);
    if difference.is_none() && view.allow_egress().is_none() {
        return;
    }
    if let Some(why) = view.input.cluster.contracts_frozen {
        tracing::debug!(namespace = %view.input.name, why, "staging waits");
        plan.state = State::Frozen;
        return;
    }
    let settled = view.allow_alls().filter_map(|p| view.settled_at(&p.name)).min();
    let now = view.input.now;
    if settled.is_none_or(|at| at > now) {
        (plan.state, plan.wake) = (state, settled);
        return;
    }
    let sequence = view.input.cluster.sequence;
    let (ready, late) = damped(view, difference.widened(sequence));
    let mut judge = Judge::new(view, targets([view.expected.ingress.as_ref()]));
    let harmless: Vec<PolicyWrite> = ready.into_iter().filter(|w| judge.is_harmless(w)).collect();
    if !harmless.is_empty() {
        (plan.state, plan.step) = (state, Some(Step::Stage(harmless)));
    } else if late.is_some() {
        (plan.state, plan.wake) = (state, late);
    } else if view.newer_writer() {
        plan.state = State::NewerWriter;
    } else if state == State::Releasing || !view.expected.incomplete {
        shrink(view, &difference, judge, state, plan);
    }
}

/// Takes away what nobody wants any more. Nothing is lost under the allow-all, but such a write would take
/// something away if it landed late, when the allow-all is gone: it needs an intent like any contract.
fn shrink(view: &View<'_>, difference: &Difference<'_>, mut judge: Judge<'_>, state: State, plan: &mut Plan) {
    let mut writes = difference.narrowed(view.input.cluster.sequence);
    writes.extend(view.allow_egress().map(delete));
    let (mut ready, late) = damped(view, writes);
    ready.retain(|write| judge.is_harmless(write));
    if !ready.is_empty() {
        plan.state = state;
        plan.step = Some(Step::Contract {
            action: Action::Narrow,
            writes: ready,
        });
    } else if late.is_some() {
        (plan.state, plan.wake) = (state, late);
    }
}

/// Separates writes that would follow another write of the same object within a second: somebody fights, and the
/// API server is not the place for it. With them comes the moment at which the first of them is due.
pub fn damped(view: &View<'_>, writes: Vec<PolicyWrite>) -> (Vec<PolicyWrite>, Option<Moment>) {
    let pause = Moment::from_secs(1);
    let due = |name: &Arc<str>| {
        let at = *view.input.written.get(name)? + pause;
        (at > view.input.now).then_some(at)
    };
    let (late, ready): (Vec<_>, Vec<_>) = writes.into_iter().partition(|w| due(w.name()).is_some());
    let first = late.iter().filter_map(|w| due(w.name())).min();
    (ready, first)
}

/// A namespace that is handed back: opened, set removed, labels removed where it is no system namespace any more
/// (see `labels`), allow-all removed.
pub fn release(view: &View<'_>, plan: &mut Plan) {
    plan.state = State::Releasing;
    if view.ours.is_empty() {
        plan.acknowledged = true;
        plan.state = State::AsExpected;
        return;
    }
    if let Some(write) = open(view) {
        plan.step = Some(Step::Open(write));
        return;
    }
    stage(view, &[], State::Releasing, plan);
    if plan.step.is_some() || plan.wake.is_some() || plan.state == State::Frozen {
        return;
    }
    if !Difference::new(view, &[]).is_none() {
        // The allow-all goes last: what is left of the set would deny without it.
        return;
    }
    if let Some(at) = view.all_settled_at() {
        plan.wake = Some(at);
        return;
    }
    if view.input.cluster.contracts_frozen.is_some() {
        plan.state = State::Frozen;
    } else if plan.blocked(view) {
        plan.state = State::Blocked;
    } else {
        let writes = view.allow_alls().map(delete).collect();
        plan.step = Some(Step::Contract {
            action: Action::Release,
            writes,
        });
    }
}
